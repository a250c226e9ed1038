"""Helpers of all figures: style sheet, sizes, group styles, legend, reference lines, saving.

The plotting modules (`embedding`, `curves`, `intervals`) take NumPy arrays and return the Axes or
the Figure drawn on. Figures are not registered with pyplot, so they need not be closed. An invalid
argument raises a ValueError; for arrays from a run folder, `run_folder.reading` turns it into an
InputError that names the file.
"""

import functools
import io
import os
import string
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from weakref import WeakKeyDictionary

import matplotlib as mpl
import matplotlib.style
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.legend import Legend
from matplotlib.ticker import LogFormatter
from matplotlib.typing import ColorType
from numpy.typing import NDArray

from colour_embed.io.placing import replacing_file

__all__ = [
    "DOUBLE_COLUMN",
    "MARKER",
    "SHAPES",
    "SINGLE_COLUMN",
    "STYLE_FILE",
    "drawing",
    "groups_of",
    "legend_above",
    "legible",
    "legible_names",
    "letter",
    "look_of",
    "panels",
    "reference_line",
    "save_figure",
    "scale_axes",
    "settle_layout",
    "style",
]

STYLE_FILE = Path(__file__).with_name("colour_embed.mplstyle")
"""The style file of all figures."""

SINGLE_COLUMN = 3.5
"""Width of a one-column figure, inches."""

DOUBLE_COLUMN = 7.2
"""Width of a two-column figure, inches."""

MARKER = {"marker": "o", "edgecolors": "0.6", "linewidths": 0.3}
"""Keywords of `scatter` for coloured items; the grey edge keeps white items visible."""

SHAPES = "os^DvP*<>"
"""Marker shapes of the groups."""

# Where DejaVu Sans lacks a character, the first of these that the machine has and that has it.
_FALLBACKS = (
    *(f"Noto Sans CJK {region}" for region in ("SC", "JP", "KR", "TC", "HK")),
    *(f"Noto Sans {region}" for region in ("SC", "JP", "KR", "TC", "HK")),
    *("Source Han Sans SC", "Source Han Sans", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei"),
    *("Droid Sans Fallback", "IPAexGothic", "TakaoGothic", "NanumGothic", "UnBatang"),
    *("Microsoft YaHei", "SimHei", "Yu Gothic", "Meiryo", "MS Gothic", "Malgun Gothic"),
    *("PingFang SC", "Hiragino Sans GB", "Hiragino Sans", "Apple SD Gothic Neo", "STHeiti"),
    *("Noto Sans", "Noto Sans Arabic", "Noto Naskh Arabic", "Noto Sans Hebrew"),
    *("Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Tamil", "Noto Sans Telugu"),
    *("Noto Sans Thai", "Noto Sans Symbols", "Noto Sans Symbols 2", "Noto Emoji", "Symbola"),
    *("Nirmala UI", "Leelawadee UI", "Segoe UI Symbol", "Arial Unicode MS", "FreeSans", "Unifont"),
)

_LEGEND = "colour_embed.legend"
_REFERENCE = "colour_embed.reference"
_REFERENCE_DASHES = ("-", (0, (4, 2)), (0, (1, 1.5)), (0, (4, 1.5, 1, 1.5)))

# The names drawn on each figure, by kind, in drawing order.
_NAMES: WeakKeyDictionary[FigureBase, dict[str, list[str]]] = WeakKeyDictionary()

# Without dates and version strings, the same figure gives the same bytes.
_METADATA = {
    "png": {"Software": None},
    "pdf": {"Creator": None, "Producer": None, "CreationDate": None},
}


def style() -> AbstractContextManager[None]:
    """Return a context in which matplotlib uses this package's style and ignores the user's.

    Example:
        >>> with style():
        ...     mpl.rcParams["font.size"]
        8.0
    """
    return mpl.style.context(["default", STYLE_FILE, {"font.family": _fonts()}])


def legible(text: str, longest: int = 28) -> str:
    """Return a text on one line, as the fonts of the machine can draw it.

    Characters that no font of the style has are escaped, and the line is truncated to `longest`.

    Example:
        >>> legible("sea\\ngreen"), legible("\\U00012000 green")
        ('sea green', '\\\\U00012000 green')
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    line = "".join(c if ord(c) in _glyphs() else c.encode("unicode_escape").decode() for c in line)
    return line if len(line) <= longest else line[: longest - 1] + "…"


def legible_names(names: Sequence[str]) -> list[str]:
    """Return each name as `legible`; a UserWarning says which have characters that no font has."""
    lacking = [
        name
        for name in names
        if any(c.isprintable() and not c.isspace() and ord(c) not in _glyphs() for c in name)
    ]
    if lacking:
        count = "1 name" if len(lacking) == 1 else f"{len(lacking)} names"
        warnings.warn(
            f"no font here has all characters of {count}, such as {lacking[0][:28]!r}, written "
            f"{legible(lacking[0])}: install a font of the script, such as Noto Sans CJK",
            stacklevel=3,
        )
    return [legible(name) for name in names]


@contextmanager
def drawing(
    ax: Axes | None, height: float, *, width: float = SINGLE_COLUMN, projection: str | None = None
) -> Iterator[Axes]:
    """Yield `ax`, or the axes of a new figure, within this package's style.

    Args:
        ax: the axes to draw on; None creates a figure.
        height: height of a new figure without its legend, inches; that of the legend is added.
        width: width of a new figure, inches.
        projection: projection of the axes of a new figure, such as "3d".
    """
    with style():
        if ax is not None:
            yield ax
            return
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure.add_subplot(projection=projection)
        for legend in figure.legends:
            figure.set_figheight(height + legend.get_window_extent().height / figure.dpi)


def panels(
    rows: int, columns: int, *, height: float, projection: str | None = None
) -> tuple[Figure, NDArray[np.object_]]:
    """Return an empty figure in this package's style, and its axes.

    Args:
        rows: number of rows of panels.
        columns: number of columns of panels.
        height: height of the figure with its legend, inches.
        projection: projection of all axes, such as "3d".

    Returns:
        The figure, one printed column wide for one column of panels, else two; and its axes,
        [rows, columns].

    Raises:
        ValueError: rows or columns is below 1, or the height is not above 0.
    """
    if rows < 1 or columns < 1:
        raise ValueError(f"rows and columns must be at least 1, got {rows} and {columns}")
    if not height > 0:
        raise ValueError(f"height must be above 0 inches, got {height}")
    with style():
        width = SINGLE_COLUMN if columns == 1 else DOUBLE_COLUMN
        figure = Figure(figsize=(width, height), layout="constrained")
        # The gap between panels must be wider than that between a label and its axis.
        figure.get_layout_engine().set(wspace=0.05, hspace=0.05)
        kind = {"projection": projection}
        return figure, figure.subplots(rows, columns, squeeze=False, subplot_kw=kind)


def groups_of(ax: Axes) -> list[str]:
    """Return the names of the groups drawn on the figure of `ax`, in the order of their styles."""
    return _names_of(ax, "group")


def look_of(
    ax: Axes, name: str, colour: ColorType | None = None, *, markers: bool = True
) -> dict[str, object]:
    """Return the style of a group as keywords of `plot`: colour, dash and marker.

    A group has one style in all panels of a figure; a new group gets the next style. Styles differ
    in hue, dash, shape and fill, so that they are distinguishable in grayscale.

    Args:
        ax: the axes to draw on.
        name: name of the group.
        colour: colour in place of the style's.
        markers: include the shape and the fill of the markers.
    """
    with style():
        cycle = list(mpl.rcParams["axes.prop_cycle"])
    number = _number(groups_of(ax), name)
    look = dict(cycle[number % len(cycle)])
    if colour is not None:
        look["color"] = colour
    if markers:
        look["marker"] = SHAPES[number % len(SHAPES)]
        look["markerfacecolor"] = "white" if number % 2 else look["color"]
    return look


def legend_above(
    ax: Axes,
    handles: Sequence | None = None,
    labels: Sequence[str] | None = None,
    *,
    title: str | None = None,
    parse_math: bool = True,
) -> Legend:
    """Draw one legend for a figure above its panels, in as few rows as fit its width.

    Call this after drawing each panel; it replaces the legend of the panels before. A label of
    several panels is listed once, reference lines come last, and different titles are listed below
    one another. A figure without a layout engine gets matplotlib's constrained layout, which
    reserves space for the legend.

    Args:
        ax: any panel of the figure.
        handles: the artists to list; None for all labelled artists of the figure's axes.
        labels: a text for each of `handles`.
        title: text above the entries, such as the statistic.
        parse_math: typeset `$...$` in labels; if False, labels are shown verbatim.

    Returns:
        The legend.
    """
    figure = ax.figure
    if isinstance(figure, Figure) and figure.get_layout_engine() is None:
        figure.set_layout_engine("constrained")
    titles = [title] if title else []
    for legend in [legend for legend in figure.legends if legend.get_gid() == _LEGEND]:
        earlier = legend.get_title().get_text()
        titles = [*filter(None, earlier.split("\n")), *titles]
        legend.remove()
    if handles is None:
        entries = _labelled(figure)
        handles, labels = list(entries.values()), list(entries)
    count = max(len(handles), 1)
    for rows in range(1, count + 1):
        with style():
            legend = figure.legend(
                handles,
                ["-"] * len(handles),  # matplotlib leaves out labels that begin with "_"
                loc="outside upper left",
                ncols=-(-count // rows),
                title="\n".join(dict.fromkeys(titles)) or None,
                alignment="left",
            )
        for text, label in zip(legend.get_texts(), labels):
            text.set_parse_math(parse_math)
            text.set_text(label)
        if rows == count or legend.get_window_extent().width <= 0.98 * figure.bbox.width:
            break
        legend.remove()
    legend.set_gid(_LEGEND)
    return legend


def reference_line(ax: Axes, value: float, name: str, *, upright: bool = False) -> None:
    """Draw a thin grey horizontal or `upright` line at `value`, listed in the legend by its name.

    Raises:
        ValueError: the value is not finite, or not above 0 on a logarithmic axis.
    """
    log = (ax.get_xscale() if upright else ax.get_yscale()) == "log"
    if not np.isfinite(value) or (log and value <= 0):
        where = "finite and above 0" if log else "finite"
        raise ValueError(f"reference {name!r} must be {where}, got {value}")
    label = f"{name}: {value:.4g}"
    number = _number(_names_of(ax, "reference"), label)
    draw = ax.axvline if upright else ax.axhline
    dash = _REFERENCE_DASHES[number % len(_REFERENCE_DASHES)]
    look = {"color": "0.45", "linewidth": 0.8, "linestyle": dash, "zorder": 1}
    draw(value, **look, label=label, gid=_REFERENCE)


def scale_axes(ax: Axes, *, log_x: bool = False, log_y: bool = False) -> None:
    """Set logarithmic scales, with plain numbers in place of powers of ten as tick labels."""
    for name, axis, logarithmic in (("x", ax.xaxis, log_x), ("y", ax.yaxis, log_y)):
        if logarithmic:
            ax.set(**{f"{name}scale": "log"})
            axis.set_major_formatter(_PlainLogFormatter())
            axis.set_minor_formatter(_PlainLogFormatter())


def letter(axes: Iterable[Axes]) -> None:
    """Label the panels a, b, c in bold above their left edges, in the order given.

    Args:
        axes: the panels of one figure, such as the array that `panels` returns.

    Raises:
        ValueError: there are no axes, or more than 26.
    """
    panes = np.array(list(axes), dtype=object).ravel()
    if not 1 <= len(panes) <= len(string.ascii_lowercase):
        raise ValueError(f"axes must be 1 to 26, got {len(panes)}: letter a part of them")
    with style():
        for text, ax in zip(string.ascii_lowercase, panes):
            ax.set_title(text, loc="left", fontweight="bold")


def settle_layout(figure: Figure) -> None:
    """Compute the layout of a figure and fix it, so that later draws do not move the axes."""
    with style():
        # Constrained layout converges over two draws, and is then removed.
        for _ in range(2):
            figure.draw_without_rendering()
        figure.set_layout_engine("none")


def save_figure(
    figure: Figure,
    path_without_suffix: str | os.PathLike[str],
    *,
    formats: Sequence[str] = ("png", "pdf"),
) -> list[Path]:
    """Write a figure in each format; the bytes are deterministic.

    Files are written atomically, and missing folders are created. The first save fixes the layout,
    so add labels and titles before it.

    Args:
        figure: the figure.
        path_without_suffix: "results/main" gives results/main.png and results/main.pdf.
        formats: any of "png" (200 dpi) and "pdf" (fonts embedded).

    Returns:
        The paths written, in the order of `formats`.

    Raises:
        ValueError: a format is unknown.
        OSError: the folder is not writable.
    """
    unknown = [suffix for suffix in formats if suffix not in _METADATA]
    if unknown:
        raise ValueError(f"formats must be among {sorted(_METADATA)}, got {unknown}")
    stem = Path(path_without_suffix)
    stem.parent.mkdir(parents=True, exist_ok=True)
    settle_layout(figure)
    paths = []
    for suffix in formats:
        rendered = io.BytesIO()
        with style():  # matplotlib reads fonts, ticks and dpi when it draws
            figure.savefig(rendered, format=suffix, metadata=_METADATA[suffix])
        path = stem.with_name(f"{stem.name}.{suffix}")
        with replacing_file(path) as passing:
            passing.write_bytes(rendered.getvalue())
        paths.append(path)
    return paths


@functools.cache
def _fonts() -> list[str]:
    """Return the font families of the style: its own, and the fallbacks that are installed."""
    installed = {font.name for font in fontManager.ttflist}
    return ["DejaVu Sans", *(name for name in _FALLBACKS if name in installed)]


@functools.cache
def _glyphs() -> frozenset[int]:
    """Return the characters that the fonts of the style have."""
    paths = (findfont(FontProperties(family=[name])) for name in _fonts())
    return frozenset().union(*(get_font(path).get_charmap() for path in paths))


class _PlainLogFormatter(LogFormatter):
    """`LogFormatter` with plain numbers, such as 0.6 in place of 6e-01."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Return the label of a tick; empty if ticks are too close."""
        return f"{x:g}" if super().__call__(x, pos) else ""


def _names_of(ax: Axes, kind: str) -> list[str]:
    """Return the mutable list of the names of one kind drawn on the figure of `ax`."""
    return _NAMES.setdefault(ax.figure, {}).setdefault(kind, [])


def _number(names: list[str], name: str) -> int:
    """Return the index of a name in the list, after appending it if missing."""
    if name not in names:
        names.append(name)
    return names.index(name)


def _labelled(figure: FigureBase) -> dict[str, tuple[Artist, ...]]:
    """Return the legend's entries: label -> first artist of each type, reference lines last."""
    found: dict[str, dict[type, Artist]] = {}
    references: dict[str, dict[type, Artist]] = {}
    for ax in figure.axes:
        for handle, label in zip(*ax.get_legend_handles_labels()):
            reference = isinstance(handle, Artist) and handle.get_gid() == _REFERENCE
            kinds = (references if reference else found).setdefault(label, {})
            kinds.setdefault(type(handle), handle)
    return {label: tuple(kinds.values()) for label, kinds in (found | references).items()}
