"""Hundreds of trainings as one program: a grid over seeds, dimensions and numbers.

A member is one training of the grid. All members run through one compiled program: they are sharded
over the devices, and within a device mapped or vmapped over `train.run_epochs`, or trained as one
by `stacked.run_stacked_epochs` where they see the same batches. Members of fewer dimensions are
padded with columns of zeros, which have no gradient and stay zero. The host drives the grid in
waves of members and chunks of epochs, so that memory stays bounded, progress is seen, and a killed
sweep goes on from its last checkpoint.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from colour_embed import heads
from colour_embed.config import Config, InputError, number_names
from colour_embed.data import Pairs
from colour_embed.engine.checkpoint import Checkpoints
from colour_embed.engine.layouts import STACKED_NUMBERS, run_stacked_epochs
from colour_embed.model import Params, item_vectors
from colour_embed.train import (
    VALUE_BY_VALUE,
    WIDE_VECTORS,
    DevicePairs,
    Fit,
    MemberKeys,
    Metrics,
    PackedPairs,
    Training,
    can_pack,
    device_pairs,
    member_keys,
    run_epochs,
    snapshot_epochs,
    start_training,
)

VARY = ("init", "order", "labels", "pairs")
"""What a member's seed may change; what it does not change comes from the config's own seed."""

CHUNK = 100
"""At most this many epochs between two visits of the host."""

WAVE_PER_CORE = 16
"""Members that a CPU core trains in one wave: enough to hide the host, few to see it go on."""

STACKED_PER_CORE = 64
"""Members that a CPU core trains as one: of more, the arrays of a step outgrow its cache."""

_STACKED_MULTIPLE = 8  # More than half of it take longer than as many as fill the vectors.

WAVE_PER_ACCELERATOR = 4096
"""Members that a GPU or TPU trains at once; it is bound by launches, so width is free for long."""

_AXIS = "members"
_PLAIN_ARRAYS = ("initial_kernel", "loss", "mse", "diverged", "epoch", "snapshots")


class Member(NamedTuple):
    """Which training of the grid: its seed, its dimension, its values of the swept numbers."""

    seed: int
    dim: int
    numbers: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, eq=False)
class SweepData:
    """What the members train on.

    Attributes:
        items: Number of items.
        pairs: The pairs, and their labels as long as neither is varied.
        truth: float64 [items, k], the coordinates whose distances make the labels; needed only
            where labels or pairs are drawn anew.
    """

    items: int
    pairs: Pairs
    truth: np.ndarray | None = None


class SweepProgress(NamedTuple):
    """What `sweep` reports after each chunk.

    done and total count epochs of single members, rate is such epochs per second, and loss is the
    median over the members that have begun.
    """

    done: int
    total: int
    members_done: int
    members: int
    epoch: int
    epochs: int
    loss: float
    rate: float
    seconds_left: float | None


class MemoryPlan(NamedTuple):
    """How a sweep is cut to fit: members per wave on each device, and the bytes it will take.

    width is how many of them are under way at once, and stacked whether they are trained as one.
    """

    per_device: int
    width: int
    stacked: bool
    host_bytes: int
    device_bytes: int


@dataclass(frozen=True, eq=False)
class SweepResult:
    """All members of a sweep, as NumPy arrays whose leading axis is the member.

    Attributes:
        config: What all members share.
        members: Which training each one is.
        params: The final parameters, embeddings padded to the largest dimension; of a diverged
            member, the last that were all numbers.
        initial_kernel: float32 [M], the weight of the squared distance before the first step.
        loss: float32 [M, E], mean training loss of each epoch; NaN from where a member diverged.
        mse: float32 [M, E], mean squared error of each epoch.
        diverged: int32 [M], the epoch in which a member became NaN or infinite, or 0.
        epoch: int32 [F], the epochs of the snapshots.
        snapshots: float32 [S, F, items, D], the item vectors of the first S members.
    """

    config: Config
    members: list[Member]
    params: Params
    initial_kernel: np.ndarray
    loss: np.ndarray
    mse: np.ndarray
    diverged: np.ndarray
    epoch: np.ndarray
    snapshots: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything but the config and the members, for `load_part`."""
        return {
            "embedding": self.params["embedding"]["embedding"],
            "kernel": self.params["dense"]["kernel"],
            "bias": self.params["dense"]["bias"],
            **{name: getattr(self, name) for name in _PLAIN_ARRAYS},
        }

    @classmethod
    def merged(
        cls, config: Config, members: list[Member], parts: Sequence[Mapping[str, np.ndarray]]
    ) -> SweepResult:
        """The result whose members' `arrays` come in parts, one after the other."""
        widest = max(part["embedding"].shape[-1] for part in parts)

        def padded(name, values):
            if name not in ("embedding", "snapshots"):
                return values
            missing = widest - values.shape[-1]
            return np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, missing)])

        whole = {
            name: np.concatenate([padded(name, part[name]) for part in parts])
            for name in parts[0]
            if name not in ("epoch", "snapshots")
        }
        params = {
            "embedding": {"embedding": whole.pop("embedding")},
            "dense": {"kernel": whole.pop("kernel"), "bias": whole.pop("bias")},
        }
        # Snapshots are of the first members, so only those of the first part count.
        snapshots = padded("snapshots", parts[0]["snapshots"])
        return cls(config, members, params, epoch=parts[0]["epoch"], snapshots=snapshots, **whole)

    @functools.cached_property
    def embedding(self) -> np.ndarray:
        """float32 [M, items, D], the final item vectors, padded with zeros."""
        return np.asarray(jax.vmap(functools.partial(item_vectors, self.config))(self.params))

    @property
    def kernel(self) -> np.ndarray:
        """float32 [M], the final weight of the head, such as that of the squared distance."""
        kernel = self.params["dense"]["kernel"]
        return np.asarray(heads.effective_kernel(kernel, self.config.head, jnp))[:, 0, 0]

    @property
    def bias(self) -> np.ndarray:
        """float32 [M], the final logit at distance zero."""
        return self.params["dense"]["bias"][:, 0]

    def member(self, *, seed: int, dim: int, **numbers: float) -> Fit:
        """One member as the run it is, its padding cut off.

        Raises:
            KeyError: the grid holds no such member.
        """
        wanted = Member(seed, dim, tuple(sorted(numbers.items())))
        if wanted not in self.members:
            raise KeyError(f"the sweep holds no member {wanted}")
        place = self.members.index(wanted)
        params = jax.tree.map(lambda values: values[place], self.params)
        params["embedding"]["embedding"] = params["embedding"]["embedding"][:, :dim]
        diverged = int(self.diverged[place])
        epochs = diverged - 1 if diverged else self.loss.shape[1]
        has_snapshots = place < len(self.snapshots)
        kept = self.epoch <= epochs if has_snapshots else np.zeros(len(self.epoch), bool)
        items = params["embedding"]["embedding"].shape[0]
        empty = np.zeros((0, items, dim), np.float32)
        return Fit(
            config=member_config(self.config, wanted),
            params=params,
            loss=self.loss[place, :epochs],
            mse=self.mse[place, :epochs],
            epoch=self.epoch[kept],
            snapshots=self.snapshots[place, kept, :, :dim] if has_snapshots else empty,
            status="diverged" if diverged else "done",
            diverged_epoch=diverged or None,
        )


def grid(
    seeds: Sequence[int], dims: Sequence[int], axes: Mapping[str, Sequence[float]] | None = None
) -> list[Member]:
    """All members of a grid, dimension by dimension and seed by seed.

    Raises:
        InputError: an empty or repeated axis, or a number that no config has or that needs another
            program.
    """
    axes = dict(sorted((axes or {}).items()))
    for name in axes:
        if name not in number_names():
            raise InputError(
                f"{name!r} cannot be swept in one program: give one of {', '.join(number_names())}"
            )
    for name, values in {"seeds": seeds, "dims": dims, **axes}.items():
        if len(values) == 0 or len(set(values)) < len(values):
            raise InputError(f"{name}: give at least one value, and none twice")
    return [
        Member(int(seed), int(dim), tuple(zip(axes, map(float, values))))
        for dim, seed, *values in itertools.product(dims, seeds, *axes.values())
    ]


def member_config(config: Config, member: Member) -> Config:
    """The config of one member of a sweep.

    Raises:
        InputError: the member's values are out of range.
    """
    return dataclasses.replace(config, seed=member.seed, dim=member.dim, **dict(member.numbers))


def plan_memory(
    config: Config,
    data: SweepData,
    members: Sequence[Member],
    *,
    vary: Sequence[str] = ("init", "order"),
    snapshots: int = 0,
    frames: int = 0,
    devices: int = 1,
    accelerator: bool = False,
    max_bytes: int | None = None,
) -> MemoryPlan:
    """Cut a sweep so that it stays under a bound, before anything is compiled.

    The estimate counts, for each member of a wave, its training state twice (before and after a
    chunk) and what a chunk stacks; for each member that is under way, its order and its pairs; and
    on the host the results of all members. The runtime's own few hundred megabytes come on top.

    Raises:
        InputError: not even one member on each device fits, there is none, or what shall vary is
            not known.
    """
    for name in vary:
        if name not in VARY:
            raise InputError(f"vary {name!r}: give any of {', '.join(VARY)}")
    if not members:
        raise InputError("no member falls to this process: use fewer processes")
    padded = dataclasses.replace(config, dim=max(member.dim for member in members))
    stacked = not accelerator and len(members) > devices and _see_the_same(config, members, vary)
    count, length = len(data.pairs.label), _chunk_length(config.epochs)
    table = 4 * data.items * padded.dim
    state = 2 * _size_of_training(padded, data.items)
    kept = length * (8 + (table if snapshots else 0))
    drawn = 4 * count * (("pairs" in vary) * 3 + ("labels" in vary) + 1)
    # A step's own arrays: its rows, their gradient, the scattered gradient and the updates.
    in_a_step = 8 * config.batch_size * padded.dim * 4 + 4 * table
    host = len(members) * (table + 8 + 8 * config.epochs) + snapshots * frames * table
    fixed = host + 12 * count + 2 * kept * snapshots
    most = -(-len(members) // devices)
    if accelerator:
        most = min(most, WAVE_PER_ACCELERATOR)
    elif stacked:
        if most > _STACKED_MULTIPLE // 2:
            most = -(-most // _STACKED_MULTIPLE) * _STACKED_MULTIPLE
        most = min(most, STACKED_PER_CORE)
    else:
        most = min(most, WAVE_PER_CORE)
    for per_device in sorted({most >> halvings for halvings in range(13)} - {0}, reverse=True):
        width = per_device if accelerator or stacked else 1
        orders = 1 if stacked else width
        device = per_device * (state + kept) + width * in_a_step + orders * drawn + 12 * count
        # A CPU's devices share the host's memory; an accelerator has its own.
        total = fixed + devices * device if not accelerator else max(fixed, device)
        if max_bytes is None or total <= max_bytes:
            return MemoryPlan(per_device, width, stacked, fixed, device)
    raise InputError(
        f"one member on each of {devices} devices needs {total / 1e6:.0f} MB and more than the "
        f"{max_bytes / 1e6:.0f} MB allowed: allow more, or sweep fewer members or dimensions"
    )


def sweep(
    config: Config,
    data: SweepData,
    seeds: Sequence[int],
    dims: Sequence[int],
    *,
    axes: Mapping[str, Sequence[float]] | None = None,
    vary: Sequence[str] = ("init", "order"),
    snapshots: int = 0,
    schedule: str | Sequence[int] = "tutorial",
    devices: Sequence[jax.Device] | None = None,
    part: tuple[int, int] = (0, 1),
    max_bytes: int | None = None,
    report: Callable[[SweepProgress], None] | None = None,
    checkpoints: Checkpoints | None = None,
    checkpoint_every: int = 4,
) -> SweepResult:
    """Train a whole grid.

    What a member comes to depends on its seed, dimension and numbers, and not on its neighbours,
    its place, the padding, the devices or the cutting into waves and chunks.

    Args:
        config: What the members share; its seed is that of all that `vary` leaves out.
        data: Items, pairs and the truth behind the labels.
        seeds: The seeds of the grid.
        dims: The dimensions of the grid.
        axes: Further axes, by the name of a number in the config, such as "learning_rate".
        vary: What a member's seed changes, of `VARY`: "init", the initial parameters; "order", the
            order of the pairs; "labels", the draw of the labels; "pairs", the draw of the pairs.
        snapshots: Of how many members, from the first on, to keep snapshots.
        schedule: Of which epochs; see `train.snapshot_epochs`.
        devices: What to run on; all devices of this process by default.
        part: (index, count): run only the members that fall to this process of several, whose
            results `SweepResult.merged` puts together. Snapshots are counted within the part.
        max_bytes: Bound on the memory that `plan_memory` estimates.
        report: Called after each chunk.
        checkpoints: Where to save the state of the sweep, and to go on from.
        checkpoint_every: Chunks between two saves.

    Returns:
        All members of this part; see `SweepResult`.

    Raises:
        InputError: a bad grid, data that does not fit it, more memory than allowed, or a checkpoint
            that these devices cannot go on from.
    """
    members = part_of(grid(seeds, dims, axes), part)
    run = _Run.prepare(config, data, members, vary, snapshots, schedule, devices, max_bytes)
    run.restore(checkpoints)
    try:
        for chunk, timing in enumerate(_drive(run), start=1):
            if checkpoints is not None and chunk % checkpoint_every == 0:
                run.save(checkpoints)
            if report is not None:
                report(run.progress(*timing))
    except KeyboardInterrupt:
        if checkpoints is not None:
            run.save(checkpoints)
        raise
    return run.result()


def _drive(run: _Run) -> Iterator[tuple[float, int]]:
    """Run a sweep to its end, chunk by chunk; yields the seconds and member-epochs timed so far."""
    began, timed = None, 0
    while run.wave < run.waves:
        if run.training is None:
            run.start_wave()
        size, length = run.wave_size, run.advance()
        if began is None:
            # The first chunk holds the compilation and says nothing of the rest.
            began = time.perf_counter()
        else:
            timed += length * size
        if run.epoch == run.config.epochs:
            run.finish_wave()
        yield time.perf_counter() - began, timed


def part_of(members: list[Member], part: tuple[int, int]) -> list[Member]:
    """The members that fall to process index of count: neighbours stay together."""
    index, count = part
    return members[len(members) * index // count : len(members) * (index + 1) // count]


def _swept(members: Sequence[Member]) -> set[str]:
    """The names of the numbers in which members may differ."""
    return {name for member in members for name, _ in member.numbers}


def _draws_labels(members: Sequence[Member], vary: Sequence[str]) -> bool:
    """Whether the program draws labels itself, and not every member takes those given."""
    return bool({"labels", "pairs"} & set(vary)) or "label_constant" in _swept(members)


def _see_the_same(config: Config, members: Sequence[Member], vary: Sequence[str]) -> bool:
    """Whether all members take the same steps on the same batches, so that they can be stacked."""
    same_batches = "order" not in vary and not _draws_labels(members, vary)
    same_steps = config.optimizer == VALUE_BY_VALUE and _swept(members) <= STACKED_NUMBERS
    return same_batches and same_steps


def _chunk_length(epochs: int) -> int:
    """A chunk that divides the epochs, where one of a sensible length does."""
    for length in range(min(CHUNK, epochs), CHUNK // 4, -1):
        if epochs % length == 0:
            return length
    return max(1, min(CHUNK, epochs))


def _size_of_training(config: Config, items: int) -> int:
    """Bytes of one member's parameters and optimiser state."""
    shapes = jax.eval_shape(
        lambda: start_training(config, items, member_keys(np.uint32(0)), config.numbers())
    )
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes))


# --------------------------------------------------------------------------------------------------
# The program


class _Inputs(NamedTuple):
    """What tells members apart, each with a leading member axis: the arguments that are vmapped."""

    seed: Array
    dim: Array
    numbers: dict[str, Array]


class _Shared(NamedTuple):
    """What all members read: the config's seed, the given pairs, and the truth behind labels."""

    seed: Array
    pairs: DevicePairs
    truth: Array


class _Program(NamedTuple):
    """What the compiled program depends on. Hashable, so that jit can tell programs apart."""

    config: Config
    items: int
    vary: frozenset[str]
    draw_labels: bool
    pack: bool
    stacked: bool
    width: int
    mesh: Mesh


def _keys(program: _Program, seed: Array, base_seed: Array) -> MemberKeys:
    """A member's keys: by its own seed for what varies, by the config's for the rest."""
    own, base = member_keys(seed), member_keys(base_seed)
    chosen = (name in program.vary for name in MemberKeys._fields)
    return MemberKeys(*(a if vary else b for a, b, vary in zip(own, base, chosen)))


def _drawn_ids(keys: MemberKeys, count: int, items: int) -> Array:
    return jax.random.randint(keys.pairs, (2, count), 0, items)


def training_index(data: SweepData, member: Member, vary: Sequence[str]) -> np.ndarray:
    """The pairs that a member trains on, int32 [N, 2]: those given, or its own if they vary."""
    if "pairs" not in vary:
        return data.pairs.index
    keys = member_keys(np.uint32(member.seed))
    return np.asarray(_drawn_ids(keys, len(data.pairs.label), data.items)).T


def _member_pairs(
    program: _Program, shared: _Shared, keys: MemberKeys, constant: Array
) -> DevicePairs:
    """The pairs that one member trains on: those given, or drawn anew by the tutorial's rule."""
    first, second, label = shared.pairs[:3]
    if "pairs" in program.vary:
        first, second = _drawn_ids(keys, len(label), program.items)
    if program.draw_labels:
        diff = jnp.mean((shared.truth[first] - shared.truth[second]) ** 2, axis=1)
        uniform = jax.random.uniform(keys.labels, label.shape)
        label = (diff < constant * uniform**2).astype(jnp.float32)
    return DevicePairs(first, second, label)


def _over_members(program: _Program, function, shared, *arguments):
    """Map function(shared, *one member's arguments) over all members, in vmaps of `width`."""

    def on_one_device(shared, *local):
        return jax.lax.map(lambda one: function(shared, *one), local, batch_size=program.width)

    return _over_devices(program, on_one_device, shared, *arguments)


def _over_devices(program: _Program, function, shared, *arguments):
    """Map function(shared, *its members' arguments) over the devices, which share the members."""
    members = PartitionSpec(_AXIS)
    return jax.shard_map(
        function,
        mesh=program.mesh,
        in_specs=(PartitionSpec(), *(members for _ in arguments)),
        out_specs=members,
        check_vma=False,
    )(shared, *arguments)


@functools.partial(jax.jit, static_argnames="program")
def _start(program: _Program, shared: _Shared, inputs: _Inputs):
    def one(shared, inputs):
        keys = _keys(program, inputs.seed, shared.seed)
        return start_training(program.config, program.items, keys, inputs.numbers, dim=inputs.dim)

    return _over_members(program, one, shared, inputs)


# The members keep all cores busy, so a single operation is not to be split over them as well.
_ON_CPU = {**WIDE_VECTORS, "xla_cpu_multi_thread_eigen": False}


@functools.partial(jax.jit, static_argnames=("program", "keep"), compiler_options=_ON_CPU)
def _advance(program: _Program, shared: _Shared, training, inputs: _Inputs, epochs, keep):
    def transform(training, metrics):
        return metrics, item_vectors(program.config, training.state.params) if keep else None

    def prepared(shared, inputs):
        keys = _keys(program, inputs.seed, shared.seed)
        pairs = _member_pairs(program, shared, keys, inputs.numbers["label_constant"])
        return keys, inputs.numbers, PackedPairs.of(pairs) if program.pack else pairs

    def one(given, training, inputs):
        shared, epochs = given
        member = prepared(shared, inputs)
        return run_epochs(program.config, training, *member, epochs, transform=transform)

    def all_as_one(given, training, inputs):
        shared, epochs = given
        # The order, the pairs and the numbers of any member are those of all.
        member = prepared(shared, jax.tree.map(lambda values: values[0], inputs))
        return run_stacked_epochs(program.config, training, *member, epochs, transform=transform)

    function, over = (all_as_one, _over_devices) if program.stacked else (one, _over_members)
    return over(program, function, (shared, epochs), training, inputs)


# --------------------------------------------------------------------------------------------------
# The host's side


@dataclass
class _Run:
    """A sweep under way: where it stands, the wave on the devices, and the results so far."""

    program: _Program
    config: Config
    members: list[Member]
    shared: _Shared
    numbers: dict[str, np.ndarray]
    per_wave: int
    wanted: np.ndarray
    results: dict[str, Any]
    wave: int = 0
    epoch: int = 0
    training: Training | None = None

    @classmethod
    def prepare(cls, config, data, members, vary, snapshots, schedule, devices, max_bytes) -> _Run:
        draw_labels = _draws_labels(members, vary)
        if draw_labels and data.truth is None:
            raise InputError("labels cannot be drawn anew without the truth: give data.truth")
        configs = [member_config(config, member) for member in members]  # checks each
        devices = list(devices or jax.local_devices())
        snapshots = min(snapshots, len(members))
        wanted = snapshot_epochs(schedule if snapshots else "none", config.epochs)
        plan = plan_memory(
            config,
            data,
            members,
            vary=vary,
            snapshots=snapshots,
            frames=len(wanted),
            devices=len(devices),
            accelerator=devices[0].platform != "cpu",
            max_bytes=max_bytes,
        )
        padded = dataclasses.replace(config, dim=max(member.dim for member in members))
        count, epochs = len(members), config.epochs
        shape = (data.items, padded.dim)
        mesh = Mesh(np.array(devices), (_AXIS,))
        truth = np.zeros((data.items, 0)) if data.truth is None else data.truth
        shared = _Shared(
            np.uint32(config.seed),
            device_pairs(data.pairs, data.items),
            np.asarray(truth, np.float32),
        )
        return cls(
            program=_Program(
                config=padded.static(),
                items=data.items,
                vary=frozenset(vary),
                draw_labels=draw_labels,
                pack=can_pack(data.items, data.pairs.label),
                stacked=plan.stacked,
                width=plan.width,
                mesh=mesh,
            ),
            config=config,
            members=members,
            shared=jax.device_put(shared, NamedSharding(mesh, PartitionSpec())),
            numbers={
                name: np.array([config.numbers()[name] for config in configs], np.float32)
                for name in number_names()
            },
            per_wave=plan.per_device * len(devices),
            wanted=wanted,
            results={
                "embedding": np.zeros((count, *shape), np.float32),
                "kernel": np.zeros((count, 1, 1), np.float32),
                "bias": np.zeros((count, 1), np.float32),
                "initial_kernel": np.zeros((count, 1, 1), np.float32),
                "loss": np.full((count, epochs), np.nan, np.float32),
                "mse": np.full((count, epochs), np.nan, np.float32),
                "diverged": np.zeros(count, np.int32),
                "snapshots": np.zeros((snapshots, len(wanted), *shape), np.float32),
            },
        )

    @property
    def waves(self) -> int:
        return -(-len(self.members) // self.per_wave)

    @property
    def places(self) -> np.ndarray:
        """Which members the wave holds; the last wave is filled up with copies of the last one."""
        first = self.wave * self.per_wave
        return np.minimum(np.arange(first, first + self.per_wave), len(self.members) - 1)

    @property
    def wave_size(self) -> int:
        return min(self.per_wave, len(self.members) - self.wave * self.per_wave)

    def _sharded(self, tree):
        return jax.device_put(tree, NamedSharding(self.program.mesh, PartitionSpec(_AXIS)))

    def _inputs(self) -> _Inputs:
        chosen = [self.members[place] for place in self.places]
        return self._sharded(
            _Inputs(
                np.array([member.seed for member in chosen], np.uint32),
                np.array([member.dim for member in chosen], np.int32),
                {name: values[self.places] for name, values in self.numbers.items()},
            )
        )

    def start_wave(self) -> None:
        self.training = _start(self.program, self.shared, self._inputs())
        self.epoch = 0
        params = self.training.state.params
        self._keep("initial_kernel", params["dense"]["kernel"])
        if 0 in self.wanted and self._snapshot_places().size:
            vectors = jax.vmap(functools.partial(item_vectors, self.program.config))(params)
            self._keep_snapshots(np.zeros(1, int), np.asarray(vectors)[:, None])

    def advance(self) -> int:
        """Train the wave for a chunk of epochs; returns how many."""
        length = min(_chunk_length(self.config.epochs), self.config.epochs - self.epoch)
        epochs = np.arange(self.epoch + 1, self.epoch + length + 1, dtype=np.int32)
        keep = bool(np.isin(epochs, self.wanted).any() and self._snapshot_places().size)
        training, (metrics, vectors) = _advance(
            self.program, self.shared, self.training, self._inputs(), epochs, keep
        )
        metrics = Metrics(*map(np.asarray, metrics))
        for name in Metrics._fields:
            self._keep(name, getattr(metrics, name), slice(self.epoch, self.epoch + length))
        if keep:
            self._keep_snapshots(epochs, np.asarray(vectors))
        self.training, self.epoch = training, self.epoch + length
        return length

    def finish_wave(self) -> None:
        params = self.training.state.params
        self._keep("embedding", params["embedding"]["embedding"])
        self._keep("kernel", params["dense"]["kernel"])
        self._keep("bias", params["dense"]["bias"])
        self._keep("diverged", self.training.diverged)
        self.wave, self.epoch, self.training = self.wave + 1, 0, None

    def _keep(self, name, values, columns=slice(None)) -> None:
        size = self.wave_size
        rows = self.results[name][self.places[:size]]
        if rows.ndim > 1:
            rows[:, columns] = np.asarray(values)[:size]
        else:
            rows[:] = np.asarray(values)[:size]
        self.results[name][self.places[:size]] = rows

    def _snapshot_places(self) -> np.ndarray:
        places = self.places[: self.wave_size]
        return places[places < len(self.results["snapshots"])]

    def _keep_snapshots(self, epochs, vectors) -> None:
        places = self._snapshot_places()
        frames = np.flatnonzero(np.isin(self.wanted, epochs))
        chosen = np.isin(epochs, self.wanted)
        self.results["snapshots"][np.ix_(places, frames)] = vectors[: len(places)][:, chosen]

    def progress(self, seconds: float, timed: int) -> SweepProgress:
        finished = min(self.wave * self.per_wave, len(self.members))
        under_way = self.wave_size * self.epoch if self.training is not None else 0
        done = finished * self.config.epochs + under_way
        rate = timed / seconds if seconds > 0 else 0.0
        left = (len(self.members) * self.config.epochs - done) / rate if rate else None
        losses = self.results["loss"]
        last = losses[np.isfinite(losses).any(axis=1)]
        latest = [row[np.isfinite(row)][-1] for row in last]
        return SweepProgress(
            done=done,
            total=len(self.members) * self.config.epochs,
            members_done=finished,
            members=len(self.members),
            epoch=self.epoch or self.config.epochs,
            epochs=self.config.epochs,
            loss=float(np.median(latest)) if latest else float("nan"),
            rate=rate,
            seconds_left=left,
        )

    def save(self, checkpoints: Checkpoints) -> None:
        leaves = [] if self.training is None else jax.device_get(jax.tree.leaves(self.training))
        arrays = {
            "results": self.results,
            "training": {f"{place:04d}": leaf for place, leaf in enumerate(leaves)},
        }
        step = self.wave * (self.config.epochs + 1) + self.epoch
        place = {"wave": self.wave, "epoch": self.epoch, "per_wave": self.per_wave}
        checkpoints.save(step, arrays, place)

    def restore(self, checkpoints: Checkpoints | None) -> None:
        found = None if checkpoints is None else checkpoints.restore()
        if found is None:
            return
        _, arrays, place = found
        self.results = {name: np.array(values) for name, values in arrays["results"].items()}
        devices = self.program.mesh.size
        if place["per_wave"] % devices:
            raise InputError(
                f"the checkpoint holds waves of {place['per_wave']} members, which {devices} "
                "devices cannot share: resume on as many devices as before, or start over"
            )
        # Which members a wave holds must stay as it was, also where another cut would fit now.
        self.wave, self.epoch, self.per_wave = place["wave"], place["epoch"], place["per_wave"]
        leaves = [leaf for _, leaf in sorted(arrays["training"].items())]
        if leaves:
            shapes = jax.eval_shape(
                functools.partial(_start, self.program), self.shared, self._inputs()
            )
            self.training = self._sharded(jax.tree.unflatten(jax.tree.structure(shapes), leaves))

    def result(self) -> SweepResult:
        found = self.results
        for place, member in enumerate(self.members):
            if found["embedding"][place, :, member.dim :].any():
                raise AssertionError(f"a padded column of member {member} did not stay zero")
        initial = heads.effective_kernel(found["initial_kernel"], self.config.head, jnp)
        return SweepResult(
            config=self.config,
            members=self.members,
            params={
                "embedding": {"embedding": found["embedding"]},
                "dense": {"kernel": found["kernel"], "bias": found["bias"]},
            },
            initial_kernel=np.asarray(initial)[:, 0, 0],
            loss=found["loss"],
            mse=found["mse"],
            diverged=found["diverged"],
            epoch=self.wanted.astype(np.int32),
            snapshots=found["snapshots"],
        )
