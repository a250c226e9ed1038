"""Figures that compare groups of runs: means with their intervals, and counts of outcomes.

As in `plots`: NumPy arrays in, the Axes drawn on out, nothing trained, nothing left open in pyplot.
Groups are told apart by the shape and filling of their markers and by their dashes as well as by
hue, so that grey print and every eye can follow them.
"""

import string
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, TypeAlias

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cbook import is_math_text
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.legend import Legend
from matplotlib.patches import Rectangle
from matplotlib.textpath import text_to_path
from matplotlib.ticker import LogFormatter
from matplotlib.transforms import Bbox, BboxBase, IdentityTransform, Transform, offset_copy
from matplotlib.typing import ColorType
from numpy.typing import ArrayLike, NDArray

from colour_embed.viz.plots import (
    DOUBLE_COLUMN,
    SHAPES,
    SINGLE_COLUMN,
    drawing,
    legend_above,
    reference_line,
    style,
)

__all__ = [
    "MOST_GROUPS",
    "Interval",
    "Line",
    "letter",
    "panels",
    "plot_bands",
    "plot_lines",
    "plot_outcomes",
    "plot_rows",
]

MOST_GROUPS = 8
"""How many groups one figure tells apart."""

# After the six looks of the style's own cycle.
_FURTHER_LOOKS = (
    {"color": "#009E73", "linestyle": (0, (8, 1.5, 3, 1.5))},
    {"color": "0.55", "linestyle": (0, (3, 1))},
)

_BARS = {
    "markersize": 4,
    "markeredgewidth": 0.8,
    "elinewidth": 0.8,
    "capsize": 1.8,
    "capthick": 0.8,
}

_LONGEST_ROW = 26
"""Characters of a row's name that stand on one line; longer names are wrapped."""


class Interval(NamedTuple):
    """A statistic with its 95 % interval, a number each or [P]; NaN where there is none."""

    mean: ArrayLike
    low: ArrayLike
    high: ArrayLike


class Line(NamedTuple):
    """One group's statistic along a horizontal axis."""

    x: ArrayLike
    """[P], finite, increasing."""
    value: Interval
    """[P] each."""


_Group: TypeAlias = tuple[NDArray[np.float64], Interval]
"""The x and the statistic of a checked line."""


class _Axis(NamedTuple):
    """What `plot_lines` and `plot_bands` are told of their axes, as they document it."""

    xlabel: str
    ylabel: str
    log_x: bool
    log_y: bool
    references: Mapping[str, float] | None
    ticks: Sequence[float] | None
    tick_labels: Sequence[str] | None


class _PlainLogFormatter(LogFormatter):
    """Labels what `LogFormatter` labels, but 0.6 where that writes 6e-01."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Return the label of a tick, empty where the ticks stand too close."""
        return f"{x:g}" if super().__call__(x, pos) else ""


def plot_lines(
    lines: Mapping[str, Line],
    ax: Axes | None = None,
    *,
    xlabel: str,
    ylabel: str,
    log_x: bool = False,
    log_y: bool = False,
    references: Mapping[str, float] | None = None,
    statistic: str = "interquartile mean",
    ticks: Sequence[float] | None = None,
    tick_labels: Sequence[str] | None = None,
    legend_columns: int = 1,
) -> Axes:
    """Draw each group as a line with markers and a bar for the interval of every point.

    Groups that share an x are set a little beside each other, so that no bar hides another.

    Args:
        lines: name of the group -> its line; up to 8 groups. A mean that is NaN leaves a gap, and
            a low or a high that is NaN leaves out the bar alone.
        ax: where to draw; a new one-column figure when None.
        xlabel: what x is, with its unit.
        ylabel: what is measured, with its unit.
        log_x: draw x on a logarithmic axis.
        log_y: draw the measure on a logarithmic axis.
        references: name -> y, thin lines across, named at the edge with their values.
        statistic: which mean it is, for the legend's title.
        ticks: x of the ticks, such as the values that were tried.
        tick_labels: a text for each of `ticks`.
        legend_columns: how many names stand side by side above the axes.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: no groups or too many, shapes that differ, an x that is not finite or does not
            increase, a mean outside its interval, a number that is not above 0 on a logarithmic
            axis, a reference that has no place on it, or tick labels without as many ticks.
    """
    axis = _Axis(xlabel, ylabel, log_x, log_y, references, ticks, tick_labels)
    return _plot_along(_draw_bars, lines, ax, axis, statistic, legend_columns)


def plot_bands(
    lines: Mapping[str, Line],
    ax: Axes | None = None,
    *,
    xlabel: str,
    ylabel: str,
    log_x: bool = False,
    log_y: bool = False,
    references: Mapping[str, float] | None = None,
    statistic: str = "interquartile mean",
    ticks: Sequence[float] | None = None,
    tick_labels: Sequence[str] | None = None,
    legend_columns: int = 1,
) -> Axes:
    """Draw each group as a line in a shaded band from low to high: `plot_lines` of many points.

    Args:
        lines: name of the group -> its line; up to 8 groups, of which four are easy to read. NaN
            leaves a gap, in the line or in the band; a point between gaps is a dot.
        ax: where to draw; a new one-column figure when None.
        xlabel, ylabel, log_x, log_y, references, statistic, ticks, tick_labels, legend_columns: as
            for `plot_lines`.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: as `plot_lines`.
    """
    axis = _Axis(xlabel, ylabel, log_x, log_y, references, ticks, tick_labels)
    return _plot_along(_draw_bands, lines, ax, axis, statistic, legend_columns)


def plot_rows(
    rows: Sequence[str],
    groups: Mapping[str, Interval],
    ax: Axes | None = None,
    *,
    xlabel: str,
    references: Mapping[str, float] | None = None,
    statistic: str = "interquartile mean",
    xlim: tuple[float, float] | None = None,
    colours: Mapping[str, ColorType] | None = None,
    shade: bool = True,
) -> Axes:
    """Draw a mean and its interval per row and group: a row per label, from top to bottom.

    Args:
        rows: [R], names; those of more than 26 characters are wrapped.
        groups: name of the group -> its statistic, [R] each; up to 8 groups. A mean that is NaN is
            not drawn, and a row without any says "none"; a low or a high that is NaN leaves out
            the bar alone.
        ax: where to draw; a new one-column figure, as high as its rows need, when None.
        xlabel: what is measured, with its unit.
        references: name -> x, thin lines from top to bottom, named above with their values.
        statistic: which mean it is, for the legend's title.
        xlim: left and right end of the axis, widened where a mean or a reference lies outside;
            bars are cut at the ends.
        colours: name of the group -> its hue, in place of the style's.
        shade: every other row on light grey; if not, thin lines between rows.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: no rows or groups, or too many groups, shapes that differ, a mean outside its
            interval, a reference that is not finite, or a colour of a group that is not there.
    """
    rows = list(rows)
    if not rows:
        raise ValueError("rows is empty: give at least one name")
    _check_count(groups)
    _check_references(references)
    values = [_checked_interval(name, value, (len(rows),)) for name, value in groups.items()]
    colours = dict(colours or {})
    if unknown := set(colours) - set(groups):
        raise ValueError(f"colours must be of groups, got {sorted(unknown)}")

    names = _wrapped(rows, _LONGEST_ROW)
    most = max(name.count("\n") for name in names)
    height = max(0.1 * len(groups) + 0.08, 0.17 + 0.115 * most)
    place = np.arange(len(rows), dtype=np.float64)
    offsets = 0.7 * ((np.arange(len(groups)) + 0.5) / len(groups) - 0.5)
    handles = []
    # What stands above and below the rows: a legend, names of references, the axis.
    beyond = 0.75 + 0.14 * (len(groups) + len(references or {}))
    own = ax is None
    with style(), drawing(ax, height=beyond + len(rows) * height) as ax:
        if not own:
            # As many lines of a name as a row of these axes can hold, up to a share of their width.
            width, high = _room(ax)
            lines = max(1, int(((high + 34 - 72 * beyond) / len(rows) + 2) / 8.2))
            for length in range(_LONGEST_ROW, 2 * _LONGEST_ROW):
                longer = _wrapped(rows, length)
                if _widest(longer) > max(0.6 * width, _widest(names)):
                    ax.tick_params(axis="y", labelsize=6)
                    break
                names = longer
                if max(name.count("\n") for name in names) < lines:
                    break
        for edge in place[:-1] + 0.5 if not shade else ():
            ax.axhline(edge, color="0.85", linewidth=0.4, zorder=0)
        for row in place[::2] if shade else ():
            ax.axhspan(row - 0.5, row + 0.5, color="0.95", linewidth=0, zorder=0)
        for number, (name, value, offset) in enumerate(zip(groups, values, offsets)):
            colour = colours.get(name, _look(number)["color"])
            bars = ax.errorbar(
                value.mean,
                place + offset,
                xerr=_reaches(value),
                color=colour,
                linestyle="none",
                **_BARS | _marker(number, colour),
            )
            bars[0].set_clip_on(False)  # a share of 1 on an axis that ends at 1 stays whole
            handles.append(bars)
        means = np.stack([value.mean for value in values])
        for row in place[np.isnan(means).all(axis=0)]:
            ax.annotate(
                "none",
                (0, row),
                xycoords=ax.get_yaxis_transform(),
                xytext=(3, 0),
                textcoords="offset points",
                verticalalignment="center_baseline",
                fontsize=6,
                color="0.45",
                bbox={
                    "facecolor": "0.95" if shade and row % 2 == 0 else "white",
                    "linewidth": 0,
                    "pad": 0.5,
                },
            )
        ax.set_yticks(place, names)
        ax.tick_params(axis="y", length=0)
        ax.set(xlabel=xlabel, ylim=(len(rows) - 0.5, -0.5))
        room = _room(ax)[0] + 24 - _widest(names)
        if xlim is not None:
            left, right = sorted(xlim)
            known = [*means[np.isfinite(means)], *(references or {}).values()]
            ax.set_xlim(min([left, *known]), max([right, *known]))
        lift = _name_upright(ax, references or {}, room)
        title = f"{statistic} and 95 % interval"
        legend = _explain(ax, handles, groups, title, room, columns=3, markers=True, lift=lift)
        if own:
            over = _points(ax, legend.get_window_extent().height) + lift
            ax.figure.set_figheight(0.5 + over / 72 + len(rows) * height)
    return ax


def plot_outcomes(
    successes: ArrayLike,
    trials: ArrayLike,
    rows: Sequence[str],
    columns: Sequence[str],
    ax: Axes | None = None,
    *,
    xlabel: str,
    ylabel: str,
    title: str | None = None,
) -> Axes:
    """Draw how many of how many succeeded, as a matrix of shares: white none, dark all.

    Args:
        successes: [R, C], whole.
        trials: [R, C], whole, at least `successes`; a cell of 0 is hatched.
        rows: [R], names, from top to bottom.
        columns: [C], names, from left to right.
        ax: where to draw; a new one-column figure when None.
        xlabel: what differs from column to column.
        ylabel: what differs from row to row.
        title: text above the axes, such as what counts as a success.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: a wrong shape, an empty matrix, numbers that are not whole, or successes that
            are below 0 or above their trials.
    """
    successes, trials = np.asarray(successes), np.asarray(trials)
    shape = (len(rows), len(columns))
    if {successes.shape, trials.shape} != {shape} or not successes.size:
        raise ValueError(
            f"successes and trials must be [{shape[0]}, {shape[1]}], a row per name and a column "
            f"per name with one of each, got {successes.shape} and {trials.shape}"
        )
    for counts in (successes, trials):
        if not np.issubdtype(counts.dtype, np.integer):
            raise ValueError(f"successes and trials must be whole numbers, got {counts.dtype}")
    if np.any(successes < 0) or np.any(successes > trials):
        raise ValueError("successes must lie between 0 and their trials")

    with style(), drawing(ax, height=0.75 + 0.21 * shape[0]) as ax:
        ax.set(xlim=(-0.5, shape[1] - 0.5), ylim=(shape[0] - 0.5, -0.5), xlabel=xlabel)
        ax.set_ylabel(ylabel)
        cell = (_room(ax)[0] + 12 - _widest(rows)) / shape[1]
        widest = _width(f"{trials.max()}/{trials.max()}")
        size = float(np.clip(7 * (cell - 2) / widest, 5, 7))
        for (row, column), trial in np.ndenumerate(trials):
            share = successes[row, column] / trial if trial else 0.0
            ax.add_patch(
                Rectangle(
                    (column - 0.5, row - 0.5),
                    1,
                    1,
                    facecolor=str(round(1 - 0.75 * share, 4)),
                    edgecolor="0.75",
                    linewidth=0.4,
                    hatch=None if trial else "/////",
                )
            )
            if trial:
                ax.text(
                    column,
                    row,
                    f"{successes[row, column]}/{trial}",
                    fontsize=size,
                    color="white" if share > 0.6 else "black",
                    horizontalalignment="center",
                    verticalalignment="center_baseline",
                )
        upright = _widest(columns) > cell - 3
        ax.set_xticks(np.arange(shape[1]), columns, rotation=90 if upright else 0)
        ax.set_yticks(np.arange(shape[0]), rows)
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        if title is not None:
            ax.set_title(title)
    return ax


def letter(axes: Iterable[Axes]) -> None:
    """Put bold letters a, b, c at the outer upper left corner of each panel, in the order given.

    A letter stands above what its axes have on the left, as high as the topmost legend or title of
    its row of panels, so letters line up along rows and columns. It follows what is drawn later.

    Args:
        axes: the panels of one figure, such as the array that `panels` returns, or some of them.

    Raises:
        ValueError: no axes, or more than there are letters.
    """
    panes = np.array(list(axes), dtype=object).ravel().tolist()
    if not 1 <= len(panes) <= len(string.ascii_lowercase):
        raise ValueError(f"axes must be 1 to 26, got {len(panes)}")
    for text, ax in zip(string.ascii_lowercase, panes):
        ax.annotate(
            text,
            (0, 1),
            xycoords=partial(_corner, ax, panes),
            fontweight="bold",
            fontsize=8,
            color="black",
            verticalalignment="top",
            annotation_clip=False,
        )


def panels(
    rows: int, columns: int, *, height: float, width: float | None = None
) -> tuple[Figure, NDArray[np.object_]]:
    """Return an empty figure in this package's style, and its axes.

    Args:
        rows: how many panels stand one above the other.
        columns: how many panels stand side by side.
        height: of the whole figure, inches.
        width: of the whole figure, inches; None: that of a printed column for one column of panels,
            else that of the page.

    Returns:
        The figure, for `plots.save_figure`, and its axes, [rows, columns].

    Raises:
        ValueError: fewer than one row or column, or a size that is not above 0.
    """
    if rows < 1 or columns < 1:
        raise ValueError(f"rows and columns must be at least 1, got {rows} and {columns}")
    if width is None:
        width = SINGLE_COLUMN if columns == 1 else DOUBLE_COLUMN
    if not (height > 0 and width > 0):
        raise ValueError(f"height and width must be above 0, got {height} and {width}")
    with style():
        figure = Figure(figsize=(width, height), layout="constrained")
        # Neighbours need a gap wider than the one between a label and its axis.
        figure.get_layout_engine().set(wspace=0.04, hspace=0.04)
        return figure, figure.subplots(rows, columns, squeeze=False)


def _check_count(groups: Mapping) -> None:
    """Raise unless the groups can be told apart."""
    if not 1 <= len(groups) <= MOST_GROUPS:
        raise ValueError(f"a figure compares 1 to {MOST_GROUPS} groups, got {len(groups)}")


def _check_references(references: Mapping[str, float] | None, log: bool = False) -> None:
    """Raise unless every reference has a place on its axis."""
    for name, value in (references or {}).items():
        if not np.isfinite(value) or (log and value <= 0):
            where = "finite and above 0" if log else "finite"
            raise ValueError(f"reference {name!r} must be {where}, got {value}")


def _checked_interval(name: str, value: Interval, shape: tuple[int, ...] | None = None) -> Interval:
    """Return the three as float64 [P], or raise a ValueError that says what is wrong."""
    mean, low, high = (np.atleast_1d(np.asarray(part, dtype=np.float64)) for part in value)
    wanted = mean.shape if shape is None else shape
    if len(wanted) != 1 or {mean.shape, low.shape, high.shape} != {wanted}:
        size = "P" if shape is None else wanted[0]
        raise ValueError(
            f"mean, low and high of {name!r} must all be [{size}], "
            f"got {mean.shape}, {low.shape} and {high.shape}"
        )
    if np.isinf([mean, low, high]).any():
        raise ValueError(f"{name!r} has an infinite number: give NaN where there is none")
    # A resampled mean of equal numbers may miss them by a rounding.
    slack = 1e-9 * np.maximum(np.abs(mean), 1e-12)
    outside = (low - slack > mean) | (high + slack < mean)  # False beside NaN
    if outside.any():
        raise ValueError(
            f"a mean of {name!r} lies outside its interval: {mean[outside][0]:g} is not between "
            f"{low[outside][0]:g} and {high[outside][0]:g}"
        )
    unknown = np.isnan(mean) | np.isnan(low) | np.isnan(high)
    return Interval(mean, np.where(unknown, np.nan, low), np.where(unknown, np.nan, high))


def _checked_lines(lines: Mapping[str, Line], log_x: bool, log_y: bool) -> list[_Group]:
    """Return the groups' x and statistics as float64 [P], or raise a ValueError."""
    _check_count(lines)
    groups = []
    for name, (x, value) in lines.items():
        x = np.atleast_1d(np.asarray(x, dtype=np.float64))
        if x.ndim != 1 or not x.size:
            raise ValueError(f"x of {name!r} must be [P] with P >= 1, got {x.shape}")
        if not np.isfinite(x).all() or np.any(np.diff(x) <= 0):
            raise ValueError(f"x of {name!r} must be finite and increase from point to point")
        value = _checked_interval(name, value, x.shape)
        for axis, numbers, logarithmic in (("x", x, log_x), ("mean", value.mean, log_y)):
            if logarithmic and np.any(numbers <= 0):
                raise ValueError(f"{axis} of {name!r} must be above 0 on a logarithmic axis")
        groups.append((x, value))
    return groups


def _dodge(groups: Sequence[_Group], log_x: bool) -> NDArray:
    """Return how far each group is set aside: in x, or in decades of it.

    Nothing, where no two groups share an x. The whole spread stays below the least gap between
    neighbours, so that points of one x stay nearer to each other than to the next.
    """
    places = [np.log10(x) if log_x else x for x, _ in groups]
    every = np.concatenate(places)
    if len(groups) == 1 or np.unique(every).size == every.size:
        return np.zeros(len(groups))
    reach = np.ptp(every) or 1.0
    gaps = [np.diff(place).min() for place in places if place.size > 1]
    step = min(0.014 * reach, 0.6 * min(gaps, default=reach) / (len(groups) - 1))
    return step * (np.arange(len(groups)) - (len(groups) - 1) / 2)


def _reaches(value: Interval) -> NDArray[np.float64]:
    """Return how far the interval goes below and above its mean, [2, P], as `errorbar` takes it."""
    return np.maximum([value.mean - value.low, value.high - value.mean], 0)


def _look(number: int) -> dict:
    """Return the colour and dash of a group."""
    return dict([*mpl.rcParams["axes.prop_cycle"], *_FURTHER_LOOKS][number])


def _marker(number: int, colour: ColorType | None = None) -> dict:
    """Return the shape and the filling of a group's markers: every other one is hollow."""
    filling = "white" if number % 2 else colour or _look(number)["color"]
    return {"marker": SHAPES[number], "markerfacecolor": filling}


def _scale(ax: Axes, log_x: bool, log_y: bool) -> None:
    """Make axes logarithmic as asked, with plain numbers in place of powers of ten."""
    for name, axis, logarithmic in (("x", ax.xaxis, log_x), ("y", ax.yaxis, log_y)):
        if logarithmic:
            ax.set(**{f"{name}scale": "log"})
            axis.set_major_formatter(_PlainLogFormatter())
            axis.set_minor_formatter(_PlainLogFormatter())


def _draw_bars(ax: Axes, groups: Sequence[_Group], log_x: bool) -> list:
    """Draw lines with markers and bars; return what the legend shows of each."""
    handles = []
    for number, ((x, value), shift) in enumerate(zip(groups, _dodge(groups, log_x))):
        bars = ax.errorbar(
            x * 10**shift if log_x else x + shift,
            value.mean,
            yerr=_reaches(value),
            **_look(number),
            **_BARS | _marker(number),
        )
        handles.append(bars)
    return handles


def _draw_bands(ax: Axes, groups: Sequence[_Group], log_x: bool) -> list:
    """Draw lines in shaded bands; return what the legend shows of each."""
    handles = []
    for number, (x, value) in enumerate(groups):
        look = _look(number)
        # The hairline bounds the band in grey print, and is all there is of a lone point's.
        band = ax.fill_between(
            x, value.low, value.high, color=look["color"], alpha=0.2, linewidth=0.5
        )
        (line,) = ax.plot(x, value.mean, **look)
        known = np.pad(np.isfinite(value.mean), 1)
        alone = known[1:-1] & ~known[:-2] & ~known[2:]  # one point makes no line
        if alone.any():
            dots = {"linestyle": "none", "marker": "o", "markersize": 2.5}
            ax.plot(x[alone], value.mean[alone], color=look["color"], **dots)
        handles.append((band, line))
    ax.margins(x=0.02)
    return handles


def _plot_along(
    draw: Callable[[Axes, Sequence[_Group], bool], list],
    lines: Mapping[str, Line],
    ax: Axes | None,
    axis: _Axis,
    statistic: str,
    columns: int,
) -> Axes:
    """Draw lines or bands, their axes, what they are read against, and the legend."""
    groups = _checked_lines(lines, axis.log_x, axis.log_y)
    _check_references(axis.references, axis.log_y)
    labels, ticks = axis.tick_labels, axis.ticks
    if labels is not None and (ticks is None or len(ticks) != len(labels)):
        raise ValueError("tick_labels must have a text for each of ticks")
    own = ax is None
    with style(), drawing(ax, height=2.2) as ax:
        _scale(ax, axis.log_x, axis.log_y)
        ax.set(xlabel=axis.xlabel, ylabel=axis.ylabel)
        handles = draw(ax, groups, axis.log_x)
        if np.unique(np.concatenate([x for x, _ in groups])).size == 1:
            # Or matplotlib would fill the axis with the little by which groups are set aside.
            centre = groups[0][0][0]
            ax.set_xlim((centre / 3, centre * 3) if axis.log_x else (centre - 0.5, centre + 0.5))
        if ticks is not None:
            ax.set_xticks(ticks, labels)
            ax.set_xticks([], minor=True)
            if labels is None and axis.log_x:
                ax.xaxis.set_major_formatter(lambda tick, _: f"{tick:g}")  # 300 too, not 100 alone
        ax.margins(y=0.1)
        title = f"{statistic} and 95 % interval"
        legend = _explain(ax, handles, lines, title, _room(ax)[0], columns=columns)
        over = _points(ax, legend.get_window_extent().height)
        if own:
            ax.figure.set_figheight(2.1 + over / 72)
        room, height = _room(ax)
        _name_across(ax, axis.references or {}, groups, room, max(height - over, 20))
    return ax


def _wrapped(rows: Sequence[str], width: int) -> list[str]:
    """Return names broken between words into lines of at most `width` characters."""
    return [textwrap.fill(row, width, break_long_words=False) for row in rows]


def _width(text: str) -> float:
    """Return the width of one line of small text, points."""
    font, math = FontProperties(size=7), is_math_text(text)
    return text_to_path.get_text_width_height_descent(text, font, math)[0]


def _widest(names: Sequence[str]) -> float:
    """Return the width of the widest line of these names, points."""
    return max(_width(line) for name in names for line in name.split("\n"))


def _points(ax: Axes, pixels: ArrayLike) -> NDArray[np.float64]:
    """Return a length in the figure's pixels as points."""
    return np.asarray(pixels) * 72 / ax.figure.dpi


def _room(ax: Axes) -> tuple[float, float]:
    """Return about how wide and high the axes will be once laid out, points.

    Texts have to be placed before that. It is the axes' share of the figure, less what a label and
    ticks of usual size take on the left and below.
    """
    spec = ax.get_subplotspec()
    across, down = ax.get_position().size
    if spec is not None:
        across = len(spec.colspan) / spec.get_gridspec().ncols
        down = len(spec.rowspan) / spec.get_gridspec().nrows
    width, height = _points(ax, ax.figure.bbox.size)
    return max(across * width - 38, 20), max(down * height - 34, 20)


def _explain(
    ax: Axes,
    handles: Sequence,
    names: Iterable[str],
    title: str,
    room: float,
    *,
    columns: int,
    markers: bool = False,
    lift: float = 0,
) -> Legend:
    """Put the legend above the axes, in as many columns as there is room for, at most `columns`.

    One that is too wide even so reaches out to the left, over the labels beside the axes.
    """
    names = list(names)
    if _width(title) > 0.9 * room:
        title = title.replace(" and ", "\nand ", 1)
    for tried in range(min(columns, len(names)), 0, -1):
        given = {"columns": tried, "title": title, "markers": markers, "lift": lift}
        legend = legend_above(ax, handles, names, **given)
        width = float(_points(ax, legend.get_window_extent().width))
        if width <= room:
            break
    above = offset_copy(ax.transAxes, ax.figure, 0, lift, "points")
    legend.set_bbox_to_anchor(_Above(ax, above, width), IdentityTransform())
    return legend


class _Above(BboxBase):
    """Where a legend of some width, points, stands above axes: never beyond their right edge.

    How wide the axes are is only known when they are drawn.
    """

    def __init__(self, ax: Axes, above: Transform, width: float) -> None:
        super().__init__()
        self._ax, self._above, self._legend_width = ax, above, width
        self.set_children(ax.bbox, above)

    def get_points(self) -> NDArray[np.float64]:
        """Return the corners, display units."""
        self._invalid = 0  # or the next change of the axes would not be passed on
        (left, bottom), (right, _) = self._above.transform([(0, 1.01), (1, 1.01)])
        left = min(left, right - self._legend_width * self._ax.figure.dpi / 72)
        return np.array([(left, bottom), (right, bottom)])


def _name_across(
    ax: Axes,
    references: Mapping[str, float],
    groups: Sequence[_Group],
    room: float,
    height: float,
) -> None:
    """Draw references across, each named where its text covers the least of the data."""
    # Places of texts depend on the limits, which have to hold every reference before.
    for value in references.values():
        ax.update_datalim([(0, value)], updatex=False)
    ax.autoscale_view()
    in_axes = ax.transData - ax.transAxes
    inked = [np.empty((0, 2))]
    for x, value in groups:
        for part in value:
            known = np.isfinite(part)
            if known.any():
                points = in_axes.transform(np.stack([x, part], axis=1)[known])
                along = np.linspace(*points[[0, -1], 0], 200)
                inked.append(np.stack([along, np.interp(along, *points.T)], axis=1))
    taken: list[Bbox] = []
    levels = {
        name: in_axes.transform((groups[0][0][0], value))[1] for name, value in references.items()
    }
    for name, value in references.items():
        width = _width(f"{name}: {value:.4g}") / room
        tall = 9 / height
        costs = {}
        for x in (0.99, 0.01):
            for below in (False, True):
                left, bottom = x - width * (x > 0.5), levels[name] - tall * below
                box = Bbox.from_bounds(left, bottom, width, tall)
                cost = box.count_contains(np.concatenate(inked))
                cost += 1000 * (box.count_overlaps(taken) + (bottom < 0) + (bottom + tall > 1))
                cost += 300 * sum(bottom < other < bottom + tall for other in levels.values())
                costs[x, below] = cost, box
        x, below = min(costs, key=lambda place: costs[place][0])
        taken.append(costs[x, below][1])
        reference_line(ax, value, name, x=x, below=below, form=".4g")
        ax.texts[-1].set_bbox({"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.3})


def _name_upright(ax: Axes, references: Mapping[str, float], room: float) -> float:
    """Draw references from top to bottom, named above the axes; return the names' height, points.

    Names that would meet stand one above the other, each on a line that goes on up to it. Those
    farthest from the middle stand highest and read inwards, so that no line crosses a name.
    """
    for value in references.values():
        ax.axvline(value, color="0.45", linewidth=0.7, zorder=1)
    low, high = ax.get_xlim()
    share = {name: (value - low) / (high - low) for name, value in references.items()}
    levels: list[list[tuple[float, float]]] = []
    for name in sorted(share, key=lambda name: abs(share[name] - 0.5)):
        text = f"{name}: {references[name]:.4g}"
        width = _width(text) / room
        leftwards = share[name] > 0.5
        left = share[name] - width * leftwards
        # Above the highest name that it, or the line that leads up to it, would meet.
        met = [
            level + 1
            for level, spans in enumerate(levels)
            if any(left < end + 0.02 and start < left + width + 0.02 for start, end in spans)
        ]
        level = max(met, default=0)
        levels += [[] for _ in range(level + 1 - len(levels))]
        levels[level].append((left, left + width))
        ax.annotate(
            text,
            (references[name], 1),
            xycoords=ax.get_xaxis_transform(),
            xytext=(-2 if leftwards else 2, 1 + 9 * level),
            textcoords="offset points",
            horizontalalignment="right" if leftwards else "left",
            verticalalignment="bottom",
            fontsize=7,
            color="0.3",
            annotation_clip=False,
        )
        ax.annotate(
            "",
            (references[name], 1),
            xycoords=ax.get_xaxis_transform(),
            xytext=(0, 9 + 9 * level),
            textcoords="offset points",
            arrowprops={
                "arrowstyle": "-",
                "color": "0.45",
                "linewidth": 0.7,
                "shrinkA": 0,
                "shrinkB": 0,
            },
            annotation_clip=False,
        )
    return 10.0 * len(levels)


def _corner(ax: Axes, panes: Sequence[Axes], renderer) -> Bbox:
    """Return the box at whose upper left the letter of `ax` stands, display units."""
    point = ax.figure.dpi / 72
    tops, lefts = [], []
    for other in panes:
        box = other.get_window_extent(renderer)
        here = other.get_subplotspec(), ax.get_subplotspec()
        same_row = same_column = other is ax
        if None not in here and here[0].get_gridspec() is here[1].get_gridspec():
            same_row |= here[0].rowspan.start == here[1].rowspan.start
            same_column |= here[0].colspan.start == here[1].colspan.start
        legend = other.get_legend()
        beside = other.yaxis.get_tightbbox(renderer)
        left = box.x0 - 12 * point
        if beside is not None:
            left = min(left, beside.x0)
        if same_column:
            lefts.append(left)
        if same_row:
            tops.append(box.y1 + 14 * point)
            if other.get_title():
                tops.append(other.title.get_window_extent(renderer).y1)
            if legend is not None:
                covered = legend.get_window_extent(renderer)
                # A legend that reaches out over the labels leaves no room beside it.
                above = 10 * point if covered.x0 < left + 9 * point else 0
                tops.append(covered.y1 + above)
    return Bbox([[min(lefts), ax.bbox.y0], [ax.bbox.x1, max(tops)]])
