"""`kimi-agent chat`: a conversation on the terminal."""
