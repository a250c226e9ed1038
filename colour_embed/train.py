"""Training: one step, scanned over an epoch and over epochs; the whole as a pure function; `fit`.

`train_step` is the whole of the learning. `train_epochs` scans it. `make_train` gives a training as
a pure function of its seed and hyperparameters, which can be jitted and vmapped. `fit` is its fast
form for one training: it runs chunks of epochs from the host, shows progress, and can be stopped.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from colour_embed.config import Config, Hyperparams
from colour_embed.data import Pairs
from colour_embed.engine import blocks
from colour_embed.engine.batches import (
    DevicePairs,
    PackedPairs,
    batch_sizes,
    batch_weight,
    device_pairs,
    epoch_codes,
    ordered_pairs,
    packed_where_possible,
)
from colour_embed.engine.compilation import ONE_TRAINING
from colour_embed.engine.driver import drive
from colour_embed.engine.history import Part, before_training, collect
from colour_embed.engine.layouts import Layout, layout_of
from colour_embed.engine.lazy import lazy_step
from colour_embed.engine.loss import loss_and_error
from colour_embed.engine.optimizers import LAZY_ADAM, make_optimizer
from colour_embed.engine.schedule import chunks, snapshot_epochs
from colour_embed.engine.start import init_training
from colour_embed.engine.state import (
    Batch,
    LogitsFn,
    MemberKeys,
    Metrics,
    Training,
    TrainState,
    Transform,
    member_keys,
)
from colour_embed.model import AnyArray, embedding_vectors, logits
from colour_embed.runs import Fit, Progress

__all__ = ["Batch", "Metrics", "TrainState", "fit", "make_train", "train_epochs", "train_step"]

CHUNK = 25
"""Epochs between two visits of the host; it divides 500, so that one program serves them all."""


def train_step(
    state: TrainState,
    batch: Batch,
    *,
    logits_fn: LogitsFn,
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

    Example:
        >>> import colour_embed as ce
        >>> config, optimizer = Config(), optax.sgd(0.1)
        >>> params = ce.init_params(config, 10, jax.random.key(0))
        >>> batch = Batch(jnp.array([0]), jnp.array([1]), jnp.ones(1), jnp.ones(1))
        >>> state, metrics = train_step(
        ...     TrainState(params, optimizer.init(params)),
        ...     batch,
        ...     logits_fn=functools.partial(logits, config),
        ...     optimizer=optimizer,
        ... )
        >>> metrics.loss.shape
        ()
    """

    def objective(params):
        logit = logits_fn(params, batch.first, batch.second)
        loss, error = loss_and_error(logit, batch.label)
        loss = jnp.sum(batch.weight * loss, axis=0)
        return jnp.sum(loss), Metrics(loss, mse=jnp.sum(batch.weight * error**2, axis=0))

    gradient, metrics = jax.grad(objective, has_aux=True)(state.params)
    updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
    return TrainState(optax.apply_updates(state.params, updates), opt_state), metrics


def train_epochs(
    step: Callable[[TrainState, Batch], tuple[TrainState, Metrics]],
    layout: Layout,
    training: Training,
    keys: MemberKeys,
    pairs: DevicePairs | PackedPairs,
    epochs: AnyArray,
    *,
    batch_size: int,
    transform: Transform,
) -> tuple[Training, Any]:
    """Train over the given epochs: a pure function, to be jitted, vmapped or sharded.

    Args:
        step: From `make_step`, on states in this layout.
        layout: How the state stands in memory; see `engine.layouts`.
        training: As `init_training` or an earlier call returned it.
        keys: The member's keys; the order of epoch e comes from its own key.
        pairs: All pairs.
        epochs: int32 [E], the numbers of the epochs to run, the first being 1.
        batch_size: Pairs per step.
        transform: (training, metrics) after an epoch -> what is stacked. The metrics are NaN from
            the epoch on in which the training diverged.

    Returns:
        The training after the last epoch, and the stacked transforms, [E, ...]; members first where
        the layout has them.
    """
    sizes = batch_sizes(pairs.count, batch_size)

    def one_step(state, taken):
        ordered, size = taken
        batch = ordered.batch(batch_weight(size, batch_size))
        return step(state, layout.batch(batch))

    def one_epoch(training, number):
        ordered = ordered_pairs(pairs, jax.random.fold_in(keys.order, number), batch_size)
        state = layout.enter(training.state)
        state, metrics = jax.lax.scan(one_step, state, (ordered, jnp.asarray(sizes)))

        def finish(before, state, metrics):
            after, means = _end_epoch(before, state, metrics, number, sizes)
            return after, transform(after, means)

        state = layout.leave(state, training.state)
        return layout.each(finish)(training, state, layout.metrics(metrics))

    training, stacked = jax.lax.scan(one_epoch, training, epochs)
    return training, layout.stacked(stacked)


def _end_epoch(
    before: Training, state: TrainState, metrics: Metrics, number: Array, sizes: np.ndarray
) -> tuple[Training, Metrics]:
    """The training after an epoch, frozen if it diverged, and the means of the metrics [steps]."""
    shares = np.asarray(sizes / sizes.sum(dtype=np.float64), np.float32)
    finite = jax.tree.map(lambda values: jnp.all(jnp.isfinite(values)), state.params)
    finite = jax.tree.reduce(jnp.logical_and, finite)
    diverged = jnp.where((before.diverged == 0) & ~finite, number, before.diverged)
    well = diverged == 0
    state = jax.tree.map(lambda new, old: jnp.where(well, new, old), state, before.state)
    means = jax.tree.map(
        lambda values: jnp.where(well, jnp.asarray(shares, values.dtype) @ values, jnp.nan), metrics
    )
    return Training(state, diverged), means


def make_train(
    config: Config, items: int, pairs: Pairs, *, snapshots: str | Sequence[int] = "tutorial"
) -> Callable[..., tuple[TrainState, Metrics, Array]]:
    """A whole training as a pure function, to be jitted and vmapped.

    Args:
        config: What is trained; its seed is not used. Its dim is the largest that `dim` may take.
        items: Number of items that the ids in `pairs` count.
        pairs: index [N, 2], label [N] and perhaps weight [N].
        snapshots: Which epochs to keep the vectors of; see `snapshot_epochs`.

    Returns:
        train(seed, hyperparams=None, dim=None) -> (state, metrics [E], snapshots [F, items, dim]).
        `hyperparams` are the config's by default. `dim` counts the columns in use, the rest being
        zero. All three may be traced.

    Raises:
        InputError: ids out of range, no pairs, or an unknown schedule or optimiser.

    Example:
        >>> import colour_embed as ce
        >>> colours = ce.load_colours("css4")
        >>> pairs = ce.tutorial_pairs(colours, 1000)
        >>> train = ce.make_train(ce.Config(epochs=2), len(colours), pairs, snapshots="every")
        >>> state, metrics, snapshots = jax.vmap(jax.jit(train))(jnp.arange(4))
        >>> metrics.loss.shape, snapshots.shape
        ((4, 2), (4, 3, 148, 2))
    """
    wanted = snapshot_epochs(snapshots, config.epochs)
    on_device = packed_where_possible(device_pairs(pairs, items), items, pairs.label)
    make_optimizer(config, config.hyperparams())  # an unknown one is told here
    defaults, count = config.hyperparams(), config.epochs
    config = config.static()

    def train(seed, hyperparams=None, dim=None):
        hyperparams = defaults if hyperparams is None else hyperparams
        keys = member_keys(jnp.asarray(seed, jnp.uint32))
        training = init_training(config, items, keys, hyperparams, dim=dim)
        layout = layout_of(config, training.state)

        def transform(training, metrics):
            kept = embedding_vectors(config, training.state.params) if wanted.size else None
            return metrics, kept

        epochs = jnp.arange(1, count + 1, dtype=jnp.int32)
        first = embedding_vectors(config, training.state.params)
        training, (metrics, vectors) = run_epochs(
            config, hyperparams, layout, training, keys, on_device, epochs, transform=transform
        )
        if not wanted.size:
            return training.state, metrics, jnp.zeros((0, *first.shape), first.dtype)
        return training.state, metrics, jnp.concatenate([first[None], vectors])[wanted]

    return train


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
        pairs: index [N, 2], label [N] and perhaps weight [N].
        snapshots: Which epochs to keep the vectors of; see `snapshot_epochs`.
        report: Called after each chunk of epochs, such as `print`.
        optimizer: Any optax gradient transformation, in place of the configured one.
        chunk: Epochs between two visits of the host. The result does not depend on it.

    Returns:
        The run; see `Fit`.

    Raises:
        InputError: ids out of range, no pairs, or an unknown schedule or optimiser.

    Example:
        >>> import colour_embed as ce
        >>> colours = ce.load_colours("css4")
        >>> pairs = ce.tutorial_pairs(colours, 1000)
        >>> run = ce.fit(ce.Config(dim=3, epochs=2), len(colours), pairs, snapshots="every")
        >>> run.snapshots.shape
        (3, 148, 3)
    """
    wanted = snapshot_epochs(snapshots, config.epochs)
    on_device = packed_where_possible(device_pairs(pairs, items), items, pairs.label)
    static, hyperparams = config.static(), config.hyperparams()
    keys, training = _start(static, items, np.uint32(config.seed), hyperparams, optimizer)
    in_blocks = (
        optimizer is None
        and isinstance(on_device, PackedPairs)
        and blocks.usable(config, items, list(on_device.code.devices()))
    )

    def advance(training, epochs):
        keep = bool(np.isin(epochs, wanted).any())
        given = training, keys, hyperparams, on_device, epochs, keep
        if in_blocks:
            training, stacked = _run_in_blocks(static, items, *given)
        else:
            training, stacked = _run(static, *given, optimizer)
        return training, Part(epochs, *jax.device_get(stacked))

    def progress(training, part):
        return Progress(int(part.epoch[-1]), config.epochs, float(part.metrics.loss[-1]))

    history = [before_training(config, training, 0 in wanted)]
    status, diverged = "done", 0
    try:
        schedule = chunks(config.epochs, chunk)
        run = drive(advance, training, schedule, progress=progress, report=report)
        for training, part in run:
            history.append(part)
            diverged = int(training.diverged)
            if diverged:
                status = "diverged"
                break
    except KeyboardInterrupt:
        status = "interrupted"
    return collect(config, training, history, wanted, status, diverged or None)


def make_step(
    config: Config,
    hyperparams: Hyperparams,
    layout: Layout,
    optimizer: optax.GradientTransformation | None = None,
    frozen: Array | None = None,
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """The step of a config, on states in a layout.

    Args:
        config: The model's fields and the optimiser are used.
        hyperparams: May be traced.
        layout: Of the states that the step takes.
        optimizer: Used in place of the configured one.
        frozen: For lazy Adam; see `lazy_step`.
    """
    is_lazy = optimizer is None and config.optimizer == LAZY_ADAM
    optimizer = optimizer or make_optimizer(config, hyperparams)

    def logits_fn(params, first, second):
        return logits(config, layout.params(params), first, second)

    step = train_step
    if is_lazy:
        step = functools.partial(lazy_step, step=train_step, frozen=frozen)
    return functools.partial(step, logits_fn=logits_fn, optimizer=optimizer)


def run_epochs(
    config,
    hyperparams,
    layout,
    training,
    keys,
    pairs,
    epochs,
    *,
    transform,
    optimizer=None,
    frozen=None,
):
    """Run `train_epochs` with the step of a config; the arguments are those of both."""
    step = make_step(config, hyperparams, layout, optimizer, frozen)
    size = config.batch_size
    return train_epochs(
        step, layout, training, keys, pairs, epochs, batch_size=size, transform=transform
    )


@functools.partial(jax.jit, static_argnames=("config", "items", "optimizer"))
def _start(config, items, seed, hyperparams, optimizer):
    keys = member_keys(seed)
    return keys, init_training(config, items, keys, hyperparams, optimizer=optimizer)


@functools.partial(
    jax.jit, static_argnames=("config", "keep", "optimizer"), compiler_options=ONE_TRAINING
)
def _run(config, training, keys, hyperparams, pairs, epochs, keep, optimizer):
    def transform(training, metrics):
        return metrics, embedding_vectors(config, training.state.params) if keep else None

    layout = layout_of(config, training.state, own_optimizer=optimizer is not None)
    return run_epochs(
        *(config, hyperparams, layout, training, keys, pairs, epochs),
        transform=transform,
        optimizer=optimizer,
    )


def _run_in_blocks(config, items, training, keys, hyperparams, pairs, epochs, keep):
    """Do what `_run` does by the kernel of `engine.blocks`, as a sweep of one member."""
    training, hyperparams = jax.tree.map(
        lambda value: jnp.asarray(value)[None], (training, hyperparams)
    )
    codes = functools.partial(_codes, config.batch_size, keys.order, pairs)
    given = codes, 1, training, hyperparams, epochs, keep
    return jax.tree.map(
        lambda values: values[0], blocks.advance(config, items, pairs.count, *given)
    )


@functools.partial(jax.jit, static_argnames="batch_size")
def _codes(batch_size, order_key, pairs, numbers):
    return epoch_codes(pairs, order_key, numbers, batch_size)[:, None]
