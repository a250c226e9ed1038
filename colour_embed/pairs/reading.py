"""Reader of items and labelled pairs, with validation of the whole table.

A table of pairs is CSV, TSV or other text, gzip of these, or Parquet (see `io.tables`), with a row
per pair: two columns with the items, and one with their similarity from 0 to 1.

Columns are chosen by the arguments, else by their names, else by their position:
    the two items   first and second, item1 and item2, a and b, source and target, left and right,
                    name_x and name_y, i and j; else the first two columns without another role
                    that may hold items, which columns of decimals do not
    the label       label, similar, y, target_label, positive
    the weight      weight, w; and count, for positives only
    an item's name  name, item, label, title, id; else the first column
    row numbers     A column that is called like one (index, id, row, Unnamed: 0 and so on) and
                    counts by one is passed over. One that only seems to number the rows is refused:
                    the two columns of items must then be named.
    no header       Columns are called 1, 2, 3 and so on; the first that is not of items is the
                    label. A header that may be a comment, that holds a number, or of which a cell
                    is an item too, is refused unless a column has one of the names above.

Allowed cells:
    names           any text of at most 1,000 characters that is not blank, verbatim: surrounding
                    spaces are part of it, and NA, null and None are names. In Parquet, whole
                    numbers are named alike whether they are floats or integers.
    ids             0-based row numbers of the items file; without one, of items named by their
                    number, at most a million plus ten times the number of pairs
    labels          numbers from 0 to 1, or to within 1e-6 of these, as float32 rounds; true and
                    false in any capitals; with a label scale, numbers between its ends, which are
                    mapped linearly; 1 if only positives are given
    weights         finite numbers, 0 or more, not all 0
    counts          finite numbers above 0, by which the pair's weight is multiplied

What was chosen or taken for something else adds a line to `PairTable.notes`: the columns, row
numbers, labels that are true and false, beyond 0 and 1, or on a scale, and two kinds of items.

These conditions add a line to `PairTable.warnings`:
    equal labels          kept; a constant prediction then minimises the loss
    self-pairs            dropped; the distance of an item to itself is 0 for any label
    contradictions        the same pair, in either order, with different labels: kept; the model
                          fits the weighted mean of the labels
    separate groups       connected components of the items: kept; the position of a component
                          relative to the others is arbitrary
    isolated items        items without a pair: kept; their positions are arbitrary
    look-alikes           names that differ only by capitals, spaces or Unicode form, or spell one
                          number: kept as different items
    two kinds             columns such as user and item that share numbers as names: one kind of
                          items, unless the items are two-sided
    the header            column names such as a and b that are items too, without a label column

Any other fault is an `InputError`: one line with the file, rows, column, fault and hint. Hints name
options as flags of `experiments.train`: --header=no is `header="no"` here.
"""

from __future__ import annotations

import array
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from colour_embed.config import InputError
from colour_embed.io.faults import Faults, NotPlain, fault_at, quoted
from colour_embed.io.tables import (
    PARQUET,
    TableFile,
    number,
    open_table,
    sample_table,
    table_pieces,
    table_records,
    unchanged,
)
from colour_embed.io.text_tables import PIECE_BYTES, TextFormat
from colour_embed.pairs.checks import counted, pair_warnings
from colour_embed.pairs.columns import (
    LARGEST,
    NO_LABEL,
    Columns,
    choose_columns,
    kinds_differ,
    read_scale,
)
from colour_embed.pairs.sampling import draw_negatives, split_held_out
from colour_embed.pairs.vocabulary import (
    NAME_BYTES,
    Book,
    check_memory,
    read_items,
)
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

_CHUNK = 1 << 16  # rows per array in the exact reader
_BOOLEANS = {"true": 1.0, "false": 0.0}


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
        notes: A line for each choice listed in this module's docstring, the columns first.
        two_sided: Whether the two columns hold two kinds of items, of which no item is both.
    """

    items: list[str]
    index: np.ndarray
    label: np.ndarray
    weight: np.ndarray
    warnings: list[str]
    extra: pd.DataFrame | None
    column_names: dict[str, str]
    notes: list[str]
    two_sided: bool

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
    two_sided: bool = False,
    label_scale: str | Sequence[float] | None = None,
    separator: str = "auto",
    header: str = "auto",
    quoting: str = "auto",
    comment: str | None = None,
    max_bytes: int | None = None,
    report: Callable[[Progress], None] | None = None,
) -> PairTable:
    """Read labelled pairs and their items from tables, by the rules in this module's docstring.

    Memory is that of the arrays and the names, not of the text: ten million pairs take at most
    about 400 MB and 10 s.

    Args:
        path: A table of pairs.
        items: A table of items with a header; without it the items are taken from the pairs.
        first: The column of first items.
        second: The column of second items.
        label: The column of labels.
        weight: The column of weights.
        item: The column of the items file with the names.
        ids: Whether the pairs hold 0-based row numbers in place of names.
        positives_only: Whether every row is a similar pair; `draw_negatives` draws dissimilar ones.
        two_sided: Whether the two columns hold two kinds of items, such as users and films. An item
            is then called by its column: "user:7" and "film:7", in the items file too.
        label_scale: The labels that stand for 0 and 1: (-1, 1) or "-1,1" or "1:5"; for distances
            the large one comes first, such as (10, 0). Labels outside are refused.
        separator: "comma", "tab", "semicolon", "pipe", or "space" for runs of spaces and tabs.
            "auto": by the file's suffix, else by its first line. The items file has its own, unless
            that finds one column.
        header: "yes" or "no". "auto": there is one, and one that may be a pair is refused.
        quoting: "csv": cells may be in double quotes. "none": quotation marks are characters.
            "auto": as "csv", and quotes that seem to hold whole lines are refused. As for comment,
            this holds for the items file too.
        comment: Lines that begin with this text are skipped, such as "#".
        max_bytes: The most memory to use; checked before and during reading.
        report: Called after each block of rows.

    Returns:
        The pairs, without self-pairs.

    Raises:
        InputError: a file has a fault, the arguments contradict each other, or reading takes more
            than `max_bytes`.
    """
    text = TextFormat(separator, header, quoting, comment)
    asked = {"first": first, "second": second, "label": label, "weight": weight}
    kind = {"ids": ids, "positives_only": positives_only, "two_sided": two_sided}
    table, columns = _open_pairs(path, text, label_scale=label_scale, **kind, **asked)
    with unchanged(table):
        book, extra = read_items(items, item, ids, max_bytes, text)
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
    warnings = _header_warnings(table, columns, book)
    warnings += pair_warnings(
        *(names, index, labels, weights),
        self_pairs=gathered.self_pairs,
        positives_only=positives_only,
        kinds=_kinds(columns, [] if ids and items is None else names),
    )
    if not ids:
        warnings += _shared_names(table, columns, names, index)
    notes = [*columns.notes, *gathered.notes()]
    if items is not None:
        source = f"{os.path.basename(book.file)}, column {quoted(book.column)}"
        notes.append(f"names of items from {source}")
    column_names = columns.names(table)
    return PairTable(names, index, labels, weights, warnings, extra, column_names, notes, two_sided)


def _open_pairs(
    path: str | os.PathLike,
    text: TextFormat,
    *,
    ids: bool = False,
    positives_only: bool = False,
    two_sided: bool = False,
    label_scale: str | Sequence[float] | None = None,
    **asked: str | None,
) -> tuple[TableFile, Columns]:
    """Return the table and its columns; the arguments are those of `read_pairs`."""
    label = asked.get("label")
    if positives_only and label is not None:
        raise InputError(
            f"label is {quoted(label)}, but positives_only takes every row as similar: give one of "
            "the two"
        )
    scale = read_scale(label_scale)
    if positives_only and scale:
        raise InputError("label_scale is of labels, and positives_only has none: give one of them")
    if two_sided and ids:
        raise InputError("ids are row numbers of one kind of items: give ids or two_sided")
    table = open_table(path, text=text)
    if table.separator is PARQUET and replace(text, header="auto") != TextFormat():
        problem = "is Parquet; leave out separator, quoting and comment, which are of text"
        raise fault_at(table.file, problem)
    if table.separator is PARQUET and text.header == "no":
        raise fault_at(table.file, "is Parquet, which names its columns; leave --header=no out")
    columns = choose_columns(
        table, positives_only=positives_only, scale=scale, two_sided=two_sided, **asked
    )
    return table, columns


def estimate_bytes(
    path: str | os.PathLike,
    *,
    items: str | os.PathLike | None = None,
    item: str | None = None,
    ids: bool = False,
    separator: str = "auto",
    header: str = "auto",
    quoting: str = "auto",
    comment: str | None = None,
    **others: Any,
) -> int:
    """Return an estimate of the bytes that `read_pairs` takes, from the first rows and file size.

    Args:
        path: As for `read_pairs`.
        items: As for `read_pairs`; the items file is read.
        item: As for `read_pairs`.
        ids: As for `read_pairs`.
        separator: As for `read_pairs`.
        header: As for `read_pairs`.
        quoting: As for `read_pairs`.
        comment: As for `read_pairs`.
        others: Any of first, second, label, weight, positives_only, two_sided and label_scale.

    Raises:
        InputError: a table is unreadable or lacks a column.
    """
    text = TextFormat(separator, header, quoting, comment)
    table, columns = _open_pairs(path, text, ids=ids, **others)
    book, _ = read_items(items, item, ids, None, text)
    return _estimate(table, columns, book)[1]


# Pairs


class _Gathered:
    """The pairs read so far, in compact arrays."""

    def __init__(
        self,
        table: TableFile,
        columns: Columns,
        max_bytes: int | None,
        report: Callable[[Progress], None] | None,
        expected: int,
    ):
        self.table, self.columns = table, columns
        self.rows = self.self_pairs = self.rounded = 0
        self.booleans = False
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
            parts["label"] = self._labels(numbers["label"]).astype(np.float32)
        if "weight" in numbers or "count" in numbers:
            weight = numbers.get("weight", 1.0) * numbers.get("count", 1.0)
            if not (weight <= LARGEST).all():
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

    def _labels(self, values: np.ndarray) -> np.ndarray:
        """Return labels within 0..1; those that rounding put beyond are counted."""
        if self.columns.scale:
            low, high = self.columns.scale
            values = (values - low) / (high - low)
        if values.size and (values.min() < 0 or values.max() > 1):
            self.rounded += int(np.count_nonzero((values < 0) | (values > 1)))
            values = values.clip(0, 1)
        return values

    def notes(self) -> list[str]:
        """Return a line on labels that are true and false, and on those beyond 0 and 1."""
        lines = []
        if self.booleans:
            lines.append("labels that are true and false are taken as 1 and 0")
        if self.rounded:
            count = counted(self.rounded, "label")
            lines.append(f"{count} below 0 or above 1 by rounding: taken as 0 or 1")
        return lines

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return index, label and weight of all pairs, and free the gathered parts.

        Raises:
            InputError: there are no pairs, or all weights are 0.
        """
        if not self.rows:
            problem = "has a header and no pairs; give a row per pair"
            raise fault_at(self.table.file, problem, self.table.header_row)
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
    places = [columns.first, columns.second]
    for piece in table_pieces(gathered.table, places, list(roles.values()), columns.booleans()):
        index = _ids_of_names(piece.names, columns.prefixes, book)
        gathered.booleans |= piece.booleans
        gathered.add(index, dict(zip(roles, piece.numbers)), book)
    if not gathered.rows:
        raise NotPlain


def _ids_of_names(
    names: list[pa.DictionaryArray], prefixes: tuple[str, str], book: Book
) -> np.ndarray:
    """Return ids, int32 [n, 2]; unknown names are added to the book in the order of the rows."""
    codes = [column.indices.to_numpy(zero_copy_only=False) for column in names]
    # A Parquet dictionary may hold names that no row uses.
    used = [
        np.flatnonzero(np.bincount(code, minlength=len(column.dictionary)))
        for code, column in zip(codes, names)
    ]
    cells = [column.dictionary.take(places).to_pylist() for column, places in zip(names, used)]
    cells = [
        [_named(prefix, cell) for cell in side] if prefix else side
        for prefix, side in zip(prefixes, cells)
    ]
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


def _named(prefix: str, cell: str) -> str:
    """Return the name of an item of one of two kinds; a blank cell stays one."""
    return prefix + cell if cell.strip() else cell


def _gather_records(gathered: _Gathered, book: Book) -> None:
    """Read the pairs with the exact reader, or raise their first fault."""
    table, columns = gathered.table, gathered.columns
    roles = columns.numbers()
    rules = {role: columns.rule(role) for role in roles}
    named = [table.header[place] for place in (columns.first, columns.second)]
    low, high, text = math.inf, -math.inf, False

    def label_hint(cell: str) -> str:
        return columns.label_hint(cell, *((math.nan, math.nan) if text else (low, high)))

    faults = Faults(table.file, {book.unknown: book.nearest, NO_LABEL: label_hint})
    index = array.array("i")
    numbers = {role: array.array("d") for role in roles}

    def hand_on():
        values = {role: np.array(column, np.float64) for role, column in numbers.items()}
        gathered.add(np.array(index, np.int32).reshape(-1, 2), values, book)
        for column in (index, *numbers.values()):
            del column[:]

    places = [columns.first, columns.second, *roles.values()]
    for row, cells in table_records(table, places, faults, names=places[:2]):
        for column, prefix, cell in zip(named, columns.prefixes, cells):
            cell = _named(prefix, cell) if prefix else cell
            problem = None if cell in book.ids else book.problem(cell)
            if problem:
                faults.add(problem, row, column, cell)
            else:
                index.append(book.ids[cell] if cell in book.ids else book.add(cell))
        product = 1.0
        for (role, (allowed, problem)), cell in zip(rules.items(), cells[2:]):
            value = number(cell)
            if role == "label":
                if value != value and columns.booleans():
                    value = _BOOLEANS.get(cell.strip().lower(), value)
                    gathered.booleans |= value == value
                text |= value != value
                low, high = min(low, value), max(high, value)
            numbers[role].append(value)
            if role != "label":
                product *= value
                if product > LARGEST and value <= LARGEST:
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


def _estimate(table: TableFile, columns: Columns, book: Book) -> tuple[int, int]:
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


def _header_warnings(table: TableFile, columns: Columns, book: Book) -> list[str]:
    """Return a warning on column names that are items too.

    Raises:
        InputError: nothing else tells that the header is one.
    """
    if columns.recognised == "others" or table.text.header != "auto":
        return []
    for place in (columns.first, columns.second):
        cell = table.header[place]
        if any(_named(prefix, cell) in book.ids for prefix in columns.prefixes):
            hint = "give --header=no if the row is a pair, or --header=yes if it is the header"
            if columns.recognised:
                return [f"the column name {quoted(cell)} is an item too: {hint}"]
            problem = f"the name of the column is an item too; {hint}"
            raise fault_at(table.file, problem, table.header_row, cell)
    return []


def _kinds(columns: Columns, names: list[str]) -> list[list[str]]:
    """Return the names of each kind of items, without the prefixes that keep two kinds apart."""
    return [
        [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
        for prefix in sorted(set(columns.prefixes))
    ]


def _shared_names(
    table: TableFile, columns: Columns, names: list[str], index: np.ndarray
) -> list[str]:
    """Return a warning if two columns that may be of two kinds of items share names."""
    heads = [table.header[place] for place in (columns.first, columns.second)]
    if any(columns.prefixes) or table.header_row is None or not kinds_differ(*heads):
        return []
    on_side = np.zeros((2, len(names)), bool)
    for side in (0, 1):
        on_side[side, index[:, side]] = True
    shared = np.flatnonzero(on_side.all(axis=0))
    numbers = [names[place] for place in shared if names[place].isdigit()]
    if not numbers:
        return []
    return [
        f"columns {quoted(heads[0])} and {quoted(heads[1])} share {len(numbers):,} numbers as "
        f"names, such as {quoted(numbers[0])}: taken as one kind of items; give --two_sided if "
        "they are two"
    ]
