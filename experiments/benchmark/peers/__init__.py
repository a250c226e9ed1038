"""The programs that the benchmark times, each run as a process of its own.

A peer needs NumPy and its own framework, and nothing of this repository, so that it can run in
another environment. `ours.py` and `accelerator.py` run this repository's code. `_peer` is a peer's
side of the conversation, `harness.Peer` the benchmark's.
"""
