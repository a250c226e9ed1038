"""Faults of a table, grouped by rows, and the one-line error that reports them."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from typing import NamedTuple

from colour_embed.config import InputError

LISTED_ROWS = 20
"""The number of faulty rows that a message lists; further rows are counted."""


class NotPlain(Exception):
    """Raised by the fast reader for a table that it cannot read; use `table_records` instead."""


def fault_at(
    file: str, problem: str, row: int | str | None = None, column: str | None = None
) -> InputError:
    """Return the error that names a place in a file, the fault there and a hint.

    Args:
        file: The path as the user gave it.
        problem: The fault and the hint.
        row: The row, where 1 is the header, as in a spreadsheet; or a text such as "rows 2, 3".
        column: Its name.
    """
    place = [file]
    if row is not None:
        place.append(row if isinstance(row, str) else f"row {row}")
    if column is not None:
        place.append(f"column {quoted(column)}")
    # File names may hold line breaks, but the message must be one line.
    message = " ".join(f"{', '.join(place)}: {problem}".splitlines())
    return InputError("".join(c if c.isprintable() else repr(c)[1:-1] for c in message))


def quoted(cell: str, longest: int = 40) -> str:
    """Return a cell in quotes for a message, truncated and with control characters escaped."""
    return repr(cell if len(cell) <= longest else cell[: longest - 1] + "…")


def quoted_apart(cell: str, other: str) -> tuple[str, str]:
    """Return two cells in quotes; where they look alike, escaped and from their difference on."""
    plain = [unicodedata.normalize("NFKC", one) for one in (cell, other)]
    seen = ["".join(c for c in one if c.isprintable() or c.isspace()) for one in plain]
    if seen[0] != seen[1] and quoted(cell) != quoted(other):
        return quoted(cell), quoted(other)
    same = next((k for k, ends in enumerate(zip(cell, other)) if ends[0] != ends[1]), len(cell))
    start = same - 10 if same > 30 else 0
    before = "…" if start else ""
    return tuple(before + ascii(one[start : start + 40]) for one in (cell, other))


class _Fault(NamedTuple):
    """The first rows with a fault, the first cell with it, and the number of rows."""

    rows: list[int]
    cell: str | None
    count: int


class Faults:
    """The faults of a table, grouped by problem and column.

    Args:
        file: The table's path as the user gave it.
        hints: For some problems, a function from the first faulty cell to the rest of the message.
            It is called only for the fault that is raised.
    """

    def __init__(  # noqa: D107
        self, file: str, hints: Mapping[str, Callable[[str], str]] | None = None
    ):
        self._file, self._hints = file, hints or {}
        self._found: dict[tuple[str, str | None], _Fault] = {}
        self._rows = self._last_row = 0

    def __bool__(self) -> bool:
        """Return whether there is a fault."""
        return bool(self._found)

    def add(self, problem: str, row: int, column: str | None, cell: str | None = None) -> None:
        """Record a fault of a cell; without a cell, of a whole row."""
        rows, cell, count = self._found.get((problem, column), _Fault([], cell, 0))
        if count < LISTED_ROWS:
            rows.append(row)
        self._found[problem, column] = _Fault(rows, cell, count + 1)
        self._rows += row != self._last_row
        self._last_row = row

    def raise_first(self) -> None:
        """Raise an InputError for the fault with the first row, if there is a fault."""
        if not self._found:
            return
        (problem, column), fault = min(self._found.items(), key=lambda item: item[1].rows[0])
        if problem in self._hints:
            problem = f"{problem}; {self._hints[problem](fault.cell)}"
        if fault.cell is not None:
            shown = quoted(fault.cell) if fault.cell.strip() else "an empty cell"
            problem = f"{shown} {problem}"
        others = self._rows - fault.count
        if others:
            problem += f" ({others:,} more row{'s' if others > 1 else ''} at fault)"
        raise fault_at(self._file, problem, _row_words(fault), column)


def _row_words(fault: _Fault) -> str:
    if fault.count == 1:
        return f"row {fault.rows[0]}"
    listed = ", ".join(map(str, fault.rows))
    more = fault.count - len(fault.rows)
    return f"rows {listed} and {more:,} more" if more else f"rows {listed}"
