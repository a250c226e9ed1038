"""The run folder: replaced whole, never half-written, never over somebody else's files."""

import csv
import json

import numpy as np
import pytest

from colour_embed.config import InputError
from colour_embed.data import Colours
from colour_embed.io import machine, run_folder


def test_json_has_no_nan_and_embeddings_read_back(tmp_path):
    run_folder.write_json(
        tmp_path / "a.json", {"a": float("nan"), "b": (np.float32(0.5), np.True_)}
    )
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": None, "b": [0.5, True]}
    embedding = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)
    names = ["Grey, Silver", 'quo"te', "ünï"]
    run_folder.write_embedding(tmp_path / "e.csv", names, embedding)
    with (tmp_path / "e.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == ["name", "x0", "x1"]
    assert [row[0] for row in rows] == names
    back = run_folder.read_embedding(tmp_path / "e.csv", names)
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, embedding)
    with pytest.raises(InputError, match=r"e\.csv: is damaged \(its names are not those"):
        run_folder.read_embedding(tmp_path / "e.csv", names[::-1])


def test_snapshots_read_back_in_half_precision(tmp_path):
    embedding = np.random.default_rng(0).normal(size=(2, 3, 2)).astype(np.float32)
    run_folder.write_snapshots(tmp_path / "s.npz", np.array([0, 5]), embedding, np.arange(5.0))
    with np.load(tmp_path / "s.npz", allow_pickle=False) as arrays:
        assert sorted(arrays) == ["embedding", "epoch", "loss"]
        assert arrays["epoch"].tolist() == [0, 5]
        np.testing.assert_allclose(arrays["embedding"], embedding, rtol=1e-3)
        assert arrays["loss"].shape == (5,)
    found = run_folder.read_snapshots(tmp_path / "s.npz")
    assert (found.epoch.tolist(), found.embedding.dtype) == ([0, 5], np.float16)
    assert found.loss.tolist() == [0, 1, 2, 3, 4]


def test_a_users_colours_read_back_and_the_built_in_ones_by_name(tmp_path):
    run_folder.write_json(tmp_path / "config.json", {"colours": "mine.csv"})
    with pytest.raises(InputError, match=r"colours\.csv, which holds mine\.csv, is missing"):
        run_folder.read_colours(tmp_path)
    rgb = np.array([[0, 0, 0], [255, 128, 1], [7, 77, 177]]) / 255
    written = Colours(["NA", 'a, "b"', " ü"], rgb, "mine.csv")
    run_folder.write_colours(tmp_path, written)
    found = run_folder.read_colours(tmp_path)
    assert found.names == written.names
    np.testing.assert_array_equal(found.rgb, rgb)
    (tmp_path / "colours.csv").unlink()
    run_folder.write_json(tmp_path / "config.json", {"colours": "css4"})
    assert len(run_folder.read_colours(tmp_path)) == 148


def _cut_short(path):
    path.write_bytes(path.read_bytes()[:100])


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda path: path.unlink(), "s.npz is missing"),
        (lambda path: path.write_bytes(b""), "s.npz: is damaged"),
        (_cut_short, "s.npz: is damaged"),
        (lambda path: np.savez(path, epoch=0), "s.npz: is damaged .*embedding"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_mend(tmp_path, change, part):
    path = tmp_path / "s.npz"
    run_folder.write_snapshots(path, np.array([0]), np.zeros((1, 3, 2)), np.ones(1))
    change(path)
    with pytest.raises(InputError, match=rf"{part}.*; make the run again$") as caught:
        run_folder.read_snapshots(path)
    assert "\n" not in str(caught.value)


def test_json_that_lacks_a_key_is_named(tmp_path):
    path = tmp_path / "config.json"
    run_folder.write_json(path, {"a": 1})
    assert run_folder.read_json(path, ["a"]) == {"a": 1}
    with pytest.raises(InputError, match=r"config\.json: is damaged \(it lacks 'b'\)"):
        run_folder.read_json(path, ["a", "b"])
    path.write_text("7")
    with pytest.raises(InputError, match=r"config\.json: is damaged"):
        run_folder.read_json(path, ["a"])


def test_the_environment_names_versions_and_no_path():
    found = machine.environment("cpu", "abc")
    assert found["packages"]["jax"]
    assert found["data_hash"] == "abc"
    assert "/" not in json.dumps(found)
