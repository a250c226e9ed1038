"""Export of named vectors: tables, word vectors, TensorBoard, Keras and Flax.

`write` chooses the format by the file's suffix or by name; `FORMATS` lists the formats. Files and
folders are written atomically. Names are escaped so that none becomes a path, a formula or a second
cell. All formats but word2vec's give the names back.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from colour_embed.config import InputError
from colour_embed.io import placing, run_folder
from colour_embed.io.extras import from_extra
from colour_embed.io.faults import Faults, fault_at, quoted
from colour_embed.io.tables import number, open_table, table_records

UNKNOWN = "[UNK]"
"""The first entry of a table's vocabulary, to which Keras's StringLookup maps unknown names."""

_EMPTY = "%"
"""The escaped empty name; any other "%" in an escaped label is followed by two digits."""

# \s matches all white space of str.split and str.isspace, including NBSP and line separators.
# Many decoders drop U+FEFF at the start of a text.
_IN_TOKENS = re.compile(r"[\s\x00-\x1f\x7f-\x9f\ufeff]")
_IN_LABELS = re.compile(r"^[ =+\-@＝＋－＠]| \Z|[^\S ]|[\x00-\x1f\x7f-\x9f%\ufeff]")
_ACTS_IN_CELLS = re.compile(r"'|[\s\x00-\x1f\x7f-\x9f\ufeff]*(?:[=+\-@＝＋－＠]|[\t\r\n])")


@dataclass(frozen=True, eq=False)
class Vectors:
    """Named vectors, validated on construction.

    Attributes:
        items: Distinct names, any Unicode text without NUL and lone surrogates; "" is allowed.
        vectors: float32 [items, dim], finite; other real types are converted.

    Raises:
        InputError: there are no items or no coordinates, the lengths differ, a name is not a text,
            is repeated or holds NUL or a lone surrogate, or a coordinate is not a finite float32.
    """

    items: list[str]
    vectors: np.ndarray

    def __post_init__(self):  # noqa: D105
        if isinstance(self.items, str):
            raise InputError(f"items is the text {self.items!r}: give a list of names")
        items = list(self.items)
        if not items:
            raise InputError("there are no items: give one or more")
        try:
            vectors = np.asarray(self.vectors)
        except ValueError:
            raise InputError("vectors has rows of different lengths: give [items, dim]") from None
        if vectors.ndim != 2 or vectors.dtype.kind not in "fiu":
            raise InputError(
                f"vectors is an array of {vectors.dtype} of shape {list(vectors.shape)}: "
                "give real numbers, [items, dim]"
            )
        if 0 in vectors.shape or len(items) != len(vectors):
            raise InputError(
                f"there are {len(items)} items and vectors of shape {list(vectors.shape)}: "
                "give each item a vector of one coordinate or more"
            )
        first: dict[str, int] = {}
        for place, item in enumerate(items):
            _check_text(item, f"item {place} is")
            if "\0" in item:
                raise InputError(
                    f"item {place} is {item!r}: take the NUL out, at which many tools end a text"
                )
            if first.setdefault(item, place) != place:
                raise InputError(
                    f"items {first[item]} and {place} are both {item!r}: give distinct names"
                )
        with np.errstate(over="ignore"):
            vectors = np.ascontiguousarray(vectors, np.float32)
        if not (finite := np.isfinite(vectors)).all():
            row, column = np.argwhere(~finite)[0]
            raise InputError(
                f"coordinate {column} of item {row} ({items[row]!r}) is {vectors[row, column]} in "
                "float32: give finite numbers"
            )
        object.__setattr__(self, "items", [str(item) for item in items])
        object.__setattr__(self, "vectors", vectors)


def _check_text(name: Any, said: str) -> None:
    """Raise an InputError if a name is not a text or cannot be encoded as UTF-8."""
    if not isinstance(name, str):
        raise InputError(f"{said} {name!r}: give names as text")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise InputError(
            f"{said} {name!a}: take the lone surrogate out, which is no character"
        ) from None


def words_of(names: Sequence[str]) -> list[str]:
    """Return a distinct word for each name, for word2vec, whose readers split at white space.

    A name without white space and control characters is its own word. In others a space becomes
    "_", as in word2vec's phrases, and other white space, control characters and U+FEFF are
    percent-encoded as in URLs. Where that is the word of another name, "_2", "_3" and so on is
    appended. The empty name becomes "%".

    Args:
        names: Distinct names.

    Raises:
        InputError: a name is not a text or holds a lone surrogate.

    Example:
        >>> words_of(["user_1", "user 1", "new york"])
        ['user_1', 'user_1_2', 'new_york']
    """
    words = [_IN_TOKENS.sub(_joined, _checked_text(name)) or _EMPTY for name in names]
    taken = {name for name, word in zip(names, words) if word == name}
    for place, word in enumerate(words):
        if word != names[place]:
            further = (f"{word}_{number}" for number in itertools.count(2))
            words[place] = next(one for one in itertools.chain([word], further) if one not in taken)
            taken.add(words[place])
    return words


def _joined(found: re.Match[str]) -> str:
    return "_" if found[0] == " " else _percent(found)


def _words(named: Vectors) -> list[str]:
    """Return the words of the items, and warn of the names that are not words."""
    words = words_of(named.items)
    other = [(name, word) for name, word in zip(named.items, words) if name != word]
    if other:
        name, word = other[0]
        warnings.warn(
            f"word2vec takes one word as a name: {len(other):,} of {len(words):,} items are "
            f"written as other words, such as {quoted(name)} as {quoted(word)}",
            stacklevel=4,  # the caller of write
        )
    return words


def escape_label(name: str) -> str:
    """Return a name as one cell of tab-separated text, for the projector's metadata.

    Control characters, U+FEFF, "%", white space other than a space, and a space at either end are
    percent-encoded as in URLs. At the start, = + - @ and their full-width forms are too, since
    spreadsheets evaluate them. The empty name becomes "%". The inverse is `urllib.parse.unquote`.

    Raises:
        InputError: the name is not a text or holds a lone surrogate.
    """
    return _IN_LABELS.sub(_percent, _checked_text(name)) or _EMPTY


def _checked_text(name: Any) -> str:
    _check_text(name, "a name is")
    return name


def _percent(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode())


def write_npz(path: str | os.PathLike, named: Vectors) -> None:
    """Write a NumPy archive: items, Unicode [items], and vectors, float32 [items, dim].

    `numpy.load` reads it without pickle.
    """
    with _placing(path) as passing, passing.open("wb") as file:
        np.savez(file, items=np.array(named.items, np.str_), vectors=named.vectors)


COVARIANCE = "cov_"
"""What the columns of a CSV begin with that hold the covariance of a position."""


def covariance_columns(covariance: np.ndarray) -> dict[str, np.ndarray]:
    """Return the distinct entries of covariances [items, dim, dim] as columns, cov_x0_x1 and so on.

    Example:
        >>> list(covariance_columns(np.zeros((5, 2, 2))))
        ['cov_x0_x0', 'cov_x0_x1', 'cov_x1_x1']
    """
    pairs = zip(*np.triu_indices(covariance.shape[1]))
    return {f"{COVARIANCE}x{i}_x{j}": covariance[:, i, j] for i, j in pairs}


def write_csv(
    path: str | os.PathLike, named: Vectors, extra: Mapping[str, Sequence[float]] | None = None
) -> None:
    """Write UTF-8 comma-separated text with a row per item: item, x0, x1, ...

    `extra` holds further columns of numbers, such as `covariance_columns`; NaN is an empty cell.

    Numbers have nine digits, which restore the same float32. Names are quoted, and safe to open in
    a spreadsheet: an apostrophe precedes a name that begins with an apostrophe, a tab or a line
    break, or, after white space and control characters, with = + - @ or their full-width forms.
    Readers remove one leading apostrophe of a cell, as `read_csv` does, or
    `names.str.removeprefix("'")` in pandas.

    References:
        OWASP, "CSV Injection".
    """
    extra = dict(extra or {})
    further = [np.asarray(values).tolist() for values in extra.values()]
    with _placing(path) as passing, passing.open("w", newline="", encoding="utf-8") as file:
        file.write(",".join(["item", *_columns(named.vectors.shape[1]), *extra]) + "\n")
        for place, (item, row) in enumerate(zip(named.items, named.vectors.tolist(), strict=True)):
            cell = ("'" if _ACTS_IN_CELLS.match(item) else "") + item.replace('"', '""')
            more = ("" if math.isnan(one[place]) else _decimal(one[place]) for one in further)
            file.write(",".join([f'"{cell}"', *map(_decimal, row), *more]) + "\n")


def read_csv(path: str | os.PathLike) -> Vectors:
    """Return the vectors in a file of `write_csv`, including one saved again by a spreadsheet.

    Raises:
        InputError: the file is missing or damaged.
    """
    table = open_table(path)
    given = [name for name in table.header if not name.startswith(COVARIANCE)]
    columns = ["item", *_columns(len(given) - 1)]
    if table.header[: len(given)] != columns:
        raise fault_at(table.file, "its columns are not item, x0, x1, ...; export it again", 1)
    faults = Faults(table.file)
    rows = [cells for _, cells in table_records(table, range(len(columns)), faults)]
    faults.raise_first()
    try:
        vectors = np.array([list(map(number, cells)) for _, *cells in rows])
        return Vectors([item.removeprefix("'") for item, *_ in rows], vectors)
    except InputError as error:
        raise InputError(f"{table.file}: {error}") from None


def write_parquet(path: str | os.PathLike, named: Vectors) -> None:
    """Write Parquet with the columns item (text) and x0, x1, ... (float32); names are verbatim."""
    pa = from_extra("pyarrow", "pairs", "writing Parquet")
    pq = from_extra("pyarrow.parquet", "pairs", "writing Parquet")

    columns = dict(zip(_columns(named.vectors.shape[1]), named.vectors.T, strict=True))
    table = pa.table({"item": pa.array(named.items, pa.string())} | columns)
    with _placing(path) as passing, passing.open("wb") as file:
        pq.write_table(table, file)


def write_word2vec(path: str | os.PathLike, named: Vectors) -> None:
    """Write word2vec's text format: a line with both counts, then name and numbers of each item.

    Names are the words of `words_of`, with a warning if any is another than its name. Numbers have
    nine digits, as in the CSV.

    References:
        `word2vec.c` of code.google.com/archive/p/word2vec; gensim's
        `KeyedVectors.load_word2vec_format` reads it.
    """
    words = _words(named)
    with _placing(path) as passing, passing.open("w", newline="", encoding="utf-8") as file:
        file.write("{} {}\n".format(*named.vectors.shape))
        for word, row in zip(words, named.vectors.tolist(), strict=True):
            file.write(" ".join([word, *map(_decimal, row)]) + "\n")


def write_word2vec_binary(path: str | os.PathLike, named: Vectors) -> None:
    """Write word2vec's binary format: a line with both counts, then name and numbers of each item.

    Names are as in `write_word2vec`, and followed by a space. Numbers are little-endian float32,
    followed by a line break.

    References:
        As `write_word2vec`; with `binary=True` in gensim.
    """
    words = _words(named)
    with _placing(path) as passing, passing.open("wb") as file:
        file.write(b"%d %d\n" % named.vectors.shape)
        for word, row in zip(words, named.vectors.astype("<f4"), strict=True):
            file.write(b"%b %b\n" % (word.encode(), row.tobytes()))


def write_safetensors(path: str | os.PathLike, named: Vectors) -> None:
    """Write safetensors with the tensor "embedding", float32 [items, dim].

    The metadata "items" is a JSON list of the names, in the order of the rows.

    References:
        huggingface.co/docs/safetensors: metadata is a map from text to text.
    """
    save = from_extra("safetensors.numpy", "pairs", "writing safetensors").save

    content = save({"embedding": named.vectors}, metadata={"items": json.dumps(named.items)})
    with _placing(path) as passing:
        passing.write_bytes(content)


def write_projector(
    folder: str | os.PathLike, named: Vectors, extra: Mapping[str, Sequence[Any]] | None = None
) -> None:
    """Write a log folder for TensorBoard's Embedding Projector: `tensorboard --logdir FOLDER`.

    It holds projector_config.pbtxt, vectors.tsv and metadata.tsv, which can also be loaded at
    projector.tensorflow.org, and config.json, by which a later export recognises the folder. As the
    projector expects, metadata has a header only if it has several columns. The projector drops
    blank lines, so names are escaped by `escape_label`. It displays numeric names as numbers. Its
    upload dialog does not accept vectors of one coordinate.

    Args:
        folder: A new or empty folder, or one that this function wrote.
        named: The vectors.
        extra: Further columns to display and to colour by, name -> a text or number per item.

    Raises:
        InputError: the folder may not be replaced, or a column is called "item" or has another
            length.
    """
    extra = dict(extra or {})
    for name, values in extra.items():
        _check_text(name, "a column is called")
        if name in ("", "item"):
            raise InputError(f"a column of extra is called {name!r}: give it another name")
        if len(values) != len(named.items):
            raise InputError(
                f"column {name!r} of extra has {len(values)} values: give {len(named.items)}, "
                "one per item"
            )
    header = [["item", *extra]] if extra else []
    cells = [[_cell(value) for value in row] for row in zip(*extra.values(), strict=True)]
    labels = [[escape_label(item)] for item in named.items]
    rows = [label + further for label, further in zip(labels, cells or [[]] * len(labels))]
    heading = [[escape_label(name) for name in names] for names in header]
    with _replacing(folder, "projector") as partial:
        _write_tabs(partial / "metadata.tsv", heading + rows)
        numbers = (map(_decimal, row) for row in named.vectors.tolist())
        _write_tabs(partial / "vectors.tsv", numbers)
        (partial / "projector_config.pbtxt").write_text(
            "embeddings {\n"
            '  tensor_name: "embedding"\n'
            '  tensor_path: "vectors.tsv"\n'
            '  metadata_path: "metadata.tsv"\n'
            "}\n",
            encoding="utf-8",
        )


def write_table(folder: str | os.PathLike, named: Vectors) -> None:
    """Write the initial weights of an embedding layer, and the vocabulary of its rows.

    embedding.npy is float32 [1 + items, dim], and vocabulary.json is the list of its row names. The
    first row is "[UNK]", for unknown names, and holds the mean of all items. This is the order of
    Keras's StringLookup:

        rows = numpy.load("embedding.npy")
        names = json.loads(pathlib.Path("vocabulary.json").read_text())
        lookup = keras.layers.StringLookup(vocabulary=names)       # needs TensorFlow; or a dict
        layer = keras.layers.Embedding(*rows.shape)
        layer.build()
        layer.set_weights([rows])
        embed = flax.nnx.Embed(*rows.shape, rngs=flax.nnx.Rngs(0))
        embed.embedding[...] = rows

    config.json beside them lets a later export recognise the folder.

    Args:
        folder: A new or empty folder, or one that this function wrote.
        named: The vectors.

    Raises:
        InputError: the folder may not be replaced, or an item is called "[UNK]".
    """
    if UNKNOWN in named.items:
        raise InputError(f"an item is called {UNKNOWN!r}, which is for unknown names: rename it")
    mean = named.vectors.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32)
    with _replacing(folder, "table") as partial:
        np.save(partial / "embedding.npy", np.concatenate([mean, named.vectors]))
        run_folder.write_json(partial / "vocabulary.json", [UNKNOWN, *named.items])


class Format(NamedTuple):
    """A format's write function and its suffixes; formats that are folders have none."""

    write: Callable[..., None]
    suffixes: tuple[str, ...]


FORMATS: Mapping[str, Format] = {
    "npz": Format(write_npz, (".npz",)),
    "csv": Format(write_csv, (".csv",)),
    "parquet": Format(write_parquet, (".parquet",)),
    "word2vec": Format(write_word2vec, (".txt", ".vec")),
    "word2vec_binary": Format(write_word2vec_binary, (".bin",)),
    "safetensors": Format(write_safetensors, (".safetensors",)),
    "projector": Format(write_projector, ()),
    "table": Format(write_table, ()),
}
"""The formats by name."""


def write(
    path: str | os.PathLike,
    items: Sequence[str],
    vectors: np.ndarray,
    *,
    form: str | None = None,
    extra: Mapping[str, Sequence[Any]] | None = None,
) -> None:
    """Write named vectors in one of `FORMATS`.

    Args:
        path: A file, or a folder for "projector" and "table"; it is replaced atomically.
        items: The names, distinct.
        vectors: float32 [items, dim], or convertible to it.
        form: A name in `FORMATS`; None chooses by the suffix of the path.
        extra: Further columns for the "projector", name -> a text or number per item; for "csv",
            name -> a number per item.

    Raises:
        InputError: the items or vectors are invalid (see `Vectors`), the format is unknown or does
            not support `extra`, or the path is not writable.
    """
    form, named = _form(path, form), Vectors(items, vectors)
    if form == "projector":
        write_projector(path, named, extra)
    elif form == "csv":
        if any(np.asarray(values).dtype.kind not in "fiu" for values in (extra or {}).values()):
            raise InputError(f"{path}: csv has no place for extra columns of text: give numbers")
        write_csv(path, named, extra)
    elif extra is None:
        FORMATS[form].write(path, named)
    else:
        raise InputError(f"{path}: {form} has no place for extra columns: leave extra out")


def _form(path: str | os.PathLike, form: str | None) -> str:
    """Return the name of the requested format, or of the format with the path's suffix."""
    if form is None:
        suffix = Path(path).suffix.lower()
        for form, known in FORMATS.items():
            if suffix in known.suffixes:
                return form
        suffixes = [suffix for known in FORMATS.values() for suffix in known.suffixes]
        raise InputError(
            f"{path}: no format has the suffix {suffix!r}; give one of {', '.join(suffixes)}, or "
            f"form as one of {', '.join(FORMATS)}"
        )
    if form not in FORMATS:
        raise InputError(f"form is {form!r}: give one of {', '.join(FORMATS)}")
    return form


@contextlib.contextmanager
def _placing(path: str | os.PathLike) -> Iterator[Path]:
    """As `placing.replacing_file`, with missing folders created and OSErrors as InputErrors."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with placing.replacing_file(path) as passing:
            yield passing
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None


@contextlib.contextmanager
def _replacing(folder: str | os.PathLike, form: str) -> Iterator[Path]:
    """As `placing.replacing`, with a marker by which the next export recognises the folder."""
    experiment = f"export.{form}"
    with placing.replacing(Path(folder), experiment) as partial:
        run_folder.write_json(partial / run_folder.MARKER, {"experiment": experiment})
        yield partial


def _columns(dim: int) -> list[str]:
    return [f"x{column}" for column in range(dim)]


def _decimal(value: float) -> str:
    """Return a float32 as decimal text that parses back to the same float32.

    Nine digits are not near the midpoint between two float32, so that parsers which round through
    float64, or err in its last digit, return the same value. The shortest repr can be.
    """
    text = f"{value:.9g}"
    return text if "." in text or "e" in text else f"{text}.0"


def _cell(value: Any) -> str:
    """Return a cell of a further column; the projector reads an empty cell as a missing value."""
    if value is None or value == "":
        return ""
    return str(value) if isinstance(value, (int, float, np.number)) else escape_label(str(value))


def _write_tabs(path: Path, rows: Iterable[Iterable[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        file.writelines("\t".join(row) + "\n" for row in rows)
