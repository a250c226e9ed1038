"""Parquet tables. The first record is row 2, as in a text table with a header."""

from __future__ import annotations

import contextlib
import decimal
import itertools
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from colour_embed.config import InputError
from colour_embed.io.extras import from_extra
from colour_embed.io.faults import NotPlain, fault_at, quoted

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    from colour_embed.io.tables import TableFile

PIECE_ROWS = 1 << 19
"""Records that the fast reader converts at a time."""

_RECORD_ROWS = 1 << 14  # that the exact reader converts at a time
_SAMPLE_ROWS = 10_000
_PRECISION = {16: 11, 32: 24, 64: 53}  # bits of a float: those of its significand
_DAMAGE = (OSError, EOFError, ValueError, LookupError, TypeError, ArithmeticError, MemoryError)


@contextlib.contextmanager
def _opened(file: str, **options) -> Iterator[ParquetFile]:
    """Open a Parquet file, without a memory map: if the file shrinks, a map kills the process."""
    pa = from_extra("pyarrow", "pairs", "reading Parquet")
    ParquetFile = from_extra("pyarrow.parquet", "pairs", "reading Parquet").ParquetFile

    try:
        with open(file, "rb") as stream, ParquetFile(stream, **options) as parquet:
            yield parquet
    except (InputError, NotPlain):
        raise
    except (pa.ArrowException, *_DAMAGE) as error:
        said = quoted(" ".join(str(error).split()), 120)
        raise fault_at(
            file, f"is no Parquet, or damaged or cut short ({said}); write the file again"
        ) from None


def parquet_header(file: str) -> list[str]:
    """Return the names of the columns."""
    with _opened(file) as parquet:
        return list(parquet.schema_arrow.names)


def _batches(
    parquet: ParquetFile, table: TableFile, places: Sequence[int], rows: int
) -> Iterator[list[pa.Array]]:
    """Yield the columns at `places`, `rows` rows at a time."""
    columns = [table.header[place] for place in places]
    for batch in parquet.iter_batches(rows, columns=columns, use_threads=False):
        # Looked up by name, since pyarrow also selects "a.b" for a column "a".
        found = [batch.column(batch.schema.names.index(column)) for column in columns]
        for column in found:
            column.validate(full=True)  # damage may leave text that is not UTF-8, or bad indices
        yield found


def parquet_rows(
    table: TableFile, places: Sequence[int], names: Collection[int] = ()
) -> Iterator[tuple[int, list[str]]]:
    """Yield (row, cells) of every record, with cells as the text that a text table would hold.

    In the columns at `names`, whole numbers are written alike, whether they are floats or integers.
    """
    with _opened(table.file) as parquet:
        row = itertools.count(2)
        for columns in _batches(parquet, table, places, _RECORD_ROWS):
            values = [
                _ids(column) if place in names else column.to_pylist()
                for column, place in zip(columns, places)
            ]
            for record in zip(*values):
                here = next(row)
                yield here, [_cell(one, table, here, at) for one, at in zip(record, places)]


class _Rounded(float):
    """A float that stands for several whole numbers."""


def _ids(column: pa.Array) -> list[object]:
    """Return the values of a column of names, whole floats and decimals as integers."""
    most = _exact_below(column)

    def as_id(value: object) -> object:
        if isinstance(value, float) and value.is_integer():
            return int(value) if abs(value) < most else _Rounded(value)
        if isinstance(value, decimal.Decimal) and value == value.to_integral_value():
            return int(value)
        return value

    return list(map(as_id, column.to_pylist()))


def _exact_below(column: pa.Array) -> int:
    """Return the number below which floats of the column's type hold every whole number."""
    from pyarrow import types

    return 2 ** _PRECISION[column.type.bit_width if types.is_floating(column.type) else 64]


def _cell(value: object, table: TableFile, row: int, place: int) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, _Rounded):
        problem = (
            f"{float(value)!r} is so large that floats skip whole numbers, so ids may be rounded; "
            "give them as text or integers"
        )
        raise fault_at(table.file, problem, row, table.header[place])
    if not isinstance(value, (str, int, float, decimal.Decimal)):
        problem = f"holds values of the kind {type(value).__name__}; save it as text or numbers"
        raise fault_at(table.file, problem, None, table.header[place])
    return str(value)


def parquet_sample(table: TableFile, places: Sequence[int]) -> tuple[list[list[str]], int]:
    """Return the first rows and the number of rows."""
    with _opened(table.file) as parquet:
        count = parquet.metadata.num_rows
    rows = itertools.islice(parquet_rows(table, places), _SAMPLE_ROWS)
    return [cells for _, cells in rows], count


def parquet_cells(table: TableFile, place: int, count: int) -> list[str]:
    """Return the first cells of a column as names; of a kind that is no name, [""]."""
    try:
        rows = itertools.islice(parquet_rows(table, [place], [place]), count)
        return [cells[0] for _, cells in rows]
    except InputError:
        return [""]


def parquet_frame(table: TableFile, columns: Sequence[str]) -> pd.DataFrame:
    """Return some columns with their Parquet types."""
    with _opened(table.file) as parquet:
        read = parquet.read(columns=list(columns), use_threads=False)
        return read.to_pandas(ignore_metadata=True)[list(columns)]


# The fast reader


def parquet_pieces(
    table: TableFile, names: Sequence[int], numbers: Sequence[int]
) -> Iterator[tuple[list[pa.DictionaryArray], list[np.ndarray]]]:
    """Yield the columns of names and of numbers in pieces, as `table_pieces` does."""
    from pyarrow import types

    with _opened(table.file) as parquet:
        kinds = {place: parquet.schema_arrow.field(place).type for place in names}
    if any(map(types.is_nested, kinds.values())):
        raise NotPlain
    dictionaries = [table.header[place] for place in names if not types.is_integer(kinds[place])]
    with _opened(table.file, read_dictionary=dictionaries) as parquet:
        for columns in _batches(parquet, table, [*names, *numbers], PIECE_ROWS):
            texts, values = columns[: len(names)], columns[len(names) :]
            yield list(map(_as_dictionary, texts)), list(map(_as_doubles, values))


def _as_dictionary(column: pa.Array) -> pa.DictionaryArray:
    import pyarrow as pa
    from pyarrow import types

    if types.is_floating(column.type) and not column.null_count:
        values = column.to_numpy(zero_copy_only=False).astype(np.float64)
        if not (np.abs(values) < _exact_below(column)).all() or (values % 1).any():
            raise NotPlain
        column = pa.array(values.astype(np.int64))
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
