"""Own pairs in a sweep: splits, tables and the selected dimension."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from absl import flags

from colour_embed.config import Config, Stopping
from colour_embed.data import Pairs
from colour_embed.evaluate import scores, tables
from colour_embed.io import run_folder
from colour_embed.pairs.dimensions import best_place, select
from colour_embed.pairs.fit import pair_logits
from colour_embed.pairs.selection import Selection, grouped_splits, information_criteria
from experiments import _cli, _pair_sweep_figures, _pairs, _training
from experiments._tasks import Task, groups_shown

if TYPE_CHECKING:
    from colour_embed.pairs.reading import PairTable
    from colour_embed.runs import SweepResult
    from experiments._tasks import Grid


class Source:
    """Own pairs, and splits of them.

    Each program of a head trains on every split, and once on all pairs, without held-out ones: for
    AIC, BIC and the embedding of the selected dimension.

    Attributes:
        tasks: The members of each program, by its name: "negative_split0", "negative_all".
        about: Entries of config.json on the data.
        data_hash: From `_training.table_hash`.
    """

    def __init__(
        self, table: PairTable, pairs: Pairs, grid: Grid, held_out: np.ndarray, tasks: dict
    ):
        """Hold the data and the tasks."""
        self.table, self.pairs, self.grid, self.tasks = table, pairs, grid, tasks
        self.held_out = held_out
        self.about = {
            **_pairs.about(table),
            "rows": len(pairs),
            "splits": len(held_out),
            "held_out": flags.FLAGS.held_out,
            "max_steps": flags.FLAGS.max_steps,
            "positives_only": flags.FLAGS.positives_only,
            "negatives": flags.FLAGS.negatives,
        }
        self.data_hash = _training.table_hash(table)
        self.selections: dict[tuple, Selection] = {}
        self.lines: list[str] = []

    @classmethod
    def read(
        cls,
        add: Callable,
        grid: Grid,
        programs: dict[str, Config],
        splits: int,
        share: float,
        max_steps: int,
    ) -> Source:
        """Read the pairs that the flags name, and split them."""
        table = _pairs.read(add, _cli.max_bytes())
        for warning in table.warnings:
            _cli.warn(warning)
        items = len(table.items)
        pairs = _pairs.with_negatives(table, Config.seed)
        held_out = grouped_splits(pairs, items, share, splits, Config.seed)
        if held_out.mean() < 0.9 * share:
            _cli.warn(
                f"{held_out[0].sum()} of {len(pairs)} pairs are held out, fewer than the share "
                f"{share}: each item keeps a pair to train on"
            )
        stopping = Stopping(max_steps=max_steps)
        tasks = {}
        for name, config in programs.items():
            for number, apart in enumerate(held_out):
                parts = pairs.take(~apart), None, stopping, pairs.take(apart)
                tasks[f"{name}_split{number}"] = Task(config, items, *parts)
            tasks[f"{name}_all"] = Task(config, items, pairs, None, stopping)
        return cls(table, pairs, grid, held_out, tasks)

    def tables(self, found: dict[str, SweepResult]) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the table of all members, and the summary with the selected dimensions."""
        runs = pd.concat(
            [
                _member_rows(name, result, self.tasks[name], self.grid)
                for name, result in found.items()
            ],
            ignore_index=True,
        )
        rows = [row for group in self._groups(found) for row in self._summary_rows(*group)]
        return runs, pd.DataFrame(rows)

    def _groups(self, found: dict[str, SweepResult]) -> Iterator[tuple]:
        """Yield the values of the axes, and the sweeps of the splits and of all, by program."""
        programs = dict.fromkeys(name.rsplit("_", 1)[0] for name in found)
        axes = self.grid.axes
        for program, values in itertools.product(programs, itertools.product(*axes.values())):
            chosen = dict(zip(axes, values))
            parts = [
                _members_with(found[name], chosen)
                for name in found
                if name.rsplit("_", 1)[0] == program
            ]
            yield chosen, parts[:-1], parts[-1]

    def _summary_rows(self, values: dict, splits: list, whole: SweepResult) -> list[dict]:
        """Return a row for each dimension: its held-out loss, whether it is selected, AIC, BIC."""
        selection = select(splits, self.pairs, self.held_out)
        config = whole.config
        best = [best_place(whole, int(dim)) for dim in selection.dims]
        criteria, reason = information_criteria(
            selection.dims,
            whole.evaluations.best_loss[best],
            self.pairs,
            len(self.table.items),
            head=config.head,
            normalise=config.normalise,
            selected=selection.selected,
            converged=np.array([whole.evaluations.stopped[place] == "plateau" for place in best]),
        )
        told = [f"{name} {value:g}" for name, value in values.items()]
        self.lines.append(", ".join([config.head, *told]) + f": {selection}")
        if reason:
            self.lines.append(reason)
        self.selections[config.head, config.normalise, config.batch_size, *values.values()] = (
            selection
        )
        place = best[int(np.flatnonzero(selection.dims == selection.selected)[0])]
        self.chosen = whole.members[place], whole.vectors(place)
        return [
            {
                "dim": int(dim),
                "head": config.head,
                "normalise": config.normalise,
                "batch_size": config.batch_size,
                **values,
                "members": sum(member.dim == dim for member in splits[0].members),
                "heldout_loss": selection.loss[row],
                "difference": selection.difference[row],
                "standard_error": selection.standard_error[row],
                "selected": bool(dim == selection.selected),
                "all_pairs_loss": float(whole.evaluations.best_loss[best[row]]),
                "parameters": None if criteria is None else int(criteria.parameters[row]),
                "aic": None if criteria is None else criteria.aic[row],
                "bic": None if criteria is None else criteria.bic[row],
                "singular": None if criteria is None else bool(criteria.singular[row]),
            }
            for row, dim in enumerate(selection.dims)
        ]

    def write(self, folder: Path, found: dict[str, SweepResult], animate: bool) -> None:
        """Write items.npz, the embedding of the selected dimension (of the last group), figures."""
        colours, _ = _training.read_item_colours(self.table.extra)
        arrays: dict[str, Any] = {"name": np.array(self.table.items, np.str_)}
        if colours.rgb is not None:
            arrays["rgb"] = np.round(255 * colours.rgb).astype(np.uint8)
        if colours.groups is not None:
            arrays["group"] = np.array(colours.groups, np.str_)
        np.savez_compressed(folder / "items.npz", **arrays)
        run_folder.write_embedding(folder / "embedding.csv", self.table.items, self.chosen[1])
        _pair_sweep_figures.draw(folder, folder)

    def print_summary(self, summary: pd.DataFrame) -> None:
        """Print the held-out loss of each dimension, and what is selected."""
        from rich.console import Console
        from rich.table import Table

        shown = groups_shown(summary)
        table = Table(*shown, "dim", "held-out loss", "above the best", "AIC", "BIC")
        for row in summary.to_dict("records"):
            error = row["standard_error"]
            numbers = (
                f"{row[name]:.1f}" if row[name] is not None else "-" for name in ("aic", "bic")
            )
            table.add_row(
                *(str(row[name]) for name in shown),
                f"{row['dim']}{' *' if row['selected'] else ''}",
                f"{row['heldout_loss']:.4f}",
                f"{row['difference']:.4f} ± {error:.4f}",
                *numbers,
            )
        Console(width=120).print(table)
        for line in self.lines:
            print(line)


def _member_rows(name: str, result: SweepResult, task: Task, grid: Grid) -> pd.DataFrame:
    """Return the rows of runs.csv of one program; measures are of the held-out pairs."""
    seen = result.evaluations
    judged = task.held_out
    measures = {key: np.full(len(result), np.nan) for key in ("heldout_loss", "auc", "brier")}
    if judged is not None:
        measures["heldout_loss"] = seen.best_loss
        for place, member in enumerate(result.members):
            logits = pair_logits(member, result.params_of(place), judged.index)
            weight = np.ones(len(judged)) if judged.weight is None else judged.weight
            measures["auc"][place] = scores.auc(logits, judged.label, weight)
            measures["brier"][place] = scores.brier(logits, judged.label, weight)
    rows = tables.member_table(result, measures, axes=tuple(grid.axes))
    at_best = np.searchsorted(seen.step, seen.best_step).clip(max=result.loss.shape[1] - 1)
    rows["train_loss"] = result.loss[np.arange(len(result)), at_best]
    del rows["train_mse"]
    split = name.rsplit("_", 1)[1].removeprefix("split")
    rows.insert(0, "split", split)
    return rows.assign(steps=seen.steps, best_step=seen.best_step, stopped=seen.stopped)


def _members_with(result: SweepResult, values: dict[str, float]) -> SweepResult:
    """Return the members with these values of the axes."""
    places = [
        place
        for place, member in enumerate(result.members)
        if all(getattr(member, name) == value for name, value in values.items())
    ]
    seen = result.evaluations
    params = {
        part: {name: leaf[places] for name, leaf in leaves.items()}
        for part, leaves in result.params.items()
    }
    return dataclasses.replace(
        result,
        members=[result.members[place] for place in places],
        **{
            name: values[places]
            for name, values in result.arrays().items()
            if name not in ("epoch", "snapshots")
        },
        snapshots=result.snapshots[:0],
        params=params,
        evaluations=seen._replace(
            heldout_loss=None if seen.heldout_loss is None else seen.heldout_loss[places],
            best_loss=seen.best_loss[places],
            best_step=seen.best_step[places],
            steps=seen.steps[places],
            stopped=[seen.stopped[place] for place in places],
        ),
    )
