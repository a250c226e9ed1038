"""What holds for all tests: the CPU, strict shapes and types, and Hypothesis without a clock."""

import os

from hypothesis import settings
from jaxtyping import install_import_hook

# Set before anything imports jax, so that a test of the data alone need not load it, and so that
# programs started by tests run under the same rules. A GPU can be asked for from outside.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUMPY_RANK_PROMOTION", "raise")

# Annotated types and shapes of the core and the engine are checked while the tests run.
install_import_hook(
    ["colour_embed.model", "colour_embed.train", "colour_embed.engine"], "beartype.beartype"
)

# The first example of a shape compiles, which no deadline can allow for; derandomised, so that a
# run says the same each time.
settings.register_profile("tests", deadline=None, max_examples=30, derandomize=True)
settings.load_profile("tests")
