"""Train a grid of seeds and dimensions as one compiled program, and evaluate every member.

Writes runs.csv (a row per member), summary.csv (a row per dimension), curves.npz, embeddings.npz,
and figures of the losses, the quality by dimension, the recovery by initial weight, and the
members themselves.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from absl import flags

from colour_embed.config import Config, Hyperparams, InputError
from experiments import _cli

if TYPE_CHECKING:
    import pandas as pd

    from colour_embed.data import Colours, Pairs
    from colour_embed.engine.memory import MemoryPlan
    from colour_embed.runs import SweepResult

PROGRAM = ("normalise", "batch_size")
"""Fields of the config that can be swept beside head and the hyperparameters."""

_FINGERPRINT, _DONE, _WRITTEN = "fingerprint.json", "done.json", "written.json"
_FIELDS = ("config", "data", "grid")


_cli.define_out("sweep")
_SEEDS = flags.DEFINE_string("seeds", "0:32", "Seeds: a range like 0:32, or a list like 0,1,5.")
_DIMS = flags.DEFINE_string("dims", "1,2,3,4", "Dimensions: a list like 1,2,3, or a range.")
_HEADS = flags.DEFINE_list(
    "heads", ["free"], "Heads, separated by commas; each is a compiled program of its own."
)
_SWEEP = flags.DEFINE_multi_string(
    "sweep",
    [],
    "A further axis: the name of a hyperparameter and its values, like learning_rate=1e-3,3e-3. "
    f"Of {' and '.join(PROGRAM)} each value is a compiled program of its own. May be given several "
    "times.",
)
_VARY = flags.DEFINE_list(
    "vary",
    ["init", "order"],
    "What a member's seed changes, of init, order, labels, pairs; the rest is the same for all.",
)
_cli.colour_flags()
_CONFIG = _cli.config_flags("seed", "dim", "head", "label_constant")
_SNAPSHOTS = flags.DEFINE_integer(
    "snapshots",
    0,
    "Number of members that keep snapshots, from the first on (by dim, then by seed). With several "
    "processes, only members of process 0 do.",
)
_ANIMATE = flags.DEFINE_bool(
    "animate",
    False,
    "Make a video of the members that keep snapshots, side by side: seeds across, dims and swept "
    "values down.",
)
_cli.memory_flag("the sweep")
_DEVICES = flags.DEFINE_integer(
    "devices", 0, "CPU devices to shard the members over; 0: one for each core."
)
_RESUME = flags.DEFINE_bool(
    "resume",
    False,
    "Resume from the last checkpoint, or start over without one. A finished grid can be extended: "
    "members that are there are kept, further seeds, dims, heads and values are trained.",
)
_FORCE = flags.DEFINE_bool(
    "force",
    False,
    "Resume even where versions, code, device or settings have changed; config.json lists them.",
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


class Grid(NamedTuple):
    """The data, and the axes that all programs share."""

    colours: Colours
    pairs: Pairs
    seeds: list[int]
    dims: list[int]
    axes: dict[str, list[float]]
    part: tuple[int, int]

    def snapshots(self) -> int:
        """Count this process's members that keep snapshots; none outside process 0."""
        count = len(self.seeds) * len(self.dims) * math.prod(map(len, self.axes.values()))
        return min(_SNAPSHOTS.value, count // self.part[1]) if self.part[0] == 0 else 0


def main() -> None:
    seeds = _cli.whole_numbers("seeds", _SEEDS.value)
    dims = _cli.whole_numbers("dims", _DIMS.value)
    axes, programs = _axes_and_programs()
    for flag, least in ((_CHECKPOINT_EVERY, 1), (_SNAPSHOTS, 0), (_DEVICES, 0)):
        if flag.value < least:
            raise InputError(f"{flag.name} is {flag.value}: give at least {least}")
    if _ANIMATE.value and _SNAPSHOTS.value < 1:
        raise InputError("--animate shows members that keep snapshots: give --snapshots")
    part = _start_jax()
    import jax

    from colour_embed import data
    from colour_embed.engine import checkpoint
    from colour_embed.io import machine, placing, run_folder
    from experiments import _sweep_figures

    began = time.perf_counter()
    grid = Grid(*_cli.load_colour_pairs(), seeds, dims, axes, part)
    plans = {name: _plan(config, grid) for name, config in programs.items()}
    about = {
        "experiment": "sweep",
        "colours": grid.colours.source,
        "pairs": len(grid.pairs),
        "seeds": seeds,
        "dims": dims,
        "axes": dict(sorted(axes.items())),
        "vary": sorted(_VARY.value),
        "snapshots": _SNAPSHOTS.value,
        "programs": {name: dataclasses.asdict(config) for name, config in programs.items()},
    }
    out, data_hash = _cli.out_folder(), data.data_hash(grid.colours, grid.pairs)
    placing.check_folder(out, "sweep")
    work = out / "checkpoint" / f"process-{part[0]}"
    with checkpoint.running_lock(work):
        current = checkpoint.fingerprint(json.dumps(_shared(about)), data_hash)
        grown = {**current, "grid": _axes_of(about)}
        if _RESUME.value and _is_finished(out, about, work, grown):
            print(f"{out}: finished already, with these members; further --seeds extend it")
            return
        if not (out / run_folder.MARKER).exists():
            run_folder.write_json(out / run_folder.MARKER, {**about, "finished": False})
        environment = machine.environment(jax.devices()[0].device_kind, data_hash)
        others, forced = _open(work, grown)
        with _cli.progress() as add:
            found = {
                name: _train(work, others, config, plans[name], grid, name, add)
                for name, config in programs.items()
            }
        done = {"fingerprint": grown, "processes": part[1]}
        run_folder.write_json(work / _DONE, done)
        seconds = {"training": time.perf_counter() - began}
        if part[0] > 0:
            # JAX ends a job 300 s after the first of its processes has left.
            while not _says(out / "checkpoint" / "process-0" / _WRITTEN, done):
                time.sleep(0.2)
            return
        if part[1] > 1:
            found = _gathered(out, grown, programs, grid)
        runs, summary = _tables(found, grid)
        with placing.replacing(out, "sweep") as folder:
            about |= {"finished": True, **({"forced": forced} if forced else {})}
            run_folder.write_json(folder / run_folder.MARKER, about)
            if flags.FLAGS.colours not in data.BUILT_IN:
                run_folder.write_colours(folder, grid.colours)
            runs.to_csv(folder / "runs.csv", index=False, lineterminator="\n")
            summary.to_csv(folder / "summary.csv", index=False, lineterminator="\n")
            run_folder.write_sweep(folder, found)
            _sweep_figures.draw(folder, folder)
            if _ANIMATE.value:
                _animate(folder, grid.colours, found)
            seconds["whole"] = time.perf_counter() - began
            run_folder.write_json(folder / "env.json", {**environment, "seconds": seconds})
            checkpoint.link_all(out / "checkpoint", folder / "checkpoint")
        run_folder.write_json(out / "checkpoint" / work.name / _WRITTEN, done)
    _print_summary(out, summary, seconds, len(runs))
    if (runs["diverged"] > 0).any():
        _cli.warn(
            f"{(runs['diverged'] > 0).sum()} of {len(runs)} members became NaN or infinite; the "
            "column diverged of runs.csv holds the epoch. A smaller --learning_rate may help."
        )


# --------------------------------------------------------------------------------------------------
# The flags


def _axes_and_programs() -> tuple[dict[str, list[float]], dict[str, Config]]:
    """Return the axes within a program, and the config of each compiled program by name."""
    axes, static = {}, {"head": _HEADS.value}
    for text in _SWEEP.value:
        name, _, values = text.partition("=")
        if name in axes or name in static:
            hint = "--heads" if name == "head" else "one --sweep"
            raise InputError(f"--sweep gives {name} twice: give all its values in {hint}")
        if name in flags.FLAGS and flags.FLAGS[name].present:
            raise InputError(f"--{name} and --sweep={text}: give one of the two")
        if name in PROGRAM:
            static[name] = [_static_value(name, value) for value in values.split(",")]
            continue
        if name not in Hyperparams._fields:
            known = ", ".join((*Hyperparams._fields, *PROGRAM))
            raise InputError(f"{name!r} cannot be swept: give one of {known}")
        try:
            axes[name] = [float(value) for value in values.split(",")]
        except ValueError:
            raise InputError(f"sweep is {text!r}: give it like learning_rate=1e-3,3e-3") from None
    for name, values in static.items():
        if not values or len(set(values)) < len(values):
            raise InputError(f"{name}: give at least one value, and none twice")
    shared = {"dim": 2, **_CONFIG()}
    programs = {}
    for values in itertools.product(*static.values()):
        chosen = dict(zip(static, values))
        further = (f"{name}_{value}".lower() for name, value in chosen.items() if name != "head")
        programs["_".join([chosen["head"], *further])] = Config(**{**shared, **chosen})
    return axes, programs


def _static_value(name: str, text: str) -> Any:
    """Parse a value of a swept static field."""
    known = {"true": True, "false": False}
    if name == "normalise":
        if text not in known:
            raise InputError(f"normalise is {text!r}: give false, true, or false,true")
        return known[text]
    return _cli.whole_numbers(name, text)[0]


def _start_jax() -> tuple[int, int]:
    """Set up devices and processes; returns the index and the number of processes."""
    import jax

    def join() -> None:
        try:
            jax.distributed.initialize(_COORDINATOR.value, _PROCESSES.value, _PROCESS.value)
        except (ValueError, RuntimeError, IndexError) as error:
            raise InputError(
                f"distributed: {error}; outside Slurm, Open MPI and TPU pods give --coordinator, "
                "--processes and --process"
            ) from None

    if not _DISTRIBUTED.value:
        _cli.set_up_jax(_DEVICES.value)
        return 0, 1
    _cli.set_up_jax(_DEVICES.value, join)
    return jax.process_index(), jax.process_count()


def _plan(config: Config, grid: Grid) -> MemoryPlan:
    """Plan the member batches of one program; checks the configs of all members."""
    import jax

    from colour_embed import animation, sweeps
    from colour_embed.engine.optimizers import make_optimizer
    from colour_embed.engine.schedule import snapshot_epochs

    make_optimizer(config, config.hyperparams())
    members = sweeps.part_of(sweeps.grid(config, grid.seeds, grid.dims, grid.axes), grid.part)
    if _ANIMATE.value and grid.snapshots():
        try:
            animation.GridLayout.of(members[: grid.snapshots()])
        except InputError as error:
            raise InputError(f"--animate with --snapshots={_SNAPSHOTS.value}: {error}") from None
    return sweeps.plan_sweep(
        config,
        len(grid.colours),
        grid.pairs,
        members,
        swept=tuple(grid.axes),
        vary=_VARY.value,
        snapshots=grid.snapshots(),
        frames=len(snapshot_epochs("tutorial", config.epochs)),
        devices=jax.local_devices(),
        max_bytes=_cli.max_bytes(_cli.device_bytes),
    )


# --------------------------------------------------------------------------------------------------
# Training, part by part


def _shared(about: dict[str, Any]) -> dict[str, Any]:
    """Return the entries of config.json that all members share: all but the grid."""
    shared = {key: value for key, value in about.items() if key not in ("seeds", "dims")}
    return {**shared, "axes": list(about["axes"]), "snapshots": bool(about["snapshots"])}


def _axes_of(about: dict[str, Any]) -> dict[str, Any]:
    """Return the values of each axis of the grid."""
    names = {name: list(about[name]) for name in ("seeds", "dims", "programs")}
    return {**names, **about["axes"]}


def _is_finished(out: Path, about: dict[str, Any], work: Path, current: dict[str, Any]) -> bool:
    """Return whether the folder holds the results of this very run."""
    from colour_embed.engine import checkpoint
    from colour_embed.io import run_folder

    marker, path = out / run_folder.MARKER, work / _FINGERPRINT
    if not marker.exists():
        return False
    saved = run_folder.read_json(marker)
    saved.pop("forced", None)
    if saved != json.loads(json.dumps({**about, "finished": True})):
        return False
    return not path.exists() or not checkpoint.changes(run_folder.read_json(path, _FIELDS), current)


def _open(work: Path, current: dict[str, Any]) -> tuple[list[Path], list[str]]:
    """Prepare the folder of checkpoints: check that it belongs to this run, or empty it.

    Returns:
        Folders of other processes of this run, whose finished members are reused; and the
        differences that were accepted by --force, now or earlier.
    """
    from colour_embed.engine import checkpoint
    from colour_embed.io import run_folder

    path, forced = work / _FINGERPRINT, []
    if _RESUME.value and path.exists():
        saved = run_folder.read_json(path, _FIELDS)
        differences = checkpoint.changes(saved, current)
        if differences and not _FORCE.value:
            raise InputError(
                f"since the checkpoint there are changes ({'; '.join(differences)}): start over "
                "without --resume, or give --force to go on none the less"
            )
        if differences:
            _cli.warn("resuming with differences: " + "; ".join(differences))
        forced = [*saved.get("forced", []), *differences]
    else:
        for remains in work.iterdir():
            if remains.is_dir():
                shutil.rmtree(remains)
    for name in (_DONE, _WRITTEN):
        (work / name).unlink(missing_ok=True)
    run_folder.write_json(path, {**current, "forced": forced})
    if not _RESUME.value:
        return [], forced
    others = (folder.parent for folder in work.parent.glob(f"process-*/{_FINGERPRINT}"))
    return [folder for folder in others if folder != work and _belongs(folder, current)], forced


def _belongs(folder: Path, current: dict[str, Any]) -> bool:
    """Whether a process's folder has the fingerprint of this run."""
    from colour_embed.engine import checkpoint
    from colour_embed.io import run_folder

    try:
        return not checkpoint.changes(run_folder.read_json(folder / _FINGERPRINT, _FIELDS), current)
    except InputError:
        return False


def _train(
    work: Path,
    others: list[Path],
    config: Config,
    plan: MemoryPlan,
    grid: Grid,
    name: str,
    add: Callable,
) -> SweepResult:
    """Train this process's members of one program; finished members are reused."""
    import jax

    from colour_embed import sweeps
    from colour_embed.engine.checkpoint import Checkpoints

    own = sweeps.part_of(sweeps.grid(config, grid.seeds, grid.dims, grid.axes), grid.part)
    print(
        f"{name}: {len(own)} members on {len(jax.local_devices())} devices, "
        f"{plan.per_device} at a time on each; at most about {plan.host_bytes / 1e6:.0f} MB for "
        f"results and {plan.device_bytes / 1e6:.0f} MB on each device"
    )
    bar = None

    def show(event) -> None:
        nonlocal bar
        bar = bar or add(name, event.total)  # no bar if the sweep is refused
        runs = "" if event.rate is None else f", {event.rate / max(config.epochs, 1):.2f} runs/s"
        _cli.show_progress(event, bar, f"{event.members_done}/{event.members} members{runs}")

    checkpoints = Checkpoints(work / name, [folder / name for folder in others])
    return _sweep(config, grid, checkpoints, part=grid.part, report=show)


def _sweep(config: Config, grid: Grid, checkpoints: Any, **arguments: Any) -> SweepResult:
    """Train the members of one program that are not in the checkpoints yet."""
    from colour_embed import sweeps

    return sweeps.sweep(
        config,
        len(grid.colours),
        grid.pairs,
        grid.seeds,
        grid.dims,
        truth=grid.colours.rgb,
        axes=grid.axes,
        vary=_VARY.value,
        snapshots=grid.snapshots(),
        max_bytes=_cli.max_bytes(_cli.device_bytes),
        checkpoints=checkpoints,
        checkpoint_every=_CHECKPOINT_EVERY.value,
        **arguments,
    )


def _gathered(
    out: Path, current: dict[str, Any], programs: dict[str, Config], grid: Grid
) -> dict[str, SweepResult]:
    """Wait for all processes, and collect their members."""
    from colour_embed.engine.checkpoint import Checkpoints

    work = [out / "checkpoint" / f"process-{process}" for process in range(grid.part[1])]
    expected, printed = {"fingerprint": current, "processes": grid.part[1]}, None
    while missing := [folder.name for folder in work if not _says(folder / _DONE, expected)]:
        if missing != printed:
            print(f"waiting for {', '.join(missing)}")
            printed = missing
        time.sleep(0.2)
    return {
        name: _sweep(
            config, grid, Checkpoints(work[0] / name, [folder / name for folder in work[1:]])
        )
        for name, config in programs.items()
    }


def _says(path: Path, expected: dict[str, Any]) -> bool:
    try:
        return json.loads(path.read_text(encoding="utf-8")) == expected
    except (OSError, ValueError):
        return False


# --------------------------------------------------------------------------------------------------
# Results


def _tables(found: dict[str, SweepResult], grid: Grid) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the table of all members, and the summary."""
    import numpy as np
    import pandas as pd

    from colour_embed.evaluate import geometry, tables
    from colour_embed.sweeps import training_pairs

    index = grid.pairs
    if "pairs" in _VARY.value:
        index = functools.partial(_own_pairs, training_pairs, grid)
    runs = pd.concat(
        [
            tables.member_table(
                result,
                tables.evaluate_members(result, grid.colours.rgb, index),
                axes=tuple(grid.axes),
            )
            for result in found.values()
        ],
        ignore_index=True,
    )
    groups, between = tables.group_columns(runs), {}
    embeddings = [vectors for result in found.values() for vectors in result.embedding]
    for values, members in runs[runs["recovered"]].groupby(groups):
        if len(members) > 1:
            chosen = np.stack([embeddings[row][:, : values[-1]] for row in members.index])
            disparity = geometry.cross_seed_procrustes(chosen)
            between[values] = disparity[np.triu_indices(len(chosen), 1)].mean()
    return runs, tables.summary_table(runs, between)


def _own_pairs(training_pairs: Callable, grid: Grid, member: Config) -> Any:
    return training_pairs(len(grid.colours), grid.pairs, member, _VARY.value)


def _animate(folder: Path, colours: Colours, found: dict[str, SweepResult]) -> None:
    """Write a video of the members with snapshots of each program."""
    from colour_embed import animation

    for name, result in found.items():
        suffix = f"_{name}" if len(found) > 1 else ""
        animation.animate_grid(result, colours.rgb, folder / f"grid{suffix}.mp4")


def _print_summary(
    out: Path, summary: pd.DataFrame, seconds: dict[str, float], members: int
) -> None:
    """Print the summary."""
    from rich.console import Console
    from rich.table import Table

    groups = summary.columns[1 : summary.columns.get_loc("members")]  # after dim
    shown = [name for name in groups if name == "head" or summary[name].nunique() > 1]
    table = Table(*shown, "dim", "recovered", "held-out loss", "excess KL", "Spearman")
    for row in summary.to_dict("records"):

        def interval(name, row=row):
            middle, low, high = (row[f"recovered_{name}{end}"] for end in ("", "_low", "_high"))
            return f"{middle:.4f} [{low:.4f}, {high:.4f}]"

        table.add_row(
            *(
                f"{row[name]:g}" if isinstance(row[name], float) else str(row[name])
                for name in shown
            ),
            f"{row['dim']}{' *' if row['selected'] else ''}",
            f"{row['recovered_members']}/{row['members']}",
            interval("heldout_loss"),
            interval("excess_kl"),
            interval("spearman"),
        )
    Console(width=120).print(table)
    print(
        "Interquartile means over the recovered members, with 95 % intervals. *: the dimension "
        "that held-out loss selects.\n"
        f"{members} runs in {seconds['whole']:.1f} s, {seconds['whole'] / members:.3f} s each, "
        f"compilation and evaluation included; results in {out}"
    )


if __name__ == "__main__":
    _cli.start(main, __doc__)
