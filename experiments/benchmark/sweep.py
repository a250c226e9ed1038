"""Sweeps, per run: how many members, in orders of their own or in one, on how many cores.

Beside them the hand-written loop, once for each member, on all cores at once.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from experiments.benchmark.common import (
    ON_PROCESSOR,
    PEERS,
    Part,
    Setting,
    Timed,
    counted,
    empty_cache,
    noting,
    own_code,
    round_ratios,
    take_turns,
)
from experiments.benchmark.peers import process
from experiments.benchmark.record import peer_table
from experiments.benchmark.training import limit_command, make_problem

VARY = {"separate_order": "init,order", "shared_order": "init"}
"""What a member's seed changes: the order of the pairs or not."""

WIDTHS = (1, 4, 16, 64, 128)
"""Members that runs per second are measured of."""

WIDTH_SHARE = 10
"""The widths are timed over this part of the epochs, as an epoch takes as long as any other."""


def sweep(setting: Setting) -> Part:
    """Seconds per run of a sweep in two dimensions on all cores, and runs per second by width.

    `separate_order` and `shared_order` are calls of `sweep.sweep` in a warm process, `limit` the
    loop in C as one process for each core, and `program` the whole of `experiments.sweep`, from its
    start with nothing compiled to its tables and figures.
    """
    cores = os.cpu_count() or 1
    reasons: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        command = [sys.executable, str(PEERS / "ours_sweep.py"), str(setting.seed)]
        ours = stack.enter_context(process.Conversation(command, {**ON_PROCESSOR, **own_code()}))
        ours.answer()
        peers: list[process.Conversation] = []
        with noting("limit", reasons, setting.say):
            folder = Path(tempfile.mkdtemp(dir=setting.scratch))
            limit = limit_command(make_problem(2, setting), folder)
            peers += [stack.enter_context(process.Conversation(limit, {})) for _ in range(cores)]
            for peer in peers:
                peer.answer()
        whole: dict[str, Callable[[], Timed]] = {
            name: functools.partial(
                _run_ours, ours, setting.sweep_members, cores, vary, setting.epochs
            )
            for name, vary in VARY.items()
        }
        whole["limit"] = functools.partial(_run_limit, peers, setting.epochs)
        whole["program"] = functools.partial(_run_program, setting)
        by_width = {
            (f"{name}, {_cores(devices)}", str(members)): functools.partial(
                _run_ours, ours, members, devices, vary, width_epochs(setting)
            )
            for name, vary in VARY.items()
            for devices in sorted({1, cores})
            for members in setting.sweep_widths
        }
        runs = whole | {": ".join(place): run for place, run in by_width.items()}
        entries = take_turns(setting, "sweep", runs, reasons)
    details: dict[str, Any] = {name: entries[name] for name in whole}
    seconds = {name: counted(entry) for name, entry in details.items()}
    details["widths"] = {}
    for line, members in by_width:
        details["widths"].setdefault(line, {})[members] = entries[f"{line}: {members}"]
    against = [(name, "limit") for name in VARY]
    return Part(seconds, details, round_ratios(details, against))


def _cores(count: int) -> str:
    return f"{count} core" + "s" * (count != 1)


def width_epochs(setting: Setting) -> int:
    """Over how many epochs each width is timed."""
    return max(setting.epochs // WIDTH_SHARE, 1)


def _run_ours(
    peer: process.Conversation, members: int, devices: int, vary: str, epochs: int
) -> Timed:
    asked = {"members": members, "devices": devices, "vary": vary, "epochs": epochs}
    answer = peer.run(asked)
    about = {"members": members, "epochs_run": epochs, "loss": answer["loss"]}
    return answer["seconds"] / members, {**about, "peak_memory_bytes": peer.peak_memory()}


def _run_limit(peers: list[process.Conversation], epochs: int) -> Timed:
    with ThreadPoolExecutor(len(peers)) as pool:
        answers = list(pool.map(lambda peer: peer.run(), peers))
    seconds = sum(answer["seconds"] for answer in answers) / len(answers)
    return seconds / len(peers), {"epochs_run": epochs, "loss": answers[0]["loss"]}


def _run_program(setting: Setting) -> Timed:
    members = setting.sweep_members
    command = [sys.executable, "-m", "experiments.sweep", f"--vary={VARY['shared_order']}"]
    command += [f"--seeds=0:{members}", "--dims=2", f"--epochs={setting.epochs}"]
    with empty_cache() as cache, tempfile.TemporaryDirectory(dir=setting.scratch) as out:
        environment = {**ON_PROCESSOR, **own_code(), **cache}
        done = process.run_program([*command, f"--out={out}"], environment)
    return done.seconds / members, {
        "epochs_run": setting.epochs,
        "members": members,
        "peak_memory_bytes": done.peak_memory,
    }


# --------------------------------------------------------------------------------------------------
# How it is shown


def runs_per_second(details: dict[str, Any]) -> dict[str, dict[int, float]]:
    """Runs of all epochs per second, for each line and number of members."""
    epochs = details["separate_order"]["epochs_run"]
    return {
        line: {
            int(members): entry["epochs_run"] / epochs / entry["median"]
            for members, entry in by_members.items()
        }
        for line, by_members in details["widths"].items()
    }


def table(details: dict[str, Any], ratios: dict[str, Any]) -> str:
    """Seconds per run as a table of peers, and runs per second by width."""
    rates = runs_per_second(details)
    widths = list(next(iter(rates.values())))
    members = details["separate_order"]["members"]
    lines = [
        f"Seconds per run, {members} members in two dimensions on all cores; the loop in C runs "
        "on all cores at once too. `program` is the whole of `experiments.sweep` (one order), with "
        "its start, compilation, measures and figures.",
        "",
        peer_table({name: details[name] for name in details if name != "widths"}, ratios),
        "",
        "Runs per second by number of members:",
        "",
        f"| members | {' | '.join(map(str, widths))} |",
        f"|---|{'---|' * len(widths)}",
    ]
    for line, by_members in rates.items():
        shown = " | ".join(f"{by_members[width]:.2f}" for width in widths)
        lines.append(f"| {line.replace('_', ' ')} | {shown} |")
    return "\n".join(lines) + "\n"


def draw(details: dict[str, Any], folder: Path) -> list[str]:
    """Draw runs per second against members; returns the figure's name."""
    from matplotlib.figure import Figure

    from colour_embed.viz import plots

    with plots.style():
        figure = Figure(figsize=(plots.SINGLE_COLUMN, 2.6), layout="constrained")
        ax = figure.add_subplot()
        for line, by_members in runs_per_second(details).items():
            shared, one = line.startswith("shared_order"), line.endswith("1 core")
            ax.plot(
                list(by_members),
                list(by_members.values()),
                color="C1" if shared else "C0",
                linestyle="--" if one else "-",
                marker="s" if shared else "o",
                label=line.replace("_", " "),
            )
        if counted(details["limit"]) is not None:
            ax.axhline(
                1 / details["limit"]["median"], color="0.4", linestyle=":", label="loop in C"
            )
        ax.set_xscale("log", base=2)
        ax.set_xticks(list(by_members), list(map(str, by_members)))
        ax.set_ylim(0)
        ax.set_xlabel("members")
        ax.set_ylabel("runs per second")
        ax.legend()
        plots.save_figure(figure, folder / "sweep_widths")
    return ["sweep_widths.png"]
