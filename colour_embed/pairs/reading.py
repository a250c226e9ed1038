"""Reader of items and labelled pairs, with validation of the whole table.

A table of pairs is CSV, TSV, gzip of these, or Parquet (see `io.tables`), with a row per pair: two
columns with the items, and one with their similarity from 0 to 1.

Columns are chosen by the arguments, else by their names, else by their position:
    the two items   first and second, item1 and item2, a and b, source and target, left and right,
                    name_x and name_y, i and j; else the first two columns without another role
    the label       label, similar, y, target_label, positive
    the weight      weight, w; and count, for positives only
    an item's name  name, item, label, title, id; else the first column

Allowed cells:
    names           any text of at most 1,000 characters that is not blank, verbatim: surrounding
                    spaces are part of it, and NA, null and None are names
    ids             0-based row numbers of the items file; without one, of items named by their
                    number, at most a million plus ten times the number of pairs
    labels          numbers from 0 to 1; 1 if only positives are given
    weights         finite numbers, 0 or more, not all 0
    counts          finite numbers above 0, by which the pair's weight is multiplied

Five conditions add a line to `PairTable.warnings`:
    equal labels          kept; a constant prediction then minimises the loss
    self-pairs            dropped; the distance of an item to itself is 0 for any label
    contradictions        the same pair, in either order, with different labels: kept; the model
                          fits the weighted mean of the labels
    separate groups       connected components of the items: kept; the position of a component
                          relative to the others is arbitrary
    isolated items        items without a pair: kept; their positions are arbitrary

Any other fault is an `InputError`: one line with the file, rows, column, fault and hint.
"""

from __future__ import annotations

import array
import difflib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from colour_embed.config import InputError
from colour_embed.io.faults import Faults, NotPlain, fault_at, quoted
from colour_embed.io.tables import (
    TableFile,
    column_key,
    number,
    open_table,
    sample_table,
    table_pieces,
    table_records,
    unchanged,
)
from colour_embed.io.text_tables import PIECE_BYTES
from colour_embed.pairs.sampling import (
    contradictions,
    draw_negatives,
    group_sizes,
    split_held_out,
)
from colour_embed.pairs.vocabulary import NAME_BYTES, Book, check_memory, read_items
from colour_embed.runs import Progress

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = [
    "PairTable",
    "read_pairs",
    "draw_negatives",
    "split_held_out",
    "estimate_bytes",
]

PAIR_COLUMNS = (
    ("first", "second"),
    ("item1", "item2"),
    ("item_1", "item_2"),
    ("a", "b"),
    ("source", "target"),
    ("left", "right"),
    ("name_x", "name_y"),
    ("i", "j"),
)
LABEL_COLUMNS = ("label", "similar", "y", "target_label", "positive")
WEIGHT_COLUMNS = ("weight", "w")
COUNT_COLUMNS = ("count",)

_CHUNK = 1 << 16  # rows per array in the exact reader
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, eq=False)
class PairTable:
    """Items and labelled pairs; the id of an item is its position.

    Attributes:
        items: C names, in the order of the items file, or of first appearance in the pairs.
        index: int32 [N, 2], the ids of each pair's two items, which differ.
        label: float32 [N] in 0..1; all 1 if only positives were given.
        weight: float32 [N], finite, 0 or more, not all 0.
        warnings: A line for each condition listed in this module's docstring.
        extra: The further columns of the items file, a row per item; None without any.
        column_names: The names of the columns that were read, by "first", "second", "label",
            "weight" and "count". A count column without a weight column is listed as both.
    """

    items: list[str]
    index: np.ndarray
    label: np.ndarray
    weight: np.ndarray
    warnings: list[str]
    extra: pd.DataFrame | None
    column_names: dict[str, str]

    def __len__(self) -> int:
        """Return the number of pairs, N."""
        return len(self.label)


def read_pairs(
    path: str | os.PathLike,
    *,
    items: str | os.PathLike | None = None,
    first: str | None = None,
    second: str | None = None,
    label: str | None = None,
    weight: str | None = None,
    item: str | None = None,
    ids: bool = False,
    positives_only: bool = False,
    max_bytes: int | None = None,
    report: Callable[[Progress], None] | None = None,
) -> PairTable:
    """Read labelled pairs and their items from tables.

    Memory is that of the arrays and the names, not of the text: ten million pairs take at most
    about 400 MB and 10 s.

    Args:
        path: A table of pairs.
        items: A table of items; without it the items are taken from the pairs.
        first: The column of first items.
        second: The column of second items.
        label: The column of labels.
        weight: The column of weights.
        item: The column of the items file with the names.
        ids: Whether the pairs hold 0-based row numbers in place of names.
        positives_only: Whether every row is a similar pair; `draw_negatives` draws dissimilar ones.
        max_bytes: The most memory to use; checked before and during reading.
        report: Called after each block of rows.

    Returns:
        The pairs, without self-pairs.

    Raises:
        InputError: a file has a fault, the arguments contradict each other, or reading takes more
            than `max_bytes`.
    """
    if positives_only and label is not None:
        raise InputError(
            f"label is {quoted(label)}, but positives_only takes every row as similar: give one of "
            "the two"
        )
    table = open_table(path)
    with unchanged(table):
        columns = _choose_columns(
            table, positives_only, first=first, second=second, label=label, weight=weight
        )
        book, extra = read_items(items, item, ids, max_bytes)
        expected = 0
        if max_bytes is not None or report is not None:
            expected, needed = _estimate(table, columns, book)
            check_memory(table, needed, max_bytes)
        gathered = _Gathered(table, columns, max_bytes, report, expected)
        try:
            _gather_pieces(gathered, book)
        except NotPlain:
            book = book.fresh()
            gathered = _Gathered(table, columns, max_bytes, report, expected)
            _gather_records(gathered, book)
        index, labels, weights = gathered.arrays()
        names = book.finished_names(table, gathered.rows)
    warnings = _warnings(names, index, labels, gathered, positives_only)
    return PairTable(names, index, labels, weights, warnings, extra, columns.names(table))


def estimate_bytes(
    path: str | os.PathLike,
    *,
    items: str | os.PathLike | None = None,
    item: str | None = None,
    ids: bool = False,
    positives_only: bool = False,
    **columns: str | None,
) -> int:
    """Return an estimate of the bytes that `read_pairs` takes, from the first rows and file size.

    Args:
        path: As for `read_pairs`.
        items: As for `read_pairs`; the items file is read.
        item: As for `read_pairs`.
        ids: As for `read_pairs`.
        positives_only: As for `read_pairs`.
        columns: Any of first, second, label and weight.

    Raises:
        InputError: a table is unreadable or lacks a column.
    """
    table = open_table(path)
    chosen = _choose_columns(table, positives_only, **columns)
    book, _ = read_items(items, item, ids, None)
    return _estimate(table, chosen, book)[1]


# Columns


@dataclass(frozen=True)
class _Columns:
    """The positions of the columns that are read, and the valid range of their numbers."""

    first: int
    second: int
    label: int | None
    weight: int | None
    count: int | None
    positives_only: bool

    def numbers(self) -> dict[str, int]:
        """Return the positions of the number columns."""
        places = {"label": self.label, "weight": self.weight, "count": self.count}
        return {role: place for role, place in places.items() if place is not None}

    def names(self, table: TableFile) -> dict[str, str]:
        """Return `PairTable.column_names`."""
        places = {"first": self.first, "second": self.second, **self.numbers()}
        if self.positives_only:
            places.pop("label", None)
        if "count" in places:
            places.setdefault("weight", places["count"])
        return {role: table.header[place] for role, place in places.items()}

    def rule(self, role: str) -> tuple[Callable, str]:
        """Return a predicate of a number or array, and the fault of numbers that fail it."""
        if role == "label" and self.positives_only:
            problem = "is not 1, but positives_only takes every row as similar; leave one out"
            return (lambda value: value == 1), problem
        if role == "label":
            problem = "is no label; give numbers from 0 (dissimilar) to 1 (similar)"
            return (lambda value: (value >= 0) & (value <= 1)), problem
        if role == "weight":
            problem = "is no weight; give finite numbers of 0 or more"
            return (lambda value: (value >= 0) & (value <= _LARGEST)), problem
        problem = "is no count; give finite numbers above 0"
        return (lambda value: (value > 0) & (value <= _LARGEST)), problem


def _choose_columns(
    table: TableFile,
    positives_only: bool,
    first: str | None = None,
    second: str | None = None,
    label: str | None = None,
    weight: str | None = None,
) -> _Columns:
    asked = {"first": first, "second": second, "label": label, "weight": weight}
    taken = {role: table.place(column) for role, column in asked.items() if column is not None}
    for role, place in taken.items():
        others = [other for other in taken if taken[other] == place and other != role]
        if others:
            problem = f"the column can't be both {role} and {others[0]}; give two columns"
            raise fault_at(table.file, problem, 1, table.header[place])
    keys = [column_key(cell) for cell in table.header]

    def take(role: str, names: Sequence[str]) -> None:
        free = [n for n in names if n in keys and keys.index(n) not in taken.values()]
        if role not in taken and free:
            taken[role] = table.place(free[0])

    for pair in PAIR_COLUMNS:
        needed = [name for role, name in zip(("first", "second"), pair) if role not in taken]
        if all(name in keys and keys.index(name) not in taken.values() for name in needed):
            for role, name in zip(("first", "second"), pair):
                take(role, [name])
    # Without labels, "y" may be the column of second items.
    take("label", [name for name in LABEL_COLUMNS if not positives_only or name != "y"])
    take("weight", WEIGHT_COLUMNS)
    if positives_only:
        take("count", COUNT_COLUMNS)
    for role in ("first", "second"):
        # A column without a name is the index that pandas writes.
        take(role, [key for key in keys if key])
        if role not in taken:
            problem = "has too few columns; a table of pairs has two that name items, and a label"
            raise fault_at(table.file, problem, 1)
    if "label" not in taken and not positives_only:
        free = [key for place, key in enumerate(keys) if place not in taken.values()]
        near = [name for key in free for name in difflib.get_close_matches(key, LABEL_COLUMNS, 1)]
        hint = f"did you mean {quoted(near[0])}? " if near else ""
        hint += "name it, or give positives_only where every row is a similar pair"
        looked_for = ", ".join(LABEL_COLUMNS)
        raise fault_at(table.file, f"no column holds labels ({looked_for}); {hint}", 1)
    places = [taken.get(role) for role in ("first", "second", "label", "weight", "count")]
    return _Columns(*places, positives_only)


# Pairs


class _Gathered:
    """The pairs read so far, in compact arrays."""

    def __init__(
        self,
        table: TableFile,
        columns: _Columns,
        max_bytes: int | None,
        report: Callable[[Progress], None] | None,
        expected: int,
    ):
        self.table, self.columns = table, columns
        self.rows = self.self_pairs = 0
        self._max_bytes, self._report, self._expected = max_bytes, report, expected
        self._parts: dict[str, list[np.ndarray]] = {"index": []}

    def add(self, index: np.ndarray, numbers: dict[str, np.ndarray], book: Book) -> None:
        """Add rows: index int32 [n, 2], and float64 [n] for each column of numbers.

        Raises:
            NotPlain: a number is out of range.
            InputError: the pairs take more than `max_bytes`.
        """
        for role, values in numbers.items():
            if not self.columns.rule(role)[0](values).all():
                raise NotPlain
        parts = {"index": index}
        if "label" in numbers and not self.columns.positives_only:
            parts["label"] = numbers["label"].astype(np.float32)
        if "weight" in numbers or "count" in numbers:
            weight = numbers.get("weight", 1.0) * numbers.get("count", 1.0)
            if not (weight <= _LARGEST).all():
                raise NotPlain
            parts["weight"] = weight.astype(np.float32)
        kept = index[:, 0] != index[:, 1]
        for name, part in parts.items():
            self._parts.setdefault(name, []).append(part if kept.all() else part[kept])
        self.rows += len(index)
        self.self_pairs += int(len(kept) - np.count_nonzero(kept))
        check_memory(self.table, self.rows * _ROW_BYTES + book.held_bytes(), self._max_bytes)
        if self._report is not None:
            self._report(Progress(self.rows, max(self.rows, self._expected)))

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return index, label and weight of all pairs, and free the gathered parts.

        Raises:
            InputError: there are no pairs, or all weights are 0.
        """
        if not self.rows:
            raise fault_at(self.table.file, "has a header and no pairs; give a row per pair", 1)
        if self.rows == self.self_pairs:
            problem = "every pair is of an item with itself; give pairs of different items"
            raise fault_at(self.table.file, problem)
        whole = {name: np.concatenate(self._parts.pop(name)) for name in list(self._parts)}
        ones = np.ones(len(whole["index"]), np.float32)
        weight = whole.get("weight", ones)
        if not weight.any():
            column = self.columns.names(self.table)["weight"]
            problem = "all weights are 0, so no pair counts; give some of them more"
            raise fault_at(self.table.file, problem, None, column)
        return whole["index"], whole.get("label", ones), weight


def _gather_pieces(gathered: _Gathered, book: Book) -> None:
    """Read the pairs with the fast reader, or raise NotPlain."""
    columns = gathered.columns
    roles = columns.numbers()
    for piece in table_pieces(
        gathered.table, [columns.first, columns.second], list(roles.values())
    ):
        index = _ids_of_names(piece.names, book)
        gathered.add(index, dict(zip(roles, piece.numbers)), book)
    if not gathered.rows:
        raise NotPlain


def _ids_of_names(names: list[pa.DictionaryArray], book: Book) -> np.ndarray:
    """Return ids, int32 [n, 2]; unknown names are added to the book in the order of the rows."""
    codes = [column.indices.to_numpy(zero_copy_only=False) for column in names]
    # A Parquet dictionary may hold names that no row uses.
    used = [
        np.flatnonzero(np.bincount(code, minlength=len(column.dictionary)))
        for code, column in zip(codes, names)
    ]
    cells = [column.dictionary.take(places).to_pylist() for column, places in zip(names, used)]
    if any(cell not in book.ids for side in cells for cell in side):
        found = []
        for side in (0, 1):
            # Assigned in reverse, so that the first row of each name is written last.
            first = np.empty(len(names[side].dictionary), np.int64)
            first[codes[side][::-1]] = np.arange(len(codes[side]))[::-1]
            found += zip((2 * first[used[side]] + side).tolist(), cells[side])
        for _, cell in sorted(pair for pair in found if pair[1] not in book.ids):
            if cell in book.ids:
                continue
            if book.problem(cell):
                raise NotPlain
            book.add(cell)
    index = np.empty((len(codes[0]), 2), np.int32)
    for side in (0, 1):
        ids = np.zeros(len(names[side].dictionary), np.int32)
        ids[used[side]] = [book.ids[cell] for cell in cells[side]]
        index[:, side] = ids[codes[side]]
    return index


def _gather_records(gathered: _Gathered, book: Book) -> None:
    """Read the pairs with the exact reader, or raise their first fault."""
    table, columns = gathered.table, gathered.columns
    roles = columns.numbers()
    rules = {role: columns.rule(role) for role in roles}
    named = [table.header[place] for place in (columns.first, columns.second)]
    faults = Faults(table.file, {book.unknown: book.nearest})
    index = array.array("i")
    numbers = {role: array.array("d") for role in roles}

    def hand_on():
        values = {role: np.array(column, np.float64) for role, column in numbers.items()}
        gathered.add(np.array(index, np.int32).reshape(-1, 2), values, book)
        for column in (index, *numbers.values()):
            del column[:]

    places = [columns.first, columns.second, *roles.values()]
    for row, cells in table_records(table, places, faults):
        for column, cell in zip(named, cells):
            problem = None if cell in book.ids else book.problem(cell)
            if problem:
                faults.add(problem, row, column, cell)
            else:
                index.append(book.ids[cell] if cell in book.ids else book.add(cell))
        product = 1.0
        for (role, (allowed, problem)), cell in zip(rules.items(), cells[2:]):
            value = number(cell)
            numbers[role].append(value)
            if role != "label":
                product *= value
                if product > _LARGEST and value <= _LARGEST:
                    too_large = "times its weight is too large; give smaller counts"
                    faults.add(too_large, row, table.header[roles[role]], cell)
            if not allowed(value):
                faults.add(problem, row, table.header[roles[role]], cell)
        if not faults and len(index) >= 2 * _CHUNK:
            hand_on()
    faults.raise_first()
    if index:
        hand_on()


# Memory

_ROW_BYTES = 32
"""Bytes per pair: its arrays, and the work arrays that find repeats and groups."""

_PIECE_COPIES = 12
"""Memory of a block of text, its parts and its columns, as a multiple of the block size."""


def _estimate(table: TableFile, columns: _Columns, book: Book) -> tuple[int, int]:
    """Return estimates of the rows of a table and of the bytes that reading them takes."""
    sample = sample_table(table, [columns.first, columns.second])
    cells = [cell for pair in sample.rows for cell in pair]
    needed = sample.expected * _ROW_BYTES
    needed += _PIECE_COPIES * min(PIECE_BYTES, 200 * sample.expected)
    if cells and (book.file is None or book.by_number):
        names = _expected_distinct(len(set(cells)), len(cells), 2 * sample.expected)
        needed += round(names * (NAME_BYTES + sum(map(len, cells)) / len(cells)))
    return sample.expected, needed


def _expected_distinct(distinct: int, drawn: int, total: int) -> float:
    """Return an estimate of the distinct names in `total` cells, if `drawn` cells hold `distinct`.

    It assumes equally frequent names, of which N cells hold about `n (1 - exp(-N / n))` out of n.
    """
    if distinct >= drawn:
        return float(total)

    def expected(names: float, cells: int) -> float:
        return names * -np.expm1(-cells / names)

    low, high = float(distinct), float(max(total, distinct))
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if expected(middle, drawn) > distinct else (middle, high)
    return expected(high, total)


# Warnings


def _warnings(
    names: list[str],
    index: np.ndarray,
    label: np.ndarray,
    gathered: _Gathered,
    positives_only: bool,
) -> list[str]:
    warnings = []
    if gathered.self_pairs:
        warnings.append(
            f"{_counted(gathered.self_pairs, 'pair')} of an item with itself: dropped, as the "
            "distance of an item to itself is 0"
        )
    if not positives_only and label.min() == label.max():
        value = f"{label[0]:g}"
        hint = ""
        if value == "1":
            hint = "; where only similar pairs are known, positives_only draws dissimilar ones"
        warnings.append(
            f"all {_counted(len(label), 'label')} are {value}: kept, but there is nothing to tell "
            f"apart{hint}"
        )
    against = contradictions(index, label)
    if against.pairs:
        example = " and ".join(quoted(names[item]) for item in against.example)
        warnings.append(
            f"{_counted(against.pairs, 'pair')} in {against.rows:,} rows with labels that differ, "
            f"such as {example}: kept, and the model learns their mean"
        )
    sizes, isolated = group_sizes(index, len(names))
    if len(sizes) > 1:
        warnings.append(
            f"{len(sizes):,} groups of items that no pairs connect, the largest of {sizes[0]:,} "
            f"and the smallest of {sizes[-1]:,} items: kept, but the positions of the groups "
            "relative to each other are arbitrary"
        )
    if isolated:
        warnings.append(
            f"{_counted(isolated, 'item')} in no pair: kept, but no pair determines the position"
        )
    return warnings


def _counted(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"
