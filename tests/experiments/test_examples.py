"""The examples: their tables by hand, their judgements on known maps, and small runs of all."""

import dataclasses
import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from colour_embed import data
from colour_embed.evaluate.geometry import distance_spearman
from colour_embed.io import vectors
from experiments.examples import common, css4, drawing, les_miserables, made, words
from experiments.examples.common import Made
from experiments.examples.studies import EXAMPLES


def _no_bar(label, total):
    return lambda *arguments: None


@pytest.fixture(scope="module")
def tables():
    pytest.importorskip("networkx")
    return {name: example.make() for name, example in EXAMPLES.items()}


@pytest.fixture(scope="module")
def folder(tables, tmp_path_factory):
    """All examples, trained for a moment, in a folder as the program leaves it."""
    folder = tmp_path_factory.mktemp("examples")
    sentences = {}
    for name, example in EXAMPLES.items():
        config = dataclasses.replace(example.plan.config, dim=2)
        plan = dataclasses.replace(example.plan, config=config, max_steps=400, restarts=1)
        sentences[name] = made.make(example._replace(plan=plan), folder / name, _no_bar)
    about = {"experiment": "examples", "examples": list(sentences)}
    (folder / "config.json").write_text(json.dumps(about))
    (folder / "README.md").write_text(made.readme(sentences), encoding="utf-8")
    return folder, sentences


# Tables


def test_words_near_each_other_are_counted_within_their_text(monkeypatch):
    monkeypatch.setattr(words, "LEAST_COUNT", 1)
    texts = ["Red blue, the green red.", "blue x pink-1"]
    counts = words.pair_counts(texts, words=4, window=1)
    # "the" is left out and so stands between nothing; a single letter is no word.
    assert counts.to_numpy().tolist() == [
        ["blue", "green", 1],
        ["blue", "pink", 1],
        ["blue", "red", 1],
        ["green", "red", 1],
    ]
    wide = words.pair_counts(texts, words=4, window=3)
    assert dict(zip(zip(wide["first"], wide["second"]), wide["count"])) == {
        ("blue", "green"): 1,
        ("blue", "pink"): 1,
        ("blue", "red"): 2,
        ("green", "red"): 2,
    }
    few = words.pair_counts(texts, words=2, window=3)
    assert set(few["first"]) | set(few["second"]) == {"blue", "red"}


def test_names_are_taken_apart_whole():
    assert css4.parts("darkslategray") == ("dark", "slate", "gray")
    assert css4.parts("lightgoldenrodyellow") == ("light", "goldenrod", "yellow")
    assert css4.parts("aquamarine") == ("aquamarine",)
    with pytest.raises(ValueError, match="no words are known"):
        css4.parts("darkslategrue")
    names = [name for name in data.load_colours("css4").names if "grey" not in name]
    used = {part for name in names for part in css4.parts(name)}
    assert used == css4.WORDS


def test_names_that_share_a_word_are_similar():
    pairs = css4.word_pairs(["darkred", "red", "darkblue", "gold"])
    assert pairs.to_numpy().tolist() == [
        ["darkred", "red", 1],
        ["darkred", "darkblue", 1],
        ["red", "darkblue", 0],
    ]


def test_the_tables_are_what_they_say(tables):
    graph = tables["les_miserables"]
    assert (len(graph.items), len(graph.pairs)) == (77, 254)
    assert graph.pairs["count"].sum() == 820
    valjean = graph.items.set_index("name").loc["Valjean", "group"]
    assert valjean == "around Valjean"
    text = tables["words"].pairs
    assert len(set(text["first"]) | set(text["second"])) == words.WORDS
    assert text["count"].min() == words.LEAST_COUNT
    assert (text["first"] < text["second"]).all()
    names = tables["css4"]
    assert names.pairs["label"].isin([0, 1]).all()
    assert len(names.pairs) == len(names.items) * (len(names.items) - 1) / 2
    colours = data.load_colours("css4")
    red = colours.rgb[colours.names.index("red")]
    assert names.items.set_index("name").loc["red", "hex"] == "ff0000"
    assert red.tolist() == [1, 0, 0]


# Judgements


def test_a_perfect_map_of_colours_differs_from_a_random_one(tables, monkeypatch):
    monkeypatch.setattr(css4, "PERMUTATIONS", 200)
    items = tables["css4"].items
    names = items["name"].tolist()
    rgb = np.array([list(bytes.fromhex(digits)) for digits in items["hex"]]) / 255
    perfect = css4.judge(names, rgb, tables["css4"])
    assert perfect.numbers["spearman"] == pytest.approx(1)
    assert perfect.numbers["share_at_least_so_high"] == pytest.approx(1 / 201)
    assert "1.000" in perfect.sentence
    assert "above the range" in perfect.sentence
    by_chance = css4.judge(names, np.random.default_rng(0).normal(size=rgb.shape), tables["css4"])
    low, high = (by_chance.numbers[f"by_chance_{end}"] for end in ("low", "high"))
    assert low < by_chance.numbers["spearman"] < high
    assert "inside the range" in by_chance.sentence


def test_neighbours_that_meet_are_counted():
    # Two who meet lie side by side, far from the next two.
    names = [f"n{place}" for place in range(8)]
    pairs = pd.DataFrame(
        [(names[place], names[place + 1], 1) for place in range(0, 8, 2)],
        columns=["first", "second", "count"],
    )
    line = np.array([[10.0 * (place // 2) + place % 2] for place in range(8)])
    found = les_miserables.judge(names, line, Made(pairs, None))
    assert found.numbers["by_chance"] == pytest.approx(1 / 7)
    # One of the three nearest.
    assert found.numbers["neighbours_met"] == pytest.approx((1 / 3,) * 3)
    assert "33 %" in found.sentence


def test_related_words_that_lie_nearest_have_rank_zero():
    names = [word for pair in words.RELATED[:5] for word in pair] + ["other", "another"]
    vectors = np.array([[10.0 * (place // 2) + place % 2] for place in range(len(names))])
    found = words.judge(names, vectors, Made(pd.DataFrame(), None))
    assert set(found.numbers["related_pairs"].values()) == {0.0}
    assert "5 pairs of related words" in found.sentence
    assert "the related one is 0.0 %" in found.sentence
    apart = np.random.default_rng(0).normal(size=(len(names), 3))
    assert words.judge(names, apart, Made(pd.DataFrame(), None)).numbers["median_rank"][0] > 0.1


def test_what_examples_share():
    assert common.listed(["a"]) == "a"
    assert common.listed(["a", "b", "c"]) == "a, b and c"
    assert common.percents((0.5, 0.4, 0.61)) == ("50 %", "40 % to 61 %")
    assert common.neighbours_listed({"a": ["b", "c"], "d": ["e"]}, "{}: {}") == "a: b and c; d: e"
    vectors = np.array([[0.0], [1.0], [5.0]])
    assert common.nearest_names(["x", "y", "z"], vectors, "z", 2) == ["y", "x"]
    middle, low, high = common.with_interval(np.arange(50.0), np.mean)
    assert low < middle == 24.5 < high


# Runs


def test_each_folder_holds_what_it_should(folder, tables):
    where, sentences = folder
    for name, example in EXAMPLES.items():
        files = {path.name for path in (where / name).iterdir()}
        assert {"pairs.csv", "embedding.csv", "embedding.png", "embedding.pdf"} <= files
        assert ("items.csv" in files) == example.has_items
        assert "snapshots.npz" not in files
        moving = {"training.mp4", "page.html"}
        assert files & moving == (moving if name != "css4" else set())
        assert sum(path.stat().st_size for path in (where / name).iterdir()) < 1_000_000
        found = json.loads((where / name / "metrics.json").read_text(encoding="utf-8"))
        assert found["example"]["sentence"] == sentences[name]
        written = pd.read_csv(where / name / "pairs.csv", keep_default_na=False)
        pd.testing.assert_frame_equal(written, tables[name].pairs, check_dtype=False)
        assert found["quality"]["training"]["loss"] > 0


def test_the_sentence_follows_from_the_files(folder):
    where, _ = folder
    named = vectors.read_csv(where / "css4" / "embedding.csv")
    items = pd.read_csv(where / "css4" / "items.csv", dtype=str)
    assert named.items == items["name"].tolist()
    rgb = np.array([list(bytes.fromhex(digits)) for digits in items["hex"]])
    found = json.loads((where / "css4" / "metrics.json").read_text())["example"]
    assert found["spearman"] == pytest.approx(distance_spearman(named.vectors, rgb))
    assert f"{found['spearman']:.3f}" in found["sentence"]


def test_maps_are_redrawn_to_the_byte(folder, tmp_path):
    drawn = drawing.draw(folder[0], tmp_path)
    assert len(drawn) == 6
    for path in drawn:
        original = folder[0] / path.relative_to(tmp_path)
        assert path.read_bytes() == original.read_bytes()


def test_the_readme_names_every_source_and_how_to_train_the_same(folder):
    text = (folder[0] / "README.md").read_text(encoding="utf-8")
    for name, example in EXAMPLES.items():
        assert example.source in text
        assert example.licence in text
        assert f"{name}/embedding.png" in text
        assert f"--pairs {name}/pairs.csv" in text
    assert "--positives_only --negatives 5 --held_out 0 --animate --page --dim 2" in text
    assert "[training.mp4](words/training.mp4) and [page.html](words/page.html)" in text
    assert "css4/page.html" not in text


def test_pages_speak_of_the_example_s_items(folder):
    where, _ = folder
    text = (where / "les_miserables" / "page.html").read_text(encoding="utf-8")
    (data,) = re.findall(r'id="data">(.*?)</script>', text)
    found = json.loads(data)
    assert len(found["names"]) == 77
    assert "around Valjean" in [look["label"] for look in found["looks"]]
    assert "Valjean" in found["groups"]["names"][0] or len(found["groups"]["names"]) > 1
    assert "colour names" not in text


def test_an_unknown_example_is_refused(tmp_path):
    command = [sys.executable, "-m", "experiments.examples", f"--out={tmp_path / 'out'}"]
    done = subprocess.run(
        [*command, "--only=war_and_peace"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "les_miserables, words, css4" in done.stderr
    assert not list(tmp_path.iterdir())
