"""Readers of user tables: CSV, TSV and other text, gzip of these, and Parquet, of any size.

`open_table` reads the header. There are two readers for the records:

- `table_records` is exact: it yields the cells row by row, and reports the row of every fault.
- `table_pieces` is fast: pyarrow reads some megabytes at a time. It raises `NotPlain` for a table
  that it might read differently from `table_records`.

Large tables are read with the fast reader first; if it raises, with the exact reader.

The format of a file:
    The suffix determines it: .csv, .tsv or .tab, .parquet or .pq; .csv.gz and so on. For another
    suffix the content does: Parquet and gzip by their first bytes; text is TSV if its first line
    holds more tabs than commas. A first line such as "sep=;", which Excel writes, names the
    separator and is skipped. Text is UTF-8, with or without a byte order mark. Cells may be in
    double quotes, which are doubled within. Lines end in LF, CRLF or CR; empty lines are skipped.
    A caller with a `TextFormat` may set the separator, header, quoting and comments.
    Other formats are refused by their name: other compressions, JSON, HTML, Excel and so on.

Rows are numbered as in a spreadsheet: the first line is row 1, and a record with line breaks in a
quoted cell is one row. The first record of a Parquet file is row 2. In columns of names, Parquet's
whole floats are written as integers; floats so large that they are rounded are refused.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import itertools
import os
import re
import stat
import zipfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from colour_embed.config import InputError
from colour_embed.io.faults import Faults, fault_at, quoted, quoted_apart
from colour_embed.io.parquet_tables import (
    parquet_cells,
    parquet_frame,
    parquet_header,
    parquet_pieces,
    parquet_rows,
    parquet_sample,
)
from colour_embed.io.text_tables import (
    SEPARATOR_LINE,
    SEPARATORS,
    TextFormat,
    swallows_lines,
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
_SEPARATOR_WORDS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "'|'", " ": "space"}
COMMENT = re.compile(r"\s*(#+|%+|//)")
"""What a line that is a comment begins with."""

_BINARY = {
    rb"BZh[1-9](1AY&SY|\x17rE8P\x90)": "is compressed with bzip2; unpack it, or use gzip",
    rb"\xfd7zXZ\0": "is compressed with xz; unpack it, or use gzip",
    rb"\x28\xb5\x2f\xfd": "is compressed with zstd; unpack it, or use gzip",
    rb"\x04\x22\x4d\x18": "is compressed with lz4; unpack it, or use gzip",
    rb"\x1f\x9d": "is compressed with compress (.Z); unpack it, or use gzip",
    rb"7z\xbc\xaf\x27\x1c": "is a 7z archive; unpack it",
    rb"(?s).{257}ustar": "is a tar archive; unpack it",
    rb"\xd0\xcf\x11\xe0": "is an Excel workbook (.xls); save it as CSV in UTF-8",
    rb"ARROW1\0": "is Arrow (Feather); save it as Parquet or CSV",
    rb"\x89HDF\r\n": "is HDF5; save it as Parquet or CSV",
    rb"SQLite format 3\0": "is an SQLite database; save its table as CSV",
    rb"(RDX[23]\n)?X\n\0\0\0": "is a file of R objects; save it with write.csv",
    rb"\x80[\2-\5]": "is a pickle of Python objects; save it as CSV or Parquet",
    rb"\x93NUMPY": "is a NumPy array; save it as CSV or Parquet",
    rb"%PDF-": "is a PDF; save its table as CSV",
}
_TEXTS = {
    r'\{\s*("|$)|\[\s*([\[{"]|$)': "is JSON; save it as CSV, with a header and a row per entry",
    r"(?i)<(!doctype|html|\?xml|!--)": "is HTML or XML, not a table; save the table as CSV",
    r"version https://git-lfs": "is a pointer of Git LFS, not the file; fetch it with git lfs pull",
}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_PLAIN_NUMBER = re.compile(r"-?(0|[1-9]\d{0,14})(\.\d{1,20})?([eE][+-]?\d{1,2})?", re.ASCII)


@dataclass(frozen=True, eq=False)
class TableFile:
    """A table file and its header.

    Attributes:
        file: The path as the user gave it.
        separator: "," or a tab or another character, or `PARQUET`.
        compressed: Whether the text is compressed with gzip.
        header: The column names, verbatim; 1, 2, 3 and so on for a text without a header.
        header_row: The row of the header; None for a text without one.
        start: The byte offset of the records in the text; None if only the exact reader can
            determine it.
        stamp: Size, modification time and inode when the file was opened.
        text: The options of a text table; None if the caller has none.
    """

    file: str
    separator: str | None
    compressed: bool
    header: list[str]
    header_row: int | None
    start: int | None
    stamp: tuple[int, int, int]
    text: TextFormat | None

    def place(self, column: str) -> int:
        """Return the position of a column, ignoring case and surrounding spaces.

        Raises:
            InputError: no column has this name, or several columns have it.
        """
        keys = [column_key(cell) for cell in self.header]
        key = column_key(column)
        if keys.count(key) > 1:
            problem = "the column stands there twice; leave one of them"
            raise fault_at(self.file, problem, self.header_row, column)
        if key not in keys:
            near = difflib.get_close_matches(key, keys, 1)
            columns = ", ".join(quoted(cell) for cell in self.header[:8])
            more = ", …" if len(self.header) > 8 else ""
            hint = f"give one of {columns}{more}"
            if near:
                _, found = quoted_apart(column, self.header[keys.index(near[0])])
                hint = f"did you mean {found}?"
            problem = f"there is no such column; {hint}"
            raise fault_at(self.file, problem, self.header_row, column)
        return keys.index(key)


class Piece(NamedTuple):
    """A block of rows: name columns as pyarrow dictionary arrays, number columns as float64.

    `booleans` is whether some numbers were written as true or false.
    """

    names: list[pa.DictionaryArray]
    numbers: list[np.ndarray]
    booleans: bool = False


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
    text: TextFormat | None = None,
) -> TableFile:
    """Return the format and the header of a table file.

    Args:
        path: The file.
        instead: Names that the caller accepts in place of a path, for the hint of a missing file.
        expected: The hint for an empty file.
        text: The options of a text table, which messages name as flags; None if the caller has
            none.

    Raises:
        InputError: the file is missing, unreadable, empty, of an unknown format or not of the
            format of its suffix, or its header is blank.
    """
    file = os.fspath(path)
    try:
        status = os.stat(file)
    except FileNotFoundError:
        hint = _hint_for_missing(Path(file), instead)
        if os.path.islink(file):
            raise fault_at(file, "is a link to a file that is not there; mend the link") from None
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
        separator, compressed = _kind(file, text)
        if separator is PARQUET:
            header, row, start = parquet_header(file), 1, 0
        else:
            header, row, start = text_header(file, separator, compressed, text)
    if not header:
        raise fault_at(file, f"is empty; {expected}")
    return TableFile(file, separator, compressed, header, row, start, _stamp(status), text)


def _hint_for_missing(path: Path, instead: Sequence[str]) -> str:
    try:
        entries = [*os.listdir(path.parent), *instead]
    except (OSError, ValueError):
        entries = instead
    by_key = {entry.casefold(): entry for entry in entries if entry != path.name}
    near = difflib.get_close_matches(path.name.casefold(), by_key, 1, cutoff=0.8)
    if near:
        return f"did you mean {quoted_apart(path.name, by_key[near[0]])[1]}?"
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


def _kind(file: str, text: TextFormat | None) -> tuple[str | None, bool]:
    """Return the separator or `PARQUET`, and whether the file is compressed."""
    path = Path(file)
    suffix = path.suffix.lower()
    named_compressed = suffix == ".gz"
    if named_compressed:
        suffix = Path(path.stem).suffix.lower()
    known = suffix in _SUFFIXES

    with text_stream(file, False) as stream:
        magic = stream.read(512)
    compressed = magic[:2] == b"\x1f\x8b"
    if magic[:4] == b"PK\3\4":
        raise fault_at(file, _zip_problem(file))
    if known and compressed and not named_compressed:
        raise fault_at(file, f"is compressed with gzip; call it {quoted(path.name + '.gz')}")
    if named_compressed and not compressed:
        _refuse_binary(file, magic)
        raise fault_at(file, "is not compressed with gzip; leave .gz out of its name")
    if compressed:
        with text_stream(file, True) as stream:
            magic = stream.read(512)
        if magic[:2] == b"\x1f\x8b":
            raise fault_at(file, "is compressed with gzip twice; unpack it once")
        if magic[:4] == b"PAR1" or (known and _SUFFIXES[suffix] is PARQUET):
            problem = "is Parquet within gzip; unpack it, as Parquet is compressed itself"
            raise fault_at(file, problem)
    _refuse_binary(file, magic)
    if known and _SUFFIXES[suffix] is PARQUET:
        return PARQUET, False
    if magic[:4] == b"PAR1":
        if known:
            raise fault_at(file, "is Parquet; let its name end in .parquet")
        return PARQUET, False
    line = _first_line(file, compressed, text)
    for beginning, problem in _TEXTS.items():
        if re.match(beginning, line.lstrip()):
            raise fault_at(file, problem)
    if text is not None and text.separator != "auto":
        return SEPARATORS[text.separator], compressed
    named = SEPARATOR_LINE.fullmatch(line)
    if named:
        return named[1], compressed
    if known:
        return _SUFFIXES[suffix], compressed
    return "\t" if line.count("\t") > line.count(",") else ",", compressed


def _refuse_binary(file: str, magic: bytes) -> None:
    for beginning, problem in _BINARY.items():
        if re.match(beginning, magic):
            raise fault_at(file, problem)


def _zip_problem(file: str) -> str:
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile):
        names = []
    if any(name.startswith("xl/") for name in names):
        return "is an Excel workbook (.xlsx); save it as CSV in UTF-8"
    return "is a zip archive; unpack it, or if it is a spreadsheet, save it as CSV in UTF-8"


def _first_line(file: str, compressed: bool, text: TextFormat | None) -> str:
    """Return the first line that is not blank and no comment, without its end."""
    with text_stream(file, compressed) as stream:
        for raw in iter(lambda: stream.readline(1 << 16), b""):
            line = raw.decode("utf-8", "replace").removeprefix("\ufeff")
            comment = text is not None and text.comment is not None
            if line.strip() and not (comment and line.startswith(text.comment)):
                return line.rstrip("\r\n")
    return ""


# Reading


def table_records(
    table: TableFile,
    places: Sequence[int],
    faults: Faults,
    *,
    names: Collection[int] = (),
    fill_short: bool = False,
) -> Iterator[tuple[int, list[str]]]:
    """Yield (row, cells) of every record, with the cells of some columns as text.

    Empty lines are skipped but counted. A record whose number of cells differs from the header's is
    added to `faults` instead; so is one with a cell that seems to hold whole lines of the file.

    Args:
        table: The file.
        places: The positions of the columns.
        faults: Collects faults; its first fault is raised if the rest of the file is unreadable.
        names: Those of the positions that hold names.
        fill_short: Pad short records with empty cells.

    Raises:
        InputError: the rest of the file is unreadable, or there is a fault above it.
    """
    try:
        if table.separator is PARQUET:
            yield from parquet_rows(table, places, names)
            return
        width = len(table.header)
        auto = table.text is not None and table.text.quoting == "auto"
        for row, cells in text_rows(table):
            count, blank = len(cells), len(cells) < 2 and not "".join(cells).strip()
            if fill_short and not blank:
                cells += [""] * (width - count)
            if auto and swallows_lines(cells, table.separator):
                problem = (
                    "a cell in quotes seems to hold whole lines of the file; give --quoting=none "
                    "where a quotation mark is a character, or --quoting=csv where it is right"
                )
                faults.add(problem, row, None)
            elif len(cells) == width:
                yield row, [cells[place] for place in places]
            elif not blank:
                problem = f"{count} cell{'s' if count > 1 else ''}, but the header has {width}"
                column = table.header[min(count, width - 1)].strip() or None
                faults.add(f"{problem}; {_ragged_hint(table, cells)}", row, column)
    except InputError:
        faults.raise_first()
        raise


def _ragged_hint(table: TableFile, cells: list[str]) -> str:
    comment = COMMENT.match(cells[0]) if cells else None
    if table.text is not None and comment and table.text.comment is None:
        return f"give --comment='{comment[1]}' if it is a comment"
    separator = _SEPARATOR_WORDS.get(table.separator, quoted(table.separator))
    if table.text is not None and table.text.quoting == "none":
        return f"names hold no {separator} with --quoting=none"
    hint = f"put names that hold a {separator} in quotes"
    if table.text is not None and any("\n" in cell for cell in cells):
        hint += ", or give --quoting=none where a quotation mark is a character"
    return hint


def first_cells(table: TableFile, places: Sequence[int], count: int = 1000) -> dict[int, list[str]]:
    """Return the first cells of some columns, as names, by their position.

    Raises:
        InputError: these rows are damaged.
    """
    if table.separator is PARQUET:
        return {place: parquet_cells(table, place, count) for place in places}
    records = itertools.islice(table_records(table, places, Faults(table.file)), count)
    columns = list(zip(*(cells for _, cells in records))) or [()] * len(places)
    return {place: list(cells) for place, cells in zip(places, columns)}


def table_pieces(
    table: TableFile,
    names: Sequence[int],
    numbers: Sequence[int],
    booleans: Sequence[int] = (),
) -> Iterator[Piece]:
    """Yield the table in large blocks of rows: some columns as names, others as numbers.

    Names are the cells verbatim, "" included; numbers may be NaN or infinite. In a text, true and
    false are numbers in the columns at `booleans`.

    Raises:
        NotPlain: the table has a fault, or `table_records` might read it differently.
        InputError: the file is unreadable.
    """
    if table.separator is PARQUET:
        pieces = parquet_pieces(table, names, numbers)
    else:
        pieces = text_pieces(table, names, numbers, booleans)
    for piece in pieces:
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
