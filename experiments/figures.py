"""Redraw all figures from the arrays and tables of the runs, without training, to the same bytes.

Redraws every folder under --results that tutorial, sweep, claims, benchmark, train, eyes or
examples wrote, into a folder of the same name under --out. Folders of run folders are searched
too, such as results/dims. Videos and their stills are not redrawn.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from absl import flags

from colour_embed.config import InputError
from experiments import _cli

_cli.define_out("figures")
_RESULTS = flags.DEFINE_string("results", "results", "The folder that contains the run folders.")
_ONLY = flags.DEFINE_list(
    "only",
    None,
    "Run folders to redraw, by name, such as tutorial,dims/words; all by default.",
)

Say = Callable[[str], None]


def main() -> None:
    # Imported here, so that --help and flag errors need no jax.
    from colour_embed import data
    from colour_embed.io import machine, placing, run_folder

    out = _cli.out_folder()
    runs = _chosen(find_runs(Path(_RESULTS.value)), _ONLY.value)
    drawn: dict[str, list[str]] = {}
    with placing.replacing(out, "figures") as made:
        for name, (folder, experiment) in runs.items():

            def say(line: str, name: str = name) -> None:
                print(f"{name}: {line}")

            (made / name).mkdir(parents=True)
            with run_folder.reading(folder):
                paths = DRAW[experiment](folder, made / name, say)
            drawn[name] = sorted(path.relative_to(made / name).as_posix() for path in paths)
            say(", ".join(drawn[name]) or "nothing to draw")
        colours = data.load_colours()
        data_hash = data.data_hash(colours, data.tutorial_pairs(colours))
        run_folder.write_json(made / run_folder.MARKER, {"experiment": "figures", "drawn": drawn})
        run_folder.write_json(made / "env.json", machine.environment("cpu", data_hash))
    print(f"figures in {out}")


def find_runs(source: Path) -> dict[str, tuple[Path, str]]:
    """Find the run folders with figures under `source`, and in its folders without a config.json.

    Returns:
        name, such as tutorial or dims/words -> the folder, and the experiment that wrote it, a key
        of `DRAW`; sorted by name.

    Raises:
        InputError: `source` is not a folder, holds no run folder, or a config.json in it cannot be
            read.
    """
    from colour_embed.io import run_folder

    if not source.is_dir():
        raise InputError(f"{source}: is no folder; give --results the folder of the run folders")
    found = {}
    direct = {path.parent for path in source.glob(f"*/{run_folder.MARKER}")}
    inner = {path.parent for path in source.glob(f"*/*/{run_folder.MARKER}")}
    # What lies in a run folder is the run's own.
    for folder in sorted(direct | {one for one in inner if one.parent not in direct}):
        config = run_folder.read_json(folder / run_folder.MARKER)
        experiment = config.get("experiment") if isinstance(config, dict) else None
        if experiment in DRAW:
            found[folder.relative_to(source).as_posix()] = folder, experiment
    if not found:
        raise InputError(f"{source}: holds no run folder; make a run, or give another --results")
    return found


def _chosen(runs: dict[str, Any], only: list[str] | None) -> dict[str, Any]:
    """Select the runs that --only names, or all of them."""
    for name in only or ():
        if name not in runs:
            raise InputError(
                f"--only: no run folder with figures is called {name!r}; give some of "
                f"{', '.join(runs)}"
            )
    return {name: runs[name] for name in runs if not only or name in only}


# --------------------------------------------------------------------------------------------------
# (run folder, folder for its figures, say) -> paths written. Imports are local to each.


def _tutorial(folder: Path, out: Path, say: Say) -> list[Path]:
    from experiments import _tutorial_figures

    return _tutorial_figures.draw(folder, out)


def _sweep(folder: Path, out: Path, say: Say) -> list[Path]:
    from experiments import _sweep_figures

    return _sweep_figures.draw(folder, out, say)


def _benchmark(folder: Path, out: Path, say: Say) -> list[Path]:
    from experiments.benchmark import kinds

    kinds.draw(folder, out)
    return list(out.iterdir())


def _claims(folder: Path, out: Path, say: Say) -> list[Path]:
    from experiments.claims.drawing import draw

    return draw(folder, out)


def _train(folder: Path, out: Path, say: Say) -> list[Path]:
    from experiments import _train_figures

    return _train_figures.draw(folder, out)


def _eyes(folder: Path, out: Path, say: Say) -> list[Path]:
    from experiments import _eyes

    return _eyes.draw(folder, out)


def _examples(folder: Path, out: Path, say: Say) -> list[Path]:
    from experiments.examples.drawing import draw

    return draw(folder, out)


DRAW: dict[str, Callable[[Path, Path, Say], list[Path]]] = {
    "tutorial": _tutorial,
    "sweep": _sweep,
    "benchmark": _benchmark,
    "claims": _claims,
    "train": _train,
    "eyes": _eyes,
    "examples": _examples,
}

if __name__ == "__main__":
    _cli.start(main, __doc__)
