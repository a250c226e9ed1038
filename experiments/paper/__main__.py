"""Typeset the article from the committed results.

Each number in the article is read by name from a table under --results, or from setting.csv, which
is computed from the colours, the pairs and the defaults of `Config`. A name that no table holds is
an error. Fonts and packages are those of the wheel `typst`; nothing is downloaded.

Writes paper.pdf, setting.csv, and numbers.json, which lists what was read, in the order of the
article: table, row, column, and the text that stands in the article.
"""

from __future__ import annotations

from pathlib import Path

from absl import flags

from experiments import _cli

_cli.define_out("paper")
_RESULTS = flags.DEFINE_string("results", "results", "The folder that contains the run folders.")


def main() -> None:
    # Imported here, so that --help and flag errors need neither pandas nor typst.
    from colour_embed import data
    from colour_embed.io import machine, placing, run_folder
    from experiments.paper import typesetting

    out = _cli.out_folder()
    placing.check_folder(out, "paper")
    colours = data.load_colours()
    pairs = data.tutorial_pairs(colours)
    article = typesetting.typeset(Path(_RESULTS.value), colours, pairs)
    with placing.replacing(out, "paper") as folder:
        (folder / "paper.pdf").write_bytes(article.pdf)
        (folder / typesetting.SETTING).write_text(article.setting, encoding="utf-8")
        run_folder.write_json(folder / "numbers.json", article.numbers)
        run_folder.write_json(folder / run_folder.MARKER, {"experiment": "paper"})
        environment = machine.environment("cpu", data.data_hash(colours, pairs))
        environment["packages"]["typst"] = machine.package_version("typst")
        run_folder.write_json(folder / "env.json", environment)
    print(f"{article.pages} pages, {len(article.numbers)} numbers; {out / 'paper.pdf'}")


if __name__ == "__main__":
    _cli.start(main, __doc__)
