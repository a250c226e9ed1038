"""How long the work takes here and elsewhere: the same training, the same tutorial, timed.

Every peer is a process of its own, starts from the same parameters and pairs, and takes turns with
the others, so that a drift of the machine hits all alike. A training's time counts only if it comes
to the loss that ours comes to by the same epoch. Everything runs on the processor. Writes
benchmark.json (seconds; medians, null where a peer was skipped) and the same as a table,
benchmark.md.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from absl import flags

from colour_embed.config import InputError
from experiments import _cli
from experiments.peers import process

if TYPE_CHECKING:
    import numpy as np

_OUT = _cli.define_out("benchmark")
_ONLY = flags.DEFINE_list("only", None, "Parts to run, separated by commas; all by default.")
_REPEATS = flags.DEFINE_integer("repeats", 3, "How often everything is timed.")
_EPOCHS = flags.DEFINE_integer("epochs", 500, "Passes over the pairs of a whole training.")
_KERAS_EPOCHS = flags.DEFINE_integer(
    "keras_epochs",
    10,
    "Epochs that Keras is timed over, after one that is not counted; its seconds are scaled to "
    "--epochs. As many as --epochs runs all.",
)
_SEED = flags.DEFINE_integer("seed", 0, "Whose initial parameters the trainings start from.")
_SWEEP_SEEDS = flags.DEFINE_integer(
    "sweep_seeds", 32, "Seeds of the sweep, which has four dimensions for each."
)
_PYTHON_TF = flags.DEFINE_string(
    "python_tf",
    None,
    "The Python that has Keras on TensorFlow, pandas, matplotlib and av. By default "
    "$COLOUR_EMBED_PYTHON_TF, or else this one.",
)
_PYTHON_TORCH = flags.DEFINE_string(
    "python_torch",
    None,
    "The Python that has PyTorch. By default $COLOUR_EMBED_PYTHON_TORCH, or else this one.",
)

LOSS_TOLERANCE = 0.003
"""How far a peer's loss may lie outside the range of ours over several orders of the pairs."""

ORDERS = 8
"""How many orders of the pairs that range is taken over.

Two orders of the same pairs part early: by 0.02 where the embedding unfolds, around epoch 11, and
by as much as 0.01 at the end in three dimensions. So one order of ours is no measure for a peer's.
"""

DIMS = (2, 3)
SWEEP_DIMS = (1, 2, 3, 4)
TRAINING_PEERS = (
    "ours_warm",
    "ours_cold",
    "limit",
    "keras_jax",
    "keras_tf",
    "torch",
    "plain_jax",
)
BATCH_SIZE = 512
ROOT = Path(__file__).resolve().parent.parent
PEERS = Path(__file__).parent / "peers"
# A peer on an accelerator beside one on the processor would compare machines and not programs.
ON_PROCESSOR = {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}


@dataclass(frozen=True)
class Setting:
    """What every part is told.

    Attributes:
        epochs: Passes over the pairs of a whole training.
        keras_epochs: How many of them Keras is timed over.
        repeats: How often everything is timed.
        seed: Whose initial parameters the trainings start from.
        sweep_seeds: How many seeds the sweep has.
        python_tf: The Python that has TensorFlow.
        python_torch: The Python that has PyTorch.
        scratch: A folder for passing files.
        add: (label, total) -> report(done, note), as `_cli.progress` yields it.
        say: Told a line that the user should see.
    """

    epochs: int
    keras_epochs: int
    repeats: int
    seed: int
    sweep_seeds: int
    python_tf: str
    python_torch: str
    scratch: Path
    add: Callable
    say: Callable[[str], None]

    @property
    def keras_run_epochs(self) -> int:
        """The epochs that Keras runs: one to warm up and those that are timed, or all."""
        return min(self.keras_epochs + 1, self.epochs)


class Part(NamedTuple):
    """What a part measured, as nested dicts with a peer's name at the leaves.

    `seconds` holds medians, or None; `details` a dict from `summary` or `missing` in each one's
    place; `ratios` a median of the ratios within each round.
    """

    seconds: dict[str, Any]
    details: dict[str, Any]
    ratios: dict[str, Any]


def summary(seconds: list[float], **more: Any) -> dict[str, Any]:
    """The entry of a peer that was timed; its `reason` is why the time does not count, or None."""
    return {
        "median": statistics.median(seconds),
        "range": [min(seconds), max(seconds)],
        "repeats": seconds,
        "reason": None,
        **more,
    }


def missing(reason: str) -> dict[str, Any]:
    """The entry of a peer that was not timed."""
    return {"median": None, "range": None, "repeats": [], "reason": reason}


def counted(details: dict[str, Any]) -> float | None:
    """The median of an entry, or None if it does not count."""
    return details["median"] if details["reason"] is None else None


def round_ratios(details: dict[str, Any], pairs: list[tuple[str, str]]) -> dict[str, float | None]:
    """Median over rounds of the one's seconds over the other's, {"a_over_b": ...}."""
    ratios = {}
    for above, below in pairs:
        both = details[above], details[below]
        ok = all(counted(entry) is not None for entry in both)
        rounds = zip(*(entry["repeats"] for entry in both))
        ratios[f"{above}_over_{below}"] = (
            statistics.median(a / b for a, b in rounds) if ok else None
        )
    return ratios


# --------------------------------------------------------------------------------------------------
# One training


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
            with _noting(name, reasons):
                open_peers[name] = stack.enter_context(process.Conversation(*command))
        for name, peer in open_peers.items():
            with _noting(name, reasons):
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
                    with _noting(name, reasons, setting.say):
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
    ours = script("ours_training.py", **_own_code())
    commands = {
        "ours_warm": ours,
        "ours_cold": ours,
        "keras_jax": script(keras, problem="keras", KERAS_BACKEND="jax"),
        "keras_tf": script(keras, setting.python_tf, "keras", KERAS_BACKEND="tensorflow"),
        "torch": script("torch_training.py", setting.python_torch),
        "plain_jax": script("plain_jax_training.py"),
    }
    reasons = {}
    with _noting("limit", reasons):
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
    with _empty_cache() as cache:
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


# --------------------------------------------------------------------------------------------------
# The whole tutorial


def tutorial(setting: Setting) -> Part:
    """The whole tutorial from process start to finished videos: our program and its own script."""
    report = setting.add("tutorial", 2 * setting.repeats)
    table = setting.scratch / "colours.csv"
    _write_download(table)
    finished: dict[str, list] = {"ours": [], "script": []}
    reasons: dict[str, str] = {}
    done = 0
    for _ in range(setting.repeats):
        for name, run in (("ours", _run_ours), ("script", _run_script)):
            if name not in reasons:
                report(done, name)
                out = Path(tempfile.mkdtemp(dir=setting.scratch))
                with _noting(name, reasons, setting.say):
                    finished[name].append(run(setting, table, out))
                shutil.rmtree(out)
            done += 1
            report(done)
    details = {
        name: missing(reasons[name])
        if name in reasons
        else summary([seconds for seconds, _ in found], **_medians([more for _, more in found]))
        for name, found in finished.items()
    }
    seconds = {name: counted(entry) for name, entry in details.items()}
    return Part(seconds, details, round_ratios(details, [("script", "ours")]))


def _run_ours(setting: Setting, table: Path, out: Path) -> tuple[float, dict[str, Any]]:
    command = [sys.executable, "-m", "experiments.tutorial"]
    command += [f"--out={out}", f"--epochs={setting.epochs}"]
    with _empty_cache() as cache:
        done = process.run_program(command, {**ON_PROCESSOR, **_own_code(), **cache})
    return done.seconds, {
        "epochs_run": setting.epochs,
        "scaled": False,
        "peak_memory_bytes": done.peak_memory,
    }


def _run_script(setting: Setting, table: Path, out: Path) -> tuple[float, dict[str, Any]]:
    import json

    run_epochs = setting.keras_run_epochs
    command = [setting.python_tf, str(PEERS / "tutorial_script.py"), str(table), str(out)]
    command += [f"--epochs={setting.epochs}", f"--run_epochs={run_epochs}"]
    done = process.run_program(command, ON_PROCESSOR)
    said = json.loads(done.last_line)
    if "skipped" in said:
        raise process.Unavailable(said["skipped"])
    ends = [0.0, *said["stages"].values()]
    stages = {name: end - start for name, start, end in zip(said["stages"], ends, ends[1:])}
    # Only the epochs after the first are scaled: the first traces and compiles, once per training.
    more = {
        name: fit["other_epochs"] * (setting.epochs - run_epochs) / (run_epochs - 1)
        for name, fit in said["fits"].items()
    }
    for name, seconds in more.items():
        stages[f"fit_{name}"] += seconds
    return done.seconds + sum(more.values()), {
        "stages": stages,
        "epochs_run": run_epochs,
        "scaled": run_epochs != setting.epochs,
        "frames": said["frames"],
        "colours": said["colours"],
        "positive": said["positive"],
        "encoder": said["encoder"],
        "versions": said["versions"],
        "peak_memory_bytes": done.peak_memory,
    }


def _write_download(path: Path) -> None:
    """Write the colours as the tutorial's script reads them: in the form of its download."""
    import pandas as pd

    from colour_embed import data

    colours = data.load_colours()
    levels = (colours.rgb * 255).round().astype(int)
    cells = [";".join(map(str, row)) for row in levels]
    pd.DataFrame({"Color Name": colours.names, "R;G;B Dec": cells}).to_csv(path, index=False)


def _medians(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """What was said in each round as one: medians of the stages, the most memory, else the last."""
    merged = dict(rounds[-1])
    if "stages" in merged:
        merged["stages"] = {
            name: statistics.median(each["stages"][name] for each in rounds)
            for name in merged["stages"]
        }
    held = [each["peak_memory_bytes"] for each in rounds if each.get("peak_memory_bytes")]
    merged["peak_memory_bytes"] = max(held, default=None)
    return merged


# --------------------------------------------------------------------------------------------------
# The sweep


def sweep(setting: Setting) -> Part:
    """Seconds per run of a whole sweep, from process start to tables and figures.

    Orders of their own for all members, one order for all, and beside them the loop in C on one
    core, once a round: one run of it is one training in two dimensions.
    """
    members = setting.sweep_seeds * len(SWEEP_DIMS)
    details: dict[str, dict[str, Any]] = {}
    runs: dict[str, Callable[[], tuple[float, dict[str, Any]]]] = {
        name: functools.partial(_run_sweep, setting, vary, members)
        for name, vary in (("separate_order", "init,order"), ("shared_order", "init"))
    }
    folder = Path(tempfile.mkdtemp(dir=setting.scratch))
    with _noting("limit", reasons := {}, setting.say):
        command = limit_command(make_problem(2, setting), folder)
        runs["limit"] = functools.partial(_run_limit, setting, command)
    report = setting.add("sweep", setting.repeats * len(runs))
    found: dict[str, list] = {name: [] for name in runs}
    for turn in range(setting.repeats):
        for place, (name, run) in enumerate(runs.items()):
            report(turn * len(runs) + place, name)
            with _noting(name, reasons, setting.say):
                found[name].append(run())
    report(setting.repeats * len(runs))
    for name in ("separate_order", "shared_order", "limit"):
        if name in reasons:
            details[name] = missing(reasons[name])
            continue
        seconds = [value for value, _ in found[name]]
        details[name] = summary(seconds, **_medians([more for _, more in found[name]]))
    seconds = {name: counted(entry) for name, entry in details.items()}
    against = [("separate_order", "limit"), ("shared_order", "limit")]
    return Part(seconds, details, round_ratios(details, against))


def _run_sweep(setting: Setting, vary: str, members: int) -> tuple[float, dict[str, Any]]:
    command = [sys.executable, "-m", "experiments.sweep", f"--vary={vary}"]
    command += [f"--seeds=0:{setting.sweep_seeds}", f"--dims={','.join(map(str, SWEEP_DIMS))}"]
    command += [f"--epochs={setting.epochs}"]
    with _empty_cache() as cache, tempfile.TemporaryDirectory(dir=setting.scratch) as out:
        environment = {**ON_PROCESSOR, **_own_code(), **cache}
        done = process.run_program([*command, f"--out={out}"], environment)
    return done.seconds / members, {
        "epochs_run": setting.epochs,
        "members": members,
        "peak_memory_bytes": done.peak_memory,
    }


def _run_limit(setting: Setting, command: list[str]) -> tuple[float, dict[str, Any]]:
    with process.Conversation(command, {}) as peer:
        peer.answer()
        answer = peer.run()
    return answer["seconds"], {"epochs_run": setting.epochs}


# --------------------------------------------------------------------------------------------------
# What the parts share


@contextlib.contextmanager
def _noting(
    name: str, reasons: dict[str, str], say: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Keep the reason why a peer can't take part, and go on without it."""
    try:
        yield
    except process.Unavailable as error:
        reasons[name] = str(error)
        if say is not None:
            say(f"skipped: {name} ({error})")


@contextlib.contextmanager
def _empty_cache() -> Iterator[dict[str, str]]:
    """The environment in which JAX finds nothing compiled."""
    with tempfile.TemporaryDirectory() as folder:
        yield {"JAX_COMPILATION_CACHE_DIR": folder}


def _own_code() -> dict[str, str]:
    """The environment in which a process finds this repository's code."""
    inherited = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [inherited])])}


def describe_machine() -> dict[str, Any]:
    """The machine, as far as it bears on time; no name and no path."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "cores_usable": usable,
        "memory_bytes": _memory(),
        "load_before": load,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "gcc": _gcc_version(),
    }


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _gcc_version() -> str | None:
    try:
        told = subprocess.run(["gcc", "-dumpfullversion"], capture_output=True, text=True)
    except OSError:
        return None
    return told.stdout.strip() or None


PARTS: dict[str, Callable[[Setting], Part]] = {
    "training": training,
    "tutorial": tutorial,
    "sweep": sweep,
}


def run_parts(names: list[str], setting: Setting) -> dict[str, Any]:
    """Run parts one after the other; returns what benchmark.json holds."""
    machine = describe_machine()
    parts = {name: PARTS[name](setting) for name in names}
    return {
        **{name: part.seconds for name, part in parts.items()},
        "unit": "seconds, medians",
        "ratios": {name: part.ratios for name, part in parts.items()},
        "details": {name: part.details for name, part in parts.items()},
        "machine": machine,
    }


def markdown(record: dict[str, Any]) -> str:
    """The record of `run_parts` as tables for people."""
    machine = record["machine"]
    memory = machine["memory_bytes"]
    size = f", {memory / 2**30:.0f} GiB" if memory else ""
    lines = [
        "# Benchmark",
        "",
        f"{machine['processor']}, {machine['cores']} cores{size}, {machine['system']}. "
        "Seconds; medians, with the least and the most.",
    ]
    head = ("what", "median", "range", "epochs run", "loss", "peak MiB", "note")
    for part, details in record["details"].items():
        lines += ["", f"## {part}", ""]
        lines += [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
        lines += [f"| {' | '.join(row)} |" for row in _rows(details)]
        lines += ["", *(f"- {line}" for line in _ratio_lines(record["ratios"][part]))]
    return "\n".join(lines) + "\n"


def _rows(details: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, ...]]:
    for name, entry in details.items():
        label = f"{prefix}{name}"
        if "reason" not in entry:
            yield from _rows(entry, f"{label} ")
            continue
        notes = [entry["reason"]] if entry["reason"] else []
        if entry.get("scaled"):
            notes.append("scaled to all epochs")
        if "threads" in entry:
            notes.append(f"{entry['threads']} thread" + "s" * (entry["threads"] != 1))
        if "encoder" in entry:
            notes.append(f"encoded by {entry['encoder']}")
        memory = entry.get("peak_memory_bytes")
        yield (
            label,
            "–" if entry["median"] is None else _seconds(entry["median"]),
            "–" if entry["range"] is None else " to ".join(map(_seconds, entry["range"])),
            str(entry.get("epochs_run", "–")),
            f"{entry['loss']:.5f}" if "loss" in entry else "–",
            f"{memory / 2**20:.0f}" if memory else "–",
            "; ".join(notes),
        )
        for stage, seconds in entry.get("stages", {}).items():
            yield (f"{label}: {stage}", _seconds(seconds), "–", "–", "–", "–", "")


def _seconds(value: float) -> str:
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


def _ratio_lines(ratios: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in ratios.items():
        if isinstance(value, dict):
            yield from _ratio_lines(value, f"{prefix}{name} ")
        elif value is not None:
            above, below = name.split("_over_")
            yield f"{prefix}{above} takes {value:.2f} times as long as {below}"


# --------------------------------------------------------------------------------------------------
# The program


def _python(given: str | None, variable: str, flag: str) -> str:
    """The Python of a peer: from its flag, its environment variable, or this one."""
    chosen = given or os.environ.get(variable) or sys.executable
    if shutil.which(chosen) is None:
        raise InputError(f"--{flag}: {chosen!r} is no program; give the path of a Python")
    return chosen


def _chosen_parts(only: list[str] | None) -> list[str]:
    for name in only or ():
        if name not in PARTS:
            raise InputError(f"--only: no part is called {name!r}; give some of {', '.join(PARTS)}")
    return [name for name in PARTS if not only or name in only]


def main() -> None:
    for flag, least in (
        (_REPEATS, 1),
        (_EPOCHS, 2),
        (_KERAS_EPOCHS, 1),
        (_SEED, 0),
        (_SWEEP_SEEDS, 1),
    ):
        if flag.value < least:
            raise InputError(f"--{flag.name} is {flag.value}: give at least {least}")
    names = _chosen_parts(_ONLY.value)
    python_tf = _python(_PYTHON_TF.value, "COLOUR_EMBED_PYTHON_TF", "python_tf")
    python_torch = _python(_PYTHON_TORCH.value, "COLOUR_EMBED_PYTHON_TORCH", "python_torch")
    out = Path(_OUT.value)

    from colour_embed import data, results

    with (
        results.replacing(out, "benchmark") as folder,
        tempfile.TemporaryDirectory() as scratch,
    ):
        colours = data.load_colours()
        data_hash = data.data_hash(colours, data.tutorial_pairs(colours))
        environment = results.environment("cpu", data_hash)
        asked = {
            "epochs": _EPOCHS.value,
            "keras_epochs": _KERAS_EPOCHS.value,
            "repeats": _REPEATS.value,
            "seed": _SEED.value,
            "sweep_seeds": _SWEEP_SEEDS.value,
        }
        # A peer that is missing is missing in 2-D and in 3-D, and said to be once.
        say = functools.cache(print)
        with _cli.progress() as add:
            setting = Setting(
                **asked,
                python_tf=python_tf,
                python_torch=python_torch,
                scratch=Path(scratch),
                add=add,
                say=say,
            )
            record = run_parts(names, setting)
        results.write_json(
            folder / "config.json", {"experiment": "benchmark", "only": names, **asked}
        )
        results.write_json(folder / "env.json", environment)
        results.write_json(folder / "benchmark.json", record)
        table = markdown(record)
        (folder / "benchmark.md").write_text(table, encoding="utf-8")
    print(table)
    print(f"results in {out}")


if __name__ == "__main__":
    _cli.start(main, __doc__)
