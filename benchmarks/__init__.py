"""Benchmarks of this project against other tools on the same work: `python -m benchmarks --help`."""
