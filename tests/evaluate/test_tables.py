"""The measures of members against the single functions, and the tables of a sweep."""

import doctest
import importlib
import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import pdist

from colour_embed import data
from colour_embed.config import Config, InputError
from colour_embed.evaluate import geometry, scores, tables
from colour_embed.evaluate.truth import all_pairs, held_out_pairs, make_truth
from colour_embed.heads import HEADS
from colour_embed.runs import SweepResult

COLOURS = data.load_colours()
RGB = COLOURS.rgb
PAIRS = data.tutorial_pairs(COLOURS)


def _result(embedding, members, kernel, bias, config=None):
    """A sweep without curves; embedding [M, items, D]."""
    count = len(members)
    return SweepResult(
        config=config or Config(),
        members=list(members),
        embedding=np.asarray(embedding),
        kernel=np.asarray(kernel, float),
        bias=np.asarray(bias, float),
        initial_kernel=np.full(count, -0.5),
        loss=np.full((count, 2), [0.5, 0.4]),
        mse=np.full((count, 2), [0.2, 0.1]),
        diverged=np.zeros(count, np.int32),
        epoch=np.zeros(0, np.int32),
        snapshots=np.zeros((0, 0, *np.shape(embedding)[1:]), np.float32),
    )


def _members(dims=(2, 3, 6), columns=6, **fields):
    """Noisy copies of RGB, which are recovered in any number of dimensions."""
    generator = np.random.default_rng(0)
    embedding = np.zeros((len(dims), len(RGB), columns), np.float32)
    for place, dim in enumerate(dims):
        embedding[place, :, : min(dim, 3)] = RGB[:, :dim]
        embedding[place, :, :dim] += 0.05 * generator.normal(size=(len(RGB), dim))
    members = [Config(seed=place, dim=dim, **fields) for place, dim in enumerate(dims)]
    return embedding, members, np.array([-6.0, -8.0, -7.0]), np.array([1.0, 1.5, 2.0])


@pytest.fixture(scope="module")
def truth():
    return make_truth(RGB)


@pytest.fixture(scope="module")
def held_out():
    return held_out_pairs(len(COLOURS), PAIRS.index, RGB, 0.2, 0)


def test_members_are_the_single_functions(truth, held_out):
    embedding, members, kernel, bias = _members()
    result = tables.evaluate_members(_result(embedding, members, kernel, bias), RGB, PAIRS)
    assert tuple(result) == tables.MEASURES
    assert result["recovered"].dtype == bool
    assert result["recovered"].all()
    for place, member in enumerate(members):
        points = embedding[place, :, : member.dim].astype(np.float64)
        logits = kernel[place] * pdist(points, "sqeuclidean") + bias[place]
        first, second = held_out.index.T
        own = kernel[place] * np.sum((points[first] - points[second]) ** 2, axis=1) + bias[place]
        wide = member.dim > 3
        disparity = geometry.linear_map_disparity if wide else geometry.procrustes_disparity
        expected = {
            "heldout_loss": scores.cross_entropy(own, held_out.label),
            "excess_kl": scores.excess_kl(logits, truth.probability),
            "auc": scores.auc(own, held_out.label),
            "brier": scores.brier(own, held_out.label),
            "spearman": geometry.distance_spearman(points, RGB),
            "procrustes": disparity(points, RGB),
            "trustworthiness": geometry.trustworthiness(points, RGB),
            "continuity": geometry.continuity(points, RGB),
            "knn_overlap": geometry.knn_overlap(points, RGB),
        }
        for name, value in expected.items():
            assert result[name][place] == pytest.approx(value, abs=1e-10), name


def test_padding_threads_and_neighbours_in_the_batch_change_nothing():
    embedding, members, kernel, bias = _members()
    whole = _result(embedding, members, kernel, bias)
    batch = tables.evaluate_members(whole, RGB, PAIRS, workers=3)
    alone = _result(embedding[:1, :, :2], members[:1], kernel[:1], bias[:1])
    narrow = tables.evaluate_members(alone, RGB, PAIRS, workers=1)
    for name, values in narrow.items():
        assert values[0] == batch[name][0], name


def test_a_broken_member_is_nan_and_harms_no_other(truth, held_out):
    embedding, members, kernel, bias = _members()
    embedding = np.concatenate([embedding] * 2).astype(np.float64)
    kernel, bias = np.tile(kernel, 2), np.tile(bias, 2)
    embedding[0, 5, 0] = np.nan
    embedding[1] *= 1e200  # finite, but its distances are not
    kernel[2], bias[3] = np.inf, np.nan
    embedding[4] = 1
    result = tables.evaluate_members(
        _result(embedding, members * 2, kernel, bias), truth, PAIRS, held_out=held_out
    )
    for name, values in result.items():
        if name == "recovered":
            assert values.tolist() == [False] * 5 + [True]
        else:
            assert np.isnan(values[:4]).all(), name
            assert np.isfinite(values[5]), name
    assert np.isnan(result["spearman"][4])
    assert result["auc"][4] == 0.5


def test_each_member_has_its_own_head(truth, held_out):
    embedding = np.stack([RGB, RGB, RGB])
    heads = ("negative", "dot", "inverse")
    members = [Config(dim=3, head=head, smoothing=0.3) for head in heads]
    result = _result(embedding, members, [-8.0, 2.0, 1.0], [1.5, -2.0, -1.0])
    found = tables.evaluate_members(result, truth, PAIRS, held_out=held_out)
    squared, (first, second) = pdist(RGB, "sqeuclidean"), all_pairs(len(RGB)).T
    product = np.sum(RGB[first] * RGB[second], axis=1)
    by_hand = [1.5 - 8 * squared, 2 * product - 2, 1 / (squared + 0.3) - 1]
    for place, (head, logits) in enumerate(zip(heads, by_hand)):
        assert (HEADS[head].feature == "dot_product") == (head == "dot")
        expected = scores.excess_kl(logits, truth.probability)
        assert found["excess_kl"][place] == pytest.approx(expected, abs=1e-12), head
    assert len(set(found["spearman"])) == 1


def test_truth_follows_the_label_constant_of_each_member(held_out):
    embedding, members, kernel, bias = _members()
    members = [members[0], Config(dim=3, label_constant=0.4)]
    result = _result(embedding[:2], members, kernel[:2], bias[:2])
    both = tables.evaluate_members(result, RGB, PAIRS)
    other = make_truth(RGB, 0.4)
    other_pairs = held_out_pairs(646, PAIRS.index, RGB, 0.4, 0)
    for ready in ({"held_out": other_pairs}, {}):  # the truth's constant labels the pairs
        alone = tables.evaluate_members(result, other, PAIRS, **ready)
        for name in tables.MEASURES:
            assert both[name][1] == alone[name][1], name
        assert both["excess_kl"][0] != alone["excess_kl"][0]


def test_pairs_may_be_drawn_per_member():
    embedding, members, kernel, bias = _members()
    config = Config(seed=5)
    result = _result(embedding[:2], members[:2], kernel[:2], bias[:2], config)
    drawn = [PAIRS.index[:5000], PAIRS.index[5000:9000]]
    found = tables.evaluate_members(result, RGB, lambda member: drawn[member.seed])
    for place, index in enumerate(drawn):
        # The held-out labels are drawn by the seed of the member too, 0 and 1.
        pairs = held_out_pairs(646, index, RGB, 0.2, members[place].seed)
        expected = tables.evaluate_members(result, RGB, PAIRS, held_out=pairs)
        assert found["heldout_loss"][place] == expected["heldout_loss"][place]
    assert found["heldout_loss"][0] != expected["heldout_loss"][0]


def test_members_with_pairs_of_their_own_have_held_out_labels_of_their_own():
    embedding, *_ = _members()
    members = [Config(seed=seed, dim=2) for seed in (5, 6)]
    same = _result(embedding[[0, 0], :, :2], members, [-6.0] * 2, [1.0] * 2, Config(seed=5))
    own = tables.evaluate_members(same, RGB, lambda member: PAIRS.index)
    shared = tables.evaluate_members(same, RGB, PAIRS)
    # The same vectors and training pairs: the labels are the one difference.
    assert own["heldout_loss"][0] != own["heldout_loss"][1]
    assert own["excess_kl"][0] == own["excess_kl"][1]
    assert shared["heldout_loss"].tolist() == [own["heldout_loss"][0]] * 2


def test_says_what_is_wrong(truth):
    embedding, members, kernel, bias = _members()
    result = _result(embedding, members, kernel, bias)
    with pytest.raises(InputError, match="the truth holds 645 items and the sweep 646"):
        tables.evaluate_members(result, RGB[1:], PAIRS)
    for pair in ([3, 3], [-1, 3], [3, 646]):
        bad = data.Pairs(np.array([pair], np.int32), np.ones(1))
        with pytest.raises(InputError, match=r"two different ids in 0\.\.645"):
            tables.evaluate_members(result, truth, PAIRS, held_out=bad)


def test_without_held_out_pairs_only_what_needs_them_is_missing():
    embedding, members, kernel, bias = _members()
    result = _result(embedding[:1], members[:1], kernel[:1], bias[:1])
    found = tables.evaluate_members(result, RGB, lambda member: all_pairs(646))
    missing = [name for name, values in found.items() if np.isnan(values).any()]
    assert missing == ["heldout_loss", "auc", "brier"]


def test_a_positive_weight_is_seen_by_the_labels_and_not_by_the_shape(truth, held_out):
    members = [Config(dim=3)] * 2
    result = _result(np.stack([RGB, RGB]), members, [-8.0, 8.0], [1.5, -1.5])
    found = tables.evaluate_members(result, truth, PAIRS, held_out=held_out)
    assert found["auc"][1] == pytest.approx(1 - found["auc"][0])
    assert found["excess_kl"][1] > 10 * found["excess_kl"][0]
    assert found["spearman"][1] == found["spearman"][0] == pytest.approx(1)


_TRUTH = make_truth(np.random.default_rng(5).random((40, 3)))
_PAIRS = held_out_pairs(40, np.array([[0, 1]]), _TRUTH.coordinates, 0.2, 0)


def _small(vectors, truth, held_out):
    """Measures of one member [40, dim]."""
    result = _result(vectors[None], [Config(dim=vectors.shape[1])], [-5.0], [1.0])
    return tables.evaluate_members(result, truth, PAIRS, held_out=held_out, workers=1)


def _points(seed, items, dim):
    return np.random.default_rng(seed).normal(size=(items, dim))


@given(seed=st.integers(0, 1000), dim=st.integers(2, 5), shift=st.floats(-5, 5))
def test_rotation_and_place_of_the_embedding_do_not_matter(seed, dim, shift):
    embedding = _points(seed, 40, dim) / 4
    turn, _ = np.linalg.qr(_points(seed + 1, dim, dim))
    plain = _small(embedding, _TRUTH, _PAIRS)
    for name, value in _small(embedding @ turn + shift, _TRUTH, _PAIRS).items():
        assert value == pytest.approx(plain[name], abs=1e-8), name


@given(seed=st.integers(0, 1000), dim=st.integers(1, 3))
def test_names_of_items_do_not_matter(seed, dim):
    embedding = _points(seed, 40, dim) / 4
    order = np.random.default_rng(seed).permutation(40)
    renamed = make_truth(_TRUTH.coordinates[order])
    index = np.argsort(order)[_PAIRS.index].astype(np.int32)
    plain = _small(embedding, _TRUTH, _PAIRS)
    for name, value in _small(embedding[order], renamed, data.Pairs(index, _PAIRS.label)).items():
        assert value == pytest.approx(plain[name], abs=1e-8), name


def test_spearman_of_padded_members(truth):
    embedding, members, *_ = _members()
    found = tables.spearman_of_members(embedding, truth, workers=2)
    for place, member in enumerate(members):
        expected = geometry.distance_spearman(embedding[place, :, : member.dim], RGB)
        assert found[place] == pytest.approx(expected, abs=1e-12)


# Tables


def test_member_table_has_the_columns_of_the_contract():
    embedding, members, kernel, bias = _members(learning_rate=0.01, beta1=0.5, head="negative")
    result = _result(embedding, members, kernel, bias)
    measures = tables.evaluate_members(result, RGB, PAIRS)
    table = tables.member_table(result, measures, axes=("learning_rate", "beta1"))
    assert list(table.columns) == [
        *("seed", "dim", "kernel_init", "kernel", "bias", "train_loss", "train_mse"),
        *("heldout_loss", "excess_kl", "auc", "brier", "spearman", "procrustes"),
        *("trustworthiness", "continuity", "knn_overlap", "recovered", "diverged"),
        *("head", "normalise", "batch_size", "beta1", "learning_rate"),
    ]
    assert table["dim"].tolist() == [2, 3, 6]
    assert table["train_loss"].tolist() == [0.4] * 3
    assert set(table["head"]) == {"negative"}
    assert tables.group_columns(table) == [
        *("head", "normalise", "batch_size", "beta1", "learning_rate", "dim")
    ]
    untrained = SweepResult(**{**vars(result), "loss": np.zeros((3, 0)), "mse": np.zeros((3, 0))})
    assert tables.member_table(untrained, measures)["train_loss"].isna().all()


def _table(count=6):
    """Members of two heads and two dimensions, of which one in three fails."""
    generator = np.random.default_rng(0)
    rows = []
    for head in ("free", "negative"):
        for dim in (2, 3):
            for seed in range(count):
                recovered = seed % 3 > 0
                values = {name: 0.5 + 0.01 * generator.random() for name in tables.SUMMARISED}
                values["heldout_loss"] = 0.5 - 0.1 * dim * (head == "free") + 0.001 * seed
                rows.append(
                    {
                        **{"seed": seed, "dim": dim, "kernel_init": 0.0, "kernel": -1.0},
                        **{"bias": 0.0, **values, "recovered": recovered},
                        **{"diverged": 7 * (seed == 0), "head": head, "normalise": False},
                    }
                )
    return pd.DataFrame(rows)


def test_summary_is_of_the_groups_recovered_and_failed_apart():
    table = _table()
    groups = tables.group_columns(table)
    assert groups == ["head", "normalise", "dim"]
    summary = tables.summary_table(table, {("free", False, 2): 0.25})
    assert len(summary) == 4
    row = summary[(summary["head"] == "free") & (summary["dim"] == 2)].iloc[0]
    mine = table[(table["head"] == "free") & (table["dim"] == 2)]
    assert (row["members"], row["diverged"]) == (6, 1)
    assert (row["recovered_members"], row["failed_members"]) == (4, 2)
    assert row["recovered_share"] == pytest.approx(4 / 6)
    low, high = scipy.stats.binomtest(4, 6).proportion_ci(method="wilson")
    assert (row["recovered_share_low"], row["recovered_share_high"]) == pytest.approx((low, high))
    spearman = mine.loc[mine["recovered"], "spearman"]
    expected = scipy.stats.trim_mean(spearman, 0.25)
    assert row["recovered_spearman"] == pytest.approx(expected)
    assert row["recovered_spearman_low"] < expected < row["recovered_spearman_high"]
    assert row["cross_seed_procrustes"] == 0.25
    assert summary["cross_seed_procrustes"].isna().sum() == 3
    assert summary.columns[0] == "dim"


def test_summary_selects_one_dimension_per_program():
    summary = tables.summary_table(_table())
    # The held-out loss of "free" falls by 0.1 from 2 to 3 dimensions; that of "negative" does not.
    chosen = summary[summary["selected"]]
    assert chosen[["head", "dim"]].to_numpy().tolist() == [["free", 3], ["negative", 2]]


def test_a_group_without_recovered_members_is_empty_and_not_selected():
    table = _table()
    table.loc[table["head"] == "free", "recovered"] = False
    summary = tables.summary_table(table)
    free = summary[summary["head"] == "free"]
    assert free["recovered_members"].tolist() == [0, 0]
    assert free["recovered_spearman"].isna().all()
    assert not free["selected"].any()
    assert math.isfinite(free["failed_spearman"].iloc[0])


# What it loads


MODULES = ("cielab", "geometry", "intervals", "ranks", "scores", "tables", "truth")


def test_evaluate_loads_no_jax_and_little_at_first():
    program = f"""
import importlib, sys, colour_embed.evaluate
print("scipy" in sys.modules)
colour_embed.evaluate.pair_distance
for name in {MODULES}:
    importlib.import_module("colour_embed.evaluate." + name)
print("jax" in sys.modules, "pandas" in sys.modules)
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "False"]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    found = doctest.testmod(importlib.import_module(f"colour_embed.evaluate.{name}"))
    assert found.attempted > 0
    assert found.failed == 0
