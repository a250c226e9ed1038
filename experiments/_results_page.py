"""The page of all figures under results/: a caption of one line, and links to what made each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from colour_embed.config import InputError


class Folder(NamedTuple):
    """What the page says of a run folder.

    Attributes:
        about: What the folder holds.
        command: The program and its flags, after `python -m experiments.`.
        source: The file that has the study, under experiments/.
        tables: Its tables, by their names in the folder.
        figures: Name without suffix -> caption of one line.
        videos: Name of a video -> caption; the figure of that name is its poster.
    """

    about: str
    command: str
    source: str
    tables: tuple[str, ...]
    figures: dict[str, str]
    videos: Mapping[str, str] = MappingProxyType({})


_BY_DIMENSION = (
    "Held-out loss of the trainings that recover, by dimension, and the dimension selected"
)
_BY_WEIGHT = "Spearman correlation with RGB distances by initial weight: every training"
_CURVES = "Training loss of the members that recover, by epoch and dimension"
_MEMBERS = "Embeddings of the first seeds in each dimension, aligned to the principal plane of RGB"
_OWN = {
    "quality": "Held-out loss by dimension, and the dimension that the rule selects",
    "losses": "Held-out loss by evaluation and dimension",
    "members": "Embeddings of the first seeds in each dimension",
}


def _own_pairs(name: str, about: str, dims: str, items: str = "") -> Folder:
    place = f"results/examples/{name}"
    return Folder(
        about,
        f"sweep --pairs {place}/pairs.csv{items} --positives_only --seeds 0:8 --dims {dims} "
        f"--out results/dims/{name}",
        "_pair_sweep.py",
        ("summary.csv", "runs.csv"),
        _OWN,
    )


def _example(name: str, caption: str, video: bool) -> Folder:
    return Folder(
        caption,
        "examples",
        f"examples/{name}.py",
        ("embedding.csv", "pairs.csv"),
        {"embedding": caption},
        {"training": f"The training: {caption[0].lower()}{caption[1:]}"} if video else {},
    )


FOLDERS = {
    "eyes": Folder(
        "Human judgements of colour",
        "eyes",
        "eyes.py",
        ("summary.csv", "observers.csv", "map.csv"),
        {"eyes": "KL of held-out judgements by dimension, and the map of each group of observers"},
    ),
    "tutorial": Folder(
        "The tutorial's two trainings",
        "tutorial",
        "tutorial.py",
        ("metrics.json", "embedding_2d.csv", "embedding_3d.csv"),
        {
            "main": "The final embedding in 2-D",
            "embedding_3d": "The final embedding in 3-D",
            "moments_2d": "Six moments of the training in 2-D",
            "moments_3d": "Six moments of the training in 3-D",
            "losses": "Training losses by epoch, with the Bayes-optimal and the base-rate loss",
        },
        {"embed_2d": "The training in 2-D", "embed_3d": "The training in 3-D"},
    ),
    "sweep": Folder(
        "32 seeds in one to six dimensions, with two heads",
        "sweep --seeds 0:32 --dims 1:7 --heads free,negative",
        "sweep.py",
        ("summary.csv", "runs.csv"),
        {
            f"{name}_{head}": f"{caption}; head {head}"
            for head in ("negative", "free")
            for name, caption in (
                ("quality", _BY_DIMENSION),
                ("recovery", _BY_WEIGHT),
                ("losses", _CURVES),
                ("members", _MEMBERS),
            )
        },
    ),
    "grid": Folder(
        "Eight seeds in one to three dimensions",
        "sweep --seeds 0:8 --dims 1:4 --snapshots 24 --animate --out results/grid",
        "sweep.py",
        ("summary.csv", "runs.csv"),
        {
            "quality": _BY_DIMENSION,
            "recovery": _BY_WEIGHT,
            "losses": _CURVES,
            "members": _MEMBERS,
        },
        {"grid": "The trainings side by side"},
    ),
    "dims/words": _own_pairs(
        "words", "How many dimensions words from the standard library need", "1,2,4,8,16,32"
    ),
    "dims/les_miserables": _own_pairs(
        "les_miserables",
        "How many dimensions the characters of Les Misérables need",
        "1:7",
        " --items results/examples/les_miserables/items.csv",
    ),
    "examples/les_miserables": _example(
        "les_miserables", "Characters of Les Misérables, by chapters that they share", True
    ),
    "examples/words": _example("words", "Words, by the contexts that they share", True),
    "examples/css4": _example("css4", "Colour names, by words that they share", False),
    "benchmark": Folder(
        "Times of this library and of others",
        "benchmark",
        "benchmark",
        ("benchmark.json", "benchmark.md", "levers.md"),
        {
            "sweep_widths": "Trainings per second by number of members, on CPUs",
            "scaling": "Seconds and memory by items, pairs, dimensions and members",
        },
    ),
    "accelerator": Folder(
        "Times on a GPU",
        "benchmark --only accelerator --out results/accelerator",
        "benchmark/accelerator.py",
        ("benchmark.json", "benchmark.md"),
        {"accelerator_widths": "Trainings per second by number of members, on a GPU"},
    ),
}
"""The run folders with figures, in the order of the page; the claims stand before them."""

TABLES_ONLY = {
    "trust": ("trust", "trust.py", ("rules.csv", "selection.csv", "coverage.csv")),
    "scaling": (
        "benchmark --only sharding --out results/scaling",
        "benchmark/sharding.py",
        ("benchmark.json", "benchmark.md"),
    ),
}
"""The folders without figures: command, source, tables."""


def page(results: Path) -> str:
    """Return the text of results/README.md.

    Raises:
        InputError: a file of a folder is missing or damaged.
    """
    lines = [
        "# Figures",
        "",
        "Every figure under results/, with its study, its tables, the command that makes it and "
        "the commit that made it. Generated by `python -m experiments.readme`. The "
        "[article](paper/paper.pdf) has the methods, the rules and the evidence; "
        "`python -m experiments.paper` typesets it from these tables, and "
        "[numbers.json](paper/numbers.json) lists what it reads.",
        *_claims(results),
    ]
    for name, folder in FOLDERS.items():
        if (results / name).is_dir():
            lines += ["", f"## {folder.about}", *_section(name, folder)]
    lines += ["", "## Tables without figures", ""]
    for name, (command, source, tables) in TABLES_ONLY.items():
        if (results / name).is_dir():
            lines.append(f"- {name}: {_folder_links(name, source, tables, command)}")
    if (results / "page.html").exists():
        lines += ["", "## One HTML file", "", *_picture("page", "The page of the tutorial's run")]
        lines += ["", "[page.html](page.html), by `python -m experiments.page`."]
    return "\n".join(lines) + "\n"


def _claims(results: Path) -> Iterator[str]:
    """Yield a section for each study of the claims."""
    from colour_embed.io import run_folder

    folder = results / "claims"
    if not folder.is_dir():
        return
    studies = run_folder.read_json(folder / run_folder.MARKER, ["studies"])["studies"]
    for entry in run_folder.read_json(folder / "claims.json"):
        name = entry["name"]
        caption = f"{entry['claim']} {entry['verdict'].capitalize()}."
        yield from ("", f"## {name}", "")
        yield from _picture(f"claims/{Path(entry['figure']).stem}", caption)
        yield ""
        yield _links(
            "claims",
            name,
            f"claims/{name}.py",
            entry["tables"],
            f"claims --only {name} --update",
            _commit(studies[name]),
        )


def _section(name: str, folder: Folder) -> Iterator[str]:
    links = _folder_links(name, folder.source, folder.tables, folder.command)
    for stem, caption in folder.figures.items():
        yield ""
        yield from _picture(f"{name}/{stem}", f"{caption}.")
        yield from ("", links)
    for stem, caption in folder.videos.items():
        yield ""
        yield from _picture(f"{name}/{stem}", f"{caption}.", f"{name}/{stem}.mp4")
        yield from ("", links)


def _picture(path: str, caption: str, video: str = "") -> Iterator[str]:
    """Yield a picture, which leads to the video whose poster it is, and its caption."""
    picture = f"![{caption}]({path}.png)"
    yield f"[{picture}]({video})" if video else picture
    yield ""
    yield f"**{caption}**"


def _folder_links(name: str, source: str, tables: tuple[str, ...], command: str) -> str:
    # Not the commit itself, or a first run of the tutorial would outdate the page.
    return _links(name, None, source, tables, command, f"in [env.json]({name}/env.json)")


def _links(
    folder: str,
    section: str | None,
    source: str,
    tables: Any,
    command: str,
    commit: str,
) -> str:
    article = f"section {section} of the [article](paper/paper.pdf), " if section else ""
    listed = ", ".join(f"[{table}]({folder}/{table})" for table in tables)
    return (
        f"Study: {article}[{source}](../experiments/{source}). Tables: {listed}. "
        f"`python -m experiments.{command}`, commit {commit}."
    )


def _commit(entry: dict[str, Any]) -> str:
    """Return the first digits of a commit, and whether files differed from it."""
    if not entry["commit"]:
        return "unknown"
    return entry["commit"][:10] + (" with changes" if entry.get("dirty") else "")


def check(results: Path) -> None:
    """Check that each figure and video under `results` is on the page.

    Raises:
        InputError: one is not; the message names it.
    """
    claims = results / "claims" / "claims.json"
    entries = json.loads(claims.read_text(encoding="utf-8")) if claims.exists() else []
    shown = {"page", *(f"claims/{Path(entry['figure']).stem}" for entry in entries)}
    for name, folder in FOLDERS.items():
        shown |= {f"{name}/{stem}" for stem in (*folder.figures, *folder.videos)}
    for path in sorted(path for kind in ("png", "mp4") for path in results.rglob(f"*.{kind}")):
        stem = path.relative_to(results).with_suffix("").as_posix()
        if stem not in shown:
            raise InputError(f"{path}: is not on the page; add it to experiments/_results_page.py")
