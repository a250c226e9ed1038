"""The animations, ours and matplotlib's: drawing alone, and whole with the encoding."""

from __future__ import annotations

import contextlib
import functools
import sys
import tempfile
from pathlib import Path
from typing import Any

from experiments.benchmark.common import (
    ON_PROCESSOR,
    PEERS,
    Part,
    Setting,
    Timed,
    counted,
    own_code,
    round_ratios,
    take_turns,
)
from experiments.benchmark.peers import process

DIMS = (2, 3)
PROGRAMS = {"": "ours_animation.py", "_peer": "matplotlib_animation.py"}
"""What is added to the name of an entry, and the program that it is timed of."""

GRID_PROCESS = "grid"  # of its own: its members are trained, which takes more memory than videos do
GRID = {"seeds": 8, "dims": 3}


def animation(setting: Setting) -> Part:
    """Seconds for the tutorial's frames of 646 points, in 1000 x 500 (2-D) and 800 x 600 (3-D).

    `draw` makes all frames and drops them; `whole` writes the video, H.264 at crf 26. The peers are
    `FuncAnimation.save` with a writer that drops the frames, and with one that encodes them with
    the same settings. `grid` is the video of 8 seeds in 3 dimensions, which matplotlib has no
    peer for.
    """
    folder = Path(tempfile.mkdtemp(dir=setting.scratch))
    _write_snapshots(folder / "snapshots.npz", setting)
    # Which program is asked what, by part and name.
    asked: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {
        (f"{dim}d", f"{what}{suffix}"): (
            program,
            {"what": what, "dim": dim, "out": str(folder / "out.mp4")},
        )
        for dim in DIMS
        for what in ("draw", "whole")
        for suffix, program in PROGRAMS.items()
    }
    grid = {**GRID, "what": "grid", "epochs": setting.epochs, "out": str(folder / "grid.mp4")}
    asked["grid", "whole"] = GRID_PROCESS, grid
    with contextlib.ExitStack() as stack:
        peers = {}
        for name in dict.fromkeys(program for program, _ in asked.values()):
            program = PROGRAMS[""] if name == GRID_PROCESS else name
            command = [sys.executable, str(PEERS / program), str(folder / "snapshots.npz")]
            environment = {**ON_PROCESSOR, **own_code()}
            peers[name] = stack.enter_context(process.Conversation(command, environment))
            # One that cannot begin says so again when it is asked.
            with contextlib.suppress(process.Unavailable):
                peers[name].answer()
        runs = {
            " ".join(place): functools.partial(_ask, peers[program], question)
            for place, (program, question) in asked.items()
        }
        entries = take_turns(setting, "animation", runs, {})
    details: dict[str, Any] = {}
    for part, name in asked:
        details.setdefault(part, {})[name] = entries[f"{part} {name}"]
    seconds = {
        part: {name: counted(entry) for name, entry in entries.items()}
        for part, entries in details.items()
    }
    ratios = {
        f"{dim}d": round_ratios(
            details[f"{dim}d"], [("draw_peer", "draw"), ("whole_peer", "whole")]
        )
        for dim in DIMS
    }
    return Part(seconds, details, ratios)


def _ask(peer: process.Conversation, question: dict[str, Any]) -> Timed:
    answer = peer.run(question)
    about = {"frames": answer["frames"], "peak_memory_bytes": peer.peak_memory()}
    return answer["seconds"], about


def _write_snapshots(path: Path, setting: Setting) -> None:
    """Train in two and in three dimensions, and keep the frames that the tutorial shows."""
    import jax
    import numpy as np

    from colour_embed import data, train
    from colour_embed.config import Config

    colours = data.load_colours()
    pairs = data.tutorial_pairs(colours)
    arrays = {}
    with jax.default_device(jax.devices("cpu")[0]):
        for dim in DIMS:
            config = Config(seed=setting.seed, dim=dim, epochs=setting.epochs)
            fit = train.fit(config, len(colours), pairs)
            shown = fit.epoch > 0
            arrays[f"epoch_{dim}d"] = fit.epoch[shown]
            arrays[f"snapshots_{dim}d"], arrays[f"loss_{dim}d"] = fit.snapshots[shown], fit.loss
    np.savez(path, **arrays)
