"""Training with one thing done otherwise: what the part `levers` times, a few lines each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.flatten_util import ravel_pytree

from colour_embed import train
from colour_embed.model import logits
from experiments.benchmark.levers import AGAIN, EPOCHS, Lever
from experiments.benchmark.programs import (
    TRUSTED,
    Program,
    Start,
    epoch_numbers,
    shipped,
    spelt_out,
)

LANES = 16
"""How many float32 a vector of 512 bits holds; it divides the batch."""

FAST_MATH = {"xla_cpu_enable_fast_math": True} | {
    f"xla_cpu_fast_math_honor_{what}": False for what in ("nans", "infs", "division", "functions")
}
"""All that XLA may do with numbers on a CPU where they need not be exact."""


class Variant(NamedTuple):
    """What differs from training as it is.

    Attributes:
        function: As `programs.shipped` returns it; of several members, all of it with a first axis.
        training: What it starts from, where not from the start's own; so do keys and pairs.
        keys: The member's keys.
        pairs: The pairs.
        options: XLA's options by name.
        donate: Whether a call may keep its results where the training was.
        members: How many trainings it runs at once.
    """

    function: Callable
    training: Any = None
    keys: Any = None
    pairs: Any = None
    options: dict[str, Any] = train.WIDE_VECTORS
    donate: bool = False
    members: int = 1

    def compiled(self, start: Start, epochs: int) -> Program | None:
        """The program that trains for so many epochs, or None where XLA lacks an option."""
        training, epochs = self.training or start.training, epoch_numbers(epochs)
        rest = self.keys or start.keys, start.numbers, self.pairs or start.pairs, epochs
        try:
            return Program(self.function, training, *rest, options=self.options, donate=self.donate)
        except jax.errors.JaxRuntimeError as error:
            if "No such compile option" in str(error):
                return None
            raise


# --------------------------------------------------------------------------------------------------
# Pieces in another form


def sorted_pairs(pairs: train.PackedPairs, order_key: Array, batch_size: int) -> train.PackedPairs:
    """`train.ordered_pairs` in the order of a permutation that JAX makes by sorting."""
    order = jax.random.permutation(order_key, jnp.arange(pairs.count, dtype=jnp.int32))
    order = jnp.pad(order, (0, -pairs.count % batch_size), mode="edge").reshape(-1, batch_size)
    return jax.lax.optimization_barrier(pairs.take(order))


def fetched_by_step(pairs: train.PackedPairs, order_key: Array, batch_size: int) -> Any:
    """`train.ordered_pairs` of which every step fetches its own."""

    class Chosen(NamedTuple):
        order: Array

        def batch(self, weight: Array) -> train.Batch:
            return pairs.take(self.order).batch(weight)

    return Chosen(train.epoch_order(order_key, pairs.count, batch_size))


def step_of(loss_fn: Callable) -> Callable:
    """`train.train_step` by another loss, (logit, label) -> nats, and a sigmoid of its own."""

    def step(state, batch, *, logits_fn, optimizer):
        def objective(params):
            logit = logits_fn(params, batch.first, batch.second)
            return jnp.sum(batch.weight * loss_fn(logit, batch.label)), logit

        (loss, logit), gradient = jax.value_and_grad(objective, has_aux=True)(state.params)
        updates, memory = optimizer.update(gradient, state.optimizer_state, state.params)
        error = jax.nn.sigmoid(logit) - batch.label
        metrics = train.Metrics(loss, jnp.sum(batch.weight * error**2))
        return train.TrainState(optax.apply_updates(state.params, updates), memory), metrics

    return step


def finish_unseen(training, state, metrics, number, shares):
    """`train.finish_epoch` that does not look whether the training diverged."""
    del number
    return training._replace(state=state), jax.tree.map(lambda each: shares @ each, metrics)


def read_rows(table: Array, ids: Array) -> Array:
    """The rows [B, dim] of a table [items, dim]."""
    return table.at[ids].get(**TRUSTED)


def read_checked(table: Array, ids: Array) -> Array:
    """`read_rows` as `flax.nnx.Embed` does it: NaN where there is no such row."""
    return jnp.take(table, ids, axis=0)


def add_rows(table: Array, ids: Array, rows: Array, change: str = "add") -> Array:
    """The table with rows [B, dim] added where their ids [B] say, or taken away: "subtract"."""
    return getattr(table.at[ids], change)(rows, **TRUSTED)


def add_by_product(table: Array, ids: Array, rows: Array, change: str = "add") -> Array:
    """`add_rows` by a matrix [items, B] that is one where an item has the id."""
    added = jax.nn.one_hot(ids, len(table), dtype=rows.dtype).T @ rows
    return getattr(jnp, change)(table, added)


def read_columns(table: Array, ids: Array) -> Array:
    """The columns [dim, B] of a table [dim, items]."""
    return table.at[:, ids].get(**TRUSTED)


def add_columns(table: Array, ids: Array, columns: Array, change: str = "add") -> Array:
    """`add_rows` for such a table."""
    return getattr(table.at[:, ids], change)(columns, **TRUSTED)


def zeros_in_one_run(table: Array) -> Array:
    """As many zeros as the table holds, filled in before they take its shape."""
    zeros = jax.lax.optimization_barrier(jnp.zeros(table.size, table.dtype))
    return zeros.reshape(table.shape)


def logits_by(
    read: Callable = read_rows,
    add: Callable | None = add_rows,
    zeros: Callable = zeros_in_one_run,
    axis: int = 1,
) -> Callable:
    """`model.logits` that reads rows and adds up their gradient in another way.

    Args:
        read: (table, ids) -> rows.
        add: As `add_rows`; None leaves the gradient to autodiff.
        zeros: table -> the table of zeros that the gradient is added to.
        axis: Which axis of the rows holds the coordinates.
    """

    def difference(table, first, second):
        return read(table, first) - read(table, second)

    def forward(table, first, second):
        return difference(table, first, second), (table, first, second)

    def backward(kept, slope):
        table, first, second = kept
        gradient = add(zeros(table), first, slope)
        return add(gradient, second, slope, "subtract"), None, None

    if add is not None:
        difference = jax.custom_vjp(difference)
        difference.defvjp(forward, backward)

    def logits_fn(params, first, second):
        dense = params["dense"]
        apart = difference(params["embedding"]["embedding"], first, second)
        return dense["kernel"][0, 0] * jnp.sum(apart**2, axis=axis) + dense["bias"][0]

    return logits_fn


class CheckedPairs(train.PackedPairs):
    """Packed pairs whose numbers are checked as they are taken."""

    def take(self, chosen: Array) -> train.PackedPairs:
        """The pairs numbered chosen."""
        return train.PackedPairs(jnp.take(self.code, chosen))


def laned_step(state, batch, *, logits_fn, optimizer):
    """`train.train_step` with the metrics as sums by lane, [LANES]."""
    label, weight = (values.reshape(-1, LANES) for values in batch[2:])

    def laned_logits(params, first, second):
        return logits_fn(params, first, second).reshape(-1, LANES)

    batch = batch._replace(label=label, weight=weight)
    return train.train_step(state, batch, logits_fn=laned_logits, optimizer=optimizer)


# --------------------------------------------------------------------------------------------------
# Variants that take more than a line


def with_params(start: Start, params: Any, optimizer=None) -> train.Training:
    """The start with parameters or an optimiser of another form."""
    optimizer = optimizer or train.make_optimizer(start.config, start.numbers)
    state = train.TrainState(params, optimizer.init(params))
    return start.training._replace(state=state)


def one_vector(start: Start) -> Variant:
    """All parameters in one array."""
    vector, parts = ravel_pytree(start.training.state.params)

    def logits_fn(vector, first, second):
        return logits(start.config, parts(vector), first, second)

    return Variant(spelt_out(start, logits_fn=logits_fn), with_params(start, vector))


def dim_first(start: Start) -> Variant:
    """The table as [dim, items]."""
    params = start.training.state.params
    turned = {**params, "embedding": {"embedding": params["embedding"]["embedding"].T}}
    logits_fn = logits_by(read_columns, add_columns, axis=0)
    return Variant(spelt_out(start, logits_fn=logits_fn), with_params(start, turned))


def barrier(start: Start) -> Variant:
    """The gradient whole before the optimiser sees it."""

    def change(optimizer):
        def update(gradient, state, params=None):
            return optimizer.update(jax.lax.optimization_barrier(gradient), state, params)

        return optax.GradientTransformation(optimizer.init, update)

    return Variant(spelt_out(start, change=change))


def optax_adam(start: Start) -> Variant:
    """Adam as optax has it."""
    names = "learning_rate", "beta1", "beta2", "epsilon"
    optimizer = optax.adam(*(start.numbers[name] for name in names))
    training = with_params(start, start.training.state.params, optimizer)
    return Variant(spelt_out(start, change=lambda _: optimizer), training)


def members(count: int) -> Callable[[Start], Variant]:
    """Trainings side by side, the first of them the start's, each in an order of its own."""

    def build(start):
        keys = jax.vmap(train.member_keys)(start.seed + jnp.arange(count, dtype=jnp.uint32))
        training = jax.tree.map(lambda values: jnp.stack([values] * count), start.training)
        function = jax.vmap(shipped(start), (0, 0, None, None, None))
        return Variant(function, training, keys, members=count)

    return build


def xla(**options: Any) -> Callable[[Start], Variant]:
    """Training compiled with further options."""
    return lambda start: Variant(shipped(start), options={**train.WIDE_VECTORS, **options})


def exchanged(**pieces: Any) -> Callable[[Start], Variant]:
    """Training with pieces of `spelt_out` exchanged."""
    return lambda start: Variant(spelt_out(start, **pieces))


LEVERS = (
    Lever(
        "keyed_order",
        "order of the pairs by a keyed bijection, not by `jax.random.permutation`",
        True,
        exchanged(ordered=sorted_pairs),
        epochs=4,
        same_order=False,
    ),
    Lever(
        "packed_pairs",
        "a pair in one number, not in three arrays",
        True,
        lambda start: Variant(shipped(start), pairs=start.separate),
    ),
    Lever(
        "pairs_at_once",
        "the pairs of an epoch fetched at once, not by every step (meant for many pairs)",
        True,
        exchanged(ordered=fetched_by_step),
    ),
    Lever(
        "in_one_run",
        "each array of the state as one run of numbers, not as rows (meant for many dimensions)",
        True,
        exchanged(in_one_run=False),
    ),
    Lever(
        "trusted_ids",
        "pairs and rows read with no check of their ids, not by `jnp.take`",
        True,
        lambda start: Variant(
            spelt_out(start, logits_fn=logits_by(read_checked)),
            pairs=CheckedPairs(start.pairs.code),
        ),
    ),
    Lever(
        "one_gradient_table",
        "the gradient of both rows of a pair added up in one table, not in autodiff's two",
        True,
        exchanged(logits_fn=logits_by(add=None)),
    ),
    Lever(
        "zeros_in_one_run",
        "the zeros that a gradient is added to written in one run, not row by row",
        True,
        exchanged(logits_fn=logits_by(zeros=jnp.zeros_like)),
    ),
    Lever(
        "plain_logarithm",
        "loss by `log(1 + e)`, not by `optax.sigmoid_binary_cross_entropy`",
        True,
        exchanged(step=step_of(optax.sigmoid_binary_cross_entropy)),
    ),
    Lever(
        "one_exponential",
        "loss and error from one exponential, not from one each",
        True,
        exchanged(step=step_of(train.cross_entropy)),
    ),
    Lever(
        "wide_vectors",
        "vectors of 512 bits, not of the width that XLA prefers",
        True,
        lambda start: Variant(shipped(start), options={}),
    ),
    Lever("one_vector", "all parameters in one array", False, one_vector),
    Lever("dim_first", "the table as [dim, items]", False, dim_first),
    Lever(
        "one_hot_product",
        "a product with a one-hot matrix in place of the scatter",
        False,
        exchanged(logits_fn=logits_by(add=add_by_product)),
        epochs=1,
    ),
    Lever(
        "lanes",
        "loss and error added up by lane, and the lanes once an epoch",
        False,
        exchanged(step=laned_step),
    ),
    Lever("barrier", "`optimization_barrier` between gradient and update", False, barrier),
    Lever("optax_adam", "`optax.adam` in place of `keras_adam`", False, optax_adam),
    Lever("no_look", "no look for NaN after an epoch", False, exchanged(finish=finish_unseen)),
    *(
        Lever(
            f"unroll_{count}", f"{count} steps per turn of the loop", False, exchanged(unroll=count)
        )
        for count in (2, 4)
    ),
    Lever(
        "donated",
        "results kept where the start was",
        False,
        lambda start: Variant(shipped(start), donate=True),
    ),
    *(
        Lever(
            f"vmap_{count}",
            f"{count} trainings in one `vmap`, each in an order of its own, counted singly",
            False,
            members(count),
            epochs=EPOCHS // count,
        )
        for count in (2, 4, 8)
    ),
    Lever("fast_math", "fast mathematics, as XLA has it for CPUs", False, xla(**FAST_MATH)),
    *(
        Lever(name, f"`{option}` off", False, xla(**{option: False}))
        for name, option in (
            ("one_thread", "xla_cpu_multi_thread_eigen"),
            ("no_fusion_emitters", "xla_cpu_use_fusion_emitters"),
            ("no_thunks", "xla_cpu_use_thunk_runtime"),
        )
    ),
)
"""All that was tried."""

NOTHING = Lever(AGAIN, "nothing", False, exchanged())
"""No lever: what its ratio differs from 1 by is noise."""
