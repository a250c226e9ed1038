"""Tables that people bring, of any size: CSV, TSV, gzip of these, and Parquet.

A table is read in one of two ways. `pieces` is the fast one: pyarrow, some megabytes at a time. It
gives up (`NotPlain`) on whatever it does not read exactly as the csv module does. `records` is the
exact one: row by row with the csv module, which knows the row of every fault. Whoever reads tries
the first and falls back on the second; a table that both can read is the same by both.

What a file is:
    By its suffix: .csv, .tsv or .tab, .parquet or .pq; .csv.gz and so on. With any other name it is
    sniffed: Parquet and gzip by their first bytes; text has tabs where its first line holds more of
    them than commas. Text is UTF-8, with or without a byte order mark; cells may be in double
    quotes, which are doubled within. Lines end in any of the usual ways; empty lines are skipped.

Rows are counted as a spreadsheet counts them: 1 is the header, and a record with line breaks in a
quoted cell is one row. The first record of a Parquet file is row 2 all the same.
"""

from __future__ import annotations

import contextlib
import decimal
import difflib
import gzip
import itertools
import os
import re
import stat
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np

from colour_embed.config import InputError
from colour_embed.data import column_key, fault_at, quoted, records

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

PIECE_BYTES = 8 << 20
"""How much text is converted at a time."""

PIECE_ROWS = 1 << 19
"""How many records of a Parquet file are converted at a time."""

LONGEST_LINE = 16 << 20
"""Bytes; a longer line is refused, so that no file without line breaks fills the memory."""

LONGEST_NAME = 1000
"""Characters that the name of an item may have."""

SAMPLE_BYTES = 1 << 20
"""How much of a table is looked at to say how long it is."""

PARQUET = None
"""Stands where a text table has its separator."""

_SUFFIXES = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".parquet": PARQUET, ".pq": PARQUET}
_SEPARATOR_WORDS = {",": "commas", "\t": "tabs"}
_DAMAGE = (OSError, EOFError, ValueError, LookupError, TypeError, ArithmeticError, MemoryError)
_LONE_RETURN = re.compile("(?<=\r)(?!\n)")


class NotPlain(Exception):
    """The fast reader does not know this table for certain; read its `records`."""


class _Damage(Exception):
    """What is wrong with a line, and how to mend it; the row is added by who counts them."""


@dataclass(frozen=True, eq=False)
class TableFile:
    """A table whose header was read.

    Attributes:
        path: Where it is.
        file: Its path as the user gave it, for messages.
        separator: "," or a tab, or `PARQUET`.
        compressed: With gzip; of text only.
        header: The columns' names as they are written.
        start: Bytes of text before the first record; None where only `records` can tell.
        stamp: Size, time of change and place on the disk when it was opened.
    """

    path: Path
    file: str
    separator: str | None
    compressed: bool
    header: list[str]
    start: int | None
    stamp: tuple[int, int, int]

    def place(self, column: str) -> int:
        """Return where a column stands; capitals and spaces around names do not matter.

        Raises:
            InputError: no column, or several, are called so.
        """
        keys = [column_key(cell) for cell in self.header]
        key = column_key(column)
        if keys.count(key) > 1:
            raise fault_at(self.file, "the column stands there twice; leave one of them", 1, column)
        if key not in keys:
            near = difflib.get_close_matches(key, keys, 1)
            columns = ", ".join(quoted(cell) for cell in self.header[:8])
            more = ", …" if len(self.header) > 8 else ""
            mend = f"give one of {columns}{more}"
            if near:
                mend = f"did you mean {quoted(self.header[keys.index(near[0])])}?"
            raise fault_at(self.file, f"there is no such column; {mend}", 1, column)
        return keys.index(key)


class Piece(NamedTuple):
    """A run of rows: columns of names as pyarrow's dictionary arrays, and of numbers as float64."""

    names: list[pa.DictionaryArray]
    numbers: list[np.ndarray]


class Sample(NamedTuple):
    """The first rows of a table, and about how many there are in all."""

    rows: list[list[str]]
    expected: int


# Opening


def open_table(path: str | os.PathLike) -> TableFile:
    """Find out what a file is, and read its header.

    Raises:
        InputError: there is no such file, it can't be read, it is none of the known kinds, is not
            what its suffix says, or has no header.
    """
    file = os.fspath(path)
    try:
        status = os.stat(file)
    except FileNotFoundError:
        raise fault_at(file, f"there is no such file; {_other_file(Path(file))}") from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        mend = "check the path and its permissions"
        raise fault_at(file, f"can't be read ({error}); {mend}") from None
    if stat.S_ISDIR(status.st_mode):
        raise fault_at(file, "is a folder; give the file in it")
    if not stat.S_ISREG(status.st_mode):
        raise fault_at(file, "is no regular file, so it can't be read twice; save it as a file")
    if status.st_size == 0:
        raise fault_at(file, "is empty; give a table with a header and a row per entry")
    separator, compressed = _kind(Path(file), file)
    if separator is PARQUET:
        with _parquet(Path(file), file) as parquet:
            header, start = list(parquet.schema_arrow.names), 0
    else:
        header, start = _text_header(Path(file), file, separator, compressed)
    return TableFile(Path(file), file, separator, compressed, header, start, _stamp(status))


def _other_file(path: Path) -> str:
    try:
        near = difflib.get_close_matches(path.name, os.listdir(path.parent), 1, cutoff=0.8)
    except (OSError, ValueError):
        near = []
    return f"did you mean {quoted(near[0])}?" if near else "check its path"


def _stamp(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ino


@contextlib.contextmanager
def unchanged(table: TableFile) -> Iterator[None]:
    """Refuse what the block read, or its complaint, if the file was changed meanwhile.

    Raises:
        InputError: the file is not what it was when it was opened.
    """

    def check():
        try:
            now = _stamp(os.stat(table.path))
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


def _kind(path: Path, file: str) -> tuple[str | None, bool]:
    """Return the separator, or `PARQUET`, and whether the file is compressed."""
    suffix = path.suffix.lower()
    named_compressed = suffix == ".gz"
    if named_compressed:
        suffix = Path(path.stem).suffix.lower()
    known = suffix in _SUFFIXES
    text = known and _SUFFIXES[suffix] is not PARQUET

    with _stream(path, file, False) as stream:
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
    with _stream(path, file, compressed) as stream:
        line = stream.readline(1 << 16)
    return "\t" if line.count(b"\t") > line.count(b",") else ",", compressed


# Text


@contextlib.contextmanager
def _stream(path: Path, file: str, compressed: bool) -> Iterator[IO[bytes]]:
    """The bytes of a text table, unpacked."""
    try:
        with gzip.open(path, "rb") if compressed else open(path, "rb") as stream:
            yield stream
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        mend = "make or copy the file again"
        raise fault_at(file, f"its gzip data is damaged or cut short ({error}); {mend}") from None
    except OSError as error:
        mend = "check its permissions and its disk"
        raise fault_at(file, f"can't be read ({error.strerror or error}); {mend}") from None


class _Lines:
    """The lines of a stream as text with their ends.

    Attributes:
        read: Bytes read so far.
        lone_return: Whether a line ended in a carriage return alone.
    """

    def __init__(self, stream: IO[bytes]):
        self._stream = stream
        self.read = 0
        self.lone_return = False

    def __iter__(self) -> Iterator[str]:
        mend = "save it as text in UTF-8"
        while raw := self._stream.readline(LONGEST_LINE):
            if len(raw) == LONGEST_LINE:
                raise _Damage(
                    f"a line has over {LONGEST_LINE:,} bytes; close its quotation mark, or put "
                    "each pair on a line of its own"
                )
            if self.read == 0 and raw.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise _Damage(f"is UTF-16; {mend}")
            if b"\0" in raw:
                place = self.read + raw.index(b"\0")
                raise _Damage(f"byte {place} is a null byte, as in UTF-16; {mend}")
            try:
                # The mark is taken off here, as the decoder that does so counts without it.
                mark = 3 if self.read == 0 and raw.startswith(b"\xef\xbb\xbf") else 0
                line = raw[mark:].decode()
            except UnicodeDecodeError as error:
                place = self.read + mark + error.start
                raise _Damage(f"byte {place} is not UTF-8, perhaps Latin-1; {mend}") from None
            self.read += len(raw)
            if "\r" in line and line.count("\r") != line.count("\r\n"):
                self.lone_return = True
                yield from filter(None, _LONE_RETURN.split(line))
            else:
                yield line


def _text_rows(lines: _Lines, file: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (row, cells) of every record, the header's too."""
    row = 0
    try:
        for row, cells in records(
            lines, file, separator, f"names may have {LONGEST_NAME:,} characters"
        ):
            yield row, cells
    except _Damage as damage:
        raise fault_at(file, str(damage), row + 1) from None


def _text_header(
    path: Path, file: str, separator: str, compressed: bool
) -> tuple[list[str], int | None]:
    """Return the header and where the records start; None where lines end in lone returns."""
    with _stream(path, file, compressed) as stream:
        lines = _Lines(stream)
        _, header = next(_text_rows(lines, file, separator), (1, None))
        if header is None:
            raise fault_at(file, "is empty; give a table with a header and a row per entry")
        if not "".join(header).strip():
            raise fault_at(file, "is blank; the header comes first", 1)
        if len(header) == 1:
            found = max("\t;|,".replace(separator, ""), key=header[0].count)
            if found in header[0]:
                found = _SEPARATOR_WORDS.get(found, repr(found))
                mend = f"save it with {_SEPARATOR_WORDS[separator]}"
                raise fault_at(file, f"the columns are separated by {found}; {mend}", 1)
        return header, None if lines.lone_return else lines.read


def _text_pieces(table: TableFile, names: Sequence[int], numbers: Sequence[int]) -> Iterator[Piece]:
    import pyarrow as pa
    from pyarrow import csv

    if table.start is None:
        raise NotPlain
    text = pa.dictionary(pa.int32(), pa.string())
    types = {**dict.fromkeys(map(str, names), text), **dict.fromkeys(map(str, numbers), "double")}
    convert = csv.ConvertOptions(
        include_columns=list(types), column_types=types, null_values=[], strings_can_be_null=False
    )
    with _stream(table.path, table.file, table.compressed) as stream:
        stream.read(table.start)
        for rows, has_quotes in _plain_rows(stream, table.separator):
            read = csv.ReadOptions(
                use_threads=False,
                block_size=len(rows) + 1,
                column_names=[str(place) for place in range(len(table.header))],
            )
            parse = csv.ParseOptions(delimiter=table.separator, newlines_in_values=has_quotes)
            try:
                parsed = csv.read_csv(pa.BufferReader(rows), read, parse, convert)
            except pa.ArrowException:
                raise NotPlain from None
            if len(parsed):
                yield Piece(
                    [parsed.column(str(place)).combine_chunks() for place in names],
                    [parsed.column(str(place)).to_numpy() for place in numbers],
                )


def _plain_rows(stream: IO[bytes], separator: str) -> Iterator[tuple[bytes, bool]]:
    """Yield runs of whole rows that pyarrow and the csv module read alike, and if they hold quotes.

    Raises:
        NotPlain: there is no knowing that they do.
    """
    rest, at_end = b"", False
    while not at_end:
        block = stream.read(PIECE_BYTES)
        rest, at_end = rest + block, not block
        quotes = np.empty(0, np.int64)
        if b'"' in rest:
            quotes = np.flatnonzero(np.frombuffer(rest, np.uint8) == ord('"'))
        end = len(rest) if at_end else _end_of_rows(rest, quotes)
        if end == 0 and len(rest) > LONGEST_LINE:
            raise NotPlain
        rows, rest = rest[:end], rest[end:]
        quotes = quotes[quotes < end]
        _check_plain(rows, quotes, separator)
        if rows and not rows.isspace():
            yield rows, quotes.size > 0


def _end_of_rows(text: bytes, quotes: np.ndarray) -> int:
    """Return where the last whole row ends; a line break within quotes does not end one."""
    if not quotes.size:
        return text.rfind(b"\n") + 1
    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n"))
    outside = ends[np.searchsorted(quotes, ends) % 2 == 0]
    return int(outside[-1]) + 1 if outside.size else 0


def _check_plain(rows: bytes, quotes: np.ndarray, separator: str) -> None:
    # Of bytes that are all white space pyarrow says that they are empty, tabs included.
    blank = rows.isspace() and separator.encode() in rows
    if blank or b"\0" in rows or rows.count(b"\r") != rows.count(b"\r\n"):
        raise NotPlain
    if not rows.isascii():
        try:
            rows.decode()
        except UnicodeDecodeError:
            raise NotPlain from None
    if quotes.size:
        # Every first quote must open a cell or follow a closing one, which doubles it; likewise
        # every second. Then there is only one way to read them.
        around = np.zeros(256, bool)
        around[list(f'\r\n"{separator}'.encode())] = True
        text = np.frombuffer(b"\n" + rows + b"\n", np.uint8)
        before, after = text[quotes[0::2]], text[quotes[1::2] + 2]
        if quotes.size % 2 or not (around[before].all() and around[after].all()):
            raise NotPlain


# Parquet


@contextlib.contextmanager
def _parquet(path: Path, file: str, **options) -> Iterator[ParquetFile]:
    """An open Parquet file. It is not mapped: one that shrinks would end the process."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        with open(path, "rb") as stream, ParquetFile(stream, **options) as parquet:
            yield parquet
    except (InputError, NotPlain):
        raise
    except (pa.ArrowException, *_DAMAGE) as error:
        said = quoted(" ".join(str(error).split()), 120)
        raise fault_at(
            file, f"is no Parquet, or damaged or cut short ({said}); write the file again"
        ) from None


def _batches(
    parquet: ParquetFile, table: TableFile, places: Sequence[int], size: int
) -> Iterator[list[pa.Array]]:
    """Yield the columns of each batch; size is in rows."""
    columns = [table.header[place] for place in places]
    for batch in parquet.iter_batches(size, columns=columns, use_threads=False):
        # By its name, since a column "a" brings "a.b" along.
        found = [batch.column(batch.schema.names.index(column)) for column in columns]
        for column in found:
            column.validate(full=True)  # damage may leave text that is not UTF-8, or bad indices
        yield found


def _parquet_pieces(
    table: TableFile, names: Sequence[int], numbers: Sequence[int]
) -> Iterator[Piece]:
    from pyarrow import types

    with _parquet(table.path, table.file) as parquet:
        kinds = {place: parquet.schema_arrow.field(place).type for place in names}
    if any(map(types.is_nested, kinds.values())):
        raise NotPlain
    dictionaries = [table.header[place] for place in names if not types.is_integer(kinds[place])]
    with _parquet(table.path, table.file, read_dictionary=dictionaries) as parquet:
        for columns in _batches(parquet, table, [*names, *numbers], PIECE_ROWS):
            texts, values = columns[: len(names)], columns[len(names) :]
            yield Piece(list(map(_as_dictionary, texts)), list(map(_as_doubles, values)))


def _as_dictionary(column: pa.Array) -> pa.DictionaryArray:
    from pyarrow import types

    if types.is_integer(column.type):
        column = column.cast("string")
    if types.is_string(column.type) or types.is_large_string(column.type):
        column = column.dictionary_encode()
    if not types.is_dictionary(column.type) or column.null_count or column.dictionary.null_count:
        raise NotPlain
    if not (
        types.is_string(column.type.value_type) or types.is_large_string(column.type.value_type)
    ):
        raise NotPlain
    return column


def _as_doubles(column: pa.Array) -> np.ndarray:
    from pyarrow import types

    plain = types.is_boolean(column.type) or types.is_integer(column.type)
    if not (plain or types.is_floating(column.type)) or column.null_count:
        raise NotPlain
    return column.to_numpy(zero_copy_only=False).astype(np.float64)


def _parquet_records(
    table: TableFile, places: Sequence[int]
) -> Iterator[tuple[int, list[str] | int]]:
    with _parquet(table.path, table.file) as parquet:
        row = itertools.count(2)
        for columns in _batches(parquet, table, places, 1 << 14):
            texts = [
                [_cell(value, table, place) for value in column.to_pylist()]
                for column, place in zip(columns, places)
            ]
            for cells in zip(*texts):
                yield next(row), list(cells)


def _cell(value: object, table: TableFile, place: int) -> str:
    """Return a value as a text table would hold it; "" for null."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if not isinstance(value, (str, int, float, decimal.Decimal)):
        problem = f"holds values of the kind {type(value).__name__}; save it as text or numbers"
        raise fault_at(table.file, problem, None, table.header[place])
    return str(value)


# Either


def table_records(table: TableFile, places: Sequence[int]) -> Iterator[tuple[int, list[str] | int]]:
    """Yield every record exactly: its row, and the cells of these columns as text.

    In place of the cells stands their number where it is not the header's. Empty lines are skipped
    but counted.

    Raises:
        InputError: damage after which nothing more can be read.
    """
    if table.separator is PARQUET:
        yield from _parquet_records(table, places)
        return
    width = len(table.header)
    with _stream(table.path, table.file, table.compressed) as stream:
        rows = _text_rows(_Lines(stream), table.file, table.separator)
        for row, cells in itertools.islice(rows, 1, None):
            if len(cells) == width:
                yield row, [cells[place] for place in places]
            elif "".join(cells).strip() or len(cells) > 1:
                yield row, len(cells)


def table_pieces(table: TableFile, names: Sequence[int], numbers: Sequence[int]) -> Iterator[Piece]:
    """Yield the table in large pieces: some columns as names, others as numbers.

    Names are whatever stands there, "" included; numbers may be NaN or infinite.

    Raises:
        NotPlain: the table is at fault, or is not for certain what `table_records` reads.
        InputError: the file can't be read at all.
    """
    read = _parquet_pieces if table.separator is PARQUET else _text_pieces
    yield from read(table, names, numbers)


def sample_table(table: TableFile, places: Sequence[int]) -> Sample:
    """Look at the first rows of a table, at most about a megabyte.

    Raises:
        InputError: damage there, after which nothing more can be read.
    """
    if table.separator is PARQUET:
        with _parquet(table.path, table.file) as parquet:
            expected = parquet.metadata.num_rows
        rows = itertools.islice(_parquet_records(table, places), 10_000)
        return Sample([cells for _, cells in rows], expected)
    found = []
    with _stream(table.path, table.file, table.compressed) as stream:
        lines = _Lines(stream)
        for _, cells in _text_rows(lines, table.file, table.separator):
            if len(cells) == len(table.header):
                found.append([cells[place] for place in places])
            if lines.read > SAMPLE_BYTES:
                # Of a compressed file, as much of it as was unpacked for these rows.
                taken = stream.fileobj.tell() if table.compressed else lines.read
                share = min(1.0, taken / table.stamp[0])
                return Sample(found[1:], round(len(found) / share))
    return Sample(found[1:], max(0, len(found) - 1))


def further_columns(table: TableFile, texts: dict[str, list[str]]) -> pd.DataFrame:
    """Return columns of a table as a frame: numbers where all cells are numbers, else text.

    Args:
        table: The file; of Parquet the columns are read again, with the types they have.
        texts: The cells of each column, as `table_records` yields them.
    """
    import pandas as pd

    if table.separator is PARQUET:
        with _parquet(table.path, table.file) as parquet:
            read = parquet.read(columns=list(texts), use_threads=False)
            return read.to_pandas(ignore_metadata=True)[list(texts)]
    return pd.DataFrame({name: _numbers_or_text(cells) for name, cells in texts.items()})


_PLAIN_NUMBER = re.compile(r"-?(0|[1-9]\d{0,14})(\.\d{1,20})?([eE][+-]?\d{1,2})?", re.ASCII)


def _numbers_or_text(cells: list[str]) -> pd.Series:
    """Numbers, with NaN for empty cells; but codes such as 007 stay text."""
    import pandas as pd

    filled = list(filter(None, cells))
    if filled and all(map(_PLAIN_NUMBER.fullmatch, filled)):
        return pd.to_numeric(pd.Series([cell or None for cell in cells], dtype=object))
    return pd.Series(cells, dtype="str")
