"""Text in video frames: matplotlib renders each letter once, and NumPy copies it.

Laying out a line takes matplotlib about 2 ms, more than drawing the points of a frame.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from colour_embed.viz.raster import DPI

__all__ = ["Counters", "counters", "new_canvas", "picture_of", "strips_of", "styled"]

BASELINE = 25  # of the title and the counter, pixels from the top
_STRIP_BASELINE = 0.38  # of a strip's height, from its bottom
_WHITE = 255
_RC = {"axes.labelsize": 12, "xtick.labelsize": 9, "ytick.labelsize": 9, "font.size": 11}


def _counter(
    epoch: NDArray, loss: NDArray | None, unit: str = "epoch"
) -> list[tuple[str, list[str]]]:
    """Return the text of the counter: a label and each frame's value, padded to one length."""
    parts = [(unit, [str(number) for number in epoch])]
    if loss is not None:
        # Epoch 0 is before training and has no loss.
        values = [f"{loss[number - 1]:.4f}" if number else "–" for number in epoch]
        parts.append(("loss", values))
    return [(label, [v.rjust(max(map(len, values))) for v in values]) for label, values in parts]


def new_canvas(width: int, height: int):
    """Return an empty figure of this size in pixels, and its canvas."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    return figure, FigureCanvasAgg(figure)


def picture_of(canvas) -> NDArray[np.uint8]:
    """Return the rendered canvas, uint8 [height, width, 3]."""
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()


def strips_of(texts: Iterable[str], points: float) -> list[NDArray[np.uint8]]:
    """Return each text as grey levels [height, width], black on white, on one baseline."""
    figure, canvas = new_canvas(200, round(points * DPI / 72 * 2))
    line = figure.text(0.5, _STRIP_BASELINE, "", fontsize=points, ha="center")
    strips = []
    for text in texts:
        line.set_text(text * 2)
        width = line.get_window_extent().width
        line.set_text(text)
        # Repeating the text adds its advance width; the ink width would crowd "1" and ".".
        width = int(np.ceil(max(width - line.get_window_extent().width, 1)))
        left = (200 - width) // 2
        strips.append(picture_of(canvas)[:, left : left + width, 0])
    return strips


def _counter_strips(parts: list[tuple[str, list[str]]], points: float) -> NDArray[np.uint8]:
    """Return the counter of every frame, grey levels [F, height, width].

    Each character cell has the width of its widest letter, so that no digit moves when another
    changes.
    """
    columns = []
    for label, values in parts:
        places = np.array([list(value) for value in values])  # [F, letters]
        letters = np.unique(places)
        strips = dict(zip(letters, strips_of(letters, points)))
        label = strips_of([label], points)[0]
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


class Counters(NamedTuple):
    """The counters of all frames, and their top left pixel."""

    strips: NDArray[np.uint8]  # [F, strip height, strip width], grey
    row: int
    column: int

    def paint(self, frames: NDArray[np.uint8], chunk: slice) -> None:
        """Copy each frame's counter into its picture."""
        strips = self.strips[chunk, :, :, None]
        bottom, right = self.row + strips.shape[1], self.column + strips.shape[2]
        frames[:, self.row : bottom, self.column : right] = strips


def counters(frames: NDArray, loss: NDArray | None, right: int, unit: str = "epoch") -> Counters:
    """Return the counters of the frames' epochs, with their right end at the column `right`."""
    with styled():
        strips = _counter_strips(_counter(np.floor(frames).astype(int), loss, unit), 11)
    row = BASELINE - round(strips.shape[1] * (1 - _STRIP_BASELINE))
    return Counters(strips, row, right - strips.shape[2])


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """Apply this package's style, with the font sizes of a video."""
    import matplotlib as mpl

    from colour_embed.viz.style import style

    with style(), mpl.rc_context(_RC):
        yield
