"""Rasterisation of an embedding's points with NumPy, for all frames of a chunk at once.

A frame of 646 points takes about 1 ms. Markers match `style.MARKER` in matplotlib: a disc in its
item's colour with a thin grey edge, which keeps white and nearly white items visible. Those of
groups have the shapes of `style.item_looks`.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

if TYPE_CHECKING:
    from colour_embed.viz.style import ItemLooks

__all__ = ["Box", "DeepPanel", "FlatPanel", "limits", "stamp_dots"]

DPI = 100
MARKER_AREA = 10.0  # square points, as scatter's s in the tutorial
_MARGIN = 0.03  # of the last frame's span, so that its outermost markers are not clipped
_SUBPIXELS = 8  # a marker's centre is rounded to this fraction of a pixel
_WHITE = 255
_RING = 1.5  # width of the outline of a marker that is not filled, pixels

# The 3-D camera, in units of half the cube's side.
_DISTANCE = 6.0
_ELEVATION = 20.0  # degrees
_FIRST_AZIMUTH = -60.0  # degrees
_DEPTH_LEVELS = 16


class Box(NamedTuple):
    """A rectangle of a picture, in pixels from its top left corner."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """The index of its pixels in [frames, height, width, 3]."""
        return slice(None), slice(self.top, self.bottom), slice(self.left, self.right)


def limits(embedding: NDArray) -> tuple[NDArray, NDArray]:
    """Return low and high [d] of the last frame, with a margin; the span is never 0."""
    low, high = embedding[-1].min(axis=0), embedding[-1].max(axis=0)
    span = high - low
    span = np.where(span > 0, span, 1.0)
    middle = (low + high) / 2
    return middle - span * (0.5 + _MARGIN), middle + span * (0.5 + _MARGIN)


class FlatPanel:
    """The points of a two-dimensional training, with the limits of its last frame."""

    def __init__(
        self,
        embedding: NDArray[np.float64],
        rgb: NDArray[np.float64],
        box: Box,
        *,
        area: float = MARKER_AREA,
        looks: ItemLooks | None = None,
    ):
        """Compute the pixel position of each point in each frame.

        Args:
            embedding: [F, C, 2].
            rgb: [C, 3], in 0..1.
            box: The pixels to draw in; points outside are clipped.
            area: Area of a marker, square points.
            looks: The items' markers; discs by default.
        """
        low, high = limits(embedding)
        self._box, self._colour = box, _bytes(rgb)
        self._markers, self._kind = _markers(np.ones(1), area, looks), _kinds(looks)
        self._column = (embedding[:, :, 0] - low[0]) / (high[0] - low[0]) * (box.right - box.left)
        self._row = (high[1] - embedding[:, :, 1]) / (high[1] - low[1]) * (box.bottom - box.top)

    def paint(self, frames: NDArray[np.uint8], chunk: slice) -> None:
        """Blend the points of a chunk of frames into their pictures [n, height, width, 3]."""
        box = frames[self._box.slices]
        canvas, inside = _padded(box, self._markers.side)
        inside[:] = box
        place = self._row[chunk], self._column[chunk]
        _stamp(canvas, self._markers, *place, self._colour, level=self._kind)
        # The axis lines, one pixel at the left and the bottom, are kept above the points.
        box[:, :-1, 1:] = inside[:, :-1, 1:]


class DeepPanel:
    """The points of a three-dimensional training in the bounding cube of its last frame.

    The camera circles once around the cube. Farther points are drawn first and smaller. They are
    not paler, so that each point has its item's colour.
    """

    def __init__(
        self,
        embedding: NDArray[np.float64],
        rgb: NDArray[np.float64],
        box: Box,
        *,
        area: float = MARKER_AREA,
        names: list[NDArray[np.uint8]] | None = None,
        looks: ItemLooks | None = None,
    ):
        """Compute the camera and the scale, which are the same for all frames.

        Args:
            embedding: [F, C, 3].
            rgb: [C, 3], in 0..1.
            box: The pixels to draw in.
            area: Area of a marker in the cube's centre, square points.
            names: Names of the three axes as grey strips; none by default.
            looks: The items' markers; discs by default.
        """
        low, high = limits(embedding)
        self._embedding = (embedding - (low + high) / 2) / ((high - low).max() / 2)
        self._box, self._colour, self._names = box, _bytes(rgb), names or []
        camera, self._axes = _camera(len(embedding))
        self._edge_weight = _edge_weights(camera)
        # One scale for all frames, at which the cube and its names fit the box.
        held = np.concatenate([_CORNERS, _NAMES_AT]) if names else _CORNERS
        around = _project(held, _camera(360)[1])[0]
        least, most = around.min(axis=(0, 1)), around.max(axis=(0, 1))
        height, width = box.bottom - box.top, box.right - box.left
        # Names are centred at their places, so that half of each reaches beyond its own.
        high, wide = np.max([name.shape for name in self._names] or [(0, 0)], axis=0)
        self._scale = min((width - wide) / (2 * most[0]), (height - high) / (most[1] - least[1]))
        self._middle = np.array([height / 2 + (most[1] + least[1]) / 2 * self._scale, width / 2])
        self._level_depth = np.linspace(_DISTANCE - 1.5, _DISTANCE + 1.5, _DEPTH_LEVELS)
        self._markers = _markers(_DISTANCE / self._level_depth, area, looks)
        self._kind = _kinds(looks)

    def paint(self, frames: NDArray[np.uint8], chunk: slice) -> None:
        """Blend the cube and the points of a chunk of frames into their pictures."""
        pad, axes = self._markers.side, self._axes[chunk]
        box = frames[self._box.slices]
        canvas, inside = _padded(box, pad)
        inside[:] = box
        corner = self._place(_CORNERS, axes)[0]
        weight = self._edge_weight[chunk]

        def draw_edges(weight):
            for index, (start, end, _) in enumerate(_EDGES):
                if weight[:, index].any():
                    _draw_line(canvas, pad, corner[:, start], corner[:, end], weight[:, index])

        draw_edges(np.maximum(weight, 0))
        for name, position in zip(self._names, self._place(_NAMES_AT, axes)[0].swapaxes(0, 1)):
            _draw_name(canvas, pad, name, *position.T)
        position, depth = self._place(self._embedding[chunk], axes)
        position[depth < 0.5] = -1e6  # beside or behind the camera
        first, last = self._level_depth[[0, -1]]
        level = np.rint((depth - first) / (last - first) * (_DEPTH_LEVELS - 1))
        level = np.clip(level, 0, _DEPTH_LEVELS - 1).astype(np.intp) + _DEPTH_LEVELS * self._kind
        order = np.argsort(-depth, axis=1, kind="stable")
        _stamp(canvas, self._markers, *position.transpose(2, 0, 1), self._colour, order, level)
        draw_edges(np.maximum(-weight, 0))
        box[:] = inside

    def _place(self, point: NDArray, axes: NDArray) -> tuple[NDArray, NDArray]:
        """Return row and column in the box [F, N, 2], and the depth [F, N]."""
        screen, depth = _project(point, axes)
        return self._middle + screen[:, :, ::-1] * (-self._scale, self._scale), depth


def stamp_dots(
    frames: NDArray[np.uint8], row: NDArray[np.float64], column: NDArray[np.float64]
) -> None:
    """Blend one dark dot per frame [F, height, width, 3] at its row [F] and column [F]."""
    markers = _markers(np.ones(1), 3 * MARKER_AREA)
    canvas, inside = _padded(frames, markers.side)
    inside[:] = frames
    _stamp(canvas, markers, row[:, None], column[:, None], np.full((1, 3), 40, np.uint16))
    frames[:] = inside


def _bytes(rgb: NDArray[np.float64]) -> NDArray[np.uint16]:
    return np.rint(rgb * 255).astype(np.uint16)


def _kinds(looks: ItemLooks | None) -> NDArray[np.intp] | int:
    return 0 if looks is None else looks.kind


# Markers, by NumPy ----------------------------------------------------------------------------


class _Markers(NamedTuple):
    """Marker stamps: pixel = (behind * pixel + face * colour + fixed) / 256.

    Each is uint16 [shapes * levels * subpixels^2, side, 3 side]. Every weight is repeated for red,
    green and blue, so that a row of a stamp has the layout of a row of a frame.
    """

    behind: NDArray[np.uint16]
    face: NDArray[np.uint16]
    fixed: NDArray[np.uint16]  # the edge, the white of a hollow marker, and a half for rounding

    @property
    def side(self) -> int:
        return self.behind.shape[1]


_FINE = 4 * _SUBPIXELS  # samples per pixel and direction


def _samples(side: int) -> NDArray[np.float64]:
    """Return the positions of the samples of `_coverage` from the centre of a marker, pixels."""
    place = (np.arange((side + 1) * _FINE) + 0.5) / _FINE
    return place - (side // 2 + 1 + 0.5 / _SUBPIXELS)


def _coverage(distance: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Return the coverage of each pixel by a shape, [subpixel row, subpixel column, side, side].

    The centre of the shape is `(subpixel + 0.5) / subpixels` from the corner of the middle pixel.
    `distance` is that of each of `_samples`, down and across, to the edge, pixels; positive inside.
    """
    inside = np.clip(distance * _FINE + 0.5, 0, 1)
    # Every pixel begins at a multiple of a subpixel, so that sums of these are enough.
    fine, count = _FINE // _SUBPIXELS, (side + 1) * _SUBPIXELS
    area = np.zeros((count + 1,) * 2)
    area[1:, 1:] = inside.reshape(count, fine, count, fine).sum(axis=(1, 3))
    area = area.cumsum(axis=0).cumsum(axis=1)
    # Shifting the shape right is the same as shifting the pixels left.
    first = np.arange(1, side + 1) * _SUBPIXELS - np.arange(_SUBPIXELS)[:, None]
    last = first + _SUBPIXELS

    def corner(row, column):
        return area[row[:, None, :, None], column[None, :, None, :]]

    total = corner(last, last) - corner(first, last) - corner(last, first) + corner(first, first)
    return total / _FINE**2


def _inside(corners: NDArray[np.float64], place: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distance of each position, down and across, to a polygon's edge, positive inside.

    Args:
        corners: [V, 2], x and y upward.
        place: [S], positions in both directions.
    """
    x, y = place, -place[:, None]
    nearest = np.full((len(place),) * 2, np.inf)
    crossed = np.zeros(nearest.shape, bool)
    for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0)):
        across, up = x2 - x1, y2 - y1
        along = ((x - x1) * across + (y - y1) * up) / (across**2 + up**2)
        along = np.clip(along, 0, 1)
        np.minimum(
            nearest, (x - x1 - along * across) ** 2 + (y - y1 - along * up) ** 2, out=nearest
        )
        if up:
            crossed ^= ((y1 > y) != (y2 > y)) & (x < x1 + (y - y1) / up * across)
    return np.where(crossed, 1, -1) * np.sqrt(nearest)


def _markers(
    scale: NDArray[np.float64],
    area: float,
    looks: ItemLooks | None = None,
) -> _Markers:
    """Return the stamps of each depth level, of which `scale` is the size.

    With `looks` there are as many for each of them, one after another.
    """
    from matplotlib.colors import to_rgb

    from colour_embed.viz.style import MARKER

    shapes = (
        [(None, True)] if looks is None else [(one.outline(), one.filled) for one in looks.looks]
    )
    edge_width = MARKER["linewidths"] * DPI / 72
    edge_grey = to_rgb(MARKER["edgecolors"])[0] * 255
    radius = scale * np.sqrt(area) / 2 * DPI / 72
    reach = max(0.5 if corners is None else np.abs(corners).max() for corners, _ in shapes)
    side = 2 * int(np.ceil(2 * reach * radius.max() + edge_width / 2)) + 1
    place = _samples(side)
    tables = [], [], []
    for (corners, filled), level_radius in itertools.product(shapes, radius):
        if corners is None:
            distance = level_radius - np.hypot(place[:, None], place)
        else:
            distance = _inside(2 * level_radius * corners, place)
        # As in Agg: the face is drawn first, then the edge, half of it over the face.
        edge = _coverage(distance + edge_width / 2, side)
        edge = edge - _coverage(distance - edge_width / 2, side)
        face = _coverage(distance, side) * (1 - edge)
        behind = np.rint((1 - face - edge) * 256)
        if not filled:
            face = np.maximum(face - _coverage(distance - _RING, side), 0)
        face = np.minimum(np.rint(face * 256), 256 - behind)
        rest = 256 - behind - face
        paint = edge * 256 * edge_grey
        paint += np.maximum(rest - edge * 256, 0) * _WHITE
        fixed = np.minimum(np.rint(paint), rest * _WHITE) + 128
        for table, weight in zip(tables, (behind, face, fixed)):
            table.append(weight.reshape(-1, side, side).repeat(3, axis=2).astype(np.uint16))
    return _Markers(*map(np.concatenate, tables))


def _padded(pictures: NDArray[np.uint8], pad: int) -> tuple[NDArray, NDArray]:
    """Return an empty canvas with `pad` more pixels on each side, and a view without them."""
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
        canvas: [F, height + 2 side, width + 2 side, 3]; markers outside the picture are drawn in
            the padding, so that none needs clipping.
        markers: the stamps.
        row: [F, C], distance of each centre from the top of the picture, pixels.
        column: [F, C], distance from its left.
        colour: [C, 3], 0..255.
        order: [F, C], the items in drawing order; the order of `colour` when None.
        level: [F, C] or [C], the depth level, of the levels of all shapes.
    """
    side = markers.side
    frames, height, wide = canvas.shape[:3]

    def place(pixel, length):
        # Clipped before the conversion, since distant points would overflow an integer.
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


# Three dimensions -----------------------------------------------------------------------------


def _camera(frames: int) -> tuple[NDArray, NDArray]:
    """Return the camera's position [F, 3], and its axes right, up and backward [F, 3, 3]."""
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
    # The depth of points behind the camera is clamped here; `paint` moves them off the picture.
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
    """Return the ink of each edge [F, 12]: positive behind the points, negative in front."""
    sees = np.stack([camera < -1, camera > 1], axis=2)  # the face at -1, at 1
    weight = np.empty((len(camera), 12))
    for index, (corner, _, axis) in enumerate(_EDGES):
        first, second = (
            sees[:, other, int(_CORNERS[corner, other] > 0)] for other in range(3) if other != axis
        )
        # The nearest edges are drawn over the points, the outline and far edges under them. The
        # three axes, at the corner of the lowest values, are the darkest.
        weight[:, index] = np.where(first & second, -0.35, np.where(first | second, 0.5, 0.35))
        weight[:, index] *= 1.7 if corner == 0 else 1
    return weight


def _draw_line(canvas, pad, start, end, weight, grey=110) -> None:
    """Blend one anti-aliased line, a pixel wide, per frame into the canvas, in place.

    Args:
        canvas: [F, height, width, 3] with `pad` pixels on each side.
        pad: the padding.
        start: [F, 2], row and column in the picture.
        end: [F, 2].
        weight: [F], ink in 0..1.
        grey: grey level of the line, 0..255.
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
    """Blend a grey strip, dark on white, at a subpixel centre [F] per frame."""
    frames, height, width, _ = canvas.shape
    ink = np.pad(255.0 - name, 1)[None]
    high, wide = ink.shape[1:]
    top = np.clip(row + pad - high / 2, 0, height - high - 1)
    left = np.clip(column + pad - wide / 2, 0, width - wide - 1)
    down, over = (top % 1)[:, None, None], (left % 1)[:, None, None]
    # Linear interpolation; rounding to pixels would make the name jitter as the camera turns.
    ink = ink * (1 - down) + np.roll(ink, 1, axis=1) * down
    ink = ink * (1 - over) + np.roll(ink, 1, axis=2) * over
    window = sliding_window_view(
        canvas.reshape(frames, height, width * 3), (high, wide * 3), axis=(1, 2), writeable=True
    )
    at = np.arange(frames), top.astype(int), left.astype(int) * 3
    window[at] = np.rint(window[at] * (1 - ink / 255).repeat(3, axis=2)).astype(np.uint8)
