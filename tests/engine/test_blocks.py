"""The CUDA kernel, compiled for the CPU by the system's C++ compiler, against XLA's program."""

import ctypes
import dataclasses
import functools
import shutil
import subprocess
from pathlib import Path

import jax
import numpy as np
import pytest

import colour_embed as ce
from colour_embed import sweeps, train
from colour_embed.engine import blocks

SHIM = Path(__file__).with_name("cuda_on_cpu.h")
COMPILER = shutil.which("g++") or shutil.which("clang++")
OPTIONS = ("-std=c++20", "-O1", "-shared", "-fPIC", "-pthread", "-x", "c++")
ITEMS = 20

pytestmark = pytest.mark.skipif(COMPILER is None, reason="there is no C++ compiler here")


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """Return the kernel for its constants, compiled once for each."""

    @functools.cache
    def of(**constants):
        library = tmp_path_factory.mktemp("kernel") / "kernel.so"
        defined = [f"-D{name}={value}" for name, value in constants.items()]
        subprocess.run(
            [COMPILER, *OPTIONS, *defined, f'-DSOURCE="{blocks.SOURCE}"', "-o", library, SHIM],
            check=True,
        )
        return ctypes.CDLL(str(library)).launch

    return of


@pytest.fixture
def kernel(compiled, monkeypatch):
    """Make this process train by the kernel where it can; returns the list of its launches."""
    launches = []

    def launch(constants, arguments, count, first, keep):
        pointers = [ctypes.c_void_p(array.unsafe_buffer_pointer()) for array in arguments]
        epochs, orders = arguments.codes.shape[:2]
        shape = len(arguments.state), *pointers, epochs, orders, count, first, int(keep)
        compiled(**constants)(*shape)
        launches.append((len(arguments.state), epochs, orders, keep))

    monkeypatch.setattr(blocks, "THREADS", 64)
    monkeypatch.setattr(blocks, "launch_on_gpu", launch)
    monkeypatch.setattr(blocks, "_can_compile", lambda device: True)
    return launches


def problem(count=150, seed=0):
    rng = np.random.default_rng(seed)
    index = rng.integers(0, ITEMS, (count, 2)).astype(np.int32)
    return ce.Pairs(index, (rng.random(count) < 0.3).astype(np.float32))


CONFIG = ce.Config(epochs=3, batch_size=64, learning_rate=0.01)
DEVICE = jax.devices()[:1]


def worst(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


def by_xla(function, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(blocks, "usable", lambda *_: False)
        return function()


@pytest.mark.parametrize(
    ("head", "dim", "batch_size"), [("free", 2, 64), ("negative", 3, 64), ("negative", 1, 10)]
)
def test_a_training_is_that_of_xla(kernel, monkeypatch, head, dim, batch_size):
    config = dataclasses.replace(CONFIG, head=head, dim=dim, batch_size=batch_size, seed=3)
    run = functools.partial(ce.fit, config, ITEMS, problem(), snapshots="every", chunk=2)
    found, expected = run(), by_xla(run, monkeypatch)
    assert kernel == [(1, 2, 1, True), (1, 1, 1, True)]
    assert worst(found.snapshots, expected.snapshots) < 1e-5
    assert worst(found.loss, expected.loss) < 1e-6
    assert worst(found.mse, expected.mse) < 1e-6
    for name in ("kernel", "bias"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-5)
    assert jax.tree.map(np.shape, found.params) == jax.tree.map(np.shape, expected.params)


@pytest.mark.parametrize("vary", [("init",), ("init", "order", "labels")])
def test_a_sweep_is_that_of_xla_and_its_bits_repeat(kernel, monkeypatch, vary):
    truth = np.random.default_rng(1).random((ITEMS, 3))
    run = functools.partial(
        *(sweeps.sweep, CONFIG, ITEMS, problem()),
        dims=[1, 3],
        truth=truth,
        vary=vary,
        axes={"learning_rate": [0.01, 0.03], "beta2": [0.99, 0.999]},
        snapshots=3,
        devices=DEVICE,
    )
    found, expected = run(range(2)), by_xla(lambda: run(range(2)), monkeypatch)
    assert kernel == [(16, 3, 16 if "order" in vary else 1, True)]
    assert worst(found.embedding, expected.embedding) < 2e-5
    assert worst(found.loss, expected.loss) < 1e-6
    assert worst(found.snapshots, expected.snapshots) < 2e-5
    for name in ("embedding", "loss", "mse", "kernel", "bias", "snapshots"):
        assert getattr(run(range(2)), name).tobytes() == getattr(found, name).tobytes()
    alone = run([1])  # other members, and another width
    places = [place for place, member in enumerate(found.members) if member.seed == 1]
    assert found.embedding[places].tobytes() == alone.embedding.tobytes()
    assert found.loss[places].tobytes() == alone.loss.tobytes()


def test_few_epochs_at_a_time_give_the_same_bits(kernel, monkeypatch):
    run = functools.partial(sweeps.sweep, CONFIG, ITEMS, problem(), range(2), [2], devices=DEVICE)
    whole = run()
    monkeypatch.setattr(blocks, "CODE_BYTES", 1)
    assert run().embedding.tobytes() == whole.embedding.tobytes()
    assert kernel == [(2, 3, 2, False)] + 3 * [(2, 1, 2, False)]


def test_a_member_that_diverges_keeps_the_state_before(kernel, monkeypatch):
    axes = {"learning_rate": [0.01, 1e30]}
    run = functools.partial(
        *(sweeps.sweep, CONFIG, ITEMS, problem(), [0], [2]), axes=axes, devices=DEVICE
    )
    found, expected = run(), by_xla(run, monkeypatch)
    assert found.diverged.tolist() == expected.diverged.tolist() == [0, 1]
    assert np.isnan(found.loss[1]).all()
    assert np.isfinite(found.loss[0]).all()
    assert found.embedding[1].tobytes() == expected.embedding[1].tobytes()


def test_members_that_stop_early_are_those_of_xla(kernel, monkeypatch):
    stopping = ce.Stopping(max_steps=60, evaluate_every=6, patience=2)
    run = functools.partial(
        *(sweeps.sweep, CONFIG, ITEMS, problem(), range(3), [2]),
        stopping=stopping,
        devices=DEVICE,
    )
    found, expected = run(), by_xla(run, monkeypatch)
    assert worst(found.embedding, expected.embedding) < 1e-3
    assert kernel


@pytest.mark.parametrize(
    "changed",
    [
        {"optimizer": "sgd"},
        {"head": "dot"},
        {"normalise": True},
        {"dim": 300},
        {"batch_size": 5000},
    ],
)
def test_what_the_kernel_does_not_take_is_left_to_xla(kernel, changed):
    assert blocks.usable(CONFIG, ITEMS, DEVICE)
    assert not blocks.usable(dataclasses.replace(CONFIG, **changed), ITEMS, DEVICE)
    assert not blocks.usable(CONFIG, ITEMS, DEVICE * 2)


def test_weighted_and_graded_pairs_are_left_to_xla(kernel):
    pairs = problem()
    graded = dataclasses.replace(pairs, label=pairs.label * 0.5)
    weighted = dataclasses.replace(pairs, weight=np.arange(1.0, 151.0))
    for given in (graded, weighted):
        train.fit(CONFIG, ITEMS, given)
        sweeps.sweep(CONFIG, ITEMS, given, [0], [2], devices=DEVICE)
    sweeps.sweep(CONFIG, ITEMS, pairs, [0], [2], vary=["bootstrap"], devices=DEVICE)
    assert not kernel


def test_a_cpu_has_no_kernel():
    assert not blocks.usable(CONFIG, ITEMS, DEVICE)
