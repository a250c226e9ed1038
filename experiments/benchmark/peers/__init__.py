"""The programs that the benchmark times, each run in a separate process.

A peer imports NumPy and its framework, and nothing of this repository, so that it can run in
another environment. `ours.py` and `accelerator.py` run this repository's code. `_peer` is the
peer's side of the protocol, `harness.Peer` the benchmark's.
"""
