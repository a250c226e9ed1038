"""What the benchmark compares with: a file per peer, each run as its own process.

A peer needs NumPy and its own framework and nothing of this repository, so that it can run in
another environment. `_serve` is its side of the conversation, `process` the benchmark's.
"""
