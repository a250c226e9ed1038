"""Train a grid of seeds and dimensions as one compiled program, and evaluate every member.

The members train on pairs of colours, or with --pairs on your own: on several splits of them, each
member until its held-out loss no longer improves. The dimension is then selected by that loss.

Writes runs.csv (a row per member), summary.csv (a row per dimension), curves.npz, embeddings.npz,
and figures of the losses, the quality by dimension and the members; of colours also of the recovery
by initial weight.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from colour_embed.config import Config, Hyperparams, InputError
from experiments import _cli, _pairs
from experiments._tasks import Grid, Task

if TYPE_CHECKING:
    from colour_embed.engine.memory import MemoryPlan
    from colour_embed.runs import SweepResult

PROGRAM = ("normalise", "batch_size")
"""Fields of the config that can be swept beside head and the hyperparameters."""

_FINGERPRINT = "fingerprint.json"
_FIELDS = ("config", "data", "grid")


_cli.define_out("sweep")
_SEEDS = flags.DEFINE_string(
    "seeds",
    None,
    "Seeds: a range like 0:32, or a list like 0,1,5. By default 0:32; of --pairs 0:8.",
)
_DIMS = flags.DEFINE_string("dims", "1,2,3,4", "Dimensions: a list like 1,2,3, or a range.")
_HEADS = flags.DEFINE_list(
    "heads",
    None,
    "Heads, separated by commas; each is a compiled program of its own. By default free; of "
    "--pairs negative.",
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
    None,
    "What a member's seed changes, of init, order, labels, pairs; the rest is the same for all. By "
    "default init,order; of --pairs init, so that all members share the order.",
)
_cli.colour_flags()
_pairs.define_flags()
_SPLITS = flags.DEFINE_integer(
    "splits", 5, "Of --pairs: random splits into pairs to train on and held-out pairs."
)
_HELD_OUT = flags.DEFINE_float("held_out", 0.1, "Of --pairs: share of the pairs that is held out.")
_MAX_STEPS = flags.DEFINE_integer("max_steps", 50_000, "Of --pairs: maximum number of steps.")
_CONFIG = _cli.config_flags("seed", "dim", "head", "label_constant")
# Flags that say how and where a sweep runs, and not what it trains; and those that hold paths.
_OF_THE_RUN = (
    *("out", "resume", "force", "from", "devices", "shard_items", "max_memory", "help"),
    *("checkpoint_every", "distributed", "coordinator", "processes", "process"),
    *("heartbeat_seconds", "pairs", "items"),
)
_OF_COLOURS = ("colours", "num_pairs", "epochs")
_OF_PAIRS = ("splits", "held_out", "max_steps", "positives_only", "items")
_SNAPSHOTS = flags.DEFINE_integer(
    "snapshots",
    0,
    "Number of members that keep snapshots, from the first on (by dim, then by seed).",
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
_SHARD_ITEMS = _cli.shard_flag()
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
_FROM = flags.DEFINE_string(
    "from", None, "The config.json of a sweep: its flags are taken where none are given."
)
_DISTRIBUTED = flags.DEFINE_bool(
    "distributed",
    False,
    "Run as one of the processes of a job, whose devices share the members. Slurm, Open MPI and "
    "TPU pods are detected; elsewhere give the three flags below. Process 0 writes --out.",
)
_COORDINATOR = flags.DEFINE_string("coordinator", None, "host:port of process 0.")
_PROCESSES = flags.DEFINE_integer("processes", None, "How many processes the job has.")
_PROCESS = flags.DEFINE_integer("process", None, "Which of them this one is, from 0 on.")
_HEARTBEAT = flags.DEFINE_integer(
    "heartbeat_seconds",
    100,
    "Seconds after which a silent process is taken for dead, which ends the job; --resume then "
    "goes on from the last checkpoint, with any number of processes.",
)


def main() -> None:
    if _FROM.value is not None:
        _take_flags(Path(_FROM.value))
    own = flags.FLAGS.pairs is not None
    _check_flags(own)
    axes, programs = _axes_and_programs(own)
    grid = Grid(
        _cli.whole_numbers("seeds", _SEEDS.value or ("0:8" if own else "0:32")),
        _cli.whole_numbers("dims", _DIMS.value),
        axes,
        sorted(_VARY.value if _VARY.value is not None else ["init"] if own else ["init", "order"]),
    )
    _start_jax()
    import jax

    from colour_embed.engine import checkpoint, job
    from colour_embed.io import machine, placing, run_folder
    from experiments import _colour_sweep, _pair_sweep

    began = time.perf_counter()
    out = _cli.out_folder()
    work = out / "checkpoint"
    with contextlib.ExitStack() as stack:
        add = stack.enter_context(_cli.progress()) if job.leads() else _silent
        job.agreed(lambda: placing.check_folder(out, "sweep"))
        if own:
            split = (_SPLITS.value, _HELD_OUT.value, _MAX_STEPS.value)
            source = _pair_sweep.Source.read(add, grid, programs, *split)
        else:
            source = _colour_sweep.Source.read(grid, programs)
        plans = {name: _plan(task, grid) for name, task in source.tasks.items()}
        configs = {name: dataclasses.asdict(task.config) for name, task in source.tasks.items()}
        about = {
            "experiment": "sweep",
            **source.about,
            "seeds": grid.seeds,
            "dims": grid.dims,
            "axes": dict(sorted(axes.items())),
            "vary": grid.vary,
            "snapshots": _SNAPSHOTS.value,
            "programs": configs,
            "flags": _given_flags(),
        }
        current = checkpoint.fingerprint(json.dumps(_shared(about)), source.data_hash)
        current["grid"] = _axes_of(about)
        job.agreed(lambda: stack.enter_context(checkpoint.running_lock(work)) and None)
        opened = job.agreed(lambda: _open(out, work, about, current))
        if opened is None:
            _say(f"{out}: finished already, with these members; further --seeds extend it")
            return
        environment = machine.environment(jax.devices()[0].device_kind, source.data_hash)
        with _one_job():
            found = {
                name: _train(work, task, plans[name], grid, name, add)
                for name, task in source.tasks.items()
            }
        seconds = {"training": time.perf_counter() - began}
        if not job.leads():
            return
        runs, summary = source.tables(found)
        with placing.replacing(out, "sweep") as folder:
            about |= {"finished": True, **({"forced": opened} if opened else {})}
            run_folder.write_json(folder / run_folder.MARKER, about)
            runs.to_csv(folder / "runs.csv", index=False, lineterminator="\n")
            summary.to_csv(folder / "summary.csv", index=False, lineterminator="\n")
            run_folder.write_sweep(folder, found)
            source.write(folder, found, _ANIMATE.value)
            seconds["whole"] = time.perf_counter() - began
            run_folder.write_json(folder / "env.json", {**environment, "seconds": seconds})
            checkpoint.link_all(work, folder / "checkpoint")
    source.print_summary(summary)
    count, whole = len(runs), seconds["whole"]
    print(
        f"{count} runs in {whole:.1f} s, {whole / count:.3f} s each, compilation and evaluation "
        f"included; results in {out}"
    )
    if (runs["diverged"] > 0).any():
        _cli.warn(
            f"{(runs['diverged'] > 0).sum()} of {count} members became NaN or infinite; the column "
            "diverged of runs.csv holds the epoch. A smaller --learning_rate may help."
        )


# --------------------------------------------------------------------------------------------------
# The flags


def _given_flags() -> dict[str, Any]:
    """Return the flags that were given and say what is trained; --from reads them."""
    own = flags.FLAGS.flags_by_module_dict()
    names = {flag.name for module, found in own.items() for flag in found if "absl" not in module}
    given = {
        name: flags.FLAGS[name].value
        for name in sorted(names - set(_OF_THE_RUN))
        if flags.FLAGS[name].present
    }
    colours = given.get("colours")
    return {**given, **({"colours": Path(colours).name} if colours else {})}


def _take_flags(path: Path) -> None:
    """Take the flags of an earlier sweep where none are given.

    Raises:
        InputError: it is no config.json of a sweep, or trained on a file that is not given.
    """
    from colour_embed.data import BUILT_IN
    from colour_embed.io import run_folder

    saved = run_folder.read_json(path, ("experiment", "flags"))
    if saved["experiment"] != "sweep":
        raise InputError(f"{path}: is of {saved['experiment']!r}; give the config.json of a sweep")
    for name in ("pairs", "items") if "splits" in saved else ():
        if saved[name] is not None and not flags.FLAGS[name].present:
            raise InputError(f"{path}: trained on {saved[name]}; give --{name} too")
    for name, value in saved["flags"].items():
        if name not in flags.FLAGS:
            raise InputError(f"{path}: no flag is called {name!r}; give its flags one by one")
        if flags.FLAGS[name].present:
            continue
        if name == "colours" and value not in BUILT_IN:
            raise InputError(f"{path}: trained on {value}; give --colours too")
        flags.FLAGS[name].value, flags.FLAGS[name].present = value, 1


def _check_flags(own: bool) -> None:
    """Raise an InputError for flags that are out of range or do not go together."""
    for flag, least in ((_CHECKPOINT_EVERY, 1), (_SNAPSHOTS, 0), (_DEVICES, 0), (_SPLITS, 1)):
        if flag.value < least:
            raise InputError(f"{flag.name} is {flag.value}: give at least {least}")
    if _ANIMATE.value and _SNAPSHOTS.value < 1:
        raise InputError("--animate shows members that keep snapshots: give --snapshots")
    for name in _OF_COLOURS if own else _OF_PAIRS:
        if flags.FLAGS[name].present:
            kind = "own pairs" if own else "colours"
            raise InputError(f"--{name} is not of a sweep of {kind}: leave it out")
    if own:
        _pairs.check_flags()
        if _ANIMATE.value:
            raise InputError("--animate shows colours: use experiments.train for own pairs")


def _axes_and_programs(own: bool) -> tuple[dict[str, list[float]], dict[str, Config]]:
    """Return the axes within a program, and the config of each compiled program by name."""
    heads = ["negative" if own else "free"] if _HEADS.value is None else _HEADS.value
    axes, static = {}, {"head": heads}
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
    if own:
        shared["epochs"] = Config.epochs
        if not flags.FLAGS["learning_rate"].present:
            shared["learning_rate"] = 0.01
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


def _start_jax() -> None:
    """Set up the devices, and join the job of several processes."""
    import jax

    def join() -> None:
        given = _COORDINATOR.value, _PROCESSES.value, _PROCESS.value
        try:
            jax.distributed.initialize(*given, heartbeat_timeout_seconds=_HEARTBEAT.value)
        except (ValueError, RuntimeError, IndexError) as error:
            raise InputError(
                f"distributed: {error}; outside Slurm, Open MPI and TPU pods give --coordinator, "
                "--processes and --process"
            ) from None

    _cli.set_up_jax(_DEVICES.value, *([join] if _DISTRIBUTED.value else []))


@contextlib.contextmanager
def _one_job() -> Iterator[None]:
    """Leave the job at the end, all processes together, so that none waits for another's results.

    If another process has died this one ends with status 1: it cannot leave in good order.
    """
    import jax

    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if jax.process_count() == 1:
            raise
        print(
            f"error: another process of the job has ended ({str(error).splitlines()[0]}); "
            "--resume goes on from the last checkpoint",
            file=sys.stderr,
            flush=True,
        )
        os._exit(1)
    if jax.process_count() > 1:
        jax.distributed.shutdown()


def _silent(label: str, total: int) -> Callable:
    """Report nothing, where process 0 reports for all."""
    return lambda *_: None


def _say(text: str) -> None:
    from colour_embed.engine import job

    if job.leads():
        print(text)


def _plan(task: Task, grid: Grid) -> MemoryPlan:
    """Plan the member batches of one program; checks the configs of all members."""
    import jax

    from colour_embed import animation, sweeps
    from colour_embed.engine.optimizers import make_optimizer
    from colour_embed.engine.schedule import snapshot_epochs

    make_optimizer(task.config, task.config.hyperparams())
    members = sweeps.grid(task.config, grid.seeds, grid.dims, grid.axes)
    if _ANIMATE.value and grid.snapshots():
        try:
            animation.GridLayout.of(members[: grid.snapshots()])
        except InputError as error:
            raise InputError(f"--animate with --snapshots={_SNAPSHOTS.value}: {error}") from None
    return sweeps.plan_sweep(
        task.config,
        task.items,
        task.pairs,
        members,
        swept=tuple(grid.axes),
        vary=grid.vary,
        snapshots=grid.snapshots(),
        frames=len(snapshot_epochs("tutorial", task.config.epochs)),
        stopping=task.stopping is not None,
        devices=jax.devices(),
        shard_items=_SHARD_ITEMS.value,
        max_bytes=_cli.max_bytes(_cli.device_bytes),
    )


# --------------------------------------------------------------------------------------------------
# Training, part by part


def _shared(about: dict[str, Any]) -> dict[str, Any]:
    """Return the entries of config.json that all members share: all but the grid."""
    grid = ("seeds", "dims", "flags")
    shared = {key: value for key, value in about.items() if key not in grid}
    return {**shared, "axes": list(about["axes"]), "snapshots": bool(about["snapshots"])}


def _axes_of(about: dict[str, Any]) -> dict[str, Any]:
    """Return the values of each axis of the grid."""
    names = {name: list(about[name]) for name in ("seeds", "dims", "programs")}
    return {**names, **about["axes"]}


def _is_finished(out: Path, about: dict[str, Any], path: Path, current: dict[str, Any]) -> bool:
    """Return whether the folder holds the results of this very run."""
    from colour_embed.engine import checkpoint
    from colour_embed.io import run_folder

    marker = out / run_folder.MARKER
    if not marker.exists():
        return False
    saved = run_folder.read_json(marker)
    saved.pop("forced", None)
    if saved != json.loads(json.dumps({**about, "finished": True})):
        return False
    return not path.exists() or not checkpoint.changes(run_folder.read_json(path, _FIELDS), current)


def _open(
    out: Path, work: Path, about: dict[str, Any], current: dict[str, Any]
) -> list[str] | None:
    """Prepare the folder of checkpoints: check that it belongs to this run, or empty it.

    Returns:
        The differences that were accepted by --force, now or earlier; None if this very run is
        finished.
    """
    from colour_embed.engine import checkpoint
    from colour_embed.io import run_folder

    path, forced = work / _FINGERPRINT, []
    if _RESUME.value and _is_finished(out, about, path, current):
        return None
    if not (out / run_folder.MARKER).exists():
        run_folder.write_json(out / run_folder.MARKER, {**about, "finished": False})
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
    run_folder.write_json(path, {**current, "forced": forced})
    return forced


def _train(
    work: Path, task: Task, plan: MemoryPlan, grid: Grid, name: str, add: Callable
) -> SweepResult:
    """Train the members of one program; finished members are reused."""
    import jax

    from colour_embed import sweeps
    from colour_embed.engine.checkpoint import Checkpoints

    members = sweeps.grid(task.config, grid.seeds, grid.dims, grid.axes)
    _say(
        f"{name}: {len(members)} members on {len(jax.devices())} devices, "
        f"{plan.per_device} at a time on each; at most about {plan.host_bytes / 1e6:.0f} MB for "
        f"results and {plan.device_bytes / 1e6:.0f} MB on each device"
    )
    bar = None

    def show(event) -> None:
        nonlocal bar
        bar = bar or add(name, event.total)  # no bar if the sweep is refused
        each = max(event.total // event.members, 1)
        runs = "" if event.rate is None else f", {event.rate / each:.2f} runs/s"
        _cli.show_progress(event, bar, f"{event.members_done}/{event.members} members{runs}")

    return sweeps.sweep(
        *(task.config, task.items, task.pairs, grid.seeds, grid.dims),
        truth=task.truth,
        axes=grid.axes,
        vary=grid.vary,
        snapshots=grid.snapshots(),
        stopping=task.stopping,
        held_out=task.held_out,
        shard_items=_SHARD_ITEMS.value,
        max_bytes=_cli.max_bytes(_cli.device_bytes),
        report=show,
        checkpoints=Checkpoints(work / name),
        checkpoint_every=_CHECKPOINT_EVERY.value,
    )


if __name__ == "__main__":
    _cli.start(main, __doc__)
