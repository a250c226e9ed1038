"""Where the time of a training step goes, piece by piece."""

from __future__ import annotations

from pathlib import Path
from statistics import quantiles
from typing import Any

from experiments.benchmark.common import Part, Setting, summary

DIMS = (2, 3)
EPOCHS, ROUNDS = 10, 25
"""Epochs of a run, at most, and rounds per repeat: runs so short meet much the same machine."""

PIECES = {
    "overhead": "overhead of a step that does nothing",
    "order": "order of the pairs",
    "gather_pairs": "gather of the pairs",
    "gather_rows": "gather of their rows",
    "loss_and_gradient": "loss, and gradient of the rows",
    "scatter": "scatter into the table's gradient",
    "adam": "Adam",
    "epoch_end": "end of the epoch",
}

SHADES = ("0.8", "#E69F00", "#56B4E9", "#0072B2", "#7F3C8D", "#D55E00", "0.45", "0")
"""Of the pieces, in a figure."""


def steps(setting: Setting) -> Part:
    """Seconds per step of each piece of a step, as differences of programs that grow by a piece."""
    from experiments.benchmark import programs

    epochs = min(EPOCHS, setting.epochs)
    with programs.on_processor():
        grown, per_run = {}, 0
        for dim in DIMS:
            start = programs.make_start(dim, setting)
            per_run = epochs * len(start.weights)
            for name, program in programs.growing_programs(start, epochs).items():
                grown[f"{dim}d", name] = program
        found = {place: [] for place in grown}
        rounds = ROUNDS * setting.repeats
        report = setting.add("steps", rounds)
        for program in grown.values():
            program()
        for turn in range(rounds):
            for place, program in grown.items():
                found[place].append(program()[0] / per_run)
            report(turn + 1)
    details = {
        f"{dim}d": piece_entries({name: found[f"{dim}d", name] for name in [*PIECES, "whole"]})
        for dim in DIMS
    }
    seconds = {
        dim: {name: entry["median"] for name, entry in entries.items()}
        for dim, entries in details.items()
    }
    ratios = {
        dim: {"pieces_over_whole": medians["pieces"] / medians["whole"]}
        for dim, medians in seconds.items()
    }
    return Part(seconds, details, ratios)


def piece_entries(grown: dict[str, list[float]]) -> dict[str, dict[str, Any]]:
    """Entries of the pieces, of their sum ("pieces") and of the "whole".

    Args:
        grown: Seconds per step, round by round, of the programs that end with each piece, in order,
            and of the whole training.
    """
    entries, before = {}, [0.0] * len(grown["whole"])
    for name in PIECES:
        entries[name] = summary([now - then for now, then in zip(grown[name], before)])
        before = grown[name]
    # Medians do not add up by themselves, and what stands under the pieces is to be their sum.
    together = sum(entry["median"] for entry in entries.values())
    entries["pieces"] = summary(before) | {"median": together}
    return entries | {"whole": summary(grown["whole"])}


def middle_half(values: list[float]) -> tuple[float, float]:
    """The first and the third quartile of at least two values."""
    low, _, high = quantiles(values, n=4, method="inclusive")
    return low, high


def table(details: dict[str, Any], ratios: dict[str, Any]) -> str:
    """The pieces of a step in microseconds, as Markdown."""
    dims = list(details)
    rounds = len(details[dims[0]]["whole"]["repeats"])
    head = ["what", *(f"{dim}{more}" for dim in dims for more in ("", " middle half"))]
    lines = [
        "Microseconds per step of one training. Programs that do one piece more than the one "
        "before take turns, and what a piece takes is the difference, with all that XLA gains or "
        f"loses by fusing it: medians over {rounds} rounds, and their middle half.",
        "",
        f"| {' | '.join(head)} |",
        f"|---|{'---:|' * (len(head) - 1)}",
    ]
    labels = {**PIECES, "pieces": "all pieces", "whole": "the training itself"}
    for name, label in labels.items():
        cells = [label]
        for dim in dims:
            entry = details[dim][name]
            low, high = middle_half(entry["repeats"])
            cells += [f"{entry['median'] * 1e6:.2f}", f"{low * 1e6:.2f} to {high * 1e6:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    lines.append("")
    lines += [
        f"- {dim}: the pieces come to {100 * ratios[dim]['pieces_over_whole']:.0f} % of the whole"
        for dim in dims
    ]
    return "\n".join(lines)


def draw(details: dict[str, Any], folder: Path) -> list[str]:
    """A bar per dimension, of its pieces end to end; returns the figure's file name."""
    from matplotlib.figure import Figure

    from colour_embed.viz import plots

    with plots.style():
        figure = Figure(figsize=(plots.DOUBLE_COLUMN, 1.8), layout="constrained")
        ax = figure.add_subplot()
        for place, entries in enumerate(details.values()):
            left = 0.0
            for (name, label), shade in zip(PIECES.items(), SHADES):
                # A difference below zero is noise, which no bar can show.
                width = max(entries[name]["median"], 0) * 1e6
                ax.barh(place, width, 0.55, left, color=shade, label=None if place else label)
                left += width
            whole = entries["whole"]["median"] * 1e6
            label = None if place else "the training itself"
            ax.plot([whole, whole], [place - 0.4, place + 0.4], color="0", ls=":", label=label)
        ax.set_yticks(range(len(details)), [f"{dim[:-1]}-D" for dim in details])
        ax.invert_yaxis()
        ax.set(xlabel="microseconds per step", xlim=(0, None))
        ax.tick_params(axis="y", length=0)
        figure.legend(loc="outside upper left", ncols=4, handlelength=1.2)
    return [path.name for path in plots.save_figure(figure, folder / "steps", formats=("png",))]
