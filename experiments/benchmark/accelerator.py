"""Time our training on a GPU or TPU: sweeps by number of members, and a lower bound on a step.

Needs a machine with an accelerator, jax, flax and optax (which bring NumPy, absl-py and rich), and
no network:

    python -m experiments.benchmark --only accelerator --out results/accelerator

On an accelerator the time of a small training is that of launching its steps. Its lower bound is
the time of an empty loop with as many steps. Entries that have not begun within `Sizes.budget`
seconds are skipped.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from experiments.benchmark import harness
from experiments.benchmark.harness import BATCH_SIZE, ON_CPU, PEERS, Part, Peer, Setting, counted
from experiments.benchmark.record import ratio_lines
from experiments.benchmark.training import write_problem

NO_ACCELERATOR = "JAX sees no GPU or TPU here"
TOO_LATE = "the time for the accelerator was over"

DETERMINISTIC = {"XLA_FLAGS": "--xla_gpu_deterministic_ops=true"}
ENVIRONMENTS = {"default": {}, "deterministic_ops": DETERMINISTIC, "cpu": ON_CPU}
"""Environment variables of the processes; the losses of "cpu" are the reference."""

PROGRAMS = {
    "separate order, kernel": {"order": "separate", "layout": "kernel"},
    "shared order, kernel": {"order": "same", "layout": "kernel"},
    "separate order, members first": {"order": "separate", "layout": "first"},
    "shared order, members first": {"order": "same", "layout": "first"},
    "shared order, members last": {"order": "same", "layout": "last"},
}
ABOUT = (
    "Seconds per member for all epochs; sweeps by number of members. The empty scan has as many "
    "steps as one training."
)

AGREES = 0.5e-3
"""Greatest difference of a member's loss from the CPU's: agreement to 3 decimals."""


class Sizes(NamedTuple):
    """The sizes of the measurements.

    Attributes:
        pairs: Number of pairs, drawn by the tutorial's rule.
        dims: Dimensions of the single trainings; the sweeps use the first.
        widths: Numbers of members of the sweeps, ascending.
        chunk: Epochs of one call of a sweep's program, of XLA and of the kernel.
        seconds: Seconds of repeated calls of each sweep's program.
        whole: Members and dimension of the sweep that is run whole.
        repeated: Members and epochs of the sweep that is run twice in each environment.
        torch_steps: Steps of the plain loop in PyTorch; its seconds are scaled to all epochs.
        budget: Seconds after which no new entry begins.
    """

    pairs: int = 100_000
    dims: tuple[int, ...] = (2, 3)
    widths: tuple[int, ...] = (1, 64, 1024, 4096)
    chunk: tuple[int, int] = (2, 25)
    seconds: float = 1.0
    whole: tuple[int, int] = (1024, 3)
    repeated: tuple[int, int] = (64, 20)
    torch_steps: int = 2000
    budget: float = 210.0


SIZES = Sizes()


class Question(NamedTuple):
    """A request to a process in one of `ENVIRONMENTS`, and the place of its entry."""

    environment: str
    group: str
    name: str
    asked: dict[str, Any]


def questions(epochs: int, sizes: Sizes) -> list[Question]:
    """Return all requests in order.

    Args:
        epochs: Epochs of a whole training.
        sizes: The sizes of the measurements.
    """
    steps = epochs * -(-sizes.pairs // BATCH_SIZE)
    members, few = sizes.repeated
    base = {"seed": 0, "pairs": sizes.pairs, "dim": sizes.dims[0]}
    again = {"what": "repeated", **base, "members": members, "epochs": few}
    swept = {"what": "sweep", **base, "seconds": sizes.seconds}
    single = {"what": "training", **base, "epochs": epochs}
    count, dim = sizes.whole
    whole = {"what": "whole", **base, "dim": dim, "members": count, "epochs": epochs}
    programs, by_xla = ("kernel", "xla"), {**again, "program": "xla"}
    return [
        *(
            Question("default", "training", f"{d}d, {each}", {**single, "dim": d, "program": each})
            for d in sizes.dims
            for each in programs
        ),
        Question("default", "floor", "empty_scan", {"what": "floor", "steps": steps}),
        *(
            Question(
                "default", "whole", f"{count} members, {dim}d, {each}", {**whole, "program": each}
            )
            for each in programs
        ),
        *(Question("default", "repeated", each, {**again, "program": each}) for each in programs),
        *(
            Question(
                *("default", "sweep", f"{width}, {name}"),
                {**swept, **how, "members": width, "epochs": sizes.chunk["kernel" in name]},
            )
            for width in sizes.widths
            for name, how in PROGRAMS.items()
        ),
        Question("deterministic_ops", "repeated", "xla, deterministic_ops", by_xla),
        Question("cpu", "repeated", "cpu", by_xla),
    ]


def accelerator(setting: Setting, sizes: Sizes = SIZES, on_cpu: bool = False) -> Part:
    """Measure seconds per training on the accelerator, alone and in sweeps, without compilation.

    Args:
        setting: The settings of every part; each request is made once.
        sizes: The sizes of the measurements.
        on_cpu: Run on the CPU instead, to test this part.
    """
    deadline = time.perf_counter() + sizes.budget
    platform = ON_CPU if on_cpu else {}
    asked = questions(setting.epochs, sizes)
    answers: dict[tuple[str, str], dict[str, Any]] = {}
    device: dict[str, Any] = {}
    reasons: dict[Any, str] = {}
    report = setting.add("accelerator", len(asked) + 1)
    # Sequential, because a process reserves most of an accelerator's memory.
    for environment, variables in ENVIRONMENTS.items():
        command = [sys.executable, PEERS / "accelerator.py"]
        with (
            harness.noting("accelerator", reasons, setting.say),
            Peer(command, {**harness.own_code(), **platform, **variables}) as peer,
        ):
            about = peer.answer()
            if about["backend"] == "cpu" and not (device or on_cpu):
                raise harness.Unavailable(NO_ACCELERATOR)
            device = device or about
            for _, group, name, question in (q for q in asked if q.environment == environment):
                report(len(answers), f"{group} {name}")
                if time.perf_counter() < deadline:
                    with harness.noting(f"{group} {name}", reasons, setting.say):
                        answers[group, name] = peer.run(**question)
        if "accelerator" in reasons:
            break
    details: dict[str, Any] = {q.group: {} for q in asked}
    for _, group, name, question in asked:
        reason = reasons.get(f"{group} {name}") or reasons.get("accelerator", TOO_LATE)
        details[group][name] = (
            _entry(question, answers[group, name], setting.epochs)
            if (group, name) in answers
            else harness.missing(reason)
        )
    _compare(details["repeated"], answers)
    if "accelerator" not in reasons:
        late = time.perf_counter() > deadline
        details["torch"] = {f"{sizes.dims[0]}d": _torch(setting, sizes, platform, late)}
    report(len(asked) + 1)
    seconds = counted(details)
    ratios = _ratios(seconds, sizes)
    details["device"] = {key: device.get(key) for key in ("backend", "device", "versions")}
    return Part(seconds, details, ratios)


def _ratios(seconds: dict[str, Any], sizes: Sizes) -> dict[str, float | None]:
    """Return how far trainings are from the empty scan, alone and in the widest sweeps."""
    floor = seconds["floor"]["empty_scan"]
    found = {f"training_{name}_over_empty_scan": each for name, each in seconds["training"].items()}
    for name, each in seconds.get("sweep", {}).items():
        width = int(name.split(",")[0])
        found[f"sweep_of_{name}_over_empty_scan"] = each and each * width
    return {
        name.replace(", ", "_").replace(" ", "_"): each / floor if each and floor else None
        for name, each in found.items()
    }


def _entry(question: dict[str, Any], answer: dict[str, Any], epochs: int) -> dict[str, Any]:
    """Return the entry of one request; trainings and sweeps in seconds per member, all epochs."""
    answer, members, share = dict(answer), question.get("members", 1), 1.0
    if question["what"] in ("training", "sweep", "whole"):
        share = answer["epochs_run"] / epochs
    seconds = [each / members / share for each in answer.pop("seconds")]
    if answer.get("program_bytes"):
        answer["bytes_per_member"] = answer["program_bytes"] / members
    if question["what"] in ("sweep", "whole"):
        answer["runs_per_second"] = 1 / statistics.median(seconds)
    if "losses" in answer:
        answer["loss"] = statistics.median(answer["losses"])
    return harness.summary(seconds, **answer, members=members, scaled=share != 1)


def _compare(entries: dict[str, Any], answers: dict[tuple[str, str], dict[str, Any]]) -> None:
    """Add the greatest difference of the repeated sweeps' losses from those on the CPU."""
    for name, entry in entries.items():
        pair = answers.get(("repeated", name)), answers.get(("repeated", "cpu"))
        if name != "cpu" and None not in pair:
            differences = (abs(a - b) for a, b in zip(*(each["losses"] for each in pair)))
            entry["from_cpu"] = max(differences)
            entry["agrees"] = entry["from_cpu"] < AGREES


def _torch(setting: Setting, sizes: Sizes, platform: dict[str, str], late: bool) -> dict[str, Any]:
    """Return the entry of the plain loop in PyTorch, timed on few steps and scaled."""
    path, reasons = setting.folder() / "few.npz", {}
    epochs = -(-sizes.torch_steps // -(-sizes.pairs // BATCH_SIZE))
    with harness.noting("torch", reasons, setting.say):
        if late:
            raise harness.Unavailable(TOO_LATE)
        write_problem(path, sizes.dims[0], setting, run_epochs=epochs, pairs=sizes.pairs)
        with Peer([setting.python_torch, PEERS / "torch_training.py", path], platform) as peer:
            about = peer.answer()
            peer.run()  # a warm-up
            answer = peer.run()
            seconds = answer.pop("seconds") * setting.epochs / epochs
            return harness.summary([seconds], **answer, **about, scaled=epochs != setting.epochs)
    return harness.missing(reasons["torch"])


def draw(details: dict[str, Any], path: Path) -> None:
    """Draw trainings per second over members; nothing if no sweep was timed."""
    rates: dict[str, dict[int, tuple[float, float, float]]] = {name: {} for name in PROGRAMS}
    for label, entry in details["sweep"].items():
        if not entry["reason"]:
            width, name = label.split(", ", 1)
            least, most = entry["range"]
            rates[name][int(width)] = 1 / entry["median"], 1 / most, 1 / least
    rates = {name: rate for name, rate in rates.items() if rate}
    if not rates:
        return
    from colour_embed.viz.intervals import Interval, Line, plot_lines
    from colour_embed.viz.style import panels, save_figure

    figure, axes = panels(1, 1, height=2.8)
    plot_lines(
        {name: Line(list(rate), Interval(*zip(*rate.values()))) for name, rate in rates.items()},
        axes[0, 0],
        xlabel="members",
        ylabel="trainings per second",
        log_x=True,
        statistic="median and range",
        ticks=sorted({members for rate in rates.values() for members in rate}),
    )
    axes[0, 0].set_yscale("log")
    save_figure(figure, path)


def findings(details: dict[str, Any], ratios: dict[str, Any]) -> Iterator[str]:
    """Yield sentences on the device, the ratios, and the bitwise repeatability."""
    if details["device"]["device"]:
        yield f"measured on one {details['device']['device']} ({details['device']['backend']})"
    for group in ("whole", "sweep"):
        for name, entry in details.get(group, {}).items():
            if not entry["reason"]:
                line = f"{name}: {entry['runs_per_second']:.0f} trainings per second"
                total = entry["median"] * entry["members"]
                yield line + (f", {total:.1f} s in all" if group == "whole" else "")
    yield from ratio_lines(details, ratios)
    for name, entry in details["repeated"].items():
        if not entry["reason"]:
            line = f"{name.replace('_', ' ')}: repeating the sweep gives "
            line += "the same bits" if entry["same_bits"] else "other bits"
            if "from_cpu" in entry:
                agrees = "agree" if entry["agrees"] else "do not agree"
                line += f"; its losses differ from the CPU's by {entry['from_cpu']:.1e}: they "
                line += f"{agrees} to 3 decimals"
            yield line
