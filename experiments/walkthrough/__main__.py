"""Execute the walk through the tutorial, and write it as a notebook with its outputs.

The source is cells.py beside this program, in jupytext's percent format. Each cell is executed in a
new kernel. The notebook holds no execution times, and its metadata do not depend on the machine.

Writes walkthrough.ipynb.
"""

from __future__ import annotations

import time

from absl import flags

from experiments import _cli

_NAME = "walkthrough.ipynb"

_cli.define_out("walkthrough")
_QUICK = flags.DEFINE_bool(
    "quick", False, "Few pairs and epochs, to test that every cell runs; the figures are poor."
)


def main() -> None:
    # Imported here, so that --help and flag errors need no jupytext.
    import jax

    from colour_embed import data
    from colour_embed.io import machine, placing, run_folder
    from experiments.walkthrough import notebook

    out = _cli.out_folder()
    placing.check_folder(out, "walkthrough")
    _cli.set_up_jax()
    began = time.perf_counter()
    with placing.replacing(out, "walkthrough") as folder, _cli.progress() as add:
        made = notebook.read(notebook.QUICK if _QUICK.value else None)
        cache = jax.config.jax_compilation_cache_dir
        notebook.execute(made, add("cells", len(made.cells)), cache)
        notebook.write(made, folder / _NAME)
        config = {"experiment": "walkthrough", "sizes": notebook.sizes_of(made)}
        run_folder.write_json(folder / run_folder.MARKER, config)
        colours = data.load_colours()
        environment = machine.environment(
            "cpu", data.data_hash(colours, data.tutorial_pairs(colours))
        )
        environment["packages"] |= {
            name: machine.package_version(name) for name in ("jupytext", "nbclient", "ipykernel")
        }
        seconds = {"whole": time.perf_counter() - began}
        run_folder.write_json(folder / "env.json", {**environment, "seconds": seconds})
        size = (folder / _NAME).stat().st_size
    print(f"{len(made.cells)} cells, {size / 1e3:.0f} kB; {out / _NAME}")


if __name__ == "__main__":
    _cli.start(main, __doc__)
