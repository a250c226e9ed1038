"""What the studies share: what they are told, how they train, intervals, and what they find."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from colour_embed import data
from colour_embed.config import Config
from colour_embed.evaluate.intervals import bootstrap_interval, interquartile_mean, wilson_interval
from colour_embed.evaluate.truth import Truth
from colour_embed.viz.intervals import Interval, Line
from experiments import _cli

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from colour_embed.sweeps import SweepResult

HOLDS, IN_PART, FAILS = "holds", "holds in part", "does not hold"

Tables = Mapping[str, pd.DataFrame]
"""A study's tables by name; `NAME_TABLE.csv` in the folder."""


@dataclass(frozen=True)
class Setting:
    """What every study is told.

    Attributes:
        seeds: Members of each cell where a verdict rests on a share or a selection; studies with
            many cells take half, or an eighth.
        epochs: Passes over 100,000 pairs; a study with fewer pairs takes as many steps.
        pairs: How many pairs of colours are drawn.
        add: Adds a progress bar, as `_cli.progress` yields it.
    """

    seeds: int
    epochs: int
    pairs: int
    add: Callable[[str, int], Callable]

    @functools.cached_property
    def colours(self) -> data.Colours:
        """The tutorial's colours."""
        return data.load_colours()

    @functools.cached_property
    def tutorial_pairs(self) -> data.Pairs:
        """The tutorial's pairs."""
        return data.tutorial_pairs(self.colours, self.pairs)

    def some_seeds(self, share: int = 1) -> range:
        """One of `share` parts of the seeds, at least two, since one has no interval."""
        return range(max(2, self.seeds // share))


class Evidence(NamedTuple):
    """A number that a verdict rests on, with its 95 % interval where it has one."""

    what: str
    value: float
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        """As a person reads it."""
        if self.low is None or self.high is None:
            return f"{self.what}: {shown(self.value)}"
        return f"{self.what}: {shown(self.value)} [{shown(self.low)}, {shown(self.high)}]"


def shown(value: float) -> str:
    """A number to four significant digits, whole numbers as they are."""
    return f"{value:.0f}" if float(value).is_integer() else f"{value:#.4g}"


def percent(share: float) -> str:
    """A share as people write it: 22.5 %."""
    return f"{100 * share:g} %"


class Finding(NamedTuple):
    """What a study's tables say: the verdict, the numbers it follows from, and the answer."""

    verdict: str
    evidence: list[Evidence]
    answer: str


@dataclass(frozen=True)
class Study:
    """One claim and how it is tested.

    Attributes:
        name: Of the study, its tables and its figure.
        claim: What is claimed, in our words.
        quote: The tutorial's words.
        question: What is asked.
        method: What is done; {seeds}, {half}, {eighth} and {epochs} are filled in.
        rule: How the verdict follows, fixed before the run.
        caption: Of the figure.
        run: Trains; returns the tables.
        judge: The finding that follows from the tables alone.
        draw: The figure, from the tables alone.
    """

    name: str
    claim: str
    quote: str
    question: str
    method: str
    rule: str
    caption: str
    run: Callable[[Setting], dict[str, pd.DataFrame]]
    judge: Callable[[Tables], Finding]
    draw: Callable[[Tables], Figure]


# --------------------------------------------------------------------------------------------------
# Training


class Trained(NamedTuple):
    """A sweep, and the table of its members and their measures."""

    result: SweepResult
    runs: pd.DataFrame

    def vectors(self, member: int) -> np.ndarray:
        """A member's item vectors, float64 [items, dim]."""
        dim = self.result.members[member].dim
        return self.result.embedding[member, :, :dim].astype(np.float64)


def train(
    setting: Setting,
    label: str,
    config: Config,
    seeds: Sequence[int],
    dims: Sequence[int],
    *,
    colours: data.Colours | None = None,
    pairs: data.Pairs | None = None,
    truth: np.ndarray | None = None,
    axes: Mapping[str, Sequence[float]] | None = None,
    vary: Sequence[str] = ("init", "order"),
    snapshots: Sequence[int] | None = None,
    known: tuple[Truth, data.Pairs] | None = None,
) -> Trained:
    """Train a grid and measure it.

    Args:
        setting: Where progress is told, and the default colours and pairs.
        label: Of the progress bar.
        config: What the members share.
        seeds: As `sweep.sweep`.
        dims: As `sweep.sweep`.
        colours: The items; the tutorial's by default.
        pairs: The training pairs; the tutorial's by default.
        truth: float64 [items, k], the coordinates that the labels are made from; RGB by default.
        axes: As `sweep.sweep`.
        vary: As `sweep.sweep`.
        snapshots: Epochs of which the vectors of all members are kept.
        known: The truth and the held-out pairs that all members are measured by, where they do not
            follow from the label rule.
    """
    from colour_embed.evaluate import tables
    from colour_embed.sweeps import grid, sweep, training_pairs

    colours = colours or setting.colours
    pairs = pairs or setting.tutorial_pairs
    truth = colours.rgb if truth is None else truth
    count = len(grid(config, seeds, dims, axes))
    bar = setting.add(label, count * config.epochs)
    result = sweep(
        config,
        len(colours),
        pairs,
        seeds,
        dims,
        truth=truth,
        axes=axes,
        vary=vary,
        snapshots=0 if snapshots is None else count,
        schedule=snapshots or "none",
        report=lambda event: _cli.tell(event, bar),
    )
    known_truth, held_out = known or (truth, None)
    index = pairs
    if "pairs" in vary:
        index = lambda member: training_pairs(len(colours), pairs, member, vary)  # noqa: E731
    measures = tables.evaluate_members(result, known_truth, index, held_out=held_out)
    return Trained(result, tables.member_table(result, measures, axes=tuple(axes or ())))


# --------------------------------------------------------------------------------------------------
# Intervals


def _groups(runs: pd.DataFrame, by: Sequence[str]) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """The values that tell each group apart, and its members; all are one group for no columns."""
    if not by:
        yield {}, runs
        return
    for values, members in runs.groupby(list(by), sort=True):
        yield dict(zip(by, values)), members


def intervals(runs: pd.DataFrame, by: Sequence[str], measures: Sequence[str]) -> pd.DataFrame:
    """Interquartile means over the seeds, with 95 % bootstrap intervals.

    Args:
        runs: A row per member.
        by: The columns that tell groups apart; without any, all are one.
        measures: The columns to summarise; what is missing is left out.

    Returns:
        A row per group and measure: the columns of `by`, then measure, members, value, low, high.
    """
    rows = []
    for values, members in _groups(runs, by):
        for measure in measures:
            found = members[measure].dropna().to_numpy(float)
            low, high = bootstrap_interval(found, interquartile_mean)
            rows.append(
                {
                    **values,
                    "measure": measure,
                    "members": len(found),
                    "value": interquartile_mean(found) if len(found) else np.nan,
                    "low": low,
                    "high": high,
                }
            )
    return pd.DataFrame(rows)


def shares(runs: pd.DataFrame, by: Sequence[str], column: str = "recovered") -> pd.DataFrame:
    """The share of members that have something, with 95 % Wilson intervals; a row per group."""
    rows = []
    for values, members in _groups(runs, by):
        successes = int(members[column].sum())
        low, high = wilson_interval(successes, len(members))
        rows.append(
            {
                **values,
                "measure": column,
                "members": len(members),
                "successes": successes,
                "value": successes / len(members),
                "low": low,
                "high": high,
            }
        )
    return pd.DataFrame(rows)


def rows_where(table: pd.DataFrame, **wanted: Any) -> pd.DataFrame:
    """The rows that have these values."""
    chosen = np.ones(len(table), bool)
    for name, value in wanted.items():
        chosen &= (table[name] == value).to_numpy()
    return table[chosen]


def row_where(table: pd.DataFrame, **wanted: Any) -> pd.Series:
    """The one row that has these values.

    Raises:
        ValueError: there is none, or more than one.
    """
    rows = rows_where(table, **wanted)
    if len(rows) != 1:
        raise ValueError(f"{len(rows)} rows have {wanted}, and not one")
    return rows.iloc[0]


def evidence(what: str, row: pd.Series) -> Evidence:
    """A row of `intervals` or `shares` as evidence."""
    return Evidence(what, float(row["value"]), float(row["low"]), float(row["high"]))


def line(rows: pd.DataFrame, x: str) -> Line:
    """Rows of `intervals` or `shares` as a line over the column x."""
    return Line(rows[x].to_numpy(float), interval(rows))


def interval(rows: pd.DataFrame) -> Interval:
    """Rows of `intervals` or `shares` as values with their intervals."""
    return Interval(*(rows[name].to_numpy(float) for name in ("value", "low", "high")))
