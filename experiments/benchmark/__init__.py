"""Benchmarks against other implementations; see `python -m experiments.benchmark --help`."""
