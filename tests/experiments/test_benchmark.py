"""The benchmark at a small size: every figure has its place, and a peer's loss is checked.

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
from colour_embed.engine.schedule import tutorial_frames
from experiments.benchmark import animation, browser, harness, sweep, training
from experiments.benchmark.record import Kind, describe_machine, entry_table, markdown
from experiments.benchmark.tutorial import tutorial

ROOT = harness.ROOT
PEERS = {"ours_warm", "ours_cold", "limit", "keras_jax", "keras_tf", "torch", "plain_jax"}

# Compiled in a hurry: nothing here depends on how fast a program is.
OWN_CODE = {**harness.own_code(), "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}


def setting(folder, **changes):
    small = {"epochs": 4, "keras_epochs": 1, "repeats": 1, "sweep_members": 2}
    return harness.Setting(folder, **{**small, **changes})


def run(*arguments, first=""):
    """The program, after a line of Python."""
    code = f"{first}\nimport runpy\nrunpy.run_module('experiments.benchmark', run_name='__main__')"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, **OWN_CODE}
        | dict.fromkeys(["COLOUR_EMBED_PYTHON_TF", "COLOUR_EMBED_PYTHON_TORCH"], ""),
    )


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """The program with its part `training`, in two dimensions alone, and what it wrote."""
    out = tmp_path_factory.mktemp("benchmark") / "out"
    arguments = ("--only=training", "--epochs=4", "--keras_epochs=1", "--repeats=1")
    small = (
        "from experiments.benchmark import harness, training\n"
        f"training.DIMS = (2,); harness.own_code = lambda: {OWN_CODE}"
    )
    done = run(f"--out={out}", *arguments, first=small)
    assert done.returncode == 0, done.stderr
    return out, json.loads((out / "benchmark.json").read_text()), done.stdout


def is_missing(module):
    return subprocess.run(
        [sys.executable, "-c", f"import {module}"], capture_output=True
    ).returncode


def test_training_has_all_keys_of_the_contract(outcome):
    _, record, _ = outcome
    assert training.DIMS == (2, 3)
    entries = record["details"]["training"]["2d"]
    assert set(record["training"]["2d"]) == PEERS == set(training.TRAINING_PEERS)
    for peer, seconds in record["training"]["2d"].items():
        assert (seconds is None) == (entries[peer]["reason"] is not None)
        if seconds is not None:
            assert entries[peer]["range"][0] <= seconds <= entries[peer]["range"][1]
    for peer in ("ours_warm", "ours_cold", "plain_jax"):
        assert record["training"]["2d"][peer] > 0
    if shutil.which("gcc"):
        assert record["training"]["2d"]["limit"] > 0  # and so its loss is ours
    assert record["ratios"]["training"]["2d"]["plain_jax_over_ours_warm"] > 0


def test_missing_frameworks_are_skipped_by_name(outcome):
    _, record, told = outcome
    for peer, module in (("keras_tf", "tensorflow"), ("torch", "torch")):
        if is_missing(module):
            assert told.splitlines().count(f"skipped: {peer} ({module} is not installed)") == 1
            assert record["training"]["2d"][peer] is None
            reason = record["details"]["training"]["2d"][peer]["reason"]
            assert reason == f"{module} is not installed"


def test_keras_says_that_it_was_scaled(outcome):
    out, record, _ = outcome
    entry = record["details"]["training"]["2d"]["keras_jax"]
    if record["training"]["2d"]["keras_jax"] is None:
        assert entry["reason"] == "keras is not installed"
    else:
        assert (entry["epochs_run"], entry["epochs_timed"], entry["scaled"]) == (2, 1, True)
        assert "scaled to all epochs" in (out / "benchmark.md").read_text()
    assert record["details"]["training"]["2d"]["ours_warm"]["scaled"] is False


def test_the_folder_names_the_machine_but_no_path_and_no_host(outcome):
    out, record, told = outcome
    machine = record["machine"]
    assert machine["processor"]
    assert machine["cores"] >= 1
    versions = record["details"]["training"]["2d"]["plain_jax"]["versions"]
    assert set(versions) == {"jax", "optax"}
    files = {"benchmark.json", "benchmark.md", "config.json", "env.json"}
    assert {path.name for path in out.iterdir()} == files
    assert (out / "benchmark.md").read_text() in told
    host = os.uname().nodename
    for path in out.iterdir():
        text = path.read_text()
        assert not re.search(r"\"/|\s/\w+/", text), path.name
        assert len(host) < 4 or host not in text


def test_an_update_keeps_the_other_parts_and_their_files(outcome, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(outcome[0], out)
    (out / "levers.md").write_text("dated")
    earlier = json.loads((out / "benchmark.json").read_text())
    earlier["machine"]["memory_bytes"] += 12_288  # as after another boot of the same machine
    for key in ("details", "ratios", "environment"):
        earlier[key]["growth"] = {}  # a part that is no longer measured
    (out / "benchmark.json").write_text(json.dumps(earlier | {"growth": {}}))
    part = "harness.Part({'ours': 7.0}, {'ours': harness.summary([7.0])}, {})"
    fake = (
        "from experiments.benchmark import harness, kinds, record\n"
        f"kinds.KINDS['tutorial'] = record.Kind(lambda setting: {part})"
    )
    done = run(f"--out={out}", "--only=tutorial", "--update", first=fake)
    assert done.returncode == 0, done.stderr
    record = json.loads((out / "benchmark.json").read_text())
    assert record["tutorial"] == {"ours": 7.0}
    assert record["training"] == outcome[1]["training"]
    assert "growth" not in record
    assert set(record["environment"]) == {"training", "tutorial"}
    assert (out / "levers.md").read_text() == "dated"
    page = (out / "benchmark.md").read_text()
    assert "## training" in page
    assert "| ours | 7 |" in page
    record["machine"]["memory_bytes"] //= 2
    (out / "benchmark.json").write_text(json.dumps(record))
    done = run(f"--out={out}", "--only=tutorial", "--update", first=fake)
    assert done.returncode == 2
    assert "was measured on another machine" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--only=trainings"], "no part is called 'trainings'"),
        (["--python_tf=/no/such/python"], "--python_tf"),
        (["--repeats=0"], "--repeats"),
        (["--epochs=1"], "--epochs"),
        (["--update"], "holds no earlier run"),
    ],
)
def test_bad_usage_is_one_line(arguments, told, tmp_path):
    done = run(f"--out={tmp_path / 'out'}", *arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_training_in_the_page_is_timed_with_and_without_drawing(tmp_path):
    part = browser.browser(setting(tmp_path))
    live = part.details["live"]
    if live["reason"]:
        pytest.skip(live["reason"])
    colours = data.load_colours()
    fitted = train.fit(Config(epochs=4), len(colours), data.tutorial_pairs(colours))
    assert live["loss"] == pytest.approx(fitted.loss[-1], abs=2e-4)
    assert live["redraws_per_second"] > 0
    assert part.details["alone"]["epochs_run"] == 4
    ratio = part.seconds["live"] / part.seconds["alone"]
    assert part.ratios == {"live_over_alone": pytest.approx(ratio)}
    told = list(browser.findings(part.details, part.ratios))
    assert told[0] == f"live takes {ratio:.2f} times as long as alone"
    assert re.fullmatch(r"the page redraws \d+ times a second", told[1])


def test_the_committed_times_of_the_page_are_within_their_bounds():
    """Measured by the part, since a test beside others would measure these too."""
    record = json.loads((ROOT / "results" / "benchmark" / "benchmark.json").read_text())
    assert record["ratios"]["browser"]["live_over_alone"] < 1.5
    assert record["details"]["browser"]["live"]["redraws_per_second"] >= 30


def test_a_machine_without_chromium_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(browser.shutil, "which", lambda name: None)
    part = browser.browser(setting(tmp_path))
    assert part.seconds == {"alone": None, "live": None}
    assert "not installed" in part.details["live"]["reason"]


@pytest.mark.skipif(shutil.which("gcc") is None, reason="limit.c needs gcc")
def test_the_baseline_reaches_our_loss(tmp_path):
    """In three dimensions; in two `test_training_has_all_keys_of_the_contract` has it."""
    # Four epochs, because orders part soon after: by 0.02 at epoch 11, as in training.ORDERS.
    dim, small = 3, setting(tmp_path)
    problem = training.write_problem(tmp_path / "all.npz", dim, small, run_epochs=4)
    with harness.Peer(training.limit_command(problem, tmp_path), {}) as peer:
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
        data.Pairs(problem["index"], problem["label"]),
        snapshots=[0],
    )
    assert ours[0] == pytest.approx(fit.loss[-1], rel=1e-6)
    np.testing.assert_array_equal(problem["embedding"], fit.snapshots[0])


class FakePeer:
    """A peer that gives one answer after the other."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def run(self, **asked):
        return self.answers.pop(0)


def entry_of(*losses, seconds=(1.0, 3.0, 2.0)):
    peer = FakePeer(
        *(
            {"seconds": each, "epochs_run": 11, "epochs_timed": 10, "loss": loss}
            for each, loss in zip(seconds, losses)
        )
    )
    return harness.merged([training._run(peer, 50) for _ in losses])


def test_a_partial_run_is_scaled_and_compared_at_its_own_epoch():
    losses = np.tile(np.linspace(1.0, 0.5, 51)[:50], (2, 1))
    entry = entry_of(*[losses[0, 10]] * 3)
    training.check_loss(entry, losses)
    assert entry["median"] == 10.0
    assert entry["range"] == [5.0, 15.0]
    assert entry["scaled"]
    assert entry["reason"] is None
    assert harness.counted(entry) == 10.0


@pytest.mark.parametrize("loss", [0.303, 0.396, float("nan")])
def test_another_loss_does_not_count(loss):
    ours = np.repeat([[0.307], [0.392]], 50, axis=1)
    wrong, right, one_diverged = entry_of(*[loss] * 3), entry_of(0.305), entry_of(0.35, np.nan)
    for entry in (wrong, right, one_diverged):
        training.check_loss(entry, ours)
    assert "its loss after epoch 11 is" in wrong["reason"]
    assert harness.counted(wrong) is None
    assert right["reason"] is None
    assert one_diverged["reason"] is not None


def test_rounds_are_merged_by_their_medians():
    rounds = [
        {"seconds": float(each), "stages": {"fit": each / 2}, "peak_memory_bytes": held}
        for each, held in ((1, 10), (5, None), (2, 30))
    ]
    entry = harness.merged(rounds)
    assert (entry["median"], entry["range"]) == (2.0, [1.0, 5.0])
    assert entry["stages"] == {"fit": 1.0}
    assert entry["peak_memory_bytes"] == 30


def test_ratios_are_taken_within_each_round():
    details = {
        "a": harness.summary([2.0, 30.0, 8.0]),
        "b": harness.summary([1.0, 10.0, 2.0]),
        "c": harness.missing("it is not here"),
    }
    ratios = harness.round_ratios(details, [("a", "b"), ("c", "a")])
    assert ratios == {"a_over_b": 3.0, "c_over_a": None}


def test_a_seed_in_the_sign_trap_is_refused(tmp_path):
    with pytest.raises(InputError, match="sign trap"):
        training.write_problem(tmp_path / "all.npz", 2, setting(tmp_path, seed=7), run_epochs=1)


def test_a_failing_peer_gives_its_reason_and_no_path(tmp_path):
    program = tmp_path / "peer.py"
    program.write_text("raise OSError('cannot read /somewhere/deep/file.txt')")
    reason = r"^failed: OSError: cannot read file\.txt$"
    with (
        harness.Peer([sys.executable, program], {}) as peer,
        pytest.raises(harness.Unavailable, match=reason),
    ):
        peer.run()
    with pytest.raises(harness.Unavailable, match=reason):
        harness.run_program([sys.executable, program], {})
    with pytest.raises(harness.Unavailable, match="cannot be started"):
        harness.Peer([tmp_path / "no_program"], {})


def test_a_program_is_timed_from_its_start_to_its_last_line():
    code = "import time; print('x' * 10**6); time.sleep(0.2); print('last')"
    done = harness.run_program([sys.executable, "-c", code], {})
    assert done.seconds > 0.2
    assert done.last_line == "last"
    if sys.platform == "linux":
        assert done.peak_memory > 2**20


def test_without_gcc_there_is_no_baseline(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    commands, reasons = training.training_commands(2, tmp_path, setting(tmp_path))
    assert reasons == {"limit": "gcc is not installed"}
    assert set(commands) == PEERS - {"limit", "ours_cold"}


# --------------------------------------------------------------------------------------------------
# The other parts


def test_the_tutorial_part_keeps_both_keys(tmp_path, monkeypatch):
    """Neither program is run here: what they say is put together, scaled and described."""
    fit = {"first_epoch": 1.0, "other_epochs": 3.0}
    said = {
        "stages": {"imports": 5.0, "fit_2d": 9.0, "animation_2d": 20.0, "fit_3d": 24.0},
        "fits": {"2d": fit, "3d": fit},
        "frames": 263,
        "colours": 646,
        "positive": 0.22521,
        "versions": {},
    }
    finished = {
        "ours": harness.Finished(10.0, 2**20, ""),
        "script": harness.Finished(31.0, None, json.dumps(said)),
    }

    def run_program(command, environment):
        return finished["ours" if "experiments.tutorial" in command else "script"]

    monkeypatch.setattr(harness, "run_program", run_program)
    part = tutorial(setting(tmp_path, epochs=500, keras_epochs=10, repeats=2))
    more = 3.0 * 489 / 10
    assert part.seconds == {"ours": 10.0, "script": pytest.approx(31.0 + 2 * more)}
    stages = part.details["script"]["stages"]
    assert stages["fit_2d"] == pytest.approx(4.0 + more)
    assert stages["animation_2d"] == pytest.approx(11.0)
    assert part.ratios["script_over_ours"] == pytest.approx((31.0 + 2 * more) / 10)
    record = {"details": {"tutorial": part.details}, "ratios": {"tutorial": part.ratios}}
    record["machine"] = describe_machine()
    assert "script: animation_2d" in markdown(record, {"tutorial": Kind(tutorial)}, {})


def test_the_script_is_skipped_by_name(tmp_path, monkeypatch):
    said = harness.Finished(1.0, None, json.dumps({"skipped": "tensorflow is not installed"}))

    def run_program(command, environment):
        return harness.Finished(9.0, 1, "") if "-m" in command else said

    monkeypatch.setattr(harness, "run_program", run_program)
    told = []
    part = tutorial(setting(tmp_path, say=told.append))
    assert part.seconds == {"ours": 9.0, "script": None}
    assert told == ["skipped: script (tensorflow is not installed)"]
    assert part.ratios == {"script_over_ours": None}


def test_the_sweep_is_timed_per_run_beside_the_baseline(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    monkeypatch.setattr(harness, "own_code", lambda: OWN_CODE)
    part = sweep.sweep(setting(tmp_path, epochs=2), widths=(2,))
    assert set(part.seconds) == {"separate_order", "shared_order", "limit"}
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
    assert set(rates) == {"separate_order, 1 core", "shared_order, 1 core"}
    assert all(list(by_members) == [2] for by_members in rates.values())
    assert sum(" core 2 |" in line for line in entry_table(part.details)) == 2
    sweep.draw(part.details, tmp_path / "sweep_widths")
    assert (tmp_path / "sweep_widths.png").stat().st_size > 1000


def test_the_animation_is_timed_beside_matplotlib(tmp_path):
    part = animation.animation(setting(tmp_path, epochs=3))
    assert set(part.seconds) == {"2d", "3d"}
    for name in ("2d", "3d"):
        assert set(part.seconds[name]) == {"draw", "draw_peer", "whole", "whole_peer"}
        for entry in part.details[name].values():
            assert entry["median"] > 0
            assert entry["frames"] == len(tutorial_frames(3))
            if sys.platform == "linux":
                assert entry["peak_memory_bytes"] > 2**20
        assert part.ratios[name]["draw_peer_over_draw"] > 0
