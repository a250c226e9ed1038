"""Colour tables, pairs of colours, drawn labels, and the losses that no model can beat.

Everything here runs on the host in NumPy. A table that a user brings is checked as a whole before
any of it is used, since a wrong id or value would be clamped silently on the device.
"""

import csv
import difflib
import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from colour_embed.config import InputError

if TYPE_CHECKING:
    import pandas as pd

LABEL_CONSTANT = 0.2
TUTORIAL_TABLE = Path(__file__).parent / "tables" / "colours.csv"
BUILT_IN = ("tutorial", "css4", "xkcd")
FORMATS = {
    "rgb": ("name", "r", "g", "b"),
    "hex": ("name", "hex"),
    "download": ("Color Name", "R;G;B Dec"),
}
_HELD_OUT_TAG = 0x4E1D  # keeps the held-out labels' stream apart from others of the same seed
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
    """Labelled pairs of colours.

    Attributes:
        index: int32 [N, 2], the ids of the two colours.
        label: float32 [N], 1 for similar and 0 for dissimilar.
        diff: float64 [N], mean squared difference of the two RGB values, in 0..1.
    """

    index: np.ndarray
    label: np.ndarray
    diff: np.ndarray

    def __len__(self) -> int:
        """Return the number of pairs, N."""
        return len(self.label)


@dataclass(frozen=True, eq=False)
class WeightedPairs:
    """Pairs of a user's own items, which need not be colours.

    Attributes:
        index: int32 [N, 2], the ids of the two items.
        label: float32 [N] in 0..1, how similar; a fraction is a soft label.
        weight: float32 [N], 0 or more and not all 0; how much a pair counts against the others.
    """

    index: np.ndarray
    label: np.ndarray
    weight: np.ndarray

    def __len__(self) -> int:
        """Return the number of pairs, N."""
        return len(self.label)


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
) -> tuple[np.ndarray, np.ndarray]:
    """Label pairs by the tutorial's rule: similar where `diff < constant * uniform^2`.

    Args:
        index: integers [N, 2], ids into `rgb`.
        rgb: float64 [C, 3] in 0..1.
        constant: the rule's scale, above 0; 0.2 in the tutorial. A larger one gives more positives.
        uniforms: float64 [N] in [0, 1), one draw per pair.

    Returns:
        label float32 [N] of 0 and 1, and diff float64 [N].

    Raises:
        InputError: if the constant is not above 0.
    """
    _check_constant(constant)
    diff = pair_diff(index, rgb)
    return (diff < constant * uniforms**2).astype(np.float32), diff


def probability_similar(diff: np.ndarray, constant: float = LABEL_CONSTANT) -> np.ndarray:
    """Return the exact probability that the label rule calls a pair similar.

    With u uniform on [0, 1), `P(diff < constant * u^2) = P(u > sqrt(diff / constant))`, which is
    `max(0, 1 - sqrt(diff / constant))`. With the tutorial's constant that is `1 - d / sqrt(0.6)`
    where d is the Euclidean distance in RGB, `diff = d^2 / 3`.

    Args:
        diff: float64 [N], from `pair_diff`.
        constant: the constant of `label_pairs`, above 0.

    Returns:
        float64 [N] in 0..1.

    Raises:
        InputError: if the constant is not above 0.
    """
    _check_constant(constant)
    return np.maximum(0.0, 1.0 - np.sqrt(np.asarray(diff, np.float64) / constant))


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
    """
    if n < 1:
        raise InputError(f"number of pairs: {n} is too few; give 1 or more")
    columns = [np.random.RandomState(seed).choice(len(colours), n) for seed in (0, 42)]
    index = np.stack(columns, axis=1).astype(np.int32)
    uniforms = np.random.RandomState(0).random_sample(n)
    label, diff = label_pairs(index, colours.rgb, LABEL_CONSTANT, uniforms)
    return Pairs(index, label, diff)


def all_pairs(count: int) -> np.ndarray:
    """Return every unordered pair of different ids, int32 [count * (count - 1) / 2, 2], i < j."""
    return np.stack(np.triu_indices(count, k=1), axis=1).astype(np.int32)


def held_out_pairs(
    items: int, training_index: np.ndarray, rgb: np.ndarray, constant: float, seed: int
) -> Pairs:
    """Label every unordered pair of different items that training does not hold in either order.

    A random split of drawn pairs leaks, since a pair recurs in the other order; this cannot. A
    pair's label depends on the seed and the pair alone, not on which others are held out.

    Args:
        items: number of items, C.
        training_index: integers [N, 2], the ids of the training pairs; self-pairs don't matter.
        rgb: float64 [C, 3] in 0..1.
        constant: the constant of `label_pairs`, above 0.
        seed: of the labels, 0 or more; its stream is apart from others that start with this seed.

    Returns:
        The pairs, i < j, in the order of `all_pairs`. None where training holds every pair.

    Raises:
        InputError: if the constant is not above 0.
    """
    seen = np.zeros((items, items), bool)
    seen[training_index[:, 0], training_index[:, 1]] = True
    index = all_pairs(items)
    first, second = index.T
    unseen = ~(seen[first, second] | seen[second, first])
    uniforms = np.random.default_rng([seed, _HELD_OUT_TAG]).random(len(index))[unseen]
    index = index[unseen]
    return Pairs(index, *label_pairs(index, rgb, constant, uniforms))


# What can be known exactly


def best_loss(probability: np.ndarray, label: np.ndarray | None = None) -> float:
    """Return the loss, in nats per pair, of the model that knows every pair's true probability.

    Without labels this is the mean binary entropy `-(P log P + (1 - P) log(1 - P))`, the floor of
    the expected loss. With labels it is the mean cross-entropy of these draws under P; a training
    loss below it is memorising. `0 log 0` counts as 0, and a label that P rules out gives infinity.

    Args:
        probability: float64 [N] in 0..1, from `probability_similar`.
        label: optional [N] of 0 and 1.

    Returns:
        The mean over the pairs.
    """
    probability = np.asarray(probability, np.float64)
    weight = probability if label is None else np.asarray(label, np.float64)
    terms = _x_log_y(weight, probability) + _x_log_y(1.0 - weight, 1.0 - probability)
    return float(np.mean(-terms))


def base_rate_loss(label: np.ndarray) -> float:
    """Return the loss, in nats per pair, of always guessing the share of positives in label [N]."""
    return best_loss(np.mean(label, dtype=np.float64))


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


def _check_constant(constant: float) -> None:
    if not constant > 0:
        raise InputError(f"label constant: {constant} is not above 0; the tutorial's is 0.2")


def _x_log_y(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):  # log 0 is meant to be -inf where x is not 0
        return np.where(x == 0, 0.0, x * np.log(np.where(x == 0, 1.0, y)))


# Colour tables


def load_colours(source: str | os.PathLike[str] = "tutorial") -> Colours:
    """Load a colour table.

    Args:
        source: "tutorial" (646 colours), matplotlib's lists "css4" (148) or "xkcd" (949), or the
            path of a UTF-8 CSV file with the columns `name,r,g,b` (whole numbers, 0..255),
            `name,hex` (six digits, with or without #), or `Color Name,R;G;B Dec` (the format of the
            tutorial's download, whose rows without a name are dropped and counted). Capitals and
            spaces around column names do not matter; further columns and blank lines are ignored.
            Names such as "NA" or "null" are names: only an empty cell is null.

    Returns:
        The colours, in the order of the table.

    Raises:
        InputError: if the file can't be read or any of it is wrong; one line with the file, the row
            (1 is the header, as a spreadsheet counts), the column, the fault and its mending.
    """
    file = os.fspath(source)
    if file in ("css4", "xkcd"):
        return _matplotlib_colours(file)
    path = TUTORIAL_TABLE if file == "tutorial" else Path(file)
    names, rgb, dropped = _parse_table(_read_text(path, file), file)
    return Colours(names, rgb, path.name if file != "tutorial" else file, dropped)


def _matplotlib_colours(source: str) -> Colours:
    from matplotlib import colors

    table = colors.CSS4_COLORS if source == "css4" else colors.XKCD_COLORS
    names = [name.removeprefix("xkcd:") for name in table]
    return Colours(names, rgb_of_hex(table.values()) / 255, source)


def rgb_of_hex(cells: Iterable[str]) -> np.ndarray:
    """Return float64 [C, 3] in 0..255 of cells that are known to be six hexadecimal digits."""
    digits = "".join(cell.removeprefix("#") for cell in cells)
    return np.frombuffer(bytes.fromhex(digits), np.uint8).reshape(-1, 3).astype(np.float64)


def fault_at(
    file: str, problem: str, row: int | str | None = None, column: str | None = None
) -> InputError:
    """Return the error that says where in a file something is wrong, what, and how to mend it.

    Args:
        file: as the user named it.
        problem: the fault and its mending.
        row: 1 is the header, as a spreadsheet counts; or several rows in words.
        column: its name.
    """
    place = [file]
    if row is not None:
        place.append(row if isinstance(row, str) else f"row {row}")
    if column is not None:
        place.append(f"column {quoted(column)}")
    # A file's name may hold a line break; the message is one line all the same.
    message = " ".join(f"{', '.join(place)}: {problem}".splitlines())
    return InputError("".join(c if c.isprintable() else repr(c)[1:-1] for c in message))


def _read_text(path: Path, file: str) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        nearest = difflib.get_close_matches(file.lower(), BUILT_IN, 1)
        hint = f"did you mean {nearest[0]!r}? " if nearest else ""
        choice = "give a CSV file, or one of " + ", ".join(BUILT_IN)
        raise fault_at(file, f"there is no such file; {hint}{choice}") from None
    except IsADirectoryError:
        raise fault_at(file, "is a folder; give the CSV file in it") from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise fault_at(
            file, f"can't be read ({error}); check the path and its permissions"
        ) from None

    mend = "save it as CSV in UTF-8"
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The decoder strips a byte order mark before it counts, so offsets are within the rest.
        start = error.start + len(content) - len(error.object)
        row = _row_of_byte(content, start)
        raise fault_at(file, f"byte {start} is not UTF-8; {mend}", row) from None
    if "\0" in text:
        start = content.index(b"\0")
        raise fault_at(file, f"byte {start} is a null byte; {mend}", _row_of_byte(content, start))
    return text


def _row_of_byte(content: bytes, start: int) -> int:
    return len((content[:start] + b"x").splitlines())


def _parse_table(text: str, file: str) -> tuple[list[str], np.ndarray, int]:
    """Return names, rgb [C, 3] in 0..1 and the number of rows dropped; raise on any fault."""
    import pandas as pd

    header, blank_lines = _check_shape(text, file)
    table_format, places = _choose_columns(header, file)
    columns = [header[place].strip() for place in places]
    # Without a header for pandas its index is the row number less 1, and nothing is renamed.
    table = pd.read_csv(
        io.StringIO(text), header=None, dtype=str, keep_default_na=False, skip_blank_lines=False
    )
    table = table.drop(index=[0, *blank_lines])[places].set_axis(columns, axis=1)

    blank = table[columns[0]].str.strip() == ""
    dropped = int(blank.sum()) if table_format == "download" else 0
    if dropped:
        table, blank = table[~blank], blank[~blank]
    if table.empty:
        raise fault_at(file, "has a header and no colours; give a row per colour", 1)

    cells = table[columns[1:]]
    if table_format == "hex":
        values, fault = _values_of_hex(cells)
    elif table_format == "rgb":
        values, fault = _values_of_numbers(cells)
    else:
        values, fault = _values_of_triples(cells)
    blank_fault = np.where(blank, "is no name; give every row a name", "")
    _raise_first(table, np.column_stack([blank_fault, fault]), file)
    _check_duplicates(table, values, file)
    return table[columns[0]].tolist(), values / 255, dropped


def records(
    lines: Iterable[str], file: str, separator: str = ",", long_cell: str = "shorten it"
) -> Iterator[tuple[int, list[str]]]:
    """Yield (row, cells) as the csv module sees them; raise where the quotes don't match.

    Args:
        lines: with their ends, as a line break in a cell stands for itself.
        file: named in errors.
        separator: between cells.
        long_cell: how to mend a cell longer than the csv module reads.

    Raises:
        InputError: quotation marks that do not match, or a cell longer than the csv module reads.
    """
    reader = csv.reader(lines, delimiter=separator, strict=True)
    row = 0
    try:
        for row, record in enumerate(reader, start=1):
            yield row, record
    except csv.Error as error:
        problem = f"its quotation marks do not match ({error}); close each, and double those within"
        if "field limit" in str(error):
            longest = f"{csv.field_size_limit():,} characters"
            problem = f"a cell has over {longest}; {long_cell}, or close its quotation mark"
        raise fault_at(file, problem, row + 1) from None


def _check_shape(text: str, file: str) -> tuple[list[str], list[int]]:
    """Return the header and the positions of blank lines.

    Raises on an empty file, a wrong separator and a ragged row, where pandas would fill cells in,
    or shift them, or count rows in its own way.
    """
    if not text.strip():
        raise fault_at(file, f"is empty; {EXPECTED}")
    rows = records(io.StringIO(text, newline=""), file)
    _, header = next(rows)
    if not "".join(header).strip():
        raise fault_at(file, "is blank; the header comes first", 1)
    if len(header) == 1:
        separator = max("\t;|", key=header[0].count)
        if separator in header[0]:
            shown = "tabs" if separator == "\t" else repr(separator)
            raise fault_at(file, f"the columns are separated by {shown}; save it with commas", 1)
    # The download is read as leniently as the tutorial read it: a short row lacks its last cells.
    lenient = {cell.casefold() for cell in FORMATS["download"]} <= set(map(column_key, header))
    blank_lines = []
    for row, record in rows:
        short = len(record) < len(header) and not lenient
        if len(record) < 2 and not "".join(record).strip():
            blank_lines.append(row - 1)
        elif short or len(record) > len(header):
            problem = f"{len(record)} cells, but the header has {len(header)}"
            column = header[min(len(record), len(header) - 1)].strip()
            raise fault_at(file, f"{problem}; put names that hold a comma in quotes", row, column)
    return header, blank_lines


def column_key(column: str) -> str:
    """Return a column's name as it is compared: without capitals and spaces around it."""
    return column.strip().casefold()


def _choose_columns(header: list[str], file: str) -> tuple[str, list[int]]:
    """Return the table's format and where its columns stand."""
    keys = [column_key(cell) for cell in header]

    def missing(table_format: str) -> list[str]:
        return [column for column in FORMATS[table_format] if column_key(column) not in keys]

    complete = [table_format for table_format in FORMATS if not missing(table_format)]
    if complete:
        table_format = complete[0]
    elif len(missing("download")) == 1:
        table_format = "download"
    else:
        narrow = len(header) < 4 and not {"r", "g", "b"} & set(keys)
        table_format = "hex" if narrow or difflib.get_close_matches("hex", keys) else "rgb"

    wanted = FORMATS[table_format]
    if not complete:
        column = missing(table_format)[0]
        unused = [cell for cell, key in zip(header, keys) if key not in map(column_key, wanted)]
        by_key = {column_key(cell): cell.strip() for cell in unused}
        nearest = difflib.get_close_matches(column_key(column), by_key, 1, cutoff=0.3)
        hint = f"rename {by_key[nearest[0]]!r}? " if nearest else ""
        raise fault_at(file, f"there is no such column; {hint}{EXPECTED}", 1, column)
    for column in wanted:
        if keys.count(column_key(column)) > 1:
            raise fault_at(file, "the column stands there twice; leave one of them", 1, column)
    return table_format, [keys.index(column_key(column)) for column in wanted]


def _values_of_hex(cells: "pd.DataFrame") -> tuple[np.ndarray, np.ndarray]:
    """Return values [C, 3] in 0..255 and what is wrong with each cell, "" for nothing, [C, 1]."""
    column = cells.iloc[:, 0].str.strip()
    good = column.str.fullmatch(HEX_COLOUR).to_numpy(bool)
    fault = np.where(good, "", "is not a colour; give six hexadecimal digits such as #1e90ff")
    return rgb_of_hex(column.where(good, "000000")), fault[:, None]


def _values_of_numbers(cells: "pd.DataFrame") -> tuple[np.ndarray, np.ndarray]:
    """Return values [C, 3] in 0..255 and what is wrong with each cell, "" for nothing, [C, 3]."""
    import pandas as pd

    values = np.column_stack(
        [pd.to_numeric(cells.iloc[:, i], errors="coerce").to_numpy(np.float64) for i in range(3)]
    )
    mend = "give whole numbers from 0 to 255"
    fraction = (values > 0) & (values < 1)
    unit_row = fraction & (values.max(axis=1, keepdims=True) <= 1)
    # Nothing but 0 can be a table of blacks; with a 1 in it, it is taken for the other scale.
    all_unit = not np.isnan(values).any() and values.min() >= 0 and 0 < values.max() <= 1
    fault = np.select(
        [
            np.isnan(values),
            (values < 0) | (values > 255),
            all_unit & (fraction if fraction.any() else values > 0),
            unit_row,
            values != np.floor(values),
        ],
        [
            f"is not a number; {mend}",
            f"is out of 0..255; {mend}",
            "and all other values look like 0..1; multiply them by 255",
            "looks like 0..1 but other rows like 0..255, so the scales are mixed; multiply it by"
            " 255",
            f"is not whole; {mend}",
        ],
        default="",
    )
    return values, fault


def _values_of_triples(cells: "pd.DataFrame") -> tuple[np.ndarray, np.ndarray]:
    """Return values [C, 3] in 0..255 and what is wrong with each cell, "" for nothing, [C, 1]."""
    column = cells.iloc[:, 0]
    three = column.str.count(";").to_numpy() == 2
    values, fault = _values_of_numbers(column.where(three, "0;0;0").str.split(";", expand=True))
    first = (fault != "").argmax(axis=1)
    fault = fault[np.arange(len(fault)), first]
    not_three = "is not three values; give whole numbers from 0 to 255 such as 70;130;180"
    return values, np.where(three, fault, not_three)[:, None]


def _raise_first(table: "pd.DataFrame", fault: np.ndarray, file: str) -> None:
    """Raise on the first fault, row by row; fault [C, columns of the table] is "" for none."""
    rows, places = np.nonzero(fault != "")
    if not rows.size:
        return
    row, place = rows[0], places[0]
    more = len(np.unique(rows)) - 1
    cell = table.iat[row, place]
    shown = quoted(cell) if cell.strip() else "an empty cell"
    tail = f" ({more} more row{'s' if more > 1 else ''} at fault)" if more else ""
    column = table.columns[place]
    raise fault_at(file, f"{shown} {fault[row, place]}{tail}", table.index[row] + 1, column)


def _check_duplicates(table: "pd.DataFrame", values: np.ndarray, file: str) -> None:
    """Raise if one name has two colours; the same name with the same colour is kept twice."""
    names = table.iloc[:, 0].to_numpy(object)
    _, first, inverse = np.unique(names, return_index=True, return_inverse=True)
    first = first[inverse]
    clash = np.flatnonzero((values != values[first]).any(axis=1))
    if clash.size:
        row = clash[0]
        other = table.index[first[row]] + 1
        problem = f"{quoted(names[row])} has another colour in row {other}; rename or remove one"
        more = f" ({clash.size - 1} more such)" if clash.size > 1 else ""
        raise fault_at(file, problem + more, table.index[row] + 1, table.columns[0])


def quoted(cell: str, longest: int = 40) -> str:
    """Return a cell in quotes for a message: cut where it is long, control characters escaped."""
    return repr(cell if len(cell) <= longest else cell[: longest - 1] + "…")
