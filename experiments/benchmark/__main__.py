"""Time this library and its peers on the same trainings, sweeps, animations, page and tutorial.

Every peer is a separate process with the same initial parameters and pairs. The peers take turns,
so that a drift of the machine affects all of them. A training's time counts only if its loss agrees
with ours after the same number of epochs. All parts but `accelerator` run on the CPU. Writes
benchmark.json (medians in seconds, null if a peer was skipped), benchmark.md with the same as
tables, and figures.
"""

from __future__ import annotations

import functools
import math
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from absl import flags

from colour_embed.config import InputError
from experiments import _cli
from experiments.benchmark.harness import Setting
from experiments.benchmark.kinds import FIGURES, KINDS, draw
from experiments.benchmark.record import describe_machine, markdown

_cli.define_out("benchmark")
_ONLY = flags.DEFINE_list("only", None, "Parts to run, separated by commas; all by default.")
_UPDATE = flags.DEFINE_bool("update", False, "Keep the parts in the folder that are not run now.")
_REPEATS = flags.DEFINE_integer("repeats", 3, "Number of timings of each entry.")
_EPOCHS = flags.DEFINE_integer("epochs", 500, "Passes over the pairs of a whole training.")
_KERAS_EPOCHS = flags.DEFINE_integer(
    "keras_epochs",
    10,
    "Epochs over which Keras is timed, after a warm-up epoch; its seconds are scaled to --epochs. "
    "With the value of --epochs all epochs run.",
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the initial parameters.")
_SWEEP_MEMBERS = flags.DEFINE_integer("sweep_members", 64, "Members of the sweep.")
_PYTHON_TF = flags.DEFINE_string(
    "python_tf",
    None,
    "Python with Keras on TensorFlow, pandas, matplotlib and av. By default "
    "$COLOUR_EMBED_PYTHON_TF, or else this one.",
)
_PYTHON_TORCH = flags.DEFINE_string(
    "python_torch",
    None,
    "Python with PyTorch. By default $COLOUR_EMBED_PYTHON_TORCH, or else this one.",
)
_LEAST = ((_REPEATS, 1), (_EPOCHS, 2), (_KERAS_EPOCHS, 1), (_SEED, 0), (_SWEEP_MEMBERS, 1))

SAME_MACHINE = ("processor", "cores", "system")
"""Entries of the machine that must agree for two records to share a table."""

BY_PART = ("ratios", "details", "environment")
"""Entries of a record by part, in addition to the seconds under the part's name."""


def main() -> None:
    for flag, least in _LEAST:
        if flag.value < least:
            raise InputError(f"--{flag.name} is {flag.value}: give at least {least}")
    for name in _ONLY.value or ():
        if name not in KINDS:
            raise InputError(f"--only: no part is called {name!r}; give some of {', '.join(KINDS)}")
    pythons = {
        flag.name: _python(flag, f"COLOUR_EMBED_{flag.name.upper()}")
        for flag in (_PYTHON_TF, _PYTHON_TORCH)
    }
    out = _cli.out_folder()
    earlier = _earlier_record(out) if _UPDATE.value else {}

    import jax

    from colour_embed import data
    from colour_embed.io import machine, placing, run_folder

    jax.config.update("jax_platforms", "cpu")  # this process only; peers read their environment
    with (
        placing.replacing(out, "benchmark") as folder,
        tempfile.TemporaryDirectory() as scratch,
        _cli.progress() as add,
    ):
        if earlier:
            shutil.copytree(out, folder, dirs_exist_ok=True)
        colours = data.load_colours()
        data_hash = data.data_hash(colours, data.tutorial_pairs(colours))
        environment = machine.environment("cpu", data_hash)
        asked = {flag.name: flag.value for flag, _ in _LEAST}
        # A missing peer is skipped in 2-D and in 3-D, but reported once.
        say = functools.cache(print)
        setting = Setting(**asked, **pythons, scratch=Path(scratch), add=add, say=say)
        names = [name for name in KINDS if not _ONLY.value or name in _ONLY.value]
        record = run_parts(names, setting, environment, earlier)
        config = {"experiment": "benchmark", "parts": list(record["details"]), **asked}
        run_folder.write_json(folder / run_folder.MARKER, config)
        run_folder.write_json(folder / "env.json", environment)
        run_folder.write_json(folder / "benchmark.json", record)
        draw(folder, folder)
        figures = {part: f"{name}.png" for part, (name, _) in FIGURES.items()}
        table = markdown(record, KINDS, figures)
        (folder / "benchmark.md").write_text(table, encoding="utf-8")
    print(table)
    print(f"results in {out}")


def run_parts(
    names: list[str], setting: Setting, environment: dict[str, Any], earlier: dict[str, Any]
) -> dict[str, Any]:
    """Run parts one after the other.

    Args:
        names: The parts to run.
        setting: The settings of every part.
        environment: Versions and commit, recorded with each part.
        earlier: The record of an earlier run, whose other parts of `KINDS` are kept; may be empty.

    Returns:
        The entries of benchmark.json.
    """
    # A part that is no longer measured is left out: the table and its figure would be missing.
    kept = [name for name in KINDS if name in earlier.get("details", {})]
    record = {"unit": "seconds, medians", "machine": describe_machine()}
    record |= {name: earlier[name] for name in kept}
    for key in BY_PART:
        record[key] = {name: earlier[key][name] for name in kept}
    for name in names:
        part = KINDS[name].run(setting)
        record[name] = part.seconds
        device = part.details.get("device", environment)["device"]
        about = {**environment, "device": device or environment["device"]}
        for key, value in zip(BY_PART, (part.ratios, part.details, about)):
            record[key][name] = value
    return record


def _earlier_record(folder: Path) -> dict[str, Any]:
    """Read the record of an earlier run on this machine.

    Raises:
        InputError: there is no earlier run, or it was measured on another machine.
    """
    from colour_embed.io import run_folder

    path = folder / "benchmark.json"
    try:
        found = run_folder.read_json(path, ["machine", *BY_PART])
        earlier, present = found["machine"], describe_machine()
        same = all(earlier[key] == present[key] for key in SAME_MACHINE)
        # The kernel keeps a few pages more or less at each boot.
        same &= math.isclose(
            earlier["memory_bytes"] or 0, present["memory_bytes"] or 0, rel_tol=0.01
        )
    except (InputError, LookupError, TypeError):
        raise InputError(f"--update: {path} holds no earlier run: leave the flag out") from None
    if not same:
        raise InputError(f"--update: {path} was measured on another machine: leave the flag out")
    return found


def _python(flag: flags.FlagHolder, variable: str) -> str:
    """Return the Python of a peer: from its flag, its environment variable, or this one."""
    chosen = flag.value or os.environ.get(variable) or sys.executable
    if shutil.which(chosen) is None:
        raise InputError(f"--{flag.name}: {chosen!r} is no program; give the path of a Python")
    return chosen


if __name__ == "__main__":
    _cli.start(main, __doc__)
