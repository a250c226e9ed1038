"""The driver, which runs a training from the host in parts."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from colour_embed.config import InputError
from colour_embed.runs import Progress

State = TypeVar("State")
Work = TypeVar("Work")
Outcome = TypeVar("Outcome")


_process: int | None = None  # the process in which a training first used JAX


def check_process() -> None:
    """Raise an InputError in a process that was forked after a training in its parent.

    JAX's threads do not survive a fork, so that a computation there would wait for ever.
    """
    global _process
    _process = os.getpid() if _process is None else _process
    if _process != os.getpid():
        raise InputError(
            "this process was forked from one that has trained, where JAX would wait for ever: "
            "start workers by spawn or forkserver (multiprocessing.get_context), or by joblib's "
            "loky, or train in the workers only"
        )


def drive(
    advance: Callable[[State, Work], tuple[State, Outcome]],
    state: State,
    schedule: Iterable[Work],
    *,
    progress: Callable[[State, Outcome], Progress] | None = None,
    report: Callable[[Progress], None] | None = None,
    save: Callable[[State], None] | None = None,
    save_every: int = 1,
    interrupted: Callable[[], bool] | None = None,
) -> Iterator[tuple[State, Outcome]]:
    """Advance a training part by part, yielding after each.

    The loop ends when the schedule ends or the caller breaks out of it. On Ctrl-C the current part
    is discarded, the state before it is saved, and KeyboardInterrupt is raised.

    Args:
        advance: (state, work) -> (state, outcome), with the outcome on the host.
        state: The state before the first part.
        schedule: The work of each part, such as the epochs of a chunk. It is read lazily, after the
            caller has handled the part before.
        progress: (state, outcome) -> the progress to report, without its rate.
        report: Called with the progress after each part.
        save: Called with the state after every `save_every` parts, and on Ctrl-C.
        save_every: Parts between two saves.
        interrupted: Called after each part; True is taken as Ctrl-C then. Ctrl-C itself is raised
            without saving, as for a second signal of `job.interrupts`.

    Yields:
        (state, outcome) after each part.
    """
    first, stopped = None, False
    try:
        for number, work in enumerate(schedule, start=1):
            state, outcome = advance(state, work)
            now = time.perf_counter()
            yield state, outcome
            if interrupted is not None and interrupted():
                stopped = True
                raise KeyboardInterrupt
            if save is not None and number % save_every == 0:
                save(state)
            if report is None or progress is None:
                continue
            event = progress(state, outcome)
            if first is None:  # the time of the first part includes compilation
                first = now, event.done
            elif now > first[0]:
                event = event._replace(rate=(event.done - first[1]) / (now - first[0]))
            report(event)
    except KeyboardInterrupt:
        if save is not None and (interrupted is None or stopped):
            save(state)
        raise
