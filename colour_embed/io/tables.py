"""Readers of user tables: CSV, TSV, gzip of these, and Parquet, of any size.

`open_table` reads the header. There are two readers for the records:

- `table_records` is exact: it yields the cells row by row, and reports the row of every fault.
- `table_pieces` is fast: pyarrow reads some megabytes at a time. It raises `NotPlain` for a table
  that it might read differently from `table_records`.

Large tables are read with the fast reader first; if it raises, with the exact reader.

The format of a file:
    The suffix determines it: .csv, .tsv or .tab, .parquet or .pq; .csv.gz and so on. For another
    suffix the content does: Parquet and gzip by their first bytes; text is TSV if its first line
    holds more tabs than commas. Text is UTF-8, with or without a byte order mark. Cells may be in
    double quotes, which are doubled within. Lines end in LF, CRLF or CR; empty lines are skipped.

Rows are numbered as in a spreadsheet: the header is row 1, and a record with line breaks in a
quoted cell is one row. The first record of a Parquet file is row 2.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from colour_embed.config import InputError
from colour_embed.io.faults import Faults, fault_at, quoted
from colour_embed.io.parquet_tables import (
    parquet_frame,
    parquet_header,
    parquet_pieces,
    parquet_rows,
    parquet_sample,
)
from colour_embed.io.text_tables import (
    text_header,
    text_pieces,
    text_rows,
    text_sample,
    text_stream,
)

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

PARQUET = None
"""The separator of a Parquet table."""

_SUFFIXES = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".parquet": PARQUET, ".pq": PARQUET}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_PLAIN_NUMBER = re.compile(r"-?(0|[1-9]\d{0,14})(\.\d{1,20})?([eE][+-]?\d{1,2})?", re.ASCII)


@dataclass(frozen=True, eq=False)
class TableFile:
    """A table file and its header.

    Attributes:
        file: The path as the user gave it.
        separator: "," or a tab, or `PARQUET`.
        compressed: Whether the text is compressed with gzip.
        header: The column names, verbatim.
        start: The byte offset of the records in the text; None if only the exact reader can
            determine it.
        stamp: Size, modification time and inode when the file was opened.
    """

    file: str
    separator: str | None
    compressed: bool
    header: list[str]
    start: int | None
    stamp: tuple[int, int, int]

    def place(self, column: str) -> int:
        """Return the position of a column, ignoring case and surrounding spaces.

        Raises:
            InputError: no column has this name, or several columns have it.
        """
        keys = [column_key(cell) for cell in self.header]
        key = column_key(column)
        if keys.count(key) > 1:
            raise fault_at(self.file, "the column stands there twice; leave one of them", 1, column)
        if key not in keys:
            near = difflib.get_close_matches(key, keys, 1)
            columns = ", ".join(quoted(cell) for cell in self.header[:8])
            more = ", …" if len(self.header) > 8 else ""
            hint = f"give one of {columns}{more}"
            if near:
                hint = f"did you mean {quoted(self.header[keys.index(near[0])])}?"
            raise fault_at(self.file, f"there is no such column; {hint}", 1, column)
        return keys.index(key)


class Piece(NamedTuple):
    """A block of rows: name columns as pyarrow dictionary arrays, number columns as float64."""

    names: list[pa.DictionaryArray]
    numbers: list[np.ndarray]


class Sample(NamedTuple):
    """The first rows of a table, and the estimated number of rows."""

    rows: list[list[str]]
    expected: int


def column_key(column: str) -> str:
    """Return a column name for comparison: case-folded, without surrounding spaces."""
    return column.strip().casefold()


@functools.lru_cache(1 << 12)
def number(cell: str) -> float:
    """Return the number in a cell; NaN if the cell is not a number."""
    cell = cell.strip()
    return float(cell) if _NUMBER.fullmatch(cell) else float("nan")


# Opening


def open_table(
    path: str | os.PathLike,
    *,
    instead: Sequence[str] = (),
    expected: str = "give a table with a header and a row per entry",
) -> TableFile:
    """Return the format and the header of a table file.

    Args:
        path: The file.
        instead: Names that the caller accepts in place of a path, for the hint of a missing file.
        expected: The hint for an empty file.

    Raises:
        InputError: the file is missing, unreadable, empty, of an unknown format or not of the
            format of its suffix, or its header is blank.
    """
    file = os.fspath(path)
    try:
        status = os.stat(file)
    except FileNotFoundError:
        hint = _hint_for_missing(Path(file), instead)
        raise fault_at(file, f"there is no such file; {hint}") from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        hint = "check the path and its permissions"
        raise fault_at(file, f"can't be read ({error}); {hint}") from None
    if stat.S_ISDIR(status.st_mode):
        raise fault_at(file, "is a folder; give the file in it")
    if not stat.S_ISREG(status.st_mode):
        raise fault_at(file, "is no regular file, so it can't be read twice; save it as a file")
    header = []
    if status.st_size:
        separator, compressed = _kind(file)
        if separator is PARQUET:
            header, start = parquet_header(file), 0
        else:
            header, start = text_header(file, separator, compressed)
    if not header:
        raise fault_at(file, f"is empty; {expected}")
    return TableFile(file, separator, compressed, header, start, _stamp(status))


def _hint_for_missing(path: Path, instead: Sequence[str]) -> str:
    try:
        entries = [*os.listdir(path.parent), *instead]
    except (OSError, ValueError):
        entries = instead
    by_key = {entry.casefold(): entry for entry in entries}
    near = difflib.get_close_matches(path.name.casefold(), by_key, 1, cutoff=0.8)
    if near:
        return f"did you mean {quoted(by_key[near[0]])}?"
    return "check its path" + (f", or give one of {', '.join(instead)}" if instead else "")


def _stamp(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ino


@contextlib.contextmanager
def unchanged(table: TableFile) -> Iterator[None]:
    """Raise at the end of the block if the file has changed since it was opened.

    This error replaces an InputError of the block, which the change may have caused.

    Raises:
        InputError: the file has changed.
    """

    def check():
        try:
            now = _stamp(os.stat(table.file))
        except OSError:
            now = None
        if now != table.stamp:
            problem = "changed while it was read; read it again when nothing writes to it"
            raise fault_at(table.file, problem)

    try:
        yield
    except InputError:
        check()
        raise
    check()


def _kind(file: str) -> tuple[str | None, bool]:
    """Return the separator or `PARQUET`, and whether the file is compressed."""
    path = Path(file)
    suffix = path.suffix.lower()
    named_compressed = suffix == ".gz"
    if named_compressed:
        suffix = Path(path.stem).suffix.lower()
    known = suffix in _SUFFIXES
    text = known and _SUFFIXES[suffix] is not PARQUET

    with text_stream(file, False) as stream:
        magic = stream.read(4)
    compressed = magic[:2] == b"\x1f\x8b"
    if magic == b"PK\3\4":
        raise fault_at(file, "is a zip archive, as spreadsheets are; save it as CSV in UTF-8")
    if known and compressed and not named_compressed:
        raise fault_at(file, f"is compressed with gzip; call it {quoted(path.name + '.gz')}")
    if named_compressed and not compressed:
        raise fault_at(file, "is not compressed with gzip; leave .gz out of its name")
    if text and magic == b"PAR1":
        raise fault_at(file, "is Parquet; let its name end in .parquet")
    if compressed and known and not text:
        raise fault_at(file, "is Parquet within gzip; unpack it, as Parquet is compressed itself")
    if known:
        return _SUFFIXES[suffix], compressed
    if magic == b"PAR1":
        return PARQUET, False
    with text_stream(file, compressed) as stream:
        line = stream.readline(1 << 16)
    return "\t" if line.count(b"\t") > line.count(b",") else ",", compressed


# Reading


def table_records(
    table: TableFile, places: Sequence[int], faults: Faults, *, fill_short: bool = False
) -> Iterator[tuple[int, list[str]]]:
    """Yield (row, cells) of every record, with the cells of some columns as text.

    Empty lines are skipped but counted. A record whose number of cells differs from the header's is
    added to `faults` instead.

    Args:
        table: The file.
        places: The positions of the columns.
        faults: Collects faults; its first fault is raised if the rest of the file is unreadable.
        fill_short: Pad short records with empty cells.

    Raises:
        InputError: the rest of the file is unreadable, or there is a fault above it.
    """
    try:
        if table.separator is PARQUET:
            yield from parquet_rows(table, places)
            return
        width = len(table.header)
        separator = "tab" if table.separator == "\t" else "comma"
        for row, cells in text_rows(table):
            count, blank = len(cells), len(cells) < 2 and not "".join(cells).strip()
            if fill_short and not blank:
                cells += [""] * (width - count)
            if len(cells) == width:
                yield row, [cells[place] for place in places]
            elif not blank:
                problem = f"{count} cell{'s' if count > 1 else ''}, but the header has {width}"
                hint = f"put names that hold a {separator} in quotes"
                column = table.header[min(count, width - 1)].strip() or None
                faults.add(f"{problem}; {hint}", row, column)
    except InputError:
        faults.raise_first()
        raise


def table_pieces(table: TableFile, names: Sequence[int], numbers: Sequence[int]) -> Iterator[Piece]:
    """Yield the table in large blocks of rows: some columns as names, others as numbers.

    Names are the cells verbatim, "" included; numbers may be NaN or infinite.

    Raises:
        NotPlain: the table has a fault, or `table_records` might read it differently.
        InputError: the file is unreadable.
    """
    read = parquet_pieces if table.separator is PARQUET else text_pieces
    for piece in read(table, names, numbers):
        yield Piece(*piece)


def sample_table(table: TableFile, places: Sequence[int]) -> Sample:
    """Return the first rows of a table, about a megabyte at most.

    Raises:
        InputError: these rows are damaged.
    """
    sample = parquet_sample if table.separator is PARQUET else text_sample
    return Sample(*sample(table, places))


def further_columns(table: TableFile, texts: dict[str, list[str]]) -> pd.DataFrame:
    """Return columns of a table as a frame, numeric if all cells are numbers, else text.

    Args:
        table: The file; Parquet columns are read again, with their types.
        texts: The cells of each column, as `table_records` yields them.
    """
    import pandas as pd

    if table.separator is PARQUET:
        return parquet_frame(table, list(texts))
    return pd.DataFrame({name: _numbers_or_text(cells) for name, cells in texts.items()})


def _numbers_or_text(cells: list[str]) -> pd.Series:
    """Return numbers, with NaN for empty cells, or text; codes such as 007 stay text."""
    import pandas as pd

    filled = list(filter(None, cells))
    if filled and all(map(_PLAIN_NUMBER.fullmatch, filled)):
        return pd.to_numeric(pd.Series([cell or None for cell in cells], dtype=object))
    return pd.Series(cells, dtype="str")
