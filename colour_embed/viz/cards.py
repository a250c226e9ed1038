"""HTML that notebooks show of a result: a table, and a figure that exported notebooks keep."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from colour_embed.evaluate.geometry import principal_axes
from colour_embed.runs import Fit, SweepResult
from colour_embed.viz.curves import plot_losses
from colour_embed.viz.embedding import plot_items
from colour_embed.viz.style import item_looks, legible, panels, style

__all__ = ["of_fit", "of_pair_embedding", "of_sweep"]

_DPI = 100
_MOST_POINTS = 5000  # of a map; of more items every k-th is drawn
_MOST_NAMED = 300  # items; with more, a map without names says as much
_TRAPPED = "in the sign trap: similar items repel"


def of_fit(fit: Fit) -> str:
    """Return the HTML of one training: its result, its map and its loss."""
    config, epochs = fit.config, len(fit.loss)
    rows = {
        "head": config.head,
        "items": f"{len(fit.embedding):,}",
        "dim": fit.embedding.shape[1],
        "seed": config.seed,
        "epochs": f"{epochs} of {config.epochs}, {fit.status}",
        "loss": f"{fit.loss[-1]:.4f} nats per pair" if epochs else "none",
        "weight": f"{fit.kernel:.4f}" + (f", {_TRAPPED}" if fit.trapped else ""),
        "bias": f"{fit.bias:.4f}",
    }
    figure, ((left, right),) = panels(1, 2, height=2.5)
    _draw_losses(right, {"training": fit.loss}, "epoch")
    _draw_map(left, fit.embedding)
    return _card("Fit", _table(list(rows.items())), figure)


def of_sweep(result: SweepResult) -> str:
    """Return the HTML of a sweep: a row per dimension, and the losses of the members."""
    dims = np.array([member.dim for member in result.members])
    final = np.array([_last_finite(loss) for loss in result.loss])
    rows: list[Sequence[Any]] = [
        ("dim", "members", "lowest loss", "median loss", "trapped", "diverged")
    ]
    for dim in np.unique(dims):
        chosen = dims == dim
        known = final[chosen & np.isfinite(final)]
        losses = (f"{known.min():.4f}", f"{np.median(known):.4f}") if known.size else ("", "")
        trapped, diverged = result.trapped[chosen], result.diverged[chosen] > 0
        counts = f"{trapped.mean():.0%}", f"{diverged.mean():.0%}"
        rows.append((dim, chosen.sum(), *losses, *counts))
    curves = {f"{dim}-D": result.loss[dims == dim] for dim in np.unique(dims)}
    figure, ((ax,),) = panels(1, 1, height=2.5)
    _draw_losses(ax, curves, "epoch" if result.evaluations is None else "evaluation")
    heads = ", ".join(dict.fromkeys(member.head for member in result.members))
    title = f"SweepResult: {len(result)} members, head {heads}"
    return _card(title, _table(rows, header=True), figure)


def of_pair_embedding(model: Any) -> str:
    """Return the HTML of a fitted `PairEmbedding`: its result, map with names and losses."""
    losses = {"training": model.loss_curve_}
    if model.heldout_loss_curve_ is not None:
        losses["held out"] = model.heldout_loss_curve_
    rows = {
        "items": f"{len(model.items_):,}",
        "dim": model.embedding_.shape[1],
        "steps": f"{model.n_iter_:,}, stopped by {model.stopped_}",
        f"{list(losses)[-1]} loss": f"{np.nanmin(model.restart_losses_):.4f} nats per pair",
        "weight": f"{model.kernel_:.4f}",
        "bias": f"{model.bias_:.4f}",
        "share similar": f"{model.base_rate_:.1%}",
    }
    figure, ((left, right),) = panels(1, 2, height=3.0)
    _draw_losses(right, losses, "evaluation")
    names = [str(item) for item in model.items_] if len(model.items_) <= _MOST_NAMED else None
    _draw_map(left, model.embedding_, names)
    return _card(type(model).__name__, _table(list(rows.items())), figure)


def _last_finite(loss: ArrayLike) -> float:
    """Return the last finite number of [E]; NaN if there is none."""
    finite = np.asarray(loss)[np.isfinite(loss)]
    return float(finite[-1]) if finite.size else np.nan


def _draw_losses(ax: Axes, losses: Mapping[str, Any], unit: str) -> None:
    known = {label: loss for label, loss in losses.items() if np.isfinite(loss).any()}
    if not known:
        ax.set_axis_off()
        return
    plot_losses(known, ax).set(xlabel=unit, ylabel="loss (nats per pair)")


def _draw_map(ax: Axes, embedding: np.ndarray, names: Sequence[str] | None = None) -> None:
    """Draw two coordinates, or of more dimensions the two principal axes; the layout is fixed."""
    finite = np.flatnonzero(np.isfinite(embedding).all(axis=1))
    points = np.asarray(embedding, np.float64)[finite]
    if not len(points):
        ax.set_axis_off()
        return
    axis_names = ("$x_0$", "$x_1$")
    if points.shape[1] > 2:
        points, axis_names = principal_axes(points, 2), ("principal axis 1", "principal axis 2")
    if names is not None:
        shown = [legible(names[place]) for place in finite]
        plot_items(points, shown, ax, axis_names=axis_names)
        return
    points = points[:: -(-len(points) // _MOST_POINTS)]
    if points.shape[1] == 1:
        points = np.column_stack([points, np.argsort(np.argsort(points[:, 0]))])
        axis_names = ("$x_0$", "order")
    (look,) = item_looks(len(points)).looks
    with style():
        ax.scatter(*points.T, **look.scatter(10))
        ax.set(xlabel=axis_names[0], ylabel=axis_names[1])
        ax.set_aspect("equal" if axis_names[1] != "order" else "auto", adjustable="datalim")


def _table(rows: Sequence[Sequence[Any]], *, header: bool = False) -> str:
    """Return an HTML table; the first row or else the first column holds the names."""
    lines = []
    for place, row in enumerate(rows):
        cells = []
        for column, value in enumerate(row):
            tag = "th" if (place == 0 if header else column == 0) else "td"
            align = "right" if header else "left"
            text = html.escape(str(value))
            cells.append(f'<{tag} style="text-align:{align}">{text}</{tag}>')
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table>{''.join(lines)}</table>"


def _card(title: str, table: str, figure: Figure) -> str:
    picture = io.BytesIO()
    with style():  # matplotlib reads fonts and ticks when it draws
        figure.savefig(picture, format="png", dpi=_DPI, metadata={"Software": None})
    source = base64.b64encode(picture.getvalue()).decode("ascii")
    return (
        '<div style="display:flex;flex-wrap:wrap;align-items:center;gap:1em">'
        f"<div><b>{html.escape(title)}</b>{table}</div>"
        f'<img alt="{html.escape(title)}" style="max-width:100%" '
        f'src="data:image/png;base64,{source}"></div>'
    )
