"""The columns of a table of pairs: which are read, and the numbers that they may hold."""

from __future__ import annotations

import difflib
import itertools
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from colour_embed.config import InputError
from colour_embed.io.faults import fault_at, quoted, quoted_apart
from colour_embed.io.tables import (
    COMMENT,
    PARQUET,
    TableFile,
    column_key,
    first_cells,
    number,
)
from colour_embed.pairs.checks import LABEL_ROUNDING

PAIR_COLUMNS = (
    ("first", "second"),
    ("item1", "item2"),
    ("item_1", "item_2"),
    ("a", "b"),
    ("source", "target"),
    ("left", "right"),
    ("name_x", "name_y"),
    ("i", "j"),
)
LABEL_COLUMNS = ("label", "similar", "y", "target_label", "positive")
WEIGHT_COLUMNS = ("weight", "w")
COUNT_COLUMNS = ("count",)

NO_LABEL = "is no label"
"""The fault of a label, of which `Columns.label_hint` is the hint."""

LARGEST = float(2**128 - 2**104)
"""The largest float32."""

_ROW_COLUMNS = re.compile(
    r"(index|idx|id|no|nr|num|number|n|#|pair|((row|pair|line|record|sample)[ _.-]?"
    r"(names?|id|idx|index|no|nr|num(ber)?))|row|level_0|\.\.\.1)\.?"
)
_PANDAS_INDEX = re.compile(r"unnamed: ?0(\.\d+)*|__index_level_\d+__")
_ENDS = (
    *(("first", "second"), ("left", "right"), ("source", "target"), ("src", "dst"), ("from", "to")),
    *(("one", "two"), ("head", "tail"), ("parent", "child"), ("item", "other"), ("this", "that")),
    *(("node", "neighbor"), ("node", "neighbour"), ("start", "end"), ("anchor", "positive")),
)


@dataclass(frozen=True)
class Columns:
    """The columns that are read, by position.

    Attributes:
        first: The position of the first items.
        second: The position of the second items.
        label: The position of the labels.
        weight: The position of the weights.
        count: The position of the counts.
        positives_only: Whether every row is a similar pair.
        scale: The labels that stand for 0 and 1.
        prefixes: What the names of each side begin with; both "" if there is one kind of item.
        recognised: What tells that the header is one: "names" if known names of the items alone
            do, "others" if anything else does, "" if nothing does.
        notes: A line for each column that was chosen or passed over.
    """

    first: int
    second: int
    label: int | None
    weight: int | None
    count: int | None
    positives_only: bool
    scale: tuple[float, float] | None
    prefixes: tuple[str, str]
    recognised: str
    notes: tuple[str, ...]

    def numbers(self) -> dict[str, int]:
        """Return the positions of the number columns."""
        places = {"label": self.label, "weight": self.weight, "count": self.count}
        return {role: place for role, place in places.items() if place is not None}

    def names(self, table: TableFile) -> dict[str, str]:
        """Return `PairTable.column_names`."""
        places = {"first": self.first, "second": self.second, **self.numbers()}
        if self.positives_only:
            places.pop("label", None)
        if "count" in places:
            places.setdefault("weight", places["count"])
        return {role: table.header[place] for role, place in places.items()}

    def booleans(self) -> list[int]:
        """Return the position of the labels, if they may be true and false."""
        return [] if self.label is None or self.scale else [self.label]

    def rule(self, role: str) -> tuple[Callable, str]:
        """Return a predicate of a number or array, and the fault of numbers that fail it."""
        if role == "label" and self.positives_only:
            problem = "is not 1, but positives_only takes every row as similar; leave one out"
            return (lambda value: value == 1), problem
        if role == "label":
            low, high = sorted(self.scale or (0.0, 1.0))
            slack = LABEL_ROUNDING * (high - low)
            return (lambda value: (value >= low - slack) & (value <= high + slack)), NO_LABEL
        if role == "weight":
            problem = "is no weight; give finite numbers of 0 or more"
            return (lambda value: (value >= 0) & (value <= LARGEST)), problem
        problem = "is no count; give finite numbers above 0"
        return (lambda value: (value > 0) & (value <= LARGEST)), problem

    def label_hint(self, cell: str, low: float, high: float) -> str:
        """Return the hint for a faulty label.

        Args:
            cell: The first faulty label.
            low: The lowest label; NaN if there is one that is no number.
            high: The highest label.
        """
        if re.fullmatch(r"[+-]?\d+,\d+", cell.strip()):
            return "write decimals with a point"
        if self.scale:
            ends = f"{self.scale[0]!r} (dissimilar) to {self.scale[1]!r} (similar)"
            return f"give numbers from {ends}, or another --label_scale"
        hint = "give numbers from 0 (dissimilar) to 1 (similar)"
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            return hint
        likely = (-1.0, 1.0) if -1 <= low < 0 and high <= 1 else (low, high)
        one, other = (repr(end).removesuffix(".0") for end in likely)
        hint += f", or the labels that stand for 0 and 1, such as --label_scale={one},{other}"
        return hint if likely[0] < 0 else f"{hint} (for distances --label_scale={other},{one})"


def read_scale(scale: str | Sequence[float] | None) -> tuple[float, float] | None:
    """Return the labels that stand for 0 and 1, from two numbers or a text such as "-1,1" or "1:5".

    Raises:
        InputError: these are not two different finite numbers.
    """
    if scale is None:
        return None
    ends = re.split("[,:]", scale) if isinstance(scale, str) else scale
    try:
        low, high = (float(end) for end in ends)
        if low != high and math.isfinite(high - low):
            return low, high
    except (TypeError, ValueError):
        pass
    raise InputError(
        f"label_scale is {scale!r}: give the labels that stand for 0 and 1, like -1,1 or 10,0"
    )


def choose_columns(
    table: TableFile,
    *,
    positives_only: bool,
    scale: tuple[float, float] | None,
    two_sided: bool,
    **asked: str | None,
) -> Columns:
    """Choose the columns by the arguments, else by their names, else by their position.

    Args:
        table: The table.
        positives_only: See `read_pairs`.
        scale: See `Columns`.
        two_sided: See `read_pairs`.
        asked: The names of the columns first, second, label and weight, or None.

    Raises:
        InputError: a column is missing or stands there twice, the choice is ambiguous, or the
            header may be the first row of data.
    """
    taken = {role: table.place(column) for role, column in asked.items() if column is not None}
    for role, place in taken.items():
        others = [other for other in taken if taken[other] == place and other != role]
        if others:
            problem = f"the column can't be both {role} and {others[0]}; give two columns"
            raise fault_at(table.file, problem, table.header_row, table.header[place])
    keys = [column_key(cell) for cell in table.header]
    recognised = _take_by_name(table, keys, taken, positives_only)
    doubt = "" if recognised else _header_doubt(table)
    if doubt:
        problem = doubt if positives_only else f"{_NO_LABELS}; {doubt}"
        raise fault_at(table.file, problem, table.header_row)
    notes = []
    for role in ("first", "second"):
        if role not in taken:
            taken[role] = _next_item(table, keys, taken, notes)
    if "label" not in taken and not positives_only:
        free = [place for place in range(len(keys)) if place not in taken.values()]
        if table.header_row is not None or not free:
            raise fault_at(table.file, _no_label(table, free), table.header_row)
        taken["label"] = free[0]
    places = {role: taken.get(role) for role in ("first", "second", "label", "weight", "count")}
    notes.insert(0, _said(table, places, positives_only))
    prefixes = ("", "")
    if two_sided:
        prefixes = _prefixes(table, taken["first"], taken["second"])
        called = " and ".join(quoted(f"{prefix}NAME") for prefix in prefixes)
        notes.append(f"two kinds of items, called {called} by their columns")
    if scale is not None:
        notes.append(f"labels from {scale[0]!r} to {scale[1]!r} are mapped linearly to 0 to 1")
    return Columns(
        **places,
        positives_only=positives_only,
        scale=scale,
        prefixes=prefixes,
        recognised=recognised,
        notes=tuple(notes),
    )


def _take_by_name(
    table: TableFile, keys: list[str], taken: dict[str, int], positives_only: bool
) -> str:
    """Add the columns with known names to `taken`, and return `Columns.recognised`."""
    asked = bool(taken)

    def take(role: str, names: Sequence[str]) -> None:
        free = [n for n in names if n in keys and keys.index(n) not in taken.values()]
        if role not in taken and free:
            taken[role] = table.place(free[0])

    for pair in PAIR_COLUMNS:
        needed = [name for role, name in zip(("first", "second"), pair) if role not in taken]
        if all(name in keys and keys.index(name) not in taken.values() for name in needed):
            for role, name in zip(("first", "second"), pair):
                take(role, [name])
    # Without labels, "y" may be the column of second items.
    take("label", [name for name in LABEL_COLUMNS if not positives_only or name != "y"])
    take("weight", WEIGHT_COLUMNS)
    if positives_only:
        take("count", COUNT_COLUMNS)
    sure = table.header_row is None or table.separator is PARQUET
    if sure or asked or taken.keys() & {"label", "weight", "count"}:
        return "others"
    return "names" if taken else ""


def _prefixes(table: TableFile, first: int, second: int) -> tuple[str, str]:
    """Return what the names of two kinds of items begin with."""
    one, other = (f"{table.header[place].strip()}:" for place in (first, second))
    if one.startswith(other) or other.startswith(one):
        problem = "the names of the two columns can't be told apart; call one of them otherwise"
        raise fault_at(table.file, problem, table.header_row)
    return one, other


def _said(table: TableFile, places: dict[str, int | None], positives_only: bool) -> str:
    """Return the line on the columns that are read."""
    names = {role: quoted(table.header[p]) for role, p in places.items() if p is not None}
    said = f"items from columns {names['first']} and {names['second']}"
    if positives_only:
        said += ", every row a similar pair"
    else:
        said += f", labels from {names['label']}"
    for role in ("weight", "count"):
        if role in names:
            said += f", {role}s from {names[role]}"
    return said


# The items


def _next_item(table: TableFile, keys: list[str], taken: dict[str, int], notes: list[str]) -> int:
    """Return the first column without a role that can hold items.

    Columns of decimals, and those that number the rows, are passed over where others are left.
    """
    wanted = 1 if "first" in taken or "second" in taken else 2
    # A column without a name is the index that pandas writes.
    free = [place for place, key in enumerate(keys) if key and place not in taken.values()]
    for place in [place for place in free if _PANDAS_INDEX.fullmatch(keys[place])]:
        _pass_over(table, place, notes)
        free.remove(place)
    if len(free) < wanted:
        raise fault_at(table.file, _too_few(table), table.header_row)
    if len(free) == wanted:
        return free[0]
    cells = first_cells(table, free)
    able = [place for place in free if _may_be_items(cells[place])]
    if len(able) >= wanted:
        free = able
    while len(free) > wanted:
        place = free[0]
        others = free[1:]
        judged = _row_number(keys[place], cells[place], leading=wanted == 2)
        if table.header_row is None:  # the columns have no names that tell
            texts = [other for other in others if not _are_numbers(cells[other])]
            judged = "perhaps" if judged and len(texts) >= wanted else ""
        if judged == "perhaps":
            raise fault_at(
                table.file,
                "the column seems to number the rows; give the two columns of items with --first "
                "and --second",
                table.header_row,
                table.header[place],
            )
        if not judged:
            return place
        _pass_over(table, place, notes)
        free = others
    return free[0]


def _pass_over(table: TableFile, place: int, notes: list[str]) -> None:
    line = f"column {quoted(table.header[place])} numbers the rows, and is not read"
    if line not in notes:
        notes.append(line)


def _may_be_items(cells: list[str]) -> bool:
    """Return whether a column may hold items: not decimals, and not only empty cells."""
    values = [number(cell) for cell in cells if cell.strip()]
    decimals = any(value % 1 for value in values if math.isfinite(value))
    return not (decimals and all(value == value for value in values)) and (
        bool(values) or not cells
    )


def _are_numbers(cells: list[str]) -> bool:
    return all(number(cell) == number(cell) for cell in cells)


def _row_number(key: str, cells: list[str], leading: bool) -> str:
    """Return whether a column numbers the rows: "surely", "perhaps" or ""."""
    named = bool(_ROW_COLUMNS.fullmatch(key))
    values = [number(cell) for cell in cells]
    whole = bool(values) and all(value % 1 == 0 for value in values)
    distinct = len(set(values if whole else cells)) == len(cells)
    counts = whole and all(after - before == 1 for before, after in itertools.pairwise(values))
    if named and counts:
        return "surely"
    dense = whole and max(values) - min(values) < 4 * len(values)
    telling = counts or (leading and dense and distinct)
    if (named and distinct) or (telling and len(cells) > 2):
        return "perhaps"
    return ""


def kinds_differ(one: str, other: str) -> bool:
    """Return whether the names of two columns tell of two kinds of items, as user and item do.

    Names such as tree_a and tree_b, or source_id and target_id, differ only by the end of a pair.
    """
    ends = []
    for column in (one, other):
        spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column).casefold()
        ends.append(re.findall(r"[^\W\d_]+|\d+", spaced))
    left, right = ([word for word in ends[side] if word not in ends[1 - side]] for side in (0, 1))
    words = ["".join(side) for side in (left, right)]
    if tuple(words) in _ENDS or tuple(words[::-1]) in _ENDS:
        return False
    return not all(len(word) < 2 or word.isdigit() for word in words)


# What is refused


_NO_LABELS = f"no column holds labels ({', '.join(LABEL_COLUMNS)})"


def _header_doubt(table: TableFile) -> str:
    """Return why a header may be a comment or the first row of data, with a hint; else ""."""
    if table.text is None or table.text.header == "yes" or len(table.header) < 2:
        return ""
    hint = "--header=no if the row is a pair, or --header=yes if it is the header"
    comment = COMMENT.match(table.header[0])
    if comment and table.text.comment is None:
        return f"the row may be a comment; give --comment='{comment[1]}' if it is one, {hint}"
    found = [cell for cell in table.header if _is_value(cell)]
    return f"the header holds {quoted(found[0])}; give {hint}" if found else ""


def _is_value(cell: str) -> bool:
    return number(cell) == number(cell) or cell.strip().casefold() in ("true", "false")


def _too_few(table: TableFile) -> str:
    problem = "has too few columns; a table of pairs has two that name items, and a label"
    if table.text is None or table.separator is PARQUET:
        return problem
    comment = COMMENT.match(table.header[0])
    if comment and table.text.comment is None:
        return f"is a comment, and no header; give --comment='{comment[1]}'"
    if len(table.header) == 1 and len(table.header[0].split()) > 1 and table.separator != " ":
        return "the columns are separated by spaces; give --separator=space"
    return problem


def _no_label(table: TableFile, free: list[int]) -> str:
    """Return the fault of a table without a column of labels."""
    if table.header_row is None:
        return "no column is left for the labels; give positives_only where every row is a pair"
    doubt = "" if table.separator is PARQUET else _header_doubt(table)
    if doubt:
        return f"{_NO_LABELS}; {doubt}"
    hint = ""
    for place in free:
        near = difflib.get_close_matches(column_key(table.header[place]), LABEL_COLUMNS, 1)
        if near and not hint:
            given, name = quoted_apart(table.header[place], near[0])
            hint = f"did you mean {name}? Call {given} so, or "
    hint += "name it with --label, or give positives_only where every row is a similar pair"
    return f"{_NO_LABELS}; {hint}"
