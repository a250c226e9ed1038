"""Damaged files: does each give a table, or an error of one line?

    python tests/pairs/fuzz.py --files 3000 --seed 0

Small valid tables of pairs, items and colours are damaged at random and read in another process.
A file passes with a table that keeps its promises and is the same by both readers, or with an
`InputError` of one line. Another exception, a warning, a hang or a crash is a failure: the script
prints the number of the file and ends with status 1. `--start NUMBER --files 1` reads that file
again.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import csv
import gzip
import io
import multiprocessing
import re
import sys
import tempfile
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from colour_embed.config import InputError
from colour_embed.data import Colours, load_colours
from colour_embed.io.faults import NotPlain
from colour_embed.pairs import reading
from colour_embed.pairs.reading import PairTable, read_pairs

PATIENCE = 10.0
"""Seconds that one file may take."""

LONGEST_MESSAGE = 1000
"""Characters."""


class Case(NamedTuple):
    """Files to read, and the options of `read_pairs`.

    `files` maps "pairs" and perhaps "items", or "colours", to suffix and content.
    """

    files: dict[str, tuple[str, bytes]]
    options: dict[str, Any]


# Valid tables


def as_text(rows, separator=",", end="\n", quote_all=False) -> bytes:
    # A carriage return in a cell is only put in quotes by itself where lines end in one.
    quote_all = quote_all or any("\r" in str(cell) for row in rows for cell in row)
    quoting = csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator, lineterminator=end, quoting=quoting).writerows(rows)
    return text.getvalue().encode()


def packed(content: bytes, level=1) -> bytes:
    return gzip.compress(content, level, mtime=0)  # the same in each process that collects tests


def as_parquet(rows, **options) -> bytes:
    header, *body = rows
    columns = {name: [row[place] for row in body] for place, name in enumerate(header)}
    return _parquet_of(columns, **options)


def _parquet_of(columns, **options) -> bytes:
    sink = io.BytesIO()
    parquet.write_table(pa.table(columns), sink, **options)
    return sink.getvalue()


def valid_cases() -> list[Case]:
    """Return small tables of all kinds, all without a fault."""
    hostile = [
        "red",
        "navy",
        "NA",
        "null",
        "Grey, Silver",
        'the "other" red',
        "two\nlines",
        "é日本",
    ]
    plain = ["red", "navy", "teal", "khaki", "=1+1", "<b>x</b>", "../up"]
    random = np.random.default_rng(0)

    def rows(names, count, *columns):
        for number in range(count):
            first, second = random.choice(len(names), 2, replace=False)
            yield [names[first], names[second], *(column(number) for column in columns)]

    def label(number):
        return number % 2

    def soft(number):
        return round(float(random.random()), 6)

    table = [["first", "second", "label"], *rows(hostile, 12, label)]
    weighted = [["a", "note", "b", "similar", "w"]]
    weighted += [[r[0], "x", *r[1:]] for r in rows(plain, 30, soft, lambda number: 1 + number)]
    counted = [["source", "target", "count"], *rows(plain, 9, lambda number: number + 1)]
    numbered = [["i", "j", "y"], *rows(list(range(len(plain))), 20, label)]
    spelled = [["a", "b", "label"], *([*r[:2], str(r[2] > 0)] for r in numbered[1:])]
    rated = [["a", "b", "label"], *rows(plain, 12, lambda number: 1 + number % 5)]
    floats = [["user", "film", "label"], *([float(i), j, y] for i, j, y in numbered[1:])]
    indexed = [["index", "tree", "other", "label"]]
    indexed += [[k, *r] for k, r in enumerate(rows(plain, 9, label))]
    items = [["name", "size", "kind"], *([name, k, f"k{k}"] for k, name in enumerate(plain))]
    rgb = [["name", "r", "g", "b"], *([name, 30 * k, k, 255] for k, name in enumerate(hostile))]
    digits = [["name", "hex"], *([name, f"#{k}0ff0{k}"] for k, name in enumerate(hostile))]
    download = [["Color Name", "Credits", "R;G;B Dec"], ["", "", ""]]
    download += [[name, "X", f"{k};0;{30 * k}"] for k, name in enumerate(hostile)]

    def text(rows):
        return ".csv", as_text(rows)

    def tabs(rows):
        return ".tsv", as_text(rows, "\t")

    def zipped(rows):
        return ".csv.gz", packed(as_text(rows))

    def columns(rows):
        return ".parquet", as_parquet(rows, row_group_size=7)

    only, ids, bare = {"positives_only": True}, {"ids": True}, {"header": "no"}
    return [
        *(Case({"pairs": kind(table)}, {}) for kind in (text, tabs, zipped, columns)),
        Case({"pairs": text(weighted), "items": text(items)}, {}),
        Case({"pairs": (".tsv.gz", packed(as_text(weighted, "\t")))}, {}),
        Case({"pairs": columns(weighted), "items": columns(items)}, {}),
        Case({"pairs": text(counted), "items": tabs(items)}, only),
        Case({"pairs": columns(counted)}, only),
        Case({"pairs": text(numbered), "items": text(items)}, ids),
        Case({"pairs": text(numbered)}, ids),
        Case({"pairs": columns(numbered), "items": text(items)}, ids),
        Case({"pairs": text(spelled)}, {}),
        Case({"pairs": text(rated)}, {"label_scale": (1, 5)}),
        Case({"pairs": text(counted)}, {**only, "two_sided": True}),
        Case({"pairs": columns(floats)}, {"two_sided": True}),
        Case({"pairs": (".txt", as_text(numbered[1:], " "))}, {"separator": "space", **bare}),
        Case({"pairs": (".tsv", b"# note\n" + as_text(table, "\t"))}, {"comment": "#"}),
        Case({"pairs": (".tsv", as_text(weighted, "\t"))}, {"quoting": "none"}),
        Case({"pairs": (".csv", b"sep=;\n" + as_text(indexed, ";"))}, {}),
        *(Case({"colours": text(rows)}, {}) for rows in (rgb, digits, download)),
        *(Case({"colours": kind(rgb)}, {}) for kind in (zipped, columns)),
    ]


# Damage

TOKENS = [
    *(b"\0", b'"', b'""', b"\n", b"\r", b"\r\n", b",", b"\t", b";", b"|", b" ", b"'", b"\\", b"#"),
    *(b"9" * 400, b"2147483648", b"1e999", b"-1", b"2", b"nan", b"inf", b"0x1", b"1_0", b"5.0"),
    *(b"\xff", b"\xc3", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xff\xfe", b"A" * 2000, b"yes", b"1,1"),
    *(c.encode() for c in ("é", "日本", "\u2028", "\u202e", "\x85", "\x1c", "\U0001f600", "١")),
    *(b"True", b"FALSE", b"1.0000001", b"# ", b"sep=;", b'"a\t1\n"', b'"x,1\n'),
    *(b"=1+1", b"<script>", b"../../etc", b"NA", b"null", b"label", b"first", b"name", b"\x1f\x8b"),
]
ODD_VALUES = [None, -1, 0, 2, 2**40, 0.5, 1.0, 5.0, -0.0, 1e39, 1e300, float("nan"), float("inf")]
OPTIONS = {
    "separator": ["comma", "tab", "semicolon", "space"],
    "header": ["yes", "no"],
    "quoting": ["csv", "none"],
    "comment": ["#", "red", '"'],
}
SUFFIXES = [".csv", ".tsv", ".txt", ".parquet", ".csv.gz", ".gz", ""]
ENCODINGS = ["utf-16", "utf-16-le", "latin-1", "utf-8-sig", "utf-7", "cp1252"]


def damaged(cases: list[Case], seed: int, number: int) -> Case:
    """Return one of the cases, damaged one to three times; the same for the same numbers."""
    random = np.random.default_rng([seed, number])
    case = cases[random.integers(len(cases))]
    files, options = dict(case.files), dict(case.options)
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        name = "items" if "items" in files and random.random() < 0.3 else next(iter(files))
        files[name] = _damage(*files[name], random)
    if "pairs" in files:
        if random.random() < 0.1:
            flag = ("ids", "positives_only", "two_sided")[random.integers(3)]
            options[flag] = not options.get(flag, False)
        if random.random() < 0.1:
            name = ("separator", "header", "quoting", "comment")[random.integers(4)]
            options[name] = OPTIONS[name][random.integers(len(OPTIONS[name]))]
        if random.random() < 0.3:
            options["max_bytes"] = 10 ** int(random.integers(3, 10))
    return Case(files, options)


def _damage(suffix: str, content: bytes, random: np.random.Generator) -> tuple[str, bytes]:
    if random.random() < 0.02:
        return SUFFIXES[random.integers(len(SUFFIXES))], content
    packed = suffix.endswith(".gz") and random.random() < 0.7
    if packed:
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, ValueError, zlib.error):
            packed = False
    if suffix == ".parquet" and random.random() < 0.6:
        return suffix, _rewrite_parquet(content, random)
    binary = suffix.endswith((".parquet", ".gz")) and not packed
    ways = _BYTE_WAYS if binary or random.random() < 0.5 else _TABLE_WAYS
    content = ways[random.integers(len(ways))](content, random)
    return suffix, gzip.compress(content, 1, mtime=0) if packed else content


def _flip(content: bytes, random: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for place in random.integers(0, max(1, len(content)), random.integers(1, 9)):
        if changed:
            changed[place] ^= 1 << random.integers(8)
    return bytes(changed)


def _cut(content: bytes, random: np.random.Generator) -> bytes:
    return content[: random.integers(len(content) + 1)]


def _leave_out(content: bytes, random: np.random.Generator) -> bytes:
    start, end = sorted(random.integers(0, len(content) + 1, 2))
    return content[:start] + content[end:]


def _repeat(content: bytes, random: np.random.Generator) -> bytes:
    start, end = sorted(random.integers(0, len(content) + 1, 2))
    return content[:end] + content[start:end] * random.integers(1, 4) + content[end:]


def _insert(content: bytes, random: np.random.Generator) -> bytes:
    for _ in range(random.integers(1, 4)):
        place = random.integers(len(content) + 1)
        content = content[:place] + _token(random) + content[place:]
    return content


def _put_into_cell(content: bytes, random: np.random.Generator) -> bytes:
    cells = re.split(rb"([,\t\n])", content)
    cells[2 * random.integers((len(cells) + 1) // 2)] = _token(random)
    return b"".join(cells)


def _shuffle_columns(content: bytes, random: np.random.Generator) -> bytes:
    separator = b"\t" if b"\t" in content else b","
    rows = [line.split(separator) for line in content.split(b"\n")]
    order = random.permutation(len(rows[0]))
    whole = (row for row in rows if len(row) == len(rows[0]))
    return b"\n".join(separator.join(row[place] for place in order) for row in whole)


def _double_column(content: bytes, random: np.random.Generator) -> bytes:
    separator = b"\t" if b"\t" in content else b","
    header, *rows = content.split(b"\n")
    names = header.split(separator)
    names[random.integers(len(names))] = names[random.integers(len(names))]
    return b"\n".join([separator.join(names), *rows])


def _shuffle_lines(content: bytes, random: np.random.Generator) -> bytes:
    lines = content.split(b"\n")
    return b"\n".join(lines[place] for place in random.permutation(len(lines)))


def _change_line_ends(content: bytes, random: np.random.Generator) -> bytes:
    return content.replace(b"\n", (b"\r\n", b"\r", b"\n\n", b"\n \n")[random.integers(4)])


def _change_separator(content: bytes, random: np.random.Generator) -> bytes:
    return content.replace(b",", (b";", b"\t", b"|", b", ")[random.integers(4)])


def _encode(content: bytes, random: np.random.Generator) -> bytes:
    text = content.decode("utf-8", "replace")
    return text.encode(ENCODINGS[random.integers(len(ENCODINGS))], "replace")


def _rewrite_parquet(content: bytes, random: np.random.Generator) -> bytes:
    """Another value in one cell of a sound Parquet file; damaged ones stay as they are."""
    try:
        table = parquet.read_table(io.BytesIO(content)).to_pydict()
    except (pa.ArrowException, OSError, ValueError, KeyError):
        return content
    names = list(table)
    column = table[names[random.integers(len(names))]]
    if column:
        row, odd = random.integers(len(column)), ODD_VALUES[random.integers(len(ODD_VALUES))]
        kind = type(column[row])
        column[row] = _token(random).decode("utf-8", "ignore") if kind is str else odd
        if random.random() < 0.3:
            column[:] = map(str, column)
        elif isinstance(odd, float):
            column[:] = [
                value if kind is str or value is None else float(value) for value in column
            ]
    if random.random() < 0.2:
        name = names[random.integers(len(names))]
        table[names[0] + "x"] = table.pop(name)
    if random.random() < 0.2:
        table = {name: table[name] for name in random.permutation(list(table)).tolist()}
    return _parquet_of(table, row_group_size=7)


def _token(random: np.random.Generator) -> bytes:
    return TOKENS[random.integers(len(TOKENS))]


_BYTE_WAYS = [_flip, _flip, _cut, _leave_out, _repeat, _insert]
_TABLE_WAYS = [
    *(_put_into_cell, _put_into_cell, _insert, _shuffle_columns, _double_column),
    *(_shuffle_lines, _change_line_ends, _change_separator, _encode),
]


# The check


def exactly(path, **options) -> PairTable:
    """Read pairs with the exact reader alone."""
    with mock.patch.object(reading, "table_pieces", side_effect=NotPlain):
        return read_pairs(path, **options)


def same(one: PairTable, other: PairTable) -> None:
    """Assert that two tables are equal."""
    assert one.items == other.items
    np.testing.assert_array_equal(one.index, other.index)
    np.testing.assert_array_equal(one.label, other.label)
    np.testing.assert_array_equal(one.weight, other.weight)
    assert one.warnings == other.warnings
    assert one.column_names == other.column_names
    assert one.notes == other.notes


def outcome(case: Case, folder: str) -> tuple[str, str]:
    """Read a case: "table", or "refused" and the message, or "failed" and the reason."""
    paths = {}
    for name, (suffix, content) in case.files.items():
        paths[name] = Path(folder, name + suffix)
        paths[name].write_bytes(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return _read(paths, case.options)
    except Exception as error:
        return "failed", f"{type(error).__name__}: {str(error)[:300]!r}"
    finally:
        for path in paths.values():
            path.unlink()


def _read(paths: dict[str, Path], options: dict[str, Any]) -> tuple[str, str]:
    def read(reader=read_pairs):
        if "colours" in paths:
            return load_colours(paths["colours"])
        return reader(paths["pairs"], items=paths.get("items"), **options)

    try:
        table = read()
    except InputError as error:
        message = str(error)
        if len(message) >= LONGEST_MESSAGE or not message.isprintable():
            return "failed", f"a message of {len(message)} characters: {message[:300]!r}"
        with contextlib.suppress(InputError):
            read(exactly)
            return "failed", f"only the fast reader refuses it: {message}"
        return "refused", message
    if isinstance(table, PairTable):
        same(table, read(exactly))
        promises = _promises_of_pairs(table, options)
    else:
        promises = _promises_of_colours(table)
    broken = [promise for promise, kept in promises.items() if not kept]
    return ("failed", f"does not hold: {', '.join(broken)}") if broken else ("table", "")


def _promises_of_pairs(table: PairTable, options: dict[str, Any]) -> dict[str, bool]:
    names, index, label, weight = table.items, table.index, table.label, table.weight
    return {
        "names are different texts that are not blank": len(set(names)) == len(names)
        and all(isinstance(n, str) and n.strip() and len(n) <= 1000 for n in names),
        "two sides share no item": not table.two_sided or not set(index[:, 0]) & set(index[:, 1]),
        "notes are lines": all(isinstance(n, str) and n.isprintable() for n in table.notes),
        "types": (index.dtype, label.dtype, weight.dtype) == (np.int32, np.float32, np.float32),
        "shapes": index.shape == (len(label), 2) and len(label) == len(weight) > 0,
        "ids are of items": index.min() >= 0 and index.max() < len(names),
        "pairs are of two items": bool((index[:, 0] != index[:, 1]).all()),
        "labels are in 0..1": bool(((label >= 0) & (label <= 1)).all()),
        "positives": not options.get("positives_only") or bool((label == 1).all()),
        "weights": bool(np.isfinite(weight).all() and (weight >= 0).all() and weight.any()),
        "warnings are lines": all(isinstance(w, str) and w.isprintable() for w in table.warnings),
        "a row of extra per item": table.extra is None or len(table.extra) == len(names),
        "columns": {"first", "second"} <= set(table.column_names),
    }


def _promises_of_colours(colours: Colours) -> dict[str, bool]:
    names, rgb = colours.names, colours.rgb
    return {
        "names are texts that are not blank": all(isinstance(n, str) and n.strip() for n in names),
        "shapes": rgb.shape == (len(names), 3) and len(names) > 0,
        "values are in 0..1": rgb.dtype == np.float64 and bool(((rgb >= 0) & (rgb <= 1)).all()),
    }


def outcomes(
    seed: int, start: int, files: int, check: Callable = outcome
) -> Iterator[tuple[int, str, str]]:
    """Yield the number and the outcome of each file.

    Another process reads the files. It is replaced when it gives no answer: it hangs or crashed.
    """
    cases, pool = valid_cases(), None
    with tempfile.TemporaryDirectory() as folder:
        try:
            for number in range(start, start + files):
                if pool is None:
                    pool = multiprocessing.get_context("spawn").Pool(1)
                    pool.apply(valid_cases)  # imports what reading needs
                asked = pool.apply_async(check, (damaged(cases, seed, number), folder))
                try:
                    yield number, *asked.get(PATIENCE)
                except multiprocessing.TimeoutError:
                    pool.terminate()
                    pool = None
                    yield number, "failed", f"no answer in {PATIENCE:g} s"
        finally:
            if pool is not None:
                pool.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--files", type=int, default=3000, help="number of damaged files")
    parser.add_argument("--seed", type=int, default=0, help="seed of the damage")
    parser.add_argument("--start", type=int, default=0, help="number of the first file")
    flags = parser.parse_args()
    began, counts = time.perf_counter(), collections.Counter()
    for number, kind, what in outcomes(flags.seed, flags.start, flags.files):
        counts[kind] += 1
        if kind == "failed":
            print(f"file {number}: {what}", file=sys.stderr)
    print(f"{flags.files:,} files in {time.perf_counter() - began:.0f} s: {dict(counts)}")
    if counts["failed"]:
        sys.exit(1)


if __name__ == "__main__":
    main()
