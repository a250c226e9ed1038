"""Damaged files without end: does the reader of pairs always give a table or one clear line?

Takes small tables that are valid, damages each in a few ways drawn by chance, and reads it in
another process. Allowed are a table that keeps its promises and an error of one line. Anything else
(another exception, a warning, ten seconds without an answer, a crash) is reported with the number
of the file, and the exit status is 1. Read that file again with --start=NUMBER --files=1.

Writes fuzz.json: how many files, by outcome and by kind of message.
"""

from __future__ import annotations

import collections
import csv
import gzip
import hashlib
import io
import json
import multiprocessing
import re
import resource
import sys
import tempfile
import time
import warnings
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import flags

from colour_embed.config import InputError
from experiments import _cli

_OUT = _cli.define_out("fuzz")
_SECONDS = flags.DEFINE_float("seconds", 60.0, "Stop after so long.", lower_bound=0.0)
_FILES = flags.DEFINE_integer("files", 10_000, "Stop after so many files.", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "Of the damage.", lower_bound=0)
_START = flags.DEFINE_integer("start", 0, "Number of the first file.", lower_bound=0)

PATIENCE = 10.0
"""Seconds that one file may take."""

LONGEST_MESSAGE = 1000


class Case(NamedTuple):
    """Files to read: (suffix, content) of the pairs and of the items, and options of the reader."""

    pairs: tuple[str, bytes]
    items: tuple[str, bytes] | None
    options: dict[str, Any]


# Valid tables


def valid_cases() -> list[Case]:
    """Return small tables of all kinds that the reader takes without a fault."""
    colours = [
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

    table = [["first", "second", "label"], *rows(colours, 12, label)]
    weighted = [["a", "note", "b", "similar", "w"]]
    weighted += [[r[0], "x", *r[1:]] for r in rows(plain, 30, soft, lambda number: 1 + number)]
    counted = [["source", "target", "count"], *rows(plain, 9, lambda number: number + 1)]
    numbered = [["i", "j", "y"], *rows(list(range(len(plain))), 20, label)]
    items = [["name", "size", "kind"], *([name, k, f"k{k}"] for k, name in enumerate(plain))]
    only, ids = {"positives_only": True}, {"ids": True}
    cases = [
        Case((".csv", _text(table, ",")), None, {}),
        Case((".tsv", _text(table, "\t")), None, {}),
        Case((".csv.gz", gzip.compress(_text(table, ","), mtime=0)), None, {}),
        Case((".parquet", _parquet(table)), None, {}),
        Case((".csv", _text(weighted, ",")), (".csv", _text(items, ",")), {}),
        Case((".tsv.gz", gzip.compress(_text(weighted, "\t"), mtime=0)), None, {}),
        Case((".parquet", _parquet(weighted)), (".parquet", _parquet(items)), {}),
        Case((".csv", _text(counted, ",")), (".tsv", _text(items, "\t")), only),
        Case((".parquet", _parquet(counted)), None, only),
        Case((".csv", _text(numbered, ",")), (".csv", _text(items, ",")), ids),
        Case((".csv", _text(numbered, ",")), None, ids),
        Case((".parquet", _parquet(numbered)), (".csv", _text(items, ",")), ids),
    ]
    return cases


def _text(rows: list[list], separator: str) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _parquet(rows: list[list]) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    header, *body = rows
    columns = {name: [row[place] for row in body] for place, name in enumerate(header)}
    sink = io.BytesIO()
    parquet.write_table(pa.table(columns), sink, row_group_size=7)
    return sink.getvalue()


# Damage

TOKENS = [
    *(b"\0", b'"', b'""', b"\n", b"\r", b"\r\n", b",", b"\t", b";", b"|", b" ", b"'", b"\\", b"#"),
    *(b"9" * 400, b"2147483648", b"1e999", b"-1", b"2", b"nan", b"inf", b"0x1", b"1_0", b"5.0"),
    *(b"\xff", b"\xc3", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xff\xfe", b"A" * 2000, b"yes", b"1,1"),
    *(c.encode() for c in ("é", "日本", "\u2028", "\u202e", "\x85", "\x1c", "\U0001f600", "١")),
    *(b"=1+1", b"<script>", b"../../etc", b"NA", b"null", b"label", b"first", b"name", b"\x1f\x8b"),
]
ODD_VALUES = [None, -1, 0, 2, 2**40, 0.5, 1.0, 5.0, -0.0, 1e39, 1e300, float("nan"), float("inf")]
SUFFIXES = [".csv", ".tsv", ".txt", ".parquet", ".csv.gz", ".gz", ""]
ENCODINGS = ["utf-16", "utf-16-le", "latin-1", "utf-8-sig", "utf-7", "cp1252"]


def damaged(cases: list[Case], seed: int, number: int) -> Case:
    """Return one of the cases, damaged one to three times; the same for the same numbers."""
    random = np.random.default_rng([seed, number])
    case = cases[random.integers(len(cases))]
    files = {"pairs": case.pairs, "items": case.items}
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        name = "items" if case.items and random.random() < 0.3 else "pairs"
        files[name] = _damage(*files[name], random)
    options = dict(case.options)
    if random.random() < 0.1:
        flag = ("ids", "positives_only")[random.integers(2)]
        options[flag] = not options.get(flag, False)
    if random.random() < 0.3:
        options["max_bytes"] = 10 ** int(random.integers(3, 10))
    return Case(files["pairs"], files["items"], options)


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
    import pyarrow as pa
    from pyarrow import parquet

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
    sink = io.BytesIO()
    parquet.write_table(pa.table(table), sink, row_group_size=7)
    return sink.getvalue()


def _token(random: np.random.Generator) -> bytes:
    return TOKENS[random.integers(len(TOKENS))]


_BYTE_WAYS = [_flip, _flip, _cut, _leave_out, _repeat, _insert]
_TABLE_WAYS = [
    *(_put_into_cell, _put_into_cell, _insert, _shuffle_columns, _double_column),
    *(_shuffle_lines, _change_line_ends, _change_separator, _encode),
]


# Reading in another process


def write_case(case: Case, folder: Path) -> tuple[Path, Path | None]:
    """Write the files of a case into a folder, which is emptied; return their paths."""
    for old in folder.iterdir():
        old.unlink()
    paths = [None, None]
    for place, (name, file) in enumerate((("pairs", case.pairs), ("items", case.items))):
        if file is not None:
            paths[place] = folder / f"{name}{file[0]}"
            paths[place].write_bytes(file[1])
    return tuple(paths)


def outcome(paths: tuple[Path, Path | None], options: dict[str, Any]) -> tuple[str, str]:
    """Read a case: "table", "refused" and the message, or "failed" and what was not as promised."""
    from colour_embed.pairs.reading import read_pairs

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            table = read_pairs(paths[0], items=paths[1], **options)
    except InputError as error:
        message = str(error)
        if len(message) >= LONGEST_MESSAGE or not message.isprintable():
            return "failed", f"a message of {len(message)} characters: {message[:300]!r}"
        return "refused", message
    except Exception as error:
        return "failed", f"{type(error).__name__}: {str(error)[:300]!r}"
    broken = broken_promise(table, options)
    return ("failed", broken) if broken else ("table", "")


def broken_promise(table: Any, options: dict[str, Any]) -> str | None:
    """Return what a table that was read does not keep of what it promises."""
    names, index, label, weight = table.items, table.index, table.label, table.weight
    promises = {
        "names are different texts that are not blank": len(set(names)) == len(names)
        and all(isinstance(n, str) and n.strip() and len(n) <= 1000 for n in names),
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
    return next((f"does not hold: {name}" for name, kept in promises.items() if not kept), None)


def _serve(connection) -> None:
    """Answer each case that comes with its outcome, and with the most memory taken so far."""
    from colour_embed.pairs import reading

    del reading
    connection.send(None)
    while (asked := connection.recv()) is not None:
        answer = outcome(*asked)
        connection.send((*answer, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))


class Reader:
    """A process that reads; it is replaced when it hangs or crashes."""

    def __init__(self):  # noqa: D107
        self.peak = 0
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        self._connection.recv()

    def read(self, paths: tuple[Path, Path | None], options: dict[str, Any]) -> tuple[str, str]:
        """Return the outcome of a case."""
        self._connection.send((paths, options))
        try:
            if self._connection.poll(PATIENCE):
                *answer, peak = self._connection.recv()
                self.peak = max(self.peak, peak)
                return tuple(answer)
            answer = "failed", f"no answer in {PATIENCE:g} s"
        except EOFError:
            self._process.join()
            answer = "failed", f"the process ended with {self._process.exitcode}"
        self.close()
        self._start()
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self._connection.close()


def message_kind(message: str) -> str:
    """Return a message without its file, numbers and quoted parts, so that like ones are one."""
    problem = message.split(": ", 1)[-1]
    problem = re.sub(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", "…", problem)
    return re.sub(r"0x[0-9a-f]+|\d[\d,.]*\d|\d", "N", problem)[:160]


# The program


def main() -> None:
    from colour_embed.io import run_folder

    out = Path(_OUT.value)
    run_folder.check_folder(out, "fuzz")
    cases = valid_cases()
    found, seconds = _read_all(cases)
    counts = collections.Counter(kind for kind, _ in found.outcomes)
    kinds = collections.Counter(message_kind(m) for kind, m in found.outcomes if kind == "refused")
    failures = [
        {"number": _START.value + number, "what": what}
        for number, (kind, what) in enumerate(found.outcomes)
        if kind == "failed"
    ]
    digest = hashlib.sha256(json.dumps(repr(cases)).encode()).hexdigest()[:16]
    with run_folder.replacing(out, "fuzz") as folder:
        about = {"seed": _SEED.value, "start": _START.value, "seconds": _SECONDS.value}
        run_folder.write_json(
            folder / run_folder.MARKER, {"experiment": "fuzz", **about, "files": _FILES.value}
        )
        run_folder.write_json(folder / "env.json", run_folder.environment("cpu", digest))
        run_folder.write_json(
            folder / "fuzz.json",
            {
                "files": len(found.outcomes),
                "seconds": round(seconds, 1),
                "reader_peak_mb": round(found.peak / 1024),
                "outcomes": dict(counts),
                "failures": failures,
                "messages": dict(kinds.most_common()),
            },
        )
    print(f"{len(found.outcomes):,} files in {seconds:.0f} s: {dict(counts)}; see {out}")
    for failure in failures[:20]:
        print(f"file {failure['number']}: {failure['what']}", file=sys.stderr)
    if failures:
        sys.exit(1)


class _Found(NamedTuple):
    """The outcome of each file, and the most memory the reader took, in KiB."""

    outcomes: list[tuple[str, str]]
    peak: int


def _read_all(cases: list[Case]) -> tuple[_Found, float]:
    """Read files until the time or their number is up; also return the seconds that took."""
    began = time.perf_counter()
    outcomes = []
    with tempfile.TemporaryDirectory() as folder, _cli.progress() as add:
        reader = Reader()
        report = add("files", _FILES.value)
        while len(outcomes) < _FILES.value and time.perf_counter() - began < _SECONDS.value:
            case = damaged(cases, _SEED.value, _START.value + len(outcomes))
            kind, what = reader.read(write_case(case, Path(folder)), case.options)
            outcomes.append((kind, what.replace(f"{folder}/", "")))
            if len(outcomes) % 100 == 0:
                report(len(outcomes))
        reader.close()
    return _Found(outcomes, reader.peak), time.perf_counter() - began


if __name__ == "__main__":
    _cli.start(main, __doc__)
