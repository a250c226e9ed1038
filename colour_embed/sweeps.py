"""Sweeps: grids of trainings over seeds, dimensions and hyperparameters in one program.

A member is one training of the grid. All members run in one compiled program, sharded over the
devices of all processes of the job. On a device they are mapped or vmapped over
`train.train_epochs`, or, if they take the same batches, trained in the layout `members_last`; on a
GPU the kernel of `engine.blocks` trains those that it can. Members of fewer dimensions are padded
with zero columns, which have zero gradient and stay zero. The host runs the grid in member batches
and chunks of epochs, which bounds memory and allows progress reports and checkpoints.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jax.typing import ArrayLike

from colour_embed.config import Config, Hyperparams, InputError, Stopping
from colour_embed.data import Pairs
from colour_embed.engine import blocks, job
from colour_embed.engine.batches import (
    DevicePairs,
    PackedPairs,
    can_pack,
    device_pairs,
    epoch_codes,
    in_parts,
)
from colour_embed.engine.bootstrap import pair_ids, poisson_weights
from colour_embed.engine.checkpoint import Checkpoints
from colour_embed.engine.compilation import ALL_CORES
from colour_embed.engine.driver import drive
from colour_embed.engine.layouts import LANES, Layout, lanes_for, layout_of, members_last
from colour_embed.engine.loss import cross_entropy
from colour_embed.engine.members import MemberRun, Programs
from colour_embed.engine.memory import MemoryPlan, plan_memory
from colour_embed.engine.optimizers import KERAS_ADAM, LAZY_ADAM, make_optimizer, masked
from colour_embed.engine.schedule import snapshot_epochs
from colour_embed.engine.start import init_training, training_from
from colour_embed.engine.state import MemberKeys, member_keys
from colour_embed.engine.stopping import ReplayRun, Rhythm, StoppedRun
from colour_embed.heads import HEADS
from colour_embed.model import Params, embedding_vectors, logits
from colour_embed.runs import Progress, SweepResult
from colour_embed.train import run_epochs

VARY = ("init", "order", "labels", "pairs", "bootstrap")
"""What a member's seed may determine; the rest is determined by the seed of the shared config."""

CHUNK = 100
"""The most epochs per call of the device program."""

_AXIS, _ITEMS = "members", "items"  # of a mesh of devices

_EVALUATED_AT_ONCE = 16  # members on an accelerator, which bounds memory
_TRIED_PAIRS, _LEAST_SIMILAR = 10_000, 1e-3  # by which the scale of the truth is checked


def grid(
    config: Config,
    seeds: Sequence[int],
    dims: Sequence[int],
    axes: Mapping[str, Sequence[float]] | None = None,
) -> list[Config]:
    """Return the configs of all members of a grid, ordered by dimension, seed and further axes.

    Args:
        config: The shared config.
        seeds: The seeds of the grid.
        dims: The dimensions of the grid.
        axes: Further axes, by the name of a hyperparameter, such as "learning_rate".

    Raises:
        InputError: an axis is empty, has repeated values or is not a hyperparameter, or a value is
            out of range.
    """
    axes = dict(sorted((axes or {}).items()))
    for name in axes:
        if name not in Hyperparams._fields:
            raise InputError(
                f"{name!r} cannot be swept in one program: give one of "
                f"{', '.join(Hyperparams._fields)}"
            )
    seeds, dims = _whole("seeds", seeds), _whole("dims", dims)
    for name, values in {"seeds": seeds, "dims": dims, **axes}.items():
        if len(values) == 0 or len(set(values)) < len(values):
            raise InputError(f"{name}: give at least one value, and none twice")
    return [
        dataclasses.replace(config, seed=seed, dim=dim, **dict(zip(axes, map(float, values))))
        for dim, seed, *values in itertools.product(dims, seeds, *axes.values())
    ]


def _whole(name: str, values: Sequence[int]) -> list[int]:
    """Return integers of any integer type as Python's."""
    try:
        return [operator.index(value) for value in values]
    except TypeError:
        raise InputError(
            f"{name} are {list(values)}: give whole numbers, such as 0 and 1"
        ) from None


def sweep(
    config: Config,
    items: int,
    pairs: Pairs,
    seeds: Sequence[int],
    dims: Sequence[int],
    *,
    truth: np.ndarray | None = None,
    axes: Mapping[str, Sequence[float]] | None = None,
    vary: Sequence[str] = ("init", "order"),
    snapshots: int = 0,
    schedule: str | Sequence[int] = "tutorial",
    stopping: Stopping | None = None,
    held_out: Pairs | None = None,
    devices: Sequence[Any] | None = None,
    shard_items: bool = False,
    max_bytes: int | None = None,
    report: Callable[[Progress], None] | None = None,
    checkpoints: Checkpoints | None = None,
    checkpoint_every: int = 4,
) -> SweepResult:
    """Train all members of a grid.

    The result of a member depends on its seed, dimension and hyperparameters. It does not depend on
    the other members, their order, the padding, the devices, or the sizes of batches and chunks.

    Args:
        config: The shared config; its seed determines whatever `vary` does not list.
        items: Number of items.
        pairs: index [N, 2] and label [N]; the labels are not used if they are drawn per member.
        seeds: The seeds of the grid.
        dims: The dimensions of the grid.
        truth: float64 [items, k], the coordinates whose distances determine the labels; required
            if labels or pairs are drawn per member.
        axes: Further axes, by the name of a hyperparameter, such as "learning_rate".
        vary: What a member's seed determines, of `VARY`: "init", the initial parameters; "order",
            the order of the pairs; "labels", the draw of the labels; "pairs", the draw of the
            pairs; "bootstrap", the weight of each distinct pair, drawn from Poisson(1).
        snapshots: The number of members, from the first on, whose snapshots are kept.
        schedule: The epochs of the snapshots; see `snapshot_epochs`. With early stopping there is
            one for every half of the interval between two evaluations.
        stopping: The early stopping rule, by which each member drops its learning rate and stops;
            `config.epochs` is then not used. None: all members train for `config.epochs`.
        held_out: Pairs whose loss the rule compares; without them that of the training pairs, which
            must then be the same for all members.
        devices: The devices to run on; by default all devices of all processes of the job, which
            must then all make this call.
        shard_items: Shard the rows of each embedding, and of the optimiser's memory, over the
            devices, in place of the members: for tables that are too large for one device.
        max_bytes: Bound on the memory that `plan_memory` estimates.
        report: Called after each chunk, such as `print`.
        checkpoints: Where to save finished members and those in training. Members that it already
            holds, identified by their config, are loaded.
        checkpoint_every: Chunks between two saves.

    Returns:
        All members; see `SweepResult`.

    Raises:
        InputError: the grid is invalid, the pairs or the truth do not fit it, or it needs more
            memory than allowed.

    Example:
        >>> import colour_embed as ce
        >>> colours = ce.load_colours("css4")
        >>> pairs = ce.tutorial_pairs(colours, 1000)
        >>> result = ce.sweep(ce.Config(epochs=2), len(colours), pairs, seeds=range(3), dims=[2])
        >>> result.loss.shape
        (3, 2)
    """
    run = start_sweep(
        *(config, items, pairs, grid(config, seeds, dims, axes)),
        swept=tuple(axes or ()),
        truth=truth,
        vary=vary,
        snapshots=snapshots,
        schedule=schedule,
        stopping=stopping,
        held_out=held_out,
        devices=devices,
        shard_items=shard_items,
        max_bytes=max_bytes,
    )
    if checkpoints is not None:
        run.restore(checkpoints)
    finish_sweep(run, report, checkpoint_every)
    return sweep_result(config, run)


def start_sweep(
    config: Config,
    items: int,
    pairs: Pairs,
    members: Sequence[Config],
    *,
    swept: Sequence[str] = (),
    truth: np.ndarray | None = None,
    vary: Sequence[str] = ("init", "order"),
    snapshots: int = 0,
    schedule: str | Sequence[int] = "tutorial",
    stopping: Stopping | None = None,
    held_out: Pairs | None = None,
    initial: Params | None = None,
    frozen: np.ndarray | None = None,
    segments: np.ndarray | None = None,
    devices: Sequence[Any] | None = None,
    shard_items: bool = False,
    max_bytes: int | None = None,
) -> MemberRun:
    """Return a sweep before its first step; the arguments are those of `sweep`, and:

    Args:
        members: The configs of all members, which differ in seed, dim and `swept`.
        swept: Names of the hyperparameters in which they differ.
        initial: Initial parameters of all members.
        frozen: bool [items], rows that are not updated; the head is then frozen too.
        segments: The epochs to train for, in place of `stopping`; see `ReplayRun`.
    """
    members = list(members)
    devices = list(devices or jax.devices())
    snapshots = min(snapshots, len(members))
    if stopping is None:
        rhythm = None
        wanted = snapshot_epochs(schedule if snapshots else "none", config.epochs)
    else:
        rhythm = Rhythm.of(stopping, len(pairs), config.batch_size)
        wanted = rhythm.snapshot_epochs
    plan = plan_sweep(
        *(config, items, pairs, members),
        swept=swept,
        vary=vary,
        snapshots=snapshots,
        frames=len(wanted),
        stopping=stopping is not None or segments is not None,
        frozen=frozen is not None,
        devices=devices,
        shard_items=shard_items,
        max_bytes=max_bytes,
    )
    draw_labels = _draws_labels(swept, vary)
    if stopping is not None and held_out is None and (draw_labels or "pairs" in vary):
        raise InputError(
            "early stopping evaluates the pairs given, and these members train on pairs or labels "
            "of their own: give held_out, or take labels and pairs out of vary"
        )
    if draw_labels:
        _check_truth(truth, items, pairs, max(member.label_constant for member in members))
    evaluated = pairs if held_out is None or not len(held_out) else held_out
    programs = _programs(
        *(config, items, pairs, truth, members, draw_labels, vary, devices, plan),
        swept=swept,
        evaluated=evaluated if rhythm is not None or segments is not None else None,
        initial=initial,
        frozen=frozen,
        shard_items=shard_items,
    )
    groups = 1 if shard_items else len(devices)  # of devices, each with members of its own
    given = (config.seed, items, pairs, truth, sorted(vary), tuple(swept))
    if segments is not None:
        return ReplayRun(
            *(members, programs, items),
            per_batch=plan.per_device * groups,
            segments=segments,
            chunk=_chunk_length(int(np.gcd.reduce(segments, axis=None))),
            data=_hash_of(*given, segments, initial),
        )
    if stopping is None or rhythm is None:
        return MemberRun(
            *(members, programs, items),
            per_batch=plan.per_device * groups,
            chunk=_chunk_length(config.epochs),
            columns=config.epochs,
            data=_hash_of(*given),
            wanted=wanted,
            snapshots=snapshots,
        )
    return StoppedRun(
        *(members, programs, items),
        stopping=stopping,
        rhythm=rhythm,
        held_out=evaluated is held_out,
        lanes=functools.partial(_batch_width, plan, groups),
        unit=groups * (LANES if plan.members_last else 1),
        per_batch=plan.per_device * groups,
        data=_hash_of(*given, stopping, evaluated),
        snapshots=snapshots,
    )


def finish_sweep(
    run: MemberRun, report: Callable[[Progress], None] | None = None, save_every: int = 4
) -> None:
    """Train all members of a sweep that was started."""
    with job.interrupts() as interrupted:
        for _ in drive(
            type(run).advance,
            run,
            run.schedule(),
            progress=lambda run, _: run.progress(),
            report=report,
            save=type(run).save,
            save_every=save_every,
            interrupted=interrupted,
        ):
            pass


def _batch_width(plan: MemoryPlan, devices: int, members: int) -> int:
    """Return the width of a batch with this many members, of a fixed set of widths."""
    each = -(-members // devices)
    if plan.members_last and plan.width <= LANES:
        lanes = lanes_for(each)
        return devices * -(-each // lanes) * lanes
    return devices * min(1 << (each - 1).bit_length(), plan.per_device)


def plan_sweep(
    config: Config,
    items: int,
    pairs: Pairs,
    members: Sequence[Config],
    *,
    swept: Sequence[str] = (),
    vary: Sequence[str] = ("init", "order"),
    snapshots: int = 0,
    frames: int = 0,
    stopping: bool = False,
    frozen: bool = False,
    devices: Sequence[Any],
    shard_items: bool = False,
    max_bytes: int | None = None,
) -> MemoryPlan:
    """Return the memory plan of a sweep without compiling it; see `plan_memory`.

    Raises:
        InputError: there are no members, one member per device does not fit, or `vary` holds an
            unknown name.
    """
    for name in vary:
        if name not in VARY:
            raise InputError(f"vary {name!r}: give any of {', '.join(VARY)}")
    if not members:
        raise InputError("there are no members: give at least one seed and dimension")
    if not vary and len({member.seed for member in members}) > 1:
        raise InputError(
            "vary is empty, so members of different seeds would be copies of one another: give "
            f"some of {', '.join(VARY)}, or one seed"
        )
    return plan_memory(
        dataclasses.replace(config, dim=max(member.dim for member in members)),
        items,
        len(pairs),
        len(members),
        chunk=_chunk_length(config.epochs),
        members_last=_see_the_same(config, swept, vary) and not frozen and not shard_items,
        draws_labels="labels" in vary,
        draws_pairs="pairs" in vary,
        snapshots=snapshots,
        frames=frames,
        devices=1 if shard_items else len(devices),
        shards=len(devices) if shard_items else 1,
        accelerator=devices[0].platform != "cpu",
        stopping=stopping,
        max_bytes=max_bytes,
    )


def training_pairs(items: int, pairs: Pairs, member: Config, vary: Sequence[str]) -> np.ndarray:
    """Return a member's training pairs, int32 [N, 2]: those given, or its own if they vary."""
    if "pairs" not in vary:
        return pairs.index
    keys = member_keys(np.uint32(member.seed))
    return np.asarray(_drawn_ids(keys, len(pairs), items)).T


def training_labels(index: np.ndarray, member: Config, truth: np.ndarray) -> np.ndarray:
    """Return the labels, float32 [N], that a member of a sweep with drawn labels has.

    Args:
        index: int32 [N, 2], the member's training pairs; see `training_pairs`.
        member: Its seed draws the labels, by its `label_constant`.
        truth: float64 [items, k], as in `sweep`.
    """
    keys = member_keys(np.uint32(member.seed))
    first, second = jnp.asarray(index.T)
    return np.asarray(
        _drawn_labels(keys, jnp.asarray(truth, jnp.float32), first, second, member.label_constant)
    )


def _drawn_labels(keys: MemberKeys, truth: Array, first: Array, second: Array, constant: Any):
    """Label pairs by the tutorial's rule, diff < c u^2 with u uniform, [N]."""
    diff = jnp.mean((truth[first] - truth[second]) ** 2, axis=1)
    uniform = jax.random.uniform(keys.labels, first.shape, jnp.float32)
    return (diff < constant * uniform**2).astype(jnp.float32)


def _check_truth(truth: np.ndarray | None, items: int, pairs: Pairs, constant: float) -> None:
    """Check the coordinates that labels are drawn from."""
    if truth is None:
        raise InputError("labels cannot be drawn anew without the truth: give truth")
    truth = np.asarray(truth)
    if truth.ndim != 2 or len(truth) != items:
        raise InputError(f"truth has the shape {truth.shape}: give a row for each of {items} items")
    if not np.isfinite(truth).all():
        raise InputError("truth has values that are NaN or infinite: give finite coordinates")
    first, second = truth[pairs.index[:_TRIED_PAIRS].T]
    diff = np.mean((first - second) ** 2, axis=1)
    if (diff[diff > 0] < constant).mean() < _LEAST_SIMILAR:
        raise InputError(
            f"truth has values from {truth.min():g} to {truth.max():g}, by which nearly no pair "
            f"would be similar: give coordinates whose squared distances compare with "
            f"label_constant, {constant:g}, such as RGB in 0..1"
        )


def _draws_labels(swept: Sequence[str], vary: Sequence[str]) -> bool:
    """Return whether labels are drawn in the program, per member, and not taken from `pairs`."""
    return bool({"labels", "pairs"} & set(vary)) or "label_constant" in swept


def _see_the_same(config: Config, swept: Sequence[str], vary: Sequence[str]) -> bool:
    """Return whether all members take the same batches, with an optimiser that has lanes."""
    same_batches = "order" not in vary and not _draws_labels(swept, vary)
    return same_batches and config.optimizer == KERAS_ADAM


def _hash_of(*parts: Any) -> str:
    """Return a hash of values, arrays and pairs: what members depend on beside their config."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Pairs):
            part = _hash_of(part.index, part.label, part.weight)
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype} {part.shape}".encode() + part.tobytes())
        else:
            digest.update(repr(part).encode())
    return digest.hexdigest()


def _chunk_length(epochs: int) -> int:
    """Return the largest divisor of `epochs` in (CHUNK / 4, CHUNK], else at most CHUNK."""
    for length in range(min(CHUNK, epochs), CHUNK // 4, -1):
        if epochs % length == 0:
            return length
    return max(1, min(CHUNK, epochs))


# --------------------------------------------------------------------------------------------------
# The program


class _Inputs(NamedTuple):
    """The vmapped arguments, each with a leading member axis."""

    seed: ArrayLike
    dim: ArrayLike
    hyperparams: Hyperparams


class _Shared(NamedTuple):
    """The arguments shared by all members: the config's seed, the given pairs, and the truth.

    `frozen` is bool [items], or None where all rows are trained.
    """

    seed: ArrayLike
    pairs: DevicePairs
    truth: Any
    frozen: Any


class _Program(NamedTuple):
    """The static arguments of the compiled program; hashable, as jit requires.

    `mesh` has the axis "members", or "items" where each table is sharded. `rows` counts the rows of
    a table: the items, and as many more as its shards need to be of one size. `own` names the
    hyperparameters in which members of `members_last` may differ.
    """

    config: Config
    items: int
    vary: frozenset[str]
    draw_labels: bool
    pack: bool
    members_last: bool
    width: int
    mesh: Mesh
    rows: int
    own: frozenset[str] = frozenset()


def _keys(program: _Program, seed: ArrayLike, base_seed: ArrayLike) -> MemberKeys:
    """Return a member's keys: from its own seed for what varies, else from the config's seed."""
    own, base = member_keys(seed), member_keys(base_seed)
    chosen = (name in program.vary for name in MemberKeys._fields)
    return MemberKeys(*(a if vary else b for a, b, vary in zip(own, base, chosen)))


def _drawn_ids(keys: MemberKeys, count: int, items: int) -> Array:
    return jax.random.randint(keys.pairs, (2, count), 0, items, jnp.int32)


def _member_pairs(
    program: _Program, shared: _Shared, keys: MemberKeys, constant: Array
) -> DevicePairs | PackedPairs:
    """Return one member's training pairs: those given, or drawn by the tutorial's rule."""
    first, second, label, weight = shared.pairs
    if "pairs" in program.vary:
        first, second = _drawn_ids(keys, len(label), program.items)
    if program.draw_labels:
        label = _drawn_labels(keys, shared.truth, first, second, constant)
    pairs = DevicePairs(first, second, label, weight)
    return PackedPairs.of(pairs) if program.pack else pairs


def _over_members(program: _Program, function, shared, *arguments):
    """Map function(shared, *member_arguments) over all members, in vmaps of `width`."""

    def on_one_device(shared, *local):
        return jax.lax.map(lambda one: function(shared, *one), local, batch_size=program.width)

    return _over_devices(program, on_one_device, shared, *arguments)


def _over_lanes(program: _Program, function, shared, *arguments):
    """Map function(shared, *arguments of `width` members) over all members."""

    def on_one_device(shared, *local):
        lanes = jax.tree.map(lambda leaf: leaf.reshape(-1, program.width, *leaf.shape[1:]), local)
        found = jax.lax.map(lambda one: function(shared, *one), lanes)
        return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), found)

    return _over_devices(program, on_one_device, shared, *arguments)


def _over_devices(program: _Program, function, shared, *arguments):
    """Map function(shared, *device_arguments) over the devices, sharded along the member axis.

    Where the items are sharded, all devices run one program, which the compiler divides.
    """
    if program.mesh.axis_names == (_ITEMS,):
        found = function(shared, *arguments)
        return jax.lax.with_sharding_constraint(found, _shardings(program, found))
    members = PartitionSpec(_AXIS)
    return jax.shard_map(
        function,
        mesh=program.mesh,
        in_specs=(PartitionSpec(), *(members for _ in arguments)),
        out_specs=members,
        check_vma=False,
    )(shared, *arguments)


def _shardings(program: _Program, tree: Any) -> Any:
    """Return the sharding of each array of members: the rows of a table over the axis "items"."""

    def sharding(leaf):
        axes = [_ITEMS if size == program.rows else None for size in leaf.shape[1:]]
        first = axes.index(_ITEMS) if _ITEMS in axes else len(axes)
        return NamedSharding(program.mesh, PartitionSpec(None, *axes[: first + 1]))

    if program.mesh.axis_names == (_ITEMS,):
        return jax.tree.map(sharding, tree)
    return jax.tree.map(lambda _: NamedSharding(program.mesh, PartitionSpec(_AXIS)), tree)


@functools.partial(jax.jit, static_argnames="program")
def _start(program: _Program, shared: _Shared, inputs: _Inputs):
    def one(shared, inputs):
        keys = _keys(program, inputs.seed, shared.seed)
        return init_training(program.config, program.rows, keys, inputs.hyperparams, dim=inputs.dim)

    return _over_members(program, one, shared, inputs)


@functools.partial(jax.jit, static_argnames=("program", "keep"), compiler_options=ALL_CORES)
def _advance(program: _Program, shared: _Shared, training, inputs: _Inputs, epochs, keep):
    config = program.config

    def transform(training, metrics):
        return metrics, embedding_vectors(config, training.state.params) if keep else None

    def train(given, training, inputs, layout_for):
        shared, epochs = given
        optimizer = None
        if shared.frozen is not None and config.optimizer != LAZY_ADAM:
            optimizer = masked(make_optimizer(config, inputs.hyperparams), shared.frozen)
        layout = layout_for(training.state, optimizer)
        if "bootstrap" in program.vary:
            layout = _bootstrapped(program, layout, inputs.seed)
        keys = _keys(program, jnp.ravel(inputs.seed)[0], shared.seed)
        pairs = _member_pairs(program, shared, keys, inputs.hyperparams.label_constant)
        given = inputs.hyperparams, layout, training, keys, pairs, epochs
        return run_epochs(
            config, *given, transform=transform, optimizer=optimizer, frozen=shared.frozen
        )

    def single(state, optimizer):
        return layout_of(config, state, own_optimizer=optimizer is not None)

    def one(given, training, inputs):
        return train(given, training, inputs, single)

    def all_as_one(given, training, inputs):
        # All members have the same order and pairs, and hyperparameters of their own.
        first = jax.tree.map(lambda values: values[0], inputs)
        own = {name: getattr(inputs.hyperparams, name)[None] for name in program.own}
        seed = inputs.seed[None] if "bootstrap" in program.vary else first.seed
        first = first._replace(hyperparams=first.hyperparams._replace(**own), seed=seed)
        return train(given, training, first, lambda state, _: members_last(state))

    function, over = (all_as_one, _over_lanes) if program.members_last else (one, _over_members)
    return over(program, function, (shared, epochs), training, inputs)


@functools.partial(jax.jit, static_argnames="program")
def _codes(program: _Program, shared: _Shared, inputs: _Inputs, epochs):
    """Return `epoch_codes` of each order, [epochs, orders, ...]; one if the members share it."""
    if program.members_last:
        inputs = jax.tree.map(lambda values: values[:1], inputs)

    def one(inputs):
        keys = _keys(program, inputs.seed, shared.seed)
        pairs = _member_pairs(program, shared, keys, inputs.hyperparams.label_constant)
        return epoch_codes(pairs, keys.order, epochs, program.config.batch_size)

    return jax.vmap(one, out_axes=1)(inputs)


def _bootstrapped(program: _Program, layout: Layout, seed: Array) -> Layout:
    """Return the layout with each pair of a batch weighed by its bootstrap weight."""

    def batch(batch):
        pair = pair_ids(batch.first, batch.second, program.items, jnp)
        drawn = poisson_weights(seed, pair[:, None] if program.members_last else pair, jnp)
        whole = layout.batch(batch)
        return whole._replace(weight=whole.weight * drawn.astype(jnp.float32))

    return layout._replace(batch=batch)


@functools.partial(jax.jit, static_argnames="program")
def _evaluate(program: _Program, evaluated, params):
    """Return the weighted mean loss [members]; pairs and shares are [parts, size]."""

    def one(evaluated, params):
        def add(total, part):
            pairs, share = part
            found = logits(program.config, params, pairs.first, pairs.second)
            return total + jnp.sum(share * cross_entropy(found, pairs.label)), None

        return jax.lax.scan(add, jnp.zeros(()), evaluated)[0]

    return _over_members(program, one, evaluated, params)


@functools.partial(jax.jit, static_argnames="program")
def _restart(program: _Program, params, inputs: _Inputs):
    """Return trainings from these parameters, with `opt_state` initialised anew."""

    def one(_, params, inputs):
        return training_from(program.config, params, inputs.hyperparams)

    return _over_members(program, one, None, params, inputs)


@functools.partial(jax.jit, static_argnames="config")
def _vectors(config: Config, params):
    return jax.vmap(functools.partial(embedding_vectors, config))(params)


@jax.jit
def _choose(mask: Array, one, other):
    """Return the members of the first tree where the mask is True, else of the second."""

    def chosen(one, other):
        return jnp.where(mask.reshape(-1, *[1] * (one.ndim - 1)), one, other)

    return jax.tree.map(chosen, one, other)


def _programs(
    config,
    items,
    pairs,
    truth,
    members,
    draw_labels,
    vary,
    devices,
    plan,
    *,
    swept=(),
    evaluated=None,
    initial=None,
    frozen=None,
    shard_items=False,
) -> Programs:
    """Return the device programs, with the shared arguments placed on all devices."""
    mesh = Mesh(np.array(devices), (_ITEMS if shard_items else _AXIS,))
    on_all = NamedSharding(mesh, PartitionSpec())
    groups = 1 if shard_items else len(devices)
    beyond = -items % len(devices) if shard_items else 0  # rows that make the shards of one size
    shared = _Shared(
        np.uint32(config.seed),
        device_pairs(pairs, items),
        np.zeros((items, 0), np.float32) if truth is None else np.asarray(truth, np.float32),
        None if frozen is None else np.pad(np.asarray(frozen, bool), (0, beyond)),
    )
    shared = job.placed(shared, on_all)
    program = _Program(
        config=config.static(),
        items=items,
        vary=frozenset(vary),
        draw_labels=draw_labels,
        pack=pairs.weight is None and can_pack(items, pairs.label),
        members_last=plan.members_last,
        width=plan.width,
        mesh=mesh,
        rows=items + beyond,
        own=frozenset([*swept, *(["learning_rate"] if evaluated is not None else [])]),
    )
    if evaluated is not None:
        evaluated = job.placed(in_parts(device_pairs(evaluated, items)), on_all)
    widest = max(member.dim for member in members)

    def of(batch):
        """The program of a batch, which is as wide as the batch and its largest dim need."""
        dim = widest if evaluated is None else max(member.dim for member in batch)
        width = min(plan.width, len(batch) // groups)
        return program._replace(config=dataclasses.replace(program.config, dim=dim), width=width)

    def placed(tree):
        return job.placed(tree, _shardings(program, tree))

    def inputs(batch):
        hyperparams = zip(*(member.hyperparams() for member in batch))
        found = _Inputs(
            np.array([member.seed for member in batch], np.uint32),
            np.array([member.dim for member in batch], np.int32),
            Hyperparams(*(np.array(values, np.float32) for values in hyperparams)),
        )
        return placed(found)

    def start(batch):
        if initial is None:
            return _start(of(batch), shared, inputs(batch))
        copies = jax.tree.map(lambda leaf: np.repeat(leaf[None], len(batch), axis=0), initial)
        table = copies["embedding"]["embedding"]
        copies["embedding"] = {"embedding": np.pad(table, ((0, 0), (0, beyond), (0, 0)))}
        return _restart(of(batch), placed(copies), inputs(batch))

    def evaluate(params):
        width = 1 if devices[0].platform == "cpu" else min(program.width, _EVALUATED_AT_ONCE)
        return _evaluate(program._replace(width=width), evaluated, params)

    def advance(training, batch, epochs, keep):
        program, given = of(batch), inputs(batch)
        plain = program.pack and frozen is None and "bootstrap" not in vary
        if not (plain and blocks.usable(program.config, items, devices)):
            return _advance(program, shared, training, given, epochs, keep)
        return blocks.advance(
            *(program.config, items, len(pairs)),
            functools.partial(_codes, program, shared, given),
            *(1 if program.members_last else len(batch), training, given.hyperparams, epochs, keep),
        )

    return Programs(
        start=start,
        advance=advance,
        vectors=functools.partial(_vectors, program.config),
        put=placed,
        unit=groups * (plan.width if plan.members_last else 1),
        evaluate=evaluate,
        choose=lambda mask, *trees: _choose(placed(mask), *trees),
        restart=lambda params, batch: _restart(of(batch), params, inputs(batch)),
    )


def sweep_result(config: Config, run: MemberRun) -> SweepResult:
    """Return the result of a sweep that is finished."""
    found = run.results
    for place, member in enumerate(run.members):
        if found["embedding"][place, :, member.dim :].any():
            raise AssertionError(f"a padded column of member {member} did not stay zero")
    params = {
        "embedding": {"embedding": found["embedding"]},
        "dense": {"kernel": found["kernel"], "bias": found["bias"]},
    }

    def weights(kernel):
        return np.asarray(HEADS[config.head].weight(kernel, jnp))[:, 0, 0]

    return SweepResult(
        config=config,
        members=list(run.members),
        embedding=np.asarray(run.programs.vectors(params)),
        kernel=weights(found["kernel"]),
        bias=found["bias"][:, 0],
        initial_kernel=weights(found["initial_kernel"]),
        loss=found["loss"],
        mse=found["mse"],
        diverged=found["diverged"],
        epoch=run.wanted.astype(np.int32),
        snapshots=run.snapshots,
        params=params,
        evaluations=run.evaluations() if isinstance(run, StoppedRun) else None,
    )
