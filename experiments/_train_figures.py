"""Draw the figures of a training on user pairs from the files in its run folder alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib import patches
from matplotlib.lines import Line2D

from colour_embed.evaluate.geometry import principal_axes
from colour_embed.evaluate.uncertainty import Ellipse, ellipse
from colour_embed.io import run_folder, vectors
from colour_embed.viz.curves import plot_calibration
from colour_embed.viz.embedding import plot_items
from colour_embed.viz.style import drawing, item_looks, legend_above, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_ITEMS = 20_000
"""Most items in a map. Of more, those with the greatest weight of pairs are drawn."""


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
    return [*draw_map(folder, out), *_draw_losses(folder, out), *_draw_calibration(folder, out)]


_ARRAYS = ("weight", "rgb", "group", "covariance", "draws")
_ELLIPSES = 6  # of the least certain items


def draw_map(folder: Path, out: Path, title: str | None = None) -> list[Path]:
    """Draw the map of the items, with as many names as fit; see `draw`.

    Embeddings of more than three dimensions are projected to their first two principal axes.
    """
    names, points = _embedding(folder)
    arrays = _item_arrays(folder, len(names))
    weight = arrays.pop("weight")
    if len(names) > MOST_ITEMS:
        kept = np.sort(np.argsort(-weight, kind="stable")[:MOST_ITEMS])
        shown = f"{MOST_ITEMS:,} of {len(names):,} items"
        title = shown if title is None else f"{title}; {shown}"
        names, points, weight = [names[place] for place in kept], points[kept], weight[kept]
        arrays = {name: values[kept] for name, values in arrays.items()}
    about: dict[str, Any] = {"title": title, "rank": -weight}
    if "rgb" in arrays:
        about["rgb"] = arrays["rgb"] / 255
    elif "group" in arrays:
        about["groups"] = arrays["group"].tolist()
    flat = points.shape[1] == 2 and "covariance" in arrays  # before the projection
    if points.shape[1] > 3:
        points, about["axis_names"] = _principal(points)
    axes = plot_items(points, names, **about)
    if flat:
        rgb = item_looks(len(names), about.get("rgb"), about.get("groups")).rgb
        _draw_ellipses(axes, points, rgb, ellipse(arrays["covariance"], arrays["draws"]))
    return save_figure(axes.figure, out / "embedding")


def _draw_ellipses(axes: Axes, points: np.ndarray, rgb: np.ndarray, found: Ellipse) -> None:
    """Draw the ellipses of the items whose positions are the least certain, in their colours."""
    axes.autoscale(False)  # the names are placed for these limits
    size = np.nan_to_num(found.radii.max(axis=1), nan=-1.0)
    for place in np.argsort(-size)[:_ELLIPSES]:
        if size[place] <= 0:
            continue
        turn = found.axes[place]
        angle = np.degrees(np.arctan2(turn[1, 0], turn[0, 0]))
        look = {"facecolor": (*rgb[place], 0.06), "edgecolor": rgb[place], "linewidth": 0.8}
        size_of = 2 * found.radii[place]
        axes.add_patch(patches.Ellipse(points[place], *size_of, angle=angle, zorder=0.5, **look))
        axes.plot(*points[place], "o", markersize=9, fillstyle="none", color=rgb[place])
    said = f"ellipses: 95 %, of the {_ELLIPSES} least certain items, which are ringed"
    axes.set_title(said, loc="left", color="0.35", fontsize=7)


def _embedding(folder: Path) -> tuple[list[str], np.ndarray]:
    named = vectors.read_csv(folder / "embedding.csv")
    return named.items, named.vectors.astype(np.float64)


def _item_arrays(folder: Path, count: int) -> dict[str, np.ndarray]:
    """Read items.npz: weight [items], and rgb [items, 3] or group [items]."""
    path = folder / "items.npz"
    with run_folder.reading(path), path.open("rb") as file, np.load(file) as stored:
        arrays = {name: stored[name] for name in _ARRAYS if name in stored}
        if any(len(values) != count for values in arrays.values()):
            raise ValueError("it holds another number of items than embedding.csv")
        arrays["weight"] = stored["weight"].astype(np.float64)
        return arrays


def _principal(points: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Project points [items, d] to their first two principal axes; returns them and axis labels."""
    flat = principal_axes(points, 2)
    total = ((points - points.mean(axis=0)) ** 2).sum()
    shares = (flat**2).sum(axis=0) / total if total else np.zeros(2)
    return flat, [
        f"principal axis {axis + 1} of {points.shape[1]} ({100 * share:.0f} % of the variance)"
        for axis, share in enumerate(shares)
    ]


def _draw_losses(folder: Path, out: Path) -> list[Path]:
    """Draw the losses of all restarts against the steps; see `draw`."""
    path = folder / "losses.csv"
    with run_folder.reading(path):
        losses = pd.read_csv(path)[["step", "restart", "loss", "heldout_loss"]]
        losses = losses.astype({"loss": float, "heldout_loss": float})
    metrics = run_folder.read_json(
        folder / "metrics.json", ("best_restart", "best_step", "quality")
    )
    with run_folder.reading(folder / "metrics.json"):
        best, best_step = metrics["best_restart"], metrics["best_step"]
        base_rate = metrics["quality"]["training"]["base_rate_loss"]
    styles = {"loss": ("black", "-", "training"), "heldout_loss": ("#0072B2", "--", "held-out")}
    handles = {}
    with drawing(None, height=2.3) as axes:
        for restart, rows in sorted(losses.groupby("restart"), key=lambda pair: pair[0] == best):
            for column, (colour, dash, label) in styles.items():
                values = rows[column].to_numpy()
                values = np.where(np.isfinite(values), values, np.nan)
                if np.isnan(values).all():
                    continue
                kept = restart == best
                axes.plot(
                    rows["step"],
                    values,
                    color=colour,
                    linestyle=dash,
                    linewidth=1.1 if kept else 0.5,
                    alpha=1 if kept else 0.3,
                    marker="o" if len(rows) == 1 else None,
                    markersize=3,
                )
                handles[label] = Line2D([], [], color=colour, linestyle=dash)
        count = losses["restart"].nunique()
        handles[f"best of {count}: step {best_step:,}"] = axes.axvline(
            best_step, color="0.4", linewidth=0.8, linestyle=":"
        )
        handles[f"base-rate loss: {base_rate:.4f}"] = axes.axhline(
            base_rate, color="0.6", linewidth=0.7, linestyle="-", zorder=1
        )
        axes.set(xlabel="step", ylabel="loss (nats per pair)")
        axes.margins(x=0.02, y=0.1)
        legend_above(axes, list(handles.values()), list(handles))
    return save_figure(axes.figure, out / "losses")


def _draw_calibration(folder: Path, out: Path) -> list[Path]:
    """Draw the calibration of the probabilities by bin; see `draw`."""
    path = folder / "metrics.json"
    calibration = run_folder.read_json(path, ("calibration",))["calibration"]
    with run_folder.reading(path):
        names = ("predicted", "share", "low", "high")
        columns = [[one[name] for one in calibration["bins"]] for name in names]
        about = {"error": calibration["error"], "label": calibration["of"]}
        axes = plot_calibration(*columns, **about)
    return save_figure(axes.figure, out / "calibration")
