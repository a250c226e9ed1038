"""All figures are redrawn from what a run wrote: to the byte, without JAX, or with a clear no."""

import importlib.metadata
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from colour_embed.io import run_folder
from experiments import _sweep_figures, _tutorial_figures

ROOT = Path(__file__).parents[2]
STILLS = {"embed_2d.png", "embed_3d.png", "grid.png"}
"""What a video begins and ends with is made with the video."""

FIGURES = {".png", ".pdf"}
TUTORIAL = ["--epochs=3", "--num_pairs=2000"]
SWEEP = ["--seeds=0:2", "--dims=1,2", "--heads=free,negative", "--epochs=30", "--num_pairs=6000"]


def _run(program, *arguments, status=0, options=()):
    command = [sys.executable, *options, "-m", f"experiments.{program}", *map(str, arguments)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == status, done.stderr
    return done


def _figures(folder):
    """The figures of a run folder and the folders in it: name -> bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.suffix in FIGURES and path.name not in STILLS
    }


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with a tutorial and a sweep, of colours of its own, in which some recover."""
    folder = tmp_path_factory.mktemp("runs")
    digits = np.random.default_rng(0).integers(0, 256, (80, 3)).astype(np.uint8)
    rows = [f'"colour, {place}",{bytes(rgb).hex()}' for place, rgb in enumerate(digits)]
    table = folder / "own.csv"
    table.write_text("\n".join(["name,hex", "NA,ff8000", *rows]), encoding="utf-8")
    _run("tutorial", *TUTORIAL, f"--out={folder / 'results' / 'tutorial'}")
    fast = ["--learning_rate=0.02", f"--colours={table}"]
    _run("sweep", *SWEEP, *fast, f"--out={folder / 'results' / 'my_sweep'}")
    table.unlink()  # what was trained on is the run's own from here on
    return folder / "results"


@pytest.fixture(scope="module")
def redrawn(runs, tmp_path_factory):
    out = tmp_path_factory.mktemp("redrawn") / "figures"
    return out, _run("figures", f"--results={runs}", f"--out={out}")


def test_the_redraw_equals_the_runs_own_figures(runs, redrawn):
    stems = {
        "tutorial": ["main", "embedding_3d", "losses", "moments_2d", "moments_3d"],
        "my_sweep": [
            f"{stem}_{head}"
            for stem in ("losses", "quality", "recovery", "members")
            for head in ("free", "negative")
        ],
    }
    out, done = redrawn
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [*stems, "config.json", "env.json"]
    )
    for name, expected in stems.items():
        found = _figures(out / name)
        assert sorted(found) == sorted(f"{stem}{end}" for stem in expected for end in FIGURES)
        assert found == _figures(runs / name)
        assert f"{name}: {', '.join(sorted(found))}\n" in done.stdout


def test_the_folder_says_what_it_is_and_no_path(redrawn):
    about = json.loads((redrawn[0] / "config.json").read_text())
    assert about["experiment"] == "figures"
    assert "main.png" in about["drawn"]["tutorial"]
    for name in ("config.json", "env.json"):
        assert "/" not in (redrawn[0] / name).read_text()
    assert json.loads((redrawn[0] / "env.json").read_text())["data_hash"]


def test_another_array_is_another_figure(runs, tmp_path):
    folder = tmp_path / "tutorial"
    shutil.copytree(runs / "tutorial", folder)
    names = run_folder.read_colours(folder).names
    embedding = run_folder.read_embedding(folder / "embedding_2d.csv", names)
    embedding[0] += 0.5
    run_folder.write_embedding(folder / "embedding_2d.csv", names, embedding)
    before, after = _figures(runs / "tutorial"), {}
    for path in _tutorial_figures.draw(folder, tmp_path / "out"):
        after[path.name] = path.read_bytes()
    assert {name for name in before if before[name] != after[name]} == {"main.png", "main.pdf"}


def test_only_some_are_redrawn_where_more_stood(runs, redrawn, tmp_path):
    out = tmp_path / "figures"
    shutil.copytree(redrawn[0], out)
    done = _run("figures", f"--results={runs}", f"--out={out}", "--only=tutorial")
    assert sorted(path.name for path in out.iterdir()) == ["config.json", "env.json", "tutorial"]
    assert "my_sweep" not in done.stdout


def test_runs_in_a_folder_of_runs_are_found_and_those_within_a_run_are_not(runs, tmp_path):
    results = tmp_path / "results"
    for place in ("near", "group/inner", "near/within", "a/b/too_deep"):
        shutil.copytree(runs / "tutorial", results / place)
    (results / "group" / "notes").mkdir()
    for folder in (results, tmp_path / "results" / "group"):
        (folder / "notes.txt").write_text("no run")
    done = _run("figures", f"--results={results}", f"--out={tmp_path / 'out'}")
    drawn = json.loads((tmp_path / "out" / "config.json").read_text())["drawn"]
    assert list(drawn) == ["group/inner", "near"]
    for name in drawn:
        assert f"{name}: embedding_3d.pdf" in done.stdout
        assert _figures(tmp_path / "out" / name) == _figures(runs / "tutorial")
    only = _run("figures", f"--results={results}", f"--out={tmp_path / 'o'}", "--only=group/inner")
    assert "near" not in only.stdout
    assert _figures(tmp_path / "o" / "group" / "inner") == _figures(runs / "tutorial")


def test_members_are_left_out_where_the_file_of_snapshots_is_away(runs, redrawn, tmp_path):
    folder = tmp_path / "results" / "grid"
    shutil.copytree(runs / "my_sweep", folder)
    (folder / "embeddings.npz").unlink()
    about = json.loads((folder / "config.json").read_text())
    run_folder.write_json(folder / "config.json", {**about, "snapshots": 4})
    done = _run("figures", f"--results={folder.parent}", f"--out={tmp_path / 'out'}")
    assert done.stdout.count("members left out: embeddings.npz") == 1
    expected = {
        name: figure
        for name, figure in _figures(redrawn[0] / "my_sweep").items()
        if not name.startswith("members")
    }
    assert _figures(tmp_path / "out" / "grid") == expected


def test_what_half_precision_cannot_hold_is_no_point(runs, tmp_path):
    folder = tmp_path / "tutorial"
    shutil.copytree(runs / "tutorial", folder)
    epoch, snapshots, loss = run_folder.read_snapshots(folder / "snapshots_2d.npz")
    snapshots[-1, 5] = np.inf
    run_folder.write_snapshots(folder / "snapshots_2d.npz", epoch, snapshots, loss)
    drawn = {path.name: path for path in _tutorial_figures.draw_training(folder, "2d", tmp_path)}
    before = _figures(runs / "tutorial")
    assert drawn["main.png"].read_bytes() == before["main.png"]
    assert drawn["moments_2d.png"].read_bytes() != before["moments_2d.png"]

    folder = tmp_path / "sweep"
    shutil.copytree(runs / "my_sweep", folder)
    with np.load(folder / "embeddings.npz") as arrays:
        embeddings = dict(arrays)
    embeddings["free_d2"][0, 5] = np.inf
    np.savez_compressed(folder / "embeddings.npz", **embeddings)
    before = _figures(runs / "my_sweep")
    for path in _sweep_figures.draw(folder, tmp_path / "out"):
        changed = path.stem == "members_free"
        assert (path.read_bytes() != before[path.name]) == changed, path.name


# --------------------------------------------------------------------------------------------------
# What is committed


def _other_versions():
    """Which packages that draw are not those that the committed figures were drawn with."""
    pinned = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line and not line.startswith("#")
    )
    found = {name: importlib.metadata.version(name) for name in ("matplotlib", "numpy", "pillow")}
    return [
        f"{name} is {version} and not {pinned[name]}"
        for name, version in found.items()
        if version != pinned[name]
    ]


def test_the_committed_figures_are_redrawn_without_jax(tmp_path):
    out = tmp_path / "figures"
    done = _run(
        "figures", f"--results={ROOT / 'results'}", f"--out={out}", options=["-X", "importtime"]
    )
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert {"matplotlib.figure", "experiments._sweep_figures"} <= imported
    assert not {"jax", "jaxlib", "flax", "optax", "av"} & imported
    drawn = json.loads((out / "config.json").read_text())["drawn"]
    assert {"tutorial", "sweep", "grid", "benchmark"} <= set(drawn)
    assert {"dims/les_miserables", "dims/words", "examples"} <= set(drawn)
    assert "examples/words" not in drawn  # examples draws it, as a map alone
    for name, files in drawn.items():
        left_out = {path for path in _figures(ROOT / "results" / name) if path not in files}
        posters = {"les_miserables/training.png", "words/training.png"}  # of videos
        allowed = {"grid": {"members.png", "members.pdf"}, "examples": posters}
        assert left_out <= allowed.get(name, set())
    if _other_versions():
        pytest.skip(f"drawn, but not compared to the byte: {', '.join(_other_versions())}")
    for name, files in drawn.items():
        committed = _figures(ROOT / "results" / name)
        differ = [file for file in files if committed[file] != (out / name / file).read_bytes()]
        assert not differ, f"results/{name}: redraw and copy {differ}"


# --------------------------------------------------------------------------------------------------
# Bad input


def _drop_array(path, name):
    with np.load(path) as arrays:
        kept = {key: arrays[key] for key in arrays if key != name}
    np.savez_compressed(path, **kept)


def _drop_key(path, name):
    value = json.loads(path.read_text())
    del value[name]
    run_folder.write_json(path, value)


def _unfinish(path):
    run_folder.write_json(path, {**json.loads(path.read_text()), "finished": False})


def _rename_first(path):
    header, _, *rest = path.read_text().splitlines()
    path.write_text("\n".join([header, "Blurple,0,0", *rest]))


@pytest.mark.parametrize(
    ("file", "change", "part"),
    [
        ("tutorial/config.json", lambda path: path.write_text("{"), "is damaged"),
        ("tutorial/metrics.json", Path.unlink, "is missing"),
        ("tutorial/metrics.json", lambda path: path.write_text("[1]"), "is damaged"),
        ("tutorial/metrics.json", lambda path: path.write_text('{"2d": {"dim": 2}}'), "seed"),
        ("tutorial/embedding_2d.csv", Path.unlink, "is missing"),
        ("tutorial/embedding_2d.csv", _rename_first, "its names are not those"),
        ("tutorial/snapshots_2d.npz", lambda path: path.write_bytes(b"PK\3\4"), "is damaged"),
        ("tutorial/snapshots_2d.npz", lambda path: _drop_array(path, "epoch"), "epoch"),
        ("my_sweep/config.json", _unfinish, "--resume"),
        ("my_sweep/config.json", lambda path: _drop_key(path, "dims"), "dims"),
        ("my_sweep/colours.csv", Path.unlink, "own.csv"),
        ("my_sweep/runs.csv", lambda path: path.write_text(""), "is damaged"),
        ("my_sweep/summary.csv", Path.unlink, "is missing"),
        ("my_sweep/summary.csv", lambda path: path.write_text("dim,head\n1,free\n"), "selected"),
        ("my_sweep/curves.npz", lambda path: _drop_array(path, "negative_loss"), "negative_loss"),
        ("my_sweep/embeddings.npz", Path.unlink, "is missing"),
    ],
)
def test_a_bad_file_is_named_with_its_mend_and_nothing_is_written(
    runs, tmp_path, file, change, part
):
    folder = tmp_path / "results"
    name = Path(file).parent.name
    shutil.copytree(runs / name, folder / name)
    change(folder / file)
    done = _run("figures", f"--results={folder}", f"--out={tmp_path / 'out'}", status=2)
    assert done.stderr.startswith(f"error: {folder / name}")
    assert done.stderr.count("\n") == 1
    assert part in done.stderr
    assert "again" in done.stderr
    if part != "--resume":
        assert Path(file).name in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["results"]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--results=nowhere"], "nowhere: is no folder; give --results"),
        (["--results=tests"], "tests: holds no run folder"),
        (["--results={runs}", "--only=tutorial,weather"], "'weather'; give some of my_sweep"),
        (["--results={runs}", "--out={runs}/tutorial"], "give --out a new or empty folder"),
    ],
)
def test_bad_usage_is_one_line_and_status_2(runs, tmp_path, arguments, part):
    arguments = [argument.format(runs=runs) for argument in arguments]
    before = sorted(runs.rglob("*"))
    done = _run("figures", f"--out={tmp_path / 'out'}", *arguments, status=2)
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert part in done.stderr
    assert list(tmp_path.iterdir()) == []
    assert sorted(runs.rglob("*")) == before
