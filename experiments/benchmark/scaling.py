"""Measure time and memory of our training by size, up to 100,000 items and 10,000,000 pairs.

Each axis varies one size and keeps the others at the tutorial's. In the last axis items and pairs
grow together, and lazy Adam is compared with dense Adam, which updates the whole table at every
step. Each point runs in a separate process, so that its peak memory can be read.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.benchmark import harness
from experiments.benchmark.harness import Part, Setting, counted

BASE = {
    "function": "fit",
    "items": 646,
    "pairs": 100_000,
    "dim": 2,
    "batch_size": 512,
    "members": None,
    "optimizer": "keras_adam",
}
"""The tutorial's sizes, as `peers/ours.py` takes them."""

OPTIMIZERS = {"keras_adam": "dense Adam", "lazy_adam": "lazy Adam"}
ALONE = OPTIMIZERS["keras_adam"]

Axis = dict[str, dict[int, dict[str, Any]]]
"""run -> size -> request to `peers/ours.py`; sizes ascend."""


def grown(field: str, sizes: Iterable[int], **changes: Any) -> Axis:
    """Return an axis of one run that varies one size."""
    return {ALONE: {size: {**BASE, **changes, field: size} for size in sizes}}


def grown_together(
    items: Sequence[int], batches: Sequence[int], pairs_per_item: int = 100, dim: int = 16
) -> Axis:
    """Return an axis that varies items and pairs together, for each optimiser and batch size."""
    shared = {**BASE, "function": "fit_pairs", "dim": dim}
    return {
        f"{text}, {batch:,} pairs a step": {
            count: {
                **shared,
                "items": count,
                "pairs": pairs_per_item * count,
                "batch_size": batch,
                "optimizer": optimizer,
            }
            for count in items
        }
        for batch in batches
        for optimizer, text in OPTIMIZERS.items()
    }


AXES = {
    "items": grown("items", (10**2, 10**3, 10**4, 10**5, 10**6)),
    "pairs": grown("pairs", (10**4, 10**5, 10**6, 10**7)),
    "dims": grown("dim", (1, 2, 4, 8, 16, 32, 64)),
    # Fewer pairs, so that 1,024 members take seconds.
    "members": grown("members", (1, 4, 16, 64, 256, 1024), pairs=20_000, function="sweep"),
    "items and pairs": grown_together((10**3, 10**4, 10**5), (512, 8192)),
}

ABOUT = (
    "Each axis varies one size and keeps the others at the tutorial's; in the last axis items and "
    "pairs grow together, in 16 dimensions. Seconds per epoch; for members, per epoch of a whole "
    "sweep. Whole epochs are timed, after a warm-up run with the compilation. Dense Adam updates "
    "the whole table at every step. Lazy Adam is a different algorithm, which updates only the "
    "rows in the batch. Slopes are of log(time) over log(size)."
)

MOST_SLOPE = 1.1
"""Greatest slope of log(time) over log(size) that counts as linear."""

RUN_STEPS = 10_000
"""Approximate steps of one timed run, over all members, in whole epochs."""

RUN_NUMBERS = 4e8
"""Bound on steps times values of the table and the batch, which lowers the steps of a run."""

SWEEP_EPOCHS = 4
"""Least epochs of a sweep, as its fixed costs are timed too."""


def scaling(setting: Setting, axes: Mapping[str, Axis] = AXES) -> Part:
    """Measure seconds per epoch and peak memory at every size of every axis, and their slopes.

    For members, the seconds are those of an epoch of the whole sweep.
    """
    total = sum(len(sizes) for runs in axes.values() for sizes in runs.values())
    report, done = setting.add("scaling", total), 0
    details: dict[str, Any] = {}
    slopes: dict[str, Any] = {}
    for axis, runs in axes.items():
        details[axis], slopes[axis] = {}, {}
        for run, sizes in runs.items():
            points = {}
            for size, asked in sizes.items():
                report(done, f"{axis} {size:,}")
                points[str(size)] = measure(f"{axis} {size:,}", asked, setting)
                done += 1
            details[axis][run], slopes[axis][run] = points, describe(points)
    report(done)
    return Part(counted(details), details, slopes)


def run_epochs(asked: Mapping[str, Any]) -> int:
    """Return the number of epochs of one timed run."""
    if asked["function"] == "fit_pairs":
        return 1
    members, least = (1, 1) if asked["members"] is None else (asked["members"], SWEEP_EPOCHS)
    numbers = (asked["items"] + asked["batch_size"]) * asked["dim"]
    steps = -(-asked["pairs"] // asked["batch_size"]) * members
    return max(least, round(min(RUN_STEPS, RUN_NUMBERS / numbers) / steps))


def measure(label: str, asked: Mapping[str, Any], setting: Setting) -> dict[str, Any]:
    """Measure one point; returns its entry in seconds per epoch."""
    epochs = run_epochs(asked)
    question = {**asked, "epochs": epochs, "repeats": setting.repeats, "seed": setting.seed}
    about: dict[str, Any] = {**asked, "epochs_run": epochs, "peak_memory_bytes": None}
    reasons: dict[str, str] = {}
    with (
        harness.noting(label, reasons, setting.say),
        harness.Peer(*harness.ours()) as peer,
    ):
        peer.answer()
        about["memory_before_bytes"] = peer.peak_memory()
        found = peer.run(what="scaling", **question)
        about["peak_memory_bytes"] = found["peak_memory_bytes"]
        return harness.summary([run / epochs for run in found["seconds"]], **about)
    return harness.missing(reasons[label], **about)


# --------------------------------------------------------------------------------------------------
# Slopes


def describe(points: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Fit the growth of time and memory over size.

    Args:
        points: size -> entry, sizes ascending.

    Returns:
        slope: of log(seconds) over log(size), by least squares; None of fewer than two points.
        upper_slope: the same of the upper half of the points: a step of few items or dimensions
            costs the same whatever their number.
        within: whether both are at most `MOST_SLOPE`; None where there is none.
        bytes_per_unit: the slope of the peak memory over the size, by least squares.
    """
    timed = {int(size): entry["median"] for size, entry in points.items() if counted(entry)}
    held = {
        int(size): entry["peak_memory_bytes"]
        for size, entry in points.items()
        if entry["peak_memory_bytes"]
    }
    slopes = power(timed), power(dict(list(timed.items())[len(timed) // 2 :]))
    known = [slope for slope in slopes if slope is not None]
    return {
        "slope": slopes[0],
        "upper_slope": slopes[1],
        "within": max(known) <= MOST_SLOPE if known else None,
        "bytes_per_unit": _least_squares(list(held), list(held.values())),
    }


def power(values: Mapping[int, float]) -> float | None:
    """Fit p of value = a size^p by least squares of the logarithms; None for a single point."""
    return _least_squares(list(map(math.log, values)), list(map(math.log, values.values())))


def _least_squares(x: Sequence[float], y: Sequence[float]) -> float | None:
    return statistics.linear_regression(x, y).slope if len(x) > 1 else None


# --------------------------------------------------------------------------------------------------
# Text and figure


def findings(details: dict[str, Any], slopes: dict[str, Any]) -> Iterator[str]:
    """Yield a sentence on the growth of time and memory for each run of each axis."""
    for axis, runs in slopes.items():
        for run, found in runs.items():
            if found["slope"] is not None:
                linear = "at most" if found["within"] else "more than"
                memory = _number(found["bytes_per_unit"] and found["bytes_per_unit"] / 2**10, ".3g")
                yield (
                    f"{axis}, {run}: slope {found['slope']:.2f}, of the upper half "
                    f"{_number(found['upper_slope'], '.2f')}, which is {linear} linear; "
                    f"{memory} KiB per unit"
                )


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


LABELS = {
    "dims": "dimensions",
    "items and pairs": "items, a hundredth of the pairs",
}
"""axis -> label of its figure, if it differs from the name."""


def draw(details: dict[str, Any], path: Path) -> None:
    """Draw time and memory along each axis."""
    from colour_embed.viz.intervals import Interval, Line, plot_lines
    from colour_embed.viz.style import letter, panels, save_figure

    shown = []
    for axis, runs in details.items():
        for of in (_seconds, _peak_mebibytes):
            lines = {}
            for run, points in runs.items():
                found = {int(size): of(entry) for size, entry in points.items() if of(entry)}
                if found:
                    lines[run] = Line(list(found), Interval(*zip(*found.values())))
            if any(len(line.x) > 1 for line in lines.values()):
                shown.append((axis, runs, of, lines))
    columns = 3 if len(shown) == 3 else 2
    rows = max(1, -(-len(shown) // columns))
    figure, axes = panels(rows, columns, height=0.7 + 1.7 * rows)
    for ax, (axis, runs, of, lines) in zip(axes.ravel(), shown):
        sizes = sorted({size for line in lines.values() for size in line.x})
        sizes = sizes[:: 1 + (len(sizes) > 7)]  # more labels do not fit
        plot_lines(
            lines,
            ax,
            xlabel=LABELS.get(axis, axis),
            ylabel="seconds per epoch" if of is _seconds else "peak memory (MiB)",
            log_x=True,
            log_y=of is _seconds,
            statistic="median and range; of memory the most",
            ticks=sizes,
            tick_labels=list(map(_short, sizes)),
        )
        if of is _peak_mebibytes:
            ax.set_ylim(0, 1.15 * ax.dataLim.ymax)
        elif len(runs) == 1:
            found = describe(*runs.values())
            slopes = (_number(found[key], ".2f") for key in ("slope", "upper_slope"))
            ax.set_title("slope {}, upper half {}".format(*slopes), loc="right", fontsize=7)
    for ax in axes.ravel()[len(shown) :]:
        ax.set_axis_off()
    if shown:
        letter(axes.ravel()[: len(shown)])
    save_figure(figure, path)


def _short(size: int) -> str:
    """Format a size, such as "64", "300k", "1M"."""
    for unit, text in ((10**6, "M"), (10**3, "k")):
        if size % unit == 0:
            return f"{size // unit}{text}"
    return f"{size:,}"


def _seconds(entry: dict[str, Any]) -> tuple[float, ...] | None:
    return None if counted(entry) is None else (entry["median"], *entry["range"])


def _peak_mebibytes(entry: dict[str, Any]) -> tuple[float, ...] | None:
    held = entry["peak_memory_bytes"]
    return (held / 2**20,) * 3 if held else None
