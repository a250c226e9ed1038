"""Test the tutorial's claims and the laws behind them: an experiment, intervals and a verdict each.

Writes claims.json, and the tables (CSV) and the figure (PNG, PDF) of each study.
`python -m experiments.paper` makes the article of them.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from absl import flags

from colour_embed.config import InputError
from experiments import _cli

if TYPE_CHECKING:
    import pandas as pd

QUICK = {"seeds": 4, "epochs": 5, "num_pairs": 10_000, "first_seed": 0}
"""Flags of a quick run."""

_cli.define_out("claims")
_ONLY = flags.DEFINE_list("only", None, "Studies to run, separated by commas; all by default.")
_UPDATE = flags.DEFINE_bool("update", False, "Keep the studies in the folder that are not run now.")
_RESUME = flags.DEFINE_bool("resume", False, "Run only the studies that the folder lacks.")
_TABLES = flags.DEFINE_bool(
    "from_tables",
    False,
    "Recompute verdicts and figures from the tables in the folder, without training.",
)
_SEEDS = flags.DEFINE_integer(
    "seeds", 24, "Replicates of a cell; studies with many cells use a half or a third of them."
)
_EPOCHS = flags.DEFINE_integer("epochs", 500, "Passes over the pairs.")
_NUM_PAIRS = flags.DEFINE_integer("num_pairs", 100_000, "Number of pairs of colours to draw.")
_FIRST_SEED = flags.DEFINE_integer(
    "first_seed", 1000, "Seed of the first replicate; pilots use seeds below the default."
)
_QUICK = flags.DEFINE_bool(
    "quick",
    False,
    "Make every table and figure at a small size, in minutes: "
    + ", ".join(f"--{name} {value}" for name, value in QUICK.items())
    + ". Its verdicts mean nothing.",
)


def main() -> None:
    for flag, least in ((_SEEDS, 2), (_EPOCHS, 1), (_NUM_PAIRS, 1000), (_FIRST_SEED, 0)):
        if _QUICK.value:
            flags.FLAGS.set_default(flag.name, QUICK[flag.name])
        if flag.value < least:
            raise InputError(f"--{flag.name} is {flag.value}: give at least {least}")

    import jax

    from colour_embed import data
    from colour_embed.io import machine, placing, run_folder
    from experiments.claims.common import Setting
    from experiments.claims.studies import STUDIES

    for name in _ONLY.value or ():
        if name not in STUDIES:
            raise InputError(
                f"--only: no study is called {name!r}; give some of {', '.join(STUDIES)}"
            )
    out = _cli.out_folder()
    sizes = {
        "seeds": _SEEDS.value,
        "epochs": _EPOCHS.value,
        "pairs": _NUM_PAIRS.value,
        "first_seed": _FIRST_SEED.value,
    }
    chosen = [name for name in STUDIES if not _ONLY.value or name in _ONLY.value]
    spent = {}
    if _TABLES.value:
        sizes, spent = _earlier(out)
        chosen = []
    elif _UPDATE.value or (_RESUME.value and (out / "config.json").exists()):
        earlier_sizes, spent = _earlier(out)
        if earlier_sizes != sizes:
            flag = "update" if _UPDATE.value else "resume"
            raise InputError(f"--{flag}: {out} was made with {earlier_sizes}: give the same sizes")
    if _RESUME.value:
        chosen = [name for name in chosen if name not in spent]
    spent = {name: spent[name] for name in STUDIES if name in spent and name not in chosen}
    for name in spent:  # before any work, so that an error names the user's folder
        claim(out, STUDIES[name], sizes)
    placing.check_folder(out, "claims")
    _cli.set_up_jax(cpu_devices=0)
    with _cli.progress() as add:
        setting = Setting(add=add, **sizes)
        environment = machine.environment(
            jax.devices()[0].device_kind, data.data_hash(setting.colours, setting.tutorial_pairs)
        )
        if not chosen:
            environment = run_folder.read_json(out / "env.json", ("packages", "commit"))
            claims, said = _write(out, sizes, spent, environment, redrawn=list(spent))
        for name in chosen:  # each is written once it is finished
            began = time.perf_counter()
            try:
                tables = STUDIES[name].run(setting)
            except KeyboardInterrupt:
                if not spent:
                    raise
                raise _cli.Unfinished(
                    f"interrupted; the finished studies ({', '.join(spent)}) are saved, and "
                    "--resume runs the others"
                ) from None
            entry = {key: environment[key] for key in ("commit", "dirty")}
            spent[name] = {"seconds": time.perf_counter() - began, **entry}
            claims, said = _write(out, sizes, spent, environment, {name: tables}, [name])
    for entry in claims:
        print(f"{entry['name']}, {entry['verdict']}: {entry['answer']}")
    print(said)


def _write(
    out: Path,
    sizes: dict,
    spent: dict,
    environment: dict,
    tables: Mapping[str, Mapping[str, pd.DataFrame]] = MappingProxyType({}),
    redrawn: Sequence[str] = (),
) -> tuple[list[dict], str]:
    """Replace the folder by one of these studies, of which those without new tables are kept.

    Returns:
        The entries of claims.json, and a line on the work.
    """
    from colour_embed.io import placing, run_folder
    from experiments.claims import drawing
    from experiments.claims.studies import STUDIES

    spent = {name: spent[name] for name in STUDIES if name in spent}
    with placing.replacing(out, "claims") as folder:
        for name in spent:
            if name in tables:
                drawing.write_tables(folder, STUDIES[name], tables[name])
                continue
            for path in [*out.glob(f"{name}_*.csv"), *out.glob(f"{name}.p*")]:
                shutil.copy(path, folder)
        claims = [claim(folder, STUDIES[name], sizes) for name in spent]
        run_folder.write_json(folder / "claims.json", claims)
        run_folder.write_json(
            folder / "config.json", {"experiment": "claims", "studies": spent, **sizes}
        )
        run_folder.write_json(folder / "env.json", environment)
        drawing.draw(folder, folder, redrawn)
    seconds = sum(one["seconds"] for one in spent.values())
    members = sum(_members(out, STUDIES[name]) for name in spent)
    return claims, f"{members} trainings in {seconds:.0f} s; results in {out}"


def claim(folder: Path, study, sizes: dict) -> dict:
    """Return a study's entry of claims.json, computed from its tables in the folder."""
    from colour_embed.io import run_folder
    from experiments.claims import drawing

    tables = drawing.read_tables(folder, study)
    with run_folder.reading(folder / drawing.table_name(study, "*")):
        finding = study.judge(tables)
    filled = {
        "seeds": sizes["seeds"],
        "half": max(2, sizes["seeds"] // 2),
        "third": max(2, sizes["seeds"] // 3),
        "epochs": sizes["epochs"],
    }
    return {
        **{name: getattr(study, name) for name in ("name", "kind", "claim", "quote", "question")},
        "method": study.method.format(**filled),
        **{name: getattr(study, name) for name in ("estimand", "unit", "sources", "margin")},
        **{name: getattr(study, name) for name in ("rule", "flips", "caption")},
        "verdict": finding.verdict,
        "evidence": [entry._asdict() for entry in finding.evidence],
        "answer": finding.answer,
        "figure": f"{study.name}.png",
        "tables": [drawing.table_name(study, name) for name in tables],
    }


def _members(folder: Path, study) -> int:
    """Count a study's trainings: the rows of its tables of runs."""
    from experiments.claims import drawing

    tables = drawing.read_tables(folder, study)
    return sum(len(table) for name, table in tables.items() if name.endswith("runs"))


def _earlier(folder: Path) -> tuple[dict, dict]:
    """Read the sizes of an earlier run, and the time and commit of each of its studies.

    Raises:
        InputError: the folder holds no earlier run.
    """
    from colour_embed.io import run_folder

    names = ("seeds", "epochs", "pairs", "first_seed")
    found = run_folder.read_json(folder / "config.json", ("studies", *names))
    return {name: found[name] for name in names}, found["studies"]


if __name__ == "__main__":
    _cli.start(main, __doc__)
