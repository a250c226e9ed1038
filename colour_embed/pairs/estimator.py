"""A scikit-learn estimator that embeds items from labelled pairs: fit, predict, kneighbors.

The samples are pairs: X has two columns, the two items of each pair, as ids or as names.
Scikit-learn's estimator checks that do not apply to pairs are listed in `NOT_FOR_PAIRS`.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import expit, logit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import TransformerTags, check_random_state
from sklearn.utils.validation import (
    _check_sample_weight,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from colour_embed.config import Config, InputError
from colour_embed.data import Pairs
from colour_embed.engine.driver import check_process
from colour_embed.engine.state import member_keys
from colour_embed.evaluate.geometry import nearest
from colour_embed.evaluate.scores import cross_entropies, cross_entropy
from colour_embed.heads import HEADS
from colour_embed.model import Params, init_params
from colour_embed.pairs.checks import (
    PairWarning,
    base_rate,
    clipped_labels,
    convergence_warnings,
    digits,
    pair_warnings,
    quality_warnings,
    without_self_pairs,
)
from colour_embed.pairs.dimensions import AUTO, choose_dimension
from colour_embed.pairs.fit import PairFit, Stopping, fit_pairs
from colour_embed.pairs.ids import as_objects, find, item_values, items_in, rows_of
from colour_embed.pairs.positions import bootstrap_positions
from colour_embed.pairs.sampling import split_pairs
from colour_embed.runs import Progress

_CANDIDATES = 256  # positions of old items that are tried as the start of a new item
_JITTER = 0.01  # of the old items' spread: equal vectors have equal gradients and stay equal
_BLOCK = 2**16  # pairs per block, which bounds memory
_LEAST_RATE = 1e-6  # of a class, so that log-odds are finite


class PairEmbedding(ClassifierMixin, BaseEstimator):
    """Embedding of items whose distances predict the probability that a pair is labelled similar.

    X is [N, 2], the two items of each pair. Whole numbers of 0 or more, up to 2^64 - 1, are ids;
    any other hashable is a name, such as a text. Both may occur. An id is the same in every type
    that holds it exactly; a bool, and a float from 2^53 on, is refused. y is [N] in 0..1, the
    similarity; a fraction is a soft label. X and y may be NumPy arrays, lists or pandas objects.
    Names that are neither texts nor numbers, such as tuples, require a NumPy array of objects.

    The order of a pair's items is ignored. A pair of weight 0 is ignored. Pairs of an item with
    itself are dropped with a warning. Pairs of an item that would have only held-out pairs are used
    for training instead. Names in the order of a table give the embedding of `experiments.train`.

    Args:
        dim: Dimension of the embedding, at most the number of items; or "auto", which selects one
            of 1 to 6 by `choose_dimension` and takes some thirty times as long.
        head: The map from two vectors to log-odds; see `heads`.
        normalise: Scale every vector to unit length.
        optimizer: "keras_adam", "lazy_adam" or the name of an optimiser in optax.
        learning_rate: Initial learning rate; it is divided by 10 when the loss plateaus.
        batch_size: Pairs per step.
        restarts: Number of trainings from different initial values; the best is kept.
        max_steps: The most steps, rounded to whole epochs.
        tolerance: The least improvement of the loss, in nats per pair, for early stopping.
        held_out: The share of the pairs on which restarts and evaluations are compared, or False
            to train on all pairs. "auto" is 0.1 for 1,000 pairs or more. All pairs of the same two
            items are held out together.
        bootstrap: Number of bootstrap draws for `position_covariance_`, such as 100; each takes as
            long as one restart. 0: none. Not of a warm start, nor with `init`.
        init: Initial vectors, [items, dim] in the order of `items_`, or a mapping of items to
            vectors [dim]; other items are initialised at random. There is then one restart.
            Ignored by a warm start after the first fit.
        handle_unknown: What is done with an item that was not in the fit. "error" raises. "ignore"
            predicts `base_rate_` for its pairs; `score` leaves them out with a warning;
            `transform` and `pair_distance` return NaN. `kneighbors` raises in both cases.
        warm_start: Continue each further fit from the current parameters. New items may be added;
            earlier items are kept. There is then one restart.
        random_state: An int, a RandomState, or None for a different result at every fit.
        verbose: Print a line at every evaluation.

    Attributes:
        embedding_: float32 [items, dim], a row per item; unit rows if normalised.
        items_: [items], the items in the order of the rows: ids sorted, as int64, or as uint64
            where one exceeds it; names, also beside ids, as objects in order of first appearance.
            Items added later come last.
        base_rate_: The weighted share of similar pairs in the fit.
        loss_curve_: float32 [L], the mean training loss between two evaluations, nats per pair.
        heldout_loss_curve_: float32 [L], the held-out loss at each evaluation; or None.
        loss_steps_: int [L], the number of steps before each evaluation.
        n_iter_: Number of steps taken.
        kernel_: The weight of the head, such as that of the squared distance.
        bias_: The bias of the head.
        restart_losses_: float32 [restarts], the best loss of each restart: of the held-out pairs,
            or without them of the training pairs.
        snapshots_: float32 [F, items, dim], the vectors of the best restart while it trained, from
            its initial values up to its best evaluation, whose vectors are `embedding_`. F is 0 if
            those of all restarts would exceed 256 MiB.
        snapshot_steps_: int [F], the number of steps before each snapshot.
        stopped_: "plateau", "steps", "interrupted" (Ctrl-C; the best so far is kept) or "diverged".
        position_covariance_: float64 [items, dim, dim], the covariance of each row of `embedding_`
            over the bootstrap draws; see `positions`. None without any.
        selection_: The `Selection` of dim="auto", whose text says what was selected; else None.
        classes_: 0 and 1.
        n_features_in_: 2.
        feature_names_in_: The names of the two columns, if X was a DataFrame with names.

    Example:
        >>> pairs = [["red", "pink"], ["red", "green"], ["pink", "green"], ["red", "wine"]]
        >>> model = PairEmbedding().fit(pairs, [0.9, 0.1, 0.1, 0.8])
        >>> model.embedding_.shape
        (4, 2)
        >>> model.predict([["pink", "wine"]])
        array([1])
        >>> import colour_embed as ce
        >>> groups = ["red", "red", "green", "red"]  # of model.items_
        >>> ce.animate(
        ...     model.snapshot_steps_, model.snapshots_, groups, unit="step", size=(480, 320)
        ... ).frames == len(model.snapshots_)
        True
    """

    def __init__(  # noqa: D107
        self,
        dim=2,
        *,
        head="negative",
        normalise=False,
        optimizer="keras_adam",
        learning_rate=0.01,
        batch_size=512,
        restarts=8,
        max_steps=50_000,
        tolerance=1e-4,
        held_out="auto",
        bootstrap=0,
        init=None,
        handle_unknown="error",
        warm_start=False,
        random_state=0,
        verbose=False,
    ):
        self.dim = dim
        self.head = head
        self.normalise = normalise
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.restarts = restarts
        self.max_steps = max_steps
        self.tolerance = tolerance
        self.held_out = held_out
        self.bootstrap = bootstrap
        self.init = init
        self.handle_unknown = handle_unknown
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self):
        """Return the tags: binary classification, and X of non-negative ids or of names."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.classifier_tags.poor_score = True  # on features that are not items
        tags.transformer_tags = TransformerTags(preserves_dtype=[])
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.input_tags.positive_only = True
        return tags

    def fit(self, X, y, sample_weight=None):
        """Train on pairs.

        Args:
            X: [N, 2], ids or names.
            y: [N] in 0..1.
            sample_weight: [N], 0 or more; the relative weight of each pair in the loss.

        Returns:
            The estimator.

        Raises:
            InputError: pairs, labels, weights or parameters are invalid; the message has a hint.

        Warns:
            ConvergenceWarning: max_steps was reached before a plateau, or restarts diverged.
            PairWarning: for each condition of `pair_warnings` and `quality_warnings`.
        """
        check_process()
        self._ignores_unknown()
        before = self._before() if self.warm_start else None
        values, labels, weights = self._read(X, y, sample_weight, reset=True)
        seed = _seed(self.random_state)
        config = self._config(seed)
        items = items_in(values, None if before is None else before.items)
        if config.dim > len(items):
            raise InputError(f"dim is {config.dim} for {len(items)} items: give at most as many")
        pairs = self._checked(items, Pairs(rows_of(items, values), labels, weights), before)
        config = self._with_dim(config, pairs, len(items))
        split = split_pairs(pairs, len(items), self._share(), seed)
        _warn(split.warnings, PairWarning)
        if before is not None:
            before.check(config)
            initial = before.extended(len(items), split.training, seed)
        else:
            initial = _initial(config, items, self.init)
        fit = fit_pairs(
            config,
            len(items),
            split.training,
            held_out=split.held_out,
            restarts=_plain(self.restarts),
            stopping=self._stopping(),
            initial=initial,
            report=_print_progress if self.verbose else None,
        )
        self._warn(fit, split.held_out or split.training)
        self._place(fit.config, items, fit.params, fit.embedding)
        self.kernel_, self.bias_ = fit.kernel, fit.bias
        taken = np.isfinite(fit.loss[:, fit.best])  # the other restarts may have gone on
        self.loss_curve_ = fit.loss[taken, fit.best]
        self.heldout_loss_curve_ = (
            None if fit.heldout_loss is None else fit.heldout_loss[taken, fit.best]
        )
        self.loss_steps_ = fit.step[taken]
        self.n_iter_ = int(self.loss_steps_[-1]) if taken.any() else 0
        self.restart_losses_ = fit.restart_loss
        self.snapshot_steps_, self.snapshots_ = fit.snapshot_step, fit.snapshots
        self.stopped_ = fit.stopped
        self.position_covariance_ = None
        if self.bootstrap:
            if initial is not None:
                raise InputError("bootstrap repeats the fit from drawn values: leave out init")
            draws, first = _plain(self.bootstrap), jax.devices()[:1]
            spread = bootstrap_positions(fit, split.training, draws, devices=first)
            self.position_covariance_ = spread.covariance
        self.base_rate_ = base_rate(pairs)
        self.classes_ = np.array([0, 1])
        return self

    def fit_transform(self, X, y, sample_weight=None):
        """Train on pairs and return the vectors of `items_`, float32 [items, dim]."""
        return self.fit(X, y, sample_weight).embedding_

    def add_items(self, pairs, labels, sample_weight=None):
        """Embed further items, with the vectors of the old items and the head frozen.

        Each new item is initialised at the position of the old item that minimises the loss of its
        pairs with old items. Pairs of two old items are ignored. No pairs are held out. The loss
        curves and the snapshots remain those of `fit`.

        Args:
            pairs: [N, 2], ids or names, old and new.
            labels: [N] in 0..1.
            sample_weight: [N], 0 or more.

        Returns:
            The estimator; the rows of the new items come last.

        Raises:
            InputError: no pair has a new item, or as for `fit`.
        """
        check_is_fitted(self)
        check_process()
        before = self._before()
        values, labels, weights = self._read(pairs, labels, sample_weight, reset=False)
        items = items_in(values, before.items)
        old = len(before.items)
        if len(items) == old:
            raise InputError("no pair has a new item: give pairs of new items, or use warm_start")
        index = rows_of(items, values)
        moving = (index >= old).any(axis=1)
        further = Pairs(index, labels, weights).take(moving)
        further = self._checked(items, further, before, one_label=True)
        seed = _seed(self.random_state)
        config = self._config(seed)
        before.check(config)
        fit = fit_pairs(
            config,
            len(items),
            further,
            stopping=self._stopping(),
            initial=before.extended(len(items), further, seed),
            frozen=np.arange(len(items)) < old,
            report=_print_progress if self.verbose else None,
        )
        self._warn(fit, None)  # the head is that of before
        # The old rows are copied, so that they stay bit-identical.
        table = fit.params["embedding"]["embedding"][old:]
        params = {**before.params, "embedding": {"embedding": _joined(before.table, table)}}
        embedding = _joined(self.embedding_, fit.embedding[old:])
        self._place(before.config, items, params, embedding)
        return self

    def decision_function(self, X):
        """Return the log-odds that pairs are similar, float64 [N].

        Args:
            X: [N, 2], items of the fit; for others see `handle_unknown`.

        Raises:
            InputError: an item is unknown; the message names the nearest known item.
        """
        index = self._known_pairs(X)
        known = (index >= 0).all(axis=1)
        head = HEADS[self._fitted.head]
        feature = self._feature(index[known], head.feature == "dot_product")
        rate = np.clip(self.base_rate_, _LEAST_RATE, 1 - _LEAST_RATE)
        logits = np.full(len(index), logit(rate))
        logits[known] = head.logit(feature, self.kernel_, self.bias_, self._fitted.smoothing, np)
        return logits

    def predict_proba(self, X):
        """Return the probabilities of the labels 0 and 1, float64 [N, 2]."""
        logits = self.decision_function(X)
        return np.column_stack([expit(-logits), expit(logits)])

    def predict(self, X):
        """Return the predicted labels [N]: 1 if the probability of similar is above 1/2, else 0."""
        similar = self.decision_function(X) > 0
        return self.classes_[similar.astype(int)]

    def pair_distance(self, pairs):
        """Return the Euclidean distances of pairs, float64 [N]; see `decision_function`.

        With the head "dot" the probability is a function of the distance only if the vectors are
        normalised.
        """
        index = self._known_pairs(pairs)
        known = (index >= 0).all(axis=1)
        distance = np.full(len(index), np.nan)
        distance[known] = np.sqrt(self._feature(index[known], dot=False))
        return distance

    def score(self, X, y, sample_weight=None):
        """Return the mean log-likelihood of labels in nats per pair; the maximum is 0.

        It is the negative training loss. Predicting 1/2 for every pair scores -log 2, or -0.69.
        Where `handle_unknown` is "ignore", pairs with an item that was not in the fit are left out
        with a warning; the score is NaN if no pair is left.

        Args:
            X: [N, 2], items of the fit.
            y: [N] in 0..1; for soft labels the maximum score is minus their mean entropy.
            sample_weight: [N], 0 or more.
        """
        check_is_fitted(self)
        labels = _labels(y)
        weights = _weights(sample_weight, labels)
        check_consistent_length(X, labels)
        known = (self._known_pairs(X) >= 0).all(axis=1)
        logits = self.decision_function(X)
        if not known.all():
            warnings.warn(
                f"{np.sum(~known):,} of {len(known):,} pairs have an item that was not in the fit: "
                "the score is that of the other pairs",
                PairWarning,
                stacklevel=2,
            )
        if not weights[known].any():
            return np.nan
        return -cross_entropy(logits[known], labels[known], weights[known])

    def transform(self, items):
        """Return the vectors of items, float32 [..., dim].

        Args:
            items: Ids or names [...], such as a list of them, or pairs [N, 2].

        Raises:
            InputError: an item is unknown; the message names the nearest known item. With the
                `handle_unknown` "ignore" its vector is NaN instead.
        """
        check_is_fitted(self)
        found = self._known(item_values(items))
        vectors = self.embedding_[found]
        return np.where((found < 0)[..., None], np.float32(np.nan), vectors)

    def kneighbors(self, items=None, n_neighbors=5, return_distance=True):
        """Return the nearest other items by Euclidean distance, nearest first.

        Args:
            items: Ids or names [M], or a single one; all of `items_` if None.
            n_neighbors: Number of neighbours, below the number of items.
            return_distance: Whether to return the distances too.

        Returns:
            The distances, float64 [M, n_neighbors], and the items, [M, n_neighbors] as in `items_`;
            or only the items. At equal distances the earlier item comes first.

        Raises:
            InputError: an item is unknown, or n_neighbors is out of range.
        """
        check_is_fitted(self)
        count, most = _plain(n_neighbors), len(self.items_) - 1
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= most:
            raise InputError(f"n_neighbors is {n_neighbors!r}: give a whole number in 1..{most}")
        if items is None:
            rows = np.arange(len(self.items_))
        else:
            rows = np.atleast_1d(rows_of(self.items_, item_values(items)))
        if rows.ndim != 1:
            raise InputError(f"items have the shape {rows.shape}: give a list of them")
        places, distance = nearest(self.embedding_, rows, count)
        found = self.items_[places]
        return (distance, found) if return_distance else found

    # Notebooks

    def _repr_html_inner(self):
        return self._card() + super()._repr_html_inner()

    def _repr_mimebundle_(self, **kwargs):
        """Return what notebooks show: once fitted also the result, the map and the loss curves."""
        shown = super()._repr_mimebundle_(**kwargs)
        if "text/html" in shown:
            shown["text/html"] = self._card() + shown["text/html"]
        return shown

    def _card(self) -> str:
        from colour_embed.viz import cards

        return cards.of_pair_embedding(self) if hasattr(self, "embedding_") else ""

    # Helpers

    def _config(self, seed: int) -> Config:
        taken = ("dim", "head", "normalise", "optimizer", "learning_rate", "batch_size")
        values = {name: _plain(getattr(self, name)) for name in taken}
        if isinstance(values["dim"], str) and values["dim"] == AUTO:
            values["dim"] = getattr(self, "_fitted", Config(head=self.head)).dim
        return Config(seed=seed, **values)

    def _with_dim(self, config: Config, pairs: Pairs, items: int) -> Config:
        """Return the config with the selected dimension, if it is to be selected."""
        selects = isinstance(self.dim, str) and (not self.warm_start or self._before() is None)
        self.selection_ = None
        if not selects:
            return config
        self.selection_ = choose_dimension(
            config, items, pairs, stopping=self._stopping(), devices=jax.devices()[:1]
        )
        if self.verbose:
            print(self.selection_)
        return dataclasses.replace(config, dim=self.selection_.selected)

    def _stopping(self) -> Stopping:
        return Stopping(_plain(self.max_steps), tolerance=_plain(self.tolerance))

    def _read(self, X, y, sample_weight, *, reset):
        """Return validated pairs [N, 2], labels and weights [N], without pairs of weight 0."""
        if y is None:
            raise InputError(
                f"{type(self).__name__} requires y to be passed, but the target y is None"
            )
        labels = _labels(y)
        weights = _weights(sample_weight, labels)
        values = self._read_pairs(X, reset=reset)
        check_consistent_length(values, labels)
        there = weights > 0
        return values[there], labels[there].astype(np.float32), weights[there].astype(np.float32)

    def _read_pairs(self, X, *, reset) -> np.ndarray:
        """Return pairs [N, 2] as `item_values` does; unknown items are allowed."""
        if not hasattr(X, "dtype") and not hasattr(X, "columns"):
            X = as_objects(X)
        is_frame = hasattr(X, "iloc")  # whose columns are converted one by one
        if np.ndim(X) != 2:
            raise InputError(
                f"pairs have the shape {np.shape(X)}: give [N, 2], two items a pair. "
                "Reshape your data if it has a single pair"
            )
        # Sets n_features_in_ and feature_names_in_, and rejects sparse and complex input.
        checked = validate_data(
            self, X, reset=reset, skip_check_array=is_frame, dtype=None, ensure_all_finite=False
        )
        return self._two_columns(item_values(checked))

    def _two_columns(self, values: np.ndarray) -> np.ndarray:
        count, columns = values.shape
        if columns != 2:
            raise InputError(
                f"X holds {count} sample(s) of {columns} feature(s): give pairs [N, 2], "
                "an item in each column"
            )
        return values

    def _known(self, values: np.ndarray) -> np.ndarray:
        return (find if self._ignores_unknown() else rows_of)(self.items_, values)

    def _known_pairs(self, X) -> np.ndarray:
        check_is_fitted(self)
        return self._known(self._read_pairs(X, reset=False))

    def _feature(self, index: np.ndarray, dot: bool) -> np.ndarray:
        """Return the squared distances or dot products of pairs of rows, float64 [N]."""
        found = np.empty(len(index))
        table = self.embedding_.astype(np.float64)
        for start in range(0, len(index), _BLOCK):
            one, other = table[index[start : start + _BLOCK]].transpose(1, 0, 2)
            part = one * other if dot else (one - other) ** 2
            found[start : start + _BLOCK] = part.sum(axis=1)
        return found

    def _ignores_unknown(self) -> bool:
        if self.handle_unknown not in ("error", "ignore"):
            raise InputError(f'handle_unknown is {self.handle_unknown!r}: give "error" or "ignore"')
        return self.handle_unknown == "ignore"

    def _checked(self, items, pairs, before, *, one_label=False) -> Pairs:
        """Return the pairs without self-pairs, and warn of what may surprise."""
        kept = without_self_pairs(pairs)
        lines = pair_warnings(
            *(items, kept.index, kept.label, kept.weight),
            self_pairs=len(pairs) - len(kept),
            positives_only=one_label,
            fixed=0 if before is None else len(before.items),
        )
        _warn(lines, PairWarning)
        return kept

    def _share(self) -> float | None:
        """Return the share of the pairs to hold out, as `split_pairs` takes it."""
        share = _plain(self.held_out)
        if share is False:
            return 0.0
        if isinstance(share, str) and share == "auto":
            return None
        if isinstance(share, float) and 0 < share < 1:
            return share
        raise InputError(f'held_out is {share!r}: give "auto", False, or a share between 0 and 1')

    def _warn(self, fit: PairFit, judged: Pairs | None) -> None:
        if fit.stopped == "diverged" and not np.isfinite(fit.restart_loss).any():
            raise InputError("the training diverged at once: give a lower learning_rate")
        _warn(convergence_warnings(fit, self.max_steps), ConvergenceWarning)
        if judged is not None:
            _warn(quality_warnings(fit, judged), PairWarning)

    def _place(self, config, items, params, embedding) -> None:
        self._fitted, self._params = config, params
        self.items_, self.embedding_ = items, np.asarray(embedding, np.float32)

    def _before(self) -> _Before | None:
        """Return the state that a warm start continues from; None before the first fit."""
        if not hasattr(self, "_params"):
            return None
        return _Before(
            self._fitted, self.items_, self._params, self.embedding_, self.kernel_, self.bias_
        )


@dataclass(frozen=True, eq=False)
class _Before:
    """A fitted embedding to which items or pairs are added."""

    config: Config
    items: np.ndarray
    params: Params
    embedding: np.ndarray
    kernel: float
    bias: float

    @property
    def table(self) -> np.ndarray:
        return self.params["embedding"]["embedding"]

    def check(self, config: Config) -> None:
        """Raise an InputError if these parameters do not fit a new config."""
        for name in ("dim", "head", "normalise"):
            new, old = getattr(config, name), getattr(self.config, name)
            if new != old:
                raise InputError(
                    f"{name} is {new!r}, but the items there are were fitted with {old!r}: "
                    "leave it, or fit without warm_start"
                )

    def extended(self, count: int, pairs: Pairs, seed: int) -> Params:
        """Return the parameters with rows for new items, each near its best old item."""
        old = len(self.items)
        if count == old:
            return self.params
        random = np.random.default_rng(seed)
        tried = random.permutation(old)[:_CANDIDATES]
        places = self.embedding[tried].astype(np.float64)
        loss = self._loss_at(places, count, pairs)
        new = places[np.argmin(loss, axis=1)]
        new[np.ptp(loss, axis=1) == 0] = self.embedding.mean(axis=0)
        new += _JITTER * self.embedding.std(axis=0).max() * random.standard_normal(new.shape)
        return {**self.params, "embedding": {"embedding": _joined(self.table, new)}}

    def _loss_at(self, places: np.ndarray, count: int, pairs: Pairs) -> np.ndarray:
        """Return the loss of each new item's pairs with old items, [new items, places]."""
        old, head = len(self.items), HEADS[self.config.head]
        feature = (lambda a, b: a @ b.T) if head.feature == "dot_product" else _squared
        mixed = (pairs.index >= old).sum(axis=1) == 1
        new, anchor = pairs.index[mixed].max(axis=1) - old, pairs.index[mixed].min(axis=1)
        label, weight = pairs.label[mixed, None], pairs.weight[mixed, None]
        loss = np.zeros((count - old, len(places)))
        size = max(1, _BLOCK * 16 // len(places))
        for start in range(0, len(new), size):
            part = slice(start, start + size)
            there = feature(self.embedding[anchor[part]].astype(np.float64), places)
            logits = head.logit(there, self.kernel, self.bias, self.config.smoothing, np)
            np.add.at(loss, new[part], weight[part] * cross_entropies(logits, label[part]))
        return loss


def _squared(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return cdist(one, other, "sqeuclidean")


def _joined(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    return np.concatenate([old, np.asarray(new, old.dtype)])


def _plain(value: Any) -> Any:
    """Return a NumPy scalar, such as one of a parameter grid, as a Python scalar."""
    return value.item() if isinstance(value, np.generic) else value


def _warn(lines: list[str], category: type[Warning]) -> None:
    for line in lines:
        warnings.warn(line, category, stacklevel=4)  # the caller of fit


def _seed(random_state: Any) -> int:
    random_state = _plain(random_state)
    if isinstance(random_state, int) and not isinstance(random_state, bool):
        return random_state
    return int(check_random_state(random_state).randint(2**31 - 1))


def _print_progress(progress: Progress) -> None:
    steps = f"step {progress.done} of at most {progress.total}"
    print(f"{steps}: loss {progress.loss:.4f}, {progress.drops} learning-rate drops")


def _labels(y: Any) -> np.ndarray:
    """Return labels as float64 [N], checked to lie in 0..1."""
    labels = column_or_1d(y, warn=True)
    if not len(labels):
        raise InputError("there are no pairs: give at least one")
    if labels.dtype.kind not in "biufO":
        raise InputError(f"labels are {labels.dtype}: give numbers in 0..1")
    try:
        labels = labels.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"labels must be numbers in 0..1: {error}") from None
    labels = clipped_labels(labels)
    wrong = np.flatnonzero(~((labels >= 0) & (labels <= 1)))
    if wrong.size:
        row = int(wrong[0])
        raise InputError(
            f"pair {row} has the label {digits(labels[row])}: give 0, 1 or a continuous value "
            "between. Only binary classification is supported."
        )
    return labels


def _weights(sample_weight: Any, labels: np.ndarray) -> np.ndarray:
    """Return weights as float64 [N]; 1 each if none are given."""
    weights = _check_sample_weight(sample_weight, labels, dtype=np.float64)
    wrong = np.flatnonzero(weights < 0)
    if wrong.size:
        row = int(wrong[0])
        raise InputError(f"pair {row} has the weight {digits(weights[row])}: give 0 or more")
    return weights


def _initial(config: Config, items: np.ndarray, init: Any) -> Params | None:
    """Return parameters with these initial vectors; None if all are drawn."""
    if init is None:
        return None
    drawn = jax.device_get(
        init_params(config, len(items), member_keys(np.uint32(config.seed)).init)
    )
    table = np.array(drawn["embedding"]["embedding"])
    if isinstance(init, Mapping):
        rows = rows_of(items, _keys(init))
        given = [_vectors(vector, (config.dim,)) for vector in init.values()]
        table[rows] = np.reshape(given, (len(given), config.dim))
    else:
        table = _vectors(init, table.shape)
    return {**drawn, "embedding": {"embedding": table}}


def _keys(init: Mapping) -> np.ndarray:
    keys = np.empty(len(init), object)
    keys[:] = list(init)
    return item_values(keys)


def _vectors(values: Any, shape: tuple[int, ...]) -> np.ndarray:
    try:
        values = np.asarray(values, np.float32)
    except (TypeError, ValueError):
        values = np.full(0, np.nan, np.float32)
    if values.shape != shape or not np.isfinite(values).all():
        raise InputError(f"init has the shape {values.shape}: give finite numbers [{shape}]")
    return values


# Checks that do not apply

_COLUMNS = "passes features of three columns or more; a pair has two"
_LABELS = "passes labels outside 0..1, which do not define the class similar"
_ITEMS = "passes features that are not ids, and predicts for values that were not fitted"
_TRANSFORM = "expects transform to return a row per sample; here it returns a row per item"

NOT_FOR_PAIRS = {
    "check_fit_score_takes_y": _COLUMNS,
    "check_dont_overwrite_parameters": _COLUMNS,
    "check_n_features_in_after_fitting": _COLUMNS,
    "check_estimators_dtypes": _COLUMNS,
    "check_sample_weights_list": _COLUMNS,
    "check_dtype_object": _COLUMNS,
    "check_pipeline_consistency": _COLUMNS,
    "check_estimators_nan_inf": _COLUMNS,
    "check_estimators_pickle": _COLUMNS,
    "check_array_api_input": _COLUMNS,
    "check_f_contiguous_array_estimator": _COLUMNS,
    "check_classifiers_one_label": _COLUMNS,
    "check_supervised_y_2d": _COLUMNS,
    "check_methods_sample_order_invariance": _COLUMNS,
    "check_methods_subset_invariance": _COLUMNS,
    "check_dict_unchanged": _COLUMNS,
    "check_fit2d_predict1d": _COLUMNS,
    "check_sample_weights_pandas_series": _LABELS,
    "check_sample_weights_not_an_array": _LABELS,
    "check_sample_weights_shape": _LABELS,
    "check_sample_weights_not_overwritten": _LABELS,
    "check_classifier_data_not_an_array": _LABELS,
    "check_classifiers_classes": _LABELS,
    "check_sample_weight_equivalence_on_dense_data": _ITEMS,
    "check_classifiers_one_label_sample_weights": _ITEMS,
    "check_decision_proba_consistency": _ITEMS,
    "check_transformer_data_not_an_array": _TRANSFORM,
    "check_transformer_general": _TRANSFORM,
}
"""Checks of `sklearn.utils.estimator_checks` that do not apply to pairs, and the reasons.

Pass it as `expected_failed_checks`. With features converted to pairs, all checks pass except those
of class names and of transformers.
"""
