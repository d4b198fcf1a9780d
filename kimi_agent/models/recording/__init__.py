"""What a `ReplayModel` writes and compares: the cassette, its parts, the summary of a request, and what is masked."""
