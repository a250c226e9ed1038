"""A run as one self-contained HTML page: points over epochs, of colours beside the true RGB.

`read_run` reads the arrays of a run folder, `page` renders the HTML, and `write_page` writes it.
Items without colours of their own have the colours and markers of `style.item_looks`. With the
pairs of the run the page can train too: templates/train.js follows the library's training, with the
same random numbers. The page fetches nothing, which its content security policy enforces. Text from
the run is embedded as JSON and displayed as text, so that a colour named <script> is not executed.
NumPy only.
"""

from __future__ import annotations

import base64
import csv
import dataclasses
import hashlib
import html
import importlib.resources
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from colour_embed.config import Config, InputError
from colour_embed.data import (
    LABEL_CONSTANT,
    Colours,
    Pairs,
    data_hash,
    load_colours,
    tutorial_pairs,
)
from colour_embed.evaluate import geometry
from colour_embed.evaluate.uncertainty import Spread, ellipse
from colour_embed.heads import HEADS
from colour_embed.io.placing import replacing_file
from colour_embed.io.run_folder import read_colours, reading

if TYPE_CHECKING:
    from colour_embed.viz.style import ItemLooks

__all__ = ["Run", "Training", "check_page", "page", "read_run", "write_page"]

MARKER = b'<meta name="generator" content="colour_embed.page">'
"""The tag that identifies a page; a file without it is not replaced."""

MAX_BYTES = {"tutorial": 4_000_000, "sweep": 20_000_000, "items": 3_000_000}
"""The largest size of a page in bytes, by experiment."""

_TEMPLATES = importlib.resources.files("colour_embed.viz") / "templates"
_LARGEST = 32767  # of an int16
_DTYPES = {"uint8": "<u1", "int16": "<i2", "int32": "<i4", "float32": "<f4"}
_CODE = ("page.css", "train.js", "draw.js", "live.js", "page.js")
_MOST_PAIRS = 200_000  # that are embedded; more are drawn by the page
_OVERHEAD = 400  # upper bound of the bytes of text about each training


@dataclass(frozen=True, eq=False)
class Training:
    """One training of a page.

    Attributes:
        dim: d, the dimension of the embedding.
        epoch: int [F], the epochs of the frames, ascending.
        frames: [F, items, d], the embedding at these epochs; F is 1 without snapshots, and 0 if no
            frame is finite.
        loss: [E], the loss of each epoch from 1 on; NaN from a divergence on.
        choice: the training's value of each of the run's choices.
        facts: a summary of its seed and quality.
        spread: the covariances of the last frame's positions, in its orientation and units, and the
            number of draws; None without a bootstrap.
    """

    dim: int
    epoch: np.ndarray
    frames: np.ndarray
    loss: np.ndarray
    choice: tuple[Any, ...] = ()
    facts: str = ""
    spread: Spread | None = None


@dataclass(frozen=True, eq=False)
class Run:
    """The content of a page.

    Attributes:
        experiment: "tutorial", whose trainings are displayed side by side, "sweep", of which one
            training is selected, or "items", whose text speaks of items, not of colours.
        colours: names of the items, and their RGB as drawn.
        pairs: number of training pairs.
        trainings: one for each combination of the choices.
        choices: the parameters in which trainings differ, "seed" among them, and their values.
        lines: reference losses by name.
        start: index of the training that is displayed first.
        left_out: number of seeds left out to limit the size.
        share: share of the snapshots that is included.
        looks: markers and groups of items without colours of their own, whose RGB is then no space
            to compare with. None, or looks of items with colours, for discs.
        title: title of the page; a default for colour names if empty.
        about: text below the title; a default for colour names if empty.
        training_pairs: the run's own pairs, with which the page can train; None for a page that
            only replays.
    """

    experiment: str
    colours: Colours
    pairs: int
    trainings: Sequence[Training]
    choices: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    lines: Mapping[str, float] = field(default_factory=dict)
    start: int = 0
    left_out: int = 0
    share: float = 1.0
    looks: ItemLooks | None = None
    title: str = ""
    about: str = ""
    training_pairs: Pairs | None = None

    @property
    def true_rgb(self) -> np.ndarray | None:
        """The RGB that embeddings are compared with, [items, 3]; None if it is only for display."""
        return self.colours.rgb if self.looks is None or self.looks.own else None


# --------------------------------------------------------------------------------------------------
# From a run folder


def read_run(folder: str | os.PathLike[str], colours: str | None = None) -> Run:
    """Read the content of a page from the folder of a tutorial run or a sweep.

    Args:
        folder: a folder written by `experiments.tutorial` or `experiments.sweep`.
        colours: as for `load_colours`; None uses the run's own.

    Raises:
        InputError: the folder holds no finished run, a file is missing or damaged, or the colours
            are not those of the run.
    """
    folder = Path(folder)
    readers = {"tutorial": _read_tutorial, "sweep": _read_sweep}
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder}: holds no run; give --run the folder of a tutorial or sweep")
    with reading(folder):
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        experiment = config.get("experiment") if isinstance(config, dict) else None
        if experiment not in readers:
            raise InputError(
                f"{folder}: is a run of {experiment!r}; give the folder of a tutorial or a sweep"
            )
        if not config.get("finished", True):
            raise InputError(f"{folder}: the sweep is not finished; run it again with --resume")
        if "splits" in config:
            raise InputError(
                f"{folder}: is a sweep of own pairs, which has no page; give experiments.train "
                "--page and a --dim for the page of one training"
            )
        found, pairs = _read_colours(folder, config, colours)
        return dataclasses.replace(readers[experiment](folder, config, found), training_pairs=pairs)


def _read_colours(folder: Path, config: dict, source: str | None) -> tuple[Colours, Pairs]:
    """Return the run's colours and pairs, checked against its hash of names, RGB and pairs."""
    try:
        colours = load_colours(source) if source else read_colours(folder)
    except InputError as error:
        if source:
            raise
        raise InputError(f"{error}: give --colours the file that the run was made from") from None
    environment = json.loads((folder / "env.json").read_text(encoding="utf-8"))
    pairs = tutorial_pairs(colours, config["pairs"])
    if environment["data_hash"] != data_hash(colours, pairs):
        raise InputError(
            f"{source or config['colours']}: the colours differ from those that {folder} was made "
            "from; give --colours the file of the run, or make the run again"
        )
    return colours, pairs


def _read_tutorial(folder: Path, config: dict, colours: Colours) -> Run:
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    if not metrics:
        raise InputError(f"{folder}: the run was interrupted before any result; make it again")
    trainings, lines = [], {}
    for name, entry in metrics.items():
        with np.load(folder / f"snapshots_{name}.npz") as arrays:
            epoch, frames, loss = (arrays[key] for key in ("epoch", "embedding", "loss"))
        epoch, frames = _finite(epoch, frames)
        trainings.append(Training(entry["dim"], epoch, frames, loss, facts=_facts(entry)))
        lines = {
            "Bayes-optimal loss": entry["best_loss"],
            "base-rate loss": entry["base_rate_loss"],
        }
    return Run("tutorial", colours, config["pairs"], trainings, lines=lines)


def _read_sweep(folder: Path, config: dict, colours: Colours) -> Run:
    programs, axes = list(config["programs"]), config["axes"]
    choices = {
        **({"program": programs} if len(programs) > 1 else {}),
        "dim": list(dict.fromkeys(config["dims"])),
        **axes,
        "seed": config["seeds"],
    }
    with (folder / "runs.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    members = len(rows) // len(programs)
    trainings = []
    with (
        np.load(folder / "embeddings.npz") as embeddings,
        np.load(folder / "curves.npz") as curves,
    ):
        for number, program in enumerate(programs):
            arrays = {
                name.removeprefix(f"{program}_"): embeddings[name]
                for name in embeddings
                if name.startswith(f"{program}_")
            }
            arrays["loss"] = curves[f"{program}_loss"]
            own = rows[number * members : (number + 1) * members]
            for place, row in enumerate(own):
                dim = int(row["dim"])
                within = sum(int(other["dim"]) == dim for other in own[:place])
                values = [float(row[name]) for name in axes]
                chosen = (program, dim, *values, int(row["seed"]))
                choice = chosen if "program" in choices else chosen[1:]
                trainings.append(_member(arrays, place, within, row, choice))
    start = min(range(len(rows)), key=lambda place: _appeal(trainings[place], rows[place]))
    return Run("sweep", colours, config["pairs"], trainings, choices, start=start)


def _member(arrays, place: int, within: int, row: dict, choice: tuple) -> Training:
    """Return one member of a sweep, with its snapshots, if any, and its last embedding."""
    dim, diverged, loss = int(row["dim"]), int(row["diverged"]), arrays["loss"][place]
    last = diverged - 1 if diverged else len(loss)
    epoch, frames = np.array([last]), arrays[f"d{dim}"][within][None]
    if place < len(arrays.get("snapshots", ())):
        kept = arrays["epoch"] < last
        epoch = np.append(arrays["epoch"][kept], epoch)
        frames = np.concatenate([arrays["snapshots"][place, kept, :, :dim], frames])
    epoch, frames = _finite(epoch, frames)
    return Training(dim, epoch, frames, loss, choice, _facts(row))


def _finite(epoch, frames):
    """Return the epochs and frames that are finite."""
    kept = np.isfinite(frames).all(axis=(1, 2))
    return epoch[kept], frames[kept]


def _appeal(training: Training, row: dict) -> tuple:
    """Return a sort key: trainings with snapshots first, then recovered ones, then by loss."""
    loss = float(row["heldout_loss"] or "inf")
    return len(training.frames) < 2, row["recovered"] != "True", loss


def _facts(measures: Mapping[str, Any]) -> str:
    """Return a summary of an entry of metrics.json or a row of runs.csv."""
    facts = [f"seed {measures['seed']}"]
    if measures["spearman"] not in (None, ""):
        facts.append(f"Spearman with RGB {float(measures['spearman']):.3f}")
    facts.append("recovered" if str(measures["recovered"]) == "True" else "not recovered")
    return ", ".join(facts)


# --------------------------------------------------------------------------------------------------
# To a page


def page(run: Run, max_bytes: int | None = None) -> str:
    """Return the text of a self-contained HTML page of a run.

    The frames of each training are aligned to its last frame, and that frame to RGB, so that panels
    are comparable. Coordinates are stored as int16 with a scale for each training. To stay below
    `max_bytes`, snapshots are thinned evenly in all trainings; if the last frames alone exceed it,
    the last seeds are left out.

    Args:
        run: the content.
        max_bytes: largest size of the text in UTF-8; None for MAX_BYTES.

    Raises:
        InputError: not even one seed fits.
    """
    run = _fitting(run, MAX_BYTES[run.experiment] if max_bytes is None else max_bytes)
    code = {name: _template(name) for name in _CODE}
    style, *scripts = (_hash(text) for text in code.values())
    policy = (
        f"default-src 'none'; style-src {style}; script-src {' '.join(scripts)}; img-src data:; "
        "worker-src blob:; base-uri 'none'; form-action 'none'"
    )
    parts = {
        "policy": policy,
        "title": _escaped(_title(run)),
        "about": _escaped(_about(run)),
        **_wording(run),
        "data": _json(_content(run)),
        **code,
    }
    # In one pass, so that braces within a part are not substituted.
    return re.sub(r"\{\{([\w.]+)\}\}", lambda found: parts[found[1]], _template("page.html"))


def _escaped(text: str) -> str:
    """Return a text as ASCII HTML.

    The whole page is ASCII, since an outer page that shows it in a frame chooses the encoding, and
    with another one the hashes of the scripts would not match.
    """
    return html.escape(text).encode("ascii", "xmlcharrefreplace").decode()


def _template(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _wording(run: Run) -> dict[str, str]:
    """Return the words of the template that depend on the run."""
    noun = _noun(run)
    kept = " The sweep's <code>--snapshots</code> keeps more." if run.experiment == "sweep" else ""
    beside = "" if run.true_rgb is None else " beside the true colours"
    return {
        "noun": noun,
        "a_noun": f"a{'n' * (noun[0] == 'i')} {noun}",
        "panels": f"Embeddings{beside}",
        "still": f"Of this training only the last epoch is kept.{kept}",
    }


def _noun(run: Run) -> str:
    return "item" if run.experiment == "items" else "colour"


def _title(run: Run) -> str:
    if run.title:
        return run.title
    if run.experiment == "sweep":
        return f"{len(run.trainings)} trainings of {len(run.colours)} colour names"
    return f"Training of an embedding of {len(run.colours)} colour names"


def _about(run: Run) -> str:
    about = run.about or (
        f"Trained on {run.pairs:,} pairs of names, each labelled similar or not. The colours are "
        "used for drawing, not for training."
    )
    if run.left_out:
        about += f" The last {run.left_out} seeds of the sweep are left out to limit the file size."
    if run.share < 1:
        about += f" There was room for {run.share:.0%} of the snapshots."
    return about


def _content(run: Run) -> dict:
    """Return the data that the page's script reads."""
    rgb = run.colours.rgb
    labels = {"program": "Program", "dim": "Dimension", "seed": "Seed"}
    choices = [
        {"name": name, "label": labels.get(name, name.replace("_", " ")), "values": list(values)}
        for name, values in run.choices.items()
    ]
    trainings = [_training(training, run) for training in run.trainings]
    return {
        "names": _distinct(run.colours.names),
        "noun": _noun(run),
        "rgb": _encode(np.round(255 * rgb), "uint8"),
        "truth": run.true_rgb is not None,
        **_markers(run),
        # The first of the most vivid colours, or the first item.
        "item": 0 if run.true_rgb is None else int(np.argmax(np.ptp(rgb, axis=1))),
        "panels": 1 if choices else len(trainings),
        "choices": choices,
        "seed": list(run.choices).index("seed") if choices else -1,
        "start": trainings[run.start]["choice"],
        "lines": [
            {"label": name, "value": value}
            for name, value in run.lines.items()
            if value is not None
        ],
        "trainings": trainings,
        "training": _live(run),
    }


def _live(run: Run) -> dict[str, Any] | None:
    """Return what a training in the page needs; None where it only replays.

    Returns:
        defaults, by their names in `Config`; the names of all heads; the principal axes of RGB, a
        column each, to turn points of fewer dimensions toward; the constant of the label rule; the
        number of the run's pairs, and unless they are too many, their codes of so many
        bits each: (first * items + second) * 2 + label.
    """
    pairs = run.training_pairs
    if pairs is None or run.true_rgb is None:
        return None
    names = ("seed", "dim", "head", "epochs", "learning_rate", "batch_size", "initial_scale")
    found = {
        "defaults": {name: getattr(Config, name) for name in names},
        "heads": list(HEADS),
        "axes": _axes(run.colours.rgb).round(6).tolist(),
        "constant": LABEL_CONSTANT,
        "count": len(pairs),
    }
    if len(pairs) > _MOST_PAIRS:
        return {**found, "bits": 0, "codes": None}
    first, second = pairs.index.astype(np.int64).T
    codes = (first * len(run.colours) + second) * 2 + (pairs.label > 0)
    bits = _code_bits(run)
    packed = np.packbits((codes[:, None] >> np.arange(bits)) & 1, bitorder="little")
    return {**found, "bits": bits, "codes": _encode(packed, "uint8")}


def _axes(rgb: np.ndarray) -> np.ndarray:
    """Return the matrix [3, 3] that takes centred RGB to its principal axes."""
    return np.linalg.pinv(rgb - rgb.mean(axis=0)) @ geometry.principal_axes(rgb, 3)


def _code_bits(run: Run) -> int:
    """Return the number of bits of the code of a pair; see `_live`."""
    return (2 * len(run.colours) ** 2 - 1).bit_length()


def _live_bytes(run: Run) -> int:
    """Return the size of the pairs that `_live` returns."""
    count = 0 if run.training_pairs is None else len(run.training_pairs)
    return count * _code_bits(run) // 8 if count <= _MOST_PAIRS else 0


def _markers(run: Run) -> dict[str, Any]:
    """Return the marker of each kind of items, each item's kind, and its group if there are any."""
    looks = run.looks
    if looks is None or looks.own:
        disc = {"label": "", "outline": None, "filled": True}
        zeros = np.zeros(len(run.colours))
        return {"looks": [disc], "kind": _encode(zeros, "uint8"), "groups": None}
    shapes = [
        {
            "label": look.label,
            "outline": None if (corners := look.outline()) is None else corners.round(3).tolist(),
            "filled": look.filled,
        }
        for look in looks.looks
    ]
    groups = None
    if looks.groups is not None:
        places = {name: place for place, name in enumerate(dict.fromkeys(looks.groups))}
        of = np.array([places[name] for name in looks.groups])
        groups = {"names": list(places), "of": _encode(of, "int32")}
    return {"looks": shapes, "kind": _encode(looks.kind, "uint8"), "groups": groups}


def _training(training: Training, run: Run) -> dict:
    choice = [
        list(values).index(value) for value, values in zip(training.choice, run.choices.values())
    ]
    frames = _turned(training.frames, run.true_rgb)
    unit = float(np.max(np.abs(frames), initial=0.0)) / _LARGEST or 1.0
    facts = [training.facts] if training.facts else []
    if training.dim > 3 and len(frames):
        spread = frames[-1].var(axis=0)
        share = spread[:3].sum() / (spread.sum() or 1.0)
        facts.insert(0, f"first three principal axes, {100 * share:.0f} % of the variance")
    if training.dim == 1 and run.looks is not None and len(run.looks.looks) > 1:
        facts.insert(0, "each group in a row of its own, in the order above")
    return {
        "choice": choice,
        "dim": training.dim,
        "title": f"{training.dim}-D embedding",
        "space": f"{training.dim}-D",
        "facts": ", ".join(facts),
        "unit": unit,
        "epoch": _encode(training.epoch, "int32"),
        "points": _encode(np.round(frames / unit), "int16"),
        "loss": _encode(training.loss, "float32"),
        **_ellipses(training, frames, unit),
    }


def _ellipses(training: Training, frames: np.ndarray, unit: float) -> dict[str, Any]:
    """Return the half axes of the last frame's ellipses, in units of its points, and their draws.

    Args:
        training: the training.
        frames: its frames as shown, see `_turned`.
        unit: the length of one count of the points.

    Returns:
        halves, float32 [items, k, k]: k half axes of k coordinates each, with k = min(d, 3), as
        that many axes are shown; NaN for items without an ellipse. draws, int32 [items]. Nothing
        without a spread.
    """
    if training.spread is None or len(frames) == 0:
        return {}
    turn = _turn(training.frames[-1], frames[-1])
    shown = min(training.dim, 3)
    covariance = (turn.T @ training.spread.covariance @ turn)[:, :shown, :shown]
    found = ellipse(covariance, training.spread.draws)
    halves = np.swapaxes(found.radii[:, None, :] * found.axes, 1, 2) / unit
    draws = _encode(training.spread.draws, "int32")
    return {"ellipses": {"halves": _encode(halves, "float32"), "draws": draws}}


def _turned(frames: np.ndarray, rgb: np.ndarray | None) -> np.ndarray:
    """Return frames [F, items, d], centred and aligned to the last, whose first 3 axes fit RGB.

    Without RGB the last has its principal axes. The alignment is a rotation, reflection and
    translation, which preserves distances.
    """
    if len(frames) == 0:
        return frames
    dim = frames.shape[-1]
    shown = min(dim, 3)
    last = geometry.principal_axes(frames[-1], dim)
    if rgb is None:
        return geometry.align(frames, last)
    target = rgb - rgb.mean(axis=0) if shown == 3 else geometry.principal_axes(rgb, shown)
    last[:, :shown] = geometry.align(last[:, :shown], target)
    return geometry.align(frames, last)


def _turn(points: np.ndarray, turned: np.ndarray) -> np.ndarray:
    """Return the rotation or reflection [d, d] that took points [items, d] to `turned`."""
    items, dim = turned.shape
    corners = np.vstack([np.zeros(dim), np.eye(dim)])  # of weight 0: only moved along
    moved = geometry.align(
        np.vstack([points, corners]),
        np.vstack([turned, corners]),
        weight=np.repeat([1, 0], [items, dim + 1]),
    )[items:]
    return moved[1:] - moved[0]


def _fitting(run: Run, max_bytes: int) -> Run:
    """Return the run with only as many seeds and snapshots as fit into `max_bytes`."""
    # Base64 takes four characters for three bytes; an escaped character of a name takes six.
    code = sum(len(_template(name)) for name in (*_CODE, "page.html"))
    room = 0.74 * (max_bytes - code - 8_000 - 7 * sum(map(len, run.colours.names)))
    room -= _live_bytes(run)
    frame = {training.dim: 2 * len(run.colours) * training.dim for training in run.trainings}
    least = [
        frame[one.dim] + 4 * len(one.loss) + _OVERHEAD + _ellipse_bytes(one)
        for one in run.trainings
    ]
    seeds = list(run.choices.get("seed", [None]))
    fits = int(len(seeds) * min(1.0, room / sum(least)))
    if fits < 1:
        raise InputError(
            f"the run is too large for a page: {sum(least) / 1e6:.1f} MB without its snapshots, "
            f"and {max(room, 0) / 1e6:.1f} MB fit; make a run of fewer {_noun(run)}s or epochs"
        )
    if fits < len(seeds):
        kept = [one for one in run.trainings if one.choice[-1] in seeds[:fits]]
        shown = run.trainings[run.start]
        run = dataclasses.replace(
            run,
            trainings=kept,
            choices={**run.choices, "seed": seeds[:fits]},
            start=kept.index(shown) if shown in kept else 0,
            left_out=len(seeds) - fits,
        )
        room = 0
    more = sum(frame[one.dim] * max(len(one.frames) - 1, 0) for one in run.trainings)
    share = min(1.0, max(room - sum(least), 0) / more) if more else 1.0
    thinned = [_thinned(one, share) for one in run.trainings]
    return dataclasses.replace(run, trainings=thinned, share=share)


def _ellipse_bytes(training: Training) -> int:
    """Return the size of what `_ellipses` returns."""
    if training.spread is None:
        return 0
    return 4 * len(training.spread.draws) * (min(training.dim, 3) ** 2 + 1)


def _thinned(training: Training, share: float) -> Training:
    """Return a training with this share of its frames, evenly spaced, including the last."""
    last = len(training.frames) - 1
    if last < 1 or share == 1:
        return training
    count = 1 + int(share * last)
    chosen = np.unique(np.linspace(last if count == 1 else 0, last, count).round().astype(int))
    return dataclasses.replace(
        training, epoch=training.epoch[chosen], frames=training.frames[chosen]
    )


def _distinct(names: Sequence[str]) -> list[str]:
    """Return the names, with a number appended to repeated ones, so that each is unique."""
    labels: dict[str, None] = {}
    for name in names:
        label, number = name, 1
        while label in labels:
            number += 1
            label = f"{name} ({number})"
        labels[label] = None
    return list(labels)


def _encode(values: np.ndarray, kind: str) -> dict[str, str]:
    content = np.ascontiguousarray(values, _DTYPES[kind]).tobytes()
    return {"type": kind, "base64": base64.b64encode(content).decode("ascii")}


def _json(content: Any) -> str:
    """Return ASCII JSON with "<" escaped, so that it cannot close the script element."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def _hash(text: str) -> str:
    """Return the source expression of a text for a content security policy."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


# --------------------------------------------------------------------------------------------------
# To a file


def check_page(path: Path) -> None:
    """Raise an InputError unless a page may be written to a path.

    Raises:
        InputError: the path is a folder, does not end in .html or .htm, or is a file that is not a
            page.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give --out a file, like {path / 'page.html'}")
    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{path}: is no name of a page; give --out a file that ends in .html")
    if path.exists():
        with path.open("rb") as file:
            if MARKER not in file.read(1000):
                raise InputError(f"{path}: is a file of something else; give another --out")


def write_page(path: Path, text: str) -> None:
    """Write a page atomically; missing folders are created.

    Raises:
        InputError: as `check_page`.
        OSError: the path is not writable.
    """
    check_page(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing_file(path) as passing:
        passing.write_text(text, encoding="utf-8", newline="\n")
