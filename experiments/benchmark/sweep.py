"""Time sweeps by number of members and cores, with separate and shared orders of the pairs.

The baseline is the hand-written loop in C, one process per core.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from experiments.benchmark import harness
from experiments.benchmark.harness import Part, Peer, Setting
from experiments.benchmark.training import limit_command, write_problem

VARY = {"separate_order": ["init", "order"], "shared_order": ["init"]}
"""What a member's seed changes: with or without the order of the pairs."""

ABOUT = (
    "Seconds per member, in two dimensions on all cores, as for the baseline in C (`limit`). The "
    "entries of `widths` have fewer epochs, by number of cores and members."
)

WIDTHS = (1, 4, 16, 64, 128)
"""Numbers of members to measure runs per second for."""

WIDTH_SHARE = 10
"""The widths are timed over 1 / WIDTH_SHARE of the epochs, as epochs take equal time."""


def sweep(setting: Setting, widths: Sequence[int] = WIDTHS) -> Part:
    """Measure seconds per member of a sweep on all cores, and members per second by width.

    `separate_order` and `shared_order` are calls of `sweeps.sweep` after compilation. `limit` is
    the baseline, one process per core.
    """
    cores = os.cpu_count() or 1
    short = max(setting.epochs // WIDTH_SHARE, 1)
    reasons: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(Peer(*harness.ours(JAX_NUM_CPU_DEVICES=str(cores))))
        ours.answer()

        def run_ours(vary, members, devices, epochs):
            asked = {"members": members, "devices": devices, "vary": vary, "epochs": epochs}
            answer = ours.run(what="sweep", seed=setting.seed, **asked)
            seconds = answer["seconds"] / members
            return {**answer, "members": members, "epochs_run": epochs, "seconds": seconds}

        peers: list[Peer] = []
        with harness.noting("limit", reasons, setting.say):
            folder = setting.folder()
            problem = write_problem(folder / "all.npz", 2, setting, run_epochs=setting.epochs)
            limit = limit_command(problem, folder)
            peers += [stack.enter_context(Peer(limit, {})) for _ in range(cores)]
            for peer in peers:
                peer.answer()
        whole: dict[str, Callable[[], dict[str, Any]]] = {
            name: functools.partial(run_ours, vary, setting.sweep_members, cores, setting.epochs)
            for name, vary in VARY.items()
        }
        whole["limit"] = functools.partial(_run_limit, peers)
        by_width = {
            (f"{name}, {devices} core{'s' * (devices > 1)}", str(members)): functools.partial(
                run_ours, vary, members, devices, short
            )
            for name, vary in VARY.items()
            for devices in sorted({1, cores})
            for members in widths
        }
        runs = whole | {": ".join(place): run for place, run in by_width.items()}
        entries = harness.take_turns(setting, "sweep", runs, reasons)
    details: dict[str, Any] = {name: entries[name] for name in whole}
    seconds = harness.counted(details)
    details["widths"] = {}
    for line, members in by_width:
        details["widths"].setdefault(line, {})[members] = entries[f"{line}: {members}"]
    ratios = harness.round_ratios(details, [(name, "limit") for name in VARY])
    return Part(seconds, details, ratios)


def _run_limit(peers: list[Peer]) -> dict[str, Any]:
    """Run the baseline on all cores at once."""
    with ThreadPoolExecutor(len(peers)) as pool:
        answers = list(pool.map(lambda peer: peer.run(), peers))
    mean = sum(answer["seconds"] for answer in answers) / len(answers)
    return {**answers[0], "seconds": mean / len(peers)}


# --------------------------------------------------------------------------------------------------
# Figure


def runs_per_second(details: dict[str, Any]) -> dict[str, dict[int, tuple[float, float, float]]]:
    """Return trainings per second by line and number of members: median, minimum, maximum."""
    epochs = details["separate_order"]["epochs_run"]
    return {
        line: {
            int(members): tuple(
                entry["epochs_run"] / epochs / seconds
                for seconds in (entry["median"], *entry["range"][::-1])
            )
            for members, entry in by_members.items()
        }
        for line, by_members in details["widths"].items()
    }


def draw(details: dict[str, Any], path: Path) -> None:
    """Draw trainings per second over members."""
    from colour_embed.viz.intervals import Interval, Line, plot_lines
    from colour_embed.viz.style import panels, save_figure

    lines = {
        line.replace("_", " "): Line(list(rates), Interval(*zip(*rates.values())))
        for line, rates in runs_per_second(details).items()
    }
    limit = harness.counted(details["limit"])
    figure, axes = panels(1, 1, height=2.8)
    plot_lines(
        lines,
        axes[0, 0],
        xlabel="members",
        ylabel="trainings per second",
        log_x=True,
        references=None if limit is None else {"baseline in C, all cores": 1 / limit},
        statistic="median and range",
        ticks=sorted({members for line in lines.values() for members in line.x}),
    )
    axes[0, 0].set_ylim(0)
    save_figure(figure, path)
