"""The items of pairs: the mapping from cells to items, the items file, and look-alike names."""

from __future__ import annotations

import bisect
import difflib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from colour_embed.config import InputError
from colour_embed.io.faults import Faults, fault_at, quoted, quoted_apart
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
from colour_embed.io.text_tables import TextFormat

if TYPE_CHECKING:
    import pandas as pd

NAME_COLUMNS = ("name", "item", "label", "title", "id")

LONGEST_NAME = 1000
"""The most characters of an item name."""

NAME_BYTES = 180
"""Bytes per item apart from the characters of its name: a string, in a list and a dictionary."""

_COMPARED = 250  # names before and after an unknown name, in two orders, that it is compared with
_NUMBER = re.compile(r"([+-]?)(\d*)\.?(\d*)(?:e([+-]?\d{1,9}))?", re.ASCII)
_ODD = re.compile(  # a line with spaces to leave out, or with a number to spell anew
    r"(?m)[\0-\x09\x0b-\x1f\x85\u1680\u2028\u2029]|^ | $|  "
    r"|^(?!(?:0|[1-9][0-9]*)$)[+-]?\.?[0-9][0-9.e+-]*$"
)
_UNSEEN = re.compile(  # format characters, such as zero-width spaces, and variants
    "[\xad\u0600-\u0605\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]"
)
_WHOLE = re.compile(r"(\d{1,18})(\.0*)?", re.ASCII)

_DIFFER = "differ only by capitals, spaces or Unicode form"
_SAME_NUMBER = "are spellings of the same numbers"

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
        column: The column of the items file with the names.
        ids: The item id of every valid cell that was looked up.
        characters: The total length of the names that were read from the pairs.
    """

    file: str | None
    names: list[str]
    by_number: bool
    column: str = ""
    ids: dict[str, int] = field(default_factory=dict)
    characters: int = 0

    def __post_init__(self):  # noqa: D105
        if self.file is not None and not self.by_number:
            self.ids = {name: position for position, name in enumerate(self.names)}

    def fresh(self) -> Book:
        """Return this mapping as it was before any pair was read."""
        names = self.names if self.file is not None else []
        return Book(self.file, names, self.by_number, self.column)

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
        if cell == self.column:
            return "it stands there as the header; put a header above it, such as name"
        near = nearest_name(cell, self.names)
        return "add it there" if near is None else f"did you mean {quoted_apart(cell, near)[1]}?"

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
    path: str | os.PathLike | None,
    item: str | None,
    ids: bool,
    max_bytes: int | None,
    text: TextFormat,
) -> tuple[Book, pd.DataFrame | None]:
    """Read the items file, if there is one.

    Args:
        path: The items file, or None.
        item: The column of the item names.
        ids: Whether the pairs hold row numbers of the items file.
        max_bytes: See `check_memory`.
        text: The options of the pairs' file. Quoting and comments are those of the items file too,
            which has a header; its separator is its own, unless it then has one column.

    Returns:
        The mapping from cells to items, and the further columns, a row per item.

    Raises:
        InputError: the file is unreadable, or a name is blank, too long or repeated.
    """
    if path is None:
        if item is not None:
            raise InputError(f"item is {quoted(item)}, a column of the items file: give items too")
        return Book(None, [], ids), None
    table = _open_items(path, text)
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
        book = Book(table.file, columns[0], ids, table.header[name_place])
        if not others:
            return book, None
        rest = columns[1:] or [[] for _ in others]
        texts = dict(zip((table.header[place] for place in others), rest))
        return book, further_columns(table, texts)


def _open_items(path: str | os.PathLike, text: TextFormat) -> TableFile:
    own = replace(text, separator="auto", header="yes")
    if text.separator == "auto":
        return open_table(path, text=own)
    try:
        table = open_table(path, text=own)
    except InputError:  # perhaps one column, with another separator in its header
        table = None
    if table is None or len(table.header) == 1:
        return open_table(path, text=replace(own, separator=text.separator))
    return table


def _item_columns(table: TableFile, places: Sequence[int]) -> list[list[str]]:
    """Return the cells of these columns; the first column holds the names."""
    columns = [[] for _ in places]
    faults, seen = Faults(table.file), set()
    name_column = table.header[places[0]]
    for row, cells in table_records(table, places, faults, names=places[:1]):
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


# Names that look alike


def nearest_name(name: str, names: Sequence[str]) -> str | None:
    """Return the most similar of the names, or None; 0.2 s for 200,000 names.

    Names that differ by capitals and surrounding spaces only come first. Of many names only those
    of a similar length that share the longest beginnings or endings are compared.

    Example:
        >>> nearest_name("itm c", ["item b", "item c"])
        'item c'
    """
    folded = name.strip().casefold()
    same = next((one for one in names if one.strip().casefold() == folded), None)
    if same is not None:
        return same
    near = [one for one in names if abs(len(one) - len(name)) < 3 + len(name) // 4]
    if len(near) > 4 * _COMPARED:
        ending = [one[::-1] for one in _beside(name[::-1], [one[::-1] for one in near])]
        near = [*_beside(name, near), *ending]
    return next(iter(difflib.get_close_matches(name[:100], near, 1)), None)


def _beside(name: str, names: list[str]) -> list[str]:
    """Return the names before and after `name` in sorted order: they share the longest prefixes."""
    ordered = sorted(names)
    place = bisect.bisect(ordered, name)
    return ordered[max(0, place - _COMPARED) : place + _COMPARED]


def look_alikes(names: Sequence[str]) -> list[str]:
    """Return warnings on names that are probably one item; each has a count and an example.

    They differ only by capitals, by spaces, by their Unicode form (NFKC) or characters that are not
    shown; or they are spellings of one number: 2, 2.0, 2e0 and 02. A million names take about a
    second.

    Args:
        names: different texts.

    Example:
        >>> look_alikes(["Bank", "bank", "shore"])
        ["2 names differ only by capitals, spaces or Unicode form, such as 'Bank' and 'bank': they \
are different items; spell them alike if they are one"]
    """
    keys = _look_keys(names)
    if len(set(keys)) == len(keys):
        return []
    groups = {key: [] for key, count in Counter(keys).items() if count > 1}
    for key, name in zip(keys, names):
        if key in groups:
            groups[key].append(name)
    kinds = {_SAME_NUMBER: [], _DIFFER: []}
    for key, group in groups.items():
        kinds[_SAME_NUMBER if _is_number(key) else _DIFFER].append(group)
    lines = []
    for what, alike in kinds.items():
        if alike:
            one, other = quoted_apart(*alike[0][:2])
            lines.append(
                f"{sum(map(len, alike)):,} names {what}, such as {one} and {other}: they are "
                "different items; spell them alike if they are one"
            )
    return lines


def _look_keys(names: Sequence[str]) -> list[str]:
    """Return a key for each name, which names that look alike have in common."""
    whole = "\n".join(names)  # one text, as its methods are many times faster than those of names
    if whole.count("\n") >= len(names):
        whole = "\n".join(name.replace("\n", " ") for name in names)
    if whole.isascii():
        whole = whole.lower()
    else:
        whole = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", whole).casefold())
        whole = _UNSEEN.sub("", whole)
    keys = whole.split("\n") if names else []
    if not _ODD.search(whole):
        return keys
    return [_plain_number(" ".join(key.split())) for key in keys]


def _plain_number(key: str) -> str:
    """Return a number without exponent, leading and trailing zeros; other text as it is."""
    if not key[-1:].isdigit() and key[-1:] != ".":
        return key
    whole = key[:-2] if key.endswith(".0") else key
    if whole.isascii() and whole.isdigit() and (whole[0] != "0" or whole == "0"):
        return whole
    match = _NUMBER.fullmatch(key)
    if not match or not (match[2] or match[3]):
        return key
    sign, whole, part, exponent = match.groups()
    digits = (whole + part).lstrip("0")
    short = digits.rstrip("0")
    if not short:
        return "0"
    shift = int(exponent or 0) - len(part) + len(digits) - len(short)
    sign = "-" if sign == "-" else ""
    return f"{sign}{short}{'0' * shift}" if 0 <= shift < 400 else f"{sign}{short}e{shift}"


def _is_number(key: str) -> bool:
    match = _NUMBER.fullmatch(key)
    return bool(match and (match[2] or match[3]))


# Memory


def check_memory(table: TableFile, needed: int, max_bytes: int | None) -> None:
    """Raise an InputError if `needed` bytes exceed `max_bytes`; None is no limit."""
    if max_bytes is not None and needed > max_bytes:
        raise fault_at(
            table.file,
            f"reading it takes about {needed / 1e6:,.0f} MB, and {max_bytes / 1e6:,.0f} MB may be "
            "taken; give fewer rows or allow more memory",
        )
