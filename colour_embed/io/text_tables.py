"""Text tables: CSV and TSV, plain or compressed with gzip.

`text_rows`, the exact reader, uses the csv module row by row. `text_pieces`, the fast reader, uses
pyarrow some megabytes at a time. It raises `NotPlain` for text that the two might read differently.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING

import numpy as np

from colour_embed.io.faults import NotPlain, fault_at

if TYPE_CHECKING:
    import pyarrow as pa

    from colour_embed.io.tables import TableFile

PIECE_BYTES = 8 << 20
"""Bytes of text that the fast reader converts at a time."""

LONGEST_LINE = 16 << 20
"""The most bytes of a line, which bounds the memory for a file without line breaks."""

SAMPLE_BYTES = 1 << 20
"""Bytes that are read to estimate the number of rows."""

_SEPARATOR_WORDS = {",": "commas", "\t": "tabs"}
_LONE_RETURN = re.compile("(?<=\r)(?!\n)")


class _Damage(Exception):
    """The fault of a line and a hint; `_records` adds the row."""


@contextlib.contextmanager
def text_stream(file: str, compressed: bool) -> Iterator[IO[bytes]]:
    """Open a text table as a stream of its decompressed bytes."""
    try:
        with gzip.open(file, "rb") if compressed else open(file, "rb") as stream:
            yield stream
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        hint = "make or copy the file again"
        raise fault_at(file, f"its gzip data is damaged or cut short ({error}); {hint}") from None
    except OSError as error:
        hint = "check its permissions and its disk"
        raise fault_at(file, f"can't be read ({error.strerror or error}); {hint}") from None


class _Lines:
    """Iterator over the lines of a stream as text, with their line ends.

    Attributes:
        read: Bytes read so far.
        lone_return: Whether a line ended in a carriage return without a line feed.
    """

    def __init__(self, stream: IO[bytes]):
        self._stream = stream
        self.read = 0
        self.lone_return = False

    def __iter__(self) -> Iterator[str]:
        hint = "save it as text in UTF-8"
        while raw := self._stream.readline(LONGEST_LINE):
            if len(raw) == LONGEST_LINE:
                raise _Damage(
                    f"a line has over {LONGEST_LINE:,} bytes; close its quotation mark, or put "
                    "each row on a line of its own"
                )
            if self.read == 0 and raw.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise _Damage(f"is UTF-16; {hint}")
            if b"\0" in raw:
                place = self.read + raw.index(b"\0")
                raise _Damage(f"byte {place} is a null byte, as in UTF-16; {hint}")
            try:
                # The mark is removed here, since "utf-8-sig" reports error offsets without it.
                mark = 3 if self.read == 0 and raw.startswith(b"\xef\xbb\xbf") else 0
                line = raw[mark:].decode()
            except UnicodeDecodeError as error:
                place = self.read + mark + error.start
                raise _Damage(f"byte {place} is not UTF-8, perhaps Latin-1; {hint}") from None
            self.read += len(raw)
            if "\r" in line and line.count("\r") != line.count("\r\n"):
                self.lone_return = True
                yield from filter(None, _LONE_RETURN.split(line))
            else:
                yield line


def _records(lines: _Lines, file: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (row, cells) of every record, including the header and empty records."""
    row = 0
    try:
        for row, cells in enumerate(csv.reader(lines, delimiter=separator, strict=True), start=1):
            yield row, cells
    except csv.Error as error:
        problem = f"its quotation marks do not match ({error}); close each, and double those within"
        if "field limit" in str(error):
            longest = f"{csv.field_size_limit():,} characters"
            problem = f"a cell has over {longest}; shorten it, or close its quotation mark"
        raise fault_at(file, problem, row + 1) from None
    except _Damage as damage:
        raise fault_at(file, str(damage), row + 1) from None


def text_header(file: str, separator: str, compressed: bool) -> tuple[list[str], int | None]:
    """Return the header and the byte offset of the records.

    The header of an empty file is []. The offset is None if the header ends in a carriage return
    without a line feed.

    Raises:
        InputError: the header is blank, or has another separator.
    """
    with text_stream(file, compressed) as stream:
        lines = _Lines(stream)
        _, header = next(_records(lines, file, separator), (1, None))
    if header is None:
        return [], 0
    if not "".join(header).strip():
        raise fault_at(file, "is blank; the header comes first", 1)
    if len(header) == 1:
        found = max("\t;|,".replace(separator, ""), key=header[0].count)
        if found in header[0]:
            found = _SEPARATOR_WORDS.get(found, repr(found))
            hint = f"save it with {_SEPARATOR_WORDS[separator]}"
            raise fault_at(file, f"the columns are separated by {found}; {hint}", 1)
    return header, None if lines.lone_return else lines.read


def text_rows(table: TableFile) -> Iterator[tuple[int, list[str]]]:
    """Yield (row, cells) of every record below the header, including empty and ragged ones."""
    with text_stream(table.file, table.compressed) as stream:
        rows = _records(_Lines(stream), table.file, table.separator)
        next(rows)
        yield from rows


def text_sample(table: TableFile, places: Sequence[int]) -> tuple[list[list[str]], int]:
    """Return the first rows and an estimate of the number of rows."""
    found = []
    with text_stream(table.file, table.compressed) as stream:
        lines = _Lines(stream)
        for _, cells in _records(lines, table.file, table.separator):
            if len(cells) == len(table.header):
                found.append([cells[place] for place in places])
            if lines.read > SAMPLE_BYTES:
                # For a compressed file, the compressed bytes that were read for these rows.
                taken = stream.fileobj.tell() if table.compressed else lines.read
                share = min(1.0, taken / table.stamp[0])
                return found[1:], round(len(found) / share)
    return found[1:], max(0, len(found) - 1)


# The fast reader


def text_pieces(
    table: TableFile, names: Sequence[int], numbers: Sequence[int]
) -> Iterator[tuple[list[pa.DictionaryArray], list[np.ndarray]]]:
    """Yield the columns of names and of numbers in pieces, as `table_pieces` does."""
    try:
        import pyarrow as pa
        from pyarrow import csv
    except ModuleNotFoundError:
        raise NotPlain from None  # the exact reader needs no optional package

    if table.start is None:
        raise NotPlain
    text = pa.dictionary(pa.int32(), pa.string())
    types = {**dict.fromkeys(map(str, names), text), **dict.fromkeys(map(str, numbers), "double")}
    convert = csv.ConvertOptions(
        include_columns=list(types), column_types=types, null_values=[], strings_can_be_null=False
    )
    with text_stream(table.file, table.compressed) as stream:
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
                yield (
                    [parsed.column(str(place)).combine_chunks() for place in names],
                    [parsed.column(str(place)).to_numpy() for place in numbers],
                )


def _plain_rows(stream: IO[bytes], separator: str) -> Iterator[tuple[bytes, bool]]:
    """Yield (bytes of whole rows, whether they hold quotes).

    Raises:
        NotPlain: pyarrow and the csv module might read them differently.
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
    """Return the end of the last whole row; line breaks within quotes do not end a row."""
    if not quotes.size:
        return text.rfind(b"\n") + 1
    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n"))
    outside = ends[np.searchsorted(quotes, ends) % 2 == 0]
    return int(outside[-1]) + 1 if outside.size else 0


def _check_plain(rows: bytes, quotes: np.ndarray, separator: str) -> None:
    # pyarrow treats lines of only white space, tabs included, as empty.
    blank = rows.isspace() and separator.encode() in rows
    if blank or b"\0" in rows or rows.count(b"\r") != rows.count(b"\r\n"):
        raise NotPlain
    if not rows.isascii():
        try:
            rows.decode()
        except UnicodeDecodeError:
            raise NotPlain from None
    if quotes.size:
        # Quoted text is unambiguous if each opening quote is at the start of a cell or follows a
        # closing quote (a doubled quote), and each closing quote is likewise at the end of a cell.
        around = np.zeros(256, bool)
        around[list(f'\r\n"{separator}'.encode())] = True
        text = np.frombuffer(b"\n" + rows + b"\n", np.uint8)
        before, after = text[quotes[0::2]], text[quotes[1::2] + 2]
        if quotes.size % 2 or not (around[before].all() and around[after].all()):
            raise NotPlain
