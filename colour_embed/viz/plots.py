"""Figures from arrays: embeddings in their items' colours, losses, and what a sweep found.

Every function takes NumPy arrays, never trains, and returns the Axes or Figure it drew on. A figure
made here does not register with pyplot, so none stays open; `save_figure` writes it.
"""

import functools
import io
import os
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import cycle
from pathlib import Path

import matplotlib as mpl
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.legend import Legend
from matplotlib.legend_handler import HandlerTuple
from matplotlib.ticker import LogFormatter, MaxNLocator
from matplotlib.transforms import offset_copy
from mpl_toolkits.mplot3d.axes3d import Axes3D
from mpl_toolkits.mplot3d.proj3d import proj_transform
from numpy.typing import ArrayLike, NDArray

from colour_embed.io.run_folder import replacing_file

__all__ = [
    "DOUBLE_COLUMN",
    "MARKER",
    "SHAPES",
    "SINGLE_COLUMN",
    "STYLE_FILE",
    "drawing",
    "group_colours",
    "legend_above",
    "legible",
    "plot_calibration",
    "plot_embedding",
    "plot_embedding_3d",
    "plot_items",
    "plot_losses",
    "plot_loss_bands",
    "plot_members",
    "plot_moments",
    "plot_quality_by_dimension",
    "plot_recovery_by_weight",
    "reference_line",
    "save_figure",
    "style",
]

STYLE_FILE = Path(__file__).with_name("colour_embed.mplstyle")
"""The one style file of all figures."""

SINGLE_COLUMN = 3.5
"""Width of a one-column figure, inches."""

DOUBLE_COLUMN = 7.2
"""Width of a two-column figure, inches."""

MARKER = {"marker": "o", "edgecolors": "0.6", "linewidths": 0.3}
"""How every point is drawn, as `scatter` takes it; the grey edge keeps white points visible."""

SHAPES = "os^DvP*<>"
"""Markers that are told apart by shape alone, one per group."""

OTHER = "other"
"""What `plot_items` calls the groups that it has no look for."""

_GROUP_COLOURS = ("0072B2", "D55E00", "009E73", "CC79A7", "E69F00", "56B4E9", "7F3C8D", "000000")
_NO_GLYPH = "□"
_NAMES_TRIED = 1500
_VECTOR_POINTS = 3000  # a PDF of more markers than these holds them as a picture

# Dates and version strings would make the same figure differ from one run to the next.
_METADATA = {
    "png": {"Software": None},
    "pdf": {"Creator": None, "Producer": None, "CreationDate": None},
}


def style() -> AbstractContextManager[None]:
    """Return a context in which matplotlib uses this package's style, whatever the user's own is.

    Example:
        >>> with style():
        ...     mpl.rcParams["font.size"]
        8.0
    """
    return mpl.style.context(["default", STYLE_FILE])


def plot_embedding(
    embedding: ArrayLike,
    rgb: ArrayLike,
    ax: Axes | None = None,
    *,
    title: str | None = None,
    size: float = 20,
    equal: bool = False,
) -> Axes:
    """Scatter a 2-D embedding, each item in its own colour: the tutorial's main figure.

    Args:
        embedding: [C, 2], a row per item.
        rgb: [C, 3], red, green and blue in 0..1.
        ax: where to draw; a new one-column figure when None.
        title: text above the axes.
        size: area of a marker, square points.
        equal: give both axes one scale, so that distances read true in every direction. The
            tutorial's figure does not.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: a wrong shape, an embedding that is not finite, or a colour outside 0..1.
    """
    embedding, rgb = _checked(embedding, rgb, dims=(2,))
    with drawing(ax, height=2.8) as ax:
        ax.scatter(*embedding.T, s=size, c=rgb, **MARKER)
        ax.set(xlabel="$x_0$", ylabel="$x_1$")
        if equal:
            ax.set_aspect("equal", adjustable="datalim")
        if title is not None:
            ax.set_title(title)
    return ax


def plot_embedding_3d(
    embedding: ArrayLike,
    rgb: ArrayLike,
    ax: Axes3D | None = None,
    *,
    title: str | None = None,
    size: float = 14,
    azimuth: float = -60,
    elevation: float = 20,
) -> Axes3D:
    """Scatter a 3-D embedding, each item in its own colour.

    Args:
        embedding: [C, 3], a row per item.
        rgb: [C, 3], red, green and blue in 0..1.
        ax: where to draw, made with `projection="3d"`; a new one-column figure when None.
        title: text above the axes.
        size: area of a marker, square points.
        azimuth: of the eye, degrees about the vertical axis.
        elevation: of the eye, degrees above the horizontal plane.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: a wrong shape, an embedding that is not finite, a colour outside 0..1, or flat
            axes.
    """
    embedding, rgb = _checked(embedding, rgb, dims=(3,))
    if ax is not None and not isinstance(ax, Axes3D):
        raise ValueError('ax is flat: make it with add_subplot(projection="3d")')
    with drawing(ax, height=3.1, projection="3d") as ax:
        # Shading by depth would fade the colours, and here the colours are the data.
        ax.scatter(*embedding.T, s=size, c=rgb, depthshade=False, **MARKER)
        ax.view_init(elev=elevation, azim=azimuth)
        ax.set(xlabel="$x_0$", ylabel="$x_1$", zlabel="$x_2$")
        _finish_3d(ax)
        if title is not None:
            ax.set_title(title)
    return ax


def plot_losses(
    losses: Mapping[str, ArrayLike],
    ax: Axes | None = None,
    *,
    best: float | None = None,
    base_rate: float | None = None,
) -> Axes:
    """Draw training losses against the epoch, beside the two losses that give them meaning.

    Args:
        losses: label -> [E], nats per pair, the first being epoch 1; lengths may differ.
        ax: where to draw; a new one-column figure when None.
        best: the lowest loss that can be reached without memorising the labels, nats per pair.
        base_rate: the loss of always guessing the share of positives, nats per pair.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: no losses, or one that is not a row of at least one number.
    """
    if not losses:
        raise ValueError("losses is empty: give at least one label -> [E]")
    curves = {label: np.asarray(loss, dtype=np.float64) for label, loss in losses.items()}
    for label, curve in curves.items():
        if curve.ndim != 1 or curve.size == 0:
            raise ValueError(f"losses[{label!r}] must be [E] with E >= 1, got {curve.shape}")

    with style():
        looks = cycle(mpl.rcParams["axes.prop_cycle"])  # these dashes on a caller's axes too
    with drawing(ax, height=2.6) as ax:
        for (label, curve), look in zip(curves.items(), looks):
            dot = "o" if curve.size == 1 else None  # one epoch makes no line
            ax.plot(np.arange(1, curve.size + 1), curve, label=label, marker=dot, **look)
        _finish_losses(ax, best, base_rate)
        legend_above(ax, columns=_loss_columns(curves))
    return ax


def plot_moments(
    epoch: ArrayLike,
    embedding: ArrayLike,
    rgb: ArrayLike,
    *,
    loss: ArrayLike | None = None,
    count: int = 6,
) -> Figure:
    """Draw the embedding at a few moments of its training, first and last among them.

    The moments between lie evenly in log(1 + epoch), since most of the change comes early. Each
    panel has its own limits, as the embedding grows by more than ten times: the ticks tell.

    Args:
        epoch: [F], whole, increasing; 0 is the untrained embedding.
        embedding: [F, C, d], d = 2 or 3, the embedding at the end of each of these epochs.
        rgb: [C, 3], red, green and blue in 0..1.
        loss: [E], nats per pair, the first being epoch 1; written above the panels.
        count: number of panels, 2 to 26; fewer are drawn where there are fewer snapshots.

    Returns:
        The figure, two columns wide.

    Raises:
        ValueError: a wrong shape, epochs that do not increase, a loss that ends before the last
            epoch, an embedding that is not finite, a colour outside 0..1, or a count out of range.
    """
    epoch, embedding = np.asarray(epoch), np.asarray(embedding)
    if embedding.ndim != 3 or epoch.shape != embedding.shape[:1] or not epoch.size:
        raise ValueError(
            "epoch must be [F] and embedding [F, C, d] with F >= 1, "
            f"got {epoch.shape} and {embedding.shape}"
        )
    if not np.issubdtype(epoch.dtype, np.integer) or epoch[0] < 0 or np.any(np.diff(epoch) <= 0):
        raise ValueError("epoch must be whole numbers from 0 up, each above the one before it")
    if not 2 <= count <= len(string.ascii_lowercase):
        raise ValueError(f"count must be 2 to 26, got {count}")
    if loss is not None:
        loss = np.asarray(loss)
        if loss.ndim != 1 or loss.size < epoch[-1]:
            raise ValueError(
                f"loss must be [E], an entry for each of {epoch[-1]} epochs, got {loss.shape}"
            )

    moments = _choose_moments(epoch, count)
    frames = [_checked(embedding[moment], rgb, dims=(2, 3)) for moment in moments]
    flat = embedding.shape[-1] == 2
    columns = min(3, len(moments))
    rows = -(-len(moments) // columns)
    with style():
        width = DOUBLE_COLUMN * columns / 3
        figure = Figure(figsize=(width, rows * (2.1 if flat else 2.2)), layout="constrained")
        if not flat:
            figure.get_layout_engine().set(rect=(0, 0, 0.98, 1))  # room for the last $x_2$
        for panel, (moment, (points, colours)) in enumerate(zip(moments, frames)):
            now = int(epoch[moment])
            title = f"epoch {now}"
            if loss is not None and now > 0:
                title += f", loss {loss[now - 1]:.3f}"
            place = (rows, columns, panel + 1)
            if flat:
                ax = plot_embedding(points, colours, figure.add_subplot(*place), size=8)
                ax.locator_params(nbins=5, steps=[1, 2, 5, 10])  # -0.04 and its like are wide
            else:
                ax = figure.add_subplot(*place, projection="3d")
                plot_embedding_3d(points, colours, ax, size=6)
            ax.set_title(title)
            ax.set_title(string.ascii_lowercase[panel], loc="left", fontweight="bold")
    return figure


def plot_loss_bands(
    losses: Mapping[str, ArrayLike],
    ax: Axes | None = None,
    *,
    best: float | None = None,
    base_rate: float | None = None,
) -> Axes:
    """Draw the training losses of groups of members: a median line in a band of the middle half.

    The band runs from the lower to the upper quartile over the members, epoch by epoch: it shows
    how members differ, not how surely the median is known. Losses that are not finite, as of
    members that diverged, are left out from their epoch on; say in the label how many there are.

    Args:
        losses: label, such as "d = 2 (17 recovered)" -> [M, E], nats per pair, a row per member,
            the first column being epoch 1; M and E may differ.
        ax: where to draw; a new one-column figure when None.
        best: the lowest loss that can be reached without memorising the labels, nats per pair.
        base_rate: the loss of always guessing the share of positives, nats per pair.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: no losses, or a group without a member, an epoch or a finite loss.
    """
    if not losses:
        raise ValueError("losses is empty: give at least one label -> [M, E]")
    groups = {label: np.asarray(loss, dtype=np.float64) for label, loss in losses.items()}
    for label, group in groups.items():
        if group.ndim != 2 or group.size == 0:
            raise ValueError(
                f"losses[{label!r}] must be [M, E] with M >= 1 and E >= 1, got {group.shape}"
            )
        if not np.isfinite(group).any():
            raise ValueError(f"losses[{label!r}] has no finite number: leave the group out")

    with style():
        looks = cycle(mpl.rcParams["axes.prop_cycle"])
    handles = []
    with drawing(ax, height=2.9) as ax:
        for group, look in zip(groups.values(), looks):
            finite = np.isfinite(group)
            epoch = 1 + np.flatnonzero(finite.any(axis=0))
            kept = np.where(finite, group, np.nan)[:, epoch - 1]
            low, median, high = np.nanquantile(kept, (0.25, 0.5, 0.75), axis=0)
            lone = epoch.size == 1  # one epoch makes no line, and no area
            band = ax.fill_between(
                epoch, low, high, color=look["color"], alpha=0.2, linewidth=1 if lone else 0
            )
            (line,) = ax.plot(epoch, median, marker="o" if lone else None, **look)
            handles.append((band, line))
        _finish_losses(ax, best, base_rate)
        legend_above(
            ax,
            handles,
            list(groups),
            columns=_loss_columns(groups),
            title="median over members; band: middle half (quartiles)",
        )
    return ax


def plot_quality_by_dimension(
    dims: ArrayLike,
    mean: ArrayLike,
    low: ArrayLike,
    high: ArrayLike,
    ax: Axes | None = None,
    *,
    selected: int | None = None,
    floor: float | None = None,
    label: str = "held-out loss (nats per pair)",
    statistic: str = "mean",
) -> Axes:
    """Draw a measure of quality against the embedding's dimension, with 95 % intervals.

    Args:
        dims: [D], whole, increasing.
        mean: [D], the measure's mean, of any kind, over the members of each dimension, finite.
        low: [D], lower end of the 95 % interval of the mean; NaN at both ends draws no interval.
        high: [D], upper end.
        ax: where to draw; a new one-column figure when None.
        selected: one of `dims`, drawn filled, with a dotted line and its name.
        floor: the best that can be reached, drawn as a line across.
        label: of the vertical axis, the measure and its unit.
        statistic: which mean it is, for the legend.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: shapes that differ, dimensions that do not increase, a mean that is not finite
            or lies outside its interval, or a selected dimension that is not there.
    """
    dims = np.asarray(dims)
    mean, low, high = (np.asarray(values, dtype=np.float64) for values in (mean, low, high))
    if dims.ndim != 1 or not dims.size or {mean.shape, low.shape, high.shape} != {dims.shape}:
        raise ValueError(
            "dims, mean, low and high must all be [D] with D >= 1, "
            f"got {dims.shape}, {mean.shape}, {low.shape} and {high.shape}"
        )
    if not np.issubdtype(dims.dtype, np.integer) or np.any(np.diff(dims) <= 0):
        raise ValueError("dims must be whole numbers, each above the one before it")
    if not np.isfinite(mean).all():
        raise ValueError("mean has numbers that are not finite: leave those dimensions out")
    if np.any(low > mean) or np.any(high < mean):
        raise ValueError("each mean must lie between its low and its high")
    if selected is not None and selected not in dims:
        raise ValueError(f"selected must be among {dims.tolist()}, got {selected}")

    with drawing(ax, height=2.4) as ax:
        ax.plot(dims, mean, color="0.7", linewidth=0.7, zorder=1)  # leads the eye
        bars = ax.errorbar(
            dims,
            mean,
            yerr=(mean - low, high - mean),
            color="black",
            linestyle="none",
            marker="o",
            markersize=4.5,
            markerfacecolor="white",
            markeredgewidth=0.9,
            elinewidth=0.9,
            capsize=2.5,
            label=f"{statistic} and 95 % interval",
        )
        ax.set(xlabel="dimension $d$", ylabel=label, xlim=(dims[0] - 0.5, dims[-1] + 0.5))
        ax.set_xticks(dims)
        ax.margins(y=0.17)  # room for the name of the floor
        handles = [bars]
        if selected is not None:
            chosen = f"selected: $d$ = {selected}"
            ax.axvline(selected, color="0.3", linewidth=0.8, linestyle=":", zorder=1)
            handles += ax.plot(
                [selected],
                mean[dims == selected],
                color="black",
                linestyle="none",
                marker="o",
                markersize=4.5,
                zorder=4,
                label=chosen,
            )
        if floor is not None:
            # Below the line, where no mean can lie; the measure may also grow towards its floor.
            reference_line(ax, floor, "best possible", x=0.99, below=bool(floor <= mean.min()))
        # One below the other: side by side, a long name would push the axes together.
        legend_above(ax, handles, columns=1, markers=True)
    return ax


def plot_recovery_by_weight(
    initial_weight: ArrayLike,
    recovered: ArrayLike,
    dims: ArrayLike,
    ax: Axes | None = None,
    *,
    spearman: ArrayLike | None = None,
) -> Axes:
    """Draw which members recovered against the dense weight they started from: the sign trap.

    A filled marker recovered, a hollow one failed, and its shape tells the dimension.

    Args:
        initial_weight: [M], the dense weight before training, a number per member.
        recovered: [M], bool.
        dims: [M], whole, the dimension of each member's embedding.
        ax: where to draw; a new one-column figure when None.
        spearman: [M], rank correlation of distances with the truth, drawn upwards; a member
            without one (NaN: diverged) is a cross on the lower edge. When None, members stand in
            two rows, recovered and failed, spread a little so that they do not cover each other.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: shapes that differ, no members, a recovered that is not bool, dims that are not
            whole, a weight that is not finite, or a recovered member without a Spearman.
    """
    weight = np.asarray(initial_weight, dtype=np.float64)
    recovered, dims = np.asarray(recovered), np.asarray(dims)
    if weight.ndim != 1 or not weight.size or {recovered.shape, dims.shape} != {weight.shape}:
        raise ValueError(
            "initial_weight, recovered and dims must all be [M] with M >= 1, "
            f"got {weight.shape}, {recovered.shape} and {dims.shape}"
        )
    if recovered.dtype != bool or not np.issubdtype(dims.dtype, np.integer):
        raise ValueError(
            f"recovered must be bool and dims whole, got {recovered.dtype} and {dims.dtype}"
        )
    if not np.isfinite(weight).all():
        raise ValueError("initial_weight has numbers that are not finite")
    if spearman is None:
        # Steps of the golden ratio: spread evenly, at random to no eye, the same every time.
        height = recovered + 0.5 * ((np.arange(weight.size) * 0.6180339887) % 1 - 0.5)
    else:
        height = np.asarray(spearman, dtype=np.float64)
        if height.shape != weight.shape:
            raise ValueError(f"spearman must be [{weight.size}], got {height.shape}")
        if np.any(recovered & ~np.isfinite(height)):
            raise ValueError("a recovered member has a spearman that is not finite")

    with style():
        colours = [look["color"] for look in mpl.rcParams["axes.prop_cycle"]]
    drawn = np.isfinite(height)
    handles, labels = [], []
    with drawing(ax, height=2.6 + 0.08 * np.unique(dims).size) as ax:
        for shape, colour, dim in zip(cycle(SHAPES), cycle(colours), np.unique(dims)):
            handle = []
            for outcome in (True, False):
                here = (dims == dim) & (recovered == outcome) & drawn
                handle += ax.plot(
                    weight[here],
                    height[here],
                    linestyle="none",
                    marker=shape,
                    color=colour,
                    markersize=4.5,
                    markeredgewidth=0.8,
                    markerfacecolor=colour if outcome else "none",
                    alpha=0.8,
                )
            handles.append(tuple(handle))
            counts = [np.sum((dims == dim) & (recovered == outcome)) for outcome in (True, False)]
            labels.append(f"$d$ = {dim}: {counts[0]} / {counts[1]}")
        if not drawn.all():
            handles += ax.plot(
                weight[~drawn],
                np.zeros(np.sum(~drawn)),
                linestyle="none",
                marker="x",
                color="0.3",
                transform=ax.get_xaxis_transform(),  # 0 is the lower edge
                clip_on=False,
            )
            labels.append(f"diverged: {np.sum(~drawn)}")
        ax.axvline(0, color="0.45", linewidth=0.7, zorder=1)
        ax.annotate(
            "weight 0",
            (0, 0.5),
            xycoords=ax.get_xaxis_transform(),
            xytext=(2, 0),
            textcoords="offset points",
            rotation=90,
            verticalalignment="center",
            fontsize=7,
            color="0.3",
        )
        ax.set_xlabel("dense weight before training")
        if spearman is None:
            ax.set_yticks([0, 1], ["failed", "recovered"])
            ax.set_ylim(-0.45, 1.45)
        else:
            ax.set_ylabel("Spearman with true distances")
        legend_above(
            ax,
            handles,
            labels,
            columns=2,
            title=f"{recovered.sum()} recovered (filled) / {np.sum(~recovered)} failed (hollow)",
            markers=True,
        )
    return ax


def plot_members(
    embeddings: ArrayLike,
    rgb: ArrayLike,
    titles: Sequence[Sequence[str]],
    *,
    failed: ArrayLike | None = None,
) -> Figure:
    """Draw many embeddings as a grid of small panels, such as a row per seed, a column per dim.

    Align the members to one another before, or they differ by a turn that means nothing. Each
    panel has its own limits and no ticks, so sizes can't be compared from panel to panel; within
    one, both axes have the same scale. Of more than two dimensions pass two, such as the first
    principal axes; of one dimension pass zeros as the second, which are drawn as a strip of
    coloured strokes.

    Args:
        embeddings: [rows, columns, C, 2]; one with numbers that are not finite (its training
            diverged) leaves its panel empty but for a word.
        rgb: [C, 3], red, green and blue in 0..1.
        titles: [rows][columns], text above each panel.
        failed: [rows, columns], bool, members that did not recover: framed in thick grey, and
            "failed" added to their titles. None: no member.

    Returns:
        The figure: one column wide up to three panels, else two.

    Raises:
        ValueError: a wrong shape, or a colour outside 0..1.
    """
    embeddings = np.asarray(embeddings, dtype=np.float64)
    if embeddings.ndim != 4 or embeddings.shape[-1] != 2 or not embeddings.size:
        raise ValueError(
            f"embeddings must be [rows, columns, C, 2] with one of each, got {embeddings.shape}"
        )
    rows, columns = grid = embeddings.shape[:2]
    if [len(row) for row in titles] != [columns] * rows:
        raise ValueError(f"titles must be [{rows}][{columns}], a text for each panel")
    failed = np.zeros(grid, dtype=bool) if failed is None else np.asarray(failed)
    if failed.shape != grid or failed.dtype != bool:
        raise ValueError(
            f"failed must be [{rows}, {columns}] bool, got {failed.shape} {failed.dtype}"
        )
    _, rgb = _checked(np.zeros(embeddings.shape[2:]), rgb, dims=(2,))

    width = SINGLE_COLUMN if columns <= 3 else DOUBLE_COLUMN
    with style():
        height = rows * (width / columns + 0.16)
        figure = Figure(figsize=(width, height), layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False)
        for place, ax in np.ndenumerate(panels):
            title = titles[place[0]][place[1]]
            if failed[place]:
                title += ", failed" if title else "failed"
            ax.set_title(title, fontsize=7, pad=3)
            ax.set(xticks=[], yticks=[])
            ax.set_box_aspect(1)
            ax.spines[:].set(
                visible=True,
                color="0.6" if failed[place] else "0.2",
                linewidth=2 if failed[place] else 0.4,
            )
            _draw_member(ax, embeddings[place], rgb)
    return figure


def plot_items(
    points: ArrayLike,
    names: Sequence[str],
    ax: Axes | None = None,
    *,
    rgb: ArrayLike | None = None,
    groups: Sequence[str] | None = None,
    rank: ArrayLike | None = None,
    axis_names: Sequence[str] = ("$x_0$", "$x_1$", "$x_2$"),
    title: str | None = None,
) -> Axes:
    """Scatter named items, with as many names beside them as have room, none over another.

    Names are placed one after the other, each at the first of eight places around its point where
    it covers no point, no name and no edge; what fits nowhere is left out, and the title line says
    how many names are shown. Items of one dimension stand one above the other in their order.

    Names are text, never markup; a long one is shortened, and characters that the font lacks
    are shown as boxes. With `ax` its figure's layout is settled here: draw other panels before.

    Args:
        points: [C, 1 to 3], a row per item.
        names: [C].
        ax: where to draw, made with `projection="3d"` for three columns; a new figure when None.
        rgb: [C, 3], each item's own colour, red, green and blue in 0..1.
        groups: [C], the group of each item, told apart by colour and shape; the largest eight are
            named, all others and "" are grey. Not with `rgb`.
        rank: [C], whose names are placed first: the lowest; the order of the rows when None.
        axis_names: of each column.
        title: text above the axes.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: a wrong shape, points that are not finite, a colour outside 0..1, or both
            colours and groups.
    """
    points, dim = np.asarray(points, dtype=np.float64), np.shape(points)[-1]
    count = len(points)
    colours = np.full((count, 3), 0.25) if rgb is None else rgb
    points, colours = _checked(points, colours, dims=(1, 2, 3))
    if len(names) != count or (groups is not None and len(groups) != count):
        raise ValueError(f"names and groups must be [{count}], one for each item")
    if rgb is not None and groups is not None:
        raise ValueError("give rgb or groups, not both")
    if ax is None:
        with style():
            wide = DOUBLE_COLUMN if count > 25 or dim == 3 else SINGLE_COLUMN
            height = min(0.8 + 0.13 * count, 9) if dim == 1 else 0.72 * wide + 0.5
            figure = Figure(figsize=(wide, height), layout="constrained")
            ax = figure.add_subplot(projection="3d" if dim == 3 else None)
    if (dim == 3) != isinstance(ax, Axes3D):
        raise ValueError('ax must be made with projection="3d" for three columns, and only then')
    if dim == 1:  # one above the other in their order
        height = np.empty(count)
        height[np.argsort(points[:, 0], kind="stable")] = np.arange(count)
        points = np.column_stack([points[:, 0], height])
    area = float(np.interp(np.log10(count), [1.5, 2.5, 4], [18, 9, 2]))
    with style():
        handles, labels = [], []
        for chosen, look, label in _looks(colours, groups, rgb is not None):
            depth = {"depthshade": False} if dim == 3 else {}
            handle = ax.scatter(
                *points[chosen].T, s=area, **look, **depth, rasterized=count > _VECTOR_POINTS
            )
            handles.append(handle)
            labels.append(label)
        _finish_items(ax, dim, axis_names, legible(title or "", 80))
        note = ax.set_title(f"names: {count} of {count}", loc="right", color="0.35", fontsize=7)
        if groups is not None:
            legend = legend_above(
                ax, handles, ["-"] * len(labels), columns=3, markers=True, lift=12
            )
            # Set afterwards: a legend leaves out labels that begin with a low line.
            for text, label in zip(legend.get_texts(), labels):
                text.set_parse_math(False)
                text.set_text(legible(label))
        for _ in range(2):
            ax.figure.draw_without_rendering()
        ax.figure.set_layout_engine("none")
        order = np.argsort(np.arange(count) if rank is None else rank, kind="stable")
        shown = _place_names(ax, points, [legible(name) for name in names], order, area)
        note.set_text(f"names: {shown} of {count}")
    return ax


def plot_calibration(
    predicted: ArrayLike,
    share: ArrayLike,
    low: ArrayLike,
    high: ArrayLike,
    ax: Axes | None = None,
    *,
    error: float | None = None,
    label: str = "pairs",
) -> Axes:
    """Draw the share of positives against the probability given, bin by bin, with intervals.

    Args:
        predicted: [B], the mean probability given in each bin.
        share: [B], the share of positives in it.
        low: [B], lower end of the 95 % interval of the share.
        high: [B], upper end.
        ax: where to draw; a new one-column figure when None.
        error: the expected calibration error, written above.
        label: what the bins are of, such as "held-out pairs".

    Returns:
        The axes drawn on.

    Raises:
        ValueError: shapes that differ, no bin, or a share outside its interval.
    """
    predicted, share, low, high = (
        np.asarray(values, dtype=np.float64) for values in (predicted, share, low, high)
    )
    shapes = {values.shape for values in (predicted, share, low, high)}
    if shapes != {(predicted.size,)} or not predicted.size:
        raise ValueError(f"all must be [B] with B >= 1, got {sorted(shapes)}")
    if np.any(low > share) or np.any(high < share):
        raise ValueError("each share must lie between its low and its high")
    # Where nearly all pairs are dissimilar, a square up to 1 would show a heap in its corner.
    reach = min(1.0, 1.08 * max(high.max(), predicted.max()))
    with drawing(ax, height=3.1) as ax:
        ax.plot([0, reach], [0, reach], color="0.6", linewidth=0.7, linestyle="-", zorder=1)
        ax.errorbar(
            predicted,
            share,
            yerr=(share - low, high - share),
            color="black",
            linestyle="none",
            marker="o",
            markersize=3.5,
            elinewidth=0.9,
            capsize=2,
            clip_on=False,
        )
        limits = (-0.02 * reach, reach)
        ax.set(xlabel="probability given", ylabel="share similar", xlim=limits, ylim=limits)
        ax.set_box_aspect(1)
        title = f"{label}, {predicted.size} bins, 95 % intervals"
        if error is not None:
            title += f"\nexpected calibration error {error:.3f}"
        ax.set_title(title, loc="left", fontsize=7)
    return ax


def legible(text: str, longest: int = 28) -> str:
    """A name as a picture can show it: on one line, not too long, and boxes for missing letters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if len(line) > longest:
        line = line[: longest - 1] + "…"
    return "".join(c if ord(c) in _glyphs() else _NO_GLYPH for c in line)


@functools.cache
def _glyphs() -> frozenset[int]:
    """The characters that the style's font has."""
    with style():
        return frozenset(get_font(findfont(FontProperties())).get_charmap())


def group_colours(groups: Sequence[str]) -> NDArray[np.float64]:
    """The colours [C, 3] in 0..1 in which `plot_items` draws items of these groups [C]."""
    rgb = np.empty((len(groups), 3))
    for chosen, look, _ in _looks(rgb, groups, False):
        rgb[chosen] = to_rgb(look["color"])
    return rgb


def _looks(
    colours: NDArray[np.float64], groups: Sequence[str] | None, own: bool
) -> Iterator[tuple[NDArray, dict, str]]:
    """Yield which items share a look, the look as `scatter` takes it, and the group's name."""
    edge = {"edgecolors": "0.6" if own else "white", "linewidths": 0.3}
    if groups is None:
        yield np.arange(len(colours)), {"marker": "o", "c": colours, **edge}, ""
        return
    groups = np.array(groups, dtype=object)
    names = sorted({name for name in groups if name})
    names.sort(key=lambda name: -np.sum(groups == name))
    named = names[: len(_GROUP_COLOURS)]
    rest = ~np.isin(groups, named) if named else np.ones(len(groups), bool)
    if rest.any():
        yield np.flatnonzero(rest), {"marker": "o", "color": "0.7", **edge}, OTHER
    for name, colour, shape in zip(named, _GROUP_COLOURS, SHAPES):
        yield np.flatnonzero(groups == name), {"marker": shape, "color": f"#{colour}", **edge}, name


def _finish_items(ax: Axes, dim: int, axis_names: Sequence[str], title: str) -> None:
    """Name and scale the axes of `plot_items`."""
    if dim == 3:
        _finish_3d(ax)
        ax.set(**{f"{axis}label": name for axis, name in zip("xyz", axis_names)})
    elif dim == 1:
        ax.set(xlabel=axis_names[0], yticks=[])
        ax.spines["left"].set_visible(False)
        ax.margins(x=0.15, y=0.05)
    else:
        ax.set(xlabel=axis_names[0], ylabel=axis_names[1])
        ax.set_aspect("equal", adjustable="datalim")
        ax.margins(0.07)
        ax.locator_params(nbins=6, steps=[1, 2, 5, 10])  # -0.0024 and its like are wide
    ax.set_title(title, loc="left").set_parse_math(False)


def _place_names(
    ax: Axes, points: NDArray[np.float64], names: Sequence[str], order: NDArray, area: float
) -> int:
    """Write names beside their points where there is room; returns how many."""
    flat = points
    if isinstance(ax, Axes3D):
        flat = np.stack(proj_transform(*points.T, ax.get_proj())[:2], axis=1)
    pixels = ax.transData.transform(flat)
    unit = ax.figure.dpi / 72
    radius = (np.sqrt(area / np.pi) + 0.3) * unit
    size = float(np.interp(len(points), [40, 400], [6.5, 4.5]))
    font = FontProperties(size=size)
    renderer = FigureCanvasAgg(ax.figure).get_renderer()
    height = renderer.get_text_width_height_descent("Ag", font, ismath=False)[1]
    markers = np.concatenate([pixels - radius, pixels + radius], axis=1)
    window = ax.get_window_extent(renderer)
    # A point's own marker is beside all its places, so it need not be left out of the others.
    gap = radius + 0.8 * unit
    taken = np.empty((min(len(points), _NAMES_TRIED), 4))
    shown = 0
    for item in order[:_NAMES_TRIED]:
        if not names[item]:
            continue
        width = renderer.get_text_width_height_descent(names[item], font, ismath=False)[0]
        extent = np.array([width, height])
        corners = pixels[item] + gap * _AROUND + _ANCHORS * extent
        boxes = np.concatenate([corners, corners + extent], axis=1)
        free = np.all((boxes[:, :2] >= window.min) & (boxes[:, 2:] <= window.max), axis=1)
        for others in (taken[:shown], markers):
            free &= ~_overlap(boxes, others).any(axis=1)
        if not free.any():
            continue
        box = boxes[np.argmax(free)]
        taken[shown] = box + unit * np.array([-0.7, -0.3, 0.7, 0.3])
        shown += 1
        ax.annotate(
            names[item],
            flat[item],
            xytext=(box[:2] - pixels[item]) / unit,
            textcoords="offset points",
            fontsize=size,
            verticalalignment="bottom",
            parse_math=False,
            annotation_clip=False,
        ).set_in_layout(False)
    return shown


# Where a name may stand: right, left, above, below, and between them; and for each which of its
# corners that moves to its lower left, in widths and heights.
_AROUND = np.array(
    [[1, 0], [-1, 0], [0, 1], [0, -1], [0.7, 0.7], [-0.7, 0.7], [0.7, -0.7], [-0.7] * 2]
)
_ANCHORS = np.array(
    [[0, -0.5], [-1, -0.5], [-0.5, 0], [-0.5, -1], [0, 0], [-1, 0], [0, -1], [-1, -1]]
)


def _overlap(boxes: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of the boxes [B, 4] overlap which others [N, 4]: bool [B, N]."""
    one, other = boxes[:, None], others[None]
    return np.all((one[..., :2] < other[..., 2:]) & (other[..., :2] < one[..., 2:]), axis=-1)


def save_figure(
    figure: Figure,
    path_without_suffix: str | os.PathLike[str],
    *,
    formats: Sequence[str] = ("png", "pdf"),
) -> list[Path]:
    """Write a figure in each format; the same figure gives the same bytes every time.

    Each file appears whole or not at all. Folders on the way are made. The layout is settled by the
    first save and kept from then on, so add labels and titles before it.

    Args:
        figure: what to write, at the size it has.
        path_without_suffix: "results/main" gives results/main.png and results/main.pdf.
        formats: any of "png" (200 dpi) and "pdf" (fonts embedded).

    Returns:
        The paths written, in the order of `formats`.

    Raises:
        ValueError: another format.
        OSError: the folder cannot be written.
    """
    unknown = [suffix for suffix in formats if suffix not in _METADATA]
    if unknown:
        raise ValueError(f"formats must be among {sorted(_METADATA)}, got {unknown}")
    stem = Path(path_without_suffix)
    stem.parent.mkdir(parents=True, exist_ok=True)
    with style():
        # Constrained layout moves a little with every draw, so it is run to rest and then put away.
        for _ in range(2):
            figure.draw_without_rendering()
        figure.set_layout_engine("none")
    paths = []
    for suffix in formats:
        rendered = io.BytesIO()
        with style():  # matplotlib reads fonts, ticks and dpi as it draws, not before
            figure.savefig(rendered, format=suffix, metadata=_METADATA[suffix])
        path = stem.with_name(f"{stem.name}.{suffix}")
        with replacing_file(path) as passing:
            passing.write_bytes(rendered.getvalue())
        paths.append(path)
    return paths


@contextmanager
def drawing(ax: Axes | None, height: float, projection: str | None = None) -> Iterator[Axes]:
    """Yield `ax` as it is, or the axes of a new one-column figure in this package's style."""
    if ax is not None:
        yield ax
        return
    with style():
        figure = Figure(figsize=(SINGLE_COLUMN, height), layout="constrained")
        yield figure.add_subplot(projection=projection)


def _checked(
    embedding: ArrayLike, rgb: ArrayLike, dims: tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both as float64, or raise a ValueError that says what is wrong."""
    embedding = np.asarray(embedding, dtype=np.float64)
    rgb = np.asarray(rgb, dtype=np.float64)
    if embedding.ndim != 2 or embedding.shape[1] not in dims:
        wanted = " or ".join(f"[C, {dim}]" for dim in dims)
        raise ValueError(f"an embedding must be {wanted}, got {embedding.shape}")
    if rgb.shape != (len(embedding), 3):
        raise ValueError(f"rgb must be [{len(embedding)}, 3], a row per item, got {rgb.shape}")
    # Matplotlib would leave such points out without a word.
    if not np.isfinite(embedding).all():
        raise ValueError("an embedding has numbers that are not finite: did the training diverge?")
    if not np.all((rgb >= 0) & (rgb <= 1)):
        raise ValueError("rgb must lie in 0..1: divide values of 0..255 by 255")
    return embedding, rgb


def reference_line(
    ax: Axes, value: float, text: str, *, x: float, below: bool, form: str = ".4f"
) -> None:
    """Draw a thin line across at `value`, named at `x` (0 left, 1 right) with its value."""
    ax.axhline(value, color="0.45", linewidth=0.7, linestyle="-", zorder=1)
    ax.annotate(
        f"{text}: {value:{form}}",
        (x, value),
        xycoords=ax.get_yaxis_transform(),
        xytext=(0, -2 if below else 2),
        textcoords="offset points",
        horizontalalignment="left" if x < 0.5 else "right",
        verticalalignment="top" if below else "bottom",
        fontsize=7,
        color="0.3",
    )


def _finish_3d(ax: Axes3D) -> None:
    """Few ticks, pale walls, and room for the labels."""
    # Layout engines do not see the labels of 3-D axes: leave them room inside, and let those
    # of a neighbour show through.
    ax.set_box_aspect((1, 1, 0.9), zoom=0.92)
    ax.set_facecolor("none")
    ax.margins(0.06)  # or the end ticks of two axes meet in the corner
    for axis, pad in ((ax.xaxis, -2), (ax.yaxis, -2), (ax.zaxis, 1)):
        axis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
        axis.set_pane_color("0.97")
        axis.set_tick_params(pad=pad, labelsize=6)
        axis.labelpad = pad - 2


def _choose_moments(epoch: NDArray[np.integer], count: int) -> list[int]:
    """Return up to `count` different indices into `epoch`, evenly in log(1 + epoch)."""
    position = np.log1p(epoch)
    count = min(count, len(epoch))
    moments: list[int] = []
    for panel, target in enumerate(np.linspace(position[0], position[-1], count)):
        start = moments[-1] + 1 if moments else 0
        stop = len(epoch) - (count - panel - 1)  # leave one for each panel that follows
        moments.append(start + int(np.argmin(np.abs(position[start:stop] - target))))
    return moments


def _finish_losses(ax: Axes, best: float | None, base_rate: float | None) -> None:
    """Name and scale the axes of training losses, and draw what they are read against."""
    ax.set(xscale="log", xlabel="epoch", ylabel="training loss (nats per pair)")
    ax.xaxis.set_major_formatter(LogFormatter())  # 100, not a power of ten
    ax.xaxis.set_minor_formatter(LogFormatter())  # shown where the epochs are few
    ax.margins(x=0.02, y=0.1)
    # Losses start high and end low: the lower left and the upper right are where text is free.
    if best is not None:
        reference_line(ax, best, "best without memorising", x=0.02, below=True)
    if base_rate is not None:
        reference_line(ax, base_rate, "always guessing the base rate", x=0.99, below=False)


def _loss_columns(labels: Iterable[str]) -> int:
    """Return how many labels fit side by side above a figure of one column."""
    return 2 if max(map(len, labels)) <= 22 else 1


def legend_above(
    ax: Axes,
    handles: Sequence | None = None,
    labels: Sequence[str] | None = None,
    *,
    columns: int,
    title: str | None = None,
    markers: bool = False,
    lift: float = 0,
) -> Legend:
    """Put the legend above the axes, where it covers no line; with `markers`, in less width.

    `lift` is the height of what already stands between the two, points.
    """
    given = {} if handles is None else {"handles": handles}
    if labels is not None:
        given["labels"] = labels
    if markers:
        side_by_side = {tuple: HandlerTuple(ndivide=None, pad=0.2)}
        given |= {"handler_map": side_by_side, "handlelength": 2, "columnspacing": 1.2}
    return ax.legend(
        **given,
        loc="lower left",
        bbox_to_anchor=(0, 1.01),
        bbox_transform=offset_copy(ax.transAxes, ax.figure, y=lift, units="points"),
        ncols=columns,
        title=title,
        title_fontsize=7,
        alignment="left",
    )


def _draw_member(ax: Axes, embedding: NDArray[np.float64], rgb: NDArray[np.float64]) -> None:
    """Draw one small panel of `plot_members`, with equal scales that just hold its points."""
    if not np.isfinite(embedding).all():
        ax.text(
            0.5, 0.5, "not finite", transform=ax.transAxes, fontsize=7, color="0.3", ha="center"
        )
        return
    low, high = embedding.min(axis=0), embedding.max(axis=0)
    centre, reach = (low + high) / 2, 0.56 * (high - low).max() or 1.0
    ax.set_xlim(centre[0] - reach, centre[0] + reach)
    ax.set_ylim(centre[1] - reach, centre[1] + reach)
    if np.any(embedding[:, 1]):
        ax.scatter(*embedding.T, s=5, c=rgb, **MARKER | {"linewidths": 0.15})
        return
    # Strokes have no edge: grey ones below, a little wider, keep the white ones visible.
    for colour, stroke in (("0.6", 1.1), (rgb, 0.8)):
        ax.scatter(*embedding.T, s=300, c=colour, marker="|", linewidths=stroke)
