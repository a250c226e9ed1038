"""What an example is, and the measures that examples share."""

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
    """The tables of an example: pairs, and items where they have colours or groups."""

    pairs: pd.DataFrame
    items: pd.DataFrame | None


class Finding(NamedTuple):
    """What an example shows: a sentence that a reader can check, and the numbers in it."""

    sentence: str
    numbers: dict[str, Any]


class Example(NamedTuple):
    """An example.

    Attributes:
        name: Of its folder.
        title: Above its map.
        source: Where the pairs come from, in Markdown.
        licence: Of the source.
        has_items: Whether it makes a table of items.
        make: Makes the tables.
        judge: From the names, the vectors [items, dim] and the tables to the finding.
        plan: How it is trained.
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
    """How an example is trained: as `experiments.train` by default, with few files left.

    Args:
        dim: Coordinates of each item.
        restarts: How many, of which the best is kept.
        options: Of `Plan`, where they differ from its defaults.
    """
    config = Config(dim=dim, head="negative", learning_rate=0.01)
    return Plan(config, restarts=restarts, exports=(), snapshots=False, **options)


def nearest_names(names: list[str], vectors: np.ndarray, name: str, count: int) -> list[str]:
    """The names of the items nearest to one, nearest first."""
    (found,), _ = nearest(vectors, np.array([names.index(name)]), count)
    return [names[place] for place in found]


def with_interval(values: np.ndarray, statistic: Callable) -> tuple[float, float, float]:
    """A statistic and its 95 % bootstrap interval."""
    return float(statistic(values)), *bootstrap_interval(values, statistic)


def percents(interval: tuple[float, float, float], digits: int = 0) -> tuple[str, str]:
    """A share and its interval as a sentence gives them: "52 %" and "43 % to 61 %"."""
    middle, low, high = (f"{100 * share:.{digits}f} %" for share in interval)
    return middle, f"{low} to {high}"


def listed(words: Sequence[str]) -> str:
    """Words as a sentence lists them: "a, b and c"."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def neighbours_told(neighbours: dict[str, list[str]], form: str) -> str:
    """Who is nearest to whom, each by a form such as "nearest to {} lie {}"."""
    return "; ".join(form.format(name, listed(others)) for name, others in neighbours.items())
