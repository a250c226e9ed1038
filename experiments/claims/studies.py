"""The studies by name, in the order of the report."""

from __future__ import annotations

from experiments.claims import (
    amount,
    dimension,
    emergence,
    optimum,
    plane,
    ratio,
    sign,
    space,
    surface,
    threshold,
    variance,
)
from experiments.claims.common import Study

STUDIES: dict[str, Study] = {
    module.STUDY.name: module.STUDY
    for module in (
        sign,
        ratio,
        plane,
        dimension,
        surface,
        emergence,
        amount,
        space,
        threshold,
        optimum,
        variance,
    )
}
