"""The parts of the benchmark: their measurements, tables and figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from colour_embed.io import run_folder
from experiments.benchmark import accelerator, browser, scaling, sharding, sweep
from experiments.benchmark.animation import animation
from experiments.benchmark.record import Kind
from experiments.benchmark.training import training
from experiments.benchmark.tutorial import tutorial

KINDS: dict[str, Kind] = {
    "training": Kind(training),
    "tutorial": Kind(tutorial),
    "animation": Kind(animation),
    "browser": Kind(browser.browser, browser.ABOUT, browser.findings),
    "sweep": Kind(sweep.sweep, sweep.ABOUT),
    "scaling": Kind(scaling.scaling, scaling.ABOUT, scaling.findings),
    "sharding": Kind(sharding.sharding, sharding.ABOUT, sharding.findings),
    "accelerator": Kind(accelerator.accelerator, accelerator.ABOUT, accelerator.findings),
}

FIGURES: dict[str, tuple[str, Callable[[dict[str, Any], Path], None]]] = {
    "sweep": ("sweep_widths", sweep.draw),
    "scaling": ("scaling", scaling.draw),
    "accelerator": ("accelerator_widths", accelerator.draw),
}
"""part -> name of its figure, and a function (details, path without suffix) that draws it."""


def draw(folder: Path, out: Path) -> None:
    """Draw the figures of the parts that benchmark.json in `folder` holds, into `out`.

    Raises:
        InputError: benchmark.json is missing or damaged.
    """
    details = run_folder.read_json(folder / "benchmark.json", ["details"])["details"]
    for part in details:
        if part in FIGURES:
            name, draw_part = FIGURES[part]
            draw_part(details[part], out / name)
