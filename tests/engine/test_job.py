"""What a job of one process needs of `job`, and tables whose rows are sharded over four devices.

Jobs of several processes are run in tests/experiments/test_sweep_program.py.
"""

import json
import os
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest

from colour_embed.config import InputError
from colour_embed.engine import job


def test_a_job_of_one_process_agrees_with_itself():
    assert job.leads()
    assert job.agreed(lambda: {"a": [1, 2]}) == {"a": [1, 2]}
    with pytest.raises(InputError, match="no such folder"):
        job.agreed(lambda: (_ for _ in ()).throw(InputError("no such folder")))
    handler = signal.getsignal(signal.SIGINT)
    with job.interrupts() as interrupted:
        assert interrupted is None
        assert signal.getsignal(signal.SIGINT) is handler
    whole = jax.numpy.arange(6).reshape(2, 3)
    (found,) = job.on_host([whole])
    assert found.tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("size", [1, 40, 100, 10_000])
def test_a_large_array_is_gathered_piece_by_piece(monkeypatch, size):
    monkeypatch.setattr(job, "GATHERED_BYTES", size)
    whole = np.arange(2 * 11 * 3, dtype=np.float32).reshape(2, 11, 3)
    pieces = []
    found = job._in_pieces(whole, lambda piece: pieces.append(piece) or piece)
    np.testing.assert_array_equal(found, whole)
    assert max(piece.nbytes for piece in pieces) <= max(size, whole.nbytes // 11)
    assert len(pieces) == {1: 11, 40: 11, 100: 3, 10_000: 1}[size]


ITEMS = 1001  # which 4 does not divide
SHARDED = f"""
import json, re
import jax, numpy as np
import colour_embed as ce
from colour_embed import sweeps
from colour_embed.engine.checkpoint import Checkpoints

rng = np.random.default_rng(0)
index = rng.integers(0, {ITEMS}, (5000, 2)).astype(np.int32)
pairs = ce.Pairs(index, (rng.random(5000) < 0.3).astype(np.float32))
one = jax.devices()[:1]
found = {{}}
for optimizer in ("keras_adam", "lazy_adam"):
    config = ce.Config(
        dim=16, head="negative", epochs=20, optimizer=optimizer, learning_rate=0.01
    )
    problem = config, {ITEMS}, pairs
    alone = ce.sweep(*problem, [0, 1], [16], devices=one, vary=["init"])
    sharded = ce.sweep(*problem, [0, 1], [16], shard_items=True, vary=["init"], snapshots=1)
    # Of an early-stopped sweep: evaluations, drops, restarts and the best parameters.
    stopping = ce.Stopping(max_steps=60, evaluate_every=10, patience=2)
    best = [
        ce.sweep(*problem, [0], [16], stopping=stopping, vary=["init"], **how).embedding
        for how in ({{"devices": one}}, {{"shard_items": True}})
    ]

    # On one device from where four were.
    def started(**how):
        members = sweeps.grid(config, [0, 1], [16])
        return sweeps.start_sweep(*problem, members, vary=["init"], **how)

    checkpoints = Checkpoints(optimizer)
    begun, again = started(shard_items=True), started(devices=one)
    begun.restore(checkpoints)
    begun.advance(np.arange(1, 11, dtype=np.int32))
    begun.save()
    again.restore(checkpoints)
    epoch = again.epoch
    again.chunk = 10
    sweeps.finish_sweep(again)

    compiled = []
    advance = sweeps._advance

    def recorded(*arguments):
        compiled.append(advance.lower(*arguments).compile())
        return advance(*arguments)

    sweeps._advance = recorded
    run = started(shard_items=True)
    run.advance(np.arange(1, 3, dtype=np.int32))
    sweeps._advance = advance
    text = compiled[0].as_text()
    table = run.training.state.params["embedding"]["embedding"]
    start = run.programs.start(run._batch()).state.params["embedding"]["embedding"]

    def apart(a, b):
        return float(np.abs(a - b).max() / np.abs(b).max())

    found[optimizer] = {{
        "embedding": apart(sharded.embedding, alone.embedding),
        "loss": apart(sharded.loss, alone.loss),
        "snapshots": sharded.snapshots.shape,
        "stopped": apart(best[1], best[0]),
        "epoch": epoch,
        "resumed": apart(again.results["embedding"], alone.embedding),
        "gathers": len(re.findall(r"all-gather(-start)?\\(", text)),
        "reduces": len(re.findall(r"all-reduce(-start)?\\(", text)),
        "shards": [shard.data.shape[1] for shard in (*table.addressable_shards,
                                                     *start.addressable_shards)],
    }}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def sharded(tmp_path_factory):
    """Trainings on four CPU devices, compared with those on one, by optimiser."""
    done = subprocess.run(
        [sys.executable, "-c", SHARDED],
        env={
            **os.environ,
            "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
            "PYTHONPATH": os.getcwd(),
        },
        cwd=tmp_path_factory.mktemp("sharded"),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("optimizer", ["keras_adam", "lazy_adam"])
def test_a_table_sharded_over_four_devices_trains_as_on_one(sharded, optimizer):
    found = sharded[optimizer]
    assert found["embedding"] < 1e-5
    assert found["loss"] < 1e-5
    assert found["stopped"] < 1e-5
    assert found["snapshots"][2:] == [ITEMS, 16]
    assert (found["epoch"], found["resumed"] < 1e-5) == (10, True)


@pytest.mark.parametrize("optimizer", ["keras_adam", "lazy_adam"])
def test_no_device_holds_the_whole_table(sharded, optimizer):
    found = sharded[optimizer]
    assert found["shards"] == [251] * 8  # a quarter, rounded up, at the start and later
    assert found["gathers"] == 0
    assert found["reduces"] > 0
