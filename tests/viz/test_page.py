"""The page's bytes: what goes in comes out, as text and only as text, and no file is overrun."""

import base64
import dataclasses
import hashlib
import importlib.resources
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from colour_embed.config import InputError
from colour_embed.data import Colours, data_hash, load_colours, tutorial_pairs
from colour_embed.evaluate import geometry
from colour_embed.evaluate.uncertainty import Spread, ellipse
from colour_embed.heads import HEADS
from colour_embed.io import run_folder
from colour_embed.viz import page
from colour_embed.viz.style import item_looks

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "results" / "tutorial"
EVIL = [
    *("<script>", "</script><script>alert(1)</script>", "<!--", "-->", "<!--<script>", "]]>"),
    *("a\u2028b\u2029c", '"', "'", "`${1}`", "\\", "&lt;", "{{data}}", "</style>", "ü 色 🎨", "\0"),
    *("red", "red", "red (2)", "<img src=x onerror=alert(1)>"),
]
TYPES = {"uint8": "<u1", "int16": "<i2", "int32": "<i4", "float32": "<f4"}


class _Elements(HTMLParser):
    """All elements of a page: tag, attributes, and the text before the next tag."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append([tag, dict(attrs), ""])
        self.closed = False

    def handle_data(self, data):
        if self.found and not self.closed:
            self.found[-1][2] += data

    def handle_endtag(self, tag):
        self.closed = True


def content(text):
    """What the script of a page reads, its arrays decoded."""
    elements = _Elements(text).found
    (data,) = (found[2] for found in elements if found[1].get("id") == "data")

    def decoded(value):
        if not (isinstance(value, dict) and "base64" in value):
            return value
        return np.frombuffer(base64.b64decode(value["base64"]), TYPES[value["type"]])

    return json.loads(data, object_hook=decoded)


def small_run(names, dims=(2, 3), frames=5, seed=0):
    """A tutorial run of made-up numbers."""
    random = np.random.default_rng(seed)
    rgb = random.integers(0, 256, (len(names), 3)) / 255
    trainings = [
        page.Training(
            dim,
            np.arange(frames) * 2,
            random.normal(size=(frames, len(names), dim)).astype(np.float16),
            random.random(2 * frames).astype(np.float32),
            facts=f"seed {dim}",
        )
        for dim in dims
    ]
    return page.Run("tutorial", Colours(list(names), rgb, "made up"), 1000, trainings)


def sweep_run(seeds=3, dims=(1, 2, 5), frames=4, items=30):
    """A sweep of made-up numbers; only the members of the first dimension have snapshots."""
    made = small_run(
        [f"name {i}" for i in range(items)], [d for d in dims for _ in range(seeds)], frames
    )
    trainings = []
    for place, one in enumerate(made.trainings):
        choice = (one.dim, place % seeds)
        kept = slice(None) if place < seeds else slice(-1, None)
        trainings.append(
            dataclasses.replace(one, choice=choice, epoch=one.epoch[kept], frames=one.frames[kept])
        )
    choices = {"dim": list(dims), "seed": list(range(seeds))}
    return dataclasses.replace(made, experiment="sweep", trainings=trainings, choices=choices)


def own_run(items=30, dim=2, groups=None, rgb=None, names=None, frames=5, spread=None):
    """A training of own items, of made-up numbers; the last group lies apart from the others."""
    random = np.random.default_rng(0)
    looks = item_looks(items, rgb, groups)
    moving = (
        random.normal(size=(frames, items, dim)) + 5.0 * (looks.kind == looks.kind.max())[:, None]
    )
    training = page.Training(
        *(dim, 3 * np.arange(frames), moving, random.random(3 * frames).astype(np.float32)),
        spread=spread,
    )
    colours = Colours(names or [f"thing {i}" for i in range(items)], looks.rgb, "items")
    return page.Run("items", colours, 1000, [training], looks=looks, title="Mine", about="Pairs.")


def made_spread(items=30, dim=2, size=0.3, draws=20):
    """Covariances of made-up draws; the last two items have too few of them."""
    made = np.random.default_rng(1).normal(size=(items, 4 * dim, dim)) * np.arange(1, dim + 1)
    covariance = size**2 * np.swapaxes(made, 1, 2) @ made / (4 * dim)
    covariance[-2:] = np.nan
    count = np.full(items, draws)
    count[-2:] = 1, 0
    return Spread(covariance, count)


def distances(points):
    return np.linalg.norm(points[:, None] - points[None], axis=-1)


def test_the_arrays_come_out_as_they_went_in():
    run = small_run([f"name {i}" for i in range(40)], dims=(1, 2, 3, 6))
    found = content(page.page(run))
    np.testing.assert_array_equal(found["rgb"].reshape(-1, 3), np.round(255 * run.colours.rgb))
    assert found["names"] == run.colours.names
    assert found["panels"] == 4
    for one, training in zip(found["trainings"], run.trainings, strict=True):
        np.testing.assert_array_equal(one["epoch"], training.epoch)
        np.testing.assert_array_equal(one["loss"], training.loss)
        points = one["unit"] * one["points"].reshape(training.frames.shape)
        step = one["unit"] * training.dim
        for shown, frame in zip(points, training.frames.astype(np.float64)):
            # Turned, mirrored and shifted, each frame is the run's; so all distances are.
            np.testing.assert_allclose(geometry.align(shown, frame), frame, atol=step)
            np.testing.assert_allclose(distances(shown), distances(frame), atol=2 * step)
        assert abs(one["points"]).max() == 32767


@pytest.mark.parametrize(("items", "count"), [(2, 1), (646, 5000), (949, 300)])
def test_the_pairs_of_a_run_come_out_as_they_went_in(items, count):
    run = small_run([f"name {i}" for i in range(items)], frames=1)
    pairs = tutorial_pairs(run.colours, count)
    found = content(page.page(dataclasses.replace(run, training_pairs=pairs)))["training"]
    bits = np.unpackbits(found["codes"], bitorder="little")[: count * found["bits"]]
    code = bits.reshape(count, -1) @ (1 << np.arange(found["bits"]))
    np.testing.assert_array_equal(code % 2, pairs.label)
    np.testing.assert_array_equal(np.stack(np.divmod(code // 2, items), axis=1), pairs.index)
    assert found["count"] == count
    assert found["heads"] == list(HEADS)
    axes = np.array(found["axes"])
    if items > 3:
        np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-5)
        centred = run.colours.rgb - run.colours.rgb.mean(axis=0)
        expected = geometry.principal_axes(run.colours.rgb, 3)
        np.testing.assert_allclose(centred @ axes, expected, atol=1e-5)


def test_a_run_of_too_many_pairs_leaves_them_to_the_page():
    run = small_run(["a", "b", "c"], frames=1)
    pairs = tutorial_pairs(run.colours, 200_001)
    found = content(page.page(dataclasses.replace(run, training_pairs=pairs)))["training"]
    assert (found["count"], found["codes"]) == (200_001, None)
    assert content(page.page(run))["training"] is None


def test_what_is_shown_lies_toward_rgb():
    run = small_run([f"name {i}" for i in range(40)], dims=(2, 3, 5))
    centred = run.colours.rgb - run.colours.rgb.mean(axis=0)
    for training in run.trainings:
        shown = page._turned(training.frames, run.colours.rgb)[-1]
        kept = min(training.dim, 3)
        target = centred if kept == 3 else geometry.principal_axes(centred, kept)
        np.testing.assert_allclose(
            shown[:, :kept], geometry.align(shown[:, :kept], target), rtol=0, atol=1e-9
        )


def test_frames_lie_close_to_the_last_one():
    random = np.random.default_rng(1)
    last = random.normal(size=(50, 3))
    turns = [np.linalg.qr(random.normal(size=(3, 3)))[0] for _ in range(6)]
    frames = np.stack([last @ turn + random.normal(size=3) for turn in turns])
    shown = page._turned(frames, random.random((50, 3)))
    np.testing.assert_allclose(shown, np.broadcast_to(shown[-1], shown.shape), atol=1e-9)


@pytest.mark.parametrize("dim", [1, 2, 3, 6])
def test_own_items_lie_along_their_principal_axes(dim):
    run = own_run(dim=dim)
    found = content(page.page(run))
    assert (found["noun"], found["truth"], found["groups"], found["panels"]) == (
        *("item", False, None, 1),
    )
    (one,) = found["trainings"]
    points = one["unit"] * one["points"].reshape(5, 30, dim)
    last = geometry.principal_axes(run.trainings[0].frames[-1], dim)
    np.testing.assert_allclose(points[-1], last, atol=one["unit"])
    # In one line, with its number: what is not seen of the other dimensions.
    spread = last.var(axis=0)
    share = 100 * spread[:3].sum() / spread.sum()
    share = f"first three principal axes, {share:.0f} % of the variance"
    assert one["facts"] == (share if dim > 3 else "")
    assert len(set(map(tuple, found["rgb"].reshape(-1, 3)))) == 1


def test_groups_of_own_items_come_with_their_markers():
    groups = [f"g{place % 15:02}" for place in range(60)]
    groups[:3] = "", "<b>", "other"
    run = own_run(60, groups=groups)
    found = content(page.page(run))
    names = [found["groups"]["names"][place] for place in found["groups"]["of"]]
    assert names == groups
    for look, told in zip(run.looks.looks, found["looks"], strict=True):
        assert (told["label"], told["filled"]) == (look.label, look.filled)
        assert (told["outline"] is None) == (look.marker == "o")
    np.testing.assert_array_equal(found["kind"], run.looks.kind)
    np.testing.assert_array_equal(found["rgb"].reshape(-1, 3), np.round(255 * run.looks.rgb))


def test_own_items_with_colours_are_compared_with_them():
    rgb = np.random.default_rng(0).random((30, 3))
    found = content(page.page(own_run(rgb=rgb)))
    assert (found["noun"], found["truth"], found["groups"]) == ("item", True, None)


@pytest.mark.parametrize(("items", "dim"), [(3000, 2), (3000, 3), (3000, 16), (20_000, 2)])
def test_pages_of_many_own_items_stay_small(items, dim):
    run = own_run(items, dim, groups=[f"g{place % 20}" for place in range(items)], frames=40)
    text = page.page(run)
    assert len(text.encode()) < page.MAX_BYTES["items"] < 4e6
    found = content(text)
    assert len(found["trainings"][0]["epoch"]) >= 4


@pytest.mark.parametrize("dim", [1, 2, 3, 5])
def test_ellipses_are_those_of_the_figures_turned_with_the_points(dim):
    spread, shown = made_spread(dim=dim), min(dim, 3)
    run = own_run(dim=dim, spread=spread)
    (one,) = content(page.page(run))["trainings"]
    np.testing.assert_array_equal(one["ellipses"]["draws"], spread.draws)
    halves = one["unit"] * one["ellipses"]["halves"].reshape(30, shown, shown)
    assert np.isnan(halves[-2:]).all()
    # The turn, as the points of the last frame show it.
    last = run.trainings[0].frames[-1]
    points = one["unit"] * one["points"].reshape(5, 30, dim)[-1]
    turn = np.linalg.lstsq(last - last.mean(axis=0), points, rcond=None)[0]
    turned = (turn.T @ spread.covariance @ turn)[:28, :shown, :shown]
    expected = ellipse(turned, 20)
    np.testing.assert_allclose(np.linalg.norm(halves[:28], axis=2), expected.radii, rtol=2e-3)
    square = (expected.radii[:, 0] ** 2 / np.linalg.eigvalsh(turned)[:, -1])[:, None, None]
    shape = np.swapaxes(halves[:28], 1, 2) @ halves[:28]
    np.testing.assert_allclose(shape, square * turned, rtol=0, atol=5e-3 * np.abs(shape).max())
    if dim <= 3:  # the figures' own, whatever the turn
        radii = ellipse(spread.covariance, spread.draws).radii[:28]
        np.testing.assert_allclose(np.linalg.norm(halves[:28], axis=2), radii, rtol=1e-6)


def test_an_ellipse_of_few_draws_has_the_hand_computed_radius():
    spread = Spread(np.tile(0.09 * np.eye(2), (30, 1, 1)), np.full(30, 20))
    (one,) = content(page.page(own_run(spread=spread)))["trainings"]
    radii = one["unit"] * np.linalg.norm(one["ellipses"]["halves"].reshape(-1, 2), axis=1)
    # T^2 = 2 * 19 / 18 * F(0.95; 2, 18) = 2.1111 * 3.5546 = 7.504, of a deviation of 0.3
    np.testing.assert_allclose(radii, 0.3 * 7.504**0.5, rtol=1e-4)


def test_a_page_without_a_bootstrap_says_nothing_of_ellipses():
    (one,) = content(page.page(own_run()))["trainings"]
    assert "ellipses" not in one
    empty = dataclasses.replace(
        own_run(spread=made_spread()).trainings[0],
        frames=np.zeros((0, 30, 2)),
        epoch=np.zeros(0),
    )
    (one,) = content(page.page(dataclasses.replace(own_run(), trainings=[empty])))["trainings"]
    assert "ellipses" not in one


def test_pages_of_many_ellipses_stay_small():
    spread = made_spread(20_000, 3)
    text = page.page(own_run(20_000, 3, frames=40, spread=spread))
    assert len(text.encode()) < page.MAX_BYTES["items"]
    assert len(content(text)["trainings"][0]["ellipses"]["draws"]) == 20_000


def test_own_items_that_have_no_room_are_refused_as_items():
    with pytest.raises(InputError, match="fewer items or epochs"):
        page.page(own_run(400_000, frames=1))


def test_names_are_text_and_nothing_else():
    run = small_run(EVIL)
    text = page.page(run)
    found = content(text)
    assert set(EVIL) <= set(found["names"])
    assert len(set(found["names"])) == len(EVIL)
    innocent = page.page(small_run([f"name {i}" for i in range(len(EVIL))]))
    tags = [[(tag, sorted(a)) for tag, a, _ in _Elements(t).found] for t in (text, innocent)]
    assert tags[0] == tags[1]
    assert not re.search(r"[\u2028\u2029\0]", text)
    block = text[text.index('id="data">') + 10 :]
    assert "<" not in block[: block.index("</script>")]


def test_repeated_names_get_numbers_that_no_name_has():
    names = ["red", "red", "red (2)", "red"]
    assert page._distinct(names) == ["red", "red (2)", "red (2) (2)", "red (3)"]


def test_nothing_outside_the_file_is_named_or_allowed():
    text = page.page(small_run(EVIL))
    assert not re.search(r"\b(?:https?|ftp|wss?):|//[a-z0-9-]+\.[a-z]|\burl\(|@import", text, re.I)
    elements = _Elements(text).found
    for tag, attributes, _ in elements:
        assert tag not in ("iframe", "object", "embed", "img", "base"), tag
        assert attributes.get("src") is None
        assert attributes.get("href") in (None, "data:,")
        assert not [name for name in attributes if name.startswith("on")]
    policy = next(a["content"] for _, a, _ in elements if a.get("http-equiv"))
    assert "default-src 'none'" in policy
    assert "worker-src blob:" in policy
    assert "unsafe" not in policy
    for tag, attributes, inner in elements:
        if tag == "style" or (tag == "script" and "type" not in attributes):
            digest = base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in policy


def test_a_page_is_ascii_so_that_no_outer_page_can_misread_it():
    run = dataclasses.replace(small_run(EVIL), title="Größe, 色", about="Été")
    text = page.page(run)
    assert text.isascii()
    assert "Gr&#246;&#223;e, &#33394;" in text
    assert "\\u00fc \\u8272" in text  # in JSON


def test_the_same_run_gives_the_same_page():
    assert page.page(small_run(EVIL)) == page.page(small_run(EVIL))


def test_templates_come_with_the_package():
    folder = importlib.resources.files("colour_embed.viz") / "templates"
    names = sorted(one.name for one in folder.iterdir())
    assert names == ["draw.js", "live.js", "page.css", "page.html", "page.js", "train.js"]
    for name in names:
        text = (folder / name).read_text(encoding="utf-8")
        assert max(map(len, text.splitlines())) <= 100, name
        assert not re.search(r"\beval\b|new Function|innerHTML|document\.write|fetch\(", text), name


@pytest.mark.parametrize(("run", "most"), [("tutorial", 3e6), ("sweep", 20e6)])
def test_the_committed_runs_make_pages_of_their_size(run, most):
    text = page.page(page.read_run(ROOT / "results" / run))
    size = len(text.encode())
    assert 1e6 < size < min(most, page.MAX_BYTES[run])
    found = content(text)
    assert len(found["names"]) == 646
    if run == "tutorial":
        assert [one["dim"] for one in found["trainings"]] == [2, 3]
        assert [len(one["epoch"]) for one in found["trainings"]] == [264, 264]
        return
    assert [one["name"] for one in found["choices"]] == ["program", "dim", "seed"]
    assert len(found["trainings"]) == 2 * 6 * 32
    with np.load(ROOT / "results" / "sweep" / "embeddings.npz") as arrays:
        for one in found["trainings"][::37]:
            program, dim, seed = (
                choice["values"][place] for choice, place in zip(found["choices"], one["choice"])
            )
            points = one["unit"] * one["points"].reshape(646, dim)
            truth = arrays[f"{program}_d{dim}"][seed].astype(np.float64)
            np.testing.assert_allclose(distances(points), distances(truth), atol=1e-3)


def test_the_committed_page_is_made_from_this_code_and_the_committed_run():
    text = (ROOT / "results" / "page.html").read_text(encoding="utf-8")
    mend = "run python -m experiments.page"
    for name in page._CODE:
        assert page._template(name) in text, mend
    expected, found = (content(one) for one in (page.page(page.read_run(TUTORIAL)), text))
    assert found.keys() == expected.keys()
    for now, then in zip(expected.pop("trainings"), found.pop("trainings"), strict=True):
        for name in ("points", "epoch", "loss"):
            # The last digit of a quantised number may differ from one processor to another.
            np.testing.assert_allclose(then.pop(name), now.pop(name), atol=1, err_msg=mend)
        assert then.pop("unit") == pytest.approx(now.pop("unit"), rel=1e-6)
        assert then == now, mend
    np.testing.assert_equal(found, expected, err_msg=mend)


def test_what_has_no_room_is_left_out_evenly():
    run = sweep_run(seeds=4, frames=40, items=400)
    whole = len(page.page(run))
    text = page.page(run, whole - 20_000)
    assert re.search(r"room for \d\d% of the snapshots", text)
    assert len(text) <= whole - 20_000
    found = content(text)
    frames = [len(one["epoch"]) for one in found["trainings"]]
    assert frames[4:] == [1] * 8
    assert len(set(frames[:4])) == 1
    assert 2 < frames[0] < 40
    epoch = found["trainings"][0]["epoch"]
    assert (epoch[0], epoch[-1]) == (0, 78)
    assert np.ptp(np.diff(epoch)) <= 2  # one frame more or less


def test_seeds_that_have_no_room_are_left_out_and_that_is_said():
    run = sweep_run(seeds=60, items=400)
    text = page.page(run, 300_000)
    found = content(text)
    kept = len(found["choices"][1]["values"])
    assert 1 <= kept < 60
    assert len(found["trainings"]) == 3 * kept
    assert f"The last {60 - kept} seeds" in text
    assert len(text) <= 300_000


def test_a_run_without_room_is_refused():
    with pytest.raises(InputError, match="too large for a page"):
        page.page(sweep_run(seeds=1, items=3000), 100_000)


def test_a_training_without_finite_numbers_is_an_empty_one():
    run = small_run(["a", "b", "c"])
    broken = dataclasses.replace(run.trainings[0], frames=np.zeros((0, 3, 2)), epoch=np.zeros(0))
    found = content(page.page(dataclasses.replace(run, trainings=[broken, run.trainings[1]])))
    assert found["trainings"][0]["points"].size == 0


# --------------------------------------------------------------------------------------------------
# From run folders


def write_sweep(folder, programs=("free", "negative"), axes=None, seeds=3, snapshots=2, **about):
    """The files of a sweep that the page reads, with made-up numbers; returns its arrays."""
    random = np.random.default_rng(0)
    colours = load_colours("css4")
    dims, axes = [1, 2, 4], axes or {}
    grids = [(d, s, v) for d in dims for s in range(seeds) for v in axes.get("beta1", [None])]
    epoch, items = np.array([0, 1, 3, 6], np.int32), len(colours)
    arrays, curves, rows = {}, {}, []
    for program in programs:
        final = random.normal(size=(len(grids), items, 4))
        for dim in dims:
            places = [i for i, one in enumerate(grids) if one[0] == dim]
            arrays[f"{program}_d{dim}"] = final[places, :, :dim].astype(np.float16)
        if snapshots:
            kept = random.normal(size=(snapshots, 4, items, 4))
            kept[:, -1] = final[:snapshots]
            kept[:, :, :, 1:] = 0  # those of dimension 1 are padded
            arrays[f"{program}_epoch"] = epoch
            arrays[f"{program}_snapshots"] = kept.astype(np.float16)
        curves[f"{program}_loss"] = random.random((len(grids), 6)).astype(np.float32)
        for place, (dim, seed, value) in enumerate(grids):
            row = {"seed": seed, "dim": dim, "heldout_loss": random.random(), "spearman": 0.5}
            row |= {"recovered": place % 2 == 0, "diverged": 4 if place == 1 else 0}
            rows.append(row | ({} if value is None else {"beta1": value}))
    folder.mkdir()
    np.savez_compressed(folder / "embeddings.npz", **arrays)
    np.savez_compressed(folder / "curves.npz", **curves)
    lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
    (folder / "runs.csv").write_text("\n".join(lines) + "\n")
    config = {"experiment": "sweep", "colours": "css4", "pairs": 500, "seeds": list(range(seeds))}
    config |= {"dims": dims, "axes": axes, "programs": {name: {} for name in programs}}
    run_folder.write_json(folder / "config.json", config | {"finished": True} | about)
    hashed = data_hash(colours, tutorial_pairs(colours, 500))
    run_folder.write_json(folder / "env.json", {"data_hash": hashed})
    return arrays


def test_a_sweep_is_read_member_by_member(tmp_path):
    arrays = write_sweep(tmp_path / "sweep")
    run = page.read_run(tmp_path / "sweep")
    assert list(run.choices) == ["program", "dim", "seed"]
    assert len(run.trainings) == 2 * 3 * 3
    for one in run.trainings:
        program, dim, seed = one.choice
        assert one.dim == dim
        np.testing.assert_array_equal(one.frames[-1], arrays[f"{program}_d{dim}"][seed])
        has_snapshots = dim == 1 and seed < 2
        # The second member diverged in epoch 4, so its last state is that of epoch 3.
        expected = {0: [0, 1, 3, 6], 1: [0, 1, 3]}[seed] if has_snapshots else [6]
        assert one.epoch.tolist() == expected
    start = run.trainings[run.start]
    assert len(start.frames) > 1
    assert "not recovered" not in start.facts


def test_a_sweep_of_one_program_with_an_axis(tmp_path):
    write_sweep(tmp_path / "sweep", ["free"], {"beta1": [0.5, 0.9]}, snapshots=0)
    run = page.read_run(tmp_path / "sweep")
    assert list(run.choices) == ["dim", "beta1", "seed"]
    assert [one.choice for one in run.trainings[:3]] == [(1, 0.5, 0), (1, 0.9, 0), (1, 0.5, 1)]
    assert {len(one.frames) for one in run.trainings} == {1}
    found = content(page.page(run))
    assert found["choices"][1] == {"name": "beta1", "label": "beta1", "values": [0.5, 0.9]}


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda folder: (folder / "config.json").unlink(), "holds no run"),
        (lambda folder: (folder / "config.json").write_text("{"), "is damaged"),
        (lambda folder: (folder / "config.json").write_text("[]"), "is a run of None"),
        (lambda folder: (folder / "runs.csv").unlink(), "runs.csv is missing"),
        (lambda folder: (folder / "embeddings.npz").write_bytes(b"x"), "is damaged"),
        (lambda folder: (folder / "runs.csv").write_text("a,b\n1,2\n"), "is damaged"),
        (lambda folder: (folder / "env.json").write_text("{}"), "is damaged"),
        (lambda folder: (folder / "env.json").write_text('{"data_hash": "0"}'), "colours differ"),
    ],
)
def test_a_wrong_folder_is_refused_with_its_mend(tmp_path, change, part):
    write_sweep(tmp_path / "sweep")
    change(tmp_path / "sweep")
    with pytest.raises(InputError, match=part) as caught:
        page.read_run(tmp_path / "sweep")
    assert "give" in str(caught.value) or "again" in str(caught.value)


def test_an_unfinished_sweep_and_one_of_lost_colours_are_refused(tmp_path):
    write_sweep(tmp_path / "a", finished=False)
    with pytest.raises(InputError, match="--resume"):
        page.read_run(tmp_path / "a")
    write_sweep(tmp_path / "b", colours="mine.csv")
    with pytest.raises(InputError, match=r"mine\.csv.*give --colours the file"):
        page.read_run(tmp_path / "b")
    assert len(page.read_run(tmp_path / "b", "css4").colours) == 148
    run_folder.write_colours(tmp_path / "b", load_colours("css4"))
    assert page.read_run(tmp_path / "b").colours.source == "colours.csv"


# --------------------------------------------------------------------------------------------------
# To files


def test_a_page_replaces_a_page_and_nothing_else(tmp_path):
    out = tmp_path / "new" / "page.html"
    page.write_page(out, page.page(small_run(["a", "b"])))
    newer = page.page(small_run(["c", "d"]))
    page.write_page(out, newer)
    assert out.read_text(encoding="utf-8") == newer
    assert [one.name for one in out.parent.iterdir()] == ["page.html"]
    thesis = tmp_path / "thesis.html"
    thesis.write_text("<!doctype html><title>mine</title>")
    with pytest.raises(InputError, match="something else"):
        page.write_page(thesis, newer)
    assert "mine" in thesis.read_text()
    with pytest.raises(InputError, match="is a folder"):
        page.write_page(tmp_path, newer)
    with pytest.raises(InputError, match=r"ends in \.html"):
        page.write_page(tmp_path / "notes.txt", newer)


def test_the_program(tmp_path):
    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "experiments.page", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    write_sweep(tmp_path / "sweep")
    out = tmp_path / "page.html"
    done = run(f"--run={tmp_path / 'sweep'}", f"--out={out}")
    assert (done.returncode, done.stderr) == (0, "")
    assert "page.html (" in done.stdout
    assert len(content(out.read_text(encoding="utf-8"))["trainings"]) == 18
    before = out.read_bytes()
    for arguments in ([f"--run={tmp_path}"], ["--run=results/benchmark"], ["--colours=no.csv"]):
        done = run(*arguments, f"--out={out}")
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
    assert out.read_bytes() == before


def test_making_a_page_loads_no_jax():
    program = "import sys, colour_embed.viz.page; print('jax' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
