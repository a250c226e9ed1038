"""Folds of pairs for scikit-learn's cross-validation."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils import check_random_state

from colour_embed.config import InputError
from colour_embed.pairs.checks import PairWarning
from colour_embed.pairs.ids import item_values, items_in, rows_of
from colour_embed.pairs.sampling import keep_items, pair_keys


class GroupedPairSplit(BaseCrossValidator):
    """Cross-validation folds in which every item is trained on, and no pair stands in both parts.

    The distinct pairs are dealt to the folds, with all rows of the same two items, in either order,
    in one fold. A pair of a fold stays in its training part where an item would otherwise have no
    pair with another item to train on. Pairs of an item with itself are in all training parts.

    Args:
        n_splits: Number of folds, at least 2.
        shuffle: Whether the distinct pairs are dealt in random order, else by their items.
        random_state: An int, a RandomState or None, as in scikit-learn; used if `shuffle`.

    Example:
        >>> pairs = [["a", "b"], ["a", "c"], ["a", "d"], ["b", "c"], ["b", "d"], ["c", "d"]]
        >>> for train, test in GroupedPairSplit(3, shuffle=False).split([*pairs, ["b", "a"]]):
        ...     print(train, test)
        [1 2 4 5] [0 3 6]
        [0 2 3 5 6] [1 4]
        [0 1 3 4 6] [2 5]
    """

    def __init__(self, n_splits=5, *, shuffle=True, random_state=0):  # noqa: D107
        self.n_splits = n_splits
        self.shuffle = shuffle
        self.random_state = random_state

    def get_n_splits(self, X=None, y=None, groups=None) -> int:
        """Return the number of folds; the arguments are not used."""
        return self.n_splits

    def split(self, X, y=None, groups=None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the rows of the training part and of the test part of each fold.

        Args:
            X: [N, 2], ids or names, as `PairEmbedding.fit` takes them.
            y: Not used.
            groups: Not used.

        Raises:
            InputError: X is invalid, n_splits is out of range, or a fold has no pair to test.

        Warns:
            PairWarning: the number of pairs that are in no test part.
        """
        index = _index(X)
        places = np.arange(len(index))
        tests = [np.flatnonzero(test) for test in self._tests(index)]
        missing = len(index) - sum(map(len, tests))
        if missing:
            warnings.warn(
                f"{missing:,} of {len(index):,} pairs are in no test part, as an item would have "
                "no pair to train on, or as both items are the same",
                PairWarning,
                stacklevel=2,
            )
        for test in tests:
            yield np.setdiff1d(places, test), test

    def _tests(self, index: np.ndarray) -> list[np.ndarray]:
        """Return the test part of each fold, bool [N]."""
        two = index[:, 0] != index[:, 1]
        _, pair = np.unique(pair_keys(index[two]), return_inverse=True)
        count, folds = int(pair.max(initial=-1)) + 1, self.n_splits
        if isinstance(folds, bool) or not isinstance(folds, (int, np.integer)) or folds < 2:
            raise InputError(f"n_splits is {folds!r}: give a whole number of at least 2")
        if folds > count:
            raise InputError(f"n_splits is {folds} for {count} distinct pairs: give no more")
        order = np.arange(count)
        if self.shuffle:
            order = check_random_state(self.random_state).permutation(count)
        fold = np.empty(count, int)
        fold[order] = np.arange(count) % folds
        tests = []
        for number in range(folds):
            test = np.zeros(len(index), bool)
            test[two] = keep_items(fold[pair] == number, index[two], int(index.max()) + 1)
            if not test.any():
                raise InputError(
                    f"no pair can be tested in fold {number}: each has an item with no other pair "
                    "to train on; give more pairs or fewer n_splits"
                )
            tests.append(test)
        return tests


def _index(X: Any) -> np.ndarray:
    values = item_values(X)
    if values.ndim != 2 or values.shape[1] != 2:
        raise InputError(f"pairs have the shape {values.shape}: give [N, 2], two items a pair")
    return rows_of(items_in(values), values)
