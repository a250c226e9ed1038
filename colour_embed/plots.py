"""Figures from arrays: embeddings in their items' colours, losses, and moments of a training.

Every function takes NumPy arrays, never trains, and returns the Axes or Figure it drew on. A figure
made here does not register with pyplot, so none stays open; `save_figure` writes it.
"""

import io
import os
import string
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import cycle
from pathlib import Path

import matplotlib as mpl
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, MaxNLocator
from mpl_toolkits.mplot3d.axes3d import Axes3D
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "DOUBLE_COLUMN",
    "MARKER",
    "SINGLE_COLUMN",
    "STYLE_FILE",
    "plot_embedding",
    "plot_embedding_3d",
    "plot_losses",
    "plot_moments",
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
    with _drawing(ax, height=2.8) as ax:
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
    with _drawing(ax, height=3.1, projection="3d") as ax:
        # Shading by depth would fade the colours, and here the colours are the data.
        ax.scatter(*embedding.T, s=size, c=rgb, depthshade=False, **MARKER)
        ax.view_init(elev=elevation, azim=azimuth)
        ax.set(xlabel="$x_0$", ylabel="$x_1$", zlabel="$x_2$")
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
    with _drawing(ax, height=2.6) as ax:
        for (label, curve), look in zip(curves.items(), looks):
            dot = "o" if curve.size == 1 else None  # one epoch makes no line
            ax.plot(np.arange(1, curve.size + 1), curve, label=label, marker=dot, **look)
        ax.set(xscale="log", xlabel="epoch", ylabel="training loss (nats per pair)")
        ax.xaxis.set_major_formatter(LogFormatter())  # 100, not a power of ten
        ax.xaxis.set_minor_formatter(LogFormatter())  # shown where the epochs are few
        ax.margins(x=0.02, y=0.1)
        # Losses start high and end low: the lower left and the upper right are where text is free.
        if best is not None:
            _reference(ax, best, "best without memorising", x=0.02, below=True)
        if base_rate is not None:
            _reference(ax, base_rate, "always guessing the base rate", x=0.99, below=False)
        # Above the axes, where it covers no line.
        columns = 2 if max(map(len, curves)) <= 22 else 1
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1.01), ncols=columns)
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
        _replace(path, rendered.getvalue())
        paths.append(path)
    return paths


@contextmanager
def _drawing(ax: Axes | None, height: float, projection: str | None = None) -> Iterator[Axes]:
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


def _reference(ax: Axes, value: float, text: str, *, x: float, below: bool) -> None:
    """Draw a thin line across at `value`, named at `x` (0 left, 1 right) with its value."""
    ax.axhline(value, color="0.45", linewidth=0.7, linestyle="-", zorder=1)
    ax.annotate(
        f"{text}: {value:.4f}",
        (x, value),
        xycoords=ax.get_yaxis_transform(),
        xytext=(0, -2 if below else 2),
        textcoords="offset points",
        horizontalalignment="left" if x < 0.5 else "right",
        verticalalignment="top" if below else "bottom",
        fontsize=7,
        color="0.3",
    )


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


def _replace(path: Path, content: bytes) -> None:
    """Write `content` to `path` in one step, with the modes any new file would get."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
