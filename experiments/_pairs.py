"""The flags and the reading of one's own pairs, shared by `train` and `sweep`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from colour_embed.config import InputError

if TYPE_CHECKING:
    from colour_embed.data import Pairs
    from colour_embed.pairs.reading import PairTable


def define_flags() -> None:
    """Define --pairs and the flags that say how it is read."""
    flags.DEFINE_string(
        "pairs",
        None,
        "The pairs: CSV, TSV or other text, gzip of these, or Parquet, with two columns of item "
        "names and one of labels from 0 (dissimilar) to 1 (similar).",
    )
    flags.DEFINE_string(
        "items",
        None,
        "The items, one a row. The columns r,g,b or hex, or else group, set their colours. By "
        "default the items are those that the pairs name.",
    )
    flags.DEFINE_string("first", None, "Column of the first item of each pair.")
    flags.DEFINE_string("second", None, "Column of the second item of each pair.")
    flags.DEFINE_string("label", None, "Column of the labels.")
    flags.DEFINE_string("weight", None, "Column of weights, 0 or more.")
    flags.DEFINE_string("item", None, "Column of the item names in --items.")
    flags.DEFINE_bool("ids", False, "The pairs hold row numbers, from 0, instead of names.")
    flags.DEFINE_bool(
        "positives_only",
        False,
        "Every row is a similar pair, with an optional count or weight. Dissimilar pairs are "
        "sampled by the items' frequency to the power of 0.75.",
    )
    flags.DEFINE_bool(
        "two_sided",
        False,
        "The two columns hold two kinds of items, such as users and films. The items are then "
        "called by their column, such as user:7 and film:7.",
    )
    flags.DEFINE_string(
        "label_scale",
        None,
        "The labels that stand for 0 and 1, such as -1,1 or 1,5; for distances 10,0. Those between "
        "are mapped linearly.",
    )
    flags.DEFINE_enum(
        "separator",
        "auto",
        ["auto", "comma", "tab", "semicolon", "pipe", "space"],
        "What the columns of a text are separated by; space is any run of spaces and tabs.",
    )
    flags.DEFINE_enum(
        "header",
        "auto",
        ["auto", "yes", "no"],
        "Whether the pairs have a header. Without one the columns are called 1, 2, 3 and so on.",
    )
    flags.DEFINE_enum(
        "quoting",
        "auto",
        ["auto", "csv", "none"],
        "csv: cells may be in double quotes. none: a quotation mark is a character. auto: as csv, "
        "and quotes that seem to hold whole lines are refused.",
    )
    flags.DEFINE_string("comment", None, "What the lines to skip begin with, such as #.")
    flags.DEFINE_float(
        "negatives", 1.0, "With --positives_only: dissimilar pairs for each distinct similar one."
    )


def check_flags() -> None:
    """Raise an InputError unless there are pairs, and their flags go together."""
    if flags.FLAGS.pairs is None:
        raise InputError("give --pairs, a table of labelled pairs (see --help)")
    if flags.FLAGS["negatives"].present and not flags.FLAGS.positives_only:
        raise InputError("--negatives needs --positives_only: give both or neither")


def read(add: Callable, max_bytes: int) -> PairTable:
    """Read and check the pairs."""
    from colour_embed.pairs.reading import read_pairs

    report, expected = None, 1

    def show(event) -> None:
        nonlocal report, expected
        expected = max(event.total, 1)
        report = report or add("read", expected)
        report(min(event.done, expected), f"{event.done:,} rows")

    table = read_pairs(
        flags.FLAGS.pairs,
        items=flags.FLAGS.items,
        first=flags.FLAGS.first,
        second=flags.FLAGS.second,
        label=flags.FLAGS.label,
        weight=flags.FLAGS.weight,
        item=flags.FLAGS.item,
        ids=flags.FLAGS.ids,
        positives_only=flags.FLAGS.positives_only,
        two_sided=flags.FLAGS.two_sided,
        label_scale=flags.FLAGS.label_scale,
        separator=flags.FLAGS.separator,
        header=flags.FLAGS.header,
        quoting=flags.FLAGS.quoting,
        comment=flags.FLAGS.comment,
        max_bytes=max_bytes,
        report=show,
    )
    if report is not None:  # the number of rows was an estimate
        report(expected, f"{len(table):,} pairs")
    for note in table.notes:
        print(f"note: {note}")
    return table


def about(table: PairTable) -> dict[str, Any]:
    """Return the entries of config.json on the files: names without folders, and columns."""
    return {
        "pairs": Path(flags.FLAGS.pairs).name,
        "items": None if flags.FLAGS.items is None else Path(flags.FLAGS.items).name,
        "columns": table.column_names,
        "ids": flags.FLAGS.ids,
        "two_sided": table.two_sided,
        "label_scale": flags.FLAGS.label_scale,
        "notes": table.notes,
    }


def with_negatives(table: PairTable, seed: int) -> Pairs:
    """Return the pairs, with sampled dissimilar ones if --positives_only.

    Raises:
        InputError: there are too few pairs to sample.
    """
    from colour_embed.data import Pairs
    from colour_embed.pairs import sampling

    pairs = Pairs(table.index, table.label, table.weight)
    if flags.FLAGS.positives_only:
        ratio, sides = flags.FLAGS.negatives, table.two_sided
        pairs = sampling.with_negatives(pairs, len(table.items), ratio, seed=seed, two_sided=sides)
    return Pairs(pairs.index, pairs.label, None if (pairs.weight == 1).all() else pairs.weight)
