"""An embedding of your own items, from a table of labelled pairs.

Writes embedding.csv (item, x0, x1, ...) and the other formats asked for, metrics.json, the map of
the items, the losses of the restarts, and the calibration, each as PNG and PDF. The terminal says
how well the pairs are told, which items no pair ties down, and who lies next to whom.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from absl import flags

from colour_embed.config import Config, InputError
from experiments import _cli

_OUT = _cli.define_out("train")
_PAIRS = flags.DEFINE_string(
    "pairs",
    None,
    "The pairs: CSV, TSV, gzip of these, or Parquet, with two columns that name the items and one "
    "from 0 (dissimilar) to 1 (similar).",
)
_ITEMS = flags.DEFINE_string(
    "items",
    None,
    "The items, a row each; columns r,g,b or hex colour them, else a column group does. Without "
    "it the items are those that the pairs name.",
)
_FIRST = flags.DEFINE_string("first", None, "Column of each pair's first item.")
_SECOND = flags.DEFINE_string("second", None, "Column of its second item.")
_LABEL = flags.DEFINE_string("label", None, "Column of the labels.")
_WEIGHT = flags.DEFINE_string("weight", None, "Column of weights, 0 or more.")
_ITEM = flags.DEFINE_string("item", None, "Column of the items file that holds the names.")
_IDS = flags.DEFINE_bool("ids", False, "The pairs hold row numbers from 0 in place of names.")
_POSITIVES_ONLY = flags.DEFINE_bool(
    "positives_only",
    False,
    "Every row is a similar pair, with a count or weight if there is one; dissimilar pairs are "
    "drawn by the items' frequency to the power of 0.75.",
)
_NEGATIVES = flags.DEFINE_float(
    "negatives", 1.0, "With --positives_only: dissimilar pairs for each distinct similar one."
)
_CONFIG = _cli.config_flags("epochs", "label_constant", head="negative", learning_rate=0.01)
_RESTARTS = flags.DEFINE_integer("restarts", 8, "Trainings from different starts; the best stays.")
_MAX_STEPS = flags.DEFINE_integer("max_steps", 50_000, "Steps at the most.")
_HELD_OUT = flags.DEFINE_float(
    "held_out",
    None,
    "Share of the distinct pairs to stop and to measure by; by default 0.1 from 1,000 pairs up, "
    "else 0.",
)
_EXPORT = flags.DEFINE_list(
    "export",
    ["csv", "npz"],
    "Formats of the embedding: csv (always there), npz, parquet, word2vec, word2vec_binary, "
    "safetensors, projector (TensorBoard), table (Keras, Flax).",
)
_cli.memory_flag("it")
_REPORT_ITEMS = flags.DEFINE_list(
    "report_items",
    [],
    'Names whose neighbours to tell, like sea,"Grey, Silver"; else those with the most pairs.',
)
_ANIMATE = flags.DEFINE_bool("animate", False, "Make a video of the training (dim 2 or 3).")
_PAGE = flags.DEFINE_bool("page", False, "Make a page to explore, of items that have colours.")


def main() -> None:
    if _PAIRS.value is None:
        raise InputError("give --pairs, a table of labelled pairs (see --help)")
    if flags.FLAGS["negatives"].present and not _POSITIVES_ONLY.value:
        raise InputError("--negatives are drawn for --positives_only: give both or neither")
    max_bytes = _cli.max_bytes()
    out = Path(_OUT.value)

    # Imported here, so that --help and a wrong flag answer at once.
    from colour_embed.io import run_folder
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
    run_folder.check_folder(out, "train")
    _cli.use_compilation_cache()
    with _cli.progress() as add:
        table = _read(add, max_bytes)
        with run_folder.replacing(out, "train") as folder:
            metrics = _training.run(folder, plan, table, _about(table), add, max_bytes=max_bytes)
    _tell(metrics)
    print(f"results in {out}")
    if metrics["stopped"] == "interrupted":
        raise _cli.Unfinished("interrupted; the best so far is saved")


def _read(add, max_bytes: int):
    """The checked pairs."""
    from colour_embed.pairs.reading import read_pairs

    report, expected = None, 1

    def show(event) -> None:
        nonlocal report, expected
        expected = max(event.expected, 1)
        report = report or add("read", expected)
        report(min(event.rows, expected), f"{event.rows:,} rows")

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
        max_bytes=max_bytes,
        report=show,
    )
    if report is not None:  # how many rows there are was an estimate
        report(expected, f"{len(table):,} pairs")
    return table


def _about(table) -> dict[str, Any]:
    """What config.json says of the files: their names without their folders, and the columns."""
    return {
        "pairs": Path(_PAIRS.value).name,
        "items": None if _ITEMS.value is None else Path(_ITEMS.value).name,
        "columns": table.column_names,
        "ids": _IDS.value,
    }


# --------------------------------------------------------------------------------------------------
# The report on the terminal


def _tell(metrics: dict[str, Any]) -> None:
    """Say how it went; names are shown as text, whatever they hold."""
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
        "", *(name.replace("_", "-") for name in quality), title="How well pairs are told"
    )
    for key, label in (("loss", "loss, nats"), ("brier", "Brier score"), ("auc", "AUC")):
        table.add_row(label, *(_interval(one, key) for one in quality.values()))
    table.add_row("loss of guessing", *(_number(one["base_rate_loss"]) for one in quality.values()))
    table.add_row("distinct pairs", *(f"{one['pairs']:,}" for one in quality.values()))
    console.print(table)
    calibration = metrics["calibration"]
    print(
        f"With 95 % intervals. Expected calibration error of the {calibration['of']}: "
        f"{_number(calibration['error'])}."
    )
    untied, groups = metrics["untied"], metrics["groups"]
    print(
        f"No pair ties down {untied['alone']:,} of the items; {untied['weak']:,} have fewer "
        f"partners than dimensions. Groups that pairs tie together: {groups['count']:,}."
    )
    if metrics["worst_pairs"]:
        table = Table("pair", "label", "given", "cost, nats", title="What is told worst")
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
    """A name for the terminal: no character in it moves the cursor, and it is not too long."""
    plain = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in name)
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"


def _interval(measures: dict[str, Any], name: str) -> str:
    ends = (measures[f"{name}_{end}"] for end in ("low", "high"))
    return f"{_number(measures[name])} [{', '.join(map(_number, ends))}]"


def _number(value: float) -> str:
    return f"{value:.4f}" if value == value else "-"


if __name__ == "__main__":
    _cli.start(main, __doc__)
