"""The estimator's reader of items: exact ids and names from lists, arrays and data frames.

Items are one array: ids as int64, or as uint64 where one exceeds int64; names as objects; where
both occur, objects with the ids as Python integers. No id is converted to a float.
"""

from __future__ import annotations

import contextlib
import numbers
from typing import Any

import numpy as np
import pandas as pd

from colour_embed.config import InputError
from colour_embed.pairs.vocabulary import nearest_name

_MISSING = "give two items, none missing, None or NaN"
_NEGATIVE = "Negative values in data: give ids of 0 or more"
_NOT_WHOLE = "give whole numbers as ids, or names"


def item_values(items: Any) -> np.ndarray:
    """Return items as int64 or uint64 ids, or as objects, in their given shape.

    Args:
        items: An array, a list, a pandas object or a single item. Each column of a data frame is
            read by its type. 2, 2.0 and a Decimal of 2 are the same id.

    Raises:
        InputError: an item is missing, a bool, negative, a number that is not whole, or a number
            that its type does not hold exactly.

    Example:
        >>> item_values([[2**53 + 1, 2.0]]).tolist()
        [[9007199254740993, 2]]
        >>> item_values([["oak", 2.0]]).tolist()
        [['oak', 2]]
    """
    if hasattr(items, "iloc") and hasattr(items, "columns"):
        columns = [item_values(items.iloc[:, place]) for place in range(items.shape[1])]
        return np.stack(_of_one_type(columns), axis=1) if columns else np.empty((len(items), 0))
    if pd.api.types.is_extension_array_dtype(items):
        integer = pd.api.types.is_integer_dtype(items.dtype) and not pd.isna(items).any()
        unsigned = pd.api.types.is_unsigned_integer_dtype(items.dtype)
        return item_values(items.to_numpy((np.int64, np.uint64)[unsigned] if integer else object))
    values = np.asarray(items) if hasattr(items, "dtype") else as_objects(items)
    kind = values.dtype.kind
    if kind in "mM":  # NumPy would make integers of them
        values = np.reshape(np.array(pd.Series(values.ravel()), object), values.shape)
    elif kind not in "iuf":
        values = values.astype(object)
    return _of_objects(values) if values.dtype.kind == "O" else _of_numbers(values)


def as_objects(items: Any) -> np.ndarray:
    """Return nested lists as an object array; a text array would turn the id 1 into a name."""
    try:
        return np.array(items, dtype=object)
    except ValueError as error:
        raise InputError(f"pairs must be [N, 2], two items a pair: {error}") from None


def _of_one_type(parts: list[np.ndarray]) -> list[np.ndarray]:
    """Return arrays of `item_values` in the one type that holds all their items exactly."""
    found = {part.dtype for part in parts}
    if len(found) == 1:
        return parts
    # NumPy's common type of int64 and uint64 is float64.
    return [part.astype(object if np.dtype(object) in found else np.uint64) for part in parts]


def _of_numbers(values: np.ndarray) -> np.ndarray:
    """Return a numeric array as ids."""
    kind = values.dtype.kind
    if kind == "f":
        _refuse(~np.isfinite(values), values, "give two items, none NaN or inf")
    _refuse(values < 0, values, _NEGATIVE)
    if kind == "f":
        _refuse(values != np.floor(values), values, _NOT_WHOLE)
        digits = np.finfo(values.dtype).nmant + 1
        _refuse(values >= 2.0**digits, values, _inexact(values.dtype, digits))
    fit = kind != "u" or not values.size or values.max() <= np.iinfo(np.int64).max
    return values.astype(np.int64 if fit else np.uint64)


def _inexact(kind: Any, digits: int) -> str:
    return f"{kind} does not tell ids from 2^{digits} on apart; give integers, or give them as text"


def _of_objects(values: np.ndarray) -> np.ndarray:
    """Return objects as ids if all of them are numbers, else with the numbers as integers."""
    flat = values.ravel()
    missing = np.asarray(pd.isna(flat), bool).reshape(values.shape)
    _refuse(missing, values, _MISSING)
    kinds = set(map(type, flat))
    numeric = {kind for kind in kinds if issubclass(kind, (numbers.Number, np.bool_))}
    if not numeric:
        return values
    with contextlib.suppress(OverflowError):
        if kinds == {int}:
            return _of_numbers(values.astype(np.int64))
    found = flat.copy()
    for place, item in enumerate(flat):
        if type(item) in numeric:
            found[place] = _id(values, place, item)
    if kinds == numeric:
        found = found.astype(np.int64 if max(found) <= np.iinfo(np.int64).max else np.uint64)
    return found.reshape(values.shape)


def _id(values: np.ndarray, place: int, item: Any) -> int:
    """Return a number among objects as an id."""
    if type(item) is int and 0 <= item <= np.iinfo(np.int64).max:
        return item

    def refuse(wrong: Any, hint: str) -> None:
        if wrong:
            row = np.unravel_index(place, values.shape)[0] if values.ndim else 0
            raise InputError(f"row {row} holds the item {item}: {hint}")

    refuse(isinstance(item, (bool, np.bool_)), "a bool is no item; give ids or names")
    refuse(
        isinstance(item, (complex, np.complexfloating)), f"Complex data not supported; {_NOT_WHOLE}"
    )
    refuse(item in (float("inf"), float("-inf")), "give two items, none NaN or inf")
    refuse(item < 0, _NEGATIVE)
    refuse(item != int(item), _NOT_WHOLE)
    if isinstance(item, (float, np.floating)):
        digits = np.finfo(type(item)).nmant + 1
        refuse(item >= 2.0**digits, _inexact(type(item).__name__, digits))
    refuse(int(item) > np.iinfo(np.uint64).max, "ids end at 2^64 - 1; give them as text")
    return int(item)


def _refuse(wrong: np.ndarray, values: np.ndarray, hint: str) -> None:
    if np.any(wrong):
        place = np.argwhere(wrong)[0]
        row = int(place[0]) if place.size else 0
        raise InputError(f"row {row} holds the item {values[tuple(place)]}: {hint}")


@contextlib.contextmanager
def _hashing():
    try:
        yield
    except TypeError as error:
        raise InputError(f"items must be ids or names that can be hashed: {error}") from None


def items_in(values: np.ndarray, before: np.ndarray | None = None) -> np.ndarray:
    """Return the distinct items: ids sorted, names by first appearance.

    Args:
        values: From `item_values`.
        before: Items that come first, in their order; they need not occur in `values`.

    Raises:
        InputError: ids are added to names, or names to ids.
    """
    with _hashing():
        found = pd.unique(values.ravel())
    if found.dtype.kind in "iu":
        found = np.sort(found)
    if before is None:
        return found
    if (found.dtype.kind == "O") != (before.dtype.kind == "O"):
        both = before.dtype.kind == "O" and any(isinstance(item, int) for item in before)
        if not both:
            raise InputError("ids and names cannot be mixed: give the items as in the first fit")
    return np.concatenate(_of_one_type([before, found[find(before, found) < 0]]))


def find(items: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the place of each value in `items`, int32 in the shape of `values`; -1 for unknown."""
    flat = values.ravel()
    if items.dtype.kind == "i" and flat.dtype.kind == "u":
        beyond = flat > np.iinfo(np.int64).max
        flat = np.where(beyond, -1, flat.astype(np.int64))
    items, flat = _of_one_type([items, flat])
    with _hashing():
        index, wanted = (
            pd.Index(one, dtype=one.dtype, tupleize_cols=False) for one in (items, flat)
        )
        return index.get_indexer(wanted).astype(np.int32).reshape(values.shape)


def rows_of(items: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return `find`, where every value must be known.

    Raises:
        InputError: an item is unknown; the message names the nearest known item.
    """
    found = find(items, values)
    unknown = np.argwhere(found < 0)
    if len(unknown):
        row = int(unknown[0][0]) if values.ndim else 0
        raise InputError(f"row {row}: {_unknown(items, values[tuple(unknown[0])])}")
    return found


def _unknown(items: np.ndarray, item: Any) -> str:
    """Return the message for an unknown item, with the nearest known item as the hint."""
    item = item.item() if isinstance(item, np.generic) else item
    if items.dtype.kind in "iu":
        if not isinstance(item, int):
            return f"{item!r} is no id: the items were given as ids, give them so"
        place = items.dtype.type(min(item, np.iinfo(items.dtype).max))
        far = np.where(items > place, items - place, place - items)
        near = int(items[np.argmin(far)])
        return f"no item has the id {item}: the nearest of {len(items)} ids is {near}"
    near = None
    if isinstance(item, str):
        near = nearest_name(item, [name for name in items if isinstance(name, str)])
    hint = f"did you mean {near!r}?" if near is not None else "give names as in the fit"
    return f"no item is called {item!r}: {hint}"
