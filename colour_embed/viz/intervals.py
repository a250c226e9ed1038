"""Figures that compare groups of runs: statistics with intervals, and counts of outcomes.

Groups differ in the shape and fill of their markers and in their dashes as well as in hue, so that
they are distinguishable in grayscale. A group has one style in all panels of a figure, and the
figure has one legend.
"""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.typing import ColorType
from numpy.typing import ArrayLike, NDArray

from colour_embed.viz.style import (
    drawing,
    groups_of,
    legend_above,
    look_of,
    reference_line,
    scale_axes,
)

__all__ = [
    "MOST_GROUPS",
    "STATISTIC",
    "Interval",
    "Line",
    "draw_bands",
    "plot_lines",
    "plot_outcomes",
    "plot_quality_by_dimension",
    "plot_recovery_by_weight",
    "plot_rows",
]

MOST_GROUPS = 8
"""The most groups in one figure."""

STATISTIC = "interquartile mean and 95 % interval"
"""The default statistic of each group; the title of the legend."""

_LONGEST_ROW = 26  # characters of a row's name on one line
_MOST_COUNTS = 12  # cells of a matrix that all show their counts
_BOUNDARY = "half of the trials succeed"
_DIGIT = 0.62  # width of a character, em

_BARS = {
    "markersize": 3.4,
    "markeredgewidth": 0.7,
    "barsabove": True,  # an interval shorter than its marker is drawn on it
    "elinewidth": 0.8,
    "capsize": 1.8,
    "capthick": 0.8,
}


class Interval(NamedTuple):
    """A statistic with its interval, each a number or [P]; NaN for missing values."""

    mean: ArrayLike
    low: ArrayLike
    high: ArrayLike
    members: Sequence[ArrayLike] = ()
    """[P] of any length each, the values that the statistic summarises; () draws none."""


class Line(NamedTuple):
    """One group's statistic along a horizontal axis."""

    x: ArrayLike
    """[P], finite, increasing."""
    value: Interval
    """[P] each."""


def plot_lines(
    lines: Mapping[str, Line],
    ax: Axes | None = None,
    *,
    xlabel: str,
    ylabel: str,
    bands: bool = False,
    log_x: bool = False,
    log_y: bool = False,
    references: Mapping[str, float] | None = None,
    statistic: str | None = STATISTIC,
    ticks: Sequence[float] | None = None,
    tick_labels: Sequence[str] | None = None,
    colours: Mapping[str, ColorType] | None = None,
) -> Axes:
    """Draw each group as a line with markers and interval bars, or with a band.

    Bars of groups with a common x are offset horizontally, so that none hides another.

    Args:
        lines: name of the group -> its line; up to 8 groups in all panels of a figure. A mean of
            NaN leaves a gap; a low or high of NaN leaves out only the interval.
        ax: where to draw; a new one-column figure when None.
        xlabel: label of x, with its unit.
        ylabel: label of the measure, with its unit.
        bands: draw intervals as bands, without markers, for lines of many points. A point between
            gaps is drawn as a dot.
        log_x: draw x on a logarithmic axis.
        log_y: draw the measure on a logarithmic axis.
        references: name -> y, thin horizontal lines; the legend shows their names and values.
        statistic: title of the legend, the kind of mean and interval; None for no title.
        ticks: x of the ticks, such as the swept values.
        tick_labels: a text for each of `ticks`.
        colours: name of the group -> its hue, in place of the style's.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: an argument has a wrong shape or range, a mean lies outside its interval, or a
            number on a logarithmic axis is not positive.
    """
    _check_groups(lines, ax, colours)
    groups = {name: _checked_line(name, line, log_x, log_y) for name, line in lines.items()}
    if tick_labels is not None and (ticks is None or len(ticks) != len(tick_labels)):
        raise ValueError("tick_labels must have a text for each of ticks")
    with drawing(ax, height=2.1) as ax:
        scale_axes(ax, log_x=log_x, log_y=log_y)
        ax.set(xlabel=xlabel, ylabel=ylabel)
        (draw_bands if bands else _draw_bars)(ax, groups, colours)
        if np.unique(np.concatenate([x for x, _ in groups.values()])).size == 1:
            # By default matplotlib would scale the axis to the small offsets of the groups.
            centre = next(iter(groups.values())).x[0]
            ax.set_xlim((centre / 3, centre * 3) if log_x else (centre - 0.5, centre + 0.5))
        if ticks is not None:
            ax.set_xticks(ticks, tick_labels)
            ax.set_xticks([], minor=True)
            if tick_labels is None and log_x:
                ax.xaxis.set_major_formatter(lambda tick, _: f"{tick:g}")  # 300 too, not 100 alone
        for name, value in (references or {}).items():
            reference_line(ax, value, name)
        ax.margins(y=0.1)
        legend_above(ax, title=statistic)
    return ax


def plot_rows(
    rows: Sequence[str],
    groups: Mapping[str, Interval],
    ax: Axes | None = None,
    *,
    xlabel: str,
    references: Mapping[str, float] | None = None,
    statistic: str | None = STATISTIC,
    xlim: tuple[float, float] | None = None,
    colours: Mapping[str, ColorType] | None = None,
) -> Axes:
    """Draw a mean and its interval per row and group, with rows from top to bottom.

    Args:
        rows: [R], names; those of more than 26 characters are wrapped.
        groups: name of the group -> its statistic, [R] each; up to 8 groups in all panels of a
            figure. A mean of NaN is not drawn, and a row without means shows "none"; a low or high
            of NaN leaves out only the bar.
        ax: where to draw; a new one-column figure, with the height of its rows, when None.
        xlabel: label of the measure, with its unit.
        references: name -> x, thin vertical lines; the legend shows their names and values.
        statistic: title of the legend, the kind of mean and interval; None for no title.
        xlim: limits of the axis, extended to include all means and references; bars are clipped.
        colours: name of the group -> its hue, in place of the style's.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: an argument has a wrong shape or range, or a mean lies outside its interval.
    """
    if not len(rows):
        raise ValueError("rows is empty: give at least one name")
    _check_groups(groups, ax, colours)
    values = {name: _checked(name, value, (len(rows),)) for name, value in groups.items()}
    names = [textwrap.fill(row, _LONGEST_ROW, break_long_words=False) for row in rows]
    most = max(name.count("\n") for name in names)
    height = max(0.1 * len(groups) + 0.08, 0.17 + 0.115 * most)
    place = np.arange(len(rows), dtype=np.float64)
    means = np.stack([value.mean for value in values.values()])
    with drawing(ax, height=0.5 + len(rows) * height) as ax:
        for row in place[::2]:
            ax.axhspan(row - 0.5, row + 0.5, color="0.95", linewidth=0, zorder=0)
        for number, (name, value) in enumerate(values.items()):
            look = look_of(ax, name, (colours or {}).get(name)) | {"linestyle": "none"}
            offset = 0.7 * ((number + 0.5) / len(values) - 0.5)
            _draw_members(ax, place + offset, value, look["color"], upright=False)
            bars = ax.errorbar(
                value.mean, place + offset, xerr=_reaches(value), label=name, **_BARS | look
            )
            bars[0].set_clip_on(False)  # a marker at the end of the axis is drawn whole
        for row in place[np.isnan(means).all(axis=0)]:
            grey = {"fontsize": 6, "color": "0.45", "verticalalignment": "center_baseline"}
            ax.text(0.02, row, "none", transform=ax.get_yaxis_transform(), **grey)
        for name, value in (references or {}).items():
            reference_line(ax, value, name, upright=True)
        ax.set_yticks(place, names)
        ax.tick_params(axis="y", length=0)
        ax.set(xlabel=xlabel, ylim=(len(rows) - 0.5, -0.5))
        if xlim is not None:
            known = [*xlim, *means[np.isfinite(means)], *(references or {}).values()]
            ax.set_xlim(min(known), max(known))
        legend_above(ax, title=statistic)
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
    """Draw a matrix of success rates, from white for 0 to dark for 1, with counts.

    Of more than 12 cells with equal trials only those between none and all show their counts, and
    a line separates the cells with at least half successes from the others.

    Args:
        successes: [R, C], int.
        trials: [R, C], int, at least `successes`; a cell of 0 is hatched.
        rows: [R], names, from top to bottom.
        columns: [C], names, from left to right.
        ax: where to draw; a new one-column figure when None.
        xlabel: label of the columns.
        ylabel: label of the rows.
        title: text above the axes, such as the definition of a success.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: an argument has a wrong shape or range.
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

    share = np.ma.masked_array(successes, trials == 0) / np.maximum(trials, 1)
    with drawing(ax, height=0.75 + 0.21 * shape[0]) as ax:
        edges = [np.arange(count + 1) - 0.5 for count in shape]
        grey = {"cmap": "gray_r", "vmin": 0, "vmax": 4 / 3, "edgecolors": "0.75", "linewidth": 0.4}
        ax.pcolormesh(*edges[::-1], share, **grey)
        ax.patch.set(hatch="/////", edgecolor="0.75")  # visible through masked cells
        # The layout is not computed yet; constrained layout gives panels about this wide.
        cell = 72 * ax.figure.get_figwidth() * ax.get_position().width / shape[1]
        longest = len(f"{trials.max()}/{trials.max()}")
        size = float(np.clip(0.9 * cell / (_DIGIT * longest), 4.5, 7))
        mixed = (successes > 0) & (successes < trials)
        few = trials.size <= _MOST_COUNTS or np.unique(trials[trials > 0]).size > 1
        for row, column in np.argwhere(trials if few else mixed):
            ax.text(
                column,
                row,
                f"{successes[row, column]}/{trials[row, column]}",
                fontsize=size,
                color="white" if share[row, column] > 0.6 else "black",
                horizontalalignment="center",
                verticalalignment="center_baseline",
            )
        if not few:
            _draw_boundary(ax, share.filled(np.nan))
        upright = 7 * _DIGIT * max(map(len, columns)) > cell - 3
        ax.set(xlabel=xlabel, ylabel=ylabel, ylim=(shape[0] - 0.5, -0.5))
        ax.set_xticks(np.arange(shape[1]), columns, rotation=90 if upright else 0)
        ax.set_yticks(np.arange(shape[0]), rows)
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        if title is not None:
            ax.set_title(title)
        if not few:
            legend_above(ax)
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
    statistic: str = STATISTIC,
) -> Axes:
    """Draw a measure of quality against the embedding's dimension, with intervals.

    Args:
        dims: [D], whole, increasing.
        mean: [D], the mean of the measure over the members of each dimension, finite.
        low: [D], lower end of the interval of the mean; NaN at both ends draws no interval.
        high: [D], upper end.
        ax: where to draw; a new one-column figure when None.
        selected: one of `dims`, drawn as a vertical line.
        floor: the Bayes-optimal value, drawn as a horizontal line.
        label: label of the vertical axis, the measure and its unit.
        statistic: title of the legend, the kind of mean and interval.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: an argument has a wrong shape or range, or a mean lies outside its interval.
    """
    dims, mean = np.asarray(dims), np.asarray(mean, dtype=np.float64)
    if not np.issubdtype(dims.dtype, np.integer):
        raise ValueError(f"dims must be whole numbers, got {dims.dtype}")
    if not np.isfinite(mean).all():
        raise ValueError("mean has numbers that are not finite: leave those dimensions out")
    if selected is not None and selected not in dims:
        raise ValueError(f"selected must be among {dims.tolist()}, got {selected}")
    with drawing(ax, height=2.1) as ax:
        plot_lines(
            {label.partition(" (")[0]: Line(dims, Interval(mean, low, high))},
            ax,
            xlabel="dimension $d$",
            ylabel=label,
            references=None if floor is None else {"Bayes-optimal": floor},
            statistic=statistic,
            ticks=dims.tolist(),
        )
        ax.set_xlim(dims[0] - 0.5, dims[-1] + 0.5)
        if selected is not None:
            reference_line(ax, selected, "selected dimension", upright=True)
            legend_above(ax)
    return ax


def plot_recovery_by_weight(
    initial_weight: ArrayLike,
    recovered: ArrayLike,
    dims: ArrayLike,
    spearman: ArrayLike,
    ax: Axes | None = None,
) -> Axes:
    """Draw recovery against the initial dense weight, which shows the sign trap.

    Markers are filled for recovered members and hollow for failed ones; their shape is the
    dimension.

    Args:
        initial_weight: [M], the dense weight before training, finite.
        recovered: [M], bool.
        dims: [M], int, the dimension of each member's embedding.
        spearman: [M], rank correlation of distances with the truth, finite for recovered members;
            NaN (diverged) is drawn as a cross on the lower edge.
        ax: where to draw; a new one-column figure when None.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: an argument has a wrong shape, dtype or range.
    """
    weight, height = np.asarray(initial_weight, np.float64), np.asarray(spearman, np.float64)
    recovered, dims = np.asarray(recovered), np.asarray(dims)
    shapes = [values.shape for values in (weight, recovered, dims, height)]
    if set(shapes) != {(weight.size,)} or not weight.size:
        raise ValueError(f"all four arrays must be [M] with M >= 1, got {shapes}")
    if recovered.dtype != bool or not np.issubdtype(dims.dtype, np.integer):
        raise ValueError(
            f"recovered must be bool and dims whole, got {recovered.dtype} and {dims.dtype}"
        )
    if not np.isfinite(weight).all():
        raise ValueError("initial_weight has numbers that are not finite: leave them out")
    drawn = np.isfinite(height)
    if np.any(recovered & ~drawn):
        raise ValueError("a recovered member has a spearman that is not finite: leave it out")
    with drawing(ax, height=2.2) as ax:
        for dim in np.unique(dims):
            look = look_of(ax, f"$d$ = {dim}") | {"linestyle": "none", "alpha": 0.8}
            of_dim = dims == dim
            label = f"$d$ = {dim}: {np.sum(of_dim & recovered)} / {np.sum(of_dim & ~recovered)}"
            for outcome, fill in ((True, look["color"]), (False, "none")):
                here = of_dim & (recovered == outcome) & drawn
                look |= {"markerfacecolor": fill, "label": label if outcome else None}
                ax.plot(weight[here], height[here], markersize=4.5, markeredgewidth=0.8, **look)
        if not drawn.all():
            cross = {"linestyle": "none", "marker": "x", "color": "0.3", "clip_on": False}
            cross |= {"transform": ax.get_xaxis_transform()}  # 0 is the lower edge
            label = f"diverged: {np.sum(~drawn)}"
            ax.plot(weight[~drawn], np.zeros(np.sum(~drawn)), label=label, **cross)
        reference_line(ax, 0.0, "weight", upright=True)
        ax.set(xlabel="dense weight before training", ylabel="Spearman with true distances")
        failed = np.sum(~recovered)
        legend_above(ax, title=f"{recovered.sum()} recovered (filled) / {failed} failed (hollow)")
    return ax


def draw_bands(
    ax: Axes, groups: Mapping[str, Line], colours: Mapping[str, ColorType] | None = None
) -> None:
    """Draw each group as a labelled line, with a shaded band for its finite intervals."""
    for name, (x, value) in groups.items():
        look = look_of(ax, name, (colours or {}).get(name), markers=False)
        if np.isfinite(value.low).any():
            # The hairline shows the band in grayscale, and the interval of a single point.
            shade = {"color": look["color"], "alpha": 0.2, "linewidth": 0.5}
            ax.fill_between(x, value.low, value.high, label=name, **shade)
        known = np.pad(np.isfinite(value.mean), 1)
        alone = np.flatnonzero(known[1:-1] & ~known[:-2] & ~known[2:])  # has no line segment
        dots = {"marker": "o", "markersize": 2.5, "markevery": alone.tolist()} if alone.size else {}
        ax.plot(x, value.mean, label=name, **look, **dots)
    ax.margins(x=0.02)


def _draw_bars(
    ax: Axes, groups: Mapping[str, Line], colours: Mapping[str, ColorType] | None
) -> None:
    """Draw each group as a labelled line with markers and interval bars."""
    log_x = ax.get_xscale() == "log"
    shifts = _dodge([line.x for line in groups.values()], log_x)
    for (name, (x, value)), shift in zip(groups.items(), shifts):
        look = look_of(ax, name, (colours or {}).get(name))
        x = x * 10**shift if log_x else x + shift
        _draw_members(ax, x, value, look["color"])
        ax.errorbar(x, value.mean, yerr=_reaches(value), label=name, **_BARS | look)


def _draw_members(
    ax: Axes, x: NDArray[np.float64], value: Interval, colour: object, *, upright: bool = True
) -> None:
    """Draw the members of each statistic at x as small dots behind it; along y if not upright."""
    if not value.members:
        return
    across = np.repeat(x, [len(found) for found in value.members])
    along = np.concatenate(value.members)
    look = {"marker": ".", "markersize": 6, "markeredgewidth": 0, "alpha": 0.35, "zorder": 1.5}
    look |= {"linestyle": "none", "color": colour}
    ax.plot(*(across, along) if upright else (along, across), **look)


def _draw_boundary(ax: Axes, share: NDArray[np.float64]) -> None:
    """Draw the edges between cells [R, C] of at least half and of less; NaN has no edge."""
    most, known = share >= 0.5, np.isfinite(share)
    edges = []
    for across in (False, True):
        own, seen = (most.T, known.T) if across else (most, known)
        crossed = (own[:, 1:] != own[:, :-1]) & seen[:, 1:] & seen[:, :-1]
        for line, place in np.argwhere(crossed):
            edge = np.array([[place + 0.5, line - 0.5], [place + 0.5, line + 0.5]])
            edges.append(edge[:, ::-1] if across else edge)
    if not edges:
        return
    look = {"colors": "#D55E00", "linewidths": 1.8, "capstyle": "projecting", "zorder": 3}
    ax.add_collection(LineCollection(edges, label=_BOUNDARY, **look), autolim=False)


def _dodge(every_x: Sequence[NDArray[np.float64]], log_x: bool) -> NDArray[np.float64]:
    """Return the horizontal offset of each group, in x or in decades of x.

    It is 0 if no two groups share an x. The total spread is below the least gap between neighbours,
    so that points of one x stay nearer to each other than to the next x.
    """
    places = [np.log10(x) if log_x else x for x in every_x]
    every = np.concatenate(places)
    if len(places) == 1 or np.unique(every).size == every.size:
        return np.zeros(len(places))
    reach = np.ptp(every) or 1.0
    gaps = [np.diff(place).min() for place in places if place.size > 1]
    step = min(0.009 * reach, 0.6 * min(gaps, default=reach) / (len(places) - 1))
    return step * (np.arange(len(places)) - (len(places) - 1) / 2)


def _reaches(value: Interval) -> NDArray[np.float64]:
    """Return the lengths of the interval below and above the mean, [2, P], for `errorbar`."""
    return np.maximum([value.mean - value.low, value.high - value.mean], 0)


def _check_groups(
    names: Iterable[str], ax: Axes | None, colours: Mapping[str, ColorType] | None
) -> None:
    """Raise a ValueError for too many groups in the figure, or colours of unknown groups."""
    names = set(names)
    count = len(names.union(groups_of(ax)) if names and ax is not None else names)
    if not 1 <= count <= MOST_GROUPS:
        raise ValueError(
            f"a figure compares 1 to {MOST_GROUPS} groups, got {count}: "
            + ("draw some in another figure" if count else "give at least one")
        )
    if unknown := set(colours or {}) - names:
        raise ValueError(f"colours must be of groups, got {sorted(unknown)}")


def _checked_line(name: str, line: Line, log_x: bool, log_y: bool) -> Line:
    """Return a line as float64 [P], or raise a ValueError."""
    x = np.atleast_1d(np.asarray(line.x, dtype=np.float64))
    if x.ndim != 1 or not x.size:
        raise ValueError(f"x of {name!r} must be [P] with P >= 1, got {x.shape}")
    if not np.isfinite(x).all() or np.any(np.diff(x) <= 0):
        raise ValueError(f"x of {name!r} must be finite and increase from point to point")
    value = _checked(name, line.value, x.shape)
    for axis, numbers, logarithmic in (("x", x, log_x), ("mean", value.mean, log_y)):
        if logarithmic and np.any(numbers <= 0):
            raise ValueError(f"{axis} of {name!r} must be above 0 on a logarithmic axis")
    return Line(x, value)


def _checked(name: str, value: Interval, shape: tuple[int, ...]) -> Interval:
    """Return mean, low and high as float64 [P], or raise a ValueError."""
    mean, low, high = (np.atleast_1d(np.asarray(part, dtype=np.float64)) for part in value[:3])
    members = [np.asarray(found, np.float64).ravel() for found in value.members]
    if members and len(members) != shape[0]:
        raise ValueError(f"members of {name!r} must be [{shape[0]}], got {len(members)}")
    if {mean.shape, low.shape, high.shape} != {shape}:
        raise ValueError(
            f"mean, low and high of {name!r} must all be [{shape[0]}], "
            f"got {mean.shape}, {low.shape} and {high.shape}"
        )
    if np.isinf([mean, low, high]).any():
        raise ValueError(f"{name!r} has an infinite number: give NaN where there is none")
    # A resampled mean of equal numbers may differ from them by rounding.
    slack = 1e-9 * np.maximum(np.abs(mean), 1e-12)
    outside = (low - slack > mean) | (high + slack < mean)  # False beside NaN
    if outside.any():
        raise ValueError(
            f"a mean of {name!r} lies outside its interval: {mean[outside][0]:g} is not between "
            f"{low[outside][0]:g} and {high[outside][0]:g}"
        )
    unknown = np.isnan(mean) | np.isnan(low) | np.isnan(high)
    low, high = (np.where(unknown, np.nan, end) for end in (low, high))
    return Interval(mean, low, high, members)
