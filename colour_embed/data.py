"""Colour tables, pairs of colours, drawn labels, and the losses that no model can beat.

Everything here runs on the host in NumPy. A table that a user brings is checked as a whole before
any of it is used, since a wrong id or value would be clamped silently on the device.
"""

import difflib
import hashlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from colour_embed.config import InputError
from colour_embed.io.faults import Faults, fault_at, quoted
from colour_embed.io.tables import (
    TableFile,
    column_key,
    number,
    open_table,
    table_records,
    unchanged,
)

LABEL_CONSTANT = 0.2
TUTORIAL_TABLE = Path(__file__).parent / "tables" / "colours.csv"
BUILT_IN = ("tutorial", "css4", "xkcd")
FORMATS = {
    "rgb": ("name", "r", "g", "b"),
    "hex": ("name", "hex"),
    "download": ("Color Name", "R;G;B Dec"),
}
HEX_COLOUR = "#?[0-9a-fA-F]{6}"
EXPECTED = "a table has the columns name,r,g,b or name,hex or Color Name,R;G;B Dec"


@dataclass(frozen=True, eq=False)
class Colours:
    """Named colours; a colour's id is its position.

    Attributes:
        names: C names, which may repeat where their colours agree.
        rgb: float64 [C, 3], red, green and blue in 0..1.
        source: "tutorial", "css4", "xkcd", or the file's name without its folders.
        dropped: rows left out because their name was null.
    """

    names: list[str]
    rgb: np.ndarray
    source: str
    dropped: int = 0

    def __len__(self) -> int:
        """Return the number of colours, C."""
        return len(self.names)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Labelled pairs of items.

    Attributes:
        index: int32 [N, 2], the ids of the two items.
        label: float32 [N] in 0..1: 1 for similar, 0 for dissimilar; a fraction is a soft label.
        weight: float32 [N], 0 or more and not all 0, how much a pair counts against the others;
            None where all count alike.

    Example:
        >>> pairs = Pairs(np.array([[0, 1], [1, 2]], np.int32), np.array([1, 0], np.float32))
        >>> len(pairs), len(pairs.take(pairs.label > 0))
        (2, 1)
    """

    index: np.ndarray
    label: np.ndarray
    weight: np.ndarray | None = None

    def __len__(self) -> int:
        """Return the number of pairs, N."""
        return len(self.label)

    def take(self, chosen: np.ndarray) -> "Pairs":
        """Return some of the pairs.

        Args:
            chosen: bool [N], or integers of any length.
        """
        weight = None if self.weight is None else self.weight[chosen]
        return Pairs(self.index[chosen], self.label[chosen], weight)


# Pairs and labels


def pair_diff(index: np.ndarray, rgb: np.ndarray) -> np.ndarray:
    """Return the mean squared RGB difference of each pair.

    Args:
        index: integers [N, 2], ids into `rgb`.
        rgb: float64 [C, 3] in 0..1.

    Returns:
        float64 [N], `((r1-r2)^2 + (g1-g2)^2 + (b1-b2)^2) / 3`, summed in the tutorial's order, so
        that each bit, and with it each label, agrees with the tutorial's.
    """
    red, green, blue = ((rgb[index[:, 0]] - rgb[index[:, 1]]) ** 2).T
    return (red + green + blue) / 3


def label_pairs(
    index: np.ndarray, rgb: np.ndarray, constant: float, uniforms: np.ndarray
) -> np.ndarray:
    """Label pairs by the tutorial's rule: similar where `diff < constant * uniform^2`.

    Args:
        index: integers [N, 2], ids into `rgb`.
        rgb: float64 [C, 3] in 0..1.
        constant: the rule's scale, above 0; 0.2 in the tutorial. A larger one gives more positives.
        uniforms: float64 [N] in [0, 1), one draw per pair.

    Returns:
        float32 [N] of 0 and 1.

    Raises:
        InputError: if the constant is not above 0.
    """
    check_constant(constant)
    return (pair_diff(index, rgb) < constant * uniforms**2).astype(np.float32)


def tutorial_pairs(colours: Colours, n: int = 100_000) -> Pairs:
    """Draw and label pairs with the tutorial's own random streams, for any colour table.

    The ids are those of `df.sample(n, replace=True, random_state=0)` beside `random_state=42`, the
    uniforms those of `np.random.seed(0); np.random.random(n)`. NumPy guarantees that the streams of
    RandomState never change. The global random state is neither read nor written.

    Args:
        colours: the table to draw from.
        n: number of pairs, N.

    Returns:
        N pairs; for the tutorial's table and N, exactly the tutorial's.

    Raises:
        InputError: if n is below 1.

    Example:
        >>> pairs = tutorial_pairs(load_colours())
        >>> pairs.index[:2].tolist(), round(float(pairs.label.mean()), 5)
        ([[559, 102], [629, 435]], 0.22521)
    """
    if n < 1:
        raise InputError(f"number of pairs: {n} is too few; give 1 or more")
    columns = [np.random.RandomState(seed).choice(len(colours), n) for seed in (0, 42)]
    index = np.stack(columns, axis=1).astype(np.int32)
    uniforms = np.random.RandomState(0).random_sample(n)
    return Pairs(index, label_pairs(index, colours.rgb, LABEL_CONSTANT, uniforms))


# What can be known exactly


def data_hash(colours: Colours, pairs: Pairs) -> str:
    """Return 16 hex digits of SHA-256 over names, rgb, index and label.

    Equal on every machine: the bytes are taken little-endian and the names as JSON, so that
    neither byte order nor a separator within a name matters. `source` and `dropped` are left out.
    """
    digest = hashlib.sha256(json.dumps(colours.names).encode())
    for array, dtype in ((colours.rgb, "<f8"), (pairs.index, "<i4"), (pairs.label, "<f4")):
        digest.update(json.dumps(np.shape(array)).encode())
        digest.update(np.ascontiguousarray(array, dtype).tobytes())
    return digest.hexdigest()[:16]


def check_constant(constant: float) -> None:
    """Raise an InputError unless the label rule's constant is above 0."""
    if not constant > 0:
        raise InputError(f"label constant: {constant} is not above 0; the tutorial's is 0.2")


# Colour tables


def load_colours(source: str | os.PathLike[str] = "tutorial") -> Colours:
    """Load a colour table.

    Args:
        source: "tutorial" (646 colours), matplotlib's lists "css4" (148) or "xkcd" (949), or the
            path of a table (`io.tables`) with the columns `name,r,g,b` (whole numbers, 0..255),
            `name,hex` (six digits, with or without #), or `Color Name,R;G;B Dec` (the format of the
            tutorial's download, whose rows without a name are dropped and counted). Capitals and
            spaces around column names do not matter; further columns and blank lines are ignored.
            Names such as "NA" or "null" are names: only an empty cell is null.

    Returns:
        The colours, in the order of the table.

    Raises:
        InputError: the file can't be read or any of it is wrong; one line with the file, the rows
            (1 is the header, as a spreadsheet counts), the column, the fault and a hint.

    Example:
        >>> colours = load_colours()
        >>> len(colours), colours.names[0], colours.rgb.shape
        (646, 'Grey', (646, 3))
    """
    file = os.fspath(source)
    if file in ("css4", "xkcd"):
        return _matplotlib_colours(file)
    built_in = file == "tutorial"
    path = TUTORIAL_TABLE if built_in else file
    table = open_table(path, instead=BUILT_IN, expected=EXPECTED)
    with unchanged(table):
        names, rgb, dropped = _read_colours(table)
    return Colours(names, rgb, file if built_in else Path(file).name, dropped)


def _matplotlib_colours(source: str) -> Colours:
    from matplotlib import colors

    table = colors.CSS4_COLORS if source == "css4" else colors.XKCD_COLORS
    names = [name.removeprefix("xkcd:") for name in table]
    return Colours(names, rgb_of_hex(map(str, table.values())) / 255, source)


def rgb_of_hex(cells: Iterable[str]) -> np.ndarray:
    """Return float64 [C, 3] in 0..255 of cells that are known to be six hexadecimal digits."""
    digits = "".join(cell.removeprefix("#") for cell in cells)
    return np.frombuffer(bytes.fromhex(digits), np.uint8).reshape(-1, 3).astype(np.float64)


def _read_colours(table: TableFile) -> tuple[list[str], np.ndarray, int]:
    """Return names, rgb [C, 3] in 0..1 and the number of rows dropped; raise on any fault."""
    table_format, places = _choose_columns(table)
    # The download is read as leniently as the tutorial read it: a short row lacks its last cells.
    download = table_format == "download"
    faults = Faults(table.file)
    found = list(table_records(table, places, faults, fill_short=download))
    kept = [(row, cells) for row, cells in found if cells[0].strip() or not download]
    if not kept:
        faults.raise_first()
        raise fault_at(table.file, "has a header and no colours; give a row per colour", 1)
    rows = [row for row, _ in kept]
    names, *columns = zip(*(cells for _, cells in kept))
    values, problems = _READERS[table_format](*columns)

    blank = ["" if name.strip() else "is no name; give every row a name" for name in names]
    header = [table.header[place].strip() for place in places]
    for row, (_, cells), said in zip(rows, kept, np.column_stack([blank, problems]).tolist()):
        for column, cell, problem in zip(header, cells, said):
            if problem:
                faults.add(problem, row, column, cell)
    faults.raise_first()

    first: dict[str, tuple[int, list[float]]] = {}
    for row, name, value in zip(rows, names, values.tolist()):
        other, colour = first.setdefault(name, (row, value))
        if colour != value:
            problem = f"has another colour in row {other}; rename or remove one"
            faults.add(problem, row, header[0], name)
    faults.raise_first()
    return list(names), values / 255, len(found) - len(kept)


def _choose_columns(table: TableFile) -> tuple[str, list[int]]:
    """Return the table's format and the positions of its columns."""
    keys = [column_key(cell) for cell in table.header]

    def missing(table_format: str) -> list[str]:
        return [column for column in FORMATS[table_format] if column_key(column) not in keys]

    complete = [table_format for table_format in FORMATS if not missing(table_format)]
    if complete:
        return complete[0], [table.place(column) for column in FORMATS[complete[0]]]

    if len(missing("download")) == 1:
        table_format = "download"
    else:
        narrow = len(keys) < 4 and not {"r", "g", "b"} & set(keys)
        table_format = "hex" if narrow or difflib.get_close_matches("hex", keys) else "rgb"
    column = missing(table_format)[0]
    taken = [column_key(column) for column in FORMATS[table_format]]
    unused = {key: cell.strip() for key, cell in zip(keys, table.header) if key not in taken}
    nearest = difflib.get_close_matches(column_key(column), unused, 1, cutoff=0.3)
    hint = f"rename {quoted(unused[nearest[0]])}? " if nearest else ""
    raise fault_at(table.file, f"there is no such column; {hint}{EXPECTED}", 1, column)


def _read_hex(cells: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return values [C, 3] in 0..255, and the problem of each cell [C, 1], "" for none."""
    digits = [cell.strip() for cell in cells]
    good = np.array([re.fullmatch(HEX_COLOUR, cell) is not None for cell in digits])
    problem = "is not a colour; give six hexadecimal digits such as #1e90ff"
    values = rgb_of_hex(cell if fine else "000000" for cell, fine in zip(digits, good))
    return values, np.where(good, "", problem)[:, None]


def _read_numbers(*columns: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return values [C, 3] in 0..255, and the problem of each cell [C, 3], "" for none."""
    values = np.array([list(map(number, cells)) for cells in columns]).T
    hint = "give whole numbers from 0 to 255"
    fraction = (values > 0) & (values < 1)
    unit_row = fraction & (values.max(axis=1, keepdims=True) <= 1)
    # A table of nothing but 0 is one of blacks; with a 1 in it, it is taken for the other scale.
    all_unit = not np.isnan(values).any() and values.min() >= 0 and 0 < values.max() <= 1
    problems = np.select(
        [
            np.isnan(values),
            (values < 0) | (values > 255),
            all_unit & (fraction if fraction.any() else values > 0),
            unit_row,
            values != np.floor(values),
        ],
        [
            f"is not a number; {hint}",
            f"is out of 0..255; {hint}",
            "and all other values look like 0..1; multiply them by 255",
            "looks like 0..1 but other rows like 0..255, so the scales are mixed; multiply it by"
            " 255",
            f"is not whole; {hint}",
        ],
        default="",
    )
    return values, problems


def _read_triples(cells: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return values [C, 3] in 0..255, and the problem of each cell [C, 1], "" for none."""
    three = np.array([cell.count(";") == 2 for cell in cells])
    parts = [cell.split(";") if fine else ["0"] * 3 for cell, fine in zip(cells, three)]
    values, problems = _read_numbers(*zip(*parts))
    first = problems[np.arange(len(problems)), (problems != "").argmax(axis=1)]
    not_three = "is not three values; give whole numbers from 0 to 255 such as 70;130;180"
    return values, np.where(three, first, not_three)[:, None]


_READERS = {"rgb": _read_numbers, "hex": _read_hex, "download": _read_triples}
