"""Training on user pairs, with restarts, early stopping and learning-rate drops.

The tutorial's fixed number of epochs is too short for 50 pairs and too long for ten million. Here
the length is limited in steps, and several restarts are trained in one program. The learning rate
drops when the loss plateaus. The best restart at its best evaluation is kept.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from colour_embed.config import Config, InputError
from colour_embed.data import Pairs
from colour_embed.engine.batches import DevicePairs, device_pairs, packed_where_possible
from colour_embed.engine.compilation import ONE_TRAINING
from colour_embed.engine.driver import drive
from colour_embed.engine.history import described
from colour_embed.engine.layouts import layout_of, members_last
from colour_embed.engine.loss import cross_entropy
from colour_embed.engine.optimizers import KERAS_ADAM, LAZY_ADAM, make_optimizer
from colour_embed.engine.start import init_training, training_from
from colour_embed.engine.state import KEY_KIND, member_keys
from colour_embed.heads import HEADS
from colour_embed.model import Params, embedding_vectors, logits
from colour_embed.runs import Progress
from colour_embed.train import run_epochs

_PARTS = 2  # snapshots per evaluation, since the embedding moves most before the first one
_SNAPSHOT_BYTES = 2**28
_EVALUATED = 2**16  # pairs evaluated at a time, which bounds memory


@dataclass(frozen=True)
class Stopping:
    """The early stopping rule.

    Attributes:
        max_steps: The most steps, rounded to whole epochs; the last evaluation is within them.
        evaluate_every: Steps between two evaluations of the loss; at least an epoch.
        tolerance: The least improvement on the best evaluation, in nats per pair.
        patience: Evaluations without an improvement before the learning rate drops or the training
            stops.
        drops: Number of learning-rate drops, each to a tenth, before the training stops.

    Raises:
        InputError: a value is out of range.
    """

    max_steps: int = 50_000
    evaluate_every: int = 200
    tolerance: float = 1e-4
    patience: int = 10
    drops: int = 1

    def __post_init__(self):  # noqa: D105
        for name, least in (("max_steps", 1), ("evaluate_every", 1), ("patience", 1), ("drops", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InputError(f"{name} is {value!r}: give a whole number of at least {least}")
        if not 0 <= self.tolerance < np.inf:
            raise InputError(f"tolerance is {self.tolerance!r}: give a finite number of 0 or more")


@dataclass(frozen=True, eq=False)
class PairFit:
    """The result of a training on user pairs, as NumPy arrays.

    Attributes:
        config: The config of the training.
        params: The parameters of the best restart at its best evaluation; see `model.Params`.
        embedding: float32 [items, dim], its embedding vectors; unit rows if normalised.
        kernel: The effective weight of the head, such as that of the squared distance.
        bias: The logit where the feature is 0.
        step: int [L], the number of steps before each evaluation.
        loss: float32 [L, restarts], the mean training loss since the previous evaluation, nats per
            pair.
        heldout_loss: float32 [L, restarts], of the held-out pairs; None without any.
        restart_loss: float32 [restarts], the loss of each restart at its best evaluation: of the
            held-out pairs, or without them of the training pairs.
        best: The index of the best restart.
        best_step: The number of steps before its best evaluation.
        stopped: "plateau", "steps", "interrupted" or "diverged".
        snapshot_step: int [F], the steps of the snapshots; 0 is before the first step.
        snapshots: float32 [F, items, dim] of the best restart; F is 0 if they would exceed 256 MiB.
    """

    config: Config
    params: Params
    embedding: np.ndarray
    kernel: float
    bias: float
    step: np.ndarray
    loss: np.ndarray
    heldout_loss: np.ndarray | None
    restart_loss: np.ndarray
    best: int
    best_step: int
    stopped: str
    snapshot_step: np.ndarray
    snapshots: np.ndarray

    @property
    def trapped(self) -> bool:
        """Whether training ended in the sign trap, where the head's weight repels similar items."""
        return not bool(HEADS[self.config.head].attracts(self.kernel))


def pair_logits(config: Config, params: Params, index: np.ndarray) -> np.ndarray:
    """Return the log-odds of pairs, float32 [N].

    Args:
        config: head, smoothing and normalise are used.
        params: As `PairFit.params`.
        index: int32 [N, 2]; the ids are not checked.
    """
    parts = [index[start : start + _EVALUATED] for start in range(0, len(index), _EVALUATED)]
    found = [np.asarray(_logits(config.static(), params, *part.T)) for part in parts]
    return np.concatenate([np.zeros(0, np.float32), *found])


@functools.partial(jax.jit, static_argnames="config")
def _logits(config, params, first, second):
    return logits(config, params, first, second)


def fit_pairs(
    config: Config,
    items: int,
    pairs: Pairs,
    *,
    held_out: Pairs | None = None,
    restarts: int = 8,
    stopping: Stopping | None = None,
    initial: Params | None = None,
    frozen: np.ndarray | None = None,
    report: Callable[[Progress], None] | None = None,
) -> PairFit:
    """Train an embedding on user pairs and return the best of several restarts.

    Ctrl-C stops the training; the best so far is returned.

    Args:
        config: The config; `epochs` is not used.
        items: Number of items.
        pairs: The training pairs.
        held_out: Pairs on which restarts and evaluations are compared; without them the training
            pairs are used.
        restarts: Trainings from different initial values, in the same order of pairs.
        stopping: The early stopping rule.
        initial: Initial parameters; there is then one restart.
        frozen: bool [items], rows that are not updated; the head is then frozen too. Requires
            `initial`.
        report: Called after each evaluation.

    Returns:
        The result; see `PairFit`.

    Raises:
        InputError: ids are out of range, there are no pairs, weights are invalid, or options
            contradict each other.
    """
    stopping = stopping or Stopping()
    if isinstance(restarts, bool) or not isinstance(restarts, int) or restarts < 1:
        raise InputError(f"restarts is {restarts!r}: give a whole number of at least 1")
    if frozen is not None and initial is None:
        raise InputError("frozen rows need the vectors they have: give initial")
    if frozen is not None and np.shape(frozen) != (items,):
        raise InputError(f"frozen has the shape {np.shape(frozen)}: give one bool for each item")
    run = _Run(config, items, pairs, held_out, restarts, stopping, initial, frozen)
    try:
        for _ in drive(_Run.advance, run, run.schedule(), progress=_Run.progress, report=report):
            pass
    except KeyboardInterrupt:
        run.stopped = "interrupted"
    return run.result()


class _Program(NamedTuple):
    """The static arguments of the compiled programs."""

    config: Config
    items: int
    restarts: int
    masked: bool


@functools.partial(jax.jit, static_argnames="program")
def _start(program: _Program, seed, hyperparams):
    keys = member_keys(seed)

    def one(restart):
        # Restart 0 has the initial values of a single training with this seed.
        own = jnp.where(restart == 0, *_key_data(keys.init, restart))
        own_keys = keys._replace(init=jax.random.wrap_key_data(own, impl=KEY_KIND))
        return init_training(program.config, program.items, own_keys, hyperparams)

    return keys, jax.vmap(one)(jnp.arange(program.restarts))


@functools.partial(jax.jit, static_argnames="program")
def _start_from(program: _Program, params, hyperparams):
    """Return the trainings with these initial parameters [restarts, ...]."""
    return jax.vmap(lambda one: training_from(program.config, one, hyperparams))(params)


def _key_data(key: Array, restart: Array) -> tuple[Array, Array]:
    return jax.random.key_data(key), jax.random.key_data(jax.random.fold_in(key, restart))


@functools.partial(jax.jit, static_argnames="program", compiler_options=ONE_TRAINING)
def _train(program: _Program, training, keys, hyperparams, pairs, epochs, frozen):
    """Train all restarts for these epochs; return the training and losses [restarts, epochs]."""
    config = program.config
    optimizer = None
    if program.masked and config.optimizer != LAZY_ADAM:
        optimizer = _masked(make_optimizer(config, hyperparams), frozen)

    def train(training, layout):
        return run_epochs(
            *(config, hyperparams, layout, training, keys, pairs, epochs),
            transform=lambda training, metrics: metrics.loss,
            optimizer=optimizer,
            frozen=frozen,
        )

    if program.restarts > 1 and config.optimizer == KERAS_ADAM and optimizer is None:
        return train(training, members_last(training.state))

    def one(training):
        layout = layout_of(config, training.state, own_optimizer=optimizer is not None)
        return train(training, layout)

    return jax.lax.map(one, training)


def _masked(inner: optax.GradientTransformation, frozen: Array) -> optax.GradientTransformation:
    """Return an optimiser that updates only the embedding rows that are not frozen."""

    def update(gradient, state, params=None):
        updates, state = inner.update(gradient, state, params)
        rows = updates["embedding"]["embedding"]
        moved = {"embedding": {"embedding": jnp.where(frozen[:, None], 0.0, rows)}}
        return {**jax.tree.map(jnp.zeros_like, updates), **moved}, state

    return optax.GradientTransformation(inner.init, update)


@functools.partial(jax.jit, static_argnames="config")
def _mean_losses(config: Config, params, pairs: DevicePairs, shares: Array):
    """Return the weighted mean loss [restarts]; pairs and shares are [parts, size]."""

    def one(params):
        def add(total, part):
            pairs, share = part
            loss = cross_entropy(logits(config, params, pairs.first, pairs.second), pairs.label)
            return total + jnp.sum(share * loss), None

        return jax.lax.scan(add, jnp.zeros(()), (pairs, shares))[0]

    return jax.lax.map(one, params)


def _in_parts(pairs: DevicePairs) -> tuple[DevicePairs, Array]:
    """Return pairs as [parts, size], and their shares of the weighted mean, 0 for padding."""
    count = pairs.count
    size = min(count, _EVALUATED)
    parts = -(-count // size)

    def cut(values):
        return jnp.pad(values, (0, parts * size - count)).reshape(parts, size)

    if pairs.weight is None:
        share = jnp.full(count, 1 / count)
    else:
        share = pairs.weight / np.asarray(pairs.weight, np.float64).sum()
    return jax.tree.map(cut, (pairs._replace(weight=None), share))


class _Run:
    """The state of a training, advanced from evaluation to evaluation."""

    def __init__(self, config, items, pairs, held_out, restarts, stopping, initial, frozen):
        restarts = 1 if initial is not None else restarts
        self.stopping, self.config = stopping, config
        self.program = _Program(config.static(), items, restarts, frozen is not None)
        self.hyperparams = config.hyperparams()
        unpacked = device_pairs(pairs, items)
        self.frozen = None if frozen is None else jnp.asarray(frozen, bool)
        self.pairs = packed_where_possible(unpacked, items, pairs.label)
        self.is_held_out = held_out is not None and len(held_out) > 0
        self.evaluated = _in_parts(device_pairs(held_out, items) if self.is_held_out else unpacked)
        self.steps_per_epoch = -(-self.pairs.count // config.batch_size)
        self.max_epochs = max(1, round(stopping.max_steps / self.steps_per_epoch))
        # All parts have one length, so that they share one compiled program.
        wanted = stopping.evaluate_every / self.steps_per_epoch / _PARTS
        self.part = max(1, min(round(wanted), self.max_epochs // _PARTS))
        parts = round(stopping.evaluate_every / self.steps_per_epoch / self.part)
        self.parts = max(1, min(_PARTS, parts, self.max_epochs // self.part))
        self.keys, self.training = _start(self.program, np.uint32(config.seed), self.hyperparams)
        if initial is not None:
            params = _checked_start(initial, self.training.state.params)
            self.training = _start_from(self.program, params, self.hyperparams)
        self.best = self.training.state.params
        self.best_loss = np.full(restarts, np.inf, np.float32)
        self.best_step = np.zeros(restarts, int)
        self.mark, self.waited, self.drops = np.inf, 0, 0
        self.epoch, self.stopped = 0, None
        self.history: list[tuple[int, np.ndarray, np.ndarray | None]] = []
        taken = -(-self.max_epochs // self.part) * restarts * items * config.dim * 4
        self.snapshots: list[tuple[int, np.ndarray]] | None = None
        if taken <= _SNAPSHOT_BYTES:
            self.snapshots = []
        self._snapshot()

    @property
    def steps(self) -> int:
        return self.epoch * self.steps_per_epoch

    def schedule(self) -> Iterator[int]:
        """Yield the number of parts before the next evaluation, until the training has stopped."""
        while self.stopped is None:
            yield self.parts

    def advance(self, parts: int) -> tuple[_Run, None]:
        """Train up to the next evaluation, evaluate, and apply the stopping rule."""
        losses = []
        for _ in range(parts):
            epochs = np.arange(self.epoch + 1, self.epoch + self.part + 1, dtype=np.int32)
            self.training, loss = _train(
                self.program,
                self.training,
                self.keys,
                self.hyperparams,
                self.pairs,
                epochs,
                self.frozen,
            )
            losses.append(np.asarray(loss))
            self.epoch += self.part
            self._snapshot()
        params = self.training.state.params
        value = np.asarray(_mean_losses(self.program.config, params, *self.evaluated))
        diverged = np.asarray(self.training.diverged) > 0
        # NaN must not hide the improvement of another restart.
        value = np.where(diverged | np.isnan(value), np.float32(np.inf), value)
        mean = np.concatenate(losses, axis=1).mean(axis=1)
        self.history.append((self.steps, mean, value if self.is_held_out else None))
        self._keep_best(value)
        if diverged.all():
            self.stopped = "diverged"
        elif self.epoch + self.parts * self.part > self.max_epochs:
            self.stopped = "steps"
        elif value.min() < self.mark - self.stopping.tolerance:
            self.mark, self.waited = float(value.min()), 0
        else:
            self._wait()
        return self, None

    def _keep_best(self, value: np.ndarray) -> None:
        better = value < self.best_loss
        if not better.any():
            return

        def chosen(new, old):
            return jnp.where(better.reshape(-1, *[1] * (new.ndim - 1)), new, old)

        self.best = jax.tree.map(chosen, self.training.state.params, self.best)
        self.best_loss = np.where(better, value, self.best_loss)
        self.best_step = np.where(better, self.steps, self.best_step)

    def _wait(self) -> None:
        """Count an evaluation without improvement; drop the learning rate or stop if due."""
        self.waited += 1
        if self.waited < self.stopping.patience:
            return
        if self.drops == self.stopping.drops:
            self.stopped = "plateau"
            return
        self.drops, self.waited = self.drops + 1, 0
        lower = self.hyperparams.learning_rate / 10
        self.hyperparams = self.hyperparams._replace(learning_rate=lower)
        # `opt_state` is initialised anew, since restarts trained in one program share one step
        # count, but reached their best evaluations after different numbers of steps.
        self.training = _start_from(self.program, self.best, self.hyperparams)

    def _snapshot(self) -> None:
        if self.snapshots is not None:
            vectors = jax.vmap(functools.partial(embedding_vectors, self.program.config))
            taken = np.asarray(vectors(self.training.state.params))
            self.snapshots.append((self.steps, taken))

    def progress(self, _) -> Progress:
        most = self.max_epochs * self.steps_per_epoch
        return Progress(self.steps, most, float(self.best_loss.min()), drops=self.drops)

    def result(self) -> PairFit:
        best = int(np.argmin(self.best_loss))
        params = jax.tree.map(lambda leaf: leaf[best], jax.device_get(self.best))
        snapshots = self.snapshots or []
        shape = (0, *params["embedding"]["embedding"].shape)

        def evaluations(values):
            return np.array(values, np.float32).reshape(-1, self.program.restarts)

        return PairFit(
            config=self.config,
            params=params,
            **described(self.config, params),
            step=np.array([step for step, _, _ in self.history], int),
            loss=evaluations([loss for _, loss, _ in self.history]),
            heldout_loss=evaluations([value for _, _, value in self.history])
            if self.is_held_out
            else None,
            restart_loss=self.best_loss,
            best=best,
            best_step=int(self.best_step[best]),
            stopped=self.stopped or "interrupted",
            snapshot_step=np.array([step for step, _ in snapshots], int),
            snapshots=np.array([taken[best] for _, taken in snapshots]).reshape(-1, *shape[1:])
            if snapshots
            else np.zeros(shape, np.float32),
        )


def _checked_start(initial: Params, like: Params) -> Params:
    """Return given parameters with a restart axis, [1, ...].

    Raises:
        InputError: their structure or shapes are not those of the model.
    """

    def checked(value, like):
        if np.shape(value) != like.shape[1:]:
            raise InputError(
                f"initial has an array of the shape {np.shape(value)}: give {like.shape[1:]}"
            )
        return jnp.asarray(value, like.dtype)[None]

    if jax.tree.structure(initial) != jax.tree.structure(like):
        raise InputError("initial: give the embedding and the dense unit's kernel and bias")
    return jax.tree.map(checked, initial, like)
