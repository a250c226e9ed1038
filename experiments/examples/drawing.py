"""Draw the maps of the examples from their folders alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from colour_embed.io import run_folder
from experiments import _train_figures


def draw(folder: Path, out: Path) -> list[Path]:
    """Draw the maps of all examples in a folder, each into a folder of its name.

    Raises:
        InputError: a file is missing or damaged.
    """
    names = run_folder.read_json(folder / run_folder.MARKER, ("examples",))["examples"]
    drawn = []
    for name in names:
        title = read_finding(folder / name)["title"]
        drawn += _train_figures.draw_map(folder / name, out / name, title)
    return drawn


def read_finding(folder: Path) -> dict[str, Any]:
    """Read the finding in metrics.json of an example: title, sentence, and its numbers.

    Raises:
        InputError: metrics.json is missing or damaged.
    """
    path = folder / "metrics.json"
    with run_folder.reading(path):
        found = run_folder.read_json(path, ("example",))["example"]
        return {**found, "title": str(found["title"]), "sentence": str(found["sentence"])}
