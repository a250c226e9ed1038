"""The part large at small sizes, and the sums that its sentences are made from.

Nothing here asserts how long anything takes.
"""

import json
import sys

import pytest
from test_benchmark_growth import setting

from experiments.benchmark import large
from experiments.benchmark.common import summary
from experiments.benchmark.kinds import KINDS
from experiments.benchmark.peers import process

SMALL = large.Sizes(
    grown=((40, 700),),
    batches=(128,),
    dim=4,
    items=(20, 50),
    steps=(2, 3),
    pairs=1000,
)
RUNS = ["keras_adam 128", "lazy_adam 128"]


def test_the_bar_is_measured():
    assert large.SIZES.grown[-1] == (100_000, 10_000_000)
    assert large.SIZES.dim == 16
    assert set(large.SIZES.batches) == {512, 8192}
    assert KINDS["large"].run is large.large


@pytest.mark.parametrize("batch", [512, 8192])
@pytest.mark.parametrize("items", large.SIZES.items)
def test_timed_epochs_have_steps_enough_and_not_too_many(items, batch):
    dense, lazily = (
        large._steps(optimizer, batch, items, large.SIZES) for optimizer in large.OPTIMISERS
    )
    assert 50 <= dense <= lazily <= 4000
    assert lazily * batch <= large.SIZES.pairs
    # At least fifty times over the table, and that is the end of it.
    assert dense == 50 or dense * items * 16 <= 8e8


def test_where_lazy_pays_lies_between_two_points_on_log_scales():
    # From 1/2 to 2 the crossing is half way; from 1/4 to 2 it is two thirds of the way.
    assert large.pays_from({"100": 0.5, "10000": 2.0}) == pytest.approx(1000)
    assert large.pays_from({"1": 0.25, "1000": 2.0, "9000": 8.0}) == pytest.approx(100)
    # The last crossing counts, and points that were not measured are passed over.
    assert large.pays_from({"1": 2.0, "10": 0.5, "30": None, "1000": 2.0}) == pytest.approx(100)
    assert large.pays_from({"10": 2.0, "100": 3.0}) is None
    assert large.pays_from({"10": 0.2, "100": 0.9}) is None
    assert large.pays_from({"10": 0.2, "100": 1.5, "1000": 0.9}) is None
    assert large.pays_from({}) is None


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return large.large(setting(tmp_path_factory.mktemp("large"), repeats=2), SMALL)


def test_large_has_a_point_for_every_size(found):
    json.dumps(found)
    assert list(found.seconds) == ["epoch", "step"]
    for unit, sizes in (("epoch", ["40"]), ("step", ["20", "50"])):
        assert list(found.seconds[unit]) == RUNS
        for name, by_items in found.details[unit].items():
            assert list(by_items) == sizes
            for items, entry in by_items.items():
                assert entry["reason"] is None
                assert found.seconds[unit][name][items] == entry["median"] > 0
                assert len(entry["repeats"]) == 2
                assert f"{entry['optimizer']} {entry['batch_size']}" == name
                assert entry["steps"] == -(-entry["pairs"] // 128)
    for name in RUNS:
        entry = found.details["epoch"][name]["40"]
        assert (entry["items"], entry["pairs"], entry["steps"], entry["epochs"]) == (40, 700, 6, 3)
        assert entry["data_bytes"] == 12 * 700
        assert 0.1 < entry["floor"] < 0.69
        assert 0.5 < entry["loss"] < 1
        if sys.platform == "linux":
            assert entry["peak_memory_bytes"] > entry["memory_before_bytes"] > 2**20
    both = [found.seconds["step"][name]["50"] for name in RUNS]
    assert found.ratios["step"]["128"]["50"] == pytest.approx(both[0] / both[1])


def test_large_is_shown(found, tmp_path):
    table = large.table(found.details, found.ratios)
    assert "| dense Adam, 128 pairs | 40 | 700 | 6 |" in table
    assert "- lazy Adam, 128 pairs: 40 items and 700 pairs take" in table
    assert "GiB at most, which fits in 24 GiB" in table or sys.platform != "linux"
    assert "| dense over lazy, 128 pairs |" in table
    assert large.draw(found.details, tmp_path) == ["large.png"]
    assert (tmp_path / "large.png").stat().st_size > 1000


def test_large_says_from_where_the_lazy_one_pays():
    def entry(items, seconds):
        sizes = {"items": items, "pairs": 10 * items, "dim": 16}
        return {**summary([seconds]), **sizes, "peak_memory_bytes": 25 * 2**30}

    details = {
        "epoch": {"keras_adam 512": {"100": entry(100, 0.5), "1000": entry(1000, 50)}},
        "step": {
            "keras_adam 512": {"100": entry(100, 1e-5), "10000": entry(10_000, 1e-3)},
            "lazy_adam 512": {"100": entry(100, 1e-4), "10000": entry(10_000, 1e-4)},
        },
    }
    told = list(large._sentences(details, {"step": {"512": {"100": 0.1, "10000": 10.0}}}))
    assert told == [
        "dense Adam, 512 pairs: 1,000 items and 10,000 pairs take 50 s per epoch, 25.00 GiB at "
        "most, which does not fit in 24 GiB; time grows as the 2.00th power of the size.",
        "512 pairs in a batch: the lazy step is the faster one from about 1,000 items on, a table "
        "of 16,000 numbers; with 10,000 items dense Adam takes 10 times as long.",
        "512 pairs in a batch: with 100 times the items a lazy step takes 1.0 times as long.",
    ]


def test_large_goes_on_without_a_process(tmp_path, monkeypatch):
    def unavailable(self):
        raise process.Unavailable("failed: it was killed")

    monkeypatch.setattr(process.Conversation, "answer", unavailable)
    told = []
    part = large.large(setting(tmp_path, say=told.append), SMALL._replace(items=(20,)))
    assert told[0] == "skipped: keras_adam 128 (failed: it was killed)"
    assert part.seconds["epoch"] == {name: {"40": None} for name in RUNS}
    assert part.ratios["step"] == {"128": {"20": None}}
    assert "it was killed" in large.table(part.details, part.ratios)
    assert large.draw(part.details, tmp_path) == ["large.png"]
