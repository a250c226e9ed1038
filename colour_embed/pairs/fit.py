"""Training on user pairs, with restarts, early stopping and learning-rate drops.

The tutorial's fixed number of epochs is too short for 50 pairs and too long for ten million. Here
the length is limited in steps, and several restarts are trained in one program. The learning rate
drops when the loss plateaus. The best restart at its best evaluation is kept.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import jax
import numpy as np

from colour_embed.config import Config, InputError, Stopping
from colour_embed.data import Pairs
from colour_embed.engine.batches import EVALUATED
from colour_embed.engine.state import member_keys
from colour_embed.engine.stopping import StoppedRun
from colour_embed.heads import HEADS
from colour_embed.model import Params, init_params, logits
from colour_embed.runs import Progress, SweepResult
from colour_embed.sweeps import finish_sweep, grid, start_sweep, sweep_result

__all__ = ["PairFit", "Stopping", "best_of", "fit_pairs", "pair_logits"]


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
            pair; NaN after a restart has stopped.
        heldout_loss: float32 [L, restarts], of the held-out pairs; None without any.
        restart_loss: float32 [restarts], the loss of each restart at its best evaluation: of the
            held-out pairs, or without them of the training pairs.
        best: The index of the best restart.
        best_step: The number of steps before its best evaluation.
        stopped: "plateau", "steps", "interrupted" or "diverged".
        restart_stopped: The same for each restart.
        segments: int [S, 2], the epochs that led to the best evaluation; see `Evaluations`.
        snapshot_step: int [F], the steps of the snapshots; 0 is before the first step.
        snapshots: float32 [F, items, dim] of the best restart, up to its best evaluation; F is 0 if
            those of all restarts would exceed 256 MiB.
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
    restart_stopped: list[str]
    segments: np.ndarray
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
    parts = [index[start : start + EVALUATED] for start in range(0, len(index), EVALUATED)]
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
    shard_items: bool = False,
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
        shard_items: Shard the rows of the embedding over all devices; see `sweep`.
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
    if initial is not None:
        restarts, initial = 1, _checked_start(initial, config, items)
    seeds = (np.arange(restarts) + config.seed) % 2**32
    run = start_sweep(
        *(config, items, pairs, grid(config, seeds, [config.dim])),
        vary=("init",),
        snapshots=restarts,
        stopping=stopping,
        held_out=held_out,
        initial=initial,
        frozen=frozen,
        devices=jax.devices()[: None if shard_items else 1],
        shard_items=shard_items,
    )
    assert isinstance(run, StoppedRun)

    def per_restart(event: Progress) -> None:
        steps = {"done": event.done // restarts, "total": event.total // restarts}
        rate = None if event.rate is None else event.rate / restarts
        report(event._replace(**steps, rate=rate))

    try:
        finish_sweep(run, None if report is None else per_restart)
    except KeyboardInterrupt:
        run.interrupt()
    return best_of(sweep_result(config, run))


def best_of(result: SweepResult) -> PairFit:
    """Return the best member of a sweep with early stopping; the members are the restarts."""
    found = result.evaluations
    assert found is not None
    best = int(np.argmin(found.best_loss))
    taken = int(np.searchsorted(found.step, found.steps.max(), side="right"))
    steps = result.epoch * found.epoch_steps
    steps = steps[steps <= found.best_step[best]]
    snapshots = np.zeros((0, *result.vectors(best).shape), np.float32)
    if len(result.snapshots):
        snapshots = result.snapshots[best, : len(steps), :, : result.members[best].dim]
    return PairFit(
        config=result.config,
        params=result.params_of(best),
        embedding=result.vectors(best),
        kernel=float(result.kernel[best]),
        bias=float(result.bias[best]),
        step=found.step[:taken],
        loss=result.loss[:, :taken].T,
        heldout_loss=None if found.heldout_loss is None else found.heldout_loss[:, :taken].T,
        restart_loss=found.best_loss,
        best=best,
        best_step=int(found.best_step[best]),
        stopped=found.stopped[best],
        restart_stopped=found.stopped,
        segments=found.segments[best],
        snapshot_step=steps,
        snapshots=snapshots,
    )


def _checked_start(initial: Params, config: Config, items: int) -> Params:
    """Return given parameters as float32.

    Raises:
        InputError: their structure or shapes are not those of the model.
    """
    like = jax.eval_shape(lambda: init_params(config, items, member_keys(0).init))

    def checked(value, like):
        if np.shape(value) != like.shape:
            raise InputError(
                f"initial has an array of the shape {np.shape(value)}: give {like.shape}"
            )
        return np.asarray(value, like.dtype)

    if jax.tree.structure(initial) != jax.tree.structure(like):
        raise InputError("initial: give the embedding and the dense unit's kernel and bias")
    return jax.tree.map(checked, initial, like)
