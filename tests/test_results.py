"""The run folder: replaced whole, never half-written, never over somebody else's files."""

import csv
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from colour_embed import results
from colour_embed.config import InputError


def _write(folder, experiment="tutorial", **files):
    with results.replacing(folder, experiment) as partial:
        results.write_json(partial / "config.json", {"experiment": experiment})
        for name, text in files.items():
            (partial / name).write_text(text)


def _listing(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_is_made_with_its_parents_and_the_users_permissions(tmp_path):
    _write(tmp_path / "a" / "b", note="1")
    assert _listing(tmp_path / "a" / "b") == ["config.json", "note"]
    assert _listing(tmp_path / "a") == ["b"]
    umask = os.umask(0)
    os.umask(umask)
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o777 & ~umask


def test_the_same_experiment_replaces_its_folder(tmp_path):
    _write(tmp_path / "out", old="1")
    _write(tmp_path / "out", new="2")
    assert _listing(tmp_path / "out") == ["config.json", "new"]
    assert _listing(tmp_path) == ["out"]


def test_replacing_works_where_folders_cannot_be_exchanged(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "_exchange", lambda first, second: False)
    _write(tmp_path / "out", old="1")
    _write(tmp_path / "out", new="2")
    assert _listing(tmp_path / "out") == ["config.json", "new"]
    assert _listing(tmp_path) == ["out"]


@pytest.mark.parametrize("owner", ["sweep", None])
def test_another_folder_is_refused_and_kept(tmp_path, owner):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "thesis.tex").write_text("precious")
    if owner:
        (folder / "config.json").write_text(json.dumps({"experiment": owner}))
    with pytest.raises(InputError, match=r"out: .*give --out a new or empty folder"):
        _write(folder)
    assert (folder / "thesis.tex").read_text() == "precious"


def test_an_empty_folder_is_taken_and_a_file_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    _write(tmp_path / "empty", note="1")
    assert "note" in _listing(tmp_path / "empty")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is a file"):
        _write(tmp_path / "file")


def test_a_failure_leaves_the_old_folder_and_nothing_else(tmp_path):
    _write(tmp_path / "out", old="1")

    def fail():
        with results.replacing(tmp_path / "out", "tutorial") as partial:
            (partial / "half").write_text("...")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert _listing(tmp_path / "out") == ["config.json", "old"]
    assert _listing(tmp_path) == ["out"]


def test_a_killed_process_leaves_the_old_folder(tmp_path):
    _write(tmp_path / "out", old="1")
    program = (
        "import pathlib, time; from colour_embed import results\n"
        f"with results.replacing(pathlib.Path({str(tmp_path / 'out')!r}), 'tutorial') as partial:\n"
        "    (partial / 'half').write_text('...'); print('writing', flush=True); time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    with process:
        assert process.stdout.readline() == b"writing\n"
        process.send_signal(signal.SIGKILL)
    assert _listing(tmp_path / "out") == ["config.json", "old"]
    # What the killed process left is cleared by the next run, whose folder is whole again.
    _write(tmp_path / "out", new="2")
    assert _listing(tmp_path) == ["out"]


def test_a_running_neighbours_partial_folder_is_left_alone(tmp_path):
    with results.replacing(tmp_path / "out", "tutorial") as partial:
        _write(tmp_path / "out", other="1")
        assert partial.is_dir()
        results.write_json(partial / "config.json", {"experiment": "tutorial"})
    assert _listing(tmp_path / "out") == ["config.json"]


def test_json_has_no_nan_and_embeddings_read_back(tmp_path):
    results.write_json(tmp_path / "a.json", {"a": float("nan"), "b": (np.float32(0.5), np.True_)})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": None, "b": [0.5, True]}
    embedding = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)
    names = ["Grey, Silver", 'quo"te', "ünï"]
    results.write_embedding(tmp_path / "e.csv", names, embedding)
    with (tmp_path / "e.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == ["name", "x0", "x1"]
    assert [row[0] for row in rows] == names
    back = np.array([row[1:] for row in rows], np.float32)
    np.testing.assert_array_equal(back, embedding)


def test_snapshots_read_back_in_half_precision(tmp_path):
    embedding = np.random.default_rng(0).normal(size=(2, 3, 2)).astype(np.float32)
    results.write_snapshots(tmp_path / "s.npz", np.array([0, 5]), embedding, np.arange(5.0))
    with np.load(tmp_path / "s.npz", allow_pickle=False) as arrays:
        assert sorted(arrays) == ["embedding", "epoch", "loss"]
        assert arrays["epoch"].tolist() == [0, 5]
        np.testing.assert_allclose(arrays["embedding"], embedding, rtol=1e-3)
        assert arrays["loss"].shape == (5,)


def test_the_environment_names_versions_and_no_path():
    found = results.environment("cpu", "abc")
    assert found["packages"]["jax"]
    assert found["data_hash"] == "abc"
    assert "/" not in json.dumps(found)
