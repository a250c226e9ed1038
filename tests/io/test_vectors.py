"""Exports, each read by the tool that it is for; names of all kinds stay names."""

import csv
import importlib.util
import io
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import safetensors
from hypothesis import given, settings
from hypothesis import strategies as st

from colour_embed.config import InputError
from colour_embed.io import vectors as exports
from colour_embed.io.vectors import Vectors, escape_label, words_of

NAMES = [
    *("red", "navy blue", "", " ", "  ", " led", "trailed ", "under_score", "50%", "%", "%20"),
    *('=HYPERLINK("http://x","y")', "+1", "-2", "@SUM(A1)", " =1+1", "\t=1", "\r=1", "＝1", "'=1"),
    *("'", "''", "a;=1+1", "a,=1", "a\t=1", "a\n=1", 'quo"te', '"', '",=1,"', "\ufeff=1", "\x0b@"),
    *("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "&lt;", "../../evil", "..", "/"),
    *("NA", "null", "nan", "None", "True", "1", "007", "1e5", "</s>", "#", "\\", "\\t", "item"),
    *(
        "a\nb",
        "a\r\nb",
        "\n",
        "\x1c",
        "a\x85b",
        "\u2028",
        "\u00a0",
        "a\u3000",
    ),
    *("grün", "gru\u0308n", "אדום", "👩‍🎨", "\ufeff", "\u200b", "\U0010ffff", "x" * 5000),
]
"""What has broken some format: by what a spreadsheet, browser, shell or parser makes of it."""

FILES = {name: known for name, known in exports.FORMATS.items() if known.suffixes}

texts = st.one_of(st.sampled_from(NAMES), st.text(st.characters(exclude_categories=["Cs"])))
names = texts.map(lambda text: text.replace("\0", ""))
numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)


@st.composite
def named_vectors(draw):
    items = draw(st.lists(names, min_size=1, max_size=6, unique=True))
    dim = draw(st.integers(1, 4))
    rows = st.lists(numbers, min_size=dim, max_size=dim)
    vectors = draw(st.lists(rows, min_size=len(items), max_size=len(items)))
    return Vectors(items, np.array(vectors, np.float32))


@pytest.fixture(scope="module")
def nasty():
    """All of NAMES, with float32 of all magnitudes, the smallest, the largest and -0 among them."""
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(len(NAMES), 3)) * 10.0 ** generator.integers(-44, 38, (1, 3))
    vectors[0] = [-0.0, 1e-45, np.finfo(np.float32).max]
    vectors[:, 1] = [-0.0, *range(len(NAMES) - 1)]  # a column that looks like whole numbers
    return Vectors(NAMES, vectors)


def bits(vectors):
    return np.ascontiguousarray(vectors, np.float32).view(np.uint32)


def assert_same(found, named):
    assert list(found.items) == named.items
    assert found.vectors.shape == named.vectors.shape
    assert (bits(found.vectors) == bits(named.vectors)).all()


def listing(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def file_of(form, folder):
    return Path(folder) / f"embedding{FILES[form].suffixes[0]}"


def unescape_label(label):
    return "" if label == "%" else unquote(label, errors="strict")


def read(path, form, items):
    """Read a file with the library that it is for; word2vec's words stand in the order of items."""
    if form == "npz":
        with np.load(path, allow_pickle=False) as arrays:
            assert set(arrays) == {"items", "vectors"}
            assert (arrays["items"].dtype.kind, arrays["vectors"].dtype) == ("U", np.float32)
            return Vectors(arrays["items"].tolist(), arrays["vectors"])
    if form == "safetensors":
        with safetensors.safe_open(path, framework="numpy") as file:
            assert list(file.keys()) == ["embedding"]
            assert set(file.metadata()) == {"items"}
            return Vectors(json.loads(file.metadata()["items"]), file.get_tensor("embedding"))
    if form in ("csv", "parquet"):
        if form == "csv":
            table = pd.read_csv(path, keep_default_na=False, dtype={"item": str})
            table["item"] = table["item"].str.removeprefix("'")
        else:
            table = pq.ParquetFile(path).read().to_pandas()
            assert set(table.dtypes.iloc[1:]) == {np.dtype(np.float32)}
        columns = [f"x{place}" for place in range(table.shape[1] - 1)]
        assert list(table) == ["item", *columns]
        return Vectors(list(table["item"]), table[columns].to_numpy())
    keyed = pytest.importorskip("gensim.models.keyedvectors").KeyedVectors
    found = keyed.load_word2vec_format(str(path), binary=form == "word2vec_binary")
    assert found.index_to_key == words_of(items)
    return Vectors(items, found.vectors)


# Names and numbers that come back


@given(texts)
@settings(max_examples=300)
def test_escaped_labels_are_one_line_and_come_back(name):
    label = escape_label(name)
    assert label.strip()
    assert label.splitlines() == [label]
    assert "\t" not in label
    assert label[0] not in " =+-@＝＋－＠\ufeff"
    assert unescape_label(label) == name


def test_every_character_survives_the_escape_of_labels():
    # All of Unicode in blocks of 64; and those among which all white space is, one by one.
    for first in range(0, 0x110000, 64):
        if not 0xD800 <= first < 0xE000:
            block = "".join(map(chr, range(first, first + 64)))
            assert unescape_label(escape_label(block)) == block
    for first in range(0x3000 + 64):
        for text in (chr(first), f"a{chr(first)}", f"{chr(first)}a"):
            assert unescape_label(escape_label(text)) == text


@given(st.lists(st.one_of(texts, st.text("a _2%\t")), unique=True))
@settings(max_examples=300)
def test_words_are_distinct_and_names_without_white_space_are_their_own(names):
    words = words_of(names)
    assert len(set(words)) == len(names)
    for name, word in zip(names, words):
        assert word.split() == [word]
        assert not re.search(r"[\x00-\x20\x7f-\xa0\ufeff]", word)
        if name.split() == [name] and not re.search(r"[\x00-\x1f\x7f-\x9f\ufeff]", name):
            assert word == name


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["navy blue", "50%_grey"], ["navy_blue", "50%_grey"]),
        (["user 1", "user_1", "user_1_2"], ["user_1_3", "user_1", "user_1_2"]),
        (["a b", "a_b", "a b_2"], ["a_b_2", "a_b", "a_b_2_2"]),
        (["", "%", " "], ["%_2", "%", "_"]),
        (["a\tb\n", "a\u00a0b"], ["a%09b%0A", "a%C2%A0b"]),
    ],
)
def test_the_words_are_the_documented_ones(names, words):
    assert words_of(names) == words


@pytest.mark.parametrize("form", ["word2vec", "word2vec_binary"])
def test_word2vec_says_which_names_it_wrote_otherwise(form, tmp_path):
    path = file_of(form, tmp_path)
    names, vectors = ["user_1", "user 1", "new_york", "plain"], np.arange(8.0).reshape(4, 2)
    with pytest.warns(UserWarning, match=r": 1 of 4 items are .* 'user 1' as 'user_1_2'$") as told:
        exports.write(path, names, vectors, form=form)
    assert told[0].filename == __file__
    keyed = pytest.importorskip("gensim.models.keyedvectors").KeyedVectors
    found = keyed.load_word2vec_format(str(path), binary=form == "word2vec_binary")
    for place in (0, 2, 3):
        np.testing.assert_array_equal(found[names[place]], vectors[place])
    exports.write(path, names[2:], vectors[2:], form=form)  # no warning


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("navy blue", "navy blue"),
        ("50%_grey", "50%25_grey"),
        ("", "%"),
        ("%", "%25"),
        (" ", "%20"),
        ("a\tb\n", "a%09b%0A"),
        ("a\u00a0b", "a%C2%A0b"),
        ("=1+1", "%3D1+1"),
        ("a,b;'c'", "a,b;'c'"),
    ],
)
def test_the_escapes_are_the_documented_ones(name, label):
    assert escape_label(name) == label


@pytest.mark.parametrize("name", ["\ud800", "a\udfffb", None, 5, b"red"])
def test_what_is_no_text_is_refused(name):
    for escape in (lambda name: words_of(["plain", name]), escape_label):
        with pytest.raises(InputError, match=r"^a name is .*: (give|take) "):
            escape(name)


@pytest.mark.filterwarnings("ignore:word2vec takes one word")
@pytest.mark.parametrize("form", FILES)
def test_nasty_names_and_numbers_come_back(form, nasty, tmp_path):
    path = file_of(form, tmp_path)
    exports.write(path, nasty.items, nasty.vectors)
    assert listing(tmp_path) == [path.name]
    assert_same(read(path, form, nasty.items), nasty)
    if form == "csv":
        assert_same(exports.read_csv(path), nasty)


@pytest.mark.filterwarnings("ignore:word2vec takes one word")
@pytest.mark.parametrize("form", FILES)
@given(named=named_vectors())
def test_any_names_and_numbers_come_back(form, named):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        exports.write(path, named.items, named.vectors, form=form)
        assert_same(read(path, form, named.items), named)
        if form == "csv":
            assert_same(exports.read_csv(path), named)


# Read by the tools


def test_pandas_reads_the_csv_with_its_python_engine_too(nasty, tmp_path):
    exports.write_csv(tmp_path / "x.csv", nasty)
    table = pd.read_csv(tmp_path / "x.csv", keep_default_na=False, engine="python")
    assert list(table["item"].str.removeprefix("'")) == nasty.items
    assert (bits(table[["x0", "x1", "x2"]]) == bits(nasty.vectors)).all()


def test_plain_names_are_plain_in_the_csv(tmp_path):
    exports.write(tmp_path / "x.csv", ["red", "navy blue"], [[0.1, -2], [1e-9, 3]])
    assert (tmp_path / "x.csv").read_text() == (
        'item,x0,x1\n"red",0.100000001,-2.0\n"navy blue",9.99999972e-10,3.0\n'
    )


def test_every_float32_is_exact_in_decimal():
    generator = np.random.default_rng(1)
    values = generator.integers(0, 2**32, 50_000, dtype=np.uint32).view(np.float32)
    values = values[np.isfinite(values)]
    decimals = [exports._decimal(value) for value in values.tolist()]
    assert (bits([float(text) for text in decimals]) == bits(values)).all()
    read = pd.read_csv(io.StringIO("x\n" + "\n".join(decimals)))["x"]
    assert (bits(read) == bits(values)).all()


def served(folder):
    """What TensorBoard's own plugin serves of a log folder: config, vectors, text of the names."""
    base_plugin = pytest.importorskip("tensorboard.plugins.base_plugin")
    from tensorboard.plugins.projector.projector_plugin import ProjectorPlugin
    from werkzeug.test import Client

    plugin = ProjectorPlugin(base_plugin.TBContext(logdir=str(folder), data_provider=None))
    apps = plugin.get_plugin_apps()

    def get(route):
        answer = Client(apps[route]).get("/?run=.&name=embedding")
        assert answer.status_code == 200, answer.text
        return answer

    (embedding,) = get("/info").json["embeddings"]
    shape = embedding["tensorShape"]
    vectors = np.frombuffer(get("/tensor").data, np.float32).reshape(shape)
    metadata = get("/metadata")
    assert metadata.mimetype == "text/plain"
    assert metadata.headers["X-Content-Type-Options"] == "nosniff"
    return embedding, vectors, metadata.data.decode()


def metadata_of(text):
    """Header and rows, as the projector's page finds them: parseMetadata in data-provider.ts."""
    lines = [line for line in text.removeprefix("\ufeff").split("\n") if line.strip(" \r\ufeff")]
    rows = [line.split("\t") for line in lines]
    return (rows[0], rows[1:]) if "\t" in lines[0] else (["label"], rows)


def test_tensorboard_serves_the_projector(nasty, tmp_path):
    exports.write(tmp_path / "log", nasty.items, nasty.vectors, form="projector")
    embedding, vectors, text = served(tmp_path / "log")
    assert embedding["tensorPath"] == "vectors.tsv"
    assert embedding["metadataPath"] == "metadata.tsv"
    header, rows = metadata_of(text)
    assert header == ["label"]
    assert_same(Vectors([unescape_label(label) for (label,) in rows], vectors), nasty)


def test_tensorboard_serves_further_columns_under_their_header(tmp_path):
    extra = {"hex": ["#f00", "=1"], "x\ty": ["a\tb", ""], "light": [-0.5, None]}
    exports.write(tmp_path / "log", ["red", ""], [[1], [2]], form="projector", extra=extra)
    _, vectors, text = served(tmp_path / "log")
    header, rows = metadata_of(text)
    assert header == ["item", "hex", "x%09y", "light"]
    assert rows == [["red", "#f00", "a%09b", "-0.5"], ["%", "%3D1", "", ""]]
    assert vectors.tolist() == [[1], [2]]


def test_the_projector_config_is_of_its_own_kind(tmp_path):
    pytest.importorskip("tensorboard")
    from google.protobuf import text_format
    from tensorboard.plugins.projector import ProjectorConfig, metadata

    exports.write(tmp_path / "log", ["red"], [[1, 2]], form="projector")
    config = text_format.Parse(
        (tmp_path / "log" / metadata.PROJECTOR_FILENAME).read_text(), ProjectorConfig()
    )
    assert [embedding.tensor_name for embedding in config.embeddings] == ["embedding"]


# StringLookup itself wants TensorFlow; a dict of the same vocabulary takes its place.
LAYERS = """
import inspect, json, pathlib, sys
import keras, numpy
from flax import nnx

folder = pathlib.Path(sys.argv[1])
rows = numpy.load(folder / "embedding.npy")
names = json.loads((folder / "vocabulary.json").read_text())
parameters = inspect.signature(keras.layers.StringLookup.__init__).parameters
assert names[0] == parameters["oov_token"].default
assert parameters["num_oov_indices"].default == 1
lookup = {name: row for row, name in enumerate(names)}
asked = json.loads((folder / "asked.json").read_text())
index = numpy.array([lookup.get(name, 0) for name in asked], "int32")
layer = keras.layers.Embedding(*rows.shape)
layer.build()
layer.set_weights([rows])
embed = nnx.Embed(*rows.shape, rngs=nnx.Rngs(0))
embed.embedding[...] = rows
numpy.savez(folder / "found.npz", keras=layer(index), flax=embed(index))
"""


def test_keras_and_flax_look_up_the_same_vectors(nasty, tmp_path):
    # Only looked for: importing it here would want its default backend, TensorFlow.
    if importlib.util.find_spec("keras") is None:
        pytest.skip("keras is not installed: install the extra [test]")
    folder = tmp_path / "table"
    exports.write(folder, nasty.items, nasty.vectors, form="table")
    assert listing(folder) == ["config.json", "embedding.npy", "vocabulary.json"]
    (folder / "asked.json").write_text(json.dumps([*reversed(nasty.items), "unheard of"]))
    environment = os.environ | {
        "KERAS_BACKEND": "jax",
        "KERAS_HOME": str(tmp_path / "keras"),
        "JAX_NUMPY_RANK_PROMOTION": "allow",
    }
    done = subprocess.run(
        [sys.executable, "-c", LAYERS, str(folder)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    mean = nasty.vectors.mean(axis=0, keepdims=True, dtype=np.float64)
    expected = np.concatenate([nasty.vectors[::-1], mean.astype(np.float32)])
    with np.load(folder / "found.npz") as found:
        assert (bits(found["keras"]) == bits(expected)).all()
        assert (bits(found["flax"]) == bits(expected)).all()


# Names stay names


@given(named_vectors())
@settings(max_examples=200)
def test_no_cell_of_the_csv_acts_whatever_the_separator(named):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.csv"
        exports.write(path, named.items, named.vectors)
        text = path.read_bytes().decode()
    for separator in ",;\t|":
        # Spreadsheets split by the separator of the user's country, whatever the file is called.
        _, *rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        assert len(rows) == len(named.items)
        for row, item in zip(rows, named.items):
            assert len(row) == (1 + named.vectors.shape[1] if separator == "," else 1)
            assert row[0].startswith((item, f"'{item}"))
            assert not re.match(r"[\s\x00-\x1f\ufeff]*[=+\-@＝＋－＠]", row[0])


@pytest.mark.parametrize("item", ["=1", "+1", "-1", "@A1", "\t1", "\r1", "\n1", "'1", " =1", "＝1"])
def test_formulas_get_an_apostrophe_in_the_csv(item, tmp_path):
    exports.write(tmp_path / "x.csv", [item, "plain"], [[1], [2]])
    content = (tmp_path / "x.csv").read_bytes().decode()
    assert content == f'item,x0\n"\'{item}",1.0\n"plain",2.0\n'
    assert exports.read_csv(tmp_path / "x.csv").items == [item, "plain"]


@pytest.mark.parametrize("item", ["../../evil", "/evil/place", "..", "~/evil", "C:\\evil", "a/b"])
def test_names_never_become_paths(item, tmp_path):
    folder = tmp_path / "a" / "b"
    for form in exports.FORMATS:
        exports.write(folder / form, [item], [[1.0, 2.0]], form=form)
    files = ["config.json", "metadata.tsv", "projector_config.pbtxt", "vectors.tsv"]
    table = ["config.json", "embedding.npy", "vocabulary.json"]
    inside = [*(f"projector/{name}" for name in files), *(f"table/{name}" for name in table)]
    assert listing(folder) == sorted([*exports.FORMATS, *inside])
    assert listing(tmp_path)[:2] == ["a", "a/b"]
    assert all(name.startswith("a/b/") for name in listing(tmp_path)[2:])


def test_html_is_served_as_plain_text(tmp_path):
    html = "<script>alert(1)</script>"
    exports.write(tmp_path / "log", [html], [[1.0, 2.0]], form="projector")
    # The page itself, as of TensorBoard 2.21, puts names only on its canvas and in text nodes.
    assert served(tmp_path / "log")[2] == f"{html}\n"


# Whole or not at all


def contents(folder):
    """The bytes of all files in a folder and below, by name."""
    found = {name: folder / name for name in listing(folder)}
    return {name: path.read_bytes() for name, path in found.items() if path.is_file()}


@pytest.mark.parametrize("form", ["csv", "word2vec", "projector"])
def test_a_failure_half_way_leaves_what_stood_there(form, tmp_path, monkeypatch):
    path = tmp_path / "out"
    exports.write(path, ["old"], [[1.0, 2.0]], form=form)
    before = contents(tmp_path)

    def fail(value):
        raise RuntimeError("the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr(exports, "_decimal", fail)
        with pytest.raises(RuntimeError, match="gone"):
            exports.write(path, ["new"], [[3.0, 4.0]], form=form)
    assert contents(tmp_path) == before
    exports.write(path, ["new"], [[3.0, 4.0]], form=form)
    assert contents(tmp_path).keys() == before.keys()
    assert contents(tmp_path) != before


@pytest.mark.parametrize("form", ["projector", "table"])
def test_somebody_elses_folder_is_refused(form, tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match="holds files of something else"):
        exports.write(tmp_path, ["a"], [[1, 2]], form=form)
    assert listing(tmp_path) == ["thesis.tex"]


@pytest.mark.parametrize("form", exports.FORMATS)
def test_the_same_vectors_make_the_same_bytes(form, tmp_path):
    for name in ("first", "second"):
        exports.write(tmp_path / name / "out", ["a", "b"], [[1, 2], [3, 4]], form=form)
    assert contents(tmp_path / "first") == contents(tmp_path / "second") != {}


# What is refused, in one line


@pytest.mark.parametrize(
    ("items", "vectors", "said"),
    [
        ([], np.zeros((0, 2)), "there are no items: give"),
        ([], [], "there are no items: give"),
        (["a"], np.zeros((1, 0)), r"1 items and vectors of shape \[1, 0\]: give"),
        (["a"], np.zeros((2, 2)), r"1 items and vectors of shape \[2, 2\]: give"),
        (["a"], np.zeros(2), r"float64 of shape \[2\]: give real numbers"),
        (["a"], [[1j]], "complex128 of shape"),
        (["a"], [["1"]], "<U1 of shape"),
        (["a"], [[True]], "bool of shape"),
        (["a", "b"], [[1], [1, 2]], "rows of different lengths: give"),
        (["a", "b"], [[0, 1], [2, np.nan]], r"coordinate 1 of item 1 \('b'\) is nan"),
        (["a"], [[1e39]], r"coordinate 0 of item 0 \('a'\) is inf in float32"),
        (["a", "b", "a"], np.zeros((3, 1)), "items 0 and 2 are both 'a'"),
        (["a", 5], np.zeros((2, 1)), "item 1 is 5: give names as text"),
        (["a", "\ud800"], np.zeros((2, 1)), r"item 1 is '\\ud800': take the lone surrogate"),
        (["a\0"], np.zeros((1, 1)), r"item 0 is 'a\\x00': take the NUL out"),
        ("ab", np.zeros((2, 1)), "items is the text 'ab': give a list"),
    ],
)
def test_faulty_vectors_are_refused(items, vectors, said):
    with pytest.raises(InputError, match=said) as caught:
        Vectors(items, vectors)
    assert len(str(caught.value).splitlines()) == 1


def test_other_numbers_are_converted():
    for dtype in (np.float16, np.float64, np.int32, np.uint8):
        assert Vectors(("a", np.str_("b")), np.ones((2, 3), dtype)).vectors.dtype == np.float32
    assert type(Vectors(np.array(["a"]), [[1]]).items[0]) is str


@pytest.mark.parametrize(
    ("path", "arguments", "said"),
    [
        ("x.xlsx", {}, r"x\.xlsx: no format has the suffix '\.xlsx'; give one of \.npz, .*table$"),
        ("x", {}, "no format has the suffix ''"),
        ("x.csv", {"form": "cvs"}, "form is 'cvs': give one of npz, csv"),
        ("x.csv", {"extra": {"hex": ["#f00"]}}, r"x\.csv: csv has no place for extra columns"),
        ("x", {"form": "projector", "extra": {"hex": []}}, "'hex' of extra has 0 values: give 1"),
        ("x", {"form": "projector", "extra": {"item": ["a"]}}, "called 'item': give it another"),
        ("x", {"form": "projector", "extra": {5: ["a"]}}, "a column is called 5: give"),
        ("file/x.csv", {}, r"file/x\.csv: cannot be written \("),
        ("folder.csv", {}, r"folder\.csv: cannot be written \("),
    ],
)
def test_faulty_calls_are_refused(path, arguments, said, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match=said) as caught:
        exports.write(tmp_path / path, ["a"], [[1, 2]], **arguments)
    assert len(str(caught.value).splitlines()) == 1
    assert listing(tmp_path) == ["file", "folder.csv"]


def test_the_name_of_unknown_items_is_refused_in_a_table(tmp_path):
    with pytest.raises(InputError, match=r"an item is called '\[UNK\]'"):
        exports.write(tmp_path / "table", ["[UNK]"], [[1]], form="table")


def test_a_csv_that_a_spreadsheet_saved_anew_is_read(tmp_path):
    (tmp_path / "x.csv").write_bytes("\ufeffitem,x0\r\n'=grün,0.5\r\n".encode())
    assert_same(exports.read_csv(tmp_path / "x.csv"), Vectors(["=grün"], [[0.5]]))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("name,x0\n", ", row 1: its columns are not item, x0, x1, ...; export it again"),
        ("item,x0\n", ": there are no items: give"),
        ("item,x0\na,1\nb\n", ", row 3, column 'x0': 1 cell, but the header has 2"),
        ("item,x0\na,red\n", ": coordinate 0 of item 0 ('a') is nan in float32"),
        ("item,x0\na,1\na,2\n", ": items 0 and 1 are both 'a'"),
        ('item,x0\n"a', ", row 2: its quotation marks do not match"),
        ("", ": is empty"),
        (None, ": there is no such file"),
    ],
)
def test_damage_of_a_csv_is_named(content, said, tmp_path):
    path = tmp_path / "x.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError) as caught:
        exports.read_csv(path)
    assert str(caught.value).startswith(f"{path}{said}")
    assert len(str(caught.value).splitlines()) == 1


def test_importing_it_loads_no_jax_and_no_format_library():
    program = "import sys, colour_embed.io.vectors; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not {"jax", "flax", "pandas", "pyarrow", "safetensors"} & set(done.stdout.split())
