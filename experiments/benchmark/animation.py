"""Time the animations, ours and matplotlib's: drawing alone, and drawing with encoding."""

from __future__ import annotations

import contextlib
import functools
import sys
from pathlib import Path
from typing import Any

from colour_embed.config import Config
from experiments.benchmark import harness
from experiments.benchmark.harness import ON_CPU, PEERS, Part, Peer, Setting

DIMS = (2, 3)


def animation(setting: Setting) -> Part:
    """Measure seconds for the tutorial's frames of 646 points, 1280 x 720.

    `draw` draws all frames and discards them. `whole` writes the video, H.264. The peers
    are `FuncAnimation.save` with a writer that discards the frames, and with one that encodes them
    with the same settings.
    """
    folder = setting.folder()
    path, out = str(folder / "snapshots.npz"), str(folder / "out.mp4")
    _write_snapshots(folder / "snapshots.npz", setting)
    reasons: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(Peer(*harness.ours()))
        ours.answer()
        theirs = stack.enter_context(
            Peer([sys.executable, PEERS / "matplotlib_animation.py", path], ON_CPU)
        )
        runs = {}
        for dim in DIMS:
            for what in ("draw", "whole"):
                asked = {"what": "animation", "path": path, "draw": what == "draw"}
                runs[f"{dim}d {what}"] = functools.partial(ours.run, **asked, dim=dim, out=out)
                runs[f"{dim}d {what}_peer"] = functools.partial(
                    theirs.run, what=what, dim=dim, out=out
                )
        try:
            theirs.answer()
        except harness.Unavailable as error:
            setting.say(f"skipped: matplotlib's animation ({error})")
            reasons = {name: str(error) for name in runs if name.endswith("_peer")}
        entries = harness.take_turns(setting, "animation", runs, reasons)
    details: dict[str, Any] = {f"{dim}d": {} for dim in DIMS}
    for place, entry in entries.items():
        name, what = place.split()
        details[name][what] = entry
    against = [("draw_peer", "draw"), ("whole_peer", "whole")]
    ratios = {name: harness.round_ratios(found, against) for name, found in details.items()}
    return Part(harness.counted(details), details, ratios)


def _write_snapshots(path: Path, setting: Setting) -> None:
    """Train in two and three dimensions, and save the snapshots of the tutorial's frames."""
    import numpy as np

    from colour_embed import data, train

    colours = data.load_colours()
    pairs = data.tutorial_pairs(colours)
    arrays = {"rgb": colours.rgb}
    for dim in DIMS:
        config = Config(seed=setting.seed, dim=dim, epochs=setting.epochs)
        fit = train.fit(config, len(colours), pairs)
        shown = fit.epoch > 0
        arrays[f"epoch_{dim}d"], arrays[f"loss_{dim}d"] = fit.epoch[shown], fit.loss
        arrays[f"snapshots_{dim}d"] = fit.snapshots[shown]
    np.savez(path, **arrays)
