"""Time and memory of our training as each of its sizes grows, and whether time grows as it should.

One size grows at a time, all others stay at the base point. Each point is measured in a process of
its own.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from experiments.benchmark.common import (
    ON_PROCESSOR,
    PEERS,
    Part,
    Setting,
    counted,
    missing,
    noting,
    own_code,
    summary,
)
from experiments.benchmark.peers import process


class Axis(NamedTuple):
    """One size that grows.

    Attributes:
        field: What the peer calls it.
        sizes: Its values, ascending.
        unit: One of it.
        bar: The least and the most that the slope of log(time) over log(size) may be, None: any.
        starts_flat: Whether a step costs the same at the small end, whatever the size.
        changes: What else differs from the base point.
    """

    field: str
    sizes: tuple[int, ...]
    unit: str
    bar: tuple[float | None, float | None]
    starts_flat: bool
    changes: Mapping[str, int] = {}


BASE = {"items": 646, "pairs": 100_000, "dim": 2, "batch_size": 512, "members": None}
"""The tutorial's sizes."""

LINEAR, AT_MOST_LINEAR, ANY = (0.9, 1.1), (None, 1.1), (None, None)

AXES = {
    "items": Axis("items", tuple(10**n for n in range(2, 7)), "item", AT_MOST_LINEAR, True),
    "pairs": Axis("pairs", tuple(10**n for n in range(4, 8)), "pair", LINEAR, False),
    "dims": Axis("dim", tuple(2**n for n in range(7)), "dimension", AT_MOST_LINEAR, True),
    "batch": Axis("batch_size", tuple(4**n for n in range(3, 8)), "pair of a batch", ANY, True),
    # Fewer pairs, so that the most members take seconds.
    "members": Axis(
        "members", tuple(4**n for n in range(6)), "member", LINEAR, False, {"pairs": 20_000}
    ),
}

RUN_STEPS = 10_000
"""Steps of one timed run, of all members together, as far as whole epochs allow."""

RUN_NUMBERS = 4e8
"""Where steps are large, a run has fewer: this many numbers of the table and the batch."""

SWEEP_EPOCHS = 4
"""The least epochs of a sweep, whose start and end are timed with it."""


def growth(setting: Setting, axes: Mapping[str, Axis] = AXES) -> Part:
    """Seconds per epoch and peak memory at every size of every axis, and how they grow.

    For members, the seconds are of an epoch of all of them.
    """
    report = setting.add("growth", sum(len(axis.sizes) for axis in axes.values()))
    details, done = {}, 0
    for name, axis in axes.items():
        points = {}
        for size in axis.sizes:
            report(done, f"{name} {size:,}")
            sizes = {**BASE, **axis.changes, axis.field: size}
            points[str(size)] = _measure(f"{name} {size}", sizes, setting)
            done += 1
        about = {"field": axis.field, "unit": axis.unit}
        details[name] = {**about, **describe(axis, points), "points": points}
    report(done)
    seconds = {
        name: {size: counted(entry) for size, entry in found["points"].items()}
        for name, found in details.items()
    }
    return Part(seconds, details, {})


def run_epochs(sizes: Mapping[str, int | None]) -> int:
    """How many epochs one timed run has."""
    members, least = (1, 1) if sizes["members"] is None else (sizes["members"], SWEEP_EPOCHS)
    numbers = (sizes["items"] + sizes["batch_size"]) * sizes["dim"]
    steps = -(-sizes["pairs"] // sizes["batch_size"]) * members
    return max(least, round(min(RUN_STEPS, RUN_NUMBERS / numbers) / steps))


def _measure(label: str, sizes: dict[str, int | None], setting: Setting) -> dict[str, Any]:
    """The entry of one point, in seconds per epoch."""
    epochs = run_epochs(sizes)
    asked = {**sizes, "epochs": epochs, "repeats": setting.repeats, "seed": setting.seed}
    command = [sys.executable, str(PEERS / "growth_training.py")]
    reasons: dict[str, str] = {}
    with (
        noting(label, reasons, setting.say),
        process.Conversation(command, {**ON_PROCESSOR, **own_code()}) as peer,
    ):
        peer.answer()
        seconds = [run / epochs for run in peer.run(asked)["seconds"]]
        return summary(seconds, **sizes, epochs_run=epochs, peak_memory_bytes=peer.peak_memory())
    return {**missing(reasons[label]), **sizes, "epochs_run": epochs, "peak_memory_bytes": None}


# --------------------------------------------------------------------------------------------------
# How it grows


def describe(axis: Axis, points: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """How time and memory grow along an axis.

    Args:
        axis: The axis.
        points: size -> entry, sizes ascending.

    Returns:
        slope: of log(seconds) over log(size), by least squares; None of fewer than two points.
        asymptotic: The same of the upper half of the points, where the axis starts flat.
        bar: The axis's.
        within: Whether each of these slopes lies within the bar; None where there is none.
        bytes_per_unit: The slope of the peak memory over the size, by least squares.
    """
    timed = {int(size): counted(entry) for size, entry in points.items() if counted(entry)}
    held = {
        int(size): entry["peak_memory_bytes"]
        for size, entry in points.items()
        if entry["peak_memory_bytes"]
    }
    slope, asymptotic = power(timed), None
    if axis.starts_flat:
        asymptotic = power(upper_half(timed))
    return {
        "slope": slope,
        "asymptotic": asymptotic,
        "bar": list(axis.bar),
        "within": within(axis.bar, [each for each in (slope, asymptotic) if each is not None]),
        "bytes_per_unit": _least_squares(list(held), list(held.values())),
    }


def upper_half(values: Mapping[int, float]) -> dict[int, float]:
    """The larger half of the sizes, with the middle one."""
    return dict(list(values.items())[len(values) // 2 :])


def power(values: Mapping[int, float]) -> float | None:
    """The p of value = a size^p, by least squares of the logarithms; None of a single point."""
    return _least_squares(list(map(math.log, values)), list(map(math.log, values.values())))


def within(bar: tuple[float | None, float | None], slopes: Sequence[float]) -> bool | None:
    """Whether all slopes lie within the bar; None where there are none, or no bar."""
    least, most = bar
    if not slopes or (least is None and most is None):
        return None
    return all(
        (least is None or slope >= least) and (most is None or slope <= most) for slope in slopes
    )


def _least_squares(x: Sequence[float], y: Sequence[float]) -> float | None:
    return statistics.linear_regression(x, y).slope if len(x) > 1 else None
