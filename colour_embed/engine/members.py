"""The host side of a sweep: member batches, their results, and their checkpoints."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from colour_embed.config import Config
from colour_embed.engine import job
from colour_embed.engine.checkpoint import Checkpoints, Saved
from colour_embed.engine.state import Metrics, Training
from colour_embed.runs import Progress


class Programs(NamedTuple):
    """The device programs for one member batch.

    Attributes:
        start: members -> their trainings before the first epoch.
        advance: (trainings, members, epochs, keep) -> (trainings, (metrics of each epoch, embedding
            vectors of each epoch if `keep`)).
        vectors: parameters of members -> their embedding vectors.
        put: trainings on the host -> trainings on the devices.
        unit: Batches hold a multiple of this number of members: of the devices that they are
            sharded over, and of the members that are trained in one loop.
        evaluate: parameters of members -> their losses on the pairs that stop them early.
        choose: (bool [members], tree, tree) -> the members of the first tree where True.
        restart: (parameters, members) -> trainings from these parameters.
    """

    start: Callable[[list[Config]], Training]
    advance: Callable[[Training, list[Config], np.ndarray, bool], tuple[Training, Any]]
    vectors: Callable[[Any], Any]
    put: Callable[[Training], Training]
    unit: int
    evaluate: Callable[[Any], Any]
    choose: Callable[[np.ndarray, Any, Any], Any]
    restart: Callable[[Any, list[Config]], Training]


def member_name(member: Config) -> str:
    """Return a member's config as JSON text, the name under which its results are stored."""
    return json.dumps(dataclasses.asdict(member), sort_keys=True)


class MemberRun:
    """The state of a sweep: its results so far and the remaining member batches.

    Args:
        members: All members.
        programs: The device programs.
        items: Number of items.
        per_batch: Members per batch; the last batch is padded with copies of its last member.
        chunk: Epochs per call of the device program.
        columns: Number of losses that are kept of each member.
        data: A hash of all else that the results depend on; saved members of other data are not
            taken over.
        wanted: The epochs of the snapshots.
        snapshots: The number of members, from the first on, whose snapshots are kept.

    Attributes:
        results: Arrays by name, with a leading member axis.
        queue: The member indices of each remaining batch; the first is the current batch.
        epoch: Epochs that the current batch has trained.
        training: The state of the current batch on the devices; None before it starts.
    """

    def __init__(  # noqa: D107
        self,
        members: Sequence[Config],
        programs: Programs,
        items: int,
        *,
        per_batch: int,
        chunk: int,
        columns: int,
        data: str,
        wanted: np.ndarray,
        snapshots: int,
    ):
        self.members, self.programs = members, programs
        self.per_batch, self.chunk, self.data, self.wanted = per_batch, chunk, data, wanted
        self.epochs, self.items = members[0].epochs, items
        count, shape = len(members), (items, max(member.dim for member in members))
        self.results = {
            "embedding": np.zeros((count, *shape), np.float32),
            "kernel": np.zeros((count, 1, 1), np.float32),
            "bias": np.zeros((count, 1), np.float32),
            "initial_kernel": np.zeros((count, 1, 1), np.float32),
            "loss": np.full((count, columns), np.nan, np.float32),
            "mse": np.full((count, columns), np.nan, np.float32),
            "diverged": np.zeros(count, np.int32),
        }
        self.snapshots = np.zeros((snapshots, len(wanted), *shape), np.float32)
        self.epoch = 0
        self.training: Any = None
        self.checkpoints: Checkpoints | None = None
        self._fill_queue(np.arange(count))

    def _fill_queue(self, places: np.ndarray) -> None:
        size = self.per_batch
        self.queue = [places[first : first + size] for first in range(0, len(places), size)]

    def schedule(self) -> Iterator[np.ndarray]:
        """Yield the remaining chunks of epochs, batch by batch."""
        while self.queue:
            last = min(self.epoch + self.chunk, self.epochs)
            yield np.arange(self.epoch + 1, last + 1, dtype=np.int32)

    def _batch(self) -> list[Config]:
        """Return the members of the current batch, padded."""
        return [self.members[place] for place in self._padded(self.queue[0])]

    def _padded(self, values: np.ndarray) -> np.ndarray:
        """Return values of the batch's members, with copies of the last for the padding."""
        places = np.arange(self._width(len(values)))
        return values[np.minimum(places, len(values) - 1)]

    def _width(self, count: int) -> int:
        """Return the width of a batch with this many members, padding included."""
        return max(self.per_batch, -(-count // self.programs.unit) * self.programs.unit)

    def _start_batch(self) -> None:
        self.training = self.programs.start(self._batch())
        params = self.training.state.params
        self._keep("initial_kernel", job.on_host(params["dense"]["kernel"]))
        if 0 in self.wanted and self._with_snapshots().size:
            vectors = job.on_host(self.programs.vectors(params))
            self._keep_snapshots(np.zeros(1, int), vectors[:, None])

    def advance(self, epochs: np.ndarray) -> tuple[MemberRun, None]:
        """Train the current batch for a chunk of epochs."""
        if self.training is None:
            self._start_batch()
        assert self.training is not None
        if epochs.size:
            keep = bool(np.isin(epochs, self.wanted).any() and self._with_snapshots().size)
            training, found = self.programs.advance(self.training, self._batch(), epochs, keep)
            metrics, vectors = job.on_host(found)
            for name, values in zip(Metrics._fields, metrics):
                self._keep(name, values, slice(epochs[0] - 1, epochs[-1]))
            if keep:
                self._keep_snapshots(epochs, vectors)
            self.training, self.epoch = training, int(epochs[-1])
        if self.epoch == self.epochs:
            self._finish_batch()
        return self, None

    def _finish_batch(self) -> None:
        params = job.on_host(self.training.state.params)
        self._keep("embedding", params["embedding"]["embedding"][:, : self.items])
        self._keep("kernel", params["dense"]["kernel"])
        self._keep("bias", params["dense"]["bias"])
        self._keep("diverged", job.on_host(self.training.diverged))
        if self.checkpoints is not None:
            self.checkpoints.add_finished(self._saved(self.queue[0]))
        self._next_batch()

    def _next_batch(self) -> None:
        if self.checkpoints is not None:
            self.checkpoints.clear_state()
        self.queue, self.epoch, self.training = self.queue[1:], 0, None

    def _keep(self, name, values, columns=slice(None)) -> None:
        places = self.queue[0]
        rows = self.results[name][places]
        rows[(slice(None), columns)[: rows.ndim]] = values[: len(places)]
        self.results[name][places] = rows

    def _with_snapshots(self) -> np.ndarray:
        """Return the positions in the current batch of members whose snapshots are kept."""
        return np.flatnonzero(self.queue[0] < len(self.snapshots))

    def _keep_snapshots(self, epochs, vectors) -> None:
        rows = self._with_snapshots()
        frames, chosen = np.isin(self.wanted, epochs), np.isin(epochs, self.wanted)
        places = np.ix_(self.queue[0][rows], np.flatnonzero(frames))
        self.snapshots[..., : vectors.shape[-1]][places] = vectors[rows][:, chosen, : self.items]

    def progress(self) -> Progress:
        """Return the sweep's progress, without its rate."""
        left = sum(map(len, self.queue))
        under_way = len(self.queue[0]) * self.epoch if self.queue else 0
        losses = self.results["loss"]
        begun = losses[np.isfinite(losses).any(axis=1)]
        latest = [row[np.isfinite(row)][-1] for row in begun]
        return Progress(
            done=(len(self.members) - left) * self.epochs + under_way,
            total=len(self.members) * self.epochs,
            loss=float(np.median(latest)) if latest else float("nan"),
            members_done=len(self.members) - left,
            members=len(self.members),
        )

    # Saving and resuming

    def _saved(self, places: np.ndarray) -> Saved:
        """Return members as they are stored: their rows of the results and their snapshots."""
        arrays = {name: values[places] for name, values in self.results.items()}
        arrays["snapshots"] = self.snapshots[places[places < len(self.snapshots)]]
        names = [member_name(self.members[place]) for place in places]
        return Saved(
            names, arrays, {"data": self.data, "wanted": self.wanted.tolist(), "epoch": self.epoch}
        )

    def save(self) -> None:
        """Save the state of the current batch."""
        if self.checkpoints is None or self.training is None:
            return
        saved = self._saved(self.queue[0])
        leaves = job.on_host(jax.tree.leaves(self._state()))
        arrays = {f"leaf{place:03d}": leaf for place, leaf in enumerate(leaves)}
        self.checkpoints.save_state(saved._replace(arrays={**saved.arrays, **arrays}))

    def restore(self, checkpoints: Checkpoints) -> None:
        """Load finished members, and the state of the batch in training if it fits this sweep."""
        self.checkpoints = checkpoints
        place_of = {member_name(member): place for place, member in enumerate(self.members)}
        left = set(place_of.values())
        for saved in checkpoints.finished():
            if saved.about["data"] == self.data:
                left -= set(self._take_over(saved, place_of))
        self._fill_queue(np.array(sorted(left), int))
        saved = checkpoints.state()
        if saved is None or saved.about["data"] != self.data:
            return
        if not set(saved.members) <= place_of.keys():
            return
        places = [place_of[name] for name in saved.members]
        stored = [saved.arrays[name] for name in sorted(saved.arrays) if name.startswith("leaf")]
        if not set(places) <= left or not places:
            return
        # The restored batch keeps its members, even if the memory plan has changed since.
        self._fill_queue(np.array(sorted(left - set(places)), int))
        self.queue.insert(0, np.array(places))
        shapes = jax.eval_shape(self._started)
        wanted = [leaf.shape for leaf in jax.tree.leaves(shapes)]
        stored = [
            _with_rows(self._padded(leaf[: len(places)]), shape, self.items)
            for leaf, shape in zip(stored, wanted)
        ]
        fits = [leaf.shape for leaf in stored] == wanted
        if fits and set(self._take_over(saved, place_of)) == set(places):
            self.epoch = saved.about["epoch"]
            state = jax.tree.unflatten(jax.tree.structure(shapes), stored)
            self._set_state(self.programs.put(state))

    def _state(self) -> Any:
        """Return what is saved of the current batch beside its results."""
        return self.training

    def _set_state(self, state: Any) -> None:
        self.training = state

    def _started(self) -> Any:
        """Return the state of the current batch before its first epoch."""
        return self.programs.start(self._batch())

    def _take_over(self, saved: Saved, place_of: Mapping[str, int]) -> list[int]:
        """Copy a file's results of this grid's members; return the indices of complete ones."""
        taken = []
        for row, name in enumerate(saved.members):
            place = place_of.get(name)
            if place is None:
                continue
            snapshots = saved.arrays["snapshots"]
            if place < len(self.snapshots):
                if row >= len(snapshots) or saved.about["wanted"] != self.wanted.tolist():
                    continue  # stored without snapshots, or with those of other epochs
                dim = self.members[place].dim
                self.snapshots[place, ..., :dim] = snapshots[row, ..., :dim]
            for key, values in self.results.items():
                if key == "embedding":
                    dim = self.members[place].dim
                    values[place, :, :dim] = saved.arrays[key][row, :, :dim]
                else:
                    values[place] = saved.arrays[key][row]
            taken.append(place)
        return taken


def _with_rows(leaf: np.ndarray, shape: tuple[int, ...], items: int) -> np.ndarray:
    """Return an array of members with the rows of a table that this number of devices shards.

    The rows beyond the items belong to none, and are not trained.
    """
    if leaf.ndim < 2 or len(shape) != leaf.ndim or leaf.shape[1] == shape[1]:
        return leaf
    beyond = [(0, 0), (0, max(0, shape[1] - items)), *[(0, 0)] * (leaf.ndim - 2)]
    return np.pad(leaf[:, :items], beyond)[:, : shape[1]]
