"""How a sweep is cut so that it fits into memory: members per batch, and how many run at once."""

from __future__ import annotations

from typing import NamedTuple

import jax

from colour_embed.config import Config, InputError
from colour_embed.engine.start import init_training
from colour_embed.engine.state import member_keys

BATCH_PER_CORE = 16
"""Members that a CPU core trains in one batch: enough to hide the host, few to show progress."""

LAST_PER_CORE = 64
"""Members that a CPU core trains members-last: of more, a step's arrays outgrow its cache."""

_LAST_MULTIPLE = 8  # more than half of it take longer than as many as fill the vectors

BATCH_PER_ACCELERATOR = 4096
"""Members that a GPU or TPU trains at once; it is bound by launches, so width costs little."""


class MemoryPlan(NamedTuple):
    """How a sweep is cut.

    Attributes:
        per_device: Members of a batch on each device.
        width: How many of them are under way at once.
        members_last: Whether they are trained in the layout `members_last`.
        host_bytes: Bytes of the results on the host.
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
    accelerator: bool = False,
    max_bytes: int | None = None,
) -> MemoryPlan:
    """Cut a sweep so that it stays under a bound, before anything is compiled.

    The estimate counts, for each member of a batch, its training state twice (before and after a
    chunk) and what a chunk stacks; for each member under way, its order and its pairs; and on the
    host the results of all members. The runtime's own few hundred megabytes come on top.

    Args:
        config: Of the members; its dim is the largest of theirs.
        items: Number of items.
        pairs: Number of pairs.
        members: How many members there are.
        chunk: Epochs between two visits of the host.
        members_last: Whether the members may be trained in that layout.
        draws_labels: Whether each member draws its labels.
        draws_pairs: Whether each member draws its pairs.
        snapshots: Members whose snapshots are kept.
        frames: Snapshots of each.
        devices: How many devices share the members.
        accelerator: Whether they are not CPUs.
        max_bytes: The bound; None is none.

    Raises:
        InputError: not even one member on each device fits.
    """
    members_last = members_last and not accelerator and members > devices
    table = 4 * items * config.dim
    state = 2 * _bytes_of_training(config, items)
    kept = chunk * (8 + (table if snapshots else 0))
    drawn = 4 * pairs * (draws_pairs * 3 + draws_labels + 1)
    # A step's own arrays: its rows, their gradient, the scattered gradient and the updates.
    in_a_step = 8 * config.batch_size * config.dim * 4 + 4 * table
    host = members * (table + 8 + 8 * config.epochs) + snapshots * frames * table
    fixed = host + 12 * pairs + 2 * kept * snapshots
    most = -(-members // devices)
    if accelerator:
        most = min(most, BATCH_PER_ACCELERATOR)
    elif members_last:
        if most > _LAST_MULTIPLE // 2:
            most = -(-most // _LAST_MULTIPLE) * _LAST_MULTIPLE
        most = min(most, LAST_PER_CORE)
    else:
        most = min(most, BATCH_PER_CORE)
    total = 0
    for per_device in sorted({most >> halvings for halvings in range(13)} - {0}, reverse=True):
        width = per_device if accelerator or members_last else 1
        orders = 1 if members_last else width
        device = per_device * (state + kept) + width * in_a_step + orders * drawn + 12 * pairs
        # A CPU's devices share the host's memory; an accelerator has its own.
        total = fixed + devices * device if not accelerator else max(fixed, device)
        if max_bytes is None or total <= max_bytes:
            return MemoryPlan(per_device, width, members_last, fixed, device)
    allowed = 0 if max_bytes is None else max_bytes
    raise InputError(
        f"one member on each of {devices} devices needs {total / 1e6:.0f} MB and more than the "
        f"{allowed / 1e6:.0f} MB allowed: allow more, or sweep fewer members or dimensions"
    )


def _bytes_of_training(config: Config, items: int) -> int:
    """Bytes of one member's parameters and optimiser state."""
    shapes = jax.eval_shape(
        lambda: init_training(config, items, member_keys(0), config.hyperparams())
    )
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes))
