"""Colour tables, pairs, labels and exact losses, against what the tutorial prints."""

import csv
import gzip
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colour_embed import data
from colour_embed.config import InputError
from colour_embed.evaluate.truth import (
    all_pairs,
    base_rate_loss,
    best_loss,
    pair_distance,
    probability_similar,
)

# What the tutorial prints

FIRST_SAMPLE = [  # its ids count the rows of the original file, null names included
    ("honeydew4", "131;139;131", "838B83"),
    ("CadetBlue", "95;158;160", "5F9EA0"),
    ("SpringGreen4", "0;139;69", "008B45"),
    ("GreenYellow", "173;255;47", "ADFF2F"),
    ("HotPink4", "139;58;98", "8B3A62"),
]
SAMPLED_ROWS = [
    (93, "grey82", "0.819608", "0.819608", "0.819608"),
    (556, "NavajoWhite4", "0.545098", "0.474510", "0.368627"),
    (440, "PaleVioletRed4", "0.545098", "0.278431", "0.364706"),
    (401, "sienna4", "0.545098", "0.278431", "0.149020"),
    (58, "grey47", "0.470588", "0.470588", "0.470588"),
    (392, "salmon", "0.980392", "0.501961", "0.447059"),
    (626, "gold2", "0.933333", "0.788235", "0.000000"),
    (240, "Free Speech Blue", "0.254902", "0.337255", "0.772549"),
    (212, "cyan2", "0.000000", "0.933333", "0.933333"),
    (319, "SpringGreen", "0.000000", "1.000000", "0.498039"),
]
HEAD_ROWS = [
    (0, "Grey", "0.329412", "0.329412", "0.329412"),
    (1, "Grey, Silver", "0.752941", "0.752941", "0.752941"),
    (2, "grey", "0.745098", "0.745098", "0.745098"),
    (3, "LightGray", "0.827451", "0.827451", "0.827451"),
    (4, "LightSlateGrey", "0.466667", "0.533333", "0.600000"),
    (5, "SlateGray", "0.439216", "0.501961", "0.564706"),
    (6, "SlateGray1", "0.776471", "0.886275", "1.000000"),
    (7, "SlateGray2", "0.725490", "0.827451", "0.933333"),
    (8, "SlateGray3", "0.623529", "0.713725", "0.803922"),
    (9, "SlateGray4", "0.423529", "0.482353", "0.545098"),
]
NAME_PAIRS = [
    (9838, "LightSalmon1", "bright gold"),
    (44160, "DarkSeaGreen2", "goldenrod4"),
    (38804, "firebrick", "CadetBlue"),
    (52395, "DarkKhaki", "grey76"),
    (80675, "DarkOliveGreen", "OliveDrab2"),
    (28397, "Dark Turquoise", "DarkGoldenrod"),
    (35853, "aquamarine4", "orange"),
    (67955, "LightSalmon3", "aquamarine3, MediumAquamarine"),
    (42872, "grey32", "grey13"),
    (68885, "Neon Pink", "coral1"),
]
DIFF_ROWS = [
    (0, "gainsboro", 559, "grey91", 102, "0.002215"),
    (1, "Goldenrod", 629, "OrangeRed4", 435, "0.266913"),
    (2, "SteelBlue4", 192, "tan2", 270, "0.210832"),
    (3, "DarkSalmon", 359, "grey95", 106, "0.117621"),
    (4, "SlateGray4", 9, "grey60", 71, "0.015999"),
    (99995, "grey65", 76, "Very Dark Brown", 281, "0.149199"),
    (99996, "SkyBlue2", 180, "DarkOrchid2", 479, "0.105908"),
    (99997, "LemonChiffon2", 592, "purple1", 525, "0.231757"),
    (99998, "cornsilk1", 609, "grey74", 85, "0.045101"),
    (99999, "brown3", 253, "LightYellow2", 603, "0.312813"),
]
LABELLED_ROWS = [
    (63834, "LightYellow1", 602, "burlywood1", 257, "0.034330", 0),
    (12504, "Dusty Rose", 468, "VioletRed3", 444, "0.041143", 1),
    (48828, "salmon1", 393, "Free Speech Green", 352, "0.410821", 0),
    (32737, "orange3", 390, "grey89", 100, "0.311926", 0),
    (97626, "red4", 462, "grey44", 55, "0.132344", 1),
    (31753, "grey57", 68, "grey78", 89, "0.044844", 0),
    (81431, "DarkSeaGreen4", 296, "burlywood3", 259, "0.058239", 1),
    (32403, "grey15", 26, "BlueViolet", 117, "0.232572", 0),
    (62143, "DarkOliveGreen1", 287, "SlateBlue4", 187, "0.286633", 0),
    (99415, "MistyRose2", 428, "SkyBlue1", 179, "0.065016", 1),
]


@pytest.fixture(scope="module")
def colours():
    return data.load_colours()


@pytest.fixture(scope="module")
def pairs(colours):
    return data.tutorial_pairs(colours)


@pytest.fixture
def write(tmp_path):
    def write(content, name="my.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_table_has_the_tutorials_size(colours):
    assert len(colours) == len(colours.names) == 646
    assert colours.rgb.shape == (646, 3)
    assert colours.rgb.dtype == np.float64
    assert (colours.source, colours.dropped) == ("tutorial", 0)


def test_first_sample_of_five(colours):
    for name, decimal, hexadecimal in FIRST_SAMPLE:
        value = np.rint(255 * colours.rgb[colours.names.index(name)]).astype(int)
        assert ";".join(map(str, value)) == decimal
        assert bytes(value.tolist()).hex().upper() == hexadecimal


@pytest.mark.parametrize("row", SAMPLED_ROWS + HEAD_ROWS)
def test_printed_colours(colours, row):
    number, name, *rgb = row
    assert colours.names[number] == name
    assert [f"{value:.6f}" for value in colours.rgb[number]] == rgb


@pytest.mark.parametrize("row", NAME_PAIRS)
def test_printed_names_of_pairs(colours, pairs, row):
    number, *names = row
    assert [colours.names[i] for i in pairs.index[number]] == names


@pytest.mark.parametrize("row", DIFF_ROWS + LABELLED_ROWS)
def test_printed_pairs(colours, pairs, row):
    number, name_x, num_x, name_y, num_y, diff, *label = row
    assert pairs.index[number].tolist() == [num_x, num_y]
    assert [colours.names[num_x], colours.names[num_y]] == [name_x, name_y]
    assert f"{pair_distance(colours, pairs.index)[number]:.6f}" == diff
    assert [int(pairs.label[number])] == (label or [int(pairs.label[number])])


def test_share_of_positives(pairs):
    assert f"{100 * pairs.label.mean(dtype=np.float64): 0.1f}" == " 22.5"
    assert pairs.label.sum() == 22_521


# Pairs and labels


@pytest.mark.parametrize(("source", "n"), [("tutorial", 100_000), ("css4", 1), ("xkcd", 1234)])
def test_pairs_are_what_the_tutorials_own_lines_give(source, n):
    colours = data.load_colours(source)
    df = pd.DataFrame(colours.rgb, columns=["r", "g", "b"])
    df["num"] = df.index
    colour_1 = df.sample(n=n, replace=True, random_state=0).reset_index(drop=True)
    colour_2 = df.sample(n=n, replace=True, random_state=42).reset_index(drop=True)
    c = colour_1.merge(colour_2, left_index=True, right_index=True)
    c["diff"] = ((c.r_x - c.r_y) ** 2 + (c.g_x - c.g_y) ** 2 + (c.b_x - c.b_y) ** 2) / 3
    state = np.random.get_state()  # noqa: NPY002
    try:
        np.random.seed(0)  # noqa: NPY002
        uniforms = np.random.random(c.shape[0])  # noqa: NPY002
    finally:
        np.random.set_state(state)  # noqa: NPY002
    predict = (c["diff"] < 0.2 * uniforms**2).astype(int)

    pairs = data.tutorial_pairs(colours, n)
    assert len(pairs) == n
    assert (pairs.index.dtype, pairs.label.dtype) == (np.int32, np.float32)
    np.testing.assert_array_equal(pairs.index, c[["num_x", "num_y"]])
    distance = pair_distance(colours, pairs.index)
    assert distance.dtype == np.float64
    np.testing.assert_array_equal(distance, c["diff"])  # every bit, not nearly
    np.testing.assert_array_equal(pairs.label, predict)


def test_global_random_state_is_untouched(colours):
    before = np.random.get_state()  # noqa: NPY002
    data.tutorial_pairs(colours, 10)
    after = np.random.get_state()  # noqa: NPY002
    np.testing.assert_array_equal(before[1], after[1])
    assert before[2:] == after[2:]


@pytest.mark.parametrize("n", [0, -1])
def test_too_few_pairs(colours, n):
    with pytest.raises(InputError, match="1 or more"):
        data.tutorial_pairs(colours, n)


@pytest.mark.parametrize("constant", [0.05, 0.2, 1.0])
def test_label_rule_against_a_loop(colours, constant):
    random = np.random.default_rng(3)
    index = random.integers(0, len(colours), (300, 2))
    uniforms = random.random(300)
    diff = data.pair_diff(index, colours.rgb)
    label = data.label_pairs(index, colours.rgb, constant, uniforms)
    for row, (first, second) in enumerate(index.tolist()):
        (r1, g1, b1), (r2, g2, b2) = colours.rgb[first].tolist(), colours.rgb[second].tolist()
        expected = ((r1 - r2) ** 2 + (g1 - g2) ** 2 + (b1 - b2) ** 2) / 3
        assert diff[row] == expected
        assert label[row] == (1 if expected < constant * uniforms[row] ** 2 else 0)
    assert 0 < label.mean() < 1


@pytest.mark.parametrize("constant", [0.0, -0.2, float("nan")])
def test_constant_must_be_above_zero(colours, constant):
    with pytest.raises(InputError, match="not above 0"):
        data.label_pairs(np.zeros((1, 2), int), colours.rgb, constant, np.zeros(1))
    with pytest.raises(InputError, match="not above 0"):
        probability_similar(np.zeros(1), constant)


def test_probability_by_hand():
    diff = np.array([0.0, 0.05, 0.2, 0.3, 1.0])
    np.testing.assert_allclose(probability_similar(diff), [1, 0.5, 0, 0, 0], atol=1e-15)
    np.testing.assert_allclose(probability_similar(diff, 0.8), [1, 0.75, 0.5, 1 - 0.375**0.5, 0])


def test_probability_is_the_frequency_of_the_rule(colours):
    uniforms = (np.arange(100_000) + 0.5) / 100_000  # a grid, so that no chance is left
    for second in (5, 71, 192, 630):
        index = np.broadcast_to([9, second], (len(uniforms), 2))
        diff = data.pair_diff(index, colours.rgb)
        label = data.label_pairs(index, colours.rgb, 0.2, uniforms)
        expected = probability_similar(diff[:1])[0]
        assert label.mean(dtype=np.float64) == pytest.approx(expected, abs=1e-5)


def test_all_pairs():
    assert all_pairs(4).tolist() == [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]
    assert all_pairs(1).shape == (0, 2)
    index = all_pairs(646)
    assert index.shape == (208_335, 2)
    assert index.dtype == np.int32


# What can be known exactly


def test_reference_losses(colours, pairs):
    probability = probability_similar(pair_distance(colours, pairs.index))
    assert f"{best_loss(probability):.5f}" == "0.32315"
    assert f"{best_loss(probability, pairs.label):.5f}" == "0.32088"
    assert f"{base_rate_loss(pairs.label):.5f}" == "0.53342"
    diff = data.pair_diff(all_pairs(len(colours)), colours.rgb)
    assert f"{best_loss(probability_similar(diff)):.5f}" == "0.32255"


def test_losses_at_the_ends():
    assert best_loss(np.array([0.0, 1.0])) == 0
    assert best_loss(np.array([0.0, 1.0]), np.array([0, 1])) == 0
    assert best_loss(np.array([0.0, 1.0]), np.array([1, 1])) == np.inf
    assert best_loss(np.array([0.5])) == pytest.approx(np.log(2))
    assert best_loss(np.array([0.25]), np.array([1])) == pytest.approx(np.log(4))
    assert base_rate_loss(np.zeros(3, np.float32)) == 0


def test_data_hash(colours, pairs):
    known = data.data_hash(colours, pairs)
    assert known == "d9a5a53f185086b6"  # results carry it: a change makes them incomparable
    renamed = data.Colours(["x", *colours.names[1:]], colours.rgb, "tutorial")
    merged = data.Colours(["Grey,Grey", *colours.names[2:]], colours.rgb, "tutorial")
    flipped = data.Pairs(pairs.index, 1 - pairs.label)
    turned = data.Pairs(pairs.index[:, ::-1], pairs.label)
    hashes = [data.data_hash(other, pairs) for other in (renamed, merged)]
    hashes += [data.data_hash(colours, other) for other in (flipped, turned)]
    assert len({known, *hashes}) == 5
    elsewhere = data.Colours(colours.names, colours.rgb, "copy.csv", 3)
    assert data.data_hash(elsewhere, pairs) == known


# Tables that load


def test_lists_of_matplotlib():
    css4, xkcd = data.load_colours("css4"), data.load_colours("xkcd")
    assert (len(css4), len(xkcd)) == (148, 949)
    assert (css4.source, xkcd.source) == ("css4", "xkcd")
    assert css4.rgb[css4.names.index("steelblue")].tolist() == [70 / 255, 130 / 255, 180 / 255]
    assert "cloudy blue" in xkcd.names
    assert not any(name.startswith("xkcd:") for name in xkcd.names)
    assert xkcd.rgb.dtype == np.float64


@pytest.mark.parametrize(
    "content",
    [
        "name,r,g,b\nred,255,0,0\nnavy,0,0,128\n",
        "name,r,g,b\r\nred,255,0,0\r\n\r\nnavy,0,0,128\r\n\r\n",
        "\ufeffname,hex\nred,#ff0000\nnavy,000080\n",
        "HEX , Name\n #FF0000,red\n#000080 ,navy",
        " R,G,note,B,NAME\n255,0,x,0,red\n0.0,0,,128.0,navy\n",
        "Color Name,R;G;B Dec\nred,255;0;0\nnavy,0; 0 ;128\n",
        'name,r,g,b,hex\n"red",255,0,0,mangled\nnavy,0,0,128,1E+07\n',
        "name,r,g,b\rred,255,0,0\rnavy,0,0,128\r",
    ],
)
def test_forgiven_differences(write, content):
    colours = data.load_colours(write(content))
    assert colours.names == ["red", "navy"]
    assert colours.rgb.tolist() == [[1, 0, 0], [0, 0, 128 / 255]]
    assert (colours.source, colours.dropped) == ("my.csv", 0)


def test_other_kinds_of_tables(write):
    rgb = pd.DataFrame({"name": ["red", "navy"], "r": [255, 0], "g": [0, 0], "b": [0.0, 128.0]})
    parquet = io.BytesIO()
    rgb.to_parquet(parquet)
    text = rgb.to_csv(index=False).encode()
    tables = {
        "my.parquet": parquet.getvalue(),
        "my.csv.gz": gzip.compress(text),
        "my.tsv": text.replace(b",", b"\t"),
    }
    for name, content in tables.items():
        colours = data.load_colours(write(content, name))
        assert (colours.names, colours.source) == (["red", "navy"], name)
        assert colours.rgb.tolist() == [[1, 0, 0], [0, 0, 128 / 255]]


def test_words_for_null_are_names(write):
    names = ["NA", "null", "None", "nan", "N/A", "#N/A", "-"]
    table = "".join(f"{name},#00000{i}\n" for i, name in enumerate(names))
    assert data.load_colours(str(write("name,hex\n" + table))).names == names


def test_same_name_and_colour_twice_is_kept(write):
    assert data.load_colours(write("name,hex\na,000001\na,#000001\n")).names == ["a", "a"]


def test_a_table_of_blacks(write):
    assert data.load_colours(write("name,r,g,b\nblack,0,0,0\n")).rgb.tolist() == [[0, 0, 0]]


ORIGINAL = """Color Name,Credits,R;G;B Dec,RGB Hex,CSS Hex,BG/FG color sample
,,,,,
"Shades, of Grey",,84;84;84,545454,,### SAMPLE ###
,X,not a colour,,,
"Grey, Silver",X,192;192;192,C0C0C0,c0c0c0,### SAMPLE ###
null,X,0;0;128,80,8.00E+01,#©2006 walsh@njit.edu#
,
khaki,X,240;230;140
"""


def test_original_download(write):
    colours = data.load_colours(write(ORIGINAL))
    assert colours.names == ["Shades, of Grey", "Grey, Silver", "null", "khaki"]
    values = [[84, 84, 84], [192, 192, 192], [0, 0, 128], [240, 230, 140]]
    np.testing.assert_array_equal(colours.rgb, np.array(values) / 255)
    assert colours.dropped == 3


def test_package_table_in_the_format_of_the_download(write, colours, pairs):
    rows = [["Color Name", "Credits", "R;G;B Dec", "RGB Hex"]]
    for i, (name, rgb) in enumerate(zip(colours.names, colours.rgb)):
        if i % 100 == 7:
            rows.append(["", "", "", "1E+05"])
        rows.append([name, "X", ";".join(str(round(255 * value)) for value in rgb), "1E+05"])
    loaded = data.load_colours(write(as_csv(rows)))
    assert loaded.dropped == 7
    assert data.data_hash(loaded, data.tutorial_pairs(loaded)) == data.data_hash(colours, pairs)


def as_csv(rows):
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue()


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)
ROOT = Path(__file__).parents[1]
BYTE = st.integers(0, 255)


@settings(max_examples=60, deadline=None)
@given(
    table=st.dictionaries(
        NAMES.filter(str.strip), st.tuples(BYTE, BYTE, BYTE), min_size=1, max_size=12
    ).filter(lambda table: max(map(max, table.values())) != 1)  # read as the scale 0..1
)
def test_both_formats_load_alike(tmp_path_factory, table):
    folder = tmp_path_factory.mktemp("formats")
    numbers = [["name", "r", "g", "b"], *([name, *value] for name, value in table.items())]
    digits = [["name", "hex"], *([name, "#" + bytes(v).hex()] for name, v in table.items())]
    loaded = []
    for name, rows in (("numbers.csv", numbers), ("hex.csv", digits)):
        (folder / name).write_bytes(as_csv(rows).encode())
        loaded.append(data.load_colours(folder / name))
    for colours in loaded:
        assert colours.names == list(table)
        np.testing.assert_array_equal(colours.rgb, np.array(list(table.values())) / 255)


# Tables that do not

RGB = "name,r,g,b\nred,255,0,0\n"
HEX = "name,hex\nred,#ff0000\n"
DOWNLOAD = "Color Name,R;G;B Dec\nred,255;0;0\n,\n"
BAD_TABLES = {
    "empty": ("", ["is empty", "name,hex"]),
    "only a byte order mark": ("\ufeff", ["row 1:", "is blank"]),
    "blank lines only": ("\n \n", ["row 1:", "is blank"]),
    "blank first line": ("\n" + RGB, ["row 1:", "is blank", "header comes first"]),
    "header only": ("name,r,g,b\n", ["row 1:", "no colours"]),
    "header and blank lines": ("name,hex\n\n\n", ["row 1:", "no colours"]),
    "nothing but null names": ("Color Name,R;G;B Dec\n,1;2;3\n", ["row 1:", "no colours"]),
    "semicolons": ("name;r;g;b\nred;255;0;0\n", ["row 1:", "separated by ';'", "with commas"]),
    "tabs": ("name\thex\nred\t#ff0000\n", ["row 1:", "separated by tabs"]),
    "download with tabs": ("Color Name\tCredits\tR;G;B Dec\n", ["row 1:", "by tabs"]),
    "misspelt name": ("nmae,hex\nred,#ff0000\n", ["row 1, column 'name'", "rename 'nmae'?"]),
    "misspelt hex": ("name, Hexa \nred,#ff0000\n", ["row 1, column 'hex'", "rename 'Hexa'?"]),
    "misspelt blue": ("name,r,g,blue\nred,1,2,3\n", ["row 1, column 'b'", "rename 'blue'?"]),
    "written out": ("name,red,green,blue\nx,1,2,3\n", ["row 1, column 'r'", "rename 'red'?"]),
    "misspelt download": (
        "Colour Name,R;G;B Dec\nred,255;0;0\n",
        ["row 1, column 'Color Name'", "rename 'Colour Name'?"],
    ),
    "download without its values": (
        "Color Name,Credits\nred,X\n",
        ["row 1, column 'R;G;B Dec'", "a table has the columns"],
    ),
    "one column": ("name\nred\n", ["row 1, column 'hex'", "a table has the columns"]),
    "column twice": ("name,r,g,b,Name\nred,1,2,3,red\n", ["row 1, column 'name'", "twice"]),
    "short row": (RGB + "\nnavy,0,0\n", ["row 4, column 'b'", "3 cells", "has 4"]),
    "long row": (RGB + "Grey, Silver,1,2,3\n", ["row 3, column 'b'", "5 cells", "in quotes"]),
    "long first row": ("name,hex\na,#ff0000,x\n", ["row 2, column 'hex'", "3 cells"]),
    "long row of the download": (DOWNLOAD + "a,1;2;3,\n", ["row 4, column 'R;G;B Dec'", "3 cells"]),
    "open quote": (RGB + '"navy,0,0,128\nx,1,2,3\n', ["row 3:", "quotation marks"]),
    "text after a quote": (RGB + '"na"vy,0,0,128\n', ["row 3:", "quotation marks"]),
    "blank name": (RGB + ",1,2,3\n", ["row 3, column 'name'", "empty cell is no name"]),
    "name of spaces": (HEX + "  ,#000000\n", ["row 3, column 'name'", "empty cell is no name"]),
    "above 255": (RGB + "a,0,256,0\n", ["row 3, column 'g'", "'256' is out of 0..255"]),
    "below 0": (RGB + "a,0,0,-1\n", ["row 3, column 'b'", "'-1' is out of 0..255"]),
    "infinite": (RGB + "a,inf,0,0\n", ["row 3, column 'r'", "'inf' is not a number"]),
    "far too large": (RGB + f"a,{'9' * 60},0,0\n", ["row 3, column 'r'", "…' is out of"]),
    "not whole": (RGB + "a,0,127.5,0\n", ["row 3, column 'g'", "'127.5' is not whole"]),
    "word": (
        RGB + "a,0,lots,0\n",
        ["row 3, column 'g'", "'lots' is not a number", "whole numbers"],
    ),
    "nan": (RGB + "a,nan,0,0\n", ["row 3, column 'r'", "'nan' is not a number"]),
    "decimal comma": (RGB + 'a,"0,5",0,0\n', ["row 3, column 'r'", "'0,5' is not a number"]),
    "empty number": (RGB + "a,0,0,\n", ["row 3, column 'b'", "an empty cell is not a number"]),
    "after blank lines": (RGB + "\n\na,0,0,x\n", ["row 5, column 'b'"]),
    "after a line break in a name": (RGB + '"a\nb",1,2,3\nc,0,0,x\n', ["row 4, column 'b'"]),
    "several": (
        RGB + "a,300,300,0\nb,0,0,0\nc,x,0,0\n,0,0,0\n",
        ["row 3, column 'r'", "2 more rows at fault"],
    ),
    "two": (RGB + "a,0,0,300\nb,300,0,0\n", ["row 3, column 'b'", "1 more row at fault"]),
    "two of a kind": (RGB + "a,0,0,300\nb,0,0,400\n", ["rows 3, 4, column 'b'", "'300' is out"]),
    "scale 0..1": (
        "name,r,g,b\nred,1,0,0\ngrey,0,0.5,0.5\n",
        ["row 3, column 'g'", "look like 0..1", "multiply them by 255"],
    ),
    "scale 0..1, whole": ("name,r,g,b\nred,1,0,0\n", ["row 2, column 'r'", "look like 0..1"]),
    "mixed scales": (
        RGB + "a,0.5,1,0\nb,0,0.25,0\n",
        ["row 3, column 'r'", "'0.5'", "mixed", "1 more row"],
    ),
    "hex of five": (HEX + "a,#12345\n", ["row 3, column 'hex'", "'#12345'", "six hexadecimal"]),
    "hex of three": (HEX + "a,#fff\n", ["row 3, column 'hex'", "six hexadecimal"]),
    "hex of eight": (HEX + "a,#ff0000ff\n", ["row 3, column 'hex'", "six hexadecimal"]),
    "not hex": (HEX + "a,#ff00gg\n", ["row 3, column 'hex'", "'#ff00gg'"]),
    "mangled hex": (HEX + "a,1.00E+05\n", ["row 3, column 'hex'", "'1.00E+05'"]),
    "empty hex": (HEX + "a,\n", ["row 3, column 'hex'", "an empty cell"]),
    "two values": (DOWNLOAD + "a,1;2\n", ["row 4, column 'R;G;B Dec'", "'1;2'", "three values"]),
    "four values": (DOWNLOAD + "a,1;2;3;4\n", ["row 4, column 'R;G;B Dec'", "three values"]),
    "no values": (DOWNLOAD + "a,\n", ["row 4, column 'R;G;B Dec'", "an empty cell is not three"]),
    "value too large": (DOWNLOAD + "a,1;2;256\n", ["row 4, column 'R;G;B Dec'", "out of 0..255"]),
    "duplicate": (
        RGB + "navy,0,0,128\nred,254,0,0\n",
        ["row 4, column 'name'", "'red' has another colour in row 2"],
    ),
    "duplicates": (
        HEX + "red,#ff0000\nred,#fe0000\nred,#fd0000\n",
        ["rows 4, 5, column 'name'", "'red' has another colour in row 2"],
    ),
    "duplicate in the download": (
        DOWNLOAD + "red,1;2;3\n",
        ["row 4, column 'Color Name'", "in row 2"],
    ),
    "latin-1": ("name,hex\nrosé,#ff0000\n".encode("latin-1"), ["row 2:", "byte 12 ", "UTF-8"]),
    "latin-1 after a byte order mark": (
        b"\xef\xbb\xbfname,hex\r\nros\xe9,#ff0000\r\n",
        ["row 2:", "byte 16 ", "UTF-8"],
    ),
    "utf-16": ("name,hex\nred,#ff0000\n".encode("utf-16"), ["row 1:", "is UTF-16", "UTF-8"]),
    "null byte": (HEX.encode() + b"a\0b,#ff0000\n", ["row 3:", "byte 22 is a null byte"]),
}


@pytest.mark.parametrize(("content", "parts"), BAD_TABLES.values(), ids=BAD_TABLES)
def test_bad_table(write, content, parts):
    path = str(write(content, "bad table.csv"))
    with pytest.raises(InputError) as error:
        data.load_colours(path)
    message = str(error.value)
    assert message.startswith(path)
    assert len(message.splitlines()) == 1
    for part in parts:
        assert part in message


def test_missing_file():
    with pytest.raises(
        InputError, match=r"^no/such\.csv: there is no such file; .* tutorial, css4"
    ):
        data.load_colours("no/such.csv")
    with pytest.raises(InputError, match="did you mean 'tutorial'"):
        data.load_colours("tutoral")
    with pytest.raises(InputError, match="did you mean 'css4'"):
        data.load_colours("CSS4")


def test_folder(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        data.load_colours(tmp_path)


@pytest.mark.parametrize("path", ["x" * 5000, "a\0b", "two\nlines"])
def test_impossible_path(path):
    with pytest.raises(InputError) as error:
        data.load_colours(path)
    assert len(str(error.value).splitlines()) == 1


def test_tables_load_without_pandas_and_pyarrow(write):
    program = (
        "import sys\nsys.modules.update(pandas=None, pyarrow=None)\n"
        "from colour_embed.data import load_colours\n"
        "print(*(len(load_colours(path)) for path in sys.argv[1:]))"
    )
    paths = [write(content, f"{row}.csv") for row, content in enumerate((RGB, HEX, DOWNLOAD))]
    result = subprocess.run(
        [sys.executable, "-c", program, "tutorial", "xkcd", *paths],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert (result.stdout, result.stderr) == ("646 949 1 1 1\n", "")
