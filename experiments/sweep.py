"""A grid of trainings over seeds and dimensions as one program: how often do they work, how well?

Writes runs.csv (a row per member), summary.csv (a row per dimension), curves.npz, embeddings.npz,
and figures of the losses, the quality by dimension, the recovery by initial weight, and the
members themselves.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import shutil
import time
from pathlib import Path

from absl import flags

from colour_embed.config import Config, InputError
from experiments import _cli

_OUT = _cli.define_out("sweep")
_SEEDS = flags.DEFINE_string("seeds", "0:32", "Seeds: a range like 0:32, or a list like 0,1,5.")
_DIMS = flags.DEFINE_string("dims", "1,2,3,4", "Dimensions: a list like 1,2,3, or a range.")
_SWEEP = flags.DEFINE_multi_string(
    "sweep",
    [],
    "A further axis: the name of a number of the config and its values, like "
    "learning_rate=1e-3,3e-3. May be given several times.",
)
_VARY = flags.DEFINE_list(
    "vary",
    ["init", "order"],
    "What a member's seed changes, of init, order, labels, pairs; the rest is the same for all.",
)
_HEADS = flags.DEFINE_list(
    "heads", ["free"], "free, negative, or both; each is a compiled program of its own."
)
_NORMALISE = flags.DEFINE_list("normalise", ["false"], "false, true, or both.")
_BATCH_SIZES = flags.DEFINE_list("batch_sizes", ["512"], "Pairs in one step; one or more values.")
_EPOCHS = flags.DEFINE_integer("epochs", 500, "Passes over the pairs.")
_COLOURS = flags.DEFINE_string(
    "colours", "tutorial", "tutorial, css4, xkcd, or a CSV file with name,hex or name,r,g,b."
)
_PAIRS = flags.DEFINE_integer("pairs", 100_000, "How many pairs of colours to draw.")
_OPTIMIZER = flags.DEFINE_string("optimizer", "keras_adam", "keras_adam or an optimiser of optax.")
_LEARNING_RATE = flags.DEFINE_float("learning_rate", 1e-3, "Step size of the optimiser.")
_SNAPSHOTS = flags.DEFINE_integer(
    "snapshots",
    0,
    "Of how many members to keep snapshots, from the first on (dim by dim, and seed by seed); of "
    "several processes, only of those of process 0.",
)
_ANIMATE = flags.DEFINE_bool(
    "animate",
    False,
    "Make a video of the members that keep snapshots, side by side: seeds across, dims down.",
)
_MAX_MEMORY = flags.DEFINE_float(
    "max_memory", 0.0, "Gigabytes that the sweep may take; 0: four fifths of what there is."
)
_DEVICES = flags.DEFINE_integer(
    "devices", 0, "CPU devices to shard the members over; 0: one for each core."
)
_RESUME = flags.DEFINE_bool(
    "resume", False, "Go on from the last checkpoint; without one, start over."
)
_FORCE = flags.DEFINE_bool(
    "force", False, "Resume even where config, data, versions or code have changed."
)
_CHECKPOINT_EVERY = flags.DEFINE_integer("checkpoint_every", 4, "Chunks between two checkpoints.")
_DISTRIBUTED = flags.DEFINE_bool(
    "distributed",
    False,
    "Share the members with the other processes of this job. Slurm, Open MPI and TPU pods are "
    "detected; elsewhere give the three flags below. All processes must see the same --out.",
)
_COORDINATOR = flags.DEFINE_string("coordinator", None, "host:port of process 0.")
_PROCESSES = flags.DEFINE_integer("processes", None, "How many processes the job has.")
_PROCESS = flags.DEFINE_integer("process", None, "Which of them this one is, from 0 on.")


def main() -> None:
    seeds, dims = _whole("seeds", _SEEDS.value), _whole("dims", _DIMS.value)
    axes = dict(_axis(text) for text in _SWEEP.value)
    programs = _programs()
    if _CHECKPOINT_EVERY.value < 1:
        raise InputError(f"checkpoint_every is {_CHECKPOINT_EVERY.value}: give at least 1")
    if _ANIMATE.value and (_SNAPSHOTS.value < 1 or axes):
        raise InputError(
            "--animate shows snapshots by seed and dim: give --snapshots, and leave out --sweep"
        )
    part = _start_jax()
    import jax

    from colour_embed import data, train
    from colour_embed.engine import checkpoint
    from colour_embed.io import run_folder
    from colour_embed.sweeps import SweepData, grid, member_config, part_of, plan_memory
    from experiments import _sweep_figures

    began = time.perf_counter()
    colours = data.load_colours(_COLOURS.value)
    pairs = data.tutorial_pairs(colours, _PAIRS.value)
    swept = SweepData(len(colours), pairs, colours.rgb)
    members = grid(seeds, dims, axes)
    for config in programs.values():
        train.make_optimizer(config, config.numbers())
        for member in members:
            member_config(config, member)
    plans = {
        name: plan_memory(
            config,
            swept,
            part_of(members, part),
            vary=_VARY.value,
            snapshots=_SNAPSHOTS.value if part[0] == 0 else 0,
            frames=len(train.snapshot_epochs("tutorial", config.epochs)),
            devices=len(jax.local_devices()),
            accelerator=jax.local_devices()[0].platform != "cpu",
            max_bytes=_max_bytes(),
        )
        for name, config in programs.items()
    }
    about = {
        "experiment": "sweep",
        "colours": colours.source,
        "pairs": _PAIRS.value,
        "seeds": seeds,
        "dims": dims,
        "axes": axes,
        "vary": sorted(_VARY.value),
        "snapshots": _SNAPSHOTS.value,
        "programs": {name: dataclasses.asdict(config) for name, config in programs.items()},
    }
    out, data_hash = Path(_OUT.value), data.data_hash(colours, pairs)
    run_folder.check_folder(out, "sweep")
    work = out / "checkpoint" / f"process-{part[0]}"
    with checkpoint.running_lock(work):
        if not (out / run_folder.MARKER).exists():
            run_folder.write_json(out / run_folder.MARKER, {**about, "finished": False})
        environment = run_folder.environment(jax.devices()[0].device_kind, data_hash)
        current = checkpoint.fingerprint(json.dumps({**about, "part": part}), data_hash)
        _open(work, current)
        with _cli.progress() as add:
            for name, config in programs.items():
                _train(work / name, config, plans[name], swept, members, axes, part, add)
        seconds = {"training": time.perf_counter() - began}
        if part[0] > 0:
            return
        _await_parts(out, programs, part[1])
        found = {
            name: _merged(out, name, config, members, part[1]) for name, config in programs.items()
        }
        runs, summary = _tables(found, swept)
        with run_folder.replacing(out, "sweep") as folder:
            _write(folder, about, colours, found, runs, summary)
            _sweep_figures.draw(folder, folder)
            if _ANIMATE.value:
                _animate(folder, colours, found)
            seconds["whole"] = time.perf_counter() - began
            run_folder.write_json(folder / "env.json", {**environment, "seconds": seconds})
    _tell(out, summary, seconds, len(runs))


# --------------------------------------------------------------------------------------------------
# The flags


def _whole(name: str, text: str) -> list[int]:
    """Whole numbers from a range "0:32" or a list "1,2,3"."""
    try:
        if ":" in text:
            first, last = (int(part) for part in text.split(":"))
            found = list(range(first, last))
        else:
            found = [int(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found:
        raise InputError(f"{name} is {text!r}: give a range like 0:32 or a list like 1,2,3")
    return found


def _axis(text: str) -> tuple[str, list[float]]:
    """A swept number and its values from "learning_rate=1e-3,3e-3"."""
    name, _, values = text.partition("=")
    try:
        return name, [float(value) for value in values.split(",")]
    except ValueError:
        raise InputError(f"sweep is {text!r}: give it like learning_rate=1e-3,3e-3") from None


def _programs() -> dict[str, Config]:
    """The configs that need a program each, by a name that tells them apart."""
    truths = {"true": True, "false": False}
    for value in _NORMALISE.value:
        if value not in truths:
            raise InputError(f"normalise is {value!r}: give false, true, or false,true")
    named = {}
    batch_sizes = _whole("batch_sizes", ",".join(_BATCH_SIZES.value))
    for head, normalise, batch_size in itertools.product(
        _HEADS.value, _NORMALISE.value, batch_sizes
    ):
        parts = [head]
        parts += ["normalised" if truths[normalise] else "plain"] * (len(_NORMALISE.value) > 1)
        parts += [f"batch{batch_size}"] * (len(batch_sizes) > 1)
        named["_".join(parts)] = Config(
            dim=2,
            epochs=_EPOCHS.value,
            batch_size=batch_size,
            head=head,
            normalise=truths[normalise],
            optimizer=_OPTIMIZER.value,
            learning_rate=_LEARNING_RATE.value,
        )
    return named


def _start_jax() -> tuple[int, int]:
    """Set up devices and processes; returns which process this is and of how many."""
    import jax

    _cli.use_compilation_cache()
    _cli.use_cpu_devices(_DEVICES.value)
    if not _DISTRIBUTED.value:
        return 0, 1
    try:
        jax.distributed.initialize(_COORDINATOR.value, _PROCESSES.value, _PROCESS.value)
    except (ValueError, RuntimeError) as error:
        raise InputError(
            f"distributed: {error}; outside Slurm, Open MPI and TPU pods give --coordinator, "
            "--processes and --process"
        ) from None
    return jax.process_index(), jax.process_count()


# --------------------------------------------------------------------------------------------------
# Training, part by part


def _open(work: Path, current: dict) -> None:
    """Make the folder of checkpoints ready: checked to be this run's, or emptied."""
    from colour_embed.engine import checkpoint
    from colour_embed.io import run_folder

    path = work / "fingerprint.json"
    if _RESUME.value and path.exists():
        saved = json.loads(path.read_text(encoding="utf-8"))
        checkpoint.check_same(saved, current, _FORCE.value)
        if checkpoint.compare(saved, current):
            _cli.warn("resuming what differs: " + "; ".join(checkpoint.compare(saved, current)))
        return
    for remains in work.iterdir():
        if remains.is_dir():
            shutil.rmtree(remains)
    run_folder.write_json(path, current)


def _part_path(out: Path, name: str, part: int) -> Path:
    return out / "checkpoint" / f"process-{part}" / name / "part.npz"


def _train(folder, config, plan, swept, members, axes, part, add) -> None:
    """Train one program's members that fall to this process, unless that was done before."""
    import jax
    import numpy as np

    from colour_embed import sweeps
    from colour_embed.engine.checkpoint import Checkpoints

    if (folder / "part.npz").exists():
        return
    seeds = list(dict.fromkeys(member.seed for member in members))
    dims = list(dict.fromkeys(member.dim for member in members))
    own = sweeps.part_of(members, part)
    print(
        f"{folder.name}: {len(own)} members on {len(jax.local_devices())} devices, "
        f"{plan.per_device} at a time on each; at most about {plan.host_bytes / 1e6:.0f} MB for "
        f"results and {plan.device_bytes / 1e6:.0f} MB on each device"
    )
    report = None

    def show(event: sweeps.SweepProgress) -> None:
        nonlocal report
        report = report or add(folder.name, event.total)  # no bar for what is refused at once
        note = (
            f"{event.members_done}/{event.members} members, epoch {event.epoch}, loss "
            f"{event.loss:.4f}, {event.rate / max(event.epochs, 1):.2f} runs/s"
        )
        report(event.done, note, event.seconds_left)

    checkpoints = Checkpoints(folder / "state")
    result = sweeps.sweep(
        config,
        swept,
        seeds,
        dims,
        axes=axes,
        part=part,
        report=show,
        checkpoints=checkpoints,
        checkpoint_every=_CHECKPOINT_EVERY.value,
        vary=_VARY.value,
        snapshots=_SNAPSHOTS.value if part[0] == 0 else 0,
        max_bytes=_max_bytes(),
    )
    passing = folder / "part.npz.passing"
    with passing.open("wb") as file:
        np.savez(file, **result.arrays())
    passing.rename(folder / "part.npz")
    checkpoints.clear()


def _max_bytes() -> int:
    """The bound on memory: what the flag says, or four fifths of what the device has."""
    import jax

    device = jax.local_devices()[0]
    if _MAX_MEMORY.value:
        return int(_MAX_MEMORY.value * 1e9)
    if device.platform == "cpu":
        return _cli.machine_bytes()
    return int(0.8 * device.memory_stats()["bytes_limit"])


def _await_parts(out: Path, programs, count: int) -> None:
    """Wait until all processes have written their parts."""
    missing, told = None, None
    while missing != []:
        missing = [
            part
            for part in range(count)
            if not all(_part_path(out, name, part).exists() for name in programs)
        ]
        if missing and missing != told:
            print(f"waiting for process {', '.join(map(str, missing))}")
            told = missing
        time.sleep(0.2 if missing else 0)


def _merged(out: Path, name: str, config, members, count: int):
    """One program's result over all processes."""
    import numpy as np

    from colour_embed.sweeps import SweepResult

    parts = [np.load(_part_path(out, name, part)) for part in range(count)]
    return SweepResult.merged(config, members, parts)


# --------------------------------------------------------------------------------------------------
# Results


def _tables(found, swept):
    """The table of all members, and the summary."""
    import numpy as np
    import pandas as pd

    from colour_embed.evaluate import scores, tables

    tables = [
        tables.member_table(result, tables.measure(result, swept, _VARY.value))
        for result in found.values()
    ]
    runs = pd.concat(tables, ignore_index=True)
    groups, between = tables.group_columns(runs), {}
    embeddings = [vectors for result in found.values() for vectors in result.embedding]
    for values, members in runs[runs["recovered"]].groupby(groups):
        if len(members) > 1:
            chosen = np.stack([embeddings[row][:, : values[-1]] for row in members.index])
            disparity = scores.cross_seed_procrustes(chosen)
            between[values] = disparity[np.triu_indices(len(chosen), 1)].mean()
    return runs, tables.summary_table(runs, between)


def _write(folder, about, colours, found, runs, summary) -> None:
    """The run folder, but for what is drawn."""
    import numpy as np

    from colour_embed import data
    from colour_embed.io import run_folder

    run_folder.write_json(folder / run_folder.MARKER, {**about, "finished": True})
    if _COLOURS.value not in data.BUILT_IN:
        run_folder.write_colours(folder, colours)
    runs.to_csv(folder / "runs.csv", index=False, lineterminator="\n")
    summary.to_csv(folder / "summary.csv", index=False, lineterminator="\n")
    curves, embeddings = {}, {}
    for name, result in found.items():
        curves[f"{name}_loss"], curves[f"{name}_mse"] = result.loss, result.mse
        dims = np.array([member.dim for member in result.members])
        for dim in np.unique(dims):
            vectors = result.embedding[dims == dim, :, :dim]
            embeddings[f"{name}_d{dim}"] = vectors.astype(np.float16)
        if len(result.snapshots):
            embeddings[f"{name}_epoch"] = result.epoch
            embeddings[f"{name}_snapshots"] = result.snapshots.astype(np.float16)
    np.savez_compressed(folder / "curves.npz", **curves)
    np.savez_compressed(folder / "embeddings.npz", **embeddings)


def _animate(folder, colours, found) -> None:
    """A video of each program's members that keep snapshots."""
    from colour_embed import animation

    for name, result in found.items():
        suffix = f"_{name}" if len(found) > 1 else ""
        animation.animate_grid(result, colours.rgb, folder / f"grid{suffix}.mp4")


def _tell(out, summary, seconds, members) -> None:
    """The summary on the terminal."""
    from rich.console import Console
    from rich.table import Table

    table = Table("head", "dim", "recovered", "held-out loss", "excess KL", "Spearman")
    for row in summary.to_dict("records"):

        def interval(name, row=row):
            middle, low, high = (row[f"recovered_{name}{end}"] for end in ("", "_low", "_high"))
            return f"{middle:.4f} [{low:.4f}, {high:.4f}]"

        table.add_row(
            row["head"],
            f"{row['dim']}{' *' if row['selected'] else ''}",
            f"{row['recovered_members']}/{row['members']}",
            interval("heldout_loss"),
            interval("excess_kl"),
            interval("spearman"),
        )
    Console(width=120).print(table)
    print(
        "Of the recovered members: interquartile means with 95 % intervals. *: the dimension that "
        "held-out loss selects.\n"
        f"{members} runs in {seconds['whole']:.1f} s, {seconds['whole'] / members:.3f} s each, "
        f"compilation and measures included; results in {out}"
    )


if __name__ == "__main__":
    _cli.start(main, __doc__)
