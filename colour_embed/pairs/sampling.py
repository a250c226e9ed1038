"""Sets of pairs as arrays: negatives drawn for positives, a grouped split, repeats, groups.

A pair is the same in either order. All of it is NumPy on the host, made for ten million pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from colour_embed.config import InputError

HELD_OUT_FROM, HELD_OUT_SHARE = 1000, 0.1
"""From so many pairs up so large a share is held out, where nothing else is asked for."""

PIECE = 1 << 20
"""Pairs worked on at a time, which bounds what stands beside the arrays themselves."""

LISTED_ITEMS = 2048
"""Up to so many items negatives are drawn from the list of all pairs, which cannot fail."""

_MOST_DRAWS = 20  # per negative wanted, before nearly all pairs are said to be known
_NEGATIVE_TAG = 0x4E47  # keeps the draws apart from other streams of the same seed


class Contradictions(NamedTuple):
    """Pairs that stand there with different labels: how many, in how many rows, and one of them."""

    pairs: int
    rows: int
    example: tuple[int, int] | None


def pair_keys(index: np.ndarray) -> np.ndarray:
    """Return uint64 [N], a number for each unordered pair of index [N, 2]."""
    low = np.minimum(index[:, 0], index[:, 1]).astype(np.uint64)
    return low << np.uint64(32) | np.maximum(index[:, 0], index[:, 1]).astype(np.uint64)


def _mixed(keys: np.ndarray) -> np.ndarray:
    """Return uint64 [N] in which every bit depends on all bits of the key (splitmix64's end)."""
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
    """Say which pairs are held out, so that no pair is on both sides in either order.

    Whether a pair is held out depends on the seed and its two ids alone: not on its row, on how
    often it recurs, or on the other pairs. So the share is met only nearly, and by distinct pairs.

    Args:
        index: integers [N, 2], ids of 0 or more.
        share: of the pairs to hold out, 0 or more and below 1.
        seed: another one holds out others.

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


def contradictions(index: np.ndarray, label: np.ndarray) -> Contradictions:
    """Count the pairs that stand there more than once with labels that differ.

    Args:
        index: integers [N, 2].
        label: float32 [N].
    """
    # In groups of pairs, by hash, so that what is sorted stays small.
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
    """Return int32 [items], a number from 0 on for the group that chains of pairs tie it into.

    Args:
        index: integers [N, 2].
        items: number of items.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    group = np.arange(items, dtype=np.int32)
    for piece in _pieces(len(index)):
        # Groups that the pieces before have found are nodes of this one: few pairs are left.
        ends = group[index[piece]]
        ends = ends[ends[:, 0] != ends[:, 1]]
        if len(ends):
            tied = coo_array((np.ones(len(ends), bool), ends.T), shape=(items, items))
            group = connected_components(tied, directed=False)[1][group]
    return group


def group_sizes(index: np.ndarray, items: int) -> tuple[np.ndarray, int]:
    """Return the sizes of the groups of items that chains of pairs tie, and how many are untied.

    Args:
        index: integers [N, 2].
        items: number of items.

    Returns:
        The sizes of the groups of two or more items, from the largest on; and the number of items
        that no pair ties to another.
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
) -> tuple[np.ndarray, np.ndarray]:
    """Draw dissimilar pairs for a table that holds similar ones only.

    Both items are drawn by their frequency, `f(i)^power` over its sum, where f(i) is the sum of the
    weights of the rows that name item i. A pair of an item with itself, and one that is a known
    positive in either order, is drawn again. So of the pairs (i, j) that are left each has a
    probability in proportion to `f(i)^power f(j)^power`. A pair may be drawn more than once. Items
    of frequency 0 are never drawn.

    Args:
        index: integers [N, 2], the positives; they may recur. Pairs of one item are passed over.
        weight: float [N], 0 or more and not all 0.
        items: their number, or a sequence of that length.
        ratio: negatives per distinct positive, 0 or more.
        power: 1 draws by frequency, 0 draws all alike.
        seed: of the draws.

    Returns:
        index int32 [round(ratio * distinct positives), 2], and weight float32 of the same length:
        each negative weighs what a distinct positive weighs on average.

    Raises:
        InputError: an argument is out of range, there are no positives, or there are fewer pairs
            left than are to be drawn.

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
    frequency = sum(np.bincount(index[:, side], weight, count) for side in (0, 1))
    most = frequency.max()
    if not (most > 0 and math.isfinite(most)):
        raise InputError("the weights must be finite, 0 or more, and not all 0")
    chance = np.where(frequency > 0, (frequency / most) ** power, 0.0)

    wanted = round(ratio * known.size)
    may = chance > 0
    drawable = int(np.count_nonzero(may))
    known_drawable = np.count_nonzero(may[known >> np.uint64(32)] & may[_second(known)])
    left = drawable * (drawable - 1) // 2 - known_drawable
    if wanted > left:
        raise InputError(
            f"{wanted:,} dissimilar pairs are to be drawn, but of {drawable:,} items only {left:,} "
            "pairs are not known to be similar; lower the ratio, or give dissimilar pairs yourself"
        )
    generator = np.random.default_rng([seed, _NEGATIVE_TAG])
    draw = _draw_from_list if drawable <= LISTED_ITEMS else _draw_and_reject
    drawn = draw(chance, known, wanted, generator)
    each = np.sum(weight, dtype=np.float64) / known.size
    return drawn, np.full(wanted, each, np.float32)


def _distinct(keys: np.ndarray) -> np.ndarray:
    """Return the keys once each, sorted; keys [N] are sorted in place."""
    # np.unique hashes, which takes many times longer for millions of keys that hardly recur.
    keys.sort()
    is_first = np.ones(len(keys), bool)
    np.not_equal(keys[1:], keys[:-1], out=is_first[1:])
    return keys[is_first]


def _second(keys: np.ndarray) -> np.ndarray:
    return keys & np.uint64(0xFFFFFFFF)


def _draw_from_list(
    chance: np.ndarray, known: np.ndarray, wanted: int, generator: np.random.Generator
) -> np.ndarray:
    """Draw from all pairs of items that may be drawn and are not known."""
    ids = np.flatnonzero(chance).astype(np.int32)
    pairs = np.stack([ids[side] for side in np.triu_indices(len(ids), k=1)], axis=1)
    pairs = pairs[~_among(pair_keys(pairs), known)]
    if not wanted:
        return pairs[:0]
    taken = _drawer(chance[pairs[:, 0]] * chance[pairs[:, 1]], generator)(wanted)
    flipped = generator.random(wanted) < 0.5
    return np.where(flipped[:, None], pairs[taken, ::-1], pairs[taken])


def _draw_and_reject(
    chance: np.ndarray, known: np.ndarray, wanted: int, generator: np.random.Generator
) -> np.ndarray:
    draw = _drawer(chance, generator)
    drawn = np.empty((wanted, 2), np.int32)
    done = draws = 0
    while done < wanted:
        if draws > _MOST_DRAWS * (wanted + PIECE):
            raise InputError(
                f"of {wanted:,} dissimilar pairs only {done:,} were found: nearly all pairs of the "
                "frequent items are known to be similar; lower the ratio or the power"
            )
        size = min(PIECE, wanted - done + (wanted - done) // 8 + 64)
        pairs = np.stack([draw(size), draw(size)], axis=1)
        draws += size
        pairs = pairs[pairs[:, 0] != pairs[:, 1]]
        pairs = pairs[~_among(pair_keys(pairs), known)][: wanted - done]
        drawn[done : done + len(pairs)] = pairs
        done += len(pairs)
    return drawn


def _drawer(chance: np.ndarray, generator: np.random.Generator) -> Callable[[int], np.ndarray]:
    """Return a function that draws so many places of chance [n], in proportion to it.

    A place whose chance is 0 is never drawn.
    """
    total = np.cumsum(chance)
    if not total[-1] > 0:
        raise InputError("the weights differ too much to draw by them; lower the power")
    total /= total[-1]
    # What a plain search would find, several times faster: where to begin is looked up.
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
    """Say which keys [n] are among the known ones, which are sorted."""
    # Sorted, they are looked up in the order of memory, which is many times faster.
    order = np.argsort(keys)
    ordered = keys[order]
    place = np.minimum(np.searchsorted(known, ordered), len(known) - 1)
    found = np.empty(len(keys), bool)
    found[order] = known[place] == ordered
    return found
