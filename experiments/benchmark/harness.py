"""Shared by all parts: peers as processes, entries of timings, and rounds of turns."""

from __future__ import annotations

import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

BATCH_SIZE = 512
ROOT = Path(__file__).resolve().parent.parent.parent
PEERS = Path(__file__).parent / "peers"
# All peers run on the CPU, so that programs are compared and not machines.
ON_CPU = {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Setting:
    """The settings of every part.

    Attributes:
        scratch: Folder for temporary files.
        epochs: Passes over the pairs of a whole training.
        keras_epochs: Epochs over which Keras is timed.
        repeats: Number of timings of each entry.
        seed: Seed of the initial parameters.
        sweep_members: Members of the sweep.
        python_tf: Python with TensorFlow.
        python_torch: Python with PyTorch.
        add: (label, total) -> report(done, note), as `_cli.progress` yields it.
        say: Called with a line for the user.
    """

    scratch: Path
    epochs: int = 500
    keras_epochs: int = 10
    repeats: int = 3
    seed: int = 0
    sweep_members: int = 64
    python_tf: str = sys.executable
    python_torch: str = sys.executable
    add: Callable = lambda label, total: lambda done, note="": None
    say: Callable[[str], None] = print

    @property
    def keras_run_epochs(self) -> int:
        """Epochs that Keras runs: a warm-up epoch and the timed ones, or all."""
        return min(self.keras_epochs + 1, self.epochs)

    def folder(self) -> Path:
        """Create a folder in the scratch folder."""
        return Path(tempfile.mkdtemp(dir=self.scratch))


class Part(NamedTuple):
    """The measurements of a part, as nested dicts with peers at the leaves.

    `seconds` holds medians, or None. `details` holds an entry for each, from `summary` or
    `missing`. `ratios` holds medians of the ratios within each round.
    """

    seconds: dict[str, Any]
    details: dict[str, Any]
    ratios: dict[str, Any]


# --------------------------------------------------------------------------------------------------
# Processes


class Unavailable(Exception):
    """Raised if a peer cannot run; the message is the reason."""


class Finished(NamedTuple):
    """A program's wall seconds, its peak memory in bytes or None, and its last line of output."""

    seconds: float
    peak_memory: int | None
    last_line: str


class Peer:
    """A process that answers requests (see `peers._peer`) or runs to its end.

    The constructor does not wait, so that several peers can prepare concurrently.
    """

    def __init__(self, command: Sequence[Any], environment: Mapping[str, str]):  # noqa: D107
        # Variables of this process that would change a peer's time are dropped.
        dropped = ("JAX_", "XLA_", "KERAS_")
        kept = {name: os.environ[name] for name in os.environ if not name.startswith(dropped)}
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 (see exit)
        self._began = time.perf_counter()
        try:
            self._process = subprocess.Popen(
                list(map(str, command)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
                env={**kept, **environment},
            )
        except OSError as error:
            self._errors.close()
            raise Unavailable(f"its program cannot be started: {error.strerror}") from None

    def __enter__(self) -> Peer:  # noqa: D105
        return self

    def __exit__(self, *error) -> None:  # noqa: D105
        # The peer has answered all requests and holds no state worth saving.
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def answer(self) -> dict[str, Any]:
        """Wait for the next answer.

        Raises:
            Unavailable: the peer lacks a module, failed, or ended.
        """
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            raise Unavailable(f"failed: {self._error()}")
        answer = json.loads(line)
        if "skipped" in answer:
            raise Unavailable(answer["skipped"])
        return answer

    def run(self, **asked: Any) -> dict[str, Any]:
        """Send a request and wait for the answer; the peer's peak memory is added to it."""
        # If the peer has ended, `answer` raises with its error.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
        return {**self.answer(), "peak_memory_bytes": self.peak_memory()}

    def peak_memory(self) -> int | None:
        """Return the peer's peak memory so far in bytes; None if it is not known."""
        # Not getrusage, which counts the parent's memory at the fork.
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text()
        except OSError:
            return None
        found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
        return int(found[1]) * 1024 if found else None

    def finish(self) -> Finished:
        """Wait for the end of a program that takes no requests.

        Raises:
            Unavailable: its exit status is not 0.
        """
        peak, output = None, None
        while output is None:
            peak = max(filter(None, (peak, self.peak_memory())), default=None)
            with contextlib.suppress(subprocess.TimeoutExpired):
                output, _ = self._process.communicate(timeout=_POLL_SECONDS)
        seconds = time.perf_counter() - self._began
        if self._process.returncode:
            raise Unavailable(f"failed: {self._error()}")
        return Finished(seconds, peak, (output.strip().splitlines() or [""])[-1])

    def _error(self) -> str:
        """Return the line of stderr that names the exception, or else the last line."""
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines() or ["it ended without a word"]
        named = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Interrupt)\b", line)]
        # The reason is committed, so paths of this machine are removed.
        return re.sub(r"(?<![\w.])/[^\s'\":,]+/", "", (named or lines)[-1])


def run_program(command: Sequence[Any], environment: Mapping[str, str]) -> Finished:
    """Run a program from start to end; raises like `Peer` and `Peer.finish`."""
    with Peer(command, environment) as peer:
        return peer.finish()


def ours(**more: str) -> tuple[list[str], dict[str, str]]:
    """Return the command and the environment of `peers/ours.py`."""
    return [sys.executable, str(PEERS / "ours.py")], {**ON_CPU, **own_code(), **more}


def own_code() -> dict[str, str]:
    """Return the environment in which a process imports this repository's code."""
    inherited = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [inherited])])}


@contextlib.contextmanager
def empty_cache() -> Iterator[dict[str, str]]:
    """Yield an environment with an empty JAX compilation cache."""
    with tempfile.TemporaryDirectory() as folder:
        yield {"JAX_COMPILATION_CACHE_DIR": folder}


# --------------------------------------------------------------------------------------------------
# Entries


def summary(seconds: list[float], **more: Any) -> dict[str, Any]:
    """Return the entry of a timed peer; `reason` says why its time does not count, or is None."""
    return {
        "median": statistics.median(seconds),
        "range": [min(seconds), max(seconds)],
        "repeats": seconds,
        "reason": None,
        **more,
    }


def missing(reason: str, **more: Any) -> dict[str, Any]:
    """Return the entry of a peer that was not timed."""
    return {"median": None, "range": None, "repeats": [], "reason": reason, **more}


def counted(details: dict[str, Any]) -> Any:
    """Return the median of an entry, None if it does not count; recurses into nested dicts."""
    if "reason" not in details:
        return {name: counted(entry) for name, entry in details.items()}
    return details["median"] if details["reason"] is None else None


def round_ratios(details: dict[str, Any], pairs: list[tuple[str, str]]) -> dict[str, float | None]:
    """Compute medians over rounds of the ratios of seconds, {"a_over_b": ...}."""
    ratios = {}
    for above, below in pairs:
        both = details[above], details[below]
        ok = all(counted(entry) is not None for entry in both)
        rounds = zip(*(entry["repeats"] for entry in both))
        ratios[f"{above}_over_{below}"] = (
            statistics.median(a / b for a, b in rounds) if ok else None
        )
    return ratios


@contextlib.contextmanager
def noting(name: str, reasons: dict[str, str], say: Callable[[str], None]) -> Iterator[None]:
    """Catch `Unavailable`, and record and print its reason."""
    try:
        yield
    except Unavailable as error:
        reasons[name] = str(error)
        say(f"skipped: {name} ({error})")


def take_turns(
    setting: Setting,
    label: str,
    runs: Mapping[str, Callable[[], dict[str, Any]]],
    reasons: dict[str, str],
) -> dict[str, dict[str, Any]]:
    """Time all runs, one after the other, in each of the setting's rounds.

    Args:
        setting: Number of rounds, and progress callback.
        label: Label of the progress bar.
        runs: Functions to time by name; each returns a dict of "seconds" and further entries.
        reasons: Names to skip, with their reasons; runs that fail are added.

    Returns:
        The entry of each name.
    """
    report, done = setting.add(label, setting.repeats * len(runs)), 0
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in runs}
    for _ in range(setting.repeats):
        for name, run in runs.items():
            report(done, name)
            if name not in reasons:
                with noting(name, reasons, setting.say):
                    found[name].append(run())
            done += 1
    report(done)
    return {
        name: missing(reasons[name]) if name in reasons else merged(rounds)
        for name, rounds in found.items()
    }


def merged(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Merge rounds to an entry: medians of seconds, losses and stages, and peak memory."""
    more = dict(rounds[-1])
    del more["seconds"]
    if "stages" in more:
        names = more["stages"]
        more["stages"] = {
            name: statistics.median(each["stages"][name] for each in rounds) for name in names
        }
    if "loss" in more:
        more["losses"] = [each["loss"] for each in rounds]
        more["loss"] = statistics.median(more["losses"])
    held = [each["peak_memory_bytes"] for each in rounds if each.get("peak_memory_bytes")]
    more["peak_memory_bytes"] = max(held, default=None)
    return summary([each["seconds"] for each in rounds], **more)
