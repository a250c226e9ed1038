"""Text tables: CSV, TSV and columns apart by other characters, plain or compressed with gzip.

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
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import numpy as np

from colour_embed.config import InputError
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

SEPARATORS = {"comma": ",", "tab": "\t", "semicolon": ";", "pipe": "|", "space": " "}
"""The separators by name; "space" is any run of spaces and tabs."""

SEPARATOR_LINE = re.compile(r"sep=([^\w\"\r\n])\s*", re.IGNORECASE)
"""The line that Excel writes above the header, and the separator in it."""

_SEPARATOR_WORDS = {",": "commas", "\t": "tabs"}
_LONE_RETURN = re.compile("(?<=\r)(?!\n)")
_WORDS = re.compile(r"[^ \t\r\n]+")
_QUOTED_OR_WORDS = re.compile(r'"(?:[^"\r\n]|"")*"(?![^ \t\r\n])|[^ \t\r\n]+')


@dataclass(frozen=True)
class TextFormat:
    """The options of reading a text table; messages name them as flags, such as --header=no.

    Attributes:
        separator: A key of `SEPARATORS`. "auto": by the suffix, else by the first line.
        header: "yes" or "no"; without a header the columns are called 1, 2, 3 and so on. "auto":
            there is one, and a header that may be the first row of data is refused.
        quoting: "csv": cells may be in double quotes. "none": a quotation mark is a character.
            "auto": as "csv", and a cell is refused that seems to hold whole lines of the file.
        comment: Lines that begin with this text are skipped.

    Raises:
        InputError: an option has another value.
    """

    separator: str = "auto"
    header: str = "auto"
    quoting: str = "auto"
    comment: str | None = None

    def __post_init__(self):  # noqa: D105
        choices = {
            "separator": ("auto", *SEPARATORS),
            "header": ("auto", "yes", "no"),
            "quoting": ("auto", "csv", "none"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                given = getattr(self, name)
                raise InputError(f"{name} is {given!r}: give one of {', '.join(allowed)}")
        prefix = self.comment
        if prefix is not None and not (isinstance(prefix, str) and prefix.strip()):
            raise InputError(f"comment is {prefix!r}: give what such lines begin with, like '#'")


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
        began: The byte offset of the last line, without a byte order mark.
        read: Bytes read so far.
        lone_return: Whether a line ended in a carriage return without a line feed.
    """

    def __init__(self, stream: IO[bytes]):
        self._stream = stream
        self.began = self.read = 0
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
            self.began = self.read + mark
            self.read += len(raw)
            if "\r" in line and line.count("\r") != line.count("\r\n"):
                self.lone_return = True
                yield from filter(None, _LONE_RETURN.split(line))
            else:
                yield line


def _records(
    lines: _Lines, file: str, separator: str, text: TextFormat | None
) -> Iterator[tuple[int, list[str]]]:
    """Yield (row, cells) of every record, including the header and empty records.

    Comments and the separator line of Excel are counted as rows, but not yielded. Messages name
    flags if there is a `text`.
    """
    hint = ", or give --quoting=none where they are characters" if text else ""
    text = text or TextFormat()
    at_record, skipped = True, False

    def fed() -> Iterator[str]:
        nonlocal at_record, skipped
        for line in lines:
            if at_record:  # a line within quotes is no comment
                at_record = False
                comment = text.comment is not None and line.startswith(text.comment)
                skipped = comment or (row == 0 and bool(SEPARATOR_LINE.fullmatch(line)))
            yield "\n" if skipped else line

    quoting = csv.QUOTE_NONE if text.quoting == "none" else csv.QUOTE_MINIMAL
    row = 0
    try:
        if separator == " ":
            records = (_words(line, text) for line in fed())
        else:
            records = csv.reader(fed(), delimiter=separator, strict=True, quoting=quoting)
        for cells in records:
            row += 1
            if not skipped:
                yield row, cells
            at_record = True
    except csv.Error as error:
        problem = f"its quotation marks do not match ({error}); close each, and double those within"
        problem += hint
        if "field limit" in str(error):
            longest = f"{csv.field_size_limit():,} characters"
            problem = f"a cell has over {longest}; shorten it, or close its quotation mark"
        raise fault_at(file, problem, row + 1) from None
    except _Damage as damage:
        raise fault_at(file, str(damage), row + 1) from None


def _words(line: str, text: TextFormat) -> list[str]:
    """Return the cells of a line, apart by runs of spaces and tabs."""
    if text.quoting == "none" or '"' not in line:
        return _WORDS.findall(line)
    return [
        cell[1:-1].replace('""', '"') if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell
        for cell in _QUOTED_OR_WORDS.findall(line)
    ]


def text_header(
    file: str, separator: str, compressed: bool, text: TextFormat | None
) -> tuple[list[str], int | None, int | None]:
    """Return the header, its row, and the byte offset of the records.

    The header of an empty file is []. Without a header the columns are called 1, 2, 3 and so on,
    and its row is None. The offset is None if a line above the records ends in a carriage return
    without a line feed.

    Args:
        file: The file.
        separator: The separator.
        compressed: Whether the text is compressed with gzip.
        text: The options; None if the caller has none.

    Raises:
        InputError: the header is blank, or has another separator.
    """
    with text_stream(file, compressed) as stream:
        lines = _Lines(stream)
        for row, first in _records(lines, file, separator, text):
            if "".join(first).strip():
                break
            if not (text and text.header == "no"):
                raise fault_at(file, "is blank; the header comes first", row)
        else:
            return [], None, 0
        began, read = lines.began, lines.read
    if len(first) == 1:
        found = max("\t;|,".replace(separator, ""), key=first[0].count)
        if found in first[0]:
            said = _SEPARATOR_WORDS.get(found, repr(found))
            own = {" ": "spaces"}.get(separator) or _SEPARATOR_WORDS.get(separator, repr(separator))
            hint = f"save it with {own}"
            if text:
                name = next(name for name, one in SEPARATORS.items() if one == found)
                hint = f"give --separator={name}, or {hint}"
            raise fault_at(file, f"the columns are separated by {said}; {hint}", row)
    if not (text and text.header == "no"):
        return first, row, None if lines.lone_return else read
    names = [str(place + 1) for place in range(len(first))]
    # The offset is that of the record's last line, and a cell may hold line breaks.
    whole = lines.lone_return or "\n" in "".join(first)
    return names, None, None if whole else began


def _below_header(table: TableFile, lines: _Lines) -> Iterator[tuple[int, list[str]]]:
    rows = _records(lines, table.file, table.separator, table.text)
    if table.header_row is not None:
        next(rows)
    return rows


def text_rows(table: TableFile) -> Iterator[tuple[int, list[str]]]:
    """Yield (row, cells) of every record below the header, including empty and ragged ones."""
    with text_stream(table.file, table.compressed) as stream:
        yield from _below_header(table, _Lines(stream))


def text_sample(table: TableFile, places: Sequence[int]) -> tuple[list[list[str]], int]:
    """Return the first rows and an estimate of the number of rows."""
    found = []
    with text_stream(table.file, table.compressed) as stream:
        lines = _Lines(stream)
        for _, cells in _below_header(table, lines):
            if len(cells) == len(table.header):
                found.append([cells[place] for place in places])
            if lines.read > SAMPLE_BYTES:
                # For a compressed file, the compressed bytes that were read for these rows.
                taken = stream.fileobj.tell() if table.compressed else lines.read
                share = min(1.0, taken / table.stamp[0])
                return found, round(len(found) / share)
    return found, len(found)


def swallows_lines(cells: Sequence[str], separator: str) -> bool:
    """Return whether a quoted cell of a record seems to hold whole lines of the file.

    In a record that a quotation mark joins from several lines, each line has its separators. Those
    of prose are told from them by the space that follows.
    """
    breaks = sum(cell.count("\n") for cell in cells)
    if not breaks or len(cells) < 2:
        return False
    inside = sum(cell.count(separator) for cell in cells)
    prose = any(separator + " " in cell for cell in cells)
    return inside == breaks * (len(cells) - 1) and not prose


# The fast reader


def text_pieces(
    table: TableFile, names: Sequence[int], numbers: Sequence[int], booleans: Sequence[int]
) -> Iterator[tuple[list[pa.DictionaryArray], list[np.ndarray], bool]]:
    """Yield the columns of names and of numbers in pieces, as `table_pieces` does."""
    try:
        import pyarrow as pa
        from pyarrow import csv
    except ModuleNotFoundError:
        raise NotPlain from None  # the exact reader needs no optional package

    if table.start is None:
        raise NotPlain
    options = table.text or TextFormat()
    text = pa.dictionary(pa.int32(), pa.string())
    types = {**dict.fromkeys(map(str, names), text), **dict.fromkeys(map(str, numbers), "double")}
    with_booleans = {**types, **dict.fromkeys(map(str, booleans), "bool")}
    kinds = [types, with_booleans] if booleans else [types]
    columns = [str(place) for place in range(len(table.header))]

    def parse(rows: bytes, has_quotes: bool, types: dict) -> pa.Table:
        read = csv.ReadOptions(use_threads=False, block_size=len(rows) + 1, column_names=columns)
        parsing = csv.ParseOptions(
            delimiter=table.separator,
            quote_char=False if options.quoting == "none" else '"',
            newlines_in_values=has_quotes,
        )
        convert = csv.ConvertOptions(
            include_columns=list(types),
            column_types=types,
            null_values=[],
            strings_can_be_null=False,
            true_values=["1", "True", "TRUE", "true"],
            false_values=["0", "False", "FALSE", "false"],
        )
        return csv.read_csv(pa.BufferReader(rows), read, parsing, convert)

    with text_stream(table.file, table.compressed) as stream:
        stream.read(table.start)
        for rows, has_quotes in _plain_rows(stream, table.separator, options):
            for kind in list(kinds):
                try:
                    parsed = parse(rows, has_quotes, kind)
                except pa.ArrowException:
                    continue
                if kind is not kinds[0]:
                    kinds.reverse()
                break
            else:
                raise NotPlain
            lines = rows.count(b"\n") + (not rows.endswith(b"\n"))
            if has_quotes and options.quoting == "auto" and len(parsed) < lines:
                everything = parse(rows, True, dict.fromkeys(columns, "string"))
                _check_lines(everything, table.separator)
            if len(parsed):
                yield (
                    [parsed.column(str(place)).combine_chunks() for place in names],
                    [np.asarray(parsed.column(str(place)), np.float64) for place in numbers],
                    kind is with_booleans,
                )


def _check_lines(parsed: pa.Table, separator: str) -> None:
    """Raise NotPlain if `swallows_lines` holds for a record."""
    from pyarrow import compute

    breaks, inside, prose = (
        sum(compute.count_substring(column, found).to_numpy() for column in parsed.columns)
        for found in ("\n", separator, separator + " ")
    )
    if np.any((breaks > 0) & (inside == breaks * (parsed.num_columns - 1)) & (prose == 0)):
        raise NotPlain


def _plain_rows(
    stream: IO[bytes], separator: str, text: TextFormat
) -> Iterator[tuple[bytes, bool]]:
    """Yield (bytes of whole rows, whether they hold quotes).

    Raises:
        NotPlain: pyarrow and the csv module might read them differently.
    """
    rest, at_end = b"", False
    while not at_end:
        block = stream.read(PIECE_BYTES)
        rest, at_end = rest + block, not block
        quotes = np.empty(0, np.int64)
        if text.quoting != "none" and b'"' in rest:
            quotes = np.flatnonzero(np.frombuffer(rest, np.uint8) == ord('"'))
        end = len(rest) if at_end else _end_of_rows(rest, quotes)
        if end == 0 and len(rest) > LONGEST_LINE:
            raise NotPlain
        rows, rest = rest[:end], rest[end:]
        quotes = quotes[quotes < end]
        _check_plain(rows, quotes, separator)
        if separator == " ":
            _check_single_spaces(rows, quotes)
        if text.comment is not None:
            prefix = text.comment.encode()
            if rows.startswith(prefix) or b"\n" + prefix in rows:
                raise NotPlain
        if rows and not rows.isspace():
            yield rows, quotes.size > 0


def _check_single_spaces(rows: bytes, quotes: np.ndarray) -> None:
    odd = (b"\t", b"  ", b"\n ", b" \n", b" \r")
    if quotes.size or rows[:1] == b" " or rows[-1:] == b" " or any(one in rows for one in odd):
        raise NotPlain


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
    marked = rows.startswith(b"\xef\xbb\xbf")  # pyarrow removes a byte order mark from each piece
    if blank or marked or b"\0" in rows or rows.count(b"\r") != rows.count(b"\r\n"):
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
