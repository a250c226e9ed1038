"""The colours of a sweep: its tasks, tables, videos and summary."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from absl import flags

from colour_embed import animation, data
from colour_embed.evaluate import geometry, tables
from colour_embed.io import run_folder
from colour_embed.sweeps import training_pairs
from experiments import _cli, _sweep_figures
from experiments._tasks import Task, groups_shown

if TYPE_CHECKING:
    from colour_embed.config import Config
    from colour_embed.runs import SweepResult
    from experiments._tasks import Grid


class Source:
    """Colours and pairs of them.

    Attributes:
        tasks: The members of each program, by its name.
        about: Entries of config.json on the data.
        data_hash: From `data.data_hash`.
    """

    def __init__(
        self, colours: data.Colours, pairs: data.Pairs, grid: Grid, tasks: dict[str, Task]
    ):
        """Hold the data and the tasks."""
        self.colours, self.pairs, self.grid, self.tasks = colours, pairs, grid, tasks
        self.about = {"colours": colours.source, "pairs": len(pairs)}
        self.data_hash = data.data_hash(colours, pairs)

    @classmethod
    def read(cls, grid: Grid, programs: dict[str, Config]) -> Source:
        """Load the colours and draw the pairs that the flags name."""
        colours, pairs = _cli.load_colour_pairs()
        tasks = {
            name: Task(config, len(colours), pairs, colours.rgb)
            for name, config in programs.items()
        }
        return cls(colours, pairs, grid, tasks)

    def tables(self, found: dict[str, SweepResult]) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the table of all members, and the summary."""
        index: Any = self.pairs
        if "pairs" in self.grid.vary:
            index = self._own_pairs
        runs = pd.concat(
            [
                tables.member_table(
                    result,
                    tables.evaluate_members(result, self.colours.rgb, index),
                    axes=tuple(self.grid.axes),
                )
                for result in found.values()
            ],
            ignore_index=True,
        )
        groups, between = tables.group_columns(runs), {}
        embeddings = [vectors for result in found.values() for vectors in result.embedding]
        for values, members in runs[runs["recovered"]].groupby(groups):
            if len(members) > 1:
                chosen = np.stack([embeddings[row][:, : values[-1]] for row in members.index])
                disparity = geometry.cross_seed_procrustes(chosen)
                between[values] = disparity[np.triu_indices(len(chosen), 1)].mean()
        return runs, tables.summary_table(runs, between)

    def _own_pairs(self, member: Config) -> np.ndarray:
        return training_pairs(len(self.colours), self.pairs, member, self.grid.vary)

    def write(self, folder: Path, found: dict[str, SweepResult], animate: bool) -> None:
        """Write the colours, the figures, and a video of each program's members with snapshots."""
        if flags.FLAGS.colours not in data.BUILT_IN:
            run_folder.write_colours(folder, self.colours)
        _sweep_figures.draw(folder, folder)
        for name, result in found.items() if animate else ():
            suffix = f"_{name}" if len(found) > 1 else ""
            animation.animate_grid(result, self.colours.rgb, folder / f"grid{suffix}.mp4")

    def print_summary(self, summary: pd.DataFrame) -> None:
        """Print the summary."""
        from rich.console import Console
        from rich.table import Table

        shown = groups_shown(summary)
        table = Table(*shown, "dim", "recovered", "held-out loss", "excess KL", "Spearman")
        for row in summary.to_dict("records"):

            def interval(name, row=row):
                middle, low, high = (row[f"recovered_{name}{end}"] for end in ("", "_low", "_high"))
                return f"{middle:.4f} [{low:.4f}, {high:.4f}]"

            table.add_row(
                *(str(row[name]) for name in shown),
                f"{row['dim']}{' *' if row['selected'] else ''}",
                f"{row['recovered_members']}/{row['members']}",
                interval("heldout_loss"),
                interval("excess_kl"),
                interval("spearman"),
            )
        Console(width=120).print(table)
        print(
            "Interquartile means over the recovered members, with 95 % intervals. *: the dimension "
            "that held-out loss selects."
        )
