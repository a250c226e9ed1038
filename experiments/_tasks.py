"""What a sweep trains: the axes of the grid, and the members of each compiled program."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from absl import flags

if TYPE_CHECKING:
    import pandas as pd

    from colour_embed.config import Config, Stopping
    from colour_embed.data import Pairs


class Task(NamedTuple):
    """The members of one compiled program.

    Attributes:
        config: What they share.
        items: Number of items.
        pairs: The training pairs.
        truth: The coordinates that determine the labels; None of one's own pairs.
        stopping: The early stopping rule; None of colours.
        held_out: The held-out pairs of the rule.
    """

    config: Config
    items: int
    pairs: Pairs
    truth: Any = None
    stopping: Stopping | None = None
    held_out: Pairs | None = None


class Grid(NamedTuple):
    """The axes that all programs share."""

    seeds: list[int]
    dims: list[int]
    axes: dict[str, list[float]]
    vary: list[str]

    def snapshots(self) -> int:
        """Count the members that keep snapshots."""
        count = len(self.seeds) * len(self.dims) * math.prod(map(len, self.axes.values()))
        return min(flags.FLAGS.snapshots, count)


def groups_shown(summary: pd.DataFrame) -> list[str]:
    """Return the columns beside dim by which the rows of a summary are told apart."""
    groups = summary.columns[1 : summary.columns.get_loc("members")]
    return [name for name in groups if name == "head" or summary[name].nunique() > 1]
