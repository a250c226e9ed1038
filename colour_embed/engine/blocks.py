"""Whole epochs in one CUDA kernel: a thread block for each member, its parameters in shared memory.

XLA's program of a step is several kernels, whose launches take longer than their work in a small
training. `blocks.cu` runs all steps of an epoch in one launch. Blocks do not depend on one another
and sums do not depend on their order, so a member's bits repeat, in every sweep and at every width.

`usable` says which trainings the kernel takes. All others run XLA's program, which is the reference
of the kernel's tests.
"""

from __future__ import annotations

import functools
import importlib.util
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from colour_embed.config import Config, Hyperparams
from colour_embed.engine.optimizers import KERAS_ADAM, KerasAdamState, learning_rate_at
from colour_embed.engine.state import Metrics, Training, TrainState

SOURCE = Path(__file__).with_name("blocks.cu")

CODE_BYTES = 2**28
"""The most bytes of the ordered pairs of one launch, if it has more than one epoch."""

THREADS = 256
"""Threads of a block; of 128, 256 and 512 neither the fastest alone nor in a wide sweep."""

_BLOCKS = 4  # that a multiprocessor should hold at once, which bounds the registers of a thread
_SHARED_BYTES = 48 * 1024  # that every GPU grants a block
_LARGEST_BATCH = 16 * THREADS  # of which each thread takes 16 pairs
_LEAST_CAPABILITY = 8.0  # of a GPU that sums integers over a warp in one instruction
_HEADS = {"free": 0, "negative": 1}


def usable(config: Config, items: int, devices: list[Any]) -> bool:
    """Return whether the kernel can train this config, given packed pairs.

    It takes one NVIDIA GPU, Keras's Adam, batches of up to 4,096 pairs, and the heads free and
    negative on vectors that are not normalised. The parameters must fit the shared memory of a
    block: 646 colours in up to 6 dimensions do.
    """
    return (
        config.optimizer == KERAS_ADAM
        and config.head in _HEADS
        and not config.normalise
        and config.batch_size <= _LARGEST_BATCH
        and _shared_bytes(items * config.dim + 2) <= _SHARED_BYTES
        and len(devices) == 1
        and _can_compile(devices[0])
    )


@functools.cache
def _can_compile(device: Any) -> bool:
    if device.platform != "gpu" or "NVIDIA" not in device.device_kind:
        return False
    if float(device.compute_capability) < _LEAST_CAPABILITY:
        return False
    if importlib.util.find_spec("cuda") and importlib.util.find_spec("cuda.core"):
        return True
    warnings.warn(
        "cuda.core is not installed, so trainings run as XLA's programs, several times slower: "
        "install colour_embed[cuda13]",
        stacklevel=2,
    )
    return False


def _shared_bytes(parameters: int) -> int:
    # The parameters, both parts of their gradient, the threads' metrics, and the head's weight.
    return 4 * (3 * parameters + 2 * THREADS + 1)


def constants(config: Config, items: int) -> dict[str, int]:
    """Return the constants that `blocks.cu` is compiled with."""
    return {
        "ITEMS": items,
        "DIM": config.dim,
        "BATCH": config.batch_size,
        "BATCH_BOUND": 1 << (config.batch_size - 1).bit_length(),
        "THREADS": THREADS,
        "MIN_BLOCKS": _BLOCKS,
        "NEGATIVE": _HEADS[config.head],
    }


class Arguments(NamedTuple):
    """The arrays of a launch over e epochs; P is items * dim + 2 and S the steps of an epoch.

    Attributes:
        state: float32 [members, 3, P], changed in place: the embedding by rows, the head's kernel
            and bias; then Adam's means of their gradients; then those of the squared gradients.
        diverged: int32 [members], changed in place, as in `Training`.
        adam: float32 [members, 3]: beta1, beta2, epsilon.
        rates: float32 [members, e * S], learning rates with Adam's bias correction.
        codes: uint32 [e, orders, S * batch_size], `PackedPairs` in the order of training; `orders`
            is the number of members, or 1 if all take the same.
        metrics: float32 [members, e, 2], written: `Metrics` of each epoch.
        kept: float32 [members, e, items * dim], written: the embedding after each epoch. If it
            should not be kept, any array.
    """

    state: Any
    diverged: Any
    adam: Any
    rates: Any
    codes: Any
    metrics: Any
    kept: Any


def advance(
    config: Config,
    items: int,
    count: int,
    codes: Callable[[Array], Array],
    orders: int,
    training: Training,
    hyperparams: Hyperparams,
    epochs: np.ndarray,
    keep: bool,
) -> tuple[Training, tuple[Metrics, Array | None]]:
    """Train members for some epochs by the kernel.

    Args:
        config: Of all members; their hyperparameters are given apart.
        items: Number of items.
        count: Number of pairs.
        codes: epochs int32 [e] -> `Arguments.codes` of these epochs.
        orders: Number of orders in `codes`: 1, or the number of members.
        training: Of all members, with a leading member axis.
        hyperparams: Each [members].
        epochs: int32 [E], consecutive.
        keep: Whether the embedding after each epoch is returned.

    Returns:
        The training after the last epoch, the metrics [members, E], and the embeddings
        [members, E, items, dim] or None.
    """
    members, steps = len(training.diverged), -(-count // config.batch_size)
    # An epoch's pairs are 4 bytes each, once for all members or for each.
    length = max(1, min(len(epochs), CODE_BYTES // (4 * orders * steps * config.batch_size)))
    parts = [epochs[first : first + length] for first in range(0, len(epochs), length)]
    state, diverged, adam = _pack(training, hyperparams)
    found, first_step = [], training.state.opt_state.count
    ordered = codes(jnp.asarray(parts[0]))
    for number, part in enumerate(parts):
        done = number * length * steps
        size = len(part)
        made = _prepare(
            hyperparams, first_step + done, size, size * steps, items * config.dim, keep
        )
        arguments = Arguments(state, diverged, adam, made[0], ordered, *made[1:])
        jax.block_until_ready(arguments)
        if number + 1 < len(parts):  # the order of the next epochs is computed meanwhile
            ordered = codes(jnp.asarray(parts[number + 1]))
        launch_on_gpu(constants(config, items), arguments, count, int(part[0]), keep)
        found.append(arguments[-2:])
    metrics, kept = (
        each[0] if len(each) == 1 else jnp.concatenate(each, axis=1) for each in zip(*found)
    )
    after = _unpack(training, state, diverged, int(epochs[0]), len(epochs), steps)
    vectors = kept.reshape(members, len(epochs), items, config.dim) if keep else None
    return after, (Metrics(metrics[..., 0], metrics[..., 1]), vectors)


@jax.jit
def _pack(training: Training, hyperparams: Hyperparams) -> tuple[Array, Array, Array]:
    opt_state = training.state.opt_state

    def flat(params):
        leaves = (
            params["embedding"]["embedding"],
            params["dense"]["kernel"],
            params["dense"]["bias"],
        )
        return jnp.concatenate([leaf.reshape(len(leaf), -1) for leaf in leaves], axis=1)

    diverged = jnp.array(training.diverged, copy=True)  # since the kernel writes into it
    trees = training.state.params, opt_state.mean, opt_state.mean_square
    adam = hyperparams.beta1, hyperparams.beta2, hyperparams.epsilon
    return jnp.stack([flat(tree) for tree in trees], axis=1), diverged, jnp.stack(adam, axis=1)


@functools.partial(jax.jit, static_argnames=("epochs", "steps", "size", "keep"))
def _prepare(hyperparams, count, epochs, steps, size, keep):
    """Return the rates of a launch, and arrays for its metrics and embeddings."""
    number = count[:, None] + jnp.arange(1, steps + 1, dtype=count.dtype)[None]
    columns = (hyperparams.learning_rate, hyperparams.beta1, hyperparams.beta2)
    rates = learning_rate_at(number.astype(jnp.float32), *(column[:, None] for column in columns))
    members = len(count)
    return rates, jnp.zeros((members, epochs, 2)), jnp.zeros((members, epochs, size * keep))


@functools.partial(jax.jit, static_argnames="steps")
def _unpack(training, state, diverged, first, epochs, steps):
    """Return the training that `state` holds, in the shapes of the training before."""
    params = training.state.params
    table = params["embedding"]["embedding"]

    def tree(flat):
        return {
            "dense": {"kernel": flat[:, -2].reshape(-1, 1, 1), "bias": flat[:, -1:]},
            "embedding": {"embedding": flat[:, :-2].reshape(table.shape)},
        }

    # A member that diverges is left as it was before that epoch, the count of steps included.
    trained = jnp.where(diverged > 0, diverged - first, epochs)
    trained = jnp.where(training.diverged > 0, 0, trained)
    count = training.state.opt_state.count
    opt_state = KerasAdamState(count + steps * trained, tree(state[:, 1]), tree(state[:, 2]))
    return Training(TrainState(tree(state[:, 0]), opt_state), diverged)


def launch_on_gpu(
    constants: dict[str, int], arguments: Arguments, count: int, first: int, keep: bool
) -> None:
    """Run the kernel on the arrays of a JAX device, and wait for its end."""
    from cuda.core import Device, LaunchConfig, launch  # pyright: ignore[reportMissingImports]

    (device,) = arguments.state.devices()
    current = Device(device.local_hardware_id)
    current.set_current()
    kernel = _compiled(device.local_hardware_id, **constants)
    members, _, parameters = arguments.state.shape
    shape = LaunchConfig(
        grid=members, block=constants["THREADS"], shmem_size=_shared_bytes(parameters)
    )
    pointers = [array.unsafe_buffer_pointer() for array in arguments]
    epochs, orders = arguments.codes.shape[:2]
    numbers = (epochs, orders, count, first, keep)
    stream = current.default_stream
    launch(stream, shape, kernel, *pointers, *map(np.int32, numbers))
    stream.sync()


@functools.cache
def _compiled(device: int, **constants: int) -> Any:
    """Return the kernel, compiled for a GPU that is the current one."""
    from cuda.core import Device, Program, ProgramOptions  # pyright: ignore[reportMissingImports]

    options = ProgramOptions(
        std="c++17",
        arch=f"sm_{Device(device).arch}",
        define_macro=[(name, str(value)) for name, value in constants.items()],
        use_fast_math=True,  # a quarter faster; the parameters differ no more from XLA's
    )
    program = Program(SOURCE.read_text(), code_type="c++", options=options)
    return program.compile("cubin").get_kernel("train_epochs")
