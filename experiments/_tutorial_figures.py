"""Draw the tutorial's figures from the arrays in its run folder alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from colour_embed.io import run_folder
from colour_embed.viz.curves import plot_losses
from colour_embed.viz.embedding import plot_embedding, plot_moments
from colour_embed.viz.style import save_figure


def draw(folder: Path, out: Path) -> list[Path]:
    """Draw all figures of a run.

    Args:
        folder: The run folder.
        out: Folder for the figures; may be the same.

    Returns:
        Paths of the files written.

    Raises:
        InputError: a file of the run is missing or damaged.
    """
    drawn = [path for name in _trainings(folder) for path in draw_training(folder, name, out)]
    return drawn + draw_losses(folder, out)


def draw_training(folder: Path, name: str, out: Path) -> list[Path]:
    """Draw the final embedding and six snapshots of the training "2d" or "3d"; see `draw`."""
    colours = run_folder.read_colours(folder)
    embedding = run_folder.read_embedding(folder / f"embedding_{name}.csv", colours.names)
    flat = embedding.shape[1] == 2
    title = "2D Colour Embeddings" if flat else None
    axes = plot_embedding(embedding, colours.rgb, title=title)
    stem = "main" if flat else f"embedding_{name}"
    drawn = save_figure(axes.figure, out / stem)
    epoch, snapshots, loss = run_folder.read_snapshots(_snapshots(folder, name))
    if len(loss):
        # Half precision overflows at 65504, which a diverging training may exceed.
        finite = np.isfinite(snapshots).all(axis=(1, 2))
        moments = plot_moments(epoch[finite], snapshots[finite], colours.rgb, loss=loss)
        drawn += save_figure(moments, out / f"moments_{name}")
    return drawn


def draw_losses(folder: Path, out: Path) -> list[Path]:
    """Draw the losses of all trainings with Bayes-optimal and base-rate loss; see `draw`."""
    trainings = _trainings(folder)
    curves = {
        f"{entry['dim']}-D, seed {entry['seed']}": run_folder.read_snapshots(
            _snapshots(folder, name)
        ).loss
        for name, entry in trainings.items()
    }
    curves = {label: loss for label, loss in curves.items() if len(loss)}
    if not curves:
        return []
    first = next(iter(trainings.values()))
    axes = plot_losses(curves, best=first["best_loss"], base_rate=first["base_rate_loss"])
    return save_figure(axes.figure, out / "losses")


def _trainings(folder: Path) -> dict[str, dict[str, Any]]:
    """Read from metrics.json the entries of each training that the figures use."""
    keys, path = ("dim", "seed", "best_loss", "base_rate_loss"), folder / "metrics.json"
    with run_folder.reading(path):
        entries = run_folder.read_json(path).items()
        return {name: {key: entry[key] for key in keys} for name, entry in entries}


def _snapshots(folder: Path, name: str) -> Path:
    return folder / f"snapshots_{name}.npz"
