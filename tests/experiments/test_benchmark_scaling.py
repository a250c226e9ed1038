"""The parts scaling and accelerator at small sizes, and the sums that growth is judged by.

Nothing here asserts how long anything takes.
"""

import json
import os
import subprocess
import sys

import pytest

from experiments.benchmark import accelerator, harness, scaling, sharding
from experiments.benchmark.record import entry_table

# Compiled in a hurry: nothing here depends on how fast a program is.
OWN_CODE = {**harness.own_code(), "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}


def setting(folder, **changes):
    return harness.Setting(folder, **{"epochs": 4, "repeats": 1, **changes})


# --------------------------------------------------------------------------------------------------
# scaling


def points(seconds, memory=(None, None, None)):
    return {
        str(10**place): harness.summary([value], peak_memory_bytes=held)
        for place, (value, held) in enumerate(zip(seconds, memory))
    }


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_a_power_law_has_its_exponent_as_slope(exponent):
    sizes = (4, 16, 64, 1024)
    found = scaling.power({size: 3e-4 * size**exponent for size in sizes})
    assert found == pytest.approx(exponent, abs=1e-12)


def test_a_single_point_has_no_slope():
    assert scaling.power({5: 1.0}) is None
    found = scaling.describe({"5": harness.summary([1.0], peak_memory_bytes=None)})
    assert set(found.values()) == {None}


def test_growth_is_described_by_slopes_and_bytes():
    flat = scaling.describe(points([1.0, 1.0, 10.0], [500 + 7, 500 + 70, 500 + 700]))
    assert flat["slope"] == pytest.approx(0.5)
    assert flat["upper_slope"] == pytest.approx(1.0)  # of the upper half, with the middle
    assert flat["within"] is True
    assert flat["bytes_per_unit"] == pytest.approx(7.0)
    steep_at_last = scaling.describe(points([1.0, 1.0, 20.0]))
    assert (steep_at_last["slope"] < 1.1, steep_at_last["within"]) == (True, False)
    quadratic = scaling.describe(points([1.0, 100.0, 1e4]))
    assert (quadratic["slope"], quadratic["within"]) == (pytest.approx(2.0), False)


def test_a_point_that_failed_is_left_out():
    found = points([1.0, 10.0, 100.0], [3, 30, 300])
    found["10"] = harness.missing("killed", peak_memory_bytes=None)
    described = scaling.describe(found)
    assert described["slope"] == pytest.approx(1.0)
    assert described["bytes_per_unit"] == pytest.approx(3.0)


def test_runs_are_long_where_steps_are_short_and_one_epoch_at_least():
    assert scaling.run_epochs(scaling.BASE) * 196 == pytest.approx(scaling.RUN_STEPS, rel=0.02)
    assert scaling.run_epochs({**scaling.BASE, "items": 10**6}) == 1
    assert scaling.run_epochs({**scaling.BASE, "pairs": 10**7}) == 1
    many = scaling.AXES["members"][scaling.ALONE]
    assert scaling.run_epochs(many[1024]) == scaling.SWEEP_EPOCHS
    assert scaling.run_epochs(many[1]) > scaling.SWEEP_EPOCHS


def test_every_size_grows_up_to_the_largest_case():
    assert set(scaling.AXES) == {"items", "pairs", "dims", "members", "items and pairs"}
    for runs in scaling.AXES.values():
        for sizes in runs.values():
            assert list(sizes) == sorted(set(sizes))
    together = scaling.AXES["items and pairs"]
    assert {run.split(",")[0] for run in together} == set(scaling.OPTIMIZERS.values())
    for sizes in together.values():
        largest = sizes[100_000]
        assert (largest["items"], largest["pairs"]) == (100_000, 10_000_000)
        assert (largest["dim"], largest["function"]) == (16, "fit_pairs")


SMALL = {"items": 30, "pairs": 700, "batch_size": 128}


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """One axis of each function, and three points, since each point is a process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scaling, "BASE", {**scaling.BASE, **SMALL})
        patch.setattr(scaling, "RUN_STEPS", 8)
        patch.setattr(harness, "own_code", lambda: OWN_CODE)
        together = scaling.grown_together((20,), (128,), pairs_per_item=30, dim=4)
        axes = {
            "items": scaling.grown("items", (20,)),
            "members": scaling.grown("members", (3,), function="sweep"),
            "items and pairs": {run: sizes for run, sizes in together.items() if "lazy" in run},
        }
        folder = tmp_path_factory.mktemp("scaling")
        return axes, scaling.scaling(setting(folder, repeats=2), axes)


def test_scaling_has_a_point_for_every_size(grown):
    axes, part = grown
    json.dumps(part)
    assert list(part.seconds) == list(part.details) == list(axes)
    for axis, runs in axes.items():
        assert list(part.seconds[axis]) == list(runs)
        for run, sizes in runs.items():
            for size, asked in sizes.items():
                entry = part.details[axis][run][str(size)]
                assert entry["reason"] is None
                assert part.seconds[axis][run][str(size)] == entry["median"] > 0
                assert len(entry["repeats"]) == 2
                assert asked.items() <= entry.items()
                if sys.platform == "linux":
                    assert entry["peak_memory_bytes"] > entry["memory_before_bytes"] > 2**20
    assert part.ratios["items"][scaling.ALONE]["slope"] is None
    swept = part.details["members"][scaling.ALONE]["3"]
    assert swept["epochs_run"] == scaling.SWEEP_EPOCHS


def test_scaling_is_shown(grown, tmp_path):
    _, part = grown
    table = "\n".join(entry_table(part.details))
    assert "| items dense Adam 20 |" in table
    assert "| items and pairs lazy Adam, 128 pairs a step 20 |" in table
    items = {scaling.ALONE: points([1.0, 10.0, 100.0], [2**20, 2**21, 2**22])}
    slopes = {"items": {scaling.ALONE: scaling.describe(items[scaling.ALONE])}}
    (sentence,) = scaling.findings({}, slopes)
    assert sentence.startswith("items, dense Adam: slope 1.00, of the upper half 1.00, which is at")
    scaling.draw({**part.details, "items": items}, tmp_path / "scaling")
    assert (tmp_path / "scaling.png").stat().st_size > 1000


def test_scaling_goes_on_without_a_point(tmp_path, monkeypatch):
    def unavailable(self, **asked):
        raise harness.Unavailable("failed: it was killed")

    monkeypatch.setattr(harness.Peer, "run", unavailable)
    told = []
    axes = {"items": scaling.grown("items", (20,))}
    part = scaling.scaling(setting(tmp_path, say=told.append), axes)
    assert told == ["skipped: items 20 (failed: it was killed)"]
    assert part.seconds == {"items": {scaling.ALONE: {"20": None}}}
    assert "it was killed" in "".join(entry_table(part.details))
    assert not list(scaling.findings(part.details, part.ratios))
    scaling.draw(part.details, tmp_path / "scaling")
    assert (tmp_path / "scaling.png").exists()


def test_sharding_holds_a_share_of_the_table_on_each_device(tmp_path):
    sizes = sharding.Sizes(items=999, dim=4, steps=4, parts=2, devices=(1, 2))
    part = sharding.sharding(setting(tmp_path), sizes)
    json.dumps(part)
    for name in ("dense", "lazy"):
        one, two = part.details[name].values()
        assert one["loss"] == pytest.approx(two["loss"], rel=1e-5)
        # 999 items are 1000 rows on two devices; the scalars are on both.
        assert two["bytes_per_device"] == pytest.approx(one["bytes_per_device"] / 2, rel=0.01)
    assert set(part.ratios) == {f"{name}_2_devices_over_1_device" for name in ("dense", "lazy")}
    assert "MiB on each of 2 devices" in "".join(sharding.findings(part.details, part.ratios))


# --------------------------------------------------------------------------------------------------
# accelerator

SMALL_SIZES = accelerator.Sizes(
    *(600, (2,), (2,)), seconds=0.01, whole=(2, 2), repeated=(2, 3), torch_steps=4
)


def test_the_accelerator_is_asked_for_every_width_in_every_program():
    asked = accelerator.questions(500, accelerator.SIZES)
    trained = {q.name for q in asked if q.group == "training"}
    assert trained == {"2d, kernel", "2d, xla", "3d, kernel", "3d, xla"}
    (floor,) = (q.asked for q in asked if q.group == "floor")
    assert floor["steps"] == 500 * 196
    swept = [q.asked for q in asked if q.group == "sweep"]
    assert {one["members"] for one in swept} == {1, 64, 1024, 4096}
    assert {(one["order"], one["layout"]) for one in swept} == {
        ("separate", "first"),
        ("same", "first"),
        ("same", "last"),
        ("separate", "kernel"),
        ("same", "kernel"),
    }
    again = [q for q in asked if q.group == "repeated"]
    assert [q.environment for q in again] == ["default", *accelerator.ENVIRONMENTS]
    assert {(q.asked["members"], q.asked["epochs"]) for q in again} == {(64, 20)}


def test_without_an_accelerator_the_part_says_so(tmp_path, monkeypatch):
    """The CPU is all that this peer sees, whatever the machine has."""
    answer = {"backend": "cpu", "device": "cpu", "versions": {}}
    monkeypatch.setattr(harness.Peer, "answer", lambda self: answer)
    told = []
    part = accelerator.accelerator(setting(tmp_path, say=told.append), SMALL_SIZES)
    json.dumps(part)
    assert told == ["skipped: accelerator (JAX sees no GPU or TPU here)"]
    assert part.seconds["training"] == {"2d, kernel": None, "2d, xla": None}
    assert set(part.seconds["repeated"]) == {"kernel", "xla", "xla, deterministic_ops", "cpu"}
    assert {*part.seconds["sweep"].values(), *part.seconds["repeated"].values()} == {None}
    assert part.ratios
    assert set(part.ratios.values()) == {None}
    assert accelerator.NO_ACCELERATOR in "".join(entry_table(part.details))
    assert not list(accelerator.findings(part.details, part.ratios))


NOT_ON_A_BARE_MACHINE = ("av", "pyarrow", "sklearn", "platformdirs", "safetensors", "PIL", "pandas")


@pytest.fixture
def bare(tmp_path):
    """The environment in which Python finds our code, and fails to import what may be missing."""
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    for name in NOT_ON_A_BARE_MACHINE:
        (stubs / f"{name}.py").write_text("raise AssertionError('imported on a bare machine')")
    return {**OWN_CODE, "PYTHONPATH": os.pathsep.join([str(stubs), str(harness.ROOT)])}


def test_the_program_starts_on_a_bare_machine_and_tells_what_it_lacks(tmp_path, bare):
    code = (
        "import runpy; from experiments.benchmark import harness\n"
        f"harness.own_code = lambda: {bare | {'JAX_PLATFORMS': 'cpu'}}\n"
        "runpy.run_module('experiments.benchmark', run_name='__main__')"
    )
    arguments = ["--only=accelerator", f"--out={tmp_path / 'out'}"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **bare},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "JAX sees no GPU or TPU here" in done.stdout


def test_the_accelerator_part_runs_whole_on_the_cpu(tmp_path, monkeypatch, bare):
    environment = {
        **bare,
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    monkeypatch.setattr(harness, "own_code", lambda: environment)
    told = []
    small = setting(tmp_path, say=told.append)
    part = accelerator.accelerator(small, SMALL_SIZES, on_cpu=True)
    json.dumps(part)
    for group in ("training", "sweep", "floor", "repeated", "whole"):
        for name, entry in part.details[group].items():
            if "kernel" in name:  # what needs a GPU is left out, with the reason
                assert entry["reason"] == "the kernel needs an NVIDIA GPU and cuda.core"
            else:
                assert entry["median"] > 0, (name, entry)
    told = {line for line in told if "kernel" not in line}
    assert told <= {"skipped: torch (torch is not installed)"}
    assert part.details["device"]["backend"] == "cpu"
    sweeps = part.details["sweep"]
    assert list(sweeps) == [f"2, {name}" for name in accelerator.PROGRAMS]
    first, last = (sweeps[f"2, shared order, members {end}"]["loss"] for end in ("first", "last"))
    assert first == pytest.approx(last, rel=1e-5)
    for entry in (entry for entry in sweeps.values() if not entry["reason"]):
        assert entry["scaled"] is True
        assert entry["bytes_per_member"] > 600 * 4
        assert entry["compile_seconds"] > 0
    for name, entry in part.details["repeated"].items():
        if name == "kernel":
            continue
        assert entry["same_bits"] is True
        assert name == "cpu" or entry["agrees"] is True
    assert "KiB per member" in "".join(entry_table(part.details))
    told = "\n".join(accelerator.findings(part.details, part.ratios))
    assert "training_2d_xla takes" in told
    assert "2 members, 2d, xla: " in told
    assert "deterministic ops: repeating the sweep gives the same bits; its losses differ" in told


def test_what_fails_or_comes_too_late_is_left_out(tmp_path, monkeypatch):
    def run(self, what="torch", **asked):
        if what == "training":
            raise harness.Unavailable("failed: RESOURCE_EXHAUSTED")
        return {"seconds": 1.0 if what == "torch" else [1.0], "epochs_run": 4}

    answer = {"backend": "gpu", "device": "a GPU", "versions": {}}
    monkeypatch.setattr(harness.Peer, "answer", lambda self: answer)
    monkeypatch.setattr(harness.Peer, "run", run)
    only = SMALL_SIZES._replace(widths=())
    monkeypatch.setattr(accelerator, "ENVIRONMENTS", {"default": {}})
    part = accelerator.accelerator(setting(tmp_path), only)
    assert part.details["training"]["2d, xla"]["reason"] == "failed: RESOURCE_EXHAUSTED"
    assert part.seconds["floor"]["empty_scan"] == 1.0
    part = accelerator.accelerator(setting(tmp_path), only._replace(budget=-1.0))
    reasons = {entry["reason"] for entry in part.details["repeated"].values()}
    assert reasons == {accelerator.TOO_LATE}
    assert part.details["torch"]["2d"]["reason"] == accelerator.TOO_LATE
