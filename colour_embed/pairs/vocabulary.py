"""The items of pairs: the mapping from cells to items, the items file, and their memory."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from colour_embed.config import InputError
from colour_embed.io.faults import Faults, fault_at, quoted
from colour_embed.io.tables import (
    PARQUET,
    TableFile,
    column_key,
    further_columns,
    open_table,
    sample_table,
    table_records,
    unchanged,
)

if TYPE_CHECKING:
    import pandas as pd

NAME_COLUMNS = ("name", "item", "label", "title", "id")

LONGEST_NAME = 1000
"""The most characters of an item name."""

NAME_BYTES = 180
"""Bytes per item apart from the characters of its name: a string, in a list and a dictionary."""

_SEARCHED_NAMES = 20_000  # names that are compared with an unknown name
_WHOLE = re.compile(r"(\d{1,18})(\.0*)?", re.ASCII)

_BLANK = "is no name; give every row the names it needs"
_LONG = f"is longer than {LONGEST_NAME:,} characters, which is the limit of a name; shorten it"
_NULL_BYTE = "holds a null byte; take it out"
_TWICE = "stands there twice; give every item a name of its own"


@dataclass(eq=False)
class Book:
    """The mapping from cells to items.

    Attributes:
        file: The items file; None where the pairs define the items.
        names: The item names; without an items file, those read from the pairs so far.
        by_number: Whether cells hold row numbers.
        ids: The item id of every valid cell that was looked up.
        characters: The total length of the names that were read from the pairs.
    """

    file: str | None
    names: list[str]
    by_number: bool
    ids: dict[str, int] = field(default_factory=dict)
    characters: int = 0

    def __post_init__(self):  # noqa: D105
        if self.file is not None and not self.by_number:
            self.ids = {name: position for position, name in enumerate(self.names)}

    def fresh(self) -> Book:
        """Return this mapping as it was before any pair was read."""
        return Book(self.file, self.names if self.file is not None else [], self.by_number)

    def problem(self, cell: str) -> str | None:
        """Return the fault of a cell that is not in `ids`; None if it is valid."""
        if self.by_number:
            whole = _WHOLE.fullmatch(cell.strip())
            most = len(self.names) - 1 if self.file is not None else 2**31 - 2
            if not whole:
                return f"is no row number; give whole numbers from 0 to {most:,}"
            if int(whole[1]) > most:
                return f"is out of range; give row numbers from 0 to {most:,}"
            return None
        return _name_problem(cell) or (None if self.file is None else self.unknown)

    @property
    def unknown(self) -> str:
        """The fault of a name that is not in the items file."""
        return f"is no item of {self.file}"

    def add(self, cell: str) -> int:
        """Add a valid cell and return the item's id."""
        if self.by_number:
            self.ids[cell] = int(_WHOLE.fullmatch(cell.strip())[1])
        else:
            self.ids[cell] = len(self.names)
            self.names.append(cell)
        self.characters += len(cell)
        return self.ids[cell]

    def nearest(self, cell: str) -> str:
        """Return the hint for an unknown name: the most similar name, if any."""
        folded = cell.strip().casefold()
        near = [name for name in self.names if name.strip().casefold() == folded]
        if not near:
            alike = [name for name in self.names if abs(len(name) - len(cell)) < 3 + len(cell) // 4]
            near = difflib.get_close_matches(cell[:100], alike[:_SEARCHED_NAMES], 1)
        return f"did you mean {quoted(near[0])}?" if near else "add it there"

    def finished_names(self, table: TableFile, rows: int) -> list[str]:
        """Return the names of all items, after all pairs were read."""
        if self.file is not None or not self.by_number:
            return self.names
        count = max(self.ids.values()) + 1
        if count > 1_000_000 + 10 * rows:
            raise fault_at(
                table.file,
                f"the row number {count - 1:,} makes {count:,} items of {rows:,} pairs; give the "
                "items file, or leave ids out so that the numbers are read as names",
            )
        return [str(number) for number in range(count)]

    def held_bytes(self) -> int:
        """Return the approximate memory of the names that were read from the pairs, in bytes."""
        return len(self.ids) * NAME_BYTES + self.characters


def _name_problem(name: str) -> str | None:
    if not name.strip():
        return _BLANK
    if len(name) > LONGEST_NAME:
        return _LONG
    return _NULL_BYTE if "\0" in name else None


def read_items(
    path: str | os.PathLike | None, item: str | None, ids: bool, max_bytes: int | None
) -> tuple[Book, pd.DataFrame | None]:
    """Read the items file, if there is one.

    Args:
        path: The items file, or None.
        item: The column of the item names.
        ids: Whether the pairs hold row numbers of the items file.
        max_bytes: See `check_memory`.

    Returns:
        The mapping from cells to items, and the further columns, a row per item.

    Raises:
        InputError: the file is unreadable, or a name is blank, too long or repeated.
    """
    if path is None:
        if item is not None:
            raise InputError(f"item is {quoted(item)}, a column of the items file: give items too")
        return Book(None, [], ids), None
    table = open_table(path)
    with unchanged(table):
        named = [place for place, column in enumerate(table.header) if column.strip()]
        for place in named:
            table.place(table.header[place])
        keys = [column_key(column) for column in table.header]
        guesses = [keys.index(name) for name in NAME_COLUMNS if name in keys]
        name_place = table.place(item) if item is not None else [*guesses, *named][0]
        others = [place for place in named if place != name_place]
        if max_bytes is not None:
            sample = sample_table(table, [name_place])
            check_memory(table, sample.expected * NAME_BYTES * (1 + len(others)), max_bytes)
        # Further Parquet columns are read later, with their types.
        places = [name_place] if table.separator is PARQUET else [name_place, *others]
        columns = _item_columns(table, places)
        if not others:
            return Book(table.file, columns[0], ids), None
        rest = columns[1:] or [[] for _ in others]
        texts = dict(zip((table.header[place] for place in others), rest))
        return Book(table.file, columns[0], ids), further_columns(table, texts)


def _item_columns(table: TableFile, places: Sequence[int]) -> list[list[str]]:
    """Return the cells of these columns; the first column holds the names."""
    columns = [[] for _ in places]
    faults, seen = Faults(table.file), set()
    name_column = table.header[places[0]]
    for row, cells in table_records(table, places, faults):
        problem = _name_problem(cells[0]) or (_TWICE if cells[0] in seen else None)
        if problem:
            faults.add(problem, row, name_column, cells[0])
        seen.add(cells[0])
        for column, cell in zip(columns, cells):
            column.append(cell)
    faults.raise_first()
    if not columns[0]:
        raise fault_at(table.file, "has a header and no items; give a row per item", 1)
    return columns


# Memory


def check_memory(table: TableFile, needed: int, max_bytes: int | None) -> None:
    """Raise an InputError if `needed` bytes exceed `max_bytes`; None is no limit."""
    if max_bytes is not None and needed > max_bytes:
        raise fault_at(
            table.file,
            f"reading it takes about {needed / 1e6:,.0f} MB, and {max_bytes / 1e6:,.0f} MB may be "
            "taken; give fewer rows or allow more memory",
        )
