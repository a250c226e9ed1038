"""Figures of embeddings, with items in their own colours or by group, and names."""

import string
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.mplot3d.axes3d import Axes3D
from mpl_toolkits.mplot3d.proj3d import proj_transform
from numpy.typing import ArrayLike, NDArray

from colour_embed.viz.style import (
    DOUBLE_COLUMN,
    MARKER,
    OTHER,
    SINGLE_COLUMN,
    drawing,
    item_looks,
    legend_above,
    legible,
    legible_names,
    letter,
    panels,
    settle_layout,
    style,
)

__all__ = [
    "OTHER",
    "group_colours",
    "plot_embedding",
    "plot_items",
    "plot_members",
    "plot_moments",
]

_NAMES_TRIED = 1500
_STROKES = 0.38  # height of the axis below the strokes of one dimension, in axes
_VECTOR_POINTS = 3000  # more markers than this are rasterised in a PDF


def plot_embedding(
    embedding: ArrayLike,
    rgb: ArrayLike,
    ax: Axes | None = None,
    *,
    title: str | None = None,
    size: float | None = None,
    equal: bool = False,
) -> Axes:
    """Draw a 2-D or 3-D embedding, each item in its own colour: the tutorial's main figure.

    Args:
        embedding: [C, 2] or [C, 3], a row per item.
        rgb: [C, 3], red, green and blue in 0..1.
        ax: where to draw, made with `projection="3d"` for three columns; a new one-column figure
            when None.
        title: text above the axes.
        size: area of a marker, square points; None: 20 in two dimensions, 14 in three.
        equal: use one scale for both axes of a 2-D embedding, so that distances in all directions
            are comparable. The tutorial's figure does not.

    Returns:
        The axes drawn on; in three dimensions an `Axes3D`, whose `view_init` rotates it.

    Raises:
        ValueError: a shape is wrong, the embedding is not finite, a colour is outside 0..1, or the
            projection of `ax` does not match the dimension.

    Example:
        >>> generator = np.random.default_rng(0)
        >>> axes = plot_embedding(generator.normal(size=(20, 2)), generator.random((20, 3)))
        >>> axes.get_xlabel(), axes.get_ylabel()
        ('$x_0$', '$x_1$')
    """
    embedding, rgb = _checked(embedding, rgb, dims=(2, 3))
    flat = embedding.shape[1] == 2
    _check_axes(ax, embedding.shape[1])
    with drawing(ax, height=2.8 if flat else 3.1, projection=None if flat else "3d") as ax:
        # Depth shading would change the colours, which are the data.
        depth = {} if flat else {"depthshade": False}
        ax.scatter(*embedding.T, s=size or (20 if flat else 14), c=rgb, **depth, **MARKER)
        ax.set(**{f"{axis}label": f"$x_{i}$" for i, axis in enumerate("xyz"[: 2 if flat else 3])})
        if not flat:
            ax.view_init(elev=20, azim=-60)
            _finish_3d(ax)
        elif equal:
            ax.set_aspect("equal", adjustable="datalim")
        if title is not None:
            ax.set_title(title)
    return ax


def plot_moments(
    epoch: ArrayLike,
    embedding: ArrayLike,
    rgb: ArrayLike,
    *,
    loss: ArrayLike | None = None,
    count: int = 6,
) -> Figure:
    """Draw the embedding at a few epochs of its training, including the first and the last.

    The epochs are spaced evenly in log(1 + epoch), since most of the change is early. Each panel
    has its own limits, since the embedding grows more than tenfold.

    Args:
        epoch: [F], whole, increasing; 0 is the untrained embedding.
        embedding: [F, C, d], d = 2 or 3, the embedding at the end of each of these epochs.
        rgb: [C, 3], red, green and blue in 0..1.
        loss: [E], nats per pair, the first being epoch 1; written above the panels.
        count: number of panels, 2 to 26; fewer are drawn where there are fewer snapshots.

    Returns:
        The figure, two columns wide.

    Raises:
        ValueError: a shape is wrong, epochs do not increase, the loss ends before the last epoch,
            the embedding is not finite, a colour is outside 0..1, or the count is out of range.
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
    figure, axes = panels(
        rows, columns, height=rows * (2.1 if flat else 2.2), projection=None if flat else "3d"
    )
    for ax in axes.flat[len(moments) :]:
        ax.remove()
    if not flat:
        figure.get_layout_engine().set(rect=(0, 0, 0.98, 1))  # room for the last $x_2$
    for ax, moment, (points, colours) in zip(axes.flat, moments, frames):
        title = f"epoch {epoch[moment]}"
        if loss is not None and epoch[moment] > 0:
            title += f", loss {loss[epoch[moment] - 1]:.3f}"
        plot_embedding(points, colours, ax, title=title, size=8 if flat else 6)
        if flat:
            ax.locator_params(nbins=5, steps=[1, 2, 5, 10])  # room for labels such as -0.04
    letter(figure.axes)
    return figure


def plot_members(
    embeddings: ArrayLike,
    rgb: ArrayLike,
    titles: Sequence[Sequence[str]],
    *,
    failed: ArrayLike | None = None,
) -> Figure:
    """Draw many embeddings as a grid of small panels, such as a row per seed, a column per dim.

    The members should be aligned before, since embeddings are defined up to a rotation. Each panel
    has its own limits and no ticks, so sizes are not comparable between panels; within a panel both
    axes have one scale. For more than two dimensions pass two coordinates, such as the first
    principal axes. For one dimension pass zeros as the second; it is drawn as coloured strokes
    above a single axis.

    Args:
        embeddings: [rows, columns, C, 2]; the panel of one that is not finite (diverged) shows only
            the text "not finite".
        rgb: [C, 3], red, green and blue in 0..1.
        titles: [rows][columns], text above each panel.
        failed: [rows, columns], bool, members that did not recover: axes in thick grey, with
            "failed" added to their titles. None for no failed members.

    Returns:
        The figure, one column wide for up to three columns of panels, else two.

    Raises:
        ValueError: a shape is wrong, or a colour is outside 0..1.
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
        axes = figure.subplots(rows, columns, squeeze=False)
        for place, ax in np.ndenumerate(axes):
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
    """Draw named items as points, with as many names as fit without overlap.

    Names are placed in turn, each at the first of eight positions around its point where it
    overlaps no point, name or edge. Names that do not fit are left out; the title line shows the
    number of names drawn. Items of one dimension are stacked vertically in their order.

    Names are plain text, not markup. Long names are truncated, and characters that no font of the
    machine has are escaped, with a UserWarning; see `style.legible_names`. The layout of the figure
    of `ax` is fixed here, so draw other panels before.

    Args:
        points: [C, 1 to 3], a row per item.
        names: [C].
        ax: where to draw, made with `projection="3d"` for three columns; a new figure when None.
        rgb: [C, 3], each item's own colour, red, green and blue in 0..1.
        groups: [C], the group of each item, distinguished by colour and shape; the twelve largest
            are named, all others and "" are grey; see `style.item_looks`. Not with `rgb`.
        rank: [C], the order in which names are placed, lowest first; the order of the rows when
            None.
        axis_names: a name per column.
        title: text above the axes.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: a shape is wrong, points are not finite, a colour is outside 0..1, or both `rgb`
            and `groups` are given.
    """
    points, dim = np.asarray(points, dtype=np.float64), np.shape(points)[-1]
    count = len(points)
    if len(names) != count or (groups is not None and len(groups) != count):
        raise ValueError(f"names and groups must be [{count}], one for each item")
    found = item_looks(count, rgb, groups)
    points, colours = _checked(points, found.rgb, dims=(1, 2, 3))
    _check_axes(ax, dim)
    width = DOUBLE_COLUMN if count > 25 or dim == 3 else SINGLE_COLUMN
    height = min(0.8 + 0.13 * count, 9) if dim == 1 else 0.72 * width + 0.5
    if dim == 1:  # stacked vertically in their order
        level = np.empty(count)
        level[np.argsort(points[:, 0], kind="stable")] = np.arange(count)
        points = np.column_stack([points[:, 0], level])
    area = float(np.interp(np.log10(count), [1.5, 2.5, 4], [18, 9, 2]))
    projection = "3d" if dim == 3 else None
    with drawing(ax, height, width=width, projection=projection) as ax:
        handles = []
        about: dict[str, Any] = {"rasterized": count > _VECTOR_POINTS}
        about |= {"depthshade": False} if dim == 3 else {}
        for kind, look in reversed(list(enumerate(found.looks))):  # the largest group on top
            chosen = found.kind == kind
            shape = {"c": colours[chosen], **look.scatter(area)}
            handles.insert(0, ax.scatter(*points[chosen].T, **shape, **about))
        _finish_items(ax, dim, axis_names, legible(title or "", 80))
        note = ax.set_title(f"names: {count} of {count}", loc="right", color="0.35", fontsize=7)
        if found.groups is not None:
            labels = legible_names([look.label for look in found.looks])
            legend_above(ax, handles, labels, parse_math=False)
    settle_layout(ax.figure)
    order = np.argsort(np.arange(count) if rank is None else rank, kind="stable")
    with style():
        shown = _place_names(ax, points, legible_names(names), order, area)
        note.set_text(f"names: {shown} of {count}")
    return ax


def group_colours(groups: Sequence[str]) -> NDArray[np.float64]:
    """Return the colours [C, 3] in 0..1 in which `plot_items` draws items of these groups [C]."""
    return item_looks(len(groups), groups=groups).rgb


def _checked(
    embedding: ArrayLike, rgb: ArrayLike, dims: tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both as float64, or raise a ValueError."""
    embedding = np.asarray(embedding, dtype=np.float64)
    rgb = np.asarray(rgb, dtype=np.float64)
    if embedding.ndim != 2 or embedding.shape[1] not in dims:
        wanted = " or ".join(f"[C, {dim}]" for dim in dims)
        raise ValueError(f"an embedding must be {wanted}, got {embedding.shape}")
    if rgb.shape != (len(embedding), 3):
        raise ValueError(f"rgb must be [{len(embedding)}, 3], a row per item, got {rgb.shape}")
    # Matplotlib silently drops points that are not finite.
    if not np.isfinite(embedding).all():
        raise ValueError("an embedding has numbers that are not finite: did the training diverge?")
    if not np.all((rgb >= 0) & (rgb <= 1)):
        raise ValueError("rgb must lie in 0..1: divide values of 0..255 by 255")
    return embedding, rgb


def _check_axes(ax: Axes | None, dim: int) -> None:
    """Raise a ValueError unless the axes' projection matches this dimension."""
    if ax is not None and (dim == 3) != isinstance(ax, Axes3D):
        raise ValueError('ax must be made with projection="3d" for three columns, and only then')


def _finish_3d(ax: Axes3D) -> None:
    """Set few ticks, pale walls, and room for the labels."""
    # Layout engines ignore the labels of 3-D axes: keep room for them inside, and make the
    # background transparent for those of a neighbouring panel.
    ax.set_box_aspect((1, 1, 0.9), zoom=0.92)
    ax.set_facecolor("none")
    ax.margins(0.06)  # separates the end ticks of two axes in a corner
    for axis, pad in ((ax.xaxis, -2), (ax.yaxis, -2), (ax.zaxis, 1)):
        axis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
        axis.set_pane_color("0.97")
        axis.set_tick_params(pad=pad, labelsize=6)
        axis.labelpad = pad - 2


def _choose_moments(epoch: NDArray[np.integer], count: int) -> list[int]:
    """Return up to `count` distinct indices into `epoch`, spaced evenly in log(1 + epoch)."""
    position = np.log1p(epoch)
    count = min(count, len(epoch))
    moments: list[int] = []
    for panel, target in enumerate(np.linspace(position[0], position[-1], count)):
        start = moments[-1] + 1 if moments else 0
        stop = len(epoch) - (count - panel - 1)  # leave one for each panel that follows
        moments.append(start + int(np.argmin(np.abs(position[start:stop] - target))))
    return moments


def _draw_member(ax: Axes, embedding: NDArray[np.float64], rgb: NDArray[np.float64]) -> None:
    """Draw one panel of `plot_members`, with equal scales that fit its points."""
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
    # Height means nothing here, so there is one axis; a failed member keeps its frame's colour.
    ax.spines[["left", "right", "top"]].set_visible(False)
    ax.spines["bottom"].set_position(("axes", _STROKES))
    # Strokes have no edge: wider grey strokes below keep white ones visible.
    for colour, stroke in (("0.6", 1.1), (rgb, 0.8)):
        ax.scatter(*embedding.T, s=300, c=colour, marker="|", linewidths=stroke)


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
        ax.locator_params(nbins=6, steps=[1, 2, 5, 10])  # room for labels such as -0.0024
    ax.set_title(title, loc="left").set_parse_math(False)


# Positions of a name around its point: right, left, above, below, and the diagonals; and for each
# the offset of the name's lower left corner, in its widths and heights.
_AROUND = np.array(
    [[1, 0], [-1, 0], [0, 1], [0, -1], [0.7, 0.7], [-0.7, 0.7], [0.7, -0.7], [-0.7] * 2]
)
_ANCHORS = np.array(
    [[0, -0.5], [-1, -0.5], [-0.5, 0], [-0.5, -1], [0, 0], [-1, 0], [0, -1], [-1, -1]]
)


def _place_names(
    ax: Axes, points: NDArray[np.float64], names: Sequence[str], order: NDArray, area: float
) -> int:
    """Write names beside their points if they fit; return the number written."""
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
    # No position of a name overlaps its own marker, so `markers` need not exclude it.
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


def _overlap(boxes: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return whether each box [B, 4] overlaps each other box [N, 4], bool [B, N]."""
    one, other = boxes[:, None], others[None]
    return np.all((one[..., :2] < other[..., 2:]) & (other[..., :2] < one[..., 2:]), axis=-1)
