"""The sweep's program as its users run it: killed, resumed, refused, and in two processes."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import av
import numpy as np
import pandas as pd
import pytest

GRID = ["--seeds=0:6", "--dims=1,2,3", "--epochs=150", "--num_pairs=20000", "--checkpoint_every=1"]
COLUMNS = [
    *("seed", "dim", "kernel_init", "kernel", "bias", "train_loss", "train_mse", "heldout_loss"),
    *("excess_kl", "auc", "spearman", "procrustes", "trustworthiness", "continuity"),
    *("knn_overlap", "recovered", "diverged"),
]


def _command(out, *arguments):
    return [sys.executable, "-m", "experiments.sweep", f"--out={out}", *GRID, *arguments]


def _run(out, *arguments, status=0):
    done = subprocess.run(
        _command(out, *arguments), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == status, done.stderr
    return done


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("sweep") / "out"
    return out, _run(out)


def test_the_run_folder(finished):
    out, done = finished
    figures = [
        f"{name}.{suffix}"
        for name in ("losses", "quality", "recovery", "members")
        for suffix in ("pdf", "png")
    ]
    tables = [
        "checkpoint",
        "config.json",
        "env.json",
        "runs.csv",
        "summary.csv",
        "curves.npz",
        "embeddings.npz",
    ]
    assert sorted(path.name for path in out.iterdir()) == sorted([*figures, *tables])
    assert "18 runs in" in done.stdout
    assert "MB on each device" in done.stdout
    for name in ("config.json", "env.json"):
        assert "/" not in (out / name).read_text()


def test_the_tables(finished):
    out, _ = finished
    runs = pd.read_csv(out / "runs.csv")
    assert set(COLUMNS) <= set(runs.columns)
    assert len(runs) == 18
    assert runs["dim"].tolist() == [1] * 6 + [2] * 6 + [3] * 6
    summary = pd.read_csv(out / "summary.csv")
    assert summary["dim"].tolist() == [1, 2, 3]
    assert (summary["recovered_members"] + summary["failed_members"] == 6).all()
    by_hand = runs.groupby("dim")["recovered"].mean()
    np.testing.assert_allclose(summary["recovered_share"], by_hand)
    assert (summary["recovered_share_low"] <= summary["recovered_share"]).all()
    good = runs[(runs["dim"] == 3) & runs["recovered"]]["heldout_loss"]
    row = summary[summary["dim"] == 3].iloc[0]
    assert good.min() <= row["recovered_heldout_loss"] <= good.max()
    assert row["recovered_heldout_loss_low"] <= row["recovered_heldout_loss"]
    with np.load(out / "curves.npz") as curves:
        np.testing.assert_allclose(curves["free_loss"][:, -1], runs["train_loss"], rtol=1e-6)
    with np.load(out / "embeddings.npz") as arrays:
        assert arrays["free_d2"].shape == (6, 646, 2)


@pytest.mark.parametrize("moment", ["first save", "later save", "any time"])
def test_killed_and_resumed_is_the_same_file(finished, tmp_path, moment):
    out = tmp_path / "out"
    # One device and small batches, so that there is much to be killed in.
    with subprocess.Popen(
        _command(out, "--devices=1"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        state = out / "checkpoint" / "free"
        if moment == "first save":  # within the save: its partial file is there
            while not (state.exists() and any(state.iterdir())):
                assert process.poll() is None
                time.sleep(0.001)
        elif moment == "later save":
            while not list(state.glob("finished_*.npz")):
                assert process.poll() is None
                time.sleep(0.001)
        else:
            while not state.exists():
                assert process.poll() is None
                time.sleep(0.01)
            time.sleep(1.0)
        process.send_signal(signal.SIGKILL)
    assert not (out / "runs.csv").exists()
    _run(out, "--devices=1", "--resume")
    assert (out / "runs.csv").read_bytes() == (finished[0] / "runs.csv").read_bytes()
    with (
        np.load(out / "embeddings.npz") as found,
        np.load(finished[0] / "embeddings.npz") as expected,
    ):
        for name in expected:
            np.testing.assert_array_equal(found[name], expected[name])


def test_resume_without_a_checkpoint_starts_over(finished, tmp_path):
    _run(tmp_path / "out", "--resume")
    runs = [(folder / "runs.csv").read_bytes() for folder in (tmp_path / "out", finished[0])]
    assert runs[0] == runs[1]


def test_another_config_is_refused_with_the_difference(tmp_path):
    out = tmp_path / "out"
    with subprocess.Popen(
        _command(out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while not (out / "checkpoint" / "fingerprint.json").exists():
            time.sleep(0.01)
        time.sleep(0.5)
        # While the first run lives, a second one on its folder is refused.
        refused = _run(out, status=2)
        assert "another run" in refused.stderr
        assert refused.stderr.count("\n") == 1
        process.send_signal(signal.SIGKILL)
    # Results of other members are never taken over, forced or not.
    for arguments, said in (
        (["--learning_rate=0.01"], "learning_rate: 0.001 then, 0.01 now"),
        (["--seeds=6:12"], "holds seeds 0, 1, 2, 3, 4, 5, which this grid leaves out"),
        (["--dims=1,2"], "holds dims 3"),
    ):
        for force in ([], ["--force"]):
            assert said in _run(out, "--resume", *arguments, *force, status=2).stderr
    path = out / "checkpoint" / "fingerprint.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "jax": "0.1"}))
    assert "--force" in _run(out, "--resume", status=2).stderr
    forced = _run(out, "--resume", "--force")
    assert "resuming with differences: jax: 0.1 then" in forced.stderr
    assert json.loads((out / "config.json").read_text())["forced"][0].startswith("jax: 0.1 then")


def test_a_finished_grid_is_extended(finished, tmp_path):
    out, small = tmp_path / "out", ["--epochs=4", "--num_pairs=2000"]
    first = _run(out, *small, "--seeds=0:2", "--dims=2,3")
    before = (out / "runs.csv").read_bytes()
    again = _run(out, *small, "--seeds=0:2", "--dims=2,3", "--resume")
    assert "finished already" in again.stdout
    assert (out / "runs.csv").read_bytes() == before
    assert "4 runs in" in first.stdout
    # The checkpoints of the members that are there are damaged where they would be trained anew.
    kept = list((out / "checkpoint").rglob("finished_*.npz"))
    grown = _run(out, *small, "--seeds=0:4", "--dims=2,3", "--heads=free,dot", "--resume")
    assert "16 runs in" in grown.stdout
    assert all(path.exists() for path in kept)
    runs = pd.read_csv(out / "runs.csv")
    _run(tmp_path / "fresh", *small, "--seeds=0:4", "--dims=2,3", "--heads=free,dot")
    fresh = pd.read_csv(tmp_path / "fresh" / "runs.csv")
    for name in runs.columns:
        if runs[name].dtype.kind == "f":
            np.testing.assert_allclose(runs[name], fresh[name], atol=1e-4, err_msg=name)
        else:
            assert runs[name].equals(fresh[name])


def test_a_finished_sweep_is_run_again_from_its_config(tmp_path):
    small = ["--seeds=0:2", "--dims=2", "--epochs=3", "--num_pairs=2000", "--heads=negative"]

    def run(out, *arguments):
        command = [sys.executable, "-m", "experiments.sweep", f"--out={out}", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    assert run(tmp_path / "one", *small, "--sweep=beta1=0.5,0.9").returncode == 0
    config = tmp_path / "one" / "config.json"
    assert run(tmp_path / "two", f"--from={config}").returncode == 0
    for name in ("runs.csv", "config.json"):
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
    assert run(tmp_path / "three", f"--from={config}", "--seeds=5").returncode == 0
    assert pd.read_csv(tmp_path / "three" / "runs.csv")["seed"].tolist() == [5, 5]
    (tmp_path / "other.json").write_text('{"experiment": "tutorial", "flags": {}}')
    refused = run(tmp_path / "four", f"--from={tmp_path / 'other.json'}")
    assert refused.returncode == 2
    assert "give the config.json of a sweep" in refused.stderr


def test_sigterm_saves_the_state(tmp_path):
    out = tmp_path / "out"
    command = _command(out, "--checkpoint_every=1000", "--epochs=100000")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        lines = iter(process.stderr.readline, b"")
        assert b"members" in next(line for line in lines if b"%" in line)  # a log, without a bar
        process.terminate()
        assert process.wait() == 130
    assert list((out / "checkpoint").rglob("state_*.npz"))


def test_members_that_diverge_are_warned_of(tmp_path):
    out = tmp_path / "out"
    small = ["--seeds=0:2", "--dims=2", "--epochs=3", "--num_pairs=2000"]
    done = _run(out, *small, "--optimizer=sgd", "--learning_rate=1e38")
    assert "2 of 2 members became NaN or infinite" in done.stderr


def _start_job(out, processes, *arguments, slurm=False):
    """Start the processes of a job on this machine, with one device each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    job = [f"--coordinator=127.0.0.1:{port}", f"--processes={processes}"]
    started = []
    for process in range(processes):
        given = [*job, f"--process={process}"]
        variables = {}
        if slurm:  # which tells all this by variables
            number = {"JOB_ID": port, "NTASKS": processes, "PROCID": process, "LOCALID": process}
            variables = {f"SLURM_{name}": str(value) for name, value in number.items()}
            variables["SLURM_STEP_NODELIST"] = "localhost"
            given = []
        started.append(
            subprocess.Popen(
                _command(out, "--distributed", *given, "--devices=1", *arguments),
                env={**os.environ, **variables},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    return started


def _saved(out):
    """Wait for the first state of a run, in which members are in training."""
    deadline = time.monotonic() + 100
    while not list(out.glob("checkpoint/*/state_*.npz")):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _same_members(out, expected):
    for name in ("runs.csv", "summary.csv"):
        assert (out / name).read_bytes() == (expected / name).read_bytes(), name


@pytest.mark.parametrize(("killed", "resumed_on"), [(0, (2,)), (1, (1, 3))])
def test_a_job_whose_process_is_killed_ends_and_resumes_to_the_same_bits(
    finished, tmp_path, killed, resumed_on
):
    out = tmp_path / "out"
    processes = _start_job(out, 2, "--heartbeat_seconds=5")
    _saved(out)
    processes[killed].send_signal(signal.SIGKILL)
    said = [process.communicate(timeout=60)[0] for process in processes]
    assert processes[1 - killed].returncode not in (0, None), said
    assert not (out / "runs.csv").exists()
    for count in resumed_on:
        copy = tmp_path / f"on_{count}"
        shutil.copytree(out, copy)
        if count == 1:
            _run(copy, "--devices=1", "--resume")
        else:
            again = _start_job(copy, count, "--resume")
            said = [process.communicate(timeout=200)[0] for process in again]
            assert [process.returncode for process in again] == [0] * count, said
        _same_members(copy, finished[0])


def test_a_signal_to_one_process_ends_the_job_at_the_end_of_a_chunk(finished, tmp_path):
    out = tmp_path / "out"
    processes = _start_job(out, 2)
    _saved(out)
    processes[1].send_signal(signal.SIGTERM)
    said = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [130, 130], said
    _run(out, "--devices=2", "--resume")
    _same_members(out, finished[0])


def test_all_processes_of_a_job_tell_why_it_is_refused(finished, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(finished[0], out)
    (out / "config.json").unlink()
    for process in _start_job(out, 2, slurm=True):
        said = process.communicate(timeout=60)[0]
        assert process.returncode == 2, said
        assert "error: " in said


def test_heads_and_axes_in_one_command(tmp_path):
    out = tmp_path / "out"
    done = _run(
        out, "--seeds=0:3", "--dims=2", "--heads=free,negative", "--sweep=learning_rate=0.001,0.003"
    )
    assert "0.003" in done.stdout  # the rows of the table can be told apart
    runs = pd.read_csv(out / "runs.csv")
    assert len(runs) == 12
    assert set(runs["head"]) == {"free", "negative"}
    assert set(runs["learning_rate"]) == {0.001, 0.003}
    assert (runs.loc[runs["head"] == "negative", "kernel"] < 0).all()
    assert len(pd.read_csv(out / "summary.csv")) == 4
    names = [
        f"_{head}_learning_rate_{rate}" for head in ("free", "negative") for rate in (0.001, 0.003)
    ]
    for stem in ("members", "recovery"):
        assert sorted(path.stem for path in out.glob(f"{stem}*.png")) == sorted(
            stem + n for n in names
        )
    about = json.loads((out / "config.json").read_text())
    assert about["axes"] == {"learning_rate": [0.001, 0.003]}


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--seeds=5:5"], "seeds is '5:5'"),
        (["--dims=two"], "dims is 'two'"),
        (["--dims=0"], "dim is 0"),
        (["--heads=positive"], "'positive'"),
        (["--sweep=normalise=maybe"], "'maybe'"),
        (["--vary=weather"], "'weather'"),
        (["--sweep=learning_rate"], "sweep is 'learning_rate'"),
        (["--sweep=speed=1,2"], "'speed' cannot be swept"),
        (["--max_memory=0.000001"], "allow more"),
        (["--checkpoint_every=0"], "checkpoint_every is 0"),
        (["--snapshots=-1"], "snapshots is -1"),
        (["--heads="], "head: give at least one value"),
        (["--heads=free,free"], "none twice"),
        (["--max_memory=nan"], "max_memory is nan"),
        (["--optimizer=lbfgs"], "lbfgs"),
        (["--optimizer=contrib"], "contrib"),
        (["--sweep=initial_kernel=1e39"], "initial_kernel is 1e+39"),
        (["--sweep=beta1=0.5", "--sweep=beta1=0.9"], "gives beta1 twice"),
        (["--sweep=beta1=0.5", "--beta1=0.9"], "give one of the two"),
        (["--vary="], "vary is empty"),
        (
            ["--distributed", "--coordinator=localhost", "--processes=1", "--process=0"],
            "distributed",
        ),
        (["--distributed", "--processes=2"], "distributed"),
    ],
)
def test_bad_usage_is_one_line_and_status_2(tmp_path, arguments, part):
    done = _run(tmp_path / "out", *arguments, status=2)
    assert part in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert not os.listdir(tmp_path)


def test_snapshots_make_a_video_of_the_members(tmp_path):
    out = tmp_path / "out"
    arguments = ["--seeds=0:2", "--dims=1,2", "--epochs=6", "--num_pairs=2000", "--snapshots=8"]
    _run(out, *arguments, "--sweep=learning_rate=1e-3,3e-3", "--animate")
    with av.open(str(out / "grid.mp4")) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 6  # the start, and the tutorial frames of six epochs
    assert (frames[0] != frames[-1]).any()
    assert (out / "grid.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], "give --snapshots"),
        (["--seeds=0:9000", "--dims=2", "--snapshots=9000"], "--snapshots=9000: 9000 members"),
        (["--seeds=0:2", "--dims=1:90", "--snapshots=180"], "at most 114"),
    ],
)
def test_a_video_that_cannot_be_made_is_refused_before_training(tmp_path, arguments, part):
    done = _run(tmp_path / "out", "--animate", *arguments, status=2)
    assert done.stderr.count("\n") == 1
    assert part in done.stderr
    assert list(tmp_path.iterdir()) == []
