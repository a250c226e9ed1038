"""The parts growth, startup and accelerator at small sizes, and the sums that growth is judged by.

Nothing here asserts how long anything takes.
"""

import json
import sys

import pytest

from experiments.benchmark import accelerator, common, growth, growth_shown, startup
from experiments.benchmark.peers import process
from experiments.benchmark.record import peer_table


def setting(folder, **changes):
    values = dict.fromkeys(common.Setting.__dataclass_fields__)
    values |= {
        "epochs": 4,
        "repeats": 1,
        "seed": 0,
        "scratch": folder,
        "add": lambda label, total: lambda done, note="": None,
        "say": lambda line: None,
    }
    return common.Setting(**{**values, **changes})


def axis(**changes):
    values = {"field": "pairs", "sizes": (1, 10, 100), "unit": "pair", "bar": growth.LINEAR}
    return growth.Axis(**{**values, "starts_flat": False, **changes})


def points(seconds, memory=(None, None, None)):
    return {
        str(10**place): common.summary([value], peak_memory_bytes=held)
        for place, (value, held) in enumerate(zip(seconds, memory))
    }


# --------------------------------------------------------------------------------------------------
# growth


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_a_power_law_has_its_exponent_as_slope(exponent):
    sizes = (4, 16, 64, 1024)
    found = growth.power({size: 3e-4 * size**exponent for size in sizes})
    assert found == pytest.approx(exponent, abs=1e-12)


def test_a_single_point_has_no_slope():
    assert growth.power({5: 1.0}) is None
    found = growth.describe(axis(), {"5": common.summary([1.0], peak_memory_bytes=None)})
    assert (found["slope"], found["within"], found["bytes_per_unit"]) == (None, None, None)


def test_the_upper_half_holds_the_middle():
    assert list(growth.upper_half(dict.fromkeys(range(5)))) == [2, 3, 4]
    assert list(growth.upper_half(dict.fromkeys(range(4)))) == [2, 3]


@pytest.mark.parametrize(
    ("bar", "slopes", "expected"),
    [
        (growth.LINEAR, [1.0], True),
        (growth.LINEAR, [0.9], True),
        (growth.LINEAR, [0.89], False),
        (growth.LINEAR, [1.11], False),
        (growth.AT_MOST_LINEAR, [0.2, 1.0], True),
        (growth.AT_MOST_LINEAR, [0.2, 1.2], False),
        (growth.AT_MOST_LINEAR, [1.2, 1.0], False),
        (growth.ANY, [-0.5], None),
        (growth.LINEAR, [], None),
    ],
)
def test_slopes_are_held_against_the_bar(bar, slopes, expected):
    assert growth.within(bar, slopes) is expected


def test_growth_is_described_by_slopes_and_bytes():
    flat = axis(starts_flat=True, bar=growth.AT_MOST_LINEAR)
    found = growth.describe(flat, points([1.0, 1.0, 10.0], [500 + 7, 500 + 70, 500 + 700]))
    assert found["slope"] == pytest.approx(0.5)
    assert found["asymptotic"] == pytest.approx(1.0)
    assert found["within"] is True
    assert found["bytes_per_unit"] == pytest.approx(7.0)
    quadratic = growth.describe(axis(), points([1.0, 100.0, 1e4]))
    assert (quadratic["slope"], quadratic["within"]) == (pytest.approx(2.0), False)
    assert quadratic["asymptotic"] is None


def test_a_point_that_failed_is_left_out():
    found = points([1.0, 10.0, 100.0], [3, 30, 300])
    found["10"] = {**common.missing("killed"), "peak_memory_bytes": None}
    described = growth.describe(axis(), found)
    assert described["slope"] == pytest.approx(1.0)
    assert described["bytes_per_unit"] == pytest.approx(3.0)


def test_runs_are_long_where_steps_are_short_and_one_epoch_at_least():
    assert growth.run_epochs(growth.BASE) * 196 == pytest.approx(growth.RUN_STEPS, rel=0.02)
    assert growth.run_epochs({**growth.BASE, "items": 10**6}) == 1
    assert growth.run_epochs({**growth.BASE, "pairs": 10**7}) == 1
    many = {**growth.BASE, "pairs": 20_000, "members": 1024}
    assert growth.run_epochs(many) == growth.SWEEP_EPOCHS
    assert growth.run_epochs({**many, "members": 1}) > growth.SWEEP_EPOCHS


def test_every_axis_has_its_bar():
    assert set(growth.AXES) == {"items", "pairs", "dims", "batch", "members"}
    for name in ("pairs", "members"):
        assert growth.AXES[name].bar == (0.9, 1.1)
    for name in ("items", "dims"):
        assert growth.AXES[name].bar == (None, 1.1)
    for each in growth.AXES.values():
        assert list(each.sizes) == sorted(set(each.sizes))


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """Three axes and four points, since each point is a process."""
    sizes = {"items": (20, 40), "pairs": (100,), "members": (3,)}
    small = {"items": 30, "pairs": 700, "batch_size": 128}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(growth, "BASE", {**growth.BASE, **small})
        patch.setattr(growth, "RUN_STEPS", 8)
        axes = {
            name: growth.AXES[name]._replace(sizes=chosen, changes={})
            for name, chosen in sizes.items()
        }
        folder = tmp_path_factory.mktemp("growth")
        return sizes, growth.growth(setting(folder, repeats=2), axes)


def test_growth_has_a_point_for_every_size(grown):
    sizes, part = grown
    json.dumps(part)
    assert {name: list(found) for name, found in part.seconds.items()} == {
        name: list(map(str, chosen)) for name, chosen in sizes.items()
    }
    for name, found in part.details.items():
        for size, entry in found["points"].items():
            assert entry["reason"] is None
            assert part.seconds[name][size] == entry["median"] > 0
            assert len(entry["repeats"]) == 2
            assert entry[found["field"]] == int(size)
            if sys.platform == "linux":
                assert entry["peak_memory_bytes"] > 2**20
    assert isinstance(part.details["items"]["within"], bool)
    assert part.details["pairs"]["slope"] is None
    assert part.details["members"]["points"]["3"]["epochs_run"] == growth.SWEEP_EPOCHS


def test_growth_is_shown(grown, tmp_path):
    _, part = grown
    table = growth_shown.table(part.details, part.ratios)
    assert "| items | 20 | 40 |" in table
    assert "0.9 to 1.1" in table
    assert "at most 1.1" in table
    assert "- members: 30 items, 700 pairs, 2 dimensions, 128 pairs in a batch" in table
    assert growth_shown.draw(part.details, tmp_path) == ["growth.png"]
    assert (tmp_path / "growth.png").stat().st_size > 1000


def test_growth_goes_on_without_a_point(tmp_path, monkeypatch):
    def unavailable(self, asked):
        raise process.Unavailable("failed: it was killed")

    monkeypatch.setattr(process.Conversation, "run", unavailable)
    told = []
    axes = {"items": growth.AXES["items"]._replace(sizes=(20,))}
    part = growth.growth(setting(tmp_path, say=told.append), axes)
    assert told == ["skipped: items 20 (failed: it was killed)"]
    assert part.seconds == {"items": {"20": None}}
    assert "it was killed" in growth_shown.table(part.details, part.ratios)
    assert growth_shown.draw(part.details, tmp_path) == ["growth.png"]


# --------------------------------------------------------------------------------------------------
# startup


def test_startup_times_every_beginning(tmp_path):
    part = startup.startup(setting(tmp_path))
    json.dumps(part)
    assert list(part.seconds) == [
        "python",
        "import_package",
        "import_train",
        "compile_cold",
        "compile_warm",
        "first_frame_cold",
        "first_frame_warm",
    ]
    assert all(seconds is not None for seconds in part.seconds.values())
    frame = part.details["first_frame_cold"]
    assert set(frame["stages"]) == {"imports", "data", "train", "draw"}
    assert frame["epochs_run"] == 4
    assert frame["frame"] == [500, 1000, 3]
    assert part.ratios["first_frame_cold_over_first_frame_warm"] > 0
    assert "first_frame_warm: draw" in peer_table(part.details, part.ratios)


# --------------------------------------------------------------------------------------------------
# accelerator

SMALL = accelerator.Sizes(pairs=600, dims=(2,), widths=(1, 2), small_epochs=4)


def test_the_widest_sweep_runs_all_epochs():
    asked = accelerator.questions(500, accelerator.SIZES)
    assert [asked["sweep"][width]["epochs"] for width in asked["sweep"]] == [100] * 4 + [500]
    assert asked["floor"]["empty_scan"]["steps"] == 500 * 196


def test_without_an_accelerator_the_part_says_so(tmp_path, monkeypatch):
    """The processor is all that this peer sees, whatever the machine has."""
    answer = {"backend": "cpu", "device": "cpu", "versions": {}}
    monkeypatch.setattr(process.Conversation, "answer", lambda self: answer)
    told = []
    part = accelerator.accelerator(setting(tmp_path, say=told.append), SMALL)
    json.dumps(part)
    assert told == ["skipped: accelerator (JAX sees no GPU or TPU here)"]
    assert part.seconds == {
        "training": {"2d": None},
        "sweep": {"1": None, "2": None},
        "floor": {"empty_scan": None},
        "repeated": {"default": None, "deterministic_ops": None},
    }
    assert part.ratios == {"widest_sweep_over_empty_scan": None}
    table = accelerator.table(part.details, part.ratios)
    assert table == "Not measured: JAX sees no GPU or TPU here.\n"


def test_the_accelerator_part_runs_on_the_processor_when_told_to(tmp_path):
    part = accelerator.accelerator(setting(tmp_path), SMALL, on_processor=True)
    json.dumps(part)
    for entries in part.seconds.values():
        assert all(seconds > 0 for seconds in entries.values())
    assert part.details["device"]["backend"] == "cpu"
    assert part.details["sweep"]["1"]["scaled"] is True
    assert part.details["sweep"]["2"]["scaled"] is False
    for entry in part.details["repeated"].values():
        assert entry["same_bits"] is True
    table = accelerator.table(part.details, part.ratios)
    assert "widest_sweep takes" in table
    assert "- deterministic ops: the same training again gives the same bits" in table
