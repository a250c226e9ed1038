"""All parts of the benchmark, and the figures of those that have one."""

from __future__ import annotations

from pathlib import Path

from colour_embed.io import run_folder
from experiments.benchmark import accelerator, growth, growth_shown, large, levers, steps, sweep
from experiments.benchmark.animation import animation
from experiments.benchmark.common import Kind
from experiments.benchmark.startup import startup
from experiments.benchmark.training import training
from experiments.benchmark.tutorial import tutorial

KINDS: dict[str, Kind] = {
    "training": Kind(training),
    "tutorial": Kind(tutorial),
    "steps": Kind(steps.steps, steps.table, steps.draw),
    "levers": Kind(levers.levers, levers.table, page=levers.page),
    "animation": Kind(animation),
    "sweep": Kind(sweep.sweep, sweep.table, sweep.draw),
    "growth": Kind(growth.growth, growth_shown.table, growth_shown.draw),
    "large": Kind(large.large, large.table, large.draw),
    "startup": Kind(startup),
    "accelerator": Kind(accelerator.accelerator, accelerator.table),
}


def draw(folder: Path, out: Path) -> dict[str, list[str]]:
    """Draw the figures of the parts that benchmark.json in `folder` holds, into `out`.

    Returns:
        The names of each part's figures, of the parts that have any.

    Raises:
        InputError: benchmark.json is missing or damaged.
    """
    details = run_folder.read_json(folder / "benchmark.json", ["details"])["details"]
    return {
        name: KINDS[name].draw(details[name], out)
        for name in details
        if KINDS[name].draw is not None
    }
