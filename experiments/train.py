"""Train an embedding of your own items from a table of labelled pairs.

Writes embedding.csv (item, x0, x1, ...) and the formats of --export, metrics.json, and figures (PNG
and PDF) of the map of the items, the losses of the restarts and the calibration. Prints which
columns were read and how, the quality of the predictions, the number of isolated items, and nearest
neighbours.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from absl import flags

from colour_embed.config import Config, InputError
from experiments import _cli

_cli.define_out("train")
_PAIRS = flags.DEFINE_string(
    "pairs",
    None,
    "The pairs: CSV, TSV or other text, gzip of these, or Parquet, with two columns of item names "
    "and one of labels from 0 (dissimilar) to 1 (similar).",
)
_ITEMS = flags.DEFINE_string(
    "items",
    None,
    "The items, one a row. The columns r,g,b or hex, or else group, set their colours. By default "
    "the items are those that the pairs name.",
)
_FIRST = flags.DEFINE_string("first", None, "Column of the first item of each pair.")
_SECOND = flags.DEFINE_string("second", None, "Column of the second item of each pair.")
_LABEL = flags.DEFINE_string("label", None, "Column of the labels.")
_WEIGHT = flags.DEFINE_string("weight", None, "Column of weights, 0 or more.")
_ITEM = flags.DEFINE_string("item", None, "Column of the item names in --items.")
_IDS = flags.DEFINE_bool("ids", False, "The pairs hold row numbers, from 0, instead of names.")
_POSITIVES_ONLY = flags.DEFINE_bool(
    "positives_only",
    False,
    "Every row is a similar pair, with an optional count or weight. Dissimilar pairs are sampled "
    "by the items' frequency to the power of 0.75.",
)
_TWO_SIDED = flags.DEFINE_bool(
    "two_sided",
    False,
    "The two columns hold two kinds of items, such as users and films. The items are then called "
    "by their column, such as user:7 and film:7.",
)
_LABEL_SCALE = flags.DEFINE_string(
    "label_scale",
    None,
    "The labels that stand for 0 and 1, such as -1,1 or 1,5; for distances 10,0. Those between are "
    "mapped linearly.",
)
_SEPARATOR = flags.DEFINE_enum(
    "separator",
    "auto",
    ["auto", "comma", "tab", "semicolon", "pipe", "space"],
    "What the columns of a text are separated by; space is any run of spaces and tabs.",
)
_HEADER = flags.DEFINE_enum(
    "header",
    "auto",
    ["auto", "yes", "no"],
    "Whether the pairs have a header. Without one the columns are called 1, 2, 3 and so on.",
)
_QUOTING = flags.DEFINE_enum(
    "quoting",
    "auto",
    ["auto", "csv", "none"],
    "csv: cells may be in double quotes. none: a quotation mark is a character. auto: as csv, and "
    "quotes that seem to hold whole lines are refused.",
)
_COMMENT = flags.DEFINE_string("comment", None, "What the lines to skip begin with, such as #.")
_NEGATIVES = flags.DEFINE_float(
    "negatives", 1.0, "With --positives_only: dissimilar pairs for each distinct similar one."
)
_CONFIG = _cli.config_flags("epochs", "label_constant", head="negative", learning_rate=0.01)
_RESTARTS = flags.DEFINE_integer("restarts", 8, "Random initialisations; the best is kept.")
_MAX_STEPS = flags.DEFINE_integer("max_steps", 50_000, "Maximum number of steps.")
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
_ANIMATE = flags.DEFINE_bool("animate", False, "Make a video of the training (dim 2 or 3).")
_PAGE = flags.DEFINE_bool("page", False, "Write an interactive page, for items with colours.")


def main() -> None:
    if _PAIRS.value is None:
        raise InputError("give --pairs, a table of labelled pairs (see --help)")
    if flags.FLAGS["negatives"].present and not _POSITIVES_ONLY.value:
        raise InputError("--negatives needs --positives_only: give both or neither")
    max_bytes = _cli.max_bytes()
    out = _cli.out_folder()

    # Imported here, so that --help and flag errors need no jax.
    from colour_embed.io import placing
    from experiments import _training

    plan = _training.Plan(
        Config(**_CONFIG()),
        restarts=_RESTARTS.value,
        max_steps=_MAX_STEPS.value,
        held_out=_HELD_OUT.value,
        positives_only=_POSITIVES_ONLY.value,
        negatives=_NEGATIVES.value,
        exports=tuple(_EXPORT.value),
        report_items=tuple(_REPORT_ITEMS.value),
        animate=_ANIMATE.value,
        page=_PAGE.value,
    )
    placing.check_folder(out, "train")
    _cli.set_up_jax()
    with _cli.progress() as add:
        table = _read(add, max_bytes)
        with placing.replacing(out, "train") as folder:
            metrics = _training.run(folder, plan, table, _about(table), add, max_bytes=max_bytes)
    _print_report(metrics)
    print(f"results in {out}")
    if metrics["stopped"] == "interrupted":
        raise _cli.Unfinished("interrupted; the best result so far is saved")


def _read(add, max_bytes: int):
    """Read and check the pairs."""
    from colour_embed.pairs.reading import read_pairs

    report, expected = None, 1

    def show(event) -> None:
        nonlocal report, expected
        expected = max(event.total, 1)
        report = report or add("read", expected)
        report(min(event.done, expected), f"{event.done:,} rows")

    table = read_pairs(
        _PAIRS.value,
        items=_ITEMS.value,
        first=_FIRST.value,
        second=_SECOND.value,
        label=_LABEL.value,
        weight=_WEIGHT.value,
        item=_ITEM.value,
        ids=_IDS.value,
        positives_only=_POSITIVES_ONLY.value,
        two_sided=_TWO_SIDED.value,
        label_scale=_LABEL_SCALE.value,
        separator=_SEPARATOR.value,
        header=_HEADER.value,
        quoting=_QUOTING.value,
        comment=_COMMENT.value,
        max_bytes=max_bytes,
        report=show,
    )
    if report is not None:  # the number of rows was an estimate
        report(expected, f"{len(table):,} pairs")
    for note in table.notes:
        print(f"note: {note}")
    return table


def _about(table) -> dict[str, Any]:
    """Return the entries of config.json on the files: names without folders, and columns."""
    return {
        "pairs": Path(_PAIRS.value).name,
        "items": None if _ITEMS.value is None else Path(_ITEMS.value).name,
        "columns": table.column_names,
        "ids": _IDS.value,
        "two_sided": table.two_sided,
        "label_scale": _LABEL_SCALE.value,
        "notes": table.notes,
    }


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
