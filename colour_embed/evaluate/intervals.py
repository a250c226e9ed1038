"""Statistics over runs: intervals for shares and means, and the choice of a dimension."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import ndtri, stdtrit

_DRAWN = 2**22  # indices at a time, which bounds the memory: 32 MB


def wilson_interval(successes: float, count: float, level: float = 0.95) -> tuple[float, float]:
    """Wilson's interval for a share, such as that of recovered runs.

    With p = successes / count and z the normal quantile, the centre is (p + z^2 / 2n) / (1 + z^2/n)
    and the half width z / (1 + z^2/n) * sqrt(p (1 - p) / n + z^2 / 4n^2). Unlike p +- z sqrt(...)
    it stays in 0..1, and its width is above 0 for 0 of 10 and 10 of 10.

    Args:
        successes: In 0..count.
        count: n; without any trial the interval is 0..1. An effective number need not be whole.
        level: Coverage, approximately.

    Returns:
        The lower and the upper end.

    Raises:
        ValueError: successes are not in 0..count.

    References:
        E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927.

    Example:
        >>> low, high = wilson_interval(9, 10)
        >>> round(low, 3), round(high, 3)
        (0.596, 0.982)
    """
    if not 0 <= successes <= count:
        raise ValueError(f"{successes} successes of {count} trials")
    if count == 0:
        return 0.0, 1.0
    z = float(ndtri(0.5 + level / 2))
    share, spread = successes / count, z * z / count
    centre = share + spread / 2
    half = np.sqrt(spread * (share * (1 - share) + spread / 4))
    # At the ends of the scale the exact values are 0 and 1, which rounding may miss.
    low = 0.0 if successes == 0 else float((centre - half) / (1 + spread))
    high = 1.0 if successes == count else float((centre + half) / (1 + spread))
    return low, high


def interquartile_mean(values: np.ndarray, axis: int = -1) -> np.ndarray | float:
    """The mean of the middle half of the values.

    A few failed seeds cannot move it, nor a few lucky ones. Exactly a quarter of the weight is
    dropped at each end. Where n / 4 is not whole, the value at the edge counts in part: of five
    sorted values the weights are 0, 0.75, 1, 0.75, 0 over 2.5. For n divisible by 4 this is
    `scipy.stats.trim_mean(values, 0.25)`, which otherwise drops only the whole part of n / 4 and
    so jumps as runs are added.

    Nearly half of the tutorial's seeds fail, so that its results have two modes. A single mean of
    them says little without the share that recovered.

    Args:
        values: An array.
        axis: The axis that is averaged.

    Returns:
        The means, with `axis` gone; NaN where a value is NaN or there is none.

    References:
        R. Agarwal et al., "Deep reinforcement learning at the edge of the statistical precipice",
        2021.

    Example:
        >>> float(interquartile_mean([0.0, 1.0, 2.0, 100.0]))
        1.5
    """
    ordered = np.sort(np.moveaxis(np.asarray(values, np.float64), axis, -1), axis=-1)
    count = ordered.shape[-1]
    if count == 0:
        return np.full(ordered.shape[:-1], np.nan)[()]
    # Value i covers i..i+1 on a line of length n; its weight is what lies in the middle half.
    begin = np.arange(count)
    weight = np.minimum(begin + 1, 0.75 * count) - np.maximum(begin, 0.25 * count)
    weight = np.maximum(weight, 0)
    # An infinity that is trimmed must not become 0 * inf; NaN sorts last and must not be trimmed.
    bad = np.isnan(ordered).any(axis=-1)
    middle = weight > 0
    mean = ordered[..., middle] @ weight[middle] / weight.sum()
    return np.where(bad, np.nan, mean)[()]


def mean_interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Student's t interval of the mean of independent values: mean -+ t s / sqrt(n).

    Args:
        values: [n].
        level: Coverage; exact for normal values.

    Returns:
        The lower and the upper end; NaN for fewer than 2 values or where a value is NaN.

    References:
        Student, "The probable error of a mean", 1908.

    Example:
        >>> low, high = mean_interval([1.0, 2.0, 3.0])
        >>> round(low, 3), round(high, 3)
        (-0.484, 4.484)
    """
    values = np.asarray(values, np.float64)
    count = len(values)
    if count < 2 or np.isnan(values).any():
        return float("nan"), float("nan")
    reach = float(stdtrit(count - 1, 0.5 + level / 2)) * values.std(ddof=1) / np.sqrt(count)
    return float(values.mean() - reach), float(values.mean() + reach)


def bootstrap(
    statistic: Callable[[np.ndarray], np.ndarray],
    count: int,
    resamples: int,
    seed: int | np.random.Generator = 0,
) -> np.ndarray:
    """A statistic over resamples of things, drawn with replacement, as many as there are.

    Args:
        statistic: Called with draws, int64 [R, count] in 0..count - 1; returns [R, ...].
        count: How many things there are, 1 or more. They must be independent.
        resamples: How many resamples. They come in calls of at most 2^22 draws.
        seed: Of the draws.

    Returns:
        [resamples, ...].

    References:
        B. Efron, "Bootstrap methods: another look at the jackknife", 1979.

    Example:
        >>> values = np.array([1.0, 2.0, 4.0])
        >>> bootstrap(lambda draws: values[draws].mean(axis=1), len(values), 500).shape
        (500,)
    """
    generator = np.random.default_rng(seed)
    size = max(1, _DRAWN // count)
    return np.concatenate(
        [
            statistic(generator.integers(0, count, (min(size, resamples - begin), count)))
            for begin in range(0, resamples, size)
        ]
    )


def bootstrap_interval(
    values: np.ndarray,
    statistic: Callable[..., np.ndarray],
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """The percentile bootstrap interval of a statistic over independent runs.

    The ends are quantiles of the statistic over the resamples; see `bootstrap`. Below some ten
    values the interval is too narrow. Resample what is independent, which is seeds, not pairs.

    Args:
        values: [n], one value per run.
        statistic: Called as `statistic(array [R, n], axis=1)`, returns [R]; such as `np.mean`,
            `np.median` or `interquartile_mean`.
        level: Coverage, approximately.
        resamples: How many resamples.
        seed: Of the draws; the same seed gives the same interval.

    Returns:
        The lower and the upper end; NaN for fewer than 2 values or where a value is NaN.

    Example:
        >>> low, high = bootstrap_interval([0.1, 0.4, 0.2, 0.3], np.mean)
        >>> bool(low < 0.25 < high)
        True
    """
    values = np.asarray(values, np.float64)
    if len(values) < 2 or np.isnan(values).any():
        return float("nan"), float("nan")
    drawn = bootstrap(lambda draws: statistic(values[draws], axis=1), len(values), resamples, seed)
    low, high = np.quantile(drawn, [0.5 - level / 2, 0.5 + level / 2])
    return float(low), float(high)


def select_dimension(
    dims: Sequence[int], mean: Sequence[float], standard_error: Sequence[float]
) -> int:
    """The smallest dimension whose mean loss is within one standard error of the best one's.

    Args:
        dims: The dimensions, in any order.
        mean: The mean loss of each; dimensions with NaN are passed over.
        standard_error: Of each mean; NaN, as of a single run, counts as 0.

    Returns:
        One of `dims`: the smallest whose mean is not above the lowest mean plus that mean's own
        standard error. Of equal lowest means the smaller dimension's counts as the best.

    Raises:
        ValueError: no mean is a number.

    References:
        L. Breiman et al., "Classification and regression trees", 1984.

    Example:
        >>> select_dimension([2, 3, 4], [0.40, 0.33, 0.32], [0.01, 0.01, 0.02])
        3
    """
    rows = [row for row in zip(mean, dims, standard_error, strict=True) if not np.isnan(row[0])]
    if not rows:
        raise ValueError("no dimension has a mean loss to compare")
    best, _, error = min(rows)
    limit = best + (0.0 if np.isnan(error) else error)
    return int(min(dim for loss, dim, _ in rows if loss <= limit))
