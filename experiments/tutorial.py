"""Run the tutorial: train a 2-D and a 3-D embedding of 646 colours, and draw the results.

Writes metrics.json, embedding_2d.csv and embedding_3d.csv, the tutorial's figure (main), the 3-D
figure, the loss curves, six snapshots of each training, and the animations embed_2d.mp4 and
embed_3d.mp4.
"""

from __future__ import annotations

import dataclasses
import functools
import multiprocessing
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from absl import flags

from experiments import _cli

_cli.define_out("tutorial")
_cli.colour_flags()
_SEED_2D = flags.DEFINE_integer(
    "seed_2d", 0, "Seed of the 2-D training. The tutorial's 7 leads to the sign trap here."
)
_SEED_3D = flags.DEFINE_integer(
    "seed_3d", 0, "Seed of the 3-D training. The tutorial's 1 leads to the sign trap here."
)
_CONFIG = _cli.config_flags("seed", "dim", "label_constant")


def main() -> None:
    # Imported here, so that --help and flag errors need no jax.
    import jax

    from colour_embed import data, train
    from colour_embed.config import Config
    from colour_embed.engine.optimizers import make_optimizer
    from colour_embed.evaluate import truth
    from colour_embed.io import machine, placing, run_folder

    began = time.perf_counter()
    configs = {
        f"{dim}d": Config(seed=seed, dim=dim, **_CONFIG())
        for dim, seed in ((2, _SEED_2D.value), (3, _SEED_3D.value))
    }
    make_optimizer(configs["2d"], configs["2d"].hyperparams())  # rejects an unknown name
    colours, pairs = _cli.load_colour_pairs()
    probability = truth.probability_similar(truth.pair_distance(colours, pairs.index))
    losses = {
        "best_loss": truth.best_loss(probability, pairs.label),
        "base_rate_loss": truth.base_rate_loss(pairs.label),
    }
    out = _cli.out_folder()
    _cli.set_up_jax()
    fits, seconds, metrics, complete = {}, {}, {}, True
    with placing.replacing(out, "tutorial") as folder:
        environment = machine.environment(
            jax.devices()[0].device_kind, data.data_hash(colours, pairs)
        )
        runs = {name: dataclasses.asdict(config) for name, config in configs.items()}
        about = {"colours": colours.source, "pairs": len(pairs), "runs": runs}
        run_folder.write_json(folder / run_folder.MARKER, {"experiment": "tutorial", **about})
        if flags.FLAGS.colours not in data.BUILT_IN:
            run_folder.write_colours(folder, colours)
        # The video of one training is made while the next one trains.
        with _cli.progress() as add, ThreadPoolExecutor(1) as filming:
            videos = []
            try:
                for name, config in configs.items():
                    bar = add(f"train {name}", config.epochs)
                    start = time.perf_counter()
                    fits[name] = train.fit(
                        config,
                        len(colours),
                        pairs,
                        report=lambda event, bar=bar: _cli.show_progress(
                            event, bar, f"epoch {event.done}/{event.total}"
                        ),
                    )
                    seconds[f"train_{name}"] = time.perf_counter() - start
                    _write(folder, name, fits[name], colours)
                    if fits[name].status == "interrupted":
                        break
                    videos.append(filming.submit(_animate, folder, name, fits[name], colours, add))
                metrics = _finish(folder, fits, colours, losses)
                for video in videos:
                    video.result()
            except KeyboardInterrupt:
                complete = False
                filming.shutdown(cancel_futures=True)
                if not metrics:  # the interrupt came before the figures, and may have cut a file
                    for name, fit in fits.items():
                        _write(folder, name, fit, colours)
                    metrics = _finish(folder, fits, colours, losses)
        seconds["whole"] = time.perf_counter() - began
        run_folder.write_json(folder / "env.json", {**environment, "seconds": seconds})
    _print_report(out, fits, metrics)
    if not complete or len(fits) < 2 or any(fit.status != "done" for fit in fits.values()):
        raise _cli.Unfinished("the run did not finish; the results so far are saved")


def _measure(fit: Any, colours: Any, losses: dict[str, float]) -> dict[str, Any]:
    """Return one entry of metrics.json."""
    from colour_embed.evaluate.geometry import recovery

    return {
        "seed": fit.config.seed,
        "dim": fit.config.dim,
        "epochs": len(fit.loss),
        "status": fit.status,
        "loss": float(fit.loss[-1]) if len(fit.loss) else None,
        "mse": float(fit.mse[-1]) if len(fit.mse) else None,
        **losses,
        "kernel": fit.kernel,
        "bias": fit.bias,
        **recovery(fit.embedding, colours.rgb)._asdict(),
    }


def _write(folder: Path, name: str, fit: Any, colours: Any) -> None:
    """Write the arrays of one training."""
    from colour_embed.io import run_folder

    run_folder.write_embedding(folder / f"embedding_{name}.csv", colours.names, fit.embedding)
    path = folder / f"snapshots_{name}.npz"
    run_folder.write_snapshots(path, fit.epoch, fit.snapshots, fit.loss)


def _finish(folder: Path, fits: Any, colours: Any, losses: dict[str, float]) -> dict[str, Any]:
    """Write and return the metrics, and draw the figures in a process of their own.

    In a thread, Python's lock would let one of figures and videos wait for the other.
    """
    from colour_embed.io import run_folder

    metrics = {name: _measure(fit, colours, losses) for name, fit in fits.items()}
    run_folder.write_json(folder / "metrics.json", metrics)
    process = multiprocessing.get_context("spawn").Process(target=_draw, args=(folder,))
    process.start()
    try:
        process.join()
    finally:  # an interrupt ends it too, before others write its files
        process.kill()
        process.join()
    if process.exitcode:
        sys.exit(process.exitcode)  # the process has said why
    return metrics


def _draw(folder: Path) -> None:
    """Draw the figures from the files of `_write` and `_finish`."""
    from experiments import _tutorial_figures

    _cli.start(functools.partial(_tutorial_figures.draw, folder, folder), __doc__ or "")


def _animate(folder: Path, name: str, fit: Any, colours: Any, add: Any) -> None:
    """Make the video of one training."""
    from colour_embed import animation

    if len(fit.loss) == 0:
        return
    shown = fit.epoch > 0  # the tutorial's first frame is after epoch 1
    bar = add(f"animate {name}", int(shown.sum()))
    animation.animate(
        fit.epoch[shown],
        fit.snapshots[shown],
        colours.rgb,
        folder / f"embed_{name}.mp4",
        loss=fit.loss,
        report=lambda event: _cli.show_progress(event, bar),
    )


def _print_report(out: Path, fits: dict[str, Any], metrics: dict[str, Any]) -> None:
    """Print the metrics of both trainings, and what is wrong with them."""
    from rich.console import Console
    from rich.table import Table

    from colour_embed import model

    console = Console()
    table = Table("", *fits, title="Trainings")
    tables = [model.parameter_table(fit.params) for fit in fits.values()]
    for rows in zip(*tables):
        table.add_row(rows[0][0], *(f"{row[2]:,} {row[1]}" for row in rows))
    totals = (f"{sum(row[2] for row in parameters):,}" for parameters in tables)
    table.add_row("parameters in total", *totals, end_section=True)
    for key in next(iter(metrics.values()), ()):
        values = (entry[key] for entry in metrics.values())
        table.add_row(key, *(f"{v:.4f}" if isinstance(v, float) else str(v) for v in values))
    console.print(table)
    for name, fit in fits.items():
        if fit.status == "diverged":
            _cli.warn(
                f"{name}: a parameter became NaN or infinite in epoch {fit.diverged_epoch}; the "
                "results are those of the epoch before. Give a smaller --learning_rate."
            )
        elif fit.trapped:
            _cli.warn(
                f"{name}: sign trap. The weight of the head is {fit.kernel:+.2f}, so similar "
                "colours are pushed apart and the embedding does not recover colour. Give another "
                f"--seed_{name}, or --head=negative, whose weight cannot change its sign."
            )
        elif not metrics[name]["recovered"]:
            _cli.warn(f"{name}: the embedding does not recover colour yet; give more --epochs.")
    print(f"results in {out}")


if __name__ == "__main__":
    _cli.start(main, __doc__)
