"""The tutorial's program end to end, at a small size, in its own process."""

import csv
import json
import os
import pty
import re
import signal
import subprocess
import sys

import av
import numpy as np
import pytest

from colour_embed.engine.schedule import tutorial_frames

FIGURES = ["main", "embedding_3d", "losses", "moments_2d", "moments_3d"]
FILES = [
    *("config.json", "env.json", "metrics.json"),
    *(f"{figure}.{suffix}" for figure in FIGURES for suffix in ("png", "pdf")),
    *("embedding_2d.csv", "embedding_3d.csv", "snapshots_2d.npz", "snapshots_3d.npz"),
    *("embed_2d.mp4", "embed_3d.mp4", "embed_2d.png", "embed_3d.png"),
]
SMALL = ["--epochs=12", "--num_pairs=6000"]


def _command(out, *arguments):
    return [sys.executable, "-m", "experiments.tutorial", f"--out={out}", *SMALL, *arguments]


def _run(out, *arguments):
    return subprocess.run(
        _command(out, *arguments), capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("tutorial") / "out"
    done = _run(out)
    assert done.returncode == 0, done.stderr
    return out, done


def test_every_file_is_there(finished):
    assert sorted(path.name for path in finished[0].iterdir()) == sorted(FILES)


def test_metrics_hold_the_contract(finished):
    metrics = json.loads((finished[0] / "metrics.json").read_text())
    assert list(metrics) == ["2d", "3d"]
    for name, dim in (("2d", 2), ("3d", 3)):
        entry = metrics[name]
        keys = {"seed", "dim", "epochs", "loss", "mse", "kernel", "bias"}
        assert keys | {"spearman", "procrustes", "recovered"} <= set(entry)
        assert (entry["dim"], entry["epochs"]) == (dim, 12)
        assert 0 < entry["loss"] < 0.7


def test_the_embedding_has_646_named_rows(finished, monkeypatch):
    for dim in (2, 3):
        with (finished[0] / f"embedding_{dim}d.csv").open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
        assert header == ["name", *(f"x{i}" for i in range(dim))]
        assert len(rows) == 646
        assert rows[1][0] == "Grey, Silver"


def test_snapshots_begin_before_the_first_step(finished):
    with np.load(finished[0] / "snapshots_2d.npz") as arrays:
        assert arrays["epoch"].tolist() == [0, *tutorial_frames(12)]
        assert arrays["embedding"].shape == (len(arrays["epoch"]), 646, 2)
        assert np.abs(arrays["embedding"][0]).max() <= 0.05
        assert arrays["loss"].shape == (12,)


@pytest.mark.parametrize("name", ["2d", "3d"])
def test_videos_decode(finished, name):
    with av.open(finished[0] / f"embed_{name}.mp4") as container:
        stream = container.streams.video[0]
        assert (stream.average_rate, stream.pix_fmt) == (30, "yuv420p")
        assert sum(1 for _ in container.decode(stream)) == len(tutorial_frames(12))


def test_no_file_names_a_path_of_the_machine(finished):
    for name in ("config.json", "env.json", "metrics.json"):
        assert "/" not in (finished[0] / name).read_text()


def test_the_same_command_gives_the_same_bits(finished, tmp_path):
    done = _run(tmp_path / "again")
    assert done.returncode == 0, done.stderr
    for name in FILES:
        if name not in ("env.json", "snapshots_2d.npz", "snapshots_3d.npz"):
            assert (tmp_path / "again" / name).read_bytes() == (finished[0] / name).read_bytes(), (
                name
            )


def test_the_sign_trap_is_reported_with_the_way_out(tmp_path):
    done = _run(tmp_path / "out", "--seed_2d=7", "--seed_3d=1")
    assert done.returncode == 0
    for name in ("2d", "3d"):
        assert f"{name}: sign trap" in done.stderr
        assert f"--seed_{name}" in done.stderr
    assert "--head=negative" in done.stderr


@pytest.mark.parametrize(("head", "sign"), [("negative", -1), ("matched", 1)])
def test_a_weight_of_one_sign_needs_no_luck(tmp_path, head, sign):
    done = _run(tmp_path / "out", "--seed_2d=7", "--seed_3d=1", f"--head={head}")
    assert "sign trap" not in done.stderr
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert all(sign * entry["kernel"] > 0 for entry in metrics.values())


def test_nan_names_its_epoch_and_keeps_what_was_done(tmp_path):
    done = _run(tmp_path / "out", "--learning_rate=1e38")
    assert done.returncode == 1
    assert "became NaN or infinite in epoch" in done.stderr
    assert "--learning_rate" in done.stderr
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["2d"]["status"] == "diverged"


def _interrupted(out, moment, *arguments):
    """Run the program on a terminal, interrupt it when that shows `moment`, return what it shows.

    On a terminal of its own, where the progress bar shows what has begun.
    """
    terminal, inside = pty.openpty()
    with subprocess.Popen(_command(out, *arguments), stderr=inside) as process:
        os.close(inside)
        shown = b""
        while moment not in shown:
            shown += os.read(terminal, 4096)
        process.send_signal(signal.SIGINT)
        while b"saved" not in shown:
            shown += os.read(terminal, 4096)
    os.close(terminal)
    assert process.returncode == 1
    return shown


def test_ctrl_c_saves_what_is_done(tmp_path):
    shown = _interrupted(tmp_path / "out", b"loss", "--epochs=100000")
    assert re.search(rb"train 2d.*/100000.*loss 0\.\d{4}", shown)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert list(metrics) == ["2d"]
    assert metrics["2d"]["status"] == "interrupted"
    assert 0 < metrics["2d"]["epochs"] < 100_000


def test_ctrl_c_in_a_video_keeps_what_is_finished(tmp_path):
    out = tmp_path / "out"
    _interrupted(out, b"animate 3d", "--epochs=60", "--head=negative")
    written = {path.name for path in out.iterdir()}
    assert written >= set(FILES) - {"embed_3d.mp4", "embed_3d.png"}
    assert written <= set(FILES)
