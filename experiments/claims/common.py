"""Training, intervals, evidence and the `Study` record, shared by all studies."""

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
from colour_embed.evaluate.truth import Truth, best_loss, pair_distance, probability_similar
from colour_embed.viz.intervals import Interval, Line
from experiments import _cli

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from colour_embed.sweeps import SweepResult

HOLDS, IN_PART, FAILS = "holds", "holds in part", "does not hold"

THRESHOLD = "threshold of the rule"
"""Name of the line that a figure draws at the threshold of its study's rule."""

MARGIN = 0.01
"""Nats per pair: the largest difference of two losses that counts as none."""

Tables = Mapping[str, pd.DataFrame]
"""A study's tables by name; `NAME_TABLE.csv` in the folder."""


@dataclass(frozen=True)
class Setting:
    """The sizes of a run and its progress callback, passed to every study.

    Attributes:
        seeds: Seeds of each cell. Studies with many cells use a half or an eighth of them.
        epochs: Passes over 100,000 pairs. Studies of other sizes train for as many steps.
        pairs: Number of pairs of colours to draw.
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
        """Return the first 1 / `share` of the seeds, at least two: one seed has no interval."""
        return range(max(2, self.seeds // share))


class Evidence(NamedTuple):
    """A named value that a verdict depends on, with its 95 % interval if it has one."""

    what: str
    value: float
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        """Format as "what: value [low, high]"."""
        if self.low is None or self.high is None:
            return f"{self.what}: {shown(self.value)}"
        return f"{self.what}: {shown(self.value)} [{shown(self.low)}, {shown(self.high)}]"


def shown(value: float) -> str:
    """Format a number to four significant digits, whole numbers without decimals."""
    return f"{value:.0f}" if float(value).is_integer() else f"{value:#.4g}"


def percent(share: float) -> str:
    """Format a share as a percentage, such as "22.5 %"."""
    return f"{100 * share:g} %"


class Finding(NamedTuple):
    """The verdict of a study, the evidence for it, and the answer in words."""

    verdict: str
    evidence: list[Evidence]
    answer: str


@dataclass(frozen=True)
class Study:
    """A claim and the experiment that tests it.

    Attributes:
        name: Name of the study, and prefix of its tables and its figure.
        claim: The claim in one sentence.
        quote: The tutorial's words.
        question: The question that the study answers.
        method: The experiment. {seeds}, {half}, {eighth} and {epochs} are substituted.
        rule: How the verdict follows from the tables, fixed before the run.
        caption: Caption of the figure.
        shared: What all seeds share, such as "the pairs and their labels"; "" for nothing. The
            intervals have no variation of it.
        run: Trains and returns the tables.
        judge: Returns the finding, computed from the tables alone.
        draw: Returns the figure, drawn from the tables alone.
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
    shared: str = ""


# --------------------------------------------------------------------------------------------------
# Training


class Trained(NamedTuple):
    """The result of a sweep and the table of its members' scores."""

    result: SweepResult
    runs: pd.DataFrame

    def vectors(self, member: int) -> np.ndarray:
        """Return a member's item vectors, float64 [items, dim]."""
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
    """Train a grid of members and evaluate each of them.

    Args:
        setting: Reports progress, and holds the default colours and pairs.
        label: Label of the progress bar.
        config: The configuration that the members share.
        seeds: As `sweep.sweep`.
        dims: As `sweep.sweep`.
        colours: The items; the tutorial's by default.
        pairs: The training pairs; the tutorial's by default.
        truth: float64 [items, k], the coordinates that determine the labels; RGB by default.
        axes: As `sweep.sweep`.
        vary: As `sweep.sweep`.
        snapshots: Epochs at which the vectors of all members are stored.
        known: The truth and the held-out pairs to evaluate all members on, if the label rule does
            not determine them.
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
        report=lambda event: _cli.show_progress(event, bar),
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
    """Yield each group's values in the columns `by`, and its rows; one group for no columns."""
    if not by:
        yield {}, runs
        return
    for values, members in runs.groupby(list(by), sort=True):
        yield dict(zip(by, values)), members


def intervals(runs: pd.DataFrame, by: Sequence[str], measures: Sequence[str]) -> pd.DataFrame:
    """Return interquartile means over the seeds, with 95 % bootstrap intervals.

    Args:
        runs: A row per member.
        by: The columns that define the groups; all rows are one group if empty.
        measures: The columns to summarise; missing values are ignored.

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
    """Return the share of members where `column` is true, with 95 % Wilson intervals, by group."""
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
    """Select the rows with these values."""
    chosen = np.ones(len(table), bool)
    for name, value in wanted.items():
        chosen &= (table[name] == value).to_numpy()
    return table[chosen]


def row_where(table: pd.DataFrame, **wanted: Any) -> pd.Series:
    """Select the single row with these values.

    Raises:
        ValueError: no row has these values, or more than one.
    """
    rows = rows_where(table, **wanted)
    if len(rows) != 1:
        raise ValueError(f"{len(rows)} rows have {wanted}, and not one")
    return rows.iloc[0]


def evidence(what: str, row: pd.Series) -> Evidence:
    """Convert a row of `intervals` or `shares` to evidence."""
    return Evidence(what, float(row["value"]), float(row["low"]), float(row["high"]))


def line(rows: pd.DataFrame, x: str) -> Line:
    """Convert rows of `intervals` or `shares` to a line over the column x."""
    return Line(rows[x].to_numpy(float), interval(rows))


def interval(rows: pd.DataFrame) -> Interval:
    """Convert rows of `intervals` or `shares` to values with their intervals."""
    return Interval(*(rows[name].to_numpy(float) for name in ("value", "low", "high")))


def difference(one: Any, other: pd.Series) -> pd.Series | pd.DataFrame:
    """Subtract a row of `intervals` from another one, or from each of a table.

    Returns:
        `one` with value, and with low and high from the ends of the two intervals that are
        furthest apart. That is wider than a 95 % interval of the difference.
    """
    found = one.copy()
    for name, end in (("value", "value"), ("low", "high"), ("high", "low")):
        found[name] = one[name] - other[end]
    return found


def told(row: pd.Series, digits: int = 3) -> str:
    """Format a row of `intervals` or `shares` as "value [low, high]"."""
    value, low, high = (f"{row[name]:.{digits}f}" for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


@functools.cache
def drawn_floor() -> float:
    """Return the Bayes-optimal loss on the labels of the tutorial's pairs as they are drawn."""
    colours = data.load_colours()
    pairs = data.tutorial_pairs(colours)
    return best_loss(probability_similar(pair_distance(colours, pairs.index)), pairs.label)
