"""Time the whole tutorial, from process start to videos: our program and the original script."""

from __future__ import annotations

import functools
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from experiments.benchmark import harness
from experiments.benchmark.harness import ON_CPU, PEERS, Part, Setting


def tutorial(setting: Setting) -> Part:
    """Measure the tutorial from process start to videos: our program and the original script."""
    table = setting.scratch / "colours.csv"
    _write_download(table)
    runs = {
        "ours": functools.partial(_run_ours, setting),
        "script": functools.partial(_run_script, setting, table),
    }
    details = harness.take_turns(setting, "tutorial", runs, {})
    ratios = harness.round_ratios(details, [("script", "ours")])
    return Part(harness.counted(details), details, ratios)


def _run_ours(setting: Setting) -> dict[str, Any]:
    with harness.empty_cache() as cache, tempfile.TemporaryDirectory(dir=setting.scratch) as out:
        command = [sys.executable, "-m", "experiments.tutorial"]
        command += [f"--out={out}", f"--epochs={setting.epochs}"]
        done = harness.run_program(command, {**ON_CPU, **harness.own_code(), **cache})
    about = {"epochs_run": setting.epochs, "scaled": False}
    return {**about, "seconds": done.seconds, "peak_memory_bytes": done.peak_memory}


def _run_script(setting: Setting, table: Path) -> dict[str, Any]:
    run_epochs = setting.keras_run_epochs
    with tempfile.TemporaryDirectory(dir=setting.scratch) as out:
        command = [setting.python_tf, PEERS / "tutorial_script.py", table, out]
        command += [f"--epochs={setting.epochs}", f"--run_epochs={run_epochs}"]
        done = harness.run_program(command, ON_CPU)
    said = json.loads(done.last_line)
    if "skipped" in said:
        raise harness.Unavailable(said["skipped"])
    ends = [0.0, *said["stages"].values()]
    stages = {name: end - start for name, start, end in zip(said["stages"], ends, ends[1:])}
    # The first epoch is not scaled, as it traces and compiles.
    more = {
        name: fit["other_epochs"] * (setting.epochs - run_epochs) / (run_epochs - 1)
        for name, fit in said["fits"].items()
    }
    for name, seconds in more.items():
        stages[f"fit_{name}"] += seconds
    return {
        "seconds": done.seconds + sum(more.values()),
        "stages": stages,
        "epochs_run": run_epochs,
        "scaled": run_epochs != setting.epochs,
        **{key: said[key] for key in ("frames", "colours", "positive", "versions")},
        "peak_memory_bytes": done.peak_memory,
    }


def _write_download(path: Path) -> None:
    """Write the colours in the format of the tutorial's download, which its script reads."""
    import pandas as pd

    from colour_embed import data

    colours = data.load_colours()
    levels = (colours.rgb * 255).round().astype(int)
    cells = [";".join(map(str, row)) for row in levels]
    pd.DataFrame({"Color Name": colours.names, "R;G;B Dec": cells}).to_csv(path, index=False)
