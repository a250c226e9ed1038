"""The whole tutorial, from process start to finished videos: our program and its own script."""

from __future__ import annotations

import functools
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from experiments.benchmark.common import (
    ON_PROCESSOR,
    PEERS,
    Part,
    Setting,
    Timed,
    counted,
    empty_cache,
    own_code,
    round_ratios,
    take_turns,
)
from experiments.benchmark.peers import process


def tutorial(setting: Setting) -> Part:
    """The whole tutorial from process start to finished videos: our program and its own script."""
    table = setting.scratch / "colours.csv"
    _write_download(table)
    runs = {
        name: functools.partial(_run_and_clear, run, setting, table)
        for name, run in (("ours", _run_ours), ("script", _run_script))
    }
    details = take_turns(setting, "tutorial", runs, {})
    seconds = {name: counted(entry) for name, entry in details.items()}
    return Part(seconds, details, round_ratios(details, [("script", "ours")]))


def _run_and_clear(run: Callable[..., Timed], setting: Setting, table: Path) -> Timed:
    """Run a program into a folder that goes with it."""
    with tempfile.TemporaryDirectory(dir=setting.scratch) as out:
        return run(setting, table, Path(out))


def _run_ours(setting: Setting, table: Path, out: Path) -> Timed:
    command = [sys.executable, "-m", "experiments.tutorial"]
    command += [f"--out={out}", f"--epochs={setting.epochs}"]
    with empty_cache() as cache:
        done = process.run_program(command, {**ON_PROCESSOR, **own_code(), **cache})
    return done.seconds, {
        "epochs_run": setting.epochs,
        "scaled": False,
        "peak_memory_bytes": done.peak_memory,
    }


def _run_script(setting: Setting, table: Path, out: Path) -> Timed:
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
