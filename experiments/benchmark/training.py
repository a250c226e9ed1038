"""Time one training of all epochs, ours and the peers', from the same initial parameters."""

from __future__ import annotations

import contextlib
import functools
import math
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colour_embed.config import Config, InputError
from experiments.benchmark import harness
from experiments.benchmark.harness import BATCH_SIZE, ON_CPU, PEERS, Part, Peer, Setting

if TYPE_CHECKING:
    import numpy as np

LOSS_TOLERANCE = 0.003
"""Greatest distance of a peer's loss from the range of ours over several orders."""

ORDERS = 8
"""Orders of the pairs in that range.

The losses of two orders differ by 0.02 around epoch 11, and by up to 0.01 at the end in three
dimensions, so that a single order is no reference.
"""

DIMS = (2, 3)
TRAINING_PEERS = ("ours_warm", "ours_cold", "limit", "keras_jax", "keras_tf", "torch", "plain_jax")
RATIOS = [
    ("ours_warm", "limit"),
    *((peer, "ours_warm") for peer in ("keras_jax", "keras_tf", "torch", "plain_jax")),
]


def training(setting: Setting) -> Part:
    """Measure one training of all epochs, ours and the peers', in two and three dimensions."""
    details = {f"{dim}d": measure_training(dim, setting) for dim in DIMS}
    ratios = {name: harness.round_ratios(entries, RATIOS) for name, entries in details.items()}
    return Part(harness.counted(details), details, ratios)


def measure_training(dim: int, setting: Setting) -> dict[str, dict[str, Any]]:
    """Measure the entry of each training peer in `dim` dimensions."""
    folder = setting.folder()
    commands, reasons = training_commands(dim, folder, setting)
    question = {"what": "training", "problem": str(folder / "all.npz")}
    with contextlib.ExitStack() as stack:
        # The peers prepare concurrently; timing starts when all are ready.
        peers, versions = {}, {}
        for name, command in commands.items():
            with harness.noting(name, reasons, setting.say):
                peers[name] = stack.enter_context(Peer(*command))
        for name, peer in peers.items():
            with harness.noting(name, reasons, setting.say):
                versions[name] = peer.answer()["versions"]
        if "ours_warm" in reasons:
            raise RuntimeError(f"our own training {reasons['ours_warm']}")
        peers["ours_warm"].run(**question)  # compiles
        runs: dict[str, Callable[[], dict[str, Any]]] = {
            name: functools.partial(_run, peers[name], setting.epochs) for name in peers
        }
        runs["ours_warm"] = functools.partial(runs["ours_warm"], **question)
        runs["ours_cold"] = functools.partial(_run_cold, commands["ours_warm"], question)
        runs = {name: runs.get(name) for name in TRAINING_PEERS}
        entries = harness.take_turns(setting, f"training {dim}d", runs, reasons)
    losses = losses_of_orders(dim, setting)
    for name, entry in entries.items():
        if entry["reason"] is None:
            entry["versions"] = versions.get(name, {})
            check_loss(entry, losses)
            if entry["reason"] is not None:
                setting.say(f"does not count: {name} ({entry['reason']})")
    return entries


def training_commands(
    dim: int, folder: Path, setting: Setting
) -> tuple[dict[str, tuple[list[str], dict[str, str]]], dict[str, str]]:
    """Return the (command, environment) of each peer, and the reasons of unavailable ones.

    Writes the problem into the folder.
    """
    problem = write_problem(folder / "all.npz", dim, setting, run_epochs=setting.epochs)
    write_problem(folder / "keras.npz", dim, setting, run_epochs=setting.keras_run_epochs)

    def script(name, python=sys.executable, problem="all", **environment):
        command = [python, str(PEERS / f"{name}_training.py"), str(folder / f"{problem}.npz")]
        return command, {**ON_CPU, **environment}

    commands = {
        "ours_warm": harness.ours(),
        "keras_jax": script("keras", problem="keras", KERAS_BACKEND="jax"),
        "keras_tf": script("keras", setting.python_tf, "keras", KERAS_BACKEND="tensorflow"),
        "torch": script("torch", setting.python_torch),
        "plain_jax": script("plain_jax"),
    }
    reasons: dict[str, str] = {}
    with harness.noting("limit", reasons, setting.say):
        commands["limit"] = limit_command(problem, folder), {}
    return commands, reasons


def write_problem(
    path: Path, dim: int, setting: Setting, *, run_epochs: int, pairs: int = 100_000
) -> dict[str, Any]:
    """Write and return the problem that all peers share: pairs and our initial parameters.

    Args:
        path: The file, as `peers._peer.load_problem` reads it.
        dim: Number of dimensions.
        setting: Provides seed and epochs.
        run_epochs: Number of epochs that a slow peer runs.
        pairs: Number of pairs, drawn by the tutorial's rule.

    Raises:
        InputError: the seed starts in the sign trap, where the embedding does not recover colour.
    """
    import numpy as np

    from colour_embed import data, train

    colours = data.load_colours()
    drawn = data.tutorial_pairs(colours, pairs)
    start = train.fit(Config(seed=setting.seed, dim=dim, epochs=0), len(colours), drawn)
    if start.trapped:
        raise InputError(
            f"seed {setting.seed} starts in the sign trap (dense weight {start.kernel:+.2f}): "
            "give a --seed whose weight starts negative, such as 0"
        )
    problem = {
        "index": drawn.index,
        "label": drawn.label,
        "embedding": start.params["embedding"]["embedding"],
        "kernel": start.params["dense"]["kernel"],
        "bias": start.params["dense"]["bias"],
        "epochs": setting.epochs,
        "batch_size": BATCH_SIZE,
        "seed": setting.seed,
    }
    np.savez(path, run_epochs=run_epochs, **problem)
    return problem


def limit_command(problem: dict[str, Any], folder: Path) -> list[str]:
    """Compile the baseline, limit.c, for the problem and this CPU; returns its command.

    Raises:
        Unavailable: gcc is not installed, or fails.
    """
    compiler = shutil.which("gcc")
    if compiler is None:
        raise harness.Unavailable("gcc is not installed")
    items, dim = problem["embedding"].shape
    sizes = [f"-DITEMS={items}", f"-DDIM={dim}", f"-DBATCH={problem['batch_size']}"]
    options = ["-O3", "-march=native", "-ffast-math", *sizes]
    program, raw = str(folder / "limit"), folder / "limit.raw"
    built = subprocess.run(
        [compiler, *options, str(PEERS / "limit.c"), "-o", program, "-lm"], capture_output=True
    )
    if built.returncode:
        raise harness.Unavailable("gcc does not compile limit.c")
    index = problem["index"].astype("<i4")
    floats = [problem[name] for name in ("label", "embedding", "kernel", "bias")]
    arrays = [index[:, 0], index[:, 1], *(array.astype("<f4") for array in floats)]
    raw.write_bytes(b"".join(array.tobytes() for array in arrays))
    return [program, str(raw), str(len(index)), str(problem["epochs"])]


def _run(peer: Peer, epochs: int, **question: Any) -> dict[str, Any]:
    """Run one training by a peer; its seconds are scaled to all epochs."""
    answer = peer.run(**question)
    timed = answer["epochs_timed"]
    seconds = answer["seconds"] * epochs / timed
    return {**answer, "seconds": seconds, "scaled": timed != epochs}


def _run_cold(command: tuple[list[str], dict[str, str]], question: dict[str, Any]) -> Any:
    """Run our training from process start to result, with an empty compilation cache."""
    arguments, environment = command
    with harness.empty_cache() as cache:
        began = time.perf_counter()
        with Peer(arguments, {**environment, **cache}) as peer:
            peer.answer()
            answer = peer.run(**question)
            return {**answer, "seconds": time.perf_counter() - began, "scaled": False}


def losses_of_orders(dim: int, setting: Setting) -> np.ndarray:
    """Compute our loss by epoch in several orders of the pairs, float32 [ORDERS, epochs].

    The first order is that of `train.fit`.
    """
    from colour_embed import data, sweeps

    colours = data.load_colours()
    pairs = data.tutorial_pairs(colours)
    config = Config(seed=setting.seed, epochs=setting.epochs, batch_size=BATCH_SIZE)
    seeds = range(setting.seed, setting.seed + ORDERS)
    return sweeps.sweep(config, len(colours), pairs, seeds, [dim], vary=["order"]).loss


def check_loss(entry: dict[str, Any], losses: np.ndarray) -> None:
    """Set the `reason` of an entry if its loss does not agree with ours.

    Args:
        entry: Entry of a peer, with `losses` by round after `epochs_run` epochs.
        losses: Our loss by epoch in several orders, [orders, epochs].
    """
    run, found = entry["epochs_run"], entry["losses"]
    least, most = float(losses[:, run - 1].min()), float(losses[:, run - 1].max())
    entry["loss_range_of_ours"] = [least, most]
    # The median of the rounds, because a single order may be an outlier.
    lies_within = least - LOSS_TOLERANCE <= entry["loss"] <= most + LOSS_TOLERANCE
    if not (lies_within and all(map(math.isfinite, found))):
        entry["reason"] = (
            f"its loss after epoch {run} is {min(found):.5f} to {max(found):.5f}, ours "
            f"{least:.5f} to {most:.5f}: more than {LOSS_TOLERANCE} outside"
        )
