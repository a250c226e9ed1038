"""Scores against the known truth: probabilities, losses, geometry, intervals and tables."""
