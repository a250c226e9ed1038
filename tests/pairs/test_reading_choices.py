"""What is read as what: columns, headers, separators, labels, names; said in a line or refused."""

import bz2
import io
import lzma
import time
import zipfile

import numpy as np
import pandas as pd
import pytest
from pairs.fuzz import as_parquet, as_text, exactly, packed, same

from colour_embed.config import InputError
from colour_embed.io import text_tables
from colour_embed.pairs import reading, sampling
from colour_embed.pairs.columns import kinds_differ
from colour_embed.pairs.reading import draw_negatives, estimate_bytes, read_pairs
from colour_embed.pairs.vocabulary import look_alikes

TREES = [["oak", "elm", 1], ["oak", "fir", 0], ["elm", "fir", 0], ["fir", "pine", 1]]
TREES.append(["pine", "oak", 0])
ONLY = {"positives_only": True}


@pytest.fixture
def read(tmp_path):
    """Read a content by both readers, which agree; return the table, or the message."""

    def outcome(reader, path, options):
        try:
            return reader(path, **options)
        except InputError as error:
            return str(error)

    def read(content, name="pairs.csv", **options):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        found, exact = (outcome(reader, path, options) for reader in (read_pairs, exactly))
        if isinstance(found, str):
            assert found == exact
            assert found.isprintable()
        else:
            same(found, exact)
        return found

    return read


def numbered(header, numbers, place=0):
    rows = [[*row[:place], number, *row[place:]] for number, row in zip(numbers, TREES)]
    names = ["tree_a", "tree_b", "label"]
    return [[*names[:place], header, *names[place:]], *rows]


# Columns and rows


@pytest.mark.parametrize("form", [as_text, as_parquet])
@pytest.mark.parametrize(
    ("header", "numbers"),
    [
        *((name, range(5)) for name in ("index", "ID", "idx", "pair_id", "Row", "row number")),
        *((name, range(1, 6)) for name in ("No.", "#", "row_names", "...1", "pairID")),
        *((name, [8, 3, 5, 1, 900]) for name in ("Unnamed: 0", "Unnamed: 0.1")),
        ("index", [0.0, 1.0, 2.0, 3.0, 4.0]),
    ],
)
def test_row_numbers_are_no_items(read, form, header, numbers):
    name = "p.csv" if form is as_text else "p.parquet"
    for place in (0, 1):
        table = read(form(numbered(header, numbers, place)), name)
        assert table.items == ["oak", "elm", "fir", "pine"]
        assert table.notes == [
            "items from columns 'tree_a' and 'tree_b', labels from 'label'",
            f"column {header!r} numbers the rows, and is not read",
        ]


@pytest.mark.parametrize(
    ("header", "numbers"),
    [("id", [8, 3, 5, 1, 900]), ("pair_id", "abcde"), ("X", range(5)), ("key", [3, 1, 2, 5, 4])],
)
def test_what_may_be_row_numbers_is_refused(read, header, numbers):
    content = as_text(numbered(header, numbers))
    message = read(content)
    assert f"row 1, column {header!r}: the column seems to number the rows" in message
    assert "--first and --second" in message
    table = read(content, first="tree_a", second="tree_b")
    assert table.items == ["oak", "elm", "fir", "pine"]


def test_numbers_stay_items_without_two_other_columns(read):
    table = read("id,friend,score,label\n0,1,.5,1\n1,2,.5,0\n2,3,.25,1\n")
    assert table.notes == ["items from columns 'id' and 'friend', labels from 'label'"]
    assert "too few columns" in read("Unnamed: 0,name,label\n0,oak,1\n")
    table = read("user,friend,day,label\n9,4,1,1\n9,3,1,0\n7,4,1,0\n")
    assert table.items == ["9", "4", "3", "7"]


HEADLESS = "kangaroo\tmarsupial\nkoala\tmarsupial\nmarsupial\tmammal\n"


@pytest.mark.parametrize(
    ("content", "options", "part"),
    [
        (HEADLESS, ONLY, "row 1, column 'marsupial': the name of the column is an item too"),
        ("1\t2\n1\t3\n", ONLY, "row 1: the header holds '1'"),
        ("oak\telm\t1\noak\tfir\t0\n", {}, "row 1: no column holds labels (label,"),
        ("oak\telm\tTrue\noak\tfir\tFalse\n", {}, "the header holds 'True'"),
        ("a\tb\t1\na\tc\t0\n", {}, "the header holds '1'"),
    ],
)
def test_a_header_that_is_a_pair_is_refused(read, content, options, part):
    message = read(content, "p.tsv", **options)
    assert part in message
    assert "--header=no" in message
    table = read(content, "p.tsv", header="no", **options)
    assert len(table) == content.count("\n")
    assert table.notes[0].startswith("items from columns '1' and '2'")


def test_without_a_header(read):
    table = read(HEADLESS, "p.tsv", header="yes", **ONLY)
    assert table.items == ["koala", "marsupial", "mammal"]
    content = b"\xef\xbb\xbf\nx,oak,elm,1\r\nx,elm,fir,.5\r\n"
    table = read(content, header="no", first="2", second="3", label="4")
    assert table.items == ["oak", "elm", "fir"]
    assert table.column_names == {"first": "2", "second": "3", "label": "4"}
    message = read("0,oak,elm,1\n1,oak,fir,0\n2,elm,fir,0\n", header="no")
    assert "column '1': the column seems to number the rows" in message
    assert "column is left for the labels" in read("oak,elm\n", header="no")
    (line,) = read("a,b\nx,a\ny,x\n", **ONLY).warnings
    assert "the column name 'a' is an item too" in line
    assert read("a,b,label\nx,a,1\ny,x,0\n").warnings == []


def test_separators_and_comments(read):
    table = read("a b  label\noak elm 1\n\n oak\tfir 0 \n", "p.txt", separator="space")
    assert (table.items, table.label.tolist()) == (["oak", "elm", "fir"], [1, 0])
    content = 'a b label\n"New ""York""" " 1\n" oak 0\n'
    assert read(content, "p.txt", separator="space").items == ['New "York"', '"', "oak"]
    for name, mark in text_tables.SEPARATORS.items():
        assert len(read(as_text([["a", "b", "label"], *TREES], mark), separator=name)) == 5
    table = read("sep=;\r\na;b;label\r\noak;elm;1\r\nelm;fir;x\r\n")
    assert "row 4, column 'label': 'x' is no label" in table
    content = '# one\n# a b\na\tb\tlabel\noak\t"elm\n# 2"\t1\n# three\nelm\toak\tx\n'
    assert "row 6, column 'label': 'x'" in read(content, "p.tsv", comment="#")
    table = read(content.replace("x", "0"), "p.tsv", comment="#")
    assert table.items == ["oak", "elm\n# 2", "elm"]
    assert len(
        read("# c\n# d\n1 2\n2 3\n", "g", separator="space", comment="#", header="no", **ONLY)
    )


def test_a_plain_edge_list_is_read_fast(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "_gather_records", None)
    path = tmp_path / "g.edgelist"
    path.write_text("# nodes\n" + "".join(f"{i} {i + 1}\n" for i in range(50)))
    table = read_pairs(path, separator="space", comment="#", header="no", **ONLY)
    assert table.items == [str(number) for number in range(51)]


def test_items_have_a_separator_of_their_own(read, tmp_path):
    items = tmp_path / "items.csv"
    pairs = "a;b;label\noak;elm;1\nelm;oak;1\n"
    for content in ("name;group\nelm;1\noak;2\n", "name,group\nelm,1\noak,2\n", "name\nelm\noak\n"):
        items.write_text(content)
        table = read(pairs, items=items, separator="semicolon")
        assert table.items == ["elm", "oak"]
        assert "names of items from items.csv, column 'name'" in table.notes
    items.write_text("oak\nelm\n")
    assert "'oak' is no item of" in read(pairs, items=items, separator="semicolon")
    assert "stands there as the header" in read(pairs, items=items, separator="semicolon")


TOKENS = 'a\tb\tlabel\n"\t,\t1\ncat\tdog\t1\ncat\t,\t0\ndog\t;\t0\n"\t;\t1\n,\t;\t1\n'


def test_quotation_marks(read):
    assert "row 2: a cell in quotes seems to hold whole lines" in read(TOKENS, "p.tsv")
    assert "--quoting=none" in read(TOKENS, "p.tsv")
    table = read(TOKENS, "p.tsv", quoting="none")
    assert (len(table), table.items) == (6, ['"', ",", "cat", "dog", ";"])
    assert len(read(TOKENS, "p.tsv", quoting="csv")) == 2
    unread = 'a\tb\tlabel\tnote\nx\ty\t1\t"one\nz\ty\t0\ttwo"\nx\tz\t1\tq\n'
    assert "row 2: a cell in quotes" in read(unread, "p.tsv")
    assert "--quoting=none" in read('a\tb\tlabel\n"x\ty\t1\n', "p.tsv")
    table = read('a,b,label\n"Grey, X\nline",y,1\n')
    assert table.items == ["Grey, X\nline", "y"]
    assert read('a,b\n"Grey, X\nline",y\n', **ONLY).items == table.items
    assert "--quoting=csv" in read('a,b\n"x,y\nz",y\n', **ONLY)
    table = read('a\tb\tlabel\n5"\t"\t1\n"', "p.tsv", quoting="none")
    assert "1 cell, but the header has 3; names hold no tab with --quoting=none" in table


def workbook():
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return sink.getvalue()


PLAIN = as_text([["a", "b", "label"], *TREES])
TRUE_REASONS = {
    "p.csv.bz2": (bz2.compress(PLAIN), "is compressed with bzip2"),
    "bz2.csv": (bz2.compress(PLAIN), "is compressed with bzip2"),
    "p.csv.xz": (lzma.compress(PLAIN), "is compressed with xz"),
    "p.csv.zst": (b"\x28\xb5\x2f\xfd" + bytes(40), "is compressed with zstd"),
    "p.csv.gz": (packed(packed(PLAIN)), "compressed with gzip twice; unpack it once"),
    "q.csv.gz": (packed(bz2.compress(PLAIN)), "is compressed with bzip2"),
    "p.xlsx": (workbook(), "is an Excel workbook (.xlsx); save it as CSV"),
    "xlsx.csv": (workbook(), "is an Excel workbook (.xlsx); save it as CSV"),
    "p.xls": (b"\xd0\xcf\x11\xe0" + bytes(40), "is an Excel workbook (.xls)"),
    "p.tar.gz": (packed(b"pairs.csv" + bytes(248) + b"ustar" + bytes(900)), "is a tar archive"),
    "p.rds": (packed(b"X\n\0\0\0\3" + bytes(40)), "is a file of R objects"),
    "p.pkl": (b"\x80\4\x95" + bytes(40), "is a pickle"),
    "p.pdf": (b"%PDF-1.7\n", "is a PDF"),
    "p.feather": (b"ARROW1\0\0" + bytes(40), "is Arrow (Feather)"),
    "p.jsonl": (b'{"a": "oak", "b": "elm", "label": 1}\n', "is JSON"),
    "p.json": (b'[\n  {"a": "oak"}\n]\n', "is JSON"),
    "json.csv": (b'[["oak", "elm", 1]]', "is JSON"),
    "p.html": (b"\n<!DOCTYPE html>\n<html>", "is HTML"),
    "spaces.tsv": (b"1 2\n1 3\n", "separated by spaces; give --separator=space"),
    "semicolons.csv": (b"a;b;label\nx;y;1\n", "separated by ';'; give --separator=semicolon"),
    "comment.tsv": (
        b"# Means of ten people\na\tb\tlabel\n",
        "a comment, and no header; give --com",
    ),
    "comment.csv": (b"# Means, of, ten\na,b,label\n", "may be a comment; give --comment='#'"),
    "later.csv": (b"a,b,label\nx,y,1\n% note\n", "the header has 3; give --comment='%' if"),
    "decimals.csv": (b'a,b,label\nx,y,"0,5"\n', "'0,5' is no label; write decimals with a point"),
}


@pytest.mark.parametrize("name", TRUE_REASONS)
def test_the_true_reason(read, name):
    content, part = TRUE_REASONS[name]
    assert part in read(content, name)


def test_no_name_is_offered_for_itself(read, tmp_path):
    link = tmp_path / "gone.csv"
    link.symlink_to("absent.csv")
    with pytest.raises(InputError, match="is a link to a file that is not there"):
        read_pairs(link)
    message = read("a,b,\u200blabel\nx,y,1\n")
    assert r"did you mean 'label'? Call '\u200blabel' so" in message
    items = tmp_path / "items.csv"
    items.write_text("name\ncafé\nbar\n", encoding="utf-8")
    message = read("a,b,label\ncafe\u0301,bar,1\n", items=items)
    assert r"did you mean 'caf\xe9'?" in message


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"separator": ","}, "separator is ',': give one of auto, comma, tab"),
        ({"header": "maybe"}, "header is 'maybe': give one of auto, yes, no"),
        ({"quoting": "all"}, "quoting is 'all'"),
        ({"comment": " "}, "comment is ' ': give what such lines begin with"),
        ({"label_scale": "5"}, "label_scale is '5': give the labels that stand for 0 and 1"),
        ({"label_scale": (1, 1)}, "label_scale is (1, 1)"),
        ({"label_scale": "0,inf"}, "label_scale is '0,inf'"),
        ({"label_scale": "0,1", **ONLY}, "label_scale is of labels"),
        ({"two_sided": True, "ids": True}, "give ids or two_sided"),
    ],
)
def test_bad_options(read, options, part):
    assert part in read(PLAIN, **options)


def test_options_of_text_are_not_of_parquet(read):
    content = as_parquet([["a", "b", "label"], *TREES])
    assert "is Parquet; leave out separator" in read(content, "p.parquet", comment="#")
    assert "leave --header=no out" in read(content, "p.parquet", header="no")


def test_estimates_take_the_same_options(tmp_path):
    path = tmp_path / "g.edgelist"
    path.write_text("# c\n1 2 5\n2 3 1\n")
    options = {"separator": "space", "comment": "#", "header": "no", "label_scale": "1,5"}
    assert estimate_bytes(path, **options) > 0
    assert len(read_pairs(path, **options, max_bytes=10**7)) == 2


# Labels


def labelled(*labels):
    return as_text([["a", "b", "label"], *([f"x{k}", "y", one] for k, one in enumerate(labels))])


@pytest.mark.parametrize(
    ("labels", "values"),
    [
        (["True", "False"], [1, 0]),
        (["TRUE", "false", "1", "0"], [1, 0, 1, 0]),
        ([" tRUE", "fALSE ", "0.5"], [1, 0, 0.5]),
    ],
)
def test_booleans_are_labels(read, labels, values):
    table = read(labelled(*labels))
    assert table.label.tolist() == values
    assert table.notes[1:] == ["labels that are true and false are taken as 1 and 0"]
    assert "'True' is no weight" in read("a,b,label,w\nx,y,1,True\n")


def test_booleans_are_read_fast(read, monkeypatch):
    monkeypatch.setattr(text_tables, "PIECE_BYTES", 60)
    table = read(labelled(*["1", "0"] * 20, *["True", "False"] * 20, *["1", "0"] * 20))
    assert table.label.tolist() == [1, 0] * 60
    assert len(table.notes) == 2


@pytest.mark.parametrize(
    ("labels", "scale", "values"),
    [
        ([-1, 1, 0], "-1,1", [0, 1, 0.5]),
        ([1, 5, 2], "1:5", [0, 1, 0.25]),
        ([0, 10, 2.5], (10, 0), [1, 0, 0.75]),
        (["1.0000001192092896", "-1e-7", 0.25], None, [1, 0, 0.25]),
        (["-1.0000001", "1.0000001"], [-1, 1], [0, 1]),
    ],
)
def test_labels_on_scales(read, labels, scale, values):
    for content, name in (
        (labelled(*labels), "p.csv"),
        (
            as_parquet(
                [["a", "b", "label"], *([f"x{k}", "y", float(v)] for k, v in enumerate(labels))]
            ),
            "p.parquet",
        ),
    ):
        table = read(content, name, label_scale=scale)
        assert table.label.tolist() == values
        assert any("mapped linearly" in line for line in table.notes) == (scale is not None)
        rounded = any(isinstance(label, str) for label in labels)
        assert (
            any("2 labels below 0 or above 1 by rounding" in line for line in table.notes)
            == rounded
        )


@pytest.mark.parametrize(
    ("labels", "scale", "part"),
    [
        ([1, -1], None, "--label_scale=-1,1"),
        ([0.9, -0.2], None, "--label_scale=-1,1"),
        ([1, 5, 3], None, "--label_scale=1,5 (for distances --label_scale=5,1)"),
        ([0.7, 12.25], None, "'12.25' is no label"),
        (["1.00001"], None, "'1.00001' is no label"),
        (["1.0000123456789012"], None, "'1.0000123456789012' is no label"),
        ([0, 11], "10,0", "'11' is no label; give numbers from 10.0 (dissimilar) to 0.0 (similar)"),
        (["True"], "-1,1", "'True' is no label"),
    ],
)
def test_labels_beyond_their_scale(read, labels, scale, part):
    assert part in read(labelled(*labels), label_scale=scale)


# Names


def frame(**columns):
    sink = io.BytesIO()
    pd.DataFrame(columns).to_parquet(sink)
    return sink.getvalue()


def test_whole_floats_of_parquet_are_ids(read):
    content = frame(a=[1, 2, 3], b=[2.0, 3.0, -0.0], label=[1, 0, 1])
    assert read(content, "p.parquet").items == ["1", "2", "3", "0"]
    content = frame(a=[1.5, 2.0], b=[2, 3], label=[1, 0])
    assert read(content, "p.parquet").items == ["1.5", "2", "3"]
    big = np.array([2**63 + 5, 7], "uint64"), np.array([7, 2**53 + 1], "int64")
    assert read(frame(a=big[0], b=big[1], label=[1, 0]), "p.parquet").items == [
        *("9223372036854775813", "7", "9007199254740993")
    ]
    for dtype, value in (("float64", 2.0**53), ("float32", 2.0**24)):
        content = frame(a=np.array([1, value], dtype), b=[2, 3], label=[1, 0])
        message = read(content, "p.parquet")
        assert f"row 3, column 'a': {value!r} is so large" in message
        assert "give them as text or integers" in message


@pytest.mark.parametrize(
    ("names", "count", "example"),
    [
        (["2", "2.0", "3"], 2, "'2' and '2.0'"),
        (["3000", "3e3", "3E+03", "300"], 3, "'3000' and '3e3'"),
        (["007", "7", "+7"], 3, "'007' and '7'"),
        ([".5", "0.50", "5e-1"], 3, "'.5' and '0.50'"),
        (["Bank", "bank", "banks"], 2, "'Bank' and 'bank'"),
        (["pub ", "pub", "New  York", "New York"], 4, "'pub ' and 'pub'"),
        (["café", "cafe\u0301"], 2, r"'caf\xe9' and 'cafe\u0301'"),
        (["a\u00a0b", "a b"], 2, r"'a\xa0b' and 'a b'"),
        (["ab", "a\u200bb"], 2, r"'ab' and 'a\u200bb'"),
        (["two\nlines", "two lines"], 2, r"'two\nlines' and 'two lines'"),
        (["é" * 900 + "x", "é" * 900 + "X "], 2, "…'"),
    ],
)
def test_look_alikes(names, count, example):
    (line,) = look_alikes(names)
    assert line.startswith(f"{count} names ")
    assert example in line
    assert line.isprintable()
    assert len(line) < 400


def test_names_that_do_not_look_alike():
    apart = [
        "9007199254740993",
        "9007199254740992",
        "1 12",
        "11 2",
        "112",
        "e",
        ".",
        "-",
        "1e",
        "٣",
    ]
    assert look_alikes(apart) == look_alikes([]) == look_alikes(["", "x"]) == []
    both = look_alikes(["2", "2.0", "a", "A"])
    assert ["numbers" in line for line in both] == [True, False]


@pytest.mark.parametrize("form", ["item {}", "{}.0", "日本 {}"])
def test_many_names_are_compared_in_little_time(form):
    names = [form.format(number) for number in range(200_000)]
    began = time.perf_counter()
    assert look_alikes([*names, form.format(7) + " "]) != []
    assert time.perf_counter() - began < 3  # about 0.2 on a free core


def test_look_alikes_are_warned_of(read):
    (line,) = read("a,b,label\n2999,3e3,1\n3000,2999,0\n").warnings
    assert "2 names are spellings of the same numbers, such as '3e3' and '3000'" in line
    table = read("user,item\n2,x\n2.0,2\n", two_sided=True, **ONLY)
    assert any("'2' and '2.0'" in line for line in table.warnings)


# Two kinds of items


def test_two_kinds_of_items(read):
    content = "user_id,item_id\n7,7\n7,8\n8,7\n"
    table = read(content, **ONLY)
    assert (table.items, table.two_sided) == (["7", "8"], False)
    assert "share 2 numbers as names, such as '7'" in table.warnings[-1]
    assert "--two_sided" in table.warnings[-1]
    table = read(content, two_sided=True, **ONLY)
    assert table.items == ["user_id:7", "item_id:7", "item_id:8", "user_id:8"]
    assert table.index.tolist() == [[0, 1], [0, 2], [3, 1]]
    assert (table.two_sided, table.warnings) == (True, [])
    assert "called 'user_id:NAME' and 'item_id:NAME'" in table.notes[1]
    assert "row 2, column 'item_id': an empty cell" in read(
        "user_id,item_id\n7,\n", two_sided=True, **ONLY
    )
    assert "can't be told apart" in read("a,a:b\nx,y\n", two_sided=True, **ONLY)


def test_two_kinds_in_an_items_file(read, tmp_path):
    items = tmp_path / "items.csv"
    items.write_text("name\nfilm:7\nuser:7\n")
    table = read("user,film\n7,7\n", items=items, two_sided=True, **ONLY)
    assert (table.items, table.index.tolist()) == (["film:7", "user:7"], [[1, 0]])
    message = read("user,film\n8,7\n", items=items, two_sided=True, **ONLY)
    assert "'user:8' is no item of" in message


@pytest.mark.parametrize(
    ("one", "other", "differ"),
    [
        ("user_id", "item_id", True),
        ("user", "film", True),
        ("customerId", "productId", True),
        ("tree_a", "tree_b", False),
        ("word1", "word2", False),
        ("FromNodeId", "ToNodeId", False),
        ("source_id", "target_id", False),
        ("u", "v", False),
        ("item", "other", False),
    ],
)
def test_columns_of_two_kinds(one, other, differ):
    assert kinds_differ(one, other) == kinds_differ(other, one) == differ


@pytest.mark.parametrize("listed", [0, 100])
def test_negatives_go_across_the_sides(monkeypatch, listed):
    monkeypatch.setattr(sampling, "LISTED_ITEMS", listed)
    index = np.array([[0, 4], [0, 5], [1, 4], [2, 6], [3, 6]], np.int32)
    weight = np.array([1, 2, 1, 4, 1], np.float32)
    drawn = np.concatenate(
        [draw_negatives(index, weight, 7, power=1, seed=s, two_sided=True)[0] for s in range(1500)]
    )
    chance = np.outer([3, 1, 4, 1], [2, 2, 5]).astype(float)
    chance[index[:, 0], index[:, 1] - 4] = 0
    counts = np.zeros((4, 3))
    np.add.at(counts, (drawn[:, 0], drawn[:, 1] - 4), 1)
    expected = len(drawn) * chance / chance.sum()
    assert (abs(counts - expected) <= 5 * np.sqrt(expected)).all()


def test_negatives_across_the_sides_refuse():
    index = np.array([[0, 2], [0, 3], [1, 2]], np.int32)
    with pytest.raises(InputError, match="only 1 pairs are not known"):
        draw_negatives(index, np.ones(3), 4, two_sided=True)
    assert draw_negatives(index, np.ones(3), 4, ratio=1 / 3, two_sided=True)[0].tolist() == [[1, 3]]
    with pytest.raises(InputError, match="an item is in both columns"):
        draw_negatives(np.array([[0, 1], [1, 2]]), np.ones(2), 3, two_sided=True)
