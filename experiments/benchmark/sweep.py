"""A whole sweep, per run, beside the hand-written loop."""

from __future__ import annotations

import functools
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments.benchmark.common import (
    ON_PROCESSOR,
    Part,
    Setting,
    counted,
    empty_cache,
    medians,
    missing,
    noting,
    own_code,
    round_ratios,
    summary,
)
from experiments.benchmark.peers import process
from experiments.benchmark.training import limit_command, make_problem

SWEEP_DIMS = (1, 2, 3, 4)


def sweep(setting: Setting) -> Part:
    """Seconds per run of a whole sweep, from process start to tables and figures.

    Orders of their own for all members, one order for all, and beside them the loop in C on one
    core, once a round: one run of it is one training in two dimensions.
    """
    members = setting.sweep_seeds * len(SWEEP_DIMS)
    details: dict[str, dict[str, Any]] = {}
    runs: dict[str, Callable[[], tuple[float, dict[str, Any]]]] = {
        name: functools.partial(_run_sweep, setting, vary, members)
        for name, vary in (("separate_order", "init,order"), ("shared_order", "init"))
    }
    folder = Path(tempfile.mkdtemp(dir=setting.scratch))
    with noting("limit", reasons := {}, setting.say):
        command = limit_command(make_problem(2, setting), folder)
        runs["limit"] = functools.partial(_run_limit, setting, command)
    report = setting.add("sweep", setting.repeats * len(runs))
    found: dict[str, list] = {name: [] for name in runs}
    for turn in range(setting.repeats):
        for place, (name, run) in enumerate(runs.items()):
            report(turn * len(runs) + place, name)
            with noting(name, reasons, setting.say):
                found[name].append(run())
    report(setting.repeats * len(runs))
    for name in ("separate_order", "shared_order", "limit"):
        if name in reasons:
            details[name] = missing(reasons[name])
            continue
        seconds = [value for value, _ in found[name]]
        details[name] = summary(seconds, **medians([more for _, more in found[name]]))
    seconds = {name: counted(entry) for name, entry in details.items()}
    against = [("separate_order", "limit"), ("shared_order", "limit")]
    return Part(seconds, details, round_ratios(details, against))


def _run_sweep(setting: Setting, vary: str, members: int) -> tuple[float, dict[str, Any]]:
    command = [sys.executable, "-m", "experiments.sweep", f"--vary={vary}"]
    command += [f"--seeds=0:{setting.sweep_seeds}", f"--dims={','.join(map(str, SWEEP_DIMS))}"]
    command += [f"--epochs={setting.epochs}"]
    with empty_cache() as cache, tempfile.TemporaryDirectory(dir=setting.scratch) as out:
        environment = {**ON_PROCESSOR, **own_code(), **cache}
        done = process.run_program([*command, f"--out={out}"], environment)
    return done.seconds / members, {
        "epochs_run": setting.epochs,
        "members": members,
        "peak_memory_bytes": done.peak_memory,
    }


def _run_limit(setting: Setting, command: list[str]) -> tuple[float, dict[str, Any]]:
    with process.Conversation(command, {}) as peer:
        peer.answer()
        answer = peer.run()
    return answer["seconds"], {"epochs_run": setting.epochs}
