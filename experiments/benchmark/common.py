"""What the parts of the benchmark share: their setting, their entries, their peers' processes."""

from __future__ import annotations

import contextlib
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from experiments.benchmark.peers import process

BATCH_SIZE = 512
ROOT = Path(__file__).resolve().parent.parent.parent
PEERS = Path(__file__).parent / "peers"
# A peer on an accelerator beside one on the processor would compare machines and not programs.
ON_PROCESSOR = {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}


@dataclass(frozen=True)
class Setting:
    """What every part is told.

    Attributes:
        epochs: Passes over the pairs of a whole training.
        keras_epochs: How many of them Keras is timed over.
        repeats: How often everything is timed.
        seed: Whose initial parameters the trainings start from.
        sweep_members: How many members the sweep has.
        sweep_widths: Numbers of members that runs per second are measured of.
        python_tf: The Python that has TensorFlow.
        python_torch: The Python that has PyTorch.
        scratch: A folder for passing files.
        add: (label, total) -> report(done, note), as `_cli.progress` yields it.
        say: Told a line that the user should see.
    """

    epochs: int
    keras_epochs: int
    repeats: int
    seed: int
    sweep_members: int
    sweep_widths: tuple[int, ...]
    python_tf: str
    python_torch: str
    scratch: Path
    add: Callable
    say: Callable[[str], None]

    @property
    def keras_run_epochs(self) -> int:
        """The epochs that Keras runs: one to warm up and those that are timed, or all."""
        return min(self.keras_epochs + 1, self.epochs)


Timed = tuple[float, dict[str, Any]]
"""Seconds, and what else was found: epochs_run, peak_memory_bytes, loss, stages, ..."""


class Part(NamedTuple):
    """What a part measured, as nested dicts with a peer's name at the leaves.

    `seconds` holds medians, or None; `details` a dict from `summary` or `missing` in each one's
    place; `ratios` a median of the ratios within each round.
    """

    seconds: dict[str, Any]
    details: dict[str, Any]
    ratios: dict[str, Any]


class Kind(NamedTuple):
    """How a part is measured and shown.

    Attributes:
        run: Measures it.
        table: (details, ratios) -> its section as Markdown without the heading; by default a table
            of peers.
        draw: (details, folder) -> the names of the figures that it drew there, or None.
        page: details -> a page of sentences, which stands beside the tables as NAME.md, or None.
    """

    run: Callable[[Setting], Part]
    table: Callable[[dict[str, Any], dict[str, Any]], str] | None = None
    draw: Callable[[dict[str, Any], Path], list[str]] | None = None
    page: Callable[[dict[str, Any]], str] | None = None


def summary(seconds: list[float], **more: Any) -> dict[str, Any]:
    """The entry of a peer that was timed; its `reason` is why the time does not count, or None."""
    return {
        "median": statistics.median(seconds),
        "range": [min(seconds), max(seconds)],
        "repeats": seconds,
        "reason": None,
        **more,
    }


def missing(reason: str) -> dict[str, Any]:
    """The entry of a peer that was not timed."""
    return {"median": None, "range": None, "repeats": [], "reason": reason}


def counted(details: dict[str, Any]) -> float | None:
    """The median of an entry, or None if it does not count."""
    return details["median"] if details["reason"] is None else None


def round_ratios(details: dict[str, Any], pairs: list[tuple[str, str]]) -> dict[str, float | None]:
    """Median over rounds of the one's seconds over the other's, {"a_over_b": ...}."""
    ratios = {}
    for above, below in pairs:
        both = details[above], details[below]
        ok = all(counted(entry) is not None for entry in both)
        rounds = zip(*(entry["repeats"] for entry in both))
        ratios[f"{above}_over_{below}"] = (
            statistics.median(a / b for a, b in rounds) if ok else None
        )
    return ratios


def medians(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """What was said in each round as one: medians of the stages, the most memory, else the last."""
    merged = dict(rounds[-1])
    if "stages" in merged:
        merged["stages"] = {
            name: statistics.median(each["stages"][name] for each in rounds)
            for name in merged["stages"]
        }
    held = [each["peak_memory_bytes"] for each in rounds if each.get("peak_memory_bytes")]
    merged["peak_memory_bytes"] = max(held, default=None)
    return merged


@contextlib.contextmanager
def noting(
    name: str, reasons: dict[str, str], say: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Keep the reason why a peer can't take part, and go on without it."""
    try:
        yield
    except process.Unavailable as error:
        reasons[name] = str(error)
        if say is not None:
            say(f"skipped: {name} ({error})")


def take_turns(
    setting: Setting, label: str, runs: Mapping[str, Callable[[], Timed]], reasons: dict[str, str]
) -> dict[str, dict[str, Any]]:
    """Time all, one after the other, in each of the setting's rounds.

    Args:
        setting: Its repeats, and where progress is told.
        label: Of the progress bar.
        runs: What is timed, by name.
        reasons: Why some of them can't take part, known before; what fails on the way is added.

    Returns:
        The entry of each name: a `summary`, or what is `missing`.
    """
    report, done = setting.add(label, setting.repeats * len(runs)), 0
    found: dict[str, list[Timed]] = {name: [] for name in runs}
    for _ in range(setting.repeats):
        for name, run in runs.items():
            report(done, name)
            if name not in reasons:
                with noting(name, reasons, setting.say):
                    found[name].append(run())
            done += 1
    report(done)
    return {
        name: missing(reasons[name])
        if name in reasons
        else summary([seconds for seconds, _ in timed], **medians([more for _, more in timed]))
        for name, timed in found.items()
    }


@contextlib.contextmanager
def empty_cache() -> Iterator[dict[str, str]]:
    """The environment in which JAX finds nothing compiled."""
    with tempfile.TemporaryDirectory() as folder:
        yield {"JAX_COMPILATION_CACHE_DIR": folder}


def own_code() -> dict[str, str]:
    """The environment in which a process finds this repository's code."""
    inherited = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [inherited])])}
