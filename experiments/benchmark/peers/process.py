"""The benchmark's side of a peer: starting it, asking it for one run, and measuring a program."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

_POLL_SECONDS = 0.05


class Unavailable(Exception):
    """A peer cannot take part; the message is the reason."""


class Conversation:
    """A training peer as a process that trains once whenever it is asked to; see `_serve`.

    Starting does not wait, so that several can get ready side by side.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]):  # noqa: D107
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 (see exit)
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
                env=_environment(environment),
            )
        except OSError as error:
            self._errors.close()
            raise Unavailable(f"its program cannot be started: {error.strerror}") from None

    def __enter__(self) -> Conversation:  # noqa: D105
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
            raise Unavailable(f"failed: {_error_line(self._errors)}")
        answer = json.loads(line)
        if "skipped" in answer:
            raise Unavailable(answer["skipped"])
        return answer

    def run(self, asked: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask for one training, or what else the peer takes, and wait for its figures."""
        try:
            self._process.stdin.write(f"{json.dumps(asked) if asked else ''}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended; what it said last stands in the answer
        return self.answer()

    def peak_memory(self) -> int | None:
        """The most memory the peer has held so far, in bytes; None where the system won't say."""
        return _peak_memory(self._process.pid)


class Finished(NamedTuple):
    """What a program did: wall seconds, peak memory in bytes (or None), its last line of output."""

    seconds: float
    peak_memory: int | None
    last_line: str


def run_program(
    command: Sequence[str], environment: Mapping[str, str], folder: Path | None = None
) -> Finished:
    """Run a program from start to end.

    Raises:
        Unavailable: it can't be started or ends with another status than 0.
    """
    with (
        tempfile.TemporaryFile("w+", errors="replace") as output,
        tempfile.TemporaryFile("w+", errors="replace") as errors,
    ):
        began = time.perf_counter()
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                env=_environment(environment),
                cwd=folder,
            )
        except OSError as error:
            raise Unavailable(f"its program cannot be started: {error.strerror}") from None
        peak = None
        try:
            while True:
                peak = max(filter(None, (peak, _peak_memory(process.pid))), default=None)
                try:
                    process.wait(_POLL_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    continue
        except BaseException:
            process.kill()
            process.wait()
            raise
        seconds = time.perf_counter() - began
        if process.returncode:
            raise Unavailable(f"failed: {_error_line(errors)}")
        return Finished(seconds, peak, _last_line(output))


def _environment(own: Mapping[str, str]) -> dict[str, str]:
    """This process's environment, less what would bend a peer's time, and the peer's own."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("JAX_", "XLA_", "KERAS_"))
    }
    return {**kept, **own}


def _last_line(file) -> str:
    return _lines(file)[-1]


def _error_line(file) -> str:
    """The line that names the exception, or else the last."""
    lines = _lines(file)
    named = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Interrupt)\b", line)]
    # What is kept of it goes into a file that shall hold no path of this machine.
    return re.sub(r"(?<![\w.])/[^\s'\":,]+/", "", (named or lines)[-1])


def _lines(file) -> list[str]:
    file.seek(0)
    return file.read().strip().splitlines() or ["it ended without a word"]


def _peak_memory(process: int) -> int | None:
    # From /proc, since getrusage of a child also counts what its parent held when it was started.
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return None
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else None
