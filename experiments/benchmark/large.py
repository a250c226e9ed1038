"""A hundred thousand items and ten million pairs: what an epoch takes, and where lazy Adam pays.

Every point of the first question is a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
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
from experiments.benchmark.growth import power
from experiments.benchmark.peers import process

OPTIMISERS = {"keras_adam": "dense Adam", "lazy_adam": "lazy Adam"}
ROOM = 24 * 2**30
"""Bytes that the largest training has to fit in."""


class Sizes(NamedTuple):
    """How much is run.

    Attributes:
        grown: (items, pairs), which grow together.
        batches: Pairs of a step.
        dim: Coordinates of an item.
        items: Of the epochs whose steps are timed.
        numbers: Of the table and the batch, in a timed epoch of steps: the most that all its steps
            together go over, and so how many steps it has.
        steps: The least and the most steps of such an epoch.
        pairs: The most pairs of it.
    """

    grown: tuple[tuple[int, int], ...] = ((1000, 10**5), (10**4, 10**6), (10**5, 10**7))
    batches: tuple[int, ...] = (512, 8192)
    dim: int = 16
    items: tuple[int, ...] = (300, 1000, 3000, 10**4, 3 * 10**4, 10**5, 3 * 10**5, 10**6)
    numbers: float = 8e8
    steps: tuple[int, int] = (50, 4000)
    pairs: int = 2 * 10**6


SIZES = Sizes()


def large(setting: Setting, sizes: Sizes = SIZES) -> Part:
    """Seconds per epoch and peak memory as items and pairs grow together; seconds per step.

    Details are {"epoch": {run: {items: entry}}, "step": {run: {items: entry}}}, where a run is an
    optimiser and a batch size, such as "lazy_adam 512".
    """
    runs = [(optimizer, batch) for batch in sizes.batches for optimizer in OPTIMISERS]
    report = setting.add("large", len(runs) * (len(sizes.grown) + len(sizes.items)))
    details: dict[str, Any] = {"epoch": {}, "step": {}}
    done = 0
    for optimizer, batch in runs:
        name, asked = f"{optimizer} {batch}", {"optimizer": optimizer, "batch_size": batch}
        epochs = details["epoch"][name] = {}
        for items, pairs in sizes.grown:
            report(done, f"{name}, {items:,} items")
            question = {**asked, "what": "epochs", "items": items, "pairs": pairs}
            epochs[str(items)] = _ask(name, [question], sizes, setting)[0]
            done += 1
        report(done, f"{name}, steps")
        questions = [
            {**asked, "what": "steps", "items": items, "pairs": batch * steps}
            for items in sizes.items
            for steps in [_steps(optimizer, batch, items, sizes)]
        ]
        found = _ask(name, questions, sizes, setting)
        details["step"][name] = dict(zip(map(str, sizes.items), found))
        done += len(sizes.items)
    report(done)
    seconds = {
        unit: {
            name: {items: counted(entry) for items, entry in by_items.items()}
            for name, by_items in by_run.items()
        }
        for unit, by_run in details.items()
    }
    return Part(seconds, details, {unit: _ratios(details[unit]) for unit in details})


def _steps(optimizer: str, batch: int, items: int, sizes: Sizes) -> int:
    """How many steps a timed epoch has: dense Adam's go over the whole table."""
    rows = batch + (items if optimizer == "keras_adam" else 0)
    least, most = sizes.steps
    steps = round(sizes.numbers / (rows * sizes.dim))
    return max(least, min(most, steps, sizes.pairs // batch))


def _ask(
    label: str, questions: list[dict[str, Any]], sizes: Sizes, setting: Setting
) -> list[dict[str, Any]]:
    """The entries of questions, asked of one process; seconds are of an epoch, or of a step."""
    command = [sys.executable, str(PEERS / "large_training.py")]
    common = {"dim": sizes.dim, "repeats": setting.repeats, "seed": setting.seed}
    found, reasons = [], {}
    with (
        noting(label, reasons, setting.say),
        process.Conversation(command, {**ON_PROCESSOR, **own_code()}) as peer,
    ):
        peer.answer()
        before = peer.peak_memory()
        for question in questions:
            answer = peer.run({**common, **question})
            steps = -(-question["pairs"] // question["batch_size"])
            unit = steps if question["what"] == "steps" else 1
            about = {key: answer[key] for key in answer if key != "seconds"}
            found.append(
                summary(
                    [epoch / unit for epoch in answer["seconds"]],
                    **_sizes_of(question, sizes),
                    **about,
                    steps=steps,
                    memory_before_bytes=before,
                    # Of several questions the process has one peak, which says nothing of each.
                    peak_memory_bytes=peer.peak_memory() if len(questions) == 1 else None,
                )
            )
    for question in questions[len(found) :]:
        entry = missing(reasons[label])
        found.append({**entry, **_sizes_of(question, sizes), "peak_memory_bytes": None})
    return found


def _sizes_of(question: dict[str, Any], sizes: Sizes) -> dict[str, Any]:
    told = ("items", "pairs", "batch_size", "optimizer")
    return {**{name: question[name] for name in told}, "dim": sizes.dim}


def _ratios(by_run: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float | None]]:
    """Dense seconds over lazy ones, by batch size and items."""
    found: dict[str, dict[str, float | None]] = {}
    for name, dense in by_run.items():
        optimizer, batch = name.split()
        if optimizer == "keras_adam":
            lazily = by_run[f"lazy_adam {batch}"]
            found[batch] = {}
            for items, entry in dense.items():
                both = counted(entry), counted(lazily[items])
                found[batch][items] = None if None in both else both[0] / both[1]
    return found


def pays_from(ratios: Mapping[str, float | None]) -> float | None:
    """From how many items on the lazy step is the faster one, between two points on log scales.

    Args:
        ratios: items -> dense seconds over lazy ones.

    Returns:
        The crossing after which the ratio stays above 1; None where it is not within the points.
    """
    points = [(int(items), ratio) for items, ratio in ratios.items() if ratio is not None]
    for (fewer, below), (more, above) in reversed(list(itertools.pairwise(points))):
        if above <= 1:
            return None
        if below <= 1:
            share = -math.log(below) / (math.log(above) - math.log(below))
            return fewer * (more / fewer) ** share
    return None


# --------------------------------------------------------------------------------------------------
# How it is shown


def table(details: dict[str, Any], ratios: dict[str, Any]) -> str:
    """Epochs and memory by size, steps by the number of items, and from where lazy Adam pays."""
    entries = [entry for by_items in details["epoch"].values() for entry in by_items.values()]
    lines = [
        f"Random pairs of items in {entries[0]['dim']} dimensions, one restart of `fit_pairs`; "
        "items and pairs grow together. Every item is as likely as any other, which spreads the "
        "rows of a step the farthest; its truth is a point in the RGB cube, and labels follow the "
        "tutorial's rule. Whole epochs are timed, none is scaled, after one that holds the "
        "compilation. Memory is the most that the process held, beside what it held before it was "
        "given the pairs, and the difference in multiples of their 12 bytes each. The loss is of "
        f"held-out pairs, the least after any of {entries[0].get('epochs', 'the')} epochs, beside "
        "that of whoever knows the truth: so few epochs at the tutorial's rate are a beginning. "
        "Lazy Adam is another algorithm: where a step does not "
        "name an item, its row stands still.",
        "",
        "| run | items | pairs | steps | s per epoch | range | peak MiB | before, MiB | "
        "difference over pairs | loss | of the truth |",
        f"|{'---|' * 11}",
    ]
    lines += [f"| {' | '.join(cells)} |" for cells in _epoch_rows(details["epoch"])]
    lines += ["", *(f"- {sentence}" for sentence in _sentences(details, ratios)), ""]
    items = list(next(iter(details["step"].values())))
    lines += [
        "Microseconds per step, with the end of the epoch divided among its steps:",
        "",
        f"| items | {' | '.join(f'{int(each):,}' for each in items)} |",
        f"|---|{'---|' * len(items)}",
    ]
    for name, by_items in details["step"].items():
        shown = " | ".join(_microseconds(counted(entry)) for entry in by_items.values())
        lines.append(f"| {_run_name(name)} | {shown} |")
    for batch, by_items in ratios["step"].items():
        shown = " | ".join("–" if value is None else f"{value:.2f}" for value in by_items.values())
        lines.append(f"| dense over lazy, {batch} pairs | {shown} |")
    return "\n".join(lines) + "\n"


def _epoch_rows(by_run: Mapping[str, Mapping[str, Any]]) -> Iterable[tuple[str, ...]]:
    for name, by_items in by_run.items():
        for entry in by_items.values():
            cells = (_run_name(name), f"{entry['items']:,}", f"{entry['pairs']:,}")
            if counted(entry) is None:
                yield (*cells, "–", entry["reason"], *["–"] * 6)
                continue
            span = " to ".join(f"{seconds:.3g}" for seconds in entry["range"])
            yield (
                *cells,
                f"{entry['steps']:,}",
                f"{entry['median']:.3g}",
                span,
                _mebibytes(entry["peak_memory_bytes"]),
                _mebibytes(entry["memory_before_bytes"]),
                "–" if _grown_by(entry) is None else f"{_grown_by(entry):.1f}",
                f"{entry['loss']:.4f}",
                f"{entry['floor']:.4f}",
            )


def _grown_by(entry: Mapping[str, Any]) -> float | None:
    """How much memory the training took, over that of the pairs themselves."""
    if not entry["peak_memory_bytes"]:
        return None
    return (entry["peak_memory_bytes"] - entry["memory_before_bytes"]) / entry["data_bytes"]


def _sentences(details: dict[str, Any], ratios: dict[str, Any]) -> Iterable[str]:
    """What the numbers come to."""
    for name, by_items in details["epoch"].items():
        seconds = {entry["pairs"]: counted(entry) for entry in by_items.values()}
        largest = list(by_items.values())[-1]
        if None in seconds.values():
            continue
        slope = power(seconds)
        grows = "" if slope is None else f"; time grows as the {slope:.2f}th power of the size"
        peak = largest["peak_memory_bytes"]
        fits = "fits in" if peak and peak <= ROOM else "does not fit in"
        held = f", {peak / 2**30:.2f} GiB at most, which {fits} 24 GiB" if peak else ""
        yield (
            f"{_run_name(name)}: {largest['items']:,} items and {largest['pairs']:,} pairs take "
            f"{largest['median']:.3g} s per epoch{held}{grows}."
        )
    dim = next(entry["dim"] for each in details["step"].values() for entry in each.values())
    for batch, by_items in ratios["step"].items():
        known = {items: value for items, value in by_items.items() if value is not None}
        if not known:
            continue
        most, crossing = max(known, key=int), pays_from(known)
        if crossing is not None:
            pays = (
                f"the lazy step is the faster one from about {_two_figures(crossing)} items on, "
                f"a table of {_two_figures(crossing * dim)} numbers"
            )
        elif all(value > 1 for value in known.values()):
            pays = "the lazy step is the faster one at every size"
        else:
            pays = "the lazy step is not the faster one up to the largest size"
        yield (
            f"{int(batch):,} pairs in a batch: {pays}; with {int(most):,} items dense Adam takes "
            f"{_two_figures(known[most])} times as long."
        )
        yield from _flatness(details["step"][f"lazy_adam {batch}"], batch)


def _flatness(by_items: Mapping[str, Any], batch: str) -> Iterable[str]:
    """How the lazy step's time depends on the items that it does not touch."""
    known = [entry for entry in by_items.values() if counted(entry) is not None]
    if len(known) > 1:
        least, most = known[0], known[-1]
        yield (
            f"{int(batch):,} pairs in a batch: with {most['items'] / least['items']:,.0f} times "
            f"the items a lazy step takes {most['median'] / least['median']:.1f} times as long."
        )


def _run_name(name: str) -> str:
    """Such as "lazy Adam, 512 pairs"."""
    optimizer, batch = name.split()
    return f"{OPTIMISERS[optimizer]}, {int(batch):,} pairs"


def _two_figures(value: float) -> str:
    """Such as "2,100", "0.45"."""
    return f"{float(f'{value:.2g}'):,.12g}"


def _microseconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{float(f'{1e6 * seconds:.3g}'):,g}"


def _mebibytes(held: int | None) -> str:
    return f"{held / 2**20:,.0f}" if held else "–"


MICROSECONDS, MIDDLE = "microseconds per step", "median, and range"


def draw(details: dict[str, Any], folder: Path) -> list[str]:
    """Draw epochs and memory by items, and steps by numbers; returns the figure's name."""
    from colour_embed.viz import comparisons, plots

    def lines(by_run, along, interval):
        found = {}
        for name, by_items in by_run.items():
            known = [entry for entry in by_items.values() if counted(entry) is not None]
            if known and all(interval(entry)[0] for entry in known):
                values = zip(*map(interval, known))
                x = [math.prod(entry[key] for key in along) for entry in known]
                found[_run_name(name)] = comparisons.Line(x, comparisons.Interval(*values))
        return found

    def seconds(entry):
        return entry["median"], *entry["range"]

    def microseconds(entry):
        return [1e6 * value for value in seconds(entry)]

    def memory(entry):
        return [(entry["peak_memory_bytes"] or 0) / 2**20] * 3

    shown = (
        ("epoch", ("items",), seconds, "items", "seconds per epoch", MIDDLE),
        ("epoch", ("items",), memory, "items", "peak memory (MiB)", "the most of a process"),
        ("step", ("items", "dim"), microseconds, "numbers in the table", MICROSECONDS, MIDDLE),
    )
    figure, axes = comparisons.panels(1, len(shown), height=2.8)
    for ax, (unit, along, interval, xlabel, ylabel, title) in zip(axes.ravel(), shown):
        found = lines(details[unit], along, interval)
        if not found:
            continue
        powers = _powers_of_ten([x for line in found.values() for x in line.x])
        comparisons.plot_lines(
            found,
            ax,
            xlabel=xlabel,
            ylabel=ylabel,
            log_x=True,
            log_y=True,
            ticks=[10**power for power in powers],
            tick_labels=[f"$10^{power}$" for power in powers],
        )
        # Of so few repeats there is a range and no interval.
        ax.get_legend().set_title(title)
    comparisons.letter(axes.ravel())
    plots.save_figure(figure, folder / "large")
    return ["large.png"]


def _powers_of_ten(values: Iterable[float]) -> range:
    """The exponents of the powers of ten within these values, or around them."""
    logarithms = [math.log10(value) for value in values]
    within = range(math.ceil(min(logarithms)), math.floor(max(logarithms)) + 1)
    return within or range(math.floor(min(logarithms)), math.ceil(max(logarithms)) + 1)
