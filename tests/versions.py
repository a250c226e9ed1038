"""What holds on some versions of JAX only."""

import jax
import pytest

same_bits_in_company = pytest.mark.xfail(
    jax.__version_info__ >= (0, 12),
    reason="from jax 0.12 on, XLA sums a batch in an order that depends on the number of members, "
    "so that a member's losses can differ by 1e-7 from those of the member alone",
    strict=False,
)
