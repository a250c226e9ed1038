"""Train on user pairs and write the run folder; shared by `train` and the examples.

A run folder holds config.json, env.json and metrics.json; embedding.csv and the other exports; and
items.npz, losses.csv and snapshots.npz, from which figures and videos are drawn.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import re
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from colour_embed import animation
from colour_embed.config import Config, InputError
from colour_embed.data import HEX_COLOUR, Colours, Pairs, rgb_of_hex
from colour_embed.engine.optimizers import make_optimizer
from colour_embed.evaluate import scores
from colour_embed.evaluate.geometry import nearest
from colour_embed.evaluate.uncertainty import Spread
from colour_embed.heads import HEADS
from colour_embed.io import machine, run_folder
from colour_embed.io import vectors as exports
from colour_embed.pairs import report, sampling
from colour_embed.pairs.checks import convergence_warnings, quality_warnings
from colour_embed.pairs.fit import PairFit, Stopping, fit_pairs, pair_logits
from colour_embed.pairs.positions import bootstrap_positions
from colour_embed.pairs.reading import PairTable
from colour_embed.pairs.vocabulary import nearest_name
from colour_embed.viz import page
from colour_embed.viz.style import item_looks
from experiments import _cli, _train_figures

if TYPE_CHECKING:
    import pandas as pd

_LISTED = 100  # most names of isolated or weakly tied items in metrics.json
_NEIGHBOURS = 5
_SHOWN_ITEMS = 5  # items whose neighbours are reported by default
_SNAPSHOT_BYTES = 2_800_000  # under 3 MB together with the losses
_STEP_BYTES, _PAIR_BYTES = 4, 96


@dataclass(frozen=True)
class Plan:
    """The settings of a training, apart from its data.

    Attributes:
        config: Configuration of the model and its training.
        restarts: See `fit_pairs`.
        max_steps: See `Stopping`.
        held_out: Share of the distinct pairs to hold out. None: a tenth, if there are at least
            `sampling.HELD_OUT_FROM` pairs.
        positives_only: Whether to sample dissimilar pairs.
        negatives: Dissimilar pairs to sample for each distinct similar pair.
        exports: Formats in addition to CSV, keys of `exports.FORMATS`.
        report_items: Items whose neighbours are reported; those with the most pairs if empty.
        animate: Whether to write a video.
        page: Whether to write an interactive page.
        snapshots: Whether to save snapshots.
        chosen: The line on how the dimension was selected; empty if it was given.
        bootstrap: Number of bootstrap draws for the covariances of positions.
        shard_items: See `fit_pairs`.
    """

    config: Config
    restarts: int = 8
    max_steps: int = 50_000
    held_out: float | None = None
    positives_only: bool = False
    negatives: float = 1.0
    exports: tuple[str, ...] = ("npz",)
    report_items: tuple[str, ...] = ()
    animate: bool = False
    page: bool = False
    snapshots: bool = True
    chosen: str = ""
    bootstrap: int = 0
    shard_items: bool = False

    def __post_init__(self):
        Stopping(max_steps=self.max_steps)
        if self.restarts < 1:
            raise InputError(f"restarts is {self.restarts}: give a whole number of at least 1")
        if self.held_out is not None and not 0 <= self.held_out < 1:
            raise InputError(f"held_out is {self.held_out}: give a share of at least 0, below 1")
        if self.bootstrap and self.bootstrap < self.config.dim + 2:
            raise InputError(
                f"bootstrap is {self.bootstrap}: give at least {self.config.dim + 2} draws, or 0"
            )
        if not 0 <= self.negatives < float("inf"):
            raise InputError(f"negatives is {self.negatives}: give a finite number of 0 or more")
        for form in self.exports:
            if form not in exports.FORMATS:
                raise InputError(f"export is {form!r}: give some of {', '.join(exports.FORMATS)}")
        make_optimizer(self.config, self.config.hyperparams())  # rejects an unknown name


class ItemColours(NamedTuple):
    """The colours of the items: rgb [items, 3] in 0..1, or groups [items], or neither."""

    rgb: np.ndarray | None
    groups: list[str] | None


class Parts(NamedTuple):
    """The training pairs and the held-out pairs, both with sampled negatives.

    Attributes:
        training: The training pairs.
        held_out: The held-out pairs, or None.
        given: bool [training pairs], False for sampled negatives.
        drawn: Number of sampled negatives in total.
        warnings: Lines on the split.
    """

    training: Pairs
    held_out: Pairs | None
    given: np.ndarray
    drawn: int
    warnings: list[str]


def run(
    folder: Path,
    plan: Plan,
    table: PairTable,
    about: dict[str, Any],
    add: Callable,
    *,
    max_bytes: float = np.inf,
    draw: Callable[[Path, Path], Any] = _train_figures.draw,
) -> dict[str, Any]:
    """Train, evaluate, and write the run folder.

    Args:
        folder: Folder to write into.
        plan: The settings of the training.
        table: The checked pairs.
        about: Further entries of config.json, such as the names of the files.
        add: Adds a progress bar, as `_cli.progress` yields it.
        max_bytes: Memory bound of the training.
        draw: Called with the folder to read from and the folder to draw into.

    Returns:
        The entries of metrics.json.

    Raises:
        InputError: plan and table do not fit together.
        KeyboardInterrupt: Ctrl-C came before the first evaluation.
    """
    import jax

    began = time.perf_counter()
    item_colours, odd = read_item_colours(table.extra)
    check(plan, table, item_colours, max_bytes)
    parts = split(plan, table)
    bar = add("train", plan.max_steps)
    fit = fit_pairs(
        plan.config,
        len(table.items),
        parts.training,
        held_out=parts.held_out,
        restarts=plan.restarts,
        stopping=Stopping(max_steps=plan.max_steps),
        shard_items=plan.shard_items,
        report=lambda event: _cli.show_progress(event, bar, f"step {event.done:,}"),
    )
    bar(plan.max_steps, f"best after step {fit.best_step:,}")
    if not np.isfinite(fit.restart_loss).any():
        if fit.stopped == "interrupted":
            raise KeyboardInterrupt
        raise InputError(
            "every restart became NaN or infinite before its first evaluation: give a smaller "
            "--learning_rate"
        )
    trained = time.perf_counter() - began
    metrics = measure(plan, table, parts, fit)
    spread = None
    if plan.bootstrap:
        bar = add("bootstrap", plan.bootstrap)
        spread = bootstrap_positions(
            fit,
            parts.training,
            plan.bootstrap,
            report=lambda event: bar(event.members_done, f"{event.members_done} draws"),
        )
    written = _write_arrays(folder, plan, table, fit, item_colours, spread)
    per_epoch = -(-len(parts.training) // plan.config.batch_size)
    written += _write_moving(folder, plan, table, fit, item_colours, spread, per_epoch, add)
    metrics["warnings"] = [
        *(*table.warnings, *odd, *parts.warnings),
        *convergence_warnings(fit, plan.max_steps, "--"),
        *quality_warnings(fit, parts.held_out or parts.training, "--"),
        *written,
    ]
    run_folder.write_json(
        folder / run_folder.MARKER, {"experiment": "train", **about, **_plan_entries(plan)}
    )
    run_folder.write_json(folder / "metrics.json", metrics)
    draw(folder, folder)
    device = jax.devices()[0].device_kind
    seconds = {"training": trained, "whole": time.perf_counter() - began}
    environment = machine.environment(device, table_hash(table))
    run_folder.write_json(folder / "env.json", {**environment, "seconds": seconds})
    return metrics


def _plan_entries(plan: Plan) -> dict[str, Any]:
    """Return the plan as entries of config.json, without the unused fields of its config."""
    config = dataclasses.asdict(plan.config)
    for name in ("epochs", "label_constant"):
        config.pop(name)
    entries = {field.name: getattr(plan, field.name) for field in dataclasses.fields(plan)}
    return {**entries, "config": config}


# --------------------------------------------------------------------------------------------------
# Before the training


def check(plan: Plan, table: PairTable, item_colours: ItemColours, max_bytes: float) -> None:
    """Check the plan against the table.

    Raises:
        InputError: they do not fit together; the message names the setting and a hint.
    """
    items = len(table.items)
    if plan.config.dim > items:
        raise InputError(
            f"dim is {plan.config.dim}, but there are {items} items: give at most {items}"
        )
    known = set(table.items)
    for name in plan.report_items:
        if name not in known:
            near = nearest_name(name, table.items)
            hint = "give names of items" if near is None else f"did you mean {near!r}?"
            raise InputError(f"report_items: no item is called {name!r}; {hint}")
    needed = training_bytes(plan, items, len(table))
    if needed > max_bytes:
        raise InputError(
            f"training would take about {needed / 1e6:,.0f} MB, and {max_bytes / 1e6:,.0f} MB are "
            "allowed: give fewer --restarts or a smaller --dim, or a larger --max_memory"
        )


def training_bytes(plan: Plan, items: int, pairs: int) -> int:
    """Estimate the memory of a training in bytes, without the table of its pairs.

    Each restart holds its parameters and two moments of their gradient three times: current, best,
    and during the copy from one to the other. Gradients and updates of one restart, and several
    copies of each pair, are added.
    """
    params = _STEP_BYTES * (items * plan.config.dim + 2)
    drawn = plan.negatives if plan.positives_only else 0
    return round(9 * plan.restarts * params + 4 * params + _PAIR_BYTES * pairs * (1 + drawn))


def split(plan: Plan, table: PairTable) -> Parts:
    """Sample dissimilar pairs if `positives_only`, then split off the held-out pairs.

    Raises:
        InputError: there are too few pairs to sample, or none would be held out.
    """
    seed = plan.config.seed
    pairs = Pairs(table.index, table.label, table.weight)
    if plan.positives_only:
        sides = table.two_sided
        pairs = sampling.with_negatives(
            pairs, len(table.items), plan.negatives, seed=seed, two_sided=sides
        )
    drawn = len(pairs) - len(table)
    share = plan.held_out
    if share is None:  # by the pairs that were given, not those drawn
        share = sampling.default_share(len(table))
    parts = sampling.split_pairs(pairs, len(table.items), share, seed)
    if plan.held_out and parts.held_out is None:
        raise InputError(
            f"held_out is {share}: of {len(pairs)} pairs none that counts would be held out, as "
            "each item keeps a pair to train on; give another share, or 0"
        )
    return Parts(parts.training, parts.held_out, parts.rows < len(table), drawn, parts.warnings)


def read_item_colours(extra: pd.DataFrame | None) -> tuple[ItemColours, list[str]]:
    """Read colours or groups from the further columns of the items; returns them and warnings.

    Colours are the columns r, g and b with numbers from 0 to 255, or hex with six digits. Without
    them the column group is used.
    """
    if extra is None:
        return ItemColours(None, None), []
    columns = {str(name).strip().lower(): extra[name] for name in extra.columns}
    if "hex" in columns:
        cells = [str(cell).strip() for cell in columns["hex"]]
        if all(re.fullmatch(HEX_COLOUR, cell) for cell in cells):
            return ItemColours(rgb_of_hex(cells) / 255, None), []
    if {"r", "g", "b"} <= columns.keys():
        channels = [columns[name] for name in "rgb"]
        if all(channel.dtype.kind in "fiu" for channel in channels):
            values = np.stack([channel.to_numpy(np.float64) for channel in channels], axis=1)
            if np.all((values >= 0) & (values <= 255)):
                return ItemColours(values / 255, None), []
    odd = []
    if "hex" in columns or {"r", "g", "b"} <= columns.keys():
        odd = [
            "the items' colours are not used: give hex with six digits in every row, or r, g, b "
            "with numbers from 0 to 255"
        ]
    if "group" not in columns:
        return ItemColours(None, None), odd
    missing = columns["group"].isna()
    cells = zip(columns["group"], missing)
    return ItemColours(None, ["" if absent else str(cell) for cell, absent in cells]), odd


def table_hash(table: PairTable) -> str:
    """Hash items, pairs, labels and weights: 16 hex digits of SHA-256, equal on every machine."""
    digest = hashlib.sha256(json.dumps(table.items).encode())
    for values, kind in ((table.index, "<i4"), (table.label, "<f4"), (table.weight, "<f4")):
        digest.update(np.ascontiguousarray(values, kind).tobytes())
    return digest.hexdigest()[:16]


# --------------------------------------------------------------------------------------------------
# Evaluation


def measure(plan: Plan, table: PairTable, parts: Parts, fit: PairFit) -> dict[str, Any]:
    """Return the entries of metrics.json, except for the warnings."""
    config, names = plan.config, table.items

    def judged(pairs: Pairs):
        distinct = report.distinct_pairs(pairs.index, pairs.label, pairs.weight)
        return pair_logits(config, fit.params, distinct.index), distinct

    training = judged(parts.training)
    held_out = None if parts.held_out is None else judged(parts.held_out)
    quality = {"training": _entries(scores.quality(*training))}
    quality["held_out"] = None if held_out is None else _entries(scores.quality(*held_out))
    logits, distinct = held_out or training
    calibration = scores.calibration(logits, distinct.share, distinct.weight)
    given = judged(Pairs(table.index, table.label, table.weight))
    kept = [values[parts.given] for values in dataclasses.astuple(parts.training)]
    tying = report.distinct_pairs(*kept)
    ties = report.ties(tying, len(names), config.dim)
    sizes = np.bincount(report.groups(tying, len(names)))
    total = float(table.weight.sum(dtype=np.float64))
    return {
        "items": len(names),
        "pairs": len(table),
        "distinct_pairs": len(given[1]),
        "drawn_negatives": parts.drawn,
        "training_pairs": len(parts.training),
        "held_out_pairs": 0 if parts.held_out is None else len(parts.held_out),
        "positive_share": float(given[1].positive.sum() / total),
        "seed": config.seed,
        "dim": config.dim,
        "head": config.head,
        "restarts": plan.restarts,
        "best_restart": fit.best,
        "best_step": fit.best_step,
        "steps": int(fit.step[-1]),
        "stopped": fit.stopped,
        "restart_loss": fit.restart_loss.tolist(),
        "kernel": fit.kernel,
        "bias": fit.bias,
        "quality": quality,
        "calibration": {
            "of": "training pairs" if held_out is None else "held-out pairs",
            "error": calibration.error,
            "bins": [
                dict(zip(("predicted", "share", "low", "high", "pairs", "weight"), values))
                for values in zip(*(getattr(calibration, name).tolist() for name in _BINS))
            ],
        },
        "untied": {
            "alone": len(ties.alone),
            "weak": len(ties.weak),
            "alone_items": [names[place] for place in ties.alone[:_LISTED]],
            "weak_items": [names[place] for place in ties.weak[:_LISTED]],
        },
        "groups": {
            "count": int(np.sum(sizes > 1)),
            "largest": sizes[sizes > 1][:10].tolist(),
        },
        "worst_pairs": _worst(names, *given),
        "neighbours": _neighbours(plan, table, fit),
    }


_BINS = ("predicted", "share", "low", "high", "count", "weight")


def _entries(quality: scores.Quality) -> dict[str, Any]:
    """Flatten a quality to entries of metrics.json, each measure with its interval."""
    entries = {}
    for name, value in vars(quality).items():
        if isinstance(value, scores.Measure):
            entries |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
        else:
            entries[name] = value
    return entries


def _worst(names, logits, pairs) -> list[dict[str, Any]]:
    places, cost = report.worst_pairs(logits, pairs)
    return [
        {
            "first": names[pairs.index[place, 0]],
            "second": names[pairs.index[place, 1]],
            "label": float(pairs.share[place]),
            "probability": float(1 / (1 + np.exp(-np.float64(logits[place])))),
            "cost": float(one),
        }
        for place, one in zip(places, cost)
    ]


def _item_weights(table: PairTable) -> np.ndarray:
    """Return the total weight of each item's pairs, float64 [items]."""
    return sum(np.bincount(table.index[:, side], table.weight, len(table.items)) for side in (0, 1))


def _neighbours(plan: Plan, table: PairTable, fit: PairFit) -> list[dict[str, Any]]:
    """Return the nearest items of the report items, by default those with the most pairs."""
    if plan.report_items:
        place_of = {name: place for place, name in enumerate(table.items)}
        places = np.array([place_of[name] for name in plan.report_items])
    else:
        places = np.argsort(-_item_weights(table), kind="stable")[:_SHOWN_ITEMS]
    dot = HEADS[plan.config.head].feature == "dot_product"
    found = nearest(fit.embedding, places, _NEIGHBOURS, dot=dot)
    value = "dot_product" if dot else "distance"
    return [
        {
            "item": table.items[place],
            "nearest": [
                {"item": table.items[other], value: float(far)} for other, far in zip(*row)
            ],
        }
        for place, *row in zip(places, *found)
    ]


# --------------------------------------------------------------------------------------------------
# Files


def _write_arrays(
    folder: Path,
    plan: Plan,
    table: PairTable,
    fit: PairFit,
    item_colours: ItemColours,
    spread: Spread | None,
) -> list[str]:
    """Write the embedding in its formats, and the arrays of the figures; return the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        for form in dict.fromkeys(("csv", *plan.exports)):
            suffixes = exports.FORMATS[form].suffixes
            path = folder / (f"embedding{suffixes[0]}" if suffixes else form)
            extra = _labels(table.extra) if form == "projector" else None
            if form == "csv" and spread is not None:
                extra = exports.covariance_columns(spread.covariance)
            exports.write(path, table.items, fit.embedding, form=form, extra=extra)
    arrays = {"weight": _item_weights(table).astype(np.float32)}
    if item_colours.rgb is not None:
        arrays["rgb"] = np.round(255 * item_colours.rgb).astype(np.uint8)
    if item_colours.groups is not None:
        arrays["group"] = np.array(item_colours.groups, np.str_)
    if spread is not None:
        arrays |= {"covariance": spread.covariance, "draws": spread.draws}
    np.savez_compressed(folder / "items.npz", **arrays)
    with (folder / "losses.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["step", "restart", "loss", "heldout_loss"])
        for row, step in enumerate(fit.step):
            for restart in range(fit.loss.shape[1]):
                other = "" if fit.heldout_loss is None else str(fit.heldout_loss[row, restart])
                writer.writerow([step, restart, str(fit.loss[row, restart]), other])
    chosen = _kept_snapshots(fit)
    if plan.snapshots and len(chosen):
        run_folder.write_snapshots(
            folder / "snapshots.npz",
            fit.snapshot_step[chosen],
            fit.snapshots[chosen],
            _spread(fit, fit.best_step),
        )
    return list(dict.fromkeys(str(one.message) for one in caught))


def _labels(extra: pd.DataFrame | None) -> dict[str, list[Any]] | None:
    """Return the further columns of the items for the projector, without the names."""
    if extra is None:
        return None
    return {
        str(name): [None if cell != cell else cell for cell in extra[name].tolist()]
        for name in extra.columns
        if str(name) not in ("", "item")
    }


def _kept_snapshots(fit: PairFit) -> np.ndarray:
    """Select the snapshots that fit into the size limit of their file.

    The first and the last are kept. Those between are spaced evenly in the square root of the
    step, because most of the change is early.
    """
    if not len(fit.snapshots):
        return np.zeros(0, int)
    most = int(_SNAPSHOT_BYTES // (2 * fit.snapshots[0].size))
    if most < 2:
        return np.zeros(0, int)
    root = np.sqrt(fit.snapshot_step)
    targets = np.linspace(0, root[-1], min(most, len(root)))
    return np.unique(np.abs(root[:, None] - targets).argmin(axis=0))


def _spread(fit: PairFit, count: int, every: int = 1) -> np.ndarray:
    """Expand the loss of the best restart to every `every`-th step, float32 [count].

    The steps between two evaluations get the mean loss of the later one.
    """
    steps = every * np.arange(1, count + 1)
    row = np.minimum(np.searchsorted(fit.step, steps), len(fit.step) - 1)
    return fit.loss[row, fit.best].astype(np.float32)


def _write_moving(
    folder: Path,
    plan: Plan,
    table: PairTable,
    fit: PairFit,
    item_colours: ItemColours,
    spread: Spread | None,
    per_epoch: int,
    add: Callable,
) -> list[str]:
    """Write the video and the page, both by epoch; return the warnings."""
    if not (plan.animate or plan.page):
        return []
    chosen = _kept_snapshots(fit)
    if not len(chosen):
        return ["too many items for snapshots: there is no video and no page"]
    # Snapshots are taken between epochs.
    epoch, frames = fit.snapshot_step[chosen] // per_epoch, fit.snapshots[chosen]
    loss = _spread(fit, int(epoch[-1]), per_epoch)
    if plan.animate:
        bar = add("animate", len(chosen))
        animation.animate(
            epoch,
            frames,
            item_colours.groups if item_colours.rgb is None else item_colours.rgb,
            folder / "training.mp4",
            loss=loss,
            title=f"Training of the {plan.config.dim}-D embedding",
            fps=float(np.clip(len(chosen) / 6, 8, 30)),  # few snapshots are not over at once
            report=lambda event: _cli.show_progress(event, bar),
        )
    if plan.page:
        looks = item_looks(len(table.items), *item_colours)
        about = f"Trained on {len(table):,} pairs of items."
        if looks.own or looks.groups:
            kind = "Colours" if looks.own else "Groups"
            about += f" {kind} are used for display only, not in training."
        shown = page.Run(
            "items",
            Colours(table.items, looks.rgb, "items"),
            len(table),
            [page.Training(plan.config.dim, epoch, frames, loss, spread=spread)],
            looks=looks,
            title=f"Training of an embedding of {len(table.items):,} items",
            about=about,
        )
        try:
            page.write_page(folder / "page.html", page.page(shown))
        except InputError as error:  # the training is not lost for want of a page
            return [f"there is no page: {error}"]
    return []
