"""The memory plan of a sweep: members per batch, and how many of them are vmapped."""

from __future__ import annotations

from typing import NamedTuple

import jax

from colour_embed.config import Config, InputError
from colour_embed.engine.layouts import lanes_for
from colour_embed.engine.start import init_training
from colour_embed.engine.state import member_keys

BATCH_PER_CORE = 16
"""Members per batch and CPU core: enough to hide host overhead, few enough to report progress."""

LAST_PER_CORE = 64
"""Members per batch and CPU core in `members_last`."""

BATCH_PER_ACCELERATOR = 4096
"""Members per batch on a GPU or TPU, whose time is bound by kernel launches, not by width."""


class MemoryPlan(NamedTuple):
    """The batch sizes of a sweep and its memory.

    Attributes:
        per_device: Members of a batch on each device.
        width: How many of them are vmapped at a time.
        members_last: Whether they are trained in the layout `members_last`.
        host_bytes: Bytes on the host.
        device_bytes: Bytes on each device.
    """

    per_device: int
    width: int
    members_last: bool
    host_bytes: int
    device_bytes: int


def plan_memory(
    config: Config,
    items: int,
    pairs: int,
    members: int,
    *,
    chunk: int,
    members_last: bool = False,
    draws_labels: bool = False,
    draws_pairs: bool = False,
    snapshots: int = 0,
    frames: int = 0,
    devices: int = 1,
    shards: int = 1,
    accelerator: bool = False,
    stopping: bool = False,
    max_bytes: int | None = None,
) -> MemoryPlan:
    """Return the largest batches whose estimated memory stays under a bound; compiles nothing.

    The estimate counts, for each member of a batch, its training state twice (before and after a
    chunk) and a chunk's stacked outputs; for each vmapped member, its order and its pairs; and on
    the host the results of all members. The JAX runtime takes a few hundred megabytes more.

    Args:
        config: The members' shared config, with the largest of their dims.
        items: Number of items.
        pairs: Number of pairs.
        members: Number of members.
        chunk: Epochs per call of the device program.
        members_last: Whether the members may be trained in that layout.
        draws_labels: Whether each member draws its labels.
        draws_pairs: Whether each member draws its pairs.
        snapshots: Number of members whose snapshots are kept.
        frames: Snapshots per member.
        devices: Number of devices that the members are sharded over.
        shards: Number of devices that each table is sharded over.
        accelerator: Whether the devices are not CPUs.
        stopping: Whether members stop early, and so keep the parameters of their best evaluation.
        max_bytes: The bound; None for no bound.

    Raises:
        InputError: not even one member on each device fits.
    """
    # With early stopping members leave, and the bits of one do not depend on the others.
    members_last = members_last and (stopping or members > devices)
    table = 4 * items * config.dim
    state = 2 * _bytes_of_training(config, items) + stopping * table
    kept = chunk * (8 + (table if snapshots and not stopping else 0))
    drawn = 4 * pairs * (draws_pairs * 3 + draws_labels + 1)
    # A step's own arrays: its rows, their gradient, the scattered gradient and the updates.
    in_a_step = 8 * config.batch_size * config.dim * 4 + 4 * table / shards
    host = members * (table + 8 + 8 * config.epochs) + snapshots * frames * table
    fixed = host + 12 * pairs + 2 * kept * snapshots
    most = -(-members // devices)
    if accelerator:
        most = min(most, BATCH_PER_ACCELERATOR)
    else:
        most = min(most, LAST_PER_CORE if members_last else BATCH_PER_CORE)
    total = 0
    for per_device in sorted({most >> halvings for halvings in range(13)} - {0}, reverse=True):
        width = per_device if accelerator else 1
        if members_last:
            width = per_device if accelerator else lanes_for(per_device)
            per_device = -(-per_device // width) * width
        orders = 1 if members_last else width
        of_members = per_device * (state + kept) / shards + width * in_a_step
        device = round(of_members) + orders * drawn + 12 * pairs
        # A CPU's devices share the host's memory; an accelerator has its own.
        total = fixed + devices * shards * device if not accelerator else max(fixed, device)
        if max_bytes is None or total <= max_bytes:
            return MemoryPlan(per_device, width, members_last, fixed, device)
    allowed = 0 if max_bytes is None else max_bytes
    raise InputError(
        f"one member on each of {devices} devices needs {total / 1e6:.0f} MB and more than the "
        f"{allowed / 1e6:.0f} MB allowed: allow more, or sweep fewer members or dimensions"
    )


def _bytes_of_training(config: Config, items: int) -> int:
    """Return the bytes of one member's parameters and optimiser state."""
    shapes = jax.eval_shape(
        lambda: init_training(config, items, member_keys(0), config.hyperparams())
    )
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes))
