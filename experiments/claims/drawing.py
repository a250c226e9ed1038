"""Write and read the tables of a folder of claims, and draw its figures from them alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from colour_embed.config import InputError
from colour_embed.io import run_folder
from colour_embed.viz.style import save_figure
from experiments.claims.common import Study
from experiments.claims.studies import STUDIES

# Floats must round-trip. From pandas 3.1 on they always do, and the option is deprecated.
_ALL_DIGITS = (
    {"float_precision": "round_trip"}
    if tuple(map(int, pd.__version__.split(".")[:2])) < (3, 1)
    else {}
)


def write_tables(folder: Path, study: Study, tables: dict[str, pd.DataFrame]) -> None:
    """Write a study's tables as CSV, with enough digits for every float to round-trip."""
    for name, table in tables.items():
        table.to_csv(folder / table_name(study, name), index=False, lineterminator="\n")


def table_name(study: Study, table: str) -> str:
    """Return the file name of a table."""
    return f"{study.name}_{table}.csv"


def read_tables(folder: Path, study: Study) -> dict[str, pd.DataFrame]:
    """Read the tables of one study.

    Raises:
        InputError: the folder holds none of them, or one cannot be read.
    """
    paths = sorted(folder.glob(f"{study.name}_*.csv"))
    if not paths:
        raise InputError(
            f"{folder / table_name(study, '*')}: there is no such table; run "
            f"python -m experiments.claims --only {study.name}"
        )
    tables = {}
    for path in paths:
        try:
            tables[path.stem.removeprefix(f"{study.name}_")] = pd.read_csv(
                path, keep_default_na=False, na_values=[""], **_ALL_DIGITS
            )
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: is no table ({error}); run the study again") from None
    return tables


def studies_of(folder: Path) -> list[Study]:
    """Return the studies that a folder holds, in the order of the report.

    Raises:
        InputError: claims.json is missing or damaged.
    """
    path = folder / "claims.json"
    try:
        names = [entry["name"] for entry in json.loads(path.read_text(encoding="utf-8"))]
        return [study for study in STUDIES.values() if study.name in names]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path}: cannot be read ({error}); run the claims again") from None


def draw(folder: Path, out: Path, names: Sequence[str] | None = None) -> list[Path]:
    """Draw the figures of these studies, by default of all, into `out`; returns their paths.

    Raises:
        InputError: a table is missing or damaged.
    """
    paths = []
    for study in studies_of(folder):
        if names is not None and study.name not in names:
            continue
        tables = read_tables(folder, study)
        with run_folder.reading(folder / table_name(study, "*")):
            figure = study.draw(tables)
        paths += save_figure(figure, out / study.name)
    return paths
