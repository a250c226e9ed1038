"""Pairs that people bring: what is read, by which rules, and the sets made of it."""

import io
import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pairs.fuzz import as_parquet, as_text, exactly, packed, same

from colour_embed.config import InputError
from colour_embed.io import parquet_tables, text_tables
from colour_embed.pairs import reading, sampling
from colour_embed.pairs.reading import draw_negatives, estimate_bytes, read_pairs, split_held_out

ROOT = Path(__file__).parents[2]
HEADER = ["first", "second", "label"]
NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12
).filter(str.strip)
PAIRS = st.lists(
    st.tuples(NAMES, NAMES, st.floats(0, 1, width=32)).filter(lambda row: row[0] != row[1]),
    min_size=1,
    max_size=12,
)


@pytest.fixture
def write(tmp_path):
    def write(content, name="pairs.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture
def only_fast(monkeypatch):
    def refuse(*_):
        raise AssertionError("fell back on the exact reader")

    monkeypatch.setattr(reading, "_gather_records", refuse)


# What is read


SMALL = [HEADER, ["red", "navy, dark", 1], ["navy, dark", "teal", 0.25], ["teal", "red", 0]]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("pairs.csv", as_text(SMALL)),
        ("pairs.csv", b"\xef\xbb\xbf" + as_text(SMALL, end="\r\n")),
        ("PAIRS.CSV", as_text(SMALL).replace(b"\n", b"\n\n")),
        ("pairs.tsv", as_text(SMALL, "\t")),
        ("pairs.tab", as_text(SMALL, "\t", "\r\n")),
        ("pairs.csv.gz", packed(as_text(SMALL))),
        ("pairs.tsv.gz", packed(as_text(SMALL, "\t"))),
        ("pairs.parquet", as_parquet(SMALL)),
        ("pairs.pq", as_parquet(SMALL, row_group_size=1, use_dictionary=False)),
        ("pairs.txt", as_text(SMALL)),
        ("pairs", as_text(SMALL, "\t")),
        ("pairs.dat", packed(as_text(SMALL, "\t"))),
        ("pairs.data", as_parquet(SMALL)),
        ("pairs.gz", packed(as_text(SMALL))),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_formats(write, only_fast, name, content):
    table = read_pairs(str(write(content, name)))
    assert table.items == ["red", "navy, dark", "teal"]
    assert table.index.tolist() == [[0, 1], [1, 2], [2, 0]]
    assert table.label.tolist() == [1, 0.25, 0]
    assert table.weight.tolist() == [1, 1, 1]
    dtypes = table.index.dtype, table.label.dtype, table.weight.dtype
    assert dtypes == (np.int32, np.float32, np.float32)
    assert (table.warnings, table.extra, len(table)) == ([], None, 3)
    assert table.column_names == {"first": "first", "second": "second", "label": "label"}


@pytest.mark.parametrize(
    "content",
    [
        as_text(SMALL, end="\r"),
        as_text(SMALL).replace(b"red", b'"red"').replace(b"\n", b"\n  \n"),
        as_text(SMALL).replace(b"0.25", b"+2.5E-01\x0b"),
    ],
)
def test_what_only_the_exact_reader_reads(write, content):
    table = read_pairs(write(content))
    assert table.items == ["red", "navy, dark", "teal"]
    assert table.label.tolist() == [1, 0.25, 0]


def test_lone_quotes_are_characters(write):
    table = read_pairs(write('first,second,label\n5" pipe,a,1\na,6" pipe,0\n'))
    assert table.items == ['5" pipe', "a", '6" pipe']


HOSTILE_NAMES = [
    *("=1+1", '=HYPERLINK("http://x")', "+1", "-1", "@SUM(A1)", "<script>alert(1)</script>"),
    *("../../etc/passwd", "..", "/", "C:\\x", "a/b", "NA", "null", "None", "nan", "", "\u202etxt"),
    *(" red", "red ", "red", "RED", "two\nlines", "tab\there", "\ufeffmark", "e\u0301", "é", "0"),
    *("{x}", "%s", "\\N", "'", '"', "x" * 1000, "\x07", "\x1b[31m", "#", "--flag", "true"),
]


@pytest.mark.parametrize("name", ["pairs.csv", "pairs.tsv.gz", "pairs.parquet"])
def test_names_are_plain_text(write, name):
    names = list(filter(None, HOSTILE_NAMES))
    rows = [HEADER, *([a, b, 1 - i % 2] for i, (a, b) in enumerate(itertools.pairwise(names)))]
    content = as_parquet(rows) if "parquet" in name else as_text(rows, "\t" if "t" in name else ",")
    table = read_pairs(write(packed(content) if name.endswith("gz") else content, name))
    assert table.items == names
    assert table.index.tolist() == [[i, i + 1] for i in range(len(names) - 1)]


@given(rows=PAIRS)
def test_round_trip(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("round")
    whole = [HEADER, *map(list, rows)]
    names = list(dict.fromkeys(name for row in rows for name in row[:2]))
    contents = {
        "a.csv": as_text(whole),
        "a.tsv": as_text(whole, "\t", "\r\n"),
        "a.csv.gz": packed(as_text(whole)),
        "a.parquet": as_parquet(whole),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
        table = read_pairs(folder / name)
        assert table.items == names
        read = [(names[i], names[j]) for i, j in table.index.tolist()]
        assert read == [row[:2] for row in rows]
        np.testing.assert_array_equal(table.label, np.float32([row[2] for row in rows]))


@given(rows=PAIRS, piece=st.integers(1, 60), quoted=st.booleans())
def test_pieces_and_rows_and_the_whole_are_alike(tmp_path_factory, rows, piece, quoted):
    path = tmp_path_factory.mktemp("pieces") / "pairs.csv"
    path.write_bytes(as_text([HEADER, *rows], quote_all=quoted))
    whole = read_pairs(path)
    same(whole, exactly(path))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_tables, "PIECE_BYTES", piece)
        same(whole, read_pairs(path))


def test_pieces_are_read_fast(write, only_fast, monkeypatch):
    rows = [[f"n{i}", f'"{i + 1}",\n' if i % 3 else f"n{i + 1}", i % 2] for i in range(500)]
    path = write(as_text([HEADER, *rows]))
    whole = read_pairs(path)
    monkeypatch.setattr(text_tables, "PIECE_BYTES", 100)
    pieces = []
    table = read_pairs(path, report=pieces.append)
    same(whole, table)
    assert len(pieces) > 50
    assert pieces[-1][:2] == (500, 500)
    assert all(one.done <= other.done for one, other in itertools.pairwise(pieces))


def test_row_groups_of_parquet(write, monkeypatch):
    rows = [HEADER, *([f"n{i % 7}", f"n{i % 5 + 7}", i % 2] for i in range(100))]
    path = write(as_parquet(rows, row_group_size=9), "pairs.parquet")
    whole = read_pairs(path)
    monkeypatch.setattr(parquet_tables, "PIECE_ROWS", 4)
    same(whole, read_pairs(path))
    same(whole, exactly(path))


def test_categories_of_parquet_that_no_row_uses(write, only_fast):
    frame = pd.DataFrame({"a": ["x", "y", "z"], "b": ["y", "z", "y"], "label": [1, 0, 1]})
    frame = frame.astype({"a": pd.CategoricalDtype(["unused", "z", "y", "x", ""])})
    sink = io.BytesIO()
    frame.to_parquet(sink)
    table = read_pairs(write(sink.getvalue(), "pairs.parquet"))
    assert table.items == ["x", "y", "z"]


@pytest.mark.parametrize("dtype", ["bool", "int8", "float32", "float64", "uint64"])
def test_kinds_of_numbers_in_parquet(write, only_fast, dtype):
    label = np.array([1, 0], dtype)
    frame = pd.DataFrame({"i": np.array([0, 1], "int16"), "j": [2, 2], "label": label})
    sink = io.BytesIO()
    frame.to_parquet(sink)
    path = write(sink.getvalue(), "pairs.parquet")
    for table in (read_pairs(path), read_pairs(path, ids=True)):
        assert table.items == (["0", "2", "1"] if table.index[0, 1] == 1 else ["0", "1", "2"])
        assert table.label.tolist() == [1, 0]


# Columns


@pytest.mark.parametrize(
    ("header", "options", "taken"),
    [
        ("Item1, item2 ,SIMILAR,w", {}, ("Item1", " item2 ", "SIMILAR", "w")),
        ("label,b,a", {}, ("a", "b", "label", None)),
        ("y,source,target", {}, ("source", "target", "y", None)),
        ("x,y,similar", {}, ("x", "y", "similar", None)),
        ("word,other,positive,weight", {}, ("word", "other", "positive", "weight")),
        (",left,right,target_label", {}, ("left", "right", "target_label", None)),
        (",one,two,label", {}, ("one", "two", "label", None)),
        ("name_x,name_y,note,label", {}, ("name_x", "name_y", "label", None)),
        ("i,j,label,count", {}, ("i", "j", "label", None)),
        ("a,b,score,v", {"label": "Score", "weight": "v"}, ("a", "b", "score", "v")),
        ("a,b,c,label", {"first": "c"}, ("c", "b", "label", None)),
        ("a,b,c,label", {"second": "a"}, ("b", "a", "label", None)),
        ("p,q,r,label", {"first": "r"}, ("r", "p", "label", None)),
        ("a,b,label,count", {"weight": "count"}, ("a", "b", "label", "count")),
        ("first,second,label,junk,junk", {}, ("first", "second", "label", None)),
        ("x,y", {"positives_only": True}, ("x", "y", None, None)),
    ],
)
def test_columns_taken(write, header, options, taken):
    columns = header.count(",") + 1
    row = [f"name{i}" for i in range(columns)]
    names = header.split(",")
    for place, name in enumerate(names):
        if name in taken[2:] and name is not None:
            row[place] = "1"
    table = read_pairs(write(f"{header}\n{','.join(row)}\n"), **options)
    found = table.column_names
    assert tuple(map(found.get, ("first", "second", "label", "weight"))) == taken
    assert table.items == [row[names.index(taken[0])], row[names.index(taken[1])]]


def test_weights_and_counts(write):
    table = read_pairs(write("a,b,label,w\nx,y,1,2\ny,z,0,0\nz,x,.5,1e-3\n"))
    assert table.weight.tolist() == [2, 0, np.float32(1e-3)]
    path = write("a,b,count\nx,y,2\ny,z,3\n")
    table = read_pairs(path, positives_only=True)
    assert (table.label.tolist(), table.weight.tolist()) == ([1, 1], [2, 3])
    columns = {"first": "a", "second": "b", "weight": "count", "count": "count"}
    assert table.column_names == columns
    path = write("a,b,count,weight,label\nx,y,2,0.5,1\ny,z,3,4,1\n")
    table = read_pairs(path, positives_only=True)
    assert (table.label.tolist(), table.weight.tolist()) == ([1, 1], [1, 12])
    assert table.column_names == columns | {"weight": "weight"}
    assert read_pairs(path).weight.tolist() == [0.5, 4]


# Items


def test_items_keep_their_order_and_further_columns(write):
    items = write(
        "size,name,code,kind,ratio\n1,z,007,NA,\n2,x,010,b,0.5\n3,lone,011,c,1\n", "i.csv"
    )
    table = read_pairs(write("a,b,label\nx,z,1\nz,x,1\nx,z,0\n"), items=items)
    assert table.items == ["z", "x", "lone"]
    assert table.index.tolist() == [[1, 0], [0, 1], [1, 0]]
    assert list(table.extra) == ["size", "code", "kind", "ratio"]
    assert table.extra["size"].tolist() == [1, 2, 3]
    assert table.extra["code"].tolist() == ["007", "010", "011"]
    assert table.extra["kind"].tolist() == ["NA", "b", "c"]
    np.testing.assert_array_equal(table.extra["ratio"], [np.nan, 0.5, 1])
    assert any("1 item in no pair" in line for line in table.warnings)


@pytest.mark.parametrize(
    ("header", "item"),
    [("name,k", None), ("Title,k", None), ("k,id", None), ("word", None), ("k,v", "v")],
)
def test_column_of_the_items(write, header, item):
    names = header.split(",")
    cell = item or next(n for n in names if n != "k")
    rows = [[name if column == cell else 5 for column in names] for name in "xyz"]
    for items in (as_text([names, *rows]), as_parquet([names, *rows])):
        path = write(items, "i.parquet" if items.startswith(b"PAR1") else "i.csv")
        table = read_pairs(write("a,b,label\nz,x,1\ny,x,0\n"), items=path, item=item)
        assert table.items == ["x", "y", "z"]
        assert table.index.tolist() == [[2, 0], [1, 0]]
        assert table.extra is None if len(names) == 1 else table.extra["k"].tolist() == [5, 5, 5]


def test_ids(write):
    path = write("i,j,label\n0,3,1\n3.0,1,0\n 1 ,0,1\n")
    table = read_pairs(path, ids=True)
    assert table.items == ["0", "1", "2", "3"]
    assert table.index.tolist() == [[0, 3], [3, 1], [1, 0]]
    assert table.warnings == ["1 item in no pair: kept, but no pair determines the position"]
    items = write("name\na\nb\nc\nd\ne\n", "items.csv")
    assert read_pairs(path, ids=True, items=items).items == list("abcde")
    assert read_pairs(path).items == ["0", "3", "3.0", "1", " 1 "]


# Warnings


def test_warnings_count_what_they_name(write):
    rows = [
        *(["a", "b", 1], ["b", "a", 0], ["a", "b", 1], ["c", "c", 1], ["c", "d", 1], ["e", "e", 0]),
        *(["d", "c", 1], ["d", "a\nb", 0.5], ["a\nb", "d", 0.25]),
    ]
    table = read_pairs(write(as_text([HEADER, *rows])))
    assert table.items == ["a", "b", "c", "d", "e", "a\nb"]
    assert table.index.tolist() == [[0, 1], [1, 0], [0, 1], [2, 3], [3, 2], [3, 5], [5, 3]]
    selves, against, groups, isolated = table.warnings
    assert "2 pairs of an item with itself: dropped" in selves
    assert "2 pairs in 5 rows with labels that differ, such as 'a' and 'b': kept" in against
    assert "2 groups of items that no pairs connect" in groups
    assert "largest of 3 and the smallest of 2" in groups
    assert "1 item in no pair" in isolated
    assert all(line.isprintable() for line in table.warnings)


@pytest.mark.parametrize(("label", "hint"), [("1", True), ("0", False), ("0.5", False)])
def test_a_single_class(write, label, hint):
    table = read_pairs(write(f"a,b,label\nx,y,{label}\ny,z,{label}\n"))
    (line,) = table.warnings
    assert f"all 2 labels are {label}: kept, but there is nothing to tell apart" in line
    assert ("positives_only" in line) == hint
    if hint:
        assert read_pairs(write("a,b\nx,y\ny,z\n"), positives_only=True).warnings == []


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.sampled_from([0, 0.5, 1]))),
    st.integers(1, 7),
)
def test_contradictions_and_groups_against_loops(rows, piece):
    rows = [row for row in rows if row[0] != row[1]]
    index = np.array([row[:2] for row in rows], np.int32).reshape(-1, 2)
    label = np.array([row[2] for row in rows], np.float32)
    labels, group = {}, {item: {item} for item in range(6)}
    for i, j, value in rows:
        labels.setdefault(frozenset((i, j)), []).append(value)
        whole = group[i] | group[j]
        for item in whole:
            group[item] = whole
    against = [found for found in labels.values() if len(set(found)) > 1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "PIECE", piece)
        found = sampling.contradictions(index, label)
        sizes, untied = sampling.group_sizes(index, 6)
    assert found[:2] == (len(against), sum(map(len, against)))
    assert (found.example is None) == (not against)
    if against:
        assert len(set(labels[frozenset(found.example)])) > 1
    groups = {frozenset(members) for members in group.values()}
    assert sizes.tolist() == sorted((len(g) for g in groups if len(g) > 1), reverse=True)
    assert untied == sum(len(g) == 1 for g in groups)


# Held out


@given(
    st.lists(st.tuples(st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1)), min_size=1),
    st.integers(0, 2**32 - 1),
    st.randoms(use_true_random=False),
)
def test_split_is_by_the_pair_alone(pairs, seed, random):
    pairs = pairs + [(j, i) for i, j in pairs]
    index = np.array(pairs, np.int32)
    held_out = split_held_out(index, share=0.5, seed=seed)
    assert held_out.dtype == bool
    half = len(pairs) // 2
    np.testing.assert_array_equal(held_out[:half], held_out[half:])
    order = list(range(len(pairs)))
    random.shuffle(order)
    np.testing.assert_array_equal(
        split_held_out(index[order], share=0.5, seed=seed), held_out[order]
    )
    assert split_held_out(index[:1], share=0.5, seed=seed)[0] == held_out[0]


def test_split_takes_about_its_share_and_seeds_differ(monkeypatch):
    index = np.stack(np.triu_indices(600, k=1), axis=1).astype(np.int32)
    for share in (0.0, 0.1, 0.5):
        held_out = split_held_out(index, share=share)
        error = 5 * np.sqrt(share * (1 - share) / len(index))
        assert held_out.mean() == pytest.approx(share, abs=error + 1e-12)
    one, other = split_held_out(index, share=0.5), split_held_out(index, share=0.5, seed=1)
    assert (one != other).mean() == pytest.approx(0.5, abs=0.01)
    smaller = split_held_out(index, share=0.1)
    assert (one | ~smaller).all()  # a larger share holds out more, not others
    monkeypatch.setattr(sampling, "PIECE", 1000)
    np.testing.assert_array_equal(split_held_out(index, share=0.5), one)
    # The ids' own pattern is not seen: each item has its share.
    per_item = np.bincount(index[one].ravel(), minlength=600) / 599
    assert abs(per_item - 0.5).max() < 0.12


@pytest.mark.parametrize(
    "options", [{"share": 1}, {"share": -0.1}, {"share": float("nan")}, {"seed": -1}]
)
def test_split_refuses(options):
    with pytest.raises(InputError, match="give a"):
        split_held_out(np.zeros((1, 2), np.int32), **options)


# Negatives


def key_set(index):
    return {frozenset(pair) for pair in np.asarray(index).tolist()}


@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=1),
    st.floats(0, 3),
    st.integers(0, 2**32 - 1),
    st.booleans(),
)
def test_negatives_are_never_positives(pairs, ratio, seed, by_list):
    index = np.array(pairs, np.int32)
    known = {pair for pair in key_set(index) if len(pair) == 2}
    weight = np.linspace(1, 2, len(index), dtype=np.float32)
    wanted = round(ratio * len(known))
    drawable = len({item for pair in known for item in pair} | {i for i, j in pairs if i == j})
    left = drawable * (drawable - 1) // 2 - len(known)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "LISTED_ITEMS", 100 if by_list else 0)
        if not known or wanted > left:
            with pytest.raises(InputError):
                draw_negatives(index, weight, 9, ratio=ratio, seed=seed)
            return
        drawn, each = draw_negatives(index, weight, 9, ratio=ratio, seed=seed)
        again, _ = draw_negatives(index, weight, ["?"] * 9, ratio=ratio, seed=seed)
    np.testing.assert_array_equal(drawn, again)
    assert drawn.shape == (wanted, 2)
    assert (drawn.dtype, each.dtype, each.shape) == (np.int32, np.float32, (wanted,))
    assert not key_set(drawn) & known
    assert (drawn[:, 0] != drawn[:, 1]).all()
    np.testing.assert_allclose(each, weight.sum(dtype=np.float64) / len(known), rtol=1e-6)


@pytest.mark.parametrize("listed", [0, 100])
@pytest.mark.parametrize("power", [0.0, 0.75, 1.0])
def test_negatives_follow_the_frequency(monkeypatch, listed, power):
    monkeypatch.setattr(sampling, "LISTED_ITEMS", listed)
    index = np.array([[0, 1], [1, 0], [1, 2], [3, 4], [5, 0], [6, 6], [2, 7]], np.int32)
    weight = np.array([4, 1, 1, 9, 2, 3, 0], np.float32)
    frequency = np.zeros(9)
    for (i, j), w in zip(index, weight):
        frequency[i] += w
        frequency[j] += w
    chance = np.where(frequency > 0, frequency, 0) ** power * (frequency > 0)
    expected = np.outer(chance, chance)
    np.fill_diagonal(expected, 0)
    expected[index[:, 0], index[:, 1]] = expected[index[:, 1], index[:, 0]] = 0
    expected /= expected.sum()
    # Few different pairs are left, so that a large draw takes many seeds.
    drawn = np.concatenate(
        [draw_negatives(index, weight, 9, ratio=2, power=power, seed=s)[0] for s in range(2000)]
    )
    counts = np.zeros((9, 9))
    np.add.at(counts, tuple(drawn.T), 1)
    assert counts[expected == 0].sum() == 0
    spread = np.sqrt(len(drawn) * expected * (1 - expected))
    assert (abs(counts - len(drawn) * expected) <= 5 * spread + 1e-9).all()


def test_both_ways_of_drawing_are_one_law(monkeypatch):
    random = np.random.default_rng(0)
    index = random.zipf(1.6, (4000, 2)).clip(max=300).astype(np.int32) - 1
    weight = random.random(4000).astype(np.float32)
    drawn = {}
    for listed in (0, 1000):
        monkeypatch.setattr(sampling, "LISTED_ITEMS", listed)
        drawn[listed] = draw_negatives(index, weight, 300, ratio=5)[0]
    counts = [np.bincount(pairs.ravel(), minlength=300) for pairs in drawn.values()]
    spread = np.sqrt(counts[0] + counts[1] + 1)
    assert abs(counts[0] - counts[1]).max() <= (5 * spread).max()
    assert (abs(counts[0] - counts[1]) <= 6 * spread).all()


@given(st.lists(st.sampled_from([0.0, 1e-300, 1e-12, 0.1, 1.0]), min_size=1).filter(any))
def test_places_are_those_of_a_plain_search(chance):
    chance = np.array(chance)
    drawn = sampling._drawer(chance, np.random.default_rng(0))(1000)
    total = np.cumsum(chance)
    numbers = np.random.default_rng(0).random(1000)
    np.testing.assert_array_equal(drawn, np.searchsorted(total / total[-1], numbers, side="right"))
    assert (chance[drawn] > 0).all()


def test_seeds_of_negatives_differ():
    index = np.array([[i, i + 1] for i in range(50)], np.int32)
    one, other = (draw_negatives(index, np.ones(50), 51, seed=seed)[0] for seed in (0, 1))
    assert (one != other).any()


@pytest.mark.parametrize(
    ("index", "options", "part"),
    [
        ([[0, 1], [1, 2], [2, 0]], {}, "3 items only 0 pairs are not known"),
        ([[0, 1], [1, 2], [2, 3]], {"ratio": 2}, "6 dissimilar pairs are to be drawn"),
        ([[0, 0]], {}, "no similar pairs of different items"),
        ([[0, 1], [2, 3]], {"ratio": -1}, "ratio is -1"),
        ([[0, 1], [2, 3]], {"ratio": float("inf")}, "ratio is inf"),
        ([[0, 1], [2, 3]], {"power": float("nan")}, "power is nan"),
        ([[0, 1], [2, 3]], {"seed": 1.5}, "seed is 1.5"),
        ([[0, 1], [2, 3]], {"weight": 0.0}, "not all 0"),
    ],
)
def test_negatives_refuse(index, options, part):
    weight = np.full(len(index), options.pop("weight", 1.0), np.float32)
    with pytest.raises(InputError, match=part):
        draw_negatives(np.array(index, np.int32), weight, 4, **options)


def test_hubs_whose_pairs_are_all_known_end_in_an_error(monkeypatch):
    monkeypatch.setattr(sampling, "LISTED_ITEMS", 0)
    monkeypatch.setattr(sampling, "PIECE", 1000)
    index = np.array([[0, 1], [2, 3], [3, 4]], np.int32)
    with pytest.raises(InputError, match="nearly all pairs of the frequent items are known"):
        draw_negatives(index, np.array([1e30, 1, 1]), 5, power=1)


# Memory


def test_estimate_grows_with_the_file(write):
    def rows(count):
        return [HEADER, *([f"n{i % 1000}", f"n{i * 7 % 1000 + 1000}", 1] for i in range(count))]

    small, large = (rows(count) for count in (1000, 100_000))
    for name, content in {
        "p.csv": as_text,
        "p.csv.gz": lambda rows: packed(as_text(rows)),
        "p.parquet": as_parquet,
    }.items():
        few = estimate_bytes(write(content(small), f"few.{name}"))
        many = estimate_bytes(write(content(large), f"many.{name}"))
        assert 100_000 < few < 10_000_000
        assert 5 * few < many < 200_000_000


@pytest.mark.parametrize(("distinct", "drawn"), [(632, 1000), (865, 2000), (1000, 20_000)])
def test_names_that_are_still_to_come(distinct, drawn):
    assert reading._expected_distinct(distinct, drawn, 10**6) == pytest.approx(1000, rel=0.01)
    assert reading._expected_distinct(50, 50, 7000) == 7000


PROGRAM = """
import re, sys
from pathlib import Path
import pandas, pyarrow.csv, pyarrow.parquet, scipy.sparse.csgraph, numpy
from colour_embed.pairs.reading import estimate_bytes, read_pairs

def peak():  # of this program alone: what resource says starts from the process that started it
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", status)[1])

before = peak()
table = read_pairs(sys.argv[1])
print(peak() - before, estimate_bytes(sys.argv[1]), len(table), len(table.items))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_a_million_rows_within_bounds(tmp_path):
    path = tmp_path / "pairs.csv"
    rows = (f"item {i % 20_000},item {7 * i % 20_000 + 20_000},{i & 1}\n" for i in range(100_000))
    path.write_text("first,second,label\n" + 10 * "".join(rows))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    growth, estimate, pairs, items = map(int, done.stdout.split())
    assert (pairs, items) == (1_000_000, 40_000)
    assert growth < 200e6
    assert growth / 3 < estimate < 3 * growth


@pytest.mark.parametrize(
    "module", ["pairs.reading", "pairs.vocabulary", "pairs.sampling", "io.tables", "data"]
)
def test_import_is_cheap(module):
    heavy = "{'jax', 'flax', 'pandas', 'pyarrow', 'scipy'}"
    program = f"import sys, colour_embed.{module}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert (done.stdout, done.stderr) == ("[]\n", "")
