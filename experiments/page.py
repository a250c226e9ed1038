"""Write an interactive HTML page from a tutorial run or a sweep; the file works offline.

The page shows the embedding by epoch beside the RGB cube. It has playback, rotation, zoom, search
by name, neighbours in both spaces, and a choice of seed and dimension for a sweep. It also trains,
in a worker of the browser: the run's pairs, or those of a CSV file that is dropped on it, with the
settings in the page's address.
"""

from __future__ import annotations

from pathlib import Path

from absl import flags

from experiments import _cli

_RUN = flags.DEFINE_string(
    "run", "results/tutorial", "Folder that experiments.tutorial or experiments.sweep wrote."
)
_OUT = flags.DEFINE_string(
    "out",
    "results/page.html",
    "File for the page. An existing page is replaced; any other file is refused.",
)
_COLOURS = flags.DEFINE_string(
    "colours",
    None,
    "A CSV file of the run's colours; by default those that the run folder names.",
)


def main() -> None:
    # Imported here, so that --help and flag errors need no jax.
    from colour_embed.viz import page

    out = Path(_OUT.value)
    page.check_page(out)
    text = page.page(page.read_run(_RUN.value, _COLOURS.value))
    page.write_page(out, text)
    print(f"page in {out} ({out.stat().st_size / 1e6:.1f} MB); open it in a browser")


if __name__ == "__main__":
    _cli.start(main, __doc__)
