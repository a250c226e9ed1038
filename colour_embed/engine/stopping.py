"""Early stopping and learning-rate drops of the members of a sweep, each by its own losses.

A batch of members trains in lockstep. Members that have stopped leave the batch, whose width then
shrinks to the next of a fixed set. `ReplayRun` repeats the epochs of a training that was stopped.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from colour_embed.config import Config, Stopping
from colour_embed.engine import job
from colour_embed.engine.members import MemberRun, Programs
from colour_embed.runs import STOPPED, Evaluations, Progress

_PARTS = 2  # snapshots per evaluation, since the embedding moves most before the first one
_PADDING = 1.5  # the most columns of a batch, padded, for each that its members need
_SNAPSHOT_BYTES = 2**28


class Rhythm(NamedTuple):
    """The epochs of an early-stopped training.

    Attributes:
        steps: Steps of an epoch.
        part: Epochs between two snapshots, and of each call of the device program.
        parts: Parts between two evaluations.
        most: The most epochs.
    """

    steps: int
    part: int
    parts: int
    most: int

    @classmethod
    def of(cls, stopping: Stopping, pairs: int, batch_size: int) -> Rhythm:
        """Return the rhythm for a number of pairs."""
        steps = max(1, -(-pairs // batch_size))
        most = max(1, round(stopping.max_steps / steps))
        # All parts have one length, so that they share one compiled program.
        wanted = stopping.evaluate_every / steps
        part = max(1, min(round(wanted / _PARTS), most // _PARTS))
        return cls(steps, part, max(1, min(_PARTS, round(wanted / part), most // part)), most)

    @property
    def evaluations(self) -> int:
        """The most evaluations."""
        return self.most // (self.part * self.parts)

    @property
    def snapshot_epochs(self) -> np.ndarray:
        """The epochs of all snapshots, int32 [F]."""
        return np.arange(self.evaluations * self.parts + 1, dtype=np.int32) * self.part


def _dropped(member: Config, drops: int) -> Config:
    """Return a member's config after learning-rate drops."""
    return dataclasses.replace(member, learning_rate=member.learning_rate / 10**drops)


class StoppedRun(MemberRun):
    """A `MemberRun` whose members stop early.

    Args:
        members: All members.
        programs: The device programs.
        items: Number of items.
        stopping: The rule.
        rhythm: When it is applied.
        held_out: Whether the losses that it compares are those of held-out pairs.
        lanes: Number of members -> the width of their batch, padding included.
        unit: The fewest members that keep all devices busy.
        per_batch: The most members of a batch.
        data: As for `MemberRun`.
        snapshots: The number of members, from the first on, whose snapshots are kept; none are
            where they would exceed 256 MiB.
    """

    def __init__(  # noqa: D107
        self,
        members: Sequence[Config],
        programs: Programs,
        items: int,
        *,
        stopping: Stopping,
        rhythm: Rhythm,
        held_out: bool,
        lanes: Callable[[int], int],
        unit: int,
        per_batch: int,
        data: str,
        snapshots: int,
    ):
        self.stopping, self.rhythm, self.held_out = stopping, rhythm, held_out
        self.lanes, self.unit = lanes, unit
        table = 4 * items * max(member.dim for member in members)
        if snapshots * len(rhythm.snapshot_epochs) * table > _SNAPSHOT_BYTES:
            snapshots = 0
        super().__init__(
            members,
            programs,
            items,
            per_batch=per_batch,
            chunk=rhythm.part,
            columns=rhythm.evaluations,
            data=data,
            wanted=rhythm.snapshot_epochs if snapshots else np.zeros(0, np.int32),
            snapshots=snapshots,
        )
        count = len(members)
        self.results |= {
            "heldout_loss": np.full((count, rhythm.evaluations), np.nan, np.float32),
            "best_loss": np.full(count, np.inf, np.float32),
            "best_epoch": np.zeros(count, np.int32),
            "epochs": np.zeros(count, np.int32),
            "stopped": np.zeros(count, np.int8),
            "mark": np.full(count, np.inf),
            "waited": np.zeros(count, np.int32),
            "drops": np.zeros(count, np.int32),
            "segments": np.zeros((count, stopping.drops + 1, 2), np.int32),
        }
        self.best: Any = None

    def _fill_queue(self, places: np.ndarray) -> None:
        """Cut the members into batches by dim; small ones are joined, if that pads them little."""
        dims = np.array([member.dim for member in self.members])
        self.queue = []
        for dim in np.unique(dims[places]):
            left = places[dims[places] == dim]
            if self.queue and self._join(self.queue[-1], left, dims):
                self.queue[-1] = np.concatenate([self.queue[-1], left])
                continue
            count = -(-len(left) // self.per_batch)
            self.queue += [part for part in np.array_split(left, count) if part.size]

    def _join(self, one: np.ndarray, other: np.ndarray, dims: np.ndarray) -> bool:
        """Return whether members of a further dim join a batch."""
        both = np.concatenate([one, other])
        padded = dims[both].max() * len(both) <= _PADDING * dims[both].sum()
        return padded and len(one) < self.unit and len(both) <= self.per_batch

    def schedule(self) -> Iterator[int]:
        """Yield the number of parts before the next evaluation, until all members have stopped."""
        while self.queue:
            yield self.rhythm.parts

    def _batch(self) -> list[Config]:
        """Return the members of the current batch at their present learning rates, padded."""
        rows = self._padded(self.queue[0])
        return [_dropped(self.members[row], int(self.results["drops"][row])) for row in rows]

    def _width(self, count: int) -> int:
        return self.lanes(count)

    def advance(self, parts: int) -> tuple[MemberRun, None]:
        """Train the current batch up to its next evaluation, and apply the stopping rule."""
        if self.training is None:
            self._start_batch()
            self.best = None
        training: Any = self.training
        self.best = training.state.params if self.best is None else self.best
        losses, epoch = [], self.epoch
        for _ in range(parts):
            epochs = np.arange(epoch + 1, epoch + self.rhythm.part + 1, dtype=np.int32)
            training, (metrics, _) = self.programs.advance(training, self._batch(), epochs, False)
            losses.append(job.on_host(metrics.loss))
            epoch += self.rhythm.part
            if self._with_snapshots().size:
                vectors = job.on_host(self.programs.vectors(training.state.params))
                self._keep_snapshots(np.array([epoch]), vectors[:, None])
        value = job.on_host(self.programs.evaluate(training.state.params))
        diverged = job.on_host(training.diverged)
        self.training, self.epoch = training, epoch
        self._evaluated(value, np.concatenate(losses, axis=1).mean(axis=1), diverged)
        return self, None

    def _evaluated(self, value: np.ndarray, loss: np.ndarray, diverged: np.ndarray) -> None:
        """Record an evaluation of the batch; drop the learning rates and stop what is due."""
        rows, found = self.queue[0], self.results
        value, loss, diverged = (values[: len(rows)] for values in (value, loss, diverged > 0))
        # NaN must not hide the improvement of another member.
        value = np.where(diverged | np.isnan(value), np.float32(np.inf), value)
        interval = self.rhythm.part * self.rhythm.parts
        column = self.epoch // interval - 1
        found["loss"][rows, column] = loss
        found["heldout_loss"][rows, column] = value
        found["epochs"][rows] = self.epoch
        better = value < found["best_loss"][rows]
        found["best_loss"][rows[better]] = value[better]
        found["best_epoch"][rows[better]] = self.epoch
        found["segments"][rows[better], found["drops"][rows[better]], 1] = self.epoch
        if better.any():
            now = self.training.state.params
            self.best = self.programs.choose(self._padded(better), now, self.best)
        improved = value < found["mark"][rows] - self.stopping.tolerance
        found["mark"][rows[improved]] = value[improved]
        found["waited"][rows] = np.where(improved, 0, found["waited"][rows] + 1)
        last = self.epoch + interval > self.rhythm.most
        due = found["waited"][rows] >= self.stopping.patience
        lower = due & (found["drops"][rows] < self.stopping.drops) & ~diverged & (not last)
        reasons = {"diverged": diverged, "steps": np.full(len(rows), last), "plateau": due & ~lower}
        codes = [STOPPED.index(name) for name in reasons]
        found["stopped"][rows] = np.select(list(reasons.values()), codes)
        if lower.any():
            self._drop(lower)
        self._leave(found["stopped"][rows] > 0)

    def _drop(self, lower: np.ndarray) -> None:
        """Continue from the best evaluation at a tenth of the learning rate.

        `opt_state` is initialised anew, as that of the best evaluation is not kept.
        """
        rows = self.queue[0][lower]
        self.results["drops"][rows] += 1
        self.results["waited"][rows] = 0
        self.results["segments"][rows, self.results["drops"][rows]] = self.epoch
        again = self.programs.restart(self.best, self._batch())
        self.training = self.programs.choose(self._padded(lower), again, self.training)

    def _leave(self, stopped: np.ndarray) -> None:
        """Keep the results of members that have stopped, and train on without them."""
        rows = self.queue[0]
        if not stopped.any():
            return
        best = job.on_host(self.best)
        table = best["embedding"]["embedding"][: len(rows), : self.items][stopped]
        self.results["embedding"][rows[stopped], :, : table.shape[-1]] = table
        for name in ("kernel", "bias"):
            self.results[name][rows[stopped]] = best["dense"][name][: len(rows)][stopped]
        if self.checkpoints is not None:
            self.checkpoints.add_finished(self._saved(rows[stopped]))
        if stopped.all():
            self._next_batch()
            return
        kept = np.flatnonzero(~stopped)
        self.queue[0] = rows[kept]
        places = self._padded(kept)
        held = job.on_host((self.training, self.best))
        self.training, self.best = self.programs.put(jax.tree.map(lambda x: x[places], held))

    def interrupt(self) -> None:
        """End all members that have not stopped; those of the current batch keep their best."""
        ended = self.results["stopped"] == 0
        self.results["stopped"][ended] = STOPPED.index("interrupted")
        if self.training is not None:
            self.checkpoints = None
            self._leave(np.ones(len(self.queue[0]), bool))

    def evaluations(self) -> Evaluations:
        """Return the record of all evaluations."""
        found, rhythm = self.results, self.rhythm
        step = rhythm.snapshot_epochs[rhythm.parts :: rhythm.parts] * rhythm.steps
        return Evaluations(
            step=step,
            heldout_loss=found["heldout_loss"] if self.held_out else None,
            best_loss=found["best_loss"],
            best_step=found["best_epoch"] * rhythm.steps,
            steps=found["epochs"] * rhythm.steps,
            stopped=[STOPPED[code] for code in found["stopped"]],
            epoch_steps=rhythm.steps,
            segments=found["segments"],
        )

    def progress(self) -> Progress:
        """Return the progress in steps of all members, without its rate."""
        found, rhythm = self.results, self.rhythm
        stopped = found["stopped"] > 0
        most = rhythm.most * rhythm.steps
        losses = found["best_loss"][np.isfinite(found["best_loss"])]
        return Progress(
            done=int(stopped.sum()) * most + int(found["epochs"][~stopped].sum()) * rhythm.steps,
            total=len(stopped) * most,
            loss=float(losses.min()) if losses.size else float("nan"),
            members_done=int(stopped.sum()),
            members=len(stopped),
            drops=int(found["drops"].max()),
        )

    def _state(self) -> Any:
        return self.training, self.best

    def _set_state(self, state: Any) -> None:
        self.training, self.best = state

    def _started(self) -> Any:
        training = self.programs.start(self._batch())
        return training, training.state.params


class ReplayRun(MemberRun):
    """A `MemberRun` that trains for the epochs by which another training came to its result.

    Args:
        segments: int [S, 2] of `Evaluations.segments`; the epochs from the first, which is left
            out, to the second, at a tenth of the learning rate of the segment before, from a fresh
            `opt_state`.
        chunk: The most epochs per call of the device program.
        given: The other arguments of `MemberRun`.
    """

    def __init__(self, *given: Any, segments: np.ndarray, chunk: int, **named: Any):  # noqa: D107
        super().__init__(
            *given, chunk=chunk, columns=0, wanted=np.zeros(0, np.int32), snapshots=0, **named
        )
        self.work = [
            (level, np.arange(first + 1, min(first + chunk, end) + 1, dtype=np.int32))
            for level, (begin, end) in enumerate(segments.tolist())
            for first in range(begin, end, chunk)
        ]
        self.epochs = len(self.work)

    def schedule(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the remaining chunks of epochs with the number of their segment."""
        while self.queue:
            yield self.work[self.epoch] if self.work else (0, np.zeros(0, np.int32))

    def _batch(self) -> list[Config]:
        level = self.work[self.epoch][0] if self.work else 0
        return [_dropped(member, level) for member in super()._batch()]

    def advance(self, work: tuple[int, np.ndarray]) -> tuple[MemberRun, None]:
        """Train the current batch for a chunk of epochs; `epoch` counts chunks."""
        level, epochs = work
        if self.training is None:
            self._start_batch()
        training: Any = self.training
        if self.epoch and level != self.work[self.epoch - 1][0]:
            training = self.programs.restart(training.state.params, self._batch())
        if epochs.size:
            training, _ = self.programs.advance(training, self._batch(), epochs, False)
        self.training, self.epoch = training, self.epoch + bool(self.work)
        if self.epoch == self.epochs:
            self._finish_batch()
        return self, None
