"""Our training on a GPU or TPU, where JAX sees one: sweeps by width, and the floor below them.

On an accelerator a small training is bound by the launches of its steps and not by their work. So
its floor is a loop of as many steps that do nothing.
"""

from __future__ import annotations

import statistics
import sys
from typing import Any, NamedTuple

from experiments.benchmark.common import (
    BATCH_SIZE,
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
from experiments.benchmark.record import peer_table

NO_ACCELERATOR = "JAX sees no GPU or TPU here"

DETERMINISTIC = "deterministic_ops"
ENVIRONMENTS = {"default": {}, DETERMINISTIC: {"XLA_FLAGS": "--xla_gpu_deterministic_ops=true"}}
"""How the peer is started: as it comes, and told to give the same bits every time."""

Question = dict[str, Any]


class Sizes(NamedTuple):
    """How much is run.

    Attributes:
        pairs: How many of the tutorial's rule.
        dims: Of the single trainings.
        widths: Members of the sweeps, ascending.
        sweep_dim: Their dimension.
        narrow_share: All widths but the last are timed over this part of the epochs.
        small_epochs: Of the training that is repeated in both environments.
    """

    pairs: int = 100_000
    dims: tuple[int, ...] = (2, 3)
    widths: tuple[int, ...] = (1, 16, 64, 256, 1024)
    sweep_dim: int = 3
    narrow_share: int = 5
    small_epochs: int = 20


SIZES = Sizes()


def accelerator(setting: Setting, sizes: Sizes = SIZES, on_processor: bool = False) -> Part:
    """Seconds per run on the accelerator, of one training and of sweeps; all warm.

    Args:
        setting: As for every part.
        sizes: How much is run.
        on_processor: Run on the processor instead, to try the part itself.
    """
    asked = questions(setting.epochs, sizes)
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    device, reasons = {}, {}
    report = setting.add("accelerator", setting.repeats * sum(map(len, asked.values())))
    with noting("accelerator", reasons, setting.say):
        # One after the other, because a process takes most of an accelerator's memory for itself.
        for name, environment in ENVIRONMENTS.items():
            platform = ON_PROCESSOR if on_processor else {}
            environment = {**platform, **own_code(), **environment}
            arguments = [str(PEERS / "accelerator_training.py"), setting.seed, sizes.pairs]
            command = [sys.executable, *map(str, arguments)]
            with process.Conversation(command, environment) as peer:
                device = peer.answer()
                if device["backend"] == "cpu" and not on_processor:
                    raise process.Unavailable(NO_ACCELERATOR)
                for _ in range(setting.repeats):
                    for key, question in _of_environment(name, asked):
                        report(sum(map(len, found.values())), " ".join(key))
                        answer = {**peer.run(question), "peak_memory_bytes": peer.peak_memory()}
                        found.setdefault(key, []).append(answer)
    report(setting.repeats * sum(map(len, asked.values())))
    details: dict[str, Any] = {
        group: {
            name: missing(reasons["accelerator"])
            if reasons
            else _entry(group, question, found[group, name], setting.epochs)
            for name, question in by_name.items()
        }
        for group, by_name in asked.items()
    }
    seconds = {
        group: {name: counted(entry) for name, entry in entries.items()}
        for group, entries in details.items()
    }
    ratios = {"widest_sweep_over_empty_scan": None}
    if not reasons:
        widest = found["sweep", str(sizes.widths[-1])]
        rounds = zip(widest, found["floor", "empty_scan"])
        ratios = {
            name: statistics.median(above["seconds"] / below["seconds"] for above, below in rounds)
            for name in ratios
        }
    details["device"] = {key: device.get(key) for key in ("backend", "device", "versions")}
    return Part(seconds, details, ratios)


def questions(epochs: int, sizes: Sizes) -> dict[str, dict[str, Question]]:
    """What the peer is asked for, by group and name.

    Args:
        epochs: Of a whole training.
        sizes: How much is run.
    """
    narrow = max(1, epochs // sizes.narrow_share)
    small = {"what": "training", "dim": sizes.dims[0], "epochs": sizes.small_epochs}
    return {
        "training": {
            f"{dim}d": {"what": "training", "dim": dim, "epochs": epochs} for dim in sizes.dims
        },
        "sweep": {
            str(width): {
                "what": "sweep",
                "members": width,
                "dim": sizes.sweep_dim,
                "epochs": epochs if width == sizes.widths[-1] else narrow,
            }
            for width in sizes.widths
        },
        "floor": {"empty_scan": {"what": "floor", "steps": epochs * -(-sizes.pairs // BATCH_SIZE)}},
        "repeated": {name: small for name in ENVIRONMENTS},
    }


def _of_environment(
    environment: str, asked: dict[str, dict[str, Question]]
) -> list[tuple[tuple[str, str], Question]]:
    """The questions that are asked in one environment: in the default one, all but the other's."""
    return [
        ((group, name), question)
        for group, by_name in asked.items()
        for name, question in by_name.items()
        if (name == DETERMINISTIC) == (environment == DETERMINISTIC)
    ]


def _entry(
    group: str, question: Question, answers: list[dict[str, Any]], epochs: int
) -> dict[str, Any]:
    """The entry of one question; trainings and sweeps in seconds per run of all epochs."""
    members, share = question.get("members", 1), 1.0
    more = {}
    if "epochs" in question:
        more["epochs_run"] = question["epochs"]
    if group in ("training", "sweep"):
        share = question["epochs"] / epochs
        more |= {"members": members, "scaled": share != 1}
    return summary(
        [answer["seconds"] / members / share for answer in answers],
        **more,
        same_bits=all(answer["same"] for answer in answers),
        peak_memory_bytes=answers[-1]["peak_memory_bytes"],
        device_memory_bytes=answers[-1]["device_memory_bytes"],
    )


# --------------------------------------------------------------------------------------------------
# How it is shown


def table(details: dict[str, Any], ratios: dict[str, Any]) -> str:
    """Seconds per run, runs per second by width, and what came out the same bit by bit."""
    entries = {group: by_name for group, by_name in details.items() if group != "device"}
    reason = entries["floor"]["empty_scan"]["reason"]
    if reason:
        return f"Not measured: {reason}.\n"
    lines = [
        f"On one {details['device']['device']} ({details['device']['backend']}). Seconds per run "
        "of all epochs; the empty scan has as many steps as one of them.",
        "",
        peer_table(entries, ratios).rstrip("\n"),
        "",
        "| members | runs per second | device memory, MiB |",
        "|---|---|---|",
    ]
    for width, entry in entries["sweep"].items():
        memory = entry["device_memory_bytes"]
        shown = f"{memory / 2**20:.0f}" if memory else "–"
        lines.append(f"| {width} | {1 / entry['median']:.3g} | {shown} |")
    lines.append("")
    for name, entry in entries["repeated"].items():
        said = "the same bits" if entry["same_bits"] else "other bits"
        lines.append(f"- {name.replace('_', ' ')}: the same training again gives {said}")
    return "\n".join(lines) + "\n"
