"""Training, intervals, evidence and the `Study` record, shared by all studies."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from colour_embed import data
from colour_embed.config import Config, Stopping
from colour_embed.evaluate.intervals import mean_interval, wilson_interval
from colour_embed.evaluate.truth import (
    Truth,
    all_pairs,
    base_rate_loss,
    best_loss,
    pair_distance,
    probability_similar,
)
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

TUTORIAL_PAIRS = 100_000

Tables = Mapping[str, pd.DataFrame]
"""A study's tables by name; `NAME_TABLE.csv` in the folder."""


EVERYTHING = ("init", "order", "labels", "pairs")
"""What a replicate draws anew, by its seed; its held-out labels too."""

FAR = 1.1
"""A training fails if its excess is more than this many times the median of its cell."""

STATISTIC = "mean and 95 % interval; dots: all replicates"
"""Title of the legend of a figure."""


@dataclass(frozen=True)
class Setting:
    """The sizes of a run and its progress callback, passed to every study.

    Attributes:
        seeds: Replicates of each cell. Studies with many cells use a half or a third of them.
        epochs: Passes over 100,000 pairs. Studies of other sizes train for as many steps.
        pairs: Number of pairs of colours to draw.
        first_seed: Seed of the first replicate.
        add: Adds a progress bar, as `_cli.progress` yields it.
    """

    seeds: int
    epochs: int
    pairs: int
    first_seed: int
    add: Callable[[str, int], Callable]

    @functools.cached_property
    def colours(self) -> data.Colours:
        """The tutorial's colours."""
        return data.load_colours()

    @functools.cached_property
    def tutorial_pairs(self) -> data.Pairs:
        """The tutorial's pairs, or as many as the setting has."""
        return self.some_pairs(TUTORIAL_PAIRS)

    def some_pairs(self, count: int, colours: data.Colours | None = None) -> data.Pairs:
        """Draw `count` pairs, or fewer by the factor of the setting."""
        return data.tutorial_pairs(
            colours or self.colours, max(2, count * self.pairs // TUTORIAL_PAIRS)
        )

    def some_seeds(self, share: int = 1) -> range:
        """Return the seeds of 1 / `share` of the replicates, at least two of them."""
        return range(self.first_seed, self.first_seed + max(2, self.seeds // share))

    def epochs_for(self, pairs: int) -> int:
        """Return the number of epochs of this many pairs that make as many steps as the setting."""
        batch_size = Config().batch_size
        steps = self.epochs * -(-self.pairs // batch_size)
        return max(1, round(steps / -(-pairs // batch_size)))


class Evidence(NamedTuple):
    """A named value that a verdict depends on, with its 95 % interval if it has one."""

    what: str
    value: float
    low: float | None = None
    high: float | None = None


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
    """A claim, or the prediction of a law, and the experiment that tests it.

    Attributes:
        name: Name of the study, and prefix of its tables and its figure.
        claim: The claim or the prediction in one sentence.
        quote: The tutorial's words; "" for a law.
        question: The question that the study answers.
        method: The experiment. {seeds}, {half}, {third} and {epochs} are substituted.
        estimand: The quantity that the rule judges.
        sources: The sources of variance that the intervals cover.
        margin: The smallest effect that counts.
        rule: How the verdict follows from the tables, fixed before the run.
        flips: The observation that would turn the verdict over.
        caption: Caption of the figure.
        run: Trains and returns the tables.
        judge: Returns the finding, computed from the tables alone.
        draw: Returns the figure, drawn from the tables alone.
        unit: What the intervals are over.
    """

    name: str
    claim: str
    quote: str
    question: str
    method: str
    estimand: str
    margin: str
    rule: str
    flips: str
    caption: str
    run: Callable[[Setting], dict[str, pd.DataFrame]]
    judge: Callable[[Tables], Finding]
    draw: Callable[[Tables], Figure]
    sources: str = "initial values, order, pairs, labels and held-out labels, all drawn anew"
    unit: str = "a replicate: one training, or several that share all draws"

    @property
    def kind(self) -> str:
        """ "claim" of the tutorial, or "law"."""
        return "claim" if self.quote else "law"


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
    vary: Sequence[str] = EVERYTHING,
    snapshots: Sequence[int] | None = None,
    known: tuple[Truth, data.Pairs] | None = None,
    stopping: Stopping | None = None,
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
        stopping: As `sweep.sweep`.

    Returns:
        The sweep, and a row per member with, beside the columns of `member_table`: floor and
        fresh_loss, the expected losses of the true probabilities and of the member on new labels
        of all pairs; and, where pairs and labels vary, own_floor and base_rate_loss, the losses of
        the true probabilities and of the base rate on the member's training labels.
    """
    from colour_embed.evaluate import tables
    from colour_embed.sweeps import grid, sweep, training_labels, training_pairs

    colours = colours or setting.colours
    pairs = pairs or setting.tutorial_pairs
    truth = colours.rgb if truth is None else truth
    count = len(grid(config, seeds, dims, axes))
    # Progress is in epochs of all members, or with early stopping in steps.
    bar = setting.add(label, count * (config.epochs if stopping is None else stopping.max_steps))
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
        stopping=stopping,
        report=lambda event: _cli.show_progress(event, bar),
    )

    # Members of one seed share their pairs, and with the label constant their labels too.
    @functools.cache
    def index_of(seed: int) -> np.ndarray:
        return training_pairs(len(colours), pairs, Config(seed=seed), vary)

    @functools.cache
    def floor_of(constant: float) -> float:
        return best_loss(probability_similar(every_diff, constant))

    @functools.cache
    def own_losses(seed: int, constant: float) -> tuple[float, float]:
        index, member = index_of(seed), Config(seed=seed, label_constant=constant)
        label = training_labels(index, member, truth)
        probability = probability_similar(data.pair_diff(index, truth), constant)
        return best_loss(probability, label), base_rate_loss(label)

    known_truth, held_out = known or (truth, None)
    given = (lambda member: index_of(member.seed)) if "pairs" in vary else pairs
    measures = tables.evaluate_members(result, known_truth, given, held_out=held_out)
    runs = tables.member_table(result, measures, axes=tuple(axes or ()))
    constants = [member.label_constant for member in result.members]
    if known:
        runs["floor"] = known[0].floor
    else:
        every_diff = data.pair_diff(all_pairs(len(truth)), truth)
        runs["floor"] = [floor_of(constant) for constant in constants]
    runs["fresh_loss"] = runs["floor"] + runs["excess_kl"]
    if {"pairs", "labels"} <= set(vary):
        own = [own_losses(*one) for one in zip(runs["seed"].tolist(), constants)]
        runs["own_floor"], runs["base_rate_loss"] = np.transpose(own)
    return Trained(result, runs)


def drawn_pairs(setting: Setting, colours: data.Colours, count: int, seed: int) -> data.Pairs:
    """Draw a replicate's pairs and labels, as a sweep does in which both vary."""
    from colour_embed.sweeps import training_labels, training_pairs

    member = Config(seed=seed)
    index = training_pairs(len(colours), setting.some_pairs(count, colours), member, EVERYTHING)
    return data.Pairs(index, training_labels(index, member, colours.rgb))


def mark_failures(runs: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Add the column failed: no colour recovered, diverged, or an excess far above its cell's.

    Far is more than `FAR` times the median excess of the rows that agree in the columns `by`: a
    local minimum.
    """
    usual = runs.groupby(list(by))["excess_kl"].transform("median")
    far = ~(runs["excess_kl"] <= FAR * usual)
    return runs.assign(failed=far | ~runs["recovered"].astype(bool) | (runs["diverged"] > 0))


# --------------------------------------------------------------------------------------------------
# Intervals


def _groups(runs: pd.DataFrame, by: Sequence[str]) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """Yield each group's values in the columns `by`, and its rows; one group for no columns."""
    if not by:
        yield {}, runs
        return
    for values, members in runs.groupby(list(by), sort=True):
        yield dict(zip(by, values)), members


def failures(runs: pd.DataFrame, what: str = "") -> Evidence:
    """Return the share of failed trainings of a table from `mark_failures`, with its interval."""
    [row] = shares(runs, [], "failed").to_dict("records")
    where = f"{what}: " if what else ""
    named = f"{where}share of trainings that failed ({row['successes']} of {row['members']})"
    return Evidence(named, row["value"], row["low"], row["high"])


def intervals(runs: pd.DataFrame, by: Sequence[str], measures: Sequence[str]) -> pd.DataFrame:
    """Return means over the replicates, with 95 % t intervals.

    Args:
        runs: A row per member; the column failed is counted if there is one.
        by: The columns that define the groups; all rows are one group if empty.
        measures: The columns to summarise; missing values are ignored.

    Returns:
        A row per group and measure: the columns of `by`, then measure, members, failed, value, low,
        high.
    """
    rows = []
    for values, members in _groups(runs, by):
        for measure in measures:
            found = members[measure].dropna().to_numpy(float)
            low, high = mean_interval(found)
            rows.append(
                {
                    **values,
                    "measure": measure,
                    "members": len(found),
                    "failed": int(members["failed"].sum()) if "failed" in members else 0,
                    "value": found.mean() if len(found) else np.nan,
                    "low": low,
                    "high": high,
                }
            )
    # Without any group the columns are still there.
    columns = [*by, "measure", "members", "failed", "value", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def paired(runs: pd.DataFrame, measure: str, one: Mapping, other: Mapping) -> pd.DataFrame:
    """Return seed and value: a measure of the row with `one` less that with `other`, by seed."""
    first, second = (
        rows_where(runs, **wanted).set_index("seed")[measure] for wanted in (one, other)
    )
    return (first - second).dropna().rename("value").reset_index()


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


def within(row: pd.Series, margin: float) -> bool:
    """Whether the whole interval lies within plus and minus the margin."""
    return bool(row["low"] >= -margin and row["high"] <= margin)


def verdict_of(parts: Sequence[bool]) -> str:
    """Return that the claim holds if all parts do, in part if any does, and else does not hold.

    Without any part nothing was shown, and the claim does not hold.
    """
    return HOLDS if len(parts) and all(parts) else IN_PART if any(parts) else FAILS


def line(rows: pd.DataFrame, x: str, runs: pd.DataFrame | None = None) -> Line:
    """Convert rows of `intervals` or `shares` to a line over the column x; see `interval`."""
    return Line(rows[x].to_numpy(float), interval(rows, runs))


def interval(rows: pd.DataFrame, runs: pd.DataFrame | None = None) -> Interval:
    """Convert rows of `intervals` or `shares` to values with their intervals.

    Args:
        rows: The columns before "measure" say which group a row is of.
        runs: The members, whose values are drawn too if given.
    """
    found = (rows[name].to_numpy(float) for name in ("value", "low", "high"))
    if runs is None:
        return Interval(*found)
    by = list(rows.columns[: rows.columns.get_loc("measure")])
    members = [
        rows_where(runs, **{name: row[name] for name in by})[row["measure"]].dropna().to_numpy()
        for _, row in rows.iterrows()
    ]
    return Interval(*found, members)


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
