"""Figures of losses against the epoch, and of calibration."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from colour_embed.viz.intervals import Interval, Line, draw_bands
from colour_embed.viz.style import drawing, legend_above, reference_line, scale_axes

__all__ = ["plot_calibration", "plot_losses"]


def plot_losses(
    losses: Mapping[str, ArrayLike],
    ax: Axes | None = None,
    *,
    best: float | None = None,
    base_rate: float | None = None,
) -> Axes:
    """Draw training losses against the epoch: a line per run, a median with a band per group.

    The band is the interquartile range over the members at each epoch. It shows the spread of the
    members, and is not a confidence interval of the median. Losses that are not finite, such as
    those of diverged members, are left out.

    Args:
        losses: label -> [E], or [M, E] for a group of M members; nats per pair, from epoch 1 on; M
            and E may differ between labels.
        ax: where to draw; a new one-column figure when None.
        best: the Bayes-optimal loss, nats per pair.
        base_rate: the loss of predicting the share of positives for every pair, nats per pair.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: no losses, a wrong shape, or no finite loss under a label.

    Example:
        >>> plot_losses({"seed 0": [0.6, 0.4], "d = 2": [[0.7, 0.5], [0.6, 0.4]]}).get_xlabel()
        'epoch'
    """
    if not losses:
        raise ValueError("losses is empty: give at least one label -> [E] or [M, E]")
    lines, statistic = {}, None
    for label, loss in losses.items():
        group = np.asarray(loss, dtype=np.float64)
        if group.ndim not in (1, 2) or group.size == 0:
            raise ValueError(
                f"losses[{label!r}] must be [E] or [M, E] with one of each, got {group.shape}"
            )
        finite = np.isfinite(np.atleast_2d(group))
        some = finite.any(axis=0)
        if not some.any():
            raise ValueError(f"losses[{label!r}] has no finite number: leave it out")
        kept = np.where(finite, group, np.nan)[:, some]
        low, median, high = np.nanquantile(kept, (0.25, 0.5, 0.75), axis=0)
        if group.ndim == 2:
            statistic = "median over members; band: middle half (quartiles)"
        else:
            low = high = np.full(median.shape, np.nan)
        lines[label] = Line(1 + np.flatnonzero(some), Interval(median, low, high))
    with drawing(ax, height=2.3) as ax:
        scale_axes(ax, log_x=True)
        draw_bands(ax, lines)
        ax.set(xlabel="epoch", ylabel="training loss (nats per pair)")
        if best is not None:
            reference_line(ax, best, "Bayes-optimal loss")
        if base_rate is not None:
            reference_line(ax, base_rate, "base-rate loss")
        ax.margins(y=0.1)
        legend_above(ax, title=statistic)
    return ax


def plot_calibration(
    predicted: ArrayLike,
    share: ArrayLike,
    low: ArrayLike,
    high: ArrayLike,
    ax: Axes | None = None,
    *,
    error: float | None = None,
    label: str = "pairs",
) -> Axes:
    """Draw the share of positives against the predicted probability, bin by bin, with intervals.

    Args:
        predicted: [B], the mean predicted probability of each bin.
        share: [B], the share of positives in it.
        low: [B], lower end of the 95 % interval of the share.
        high: [B], upper end.
        ax: where to draw; a new one-column figure when None.
        error: the expected calibration error, for the legend.
        label: what the bins are of, such as "held-out pairs".

    Returns:
        The axes drawn on.

    Raises:
        ValueError: shapes that differ, no bin, or a share outside its interval.
    """
    predicted, share, low, high = (
        np.asarray(values, dtype=np.float64) for values in (predicted, share, low, high)
    )
    shapes = {values.shape for values in (predicted, share, low, high)}
    if shapes != {(predicted.size,)} or not predicted.size:
        raise ValueError(f"all must be [B] with B >= 1, got {sorted(shapes)}")
    if np.any(low > share) or np.any(high < share):
        raise ValueError("each share must lie between its low and its high")
    # If nearly all pairs are dissimilar, axes up to 1 would crowd the bins in one corner.
    reach = min(1.0, 1.08 * max(high.max(), predicted.max()))
    with drawing(ax, height=2.9) as ax:
        thin = {"color": "0.6", "linewidth": 0.7, "linestyle": "-", "zorder": 1}
        ax.plot([0, reach], [0, reach], label="perfect calibration", **thin)
        look = {"color": "black", "linestyle": "none", "marker": "o", "markersize": 3.5}
        look |= {"elinewidth": 0.9, "capsize": 2, "clip_on": False}
        label = f"{label}, {predicted.size} bins, 95 % intervals"
        ax.errorbar(predicted, share, yerr=(share - low, high - share), label=label, **look)
        limits = (-0.02 * reach, reach)
        ax.set(xlabel="predicted probability", ylabel="share similar", xlim=limits, ylim=limits)
        ax.set_box_aspect(1)
        title = None if error is None else f"expected calibration error {error:.3f}"
        legend_above(ax, title=title)
    return ax
