"""How long the work takes here and elsewhere; see `python -m experiments.benchmark --help`."""
