"""Train embeddings of three data sets that need no download.

les_miserables: characters that appear together. words: words that co-occur in Python's reference.
css4: colour names that share a word. Writes a folder for each with pairs.csv, the embedding, its
metrics and its map, and README.md with the results and the sources.
"""

from __future__ import annotations

import shutil

from absl import flags

from colour_embed.config import InputError
from experiments import _cli

_cli.define_out("examples")
_ONLY = flags.DEFINE_list(
    "only",
    None,
    "Examples to run, separated by commas; all by default. Others in the folder are kept.",
)


def main() -> None:
    # Imported here, so that --help and flag errors need no jax.
    import jax

    from colour_embed.io import machine, placing, run_folder
    from experiments.examples import drawing, made
    from experiments.examples.studies import EXAMPLES

    for name in _ONLY.value or ():
        if name not in EXAMPLES:
            raise InputError(
                f"--only: no example is called {name!r}; give some of {', '.join(EXAMPLES)}"
            )
    out = _cli.out_folder()
    chosen = [name for name in EXAMPLES if not _ONLY.value or name in _ONLY.value]
    placing.check_folder(out, "examples")
    _cli.set_up_jax()
    with placing.replacing(out, "examples") as folder, _cli.progress() as add:
        sentences = {}
        for name, example in EXAMPLES.items():
            if name in chosen:
                sentences[name] = made.make(example, folder / name, add)
            elif (out / name / "metrics.json").exists():
                shutil.copytree(out / name, folder / name)
                sentences[name] = drawing.read_finding(folder / name)["sentence"]
        run_folder.write_json(
            folder / run_folder.MARKER, {"experiment": "examples", "examples": list(sentences)}
        )
        device = jax.devices()[0].device_kind
        hashes = made.hashes(folder, sentences)
        run_folder.write_json(folder / "env.json", machine.environment(device, hashes))
        (folder / "README.md").write_text(made.readme(sentences), encoding="utf-8")
    for name, sentence in sentences.items():
        print(f"{name}: {sentence}")
    print(f"results in {out}")


if __name__ == "__main__":
    _cli.start(main, __doc__)
