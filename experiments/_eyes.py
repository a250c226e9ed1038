"""The study of human judgements of colour, without the flags of its program `experiments.eyes`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from colour_embed.config import Config, InputError, Stopping

if TYPE_CHECKING:
    import pandas as pd

    from colour_embed.runs import SweepResult

JUDGEMENTS = Path(__file__).with_name("helm.csv")
GROUPS = ("normal", "deficient")
DIMS = (1, 2, 3, 4)
HUES = {
    "red-purple": "#b5447f",
    "red": "#c9483f",
    "yellow": "#c2a22b",
    "green-yellow 1": "#9aa832",
    "green-yellow 2": "#6fa844",
    "green": "#2f9e63",
    "blue": "#2f8fb0",
    "blue-purple": "#5a73c4",
    "purple 1": "#8a5fbf",
    "purple 2": "#a452a8",
}
"""The colours in the order of the hue circle, with an approximate colour of each for the map."""


class Sizes(NamedTuple):
    """The sizes of the study.

    Attributes:
        seeds: Initialisations, of which the one with the least training loss counts.
        folds: Parts of the pairs, of which each is held out once.
        repeats: Partitions into folds, over which the KL is averaged.
        max_steps: As of `Stopping`.
    """

    seeds: int
    folds: int
    repeats: int
    max_steps: int


def read_judgements(path: Path = JUDGEMENTS) -> pd.DataFrame:
    """Return the judgements with their similarities, ids, and the weight of each session.

    Raises:
        InputError: an observer did not judge each pair of the colours once.
    """
    import pandas as pd

    judged = pd.read_csv(path)
    ids = {name: place for place, name in enumerate(HUES)}
    judged["first"], judged["second"] = judged["first"].map(ids), judged["second"].map(ids)
    largest = judged.groupby("subject")["distance"].transform("max")
    judged["similarity"] = 1 - judged["distance"] / largest
    judged["observer"] = judged["subject"].str.rstrip("ab")
    sessions = judged.groupby("observer")["subject"].transform("nunique")
    judged["weight"] = 1 / sessions
    pair = judged[["first", "second"]]
    judged["pair"] = pair.min(axis=1) * len(HUES) + pair.max(axis=1)
    count = judged.groupby("subject")["pair"].agg(["size", "nunique"])
    whole = len(HUES) * (len(HUES) - 1) // 2
    if judged.isna().any(axis=None) or not (count == whole).all(axis=None):
        raise InputError(f"{path.name}: each observer must judge each of {whole} pairs once")
    return judged


def _trained(judged: pd.DataFrame, dims: tuple[int, ...], sizes: Sizes) -> SweepResult:
    """Train on these judgements, in each dimension from several initialisations."""
    from colour_embed.data import Pairs
    from colour_embed.sweeps import sweep

    index = judged[["first", "second"]].to_numpy(np.int32)
    label, weight = (judged[name].to_numpy(np.float32) for name in ("similarity", "weight"))
    config = Config(head="negative", learning_rate=0.01)
    stopping = Stopping(max_steps=sizes.max_steps, evaluate_every=50, tolerance=1e-6)
    seeds = range(sizes.seeds)
    pairs = Pairs(index, label, weight)
    return sweep(config, len(HUES), pairs, seeds, dims, vary=("init",), stopping=stopping)


def held_out(judged: pd.DataFrame, sizes: Sizes, report: Any) -> list[dict[str, Any]]:
    """Return the KL of held-out pairs by dimension and observer; dimension 0 is a constant.

    Args:
        judged: The judgements of one group.
        sizes: The sizes of the study.
        report: Called with the number of folds that are done.
    """
    from colour_embed.pairs.dimensions import best_place
    from colour_embed.pairs.fit import pair_logits

    pairs = np.unique(judged["pair"])
    found = {dim: np.zeros(len(judged)) for dim in (0, *DIMS)}
    for repeat in range(sizes.repeats):
        order = np.random.default_rng(repeat).permutation(pairs)
        for number, fold in enumerate(np.array_split(order, sizes.folds)):
            apart = judged["pair"].isin(fold).to_numpy()
            training, tested = judged[~apart], judged[apart]
            base = np.average(training["similarity"], weights=training["weight"])
            similarity = tested["similarity"].to_numpy()
            found[0][apart] += divergence(similarity, np.full(len(tested), base))
            result = _trained(training, DIMS, sizes)
            index = tested[["first", "second"]].to_numpy(np.int32)
            for dim in DIMS:
                place = best_place(result, dim)
                logits = pair_logits(result.members[place], result.params_of(place), index)
                predicted = 1 / (1 + np.exp(-np.asarray(logits, np.float64)))
                found[dim][apart] += divergence(similarity, predicted)
            report(repeat * sizes.folds + number + 1)
    rows = []
    for dim, values in found.items():
        means = (values / sizes.repeats * judged["weight"]).groupby(judged["observer"]).sum()
        means /= judged["weight"].groupby(judged["observer"]).sum()
        vision = judged["vision"].iloc[0]
        rows += [
            {"vision": vision, "dim": dim, "observer": observer, "kl": kl}
            for observer, kl in means.items()
        ]
    return rows


def divergence(similarity: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return the KL divergence of predicted from judged similarities, nats, elementwise."""
    predicted = np.clip(predicted, 1e-12, 1 - 1e-12)
    found = np.zeros(len(similarity))
    for judged, told in ((similarity, predicted), (1 - similarity, 1 - predicted)):
        some = judged > 0
        found[some] += judged[some] * np.log(judged[some] / told[some])
    return found


def ceiling(judged: pd.DataFrame) -> float:
    """Return the mean KL of a session of the observers who judged twice from their other one.

    Similarities of 0 are predicted as half the least positive one, since KL is infinite at 0.
    """
    found = []
    least = judged.loc[judged["similarity"] > 0, "similarity"].min() / 2
    for _, part in judged[judged["weight"] < 1].groupby("observer"):
        first, second = (
            session.sort_values("pair")["similarity"].to_numpy()
            for _, session in part.groupby("subject")
        )
        for one, other in ((first, second), (second, first)):
            found.append(divergence(one, np.maximum(other, least)).mean())
    return float(np.mean(found))


def summary_of(observers: pd.DataFrame) -> pd.DataFrame:
    """Return a row per group and dimension: mean KL, and its difference from the least."""
    import pandas as pd

    from colour_embed.evaluate.intervals import bootstrap_interval

    rows = []
    for vision, part in observers.groupby("vision", sort=False):
        table = part.pivot(index="observer", columns="dim", values="kl")
        best = table.mean().idxmin()
        apart = table.sub(table[best], axis=0)
        error = apart.std(ddof=1) / np.sqrt(len(table))
        selected = next(dim for dim in table if apart[dim].mean() <= error[dim])
        for dim in table:
            low, high = bootstrap_interval(table[dim].to_numpy(), np.mean)
            rows.append(
                {
                    "vision": vision,
                    "dim": dim,
                    "observers": len(table),
                    "kl": table[dim].mean(),
                    "low": low,
                    "high": high,
                    "difference": apart[dim].mean(),
                    "standard_error": error[dim],
                    "selected": dim == selected,
                }
            )
    return pd.DataFrame(rows)


def map_of(judged: pd.DataFrame, sizes: Sizes) -> pd.DataFrame:
    """Return the two-dimensional map of a group, trained on all pairs, on its principal axes."""
    import pandas as pd

    from colour_embed.evaluate.geometry import principal_axes
    from colour_embed.pairs.dimensions import best_place

    result = _trained(judged, (2,), sizes)
    x0, x1 = principal_axes(result.vectors(best_place(result, 2)), 2).T
    return pd.DataFrame({"colour": list(HUES), "x0": x0, "x1": x1})


def neighbours_kept(part: pd.DataFrame) -> int:
    """Return how many of the colours stand next to their successor when ordered by angle."""
    angle = np.arctan2(part["x1"].to_numpy(), part["x0"].to_numpy())
    place = np.empty(len(part), int)
    place[np.argsort(angle)] = np.arange(len(part))
    steps = np.abs(place - np.roll(place, -1))
    return int(np.isin(steps, (1, len(part) - 1)).sum())


def draw(folder: Path, out: Path) -> list[Path]:
    """Draw KL by dimension, and the two-dimensional map of each group.

    Args:
        folder: The run folder.
        out: Folder for the figure; may be the same.

    Returns:
        Paths of the files written.
    """
    import pandas as pd

    from colour_embed.io import run_folder
    from colour_embed.viz.intervals import Interval, Line, plot_lines
    from colour_embed.viz.style import letter, panels, save_figure

    tables = []
    for name in ("summary", "map"):
        with run_folder.reading(folder / f"{name}.csv"):
            tables.append(pd.read_csv(folder / f"{name}.csv"))
    summary, maps = tables
    figure, axes = panels(1, 3, height=2.9)
    lines = {}
    for vision, part in summary.groupby("vision", sort=False):
        ends = (part[name].to_numpy() for name in ("kl", "low", "high"))
        count = part["observers"].iloc[0]
        lines[f"{vision} ({count} observers)"] = Line(part["dim"].to_numpy(), Interval(*ends))
    plot_lines(
        lines,
        axes[0, 0],
        xlabel="dimensions",
        ylabel="KL of held-out pairs (nats)",
        log_y=True,
        references={"two sessions of an observer": ceiling(read_judgements())},
        statistic="mean over observers and 95 % interval",
        ticks=(0, *DIMS),
    )
    reach = 1.35 * maps[["x0", "x1"]].abs().to_numpy().max()
    for ax, (vision, part) in zip(axes[0, 1:], maps.groupby("vision", sort=False)):
        ring = part[["x0", "x1"]].to_numpy()
        ax.plot(*np.vstack([ring, ring[:1]]).T, color="0.8", linewidth=0.8, zorder=1)
        ax.scatter(*ring.T, c=list(HUES.values()), s=30, zorder=2, edgecolors="white")
        for name, place in zip(part["colour"], ring):
            outwards = place / np.linalg.norm(place)
            ax.annotate(
                name,
                place,
                5 * outwards,
                textcoords="offset points",
                fontsize=5.5,
                ha="left" if outwards[0] > 0 else "right",
                va="bottom" if outwards[1] > 0 else "top",
            )
        limits = (-1.3 * reach, 1.3 * reach)
        ax.set(aspect="equal", xlabel=f"$x_0$, {vision}", ylabel="$x_1$", xlim=limits, ylim=limits)
    letter(axes.ravel())
    return save_figure(figure, out / "eyes")
