"""Negative sampling, a grouped split, contradictions and connected components of pairs.

Pairs are unordered. NumPy on the host, in blocks that bound memory for ten million pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from colour_embed.config import InputError
from colour_embed.data import Pairs

HELD_OUT_FROM, HELD_OUT_SHARE = 1000, 0.1
"""The default held-out share, and the number of pairs from which on it applies."""

PIECE = 1 << 20
"""Pairs per block, which bounds the memory of work arrays."""

LISTED_ITEMS = 2048
"""The most items for which negatives are drawn from a list of all pairs, without rejection."""

_MOST_DRAWS = 20  # per negative, after which rejection sampling gives up
_NEGATIVE_TAG = 0x4E47  # separates this random stream from others of the same seed


class Contradictions(NamedTuple):
    """Pairs with different labels: their number, their number of rows, and an example."""

    pairs: int
    rows: int
    example: tuple[int, int] | None


def pair_keys(index: np.ndarray) -> np.ndarray:
    """Return uint64 [N], a unique key for each unordered pair of index [N, 2]."""
    low = np.minimum(index[:, 0], index[:, 1]).astype(np.uint64)
    return low << np.uint64(32) | np.maximum(index[:, 0], index[:, 1]).astype(np.uint64)


def _mixed(keys: np.ndarray) -> np.ndarray:
    """Return uint64 [N], a hash of the keys: the finaliser of splitmix64."""
    keys = keys + np.uint64(0x9E3779B97F4A7C15)
    keys = (keys ^ keys >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ keys >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return keys ^ keys >> np.uint64(31)


def _pieces(count: int) -> Iterator[slice]:
    for start in range(0, count, PIECE):
        yield slice(start, min(start + PIECE, count))


def _check_seed(seed: int) -> None:
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise InputError(f"seed is {seed!r}: give a whole number from 0 to 2**32 - 1")


def split_held_out(index: np.ndarray, *, share: float = 0.1, seed: int = 0) -> np.ndarray:
    """Return which pairs are held out, with all rows of an unordered pair on the same side.

    The assignment is a hash of the seed and the two ids. It does not depend on the row, on
    repetitions or on other pairs, so the share is approximate, and refers to distinct pairs.

    Args:
        index: integers [N, 2], ids of 0 or more.
        share: share of the pairs to hold out, 0 or more and below 1.
        seed: seed of the split.

    Returns:
        bool [N].

    Raises:
        InputError: the share or the seed is out of range.
    """
    _check_seed(seed)
    if not 0 <= share < 1:
        raise InputError(f"share is {share!r}: give a number of at least 0 and below 1")
    salt = _mixed(np.array([seed], np.uint64))
    held_out = np.empty(len(index), bool)
    for piece in _pieces(len(index)):
        mixed = _mixed(pair_keys(index[piece]) ^ salt)
        held_out[piece] = (mixed >> np.uint64(11)) * 2.0**-53 < share
    return held_out


def keep_items(held_out: np.ndarray, index: np.ndarray, items: int) -> np.ndarray:
    """Return `held_out` without the pairs of an item that would have no pair to train on.

    Args:
        held_out: bool [N].
        index: integers [N, 2].
        items: number of items.

    Example:
        >>> import numpy as np
        >>> index = np.array([[0, 1], [0, 2], [1, 2], [2, 3]])
        >>> keep_items(np.array([True, False, False, True]), index, 4).tolist()
        [True, False, False, False]
    """
    trained = np.zeros(items, bool)
    trained[index[~held_out]] = True
    return held_out & trained[index].all(axis=1)


class Split(NamedTuple):
    """The pairs to train on and those held out, without pairs of weight 0.

    Attributes:
        training: The pairs to train on.
        held_out: The held-out pairs, or None.
        rows: int [training pairs], the rows of the training pairs among all pairs.
        warnings: A line if fewer pairs are held out than trained on in their place.
    """

    training: Pairs
    held_out: Pairs | None
    rows: np.ndarray
    warnings: list[str]


def default_share(count: int) -> float:
    """Return the share of so many pairs that is held out by default."""
    return HELD_OUT_SHARE if count >= HELD_OUT_FROM else 0.0


def split_pairs(pairs: Pairs, items: int, share: float | None = None, seed: int = 0) -> Split:
    """Split pairs by `split_held_out`, where every item of a pair keeps a pair to train on.

    Args:
        pairs: the pairs.
        items: number of items.
        share: share of the distinct pairs to hold out; 0 for none; None for `default_share`.
        seed: seed of the split.

    Raises:
        InputError: the share or the seed is out of range, or all weights are 0.
    """
    rows = np.arange(len(pairs)) if pairs.weight is None else np.flatnonzero(pairs.weight)
    if not rows.size:
        raise InputError("all weights are 0: give some pairs more")
    if len(rows) < len(pairs):
        pairs = pairs.take(rows)
    if share is None:
        share = default_share(len(pairs))
    drawn = split_held_out(pairs.index, share=share, seed=seed)
    apart = keep_items(drawn, pairs.index, items)
    lines = []
    held_out, returned = int(apart.sum()), int((drawn & ~apart).sum())
    if returned > held_out:
        lines.append(
            f"held_out is {share}: only {held_out:,} of {len(pairs):,} pairs are held out; the "
            f"other {returned:,} that were drawn are trained on, as each item keeps a pair to "
            "train on"
        )
    if not held_out:
        return Split(pairs, None, rows, lines)
    return Split(pairs.take(~apart), pairs.take(apart), rows[~apart], lines)


def contradictions(index: np.ndarray, label: np.ndarray) -> Contradictions:
    """Return the number of pairs that occur more than once with different labels.

    Args:
        index: integers [N, 2].
        label: float32 [N].
    """
    # Pairs are grouped by hash, so that each sort is small.
    groups = 1 + len(index) // PIECE
    group = np.empty(len(index), np.uint16)
    for piece in _pieces(len(index)):
        group[piece] = _mixed(pair_keys(index[piece])) % np.uint64(groups)
    pairs, count, first = 0, 0, len(index)
    for number in range(groups):
        rows = np.flatnonzero(group == number)
        if not rows.size:
            continue
        keys = pair_keys(index[rows])
        order = np.argsort(keys, kind="stable")
        keys, rows = keys[order], rows[order]
        start = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
        sizes = np.diff(start, append=len(keys))
        labels = label[rows]
        differ = np.minimum.reduceat(labels, start) != np.maximum.reduceat(labels, start)
        if differ.any():
            pairs += int(differ.sum())
            count += int(sizes[differ].sum())
            first = min(first, int(rows[start[differ]].min()))
    example = (int(index[first, 0]), int(index[first, 1])) if pairs else None
    return Contradictions(pairs, count, example)


def group_of_items(index: np.ndarray, items: int) -> np.ndarray:
    """Return the connected component of each item, int32 [items], numbered from 0.

    Args:
        index: integers [N, 2].
        items: number of items.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    group = np.arange(items, dtype=np.int32)
    for piece in _pieces(len(index)):
        # Components found so far are the nodes of this block's graph, so few edges remain.
        ends = group[index[piece]]
        ends = ends[ends[:, 0] != ends[:, 1]]
        if len(ends):
            tied = coo_array((np.ones(len(ends), bool), ends.T), shape=(items, items))
            group = connected_components(tied, directed=False)[1][group]
    return group


def group_sizes(index: np.ndarray, items: int) -> tuple[np.ndarray, int]:
    """Return the sizes of the connected components, and the number of isolated items.

    Args:
        index: integers [N, 2].
        items: number of items.

    Returns:
        The sizes of the components of two or more items, in descending order; and the number of
        items that are in no pair with another item.
    """
    sizes = np.bincount(group_of_items(index, items))
    return np.sort(sizes[sizes > 1])[::-1], int((sizes == 1).sum())


def draw_negatives(
    index: np.ndarray,
    weight: np.ndarray,
    items: int | Sequence,
    *,
    ratio: float = 1.0,
    power: float = 0.75,
    seed: int = 0,
    two_sided: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw dissimilar pairs for a table of similar pairs (negative sampling).

    Both items are drawn with probability proportional to `f(i)^power`, where f(i) is the sum of the
    weights of the rows with item i. Self-pairs and positives, in either order, are rejected. Each
    remaining pair (i, j) thus has a probability proportional to `f(i)^power f(j)^power`. Pairs are
    drawn with replacement. Items of frequency 0 are never drawn.

    With `two_sided` the first item is drawn from those of the first column, the second from those
    of the second column.

    Args:
        index: integers [N, 2], the positives; may hold repeats. Self-pairs are ignored.
        weight: float [N], 0 or more and not all 0.
        items: number of items, or a sequence of that length.
        ratio: negatives per distinct positive, 0 or more.
        power: 1 draws items by frequency, 0 draws them uniformly.
        seed: seed of the draws.
        two_sided: whether the two columns hold two kinds of items, such as users and films.

    Returns:
        index int32 [round(ratio * distinct positives), 2], and weight float32 of the same length:
        each negative has the mean weight of a distinct positive.

    Raises:
        InputError: an argument is out of range, there are no positives, fewer pairs remain than
            are to be drawn, or an item of two-sided pairs is in both columns.

    References:
        Mikolov et al. (2013), Distributed representations of words and phrases, section 2.2.
    """
    _check_seed(seed)
    for name, value in (("ratio", ratio), ("power", power)):
        if not (value >= 0 and math.isfinite(value)):
            raise InputError(f"{name} is {value!r}: give a finite number of 0 or more")
    count = items if isinstance(items, (int, np.integer)) else len(items)
    index = np.asarray(index)
    known = _distinct(pair_keys(index[index[:, 0] != index[:, 1]]))
    if not known.size:
        raise InputError("there are no similar pairs of different items to draw negatives for")
    frequency = np.stack([np.bincount(index[:, side], weight, count) for side in (0, 1)])
    if not two_sided:
        frequency = frequency.sum(axis=0, keepdims=True)
    elif np.bincount(index[:, 0], minlength=count)[index[:, 1]].any():
        raise InputError("an item is in both columns: leave two_sided out, or name the sides apart")
    most = frequency.max()
    if not (most > 0 and math.isfinite(most)):
        raise InputError("the weights must be finite, 0 or more, and not all 0")
    chance = np.where(frequency > 0, (frequency / most) ** power, 0.0)

    wanted = round(ratio * known.size)
    may = (chance > 0).any(axis=0)
    known_drawable = np.count_nonzero(may[known >> np.uint64(32)] & may[_second(known)])
    sizes = np.count_nonzero(chance > 0, axis=1).tolist()
    pairs = sizes[0] * sizes[1] if two_sided else sizes[0] * (sizes[0] - 1) // 2
    left = pairs - int(known_drawable)
    if wanted > left:
        raise InputError(
            f"{wanted:,} dissimilar pairs are to be drawn, but of {sum(sizes):,} items only "
            f"{left:,} pairs are not known to be similar; lower the ratio, or give dissimilar "
            "pairs yourself"
        )
    generator = np.random.default_rng([seed, _NEGATIVE_TAG])
    draw = _draw_from_list if sum(sizes) <= LISTED_ITEMS else _draw_and_reject
    drawn = draw(chance, known, wanted, generator)
    each = np.sum(weight, dtype=np.float64) / known.size
    return drawn, np.full(wanted, each, np.float32)


def with_negatives(
    pairs: Pairs, items: int, ratio: float = 1.0, *, seed: int = 0, two_sided: bool = False
) -> Pairs:
    """Return similar pairs, which have weights, followed by dissimilar ones of `draw_negatives`.

    Raises:
        InputError: as `draw_negatives`.

    Example:
        >>> similar = Pairs(np.array([[0, 1], [2, 3]], np.int32), np.ones(2), np.ones(2))
        >>> with_negatives(similar, 4).label.tolist()
        [1.0, 1.0, 0.0, 0.0]
    """
    index, weight = draw_negatives(
        pairs.index, pairs.weight, items, ratio=ratio, seed=seed, two_sided=two_sided
    )
    return Pairs(
        np.concatenate([pairs.index, index]),
        np.concatenate([pairs.label, np.zeros(len(index), pairs.label.dtype)]),
        np.concatenate([pairs.weight, weight]),
    )


def _distinct(keys: np.ndarray) -> np.ndarray:
    """Return the distinct keys, sorted; keys [N] are sorted in place."""
    # np.unique hashes, which is slower for millions of mostly distinct keys.
    keys.sort()
    is_first = np.ones(len(keys), bool)
    np.not_equal(keys[1:], keys[:-1], out=is_first[1:])
    return keys[is_first]


def _second(keys: np.ndarray) -> np.ndarray:
    return keys & np.uint64(0xFFFFFFFF)


def _draw_from_list(
    chance: np.ndarray, known: np.ndarray, wanted: int, generator: np.random.Generator
) -> np.ndarray:
    """Draw from the list of all pairs of items of positive frequency that are not positives.

    chance [1, items] is of both items, [2, items] of the first and the second.
    """
    ids = [np.flatnonzero(one).astype(np.int32) for one in chance]
    if len(ids) == 1:
        places = np.triu_indices(len(ids[0]), k=1)
    else:
        places = np.divmod(np.arange(len(ids[0]) * len(ids[1])), len(ids[1]))
    pairs = np.stack([ids[0][places[0]], ids[-1][places[1]]], axis=1)
    pairs = pairs[~_among(pair_keys(pairs), known)]
    if not wanted:
        return pairs[:0]
    taken = _drawer(chance[0, pairs[:, 0]] * chance[-1, pairs[:, 1]], generator)(wanted)
    if len(ids) == 2:
        return pairs[taken]
    flipped = generator.random(wanted) < 0.5
    return np.where(flipped[:, None], pairs[taken, ::-1], pairs[taken])


def _draw_and_reject(
    chance: np.ndarray, known: np.ndarray, wanted: int, generator: np.random.Generator
) -> np.ndarray:
    draws_of = [_drawer(one, generator) for one in chance]
    drawn = np.empty((wanted, 2), np.int32)
    done = draws = 0
    while done < wanted:
        if draws > _MOST_DRAWS * (wanted + PIECE):
            raise InputError(
                f"of {wanted:,} dissimilar pairs only {done:,} were found: nearly all pairs of the "
                "frequent items are known to be similar; lower the ratio or the power"
            )
        size = min(PIECE, wanted - done + (wanted - done) // 8 + 64)
        pairs = np.stack([draws_of[0](size), draws_of[-1](size)], axis=1)
        draws += size
        pairs = pairs[pairs[:, 0] != pairs[:, 1]]
        pairs = pairs[~_among(pair_keys(pairs), known)][: wanted - done]
        drawn[done : done + len(pairs)] = pairs
        done += len(pairs)
    return drawn


def _drawer(chance: np.ndarray, generator: np.random.Generator) -> Callable[[int], np.ndarray]:
    """Return a function that draws `size` positions with probability proportional to chance [n]."""
    total = np.cumsum(chance)
    if not total[-1] > 0:
        raise InputError("the weights differ too much to draw by them; lower the power")
    total /= total[-1]
    # A lookup table gives the start of the search, in place of a full binary search.
    cells = 1 << (2 * len(chance)).bit_length()
    begin = np.searchsorted(total, np.arange(cells) / cells, side="right")

    def draw(size: int) -> np.ndarray:
        number = generator.random(size)
        place = begin[(number * cells).astype(np.int64)]
        for _ in range(2):
            place += total[place] <= number
        far = np.flatnonzero(total[place] <= number)
        place[far] = np.searchsorted(total, number[far], side="right")
        return place

    return draw


def _among(keys: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return which keys [n] are in `known`, which is sorted."""
    # Sorted keys are looked up in memory order, which avoids cache misses.
    order = np.argsort(keys)
    ordered = keys[order]
    place = np.minimum(np.searchsorted(known, ordered), len(known) - 1)
    found = np.empty(len(keys), bool)
    found[order] = known[place] == ordered
    return found
