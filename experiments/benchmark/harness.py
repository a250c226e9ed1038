"""What the parts share: peers as processes, the entries of what was timed, and taking turns."""

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
# A peer on an accelerator beside one on the CPU would compare machines and not programs.
ON_CPU = {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Setting:
    """What every part is given.

    Attributes:
        scratch: A folder for passing files.
        epochs: Passes over the pairs of a whole training.
        keras_epochs: How many of them Keras is timed over.
        repeats: How often everything is timed.
        seed: Whose initial parameters the trainings start from.
        sweep_members: Members of the sweep.
        python_tf: The Python that has TensorFlow.
        python_torch: The Python that has PyTorch.
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
        """The epochs that Keras runs: one to warm up and those that are timed, or all."""
        return min(self.keras_epochs + 1, self.epochs)

    def folder(self) -> Path:
        """A new folder in the scratch folder."""
        return Path(tempfile.mkdtemp(dir=self.scratch))


class Part(NamedTuple):
    """What a part measured, as nested dicts with a peer's name at the leaves.

    `seconds` holds medians, or None; `details` an entry in each one's place, from `summary` or
    `missing`; `ratios` medians of the ratios within each round.
    """

    seconds: dict[str, Any]
    details: dict[str, Any]
    ratios: dict[str, Any]


# --------------------------------------------------------------------------------------------------
# Processes


class Unavailable(Exception):
    """A peer cannot take part; the message is the reason."""


class Finished(NamedTuple):
    """A program's wall seconds, its peak memory in bytes (or None), and its last line of output."""

    seconds: float
    peak_memory: int | None
    last_line: str


class Peer:
    """A program as a process, which answers questions (see `peers._peer`) or runs to its end.

    Starting does not wait, so that several can get ready side by side.
    """

    def __init__(self, command: Sequence[Any], environment: Mapping[str, str]):  # noqa: D107
        # This process's environment, less what would bend a peer's time, and the peer's own.
        bends = ("JAX_", "XLA_", "KERAS_")
        kept = {name: os.environ[name] for name in os.environ if not name.startswith(bends)}
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
        # A peer that was asked for nothing more is done; there is nothing to lose by ending it.
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def answer(self) -> dict[str, Any]:
        """Wait for the next answer.

        Raises:
            Unavailable: the peer lacks something, or ended.
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
        """Ask a question and wait for the answer, which gets the peer's peak memory."""
        # A peer that has ended says why in place of an answer.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
        return {**self.answer(), "peak_memory_bytes": self.peak_memory()}

    def peak_memory(self) -> int | None:
        """The most memory that the peer has held so far, in bytes; None where it is not known."""
        # From /proc, since getrusage of a child also counts what its parent held at the start.
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text()
        except OSError:
            return None
        found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
        return int(found[1]) * 1024 if found else None

    def finish(self) -> Finished:
        """Wait for the end of a program that is asked nothing.

        Raises:
            Unavailable: it ended with another status than 0.
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
        """The line that names the exception, or else the last."""
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines() or ["it ended without a word"]
        named = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Interrupt)\b", line)]
        # What is kept of it goes into a file that shall hold no path of this machine.
        return re.sub(r"(?<![\w.])/[^\s'\":,]+/", "", (named or lines)[-1])


def run_program(command: Sequence[Any], environment: Mapping[str, str]) -> Finished:
    """Run a program from start to end; raises as `Peer` and `Peer.finish`."""
    with Peer(command, environment) as peer:
        return peer.finish()


def ours(**more: str) -> tuple[list[str], dict[str, str]]:
    """The command and the environment of `peers/ours.py`."""
    return [sys.executable, str(PEERS / "ours.py")], {**ON_CPU, **own_code(), **more}


def own_code() -> dict[str, str]:
    """The environment in which a process finds this repository's code."""
    inherited = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [inherited])])}


@contextlib.contextmanager
def empty_cache() -> Iterator[dict[str, str]]:
    """The environment in which JAX finds nothing compiled."""
    with tempfile.TemporaryDirectory() as folder:
        yield {"JAX_COMPILATION_CACHE_DIR": folder}


# --------------------------------------------------------------------------------------------------
# Entries


def summary(seconds: list[float], **more: Any) -> dict[str, Any]:
    """The entry of a peer that was timed; its `reason` is why the time does not count, or None."""
    return {
        "median": statistics.median(seconds),
        "range": [min(seconds), max(seconds)],
        "repeats": seconds,
        "reason": None,
        **more,
    }


def missing(reason: str, **more: Any) -> dict[str, Any]:
    """The entry of a peer that was not timed."""
    return {"median": None, "range": None, "repeats": [], "reason": reason, **more}


def counted(details: dict[str, Any]) -> Any:
    """The median of an entry, None if it does not count; of nested dicts of entries, the same."""
    if "reason" not in details:
        return {name: counted(entry) for name, entry in details.items()}
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


@contextlib.contextmanager
def noting(name: str, reasons: dict[str, str], say: Callable[[str], None]) -> Iterator[None]:
    """Keep the reason why a peer cannot take part, say it, and go on without the peer."""
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
    """Time all, one after the other, in each of the setting's rounds.

    Args:
        setting: Its repeats, and where progress is reported.
        label: Of the progress bar.
        runs: What is timed, by name: returns "seconds", and what else is known of the run.
        reasons: Why some of them cannot take part; what fails on the way is added.

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
    """The entry of several rounds: medians of seconds, losses and stages, the most memory."""
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
