"""The processes of a job: arrays over the devices of all, and what they agree on.

In a job of one process these are plain calls. In a larger one every process must make the same
calls in the same order.
"""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Sharding

from colour_embed.config import InputError

Value = TypeVar("Value")

GATHERED_BYTES = 2**26
"""The most bytes of an array that are gathered on each device at a time."""


def placed(tree: Any, shardings: Any) -> Any:
    """Return arrays that every process holds as arrays on the devices of all.

    Args:
        tree: Arrays.
        shardings: One for all of them, or a tree of one for each.
    """
    if isinstance(shardings, Sharding):
        shardings = jax.tree.map(lambda _: shardings, tree)

    def place(leaf, sharding):
        if sharding.is_fully_addressable:
            return jax.device_put(leaf, sharding)
        whole = np.asarray(leaf)
        return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])

    return jax.tree.map(place, tree, shardings)


def on_host(tree: Any) -> Any:
    """Return arrays as NumPy arrays, those that are sharded over several processes whole."""

    def fetch(leaf):
        if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
            return _in_pieces(leaf, lambda piece: multihost_utils.process_allgather(piece, True))
        return np.asarray(leaf)

    return jax.tree.map(fetch, tree)


def _in_pieces(leaf: Any, gather: Callable[[Any], np.ndarray]) -> np.ndarray:
    """Return a gathered array; of a large one no device holds more than a piece at a time."""
    if leaf.nbytes <= GATHERED_BYTES:
        return gather(leaf)
    axis = int(np.argmax(leaf.shape))
    length, before = leaf.shape[axis], (slice(None),) * axis
    step = max(1, GATHERED_BYTES * length // leaf.nbytes)
    starts = range(0, length, step)
    pieces = [gather(leaf[(*before, slice(first, first + step))]) for first in starts]
    return np.concatenate(pieces, axis=axis)


def leads() -> bool:
    """Return whether this is process 0, which alone reads and writes the files of a job."""
    return jax.process_index() == 0


def broadcast(content: bytes) -> bytes:
    """Return the bytes that process 0 gives, in every process."""
    if jax.process_count() == 1:
        return content
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(content))))
    given = np.resize(np.frombuffer(content or b"\0", np.uint8), size)
    # Bytes come back as a sum over the processes, of a wider type.
    return np.asarray(multihost_utils.broadcast_one_to_all(given), np.uint8).tobytes()


def agreed(find: Callable[[], Value]) -> Value:
    """Return what `find` returns in process 0, a JSON value, in every process.

    Raises:
        InputError: `find` raised it in process 0.
    """
    if jax.process_count() == 1:
        return find()
    found: dict[str, Any] = {}
    if leads():
        try:
            found = {"value": find()}
        except InputError as error:
            found = {"error": str(error)}
    found = json.loads(broadcast(json.dumps(found).encode()))
    if "error" in found:
        raise InputError(found["error"])
    return found["value"]


@contextlib.contextmanager
def interrupts() -> Iterator[Callable[[], bool] | None]:
    """Yield a function that returns whether any process was sent SIGINT or SIGTERM since.

    While the block runs in a job of several processes, these signals are noted and do not raise
    KeyboardInterrupt, since a process that left alone would leave the others waiting. A second
    signal raises it. In a job of one process None is yielded, and signals raise as ever.
    """
    if jax.process_count() == 1:
        yield None
        return
    noted = False
    kinds = (signal.SIGINT, signal.SIGTERM)

    def note(number: int, _: Any) -> None:
        nonlocal noted
        noted = True
        for kind in kinds:
            signal.signal(kind, signal.default_int_handler)

    before = [signal.signal(kind, note) for kind in kinds]
    try:
        yield lambda: bool(multihost_utils.process_allgather(np.int32(noted)).any())
    finally:
        for kind, handler in zip(kinds, before):
            signal.signal(kind, handler)
