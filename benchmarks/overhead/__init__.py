"""What an agent library costs around the same model calls: `python -m benchmarks.overhead`. See `benchmarks/RESULTS.md`."""
