"""The studies: their rules on made-up tables, their own arithmetic, the program, its results."""

import dataclasses
import functools
import itertools
import json
import math
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import matplotlib.colors
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scipy.integrate
import scipy.spatial.distance
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logit

from colour_embed import data
from colour_embed.config import Config, InputError
from colour_embed.evaluate.cielab import srgb_to_lab
from colour_embed.evaluate.truth import all_pairs, best_loss, make_truth, probability_similar
from colour_embed.io import run_folder
from experiments.claims import (
    amount,
    common,
    dimension,
    drawing,
    emergence,
    optimum,
    plane,
    ratio,
    sign,
    space,
    surface,
    threshold,
    variance,
)
from experiments.claims.common import FAILS, HOLDS, IN_PART, Setting
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


def _between(low, high, **names):
    return _cell((low + high) / 2, low, high, **names)


def _frames(**tables):
    return {name: pd.DataFrame(rows) for name, rows in tables.items()}


def _told(finding, what):
    """The one piece of evidence whose words begin like this."""
    [found] = [one for one in finding.evidence if one.what.startswith(what)]
    return found


RUNS = [{"failed": False}, {"failed": True}, {"failed": False}]


def _sign_tables(low=0.3, high=0.6, nearest=0.03, trapped=2):
    shares, by_start, quality, runs = [], [], [], []
    for name, dim in itertools.product(sign.HEADS, sign.DIMS):
        own = (low, high) if (name, dim) == (sign.FREE, 2) else (0.89, 1.0)
        counts = {"name": name, "dim": dim, "members": 24, "successes": 20}
        shares.append(_between(*own, **counts))
        at = 0.01 * (1 + list(sign.HEADS).index(name))
        for measure in ("excess_kl", "excess_of_recovered"):
            quality.append(_cell(at, **counts, measure=measure))
        for start, successes in (("negative", 11), ("positive", 1)):
            at = {**counts, "start": start, "members": 12, "successes": successes}
            by_start.append(_cell(successes / 12, **at))
            row = {"name": name, "dim": dim, "head": sign.HEADS[name]["head"], "start": start}
            runs.append({**row, "recovered": start == "positive", "below_pass": 9.0})
    runs = [row for row in runs if row["name"] != sign.FREE]
    free = {"name": sign.FREE, "dim": 2, "head": "free", "start": "positive"}
    runs.append({**free, "recovered": True, "below_pass": -1.0})
    for place in range(trapped):
        runs.append({**free, "recovered": False, "below_pass": nearest + place})
    below_pass = [_between(0.03, 0.05, dim=dim, measure="below_pass") for dim in sign.DIMS]
    return _frames(
        shares=shares, shares_by_start=by_start, quality=quality, runs=runs, trapped=below_pass
    )


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
    assert "11 of 12 with a negative initial weight and 1 of 12" in finding.answer
    assert "20 of 24 with the negative weight, 20 of 24 with the matched link" in finding.answer
    assert _told(finding, "excess of the trainings that recover, free weight, 3-D").value == 0.01
    # The four inverse heads together, in two dimensions each.
    inverse = _told(finding, "inverse heads, positive initial weight")
    expected = scipy.stats.binomtest(8, 8).proportion_ci(method="wilson")
    assert inverse[1:] == pytest.approx((1.0, expected.low, expected.high))


@pytest.mark.parametrize(("nearest", "lie_below"), [(0.03, True), (above(0.0), True), (0.0, False)])
def test_sign_says_that_all_trapped_trainings_lie_below_the_pass_if_they_do(nearest, lie_below):
    finding = sign.judge(_sign_tables(nearest=nearest))
    assert _told(finding, "least of them").value == nearest
    said = f"All 2 trapped trainings, in 2-D and 3-D, lie below it, the nearest by {nearest:.4f}"
    assert (said in finding.answer) == lie_below


def test_sign_without_trapped_trainings():
    finding = sign.judge(_sign_tables(trapped=0))
    assert math.isnan(_told(finding, "least of them").value)
    assert "lie below it" not in finding.answer


OTHER_SHARES = [share for share in ratio.SHARES if share != ratio.TUTORIAL]


def _ratio_tables(changes):
    """With these (low, high) of the change in the first settings, and none in the others."""
    left, change, summary = list(changes), [], []
    for method, dim in itertools.product(ratio.METHODS, ratio.DIMS):
        for share in OTHER_SHARES:
            ends = left.pop(0) if left else (-0.001, 0.001)
            change.append(_between(*ends, method=method, dim=dim, share=share, measure="value"))
        for share, measure in itertools.product(ratio.SHARES, ("spearman", "excess_kl")):
            names = {"method": method, "dim": dim, "share": share, "measure": measure}
            summary.append(_cell(0.5, **names))
    return _frames(change=change, summary=summary, runs=RUNS)


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ([(0.01, 0.02), (-0.02, 0.02)], HOLDS),
        ([(0.01, above(0.02))], IN_PART),
        ([(below(-0.02), 0.0)], IN_PART),
        ([(0.0, 0.03)] * 15, IN_PART),
        ([(0.0, 0.03)] * 16, FAILS),
        ([(-0.9, -0.8)] * 30, FAILS),
    ],
)
def test_ratio_counts_the_settings_that_change(changes, verdict):
    finding = ratio.judge(_ratio_tables(changes))
    assert finding.verdict == verdict
    same = 30 - sum(low < -0.02 or high > 0.02 for low, high in changes)
    assert finding.answer.startswith(f"In {same} of 30 settings")
    own = same - 20 if len(changes) < 11 else max(0, 10 - len(changes))
    assert _told(finding, "settings with the same Spearman, of 10, label constant").value == own
    assert _told(finding, "share of trainings that failed (1 of 3)").value == 1 / 3


def test_ratio_names_the_largest_change():
    # The third setting, in 2-D; the eleventh is the first with the pairs held, at 2 %.
    changes = [(0.0, 0.01)] * 2 + [(-0.13, -0.11)] + [(0.0, 0.01)] * 12 + [(0.02, 0.04)]
    answer = ratio.judge(_ratio_tables(changes)).answer
    assert "-0.120 [-0.130, -0.110], in 2-D at 10 % positives with the label constant" in answer
    assert "in 3-D changes by 0.030 [0.020, 0.040] with the number of pairs held" in answer


def _plane_tables(gradient=0.9, shares=(0.9, 0.9), between=0.6, green=0.4, others=(0.5, 0.6)):
    """By the unfavourable ends of the intervals: the low ones, but the high one of green's R^2."""
    rows = [_cell(gradient + 0.05, gradient, gradient + 0.1, measure="r2_mean")]
    rows += [_cell(0.9, measure=name) for name in ("r2_lightness", "r2_lightness_of_greys")]
    for name, value in zip(plane.HUES, (others[0], green, others[1])):
        ends = (0, value) if name == "green" else (value, 1)
        rows.append(_cell(value, *ends, measure=f"r2_{name}_beyond_mean"))
    for name in (*plane.HUES, "grey"):
        rows.append(_cell(0.1, measure=f"across_{name}"))
        rows.append(_cell(between, between, between + 0.01, measure=f"near_{name}"))
    often = [_cell(1, low, 1, measure=part) for part, low in zip(plane.PARTS, shares)]
    return _frames(summary=rows, shares=often, runs=RUNS)


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({}, 5),
        ({"gradient": 0.8, "shares": (0.8, 0.8), "between": 0.5, "green": below(0.5)}, 5),
        ({"gradient": below(0.8)}, 4),
        ({"shares": (below(0.8), 0.9)}, 4),
        ({"shares": (0.9, below(0.8))}, 4),
        ({"between": below(0.5)}, 4),
        ({"green": 0.5}, 4),
        ({"others": (0.6, 0.4)}, 4),
        ({"gradient": 0.5, "shares": (0, 0), "between": 0.2}, 1),
        ({"gradient": 0.5, "shares": (0, 0.85), "between": 0.2, "green": 0.9}, 1),
        ({"gradient": 0.5, "shares": (0.5, 0.5), "between": 0.2, "green": 0.9}, 0),
    ],
)
def test_plane_counts_five_parts(changes, kept):
    finding = plane.judge(_plane_tables(**changes))
    assert finding.verdict == (HOLDS if kept == 5 else IN_PART if kept else FAILS)
    assert finding.answer.startswith(f"{kept} of 5 parts hold")
    assert finding.answer.count(", yes") == kept
    # The others lie out only if the whole interval says so.
    between = changes.get("between", 0.6)
    out = "but only" in finding.answer
    assert out == (between + 0.01 < 0.5)


def _dimension_tables(low=0.95, flat_high=0.7, selected=3, floor=0.3):
    rows = []
    for dim in dimension.DIMS:
        least = {2: (0.6, 0.5, flat_high), 3: (0.96, low, 0.97)}.get(dim, (0.9,))
        rows.append(_cell(*least, dim=dim, measure="least_r2"))
        measures = (*dimension.MEASURES, *dimension.CHANNEL_MEASURES)
        rows += [_cell(0.4 - 0.01 * dim, dim=dim, measure=name) for name in measures]
    selection = [
        {"dim": dim, "selected": dim == selected, "floor": floor} for dim in dimension.DIMS
    ]
    runs = [{"dim": dim, **row} for dim in dimension.DIMS for row in RUNS]
    lowest = [_cell(0.75, 0.6, 0.9, measure="is_true", members=24, successes=18)]
    return _frames(summary=rows, selection=selection, lowest=lowest, runs=runs)


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
    assert f"selects d = {selected}, and is least in 3-D for 18 of 24 replicates" in finding.answer


def test_dimension_reports_where_overfitting_begins():
    # The made-up training loss is 0.4 - 0.01 d.
    assert (
        "from 6 dimensions on it is below the Bayes-optimal loss"
        in dimension.judge(_dimension_tables(floor=0.345)).answer
    )
    answer = dimension.judge(_dimension_tables(floor=0.3)).answer
    assert "it stays above" in answer
    assert "sufficient for overfitting, not necessary" in answer
    assert "0.3000 is the expected loss over all pairs" in answer
    # On the tutorial's own labels it is that of results/tutorial.
    drawn = json.loads((ROOT / "results/tutorial/metrics.json").read_text())["2d"]["best_loss"]
    assert common.drawn_floor() == pytest.approx(drawn)
    assert f"have the loss {drawn:.4f}" in answer


def _surface_tables(low, high, free=-0.05):
    ends = dict.fromkeys(surface.COMPARED, (0.1, 0.2))
    ends |= {surface.DECIDES: (low, high), surface.FREE: (free, free)}
    effects = [_between(*one, compared=name, measure="value") for name, one in ends.items()]
    summary = [
        _cell(0.35, rows=rows, dim=dim, measure="excess_kl")
        for rows, dims in (("plain", surface.PLAIN), ("normalised", surface.NORMALISED))
        for dim in dims
    ]
    return _frames(effects=effects, summary=summary, runs=RUNS)


@pytest.mark.parametrize(
    ("low", "high", "verdict", "words"),
    [
        (-0.01, 0.01, HOLDS, "Its interval includes 0."),
        (0.0, 0.01, HOLDS, "Its interval includes 0."),
        (-0.009, -0.001, HOLDS, "the third coordinate of unit vectors lowers the loss by 0.0050"),
        (0.001, 0.009, HOLDS, "third coordinate of unit vectors raises the loss by 0.0050"),
        (below(-0.01), 0.0, IN_PART, "not wholly within"),
        (0.0, above(0.01), IN_PART, "not wholly within"),
        (0.01, 0.03, IN_PART, "raises the loss by 0.0200"),
        (-0.03, -0.01, IN_PART, "lowers the loss by 0.0200"),
        (above(0.01), 0.03, FAILS, "not wholly within"),
        (-0.03, below(-0.01), FAILS, "not wholly within"),
    ],
)
def test_surface_goes_by_the_difference_of_normalised_3d(low, high, verdict, words):
    finding = surface.judge(_surface_tables(low, high))
    assert finding.verdict == verdict
    assert words in finding.answer
    assert f"{(low + high) / 2:.4f} [{low:.4f}, {high:.4f}]" in finding.answer
    assert _told(finding, "excess, normalised 3-D less plain 2-D")[2:] == (low, high)
    share = (low + high) / 2 / -0.05
    assert _told(finding, "the difference as a share of what").value == pytest.approx(share)


def _emergence_tables(highs, power=(-1.1, -0.9)):
    """The upper ends of the log ratio in 2-D and 3-D at the tutorial's learning rate."""
    rows = []
    for dim, rate in itertools.product(emergence.DIMS, emergence.RATES):
        names = {"dim": dim, "learning_rate": rate}
        high = highs[dim - 2] if dim > 1 and rate == emergence.TUTORIAL_RATE else 0.5
        rows.append(_cell(-1.0, -2.0, high, **names, measure="log_ratio"))
        for place, name in enumerate(("epochs_to_structure", "epochs_to_fit", "radii")):
            rows.append(_cell(20.0 + 10 * place, **names, measure=name))
    powers = [_between(*power, dim=dim, measure="power") for dim in emergence.DIMS]
    runs = [{"learning_rate": rate, **row} for rate in emergence.RATES for row in RUNS]
    return _frames(summary=rows, powers=powers, runs=runs)


@pytest.mark.parametrize(
    ("highs", "verdict"),
    [
        ((below(0.0), below(0.0)), HOLDS),
        ((0.0, below(0.0)), IN_PART),
        ((-0.5, 0.0), IN_PART),
        ((0.0, 0.0), FAILS),
        ((math.nan, 0.4), FAILS),
    ],
)
def test_emergence_goes_by_the_ratio_of_the_times(highs, verdict):
    finding = emergence.judge(_emergence_tables(highs))
    assert finding.verdict == verdict
    assert "after 20.0 [20.0, 20.0] epochs in 2-D" in finding.answer
    assert "after 30.0 [30.0, 30.0] and 30.0" in finding.answer
    assert "The ratio is 0.37 and 0.37." in finding.answer
    assert _told(finding, "share of trainings that failed (1 of 3)").value == 1 / 3


@pytest.mark.parametrize(
    ("power", "word"),
    [
        ((-1.0, -0.9), "is"),
        ((-1.2, -1.0), "is"),
        ((above(-1.0), -0.9), "is not"),
        ((-1.2, below(-1.0)), "is not"),
    ],
)
def test_emergence_says_whether_the_power_is_minus_one(power, word):
    answer = emergence.judge(_emergence_tables((-1.0, -1.0), power)).answer
    assert answer.endswith(f"where -1 {word} in the interval.")


COUNTED = [count for count in amount.COUNTS if 100_000 <= count < 1_000_000]


SAFE = {2: (0.0, 0.001), 3: (0.0, 0.001)}


def _amount_tables(ends=SAFE, chosen=None, excess=None):
    """With the ends of the gain at 100,000 pairs by dimension; {criterion: dimensions chosen}.

    The excess in 3-D is 0.1, or that by number of pairs; that of the base rate is 0.25.
    """
    gain = [
        _between(*(ends[dim] if count == 100_000 else (0.0, 0.1)), dim=dim, pairs=count)
        for dim in amount.DECIDED
        for count in COUNTED
    ]
    summary, overfitting, regret, choices, runs = [], [], [], [], []
    for count in amount.COUNTS:
        for dim, value in ((2, 9.0), (3, (excess or {}).get(count, 0.1))):
            summary.append(_cell(value, dim=dim, pairs=count, measure="excess_kl"))
        overfitting.append(_cell(1.0, dim=3, pairs=count))
        losses = {"base_rate_loss": 0.5, "floor": 0.25}
        runs += [{"dim": 3, "pairs": count, **losses, **row} for row in RUNS]
        for name in amount.CRITERIA:
            regret.append(_cell(0.02, criterion=name, pairs=count, measure="regret"))
            for seed, dim in enumerate((chosen or {}).get(name, (3, 2, 3))):
                choices.append({"criterion": name, "pairs": count, "seed": seed, "dim": dim})
    return _frames(
        gain=gain,
        summary=summary,
        overfitting=overfitting,
        regret=regret,
        chosen=choices,
        runs=runs,
    )


@pytest.mark.parametrize(
    ("ends", "verdict"),
    [
        ({2: (-0.01, 0.01), 3: (0.0, 0.01)}, HOLDS),
        ({2: (0.0, above(0.01)), 3: (0.0, 0.01)}, IN_PART),
        ({2: (0.0, 0.005), 3: (0.02, 0.03)}, IN_PART),
        ({2: (0.01, 0.03), 3: (0.02, 0.03)}, IN_PART),
        ({2: (above(0.01), 0.03), 3: (above(0.01), 0.03)}, FAILS),
        ({2: (-0.03, below(-0.01)), 3: (-0.03, -0.02)}, IN_PART),  # other than the claim fears
    ],
)
def test_amount_asks_what_a_million_would_add(ends, verdict):
    finding = amount.judge(_amount_tables(ends))
    assert finding.verdict == verdict
    assert _told(finding, "excess at 100,000 pairs less that at 1,000,000, 3-D")[2:] == ends[3]
    for dim, (low, high) in ends.items():
        word = "within" if low >= -0.01 and high <= 0.01 else "not within"
        assert f"[{low:.4f}, {high:.4f}] nats in {dim}-D, which is {word} the" in finding.answer


def test_amount_reports_the_dimension_of_most_replicates():
    finding = amount.judge(_amount_tables())
    for name in amount.CRITERIA:
        assert _told(finding, f"dimension of most replicates by {name}, 10,000 pairs").value == 3
    assert "in most replicates, is 3 at 1,000, 3 at 3,000" in finding.answer
    assert "agree best with RGB is the same at every number" in finding.answer
    other = amount.judge(_amount_tables(chosen={amount.TRUTH: (4, 1, 1), "BIC": (2, 1)}))
    assert "in most replicates, is 1 at 1,000" in other.answer
    assert "is another one where that of the least excess is 1 and 3 at 1,000" in other.answer
    # The smaller of two that are chosen as often.
    assert _told(other, "dimension of most replicates by BIC, 1,000 pairs").value == 1


def test_amount_says_where_no_dimension_predicts_better_than_the_base_rate():
    answer = amount.judge(_amount_tables(excess={1000: above(0.25), 3000: 0.25})).answer
    assert "At 1,000 pairs that choice is empty" in answer
    assert "above that of always predicting the base rate, 0.25." in answer
    assert "is empty" not in amount.judge(_amount_tables()).answer


def _space_tables(lows):
    rows, left = [], list(lows)
    for name, made_from in itertools.product(space.LISTS, space.SPACES):
        names, low = {"colours": name, "made_from": made_from}, left.pop(0)
        rows.append(_cell(low + 0.01, low, low + 0.02, **names, measure="attained"))
        rows.append(_cell(0.2, **names, measure="lead"))
        rows += [_cell(0.9, **names, measure=f"spearman_{one}") for one in space.SPACES]
    return _frames(summary=rows, runs=RUNS)


@pytest.mark.parametrize(
    ("lows", "verdict"),
    [
        ([0.95] * 6, HOLDS),
        ([0.9] * 6, HOLDS),
        ([0.9] * 5 + [below(0.9)], IN_PART),
        ([-0.5] * 5 + [0.9], IN_PART),
        ([below(0.9)] * 6, FAILS),
        ([-0.05] * 6, FAILS),
    ],
)
def test_space_asks_for_the_lead_of_exact_distances_in_all_settings(lows, verdict):
    finding = space.judge(_space_tables(lows))
    assert finding.verdict == verdict
    assert f"at least 0.9 in {sum(low >= 0.9 for low in lows)} of 6 settings" in finding.answer
    assert f"the least is {min(lows) + 0.01:.3f}" in finding.answer
    assert "correlate with each other by 0.72 (tutorial)" in finding.answer


def _threshold_tables(changes):
    """The law holds exactly in all settings, but for these changes by case."""
    rows = []
    for case in threshold.CASES:
        row = {"case": case.name, "judged": case.judged, "monotone": True, "value": 0.075}
        row |= {"low": 0.06, "high": 0.09, "predicted": 0.075 if case.adam else math.nan}
        rows.append(row | changes.get(case.name, {}))
    return _frames(thresholds=rows)


LEAST, MOST = 0.06 / 1.5, 1.5 * 0.09  # what a prediction may be for a bracket of 0.06 to 0.09
JUDGED = [case.name for case in threshold.CASES if case.judged]


@pytest.mark.parametrize(
    ("changes", "judged", "agreed"),
    [
        ({}, 14, 14),
        ({"dimension 3": {"predicted": LEAST}, "base rate 10 %": {"predicted": MOST}}, 14, 14),
        ({"dimension 3": {"predicted": below(LEAST)}}, 14, 13),
        ({"dimension 3": {"predicted": above(MOST)}}, 14, 13),
        # No weight from which all recover, and none from which none does.
        ({"dimension 3": {"low": math.nan, "predicted": 0.0}}, 14, 14),
        ({"dimension 3": {"high": math.nan}}, 14, 13),
        ({"base rate 60 %": {"low": math.nan, "high": 0.0, "predicted": 0.0}}, 14, 14),
        # Not judged: re-entrant; other optimisers; a learning rate of the initial scale's size.
        ({"dimension 3": {"monotone": False, "predicted": 9.0}}, 13, 13),
        ({"SGD 1": {"predicted": 9.0}, "initial scale 0.005": {"predicted": 9.0}}, 14, 14),
        ({name: {"predicted": 9.0} for name in JUDGED[1:]}, 14, 1),
        ({name: {"predicted": 9.0} for name in JUDGED}, 14, 0),
    ],
)
def test_threshold_counts_the_predictions_that_hold(changes, judged, agreed):
    finding = threshold.judge(_threshold_tables(changes))
    assert finding.verdict == (HOLDS if agreed == judged else IN_PART if agreed else FAILS)
    assert _told(finding, f"predictions that hold, of {judged}").value == agreed
    assert f"bracket in {agreed} of {judged} settings" in finding.answer
    assert ("not so for" in finding.answer) == (agreed < judged)
    assert ("not monotone in the initial weight for dimension 3:" in finding.answer) == (
        judged == 13
    )


def test_threshold_tells_the_weight_from_which_none_recover_where_no_threshold_lies_between():
    lost = {"value": math.nan, "low": math.nan, "high": 0.0, "predicted": 0.0}
    finding = threshold.judge(_threshold_tables({"base rate 60 %": lost}))
    assert _told(finding, "weight from which none recover, base rate 60 %").value == 0.0
    assert not [one for one in finding.evidence if one.what == "k0*, base rate 60 %"]
    assert _told(finding, "k0*, dimension 3")[1:] == (0.075, 0.06, 0.09)


def test_threshold_gives_the_share_of_the_tutorials_initial_weights():
    finding = threshold.judge(_threshold_tables({}))
    told = _told(finding, "share of the tutorial's initial weights that recover")
    # Uniform within plus and minus sqrt(3).
    expected = [
        scipy.stats.uniform(-math.sqrt(3), 2 * math.sqrt(3)).cdf(k) for k in (0.075, 0.06, 0.09)
    ]
    assert told[1:] == pytest.approx(expected)
    assert "measured 0.06 to 0.09" not in finding.answer.split("not made")[0]
    assert (
        "0.07 for learning rate 0.01, measured 0.06 to 0.09" in finding.answer.split("not made")[1]
    )


def test_threshold_judges_keras_adam_whose_scale_is_at_least_15_learning_rates():
    def judged(**changes):
        return threshold.Case("", "", changes).judged

    assert threshold.Case("learning rate", "0.1", {}).name == "learning rate 0.1"
    assert judged(initial_scale=0.015)
    assert not judged(initial_scale=below(0.015))
    assert not judged(learning_rate=0.01)
    assert not dataclasses.replace(threshold.CASES[0], adam=False).judged
    unjudged = [case.name for case in threshold.CASES if not case.judged]
    assert unjudged == ["learning rate 0.01", "initial scale 0.005", "lazy Adam", "SGD 1"]


def test_agreement_is_scipys():
    rgb = data.load_colours("css4").rgb
    lengths = [scipy.spatial.distance.pdist(points) for points in (rgb, srgb_to_lab(rgb))]
    expected = scipy.stats.spearmanr(*lengths).statistic
    assert space.agreement("css4") == pytest.approx(expected)


# --------------------------------------------------------------------------------------------------
# The studies' own arithmetic


def _silent(*_, **__):
    """In place of a progress bar."""


def _setting(**sizes):
    sizes = {"seeds": 24, "epochs": 500, "pairs": 100_000, "first_seed": 1000, **sizes}
    return Setting(**sizes, add=lambda *_: _silent)


def test_some_seeds_are_a_part_and_two_at_the_least():
    assert [len(_setting().some_seeds(share)) for share in (1, 2, 3)] == [24, 12, 8]
    assert [len(_setting(seeds=3).some_seeds(share)) for share in (1, 2, 3)] == [3, 2, 2]
    assert list(_setting(first_seed=7).some_seeds(12)) == [7, 8]


def test_some_pairs_are_fewer_by_the_factor_of_the_setting():
    assert len(_setting(pairs=2000).tutorial_pairs) == 2000
    assert len(_setting(pairs=2000).some_pairs(1_000_000)) == 20_000
    assert len(_setting(pairs=2000).some_pairs(1)) == 2
    css = data.load_colours("css4")
    assert _setting(pairs=50_000).some_pairs(2000, css).index.max() < len(css)


def test_every_number_of_pairs_takes_the_tutorials_steps():
    batch_size = Config().batch_size
    for count in amount.COUNTS:
        batches = -(-count // batch_size)
        epochs = _setting().epochs_for(count)
        # An epoch of a million pairs is 1,954 steps, so that 97,700 are the nearest.
        assert abs(epochs * batches - 98_000) <= min(batches / 2, 300)
    assert _setting().epochs_for(100_000) == 500
    assert _setting(epochs=3).epochs_for(1_000_000) == 1
    # 20 steps of 512 of 2,000 pairs.
    assert _setting(epochs=5, pairs=2000).epochs_for(10_000) == 1


def _runs():
    generator = np.random.default_rng(0)
    runs = pd.DataFrame({"dim": [2, 3] * 12, "name": ["b"] * 12 + ["a"] * 12})
    runs["loss"] = generator.normal(size=24)
    runs["recovered"] = generator.random(24) < 0.7
    runs["failed"] = [True] + [False] * 23
    runs.loc[0, "loss"] = np.nan
    return runs


def test_intervals_are_of_each_group():
    runs = _runs()
    table = common.intervals(runs, ["name", "dim"], ["loss"])
    assert table[["name", "dim"]].to_numpy().tolist() == [["a", 2], ["a", 3], ["b", 2], ["b", 3]]
    assert table["members"].tolist() == [6, 6, 5, 6]
    assert table["failed"].tolist() == [0, 0, 1, 0]
    values = runs[(runs["name"] == "a") & (runs["dim"] == 3)]["loss"]
    row = common.row_where(table, name="a", dim=3, measure="loss")
    expected = scipy.stats.t.interval(0.95, 5, values.mean(), values.sem())
    assert row["value"] == values.mean()
    assert (row["low"], row["high"]) == pytest.approx(expected)
    [row] = common.intervals(runs.drop(columns="failed"), [], ["loss"]).to_dict("records")
    assert row["value"] == pytest.approx(runs["loss"].mean())
    assert (row["members"], row["failed"]) == (23, 0)
    [row] = common.intervals(runs.head(1), ["dim"], ["loss"]).to_dict("records")
    assert row["members"] == 0
    assert np.isnan([row["value"], row["low"], row["high"]]).all()


def test_intervals_of_no_rows_can_be_written_and_read(tmp_path):
    # As those of trapped trainings where none is trapped.
    table = common.intervals(_runs().head(0), ["dim"], ["loss"])
    drawing.write_tables(tmp_path, STUDIES["sign"], {"trapped": table})
    again = drawing.read_tables(tmp_path, STUDIES["sign"])["trapped"]
    assert list(again) == ["dim", "measure", "members", "failed", "value", "low", "high"]
    assert len(again) == 0


def test_differences_are_paired_by_seed():
    runs = pd.DataFrame({"seed": [5, 7, 9, 9, 7, 8], "dim": [2, 2, 2, 3, 3, 3]})
    runs["loss"] = [1.0, 2.0, 3.0, 10.0, 20.0, 40.0]
    table = common.paired(runs, "loss", {"dim": 3}, {"dim": 2})
    assert table.to_dict("list") == {"seed": [7, 9], "value": [18.0, 7.0]}
    runs.loc[3, "loss"] = np.nan
    assert common.paired(runs, "loss", {"dim": 3}, {"dim": 2})["seed"].tolist() == [7]


@pytest.mark.parametrize(
    ("low", "high", "inside"),
    [
        (-0.01, 0.01, True),
        (below(-0.01), 0.0, False),
        (0.0, above(0.01), False),
        (0.02, 0.03, False),
        (math.nan, math.nan, False),
    ],
)
def test_within_asks_for_the_whole_interval(low, high, inside):
    assert common.within(pd.Series({"low": low, "high": high}), 0.01) is inside


@pytest.mark.parametrize(
    ("parts", "verdict"),
    [([True, True], HOLDS), ([True, False], IN_PART), ([False, False], FAILS)],
)
def test_a_verdict_counts_its_parts(parts, verdict):
    assert common.verdict_of(parts) == verdict


def test_failures_are_lost_diverged_or_far_above_their_cell():
    runs = pd.DataFrame(
        [
            # The median of this cell is 0.2: 0.22 is not far yet.
            *({"dim": 2, "excess_kl": excess} for excess in (0.1, 0.15, 0.2, 0.2 * 1.1)),
            {"dim": 2, "excess_kl": above(0.2 * 1.1)},
            # Another cell, of another size.
            *({"dim": 3, "excess_kl": excess} for excess in (5.0, 5.1, 5.2)),
        ]
    ).assign(recovered=True, diverged=0)
    far = [False] * 4 + [True] + [False] * 3
    assert common.mark_failures(runs, ["dim"])["failed"].tolist() == far
    runs.loc[0, "recovered"], runs.loc[1, "diverged"] = False, 40
    runs.loc[5, "excess_kl"] = np.nan
    marked = common.mark_failures(runs, ["dim"])
    assert marked["failed"].tolist() == [True, True, False, False, True, True, False, False]
    told = common.failures(marked, "2-D")
    assert told.what == "2-D: share of trainings that failed (4 of 8)"
    expected = scipy.stats.binomtest(4, 8).proportion_ci(method="wilson")
    assert told[1:] == pytest.approx((0.5, expected.low, expected.high))
    assert common.failures(marked.tail(2)).what == "share of trainings that failed (0 of 2)"


def test_lines_hold_the_members_of_each_group():
    runs = _runs().query("name == 'a'").reset_index(drop=True)
    table = common.intervals(runs, ["dim"], ["loss"])
    line = common.line(table, "dim", runs)
    np.testing.assert_array_equal(line.x, [2, 3])
    np.testing.assert_array_equal(line.value.mean, table["value"])
    for dim, found in zip((2, 3), line.value.members):
        np.testing.assert_array_equal(found, runs[runs["dim"] == dim]["loss"])
    whole = common.intervals(_runs(), [], ["loss"])
    [members] = common.interval(whole, _runs()).members
    assert len(members) == 23  # a missing value is no member
    assert common.interval(whole).members == ()


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


def test_a_row_is_told_with_its_interval():
    row = pd.Series(_cell(2.0, 1.25, 3.5))
    assert common.told(row) == "2.000 [1.250, 3.500]"
    assert common.told(row, 1) == "2.0 [1.2, 3.5]"


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
    pairs, held_out, truth = ratio.resampled(share, make_truth(RGB), count, seed=3)
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


def test_resampled_pairs_are_those_of_their_seed():
    first, second, other = (
        ratio.resampled(0.1, make_truth(RGB), 500, seed)[:2] for seed in (4, 4, 5)
    )
    for one, same, different in zip(first, second, other):
        np.testing.assert_array_equal(one.index, same.index)
        np.testing.assert_array_equal(one.label, same.label)
        assert len(one) != len(different) or (one.index != different.index).any()


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


@pytest.mark.parametrize(
    ("epochs", "power"),
    [
        ([100, 50, 25], -1.0),  # halved where the learning rate is doubled
        ([80, 80, 80], 0.0),
        ([0.0, 50, 25], -1.0),  # there from the start: it has no logarithm
        ([math.nan, 50, 25], -1.0),
        ([math.nan, math.nan, 25], math.nan),
    ],
)
def test_power_of_the_learning_rate(epochs, power):
    rows = pd.DataFrame({"learning_rate": [0.001, 0.002, 0.004], "epochs_to_structure": epochs})
    assert emergence._power(rows) == pytest.approx(power, abs=1e-12, nan_ok=True)


def test_radius_is_per_axis():
    # Four corners of a rectangle of 2 by 4: the variances are 1 and 4.
    corners = np.array([[0.0, 0], [2, 0], [0, 4], [2, 4]]) + 7
    assert emergence._radius(corners) == pytest.approx(math.sqrt(2.5))


def test_chosen_dimensions_have_the_least_of_their_criterion():
    rows = [
        (1000, 5, 1, 0.3, 0.9),
        (1000, 5, 2, 0.1, 0.5),
        (1000, 5, 3, 0.4, 0.2),
        (1000, 6, 1, 0.2, 0.1),
        (1000, 6, 2, 0.5, 0.3),
        (3000, 5, 1, 0.7, 0.6),
        (3000, 5, 2, 0.6, 0.6),
    ]
    runs = pd.DataFrame(rows, columns=["pairs", "seed", "dim", "excess_kl", "aic"])
    runs = runs.sample(frac=1, random_state=0).reset_index(drop=True)
    table = amount.chosen_dimensions(runs, "AIC", "aic")
    assert list(table) == ["criterion", "pairs", "seed", "dim", "regret"]
    assert table["criterion"].tolist() == ["AIC"] * 3
    assert table[["pairs", "seed"]].to_numpy().tolist() == [[1000, 5], [1000, 6], [3000, 5]]
    assert table["dim"].tolist()[:2] == [3, 1]
    assert table["regret"].tolist()[:2] == pytest.approx([0.3, 0.0])
    best = amount.chosen_dimensions(runs, amount.TRUTH, "excess_kl")
    assert best["dim"].tolist() == [2, 1, 2]
    assert best["regret"].tolist() == [0, 0, 0]


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
    """A map [items, 2] that is nothing but red less blue, and mean RGB."""
    return np.column_stack([RGB[:, 0] - RGB[:, 2], 2 * RGB.mean(axis=1)])


def test_sides_of_a_made_up_map():
    vectors = _flat_map()
    turned = plane.sides(vectors, RGB)
    radius = math.sqrt(((vectors - vectors.mean(axis=0)) ** 2).sum(axis=1).mean())
    # Mean RGB is a coordinate of the map, so its gradient is that axis; the greys are the origin.
    origin = vectors[plane.groups(RGB)["grey"]].mean(axis=0)
    np.testing.assert_allclose(turned, (vectors - origin) / radius, atol=1e-12)


@given(angle=st.floats(0, 7), mirrored=st.booleans(), scale=st.floats(0.1, 9))
def test_sides_do_not_depend_on_how_the_map_lies(angle, mirrored, scale):
    vectors = _flat_map() + 0.2 * RGB[:, 1:]  # so that the mean is read from both coordinates
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    moved = scale * vectors @ turn * [-1 if mirrored else 1, 1] + [3, -5]
    expected = plane.sides(vectors, RGB)
    np.testing.assert_allclose(plane.sides(moved, RGB), expected, atol=1e-9)
    found = plane.groups(RGB)
    assert expected[found["red"], 0].mean() > 0
    np.testing.assert_allclose(expected[found["grey"]].mean(axis=0), 0, atol=1e-12)
    assert np.corrcoef(expected[:, 1], RGB.mean(axis=1))[0, 1] > 0


def test_layout_by_hand():
    rgb = np.array([[1.0, 0, 0]] * 2 + [[0, 1.0, 0]] * 4 + [[0, 0, 1.0]] * 2 + [[0.5] * 3] * 4)
    # Reds at 2 on average and blues at -1, so that half of the nearer is 0.5.
    across = [1.0, 3.0, 0.4, -0.4, 0.5, 0.6, -1.5, -0.5, 0.1, -0.1, 0.49, -0.51]
    found = plane.layout(np.column_stack([across, np.zeros(12)]), rgb)
    assert found == pytest.approx(
        {
            **{
                "across_red": 2.0,
                "across_green": 0.275,
                "across_blue": -1.0,
                "across_grey": -0.005,
            },
            **{"near_red": 0.0, "near_green": 0.5, "near_blue": 0.0, "near_grey": 0.75},
            **{"grey_in_the_middle": True, "red_and_blue_apart": True},
        }
    )
    across[-2] = 0.5  # half of the greys are not most of them
    assert not plane.layout(np.column_stack([across, across]), rgb)["grey_in_the_middle"]
    same_side = np.column_stack([np.abs(across), np.zeros(12)])
    assert not plane.layout(same_side, rgb)["red_and_blue_apart"]


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


# --------------------------------------------------------------------------------------------------
# The law of the threshold


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        # A half lies midway between the second and the third weight.
        ([1, 0.75, 0.25, 0], {"monotone": True, "value": 0.15, "low": 0.0, "high": 0.4}),
        ([1, 1, 0, 0], {"monotone": True, "value": 0.15, "low": 0.1, "high": 0.2}),
        ([1, 0.5, 0, 0], {"monotone": True, "value": 0.1, "low": 0.0, "high": 0.2}),
        ([0.6, 0.6, 0.2, 0.2], {"monotone": True, "value": 0.125, "low": None, "high": None}),
        # Re-entrant: no threshold, whatever lies at the ends.
        ([1, 0, 0.5, 0], {"monotone": False, "value": None, "low": 0.0, "high": 0.4}),
        ([1, 1, 0, 1], {"monotone": False, "value": None, "low": 0.1, "high": None}),
        ([0, 1, 0, 0], {"monotone": False, "value": None, "low": None, "high": 0.2}),
        # None at all, all, and never a half.
        ([0, 0, 0, 0], {"monotone": True, "value": None, "low": None, "high": 0.0}),
        ([1, 1, 1, 1], {"monotone": True, "value": None, "low": 0.4, "high": None}),
        ([1, 1, 0.75, 0.5], {"monotone": True, "value": None, "low": 0.1, "high": None}),
        ([0.4, 0.2, 0, 0], {"monotone": True, "value": None, "low": None, "high": 0.2}),
    ],
)
def test_threshold_by_hand(shares, expected):
    rows = pd.DataFrame({"initial_kernel": [0.0, 0.1, 0.2, 0.4], "value": shares})
    found = threshold.threshold(rows.sample(frac=1, random_state=1))
    expected = {name: math.nan if value is None else value for name, value in expected.items()}
    assert found == pytest.approx(expected, nan_ok=True)


def test_a_weight_stays_where_the_labels_are_predicted_from_the_start():
    # p - pi is 0 for the mean distance at the start, D = 2 dim (scale^2 / 3).
    for base_rate, start in ((0.5, 0.3), (0.225, 0.05), (0.05, 1.0)):
        bias = float(logit(base_rate)) - start * 4 * 0.05**2 / 3
        config = Config(initial_bias=bias)
        assert threshold.final_weight(config, base_rate, start) == pytest.approx(start, rel=0.03)
    # With too high a probability the same weights fall, and with too low a one they rise.
    assert threshold.final_weight(Config(), 0.225, 0.05) < 0
    assert threshold.final_weight(Config(), 0.8, 0.05) > 0.1


def test_a_weight_far_below_the_scale_becomes_negative_and_one_far_above_does_not():
    config = Config(learning_rate=1e-5)
    assert threshold.final_weight(config, 0.225, 0.001) < 0
    assert threshold.final_weight(Config(), 0.225, 0.05) < 0
    assert threshold.final_weight(Config(), 0.225, 5 * 0.05) > 0.1


def test_the_way_of_a_large_weight_is_that_of_the_equations_without_noise():
    """Adam without momentum, whose second moment is the mean of all squares, in the limit.

    With time in steps times the learning rate and y(t / x0) = x / x0 the contraction of a
    coordinate, y' = -y / sqrt(mean of y^2 so far); for a weight that is large against its way, and
    k' = -g / sqrt(mean of g^2 so far) with g = mean of x^2.
    """

    def slopes(moment, state):
        place, squares = state
        return [-place / math.sqrt(squares / moment), place**2]

    begin, end = 1e-6, 12.0
    solved = scipy.integrate.solve_ivp(
        slopes, (begin, end), [1 - begin, begin], rtol=1e-10, atol=1e-14, dense_output=True
    )
    moment = np.linspace(0, 6, 3001)[1:]
    own = (np.arange(1000) + 0.5) / 1000  # the initial coordinates, in units of the scale
    place = solved.sol(np.clip(moment[:, None] / own, begin, end).ravel())[0]
    gradient = (own**2 * place.reshape(len(moment), -1) ** 2).mean(axis=1)
    mean_square = np.cumsum(gradient**2) / np.arange(1, len(moment) + 1)
    way = np.sum(gradient / np.sqrt(mean_square)) * (moment[1] - moment[0])
    assert way == pytest.approx(0.4514, rel=1e-3)

    scale = 0.005  # so small that the bias does not change p meanwhile
    config = Config(
        learning_rate=scale / 10_000,
        initial_scale=scale,
        batch_size=10**12,
        **{"beta1": 0.0, "beta2": 1 - 1e-9, "epsilon": 1e-30},
    )
    moved = 1 - threshold.final_weight(config, 0.0, 1.0, items=1000)
    assert moved / scale == pytest.approx(way, rel=2e-3)


def test_the_predicted_threshold_is_a_multiple_of_the_scale_where_the_learning_rate_is_small():
    ratios = [
        threshold.predicted_threshold(
            Config(initial_scale=scale, learning_rate=rate), ratio.TUTORIAL
        )
        / scale
        for scale, rate in ((0.05, 1e-3), (0.1, 1e-3), (0.015, 3e-4))
    ]
    assert ratios == pytest.approx([1.62] * 3, rel=0.03)
    # In the same units the rest is the same: nothing in it knows the number of dimensions.
    flat, solid = (threshold.predicted_threshold(Config(dim=dim), 0.225) for dim in (2, 3))
    assert flat == pytest.approx(solid, rel=0.02)


def test_the_predicted_threshold_is_where_the_final_weight_changes_its_sign():
    found = threshold.predicted_threshold(Config(), 0.225)
    assert threshold.final_weight(Config(), 0.225, found - 5e-4) < 0
    assert threshold.final_weight(Config(), 0.225, found + 5e-4) > 0
    assert threshold.predicted_threshold(Config(), 0.6) == 0.0


def test_studies_say_what_they_do():
    laws = ["threshold", "optimum", "variance"]
    assert list(STUDIES) == [
        *("sign", "ratio", "plane", "dimension", "surface", "emergence", "amount", "space"),
        *laws,
    ]
    said = " ".join(TUTORIAL.split())
    for study in STUDIES.values():
        assert study.kind == ("law" if study.name in laws else "claim")
        assert (study.quote == "") == (study.kind == "law")
        for part in filter(None, study.quote.split(" [...] ")):
            assert part in said, f"{study.name}: {part}"
        filled = study.method.format(seeds=24, half=12, third=8, epochs=500)
        assert "{" not in filled
        # The law of the optimum, whose counts differ by cell, gives them in its tables.
        assert re.search(r"\b(24|12|8)\b", filled) or study.name == "optimum"
        for name in ("estimand", "unit", "sources", "margin", "rule", "flips", "caption"):
            assert getattr(study, name), f"{study.name}: {name}"


# --------------------------------------------------------------------------------------------------
# Tiny runs of the studies that the program below does not run

# Numbers of pairs and members that coincide share a compiled program.
TINY = {
    "ratio": {"SHARES": (0.2249999, 0.225)},
    "dimension": {"DIMS": (1, 2, 3, 4)},
    "amount": {"COUNTS": (100_000, 100_001, 100_002), "DIMS": (1, 2, 3, 4)},
    "space": {"LISTS": ("css4",)},
    "threshold": {"CASES": (threshold.CASES[0], threshold.CASES[-1]), "STARTS": (-0.1, 0.1)},
}


@pytest.fixture
def compiled_fast():
    """Programs are compiled without optimisations, since they run for a few steps."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.mark.usefixtures("compiled_fast")
@pytest.mark.parametrize(("name", "changes"), TINY.items())
def test_a_tiny_run_is_judged_and_drawn(monkeypatch, tmp_path, name, changes):
    study = STUDIES[name]
    for constant, value in changes.items():
        monkeypatch.setattr(sys.modules[study.run.__module__], constant, value)
    # Whole batches in all of them, whose programs compile faster.
    tables = study.run(_setting(seeds=2, epochs=3, pairs=5120, first_seed=3))
    runs = tables["runs"]
    assert set(runs["seed"]) == {3, 4}
    # All is drawn anew, but the pairs that `ratio` resamples itself have no labels of the sweep.
    assert runs["own_floor"].nunique() > 1
    assert runs["kernel_init"].nunique() > 1
    if name == "ratio":
        # Without the pairs of an item with itself, which are positive, 1 of 646.
        rule = common.rows_where(runs, method=ratio.RULE)
        np.testing.assert_allclose(rule["true_mean_probability"], rule["share"], atol=1 / 646)
    drawing.write_tables(tmp_path, study, tables)
    again = drawing.read_tables(tmp_path, study)
    finding = study.judge(again)
    assert finding.answer == study.judge(tables).answer
    # The same number of pairs gains nothing, exactly, since all draws are those of the seed.
    assert finding.verdict in ((HOLDS,) if name == "amount" else (HOLDS, IN_PART, FAILS))
    figure = study.draw(again)
    assert len(figure.legends) == 1
    plt.close(figure)


@pytest.mark.usefixtures("compiled_fast")
def test_a_tiny_run_of_sign(monkeypatch):
    monkeypatch.setattr(sign, "HEADS", {sign.FREE: {"head": "free"}})
    tables = sign.run(_setting(seeds=3, epochs=3, pairs=2000, first_seed=3))
    runs = tables["runs"]
    assert len(runs) == 3 * 2
    assert ((runs["start"] == "positive") == (runs["kernel_init"] > 0)).all()
    assert runs["below_pass"].tolist() == (runs["base_rate_loss"] - runs["train_loss"]).tolist()
    assert not runs["recovered"].any()  # three epochs are too few
    assert tables["trapped"]["members"].tolist() == [3, 3]
    assert tables["trapped"]["value"].tolist() == pytest.approx(
        runs.groupby("dim")["below_pass"].mean().tolist()
    )
    quality = common.row_where(tables["quality"], dim=2, measure="excess_of_recovered")
    assert (quality["members"], math.isnan(quality["value"])) == (0, True)
    assert tables["shares_by_start"].groupby("dim")["members"].sum().tolist() == [3, 3]


# --------------------------------------------------------------------------------------------------
# The program

# --quick gives the first seed, 0, and these flags the other sizes in its place.
RUN = ["--only=plane,emergence", "--quick", "--seeds=2", "--epochs=3", "--num_pairs=3000"]
SIZES = {"seeds": 2, "epochs": 3, "pairs": 3000, "first_seed": 0}
TABLES = {
    "plane": ["map", "runs", "shares", "summary"],
    "emergence": ["curves", "powers", "runs", "summary"],
}


SAID = (
    *("name", "kind", "claim", "quote", "question", "estimand", "unit", "sources", "margin"),
    *("rule", "flips", "caption"),
)
"""What an entry of claims.json takes from its study as it is."""


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
def interrupted(tmp_path_factory):
    """A run that gets Ctrl-C after its first study: its folder, exit status and messages."""
    out = tmp_path_factory.mktemp("claims") / "out"
    command = [sys.executable, "-m", "experiments.claims", f"--out={out}", *RUN]
    log = out.parent / "log"
    with log.open("w") as errors, subprocess.Popen(command, stderr=errors, cwd=ROOT) as process:
        while not (out / "claims.json").exists():
            assert process.poll() is None, log.read_text()
            time.sleep(0.01)
        time.sleep(0.5)  # by then the next study is being compiled
        # Python ignores what is raised in a GC callback, so the signal is sent until it is heard.
        while process.poll() is None:
            if "interrupted" not in log.read_text():
                process.send_signal(signal.SIGINT)
            time.sleep(0.5)
    return out, process.returncode, log.read_text(), _bytes(out)


@pytest.fixture(scope="module")
def finished(interrupted):
    """The folder of the same run, resumed, and the finished process."""
    return interrupted[0], _run(interrupted[0], *RUN, "--resume")


@pytest.fixture
def copy(finished, tmp_path):
    return Path(shutil.copytree(finished[0], tmp_path / "out"))


def test_the_run_folder(finished):
    out, done = finished
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [
            *("claims.json", "config.json", "env.json"),
            *(f"{name}.{suffix}" for name in TABLES for suffix in ("png", "pdf")),
            *(f"{name}_{table}.csv" for name, tables in TABLES.items() for table in tables),
        ]
    )
    # 2 seeds of a plane; 3 dimensions at 4 rates, 2 seeds each.
    assert "26 trainings in" in done.stdout
    about = json.loads((out / "config.json").read_text())
    studies = about.pop("studies")
    assert about == {"experiment": "claims", **SIZES}
    assert list(studies) == ["plane", "emergence"]
    for one in studies.values():
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
            *("name", "kind", "claim", "quote", "question", "method", "estimand", "unit"),
            *("sources", "margin", "rule", "flips", "caption", "verdict", "evidence", "answer"),
            *("figure", "tables"),
        ]
        study = STUDIES[entry["name"]]
        for name in SAID:
            assert entry[name] == getattr(study, name)
        assert entry["kind"] == "claim"
        assert "2 replicates" in entry["method"]
        assert "3 epochs" in entry["method"]
        assert entry["verdict"] in (HOLDS, IN_PART, FAILS)
        assert entry["figure"] == f"{study.name}.png"
        assert entry["tables"] == [f"{study.name}_{name}.csv" for name in TABLES[study.name]]
        for one in entry["evidence"]:
            assert set(one) == {"what", "value", "low", "high"}
        assert f"{entry['name']}, {entry['verdict']}: {entry['answer']}\n" in done.stdout


def test_the_tables(finished):
    out, _ = finished
    tables = drawing.read_tables(out, STUDIES["emergence"])
    assert (
        tables["runs"].groupby(["dim", "learning_rate"])["seed"].apply(set).tolist()
        == [{0, 1}] * 12
    )
    assert set(tables["curves"]["epoch"]) == {0, 1, 2, 3}
    # Everything is drawn anew: each replicate has labels, a floor and held-out labels of its own.
    runs = tables["runs"].query("dim == 2 and learning_rate == 0.001")
    for name in ("kernel_init", "base_rate_loss", "own_floor", "heldout_loss", "excess_kl"):
        assert runs[name].nunique() == 2, name
    # Members of one replicate share its pairs and labels, whatever their dimension and rate.
    assert (tables["runs"].groupby("seed")["own_floor"].nunique() == 1).all()
    tables = drawing.read_tables(out, STUDIES["plane"])
    assert tables["map"]["name"].tolist() == data.load_colours().names
    np.testing.assert_allclose(tables["map"][["red", "green", "blue"]], RGB)
    for part in plane.PARTS:
        share = common.row_where(tables["shares"], measure=part)
        assert share["successes"] == tables["runs"][part].sum()


def test_the_same_tables_give_the_same_files(finished, copy):
    for name in ("claims.json", *(f"{name}.png" for name in TABLES)):
        (copy / name).unlink()
    _run(copy, "--from_tables")
    assert _bytes(copy) == _bytes(finished[0])


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


def test_an_interrupt_keeps_the_finished_studies(interrupted, finished):
    _, status, said, before = interrupted
    assert status == 1, said
    assert "the finished studies (plane) are saved, and --resume runs the others" in said
    assert [entry["name"] for entry in json.loads(before["claims.json"])] == ["plane"]
    assert not [name for name in before if name.startswith("emergence")]
    # Resuming leaves the finished study as it is.
    after = _bytes(finished[0])
    for name in before:
        if name.startswith("plane"):
            assert after[name] == before[name], name
    both = [json.loads(one["config.json"])["studies"]["plane"] for one in (before, after)]
    assert both[0] == both[1]


def test_an_update_of_other_sizes_is_refused(copy):
    before = _bytes(copy)
    message = _refused(copy, "--update", *(one for one in RUN if one != "--quick"))
    assert f"was made with {SIZES}: give the same sizes" in message  # its first seed is not 1000
    assert _bytes(copy) == before


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--seeds=1"], "--seeds is 1: give at least 2"),
        (["--epochs=0"], "--epochs is 0: give at least 1"),
        (["--quick", "--num_pairs=999"], "--num_pairs is 999: give at least 1000"),
        (["--first_seed=-1"], "--first_seed is -1: give at least 0"),
        (["--only=plane,weather"], "no study is called 'weather'; give some of sign, ratio"),
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


def test_damaged_tables_are_one_line_and_the_folder_stays(copy):
    file, change, part = DAMAGE["a table is missing"]
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


@functools.cache
def _committed_tables(name):
    return drawing.read_tables(COMMITTED, STUDIES[name])


def _config():
    return json.loads((COMMITTED / "config.json").read_text())


def test_all_studies_are_committed(committed):
    assert list(committed) == list(_config()["studies"]) == list(STUDIES)
    # Nothing is left of a study that is gone.
    assert {path.name.split("_")[0].split(".")[0] for path in COMMITTED.iterdir()} == {
        *STUDIES,
        *("claims", "config", "env"),
    }


@pytest.mark.parametrize("name", STUDIES)
def test_committed_verdicts_follow_from_the_committed_tables(committed, name):
    study, entry = STUDIES[name], committed[name]
    tables = _committed_tables(name)
    finding = study.judge(tables)
    assert entry["verdict"] == finding.verdict
    assert entry["answer"] == finding.answer
    assert len(entry["evidence"]) == len(finding.evidence)
    assert len({one.what for one in finding.evidence}) == len(finding.evidence)
    for written, found in zip(entry["evidence"], finding.evidence):
        assert written["what"] == found.what
        for key in ("value", "low", "high"):
            number = getattr(found, key)
            known = number is not None and math.isfinite(number)  # JSON has no NaN
            assert written[key] == (pytest.approx(number, rel=1e-12) if known else None)
    sizes = _config()
    counts = {"half": sizes["seeds"] // 2, "third": sizes["seeds"] // 3}
    assert entry["method"] == study.method.format(**sizes, **counts)
    for key in SAID:
        assert entry[key] == getattr(study, key)
    assert entry["tables"] == [f"{name}_{table}.csv" for table in tables]
    for file in (*entry["tables"], entry["figure"], f"{name}.pdf"):
        assert (COMMITTED / file).is_file()


@pytest.mark.parametrize("name", STUDIES)
def test_committed_studies_took_less_than_20_minutes_each(committed, name):
    assert name in list(committed)
    assert 0 < _config()["studies"][name]["seconds"] < 1200


def test_committed_studies_took_less_than_100_minutes_in_all(committed):
    assert sum(one["seconds"] for one in _config()["studies"].values()) < 6000


MARGINS = ("margin, down", "margin, up")
LINES = {
    "sign": [(0, "x", common.THRESHOLD, sign.NEEDED)],
    "ratio": [(1, "y", name, end) for name, end in zip(MARGINS, (-0.02, 0.02))],
    "plane": [(1, "x", common.THRESHOLD, 0.8), (3, "x", common.THRESHOLD, 0.5)],
    "dimension": [(1, "y", common.THRESHOLD, 0.9)],
    "surface": [(1, "x", name, end) for name, end in zip(MARGINS, (-0.01, 0.01))],
    "emergence": [(2, "y", "structure with the fit", 0.0)],
    "amount": [(1, "y", "margin", 0.01)],
    "space": [(1, "x", common.THRESHOLD, 0.9)],
    "threshold": [],  # its margin is a factor of each bracket
    "optimum": [
        (1, "y", "least of the rule", optimum.LOW),
        (1, "y", "most of the rule", optimum.HIGH),
    ],
    "variance": [(2, "x", common.THRESHOLD, variance.SMALL)],
}


@pytest.mark.parametrize(("name", "lines"), LINES.items())
def test_figures_draw_the_threshold_of_their_rule_and_have_one_legend(committed, name, lines):
    assert name in list(committed)
    figure = STUDIES[name].draw(_committed_tables(name))
    (legend,) = figure.legends
    assert not [ax for ax in figure.axes if ax.get_legend()]
    listed = [text.get_text() for text in legend.get_texts()]
    assert len(listed) == len(set(listed))
    titles = legend.get_title().get_text().split("\n")
    assert len(titles) == len(set(titles))
    for panel, axis, label, value in lines:
        ax, label = figure.axes[panel], f"{label}: {value:.4g}"
        [drawn] = [line for line in ax.get_lines() if line.get_label() == label]
        assert set(getattr(drawn, f"get_{axis}data")()) == {value}
        low, high = getattr(ax, f"get_{axis}lim")()
        assert low < value < high
        assert label in listed
    plt.close(figure)


def test_channels_have_their_own_colours_and_markers(committed):
    ax = STUDIES["dimension"].draw(_committed_tables("dimension")).axes[1]
    drawn = {bars.get_label(): bars[0] for bars in ax.containers}
    assert list(drawn) == list(dimension.CHANNELS)
    for place, line in enumerate(drawn.values()):
        rgb = matplotlib.colors.to_rgb(line.get_color())
        assert np.argmax(rgb) == place
        assert line.get_markeredgecolor() == line.get_color()
    assert len({line.get_marker() for line in drawn.values()}) == 3
    plt.close(ax.figure)


REPLICATES = {
    "sign": (["name", "dim"], 12, 16),
    "ratio": (["method", "dim", "share"], 8, 36),
    "plane": (["dim"], 24, 1),
    "dimension": (["dim"], 24, 8),
    "surface": (["rows", "dim"], 24, 7),
    "emergence": (["dim", "learning_rate"], 12, 12),
    "amount": (["pairs", "dim"], 8, 42),
    "space": (["colours", "made_from"], 12, 6),
    "threshold": (["case", "initial_kernel"], 8, 18 * 13),
}


@pytest.mark.parametrize(("name", "expected"), REPLICATES.items())
def test_the_committed_runs_have_enough_replicates(committed, name, expected):
    by, least, cells = expected
    assert name in list(committed)
    runs = _committed_tables(name)["runs"]
    replicates = runs.groupby(by)["seed"].nunique()
    assert len(replicates) == cells
    assert replicates.min() >= least
    assert replicates.to_numpy().tolist() == runs.groupby(by).size().tolist()
    if name == "sign":
        assert (replicates.loc[sign.FREE] >= 24).all()
    # Pilots use seeds below these.
    assert runs["seed"].min() >= _config()["first_seed"] == 1000


def test_the_committed_thresholds_are_those_of_the_committed_shares(committed):
    assert "threshold" in list(committed)
    tables = _committed_tables("threshold")
    for case in threshold.CASES:
        row = common.row_where(tables["thresholds"], case=case.name)
        assert row["judged"] == case.judged
        found = threshold.threshold(common.rows_where(tables["shares"], case=case.name))
        assert dict(row[list(found)]) == pytest.approx(found, nan_ok=True)
    # One prediction, made anew, of settings that the committed ones were made with.
    config = Config(label_constant=ratio.constant_of(ratio.TUTORIAL, RGB))
    row = common.row_where(tables["thresholds"], case=threshold.BASELINE)
    assert row["predicted"] == pytest.approx(threshold.predicted_threshold(config, 0.225))


def test_the_committed_folder_names_no_place_on_a_machine(committed):
    for name in ("config.json", "env.json"):
        assert "/" not in (COMMITTED / name).read_text()
    assert run_folder.read_json(COMMITTED / "env.json", ["packages", "data_hash"])
