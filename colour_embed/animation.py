"""Videos of the snapshots of a training.

The snapshots are aligned and interpolated to the frames. Matplotlib draws the static parts (axes,
ticks, labels, loss curve) once. `viz.raster` draws the points of a chunk of frames at a time, in a
thread, while the chunk before is encoded.
"""

from __future__ import annotations

import base64
import dataclasses
import os
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colour_embed.config import Config, InputError
from colour_embed.evaluate.geometry import align, principal_axes
from colour_embed.runs import Progress, SweepResult
from colour_embed.viz.encode import (
    FORMATS,
    MAX_SIDE,
    check_path,
    check_rate,
    encode,
    has_poster,
    poster_path,
    write_poster,
)
from colour_embed.viz.overlay import (
    BASELINE,
    counters,
    new_canvas,
    picture_of,
    strips_of,
    styled,
)
from colour_embed.viz.raster import DPI, Box, DeepPanel, FlatPanel, limits, stamp_dots

if TYPE_CHECKING:
    from colour_embed.viz.style import ItemLooks

__all__ = ["Animation", "GridLayout", "animate", "animate_grid", "draw_frames", "interpolate"]

SIZE = 1280, 720
"""The default width and height of `animate`, pixels."""

_CHUNK_BYTES = 24 * 2**20  # of a drawn chunk; about three are in memory at a time
_CURVE_HEIGHT = 96  # of the loss curve with its labels, pixels
_SHARE = {True: 0.022, False: 0.0168}  # a marker's diameter over the height: in 2-D or 1-D, in 3-D


@dataclass(frozen=True)
class Animation:
    """A video, which notebooks display as the value of a cell.

    Attributes:
        path: The file; None if the video is only in memory.
        frames: Number of frames.
        size: Width and height, pixels.
        video: The bytes of the MP4 if path is None, else None.
    """

    path: Path | None
    frames: int
    size: tuple[int, int]
    video: bytes | None = field(default=None, repr=False)

    def _repr_html_(self) -> str:
        """Return an HTML element with the file embedded, which exported notebooks keep."""
        content, media = self.video, FORMATS[".mp4"].media
        if self.path is not None:
            content, media = self.path.read_bytes(), FORMATS[self.path.suffix.lower()].media
        assert content is not None
        source = f"data:{media};base64,{base64.b64encode(content).decode('ascii')}"
        shape = f'width="{self.size[0]}" height="{self.size[1]}" style="max-width:100%;height:auto"'
        if media.startswith("image"):
            return f'<img {shape} alt="animation" src="{source}">'
        return f'<video {shape} controls autoplay loop muted playsinline src="{source}"></video>'


class _Scene(NamedTuple):
    """A static picture, and the painters that draw over it in order."""

    frames: int
    size: tuple[int, int]
    still: NDArray[np.uint8]  # [height, width, 3]
    painters: list[Any]  # each paint(frames [n, height, width, 3], chunk)
    rgb: NDArray[np.float64]  # [C, 3], the colours of the points

    def draw(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the frames in chunks, uint8 [frames of the chunk, height, width, 3]."""
        width, height = self.size
        step = max(1, _CHUNK_BYTES // (3 * width * height))
        for first in range(0, self.frames, step):
            chunk = slice(first, min(first + step, self.frames))
            frames = np.empty((chunk.stop - first, height, width, 3), np.uint8)
            frames[:] = self.still
            for painter in self.painters:
                painter.paint(frames, chunk)
            yield frames


def animate(
    epoch: ArrayLike,
    embedding: ArrayLike,
    rgb: ArrayLike | Sequence[str] | None = None,
    path: str | os.PathLike | None = None,
    *,
    loss: ArrayLike | None = None,
    toward: str | None = "last",
    at: ArrayLike | None = None,
    curve: bool = False,
    fps: float = 30,
    size: tuple[int, int] | None = None,
    crf: int = 28,
    title: str | None = None,
    unit: str = "epoch",
    poster: bool = True,
    report: Callable[[Progress], None] | None = None,
) -> Animation:
    """Make a video of an embedding during training.

    A chunk of frames is drawn in a thread while the chunk before it is encoded.

    Of more than three dimensions the first three principal axes of the last snapshot are drawn. One
    dimension is drawn across, with the items in the order of the last snapshot from bottom to top.

    Args:
        epoch: int [F], the epoch of each snapshot, ascending; 0 is before training.
        embedding: [F, C, d].
        rgb: The colours of the items, [C, 3], red, green and blue in 0..1; or their groups, [C]
            texts, which have the colours and markers of `viz.style.item_looks` and a legend; or
            None for one hue.
        path: The file to write atomically, ending in .mp4, .webm, .gif or .apng; None keeps an MP4
            in memory.
        loss: [E], the loss of each epoch from 1 on, displayed with the epoch.
        toward: The target that snapshots are aligned to by a rotation, reflection and translation:
            the "last" snapshot, the "rgb" of the items, or None for no alignment (of up to three
            dimensions).
        at: [G], the epochs of the frames, at which snapshots are interpolated; need not be whole.
            By default the epochs of the snapshots.
        curve: Whether to draw the loss curve below, with a mark at the current epoch.
        fps: Frames per second, 0.01 to 1000; see `viz.encode.encode` for GIF and APNG.
        size: Width and height in pixels, even; by default `SIZE`.
        crf: H.264's constant rate factor, 0 (lossless) to 51; see `viz.encode.encode`.
        title: Text at the top left; None for a default title with the dimension.
        unit: What `epoch` counts, "epoch" or "step", as it is called in the video.
        poster: Whether to write the last frame as a PNG beside the video, under its name. A PNG of
            that name that is no poster is kept, with a UserWarning.
        report: Called with a Progress after each chunk.

    Returns:
        The Animation, which notebooks display.

    Raises:
        InputError: shapes do not match, values are not finite, colours are outside 0..1, an epoch
            has no loss, the size is odd, too small or too large, fps is out of range, or the path
            is invalid.

    Example:
        >>> generator = np.random.default_rng(0)
        >>> snapshots, rgb = generator.normal(size=(3, 20, 2)), generator.random((20, 3))
        >>> video = animate([0, 1, 2], snapshots, rgb, size=(320, 240))
        >>> video.frames, video.size
        (3, (320, 240))
    """
    about = {"loss": loss, "toward": toward, "at": at, "curve": curve, "unit": unit}
    scene = _scene(epoch, embedding, rgb, size=size, title=title, **about)
    return _record(scene, path, fps, crf, poster, report)


def draw_frames(
    epoch: ArrayLike,
    embedding: ArrayLike,
    rgb: ArrayLike | Sequence[str] | None = None,
    *,
    loss: ArrayLike | None = None,
    toward: str | None = "last",
    at: ArrayLike | None = None,
    curve: bool = False,
    size: tuple[int, int] | None = None,
    title: str | None = None,
    unit: str = "epoch",
) -> Iterator[NDArray[np.uint8]]:
    """Return the frames of `animate` in chunks, without encoding them.

    In 2-D the axes have the limits of the last frame plus a margin; points outside are clipped. In
    3-D the camera circles once around the bounding cube of the last frame; farther points are drawn
    first and smaller.

    Returns:
        An iterator of uint8 [frames of the chunk, height, width, 3], red, green and blue.

    Raises:
        InputError: as `animate`, before the first frame is drawn.
    """
    about = {"loss": loss, "toward": toward, "at": at, "curve": curve, "unit": unit}
    return _scene(epoch, embedding, rgb, size=size, title=title, **about).draw()


def animate_grid(
    sweep: SweepResult,
    rgb: ArrayLike,
    path: str | os.PathLike | None = None,
    *,
    at: ArrayLike | None = None,
    panel: int = 160,
    fps: float = 30,
    crf: int = 31,
    title: str | None = None,
    poster: bool = True,
    report: Callable[[Progress], None] | None = None,
) -> Animation:
    """Make a video of a sweep's members in a grid: seeds across, dimensions down.

    Members that differ in more than seed and dimension, such as in a swept learning rate, have a
    row for each combination, whose label names it. If the panels do not fit, they shrink, and then
    the seeds wrap; see `GridLayout`.

    Each member is aligned to the last frame of the best member of its dimension (the lowest final
    loss), and over time to its own last frame, so that panels do not differ by a rotation. Failed
    members are annotated. In one dimension the items' height is their lightness; of more than three
    dimensions the first three principal axes are shown.

    Args:
        sweep: A result with snapshots; the members that have them are shown.
        rgb: [C, 3], red, green and blue in 0..1.
        path: As `animate`.
        at: As `animate`; a diverged member is not moved after its last finite snapshot.
        panel: Largest width and height of a member's picture, pixels.
        fps: As `animate`.
        crf: As `animate`; the default is higher, since many small points need more bytes.
        title: Text at the top left.
        poster: As `animate`.
        report: Called with a Progress after each chunk.

    Returns:
        The Animation.

    Raises:
        InputError: no member has snapshots, or as `GridLayout.of` and `animate`.

    Example:
        >>> import colour_embed as ce
        >>> colours = ce.load_colours("css4")
        >>> pairs = ce.tutorial_pairs(colours, 1000)
        >>> grid = {"seeds": range(2), "dims": [2, 3], "snapshots": 4, "schedule": "every"}
        >>> result = ce.sweep(ce.Config(epochs=2), len(colours), pairs, **grid)
        >>> ce.animate_grid(result, colours.rgb).frames
        3
    """
    members = sweep.members[: len(sweep.snapshots)]
    if not members or len(sweep.epoch) == 0:
        raise InputError("the sweep kept no snapshots: give sweep(..., snapshots=N)")
    layout = GridLayout.of(members, panel)
    check_rate(fps)
    epoch, frames = np.asarray(sweep.epoch), _frame_epochs(sweep.epoch, at)
    looks = _checked(epoch, sweep.snapshots[0], rgb, None)[2]
    if not looks.own:
        raise InputError(f"rgb has shape {np.shape(rgb)}; give [items, 3], a row per item")
    rgb = looks.rgb
    moving = _grid_frames(sweep, members, rgb, frames)
    still = layout.still(title or "Training of colour embeddings", _failures(sweep, members))
    painters: list[Any] = [counters(frames, None, layout.size[0] - 12)]
    for box, embedding in zip(layout.boxes, moving):
        flat = embedding.shape[2] < 3
        # Larger than in a whole frame, since the video has half the resolution of colours.
        area = _area(looks, 1.3 * layout.panel, flat)
        painters.append((FlatPanel if flat else DeepPanel)(embedding, rgb, box, area=area))
    scene = _Scene(len(frames), layout.size, still, painters, rgb)
    return _record(scene, path, fps, crf, poster, report)


def interpolate(epoch: ArrayLike, snapshots: ArrayLike, at: ArrayLike) -> NDArray[np.float64]:
    """Return snapshots at any epochs by linear interpolation of each coordinate.

    Args:
        epoch: [F], the epochs of the snapshots, ascending.
        snapshots: [F, C, d].
        at: [G], epochs; clipped to the first and the last snapshot.

    Returns:
        float64 [G, C, d].
    """
    epoch, snapshots = np.asarray(epoch, float), np.asarray(snapshots, float)
    at = np.clip(at, epoch[0], epoch[-1])
    after = np.clip(np.searchsorted(epoch, at), 1, max(len(epoch) - 1, 1))
    before, after = after - 1, np.minimum(after, len(epoch) - 1)
    span = epoch[after] - epoch[before]
    share = ((at - epoch[before]) / np.where(span > 0, span, 1))[:, None, None]
    return snapshots[before] * (1 - share) + snapshots[after] * share


# --------------------------------------------------------------------------------------------------
# Frames to a file


def _record(scene: _Scene, path, fps, crf, poster, report) -> Animation:
    check_rate(fps)
    if path is not None:
        path = check_path(path)
        if poster and not has_poster(poster_path(path)):
            poster = False
            warnings.warn(
                f"{poster_path(path)}: is no poster of a video, and is kept; the poster is left "
                "out: give the video another name, or poster=False",
                stacklevel=3,
            )
    kept: list[NDArray[np.uint8]] = []
    frames = _kept_last(_ahead(scene.draw()), kept)
    if report is not None:
        frames = _reported(frames, scene.frames, report)
    if path is not None:
        count = encode(frames, path, fps=fps, crf=crf, rgb=scene.rgb)
        if poster:
            write_poster(kept[0], poster_path(path))
        return Animation(path, count, scene.size)
    with tempfile.TemporaryDirectory() as folder:
        # In a temporary file, since moving the MP4's index to the front reads the file back.
        passing = Path(folder) / "animation.mp4"
        encode(frames, passing, fps=fps, crf=crf)
        return Animation(None, scene.frames, scene.size, passing.read_bytes())


def _kept_last(chunks: Iterable, kept: list[NDArray[np.uint8]]) -> Iterator:
    """Yield the chunks, and keep the last frame in `kept`."""
    for chunk in chunks:
        kept[:] = [chunk[-1].copy()]
        yield chunk


def _ahead(chunks: Iterator) -> Iterator:
    """Yield the chunks, computing the next one in a thread while the caller uses this one."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(next, chunks, None)
        while (chunk := future.result()) is not None:
            future = pool.submit(next, chunks, None)
            yield chunk


def _reported(chunks: Iterator, total: int, report: Callable[[Progress], None]) -> Iterator:
    done = 0
    for chunk in chunks:
        yield chunk
        done += len(chunk)
        report(Progress(done, total))


# --------------------------------------------------------------------------------------------------
# Scenes


def _checked(epoch, embedding, rgb, loss):
    """Return the arrays and the items' looks."""
    epoch, embedding = np.asarray(epoch), np.asarray(embedding, dtype=np.float64)
    if embedding.ndim != 3 or 0 in embedding.shape:
        raise InputError(f"embedding has shape {embedding.shape}; give [frames, items, dimensions]")
    frames = len(embedding)
    if epoch.shape != (frames,) or not np.issubdtype(epoch.dtype, np.integer) or epoch.min() < 0:
        raise InputError(
            f"epoch is {epoch.dtype} {epoch.shape}; give one whole number, 0 or more, "
            f"for each of the embedding's {frames} frames"
        )
    if (np.diff(epoch) <= 0).any():
        raise InputError("epoch: the snapshots must stand in ascending order, none twice")
    looks = _looks(rgb, embedding.shape[1])
    finite = np.isfinite(embedding).all(axis=(1, 2))
    if not finite.all():
        raise InputError(
            f"embedding at epoch {epoch[~finite][0]} is not finite: the training diverged; "
            "leave such frames out"
        )
    if loss is not None:
        loss = np.asarray(loss, dtype=np.float64)
        if loss.ndim != 1 or epoch.max() > len(loss):
            raise InputError(
                f"loss has shape {loss.shape}; give one number per epoch, up to {epoch.max()}"
            )
    return epoch, embedding, looks, loss


def _looks(rgb: Any, items: int) -> ItemLooks:
    """Return the looks of items from their colours, their groups or None."""
    from colour_embed.viz.style import item_looks

    try:
        if rgb is not None and np.ndim(rgb) == 1:
            return item_looks(items, groups=rgb)
        return item_looks(items, rgb)
    except (ValueError, TypeError):
        raise InputError(
            f"rgb has shape {np.asarray(rgb).shape}; give [{items}, 3], a row per item, in 0..1 "
            f"(divide bytes by 255), or the groups of the items, [{items}]"
        ) from None


def _size(size: tuple[int, int] | None) -> tuple[int, int]:
    width, height = size or SIZE
    if width % 2 or height % 2 or not (320 <= width <= MAX_SIDE and 200 <= height <= MAX_SIDE):
        raise InputError(
            f"size is {width} x {height}; H.264 wants even numbers, 320 x 200 or more, and at most "
            f"{MAX_SIDE}"
        )
    return int(width), int(height)


def _frame_epochs(epoch: ArrayLike, at: ArrayLike | None) -> NDArray[np.float64]:
    """Return the epoch of each frame, float64 [G]."""
    epoch = np.asarray(epoch, dtype=np.float64)
    if at is None:
        return epoch
    at = np.asarray(at, dtype=np.float64)
    if at.ndim != 1 or at.size == 0 or not ((at >= epoch[0]) & (at <= epoch[-1])).all():
        raise InputError(
            f"at has shape {at.shape}; give the epochs of the frames, one or more, within "
            f"{epoch[0]:g} to {epoch[-1]:g}"
        )
    return at


def _scene(epoch, embedding, rgb, *, loss, toward, at, curve, size, title, unit="epoch") -> _Scene:
    epoch, embedding, looks, loss = _checked(epoch, embedding, rgb, loss)
    dim = embedding.shape[2]
    flat = dim < 3
    width, height = size = _size(size)
    area = _area(looks, height, flat)
    if curve and (loss is None or len(loss) == 0):
        raise InputError("curve: there is no loss to draw; give loss, or leave curve out")
    if toward not in ("last", "rgb", None):
        raise InputError(f"toward is {toward!r}; give 'last', 'rgb' or None")
    if toward == "rgb" and not looks.own:
        raise InputError("toward is 'rgb', and the items have no colours; give 'last' or None")
    if title is None:
        title = f"Training of the {dim}-D {'colour ' * looks.own}embedding"
    note = ""
    if dim > 3:
        embedding, share = _projected(embedding)
        note = f"first three principal axes, {100 * share:.0f} % of the variance"
    if toward is not None:
        target = embedding[-1]
        target = target if toward == "last" else principal_axes(looks.rgb, min(dim, 3))
        embedding = align(embedding, target)
    if dim == 1:
        order = np.argsort(np.argsort(embedding[-1, :, 0], kind="stable"), kind="stable")
        order = np.broadcast_to(order[:, None], embedding.shape)
        embedding = np.concatenate([embedding, order], axis=2)
    frames = _frame_epochs(epoch, at)
    embedding = interpolate(epoch, embedding, frames)
    floor = height - (_CURVE_HEIGHT if curve else 0)
    margins = (80, width - 20) if flat else (24, width - 24)
    box = Box(40 + 14 * bool(note), floor - (56 if flat else 16), *margins)
    with styled():
        listed = _add_legend(new_canvas(width, height)[0], looks, box.top, box.bottom, box.right)
    if listed:
        box = box._replace(right=box.right - listed - 12)
    if flat:
        figure, canvas = _flat_axes(size, box, limits(embedding), line=dim == 1)
        panel: Any = FlatPanel(embedding, looks.rgb, box, area=area, looks=looks)
    else:
        figure, canvas = new_canvas(width, height)
        names = strips_of([f"axis {k}" if dim > 3 else f"$x_{k - 1}$" for k in (1, 2, 3)], 12)
        panel = DeepPanel(embedding, looks.rgb, box, area=area, names=names, looks=looks)
    painters = [counters(frames, loss, margins[1], unit), panel]
    from colour_embed.viz.style import legible

    with styled():
        place = margins[0] / width, 1 - BASELINE / height
        figure.text(*place, legible(title, 200), parse_math=False)
        below = place[0], place[1] - 18 / height
        figure.text(*below, note, fontsize=9, color="0.35")
        _add_legend(figure, looks, box.top, box.bottom, margins[1])
        if curve:
            painters.append(_add_curve(figure, size, margins, loss, frames, unit))
        return _Scene(len(frames), size, picture_of(canvas), painters, looks.rgb)


def _projected(snapshots: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Return snapshots on the last one's first three principal axes, and the variance on these.

    The snapshots are aligned to the last one. The variance is its share of the last one's.
    """
    turned = align(snapshots, snapshots[-1])
    centre = turned[-1].mean(axis=0)
    _, spread, axes = np.linalg.svd(turned[-1] - centre, full_matrices=False)
    total = (spread**2).sum()
    return (turned - centre) @ axes[:3].T, float((spread[:3] ** 2).sum() / total) if total else 1.0


def _area(looks: ItemLooks, height: float, flat: bool) -> float:
    """Return the area of a marker, square points, whose diameter is a share of the frame's height.

    Items with colours have the share of `plot_embedding`. Items of groups have larger markers the
    fewer they are, since their shapes are read.
    """
    share = _SHARE[flat]
    if not looks.own:
        share *= np.interp(np.log10(len(looks.kind)), [1.5, 2.5, 4], [1.2, 0.9, 0.5])
    return float((share * height * 72 / DPI) ** 2)


def _add_legend(figure, looks: ItemLooks, top: int, bottom: int, right: int) -> int:
    """List the groups at the right edge of a figure; return the width, pixels, 0 without groups."""
    from matplotlib.figure import Figure

    from colour_embed.viz.style import legible

    if looks.groups is None:
        return 0
    width, height = figure.bbox.size
    points = min(9.0, 72 / DPI * (bottom - top) / (1.8 * len(looks.looks)))
    longest = max(int(width / (5 * points * _LETTER)), 4)
    axes = Figure().add_subplot()
    legend = figure.legend(
        [axes.scatter([], [], **look.scatter(points**2 / 2)) for look in looks.looks],
        ["-"] * len(looks.looks),  # matplotlib leaves out labels that begin with "_"
        loc="upper right",
        bbox_to_anchor=(right / width, 1 - top / height),
        fontsize=points,
        borderaxespad=0,
        borderpad=0,
        handletextpad=0.2,
    )
    for text, look in zip(legend.get_texts(), looks.looks):
        text.set_parse_math(False)
        text.set_text(legible(look.label, longest))
    return int(np.ceil(legend.get_window_extent().width))


class _Mark:
    """The mark of the current epoch on the loss curve: a line and a dot in each frame."""

    def __init__(self, box: Box, column: NDArray[np.float64], row: NDArray[np.float64]):
        """Take the axes' box, and each frame's position in it [F]; NaN draws no dot."""
        self._box, self._column, self._row = box, column, row

    def paint(self, frames: NDArray[np.uint8], chunk: slice) -> None:
        """Draw the mark of a chunk of frames."""
        box = frames[self._box.slices]
        for picture, column in zip(box, self._column[chunk]):
            line = picture[:, min(int(column), picture.shape[1] - 1)]
            line[:] = line // 2 + 64
        known = np.isfinite(self._row[chunk])
        place = [np.where(known, values[chunk], -1e6) for values in (self._row, self._column)]
        stamp_dots(box, *place)


def _add_curve(figure, size, margins, loss, frames, unit) -> _Mark:
    """Draw the loss curve once, and return the mark that moves on it."""
    left = max(margins[0], 80)  # room for the numbers
    box = Box(size[1] - _CURVE_HEIGHT + 6, size[1] - 44, left, margins[1])
    axes = _axes_in(figure, size, box)
    finite = loss[np.isfinite(loss)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
    margin = 0.08 * (high - low) or 0.1
    low, high = low - margin, high + margin
    axes.plot(np.arange(1, len(loss) + 1), loss, color="0.35", linewidth=1)
    end = 1.015 * len(loss)  # room for the last dot
    axes.set(xlim=(0, end), ylim=(low, high), xlabel=unit, ylabel="loss")
    axes.xaxis.label.set_size(9)
    axes.yaxis.label.set_size(9)
    axes.xaxis.set_label_coords(0.5, -20 / (box.bottom - box.top))
    axes.yaxis.set_label_coords(-46 / (box.right - box.left), 0.5)
    axes.locator_params(axis="y", nbins=3)
    column = frames / end * (box.right - box.left)
    at_frame = np.interp(frames, np.arange(1, len(loss) + 1), loss, left=np.nan)
    row = (high - at_frame) / (high - low) * (box.bottom - box.top)
    return _Mark(box, column, row)


# --------------------------------------------------------------------------------------------------
# Members side by side


_TOP, _GAP = 66, 6  # of the panels, pixels
_TITLE = 14  # height of the seeds' titles above each line, pixels
_ALONE, _LEAST = 96, 64  # the smallest panel with all seeds in one line, and in several, pixels
_MAX_SIDE, _MAX_BLOCKS = 4096, 36864  # of a frame, pixels and 16 x 16 pixels: H.264's level 5.1
_LETTER = 0.62 * DPI / 72  # mean width of a letter of 1 pt, pixels


@dataclass(frozen=True)
class GridLayout:
    """The positions of a sweep's members in a frame of `animate_grid`.

    A row is a dimension, or where members differ in further fields, a combination of the dimension
    and those fields. It has several lines of panels if the seeds wrap.

    Attributes:
        panel: Width and height of a panel, pixels.
        columns: Number of panels side by side.
        size: Width and height of the frame, even, pixels.
        boxes: The box of each member's panel.
        seeds: The title of each member's column.
        rows: The label of each member's row, such as "d = 2".
    """

    panel: int
    columns: int
    size: tuple[int, int]
    boxes: Sequence[Box]
    seeds: Sequence[str]
    rows: Sequence[str]

    @classmethod
    def of(cls, members: Sequence[Config], panel: int = 160) -> GridLayout:
        """Return the layout with the largest panels of at most `panel` pixels that fit.

        A frame is as large as H.264's level 5.1 allows, which browsers play: 4096 x 2304 pixels.
        The seeds share a line while panels of 96 pixels fit; then they wrap, and panels have 64
        pixels or more.

        Args:
            members: The config of each member.
            panel: Largest width and height of a panel, pixels, 64 or more.

        Raises:
            InputError: the panel is too small, two members have the same config, or the members do
                not fit; the message says how many of them do.

        Example:
            >>> layout = GridLayout.of([Config(seed=seed, dim=2) for seed in range(100)])
            >>> layout.columns, layout.panel, layout.size
            (20, 160, (3390, 972))
        """
        if not panel >= _LEAST:
            raise InputError(f"panel is {panel}; give {_LEAST} pixels or more")
        if len(set(members)) < len(members):
            raise InputError("members of the same config cannot share a place in the grid")
        if shape := _grid_shape(members, int(panel)):
            return cls._placed(members, *shape)
        # Bisection: the first `fit` members fit, the first `many` do not.
        fit, many = 1, len(members)
        while many - fit > 1:
            middle = (fit + many) // 2
            fit, many = (middle, many) if _grid_shape(members[:middle], _LEAST) else (fit, middle)
        raise InputError(
            f"{len(members)} members do not fit in a video side by side, the first {fit} do; show "
            f"snapshots of at most {fit}"
        )

    @classmethod
    def _placed(
        cls, members: Sequence[Config], panel: int, columns: int, size: tuple[int, int]
    ) -> GridLayout:
        labels, seeds = _row_labels(members), sorted({member.seed for member in members})
        places = {seed: divmod(place, columns) for place, seed in enumerate(seeds)}
        by_dim = sorted(zip(members, labels), key=lambda pair: pair[0].dim)
        rows = list(dict.fromkeys(label for _, label in by_dim))
        lines, pitch = -(-len(seeds) // columns), _pitch(panel, columns, len(seeds))
        left, boxes = _left(labels), []
        for member, label in zip(members, labels):
            line, column = places[member.seed]
            x = left + column * (panel + _GAP)
            y = _TOP + (rows.index(label) * lines + line) * pitch
            boxes.append(Box(y, y + panel, x, x + panel))
        titles = [f"seed {member.seed}" for member in members]
        return cls(panel, columns, size, boxes, titles, labels)

    def still(self, title: str, failures: Sequence[str]) -> NDArray[np.uint8]:
        """Return the static picture: title, seeds, rows, panel frames, and why members failed."""
        from matplotlib.patches import Rectangle

        from colour_embed.viz.style import legible

        width, height = self.size
        with styled():
            figure, canvas = new_canvas(width, height)

            def write(column, row, text, points, room=None, **about):
                longest = max(map(len, text.split("\n")))
                points = min(points, (room or width) / (_LETTER * longest))
                place = column / width, 1 - row / height
                figure.text(*place, text, fontsize=points, parse_math=False, **about)

            write(12, BASELINE, legible(title, 80), 11, width - 150)  # the counter is beside it
            left = min(box.left for box in self.boxes)
            wrapped = self.columns < len(set(self.seeds))
            titled: set[Any] = set()
            for box, seed, row, failure in zip(self.boxes, self.seeds, self.rows, failures):
                middle = (box.left + box.right) / 2, (box.top + box.bottom) / 2
                above, beside = box.top - 4 if wrapped else _TOP - 8, ("line", box.top)
                if (seed, above) not in titled:
                    write(middle[0], above, seed, 9, self.panel, ha="center")
                if beside not in titled:
                    points = min(9, self.panel / (1.7 * len(row.split("\n"))))
                    write(left - 10, middle[1], row, points, ha="right", va="center")
                titled |= {(seed, above), beside}
                if failure:
                    at = box.left + 5, box.bottom - 6
                    write(*at, failure, 7, self.panel - 8, color="0.35")
                corner = (box.left - 0.5) / width, 1 - (box.bottom + 0.5) / height
                shape = (self.panel + 1) / width, (self.panel + 1) / height
                figure.add_artist(
                    Rectangle(corner, *shape, fill=False, edgecolor="0.8", linewidth=0.7)
                )
            return picture_of(canvas)


def _row_labels(members: Sequence[Config]) -> list[str]:
    """Return the label of each member's row: its dimension, and what it does not share with all.

    That of one dimension also names the second axis of its panels.
    """
    varied = [
        field.name
        for field in dataclasses.fields(Config)
        if field.name not in ("seed", "dim")
        and len({getattr(member, field.name) for member in members}) > 1
    ]
    return [
        "\n".join(
            [f"d = {member.dim}"]
            + (["height:", "lightness"] if member.dim == 1 else [])
            + [f"{name.replace('_', ' ')} {getattr(member, name)}" for name in varied]
        )
        for member in members
    ]


def _left(labels: Sequence[str]) -> int:
    """Return the width of the rows' labels with their margins, pixels."""
    longest = max(len(line) for label in set(labels) for line in label.split("\n"))
    return max(64, 16 + int(np.ceil(9 * _LETTER * longest)))


def _pitch(panel: int, columns: int, seeds: int) -> int:
    """Return the distance of two lines of panels; seeds that wrap have titles above each line."""
    return panel + _GAP + (_TITLE if columns < seeds else 0)


def _grid_shape(members: Sequence[Config], most: int) -> tuple[int, int, tuple[int, int]] | None:
    """Return the largest panel up to `most` that fits, the columns and the size; None if none."""
    labels, seeds = _row_labels(members), len({member.seed for member in members})
    left, rows = _left(labels), len(set(labels))
    for least, wraps in ((_ALONE, False), (_LEAST, True)):
        for panel in range(most, least - 1, -1):
            fit = (_MAX_SIDE - left - 6) // (panel + _GAP)
            if fit < 1 or (fit < seeds and not wraps):
                continue
            lines = -(-seeds // fit)
            columns = -(-seeds // lines)
            width = max(left + columns * (panel + _GAP) + 6, 480)
            height = _TOP + rows * lines * _pitch(panel, columns, seeds) + 6
            width, height = width + width % 2, height + height % 2
            blocks = -(-width // 16) * -(-height // 16)
            if max(width, height) <= _MAX_SIDE and blocks <= _MAX_BLOCKS:
                return panel, columns, (width, height)
    return None


def _failures(sweep, members) -> list[str]:
    """Return why each member failed; "" for one that did not."""
    return [
        f"diverged in epoch {sweep.diverged[place]}"
        if sweep.diverged[place]
        else "sign trap"
        if sweep.trapped[place]
        else ""
        for place in range(len(members))
    ]


def _grid_frames(sweep, members, rgb, frames) -> list[NDArray[np.float64]]:
    """Return each member's frames [F, C, 2 or 3], aligned to the best member of its dimension."""
    final = np.append(sweep.loss[:, -1:], np.zeros((len(sweep.loss), 1)), axis=1)[:, 0]
    moving = []
    lightness = rgb @ (0.2126, 0.7152, 0.0722)
    targets: dict[int, NDArray[np.float64]] = {}
    for dim in {member.dim for member in members}:
        places = [place for place, member in enumerate(members) if member.dim == dim]
        # A diverged member's final loss is NaN, which ranks last.
        best = min(places, key=lambda place: np.nan_to_num(final[place], nan=np.inf))
        last = np.asarray(sweep.snapshots[best, -1, :, :dim], float)
        shown = min(dim, 3)
        targets[dim] = align(principal_axes(last, shown), principal_axes(rgb, shown))
    for place, member in enumerate(members):
        snapshots = np.asarray(sweep.snapshots[place, :, :, : member.dim], float)
        ended = sweep.diverged[place]
        whole = sweep.epoch < ended if ended else np.ones(len(sweep.epoch), bool)
        epoch, snapshots = np.asarray(sweep.epoch)[whole], snapshots[whole]
        if len(epoch) == 0:  # diverged before the first snapshot
            epoch, snapshots = np.zeros(1), np.zeros((1, len(rgb), member.dim))
        if member.dim > 3:
            snapshots, _ = _projected(snapshots)
        last = align(snapshots[-1], targets[member.dim])
        turned = interpolate(epoch, align(snapshots, last), frames)
        if member.dim == 1:
            # The one coordinate is horizontal; lightness spreads the items vertically.
            spread = np.broadcast_to(lightness[:, None], turned.shape)
            turned = np.concatenate([turned, spread], axis=2)
        moving.append(turned)
    return moving


def _flat_axes(
    size: tuple[int, int], box: Box, bounds: tuple[NDArray, NDArray], *, line: bool = False
):
    """Return a figure with the axes of an embedding of two dimensions or one, and its canvas."""
    width, height = size
    (left, bottom), (right, top) = bounds
    with styled():
        figure, canvas = new_canvas(width, height)
        axes = _axes_in(figure, size, box)
        axes.set(xlim=(left, right), ylim=(bottom, top), xlabel="$x_0$", ylabel="$x_1$")
        if line:
            axes.set(ylabel="order at the end", yticks=[])
        # At a fixed position, independent of the width of the tick labels.
        axes.yaxis.set_label_coords(-58 / (box.right - box.left), 0.5)
    return figure, canvas


def _axes_in(figure, size: tuple[int, int], box: Box):
    """Add axes that fill a box of a figure of this size, and return them."""
    (width, height), (top, bottom, left, right) = size, box
    place = left / width, 1 - bottom / height, (right - left) / width, (bottom - top) / height
    return figure.add_axes(place)
