"""Snapshots of a training -> video: arrays in, H.264 out.

Whatever stands still (axes, ticks, labels) is drawn once by matplotlib; the points are blended by
NumPy for a chunk of frames at a time, so a frame costs about a millisecond. A marker looks as in
`plots`: a disc of 10 square points in its item's colour on white, with a thin grey edge that keeps
white and nearly white items visible.
"""

import base64
import os
import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from colour_embed.config import InputError

__all__ = ["Animation", "Progress", "animate", "draw_frames", "encode"]

_DPI = 100
_MARKER_AREA = 10  # square points, as scatter's s in the tutorial
_MARGIN = 0.03  # of the last frame's span, so that its outermost markers are whole
_CHUNK_BYTES = 24 * 2**20  # a finished chunk; about three are alive at any time
_SUBPIXELS = 8  # a marker's centre is rounded to this fraction of a pixel
_WHITE = 255
_BASELINE = 25  # of the title and the counter, pixels from the top
_STRIP_BASELINE = 0.38  # of a strip's height, from its bottom

# The 3-D camera, in units of half the cube's side.
_DISTANCE = 6.0
_ELEVATION = 20.0  # degrees
_FIRST_AZIMUTH = -60.0  # degrees
_DEPTH_LEVELS = 16
_FADE = 0.35  # of the way to white, for the farthest points

_RC = {"axes.labelsize": 12, "xtick.labelsize": 9, "ytick.labelsize": 9, "font.size": 11}


class Progress(NamedTuple):
    """What `animate` reports: how many frames are encoded, and how many there will be."""

    done: int
    total: int


@dataclass(frozen=True)
class Animation:
    """A finished video; a notebook shows it as the value of a cell.

    Attributes:
        path: the MP4 file, or None when the video is only in memory.
        frames: how many.
        size: width and height, pixels.
        video: the bytes of the MP4 when path is None, else None.
    """

    path: Path | None
    frames: int
    size: tuple[int, int]
    video: bytes | None = field(default=None, repr=False)

    def _repr_html_(self) -> str:
        """Return a video element that carries the whole MP4, so it also survives in an export."""
        video = self.path.read_bytes() if self.video is None else self.video
        source = base64.b64encode(video).decode("ascii")
        return (
            f'<video width="{self.size[0]}" height="{self.size[1]}" style="max-width:100%;'
            'height:auto" controls autoplay loop muted playsinline '
            f'src="data:video/mp4;base64,{source}"></video>'
        )


def animate(
    epoch: ArrayLike,
    embedding: ArrayLike,
    rgb: ArrayLike,
    path: str | os.PathLike | None = None,
    *,
    loss: ArrayLike | None = None,
    fps: int = 30,
    size: tuple[int, int] | None = None,
    crf: int = 26,
    title: str | None = None,
    report: Callable[["Progress"], None] | None = None,
) -> Animation:
    """Make a video of an embedding as it is trained.

    A chunk of frames is drawn in a thread while the one before it is encoded.

    Args:
        epoch: int [F], the epoch of each frame; 0 is the start.
        embedding: [F, C, d] with d = 2 or 3, a snapshot per frame.
        rgb: [C, 3], red, green and blue in 0..1.
        path: the MP4 to write, whole or not at all; None keeps the video in memory.
        loss: [E], of each epoch from the first on, shown beside the epoch's number.
        fps: frames per second.
        size: width and height in pixels, even; by default 1000 x 500 in 2-D, 800 x 600 in 3-D.
        crf: H.264's constant rate factor, 0 (lossless) to 51.
        title: text at the top left; a sentence that names the dimension when None.
        report: called with a Progress after each chunk.

    Returns:
        The Animation, which shows itself in a notebook.

    Raises:
        InputError: shapes that do not fit, d other than 2 or 3, values that are not finite, colours
            outside 0..1, an epoch without a loss, an odd or small size, or a bad path.
    """
    frames = draw_frames(epoch, embedding, rgb, loss=loss, size=size, title=title)
    total = len(np.asarray(epoch))
    frames = _ahead(frames)
    if report is not None:
        frames = _reported(frames, total, report)
    size = _size(size, np.shape(embedding)[2])
    if path is not None:
        encode(frames, path, fps=fps, crf=crf)
        return Animation(Path(path), total, size)
    with tempfile.TemporaryDirectory() as folder:
        # On disk for a moment, because moving the index to the front needs a file to read back.
        passing = Path(folder) / "animation.mp4"
        encode(frames, passing, fps=fps, crf=crf)
        return Animation(None, total, size, passing.read_bytes())


def draw_frames(
    epoch: ArrayLike,
    embedding: ArrayLike,
    rgb: ArrayLike,
    *,
    loss: ArrayLike | None = None,
    size: tuple[int, int] | None = None,
    title: str | None = None,
) -> Iterator[NDArray[np.uint8]]:
    """Draw every frame, a chunk at a time; takes and checks what `animate` does.

    In 2-D the axes have the limits of the last frame and a small margin; what lies outside is
    clipped. In 3-D the camera circles once around the cube that holds the last frame; far points
    are drawn first, smaller and paler.

    Returns:
        An iterator of uint8 [frames of the chunk, height, width, 3], red, green and blue.

    Raises:
        InputError: as `animate`, before anything is drawn.
    """
    epoch, embedding, rgb, loss = _checked(epoch, embedding, rgb, loss)
    size = _size(size, embedding.shape[2])
    if title is None:
        title = f"Training of the {embedding.shape[2]}-D colour embedding"
    draw = _draw_flat if embedding.shape[2] == 2 else _draw_deep
    colour = np.rint(rgb * 255).astype(np.uint16)
    return draw(embedding, colour, _counter(epoch, loss), size, title)


def encode(
    chunks: Iterable[NDArray[np.uint8]],
    path: str | os.PathLike,
    *,
    fps: int = 30,
    crf: int = 26,
    preset: str = "medium",
) -> int:
    """Write frames as an MP4 that plays everywhere: H.264, yuv420p, BT.709, index at the front.

    The file appears under its name only when it is complete; after a failure nothing is left.

    Args:
        chunks: uint8 [any, height, width, 3] each, all of one even height and width.
        path: the file, ending in .mp4, in a folder that exists.
        fps: frames per second.
        crf: constant rate factor, 0 (lossless) to 51.
        preset: libx264's trade of time for size.

    Returns:
        The number of frames written.

    Raises:
        InputError: a bad path, or no frames.
    """
    path = Path(path)
    if path.suffix.lower() != ".mp4":
        raise InputError(f"{path}: the video is an MP4; give a name that ends in .mp4")
    if not path.parent.is_dir():
        raise InputError(f"{path}: the folder does not exist; make it first")
    passing = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        count = _write(chunks, passing, fps, crf, preset)
        if count == 0:
            raise InputError(f"{path}: there are no frames to encode; give at least one")
        os.replace(passing, path)
    finally:
        passing.unlink(missing_ok=True)
    return count


def _write(chunks: Iterable[NDArray[np.uint8]], path: Path, fps: int, crf: int, preset: str) -> int:
    import av
    from av.video.reformatter import ColorRange, Colorspace

    count = 0
    options = {"crf": str(crf), "preset": preset}
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=fps, options=options)
        stream.pix_fmt = "yuv420p"
        # Players guess when the colour space is not written down, and the colours are the data.
        codec = stream.codec_context
        codec.colorspace = codec.color_primaries = codec.color_trc = 1  # BT.709 in all three lists
        codec.color_range = ColorRange.MPEG.value
        for chunk in chunks:
            if count == 0:
                stream.height, stream.width = chunk.shape[1:3]
            for picture in chunk:
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame = frame.reformat(
                    format="yuv420p",
                    dst_colorspace=Colorspace.ITU709,
                    dst_color_range=ColorRange.MPEG,
                )
                container.mux(stream.encode(frame))
                count += 1
        if count:
            container.mux(stream.encode())
    return count


def _ahead(chunks: Iterator) -> Iterator:
    """Compute the next chunk in a thread while the caller uses this one."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(next, chunks, None)
        while (chunk := future.result()) is not None:
            future = pool.submit(next, chunks, None)
            yield chunk


def _reported(chunks: Iterator, total: int, report: Callable[["Progress"], None]) -> Iterator:
    done = 0
    for chunk in chunks:
        yield chunk
        done += len(chunk)
        report(Progress(done, total))


def _checked(epoch, embedding, rgb, loss):
    epoch, embedding = np.asarray(epoch), np.asarray(embedding, dtype=np.float64)
    rgb = np.asarray(rgb, dtype=np.float64)
    if embedding.ndim != 3 or 0 in embedding.shape:
        raise InputError(f"embedding has shape {embedding.shape}; give [frames, items, 2 or 3]")
    frames, items, dim = embedding.shape
    if dim not in (2, 3):
        mend = "add a second column" if dim == 1 else "project it, say on its principal components"
        raise InputError(
            f"embedding has {dim} dimension{'s' * (dim != 1)}, and a video shows 2 or 3; {mend}"
        )
    if epoch.shape != (frames,) or not np.issubdtype(epoch.dtype, np.integer) or epoch.min() < 0:
        raise InputError(
            f"epoch is {epoch.dtype} {epoch.shape}; give one whole number, 0 or more, "
            f"for each of the embedding's {frames} frames"
        )
    if rgb.shape != (items, 3) or not ((rgb >= 0) & (rgb <= 1)).all():
        raise InputError(
            f"rgb has shape {rgb.shape}; give [{items}, 3], a row per item, in 0..1 "
            "(divide bytes by 255)"
        )
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
    return epoch, embedding, rgb, loss


def _size(size: tuple[int, int] | None, dim: int) -> tuple[int, int]:
    width, height = size or ((1000, 500) if dim == 2 else (800, 600))
    if width % 2 or height % 2 or width < 320 or height < 200:
        raise InputError(f"size is {width} x {height}; H.264 wants even numbers, 320 x 200 or more")
    return width, height


# Text and axes, by matplotlib -----------------------------------------------------------------


def _counter(epoch: NDArray, loss: NDArray | None) -> list[tuple[str, list[str]]]:
    """Return what the counter says: a label and each frame's value, padded to one length."""
    parts = [("epoch", [str(number) for number in epoch])]
    if loss is not None:
        # Epoch 0 is the start, which has no loss yet.
        values = [f"{loss[number - 1]:.4f}" if number else "–" for number in epoch]
        parts.append(("loss", values))
    return [(label, [v.rjust(max(map(len, values))) for v in values]) for label, values in parts]


def _canvas(width: int, height: int):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI)
    return figure, FigureCanvasAgg(figure)


def _picture(canvas) -> NDArray[np.uint8]:
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()


def _strips(texts: Iterable[str], points: float) -> list[NDArray[np.uint8]]:
    """Draw each text, black on white: grey levels [height, its width], all on one baseline."""
    figure, canvas = _canvas(200, round(points * _DPI / 72 * 2))
    line = figure.text(0.5, _STRIP_BASELINE, "", fontsize=points, ha="center")
    strips = []
    for text in texts:
        line.set_text(text * 2)
        width = line.get_window_extent().width
        line.set_text(text)
        # What a repetition adds is the advance; the ink alone would crowd a 1 and a full stop.
        width = int(np.ceil(max(width - line.get_window_extent().width, 1)))
        left = (200 - width) // 2
        strips.append(_picture(canvas)[:, left : left + width, 0])
    return strips


def _counter_strips(parts: list[tuple[str, list[str]]], points: float) -> NDArray[np.uint8]:
    """Draw the counter of every frame [F, height, width], grey, from letters drawn once.

    Laying out a line costs matplotlib two milliseconds, which is more than all points of a frame.
    Every place keeps its width, so that nothing jumps when a digit changes.
    """
    columns = []
    for label, values in parts:
        places = np.array([list(value) for value in values])  # [F, letters]
        letters = np.unique(places)
        strips = dict(zip(letters, _strips(letters, points)))
        label = _strips([label], points)[0]
        gap = np.full((len(label), 8), _WHITE, np.uint8)
        columns += [np.broadcast_to(x, (len(values), *x.shape)) for x in (gap, gap, label, gap)]
        for place in places.T:
            width = max([strips[letter].shape[1] for letter in place if letter != " "], default=1)
            cells = np.full((len(letters), len(label), width), _WHITE, np.uint8)
            for letter in set(place) - {" "}:
                left = (width - strips[letter].shape[1]) // 2
                cell = cells[np.searchsorted(letters, letter)]
                cell[:, left : left + strips[letter].shape[1]] = strips[letter]
            columns.append(cells[np.searchsorted(letters, place)])
    return np.concatenate(columns, axis=2)


class _Still(NamedTuple):
    """What stands still, and the counters: one strip per frame and its top left pixel."""

    picture: NDArray[np.uint8]  # [height, width, 3]
    counter: NDArray[np.uint8]  # [F, strip height, strip width], grey
    corner: tuple[int, int]  # row, column

    def fill(self, frames: NDArray[np.uint8], first: int) -> None:
        """Put the picture and each frame's counter into frames [n, height, width, 3]."""
        frames[:] = self.picture
        row, column = self.corner
        counter = self.counter[first : first + len(frames), :, :, None]
        frames[:, row : row + counter.shape[1], column : column + counter.shape[2]] = counter


def _chunks(frames: int, size: tuple[int, int]) -> Iterator[slice]:
    step = max(1, _CHUNK_BYTES // (3 * size[0] * size[1]))
    for first in range(0, frames, step):
        yield slice(first, min(first + step, frames))


def _limits(embedding: NDArray) -> tuple[NDArray, NDArray]:
    """Return low and high [d] of the last frame, with the margin; never an empty span."""
    low, high = embedding[-1].min(axis=0), embedding[-1].max(axis=0)
    span = high - low
    span = np.where(span > 0, span, 1.0)
    middle = (low + high) / 2
    return middle - span * (0.5 + _MARGIN), middle + span * (0.5 + _MARGIN)


# Markers, by NumPy ----------------------------------------------------------------------------


class _Markers(NamedTuple):
    """Ready stamps: pixel = (behind * pixel + face * colour + fixed) / 256.

    Each is uint16 [levels * subpixels^2, side, 3 side]: every weight stands three times in a row,
    for red, green and blue, so that a row of a stamp meets a row of bytes of a frame.
    """

    behind: NDArray[np.uint16]
    face: NDArray[np.uint16]
    fixed: NDArray[np.uint16]  # the edge, the fade and a half for rounding

    @property
    def side(self) -> int:
        return self.behind.shape[1]


def _coverage(radius: float, side: int) -> NDArray[np.float64]:
    """Return how much of each pixel a disc covers: [subpixel row, subpixel column, side, side].

    The disc lies `(subpixel + 0.5) / subpixels` from the corner of the middle pixel. Its area is
    summed from samples, `fine` of them per subpixel and direction.
    """
    fine = 4
    step = _SUBPIXELS * fine
    place = (np.arange((side + 1) * step) + 0.5) / step - (side // 2 + 1 + 0.5 / _SUBPIXELS)
    inside = np.clip((radius - np.hypot(place[:, None], place)) * step + 0.5, 0, 1)
    area = np.zeros((len(place) + 1,) * 2)
    area[1:, 1:] = inside.cumsum(axis=0).cumsum(axis=1)
    # Moving the disc right is moving the pixels left.
    start = np.arange(1, side + 1) * step - np.arange(_SUBPIXELS)[:, None] * fine
    first, last = start, start + step

    def corner(row, column):
        return area[row[:, None, :, None], column[None, :, None, :]]

    total = corner(last, last) - corner(first, last) - corner(last, first) + corner(first, first)
    return total / step**2


def _markers(scale: NDArray[np.float64], fade: NDArray[np.float64]) -> _Markers:
    """Make the stamps for each level: its marker's relative size, and its fade to white."""
    from matplotlib.colors import to_rgb

    from colour_embed.plots import MARKER

    edge_width = MARKER["linewidths"] * _DPI / 72
    edge_grey = to_rgb(MARKER["edgecolors"])[0] * 255
    radius = scale * np.sqrt(_MARKER_AREA) / 2 * _DPI / 72
    side = 2 * int(np.ceil(radius.max() + edge_width / 2)) + 1
    tables = [], [], []
    for level_radius, level_fade in zip(radius, fade):
        # As Agg does it: the face first, then the edge, half of it over the face.
        edge = _coverage(level_radius + edge_width / 2, side)
        edge = edge - _coverage(level_radius - edge_width / 2, side)
        face = _coverage(level_radius, side) * (1 - edge)
        behind = np.rint((1 - face - edge) * 256)
        face = np.minimum(np.rint(face * (1 - level_fade) * 256), 256 - behind)
        rest = 256 - behind - face
        paint = edge * (1 - level_fade) * 256 * edge_grey
        paint += np.maximum(rest - edge * (1 - level_fade) * 256, 0) * _WHITE
        fixed = np.minimum(np.rint(paint), rest * _WHITE) + 128
        for table, weight in zip(tables, (behind, face, fixed)):
            table.append(weight.reshape(-1, side, side).repeat(3, axis=2).astype(np.uint16))
    return _Markers(*map(np.concatenate, tables))


def _padded(pictures: NDArray[np.uint8], pad: int) -> tuple[NDArray, NDArray]:
    """Return an empty canvas with `pad` more pixels on each side, and the view of its inside."""
    frames, height, width, _ = pictures.shape
    canvas = np.empty((frames, height + 2 * pad, width + 2 * pad, 3), np.uint8)
    return canvas, canvas[:, pad:-pad, pad:-pad]


def _stamp(
    canvas: NDArray[np.uint8],
    markers: _Markers,
    row: NDArray[np.float64],
    column: NDArray[np.float64],
    colour: NDArray[np.uint16],
    order: NDArray[np.intp] | None = None,
    level: NDArray[np.intp] | int = 0,
) -> None:
    """Blend a marker per item and frame into the canvas, in place.

    Args:
        canvas: [F, height + 2 side, width + 2 side, 3]; whatever falls outside the picture lands
            in this padding, so no marker needs to be cut.
        markers: the stamps.
        row: [F, C], distance of each centre from the top of the picture, pixels.
        column: [F, C], distance from its left.
        colour: [C, 3], 0..255.
        order: [F, C], the items from first to last drawn; their own order when None.
        level: [F, C], which size and fade.
    """
    side = markers.side
    frames, height, wide = canvas.shape[:3]

    def place(pixel, length):
        # Clipped first: what is far away must not overflow an integer.
        subpixel = np.clip(pixel, -side, length) * _SUBPIXELS
        whole, part = np.divmod(np.floor(subpixel).astype(np.intp), _SUBPIXELS)
        return np.clip(whole - side // 2 + side, 0, length - side), part

    top, row_part = place(row, height)
    left, column_part = place(column, wide)
    which = (level * _SUBPIXELS + row_part) * _SUBPIXELS + column_part
    left *= 3
    if order is None:
        item = np.broadcast_to(np.arange(len(colour))[:, None], top.T.shape)
    else:
        top, left, which = (np.take_along_axis(a, order, axis=1) for a in (top, left, which))
        item = order.T
    top, left, which = (np.ascontiguousarray(a.T) for a in (top, left, which))
    tint = np.tile(colour.astype(np.uint16), side)[:, None, :]
    window = sliding_window_view(
        canvas.reshape(frames, height, wide * 3), (side, side * 3), axis=(1, 2), writeable=True
    )
    frame = np.arange(frames)
    for k in range(len(colour)):
        at, stamp = (frame, top[k], left[k]), which[k]
        paint = markers.face[stamp]
        paint *= tint[item[k]]
        paint += markers.fixed[stamp]
        pixel = markers.behind[stamp]
        pixel *= window[at]
        pixel += paint
        pixel >>= 8
        window[at] = pixel


# Two dimensions -------------------------------------------------------------------------------


def _flat_still(low, high, counters, size, title):
    """Return what stands still and the box of the axes: top, bottom, left, right, in pixels."""
    import matplotlib as mpl

    from colour_embed.plots import style

    width, height = size
    top, bottom, left, right = 40, height - 56, 80, width - 20
    with style(), mpl.rc_context(_RC):
        figure, canvas = _canvas(width, height)
        axes = figure.add_axes(
            (left / width, 1 - bottom / height, (right - left) / width, (bottom - top) / height)
        )
        axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xlabel="$x_0$", ylabel="$x_1$")
        # At a fixed place, whatever the width of the tick labels.
        axes.yaxis.set_label_coords(-58 / (right - left), 0.5)
        return _still(figure, canvas, counters, title, left, right), (top, bottom, left, right)


def _still(figure, canvas, counters, title, left, right) -> _Still:
    height = figure.get_figheight() * _DPI
    figure.text(left / _DPI / figure.get_figwidth(), 1 - _BASELINE / height, title)
    strips = _counter_strips(counters, 11)
    corner = (_BASELINE - round(strips.shape[1] * (1 - _STRIP_BASELINE)), right - strips.shape[2])
    return _Still(_picture(canvas), strips, corner)


def _draw_flat(embedding, colour, counters, size, title) -> Iterator[NDArray[np.uint8]]:
    low, high = _limits(embedding)
    still, (top, bottom, left, right) = _flat_still(low, high, counters, size, title)
    markers = _markers(np.ones(1), np.zeros(1))
    column = (embedding[:, :, 0] - low[0]) / (high[0] - low[0]) * (right - left)
    row = (high[1] - embedding[:, :, 1]) / (high[1] - low[1]) * (bottom - top)
    for chunk in _chunks(len(embedding), size):
        frames = np.empty((chunk.stop - chunk.start, size[1], size[0], 3), np.uint8)
        still.fill(frames, chunk.start)
        box = frames[:, top:bottom, left:right]
        canvas, inside = _padded(box, markers.side)
        inside[:] = still.picture[top:bottom, left:right]
        _stamp(canvas, markers, row[chunk], column[chunk], colour)
        # The axis lines, one pixel at the left and the bottom, stay over the points.
        box[:, :-1, 1:] = inside[:, :-1, 1:]
        yield frames


# Three dimensions -----------------------------------------------------------------------------


def _camera(frames: int) -> tuple[NDArray, NDArray]:
    """Return where the camera is, [F, 3], and its axes right, up, towards the viewer [F, 3, 3]."""
    azimuth = np.deg2rad(_FIRST_AZIMUTH + 360 * np.arange(frames) / frames)
    elevation = np.deg2rad(_ELEVATION)
    c, s, zero = np.cos(azimuth), np.sin(azimuth), np.zeros(frames)
    towards = np.stack([c * np.cos(elevation), s * np.cos(elevation), zero + np.sin(elevation)], 1)
    right = np.stack([-s, c, zero], axis=1)
    up = np.cross(towards, right)
    return _DISTANCE * towards, np.stack([right, up, towards], axis=1)


def _project(point: NDArray, axes: NDArray) -> tuple[NDArray, NDArray]:
    """Return right and up [F, N, 2] on a screen at distance 1, and the depth [F, N]."""
    seen = point @ axes.transpose(0, 2, 1)
    depth = _DISTANCE - seen[:, :, 2]
    # What has passed the camera is kept positive here and moved out of the picture later.
    return seen[:, :, :2] / np.maximum(depth, 0.1)[:, :, None], depth


# Edges of the cube as pairs of corners, and the two faces (axis, side) that meet in each.
_CORNERS = np.array([(x, y, z) for x in (-1.0, 1) for y in (-1, 1) for z in (-1, 1)])
_EDGES = [
    (i, i + step, axis)
    for axis, step in enumerate((4, 2, 1))
    for i in range(8)
    if _CORNERS[i, axis] < 0
]
_NAMES_AT = np.array([(1.16, -1, -1), (-1, 1.16, -1), (-1.0, -1, 1.14)])


def _edge_weights(camera: NDArray) -> NDArray[np.float64]:
    """Return the ink of each edge [F, 12]: positive behind the points, negative before them."""
    sees = np.stack([camera < -1, camera > 1], axis=2)  # the face at -1, at 1
    weight = np.empty((len(camera), 12))
    for index, (corner, _, axis) in enumerate(_EDGES):
        first, second = (
            sees[:, other, int(_CORNERS[corner, other] > 0)] for other in range(3) if other != axis
        )
        # Nearest edges over the points, the outline and the far edges under them; the three that
        # are named, from the corner of the lowest values, are the darkest.
        weight[:, index] = np.where(first & second, -0.35, np.where(first | second, 0.5, 0.35))
        weight[:, index] *= 1.7 if corner == 0 else 1
    return weight


def _draw_line(canvas, pad, start, end, weight, grey=110) -> None:
    """Blend one anti-aliased line of a pixel's width per frame into the canvas, in place.

    Args:
        canvas: [F, height, width, 3] with `pad` pixels on each side.
        pad: as above.
        start: [F, 2], row and column of the picture.
        end: [F, 2].
        weight: [F], ink in 0..1.
        grey: of the line, 0..255.
    """
    frames, height, width, _ = canvas.shape
    start, end = start + (pad - 0.5), end + (pad - 0.5)  # pixel k's centre is now at k
    steep = np.abs(end - start).argmax(axis=1)  # walk along rows or along columns
    frame = np.arange(frames)
    major_start, major_end = start[frame, steep], end[frame, steep]
    minor_start, minor_end = start[frame, 1 - steep], end[frame, 1 - steep]
    low = np.ceil(np.minimum(major_start, major_end)).astype(int)
    count = np.floor(np.maximum(major_start, major_end)).astype(int) - low + 1
    major = low[:, None] + np.arange(max(1, count.max()))
    span = major_end - major_start
    slope = (minor_end - minor_start) / np.where(span == 0, 1, span)
    minor = minor_start[:, None] + slope[:, None] * (major - major_start[:, None])
    whole = np.floor(minor)
    for offset in (0, 1):
        ink = weight[:, None] * (1 - np.abs(minor - whole - offset))
        side = whole.astype(int) + offset
        row = np.where(steep[:, None] == 0, major, side)
        column = np.where(steep[:, None] == 0, side, major)
        keep = (np.arange(major.shape[1]) < count[:, None]) & (ink > 0)
        keep &= (row >= 0) & (row < height) & (column >= 0) & (column < width)
        at = np.nonzero(keep)[0], row[keep], column[keep]
        pixel = canvas[at].astype(np.float32)
        pixel += (grey - pixel) * ink[keep].astype(np.float32)[:, None]
        canvas[at] = np.rint(pixel).astype(np.uint8)


def _draw_name(canvas, pad, name, row, column) -> None:
    """Blend a grey strip, dark on white, around a centre [F] per frame, moved by subpixels."""
    frames, height, width, _ = canvas.shape
    ink = np.pad(255.0 - name, 1)[None]
    high, wide = ink.shape[1:]
    top = np.clip(row + pad - high / 2, 0, height - high - 1)
    left = np.clip(column + pad - wide / 2, 0, width - wide - 1)
    down, over = (top % 1)[:, None, None], (left % 1)[:, None, None]
    # Linear interpolation: whole pixels would make the name tremble as the camera turns.
    ink = ink * (1 - down) + np.roll(ink, 1, axis=1) * down
    ink = ink * (1 - over) + np.roll(ink, 1, axis=2) * over
    window = sliding_window_view(
        canvas.reshape(frames, height, width * 3), (high, wide * 3), axis=(1, 2), writeable=True
    )
    at = np.arange(frames), top.astype(int), left.astype(int) * 3
    window[at] = np.rint(window[at] * (1 - ink / 255).repeat(3, axis=2)).astype(np.uint8)


def _deep_still(counters, size, title):
    """Return what stands still, and the names of the axes as strips."""
    import matplotlib as mpl

    from colour_embed.plots import style

    with style(), mpl.rc_context(_RC):
        figure, canvas = _canvas(*size)
        names = _strips([f"$x_{axis}$" for axis in range(3)], 12)
        return _still(figure, canvas, counters, title, 24, size[0] - 24), names


def _draw_deep(embedding, colour, counters, size, title) -> Iterator[NDArray[np.uint8]]:
    still, names = _deep_still(counters, size, title)
    low, high = _limits(embedding)
    embedding = (embedding - (low + high) / 2) / ((high - low).max() / 2)
    camera, axes = _camera(len(embedding))
    edge_weight = _edge_weights(camera)

    # One scale for all frames, with which the whole cube and its names fit under the title.
    around = _project(np.concatenate([_CORNERS, _NAMES_AT]), _camera(360)[1])[0]
    least, most = around.min(axis=(0, 1)), around.max(axis=(0, 1))
    top, bottom, edge = 40, size[1] - 16, 24
    scale = min((size[0] - 2 * edge) / (2 * most[0]), (bottom - top) / (most[1] - least[1]))
    middle = np.array([(top + bottom) / 2 + (most[1] + least[1]) / 2 * scale, size[0] / 2])

    def place(point, axes):
        screen, depth = _project(point, axes)
        return middle + screen[:, :, ::-1] * (-scale, scale), depth

    level_depth = np.linspace(_DISTANCE - 1.5, _DISTANCE + 1.5, _DEPTH_LEVELS)
    markers = _markers(_DISTANCE / level_depth, np.linspace(0, _FADE, _DEPTH_LEVELS))
    pad = markers.side
    for chunk in _chunks(len(embedding), size):
        frames = np.empty((chunk.stop - chunk.start, size[1], size[0], 3), np.uint8)
        canvas, inside = _padded(frames, pad)
        still.fill(inside, chunk.start)
        corner = place(_CORNERS, axes[chunk])[0]
        weight = edge_weight[chunk]

        def draw_edges(weight, corner=corner, canvas=canvas):
            for index, (start, end, _) in enumerate(_EDGES):
                if weight[:, index].any():
                    _draw_line(canvas, pad, corner[:, start], corner[:, end], weight[:, index])

        draw_edges(np.maximum(weight, 0))
        for name, position in zip(names, place(_NAMES_AT, axes[chunk])[0].swapaxes(0, 1)):
            _draw_name(canvas, pad, name, *position.T)
        position, depth = place(embedding[chunk], axes[chunk])
        position[depth < 0.5] = -1e6  # beside or behind the camera
        level = np.rint((depth - level_depth[0]) / 3 * (_DEPTH_LEVELS - 1))
        level = np.clip(level, 0, _DEPTH_LEVELS - 1).astype(np.intp)
        order = np.argsort(-depth, axis=1, kind="stable")
        _stamp(canvas, markers, position[..., 0], position[..., 1], colour, order, level)
        draw_edges(np.maximum(-weight, 0))
        frames[:] = inside
        yield frames
