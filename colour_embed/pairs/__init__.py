"""Embeddings of user-defined items from labelled pairs; public names are imported on first use."""

import importlib
from typing import TYPE_CHECKING, Any

# name: the module that defines it
_HOMES = {
    "PairEmbedding": "estimator",
    "GroupedPairSplit": "folds",
    "PairWarning": "checks",
}

__all__ = ["GroupedPairSplit", "PairEmbedding", "PairWarning"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from colour_embed.io.extras import from_extra

    from_extra("sklearn", "pairs", name)
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if TYPE_CHECKING:
    from colour_embed.pairs.checks import PairWarning
    from colour_embed.pairs.estimator import PairEmbedding
    from colour_embed.pairs.folds import GroupedPairSplit
