"""The laws: their rules on made-up tables, their arithmetic, and a tiny run of each."""

import math

import numpy as np
import pandas as pd
import pytest

from colour_embed import data
from colour_embed.evaluate.truth import make_truth
from experiments.claims import common, optimum, variance
from experiments.claims.common import FAILS, HOLDS, IN_PART, Setting


def above(value):
    return math.nextafter(value, math.inf)


def below(value):
    return math.nextafter(value, -math.inf)


def _cell(value, low=None, high=None, **names):
    """A row as `intervals` writes it."""
    interval = {"low": value if low is None else low, "high": value if high is None else high}
    return {**names, "value": value, **interval}


def _told(finding, what):
    [found] = [one for one in finding.evidence if one.what.startswith(what)]
    return found


def _tiny():
    """With the shortest list of colours."""
    setting = Setting(2, epochs=5, pairs=3000, first_seed=0, add=lambda *_: lambda *_: None)
    vars(setting)["colours"] = data.load_colours("css4")
    return setting


# --------------------------------------------------------------------------------------------------
# Laws a and b


def _optimum_tables(ends=None, prices=((1.0, 2.0),)):
    """With the ends of the ratio's interval by dim and pairs, and of the price's, one a case."""
    ends = ends or {}
    summary, trained = [], []
    for dim in optimum.DIMS:
        for count in optimum.COUNTS:
            names = {"colours": "tutorial", "head": "negative", "dim": dim, "pairs": count}
            low, high = ends.get((dim, count), (0.9, 1.1))
            summary.append(_cell((low + high) / 2, low, high, **names, measure="ratio"))
            for measure in ("excess_kl", "gap", "predicted"):
                summary.append(_cell(300 / count, **names, measure=measure))
            trained.append(_cell(0.02, dim=dim, pairs=count, measure="excess_kl"))
    price = [
        _cell(
            (low + high) / 2,
            low,
            high,
            **{
                "colours": "css4",
                "items": 148,
                "head": "negative",
                "pairs": 100_000 * (1 + number),
            },
            measure="ratio",
        )
        for number, (low, high) in enumerate(prices)
    ]
    misfits = {"colours": "tutorial", "items": 646, "head": "negative", "dim": 3, "misfit": 0.0054}
    tables = {
        "runs": [{"failed": False}, {"failed": True}],
        "misfits": [misfits],
        "summary": summary,
        "price_summary": price,
        "trained_runs": [{"failed": True}, {"failed": False}, {"failed": False}],
        "trained_summary": trained,
    }
    return {name: pd.DataFrame(rows) for name, rows in tables.items()}


_JUDGED = [(dim, count) for dim in (2, 3) for count in (100_000, 300_000, 1_000_000)]


@pytest.mark.parametrize(
    ("ends", "verdict"),
    [
        ({}, HOLDS),
        ({cell: (0.8, 1.25) for cell in _JUDGED}, HOLDS),
        ({(2, 30_000): (2.0, 3.0), (3, 30_000): (2.0, 3.0)}, HOLDS),
        ({(3, 100_000): (below(0.8), 1.0)}, IN_PART),
        ({(2, 1_000_000): (1.0, above(1.25))}, IN_PART),
        ({cell: (1.0, 1.3) for cell in _JUDGED[1:]}, IN_PART),
        ({cell: (1.0, 1.3) for cell in _JUDGED}, FAILS),
    ],
)
def test_optimum_goes_by_the_cells_of_many_pairs(ends, verdict):
    finding = optimum.judge(_optimum_tables(ends))
    assert finding.verdict == verdict
    inside = 6 - sum(
        low < 0.8 or high > 1.25 for cell, (low, high) in ends.items() if cell in _JUDGED
    )
    assert f"in {inside} of 6 cells" in finding.answer
    assert "1 of 3 trainings" in finding.answer
    assert "1 of 2 optimisations did not converge" in finding.answer
    assert _told(finding, "misfit, 646 colours, negative head, 3-D").value == 0.0054


@pytest.mark.parametrize(
    ("prices", "said"),
    [
        (((1.0, 2.0), (1.5, 2.5)), "One multiple, 1.50 to 2.00, lies in all 2 intervals"),
        (((1.0, 2.0), (2.0, 2.5)), "One multiple, 2.00 to 2.00, lies in all"),
        (((1.0, 2.0), (above(2.0), 2.5)), "No one multiple lies in all 2 intervals"),
    ],
)
def test_the_price_is_a_constant_multiple_if_one_lies_in_all_intervals(prices, said):
    tables = _optimum_tables(prices=prices)
    few = tables["price_summary"].iloc[:1].assign(value=9.0, low=9.0, high=9.0, pairs=30_000)
    tables["price_summary"] = pd.concat([few, tables["price_summary"]])
    answer = optimum.judge(tables).answer
    assert said in answer
    assert f"{np.mean(prices[0]):.2f} [1.00, 2.00] (148 colours" in answer


def test_prices_are_paired_by_replicate_and_corrected_for_the_misfits():
    cell = {"colours": "css4", "items": 148, "head": "negative", "pairs": 1000}
    rows = [
        {**cell, "seed": seed, "dim": dim, "gap": gap, "predicted": predicted, "failed": failed}
        for seed, dim, gap, predicted, failed in [
            (0, 3, 0.2, 0.2195, False),
            (0, 4, 0.344, 0.2915, False),
            (1, 3, 0.3, 0.2195, True),
            (1, 4, 0.336, 0.2915, False),
        ]
    ]
    prices = optimum.price_table(pd.DataFrame(rows))
    assert prices["price"].tolist() == pytest.approx([0.144, 0.036])
    assert prices["regular"].tolist() == pytest.approx([144 / 2000] * 2)
    assert prices["ratio"].tolist() == pytest.approx([2.0, 0.5])
    assert prices["failed"].tolist() == [False, True]


def test_drawn_counts_are_shares_and_mean_labels():
    pairs = data.Pairs(np.array([[0, 1], [0, 1], [1, 1], [1, 0]]), np.array([1.0, 0, 1, 0]))
    share, label = optimum.drawn_counts(2, pairs)
    assert share.tolist() == [[0, 0.5], [0.25, 0.25]]
    assert label.tolist() == [[0, 0.5], [0, 1]]


def test_expected_counts_hold_the_true_probabilities():
    truth = make_truth(np.random.default_rng(0).random((5, 3)))
    share, label = optimum.expected_counts(truth)
    assert share.sum() == pytest.approx(1)
    assert np.diag(label).tolist() == [1.0] * 5
    assert label[np.triu_indices(5, 1)].tolist() == truth.probability.tolist()
    assert (label == label.T).all()


@pytest.mark.parametrize(
    ("head", "misfit"), [("negative", 0.005334), ("matched", 0.001129)]
)  # found by another program: gradients written out, NumPy
def test_misfits_of_the_css_colours_in_3d(head, misfit):
    truth = make_truth(data.load_colours("css4").rgb)
    starts = optimum.expected_starts(head, truth, 3)
    found = optimum.least_optimum(head, optimum.expected_counts(truth), starts, 500)
    assert found.converged
    assert optimum.excess_of(head, found, truth) == pytest.approx(misfit, abs=2e-6)


def test_a_tiny_run_of_optimum_is_judged_and_drawn(monkeypatch):
    monkeypatch.setattr(optimum, "CASES", (optimum.MAIN, ("css4", "matched")))
    monkeypatch.setattr(optimum, "COUNTS", (30_000, 100_000))
    tables = optimum.run(_tiny())
    runs = tables["runs"]
    assert len(runs) == 2 * 2 * 3 + 1 * 2 * 2
    assert (runs["ratio"] * runs["predicted"]).to_numpy() == pytest.approx(runs["gap"].to_numpy())
    few = common.rows_where(runs, colours="tutorial", dim=3, pairs=30_000)
    assert few["predicted"].tolist() == [439 / 1800] * 2
    assert len(tables["trained_runs"]) == 2 * 2 * 2 * optimum.RESTARTS
    finding = optimum.judge(tables)
    assert finding.verdict in (HOLDS, IN_PART, FAILS)
    assert len(optimum.draw(tables).axes) == 3


# --------------------------------------------------------------------------------------------------
# Law e


def _variance_tables(shares=None, sums=None, without=0.05):
    shares, sums = shares or {}, sums or {}
    ratios, variances, maps = [], [], []
    for dim in variance.DIMS:
        for kept in ("all", "succeeded"):
            low, high = shares.get(dim, (0.02, 0.09)) if kept == "all" else (without, without)
            names = {"dim": dim, "kept": kept}
            ratios.append(_cell((low + high) / 2, low, high, **names, ratio="training"))
            low, high = sums.get(dim, (0.8, 1.2))
            ratios.append(_cell((low + high) / 2, low, high, **names, ratio="sum"))
        for component in variance.COMPONENTS:
            names = {"dim": dim, "component": component}
            variances.append(_cell(4e-6, 1e-6, 9e-6, **names, measure="excess_kl", kept="all"))
            maps.append(_cell(0.01, **names))
    runs = [{"dim": dim, "failed": dim == 2} for dim in variance.DIMS for _ in range(4)]
    tables = {"ratios": ratios, "variances": variances, "maps": maps, "runs": runs}
    return {name: pd.DataFrame(rows) for name, rows in tables.items()}


@pytest.mark.parametrize(
    ("shares", "verdict"),
    [
        ({}, HOLDS),
        ({2: (0.0, below(0.1)), 3: (0.0, below(0.1)), 1: (0.5, 0.9)}, HOLDS),
        ({2: (0.0, 0.1)}, IN_PART),
        ({3: (0.05, 0.2)}, IN_PART),
        ({2: (0.0, 0.1), 3: (0.0, 0.1)}, FAILS),
    ],
)
def test_variance_goes_by_the_shares_in_2d_and_3d(shares, verdict):
    finding = variance.judge(_variance_tables(shares))
    assert finding.verdict == verdict
    assert "0 of 4 in 1-D, 4 of 4 in 2-D, 0 of 4 in 3-D" in finding.answer
    deviation = _told(finding, "standard deviation of the excess, order, 3-D")
    assert deviation[1:] == pytest.approx((2e-3, 1e-3, 3e-3))


def test_variance_says_where_the_components_add_up():
    finding = variance.judge(_variance_tables(sums={1: (1.0, 2.0), 2: (1.1, 2.0)}))
    assert "1 is in the interval in 1-D, 3-D." in finding.answer
    nowhere = variance.judge(_variance_tables(sums=dict.fromkeys(variance.DIMS, (2, 3))))
    assert "1 is in none of the intervals." in nowhere.answer


def _runs(values, failed=()):
    """A row for each member: 3 in each of two bases, 6 in the set of all draws."""
    rows = [
        {"component": component, "base": base, "dim": dim, "excess_kl": value}
        for dim in variance.DIMS
        for component in variance.COMPONENTS
        for base, group in enumerate(values[component])
        for value in group
    ]
    runs = pd.DataFrame(rows).assign(train_loss=0.3, heldout_loss=0.4, failed=False)
    runs.loc[runs["excess_kl"].isin(failed), "failed"] = True
    return runs


VALUES = {
    "init": [[0.0, 0.1, 0.2], [1.0, 1.2, 9.0]],
    "order": [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
    "labels": [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]],
    "pairs": [[0.0, 2.0, 4.0], [0.0, 2.0, 4.0]],
    "all": [[0.0, 2.0, 4.0, 0.0, 2.0, 4.0]],
}


def test_variances_are_those_within_the_bases():
    runs = _runs(VALUES, failed=[9.0])
    table = variance.variance_table(runs)

    def value(component, kept):
        wanted = {"dim": 3, "component": component, "measure": "excess_kl", "kept": kept}
        return common.row_where(table, **wanted)

    assert value("labels", "all")["value"] == pytest.approx(1.0)
    assert value("pairs", "all")["value"] == pytest.approx(4.0)
    assert value("all", "all")["value"] == pytest.approx(3.2)
    assert value("init", "succeeded")["value"] == pytest.approx((0.01 + 0.02) / 2)
    assert value("init", "all")["value"] == pytest.approx((0.01 + np.var([1, 1.2, 9], ddof=1)) / 2)
    assert value("init", "all")[["members", "failed"]].tolist() == [6, 1]
    assert value("order", "all")[["low", "high"]].tolist() == [0, 0]
    ratios = variance.ratio_table(runs)
    share = common.row_where(ratios, dim=2, kept="succeeded", ratio="training")
    assert share["value"] == pytest.approx(0.015 / 3.2)
    whole = common.row_where(ratios, dim=2, kept="succeeded", ratio="sum")
    assert whole["value"] == pytest.approx((0.015 + 1 + 4) / 3.2)
    assert whole["low"] < whole["value"] < whole["high"]


def test_the_resampled_variance_is_unbiased():
    values = np.random.default_rng(0).normal(size=8)
    value, resampled = variance._draws([values])
    assert value == pytest.approx(values.var(ddof=1))
    assert resampled.mean() == pytest.approx(value, rel=0.05)


def test_map_disparity_is_the_mean_over_two_different_members():
    of = np.array([[0.0, 0.1, 0.2], [0.1, 0.0, 0.3], [0.2, 0.3, 0.0]])
    lost = np.full((3, 3), np.nan)
    lost[:2, :2] = [[0, 0.4], [0.4, 0]]
    names = {"dim": 3, "component": "init"}
    table = variance.map_table([{**names, "base": 0, "of": of}, {**names, "base": 1, "of": lost}])
    [row] = table.to_dict("records")
    assert row["value"] == pytest.approx((0.2 + 0.4) / 2)
    assert row["low"] < row["value"] < row["high"]


def test_a_tiny_run_of_variance_is_judged_and_drawn(monkeypatch):
    monkeypatch.setattr(variance, "BASES", 1)
    tables = variance.run(_tiny())
    runs = tables["runs"]
    assert len(runs) == 5 * 2 * 3
    # One draw at a time: the initial weight differs where the initial values do, and else not.
    starts = runs.groupby(["component", "dim"])["kernel_init"].nunique().unstack()
    assert (starts.loc[["init", "all"]] == 2).all(axis=None)
    assert (starts.loc[["order", "labels", "pairs"]] == 1).all(axis=None)
    assert (runs.groupby(["component", "dim"])["train_loss"].nunique() == 2).all()
    assert variance.judge(tables).verdict in (HOLDS, IN_PART, FAILS)
    assert len(variance.draw(tables).axes) == 3
