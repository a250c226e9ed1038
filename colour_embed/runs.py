"""What a training and a sweep come to, as NumPy arrays: `Fit` and `SweepResult`; and `Progress`.

Loads no JAX: figures, tables and pages read committed results through these classes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from colour_embed.config import Config, InputError
from colour_embed.heads import HEADS


class Progress(NamedTuple):
    """What every long-running function reports after each part of its work.

    Attributes:
        done: Units of work done: epochs of `fit`, epochs of all members of `sweep`, steps of a fit
            of own pairs, frames of a video, rows of a table.
        total: Units of work in all; an estimate where it is not known.
        loss: The training loss; of a sweep the median over the members that have begun.
        rate: Units per second, without the first part, which holds the compilation; None until a
            second part was timed.
        members_done: Members of a sweep that are finished.
        members: Members of a sweep.
        drops: How often the learning rate was dropped.
    """

    done: int
    total: int
    loss: float = np.nan
    rate: float | None = None
    members_done: int = 0
    members: int = 1
    drops: int = 0

    @property
    def seconds_left(self) -> float | None:
        """Seconds that the rest takes at this rate; None where the rate is not known."""
        return (self.total - self.done) / self.rate if self.rate else None

    def __str__(self) -> str:
        """Return one line, so that `report=print` shows the progress."""
        parts = [f"{self.done:,} of {self.total:,}"]
        if self.members > 1:
            parts.append(f"{self.members_done} of {self.members} members done")
        if np.isfinite(self.loss):
            parts.append(f"loss {self.loss:.4f}")
        if self.seconds_left is not None:
            parts.append(f"{self.seconds_left:.0f} s left")
        return ", ".join(parts)


@dataclass(frozen=True, eq=False)
class Fit:
    """A training run and what was kept of it.

    Attributes:
        config: What was asked for.
        embedding: float32 [items, dim], the final vectors that distances are taken between: rows of
            unit length where the config normalises.
        kernel: The effective weight of the head, such as that of the squared distance.
        bias: The logit where the feature is zero.
        loss: float32 [E], mean training loss of each epoch in nats per pair.
        mse: float32 [E], mean squared error of each epoch.
        epoch: int32 [F], the epochs that were snapshotted; 0 is before the first step.
        snapshots: float32 [F, items, dim], the vectors after each of those epochs.
        status: "done", "interrupted" (Ctrl-C) or "diverged" (a parameter became NaN or infinite;
            the run holds the epochs before that).
        diverged_epoch: The epoch in which that happened, or None.
        params: The parameters after the last epoch, see `model.Params`; None where the run was
            read from files that do not hold them.

    Example:
        >>> import colour_embed as ce
        >>> colours = ce.load_colours("css4")
        >>> pairs = ce.tutorial_pairs(colours, 1000)
        >>> run = ce.fit(ce.Config(epochs=3, head="negative"), len(colours), pairs)
        >>> run.embedding.shape, run.loss.shape, run.status, run.trapped
        ((148, 2), (3,), 'done', False)
    """

    config: Config
    embedding: np.ndarray
    kernel: float
    bias: float
    loss: np.ndarray
    mse: np.ndarray
    epoch: np.ndarray
    snapshots: np.ndarray
    status: str
    diverged_epoch: int | None
    params: Any = None

    @property
    def trapped(self) -> bool:
        """Whether the head's weight pushes similar items apart: the sign trap."""
        return not bool(HEADS[self.config.head].attracts(self.kernel))

    def _repr_html_(self) -> str:
        """Return what notebooks show: the result, the map and the loss curve."""
        from colour_embed.viz import cards

        return cards.of_fit(self)


STOPPED = ("", "plateau", "steps", "diverged", "interrupted")
"""Why a training with early stopping ended; the first is that of one that has not."""


class Evaluations(NamedTuple):
    """The evaluations of members with early stopping.

    Attributes:
        step: int [L], the number of steps before each evaluation.
        heldout_loss: float32 [M, L], of the held-out pairs, NaN after a member stopped; None
            without held-out pairs.
        best_loss: float32 [M], the loss at the best evaluation: of the held-out pairs, or without
            them of the training pairs.
        best_step: int [M], the number of steps before the best evaluation.
        steps: int [M], the number of steps taken.
        stopped: [M], each of `STOPPED`.
        epoch_steps: Steps of an epoch, by which the epochs of snapshots become steps.
        segments: int [M, S, 2], the epochs that led to each member's best evaluation, one segment
            for each learning rate: from the first, which is left out, to the second.
    """

    step: np.ndarray
    heldout_loss: np.ndarray | None
    best_loss: np.ndarray
    best_step: np.ndarray
    steps: np.ndarray
    stopped: list[str]
    epoch_steps: int
    segments: np.ndarray


@dataclass(frozen=True, eq=False)
class SweepResult:
    """All members of one or several sweeps; the leading axis of every array is the member.

    Attributes:
        config: What the members share. Its seed is that of all that `vary` leaves out.
        members: The config of each member, M of them.
        embedding: float32 [M, items, D], the final vectors, padded with zero columns to the largest
            dimension; of a diverged member those before it diverged.
        kernel: float32 [M], the final effective weight of the head.
        bias: float32 [M], the final logit where the feature is zero.
        initial_kernel: float32 [M], the effective weight before the first step.
        loss: float32 [M, E], mean training loss of each epoch; NaN from where a member diverged.
        mse: float32 [M, E], mean squared error of each epoch.
        diverged: int32 [M], the epoch in which a member became NaN or infinite, or 0.
        epoch: int32 [F], the epochs of the snapshots.
        snapshots: float32 [S, F, items, D], the vectors of the first S members.
        params: The final parameters, embeddings padded; None where read from files.
        evaluations: Of members with early stopping; None without. The vectors, kernel and bias are
            then those of the best evaluation, `loss` has a column for each evaluation, the mean
            loss since the one before, and `mse` is NaN.

    Example:
        >>> import colour_embed as ce
        >>> colours = ce.load_colours("css4")
        >>> pairs = ce.tutorial_pairs(colours, 1000)
        >>> result = ce.sweep(ce.Config(epochs=2), len(colours), pairs, range(2), [2, 3])
        >>> result.member(seed=1, dim=3).embedding.shape
        (148, 3)
    """

    config: Config
    members: list[Config]
    embedding: np.ndarray
    kernel: np.ndarray
    bias: np.ndarray
    initial_kernel: np.ndarray
    loss: np.ndarray
    mse: np.ndarray
    diverged: np.ndarray
    epoch: np.ndarray
    snapshots: np.ndarray
    params: Any = None
    evaluations: Evaluations | None = None

    def __len__(self) -> int:
        """The number of members, M."""
        return len(self.members)

    @property
    def trapped(self) -> np.ndarray:
        """bool [M], whether a member's weight pushes similar items apart: the sign trap."""
        judged = [
            HEADS[member.head].attracts(weight) for member, weight in zip(self.members, self.kernel)
        ]
        return ~np.array(judged, bool)

    def _repr_html_(self) -> str:
        """Return what notebooks show: a row per dimension, and the loss curves."""
        from colour_embed.viz import cards

        return cards.of_sweep(self)

    def arrays(self) -> dict[str, Any]:
        """All arrays by field, to be saved; `SweepResult(config, members, **arrays)` reads them."""
        names = [field.name for field in dataclasses.fields(self)]
        kept = (
            name for name in names if name not in ("config", "members", "params", "evaluations")
        )
        return {name: getattr(self, name) for name in kept}

    def vectors(self, place: int) -> np.ndarray:
        """float32 [items, dim], the final vectors of the member at this place, without padding."""
        return self.embedding[place, :, : self.members[place].dim]

    def member(self, **fields: Any) -> Fit:
        """One member as the run it is, its padding cut off.

        Args:
            fields: Values of the member's config, such as seed=7, dim=2, head="free"; as many as
                are needed to choose one member.

        Raises:
            InputError: no member or several have these values; the message lists the choices.
        """
        place = self._place(fields)
        config = self.members[place]
        diverged = int(self.diverged[place])
        epochs = diverged - 1 if diverged else self.loss.shape[1]
        kept = np.zeros(len(self.epoch), bool)
        snapshots = np.zeros((0, self.embedding.shape[1], config.dim), np.float32)
        if place < len(self.snapshots):
            kept = self.epoch <= epochs
            snapshots = self.snapshots[place, kept, :, : config.dim]
        return Fit(
            config=config,
            embedding=self.vectors(place),
            kernel=float(self.kernel[place]),
            bias=float(self.bias[place]),
            loss=self.loss[place, :epochs],
            mse=self.mse[place, :epochs],
            epoch=self.epoch[kept],
            snapshots=snapshots,
            status="diverged" if diverged else "done",
            diverged_epoch=diverged or None,
            params=self.params_of(place),
        )

    def _place(self, fields: dict[str, Any]) -> int:
        known = {field.name for field in dataclasses.fields(Config)}
        if unknown := sorted(fields.keys() - known):
            raise InputError(f"no field of a config is called {unknown[0]!r}")
        found = [
            place
            for place, member in enumerate(self.members)
            if all(getattr(member, name) == value for name, value in fields.items())
        ]
        if len(found) == 1:
            return found[0]
        chosen = ", ".join(f"{name}={value!r}" for name, value in fields.items()) or "nothing given"
        among = self.members if not found else [self.members[place] for place in found]
        what = f"{len(found)} members have it" if found else "no member has it"
        raise InputError(f"{chosen}: {what}; give {_choices(among, () if not found else fields)}")

    def params_of(self, place: int) -> Any:
        """The parameters of the member at this place, without padding; None where not kept."""
        if self.params is None:
            return None
        dense = {name: values[place] for name, values in self.params["dense"].items()}
        table = self.params["embedding"]["embedding"][place, :, : self.members[place].dim]
        return {"embedding": {"embedding": table}, "dense": dense}


def concatenated(results: Sequence[SweepResult]) -> SweepResult:
    """The members of several results as one, embeddings padded to the largest dimension.

    Only the first result's snapshots are kept, and no parameters: both belong to one program.
    """
    widest = max(result.embedding.shape[-1] for result in results)

    def padded(values):
        missing = widest - values.shape[-1]
        return np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, missing)])

    names = ("kernel", "bias", "initial_kernel", "loss", "mse", "diverged")
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(result, name) for result in results]) for name in names
    }
    return SweepResult(
        config=results[0].config,
        members=[member for result in results for member in result.members],
        embedding=np.concatenate([padded(result.embedding) for result in results]),
        **joined,
        epoch=results[0].epoch,
        snapshots=padded(results[0].snapshots),
    )


def _choices(members: Sequence[Config], given: Any) -> str:
    """The fields in which members differ, with their values, as a hint."""
    parts = []
    for field in dataclasses.fields(Config):
        values = list(dict.fromkeys(getattr(member, field.name) for member in members))
        if field.name in given or len(values) < 2:
            continue
        shown = ", ".join(map(str, values[:12])) + (", ..." if len(values) > 12 else "")
        parts.append(f"{field.name} ({shown})")
    return " and ".join(parts) or "other values"
