"""Compiler options of the training programs; they affect CPUs only."""

ONE_TRAINING = {"xla_cpu_prefer_vector_width": 512}
"""XLA's default is 256 bits: an epoch takes 1.10 times as long (results/benchmark/levers.md)."""

ALL_CORES = {**ONE_TRAINING, "xla_cpu_multi_thread_eigen": False}
"""For members on every core: no single operation is split over the cores."""
