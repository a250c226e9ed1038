"""The benchmark's frame at a small size: every figure has its place, and a peer's loss is checked.

Nothing here asserts how long anything takes.
"""

import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from colour_embed import data, train
from colour_embed.config import Config, InputError
from experiments.benchmark import animation, common, sweep, training
from experiments.benchmark.peers import process
from experiments.benchmark.record import describe_machine, markdown
from experiments.benchmark.tutorial import tutorial

ROOT = common.ROOT
PEERS = {"ours_warm", "ours_cold", "limit", "keras_jax", "keras_tf", "torch", "plain_jax"}


def setting(folder, **changes):
    values = {
        "epochs": 4,
        "keras_epochs": 1,
        "repeats": 1,
        "seed": 0,
        "sweep_members": 2,
        "sweep_widths": (1, 2),
        "python_tf": sys.executable,
        "python_torch": sys.executable,
        "scratch": folder,
        "add": lambda label, total: lambda done, note="": None,
        "say": lambda line: None,
    }
    return common.Setting(**{**values, **changes})


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "experiments.benchmark", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "COLOUR_EMBED_PYTHON_TF": "", "COLOUR_EMBED_PYTHON_TORCH": ""}
        | environment,
    )


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    out = tmp_path_factory.mktemp("benchmark") / "out"
    done = run(f"--out={out}", "--only=training", "--epochs=4", "--keras_epochs=1", "--repeats=1")
    assert done.returncode == 0, done.stderr
    return out, json.loads((out / "benchmark.json").read_text()), done.stdout


def is_missing(module):
    return subprocess.run(
        [sys.executable, "-c", f"import {module}"], capture_output=True
    ).returncode


def test_training_has_all_keys_of_the_contract(outcome):
    _, record, _ = outcome
    assert set(record["training"]) == {"2d", "3d"}
    for name in ("2d", "3d"):
        assert set(record["training"][name]) == PEERS == set(training.TRAINING_PEERS)
        for peer, seconds in record["training"][name].items():
            entry = record["details"]["training"][name][peer]
            assert (seconds is None) == (entry["reason"] is not None)
            if seconds is not None:
                assert entry["range"][0] <= seconds <= entry["range"][1]
        assert record["training"][name]["ours_warm"] > 0
        assert record["training"][name]["ours_cold"] > 0
        assert record["training"][name]["plain_jax"] > 0
        assert record["ratios"]["training"][name]["plain_jax_over_ours_warm"] > 0


def test_missing_frameworks_are_skipped_by_name(outcome):
    _, record, told = outcome
    for peer, module in (("keras_tf", "tensorflow"), ("torch", "torch")):
        if is_missing(module):
            assert f"skipped: {peer} ({module} is not installed)" in told.splitlines()
            assert record["training"]["2d"][peer] is None
            reason = record["details"]["training"]["2d"][peer]["reason"]
            assert reason == f"{module} is not installed"


def test_keras_says_that_it_was_scaled(outcome):
    _, record, _ = outcome
    entry = record["details"]["training"]["2d"]["keras_jax"]
    if record["training"]["2d"]["keras_jax"] is None:
        assert entry["reason"] == "keras is not installed"
    else:
        assert (entry["epochs_run"], entry["epochs_timed"], entry["scaled"]) == (2, 1, True)
        assert "scaled to all epochs" in (outcome[0] / "benchmark.md").read_text()
    assert record["details"]["training"]["2d"]["ours_warm"]["scaled"] is False


def test_the_folder_names_the_machine_but_no_path_and_no_host(outcome):
    out, record, told = outcome
    machine = record["machine"]
    assert machine["processor"]
    assert machine["cores"] >= 1
    versions = record["details"]["training"]["2d"]["plain_jax"]["versions"]
    assert set(versions) == {"jax", "optax"}
    assert {path.name for path in out.iterdir()} == {
        "benchmark.json",
        "benchmark.md",
        "config.json",
        "env.json",
    }
    assert (out / "benchmark.md").read_text() in told
    host = os.uname().nodename
    for path in out.iterdir():
        text = path.read_text()
        assert not re.search(r"\"/|\s/\w+/", text), path.name
        assert len(host) < 4 or host not in text


@pytest.mark.skipif(shutil.which("gcc") is None, reason="limit.c needs gcc")
@pytest.mark.parametrize("dim", [2, 3])
def test_the_limit_reaches_our_loss(dim, tmp_path):
    # Four epochs, because orders part soon after: by 0.02 at epoch 11, as in training.ORDERS.
    small = setting(tmp_path)
    problem = training.make_problem(dim, small)
    with process.Conversation(training.limit_command(problem, tmp_path), {}) as peer:
        peer.answer()
        limit = [peer.run()["loss"] for _ in range(training.ORDERS)]
    ours = training.losses_of_orders(dim, small)[:, -1]
    for losses in (limit, ours):
        assert len(set(losses)) == len(losses)  # each run takes an order of its own
    assert max(limit) - min(ours) < 0.003
    assert max(ours) - min(limit) < 0.003
    assert np.median(limit) == pytest.approx(np.median(ours), abs=0.001)

    # The first of ours is the training that is timed.
    fit = train.fit(
        Config(seed=0, dim=dim, epochs=4),
        len(problem["embedding"]),
        data.Pairs(problem["index"], problem["label"], diff=None),
        snapshots=[0],
    )
    assert ours[0] == pytest.approx(fit.loss[-1], rel=1e-6)
    np.testing.assert_array_equal(problem["embedding"], fit.snapshots[0])


def answers(loss, seconds=(1.0, 3.0, 2.0)):
    return [
        {"seconds": each, "epochs_run": 11, "epochs_timed": 10, "loss": loss} for each in seconds
    ]


def test_a_partial_run_is_scaled_and_compared_at_its_own_epoch():
    losses = np.tile(np.linspace(1.0, 0.5, 51)[:50], (2, 1))
    entry = training.training_entry(answers(losses[0, 10]), losses, 50)
    assert entry["median"] == 10.0
    assert entry["range"] == [5.0, 15.0]
    assert entry["scaled"]
    assert entry["reason"] is None
    assert common.counted(entry) == 10.0


@pytest.mark.parametrize("loss", [0.303, 0.396, float("nan")])
def test_another_loss_does_not_count(loss):
    losses = np.repeat([[0.307], [0.392]], 50, axis=1)
    entry = training.training_entry(answers(loss), losses, 50)
    assert "its loss after epoch 11 is" in entry["reason"]
    assert common.counted(entry) is None
    assert training.training_entry(answers(0.305), losses, 50)["reason"] is None
    one_diverged = answers(0.35)[:2] + answers(float("nan"))[:1]
    assert training.training_entry(one_diverged, losses, 50)["reason"] is not None


def test_ratios_are_taken_within_each_round():
    details = {
        "a": common.summary([2.0, 30.0, 8.0]),
        "b": common.summary([1.0, 10.0, 2.0]),
        "c": common.missing("it is not here"),
    }
    ratios = common.round_ratios(details, [("a", "b"), ("c", "a")])
    assert ratios == {"a_over_b": 3.0, "c_over_a": None}


def test_a_seed_in_the_sign_trap_is_refused(tmp_path):
    with pytest.raises(InputError, match="sign trap"):
        training.make_problem(2, setting(tmp_path, seed=7))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--only=trainings"], "no part is called 'trainings'"),
        (["--python_tf=/no/such/python"], "--python_tf"),
        (["--repeats=0"], "--repeats"),
        (["--epochs=1"], "--epochs"),
    ],
)
def test_bad_usage_is_one_line(arguments, told, tmp_path):
    done = run(f"--out={tmp_path / 'out'}", *arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_failing_peer_gives_its_reason_and_no_path(tmp_path):
    program = tmp_path / "peer.py"
    program.write_text("raise OSError('cannot read /somewhere/deep/file.txt')")
    with (
        process.Conversation([sys.executable, str(program)], {}) as peer,
        pytest.raises(process.Unavailable, match=r"^failed: OSError: cannot read file\.txt$"),
    ):
        peer.run()
    with pytest.raises(process.Unavailable, match="failed: OSError"):
        process.run_program([sys.executable, str(program)], {})


def test_the_tutorial_part_keeps_both_keys(tmp_path, monkeypatch):
    """Neither program is run here: what they say is put together, scaled and described."""
    finished = {
        "ours": process.Finished(10.0, 2**20, ""),
        "script": process.Finished(
            31.0,
            None,
            json.dumps(
                {
                    "stages": {"imports": 5.0, "fit_2d": 9.0, "animation_2d": 20.0, "fit_3d": 24.0},
                    "fits": {
                        "2d": {"first_epoch": 1.0, "other_epochs": 3.0},
                        "3d": {"first_epoch": 1.0, "other_epochs": 3.0},
                    },
                    "frames": 263,
                    "colours": 646,
                    "positive": 0.22521,
                    "encoder": "PyAV",
                    "versions": {},
                }
            ),
        ),
    }

    def run_program(command, environment):
        return finished["ours" if "experiments.tutorial" in command else "script"]

    monkeypatch.setattr(process, "run_program", run_program)
    part = tutorial(setting(tmp_path, epochs=500, keras_epochs=10, repeats=2))
    more = 3.0 * 489 / 10
    assert part.seconds == {"ours": 10.0, "script": pytest.approx(31.0 + 2 * more)}
    stages = part.details["script"]["stages"]
    assert stages["fit_2d"] == pytest.approx(4.0 + more)
    assert stages["animation_2d"] == pytest.approx(11.0)
    assert part.ratios["script_over_ours"] == pytest.approx((31.0 + 2 * more) / 10)
    record = {"details": {"tutorial": part.details}, "ratios": {"tutorial": part.ratios}}
    kinds = {"tutorial": common.Kind(tutorial)}
    table = markdown({**record, "machine": describe_machine()}, kinds)
    assert "script: animation_2d" in table
    assert "encoded by PyAV" in table


def test_without_gcc_there_is_no_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    commands, reasons = training.training_commands(2, tmp_path, setting(tmp_path))
    assert reasons == {"limit": "gcc is not installed"}
    assert set(commands) == PEERS - {"limit"}


def test_the_script_is_skipped_by_name(tmp_path, monkeypatch):
    said = process.Finished(1.0, None, json.dumps({"skipped": "tensorflow is not installed"}))

    def run_program(command, environment):
        return process.Finished(9.0, 1, "") if "-m" in command else said

    monkeypatch.setattr(process, "run_program", run_program)
    told = []
    part = tutorial(setting(tmp_path, say=told.append))
    assert part.seconds == {"ours": 9.0, "script": None}
    assert told == ["skipped: script (tensorflow is not installed)"]
    assert part.ratios == {"script_over_ours": None}


def test_the_sweep_is_timed_per_run_beside_the_loop(tmp_path):
    part = sweep.sweep(setting(tmp_path, epochs=2))
    assert set(part.seconds) == {"separate_order", "shared_order", "limit", "program"}
    for name in ("separate_order", "shared_order"):
        assert part.seconds[name] > 0
        assert part.details[name]["members"] == 2
    if shutil.which("gcc"):
        assert part.ratios["separate_order_over_limit"] > 0
        losses = [part.details[name]["loss"] for name in ("separate_order", "limit")]
        assert losses[0] == pytest.approx(losses[1], abs=0.05)  # after two epochs from other starts
    else:
        assert part.seconds["limit"] is None
    rates = sweep.runs_per_second(part.details)
    assert [list(by_members) for by_members in rates.values()] == [[1, 2]] * len(rates)
    table = sweep.table(part.details, part.ratios)
    assert all(line.replace("_", " ") in table for line in rates)
    assert sweep.draw(part.details, tmp_path) == ["sweep_widths.png"]
    assert (tmp_path / "sweep_widths.png").stat().st_size > 1000


def test_the_animation_is_timed_beside_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setattr(animation, "GRID", {"seeds": 2, "dims": 2})
    part = animation.animation(setting(tmp_path, epochs=3))
    assert set(part.seconds) == {"2d", "3d", "grid"}
    for name in ("2d", "3d"):
        assert set(part.seconds[name]) == {"draw", "draw_peer", "whole", "whole_peer"}
        for entry in part.details[name].values():
            assert entry["median"] > 0
            assert entry["frames"] == len(train.tutorial_frames(3))
            assert entry["peak_memory_bytes"] > 2**20
        assert part.ratios[name]["draw_peer_over_draw"] > 0
    assert part.seconds["grid"]["whole"] > 0
