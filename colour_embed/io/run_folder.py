"""The run folder: the files that programs write, and their readers."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import json
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from colour_embed.config import Config, InputError
from colour_embed.data import BUILT_IN, Colours, load_colours
from colour_embed.io.placing import MARKER, replacing_file
from colour_embed.runs import Fit, SweepResult, concatenated

if TYPE_CHECKING:
    import pandas as pd

COLOURS = "colours.csv"
"""The file with the colours of a run, unless they are a built-in table."""

_DAMAGE = (
    *(OSError, EOFError, ValueError, LookupError, TypeError, AttributeError),
    *(zipfile.BadZipFile, zlib.error),
)


class Snapshots(NamedTuple):
    """A file of `write_snapshots`: epoch int32 [F], embedding float16 [F, C, d], loss [E]."""

    epoch: np.ndarray
    embedding: np.ndarray
    loss: np.ndarray


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON, atomically; NaN and infinities, which JSON lacks, become null."""

    def plain(item):
        if isinstance(item, dict):
            return {str(key): plain(inner) for key, inner in item.items()}
        if isinstance(item, (list, tuple)):
            return [plain(inner) for inner in item]
        if isinstance(item, np.generic):
            item = item.item()
        if isinstance(item, float) and not np.isfinite(item):
            return None
        return item

    text = json.dumps(plain(value), indent=2, allow_nan=False) + "\n"
    with replacing_file(path) as passing:
        passing.write_text(text, encoding="utf-8")


def write_embedding(path: Path, names: Sequence[str], embedding: np.ndarray) -> None:
    """Write a CSV with a row per item: name, x0, x1, ...; digits suffice to restore the floats."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["name", *(f"x{column}" for column in range(embedding.shape[1]))])
        for name, row in zip(names, embedding, strict=True):
            writer.writerow([name, *(str(value) for value in row)])


def write_snapshots(path: Path, epoch: np.ndarray, embedding: np.ndarray, loss: np.ndarray) -> None:
    """Write the snapshots and losses that figures, videos and the page read, as compressed .npz.

    Args:
        path: An .npz file.
        epoch: int [F], the epochs of the snapshots.
        embedding: [F, items, dim]; stored as float16, whose rounding is below a pixel.
        loss: [E], the loss of every epoch from 1 on.
    """
    np.savez_compressed(
        path,
        epoch=np.asarray(epoch, np.int32),
        embedding=np.asarray(embedding, np.float16),
        loss=np.asarray(loss, np.float32),
    )


def write_colours(folder: Path, colours: Colours) -> None:
    """Write the colours of a user's table into the run folder, for `read_colours`."""
    with (folder / COLOURS).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["name", "r", "g", "b"])
        for name, rgb in zip(colours.names, np.rint(255 * colours.rgb).astype(int), strict=True):
            writer.writerow([name, *rgb])


@contextlib.contextmanager
def reading(place: Path) -> Iterator[None]:
    """Turn errors of a block that reads a run's file or folder into one-line InputErrors.

    Raises:
        InputError: a file is missing or damaged.
    """
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError as error:
        missing = Path(error.filename or place)
        raise InputError(
            f"{missing.parent}: {missing.name} is missing; make the run again"
        ) from None
    except _DAMAGE as error:
        said = " ".join(str(error).split())
        raise InputError(f"{place}: is damaged ({said}); make the run again") from None


def read_json(path: Path, keys: Sequence[str] = ()) -> Any:
    """Return the value in a JSON file.

    Args:
        path: The file.
        keys: Keys that the object in it must have.

    Raises:
        InputError: the file is missing, is not JSON, or lacks a key.
    """
    with reading(path):
        value = json.loads(path.read_text(encoding="utf-8"))
        for key in keys:
            if key not in value:
                raise ValueError(f"it lacks {key!r}")
        return value


def read_arrays(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the named arrays of an .npz file; others are not read.

    Raises:
        InputError: the file is missing or damaged, or lacks an array.
    """
    # Opened here, since np.load does not close a file that is not an archive.
    with reading(path), path.open("rb") as file, np.load(file) as arrays:
        return {name: arrays[name] for name in names}


def read_snapshots(path: Path) -> Snapshots:
    """Return the content of a file of `write_snapshots`.

    Raises:
        InputError: the file is missing or damaged.
    """
    return Snapshots(**read_arrays(path, Snapshots._fields))


def read_embedding(path: Path, names: Sequence[str]) -> np.ndarray:
    """Return the embedding in a file of `write_embedding`, float32 [items, dim].

    Args:
        path: The CSV file.
        names: The item names that the file must hold, in order.

    Raises:
        InputError: the file is missing or damaged, or holds other items.
    """
    with reading(path):
        with path.open(newline="", encoding="utf-8") as file:
            _, *rows = csv.reader(file)
        if [row[0] for row in rows] != list(names):
            raise ValueError("its names are not those of the run's colours")
        return np.array([row[1:] for row in rows], np.float32)


def read_colours(folder: Path) -> Colours:
    """Return the colours of a run: its own table, or the built-in one named in config.json.

    Raises:
        InputError: config.json or the table is missing or damaged.
    """
    own = folder / COLOURS
    source = read_json(folder / MARKER, ["colours"])["colours"]
    if source not in BUILT_IN and not own.exists():
        raise InputError(
            f"{folder}: {COLOURS}, which holds {source}, is missing; make the run again"
        )
    return load_colours(own if own.exists() else source)


def load_run(folder: str | os.PathLike[str], name: str | None = None) -> Fit:
    """Return one training of a folder that `experiments.tutorial` wrote.

    Args:
        folder: The run folder.
        name: The name of the training, such as "2d"; optional if there is only one.

    Returns:
        The training. Snapshots have half precision, `mse` is NaN except for the last epoch, and
        `params` is None, since the folder does not hold them.

    Raises:
        InputError: a file is missing or damaged, or no training has this name.

    Example:
        >>> import colour_embed as ce
        >>> ce.load_run("results/tutorial", "2d").embedding.shape
        (646, 2)
    """
    folder = Path(folder)
    runs = read_json(folder / MARKER, ["runs"])["runs"]
    if name is None and len(runs) == 1:
        (name,) = runs
    if name not in runs:
        given = "holds several trainings" if name is None else f"has no training {name!r}"
        raise InputError(f"{folder}: {given}; give one of {', '.join(runs)}")
    entry = read_json(folder / "metrics.json", [name])[name]
    colours = read_colours(folder)
    kept = read_snapshots(folder / f"snapshots_{name}.npz")
    with reading(folder / MARKER):
        config = Config(**runs[name])
    mse = np.full(len(kept.loss), np.nan, np.float32)
    mse[-1:] = np.nan if entry["mse"] is None else entry["mse"]
    diverged = len(kept.loss) + 1 if entry["status"] == "diverged" else None
    return Fit(
        config=config,
        embedding=read_embedding(folder / f"embedding_{name}.csv", colours.names),
        kernel=entry["kernel"],
        bias=entry["bias"],
        loss=kept.loss,
        mse=mse,
        epoch=kept.epoch,
        snapshots=kept.embedding.astype(np.float32),
        status=entry["status"],
        diverged_epoch=diverged,
    )


def write_sweep(folder: Path, results: Mapping[str, SweepResult]) -> None:
    """Write the arrays of a sweep to curves.npz and embeddings.npz, which `load_sweep` reads.

    Args:
        folder: The run folder.
        results: The members of each program, by the program's name in config.json.
    """
    curves, embeddings = {}, {}
    for name, result in results.items():
        curves[f"{name}_loss"], curves[f"{name}_mse"] = result.loss, result.mse
        if result.evaluations is not None:
            curves[f"{name}_step"] = result.evaluations.step
            if result.evaluations.heldout_loss is not None:
                curves[f"{name}_heldout"] = result.evaluations.heldout_loss
        dims = np.array([member.dim for member in result.members])
        for dim in np.unique(dims):
            vectors = result.embedding[dims == dim, :, :dim]
            embeddings[f"{name}_d{dim}"] = vectors.astype(np.float16)
        if len(result.snapshots):
            embeddings[f"{name}_epoch"] = result.epoch
            embeddings[f"{name}_snapshots"] = result.snapshots.astype(np.float16)
    np.savez_compressed(folder / "curves.npz", **curves)
    np.savez_compressed(folder / "embeddings.npz", **embeddings)


def load_sweep(folder: str | os.PathLike[str]) -> SweepResult:
    """Return all members of a folder that `experiments.sweep` wrote, of all its programs.

    Returns:
        The members, program by program, in the order of runs.csv. Vectors and snapshots have half
        precision, snapshots are those of the first program, and `params` is None.

    Raises:
        InputError: the sweep is not finished, or a file is missing or damaged.

    Example:
        >>> import colour_embed as ce
        >>> ce.load_sweep("results/sweep").member(head="free", seed=7, dim=2).embedding.shape
        (646, 2)
    """
    import pandas as pd

    folder = Path(folder)
    about = read_json(folder / MARKER, ["finished", "programs", "axes"])
    if not about["finished"]:
        raise InputError(f"{folder}: the sweep is not finished; run it again with --resume")
    with reading(folder / "runs.csv"):
        runs = pd.read_csv(folder / "runs.csv")
    with reading(folder):
        programs = about["programs"]
        count = len(runs) // len(programs)
        tables = [runs[first : first + count] for first in range(0, len(runs), count)]
        parts = [
            _read_program(folder, name, program, table, list(about["axes"]))
            for (name, program), table in zip(programs.items(), tables)
        ]
    return concatenated(parts)


def _read_program(
    folder: Path, name: str, program: Mapping[str, Any], runs: pd.DataFrame, axes: list[str]
) -> SweepResult:
    """Return the members of one program; `runs` are its rows of runs.csv."""
    shared = Config(**program)
    members = [
        dataclasses.replace(
            shared, seed=int(row["seed"]), dim=int(row["dim"]), **{axis: row[axis] for axis in axes}
        )
        for row in runs.to_dict("records")
    ]
    dims = runs["dim"].to_numpy()
    curves = read_arrays(folder / "curves.npz", [f"{name}_loss", f"{name}_mse"])
    vectors = read_arrays(folder / "embeddings.npz", [f"{name}_d{dim}" for dim in np.unique(dims)])
    items = next(iter(vectors.values())).shape[1]
    embedding = np.zeros((len(members), items, max(dims)), np.float32)
    for dim in np.unique(dims):
        embedding[dims == dim, :, :dim] = vectors[f"{name}_d{dim}"]
    epoch, snapshots = np.zeros(0, np.int32), np.zeros((0, 0, items, max(dims)), np.float32)
    with (folder / "embeddings.npz").open("rb") as file, np.load(file) as arrays:
        if f"{name}_snapshots" in arrays:
            epoch, snapshots = arrays[f"{name}_epoch"], arrays[f"{name}_snapshots"]
    return SweepResult(
        config=shared,
        members=members,
        embedding=embedding,
        kernel=runs["kernel"].to_numpy(np.float32),
        bias=runs["bias"].to_numpy(np.float32),
        initial_kernel=runs["kernel_init"].to_numpy(np.float32),
        loss=curves[f"{name}_loss"],
        mse=curves[f"{name}_mse"],
        diverged=runs["diverged"].to_numpy(np.int32),
        epoch=epoch,
        snapshots=snapshots.astype(np.float32),
    )
