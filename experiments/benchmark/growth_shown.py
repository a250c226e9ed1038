"""The part `growth` as tables and as a figure."""

from __future__ import annotations

import math
import statistics
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.benchmark.common import counted
from experiments.benchmark.growth import upper_half

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMES = {
    "items": "items",
    "pairs": "pairs",
    "dim": "dimensions",
    "batch_size": "pairs in a batch",
    "members": "members",
}
"""What each size counts."""


def table(details: dict[str, Any], ratios: dict[str, Any]) -> str:
    """How time and memory grow with each size, and below every point."""
    lines = [
        "One size grows and the others stay. Slopes are of log(time) over log(size): 1 is linear. "
        "Where a step costs the same at the small end, the slope of the upper half of the points "
        "stands beside that of all. Members are timed as whole sweeps, per epoch of all of them.",
        "",
        "| what grows | from | to | slope | upper half | bar | within | memory |",
        f"|{'---|' * 8}",
    ]
    for name, found in details.items():
        sizes = list(map(int, found["points"]))
        said = {True: "yes", False: "no", None: "–"}[found["within"]]
        slopes = [_slope(found[key]) for key in ("slope", "asymptotic")]
        cells = (name, f"{sizes[0]:,}", f"{sizes[-1]:,}", *slopes, _bar(found["bar"]), said)
        lines.append(f"| {' | '.join((*cells, _memory(found)))} |")
    lines += [
        "",
        "| what grows | size | ms per epoch | range | epochs per run | peak MiB | note |",
        f"|{'---|' * 7}",
    ]
    for name, found in details.items():
        for size, entry in found["points"].items():
            memory, span = entry["peak_memory_bytes"], entry["range"] or ()
            cells = (name, f"{int(size):,}", _milliseconds(entry["median"]))
            cells += (" to ".join(map(_milliseconds, span)) or "–", str(entry["epochs_run"]))
            cells += (f"{memory / 2**20:.0f}" if memory else "–", entry["reason"] or "")
            lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "Of the sizes that stay:", ""]
    lines += [f"- {name}: {_others(found)}" for name, found in details.items()]
    return "\n".join(lines) + "\n"


def draw(details: dict[str, Any], folder: Path) -> list[str]:
    """Draw time and memory against every size; returns the figure's name."""
    from matplotlib.figure import Figure

    from colour_embed.viz import plots

    with plots.style():
        figure = Figure(figsize=(plots.DOUBLE_COLUMN, 1.7 * len(details)), layout="constrained")
        panels = figure.subplots(len(details), 2, squeeze=False)
        for letter, ax in zip(string.ascii_lowercase, panels.flat):
            ax.set_title(letter, loc="left", fontweight="bold")
        for found, (time, memory) in zip(details.values(), panels):
            _draw_time(time, found)
            _draw_memory(memory, found)
            for ax in (time, memory):
                ax.set_xlabel(NAMES[found["field"]])
                _scale(ax, list(map(int, found["points"])))
    plots.save_figure(figure, folder / "growth")
    return ["growth.png"]


def _draw_time(ax: Axes, found: dict[str, Any]) -> None:
    """Medians with the least and the most, and a line for each slope."""
    timed = {
        int(size): entry for size, entry in found["points"].items() if counted(entry) is not None
    }
    medians = {size: entry["median"] for size, entry in timed.items()}
    below = [entry["median"] - entry["range"][0] for entry in timed.values()]
    above = [entry["range"][1] - entry["median"] for entry in timed.values()]
    ax.errorbar(list(medians), list(medians.values()), (below, above), fmt="o", capsize=2)
    for key, label, values in (
        ("slope", "slope", medians),
        ("asymptotic", "slope of the upper half", upper_half(medians)),
    ):
        if found[key] is not None:
            # The line of least squares goes through the middle of the logarithms.
            middle = statistics.geometric_mean(values)
            height = statistics.geometric_mean(values.values())
            line = [height * (size / middle) ** found[key] for size in values]
            ax.plot(list(values), line, label=f"{label} {_slope(found[key])}")
    ax.set_ylabel("seconds per epoch")


def _draw_memory(ax: Axes, found: dict[str, Any]) -> None:
    """Peak memory of the process, in MiB."""
    held = {
        int(size): entry["peak_memory_bytes"] / 2**20
        for size, entry in found["points"].items()
        if entry["peak_memory_bytes"]
    }
    label = None if found["bytes_per_unit"] is None else _memory(found)
    ax.plot(list(held), list(held.values()), "o-", label=label)
    ax.set_ylabel("peak memory (MiB)")


def _scale(ax: Axes, sizes: list[int]) -> None:
    """Make it logarithmic, with a tick at every size, room around the values, and a legend."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    ax.set_xscale("log")
    ax.set_xticks(sizes, [f"{size:,}" for size in sizes])
    ax.minorticks_off()
    least, most = ax.dataLim.intervaly
    if not math.isfinite(most):
        return  # nothing was measured, and so there is no log scale
    ax.set_yscale("log")
    ax.set_ylim(least / 2, most * 3)
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if most < 10 * least else (1,)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    ax.minorticks_off()
    if ax.get_legend_handles_labels()[1]:
        ax.legend()


def _others(found: dict[str, Any]) -> str:
    """The sizes that stay, such as "646 items, 2 dimensions"."""
    entry = next(iter(found["points"].values()))
    stay = {key: entry[key] for key in NAMES if key != found["field"]}
    told = (f"{value:,} {NAMES[key]}" for key, value in stay.items() if value is not None)
    return ", ".join(told)


def _slope(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _bar(bar: Sequence[float | None]) -> str:
    least, most = bar
    if most is None:
        return "–"
    return f"at most {most:g}" if least is None else f"{least:g} to {most:g}"


def _milliseconds(seconds: float | None) -> str:
    """Three figures that count."""
    return "–" if seconds is None else f"{float(f'{1000 * seconds:.3g}'):,g}"


def _memory(found: Mapping[str, Any]) -> str:
    """Such as "24 bytes per item"."""
    bytes_each = found["bytes_per_unit"]
    if bytes_each is None:
        return "–"
    if abs(bytes_each) < 2**13:
        return f"{bytes_each:.3g} bytes per {found['unit']}"
    return f"{bytes_each / 2**10:.3g} KiB per {found['unit']}"
