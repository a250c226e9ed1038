"""Typesets article.typ, and lists the numbers that it reads."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from colour_embed.config import InputError

if TYPE_CHECKING:
    from colour_embed.data import Colours, Pairs

SOURCES = ("article.typ", "style.typ", "lookup.typ", "references.bib")
SETTING = "setting.csv"
"""The table of the numbers that are properties of the colours, the pairs and the defaults."""

CLAIM = (
    *("name", "kind", "claim", "quote", "question", "method", "estimand", "unit", "sources"),
    *("margin", "rule", "flips", "caption", "verdict", "evidence", "answer", "figure", "tables"),
)
"""The keys of an entry of claims.json that the article reads."""


class Article(NamedTuple):
    """The typeset article.

    Attributes:
        pdf: The file. Its bytes depend on the sources, the results and the version of typst only.
        setting: The text of setting.csv.
        numbers: table, row, column and text of each number, in the order of the article.
        pages: Number of pages.
    """

    pdf: bytes
    setting: str
    numbers: list[dict[str, str]]
    pages: int


def typeset(results: Path, colours: Colours, pairs: Pairs) -> Article:
    """Typeset the article from the run folders in `results`.

    Raises:
        InputError: typst is not installed, a table is missing, or a name in the article is in no
            table.
    """
    try:
        import typst
    except ModuleNotFoundError:
        raise InputError('the article needs typst: pip install "colour_embed[paper]"') from None
    check_claims(results / "claims" / "claims.json")
    setting = setting_table(colours, pairs)
    with tempfile.TemporaryDirectory() as place:
        root = Path(place).resolve()
        for name in SOURCES:
            shutil.copy(Path(__file__).with_name(name), root)
        (root / SETTING).write_text(setting, encoding="utf-8")
        (root / "results").symlink_to(results.resolve(), target_is_directory=True)
        compiler = typst.Compiler(root / "article.typ", root=root, ignore_system_fonts=True)
        try:
            pdf = compiler.compile(format="pdf")
            numbers = json.loads(compiler.query("<number>", field="value"))
            pages = json.loads(compiler.query("<pages>", field="value", one=True))
        except typst.TypstError as error:
            raise InputError(_said(error, root, results)) from None
    return Article(pdf, setting, numbers, pages)


def check_claims(path: Path) -> None:
    """Check that each entry of claims.json has the keys that the article reads.

    Raises:
        InputError: the file is missing or damaged, or a key is missing.
    """
    from colour_embed.io import run_folder

    for entry in run_folder.read_json(path):
        for key in CLAIM:
            if key not in entry:
                raise InputError(
                    f"{path}: {entry.get('name')} lacks {key!r}; run experiments.claims again"
                )


def _said(error: Any, root: Path, results: Path) -> str:
    """Return the message of a typst error in one line, without the temporary folder."""
    message = re.sub(r"^(?:assertion failed|panicked with): ", "", error.message)
    message = message.replace(str(root / "results"), str(results)).replace(f"{root}/", "")
    place = re.search(r"article\.typ:\d+", error.diagnostic)
    return f"{place[0]}: {message}" if place else f"article.typ: {message}"


def setting_table(colours: Colours, pairs: Pairs) -> str:
    """Return setting.csv: name, value."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["name", "value"])
    writer.writerows(setting(colours, pairs).items())
    return file.getvalue()


def setting(colours: Colours, pairs: Pairs) -> dict[str, float]:
    """Return the numbers of the article that are no result of a training, by name.

    Parameters are counted as in the article's proposition on identifiable parameters.
    """
    import inspect

    from colour_embed.config import Config
    from colour_embed.data import TUTORIAL_TABLE
    from colour_embed.evaluate.intervals import wilson_interval
    from colour_embed.evaluate.truth import (
        all_pairs,
        base_rate_loss,
        best_loss,
        pair_distance,
        probability_similar,
    )
    from colour_embed.pairs.selection import identifiable_parameters

    config, count, drawn = Config(), len(colours), len(pairs.index)
    level = inspect.signature(wilson_interval).parameters["level"].default
    with TUTORIAL_TABLE.open(newline="", encoding="utf-8") as file:
        inferred = sum(row["source"] == "inferred" for row in csv.DictReader(file))
    every = all_pairs(count)
    floor = best_loss(probability_similar(pair_distance(colours, every)))
    found = {
        "confidence level, per cent": 100 * level,
        "colours": count,
        "inferred colours": inferred,
        "drawn pairs": drawn,
        "pairs of two colours": len(every),
        "positive labels, per cent": 100 * float(pairs.label.mean()),
        "label constant": config.label_constant,
        "epochs": config.epochs,
        "batch size": config.batch_size,
        "steps of an epoch": -(-drawn // config.batch_size),
        "learning rate": config.learning_rate,
        "beta1": config.beta1,
        "beta2": config.beta2,
        "epsilon": config.epsilon,
        "initial scale": config.initial_scale,
        "base-rate loss": base_rate_loss(pairs.label),
        "Bayes-optimal loss, all pairs": floor,
        "Bayes-optimal loss, drawn labels": best_loss(
            probability_similar(pair_distance(colours, pairs.index)), pairs.label
        ),
    }
    for dim in range(1, 7):
        parameters = identifiable_parameters("free", False, count, dim)
        found[f"parameters, {dim}-D"] = count * dim + 2
        found[f"identifiable parameters, {dim}-D"] = parameters
        found[f"expected excess, {dim}-D"] = parameters / (2 * drawn)
    found["expected excess, 4-D less 3-D"] = (
        found["expected excess, 4-D"] - found["expected excess, 3-D"]
    )
    return found
