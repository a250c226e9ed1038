"""The parts that take one training apart: every piece and every lever is there, and trains alike.

Nothing here asserts how long anything takes.
"""

import json
import re
from collections import Counter

import pytest
from test_benchmark import setting

from experiments.benchmark import levers, steps
from experiments.benchmark.common import Kind, Part
from experiments.benchmark.record import describe_machine, markdown


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return setting(tmp_path_factory.mktemp("scratch"), epochs=2)


@pytest.fixture(scope="module")
def tried(small):
    return levers.levers(small)


@pytest.fixture(scope="module")
def taken_apart(small):
    return steps.steps(small)


def shown(name: str, kind: Kind, part: Part) -> str:
    """The part's section as benchmark.md has it, after a visit to benchmark.json."""
    details, ratios = json.loads(json.dumps([part.details, part.ratios]))
    record = {
        "details": {name: details},
        "ratios": {name: ratios},
        "machine": describe_machine(),
    }
    return markdown(record, {name: kind})


def test_every_piece_of_a_step_has_its_seconds(taken_apart):
    names = {*steps.PIECES, "pieces", "whole"}
    for dim in ("2d", "3d"):
        seconds, details = taken_apart.seconds[dim], taken_apart.details[dim]
        assert set(seconds) == set(details) == names
        assert seconds["whole"] > 0
        assert sum(seconds[name] for name in steps.PIECES) == pytest.approx(seconds["pieces"])
        for entry in details.values():
            assert len(entry["repeats"]) == steps.ROUNDS
        assert taken_apart.ratios[dim]["pieces_over_whole"] > 0


def test_pieces_are_differences_of_programs_that_grow():
    grown = {name: [1.0 * place, 2.0 * place] for place, name in enumerate(steps.PIECES, 1)}
    entries = steps.piece_entries({**grown, "whole": [9.0, 18.0]})
    for name in steps.PIECES:
        assert entries[name]["repeats"] == [1.0, 2.0]
        assert entries[name]["median"] == 1.5
    assert entries["pieces"]["repeats"] == [8.0, 16.0]
    # A piece that its neighbour made cheaper is reported as it is.
    entries = steps.piece_entries({**grown, "adam": [5.0, 10.0], "whole": [9.0, 18.0]})
    assert entries["adam"]["median"] == -1.5


def test_the_steps_are_shown(taken_apart, tmp_path):
    text = shown("steps", Kind(steps.steps, steps.table, steps.draw), taken_apart)
    for label in steps.PIECES.values():
        assert f"| {label} |" in text
    for dim in ("2d", "3d"):
        share = 100 * taken_apart.ratios[dim]["pieces_over_whole"]
        assert f"{dim}: the pieces come to {share:.0f} % of the whole" in text
    assert steps.draw(taken_apart.details, tmp_path) == ["steps.png"]
    assert (tmp_path / "steps.png").stat().st_size > 0


def test_every_lever_trains_what_we_ship(tried):
    from experiments.benchmark.variants import LEVERS

    names = [lever.name for lever in LEVERS]
    assert len(set(names)) == len(names)
    assert list(tried.seconds) == list(tried.details) == [levers.SHIPPED, *names, levers.AGAIN]
    assert set(tried.ratios) == {f"{name}_over_shipped" for name in [*names, levers.AGAIN]}
    for lever in LEVERS:
        entry = tried.details[lever.name]
        assert entry["what"] == lever.what
        if entry["reason"] == "this XLA has no such option":
            assert entry["median"] is tried.seconds[lever.name] is entry["verdict"] is None
            continue
        assert entry["reason"] is None
        assert entry["loss"] == pytest.approx(entry["loss_of_ours"], abs=0.003)
        if lever.same_order:
            assert entry["loss"] == pytest.approx(entry["loss_of_ours"], abs=levers.SAME_LOSS)
        assert entry["verdict"] in (levers.PAID, levers.NO_DIFFERENCE, levers.DID_NOT_PAY)
        assert entry["ratio_range"][0] <= entry["ratio_half"][0] <= entry["ratio"]
        assert tried.seconds[lever.name] > 0


def test_what_the_variants_are_made_of_is_what_we_ship(small):
    """Where this fails, `train.run_epochs` or `model.logits` has changed and they have not."""
    from experiments.benchmark import programs, variants

    start = programs.make_start(2, small)
    functions = (
        programs.shipped(start),
        programs.spelt_out(start),
        programs.spelt_out(start, logits_fn=variants.logits_by()),
    )
    texts = [variants.Variant(each).compiled(start, 2).text() for each in functions]
    ours, *others = (Counter(re.findall(r" ([a-z][\w-]*)\(", text)) for text in texts)
    assert ours["while"] > 0
    for operations in others:
        assert operations == ours


def test_the_levers_are_shown(tried):
    text = shown("levers", Kind(levers.levers, levers.table), tried)
    page = levers.page(tried.details)
    for name, entry in tried.details.items():
        if name in (levers.SHIPPED, levers.AGAIN):
            continue
        told = entry["what"][0].upper() + entry["what"][1:]
        assert f"| {entry['what']} |" in text
        assert page.count(f"- {told}: ") == 1
    for sentences in (text, page):
        assert f"{1e3 * tried.seconds[levers.SHIPPED]:.2f} ms per epoch" in sentences


LONGER, SHORTER = [1.04, 1.05, 1.05, 1.2], [0.9, 0.94, 0.94, 0.96]


@pytest.mark.parametrize(
    ("in_use", "ratios", "verdict"),
    [
        (True, LONGER, levers.PAID),
        (True, SHORTER, levers.DID_NOT_PAY),
        (False, SHORTER, levers.PAID),
        (False, LONGER, levers.DID_NOT_PAY),
        (True, [1.01, 1.02, 1.02, 1.03], levers.NO_DIFFERENCE),  # too little
        (True, [0.8, 0.9, 1.2, 1.3], levers.NO_DIFFERENCE),  # the middle half holds 1
        (False, [1.0, 1.0, 1.0, 1.0], levers.NO_DIFFERENCE),
    ],
)
def test_the_verdict_follows_from_the_ratios(in_use, ratios, verdict):
    assert levers.judge(in_use, ratios) == verdict


def ready(loss=0.5, **changes):
    values = {"name": "fewer_digits", "what": "fewer digits", "in_use": False, "build": None}
    lever = levers.Lever(**{**values, **changes})
    return levers.Ready(lever, None, epochs=3, members=1, loss=loss)


@pytest.mark.parametrize("loss", [0.502, float("nan")])
def test_a_lever_with_another_loss_does_not_count(loss):
    found = [[1.0, 0.5], [2.0, 1.0]]
    entry = levers.lever_entry(ready(loss), found, 0.5)
    assert "its loss after epoch 3 is" in entry["reason"]
    assert levers.lever_entry(ready(0.5), found, 0.5)["verdict"] == levers.PAID
    assert levers.lever_entry(ready(0.502, same_order=False), found, 0.5)["reason"] is None


def test_the_page_says_what_the_figures_say():
    def entry(what, in_use, ratios):
        one = ready(what=what, in_use=in_use)
        told = {"what": what, "in_use": in_use, "verdict": None}
        return told | levers.lever_entry(one, [[1.0, ratio] for ratio in ratios], 0.5)

    details = {
        "shipped": {"median": 0.002, "epochs_run": 3},
        "again": entry("nothing", False, [1.0, 1.0, 1.0, 1.0]),
        "first": entry("`this`", True, [1.5, 1.5, 1.5, 1.5]),
        "second": entry("that", False, SHORTER),
        "third": entry("another", True, [1.0, 1.0, 1.0, 1.0]),
        "fourth": entry("a fourth", False, LONGER),
    }
    page = levers.page(details)
    paid, neither, did_not = (
        page.index(f"## {levers.SECTIONS[verdict]}\n")
        for verdict in (levers.PAID, levers.NO_DIFFERENCE, levers.DID_NOT_PAY)
    )
    assert paid < page.index("- `this`: without it an epoch takes 1.50 times as long") < neither
    assert paid < page.index("- That: with it an epoch takes 0.94 times as long") < neither
    assert neither < page.index("- Another: without it an epoch takes 1.00 times") < did_not
    assert did_not < page.index("- A fourth: with it an epoch takes 1.05 times as long")
    assert page.count("; in use.") == 1
    assert page.count("; in use, though.") == 1
    assert page.count("; not in use.") == 1
    assert page.count("; not in use, though.") == 1
    assert "Not counted" not in page
