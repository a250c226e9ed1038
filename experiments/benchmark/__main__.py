"""How long the work takes here and elsewhere: the same training, the same tutorial, timed.

Every peer is a process of its own, starts from the same parameters and pairs, and takes turns with
the others, so that a drift of the machine hits all alike. A training's time counts only if it comes
to the loss that ours comes to by the same epoch. All but the accelerator's part runs on the
processor. Writes benchmark.json (seconds; medians, null where a peer was skipped), the same as a
table, benchmark.md, what was tried to make it faster, levers.md, and figures.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from absl import flags

from colour_embed.config import InputError
from experiments import _cli
from experiments.benchmark import sweep
from experiments.benchmark.common import Setting
from experiments.benchmark.kinds import KINDS, draw
from experiments.benchmark.record import describe_machine, markdown

_OUT = _cli.define_out("benchmark")
_ONLY = flags.DEFINE_list("only", None, "Parts to run, separated by commas; all by default.")
_UPDATE = flags.DEFINE_bool(
    "update", False, "Keep the parts of an earlier run in the folder that are not run now."
)
_REPEATS = flags.DEFINE_integer("repeats", 3, "How often everything is timed.")
_EPOCHS = flags.DEFINE_integer("epochs", 500, "Passes over the pairs of a whole training.")
_KERAS_EPOCHS = flags.DEFINE_integer(
    "keras_epochs",
    10,
    "Epochs that Keras is timed over, after one that is not counted; its seconds are scaled to "
    "--epochs. As many as --epochs runs all.",
)
_SEED = flags.DEFINE_integer("seed", 0, "Whose initial parameters the trainings start from.")
_SWEEP_MEMBERS = flags.DEFINE_integer("sweep_members", 64, "Members of the sweep.")
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


SAME_MACHINE = ("processor", "cores", "memory_bytes", "system")
"""What must agree for two records to stand in one table."""


def run_parts(
    names: list[str], setting: Setting, environment: dict[str, Any], earlier: dict[str, Any]
) -> dict[str, Any]:
    """Run parts one after the other.

    Args:
        names: Which parts.
        setting: What every part is told.
        environment: Versions and commit, which are kept for each part.
        earlier: The record of an earlier run, whose other parts are kept; may be empty.

    Returns:
        What benchmark.json holds.
    """
    machine = describe_machine()
    record = {**earlier, "unit": "seconds, medians", "machine": machine}
    for key in ("ratios", "details", "environment"):
        record[key] = dict(earlier.get(key, {}))
    for name in names:
        part = KINDS[name].run(setting)
        record[name] = part.seconds
        record["ratios"][name], record["details"][name] = part.ratios, part.details
        record["environment"][name] = environment
    for key in ("ratios", "details", "environment"):
        record[key] = {name: record[key][name] for name in KINDS if name in record[key]}
    return record


def _earlier_record(folder: Path) -> dict[str, Any]:
    """What an earlier run on this machine left.

    Raises:
        InputError: there is nothing to update, or it was measured on another machine.
    """
    path = folder / "benchmark.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        same = all(found["machine"][key] == describe_machine()[key] for key in SAME_MACHINE)
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"--update: {path} holds no earlier run: leave the flag out") from None
    if not same:
        raise InputError(f"--update: {path} was measured on another machine: leave the flag out")
    return found


def _python(given: str | None, variable: str, flag: str) -> str:
    """The Python of a peer: from its flag, its environment variable, or this one."""
    chosen = given or os.environ.get(variable) or sys.executable
    if shutil.which(chosen) is None:
        raise InputError(f"--{flag}: {chosen!r} is no program; give the path of a Python")
    return chosen


def _chosen_parts(only: list[str] | None) -> list[str]:
    for name in only or ():
        if name not in KINDS:
            raise InputError(f"--only: no part is called {name!r}; give some of {', '.join(KINDS)}")
    return [name for name in KINDS if not only or name in only]


def main() -> None:
    for flag, least in (
        (_REPEATS, 1),
        (_EPOCHS, 2),
        (_KERAS_EPOCHS, 1),
        (_SEED, 0),
        (_SWEEP_MEMBERS, 1),
    ):
        if flag.value < least:
            raise InputError(f"--{flag.name} is {flag.value}: give at least {least}")
    names = _chosen_parts(_ONLY.value)
    python_tf = _python(_PYTHON_TF.value, "COLOUR_EMBED_PYTHON_TF", "python_tf")
    python_torch = _python(_PYTHON_TORCH.value, "COLOUR_EMBED_PYTHON_TORCH", "python_torch")
    out = Path(_OUT.value)
    earlier = _earlier_record(out) if _UPDATE.value else {}

    from colour_embed import data
    from colour_embed.io import run_folder

    with (
        run_folder.replacing(out, "benchmark") as folder,
        tempfile.TemporaryDirectory() as scratch,
    ):
        colours = data.load_colours()
        data_hash = data.data_hash(colours, data.tutorial_pairs(colours))
        environment = run_folder.environment("cpu", data_hash)
        asked = {
            "epochs": _EPOCHS.value,
            "keras_epochs": _KERAS_EPOCHS.value,
            "repeats": _REPEATS.value,
            "seed": _SEED.value,
            "sweep_members": _SWEEP_MEMBERS.value,
        }
        # A peer that is missing is missing in 2-D and in 3-D, and said to be once.
        say = functools.cache(print)
        with _cli.progress() as add:
            setting = Setting(
                **asked,
                sweep_widths=sweep.WIDTHS,
                python_tf=python_tf,
                python_torch=python_torch,
                scratch=Path(scratch),
                add=add,
                say=say,
            )
            record = run_parts(names, setting, environment, earlier)
        run_folder.write_json(
            folder / "config.json",
            {"experiment": "benchmark", "parts": list(record["details"]), **asked},
        )
        run_folder.write_json(folder / "env.json", environment)
        run_folder.write_json(folder / "benchmark.json", record)
        for name, details in record["details"].items():
            if KINDS[name].page is not None:
                page = KINDS[name].page(details)
                (folder / f"{name}.md").write_text(page, encoding="utf-8")
        table = markdown(record, KINDS, draw(folder, folder))
        (folder / "benchmark.md").write_text(table, encoding="utf-8")
    print(table)
    print(f"results in {out}")


if __name__ == "__main__":
    _cli.start(main, __doc__)
