"""Faulty files of pairs: one line each, with the file, the rows, the column and a hint."""

import io
import os

import numpy as np
import pandas as pd
import pytest
from pairs.fuzz import as_parquet, as_text, packed

from colour_embed.config import InputError
from colour_embed.io import text_tables
from colour_embed.pairs import reading
from colour_embed.pairs.reading import estimate_bytes, read_pairs

HEADER = ["first", "second", "label"]
GOOD = "first,second,label\nred,navy,1\n"
IDS = "i,j,label\n0,1,1\n"
COUNTS = "a,b,count\nx,y,2\n"
LONG = "x" * 1_000_000
MANY = GOOD + "".join("a,b,yes\n" if i % 2 else "a,b,0\n" for i in range(2000))


def refused(path, **options):
    """Read a file that is at fault; return the message, which is one short line."""
    with pytest.raises(InputError) as error:
        read_pairs(path, **options)
    message = str(error.value)
    assert message.isprintable()
    assert len(message) < 1000
    return message


@pytest.fixture
def write(tmp_path):
    def write(content, name="my pairs.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


BAD_TABLES = {
    "empty": ("", ["is empty", "a header and a row"]),
    "only a byte order mark": (b"\xef\xbb\xbf", ["row 1", "is blank"]),
    "only line breaks": ("\n\n", ["row 1", "is blank", "header comes first"]),
    "header only": ("first,second,label\n", ["row 1", "no pairs", "a row per pair"]),
    "header and empty lines": ("first,second,label\n\n \n", ["row 1", "no pairs"]),
    "semicolons": ("a;b;label\nx;y;1\n", ["row 1", "separated by ';'", "save it with commas"]),
    "tabs": ("a\tb\tlabel\nx\ty\t1\n", ["row 1", "separated by tabs", "with commas"]),
    "one column": ("name\nx\n", ["row 1", "too few columns", "two that name items"]),
    "two columns": ("a,b\nx,y\n", ["row 1", "no column holds labels", "positives_only"]),
    "misspelt label": ("a,b,lable\nx,y,1\n", ["row 1", "did you mean 'label'?", "name it"]),
    "label twice": ("a,b,label,Label\nx,y,1,1\n", ["row 1, column 'label'", "twice", "leave one"]),
    "item twice": ("a,b,a,label\nx,y,z,1\n", ["row 1, column 'a'", "twice", "leave one"]),
    "no header": ("red,navy,1\nred,teal,0\n", ["row 1", "no column holds labels"]),
    "short row": (GOOD + "a,b\n", ["row 3, column 'label'", "2 cells, but the header has 3"]),
    "short rows": (
        GOOD + "a,b\na\nc,d,1\nb,a\n",
        ["rows 3, 6, column 'label'", "2 cells, but", "(1 more row at fault)"],
    ),
    "long row": (
        GOOD + "a, b,c,1\n",
        ["row 3, column 'label'", "4 cells", "put names that hold a comma in quotes"],
    ),
    "unclosed quote": (GOOD + '"a,b,1\nc,d,0\n', ["row 3:", "quotation marks", "close each"]),
    "text after a quote": (GOOD + '"a"b,c,1\n', ["row 3:", "quotation marks", "close each"]),
    "null byte": (GOOD.encode() + b"a\0,b,1\n", ["row 3:", "byte 31 is a null byte", "UTF-8"]),
    "null byte in the header": (b"a,b,la\0bel\nx,y,1\n", ["row 1:", "byte 6 is a null byte"]),
    "latin-1": (GOOD.encode() + b"ros\xe9,b,1\n", ["row 3:", "byte 33 is not UTF-8", "Latin-1"]),
    "latin-1 after a mark": (b"\xef\xbb\xbfa,b,label\nros\xe9,b,1\n", ["row 2:", "byte 16 "]),
    "utf-16": (GOOD.encode("utf-16"), ["row 1", "is UTF-16", "UTF-8"]),
    "utf-16 without a mark": (GOOD.encode("utf-16-le"), ["row 1", "null byte, as in UTF-16"]),
    "blank name": (GOOD + ",b,1\n", ["row 3, column 'first'", "an empty cell is no name", "give"]),
    "blank names": (GOOD + "a,,1\nb,  ,1\n", ["rows 3, 4, column 'second'", "an empty cell"]),
    "quoted blank": (GOOD + '"\n",b,1\n', ["row 3, column 'first'", "an empty cell is no name"]),
    "row of commas": (GOOD + ",,\n", ["row 3, column 'first'", "an empty cell is no name"]),
    "name of spaces": (GOOD + "\u3000,b,1\n", ["row 3, column 'first'", "an empty cell"]),
    "long name": (GOOD + f"{'x' * 1001},b,1\n", ["row 3, column 'first'", "1,000 characters"]),
    "far too long a name": (
        GOOD + f"{LONG},b,1\n",
        ["row 3", "over 131,072 characters", "shorten it"],
    ),
    "label -1": (
        GOOD + "a,b,-1\n",
        ["row 3, column 'label'", "'-1' is no label", "0 (dissimilar)"],
    ),
    "label 2": (GOOD + "a,b,2\n", ["row 3, column 'label'", "'2' is no label", "1 (similar)"]),
    "label yes": (GOOD + "a,b,yes\n", ["row 3, column 'label'", "'yes' is no label"]),
    "label nan": (GOOD + "a,b,NaN\n", ["row 3, column 'label'", "'NaN' is no label"]),
    "label inf": (GOOD + "a,b,inf\n", ["row 3, column 'label'", "'inf' is no label"]),
    "label 1.0001": (GOOD + "a,b,1.0001\n", ["row 3, column 'label'", "'1.0001' is no label"]),
    "label with a decimal comma": (GOOD + 'a,b,"0,5"\n', ["row 3, column 'label'", "'0,5' is no"]),
    "label 1_0": (GOOD + "a,b,0_1\n", ["row 3, column 'label'", "'0_1' is no label"]),
    "label in other digits": (GOOD + "a,b,١\n", ["row 3, column 'label'", "is no label"]),
    "empty label": (GOOD + "a,b,\n", ["row 3, column 'label'", "an empty cell is no label"]),
    "long label": (GOOD + f"a,b,{'9' * 5000}\n", ["row 3, column 'label'", "…' is no label"]),
    "first kind first": (GOOD + "a,b,0\n,b,1\na,b,x\n,x,y\n", ["rows 4, 6, column 'first'"]),
    "after empty lines": (GOOD + "\n\na,b,x\n", ["row 5, column 'label'"]),
    "after line breaks in a name": (GOOD + '"a\n\nb",c,1\nc,d,x\n', ["row 4, column 'label'"]),
    "line ends of old": (GOOD.replace("\n", "\r") + "a,b,x\r", ["row 3, column 'label'"]),
    "many": (MANY, ["rows 4, 6, 8, ", " 40, 42 and 980 more, column 'label'", "'yes'"]),
    "escapes in a name": (GOOD + "a\x1b[31m,b,1\n\x1b[31m,\x07,x\n", ["row 4, column 'label'"]),
    "line break in a cell": (
        GOOD + 'a,b,"x\ny"\n',
        ["row 3, column 'label'", r"'x\ny' is no label"],
    ),
    "line break in a column": ('a,b,"la\nbel"\nx,y,1\n', ["row 1", "no column holds labels"]),
    "self-pairs only": ("a,b,label\nx,x,1\ny,y,0\n", ["item with itself", "different items"]),
    "weight below 0": ("a,b,label,w\nx,y,1,-1\n", ["row 2, column 'w'", "'-1' is no weight"]),
    "infinite weight": ("a,b,label,w\nx,y,1,inf\n", ["row 2, column 'w'", "'inf' is no weight"]),
    "weight nan": ("a,b,label,w\nx,y,1,nan\n", ["row 2, column 'w'", "0 or more"]),
    "weight too large": ("a,b,label,w\nx,y,1,1e39\n", ["row 2, column 'w'", "'1e39' is no weight"]),
    "empty weight": ("a,b,label,w\nx,y,1,\n", ["row 2, column 'w'", "an empty cell is no weight"]),
    "weights all 0": ("a,b,label,w\nx,y,1,0\ny,z,0,0.0\n", ["column 'w'", "all weights are 0"]),
    "weight on self-pairs only": ("a,b,label,w\nx,y,1,0\nz,z,0,1\n", ["all weights are 0"]),
    "no line breaks": ("a,b,label " + "x" * (17 << 20), ["row 1", "over 16,777,216 bytes"]),
    "a line without an end": (GOOD + "x" * (17 << 20), ["row 3", "over 16,777,216 bytes"]),
    "zip": (b"PK\3\4" + bytes(100), ["is a zip archive", "save it as CSV"]),
    "gzip by another name": (packed(GOOD.encode()), ["compressed", "my pairs.csv.gz'"]),
    "Parquet by another name": (as_parquet([HEADER, ["a", "b", 1]]), ["end in .parquet"]),
}


@pytest.mark.parametrize(("content", "parts"), BAD_TABLES.values(), ids=BAD_TABLES)
def test_bad_table(write, content, parts):
    path = write(content)
    message = refused(path)
    assert message.startswith(path)
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("content", "options", "parts"),
    [
        (GOOD, {"first": "frist"}, ["row 1, column 'frist'", "did you mean 'first'?"]),
        (GOOD, {"label": "zzz"}, ["column 'zzz'", "give one of 'first', 'second', 'label'"]),
        (GOOD, {"label": "x" * 5000}, ["column 'xxx", "give one of"]),
        (GOOD, {"weight": "wieght"}, ["column 'wieght'", "no such column"]),
        (GOOD, {"first": "second", "second": "Second"}, ["both first and second", "give two"]),
        (GOOD, {"label": "first"}, ["row 2, column 'first'", "'red' is no label"]),
        (GOOD, {"item": "name"}, ["item is 'name'", "give items too"]),
        (GOOD, {"positives_only": True, "label": "label"}, ["label is 'label'", "give one of"]),
        (GOOD + "a,b,0\n", {"positives_only": True}, ["row 3, column 'label'", "'0' is not 1"]),
        (COUNTS + "y,z,0\n", {"positives_only": True}, ["row 3, column 'count'", "above 0"]),
        (COUNTS + "y,z,-2\n", {"positives_only": True}, ["column 'count'", "'-2' is no count"]),
        (COUNTS + "y,z,inf\n", {"positives_only": True}, ["column 'count'", "'inf' is no count"]),
        ("a,b,w,count\nx,y,1e30,1e30\n", {"positives_only": True}, ["'count'", "too large"]),
        (IDS + "1,-1,0\n", {"ids": True}, ["row 3, column 'j'", "'-1' is no row number"]),
        (IDS + "1,0.5,0\n", {"ids": True}, ["row 3, column 'j'", "'0.5' is no row number"]),
        (IDS + "a,1,0\n", {"ids": True}, ["row 3, column 'i'", "'a' is no row number"]),
        (IDS + ",1,0\n", {"ids": True}, ["row 3, column 'i'", "an empty cell is no row number"]),
        (IDS + "0x1,1,0\n", {"ids": True}, ["row 3, column 'i'", "'0x1' is no row number"]),
        (IDS + "9999999999,1,0\n", {"ids": True}, ["row 3, column 'i'", "out of range"]),
        (IDS + "2000000000,1,0\n", {"ids": True}, ["2,000,000,000 makes", "give the items file"]),
        (GOOD, {"max_bytes": 10}, ["takes about", "allow more memory"]),
    ],
)
def test_bad_options(write, content, options, parts):
    message = refused(write(content), **options)
    for part in parts:
        assert part in message


ITEMS = "name,size\nred,1\nnavy,2\nTeal ,3\n"
BAD_ITEMS = {
    "unknown": (GOOD + "redd,navy,1\n", ITEMS, {}, ["row 3, column 'first'", "mean 'red'?"]),
    "unknown by its case": (GOOD + "red,teal,1\n", ITEMS, {}, ["row 3", "did you mean 'Teal '?"]),
    "unknown and far": (GOOD + "red,zzzzzz,1\n", ITEMS, {}, ["'zzzzzz' is no item of", "add it"]),
    "out of range": (IDS + "1,3,0\n2,9,1\n", ITEMS, {"ids": True}, ["rows 3, 4", "from 0 to 2"]),
    "blank": (GOOD, "name,size\nred,1\n ,2\n", {}, ["items.csv, row 3, column 'name'", "no name"]),
    "twice": (GOOD, "name\nred\nnavy\nred\nred\n", {}, ["rows 4, 5", "'red' stands there twice"]),
    "long": (GOOD, f"name\n{'y' * 2000}\n", {}, ["row 2, column 'name'", "1,000 characters"]),
    "empty": (GOOD, "", {}, ["items.csv: is empty"]),
    "header only": (GOOD, "name,size\n", {}, ["items.csv, row 1", "no items", "a row per item"]),
    "ragged": (GOOD, "name,size\nred\n", {}, ["items.csv, row 2", "1 cell, but the header has 2"]),
    "column twice": (GOOD, "name,size,Size\nred,1,1\n", {}, ["row 1, column 'size'", "twice"]),
    "no such column": (GOOD, ITEMS, {"item": "nam"}, ["column 'nam'", "did you mean 'name'?"]),
    "semicolons": (GOOD, "name;size\nred;1\n", {}, ["row 1", "separated by ';'"]),
    "too much": (GOOD, ITEMS, {"max_bytes": 100}, ["items.csv: reading it takes"]),
}


@pytest.mark.parametrize(("pairs", "items", "options", "parts"), BAD_ITEMS.values(), ids=BAD_ITEMS)
def test_bad_items(write, pairs, items, options, parts):
    path = write(pairs)
    message = refused(path, items=write(items, "items.csv"), **options)
    for part in parts:
        assert part.lower() in message.lower()


def test_the_nearest_of_very_many_names(write):
    items = write("name\n" + "".join(f"item number {i}\n" for i in range(30_000)), "items.csv")
    rows = as_text([HEADER, *([f"item number {i}", "item number 7", 1] for i in range(20))])
    message = refused(write(rows + b"item numbr 12,item number 7,0\n"), items=items)
    assert "row 22, column 'first'" in message
    assert "'item numbr 12' is no item of" in message
    assert "did you mean 'item number 12'?" in message


# Files


def test_missing_file(tmp_path, write):
    message = refused(tmp_path / "absent.csv")
    assert message == f"{tmp_path / 'absent.csv'}: there is no such file; check its path"
    write(GOOD, "mypairs.csv")
    assert "did you mean 'mypairs.csv'?" in refused(tmp_path / "mypiars.csv")
    assert "no such file" in refused(tmp_path / "no folder" / "a.csv")
    assert "no such file" in refused(write(GOOD), items=tmp_path / "items.csv")


def test_folder_and_what_is_no_file(tmp_path):
    (tmp_path / "pairs.csv").mkdir()
    assert "is a folder; give the file in it" in refused(tmp_path / "pairs.csv")
    assert "is no regular file" in refused("/dev/null")
    os.mkfifo(tmp_path / "fifo.csv")
    assert "is no regular file" in refused(tmp_path / "fifo.csv")


@pytest.mark.parametrize("path", ["a\0b.csv", "x" * 300 + ".csv", "two\nlines\x1b.csv"])
def test_impossible_paths(path):
    assert refused(path)


def test_a_file_that_may_not_be_read(write, monkeypatch):
    path = write(GOOD)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("builtins.open", refuse)
    message = refused(path)
    assert "can't be read (Permission denied)" in message


@pytest.mark.parametrize("cut", [1, 5, 15, 60, -20, -8, -1])
@pytest.mark.parametrize("name", ["p.csv.gz", "p.parquet"])
def test_cut_files(write, name, cut):
    rows = [HEADER, *([f"n{i}", f"m{i * i}", i % 2] for i in range(300))]
    content = as_parquet(rows) if name == "p.parquet" else packed(as_text(rows))
    message = refused(write(content[:cut], name))
    assert any(word in message for word in ("damaged or cut short", "is not compressed"))
    assert any(hint in message for hint in ("file again", "leave .gz out"))


def test_damaged_gzip(write):
    rows = [HEADER, *([f"n{i}", f"m{i * i}", i % 2] for i in range(300))]
    content = bytearray(packed(as_text(rows)))
    content[-6] ^= 1
    assert "CRC check failed" in refused(write(bytes(content), "p.csv.gz"))
    assert "is not compressed with gzip" in refused(write(GOOD, "p.csv.gz"))
    parquet = packed(as_parquet(rows))
    assert "Parquet within gzip" in refused(write(parquet, "p.parquet.gz"))


def test_a_bomb_of_gzip_is_stopped(write):
    text = GOOD + "".join(f"{i},{i + 1},1\n" for i in range(100_000))
    message = refused(write(packed(text.encode(), 9), "p.csv.gz"), max_bytes=10_000_000)
    assert "allow more memory" in message


def test_more_than_estimated_is_stopped_while_reading(write, monkeypatch):
    rows = [HEADER, *([f"name {i}", f"other {i}", 1] for i in range(5000))]
    path = write(as_text(rows))
    needed = estimate_bytes(path)
    assert len(read_pairs(path, max_bytes=needed)) == 5000
    monkeypatch.setattr(reading, "_estimate", lambda *_: (5000, 0))
    monkeypatch.setattr(text_tables, "PIECE_BYTES", 10_000)
    events = []
    message = refused(path, max_bytes=300_000, report=events.append)
    assert "allow more memory" in message
    assert 0 < events[-1].done < 5000


@pytest.mark.parametrize("change", ["cut", "grow", "replace", "remove", "touch"])
@pytest.mark.parametrize("name", ["p.csv", "p.csv.gz", "p.parquet"])
def test_a_file_that_changes_while_it_is_read(write, monkeypatch, name, change):
    rows = [HEADER, *([f"n{i}", f"m{i}", i % 2] for i in range(5000))]
    content = as_parquet(rows, row_group_size=100) if "parquet" in name else as_text(rows)
    path = write(packed(content) if name.endswith("gz") else content, name)
    size, written = os.path.getsize(path), os.stat(path).st_mtime_ns
    monkeypatch.setattr(text_tables, "PIECE_BYTES", 1000)

    def change_it(progress):
        if not os.path.exists(path) or os.stat(path).st_mtime_ns != written:
            return
        if change == "cut":
            os.truncate(path, size // 2)
        elif change == "grow":
            with open(path, "ab") as file:
                file.write(b"a,b,1\n")
        elif change == "touch":
            os.utime(path, ns=(1, 1))
        else:
            os.remove(path)
            if change == "replace":
                write(content, name)

    message = refused(path, report=change_it)
    assert message.startswith(path)
    assert "changed while it was read; read it again" in message


# Parquet


@pytest.mark.parametrize(
    ("columns", "options", "parts"),
    [
        ({"a": ["x", None], "b": ["y", "z"], "label": [1, 0]}, {}, ["row 3, column 'a'", "empty"]),
        ({"a": ["x", ""], "b": ["y", "z"], "label": [1, 0]}, {}, ["row 3, column 'a'", "empty"]),
        ({"a": ["x\0"], "b": ["y"], "label": [1]}, {}, ["row 2, column 'a'", "a null byte"]),
        ({"a": ["x" * 1001], "b": ["y"], "label": [1]}, {}, ["row 2, column 'a'", "1,000"]),
        ({"a": [LONG], "b": ["y"], "label": [1]}, {}, ["row 2, column 'a'", "1,000"]),
        ({"a": ["x"], "b": ["y"], "label": [2]}, {}, ["row 2, column 'label'", "'2' is no label"]),
        ({"a": ["x"], "b": ["y"], "label": [-0.5]}, {}, ["row 2, column 'label'", "'-0.5'"]),
        ({"a": ["x"], "b": ["y"], "label": ["yes"]}, {}, ["row 2, column 'label'", "'yes'"]),
        ({"a": ["x"] * 2, "b": ["y"] * 2, "label": [1, np.nan]}, {}, ["row 3", "is no label"]),
        ({"a": ["x"], "b": ["y"], "label": [np.inf]}, {}, ["row 2", "'inf' is no label"]),
        ({"a": ["x"], "b": ["y"], "label": [1], "w": [-1.0]}, {}, ["row 2, column 'w'", "'-1.0'"]),
        ({"a": [[1]], "b": ["y"], "label": [1]}, {}, ["column 'a'", "of the kind list"]),
        ({"a": [b"\xff"], "b": ["y"], "label": [1]}, {}, ["column 'a'", "of the kind bytes"]),
        ({"a": pd.to_datetime(["2020-01-01"]), "b": ["y"], "label": [1]}, {}, ["column 'a'"]),
        ({"a": [0.5], "b": [1.0], "label": [1]}, {"ids": True}, ["row 2, column 'a'", "'0.5'"]),
        ({"a": [-1], "b": [1], "label": [1]}, {"ids": True}, ["row 2, column 'a'", "'-1' is no"]),
        ({"a": [2**40], "b": [1], "label": [1]}, {"ids": True}, ["row 2", "out of range"]),
        ({"a": [], "b": [], "label": []}, {}, ["row 1", "no pairs"]),
        ({"a": ["x"]}, {}, ["row 1", "too few columns"]),
        ({"a": ["x"], "b": ["y"], "lable": [1]}, {}, ["row 1", "did you mean 'label'?"]),
    ],
)
def test_bad_parquet(write, columns, options, parts):
    sink = io.BytesIO()
    pd.DataFrame(columns).to_parquet(sink)
    message = refused(write(sink.getvalue(), "p.parquet"), **options)
    for part in parts:
        assert part in message


def test_what_is_no_parquet(write):
    assert "is no Parquet" in refused(write(GOOD, "p.parquet"))
    assert "is no Parquet" in refused(write(b"PAR1" + bytes(50) + b"PAR1", "p.parquet"))
