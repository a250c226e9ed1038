"""One training of all epochs, ours and elsewhere, from the same start."""

from __future__ import annotations

import contextlib
import math
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colour_embed.config import InputError
from experiments.benchmark.common import (
    BATCH_SIZE,
    ON_PROCESSOR,
    PEERS,
    Part,
    Setting,
    counted,
    empty_cache,
    missing,
    noting,
    own_code,
    round_ratios,
    summary,
)
from experiments.benchmark.peers import process

if TYPE_CHECKING:
    import numpy as np

LOSS_TOLERANCE = 0.003
"""How far a peer's loss may lie outside the range of ours over several orders of the pairs."""

ORDERS = 8
"""How many orders of the pairs that range is taken over.

Two orders of the same pairs part early: by 0.02 where the embedding unfolds, around epoch 11, and
by as much as 0.01 at the end in three dimensions. So one order of ours is no measure for a peer's.
"""

DIMS = (2, 3)
TRAINING_PEERS = (
    "ours_warm",
    "ours_cold",
    "limit",
    "keras_jax",
    "keras_tf",
    "torch",
    "plain_jax",
)


def training(setting: Setting) -> Part:
    """One training of all epochs, ours and elsewhere, in two and in three dimensions."""
    names = {dim: f"{dim}d" for dim in DIMS}
    details = {names[dim]: measure_training(dim, setting) for dim in DIMS}
    seconds = {
        name: {peer: counted(entry) for peer, entry in entries.items()}
        for name, entries in details.items()
    }
    against = [("ours_warm", "limit")]
    against += [(peer, "ours_warm") for peer in ("keras_jax", "keras_tf", "torch", "plain_jax")]
    ratios = {name: round_ratios(entries, against) for name, entries in details.items()}
    return Part(seconds, details, ratios)


def measure_training(dim: int, setting: Setting) -> dict[str, dict[str, Any]]:
    """The entry of each training peer in `dim` dimensions; see `Part`."""
    folder = Path(tempfile.mkdtemp(dir=setting.scratch))
    commands, reasons = training_commands(dim, folder, setting)
    cold_command = commands.pop("ours_cold")
    answers: dict[str, list] = {name: [] for name in TRAINING_PEERS}
    with contextlib.ExitStack() as stack:
        # All get ready side by side: nothing is timed until the last of them is.
        open_peers, versions, memory = {}, {}, {}
        for name, command in commands.items():
            with noting(name, reasons):
                open_peers[name] = stack.enter_context(process.Conversation(*command))
        for name, peer in open_peers.items():
            with noting(name, reasons):
                versions[name] = peer.answer()["versions"]
        for name, reason in reasons.items():
            setting.say(f"skipped: {name} ({reason})")
        if "ours_warm" in reasons:
            raise RuntimeError(f"our own training {reasons['ours_warm']}")
        open_peers["ours_warm"].run()  # compiles
        report = setting.add(f"training {dim}d", setting.repeats * len(answers))
        done = 0
        for _ in range(setting.repeats):
            for name in answers:
                if name not in reasons:
                    report(done, name)
                    with noting(name, reasons, setting.say):
                        if name == "ours_cold":
                            answer, memory[name] = cold_training(cold_command)
                        else:
                            answer = open_peers[name].run()
                            memory[name] = open_peers[name].peak_memory()
                        answers[name].append(answer)
                done += 1
                report(done)
    losses = losses_of_orders(dim, setting)
    entries = {}
    for name, found in answers.items():
        if name in reasons:
            entries[name] = missing(reasons[name])
            continue
        about = {"peak_memory_bytes": memory[name], "versions": versions.get(name, {})}
        entries[name] = {**training_entry(found, losses, setting.epochs), **about}
        if entries[name]["reason"]:
            setting.say(f"does not count: {name} ({entries[name]['reason']})")
    return entries


def training_commands(
    dim: int, folder: Path, setting: Setting
) -> tuple[dict[str, tuple[list[str], dict[str, str]]], dict[str, str]]:
    """How each peer is started, (command, environment), and why one can't be.

    Writes the peers' problem into the folder.
    """
    import numpy as np

    problem = make_problem(dim, setting)
    np.savez(folder / "all.npz", run_epochs=setting.epochs, **problem)
    np.savez(folder / "keras.npz", run_epochs=setting.keras_run_epochs, **problem)

    def script(name, python=sys.executable, problem="all", **environment):
        return [python, str(PEERS / name), str(folder / f"{problem}.npz")], {
            **ON_PROCESSOR,
            **environment,
        }

    keras = "keras_training.py"
    ours = script("ours_training.py", **own_code())
    commands = {
        "ours_warm": ours,
        "ours_cold": ours,
        "keras_jax": script(keras, problem="keras", KERAS_BACKEND="jax"),
        "keras_tf": script(keras, setting.python_tf, "keras", KERAS_BACKEND="tensorflow"),
        "torch": script("torch_training.py", setting.python_torch),
        "plain_jax": script("plain_jax_training.py"),
    }
    reasons = {}
    with noting("limit", reasons):
        commands["limit"] = limit_command(problem, folder), {}
    return commands, reasons


def make_problem(dim: int, setting: Setting) -> dict[str, Any]:
    """The start that all peers share: the tutorial's pairs and our initial parameters.

    Raises:
        InputError: the seed starts in the sign trap, where a training learns nothing of colour.
    """
    import numpy as np

    from colour_embed import data, train
    from colour_embed.config import Config
    from colour_embed.model import init_params

    colours = data.load_colours()
    pairs = data.tutorial_pairs(colours)
    config = Config(seed=setting.seed, dim=dim)
    keys = train.member_keys(np.uint32(setting.seed))
    params = init_params(config, len(colours), keys.init)
    kernel = np.asarray(params["dense"]["kernel"])
    if kernel[0, 0] > 0:
        raise InputError(
            f"seed {setting.seed} starts in the sign trap (dense weight {kernel[0, 0]:+.2f}): "
            "give a --seed whose weight starts negative, such as 0"
        )
    return {
        "index": pairs.index,
        "label": pairs.label,
        "embedding": np.asarray(params["embedding"]["embedding"]),
        "kernel": kernel,
        "bias": np.asarray(params["dense"]["bias"]),
        "epochs": setting.epochs,
        "batch_size": BATCH_SIZE,
        "seed": setting.seed,
    }


def limit_command(problem: dict[str, Any], folder: Path) -> list[str]:
    """Compile limit.c for the problem and this processor, and return how it is started.

    Raises:
        Unavailable: there is no gcc, or it does not compile.
    """
    compiler = shutil.which("gcc")
    if compiler is None:
        raise process.Unavailable("gcc is not installed")
    items, dim = problem["embedding"].shape
    sizes = [f"-DITEMS={items}", f"-DDIM={dim}", f"-DBATCH={problem['batch_size']}"]
    options = ["-O3", "-march=native", "-ffast-math", *sizes]
    program, raw = str(folder / "limit"), folder / "limit.raw"
    built = subprocess.run(
        [compiler, *options, str(PEERS / "limit.c"), "-o", program, "-lm"],
        capture_output=True,
        text=True,
    )
    if built.returncode:
        raise process.Unavailable("gcc does not compile limit.c")
    index = problem["index"].astype("<i4")
    floats = [problem[name] for name in ("label", "embedding", "kernel", "bias")]
    arrays = [index[:, 0], index[:, 1], *(array.astype("<f4") for array in floats)]
    raw.write_bytes(b"".join(array.tobytes() for array in arrays))
    return [program, str(raw), str(len(index)), str(problem["epochs"])]


def cold_training(command: tuple[list[str], dict[str, str]]) -> tuple[dict[str, Any], int | None]:
    """Ours from the start of a process to its result, nothing compiled before; and its memory."""
    arguments, environment = command
    with empty_cache() as cache:
        began = time.perf_counter()
        with process.Conversation(arguments, {**environment, **cache}) as peer:
            peer.answer()
            answer = peer.run()
            return {**answer, "seconds": time.perf_counter() - began}, peer.peak_memory()


def losses_of_orders(dim: int, setting: Setting) -> np.ndarray:
    """Our loss of every epoch from the shared start, in several orders: float32 [ORDERS, epochs].

    The first is the order that `train.fit` takes.
    """
    import jax
    import numpy as np

    from colour_embed import data, train
    from colour_embed.config import Config

    colours = data.load_colours()
    pairs = data.tutorial_pairs(colours)
    config = Config(seed=setting.seed, dim=dim, epochs=setting.epochs, batch_size=BATCH_SIZE)
    losses = []
    with jax.default_device(jax.devices("cpu")[0]):
        for number in range(ORDERS):
            # The same training of pairs that lie in another order sees them in another order.
            rows = np.arange(len(pairs))
            if number:
                rows = np.random.default_rng(number).permutation(rows)
            moved = data.Pairs(pairs.index[rows], pairs.label[rows], pairs.diff[rows])
            losses.append(train.fit(config, len(colours), moved, snapshots="none").loss)
    return np.stack(losses)


def training_entry(answers: list[dict], losses: np.ndarray, epochs: int) -> dict[str, Any]:
    """The entry of one peer from its answers: scaled to all epochs, and checked against ours.

    Args:
        answers: What the peer said in each round.
        losses: Our loss of every epoch in several orders, [orders, epochs].
        epochs: Of a whole training.
    """
    seconds = [answer["seconds"] * epochs / answer["epochs_timed"] for answer in answers]
    run, timed = answers[0]["epochs_run"], answers[0]["epochs_timed"]
    least, most = float(losses[:, run - 1].min()), float(losses[:, run - 1].max())
    loss = [answer["loss"] for answer in answers]
    entry = summary(
        seconds,
        epochs_run=run,
        epochs_timed=timed,
        scaled=timed != epochs,
        loss=statistics.median(loss),
        loss_range=[min(loss), max(loss)],
        loss_range_of_ours=[least, most],
    )
    if "threads" in answers[0]:
        entry["threads"] = answers[0]["threads"]
    # The middle of its rounds, because a single order may lie far out, as ours may.
    lies_within = least - LOSS_TOLERANCE <= entry["loss"] <= most + LOSS_TOLERANCE
    if not (lies_within and all(map(math.isfinite, loss))):
        entry["reason"] = (
            f"its loss after epoch {run} is {min(loss):.5f} to {max(loss):.5f}, ours "
            f"{least:.5f} to {most:.5f}: more than {LOSS_TOLERANCE} outside"
        )
    return entry
