"""Options that training programs are compiled with; they concern CPUs only."""

ONE_TRAINING = {"xla_cpu_prefer_vector_width": 512}
"""Where a CPU has 512-bit vectors, XLA would by default use half of one."""

ALL_CORES = {**ONE_TRAINING, "xla_cpu_multi_thread_eigen": False}
"""For members on every core: no single operation is split over the cores as well."""
