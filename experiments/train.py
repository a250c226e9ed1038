"""Train an embedding of your own items from a table of labelled pairs.

Writes embedding.csv (item, x0, x1, ...) and the formats of --export, metrics.json, and figures (PNG
and PDF) of the map of the items, the losses of the restarts and the calibration. Prints which
columns were read and how, the quality of the predictions, the number of isolated items, and nearest
neighbours.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from absl import flags

from colour_embed.config import Config, Stopping
from experiments import _cli, _pairs

if TYPE_CHECKING:
    from colour_embed.pairs.reading import PairTable
    from experiments._training import Plan

_cli.define_out("train")
_pairs.define_flags()
_CONFIG = _cli.config_flags("dim", "epochs", "label_constant", head="negative", learning_rate=0.01)
_DIM = flags.DEFINE_string(
    "dim", "2", "Number of coordinates per item; auto selects one of 1 to 6 by held-out loss."
)
_RESTARTS = flags.DEFINE_integer("restarts", 8, "Random initialisations; the best is kept.")
_MAX_STEPS = flags.DEFINE_integer("max_steps", 50_000, "Maximum number of steps.")
_BOOTSTRAP = flags.DEFINE_integer(
    "bootstrap",
    0,
    "Bootstrap draws, such as 100, for the covariance of each item's position: columns of "
    "embedding.csv, and ellipses in the map and on the page. 0: none.",
)
_HELD_OUT = flags.DEFINE_float(
    "held_out",
    None,
    "Share of the distinct pairs held out for early stopping and evaluation. By default 0.1 from "
    "1,000 pairs on, else 0.",
)
_EXPORT = flags.DEFINE_list(
    "export",
    ["csv", "npz"],
    "Formats of the embedding: csv (always written), npz, parquet, word2vec, word2vec_binary, "
    "safetensors, projector (TensorBoard), table (Keras, Flax).",
)
_cli.memory_flag("the training")
_REPORT_ITEMS = flags.DEFINE_list(
    "report_items",
    [],
    'Items whose neighbours to print, like sea,"Grey, Silver"; by default those with most pairs.',
)
_ANIMATE = flags.DEFINE_bool("animate", False, "Make a video of the training.")
_PAGE = flags.DEFINE_bool("page", False, "Write an interactive page of the training.")
_SHARD_ITEMS = _cli.shard_flag()


def main() -> None:
    _pairs.check_flags()
    max_bytes = _cli.max_bytes()
    out = _cli.out_folder()

    # Imported here, so that --help and flag errors need no jax.
    from colour_embed.io import placing
    from experiments import _training

    dim = 2 if _DIM.value == "auto" else _cli.whole_numbers("dim", _DIM.value)[0]
    plan = _training.Plan(
        Config(dim=dim, **_CONFIG()),
        restarts=_RESTARTS.value,
        max_steps=_MAX_STEPS.value,
        held_out=_HELD_OUT.value,
        positives_only=flags.FLAGS.positives_only,
        negatives=flags.FLAGS.negatives,
        exports=tuple(_EXPORT.value),
        report_items=tuple(_REPORT_ITEMS.value),
        animate=_ANIMATE.value,
        bootstrap=_BOOTSTRAP.value,
        page=_PAGE.value,
        shard_items=_SHARD_ITEMS.value,
    )
    placing.check_folder(out, "train")
    _cli.set_up_jax(0 if _SHARD_ITEMS.value else None)
    with _cli.progress() as add:
        table = _pairs.read(add, max_bytes)
        if _DIM.value == "auto":
            plan = _with_dim(plan, table, add)
        with placing.replacing(out, "train") as folder:
            metrics = _training.run(
                folder, plan, table, _pairs.about(table), add, max_bytes=max_bytes
            )
    _print_report(metrics)
    print(f"results in {out}")
    if metrics["stopped"] == "interrupted":
        raise _cli.Unfinished("interrupted; the best result so far is saved")


def _with_dim(plan: Plan, table: PairTable, add: Callable) -> Plan:
    """Return the plan with the dimension that is selected, and say why."""
    from colour_embed.pairs.dimensions import choose_dimension

    bar = add("select", 100)
    selection = choose_dimension(
        plan.config,
        len(table.items),
        _pairs.with_negatives(table, plan.config.seed),
        stopping=Stopping(max_steps=plan.max_steps),
        report=lambda event: bar(100 * event.done // event.total, "dimension"),
    )
    print(f"note: {selection}")
    return dataclasses.replace(
        plan,
        config=dataclasses.replace(plan.config, dim=selection.selected),
        chosen=str(selection),
    )


# --------------------------------------------------------------------------------------------------
# The report on the terminal


def _print_report(metrics: dict[str, Any]) -> None:
    """Print the report; names are printed as plain text without markup."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if os.isatty(1) else 100)
    drawn = f", {metrics['drawn_negatives']:,} drawn" if metrics["drawn_negatives"] else ""
    console.print(
        f"{metrics['items']:,} items, {metrics['pairs']:,} pairs{drawn}; best of "
        f"{metrics['restarts']} restarts, after step {metrics['best_step']:,} of "
        f"{metrics['steps']:,}",
        highlight=False,
    )
    quality = {name: one for name, one in metrics["quality"].items() if one is not None}
    table = Table(
        "", *(name.replace("_", "-") for name in quality), title="Quality of the predictions"
    )
    for key, label in (("loss", "loss, nats"), ("brier", "Brier score"), ("auc", "AUC")):
        table.add_row(label, *(_interval(one, key) for one in quality.values()))
    table.add_row("base-rate loss", *(_number(one["base_rate_loss"]) for one in quality.values()))
    table.add_row("distinct pairs", *(f"{one['pairs']:,}" for one in quality.values()))
    console.print(table)
    calibration = metrics["calibration"]
    print(
        f"Intervals: 95 %. Expected calibration error on the {calibration['of']}: "
        f"{_number(calibration['error'])}."
    )
    untied, groups = metrics["untied"], metrics["groups"]
    print(
        f"Isolated items, in no pair: {untied['alone']:,}. Items with fewer partners than "
        f"dimensions: {untied['weak']:,}. Connected groups: {groups['count']:,}."
    )
    if metrics["worst_pairs"]:
        table = Table("pair", "label", "predicted", "loss, nats", title="Worst predictions")
        for one in metrics["worst_pairs"][:5]:
            pair = Text(f"{shown(one['first'])} | {shown(one['second'])}")
            numbers = (f"{one[key]:.2f}" for key in ("label", "probability", "cost"))
            table.add_row(pair, *numbers)
        console.print(table)
    table = Table("item", "nearest", title="Neighbours")
    for one in metrics["neighbours"]:
        nearest = ", ".join(shown(other["item"]) for other in one["nearest"])
        table.add_row(Text(shown(one["item"])), Text(nearest))
    console.print(table)
    for warning in metrics["warnings"]:
        _cli.warn(warning)


def shown(name: str, longest: int = 40) -> str:
    """Escape what a name holds that can't be printed, and shorten it to `longest` characters."""
    plain = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in name)
    encoding = sys.stdout.encoding or "utf-8"  # escaped here, so that tables are aligned
    plain = plain.encode(encoding, "backslashreplace").decode(encoding)
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"


def _interval(measures: dict[str, Any], name: str) -> str:
    ends = (measures[f"{name}_{end}"] for end in ("low", "high"))
    return f"{_number(measures[name])} [{', '.join(map(_number, ends))}]"


def _number(value: float) -> str:
    return f"{value:.4f}" if value == value else "-"


if __name__ == "__main__":
    _cli.start(main, __doc__)
