"""People's own pairs by scikit-learn's conventions: its checks, what holds for all, and errors."""

import operator
import pickle
import re
import subprocess
import sys
import warnings
from decimal import Decimal
from itertools import combinations

import jax
import jax.numpy as jnp
import joblib
import matplotlib as mpl
import numpy as np
import optax
import pandas as pd
import pytest
import reference
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.neighbors import NearestNeighbors
from sklearn.utils.estimator_checks import (
    _check_name,
    estimator_checks_generator,
    parametrize_with_checks,
)

from colour_embed.config import Config, InputError
from colour_embed.heads import HEADS
from colour_embed.io.vectors import read_csv
from colour_embed.model import logits
from colour_embed.pairs import GroupedPairSplit, estimator
from colour_embed.pairs.checks import PairWarning
from colour_embed.pairs.estimator import NOT_FOR_PAIRS, PairEmbedding
from colour_embed.pairs.fit import PairFit, pair_logits
from colour_embed.pairs.reading import read_pairs
from colour_embed.train import Batch, TrainState, train_step
from experiments import _training

ITEMS, COUNT = 12, 200
PLACES = np.random.default_rng(4).uniform(0, 3, (ITEMS + 3, 2))
NAMES = np.array([f"item {chr(ord('a') + i)}" for i in range(ITEMS + 3)], object)


def probability(index, places=PLACES):
    return expit(2 - ((places[index[:, 0]] - places[index[:, 1]]) ** 2).sum(axis=1))


def drawn_pairs(count, items=ITEMS, seed=0):
    """Pairs of two different items, each item in one of the first."""
    random = np.random.default_rng(seed)
    first = np.append(np.arange(items), random.integers(0, items, count - items))
    return np.stack([first, (first + random.integers(1, items, count)) % items], axis=1)


PAIRS = drawn_pairs(COUNT)
LABELS = probability(PAIRS)


@pytest.fixture(scope="module")
def fitted():
    return PairEmbedding(random_state=7).fit(PAIRS, LABELS)


@pytest.fixture(scope="module")
def named(fitted):
    """The same by names, in the order in which they first appear."""
    return PairEmbedding(random_state=7).fit(pd.DataFrame(NAMES[PAIRS]), LABELS)


def fit_by_numpy(config, items, pairs, *, held_out, restarts, stopping, initial=None, report=None):
    """The engine's stand-in, where only the conventions around it matter: it compiles nothing."""
    if initial is None:
        table = np.random.default_rng(config.seed).uniform(-0.5, 0.5, (items, config.dim))
        dense = {"kernel": np.ones((1, 1)), "bias": np.zeros(1)}
        initial = {"embedding": {"embedding": table}, "dense": dense}
    values, weight = reference.leaves(initial), pairs.weight / pairs.weight.sum()
    label = pairs.label.astype(np.float64)
    for _ in range(60):
        loss, _, gradient = reference.value_and_gradient(
            reference.nested(values), *pairs.index.T, label, weight, config.head, config.normalise
        )
        for name, slope in reference.leaves(gradient).items():
            values[name] = values[name] - slope
    params = reference.nested({name: value.astype(np.float32) for name, value in values.items()})
    losses, none = np.full((1, 1), loss, np.float32), np.zeros(0)
    table, dense = params["embedding"]["embedding"], params["dense"]
    if config.normalise:
        table = table / np.linalg.norm(table, axis=1, keepdims=True)
    kernel = float(HEADS[config.head].weight(dense["kernel"], np)[0, 0])
    return PairFit(
        *(config, params, table, kernel, float(dense["bias"][0])),
        *(np.array([60]), losses, None, losses[0], 0, 60, "plateau", ["plateau"], none, none, none),
    )


def test_notebooks_show_the_fit_and_scikit_learn_s_diagram(fitted):
    bare = PairEmbedding()
    before = dict(mpl.rcParams), list(warnings.filters)
    shown, diagram = fitted._repr_mimebundle_(), bare._repr_mimebundle_()["text/html"]
    assert shown["text/plain"] == repr(fitted)
    for html in (shown["text/html"], fitted._repr_html_()):
        cells = re.findall(r"<th[^>]*>([^<]*)</th><td[^>]*>([^<]*)</td>", html.split("<img", 1)[0])
        table = dict(cells)
        assert table["items"] == str(ITEMS)
        assert table["dim"] == "2"
        assert table["weight"] == f"{fitted.kernel_:.4f}"
        assert table["training loss"] == f"{fitted.restart_losses_.min():.4f} nats per pair"
        assert html.count("data:image/png;base64,") == 1
        assert "sk-container-id" in html
    assert (dict(mpl.rcParams), warnings.filters) == before
    assert "data:image/png" not in diagram
    assert "sk-container-id" in diagram
    with sklearn.config_context(display="text"):
        assert fitted._repr_mimebundle_() == {"text/plain": repr(fitted)}
        assert not hasattr(fitted, "_repr_html_")


# scikit-learn's own checks


QUICK = PairEmbedding(restarts=1)


@pytest.mark.filterwarnings("ignore::colour_embed.pairs.checks.PairWarning")
@parametrize_with_checks([QUICK], expected_failed_checks=lambda _: NOT_FOR_PAIRS, xfail_strict=True)
def test_passes_the_checks_that_pairs_allow_and_no_other(estimator, check):
    check(estimator)


def test_no_check_is_left_out_that_is_not_there():
    there = {_check_name(check) for _, check in estimator_checks_generator(QUICK)}
    assert NOT_FOR_PAIRS.keys() <= there


class PairsOfFeatures(PairEmbedding):
    """Takes the features and labels that the checks feed, and makes pairs of them."""

    transform = property(doc="Not there: it takes items, and the checks feed pairs.")
    fit_transform = transform

    def fit(self, X, y, sample_weight=None):
        if y is not None:
            values = np.asarray(y)
            found = np.unique(values)
            if len(found) == 2 and values.dtype.kind in "iU":
                y = values == found[1]
        return super().fit(X, y, sample_weight)

    def _read_pairs(self, X, *, reset):
        if not hasattr(X, "columns") and not hasattr(X, "tocsr"):
            values = np.asarray(X)
            if values.ndim == 2 and values.dtype.kind == "f" and np.isfinite(values).all():
                whole = values == np.floor(values)
                X = values if whole.all() else np.abs(np.floor(4 * values)).astype(int)
        return super()._read_pairs(X, reset=reset)

    def _two_columns(self, values):
        # The sides of a feature's pair are told apart, as its columns are.
        return np.stack([values[:, 0] % 2, 2 + values[:, -1] % 2], axis=1)


@pytest.mark.filterwarnings("ignore::colour_embed.pairs.checks.PairWarning")
@parametrize_with_checks(
    [PairsOfFeatures()],
    expected_failed_checks=lambda _: {"check_classifiers_classes": "labels have no names"},
    xfail_strict=True,
)
def test_passes_nearly_all_checks_once_features_are_pairs(estimator, check, monkeypatch):
    monkeypatch.setattr("colour_embed.pairs.estimator.fit_pairs", fit_by_numpy)
    check(estimator)


def test_works_with_cross_validation_and_its_scorers(monkeypatch):
    monkeypatch.setattr("colour_embed.pairs.estimator.fit_pairs", fit_by_numpy)
    hard = (LABELS > 0.5).astype(int)
    assert cross_val_score(PairEmbedding(), PAIRS, hard, scoring="roc_auc", cv=3).min() > 0.8
    soft = cross_val_score(PairEmbedding(), NAMES[PAIRS], LABELS, cv=3)
    assert -0.69 < soft.min() < soft.max() < 0
    found = GridSearchCV(PairEmbedding(), {"dim": np.arange(1, 4)}, cv=2).fit(PAIRS, LABELS)
    assert found.best_params_["dim"] in (1, 2, 3)


# What a fit holds


def test_attributes(fitted):
    assert fitted.embedding_.shape == (ITEMS, 2)
    assert fitted.embedding_.dtype == np.float32
    np.testing.assert_array_equal(fitted.items_, np.arange(ITEMS))
    assert fitted.loss_curve_.shape == fitted.loss_steps_.shape
    assert fitted.heldout_loss_curve_ is None
    assert fitted.n_iter_ == fitted.loss_steps_[-1]
    assert fitted.restart_losses_.shape == (8,)
    assert fitted.snapshots_.shape == (len(fitted.snapshot_steps_), ITEMS, 2)
    assert fitted.snapshots_.dtype == np.float32
    assert fitted.snapshot_steps_[0] == 0
    assert np.all(np.diff(fitted.snapshot_steps_) > 0)
    # The last one is of the best evaluation, which came before the training had stopped.
    assert fitted.snapshot_steps_[-1] < fitted.n_iter_
    np.testing.assert_array_equal(fitted.snapshots_[-1], fitted.embedding_)
    assert fitted.stopped_ == "plateau"
    assert fitted.kernel_ < 0 < fitted.bias_
    assert fitted.n_features_in_ == 2
    assert repr(fitted) == "PairEmbedding(random_state=7)"
    floor = -np.mean(LABELS * np.log(LABELS) + (1 - LABELS) * np.log1p(-LABELS))
    assert fitted.score(PAIRS, LABELS) == pytest.approx(-floor, abs=1e-5)
    assert fitted.restart_losses_.min() == pytest.approx(floor, abs=1e-5)


def test_predictions_are_the_model_s(fitted):
    every = np.stack(np.mgrid[:ITEMS, :ITEMS], axis=-1).reshape(-1, 2)
    found = fitted.decision_function(every)
    by_jax = pair_logits(Config(head="negative"), fitted._params, every)
    np.testing.assert_allclose(found, by_jax, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found, fitted.decision_function(every[:, ::-1]))
    proba = fitted.predict_proba(every)
    np.testing.assert_allclose(proba[:, 1], expit(found), rtol=1e-12)
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal(fitted.predict(every), proba.argmax(axis=1))
    np.testing.assert_allclose(proba[:, 1], probability(every), atol=0.01)
    one, other = fitted.transform(every).transpose(1, 0, 2).astype(np.float64)
    np.testing.assert_allclose(
        fitted.pair_distance(every), np.linalg.norm(one - other, axis=1), rtol=1e-12
    )
    weight = np.arange(len(every))
    chosen = np.repeat(every, weight, axis=0)
    np.testing.assert_allclose(
        fitted.score(every, probability(every), weight),
        fitted.score(chosen, probability(chosen)),
        rtol=1e-12,
    )


@pytest.mark.filterwarnings("ignore::colour_embed.pairs.checks.PairWarning")
@pytest.mark.parametrize(("head", "normalise"), [("dot", False), ("matched", True)])
def test_predictions_of_other_heads_are_the_model_s(head, normalise, monkeypatch):
    monkeypatch.setattr("colour_embed.pairs.estimator.fit_pairs", fit_by_numpy)
    model = PairEmbedding(head=head, normalise=normalise).fit(PAIRS, LABELS)
    config = Config(head=head, normalise=normalise)
    by_jax = pair_logits(config, model._params, PAIRS)
    np.testing.assert_allclose(model.decision_function(PAIRS), by_jax, rtol=1e-4, atol=1e-4)
    if normalise:
        np.testing.assert_allclose(np.linalg.norm(model.embedding_, axis=1), 1, rtol=1e-6)


def test_names_are_placed_as_ids_are(fitted, named):
    order = pd.unique(NAMES[PAIRS].ravel())
    np.testing.assert_array_equal(named.items_, order)
    ids = pd.Index(order).get_indexer(NAMES[PAIRS].ravel()).reshape(-1, 2)
    by_id = PairEmbedding(random_state=7).fit(ids, LABELS)
    np.testing.assert_array_equal(named.embedding_, by_id.embedding_)
    as_list = PairEmbedding(random_state=7).fit(NAMES[PAIRS].tolist(), LABELS.tolist())
    np.testing.assert_array_equal(as_list.embedding_, named.embedding_)
    np.testing.assert_array_equal(as_list.items_, named.items_)


def test_any_hashable_is_a_name_and_ids_may_have_gaps(monkeypatch):
    monkeypatch.setattr("colour_embed.pairs.estimator.fit_pairs", fit_by_numpy)
    keys = np.empty(4, object)
    keys[:] = [("a", 1), frozenset("b"), "c", 4]
    pairs = keys[[[0, 1], [2, 3], [1, 3]]]
    model = PairEmbedding().fit(pairs, [1, 0, 1])
    assert list(model.items_) == list(keys)
    assert model.predict(pairs).shape == (3,)
    unknown = keys[:2].copy()
    unknown[1] = ("a", 2)
    with pytest.raises(InputError, match=r"^row 1: no item is called \('a', 2\): give names"):
        model.transform(unknown)
    gaps = PairEmbedding().fit([[1000, 3], [3, 70.0]], [1, 0])
    np.testing.assert_array_equal(gaps.items_, [3, 70, 1000])
    columns = pd.DataFrame({"one": pd.array([5, 6], "Int64"), "other": [9, 5]})
    framed = PairEmbedding().fit(columns, pd.Series([True, False]))
    np.testing.assert_array_equal(framed.items_, [5, 6, 9])
    np.testing.assert_array_equal(framed.feature_names_in_, ["one", "other"])
    with pytest.raises(ValueError, match="feature names"):
        framed.predict(columns.rename(columns={"one": "two"}))
    texts = pd.DataFrame({"one": ["x", "y"], "other": ["z", "x"]}, dtype="category")
    assert list(PairEmbedding().fit(texts, [0, 1]).items_) == ["x", "z", "y"]


def test_kneighbors(fitted, named):
    found = NearestNeighbors(n_neighbors=4).fit(fitted.embedding_.astype(np.float64))
    expected_distance, expected = found.kneighbors()
    distance, nearest = fitted.kneighbors(n_neighbors=4)
    np.testing.assert_allclose(distance, expected_distance, rtol=1e-9)
    np.testing.assert_array_equal(nearest, expected)
    one = fitted.kneighbors([5], 4, return_distance=False)
    np.testing.assert_array_equal(one, expected[5:6])
    np.testing.assert_array_equal(fitted.kneighbors(5, 4, return_distance=False), one)
    by_name = named.kneighbors("item f", return_distance=False)
    assert by_name.shape == (1, 5)
    assert "item f" not in by_name
    np.testing.assert_array_equal(
        named.pair_distance([["item f", name] for name in by_name[0]]),
        named.kneighbors(["item f"])[0][0],
    )
    for count in (0, ITEMS, 2.5, True):
        with pytest.raises(InputError, match=r"^n_neighbors is .*: give a whole number in 1..11$"):
            fitted.kneighbors(n_neighbors=count)
    with pytest.raises(InputError, match="give a list"):
        fitted.kneighbors([[1, 2]])


def test_transform_takes_items_of_any_shape(named):
    one = named.transform("item c")
    np.testing.assert_array_equal(one, named.embedding_[list(named.items_).index("item c")])
    np.testing.assert_array_equal(named.transform(named.items_), named.embedding_)
    np.testing.assert_array_equal(named.transform([["item c", "item d"]])[0, 0], one)


def test_copies_predict_the_same(fitted, named, tmp_path):
    joblib.dump(named, tmp_path / "model")
    copies = [pickle.loads(pickle.dumps(named)), joblib.load(tmp_path / "model")]
    copies.append(joblib.load(tmp_path / "model", mmap_mode="r"))
    for copy in copies:
        np.testing.assert_array_equal(
            copy.predict_proba(NAMES[PAIRS]), named.predict_proba(NAMES[PAIRS])
        )
        assert copy.get_params() == named.get_params()
    fresh = clone(named).set_params(dim=3, head="dot")
    assert fresh.get_params()["dim"] == 3
    assert not hasattr(fresh, "embedding_")


def test_random_state(fitted):
    def fit(state):
        return PairEmbedding(random_state=state).fit(PAIRS, LABELS).embedding_

    np.testing.assert_array_equal(fit(np.int64(7)), fitted.embedding_)
    drawn = fit(np.random.RandomState(3))
    np.testing.assert_array_equal(fit(np.random.RandomState(3)), drawn)
    assert np.abs(drawn - fitted.embedding_).max() > 1e-3
    assert np.abs(fit(None) - fit(None)).max() > 0


def test_pairs_of_weight_zero_count_as_not_given(fitted):
    extra = np.array([[0, ITEMS + 5], [1, 2]])
    weight = np.append(np.full(COUNT, 3.0), [0, 0])
    model = PairEmbedding(random_state=7).fit(
        np.vstack([PAIRS, extra]), np.append(LABELS, [1, 0]), sample_weight=weight
    )
    np.testing.assert_array_equal(model.embedding_, fitted.embedding_)


def test_says_where_it_is_when_asked(capsys, monkeypatch):
    few = {"max_steps": 400, "random_state": 7}
    with pytest.warns(ConvergenceWarning, match="stopped at max_steps=400, before the loss"):
        model = PairEmbedding(**few).fit(PAIRS, LABELS)
    assert model.stopped_ == "steps"
    assert model.n_iter_ <= 400
    assert capsys.readouterr().out == ""
    with pytest.warns(ConvergenceWarning):
        PairEmbedding(**few, verbose=True).fit(PAIRS, LABELS)
    assert capsys.readouterr().out.startswith("step 200 of at most 400: loss 0.")

    def interrupt(progress):
        raise KeyboardInterrupt

    monkeypatch.setattr(estimator, "_print_progress", interrupt)
    model = PairEmbedding(random_state=7, verbose=True).fit(PAIRS, LABELS)
    assert (model.stopped_, model.n_iter_) == ("interrupted", 200)
    monkeypatch.undo()
    with pytest.raises(InputError, match="diverged at once: give a lower learning_rate"):
        PairEmbedding(random_state=7, learning_rate=1e38).fit(PAIRS, LABELS)


def test_never_trains_for_more_steps_than_it_may():
    with pytest.warns(ConvergenceWarning):
        model = PairEmbedding(random_state=7, max_steps=250).fit(PAIRS, LABELS)
    assert model.n_iter_ == 200


# Held-out pairs


@pytest.mark.filterwarnings("ignore::colour_embed.pairs.checks.PairWarning")
def test_held_out_share(monkeypatch):
    seen = {}

    def engine(config, items, pairs, *, held_out, **rest):
        seen.update(pairs=pairs, held_out=held_out)
        return fit_by_numpy(config, items, pairs, held_out=held_out, **rest)

    monkeypatch.setattr("colour_embed.pairs.estimator.fit_pairs", engine)
    for share, count, expected in (
        ("auto", 999, 0),
        ("auto", 1000, 100),
        (False, 1000, 0),
        (0.3, 200, 60),
    ):
        pairs = drawn_pairs(count, 60)
        PairEmbedding(held_out=share).fit(pairs, np.arange(count) % 2)
        assert (seen["held_out"] is None) == (expected == 0)
        if not expected:
            continue
        found = len(seen["held_out"].label)
        assert found == pytest.approx(expected, rel=0.4)
        assert found + len(seen["pairs"].label) == count
        groups = [
            {frozenset(pair) for pair in part.index.tolist()}
            for part in (seen["pairs"], seen["held_out"])
        ]
        assert not groups[0] & groups[1]
    # 15 pairs of 30 items: to hold out any would leave two without training.
    with pytest.warns(PairWarning, match=r"^held_out is 0\.5: only 0 of 15 pairs are held out"):
        PairEmbedding(held_out=0.5).fit(np.arange(30).reshape(-1, 2), np.arange(15) % 2)
    assert len(seen["pairs"].label) == 15


@pytest.mark.filterwarnings("ignore::colour_embed.pairs.checks.PairWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("optimizer", ["keras_adam", "lazy_adam"])
def test_train_gives_the_same_embedding_bit_for_bit(tmp_path, optimizer):
    random, names = np.random.default_rng(1), np.array([f"n{i}" for i in range(60)], object)
    frame = pd.DataFrame(names[random.integers(0, 60, (1500, 2))], columns=["a", "b"])
    frame["label"] = random.integers(0, 5, 1500) / 4
    frame["weight"] = np.append([1.0] * 300, random.integers(0, 3, 1200))
    frame.loc[1500] = ["alone", "n3", 1.0, 2.0]  # its only pair must be trained on
    frame.to_csv(tmp_path / "pairs.csv", index=False)
    assert (frame["a"] == frame["b"]).any()
    table = read_pairs(tmp_path / "pairs.csv")
    plan = _training.Plan(
        Config(head="negative", learning_rate=0.01, optimizer=optimizer, seed=3),
        restarts=2,
        max_steps=60,
        snapshots=False,
    )
    metrics = _training.run(
        tmp_path, plan, table, {}, lambda *_: lambda *_: None, draw=lambda *_: None
    )
    named = read_csv(tmp_path / "embedding.csv")
    model = PairEmbedding(restarts=2, max_steps=60, optimizer=optimizer, random_state=3)
    model.fit(frame[["a", "b"]], frame["label"], sample_weight=frame["weight"])
    assert model.items_.tolist() == named.items
    assert model.embedding_.tobytes() == named.vectors.tobytes()
    assert metrics["held_out_pairs"] > 50
    np.testing.assert_array_equal(model.restart_losses_, np.float32(metrics["restart_loss"]))


def test_what_train_warns_of_the_estimator_warns_of(tmp_path):
    trees = ["oak", "elm", "ash", "fir", "pine", "larch"]
    rows = [(a, b, int((a in trees[:3]) == (b in trees[:3]))) for a, b in combinations(trees, 2)]
    for more, said in (
        ([("oak", "oak", 0)], "1 pair of an item with itself: dropped"),
        ([("elm", "oak", 0)], "1 pair in 2 rows with labels that differ, such as 'oak' and 'elm'"),
        ([("yew", "gum", 1)], "2 groups of items that no pairs connect"),
        ([("yew", "yew", 1)], "1 item in no pair: kept"),
    ):
        frame = pd.DataFrame([*rows, *more], columns=["a", "b", "label"])
        frame.to_csv(tmp_path / "pairs.csv", index=False)
        with pytest.warns(PairWarning) as caught:
            PairEmbedding(restarts=1).fit(frame[["a", "b"]], frame["label"])
        lines = [str(each.message) for each in caught]
        assert lines == read_pairs(tmp_path / "pairs.csv").warnings
        assert any(line.startswith(said) for line in lines)
        assert caught[0].filename == __file__
    with pytest.raises(InputError, match=r"^every pair is of an item with itself; give pairs of"):
        PairEmbedding().fit([["oak", "oak"], ["elm", "elm"]], [1, 1])


@pytest.mark.parametrize(
    ("alike", "head", "said"),
    [
        (False, "negative", "all 15 labels are 1: kept, but there is nothing to tell apart"),
        (False, "negative", "the loss is not below the base-rate loss"),
        (True, "free", "sign trap: the weight of the head is +"),
    ],
)
def test_a_fit_that_learns_nothing_or_the_wrong_way_round_warns(alike, head, said):
    pairs = np.array(list(combinations(range(6), 2)))
    label = (pairs[:, 0] < 3) == (pairs[:, 1] < 3) if alike else np.ones(15)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        PairEmbedding(head=head, restarts=1, random_state=1).fit(pairs, label)
    assert sum(str(each.message).startswith(said) for each in caught) == 1


@pytest.mark.parametrize("said", [0, 1])
@pytest.mark.filterwarnings("ignore::colour_embed.pairs.checks.PairWarning")
def test_pairs_of_an_item_with_itself_change_nothing(said, by_numpy):
    more = np.repeat(np.arange(ITEMS), 3)
    pairs = np.vstack([PAIRS, np.stack([more, more], axis=1)])
    labels = np.append(LABELS, np.full(len(more), said))
    model, plain = PairEmbedding().fit(pairs, labels), PairEmbedding().fit(PAIRS, LABELS)
    np.testing.assert_array_equal(model.embedding_, plain.embedding_)
    assert (model.kernel_, model.base_rate_) == (plain.kernel_, plain.base_rate_)


# Items of every type


IDS = 1_700_000_000_000_000_000 + 64 * np.arange(12)
BIG = 17_915_699_055_171_962_696


@pytest.fixture
def by_numpy(monkeypatch):
    monkeypatch.setattr("colour_embed.pairs.estimator.fit_pairs", fit_by_numpy)


@pytest.mark.filterwarnings("ignore::colour_embed.pairs.checks.PairWarning")
@pytest.mark.parametrize(
    "kinds",
    [
        ("int64", "Int64"),
        ("int64[pyarrow]", "Int64"),
        ("uint64", "int64"),
        ("UInt64", "uint64[pyarrow]"),
        ("object", "category"),
        ("category", "int64"),
        ("decimal", "object"),
    ],
)
def test_ids_are_exact_in_every_type(kinds, by_numpy):
    frame = pd.DataFrame(IDS[PAIRS], columns=["a", "b"])
    frame = pd.DataFrame(
        {
            name: frame[name].map(Decimal) if kind == "decimal" else frame[name].astype(kind)
            for name, kind in zip("ab", kinds)
        }
    )
    model = PairEmbedding().fit(frame, LABELS)
    np.testing.assert_array_equal(model.items_, IDS)
    plain = PairEmbedding().fit(PAIRS, LABELS)
    np.testing.assert_array_equal(model.embedding_, plain.embedding_)
    np.testing.assert_array_equal(model.predict_proba(frame), plain.predict_proba(PAIRS))
    for some in (
        IDS.tolist(),
        pd.Series(IDS, dtype="Int64"),
        pd.Index(IDS),
        pd.array(IDS, "uint64[pyarrow]"),
        IDS.astype(np.uint64),
        IDS.astype(object),
    ):
        np.testing.assert_array_equal(model.transform(some), plain.embedding_)
    unknown = int(IDS[0]) + 1
    with pytest.raises(InputError, match=f"no item has the id {unknown}: the nearest .* {IDS[0]}"):
        model.transform([unknown])
    with pytest.raises(InputError, match=r"float64 does not tell ids .* give them as text"):
        model.transform(IDS.astype(float))


@pytest.mark.filterwarnings("ignore::colour_embed.pairs.checks.PairWarning")
def test_ids_above_int64_are_exact(by_numpy):
    pairs = [[BIG, 5], [BIG + 1, 6], [5, 6]]
    for some in (pairs, np.array(pairs, np.uint64), pd.DataFrame(pairs)):
        model = PairEmbedding().fit(some, [1, 0, 1])
        assert model.items_.tolist() == [5, 6, BIG, BIG + 1]
        np.testing.assert_array_equal(model.transform(model.items_), model.embedding_)
        np.testing.assert_array_equal(model.transform([6, 5.0]), model.embedding_[[1, 0]])
    small = PairEmbedding(warm_start=True).fit([[5, 6], [6, 7]], [1, 0])
    with pytest.raises(InputError, match=f"no item has the id {BIG}: the nearest of 3 ids is 7"):
        small.transform([BIG])
    assert small.fit(pairs, [1, 0, 1]).items_.tolist() == [5, 6, 7, BIG, BIG + 1]


@pytest.mark.filterwarnings("ignore::colour_embed.pairs.checks.PairWarning")
@pytest.mark.parametrize("kinds", [{}, {"user": "Int64", "tree": "category"}, "pyarrow", "list"])
def test_ids_beside_names_stay_as_they_are(kinds, by_numpy):
    frame = pd.DataFrame({"user": [11, 12, 2**62 + 1], "tree": ["oak", "elm", "11"]})
    if kinds == "list":
        pairs = frame.to_numpy(object).tolist()
    elif kinds == "pyarrow":
        pairs = frame.convert_dtypes(dtype_backend="pyarrow")
    else:
        pairs = frame.astype(kinds)
    model = PairEmbedding().fit(pairs, [1, 0, 1])
    assert model.items_.tolist() == [11, "oak", 12, "elm", 2**62 + 1, "11"]
    assert [type(item) for item in model.items_[:2]] == [int, str]
    np.testing.assert_array_equal(model.transform([12, 11.0]), model.embedding_[[2, 0]])
    np.testing.assert_array_equal(model.transform(["11", 11]), model.embedding_[[5, 0]])
    np.testing.assert_array_equal(model.transform(np.array([11])), model.embedding_[:1])


# Folds, and items that were not in the fit


SPARSE = np.random.default_rng(0).integers(0, 60, (150, 2))
SPARSE = SPARSE[SPARSE[:, 0] != SPARSE[:, 1]]
ALIKE = (SPARSE[:, 0] % 3 == SPARSE[:, 1] % 3).astype(int)


def test_unknown_items_are_ignored_where_asked(by_numpy):
    pairs, labels = [["a", "b"], ["a", "c"], ["b", "c"], ["b", "d"]], [1, 0, 0, 0]
    model = PairEmbedding(handle_unknown="ignore").fit(pairs, labels)
    assert model.base_rate_ == 0.25
    mixed = [["a", "b"], ["a", "new"], ["old", "new"]]
    proba = model.predict_proba(mixed)[:, 1]
    np.testing.assert_allclose(proba[1:], 0.25)
    known = PairEmbedding().fit(pairs, labels)
    assert proba[0] == known.predict_proba(mixed[:1])[0, 1]
    assert model.predict(mixed)[1:].tolist() == [0, 0]
    assert np.isnan(model.pair_distance(mixed)).tolist() == [False, True, True]
    vectors = model.transform(["b", "new"])
    np.testing.assert_array_equal(vectors[0], model.embedding_[1])
    assert np.isnan(vectors[1]).all()
    with pytest.warns(PairWarning, match=r"^2 of 3 pairs have an item that was not in the fit"):
        score = model.score(mixed, [1, 0, 1])
    assert score == known.score(mixed[:1], [1])
    with pytest.warns(PairWarning, match="1 of 1 pairs"):
        assert np.isnan(model.score([["a", "new"]], [1]))
    with pytest.raises(InputError, match="no item is called 'new'"):
        model.kneighbors(["new"], 2)
    with pytest.raises(InputError, match=r"^handle_unknown is 'skip': give"):
        PairEmbedding(handle_unknown="skip").fit(pairs, labels)


def test_folds_keep_pairs_together_and_train_every_item():
    pairs = np.vstack([SPARSE, SPARSE[:20, ::-1], [[3, 3]]])
    folds = GroupedPairSplit(4)
    assert folds.get_n_splits(pairs) == 4
    with pytest.warns(PairWarning, match=r"^\d+ of \d+ pairs are in no test part") as told:
        parts = list(folds.split(pd.DataFrame(pairs).astype("Int64"), np.zeros(len(pairs))))
    assert len(told) == 1
    assert len(parts) == 4
    tested = np.concatenate([test for _, test in parts])
    assert len(set(tested)) == len(tested) > 0.7 * len(pairs)
    assert str(told[0].message).startswith(f"{len(pairs) - len(tested)} of {len(pairs)} ")
    for train, test in parts:
        assert sorted([*train, *test]) == list(range(len(pairs)))
        keys = [{frozenset(pair) for pair in pairs[part].tolist()} for part in (train, test)]
        assert not keys[0] & keys[1]
        two = train[pairs[train, 0] != pairs[train, 1]]
        assert set(pairs[test].ravel()) <= set(pairs[two].ravel())
    once, again, other = (
        [test.tolist() for _, test in GroupedPairSplit(random_state=seed).split(PAIRS)]
        for seed in (0, 0, 1)
    )
    assert once == again != other
    for count in (1, 2.5, True, 1000):
        with pytest.raises(InputError, match=r"^n_splits is"):
            list(GroupedPairSplit(count).split(PAIRS))
    with pytest.raises(InputError, match=r"^no pair can be tested in fold 0"):
        list(GroupedPairSplit(2).split(np.arange(30).reshape(-1, 2)))


@pytest.mark.filterwarnings("ignore::colour_embed.pairs.checks.PairWarning")
def test_sparse_pairs_can_be_cross_validated(by_numpy):
    model = PairEmbedding(restarts=1)
    scores = cross_val_score(model, SPARSE, ALIKE, cv=GroupedPairSplit(5))
    assert np.isfinite(scores).all()
    ignoring = PairEmbedding(restarts=1, handle_unknown="ignore")
    assert np.isfinite(cross_val_score(ignoring, SPARSE, ALIKE, cv=KFold(5))).all()
    found = GridSearchCV(model, {"dim": [3, 1, 2]}, cv=GroupedPairSplit(5)).fit(SPARSE, ALIKE)
    assert np.isfinite(found.best_score_)
    assert len(set(found.cv_results_["rank_test_score"])) > 1


# Processes


FORKED = """
import multiprocessing, os, warnings
import numpy as np
warnings.simplefilter("ignore")
from colour_embed.config import Config
from colour_embed.data import Pairs
from colour_embed.pairs import PairEmbedding
from colour_embed.sweeps import sweep
from colour_embed.train import fit

PAIRS, Y = [["a", "b"], ["a", "c"], ["b", "c"]], [1, 0, 0]
ARRAYS = Pairs(np.array([[0, 1], [0, 2]], np.int32), np.array([1, 0], np.float32))
WAYS = {
    "PairEmbedding": lambda: PairEmbedding(restarts=1, max_steps=20).fit(PAIRS, Y),
    "fit": lambda: fit(Config(epochs=1), 3, ARRAYS),
    "sweep": lambda: sweep(Config(epochs=1), 3, ARRAYS, [0], [2]),
}

def attempt(name):
    try:
        WAYS[name]()
        return "trained"
    except ValueError as error:
        return str(error)

context = multiprocessing.get_context("fork")
with context.Pool(1) as pool:
    print(*pool.map_async(attempt, ["fit"]).get(60))
attempt("fit")
with context.Pool(1) as pool:
    for line in pool.map_async(attempt, WAYS).get(60):
        print(line)
"""


def test_a_training_in_a_forked_worker_ends_at_once_with_an_error():
    done = subprocess.run(
        [sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=120
    )
    first, *others = done.stdout.splitlines()
    assert first == "trained", done.stderr  # the parent had not trained yet
    assert len(others) == 3
    assert all(line.startswith("this process was forked from one that has") for line in others)


@pytest.mark.filterwarnings("ignore::colour_embed.pairs.checks.PairWarning")
def test_workers_of_joblib_train(fitted):
    model = PairEmbedding(restarts=1, max_steps=20, held_out=False)
    grid = GridSearchCV(model, {"dim": [1, 2]}, cv=2, n_jobs=2, error_score="raise")
    with warnings.catch_warnings(action="ignore"):
        grid.fit(PAIRS, LABELS)
    assert np.isfinite(grid.cv_results_["mean_test_score"]).all()


# Further items and further pairs


NEW = np.array([[12, i] for i in range(8)] + [[13, i] for i in range(4, 12)] + [[12, 13]])


def test_new_items_are_placed_among_old_ones_that_stay_to_the_bit(fitted):
    model, before = pickle.loads(pickle.dumps(fitted)), fitted
    with_old = np.vstack([NEW, PAIRS[:20]])
    assert model.add_items(with_old, np.append(probability(NEW), np.zeros(20))) is model
    np.testing.assert_array_equal(model.items_, np.arange(14))
    assert model.embedding_[:ITEMS].tobytes() == before.embedding_.tobytes()
    assert (model.kernel_, model.bias_) == (before.kernel_, before.bias_)
    assert before.embedding_.shape == (ITEMS, 2)
    np.testing.assert_array_equal(model.predict_proba(PAIRS), before.predict_proba(PAIRS))
    every = np.array([[new, i] for new in (12, 13) for i in range(ITEMS)] + [[12, 13]])
    np.testing.assert_allclose(model.predict_proba(every)[:, 1], probability(every), atol=0.02)
    # Pairs of two old items are ignored.
    alone = pickle.loads(pickle.dumps(fitted)).add_items(NEW, probability(NEW))
    np.testing.assert_array_equal(alone.embedding_, model.embedding_)
    with pytest.raises(InputError, match=r"^no pair has a new item"):
        model.add_items(NEW, probability(NEW))
    with pytest.raises(InputError, match=r"^ids and names cannot be mixed"):
        model.add_items([["a", "b"]], [1])
    with pytest.raises(InputError, match=r"^dim is 3, but the items there are were fitted with 2"):
        model.set_params(dim=3).add_items([[0, 20]], [1])


@pytest.mark.parametrize("optimizer", ["keras_adam", "lazy_adam", "adam"])
def test_new_items_are_added_by_every_optimizer(fitted, optimizer):
    model = pickle.loads(pickle.dumps(fitted)).set_params(optimizer=optimizer)
    model.add_items(NEW, probability(NEW))
    assert model.embedding_[:ITEMS].tobytes() == fitted.embedding_.tobytes()
    np.testing.assert_allclose(model.predict_proba(NEW)[:, 1], probability(NEW), atol=0.02)


def test_added_pairs_are_checked_as_those_of_a_fit(fitted):
    model = pickle.loads(pickle.dumps(fitted))
    with pytest.warns(PairWarning) as caught:
        model.add_items([[20, 3], [20, 20], [3, 20], [30, 31], [40, 40]], [1, 1, 0, 1, 1])
    assert [str(each.message).split(":")[0] for each in caught] == [
        "2 pairs of an item with itself",
        "1 pair in 2 rows with labels that differ, such as 20 and 3",
        "2 groups of items that no pairs connect, the largest of 13 and the smallest of 2 items",
        "1 item in no pair",
    ]
    assert caught[0].filename == __file__


def test_warm_start_goes_on_from_what_was_fitted(fitted):
    model = pickle.loads(pickle.dumps(fitted)).set_params(warm_start=True)
    model.fit(PAIRS, LABELS)
    assert model.score(PAIRS, LABELS) >= fitted.score(PAIRS, LABELS) - 1e-6
    np.testing.assert_allclose(model.embedding_, fitted.embedding_, atol=0.02)
    pairs = np.vstack([PAIRS[:-17], NEW])
    model.fit(pairs, probability(pairs))
    np.testing.assert_array_equal(model.items_, np.arange(14))
    every = np.stack(np.triu_indices(14, 1), axis=1)
    np.testing.assert_allclose(model.predict_proba(every)[:, 1], probability(every), atol=0.02)
    with pytest.raises(InputError, match=r"^head is 'free', but the items there are were fitted"):
        model.set_params(head="free").fit(PAIRS, LABELS)


# What is refused, in one line


GOOD = ([[0, 1], [1, 2], [0, 2]], [1, 0, 0.5])


@pytest.mark.parametrize(
    ("pairs", "labels", "weight", "params", "message"),
    [
        (*GOOD, None, {"dim": 0}, "dim is 0: give a whole number of at least 1"),
        (*GOOD, None, {"dim": 4}, "dim is 4 for 3 items: give at most as many"),
        (*GOOD, None, {"dim": 2.0}, "dim is 2.0: give a whole number of at least 1"),
        (*GOOD, None, {"head": "neg"}, "head is 'neg': give one of"),
        (*GOOD, None, {"optimizer": "adamm"}, "optimizer 'adamm' is not known: did you mean"),
        (*GOOD, None, {"held_out": 1.0}, 'held_out is 1.0: give "auto", False, or a share'),
        (*GOOD, None, {"held_out": True}, "held_out is True"),
        (*GOOD, None, {"restarts": 0}, "restarts is 0: give a whole number of at least 1"),
        (*GOOD, None, {"max_steps": 0}, "max_steps is 0: give a whole number of at least 1"),
        (*GOOD, None, {"tolerance": -1}, "tolerance is -1: give a finite number of 0 or more"),
        (*GOOD, None, {"random_state": -1}, "seed is -1"),
        (*GOOD, None, {"init": [[0.0, 1.0]]}, "init has the shape"),
        (*GOOD, None, {"init": {5: [0, 0]}}, "row 0: no item has the id 5: the nearest of 3"),
        (*GOOD, None, {"init": {1: [0, np.nan]}}, "init has the shape"),
        (*GOOD, [1, 1, -1], {}, "pair 2 has the weight -1: give 0 or more"),
        (*GOOD, [0, 0, 0], {}, "Sample weights must contain at least one non-zero number."),
        (*GOOD, [1, 1], {}, "sample_weight.shape"),
        (*GOOD, [1, 1, np.nan], {}, "Input sample_weight contains NaN"),
        (GOOD[0], [1, 0], None, {}, "Found input variables with inconsistent numbers of samples"),
        (GOOD[0], [1, 0, np.nan], None, {}, "pair 2 has the label nan: give 0, 1 or"),
        (GOOD[0], [1, 0, 1.000001], None, {}, "pair 2 has the label 1.000001: give 0, 1 or"),
        (GOOD[0], [1, 0, -0.0000123456], None, {}, "pair 2 has the label -1.23456e-05: give 0"),
        ([[True, 2], [1, 2]], [1, 0], None, {}, "row 0 holds the item True: a bool is no item"),
        (np.array([[True, False]]), [1], None, {}, "row 0 holds the item True: a bool is no"),
        ([[2**64, 2]], [1], None, {}, "row 0 holds the item 18446744073709551616: ids end at"),
        ([["a", 2.0**53]], [1], None, {}, "row 0 holds the item 9007199254740992.0: float does"),
        ([["a", -2]], [1], None, {}, "row 0 holds the item -2: Negative values in data"),
        (np.array([[2**24, 1]], "f4"), [1], None, {}, "row 0 holds the item 16777216.0: float32"),
        (pd.DataFrame({"a": [1, None], "b": [2, 3]}), [1, 0], None, {}, "row 1 holds the item nan"),
        (GOOD[0], [1, 0, 1.5], None, {}, "pair 2 has the label 1.5: give 0, 1 or"),
        (GOOD[0], ["1", "0", "1"], None, {}, "labels are <U1: give numbers in 0..1"),
        (GOOD[0], np.array([1, "a", 0], object), None, {}, "labels must be numbers in 0..1"),
        (GOOD[0], None, None, {}, "PairEmbedding requires y to be passed"),
        ([], [], None, {}, "there are no pairs: give at least one"),
        ([0, 1], [1, 0], None, {}, "pairs have the shape (2,): give [N, 2]"),
        ([[0, 1], [2]], [1, 0], None, {}, "pairs have the shape (2,): give [N, 2]"),
        ([[0, 1, 2]], [1], None, {}, "X holds 1 sample(s) of 3 feature(s): give pairs [N, 2]"),
        ([[0, 1], [1, -2]], [1, 0], None, {}, "row 1 holds the item -2: Negative values in data"),
        ([[0, 1], [1.5, 2]], [1, 0], None, {}, "row 1 holds the item 1.5: give whole numbers"),
        ([[0, 1], [np.nan, 2]], [1, 0], None, {}, "row 1 holds the item nan: give two items"),
        ([["a", "b"], ["c", None]], [1, 0], None, {}, "row 1 holds the item None: give two"),
        ([["a", "b"], ["c", np.nan]], [1, 0], None, {}, "row 1 holds the item nan: give two"),
        (np.array([[{}, "b"]], object), [1], None, {}, "items must be ids or names that can be"),
    ],
)
def test_what_is_refused_at_fit(pairs, labels, weight, params, message):
    with pytest.raises(ValueError, match="^" + re.escape(message)) as caught:
        PairEmbedding(**params).fit(pairs, labels, sample_weight=weight)
    assert "\n" not in str(caught.value)


def test_unknown_items_are_refused_with_the_nearest(fitted, named):
    for ask in (fitted.predict, fitted.predict_proba, fitted.pair_distance, fitted.transform):
        with pytest.raises(InputError, match=r"^row 1: no item has the id 99: the nearest .* 11$"):
            ask([[0, 1], [2, 99]])
        with pytest.raises(InputError, match=r"^row 0: 'red' is no id"):
            ask([["red", "red"]])
    with pytest.raises(InputError, match=r"^row 0: no item has the id 12"):
        fitted.score([[12, 0]], [1])
    for ask in (named.decision_function, named.transform):
        with pytest.raises(InputError, match=r"^row 0: no item is called 'itm c': .* 'item c'\?$"):
            ask([["itm c", "item c"]])
    with pytest.raises(InputError, match=r"^row 0: no item is called 3"):
        named.kneighbors(3)


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        *((name, (PAIRS,)) for name in ("predict", "predict_proba", "decision_function")),
        ("pair_distance", (PAIRS,)),
        ("transform", ([0],)),
        ("kneighbors", ()),
        ("score", (PAIRS, LABELS)),
        ("add_items", (PAIRS, LABELS)),
    ],
)
def test_nothing_is_answered_before_a_fit(method, arguments):
    with pytest.raises(NotFittedError):
        getattr(PairEmbedding(), method)(*arguments)


def test_a_column_of_labels_is_taken_with_a_warning(monkeypatch):
    monkeypatch.setattr("colour_embed.pairs.estimator.fit_pairs", fit_by_numpy)
    with pytest.warns(DataConversionWarning):
        PairEmbedding().fit(PAIRS, LABELS[:, None])


def test_importing_the_package_does_not_import_it():
    program = "import sys, colour_embed; print('sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "False"


def test_it_is_public_in_its_drawer_without_loading_jax():
    program = (
        "import sys, colour_embed.pairs as pairs\n"
        "print({'jax', 'sklearn'} & sys.modules.keys() or 'light')\n"
        "from colour_embed.pairs import PairEmbedding\n"
        "print(PairEmbedding.__name__, set(pairs.__all__) <= set(dir(pairs)))\n"
        "sys.modules['sklearn'] = None; del pairs.PairEmbedding\n"
        "try: from colour_embed.pairs import PairEmbedding\n"
        "except ValueError as error: print(error)\n"
        "import colour_embed.pairs.nothing\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "light",
        "PairEmbedding True",
        "PairEmbedding needs sklearn, which is not installed: pip install 'colour_embed[pairs]'",
    ]
    assert "No module named 'colour_embed.pairs.nothing'" in done.stderr


# What must not change anything


SMALL, DOUBLED = 24, 4
"""Pairs of the small problem, and how many of them are given twice."""


def variant(name, seed, pairs, labels, vectors, doubled):
    """The same problem told in another way: pairs, labels, weights, and vectors by item."""
    random = np.random.default_rng(seed)
    weights, init = None, dict(enumerate(vectors))
    if name == "renamed":
        order = random.permutation(len(vectors))
        pairs = order[pairs]
        init = {int(order[item]): vector for item, vector in init.items()}
    elif name == "reordered":
        order = random.permutation(len(pairs))
        pairs, labels = pairs[order], labels[order]
    elif name == "swapped":
        swap = random.random(len(pairs)) < 0.5
        pairs = np.where(swap[:, None], pairs[:, ::-1], pairs)
    elif name == "doubled":
        twice = random.permutation(len(pairs))[:doubled]
        weights = np.ones(len(pairs))
        weights[twice] = 0.5
        pairs, labels = np.vstack([pairs, pairs[twice]]), np.append(labels, labels[twice])
        weights = np.append(weights, weights[twice])
    return pairs, labels, weights, init


VARIANTS = ("renamed", "reordered", "swapped", "doubled")


@jax.jit
def _loss_and_gradient(params, first, second, label, weight):
    def logits_fn(params, first, second):
        return logits(Config(head="negative"), params, first, second)

    # An optimiser that adds the gradient, so that what a step moves is the gradient.
    optimizer = optax.identity()
    state = TrainState(params, optimizer.init(params))
    batch = Batch(first, second, label, weight)
    after, metrics = train_step(state, batch, logits_fn=logits_fn, optimizer=optimizer)
    return metrics.loss, jax.tree.map(operator.sub, after.params, params)


def loss_and_gradient(pairs, labels, weights, init):
    """In float64, by item."""
    weights = np.ones(len(pairs)) if weights is None else weights
    params = {
        "embedding": {"embedding": np.array([init[i] for i in range(len(init))])},
        "dense": {"kernel": np.full((1, 1), 0.3), "bias": np.full(1, 0.7)},
    }
    with jax.enable_x64(True):
        loss, gradient = _loss_and_gradient(
            jax.tree.map(jnp.asarray, params), *pairs.T, labels, weights / weights.sum()
        )
    return float(loss), reference.leaves(gradient)


def loss_at_start(pairs, labels, weights, init):
    """Of one full batch, by the estimator and the engine, before the only step."""
    model = PairEmbedding(init=init, max_steps=1)
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        model.fit(pairs, labels, sample_weight=weights)
    assert model.loss_curve_.shape == (1,)
    return model.loss_curve_[0]


@pytest.mark.filterwarnings("ignore::colour_embed.pairs.checks.PairWarning")
@settings(max_examples=16)
@given(seed=st.integers(0, 2**32 - 1), name=st.sampled_from(VARIANTS))
def test_loss_and_gradient_do_not_depend_on_how_the_pairs_are_told(seed, name):
    random = np.random.default_rng(seed)
    pairs, labels = drawn_pairs(SMALL, seed=seed), random.random(SMALL)
    vectors = random.normal(size=(ITEMS, 2))
    plain = pairs, labels, None, dict(enumerate(vectors))
    other = variant(name, seed, pairs, labels, vectors, DOUBLED)
    assert loss_at_start(*other) == pytest.approx(loss_at_start(*plain), rel=1e-6)
    loss, gradient = loss_and_gradient(*plain)
    other_loss, other_gradient = loss_and_gradient(*other)
    assert other_loss == pytest.approx(loss, rel=1e-12)
    assert loss_at_start(*plain) != pytest.approx(loss * 1.01)
    if name == "renamed":
        places = {tuple(vector): item for item, vector in other[3].items()}
        order = [places[tuple(vector)] for vector in vectors]
        other_gradient["embedding"] = other_gradient["embedding"][order]
    for part, values in gradient.items():
        assert reference.relative_difference(other_gradient[part], values) < 1e-6


@settings(max_examples=8)
@given(seed=st.integers(0, 2**32 - 1), name=st.sampled_from(VARIANTS))
def test_whole_fits_end_alike_however_the_pairs_are_told(seed, name):
    # Full batches, so that no order of the pairs is drawn; from the same vectors per item.
    vectors = np.random.default_rng(3).normal(size=(ITEMS, 2))
    model = PairEmbedding(init=vectors).fit(PAIRS, LABELS)
    pairs, labels, weights, init = variant(name, seed, PAIRS, LABELS, vectors, 20)
    other = PairEmbedding(init=init).fit(pairs, labels, sample_weight=weights)
    fresh = drawn_pairs(500, seed=9)
    told = fresh
    if name == "renamed":
        places = {tuple(vector): item for item, vector in init.items()}
        told = np.array([places[tuple(vector)] for vector in vectors])[fresh]
    loss = model.score(fresh, probability(fresh))
    assert other.score(told, probability(fresh)) == pytest.approx(loss, rel=0.01)
    distance = model.pair_distance(fresh)
    np.testing.assert_allclose(other.pair_distance(told), distance, atol=0.01 * distance.max())


# With the defaults it converges


def best_loss(pairs, labels, items, starts):
    """The least loss that L-BFGS finds in float64 from these starts, nats per pair."""
    share = np.full(len(pairs), 1 / len(pairs))

    def objective(values):
        params = {"embedding": values[:-2].reshape(items, 2), "bias": values[-1:]}
        params = reference.nested({**params, "kernel": values[-2].reshape(1, 1)})
        loss, _, gradient = reference.value_and_gradient(
            params, *pairs.T, labels, share, "negative"
        )
        return loss, np.concatenate([leaf.ravel() for leaf in reference.leaves(gradient).values()])

    options = {"maxiter": 200, "ftol": 1e-9, "gtol": 1e-6}
    found = [minimize(objective, x, jac=True, method="L-BFGS-B", options=options) for x in starts]
    return min(one.fun for one in found)


@pytest.mark.filterwarnings("ignore::colour_embed.pairs.checks.PairWarning")
@pytest.mark.parametrize(("count", "items"), [(50, 6), (200, 10), (2000, 12)])
def test_defaults_come_within_two_thousandths_of_the_best_loss(count, items):
    pairs, random = drawn_pairs(count, items), np.random.default_rng(1)
    labels = (random.random(count) < probability(pairs)).astype(float)
    model = PairEmbedding().fit(pairs, labels)
    assert model.stopped_ == "plateau"
    starts = random.uniform(-1, 1, (5, 2 * items + 2))
    loss = best_loss(pairs, labels, items, starts)
    assert -model.score(pairs, labels) - loss < 0.002
