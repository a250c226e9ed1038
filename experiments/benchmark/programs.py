"""What the parts `steps` and `levers` time: trainings from one start, and programs of part of one.

Apart from those parts because this file imports jax, which a call for help should not wait for.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from colour_embed import train
from colour_embed.config import Config
from colour_embed.data import Pairs
from colour_embed.model import logits
from experiments.benchmark.common import Setting
from experiments.benchmark.training import make_problem

TRUSTED = {"mode": "promise_in_bounds", "wrap_negative_indices": False}
"""How training reads rows whose ids the host has checked."""


class Start(NamedTuple):
    """Where every program starts: the tutorial's pairs and our initial parameters.

    `separate` holds the pairs in three arrays, `pairs` packed as training takes them.
    """

    seed: int
    config: Config
    training: train.Training
    keys: train.MemberKeys
    numbers: dict[str, float]
    separate: train.DevicePairs
    pairs: train.PackedPairs

    @property
    def weights(self) -> np.ndarray:
        """float32 [steps, batch]; see `train.batch_weights`."""
        return train.batch_weights(self.pairs.count, self.config.batch_size)


def on_processor() -> AbstractContextManager:
    """The context in which JAX computes on the processor."""
    return jax.default_device(jax.devices("cpu")[0])


def make_start(dim: int, setting: Setting) -> Start:
    """The start in `dim` dimensions.

    Raises:
        InputError: the seed starts in the sign trap.
    """
    problem = make_problem(dim, setting)
    items = len(problem["embedding"])
    config = Config(dim=dim, batch_size=problem["batch_size"]).static()
    keys, numbers = train.member_keys(np.uint32(setting.seed)), config.numbers()
    training = train.start_training(config, items, keys, numbers)
    separate = train.device_pairs(Pairs(problem["index"], problem["label"], diff=None), items)
    packed = train.PackedPairs.of(separate)
    return Start(setting.seed, config, training, keys, numbers, separate, packed)


class Program:
    """A compiled function of (first, *rest), to be timed from the same arguments again and again.

    Args:
        function: A pure function.
        first: Arrays; copied for every call, as one that is given them for good may overwrite them.
        rest: Further arguments.
        options: XLA's options by name.
        donate: Whether a call may keep its results where `first` was.
    """

    def __init__(  # noqa: D107
        self,
        function: Callable,
        first: Any,
        *rest: Any,
        options: dict[str, Any] = train.WIDE_VECTORS,
        donate: bool = False,
    ):
        given = (0,) if donate else ()
        jitted = jax.jit(function, compiler_options=options, donate_argnums=given)
        self._first, self._rest = first, rest
        self._compiled = jitted.lower(first, *rest).compile()

    def text(self) -> str:
        """What XLA made of it."""
        return self._compiled.as_text()

    def __call__(self) -> tuple[float, Any]:
        """The seconds that one call takes, and its result."""
        first = jax.block_until_ready(jax.tree.map(jnp.copy, self._first))
        began = time.perf_counter()
        result = jax.block_until_ready(self._compiled(first, *self._rest))
        return time.perf_counter() - began, result


def epoch_numbers(epochs: int) -> jax.Array:
    """int32 [epochs], as `train.run_epochs` takes them."""
    return jnp.arange(1, epochs + 1, dtype=jnp.int32)


def shipped(start: Start, optimizer: optax.GradientTransformation | None = None) -> Callable:
    """Training as it is: (training, keys, numbers, pairs, epochs [E]) -> (training, metrics)."""

    def function(training, keys, numbers, pairs, epochs):
        return train.run_epochs(
            start.config,
            training,
            keys,
            numbers,
            pairs,
            epochs,
            transform=lambda _, metrics: metrics,
            optimizer=optimizer,
        )

    return function


def spelt_out(
    start: Start,
    *,
    ordered: Callable = train.ordered_pairs,
    step: Callable = train.train_step,
    logits_fn: Callable | None = None,
    change: Callable = lambda optimizer: optimizer,
    finish: Callable = train.finish_epoch,
    in_one_run: bool = True,
    unroll: int = 1,
) -> Callable:
    """`train.run_epochs` put together from the same pieces, so that one can be exchanged."""
    weights = start.weights
    logits_fn = logits_fn or functools.partial(logits, start.config)

    def function(training, keys, numbers, pairs, epochs):
        optimizer = change(train.make_optimizer(start.config, numbers))
        shapes = jax.tree.map(jnp.shape, training.state)

        def logits_of(params, first, second):
            return logits_fn(jax.tree.map(jnp.reshape, params, shapes.params), first, second)

        def one_step(state, taken):
            pairs, weight = taken
            return step(state, pairs.batch(weight), logits_fn=logits_of, optimizer=optimizer)

        def epoch(training, number):
            order_key = jax.random.fold_in(keys.order, number)
            taken = ordered(pairs, order_key, start.config.batch_size), jnp.asarray(weights)
            state = jax.tree.map(jnp.ravel, training.state) if in_one_run else training.state
            state, metrics = jax.lax.scan(one_step, state, taken, unroll=unroll)
            state, shares = jax.tree.map(jnp.reshape, state, shapes), train.pair_shares(weights)
            training, means = finish(training, state, metrics, number, shares)
            return training, jax.tree.map(jnp.sum, means)  # of lanes, where there are any

        return jax.lax.scan(epoch, training, epochs)

    return function


# --------------------------------------------------------------------------------------------------
# A step, piece by piece

_KEEP = optax.GradientTransformation(
    lambda params: None,
    lambda gradient, state, params: (optax.tree.zeros_like(gradient), gradient),
)
"""An optimiser that moves nothing and leaves the gradient as its state."""


def growing_programs(start: Start, epochs: int) -> dict[str, Program]:
    """Programs of the same steps, each of which does one piece more than the last.

    What a step makes is carried to the next, which writes over it: so XLA can neither drop a piece
    nor compute a part of what it makes, as it would behind an `optimization_barrier`, which is gone
    by the time that it fuses.
    """
    shapes = jax.tree.map(jnp.shape, start.training.state.params)

    def shaped(params):
        return jax.tree.map(jnp.reshape, params, shapes)

    def logits_fn(params, first, second):
        return logits(start.config, shaped(params), first, second)

    def nothing(state, taken, weight, numbers):
        return state, (jax.tree.leaves(taken)[0][0], weight[0])

    def gather_rows(state, taken, weight, numbers):
        batch, table = taken.batch(weight), shaped(state.params)["embedding"]["embedding"]
        return state, [table.at[ids].get(**TRUSTED) for ids in (batch.first, batch.second)]

    def loss_and_gradient(state, taken, weight, numbers):
        """The gradient by the rows' differences, which stand in for the table."""
        _, (first, second) = gather_rows(state, taken, weight, numbers)
        params = {"apart": first - second, **shaped(state.params)["dense"]}

        def logits_of(params, first, second):
            squared_distance = jnp.sum(params["apart"] ** 2, axis=1)
            return params["kernel"][0, 0] * squared_distance + params["bias"][0]

        return state, gradient(params, taken.batch(weight), logits_of)

    def scatter(state, taken, weight, numbers):
        return state, gradient(state.params, taken.batch(weight), logits_fn)

    def gradient(params, batch, logits_fn):
        bare = train.TrainState(params, None)
        after, metrics = train.train_step(bare, batch, logits_fn=logits_fn, optimizer=_KEEP)
        return after.optimizer_state, metrics

    def adam(state, taken, weight, numbers):
        optimizer = train.make_optimizer(start.config, numbers)
        return train.train_step(
            state, taken.batch(weight), logits_fn=logits_fn, optimizer=optimizer
        )

    def unordered(pairs, order_key, batch_size):
        return jnp.arange(start.weights.size, dtype=jnp.int32).reshape(start.weights.shape)

    def order(pairs, order_key, batch_size):
        return train.epoch_order(order_key, pairs.count, batch_size)

    functions = {
        "overhead": _scan(start, nothing, unordered),
        "order": _scan(start, nothing, order),
        "gather_pairs": _scan(start, nothing),
        "gather_rows": _scan(start, gather_rows),
        "loss_and_gradient": _scan(start, loss_and_gradient),
        "scatter": _scan(start, scatter),
        "adam": _scan(start, adam),
        "epoch_end": spelt_out(start),
        "whole": shipped(start),
    }
    rest = start.keys, start.numbers, start.pairs, epoch_numbers(epochs)
    return {name: Program(each, start.training, *rest) for name, each in functions.items()}


def _scan(start: Start, step: Callable, ordered: Callable = train.ordered_pairs) -> Callable:
    """Epochs of steps (state, taken, weight [B], numbers) -> (state, arrays), all carried on.

    The state is in one run of numbers per array, as it is in training.
    """

    def function(training, keys, numbers, pairs, epochs):
        def one_step(carry, taken):
            return step(carry[0], *taken, numbers), None

        def epoch_pairs(number):
            order_key = jax.random.fold_in(keys.order, number)
            taken = ordered(pairs, order_key, start.config.batch_size)
            return taken, jnp.asarray(start.weights)

        def epoch(carry, number):
            return jax.lax.scan(one_step, carry, epoch_pairs(number))[0], None

        state = jax.tree.map(jnp.ravel, training.state)
        first = jax.tree.map(lambda values: values[0], epoch_pairs(epochs[0]))
        made = jax.tree.map(jnp.zeros_like, jax.eval_shape(step, state, *first, numbers)[1])
        return jax.lax.scan(epoch, (state, made), epochs)[0]

    return function
