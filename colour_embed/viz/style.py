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
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import matplotlib as mpl
import matplotlib.style
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure, FigureBase
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.legend import Legend
from matplotlib.markers import MarkerStyle
from matplotlib.ticker import LogFormatter
from matplotlib.typing import ColorType
from numpy.typing import ArrayLike, NDArray

from colour_embed.io.placing import replacing_file

__all__ = [
    "DOUBLE_COLUMN",
    "MARKER",
    "OTHER",
    "SHAPES",
    "SINGLE_COLUMN",
    "STYLE_FILE",
    "ItemLooks",
    "Look",
    "drawing",
    "groups_of",
    "item_looks",
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

OTHER = "other"
"""Label of the items outside the largest groups, and of those without a group."""

_NAMED_GROUPS = 12
# Each has a contrast of 3 with white and with a dark page, but for two light ones, which have the
# edge of their marker. The least colour difference, also to colour-blind eyes, is 14 (CIELAB).
_GROUP_COLOURS = ("0072B2", "D55E00", "009E73", "CC79A7", "E69F00", "56B4E9", "9570F1", "76684A")
_GREY = "#b3b3b3"
_TINT = 0.45  # of a group's colour in its filled markers; the rest is white

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


class Look(NamedTuple):
    """The colour and the marker of a group of items.

    Attributes:
        label: Name of the group; "" without groups.
        colour: Such as "#0072b2"; None if each item has its own.
        marker: The shape, as matplotlib names it.
        filled: Whether the colour fills the marker, or only outlines it.
    """

    label: str
    colour: str | None
    marker: str = "o"
    filled: bool = True

    def outline(self) -> NDArray[np.float64] | None:
        """Return the corners of the marker [V, 2], y upward; None for a disc of diameter 1.

        All markers have the area of that disc.
        """
        if self.marker == "o":
            return None
        shape = MarkerStyle(self.marker)
        corners = shape.get_path().transformed(shape.get_transform()).to_polygons()[0][:-1]
        x, y = corners.T
        area = abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2
        return corners * np.sqrt(np.pi / 4 / area)

    def scatter(self, area: float) -> dict[str, Any]:
        """Return the keywords of `scatter`, apart from the colours of items that have their own.

        Args:
            area: Area of a disc, square points, as `scatter` takes it.
        """
        if self.colour is None:
            return {"s": area, **MARKER}
        corners, edge = self.outline(), {"edgecolors": "white", "linewidths": 0.3}
        if not self.filled:
            edge = {"edgecolors": self.colour, "linewidths": 0.9}
        if corners is not None:  # scatter scales them to a reach of 1/2, and closes no outline
            area *= (2 * np.abs(corners).max()) ** 2
            corners = np.append(corners, corners[:1], axis=0)
        face = self.colour if self.filled else "white"
        return {"s": area, "marker": "o" if corners is None else corners, "c": face, **edge}


class ItemLooks(NamedTuple):
    """The colours and markers of items, the same in figures, videos and pages.

    Attributes:
        rgb: float64 [items, 3], red, green and blue in 0..1.
        kind: int [items], the index of each item's look.
        looks: The look of each group, largest first and `OTHER` last; without groups a single one.
        groups: [items], the group of each item, "" for none; None without groups.
    """

    rgb: NDArray[np.float64]
    kind: NDArray[np.intp]
    looks: list[Look]
    groups: list[str] | None = None

    @property
    def own(self) -> bool:
        """Whether each item has a colour of its own."""
        return self.looks[0].colour is None


def item_looks(
    count: int, rgb: ArrayLike | None = None, groups: Iterable[object] | None = None
) -> ItemLooks:
    """Return the colours and markers of items.

    Items with colours of their own are discs. Of groups, the twelve largest have a colour and a
    marker each, and no two the same marker, so that they are distinguishable in grayscale; other
    items are grey discs. Without either all items are discs of one hue.

    Args:
        count: Number of items.
        rgb: [items, 3], red, green and blue in 0..1.
        groups: [items], the group of each item; "", None or NaN for none. Not with `rgb`.

    Raises:
        ValueError: a shape is wrong, a colour is outside 0..1, or both are given.

    Example:
        >>> found = item_looks(4, groups=["tree", "bird", "tree", ""])
        >>> [(look.label, look.marker) for look in found.looks], found.kind.tolist()
        ([('tree', 'o'), ('bird', 's'), ('other', 'o')], [0, 1, 0, 2])
    """
    if rgb is not None and groups is not None:
        raise ValueError("give rgb or groups, not both")
    if rgb is not None:
        colours = np.asarray(rgb, dtype=np.float64)
        if colours.shape != (count, 3):
            raise ValueError(f"rgb must be [{count}, 3], a row per item, got {colours.shape}")
        if not np.all((colours >= 0) & (colours <= 1)):
            raise ValueError("rgb must lie in 0..1: divide values of 0..255 by 255")
        return ItemLooks(colours, np.zeros(count, np.intp), [Look("", None)])
    names = [""] * count
    if groups is not None:
        names = ["" if one is None or one != one else str(one) for one in groups]
        if len(names) != count:
            raise ValueError(f"groups must be [{count}], one for each item, got {len(names)}")
    sizes = Counter(name for name in sorted(names) if name not in ("", OTHER))
    largest = [name for name, _ in sizes.most_common(_NAMED_GROUPS)]
    colours = len(_GROUP_COLOURS)
    looks = [
        Look(name, f"#{_GROUP_COLOURS[k % colours]}", SHAPES[k % colours], filled=k < colours)
        for k, name in enumerate(largest)
    ]
    if not any(names):
        looks, largest = [Look("", f"#{_GROUP_COLOURS[0]}")], [""]
    elif len(largest) < len(set(names)):
        looks.append(Look(OTHER, _GREY))
    place = {name: k for k, name in enumerate(largest)}
    kind = np.array([place.get(name, len(largest)) for name in names], np.intp)
    palette = np.array([to_rgb(look.colour) for look in looks])
    return ItemLooks(palette[kind], kind, looks, names if any(names) else None)


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
    in hue, dash, shape and fill, so that they are distinguishable in grayscale. Filled markers are
    of a light tint, so that an interval shorter than the marker is visible on it.

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
        tint = 1 - _TINT * (1 - np.array(to_rgb(look["color"])))
        look["markerfacecolor"] = "white" if number % 2 else to_hex(tint)
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
    engine = figure.get_layout_engine()
    with style():
        # Constrained layout converges over two computations; drawing makes one. It is then removed.
        if engine is not None:
            engine.execute(figure)
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
    engine = figure.get_layout_engine()
    with style():
        figure.set_layout_engine(None)  # with any, "none" too, each file is drawn twice
    paths = []
    for suffix in formats:
        rendered = io.BytesIO()
        with style():  # matplotlib reads fonts, ticks and dpi when it draws
            figure.savefig(rendered, format=suffix, metadata=_METADATA[suffix])
        path = stem.with_name(f"{stem.name}.{suffix}")
        with replacing_file(path) as passing:
            passing.write_bytes(rendered.getvalue())
        paths.append(path)
    if engine is not None:
        figure.set_layout_engine(engine)
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
