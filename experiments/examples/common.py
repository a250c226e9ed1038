"""The `Example` record, and functions that the examples share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from colour_embed.config import Config
from colour_embed.evaluate.geometry import nearest
from colour_embed.evaluate.intervals import bootstrap_interval
from experiments._training import Plan


class Made(NamedTuple):
    """The tables of an example: pairs, and items if they have colours or groups."""

    pairs: pd.DataFrame
    items: pd.DataFrame | None


class Finding(NamedTuple):
    """The result of an example: a sentence, and the numbers in it."""

    sentence: str
    numbers: dict[str, Any]


class Example(NamedTuple):
    """An example.

    Attributes:
        name: Name of its folder.
        title: Title of its map.
        source: Source of the pairs, in Markdown.
        licence: Licence of the source.
        has_items: Whether there is a table of items.
        make: Returns the tables.
        judge: Returns the finding for the names, the vectors [items, dim] and the tables.
        plan: Settings of its training.
    """

    name: str
    title: str
    source: str
    licence: str
    has_items: bool
    make: Callable[[], Made]
    judge: Callable[[list[str], np.ndarray, Made], Finding]
    plan: Plan


def plan(dim: int, restarts: int = 8, **options: Any) -> Plan:
    """Return the training settings of an example: the defaults of `experiments.train`, few exports.

    Args:
        dim: Dimension of the embedding.
        restarts: Number of random initialisations; the best is kept.
        options: Further fields of `Plan`.
    """
    config = Config(dim=dim, head="negative", learning_rate=0.01)
    return Plan(config, restarts=restarts, exports=(), snapshots=False, **options)


def nearest_names(names: list[str], vectors: np.ndarray, name: str, count: int) -> list[str]:
    """Return the names of the `count` items nearest to one, nearest first."""
    (found,), _ = nearest(vectors, np.array([names.index(name)]), count)
    return [names[place] for place in found]


def with_interval(values: np.ndarray, statistic: Callable) -> tuple[float, float, float]:
    """Return a statistic and its 95 % bootstrap interval."""
    return float(statistic(values)), *bootstrap_interval(values, statistic)


def percents(interval: tuple[float, float, float], digits: int = 0) -> tuple[str, str]:
    """Format a share and its interval as percentages, such as "52 %" and "43 % to 61 %"."""
    middle, low, high = (f"{100 * share:.{digits}f} %" for share in interval)
    return middle, f"{low} to {high}"


def listed(words: Sequence[str]) -> str:
    """Join words, such as "a, b and c"."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def neighbours_listed(neighbours: dict[str, list[str]], form: str) -> str:
    """List the neighbours of each item by a form such as "nearest to {} are {}"."""
    return "; ".join(form.format(name, listed(others)) for name, others in neighbours.items())
