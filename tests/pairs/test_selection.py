"""The choice of a dimension: splits, the paired rule, identifiable parameters, AIC and BIC."""

import doctest

import numpy as np
import pytest

from colour_embed.config import InputError
from colour_embed.data import Pairs
from colour_embed.heads import HEADS
from colour_embed.pairs import selection
from colour_embed.pairs.sampling import pair_keys
from colour_embed.pairs.selection import (
    grouped_splits,
    identifiable_parameters,
    information_criteria,
    selected_dimension,
)


def test_the_examples_run():
    assert doctest.testmod(selection).failed == 0


# Splits


def pairs_of(index, weight=None):
    index = np.asarray(index, np.int32)
    return Pairs(index, np.ones(len(index), np.float32), weight)


def random_pairs(count, items, seed=0):
    return np.random.default_rng(seed).integers(0, items, (count, 2))


def repeated(count, items, low, high):
    times = np.random.default_rng(1).integers(low, high, count)
    return np.repeat(random_pairs(count, items), times, axis=0)


@pytest.mark.parametrize(
    ("index", "items", "share"),
    [
        (random_pairs(5000, 100), 100, 0.1),
        (random_pairs(60, 12), 12, 0.2),
        (np.stack(np.triu_indices(6, 1), axis=1), 6, 0.1),
        (repeated(300, 40, 5, 30), 40, 0.1),
        (repeated(80, 14, 900, 1300), 14, 0.1),
        (np.repeat(random_pairs(400, 50), 20, axis=0), 50, 0.1),
    ],
)
def test_splits_keep_pairs_together_and_items_trained_and_are_of_one_size(index, items, share):
    splits = grouped_splits(pairs_of(index), items, share, 5, seed=3)
    size = splits.sum(axis=1)
    two = index[:, 0] != index[:, 1]
    largest = np.unique(pair_keys(index), return_counts=True)[1].max()
    assert splits.shape == (5, len(index))
    assert (size == size[0]).all()
    assert 0 < size[0] <= max(round(share * two.sum()), largest)
    assert size[0] > share * two.sum() - largest - 1
    assert len({split.tobytes() for split in splits}) == 5
    for split in splits:
        assert not (split & ~two).any()
        assert not np.isin(pair_keys(index[split]), pair_keys(index[~split])).any()
        assert np.isin(index, index[~split & two])[two].all()


def test_splits_depend_on_the_seed_alone_and_not_on_rows_without_weight():
    index = np.concatenate([random_pairs(500, 30), [[29, 28], [29, 30]]])
    weight = np.ones(502, np.float32)
    weight[-1] = 0
    splits = grouped_splits(pairs_of(index, weight), 31, 0.1, 3, seed=5)
    assert np.array_equal(splits, grouped_splits(pairs_of(index, weight), 31, 0.1, 3, seed=5))
    assert not np.array_equal(splits, grouped_splits(pairs_of(index, weight), 31, 0.1, 3, seed=6))
    assert not splits[:, -1].any()
    for split in splits:
        assert np.isin(29, index[~split & (weight > 0)])


def test_each_pair_is_held_out_about_equally_often():
    index = np.stack(np.triu_indices(20, 1), axis=1)
    splits = grouped_splits(pairs_of(index), 20, 0.2, 400)
    assert splits.sum(axis=1).tolist() == [38] * 400
    often = splits.mean(axis=0)
    # Binomial: four standard errors of a share of 0.2 over 400 splits are 0.08.
    assert often.min() > 0.12
    assert often.max() < 0.28


@pytest.mark.parametrize(
    ("index", "arguments", "said"),
    [
        ([[0, 1], [0, 2], [0, 3]], {}, "3 pairs cannot be split 5 times"),
        ([[0, 1], [1, 0]], {}, "cannot be split"),
        ([[0, 0]], {}, "no pairs of different items"),
        ([[0, 1], [0, 2], [1, 2]], {"share": 0.0}, "share is 0.0: give a number above 0"),
        ([[0, 1], [0, 2], [1, 2]], {"share": float("nan")}, "share is nan"),
        ([[0, 1], [0, 2], [1, 2]], {"count": 0}, "splits is 0"),
        ([[0, 1], [0, 2], [1, 2]], {"seed": -1}, "seed is -1"),
    ],
)
def test_what_cannot_be_split_is_refused(index, arguments, said):
    with pytest.raises(InputError, match=said):
        grouped_splits(pairs_of(index), 4, **arguments)


# The paired rule


def test_the_error_of_one_split_is_the_paired_one_with_the_correction():
    rng = np.random.default_rng(0)
    shared, apart = rng.normal(2, 1, 50), rng.normal(0.05, 0.1, 50)
    losses = np.stack([shared + apart, shared])[None]
    held_out = np.arange(250) < 50
    found = selected_dimension([1, 2], losses, [held_out], np.arange(250))
    expected = np.sqrt((1 + 50 / 200) * np.var(apart, ddof=1) / 50)
    np.testing.assert_allclose(found.difference, [apart.mean(), 0])
    np.testing.assert_allclose(found.standard_error, [expected, 0])
    assert (found.best, found.selected) == (2, 2)
    # Unpaired, the error would be that of the losses, and dimension 1 would be selected.
    assert np.std(shared) / np.sqrt(50) > apart.mean() > expected


def random_splits(pairs, share, count, rng):
    return np.stack([rng.permutation(pairs) < share * pairs for _ in range(count)])


def test_the_error_of_several_splits_is_that_of_nadeau_and_bengio():
    rng = np.random.default_rng(1)
    held_out = random_splits(20_000, 0.2, 5, rng)
    effect = rng.normal(0.01, 0.3, 20_000)
    apart = np.stack([effect[split] for split in held_out])
    losses = np.stack([apart, np.zeros_like(apart)], axis=1)
    error = selected_dimension([1, 2], losses, held_out, np.arange(20_000)).standard_error[0]
    expected = np.sqrt((1 / 5 + 0.2 / 0.8) * 0.3**2 / 4000)
    assert error == pytest.approx(expected, rel=0.02)


def test_the_error_covers_how_the_mean_difference_varies():
    rng = np.random.default_rng(2)
    errors, means = [], []
    for _ in range(1000):
        held_out = random_splits(300, 0.2, 4, rng)
        effect, weight = rng.normal(0, 1, 300), rng.uniform(0.2, 2, 300)
        apart = np.stack([effect[split] for split in held_out])
        losses = np.stack([apart, np.zeros_like(apart)], axis=1)
        found = selected_dimension([1, 2], losses, held_out, np.arange(300), weight)
        means.append(found.loss[0] - found.loss[1])
        errors.append(found.standard_error.max())
    ratio = np.sqrt(np.mean(np.square(errors))) / np.std(means)
    # The training parts have no effect here, so that their share makes it 1 / sqrt(1 - q).
    assert ratio == pytest.approx(1 / np.sqrt(0.8), rel=4 / np.sqrt(2000))


def test_repeated_rows_are_one_cluster_and_weights_count_as_rows():
    apart = np.array([0.3, -0.1, 0.2, 0.4])
    once = selected_dimension(
        [1, 2], [[apart, 0 * apart]], [np.arange(8) < 4], np.arange(8), [1, 2, 1, 3, 1, 1, 1, 1]
    )
    place = np.array([0, 1, 1, 2, 3, 3, 3])
    rows = selected_dimension(
        [1, 2],
        [[apart[place], 0 * apart[place]]],
        [np.arange(11) < 7],
        np.concatenate([place, [4, 5, 6, 7]]),
    )
    assert once.pairs == rows.pairs == 4
    np.testing.assert_allclose(once.standard_error, rows.standard_error)
    np.testing.assert_allclose(once.loss, rows.loss)


def test_splits_that_hold_out_the_same_pairs_are_no_more_evidence_than_one():
    apart = np.array([0.3, -0.1, 0.2, 0.4])
    losses = np.stack([apart, 0 * apart])
    held_out = np.arange(8) < 4
    one = selected_dimension([1, 2], [losses], [held_out], np.arange(8))
    many = selected_dimension([1, 2], [losses] * 9, [held_out] * 9, np.arange(8))
    np.testing.assert_allclose(one.standard_error, many.standard_error)


def single(losses, dims, **arguments):
    """The selection from one split whose held-out part is half of the pairs."""
    width = np.shape(losses)[-1]
    held_out = np.arange(2 * width) < width
    return selected_dimension(dims, [losses], [held_out], np.arange(2 * width), **arguments)


@pytest.mark.parametrize(
    ("dims", "losses", "said"),
    [
        (
            [1, 2, 3],
            [[0.9, 0.7], [0.4, 0.2], [0.1, 0.4]],
            "dim 2: held-out loss 0.300, 0.050 +- 0.354 above that of dim 3, the best of 1..3 "
            "(1 split, 2 pairs)",
        ),
        (
            [4, 2, 1],
            [[0.9, 0.7], [0.4, 0.2], [0.7, 0.52]],
            "dim 2: held-out loss 0.300, the best of 1, 2, 4; dim 1 is 0.310 +- 0.014 above it "
            "(1 split, 2 pairs)",
        ),
        (
            [1, 2],
            [[0.2, 0.3], [0.4, 0.55]],
            "dim 1: held-out loss 0.250, the best of 1, 2; dim 2 is 0.225 +- 0.035 above it "
            "(1 split, 2 pairs)",
        ),
        (
            [1, 2, 3],
            [[0.9, 0.7], [0.4, 0.2], [0.1, np.inf]],
            "dim 2: held-out loss 0.3000, the best of 1, 2; dim 1 is 0.5000 +- 0.0000 above it; "
            "no larger one was compared; no finite loss for dim 3 (1 split, 2 pairs)",
        ),
        (
            [2],
            [[0.9, 0.7]],
            "dim 2: held-out loss 0.8000, the only dimension compared (1 split, 2 pairs)",
        ),
        (
            [1, 2],
            [[0.9], [0.7]],
            "dim 2: held-out loss 0.7000, the best of 1, 2; dim 1 is 0.2000 above it; no larger "
            "one was compared (1 split, 1 pair)",
        ),
    ],
)
def test_the_line_says_what_was_selected_against_what_and_by_how_much(dims, losses, said):
    assert str(single(losses, dims)) == said


def test_of_equal_losses_the_smaller_dimension_is_the_best():
    found = single([[0.5, 0.3], [0.3, 0.5], [0.4, 0.4]], [3, 1, 2])
    assert (found.best, found.selected) == (1, 1)


def test_losses_of_weight_zero_do_not_count():
    found = single([[0.5, 0.3, np.inf], [0.7, 0.5, 0.0]], [1, 2], weight=[1, 1, 0, 1, 1, 1])
    np.testing.assert_allclose(found.loss, [0.4, 0.6])
    assert found.pairs == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dims": [1, 1]}, "dims is"),
        ({"losses": np.zeros((1, 2, 3))}, "losses has the shape"),
        ({"losses": np.full((1, 2, 2), np.nan)}, "no dimension has a finite"),
        ({"groups": [0, 1, 1, 2]}, "same unordered pair are in both parts"),
        ({"groups": [0, 1, 2]}, "held_out has the shape"),
        ({"weight": [0, 0, 1, 1]}, "no pair to train on, or none held out"),
        ({"weight": [1, 1, 0, 0]}, "no pair to train on, or none held out"),
    ],
)
def test_wrong_arguments_of_the_rule_are_refused(change, said):
    given = {
        "dims": [1, 2],
        "losses": np.zeros((1, 2, 2)),
        "held_out": [[True, True, False, False]],
        "groups": np.arange(4),
    }
    with pytest.raises(InputError, match=said):
        selected_dimension(**{**given, **change})


# Identifiable parameters


def jacobian(head, normalise, items, dim):
    """The derivative of all pairs' logits by the parameters, by central differences."""
    rng = np.random.default_rng(items * 100 + dim)
    # Far apart and with a small weight, so that the softened root of "matched" is a root.
    unit = 10_000 if head == "matched" and not normalise else 1
    size = 0.3 / np.sqrt(dim) if head == "matched" else 1.0
    # Spread out, as the root has a kink where two points of a line meet.
    points = rng.permuted(np.tile(np.linspace(-1.5, 1.5, items)[:, None], dim), axis=0)
    points = size * (points + 0.1 * rng.uniform(size=(items, dim)))
    weight = 0.5 / unit
    first, second = np.triu_indices(items, 1)
    entry = HEADS[head]

    def logits(numbers):
        vectors = unit * numbers[:-2].reshape(items, dim)
        if normalise:
            vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        one, other = vectors[first], vectors[second]
        dot = entry.feature == "dot_product"
        feature = np.sum(one * other if dot else (one - other) ** 2, axis=1)
        kernel = entry.weight(np.log(np.expm1(weight * numbers[-2])), np)  # softplus undoes it
        return entry.logit(feature, kernel, numbers[-1], 0.1, np)

    numbers = np.append(points.ravel(), [1.0, 0.2])
    steps = 1e-4 * np.eye(len(numbers))

    def change(step):
        return logits(numbers + step) - logits(numbers - step)

    columns = [(8 * change(step) - change(2 * step)) / 12e-4 for step in steps]
    return np.stack(columns, axis=1)


def rank(matrix):
    length = np.linalg.norm(matrix, axis=0)
    matrix = matrix / np.where(length > 0, length, 1)
    values = np.linalg.svd(matrix, compute_uv=False)
    return int(np.sum(values > 1e-7 * values[0]))


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("head", HEADS)
def test_identifiable_parameters_are_the_rank_of_the_jacobian(head, normalise):
    for items in (2, 3, 4, 5, 6, 8):
        for dim in range(2 if normalise else 1, items + 3):
            count = identifiable_parameters(head, normalise, items, dim)
            assert count == rank(jacobian(head, normalise, items, dim)), (items, dim)


# AIC and BIC


def square_of(items=6):
    index = np.stack(np.triu_indices(items, 1), axis=1)
    return index, (np.arange(len(index)) % 3 == 0).astype(np.float32)


KIND = {"head": "inverse", "normalise": False, "selected": 2, "converged": True}


def test_criteria_are_those_of_the_likelihood():
    index, label = square_of()
    pairs = Pairs(np.tile(index, (4, 1)), np.tile(label, 4), np.full(60, 2, np.float32))
    found, reason = information_criteria([1, 2, 3], [0.6, 0.4, 0.39], pairs, 6, **KIND)
    assert reason == ""
    assert found.parameters.tolist() == [7, 11, 14]
    np.testing.assert_allclose(found.aic, [120 * 0.6 + 14, 120 * 0.4 + 22, 120 * 0.39 + 28])
    np.testing.assert_allclose(found.bic - found.aic, found.parameters * (np.log(60) - 2))
    assert found.singular.tolist() == [False, False, True]


def test_an_item_with_fewer_partners_than_dimensions_has_no_criteria():
    index, label = square_of()
    pairs = Pairs(np.concatenate([index, [[0, 6], [1, 6]]]), np.append(label, [1, 0]))
    found, _ = information_criteria([2, 3], [0.4, 0.3], pairs, 7, **KIND)
    assert np.isnan(found.aic).tolist() == np.isnan(found.bic).tolist() == [False, True]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"weight": np.arange(1, 16)}, "pairs of unequal weights"),
        ({"label": np.full(15, 0.5)}, "labels between 0 and 1"),
        ({"items": 7}, "items that no pairs connect"),
        ({"converged": [True, False]}, "dim 2 did not converge"),
        ({"loss": [0.5, np.nan]}, "dim 2 did not converge"),
    ],
)
def test_where_criteria_mean_nothing_the_reason_is_given(change, reason):
    index, label = square_of()
    pairs = Pairs(index, change.pop("label", label), change.pop("weight", None))
    given = {"loss": [0.5, 0.4], "items": 6, **KIND, **change}
    found, said = information_criteria([1, 2], given.pop("loss"), pairs, **given)
    assert found is None
    assert said == f"no AIC and BIC: {reason}"
