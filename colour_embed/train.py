"""Training as one pure function: a step on parameters, scanned over an epoch and over epochs.

`train_step` is the whole of the learning. `run_epochs` scans it and is what a sweep vmaps. `fit`
drives it from the host in chunks of epochs, so that progress can be shown, a run can be stopped,
and a diverging one is caught.
"""

from __future__ import annotations

import difflib
import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from colour_embed import heads
from colour_embed.config import Config, InputError
from colour_embed.data import Pairs, WeightedPairs
from colour_embed.engine.shuffle import index_order
from colour_embed.model import Params, init_params, item_vectors, logits

WIDE_VECTORS = {"xla_cpu_prefer_vector_width": 512}
"""How training is compiled for CPUs: where they have 512-bit vectors, XLA would use half of one."""

VALUE_BY_VALUE = "keras_adam"
"""The optimiser that is known to treat each value by itself, whatever the shape it stands in."""

CHUNK = 25
"""Epochs between two visits of the host; it divides 500, so that one program serves them all."""


class TrainState(NamedTuple):
    """What one step hands to the next: the parameters and the optimiser's memory of them."""

    params: Any
    optimizer_state: Any


class Batch(NamedTuple):
    """Pairs of one step. `weight` is each pair's share of the batch's mean.

    The shares sum to one, where the pairs have no weights of their own.
    """

    first: Array
    second: Array
    label: Array
    weight: Array


class Metrics(NamedTuple):
    """Means over the pairs of a batch or an epoch, taken before each step as Keras reports them."""

    loss: Array
    mse: Array


class DevicePairs(NamedTuple):
    """All pairs, as the device holds them: int32 [N], int32 [N] and float32 [N].

    `weight`, float32 [N] of mean one, scales each pair's share of its batch; None is one for all.
    """

    first: Array
    second: Array
    label: Array
    weight: Array | None = None

    @property
    def count(self) -> int:
        """How many pairs."""
        return self.label.shape[0]

    def take(self, chosen: Array) -> DevicePairs:
        """The pairs numbered chosen, int32 of any shape, each in 0..N-1."""
        return jax.tree.map(lambda values: _take(values, chosen), self)

    def batch(self, weight: Array) -> Batch:
        """These pairs as a batch, each with its share of the batch's mean."""
        share = weight if self.weight is None else weight * self.weight
        return Batch(self.first, self.second, self.label, share)


class PackedPairs(NamedTuple):
    """All pairs in one number each: uint32 [N], from high to low first id, second id and label.

    A step's pairs lie anywhere in memory, and fetching each once and not three times takes a tenth
    off the step. Ids must lie below `PACKED_ITEMS` and labels be 0 or 1.
    """

    code: Array

    @classmethod
    def of(cls, pairs: DevicePairs) -> PackedPairs:
        """The same pairs packed."""
        first, second, label = (values.astype(jnp.uint32) for values in pairs[:3])
        return cls((first << 16) | (second << 1) | label)

    @property
    def count(self) -> int:
        """How many pairs."""
        return self.code.shape[0]

    def take(self, chosen: Array) -> PackedPairs:
        """The pairs numbered chosen, int32 of any shape, each in 0..N-1."""
        return PackedPairs(_take(self.code, chosen))

    def batch(self, weight: Array) -> Batch:
        """These pairs as a batch, each with its share of the batch's mean."""
        first, second = self.code >> 16, (self.code >> 1) & 0x7FFF
        label = (self.code & 1).astype(jnp.float32)
        return Batch(first.astype(jnp.int32), second.astype(jnp.int32), label, weight)


PACKED_ITEMS = 2**15
"""Pairs of fewer items than this can be packed, where their labels are 0 or 1."""


def can_pack(items: int, label: np.ndarray) -> bool:
    """Whether pairs of so many items with these labels can be packed."""
    return items <= PACKED_ITEMS and bool(np.isin(label, (0, 1)).all())


def _take(values: Array, chosen: Array) -> Array:
    return values.at[chosen].get(mode="promise_in_bounds", wrap_negative_indices=False)


class MemberKeys(NamedTuple):
    """A member's keys, derived from its seed alone and never from its place in a sweep."""

    init: Array
    order: Array
    labels: Array
    pairs: Array


class Training(NamedTuple):
    """A training between two epochs, and the epoch in which it became NaN (0: in none so far).

    From that epoch on it stands still at the last state that was all numbers.
    """

    state: TrainState
    diverged: Array


class Progress(NamedTuple):
    """What `fit` reports after each chunk; `seconds_left` is None until a second one was timed."""

    epoch: int
    epochs: int
    loss: float
    seconds_left: float | None


# --------------------------------------------------------------------------------------------------
# The optimiser


class KerasAdamState(NamedTuple):
    """Steps taken, and the decaying means of the gradient and of its square."""

    count: Array
    mean: optax.Updates
    mean_square: optax.Updates


def keras_adam(
    learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-7
) -> optax.GradientTransformation:
    r"""Adam as Keras computes it, with epsilon outside the bias correction.

    .. math::
        m_t &= \beta_1 m_{t-1} + (1-\beta_1) g_t, \quad
        v_t = \beta_2 v_{t-1} + (1-\beta_2) g_t^2 \\
        p_t &= p_{t-1} - \eta \frac{\sqrt{1-\beta_2^t}}{1-\beta_1^t} \frac{m_t}{\sqrt{v_t}+\epsilon}

    `optax.adam` divides v by its correction first, which is an epsilon that shrinks over time.

    Args:
        learning_rate: eta. Like the others it may be traced, so that a sweep can vmap over it.
        beta1: Decay of the mean of the gradient.
        beta2: Decay of the mean of the squared gradient.
        epsilon: The "epsilon hat" of the paper, just before section 2.1.

    Returns:
        An optax gradient transformation.

    References:
        D. Kingma and J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.

    Example:
        >>> import optax
        >>> optimizer = keras_adam(learning_rate=0.1)
        >>> params = {"x": jnp.array([1.0])}
        >>> updates, _ = optimizer.update({"x": jnp.array([2.0])}, optimizer.init(params))
        >>> print(f"{optax.apply_updates(params, updates)['x'][0]:.3f}")
        0.900
    """

    def init(params):
        zeros = functools.partial(jax.tree.map, jnp.zeros_like)
        return KerasAdamState(jnp.zeros((), jnp.int32), zeros(params), zeros(params))

    def update(gradient, state, params=None):
        del params
        count = optax.safe_increment(state.count)

        def scaled(mean, mean_square):
            steps = count.astype(mean.dtype)
            rate = learning_rate * jnp.sqrt(1 - beta2**steps) / (1 - beta1**steps)
            return -rate * mean / (jnp.sqrt(mean_square) + epsilon)

        mean = optax.tree.update_moment(gradient, state.mean, beta1, 1)
        mean_square = optax.tree.update_moment(gradient, state.mean_square, beta2, 2)
        return jax.tree.map(scaled, mean, mean_square), KerasAdamState(count, mean, mean_square)

    return optax.GradientTransformation(init, update)


def make_optimizer(config: Config, numbers: dict[str, Any]) -> optax.GradientTransformation:
    """The configured optimiser.

    Args:
        config: optimizer and optimizer_options are used.
        numbers: learning_rate, beta1, beta2 and epsilon by name; may be traced.

    Raises:
        InputError: optax has no optimiser of that name, or it does not take those options.
    """
    options = dict(config.optimizer_options)
    if config.optimizer == "keras_adam":
        if options:
            raise InputError("keras_adam takes no options: set beta1, beta2 and epsilon themselves")
        names = ("learning_rate", "beta1", "beta2", "epsilon")
        return keras_adam(*(numbers[name] for name in names))
    make = getattr(optax, config.optimizer, None)
    if not callable(make):
        near = difflib.get_close_matches(config.optimizer, ["keras_adam", *dir(optax)], 1)
        mend = f"did you mean {near[0]!r}?" if near else "give keras_adam or one of optax's"
        raise InputError(f"optimizer {config.optimizer!r} is not known: {mend}")
    try:
        optimizer = make(learning_rate=numbers["learning_rate"], **options)
    except TypeError as error:
        raise InputError(
            f"optimizer {config.optimizer!r} with options {sorted(options)}: {error}; "
            "give an optimiser of optax and options that it takes"
        ) from None
    if not isinstance(optimizer, optax.GradientTransformation):
        raise InputError(f"optimizer {config.optimizer!r} is no optimiser: name one of optax's")
    return optimizer


# --------------------------------------------------------------------------------------------------
# The pure functions


def cross_entropy(logit: Array, label: Array) -> Array:
    """Binary cross-entropy in nats of sigmoid(logit) under a label in 0..1, elementwise.

    max(z, 0) - y z + log(1 + exp(-|z|)), which does not overflow. Its derivative by z is given as
    sigmoid(z) - y: that of the formula is wrong at z = 0, where a pair of an item with itself
    starts. The label has no derivative here.
    """
    return _loss_and_error(logit, label)[0]


@jax.custom_jvp
def _loss_and_error(logit: Array, label: Array) -> tuple[Array, Array]:
    """The cross-entropy, and sigmoid(logit) - label, from one exponential for both."""
    loss, probability = _loss_and_probability(logit, label)
    return loss, probability - label


def _loss_and_probability(logit, label):
    small = jnp.exp(-jnp.abs(logit))
    loss = jnp.maximum(logit, 0) - label * logit + jnp.log(1 + small)
    return loss, jnp.where(logit >= 0, 1, small) / (1 + small)


@_loss_and_error.defjvp
def _loss_and_error_jvp(primals, tangents):
    logit, label = primals
    loss, probability = _loss_and_probability(logit, label)
    error = probability - label
    slope = probability * (1 - probability)
    return (loss, error), (error * tangents[0], slope * tangents[0])


def train_step(
    state: TrainState,
    batch: Batch,
    *,
    logits_fn: Callable[[Any, Array, Array], Array],
    optimizer: optax.GradientTransformation,
) -> tuple[TrainState, Metrics]:
    """One step: binary cross-entropy of the batch, its gradient, one update.

    Args:
        state: Parameters (any pytree that `logits_fn` takes) and the optimiser's state for them.
        batch: The pairs, B of them.
        logits_fn: (params, first [B], second [B]) -> logits [B].
        optimizer: Any optax gradient transformation.

    Returns:
        The next state, and the batch's metrics before the update.
    """
    gradient, metrics = train_gradient(state.params, batch, logits_fn=logits_fn)
    updates, optimizer_state = optimizer.update(gradient, state.optimizer_state, state.params)
    return TrainState(optax.apply_updates(state.params, updates), optimizer_state), metrics


def train_gradient(
    params: Any, batch: Batch, *, logits_fn: Callable[[Any, Array, Array], Array]
) -> tuple[Any, Metrics]:
    """The gradient of a batch's loss by the parameters, and its metrics; see `train_step`."""

    def objective(params):
        logit = logits_fn(params, batch.first, batch.second)
        loss, error = _loss_and_error(logit, batch.label)
        metrics = Metrics(
            loss=jnp.sum(batch.weight * loss, axis=0), mse=jnp.sum(batch.weight * error**2, axis=0)
        )
        return jnp.sum(metrics.loss), metrics

    return jax.grad(objective, has_aux=True)(params)


def epoch_order(order_key: Array, count: int, batch_size: int) -> Array:
    """Which pairs each step of an epoch takes: int32 [steps, batch_size], in a new order per key.

    Every pair comes once; what fills up the last batch has weight zero in `batch_weights`.
    """
    steps = -(-count // batch_size)
    positions = jnp.minimum(jnp.arange(steps * batch_size, dtype=jnp.int32), count - 1)
    return index_order(order_key, positions.reshape(steps, batch_size), count)


def ordered_pairs(
    pairs: DevicePairs | PackedPairs, order_key: Array, batch_size: int
) -> DevicePairs | PackedPairs:
    """The pairs of an epoch, [steps, batch_size], in the order that `epoch_order` gives.

    All at once, kept apart from the steps by a barrier: a step that fetches its own from many pairs
    is split over the cores by XLA, which takes longer than the step.
    """
    order = epoch_order(order_key, pairs.count, batch_size)
    return jax.lax.optimization_barrier(pairs.take(order))


def batch_weights(count: int, batch_size: int) -> np.ndarray:
    """float32 [steps, batch_size]: each pair's share of its batch's mean, zero beyond the last."""
    steps = -(-count // batch_size)
    present = (np.arange(steps * batch_size) < count).reshape(steps, batch_size)
    return (present / present.sum(axis=1, keepdims=True)).astype(np.float32)


def member_keys(seed: Array) -> MemberKeys:
    """The keys of the member with this seed: uint32 scalar, may be traced."""
    key = jax.random.key(seed)
    return MemberKeys(*(jax.random.fold_in(key, purpose) for purpose in range(4)))


def start_training(
    config: Config,
    items: int,
    keys: MemberKeys,
    numbers: dict[str, Any],
    *,
    dim: Array | None = None,
    optimizer: optax.GradientTransformation | None = None,
) -> Training:
    """The training before its first epoch.

    Args:
        config: dim, head, normalise and the optimiser are used.
        items: Number of items.
        keys: The member's keys.
        numbers: `config.numbers()`, or traced values of the same names.
        dim: How many of the config's columns are in use; the rest is zero, has no gradient, and
            stays zero. May be traced, so that one program serves several dimensions.
        optimizer: Overrides the configured one.
    """
    optimizer = optimizer or make_optimizer(config, numbers)
    params = init_params(config, items, keys.init, initial_scale=numbers["initial_scale"])
    drawn, given = params["dense"]["kernel"], numbers["initial_kernel"]
    params["dense"]["kernel"] = jnp.where(jnp.isnan(given), drawn, given)
    if dim is not None:
        in_use = jnp.arange(config.dim) < dim
        params["embedding"]["embedding"] *= in_use.astype(jnp.float32)[None, :]
    return Training(TrainState(params, optimizer.init(params)), jnp.zeros((), jnp.int32))


def run_epochs(
    config: Config,
    training: Training,
    keys: MemberKeys,
    numbers: dict[str, Any],
    pairs: DevicePairs | PackedPairs,
    epochs: Array,
    *,
    transform: Callable[[Training, Metrics], Any],
    optimizer: optax.GradientTransformation | None = None,
) -> tuple[Training, Any]:
    """Train over the given epochs: a pure function, to be jitted, vmapped or sharded.

    Args:
        config: The static fields are used.
        training: As `start_training` or an earlier call returned it.
        keys: The member's keys; the order of epoch e comes from fold_in(keys.order, e).
        numbers: `config.numbers()`, or traced values of the same names.
        pairs: All pairs.
        epochs: int32 [E], the numbers of the epochs to run, the first being 1.
        transform: (training, metrics) after an epoch -> what to stack of it. The metrics are NaN
            from the epoch on in which the training diverged.
        optimizer: Overrides the configured one.

    Returns:
        The training after the last epoch, and the stacked transforms, leading axis E.
    """
    in_one_run = optimizer is None and config.optimizer == VALUE_BY_VALUE
    optimizer = optimizer or make_optimizer(config, numbers)
    weights = batch_weights(pairs.count, config.batch_size)
    shapes = jax.tree.map(jnp.shape, training.state)

    def logits_fn(params, first, second):
        return logits(config, jax.tree.map(jnp.reshape, params, shapes.params), first, second)

    def step(state, taken):
        pairs, weight = taken
        batch = pairs.batch(weight)
        return train_step(state, batch, logits_fn=logits_fn, optimizer=optimizer)

    def epoch(training, number):
        order_key = jax.random.fold_in(keys.order, number)
        ordered = ordered_pairs(pairs, order_key, config.batch_size)
        # Loops over few columns are not always made of vectors; a single run of numbers is.
        state = jax.tree.map(jnp.ravel, training.state) if in_one_run else training.state
        state, metrics = jax.lax.scan(step, state, (ordered, jnp.asarray(weights)))
        state = jax.tree.map(jnp.reshape, state, shapes)
        training, means = finish_epoch(training, state, metrics, number, pair_shares(weights))
        return training, transform(training, means)

    return jax.lax.scan(epoch, training, epochs)


def pair_shares(weights: np.ndarray) -> np.ndarray:
    """float32 [steps]: the share of the pairs that each of the `batch_weights` steps takes."""
    present = (weights > 0).sum(axis=1)
    return (present / present.sum()).astype(np.float32)


def finish_epoch(
    training: Training, state: TrainState, metrics: Metrics, number: Array, shares: np.ndarray
) -> tuple[Training, Metrics]:
    """What an epoch comes to: the next training, frozen if it diverged, and the epoch's means.

    Args:
        training: Before the epoch.
        state: After its last step.
        metrics: Of each step, [steps].
        number: The epoch's number.
        shares: The share of the pairs in each step, float32 [steps].
    """
    finite = jax.tree.map(lambda values: jnp.all(jnp.isfinite(values)), state.params)
    finite = jax.tree.reduce(jnp.logical_and, finite)
    diverged = jnp.where((training.diverged == 0) & ~finite, number, training.diverged)
    well = diverged == 0
    state = jax.tree.map(lambda new, old: jnp.where(well, new, old), state, training.state)
    means = jax.tree.map(
        lambda values: jnp.where(well, jnp.asarray(shares, values.dtype) @ values, jnp.nan), metrics
    )
    return Training(state, diverged), means


# --------------------------------------------------------------------------------------------------
# The host's side


class Trained:
    """What the config and the parameters of a finished training say."""

    config: Config
    params: Params

    @property
    def embedding(self) -> np.ndarray:
        """float32 [items, dim], the item vectors."""
        return np.asarray(item_vectors(self.config, self.params))

    @property
    def kernel(self) -> float:
        """The weight of the head, such as that of the squared distance."""
        kernel = self.params["dense"]["kernel"]
        return float(heads.effective_kernel(kernel, self.config.head, jnp)[0, 0])

    @property
    def bias(self) -> float:
        """The logit where the rest is zero."""
        return float(self.params["dense"]["bias"][0])


@dataclass(frozen=True)
class Fit(Trained):
    """A training run and what was kept of it, as NumPy arrays.

    Attributes:
        config: What was asked for.
        params: The parameters after the last epoch that was run; see `model.Params`.
        loss: float32 [E], mean training loss of each epoch in nats per pair.
        mse: float32 [E], mean squared error of each epoch.
        epoch: int32 [F], the epochs that were snapshotted; 0 is before the first step.
        snapshots: float32 [F, items, dim], the item vectors after each of those epochs.
        status: "done", "interrupted" (Ctrl-C) or "diverged" (a parameter became NaN or infinite;
            the run holds the epochs before that).
        diverged_epoch: The epoch in which that happened, or None.
    """

    config: Config
    params: Params
    loss: np.ndarray
    mse: np.ndarray
    epoch: np.ndarray
    snapshots: np.ndarray
    status: str
    diverged_epoch: int | None


def tutorial_frames(epochs: int) -> np.ndarray:
    """The epochs that the tutorial's animation shows: int [F], 263 of them for 500 epochs.

    Frames crowd at the start, where the embedding moves most: unique(floor(linspace(1, sqrt(n),
    300)^2)) with n = epochs - 1, counted from the end of the first epoch.
    """
    if epochs < 2:
        return np.arange(1, epochs + 1)
    frames = np.unique((np.linspace(1, (epochs - 1) ** 0.5, 300) ** 2).astype(int)) + 1
    # Rounding can push the last frame just below the last epoch; at 500 epochs it does not.
    return np.union1d(frames, [epochs])


def snapshot_epochs(schedule: str | Sequence[int], epochs: int) -> np.ndarray:
    """The epochs to snapshot, ascending.

    Args:
        schedule: "every" epoch and 0, the "tutorial"'s frames and 0, "none", or a list of epochs.
        epochs: How many epochs the run has.

    Raises:
        InputError: an unknown schedule, or an epoch outside 0..epochs.
    """
    if isinstance(schedule, str):
        known = {
            "every": lambda: np.arange(epochs + 1),
            "tutorial": lambda: np.append(0, tutorial_frames(epochs)),
            "none": lambda: np.zeros(0, int),
        }
        if schedule not in known:
            raise InputError(f"snapshots {schedule!r}: give one of {', '.join(known)}, or epochs")
        return known[schedule]()
    chosen = np.unique(np.asarray(schedule, int))
    if chosen.size and (chosen[0] < 0 or chosen[-1] > epochs):
        raise InputError(f"snapshots: the epochs must lie in 0..{epochs}")
    return chosen


def device_pairs(pairs: Pairs | WeightedPairs, items: int) -> DevicePairs:
    """The pairs as arrays of the default device, their ids checked on the host.

    Raises:
        InputError: there are no pairs, an id is outside 0..items-1, which on a device would
            silently read another row, or no pair has a weight.
    """
    if len(pairs.label) == 0:
        raise InputError("there are no pairs: give at least one")
    wrong = np.flatnonzero(((pairs.index < 0) | (pairs.index >= items)).any(axis=1))
    if wrong.size:
        row = int(wrong[0])
        raise InputError(
            f"pair {row} has ids {pairs.index[row].tolist()}, outside 0..{items - 1}: "
            "give ids of items that exist"
        )
    first, second = np.asarray(pairs.index, np.int32).T
    found = DevicePairs(*map(jnp.asarray, (first, second, np.asarray(pairs.label, np.float32))))
    if isinstance(pairs, Pairs):
        return found
    mean = np.mean(pairs.weight, dtype=np.float64)
    if not (np.isfinite(mean) and mean > 0 and np.min(pairs.weight) >= 0):
        raise InputError("weights must be finite, 0 or more, and not all 0")
    if np.ptp(pairs.weight) == 0:
        return found
    return found._replace(weight=jnp.asarray(np.asarray(pairs.weight / mean, np.float32)))


@functools.partial(jax.jit, static_argnames=("config", "items", "optimizer"))
def _start(config, items, seed, numbers, optimizer):
    keys = member_keys(seed)
    return keys, start_training(config, items, keys, numbers, optimizer=optimizer)


@functools.partial(
    jax.jit, static_argnames=("config", "keep", "optimizer"), compiler_options=WIDE_VECTORS
)
def _run(config, training, keys, numbers, pairs, epochs, keep, optimizer):
    def transform(training, metrics):
        return metrics, item_vectors(config, training.state.params) if keep else None

    return run_epochs(
        config, training, keys, numbers, pairs, epochs, transform=transform, optimizer=optimizer
    )


class _Part(NamedTuple):
    """What one chunk of epochs adds to a fit's history; embedding is None where none was kept."""

    epoch: np.ndarray
    metrics: Metrics
    embedding: np.ndarray | None


def fit(
    config: Config,
    items: int,
    pairs: Pairs,
    *,
    snapshots: str | Sequence[int] = "tutorial",
    report: Callable[[Progress], None] | None = None,
    optimizer: optax.GradientTransformation | None = None,
    chunk: int = CHUNK,
) -> Fit:
    """Train one embedding.

    Ctrl-C ends the run; the chunk under way is dropped, and all before it is returned.

    Args:
        config: The run.
        items: Number of items that the ids in `pairs` count.
        pairs: index [N, 2] and label [N].
        snapshots: Which epochs to keep the embedding of; see `snapshot_epochs`.
        report: Called after each chunk of epochs.
        optimizer: Any optax gradient transformation, in place of the configured one.
        chunk: Epochs between two visits of the host. The result does not depend on it.

    Returns:
        The run; see `Fit`.

    Raises:
        InputError: ids out of range, no pairs, or an unknown schedule or optimiser.
    """
    wanted = snapshot_epochs(snapshots, config.epochs)
    on_device = device_pairs(pairs, items)
    if can_pack(items, pairs.label):
        on_device = PackedPairs.of(on_device)
    static, numbers = config.static(), config.numbers()
    keys, training = _start(static, items, np.uint32(config.seed), numbers, optimizer)
    history, timed = [_before_training(config, training, 0 in wanted)], []
    status, diverged, done = "done", 0, 0
    while done < config.epochs and not diverged:
        length = min(chunk, config.epochs - done)
        epochs = np.arange(done + 1, done + length + 1, dtype=np.int32)
        keep = bool(np.isin(epochs, wanted).any())
        try:
            began = time.perf_counter()
            after, stacked = _run(
                static, training, keys, numbers, on_device, epochs, keep, optimizer
            )
            part = _Part(epochs, *jax.device_get(stacked))
            diverged = int(after.diverged)
            timed.append((time.perf_counter() - began) / length)
            training, done = after, done + length
            history.append(part)
            if report is not None and not diverged:
                # The first chunk holds the compilation, so its time says nothing of the rest.
                left = np.median(timed[1:]) * (config.epochs - done) if len(timed) > 1 else None
                report(Progress(done, config.epochs, float(part.metrics.loss[-1]), left))
        except KeyboardInterrupt:
            status = "interrupted"
            break
    status = "diverged" if diverged else status
    return _collect(config, training, history, wanted, status, diverged or None)


def _before_training(config, training, keep) -> _Part:
    """The part of the history before the first epoch: no metrics, at most a snapshot."""
    none = np.zeros(0, np.float32)
    first = np.asarray(item_vectors(config, training.state.params))[None] if keep else None
    return _Part(np.zeros(int(keep), np.int32), Metrics(none, none), first)


def _collect(config, training, history, wanted, status, diverged_epoch) -> Fit:
    ended = diverged_epoch or config.epochs + 1
    kept = [
        (part.epoch[chosen], part.embedding[chosen])
        for part in history
        if part.embedding is not None
        for chosen in [np.isin(part.epoch, wanted) & (part.epoch < ended)]
    ]
    params = jax.device_get(training.state.params)
    empty = np.zeros((0, *params["embedding"]["embedding"].shape), np.float32)
    return Fit(
        config=config,
        params=params,
        loss=np.concatenate([part.metrics.loss for part in history])[: ended - 1],
        mse=np.concatenate([part.metrics.mse for part in history])[: ended - 1],
        epoch=np.concatenate([np.zeros(0, np.int32), *(epoch for epoch, _ in kept)]),
        snapshots=np.concatenate([empty, *(embedding for _, embedding in kept)]),
        status=status,
        diverged_epoch=diverged_epoch,
    )
