"""From an example to its folder, and the README of all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from colour_embed.io import run_folder
from colour_embed.io import vectors as exports
from colour_embed.pairs.reading import read_pairs
from experiments import _train_figures, _training
from experiments.examples.common import Example
from experiments.examples.studies import EXAMPLES


def make(example: Example, folder: Path, add: Callable) -> str:
    """Write an example's tables, train on them as `experiments.train` does, and judge.

    Args:
        example: Which.
        folder: Its folder, not there yet.
        add: As `_cli.progress` yields it.

    Returns:
        The sentence that it shows.
    """
    folder.mkdir()
    made = example.make()
    tables = {"pairs": made.pairs, "items": made.items}
    paths = {name: folder / f"{name}.csv" for name, one in tables.items() if one is not None}
    for name, path in paths.items():
        tables[name].to_csv(path, index=False, lineterminator="\n")
    table = read_pairs(
        paths["pairs"], items=paths.get("items"), positives_only=example.plan.positives_only
    )
    files = {name: path.name for name, path in paths.items()}
    about = {"items": None, **files, "columns": table.column_names}

    def draw(folder: Path, out: Path) -> list[Path]:
        return _train_figures.draw_map(folder, out, example.title)

    def named(label: str, total: int) -> Callable:
        return add(example.name[:10] if label == "train" else label, total)

    metrics = _training.run(folder, example.plan, table, about, named, draw=draw)
    vectors = exports.read_csv(folder / "embedding.csv")
    finding = example.judge(vectors.items, vectors.vectors.astype(float), made)
    shown = {"title": example.title, "sentence": finding.sentence, **finding.numbers}
    run_folder.write_json(folder / "metrics.json", {"example": shown, **metrics})
    return finding.sentence


def hashes(folder: Path, names: Iterable[str]) -> str:
    """The data hashes of these examples, in one text."""
    return " ".join(
        run_folder.read_json(folder / name / "env.json", ("data_hash",))["data_hash"]
        for name in names
    )


def command(example: Example) -> str:
    """How `experiments.train` is told to do the same with the example's tables."""
    plan, flags = example.plan, []
    if example.has_items:
        flags.append(f"--items {example.name}/items.csv")
    if plan.positives_only:
        flags.append(f"--positives_only --negatives {plan.negatives:g}")
    if plan.held_out is not None:
        flags.append(f"--held_out {plan.held_out:g}")
    flags += [f"--dim {plan.config.dim}", f"--restarts {plan.restarts}", "--out my_run"]
    return " ".join(["python -m experiments.train", f"--pairs {example.name}/pairs.csv", *flags])


def readme(sentences: dict[str, str]) -> str:
    """README.md: of each example its map, its sentence, and where its pairs come from."""
    lines = [
        "# Embeddings of real things",
        "",
        "Made by `python -m experiments.examples`, without a download. The numbers are those of "
        "the run; the line below each map trains the same from its tables.",
    ]
    for name, said in sentences.items():
        example = EXAMPLES[name]
        lines += [
            *("", f"## {example.title}", "", said, ""),
            *(f"![{example.title}]({name}/embedding.png)", ""),
            f"Source of [pairs.csv]({name}/pairs.csv): {example.source}. Licence: "
            f"{example.licence}.",
            *("", "```sh", command(example), "```"),
        ]
    return "\n".join(lines) + "\n"
