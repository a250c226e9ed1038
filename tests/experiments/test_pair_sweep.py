"""A sweep of own pairs: its files, the selected dimension, resuming, and members alone."""

import itertools
import json
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from versions import same_bits_in_company

import colour_embed as ce
from colour_embed.viz import page
from experiments import _pair_sweep_figures, _train_figures

GRID = ["--dims=1,2,3", "--seeds=0:4", "--splits=2", "--max_steps=20000"]


def _command(out, pairs, *arguments):
    return [
        *(sys.executable, "-m", "experiments.sweep"),
        *(f"--out={out}", f"--pairs={pairs}", *arguments),
    ]


def _run(out, pairs, *arguments, status=0):
    command = _command(out, pairs, *arguments)
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == status, done.stderr
    return done


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """A plane of 30 items, and the pairs of 0 and 1 that its distances make likely."""
    random = np.random.default_rng(0)
    points = random.uniform(-1, 1, (30, 2))
    first, second = random.integers(0, 30, (2, 3000))
    distance = ((points[first] - points[second]) ** 2).sum(axis=1)
    label = random.uniform(size=3000) < 1 / (1 + np.exp(4 * distance - 2))
    path = tmp_path_factory.mktemp("pairs") / "pairs.csv"
    table = pd.DataFrame({"a": first, "b": second, "label": label.astype(int)})
    table[first != second].to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def finished(pairs, tmp_path_factory):
    out = tmp_path_factory.mktemp("sweep") / "out"
    return out, _run(out, pairs, *GRID)


def test_the_run_folder(finished):
    out, _ = finished
    files = {path.name for path in out.iterdir()}
    figures = {
        f"{name}.{kind}" for name in ("losses", "quality", "members") for kind in ("png", "pdf")
    }
    tables = {"config.json", "env.json", "runs.csv", "summary.csv", "curves.npz", "embeddings.npz"}
    assert files == {*figures, *tables, "items.npz", "embedding.csv", "checkpoint"}
    assert "/" not in (out / "config.json").read_text()
    runs = pd.read_csv(out / "runs.csv")
    assert len(runs) == 3 * 3 * 4  # two splits and all pairs
    assert runs["split"].tolist() == ["0"] * 12 + ["1"] * 12 + ["all"] * 12
    assert {"seed", "dim", "kernel", "heldout_loss", "auc", "steps", "stopped"} <= set(runs.columns)
    assert not {"spearman", "excess_kl", "recovered"} & set(runs.columns)  # they need a truth
    assert runs[runs["split"] == "all"]["heldout_loss"].isna().all()


def test_the_plane_is_selected(finished):
    out, done = finished
    summary = pd.read_csv(out / "summary.csv")
    assert summary["dim"][summary["selected"]].tolist() == [2]
    assert "negative: dim 2: held-out loss" in done.stdout
    assert summary["singular"].tolist() == [False, False, True]
    assert summary["parameters"].tolist() == [30 * d - d * (d + 1) // 2 + 1 for d in (1, 2, 3)]
    rows = json.loads((out / "config.json").read_text())["rows"]
    expected = 2 * rows * summary["all_pairs_loss"] + 2 * summary["parameters"]
    np.testing.assert_allclose(summary["aic"], expected, rtol=1e-6)
    embedding = pd.read_csv(out / "embedding.csv")
    assert embedding.shape == (30, 3)
    assert ce.load_sweep(out).embedding.shape == (36, 30, 3)


def test_figures_are_redrawn_to_the_byte(finished, tmp_path):
    drawn = _pair_sweep_figures.draw(finished[0], tmp_path)
    assert len(drawn) == 6
    for path in drawn:
        assert path.read_bytes() == (finished[0] / path.name).read_bytes()


def test_a_page_of_a_sweep_of_own_pairs_is_refused_with_what_has_one(finished):
    with pytest.raises(ce.InputError, match=r"sweep of own pairs.*give experiments\.train --page"):
        page.read_run(finished[0])


@same_bits_in_company
@pytest.mark.parametrize("moment", ["a save", "members that have stopped"])
def test_killed_and_resumed_is_the_same_file(finished, pairs, tmp_path, moment):
    out = tmp_path / "out"
    command = _command(out, pairs, *GRID, "--checkpoint_every=1", "--devices=1")
    pattern = "state_*.npz" if moment == "a save" else "finished_*.npz"
    with subprocess.Popen(command, stdout=-3, stderr=-3) as process:
        while not list((out / "checkpoint").rglob(pattern)):
            assert process.poll() is None
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
    assert not (out / "runs.csv").exists()
    _run(out, pairs, *GRID, "--resume")
    for name in ("runs.csv", "summary.csv", "embedding.csv"):
        assert (out / name).read_bytes() == (finished[0] / name).read_bytes()


@same_bits_in_company
def test_a_member_alone_has_the_same_bits(finished, pairs, tmp_path):
    out = tmp_path / "out"
    _run(out, pairs, *GRID, "--dims=2", "--seeds=3", "--devices=1")
    alone, all_of_them = (pd.read_csv(folder / "runs.csv") for folder in (out, finished[0]))
    same = all_of_them[(all_of_them["dim"] == 2) & (all_of_them["seed"] == 3)]
    assert alone.to_csv(index=False) == same.to_csv(index=False)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--epochs=5"], "--epochs is not of a sweep of own pairs"),
        (["--colours=css4"], "--colours is not of a sweep of own pairs"),
        (["--animate", "--snapshots=2"], "--animate shows colours"),
        (["--page"], "Unknown command line flag 'page'"),
        (["--splits=0"], "splits is 0"),
        (["--held_out=1"], "share is 1.0"),
        (["--label=no"], "no"),
    ],
)
def test_bad_usage_is_one_line_and_status_2(pairs, tmp_path, arguments, part):
    done = _run(tmp_path / "out", pairs, *arguments, status=2)
    assert part in done.stderr
    assert done.stderr.count("error: ") == 1
    assert list(tmp_path.iterdir()) == []


def test_heads_and_axes_have_rows_of_their_own(pairs, tmp_path):
    out = tmp_path / "out"
    small = ["--dims=2", "--seeds=0:2", "--splits=1", "--max_steps=200"]
    done = _run(out, pairs, *small, "--heads=negative,dot", "--sweep=learning_rate=0.01,0.03")
    summary = pd.read_csv(out / "summary.csv")
    assert len(summary) == 4
    assert done.stdout.count("held-out loss 0.") == 4
    assert (out / "quality_dot_learning_rate_0.03.png").exists()
    assert json.loads((out / "config.json").read_text())["axes"] == {"learning_rate": [0.01, 0.03]}


def test_dim_auto_says_what_it_chose(pairs, tmp_path):
    command = [sys.executable, "-m", "experiments.train", f"--pairs={pairs}", "--dim=auto"]
    arguments = [f"--out={tmp_path / 'out'}", "--max_steps=800", "--restarts=2"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "note: dim 2: held-out loss" in done.stdout
    assert json.loads((tmp_path / "out" / "config.json").read_text())["chosen"].startswith("dim 2:")
    assert pd.read_csv(tmp_path / "out" / "embedding.csv").shape == (30, 3)


@pytest.mark.parametrize("dim", [2, 4])
def test_a_bootstrap_adds_covariances_and_ellipses(pairs, tmp_path, dim):
    command = [sys.executable, "-m", "experiments.train", f"--pairs={pairs}", "--bootstrap=7"]
    out = tmp_path / "out"
    arguments = [f"--out={out}", "--max_steps=300", "--restarts=2", f"--dim={dim}", "--page"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    places = [f"x{axis}" for axis in range(dim)]
    pairs_of = itertools.combinations_with_replacement(places, 2)
    table = pd.read_csv(out / "embedding.csv")
    assert table.columns.tolist() == ["item", *places, *(f"cov_{a}_{b}" for a, b in pairs_of)]
    assert (table[[f"cov_{one}_{one}" for one in places]] > 0).all(axis=None)
    ellipses = re.search(r'"ellipses":{"halves".*?"draws"', (out / "page.html").read_text())
    assert ellipses is not None
    for path in _train_figures.draw_map(out, tmp_path):
        assert path.read_bytes() == (out / path.name).read_bytes()
