"""How far to trust a position: covariances and ellipses of items over repeated trainings.

A map is determined up to a motion, and its scale may be undone by the head's weight. `map_scale`
gives maps comparable units, `aligned_to` takes the motion out, `position_covariance` and `ellipse`
describe what is left. Coordinates of items that a training left without pairs are NaN.

What is left is the error from the labels that were drawn. It leaves out the bias of the model, the
initial values and other local minima.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import fdtri

from colour_embed.evaluate.geometry import align
from colour_embed.heads import HEADS

_UNCHANGED = 1e-9  # of the mean configuration's size, where the iteration ends
_MOST_ROUNDS = 1000


def map_scale(head: str, normalise: bool, kernel: ArrayLike) -> NDArray[np.float64]:
    """The factor that gives maps of different weights comparable units.

    It is sqrt(|k|) for logits that are affine in k times a squared distance or dot product, and k
    for the head matched, whose probability depends on k times the distance. It is 1 for the head
    inverse, whose smoothing fixes the scale, and for vectors of length one.

    Args:
        head: A name in `heads.HEADS`.
        normalise: Whether vectors have length one.
        kernel: The effective weights k, of any shape.

    Example:
        >>> map_scale("free", False, [-4.0, -9.0]).tolist()
        [2.0, 3.0]
    """
    kernel = np.abs(np.asarray(kernel, np.float64))
    if normalise or head == "inverse":
        return np.ones_like(kernel)
    return kernel if head == "matched" else np.sqrt(kernel)


def has_origin(head: str, normalise: bool) -> bool:
    """Whether a shift changes the logits, so that maps may only be turned about the origin.

    Example:
        >>> has_origin("free", False), has_origin("dot", False)
        (False, True)
    """
    return normalise or HEADS[head].feature == "dot_product"


def aligned_to(
    reference: ArrayLike,
    draws: ArrayLike,
    scale: ArrayLike | None = None,
    *,
    shift: bool = True,
) -> NDArray[np.float64]:
    """Maps moved to where they lie closest to a reference: turned, reflected and shifted.

    Args:
        reference: [items, d], in the units of the scaled draws; or [B, items, d], one a draw.
        draws: [B, items, d].
        scale: [B], the factor of each draw, such as its `map_scale`; 1 each where None.
        shift: False for maps that have an origin, see `has_origin`.

    Returns:
        float64 [B, items, d], see `geometry.align`. An item that is NaN in a draw or in its
        reference does not count for that alignment; in the first case it stays NaN. A draw that
        has no item in common with its reference is NaN.

    Raises:
        ValueError: shapes that do not match.

    Example:
        >>> square = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])
        >>> moved = -square + [[5.0, 0]]
        >>> moved[3] = np.nan
        >>> aligned_to(square + 1, [moved])[0].round(6).tolist()
        [[1.0, 1.0], [2.0, 1.0], [2.0, 2.0], [nan, nan]]
    """
    reference, draws = np.asarray(reference, np.float64), np.asarray(draws, np.float64)
    if draws.ndim != 3 or reference.shape not in (draws.shape[1:], draws.shape):
        raise ValueError(
            f"draws has the shape {draws.shape} and reference {reference.shape}: give [draws, "
            "items, dim] and [items, dim], or one reference for each draw"
        )
    if scale is not None:
        draws = draws * np.asarray(scale, np.float64)[:, None, None]
    drawn, placed = (np.isfinite(one).all(axis=-1) for one in (draws, reference))
    common = drawn & placed
    aligned = align(
        np.where(drawn[..., None], draws, 0),
        np.where(placed[..., None], reference, 0),
        shift=shift,
        weight=common,
    )
    return np.where((drawn & common.any(axis=1, keepdims=True))[..., None], aligned, np.nan)


def generalised_procrustes(draws: ArrayLike, *, shift: bool = True) -> NDArray[np.float64]:
    """The mean configuration of maps, each aligned to it (generalised Procrustes analysis).

    Align all maps to the mean, take their mean, repeat. This descends the sum of squared distances
    of the maps from their mean. It starts at the map with the fewest NaN, whose orientation
    the result keeps, and ends when no coordinate moves by more than 1e-9 of the mean's size.

    Args:
        draws: [B, items, d], in common units; see `map_scale`.
        shift: False for maps that have an origin, see `has_origin`.

    Returns:
        float64 [items, d]; each item's mean is over the maps where it is not NaN. NaN where there
        are none.

    References:
        J. C. Gower, "Generalized Procrustes analysis", Psychometrika 40, 1975.

    Example:
        >>> square = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])
        >>> generalised_procrustes([square, 3 - square]).round(6).tolist()
        [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]
    """
    draws = np.asarray(draws, np.float64)
    mean = draws[np.argmax(np.isfinite(draws).all(axis=-1).sum(axis=-1))]
    for _ in range(_MOST_ROUNDS):
        before = mean
        mean = _mean(aligned_to(before, draws, shift=shift))[0]
        moved = np.abs(mean - before)
        size = np.nanmax(np.abs(mean), initial=0.0)
        known = np.isfinite(mean).any(axis=-1) == np.isfinite(before).any(axis=-1)
        if known.all() and np.nanmax(moved, initial=0.0) <= _UNCHANGED * size:
            break
    return mean


def _mean(draws: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The mean over draws of each item [items, d], without NaN, and how many it is of [items]."""
    known = np.isfinite(draws).all(axis=-1)
    count = known.sum(axis=0)
    total = np.where(known[..., None], draws, 0).sum(axis=0)
    return np.where(count > 0, 1, np.nan)[:, None] * total / np.maximum(count, 1)[:, None], count


class Spread(NamedTuple):
    """How positions vary over draws.

    Attributes:
        covariance: float64 [items, d, d]; NaN for items with fewer than two draws.
        draws: int [items], in how many draws an item has a position, B.
    """

    covariance: NDArray[np.float64]
    draws: NDArray[np.int64]


def position_covariance(
    reference: ArrayLike,
    draws: ArrayLike,
    scale: ArrayLike | None = None,
    *,
    shift: bool = True,
) -> Spread:
    """The covariance of each item's position over draws that are aligned to a reference.

    S = 1 / (B - 1) sum_b (y_b - m) (y_b - m)^T, with y_b the item's place in draw b and m its mean
    over the draws. It is about the mean, not about the reference: what the mean is off by is an
    estimate of bias, not of spread.

    Args:
        reference: [items, d], the fit. Its orientation is that of the covariances.
        draws: [B, items, d].
        scale: As in `aligned_to`.
        shift: As in `aligned_to`.

    Example:
        >>> cross = np.array([[2.0, 0], [-2, 0], [0, 1], [0, -1]])
        >>> found = position_covariance(cross, [cross, 1.1 * cross, 0.9 * cross])
        >>> found.covariance[0].round(6).tolist(), found.draws.tolist()
        ([[0.04, 0.0], [0.0, 0.0]], [3, 3, 3, 3])
    """
    aligned = aligned_to(reference, draws, scale, shift=shift)
    mean, count = _mean(aligned)
    apart = np.where(np.isfinite(aligned), aligned - mean, 0)
    square = np.einsum("bij,bik->ijk", apart, apart)
    divisor = np.where(count > 1, count - 1, np.nan)
    return Spread(square / divisor[:, None, None], count)


class Ellipse(NamedTuple):
    """An ellipse (d = 2), interval (1) or ellipsoid for each item.

    Attributes:
        radii: float64 [..., d], the half axes, the longest first; NaN where B <= d.
        axes: float64 [..., d, d], the unit vector of each half axis in a column.
    """

    radii: NDArray[np.float64]
    axes: NDArray[np.float64]


def ellipse(covariance: ArrayLike, draws: ArrayLike, level: float = 0.95) -> Ellipse:
    """The ellipse about a fitted position that holds the expected one with a given probability.

    Let the fitted position x be normal about the expected one with covariance Sigma, and let S be
    of B draws with that same covariance, independent of x's error. Then (B - 1) S is Wishart with
    B - 1 degrees of freedom, and Hotelling's

        T^2 = (x - E x)^T S^-1 (x - E x) ~ d (B - 1) / (B - d) F(d, B - d).

    The half axes are the roots of the quantile of T^2 times the eigenvalues of S. For many draws
    the quantile is that of chi-square with d degrees of freedom; with 20 draws and d = 2 it is 1.25
    times as large. There is no factor 1 + 1 / B: it belongs to an ellipse about the *mean of the
    draws*, which has an error of its own.

    It holds for one item at a time.

    Args:
        covariance: [..., d, d], of `position_covariance`.
        draws: B, one number or [...].
        level: The probability.

    References:
        H. Hotelling, "The generalization of Student's ratio", 1931. T. W. Anderson, "An
        introduction to multivariate statistical analysis", 2003, section 5.2.

    Example:
        >>> found = ellipse([[1.0, 0], [0, 4]], 20)
        >>> found.radii.round(2).tolist(), np.abs(found.axes).tolist()
        ([5.48, 2.74], [[0.0, 1.0], [1.0, 0.0]])
    """
    covariance, draws = np.asarray(covariance, np.float64), np.asarray(draws)
    dim = covariance.shape[-1]
    known = np.isfinite(covariance).all(axis=(-2, -1)) & (draws > dim)
    filled = np.where(known[..., None, None], covariance, np.eye(dim))
    values, axes = np.linalg.eigh(filled)  # ascending
    values, axes = np.maximum(values[..., ::-1], 0), axes[..., ::-1]
    count = np.where(known, draws, dim + 1)
    square = dim * (count - 1) / (count - dim) * fdtri(dim, count - dim, level)
    missing = np.where(known, 1, np.nan)
    return Ellipse(
        missing[..., None] * np.sqrt(square[..., None] * values), missing[..., None, None] * axes
    )


class Coverage(NamedTuple):
    """How often ellipses hold the expected place.

    Attributes:
        share: Of all positions of all fits; NaN without any.
        error: Its standard error, clustered by fit; NaN for a single fit.
        positions: How many positions of fits there are.
    """

    share: float
    error: float
    positions: int


def ellipse_coverage(
    fits: ArrayLike,
    covariances: ArrayLike,
    draws: ArrayLike,
    expected: ArrayLike,
    level: float = 0.95,
    *,
    shift: bool = True,
) -> Coverage:
    """The share of positions whose `ellipse` holds the expected place, aligned to each fit.

    Positions of one fit share its labels, so that the fits are the clusters: with n_f positions of
    fit f, h_f of them hit, F fits and share p, the squared error is
    F / (F - 1) sum_f (h_f - p n_f)^2 / (sum_f n_f)^2.

    Args:
        fits: [F, items, d], to independent draws of the labels, in common units.
        covariances: [F, items, d, d], in the orientation of each fit.
        draws: B of each covariance, one number or [F, items].
        expected: [items, d], such as `generalised_procrustes` of many further draws.
        level: Of the ellipses.
        shift: As in `aligned_to`.

    Returns:
        The coverage. Positions without an ellipse, a fitted or an expected place do not count.

    Example:
        >>> line = np.array([[-2.0], [0.0], [2.0]])
        >>> fits = line + [[[0.1], [-0.2], [0.1]]]
        >>> ellipse_coverage(fits, np.full((1, 3, 1, 1), 0.04), 1000, line).share
        1.0
    """
    fits = np.asarray(fits, np.float64)
    expected = np.broadcast_to(np.asarray(expected, np.float64), fits.shape)
    apart = aligned_to(fits, expected, shift=shift) - fits
    radii, axes = ellipse(covariances, draws, level)
    along = np.einsum("...ij,...i->...j", axes, apart)
    known = np.isfinite(radii).all(axis=-1) & np.isfinite(apart).all(axis=-1)
    # In a direction of radius 0 only a place that is exactly right lies within.
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(along == 0, 0, along / radii)
        hit = known & (np.sum(ratio**2, axis=-1) <= 1)
    hits, positions = hit.sum(axis=1), known.sum(axis=1)
    total = int(positions.sum())
    if not total:
        return Coverage(float("nan"), float("nan"), 0)
    share = hits.sum() / total
    error = float("nan")
    if len(fits) > 1:
        spread = np.sum((hits - share * positions) ** 2) * len(fits) / (len(fits) - 1)
        error = float(np.sqrt(spread) / total)
    return Coverage(float(share), error, total)
