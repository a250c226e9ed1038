"""The studies: their rules on made-up tables, their own arithmetic, the program, its results."""

import dataclasses
import json
import math
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import matplotlib.colors
import numpy as np
import pandas as pd
import pytest
import scipy.optimize
import scipy.spatial.distance
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from colour_embed import data
from colour_embed.config import Config, InputError
from colour_embed.evaluate import scores
from colour_embed.evaluate.cielab import srgb_to_lab
from colour_embed.evaluate.intervals import interquartile_mean
from colour_embed.evaluate.truth import (
    all_pairs,
    base_rate_loss,
    best_loss,
    make_truth,
    probability_similar,
)
from colour_embed.io import run_folder
from experiments.claims import (
    amount,
    common,
    dimension,
    drawing,
    emergence,
    plane,
    ratio,
    report,
    sign,
    space,
    surface,
)
from experiments.claims.common import FAILS, HOLDS, IN_PART, Evidence, Finding, Setting
from experiments.claims.studies import STUDIES

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "results" / "claims"
RGB = data.load_colours().rgb
# As they are drawn: in both orders, and those of an item with itself among them.
EVERY_PAIR = np.stack(np.indices((len(RGB), len(RGB))), axis=-1).reshape(-1, 2)

# What the tutorial says, word for word; "[...]" in a quote stands for what a study leaves out.
TUTORIAL = """
Great! A hundred thousand colour combinations. However, this is still useless.

In our case, we'll define a similarity metric ourselves, by just using the distance the two colours
are from each other.

You can generate whatever ratio you like, it won't actually change how the rest of this example
runs.

It doesn't matter!

The reason we don't care, is because the `Lambda` layer is connected to a single `Dense` layer,
which will also train its weight and bias. If the weight is negative and bias positive, it will act
as an inverting mechanism. Neural networks really are magic!

This is beautiful. From the starting randomly initialised mess, quickly structure emerges. You can
see the black to white gradient down the middle, with blue and red being split on either side.
Green, being in between and limited by 2D space, gets stuck in between.

Just for fun, lets move to 3D space. Many embeddings are normalised such that the magnitude of each
embedded vector is one, so I was tempted to do that for this example... but then we'd be back to a
2D surface (the surface of the unit sphere).

And with the beauty of one more dimension, we can see that the RGB colour clusters can start to be
separated independently.
"""


def above(value):
    """The next number."""
    return math.nextafter(value, math.inf)


def below(value):
    """The number before."""
    return math.nextafter(value, -math.inf)


# --------------------------------------------------------------------------------------------------
# The rules, on tables that were made up


def _cell(value, low=None, high=None, **names):
    """A row as `intervals` and `shares` write it."""
    interval = {"low": value if low is None else low, "high": value if high is None else high}
    return {**names, "value": value, **interval}


def _told(finding, what):
    """The one piece of evidence whose words begin like this."""
    [found] = [one for one in finding.evidence if one.what.startswith(what)]
    return found


def _sign_tables(low=0.3, high=0.6, barrier=0.036, base_rate=0.533):
    names = list(sign.HEADS)
    shares, by_start, quality = [], [], []
    for name in names:
        for dim in sign.DIMS:
            own = (low, high) if (name, dim) == ("free weight", 2) else (0.89, 1.0)
            counts = {"name": name, "dim": dim, "members": 32, "successes": 32}
            shares.append(_cell(sum(own) / 2, *own, **counts))
            quality.append(_cell(0.01 * (2 + names.index(name)), **counts, measure="excess_kl"))
            for start, successes in (("negative", 15), ("positive", 1)):
                at = {**counts, "start": start, "members": 16, "successes": successes}
                by_start.append(_cell(successes / 16, **at))
    path = [
        {"seed": seed, "path": kind, "share": share, "loss": loss, "base_rate_loss": base_rate}
        for seed in range(3)
        for kind in ("straight", "through zero")
        for share, loss in ((0.0, base_rate - barrier), (0.5, base_rate), (1.0, 0.35))
    ]
    tables = {
        "shares": shares,
        "shares_by_start": by_start,
        "quality": quality,
        "path": path,
    }
    return {name: pd.DataFrame(rows) for name, rows in tables.items()}


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.9, 1.0, HOLDS),
        (0.95, 0.97, HOLDS),
        (below(0.9), 1.0, IN_PART),
        (0.5, 0.9, IN_PART),
        (0.5, below(0.9), FAILS),
        (0.0, 0.1, FAILS),
    ],
)
def test_sign_goes_by_the_share_of_the_free_weight_in_2d(low, high, verdict):
    finding = sign.judge(_sign_tables(low, high))
    assert finding.verdict == verdict
    assert _told(finding, "free weight, 2-D: share")[2:] == (low, high)
    assert "15 of 16 trainings with a negative initial weight and 1 of 16" in finding.answer
    assert "32 of 32 with the negative weight, 32 of 32 with the matched link" in finding.answer


def test_sign_tells_the_height_of_the_barrier():
    finding = sign.judge(_sign_tables(barrier=0.036))
    assert _told(finding, "barrier")[1:] == pytest.approx((0.036, 0.036, 0.036))
    assert _told(finding, "base-rate loss").value == 0.533
    assert _told(finding, "least excess KL in 3-D, free weight").value == 0.02
    assert "0.0360 below that, so gradient descent cannot cross it." in finding.answer
    assert "cannot cross" not in sign.judge(_sign_tables(barrier=0.0)).answer


def _ratio_tables(changes, middle=0.0):
    """With these changes of Spearman in the first cells, and none in the others."""
    left, rows = list(changes), []
    for method in ratio.METHODS:
        for dim in ratio.DIMS:
            for share in ratio.SHARES:
                change = left.pop(0) if left and share != ratio.TUTORIAL else 0.0
                names = {"method": method, "dim": dim, "share": share}
                rows.append(_cell(middle + change, **names, measure="spearman"))
                rows.append(_cell(0.01, **names, measure="excess_kl"))
    return {"summary": pd.DataFrame(rows)}


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ([0.02, -0.02], HOLDS),
        ([above(0.02)], IN_PART),
        ([-0.03] * 10, IN_PART),
        ([-0.03] * 11, FAILS),
        ([0.03] * 20, FAILS),
    ],
)
def test_ratio_counts_the_settings_that_change(changes, verdict):
    finding = ratio.judge(_ratio_tables(changes))
    assert finding.verdict == verdict
    same = 20 - sum(abs(change) > 0.02 for change in changes)
    assert finding.answer.startswith(f"In {same} of 20 settings")


def test_ratio_names_the_worst():
    answer = ratio.judge(_ratio_tables([0.0] * 8 + [0.01, -0.125], middle=0.75)).answer
    assert "-0.125, in 3-D at 60 % positives by label constant" in answer


def _plane_tables(gradient=0.9, shares=(0.9, 0.9, 0.9), green=0.4, others=(0.5, 0.6)):
    """By the safe ends of the intervals: the low ones, but for green the high one."""
    rows = [_cell(gradient + 0.05, gradient, gradient + 0.1, measure="r2_lightness")]
    for name, value in zip(plane.HUES, (others[0], green, others[1])):
        ends = (0, value) if name == "green" else (value, 1)
        rows.append(_cell(value, *ends, measure=f"r2_{name}_beyond_lightness"))
        rows.append(_cell(0.5, measure=f"across_{name}"))
    rows.append(_cell(0.1, measure="across_grey"))
    often = [_cell(1, low, 1, measure=part) for part, low in zip(plane.PARTS, shares)]
    return {"summary": pd.DataFrame(rows), "shares": pd.DataFrame(often)}


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({}, 5),
        ({"gradient": 0.8, "shares": (0.8, 0.8, 0.8), "green": below(0.5)}, 5),
        ({"gradient": below(0.8)}, 4),
        ({"shares": (below(0.8), 0.9, 0.9)}, 4),
        ({"shares": (0.9, below(0.8), 0.9)}, 4),
        ({"shares": (0.9, 0.9, below(0.8))}, 4),
        ({"green": 0.5}, 4),
        ({"others": (0.6, 0.4)}, 4),
        ({"gradient": 0.5, "shares": (0, 0, 0)}, 1),
        ({"gradient": 0.5, "shares": (0, 0, 0.85), "green": 0.9}, 1),
        ({"gradient": 0.5, "shares": (0.5, 0.5, 0.5), "green": 0.9}, 0),
    ],
)
def test_plane_counts_five_parts(changes, kept):
    finding = plane.judge(_plane_tables(**changes))
    assert finding.verdict == (HOLDS if kept == 5 else IN_PART if kept else FAILS)
    assert finding.answer.startswith(f"{kept} of 5 parts hold")
    assert finding.answer.count(", yes") == kept


def _dimension_tables(low=0.95, flat_high=0.7, selected=3, floor=0.3):
    rows = []
    for dim in dimension.DIMS:
        least = {2: (0.6, 0.5, flat_high), 3: (0.96, low, 0.97)}.get(dim, (0.9,))
        rows.append(_cell(*least, dim=dim, measure="least_r2"))
        rows += [
            _cell(0.4 - 0.01 * dim, dim=dim, measure=name)
            for name in ("train_loss", "heldout_loss", "procrustes", *dimension.CHANNEL_MEASURES)
        ]
    selection = [
        {"dim": dim, "selected": dim == selected, "floor": floor} for dim in dimension.DIMS
    ]
    lowest = [_cell(0.75, 0.6, 0.9, measure="is_true", members=32, successes=24)]
    tables = {"summary": rows, "selection": selection, "lowest": lowest}
    return {name: pd.DataFrame(rows) for name, rows in tables.items()}


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, HOLDS),
        ({"low": 0.9}, HOLDS),
        ({"low": below(0.9)}, IN_PART),
        ({"low": 0.95, "flat_high": below(0.95)}, HOLDS),
        ({"low": 0.95, "flat_high": 0.95}, IN_PART),
        ({"selected": 2}, IN_PART),
        ({"selected": 4}, IN_PART),
        ({"selected": 4, "low": below(0.9)}, FAILS),
    ],
)
def test_dimension_has_two_parts(changes, verdict):
    finding = dimension.judge(_dimension_tables(**changes))
    assert finding.verdict == verdict
    selected = changes.get("selected", 3)
    assert _told(finding, "dimension that the held-out loss selects").value == selected
    assert f"selects d = {selected}, and is least in 3-D for 24 of 32 seeds" in finding.answer


def test_dimension_reports_where_overfitting_begins():
    # The made-up training loss is 0.4 - 0.01 d.
    assert (
        "from 6 dimensions on it is below the Bayes-optimal loss"
        in dimension.judge(_dimension_tables(floor=0.345)).answer
    )
    answer = dimension.judge(_dimension_tables(floor=0.3)).answer
    assert "it stays above" in answer
    assert "sufficient for overfitting, not necessary. 0.3000 is the expected loss" in answer
    # On the tutorial's own labels it is that of results/tutorial.
    drawn = json.loads((ROOT / "results/tutorial/metrics.json").read_text())["2d"]["best_loss"]
    assert common.drawn_floor() == pytest.approx(drawn)
    assert f"have the loss {drawn:.4f}" in answer


def _surface_tables(low, high):
    places = [_cell((low + high) / 2, low, high, dim=3), _cell(0.9, dim=2), _cell(0.1, dim=4)]
    summary = [
        _cell(0.35, rows=rows, dim=dim, measure="heldout_loss")
        for rows, dims in (("plain", surface.PLAIN), ("normalised", surface.NORMALISED))
        for dim in dims
    ]
    return {"places": pd.DataFrame(places), "summary": pd.DataFrame(summary)}


@pytest.mark.parametrize(
    ("low", "high", "verdict", "words"),
    [
        (0.0, below(0.5), HOLDS, "includes 0, so that no effect"),
        (0.07, 0.12, HOLDS, "lowers the loss, by less than half"),
        (0.3, 0.4, HOLDS, "less than half"),
        (-0.9, -0.7, HOLDS, "increases the loss"),
        (0.4, 0.5, IN_PART, "less than half"),
        (below(0.5), 0.9, IN_PART, "at least half"),
        (0.5, 0.9, FAILS, "at least half"),
    ],
)
def test_surface_goes_by_the_place_of_normalised_3d(low, high, verdict, words):
    finding = surface.judge(_surface_tables(low, high))
    assert finding.verdict == verdict
    assert words in finding.answer
    assert f"{(low + high) / 2:.3f} [{low:.3f}, {high:.3f}]" in finding.answer
    assert _told(finding, "place of normalised 3-D")[2:] == (low, high)


@pytest.mark.parametrize(
    ("normalised", "words"), [(0.3491, "which is within the margin"), (0.339, "not within")]
)
def test_surface_says_what_the_effect_is_worth(normalised, words):
    tables = _surface_tables(0.07, 0.12)
    summary = tables["summary"]
    for rows, dim, loss in (("normalised", 3, normalised), ("plain", 4, 0.356)):
        chosen = (summary["rows"] == rows) & (summary["dim"] == dim)
        summary.loc[chosen, ["value", "low", "high"]] = loss, loss - 1e-4, loss + 1e-4
    finding = surface.judge(tables)
    assert words in finding.answer
    told = _told(finding, "held-out loss, plain 2-D less normalised 3-D")
    gain = 0.35 - normalised
    assert told[1:] == pytest.approx((gain, gain - 1e-4, gain + 1e-4))
    # There is no way towards a loss that is higher.
    assert "worse than plain 3-D, by 0.0060, so that normalised 4-D has no place" in finding.answer
    assert not [one for one in finding.evidence if one.what.startswith("place of normalised 4-D")]


def _emergence_tables(ends=(40.0, 40.0), epochs=500, value=20.0, slow=200.0):
    """The upper ends in 2-D and 3-D at the tutorial's learning rate; time goes as 1 / rate."""
    rows = []
    for dim in emergence.DIMS:
        for rate in emergence.RATES:
            at = value * 1e-3 / rate if rate >= 1e-3 else slow
            high = ends[dim - 2] if dim > 1 and rate == 1e-3 else at
            names = {"dim": dim, "learning_rate": rate, "epochs": epochs}
            rows.append(_cell(at, at, high, **names, measure="epochs_to_most"))
    return {"summary": pd.DataFrame(rows)}


@pytest.mark.parametrize(
    ("ends", "epochs", "verdict"),
    [
        ((50.0, 50.0), 500, HOLDS),
        ((above(50.0), 50.0), 500, IN_PART),
        ((50.0, above(50.0)), 500, IN_PART),
        ((above(50.0), 60.0), 500, FAILS),
        ((50.0, 50.0), 499, FAILS),
        ((math.nan, math.nan), 500, FAILS),
    ],
)
def test_emergence_goes_by_a_tenth_of_the_epochs(ends, epochs, verdict):
    finding = emergence.judge(_emergence_tables(ends, epochs))
    assert finding.verdict == verdict
    assert f"20.0 epochs in 2-D and 20.0 in 3-D, of {epochs}" in finding.answer
    assert "in steps, 3,920 and 3,920." in finding.answer  # 196 of 512 pairs make 100,000


def test_emergence_counts_the_steps_of_its_own_pairs():
    tables = _emergence_tables()
    tables["summary"] = tables["summary"].assign(pairs=3000)
    assert "in steps, 120 and 120. The share" in emergence.judge(tables).answer


def test_emergence_finds_the_power_and_does_without_what_did_not_emerge():
    exact = emergence.judge(_emergence_tables(slow=20 / 0.3))
    assert "to the power -1.00." in exact.answer
    # One rate too slow to get anywhere, or with all its order there from the start.
    for slow in (math.nan, 0.0):
        assert "to the power -1.00." in emergence.judge(_emergence_tables(slow=slow)).answer
    assert "does not become positive" in emergence.judge(_emergence_tables(value=math.nan)).answer


def _amount_tables(fresh, train=0.31, own=(0.32, 0.32)):
    """Fresh losses as (value, low, high) by count; others are one nat."""
    rows = []
    for count in amount.COUNTS:
        rows.append(_cell(*fresh.get(count, (1.0,)), pairs=count, measure="fresh_loss"))
        rows.append(_cell(0.9, pairs=count, measure="spearman"))
        overfits = train if count <= 10_000 else 0.4
        rows.append(_cell(overfits, pairs=count, measure="train_loss"))
        rows.append(_cell(sum(own) / 2, *own, pairs=count, measure="own_floor"))
    return {"summary": pd.DataFrame(rows)}


@pytest.mark.parametrize(
    ("tutorial", "most", "verdict", "enough"),
    [
        ((0.005, 0.004, 0.01), (0.001, 0.0, 0.002), HOLDS, 100_000),
        ((0.005, 0.004, above(0.01)), (0.001, 0.0, 0.002), IN_PART, 100_000),
        ((0.005, 0.004, 0.01), (0.001, -1e-9, 0.002), IN_PART, 100_000),
        ((0.01, 0.0, 0.02), (0.0, 0.0, 0.0), IN_PART, 100_000),
        ((above(0.01), 0.0, 0.02), (0.0, 0.0, 0.0), FAILS, 1_000_000),
        ((0.5, 0.4, 0.6), (0.1, 0.0, 0.2), FAILS, 1_000_000),
    ],
)
def test_amount_asks_what_a_million_would_add(tutorial, most, verdict, enough):
    finding = amount.judge(_amount_tables({100_000: tutorial, 1_000_000: most}))
    assert finding.verdict == verdict
    assert _told(finding, "fewest pairs that are enough").value == enough
    assert ("not yet enough" in finding.answer) == (enough > 100_000)
    gap = _told(finding, "loss on fresh labels, 100,000 pairs less 1,000,000")
    ends = tutorial[0] - most[0], tutorial[1] - most[2], tutorial[2] - most[1]
    assert gap[1:] == pytest.approx(ends)
    assert f"lower it by {ends[0]:.4f} [{ends[1]:.4f}, {ends[2]:.4f}] nats" in finding.answer


def test_amount_says_how_near_the_threshold_is():
    near = amount.judge(_amount_tables({100_000: (0.3401,), 1_000_000: (0.3292,)}))
    assert "0.0009 nats above the threshold of 0.01, or 9 % of it" in near.answer
    safe = amount.judge(_amount_tables({100_000: (0.33,), 1_000_000: (0.3292,)}))
    assert "0.0092 nats below the threshold of 0.01, or 92 % of it" in safe.answer
    assert "sufficient for overfitting, not necessary" in safe.answer


def test_amount_reports_where_overfitting_ends():
    fresh = {1_000_000: (0.3,)}
    finding = amount.judge(_amount_tables(fresh))
    assert _told(finding, "most pairs at which training overfits").value == 10_000
    assert "With 10,000 pairs or fewer" in finding.answer
    # Intervals that touch are not enough.
    none = amount.judge(_amount_tables(fresh, train=0.31, own=(0.31, 0.32)))
    assert "overfits at none of these numbers" in none.answer


def _space_tables(lows):
    rows, left = [], list(lows)
    for name in space.LISTS:
        for made_from in space.SPACES:
            names = {"colours": name, "made_from": made_from}
            low = left.pop(0)
            rows.append(_cell(low + 0.01, low, low + 0.02, **names, measure="lead"))
            rows += [_cell(0.9, **names, measure=f"spearman_{one}") for one in space.SPACES]
    return {"summary": pd.DataFrame(rows)}


@pytest.mark.parametrize(
    ("lows", "verdict"),
    [
        ([0.1] * 6, HOLDS),
        ([above(0.0)] * 6, HOLDS),
        ([0.1] * 5 + [0.0], IN_PART),
        ([-0.05] * 5 + [above(0.0)], IN_PART),
        ([0.0] * 6, FAILS),
        ([-0.05] * 6, FAILS),
    ],
)
def test_space_asks_for_a_lead_in_all_settings(lows, verdict):
    finding = space.judge(_space_tables(lows))
    assert finding.verdict == verdict
    ahead = sum(low > 0 for low in lows)
    assert finding.answer.startswith(f"In {ahead} of 6 settings")
    smallest = min(lows) + 0.01
    assert f"smallest difference in rank correlation is {smallest:.3f}" in finding.answer
    assert "correlate with each other by 0.72 (tutorial)" in finding.answer
    assert "would lead by 0.28" in finding.answer


def test_agreement_is_scipys():
    rgb = data.load_colours("css4").rgb
    lengths = [scipy.spatial.distance.pdist(points) for points in (rgb, srgb_to_lab(rgb))]
    expected = scipy.stats.spearmanr(*lengths).statistic
    assert space.agreement("css4") == pytest.approx(expected)


def test_differences_join_the_ends_that_are_furthest_apart():
    row, other = (pd.Series(_cell(*ends)) for ends in ((3.0, 2.5, 4.0), (1.0, 0.5, 1.25)))
    found = common.difference(row, other)
    assert found[["value", "low", "high"]].tolist() == [2.0, 1.25, 3.5]
    table = common.difference(pd.DataFrame([row, row]), other)
    assert table[["value", "low", "high"]].to_numpy().tolist() == [[2.0, 1.25, 3.5]] * 2
    assert common.told(found) == "2.000 [1.250, 3.500]"


# --------------------------------------------------------------------------------------------------
# The studies' own arithmetic


def _setting(**sizes):
    return Setting(**{"seeds": 32, "epochs": 500, "pairs": 100_000, "add": None, **sizes})


def test_some_seeds_are_a_part_and_two_at_the_least():
    assert [len(_setting().some_seeds(share)) for share in (1, 2, 8)] == [32, 16, 4]
    assert [len(_setting(seeds=3).some_seeds(share)) for share in (1, 2, 8)] == [3, 2, 2]


def _runs():
    generator = np.random.default_rng(0)
    runs = pd.DataFrame({"dim": [2, 3] * 12, "name": ["b"] * 12 + ["a"] * 12})
    runs["loss"] = generator.normal(size=24)
    runs["recovered"] = generator.random(24) < 0.7
    runs.loc[0, "loss"] = np.nan
    return runs


def test_intervals_are_of_each_group():
    runs = _runs()
    table = common.intervals(runs, ["name", "dim"], ["loss"])
    assert table[["name", "dim"]].to_numpy().tolist() == [["a", 2], ["a", 3], ["b", 2], ["b", 3]]
    assert table["members"].tolist() == [6, 6, 5, 6]
    values = runs[(runs["name"] == "a") & (runs["dim"] == 3)]["loss"].to_numpy()
    row = common.row_where(table, name="a", dim=3, measure="loss")
    # Of six, sorted: half of the second, the third and fourth, half of the fifth.
    second, third, fourth, fifth = np.sort(values)[1:5]
    assert row["value"] == pytest.approx((second / 2 + third + fourth + fifth / 2) / 3)
    expected = scipy.stats.bootstrap(
        (values,), interquartile_mean, method="percentile", n_resamples=20_000, rng=1
    ).confidence_interval
    assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high), abs=0.1)
    for row in common.intervals(runs.head(1), ["dim"], ["loss"]).to_dict("records"):
        assert row["members"] == 0
        assert np.isnan([row["value"], row["low"], row["high"]]).all()


def test_shares_are_wilsons():
    runs = _runs()
    for row in common.shares(runs, ["name", "dim"]).to_dict("records"):
        chosen = runs[(runs["name"] == row["name"]) & (runs["dim"] == row["dim"])]["recovered"]
        assert (row["successes"], row["members"]) == (chosen.sum(), 6)
        assert row["value"] == chosen.mean()
        expected = scipy.stats.binomtest(row["successes"], 6).proportion_ci(method="wilson")
        assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high))


def test_one_row_is_one_row():
    table = common.shares(_runs(), ["name", "dim"])
    assert common.row_where(table, name="a", dim=2)["members"] == 6
    for wanted, count in (({"name": "a"}, 2), ({"name": "c"}, 0)):
        with pytest.raises(ValueError, match=f"^{count} rows have"):
            common.row_where(table, **wanted)


@pytest.mark.parametrize(
    ("evidence", "text"),
    [
        (Evidence("seeds", 3), "seeds: 3"),
        (Evidence("pairs", 100_000.0), "pairs: 100000"),
        (Evidence("loss", 0.32255), "loss: 0.3226"),
        (Evidence("share", 0.5, 0.3, 1.0), "share: 0.5000 [0.3000, 1]"),
        (Evidence("change", -0.0123456, math.nan, None), "change: -0.01235"),
    ],
)
def test_evidence_reads_well(evidence, text):
    assert str(evidence) == text


@pytest.mark.parametrize(("share", "text"), [(0.02, "2 %"), (0.225, "22.5 %"), (0.6, "60 %")])
def test_shares_are_written_as_people_do(share, text):
    assert common.percent(share) == text


@pytest.mark.parametrize("share", [*ratio.SHARES, 0.01, 0.9])
def test_constant_of_gives_the_share_asked_for(share):
    constant = ratio.constant_of(share, RGB)
    generator = np.random.default_rng(0)
    index = generator.integers(0, len(RGB), (200_000, 2))
    diff = data.pair_diff(index, RGB)
    label = data.label_pairs(index, RGB, constant, generator.random(len(index)))
    exact = probability_similar(data.pair_diff(EVERY_PAIR, RGB), constant).mean()
    assert exact == pytest.approx(share, abs=1e-9)
    assert abs(label.mean() - share) < 4 * math.sqrt(share * (1 - share) / len(label))
    assert probability_similar(diff, constant).mean() == pytest.approx(share, abs=0.005)


@pytest.mark.parametrize("share", ratio.SHARES)
def test_resampled_pairs_have_the_share_asked_for_and_the_probability_told(share):
    count = 60_000
    pairs, held_out, truth = ratio.resampled(share, RGB, count)
    assert len(pairs) == len(pairs.label) == count
    assert pairs.index.dtype == np.int32
    assert abs(pairs.label.mean() - share) < 4 * math.sqrt(share * (1 - share) / count)

    # The odds by which the share of all that can be drawn becomes the one asked for.
    base = probability_similar(data.pair_diff(EVERY_PAIR, RGB)).mean()
    odds = share / (1 - share) * (1 - base) / base
    plain = make_truth(RGB).probability
    np.testing.assert_allclose(
        truth.probability, odds * plain / (odds * plain + 1 - plain), rtol=1e-9, atol=1e-200
    )

    # Held-out pairs: exactly those unseen, and their labels follow the truth that is told.
    seen = {tuple(sorted(pair)) for pair in pairs.index.tolist()}
    expected = [tuple(pair) not in seen for pair in all_pairs(len(RGB)).tolist()]
    np.testing.assert_array_equal(held_out.index, all_pairs(len(RGB))[expected])
    assert truth.floor == best_loss(truth.probability)
    known = truth.probability[expected]
    # Training pairs: the same truth, looked up by the pair.
    first, second = np.sort(pairs.index, axis=1).T.astype(np.int64)
    place = first * (2 * len(RGB) - first - 1) // 2 + second - first - 1
    own = np.where(first == second, 1.0, truth.probability[np.where(first == second, 0, place)])
    for label, probability in ((held_out.label, known), (pairs.label, own)):
        for low, high in ((0, 0.01), (0.01, 0.3), (0.3, 0.7), (0.7, 1.1)):
            chosen = (probability >= low) & (probability < high)
            spread = math.sqrt((probability * (1 - probability))[chosen].sum())
            assert abs((label - probability)[chosen].sum()) <= 4.5 * spread + 1e-9


@pytest.mark.parametrize(("odds", "keep"), [(0.25, (1, 0.25)), (1.0, (1, 1)), (5.0, (0.2, 1))])
def test_kept_probability_is_that_of_what_is_kept(odds, keep):
    generator = np.random.default_rng(1)
    probability = np.array([0.02, 0.3, 0.9])
    label = generator.random((200_000, 3)) < probability
    kept = generator.random(label.shape) < np.where(label, keep[1], keep[0])
    found = (label & kept).sum(axis=0) / kept.sum(axis=0)
    exact = ratio.kept_probability(probability, odds)
    assert np.all(np.abs(found - exact) < 4 * np.sqrt(exact * (1 - exact) / kept.sum(axis=0)))
    np.testing.assert_allclose(exact, odds * probability / (odds * probability + 1 - probability))
    np.testing.assert_allclose(
        ratio.kept_probability(np.array([0.0, 1.0]), odds), [0, 1], atol=1e-200
    )


@given(
    seed=st.integers(0, 1000),
    scale=st.sampled_from([0.0, 1.0, 30.0]),
    start=st.floats(-10, 10),
    share=st.floats(0.05, 0.95),
)
def test_best_bias_is_scipys(seed, scale, start, share):
    generator = np.random.default_rng(seed)
    logits = scale * generator.normal(size=60)
    label = (generator.random(60) < share).astype(np.float64)
    label[:2] = 0, 1  # without both kinds the best bias is infinite
    bias, loss = sign.best_bias(logits, label, start)
    expected = scipy.optimize.minimize_scalar(
        lambda bias: scores.cross_entropy(logits + bias, label),
        bracket=(-100.0, 100.0),
        options={"xtol": 1e-12},
    )
    assert loss == pytest.approx(expected.fun, abs=1e-9)
    assert abs(np.mean(expit(logits + bias) - label)) < 1e-8
    if scale == 0:
        assert bias == pytest.approx(math.log(label.mean() / (1 - label.mean())))
        assert loss == pytest.approx(base_rate_loss(label))


@pytest.mark.parametrize(
    ("quality", "expected"),
    [
        # Wanted is 0.9; halfway from 0.8 to 1, so at the geometric mean of 1 + 3 and 1 + 7.
        ([0.0, 0.4, 0.8, 1.0], math.sqrt(32) - 1),
        # There once and lost again: what counts is the last time, four fifths of the way.
        ([0.0, 0.95, 0.5, 1.0], 4 * 2**0.8 - 1),
        ([1.0, 1.0, 0.1, 1.0], 4 * 2 ** (8 / 9) - 1),
        ([0.9, 0.95, 0.9, 1.0], 0.0),  # there from the start, reached exactly
        ([0.0, 0.9, 1.0, 1.0], 1.0),
        ([5.0, 5.0, 5.0, 1.0], 0.0),
        ([0.0, 0.5, 0.5, 0.0], math.nan),
        ([0.5, 0.5, 0.5, -0.1], math.nan),
        ([0.5, 0.5, 0.5, math.nan], math.nan),
    ],
)
def test_epochs_to_most_by_hand(quality, expected):
    found = emergence.epochs_to(np.array([0, 1, 3, 7]), np.array(quality), 0.9)
    assert found == pytest.approx(expected, nan_ok=True)


def test_groups_by_hand():
    named = {
        "red": ([1, 0, 0], [0.3, 0, 0], [1, 0.5, 0.5], [1, 0.4, 0], [1, 0, 0.4]),
        "green": ([0, 1, 0], [0.4, 1, 0], [0, 1, 0.4]),
        "blue": ([0, 0, 1], [0.4, 0, 1], [0, 0.4, 1]),
        "grey": ([0, 0, 0], [1, 1, 1], [0.5, 0.5, 0.5], [1, 0.92, 0.92]),
        # Yellow, magenta and cyan lie between; too dark, too pale; neither grey nor vivid.
        "none": ([1, 1, 0], [1, 0, 1], [0, 1, 1], [0.29, 0, 0], [1, 0.51, 0.51], [1, 0.91, 0.91]),
    }
    rgb = np.array([colour for colours in named.values() for colour in colours], float)
    wanted = np.array([name for name, colours in named.items() for _ in colours])
    found = plane.groups(rgb)
    assert set(found) == {"red", "green", "blue", "grey"}
    for name, chosen in found.items():
        np.testing.assert_array_equal(chosen, wanted == name)


def _flat_map():
    """A map [items, 2] that is nothing but red less blue, and lightness."""
    lightness = srgb_to_lab(RGB)[:, 0] / 100
    return np.column_stack([RGB[:, 0] - RGB[:, 2], 2 * lightness]), lightness


def test_sides_of_a_made_up_map():
    vectors, lightness = _flat_map()
    turned = plane.sides(vectors, lightness, RGB)
    centred = vectors - vectors.mean(axis=0)
    radius = math.sqrt((centred**2).sum(axis=1).mean())
    # Lightness is a coordinate of the map, so its gradient is that axis.
    np.testing.assert_allclose(turned, centred / radius, atol=1e-12)
    np.testing.assert_allclose(turned.mean(axis=0), 0, atol=1e-12)
    assert (turned**2).sum(axis=1).mean() == pytest.approx(1)


@given(angle=st.floats(0, 7), mirrored=st.booleans(), scale=st.floats(0.1, 9))
def test_sides_do_not_depend_on_how_the_map_lies(angle, mirrored, scale):
    vectors, lightness = _flat_map()
    vectors = vectors + 0.2 * RGB[:, 1:]  # so that lightness is read from both coordinates
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    moved = scale * vectors @ turn * [-1 if mirrored else 1, 1] + [3, -5]
    expected = plane.sides(vectors, lightness, RGB)
    np.testing.assert_allclose(plane.sides(moved, lightness, RGB), expected, atol=1e-9)
    assert expected[plane.groups(RGB)["red"], 0].mean() > 0
    assert np.corrcoef(expected[:, 1], lightness)[0, 1] > 0


@pytest.mark.parametrize("name", space.LISTS)
def test_spaces_have_the_same_share_of_positives(name):
    rgb = data.load_colours(name).rgb
    found = space.spaces(rgb)
    index = all_pairs(len(rgb))
    for space_name, points in (("RGB", rgb), ("CIELAB", srgb_to_lab(rgb))):
        scaled = found[space_name]
        share = probability_similar(data.pair_diff(index, scaled)).mean()
        assert share == pytest.approx(space.POSITIVES, abs=1e-9)
        unit = scaled[0, 0] / points[0, 0]
        np.testing.assert_allclose(scaled, unit * points, rtol=1e-9, atol=1e-12)


def test_every_number_of_pairs_takes_the_tutorials_steps():
    batch_size = Config().batch_size
    for count in amount.COUNTS:
        batches = -(-count // batch_size)
        epochs = amount.epochs_for(count, _setting())
        # An epoch of a million pairs is 1,954 steps, so that 97,700 are the nearest.
        assert abs(epochs * batches - 98_000) <= min(batches / 2, 300)
    assert amount.epochs_for(100_000, _setting()) == 500
    assert amount.epochs_for(1_000_000, _setting(epochs=3)) == 1


def test_studies_say_what_they_do():
    assert list(STUDIES) == [
        *("sign", "ratio", "plane", "dimension", "surface", "emergence", "amount", "space"),
    ]
    said = " ".join(TUTORIAL.split())
    for study in STUDIES.values():
        for part in study.quote.split(" [...] "):
            assert part in said, f"{study.name}: {part}"
        method = report.filled(study.method, {"seeds": 32, "epochs": 500})
        assert "{" not in method
        assert "32 seeds" in method or "16 seeds" in method
    assert report.filled("{seeds} {half} {eighth} {epochs}", {"seeds": 3, "epochs": 9}) == "3 2 2 9"


# --------------------------------------------------------------------------------------------------
# The program

RUN = ["--only=plane,emergence", "--seeds=2", "--epochs=3", "--num_pairs=3000"]
TABLES = {
    "plane": ["map", "runs", "shares", "summary"],
    "emergence": ["curves", "runs", "summary"],
}


def _run(out, *arguments, status=0):
    done = subprocess.run(
        [sys.executable, "-m", "experiments.claims", f"--out={out}", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == status, done.stderr
    return done


def _refused(out, *arguments):
    """The one line that a refused call says."""
    done = _run(out, *arguments, status=2)
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def _bytes(folder, *left_out):
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name not in left_out}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("claims") / "out"
    return out, _run(out, *RUN)


@pytest.fixture
def copy(finished, tmp_path):
    return Path(shutil.copytree(finished[0], tmp_path / "out"))


def test_the_run_folder(finished):
    out, done = finished
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [
            *("claims.json", "config.json", "env.json", "report.md"),
            *(f"{name}.{suffix}" for name in TABLES for suffix in ("png", "pdf")),
            *(f"{name}_{table}.csv" for name, tables in TABLES.items() for table in tables),
        ]
    )
    # 2 seeds of a plane; 3 dimensions at 4 rates, 2 seeds each.
    assert "26 trainings in" in done.stdout
    about = json.loads((out / "config.json").read_text())
    assert {name: about[name] for name in ("experiment", "seeds", "epochs", "pairs")} == {
        **{"experiment": "claims", "seeds": 2, "epochs": 3, "pairs": 3000}
    }
    assert list(about["studies"]) == ["plane", "emergence"]
    for one in about["studies"].values():
        assert set(one) == {"seconds", "commit", "dirty"}
        assert one["seconds"] > 0
    for name in ("config.json", "env.json"):
        assert "/" not in (out / name).read_text()


def test_the_claims(finished):
    out, done = finished
    claims = json.loads((out / "claims.json").read_text())
    assert [entry["name"] for entry in claims] == ["plane", "emergence"]
    for entry in claims:
        assert list(entry) == [
            *("name", "claim", "quote", "question", "method", "rule", "verdict", "evidence"),
            *("answer", "figure", "tables"),
        ]
        study = STUDIES[entry["name"]]
        for name in ("claim", "quote", "question", "rule"):
            assert entry[name] == getattr(study, name)
        assert "2 seeds" in entry["method"]
        assert "3 epochs" in entry["method"]
        assert entry["verdict"] in (HOLDS, IN_PART, FAILS)
        assert entry["figure"] == f"{study.name}.png"
        assert entry["tables"] == [f"{study.name}_{name}.csv" for name in TABLES[study.name]]
        for one in entry["evidence"]:
            assert set(one) == {"what", "value", "low", "high"}
        assert f"{entry['name']}, {entry['verdict']}: {entry['answer']}\n" in done.stdout
    text = (out / "report.md").read_text()
    for entry in claims:
        for key in ("claim", "quote", "question", "method", "rule", "answer", "figure"):
            assert entry[key] in text
        assert all(table in text for table in entry["tables"])


def test_the_tables(finished):
    out, _ = finished
    tables = drawing.read_tables(out, STUDIES["emergence"])
    assert tables["runs"].groupby(["dim", "learning_rate"]).size().tolist() == [2] * 12
    assert set(tables["curves"]["epoch"]) == {0, 1, 2, 3}
    assert tables["summary"]["epochs"].unique().tolist() == [3]
    tables = drawing.read_tables(out, STUDIES["plane"])
    assert tables["map"]["name"].tolist() == data.load_colours().names
    np.testing.assert_allclose(tables["map"][["red", "green", "blue"]], RGB)
    for part in plane.PARTS:
        share = common.row_where(tables["shares"], measure=part)
        assert share["successes"] == tables["runs"][part].sum()


def test_the_same_tables_give_the_same_files(finished, copy):
    for name in ("claims.json", "report.md", *(f"{name}.png" for name in TABLES)):
        (copy / name).unlink()
    _run(copy, "--from_tables")
    assert _bytes(copy) == _bytes(finished[0])


def test_figures_are_drawn_from_the_folder_alone(finished, tmp_path):
    paths = drawing.draw(finished[0], tmp_path)
    assert sorted(path.name for path in paths) == sorted(
        f"{name}.{suffix}" for name in TABLES for suffix in ("png", "pdf")
    )
    for name, content in _bytes(tmp_path).items():
        assert content == (finished[0] / name).read_bytes(), name


def test_an_update_keeps_the_other_studies(finished, copy):
    before = _bytes(finished[0])
    done = _run(copy, *RUN, "--only=plane", "--update")
    after = _bytes(copy)
    assert set(after) == set(before)
    same = {name for name in before if after[name] == before[name]}
    assert {name for name in before if name.startswith("emergence")} <= same
    # Trained anew, to the same tables.
    assert {f"plane_{table}.csv" for table in TABLES["plane"]} <= same
    assert [entry["name"] for entry in json.loads(after["claims.json"])] == ["plane", "emergence"]
    studies = [json.loads(one["config.json"])["studies"] for one in (before, after)]
    assert studies[0]["emergence"] == studies[1]["emergence"]
    assert studies[0]["plane"]["seconds"] != studies[1]["plane"]["seconds"]
    assert "26 trainings in" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_keeps_the_finished_studies(finished, tmp_path, number):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "experiments.claims", f"--out={out}", *RUN]
    log = tmp_path / "log"
    with log.open("w") as errors, subprocess.Popen(command, stderr=errors) as process:
        while not (out / "claims.json").exists():
            assert process.poll() is None
            time.sleep(0.01)
        # Python ignores what is raised in a GC callback, so the signal is sent until it is heard.
        while process.poll() is None:
            if "interrupted" not in log.read_text():
                process.send_signal(number)
            time.sleep(1)
    said = log.read_text()
    assert process.returncode == 1, said
    assert "the finished studies (plane) are saved, and --resume runs the others" in said
    assert [entry["name"] for entry in json.loads((out / "claims.json").read_text())] == ["plane"]
    before = (out / "plane.png").read_bytes()
    _run(out, *RUN, "--resume")
    assert set(_bytes(out)) == set(_bytes(finished[0]))
    assert (out / "claims.json").read_bytes() == (finished[0] / "claims.json").read_bytes()
    assert (out / "plane.png").read_bytes() == before


def test_an_update_of_other_sizes_is_refused(copy):
    before = _bytes(copy)
    message = _refused(copy, *RUN, "--update", "--only=plane", "--epochs=4")
    assert "'epochs': 3" in message
    assert "give the same sizes" in message
    assert _bytes(copy) == before


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--seeds=1"], "--seeds is 1: give at least 2"),
        (["--epochs=0"], "--epochs is 0: give at least 1"),
        (["--num_pairs=999"], "--num_pairs is 999: give at least 1000"),
        (["--seeds=many"], "many"),
        (["--sedes=4"], "sedes"),
        (["plane"], "'plane' is no flag"),
        (["--only=plane,weather"], "no study is called 'weather'; give some of sign, ratio"),
        (["--update", "--only=plane"], "config.json is missing"),
        (["--from_tables"], "config.json is missing"),
    ],
)
def test_bad_usage_is_one_line_and_status_2(tmp_path, arguments, part):
    assert part in _refused(tmp_path / "out", *arguments)
    assert list(tmp_path.iterdir()) == []


def _without(path, column):
    pd.read_csv(path).drop(columns=column).to_csv(path, index=False)


DAMAGE = {
    "a table is missing": ("plane_summary.csv", Path.unlink, "plane_*.csv: is damaged"),
    "a column is missing": (
        "plane_summary.csv",
        lambda path: _without(path, "low"),
        "plane_*.csv: is damaged",
    ),
    "a row is missing": (
        "emergence_summary.csv",
        lambda path: path.write_text("".join(path.read_text().splitlines(keepends=True)[:2])),
        "emergence_*.csv: is damaged",
    ),
    "no row is left": (
        "emergence_summary.csv",
        lambda path: path.write_text(path.read_text().splitlines()[0]),
        "emergence_*.csv: is damaged",
    ),
    "words for numbers": (
        "plane_summary.csv",
        lambda path: path.write_text(path.read_text().replace("0.", "o.")),
        "plane_*.csv: is damaged",
    ),
    "an empty file": (
        "plane_runs.csv",
        lambda path: path.write_text(""),
        "plane_runs.csv: is no table",
    ),
    "a picture": (
        "plane_runs.csv",
        lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n\0\xff"),
        "plane_runs.csv: is no table",
    ),
}


@pytest.mark.parametrize(("file", "change", "part"), DAMAGE.values(), ids=list(DAMAGE))
def test_damaged_tables_are_named_by_whoever_draws(copy, tmp_path, file, change, part):
    change(copy / file)
    with pytest.raises(InputError) as caught:
        drawing.draw(copy, tmp_path)
    assert str(copy / part) in str(caught.value)
    assert "again" in str(caught.value)


@pytest.mark.parametrize("kind", ["a table is missing", "an empty file"])
def test_damaged_tables_are_one_line_and_the_folder_stays(copy, kind):
    file, change, part = DAMAGE[kind]
    change(copy / file)
    before = _bytes(copy)
    assert str(copy / part) in _refused(copy, "--from_tables")
    assert _bytes(copy) == before


def test_all_tables_gone_names_the_command(copy):
    for path in copy.glob("plane_*.csv"):
        path.unlink()
    with pytest.raises(InputError, match=r"no such table; run python -m .* --only plane"):
        drawing.read_tables(copy, STUDIES["plane"])


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"nom": "plane"}]', "3"])
def test_a_damaged_list_of_claims_is_named(tmp_path, text):
    (tmp_path / "claims.json").write_text(text)
    with pytest.raises(InputError, match=r"claims\.json: cannot be read"):
        drawing.studies_of(tmp_path)


def test_tables_come_back_to_the_bit(tmp_path):
    study = dataclasses.replace(STUDIES["plane"], name="made_up")
    generator = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "value": generator.normal(size=500) * 10.0 ** generator.integers(-300, 300, 500),
            "missing": np.where(np.arange(500) % 3 == 0, np.nan, 1 / 3),
            "flag": np.arange(500) % 2 == 0,
            "name": ["NA", "null", "a, b", 'say "grey"', "nan"] * 100,
        }
    )
    drawing.write_tables(tmp_path, study, {"runs": table})
    pd.testing.assert_frame_equal(drawing.read_tables(tmp_path, study)["runs"], table)


# --------------------------------------------------------------------------------------------------
# What is committed


@pytest.fixture(scope="module")
def committed():
    if not COMMITTED.exists():
        pytest.skip("results/claims is not there yet")
    return {entry["name"]: entry for entry in json.loads((COMMITTED / "claims.json").read_text())}


@pytest.mark.parametrize("name", STUDIES)
def test_committed_verdicts_follow_from_the_committed_tables(committed, name):
    study, entry = STUDIES[name], committed[name]
    tables = drawing.read_tables(COMMITTED, study)
    finding = Finding(*study.judge(tables))
    assert entry["verdict"] == finding.verdict
    assert entry["answer"] == finding.answer
    assert len(entry["evidence"]) == len(finding.evidence)
    for written, found in zip(entry["evidence"], finding.evidence):
        assert written["what"] == found.what
        numbers = [written[key] for key in ("value", "low", "high")]
        assert [number is None for number in numbers] == [number is None for number in found[1:]]
        for number, expected in zip(numbers, found[1:]):
            assert number is None or number == pytest.approx(expected, rel=1e-12)
    about = json.loads((COMMITTED / "config.json").read_text())
    assert entry["method"] == report.filled(study.method, about)
    for key in ("claim", "quote", "question", "rule"):
        assert entry[key] == getattr(study, key)
    assert entry["tables"] == [f"{name}_{table}.csv" for table in tables]
    for file in (*entry["tables"], entry["figure"], f"{name}.pdf"):
        assert (COMMITTED / file).is_file()


def test_the_committed_report_is_that_of_the_committed_claims(committed):
    config = json.loads((COMMITTED / "config.json").read_text())
    environment = json.loads((COMMITTED / "env.json").read_text())
    runs = [
        len(pd.read_csv(path))
        for name in STUDIES
        for path in COMMITTED.glob(f"{name}_*.csv")
        if path.stem.endswith("runs")
    ]
    about = {
        **{name: config[name] for name in ("seeds", "epochs", "pairs")},
        "seconds": sum(one["seconds"] for one in config["studies"].values()),
        "members": sum(runs),
        "cores": environment["cores"],
        "device": environment["device"],
        "jax": environment["packages"]["jax"],
    }
    text = (COMMITTED / "report.md").read_text(encoding="utf-8")
    assert text == report.markdown(list(committed.values()), about)
    assert list(committed) == list(config["studies"]) == list(STUDIES)
    assert about["seconds"] < 1800


THRESHOLDS = {
    "sign": (0, "x", 0.9),
    "ratio": (1, "y", 0.02),
    "plane": (1, "x", 0.8),
    "dimension": (1, "y", 0.9),
    "surface": (1, "x", 0.5),
    "emergence": (1, "y", 50),
    "amount": (1, "y", 0.01),
    "space": (1, "x", 0.0),
}


@pytest.mark.parametrize(("name", "where"), THRESHOLDS.items())
def test_figures_draw_the_threshold_of_their_rule_and_have_one_legend(committed, name, where):
    panel, axis, value = where
    figure = STUDIES[name].draw(drawing.read_tables(COMMITTED, STUDIES[name]))
    ax = figure.axes[panel]
    lines = {
        line.get_label(): getattr(line, f"get_{axis}data")()[0]
        for line in ax.get_lines()
        if str(line.get_label()).startswith(common.THRESHOLD)
    }
    assert value in lines.values()
    low, high = getattr(ax, f"get_{axis}lim")()
    assert low < value < high
    (legend,) = figure.legends
    assert not [ax for ax in figure.axes if ax.get_legend()]
    listed = [text.get_text() for text in legend.get_texts()]
    assert set(lines) <= set(listed)
    assert len(listed) == len(set(listed))
    titles = legend.get_title().get_text().split("\n")
    assert len(titles) == len(set(titles))


def test_channels_have_their_own_colours_and_markers(committed):
    study = STUDIES["dimension"]
    ax = study.draw(drawing.read_tables(COMMITTED, study)).axes[1]
    drawn = {bars.get_label(): bars[0] for bars in ax.containers}
    assert list(drawn) == list(dimension.CHANNELS)
    for place, line in enumerate(drawn.values()):
        rgb = matplotlib.colors.to_rgb(line.get_color())
        assert np.argmax(rgb) == place
        assert line.get_markeredgecolor() == line.get_color()
    assert len({line.get_marker() for line in drawn.values()}) == 3


def test_the_report_names_what_seeds_share(committed):
    text = report.markdown(
        list(committed.values()),
        {
            **{"seeds": 32, "epochs": 500, "pairs": 100_000, "seconds": 1.0, "members": 1},
            **{"cores": 2, "device": "cpu", "jax": "0"},
        },
    )
    limits = text.partition("## Limitations")[2].partition("\n## ")[0]
    for name in ("sign", "plane", "surface", "emergence"):
        assert STUDIES[name].shared == "the pairs and their labels"
        assert "All seeds share the pairs and their labels." in STUDIES[name].method
        [line] = [one for one in limits.splitlines() if one.startswith("- ") and name in one]
        assert line.endswith("all seeds share the pairs and their labels.")
    assert "0.3420 [0.3420, 0.3420] with one draw of pairs and labels (surface)" in limits


@pytest.mark.parametrize("name", ["sign", "plane", "dimension"])
def test_the_committed_runs_have_enough_seeds(committed, name):
    runs = drawing.read_tables(COMMITTED, STUDIES[name])["runs"]
    groups = ["name", "dim"] if name == "sign" else ["dim"]
    seeds = runs.groupby(groups)["seed"].nunique()
    assert len(seeds) == {"sign": 16, "plane": 1, "dimension": 8}[name]
    assert seeds.min() >= 32


def test_the_committed_folder_names_no_place_on_a_machine(committed):
    for name in ("config.json", "env.json"):
        assert "/" not in (COMMITTED / name).read_text()
    assert run_folder.read_json(COMMITTED / "env.json", ["packages", "data_hash"])
