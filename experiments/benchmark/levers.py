"""What was tried to make training faster: what paid and what did not."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any, NamedTuple

from experiments.benchmark.common import Part, Setting, counted, missing, summary
from experiments.benchmark.steps import middle_half
from experiments.benchmark.training import LOSS_TOLERANCE

EPOCHS, ROUNDS = 20, 10
"""Epochs of a run, at most, and rounds per repeat: so two runs meet much the same machine."""

LEAST = 0.03
"""The least share of a training's time that counts as a difference."""

SAME_LOSS = 1e-3
"""How far a variant's loss may lie from ours where both take the pairs in the same order."""

PAID, NO_DIFFERENCE, DID_NOT_PAY = "paid", "no difference", "did not pay"
SECTIONS = {
    PAID: "Paid",
    NO_DIFFERENCE: "Made no difference",
    DID_NOT_PAY: "Did not pay",
    None: "Not counted",
}
RULE = (
    f"A lever paid if it saves at least {100 * LEAST:.0f} % by the median over the rounds, and "
    "some in all of their middle half; it did not pay if it costs as much; else it made no "
    "difference."
)
SHIPPED, AGAIN = "shipped", "again"
"""Beside the levers: training as it is, and the same put together anew, whose ratio is noise."""


class Lever(NamedTuple):
    """Something that might make training faster.

    Attributes:
        name: Its key in the results.
        what: What it is, as a heading of its row and the start of a sentence.
        in_use: Whether training does so: then the variant is training without it, else with it.
        build: `programs.Start` -> `variants.Variant`.
        epochs: How many epochs are timed at once; fewer where the variant is slow.
        same_order: Whether the variant takes the pairs in the same order.
    """

    name: str
    what: str
    in_use: bool
    build: Callable[[Any], Any]
    epochs: int = EPOCHS
    same_order: bool = True


def judge(in_use: bool, ratios: list[float]) -> str:
    """Whether a lever paid, as `RULE` says.

    Args:
        in_use: Whether training has the lever, so that the variant is the one without it.
        ratios: Round by round, the variant's time over that of training as it is.
    """
    gains = [ratio if in_use else 1 / ratio for ratio in ratios]
    low, high = middle_half(gains)
    if median(gains) >= 1 + LEAST and low > 1:
        return PAID
    if median(gains) <= 1 / (1 + LEAST) and high < 1:
        return DID_NOT_PAY
    return NO_DIFFERENCE


class Ready(NamedTuple):
    """A lever whose variant is compiled and was run once: its epochs, members and last loss."""

    lever: Lever
    program: Callable[[], tuple[float, Any]]
    epochs: int
    members: int
    loss: float


def levers(setting: Setting) -> Part:
    """Seconds per epoch of training as it is and with one thing done otherwise, in turn."""
    from experiments.benchmark import programs, variants

    tried = (*variants.LEVERS, variants.NOTHING)
    rounds = ROUNDS * setting.repeats
    report = setting.add("levers", len(tried) + rounds)
    with programs.on_processor():
        start = programs.make_start(2, setting)
        longest = min(EPOCHS, setting.epochs)
        shipped = variants.Variant(programs.shipped(start)).compiled(start, longest)
        our_losses = shipped()[1][1].loss.tolist()
        ready: list[Ready] = []
        for done, lever in enumerate(tried):
            report(done, lever.name)
            variant, epochs = lever.build(start), min(lever.epochs, setting.epochs)
            program = variant.compiled(start, epochs)
            if program is not None:
                loss = float(program()[1][1].loss.ravel()[epochs - 1])
                ready.append(Ready(lever, program, epochs, variant.members, loss))
        found: dict[str, list[list[float]]] = {each.lever.name: [] for each in ready}
        for turn in range(rounds):
            report(len(tried) + turn)
            for each in ready:
                # Side by side, and each first in turn, so that both meet the same machine.
                both = (shipped, longest), (each.program, each.epochs * each.members)
                turned = slice(None, None, -1 if turn % 2 else 1)
                seconds = [program()[0] / epochs for program, epochs in both[turned]]
                found[each.lever.name].append(seconds[turned])
        report(len(tried) + rounds)
    ours = [median(ours for ours, _ in turn) for turn in zip(*found.values())]
    details = {SHIPPED: summary(ours, epochs_run=longest, loss=our_losses[-1])}
    for lever in tried:
        entry = missing("this XLA has no such option")
        details[lever.name] = {"what": lever.what, "in_use": lever.in_use, "verdict": None, **entry}
    for each in ready:
        entry = lever_entry(each, found[each.lever.name], our_losses[each.epochs - 1])
        details[each.lever.name] |= entry
    seconds = {name: counted(entry) for name, entry in details.items()}
    ratios = {f"{lever.name}_over_{SHIPPED}": details[lever.name].get("ratio") for lever in tried}
    return Part(seconds, details, ratios)


def lever_entry(ready: Ready, found: list[list[float]], our_loss: float) -> dict[str, Any]:
    """What was found of a lever.

    Args:
        ready: What was timed.
        found: Round by round, the seconds per epoch of training as it is and of the variant.
        our_loss: The loss of training as it is, after as many epochs as the variant's.
    """
    ratios = [theirs / ours for ours, theirs in found]
    entry = summary(
        [theirs for _, theirs in found],
        epochs_run=ready.epochs,
        members=ready.members,
        loss=ready.loss,
        loss_of_ours=our_loss,
        ratio=median(ratios),
        ratio_half=list(middle_half(ratios)),
        ratio_range=[min(ratios), max(ratios)],
    )
    tolerance = SAME_LOSS if ready.lever.same_order else LOSS_TOLERANCE
    if abs(ready.loss - our_loss) <= tolerance:
        return entry | {"verdict": judge(ready.lever.in_use, ratios)}
    reason = f"its loss after epoch {ready.epochs} is {ready.loss:.5f}, ours {our_loss:.5f}"
    return entry | {"reason": reason}


def _levers_of(details):
    return {name: entry for name, entry in details.items() if name not in (SHIPPED, AGAIN)}


def _span(values):
    return " to ".join(f"{value:.2f}" for value in values)


def _introduction(details: dict[str, Any]) -> list[str]:
    shipped, again = details[SHIPPED], details[AGAIN]
    return [
        "One training in two dimensions, beside the same with one thing done otherwise: without "
        "the lever where training has it, else with it. Each variant is timed warm and right "
        f"beside training as it is, which takes {1e3 * shipped['median']:.2f} ms per epoch; its "
        f"ratio is its time over that, the median over {len(again['repeats'])} rounds. A run has "
        f"{shipped['epochs_run']} epochs, of slow variants fewer. {RULE}",
        "",
        "The same training put together anew, which differs in nothing, comes to "
        f"{again['ratio']:.2f} ({_span(again['ratio_half'])} in the middle half, "
        f"{_span(again['ratio_range'])} in all): so much is noise.",
    ]


def table(details: dict[str, Any], ratios: dict[str, Any]) -> str:
    """The levers as a table in Markdown."""
    head = ("lever", "in use", "ms per epoch", "ratio", "middle half", "range", "epochs", "verdict")
    lines = [*_introduction(details), "", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for entry in _levers_of(details).values():
        cells = [entry["what"], "yes" if entry["in_use"] else "no"]
        if counted(entry) is None:
            cells += ["–"] * 5
        else:
            cells += [f"{1e3 * entry['median']:.2f}", f"{entry['ratio']:.2f}"]
            cells += [_span(entry["ratio_half"]), _span(entry["ratio_range"])]
            cells += [str(entry["epochs_run"])]
        lines.append(f"| {' | '.join([*cells, entry['reason'] or entry['verdict']])} |")
    return "\n".join(lines)


def page(details: dict[str, Any]) -> str:
    """The levers as a page of sentences, sorted by what came of them."""
    lines = ["# What was tried to make training faster", "", *_introduction(details)]
    lines += [
        "",
        "The machine, and all figures as a table, are in [benchmark.md](benchmark.md); so is, "
        "under sweep, what several members gain by being trained as one, and by more cores.",
    ]
    for verdict, heading in SECTIONS.items():
        found = [entry for entry in _levers_of(details).values() if entry["verdict"] == verdict]
        if found:
            lines += ["", f"## {heading}", "", *(f"- {_sentence(entry)}" for entry in found)]
    return "\n".join(lines) + "\n"


def _sentence(entry: dict[str, Any]) -> str:
    what = entry["what"][0].upper() + entry["what"][1:]  # a code name begins with a backtick
    if entry["reason"]:
        return f"{what}: {entry['reason']}."
    with_it, in_use = ("without", "in use") if entry["in_use"] else ("with", "not in use")
    though = "" if entry["in_use"] == (entry["verdict"] == PAID) else ", though"
    return (
        f"{what}: {with_it} it an epoch takes {entry['ratio']:.2f} times as long "
        f"({_span(entry['ratio_half'])}); {in_use}{though}."
    )
