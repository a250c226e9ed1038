"""Save and resume, exactly: state on disk, what it belongs to, and one run per folder.

`Checkpoints` keeps a run's state in a folder, `fingerprint` and `check_same` say whether that state
belongs to the run at hand, and `running_lock` keeps a second run out while the first one lives.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import logging
import os
import platform
import shutil
import sys
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from colour_embed.config import InputError
from colour_embed.io.run_folder import package_version

try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None

KEEP = 2
"""Complete checkpoints kept: should the disk damage the newest, the one before it still serves."""

LOCK = "running.lock"
PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy")
SETTINGS = (
    "jax_enable_x64",
    "jax_default_matmul_precision",
    "jax_default_prng_impl",
    "jax_threefry_partitionable",
)
"""Settings of JAX that change results; they can be set from the environment."""

_COMPLETE = "checkpoint_"
_PASSING = ".passing_"
_CHECKSUMS = "checksums.json"


# --------------------------------------------------------------------------------------------------
# The state on disk


class Checkpoint(NamedTuple):
    """What was saved: a step, nested dicts of NumPy arrays, and a JSON object."""

    step: int
    arrays: dict[str, Any]
    meta: dict[str, Any]


class Checkpoints:
    """The checkpoints of one run, in a folder of its own.

    A checkpoint is written into a passing folder, which takes its final name in one step. So a
    process that is killed at any moment leaves the last complete checkpoint as it was. What a
    killed process left half-written or half-deleted is removed here, therefore hold `running_lock`
    on the folder for as long as this object is used.

    The folder survives the death of a process, not always a loss of power: files are not forced to
    the disk by us. Every file is checked before it is read, and the checkpoint before is used if
    one is damaged.

    Args:
        folder: Where the checkpoints stand; created with its parents.

    Raises:
        InputError: the folder cannot be created or written to.
    """

    def __init__(self, folder: Path):
        """Make the folder and remove what killed processes left in it."""
        # Orbax takes absolute paths only.
        self.folder = Path(folder).absolute()
        _make(self.folder)
        self._remove_passing()

    def save(self, step: int, arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
        """Write a checkpoint, which becomes the newest; all but the newest two are removed.

        The order of saving counts, not the step, so that a run that starts over is never taken for
        older than the one that it replaces.

        Args:
            step: How far the run is.
            arrays: Nested dicts with names for keys and arrays or NumPy scalars for leaves: bool,
                integer or float, of any shape, lengths of zero included.
            meta: Anything that JSON can hold; floats come back exactly.

        Raises:
            TypeError: a key is no text, a leaf no array of numbers, or meta holds what JSON cannot.
        """
        leaves: list[np.ndarray] = []
        tree = _describe(arrays, leaves, "arrays")
        state = json.dumps({"step": int(step), "meta": meta, "arrays": tree})
        numbers = [number for _, number in self._complete()]
        number = max(numbers, default=0) + 1
        passing = self.folder / f"{_PASSING}{number:08d}"
        shutil.rmtree(passing, ignore_errors=True)
        passing.mkdir()
        (passing / "state.json").write_text(state, encoding="utf-8")
        _write_arrays(passing / "arrays", leaves)
        checksums = json.dumps(_checksums(passing), indent=2)
        (passing / _CHECKSUMS).write_text(checksums, encoding="utf-8")
        passing.rename(self.folder / f"{_COMPLETE}{number:08d}")
        for folder, old in self._complete()[KEEP:]:
            self._remove(folder, old)

    def restore(self) -> Checkpoint | None:
        """The newest checkpoint that is whole, or None where there is none.

        Returns:
            step, arrays and meta as they were saved, to the bit: dicts, and arrays that can be
            written to, of the same type and shape. Nothing in them depends on the devices.

        Raises:
            InputError: there are checkpoints, but all are damaged. A process that is killed does
                not do that, and starting over would throw away what might be rescued.
        """
        first = None
        for folder, _ in self._complete():
            try:
                return _read(folder)
            except (OSError, ValueError, KeyError, TypeError) as error:
                first = first or (folder, error)
        if first is None:
            return None
        folder, error = first
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{folder}: the checkpoint is damaged ({reason}), and no other is whole; start over "
            "without --resume"
        )

    def clear(self) -> None:
        """Remove all checkpoints: for a run that starts over, or that is done."""
        # The oldest first: if this is cut short, what is left is still the newest.
        for folder, number in reversed(self._complete()):
            self._remove(folder, number)

    def _complete(self) -> list[tuple[Path, int]]:
        """The complete checkpoints with their numbers, the newest first."""
        found = []
        for folder in self.folder.iterdir():
            number = folder.name.removeprefix(_COMPLETE)
            if folder.name.startswith(_COMPLETE) and number.isdecimal() and folder.is_dir():
                found.append((folder, int(number)))
        return sorted(found, key=lambda item: item[1], reverse=True)

    def _remove(self, folder: Path, number: int) -> None:
        # Renamed first, so that what a kill leaves half-deleted is never taken for a checkpoint.
        passing = self.folder / f"{_PASSING}removed_{number:08d}"
        shutil.rmtree(passing, ignore_errors=True)
        folder.rename(passing)
        shutil.rmtree(passing)

    def _remove_passing(self) -> None:
        for folder in self.folder.iterdir():
            if folder.name.startswith(_PASSING):
                shutil.rmtree(folder)


def _describe(tree: Any, leaves: list[np.ndarray], where: str) -> dict[str, Any]:
    """A JSON object from which `_rebuild` makes the tree again; its arrays are added to leaves.

    Orbax is given a flat list, because names with dots would clash in it and dicts without entries
    be lost; and it refuses arrays of no elements, so shape and type are kept here as well.
    """
    if isinstance(tree, Mapping):
        if wrong := [key for key in tree if not isinstance(key, str)]:
            raise TypeError(f"{where}: the key {wrong[0]!r} is no text")
        return {"dict": {key: _describe(tree[key], leaves, f"{where}.{key}") for key in tree}}
    if isinstance(tree, (list, tuple)):
        raise TypeError(f"{where}: is a {type(tree).__name__}; give nested dicts of arrays")
    array = np.asarray(tree)
    if array.dtype.kind not in "biuf" or not array.dtype.isnative:
        raise TypeError(f"{where}: is of type {array.dtype}; give bool, integer or float arrays")
    leaves.append(array)
    return {"array": len(leaves) - 1, "dtype": array.dtype.name, "shape": list(array.shape)}


def _rebuild(tree: dict[str, Any], stored: dict[str, Any]) -> Any:
    """The tree that `_describe` described; ValueError where an array is not as described."""
    if "dict" in tree:
        return {key: _rebuild(inner, stored) for key, inner in tree["dict"].items()}
    dtype, shape = np.dtype(tree["dtype"]), tuple(tree["shape"])
    if 0 in shape:
        return np.empty(shape, dtype)
    name = _leaf_name(tree["array"])
    array = np.array(stored[name])
    if (array.dtype, array.shape) != (dtype, shape):
        raise ValueError(f"array {name} is not what was saved")
    return array


def _leaf_name(number: int) -> str:
    return f"{number:04d}"


def _write_arrays(folder: Path, leaves: list[np.ndarray]) -> None:
    stored = {_leaf_name(number): array for number, array in enumerate(leaves) if array.size}
    if not stored:
        return
    with _checkpointer() as (orbax, checkpointer):
        checkpointer.save(folder, args=orbax.args.PyTreeSave(stored))
    # Orbax notes there where the folder stood. What marks a checkpoint as complete is its name.
    (folder / "commit_success.txt").write_text("complete\n", encoding="utf-8")


def _checksums(folder: Path) -> dict[str, int]:
    """The CRC-32 of every file by its name within the folder, but that which holds these sums."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        path.relative_to(folder).as_posix(): zlib.crc32(path.read_bytes())
        for path in files
        if path.name != _CHECKSUMS
    }


def _read(folder: Path) -> Checkpoint:
    # Orbax finds most damage too, but then spills the errors of its threads over the terminal.
    if _checksums(folder) != json.loads((folder / _CHECKSUMS).read_text(encoding="utf-8")):
        raise ValueError("a file in it is not what was saved")
    state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    stored = {}
    if (folder / "arrays").exists():
        with _checkpointer() as (orbax, checkpointer):
            # Named one by one as NumPy arrays, so that no sharding of the time is looked for.
            as_numpy = orbax.RestoreArgs(restore_type=np.ndarray)
            names = _stored_names(state["arrays"])
            stored = checkpointer.restore(
                folder / "arrays",
                args=orbax.args.PyTreeRestore(
                    item=dict.fromkeys(names, 0), restore_args=dict.fromkeys(names, as_numpy)
                ),
            )
    return Checkpoint(state["step"], _rebuild(state["arrays"], stored), state["meta"])


def _stored_names(tree: dict[str, Any]) -> list[str]:
    if "dict" in tree:
        return [name for inner in tree["dict"].values() for name in _stored_names(inner)]
    return [] if 0 in tree["shape"] else [_leaf_name(tree["array"])]


@contextlib.contextmanager
def _checkpointer() -> Iterator[tuple[Any, Any]]:
    """Orbax and a synchronous checkpointer of it, which meanwhile log nothing but errors."""
    # Imported here: it takes half a second, which only runs that save or resume need to spend.
    import orbax.checkpoint as orbax

    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    options = orbax.options.MultiprocessingOptions(
        primary_host=0, active_processes={0}, barrier_sync_key_prefix="alone"
    )
    handler = orbax.PyTreeCheckpointHandler(multiprocessing_options=options)
    try:
        with (
            _as_only_process(orbax),
            orbax.Checkpointer(handler, multiprocessing_options=options) as checkpointer,
        ):
            yield orbax, checkpointer
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def _as_only_process(orbax: Any) -> Iterator[None]:
    """Let Orbax take this process of a distributed job for its only one.

    The processes of a sweep save each its own state at its own time. Orbax means a checkpoint to be
    one of the whole job: it waits for the others, writes NumPy arrays in process 0 alone, and has
    no option to do otherwise.
    """
    module = sys.modules[orbax.multihost.process_index.__module__]
    real = module.process_index
    module.process_index = lambda: 0
    try:
        yield
    finally:
        module.process_index = real


# --------------------------------------------------------------------------------------------------
# What a checkpoint belongs to


def fingerprint(
    config_json: str, data_hash: str, *, source: Path = Path(__file__).parents[1]
) -> dict[str, Any]:
    """All that decides a run's result, to be kept beside its state: a JSON object.

    The number of devices is not part of it, nor any path.

    Args:
        config_json: The run's configuration, as JSON.
        data_hash: From `data.data_hash`.
        source: The folder whose Python files are the library.

    Returns:
        config, data, code (sha256 of the contents of all Python files in the order of their names),
        the versions of jax, jaxlib, flax, optax, numpy and Python, system, platform, device, and
        settings of JAX.
    """
    import jax

    device = jax.devices()[0]
    return {
        "config": json.loads(config_json),
        "data": data_hash,
        "code": _code_hash(source),
        **{name: package_version(name) for name in PACKAGES},
        "python": ".".join(platform.python_version_tuple()[:2]),
        "system": f"{platform.system()} {platform.machine()}",
        "platform": device.platform,
        "device": device.device_kind,
        "settings": {name: _plain(getattr(jax.config, name, None)) for name in SETTINGS},
    }


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)


def _code_hash(source: Path) -> str:
    """sha256 over the sha256 of each file, so that no text can move from one file to the next."""
    files = sorted(source.rglob("*.py"), key=lambda path: path.relative_to(source).as_posix())
    total = hashlib.sha256()
    for path in files:
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def compare(saved: Mapping[str, Any], current: Mapping[str, Any]) -> list[str]:
    """How two fingerprints differ, a line for each field, such as "jax: 0.10.0 then, 0.10.1 now".

    Fields within fields are named by both: "config epochs: 500 then, 250 now". Long hashes are cut
    to their first twelve characters.
    """
    lines = []
    for key in itertools.chain(saved, (key for key in current if key not in saved)):
        then, now = saved.get(key, _ABSENT), current.get(key, _ABSENT)
        if isinstance(then, Mapping) and isinstance(now, Mapping):
            lines += [f"{key} {line}" for line in compare(then, now)]
        elif _as_json(then) != _as_json(now):
            lines.append(f"{key}: {_shown(then)} then, {_shown(now)} now")
    return lines


_ABSENT = object()


def _as_json(value: Any) -> str | None:
    """To compare by: one of the two was JSON, where tuples are lists; and NaN equals itself."""
    return None if value is _ABSENT else json.dumps(value, sort_keys=True)


def _shown(value: Any) -> str:
    if value is _ABSENT:
        return "absent"
    text = value if isinstance(value, str) else json.dumps(value)
    is_hash = len(text) >= 32 and set(text) <= set("0123456789abcdef")
    return text[:12] if is_hash else text


def check_same(saved: Mapping[str, Any], current: Mapping[str, Any], force: bool = False) -> None:
    """Refuse to resume what another run saved.

    Args:
        saved: The fingerprint kept with the checkpoint.
        current: The fingerprint of the run at hand.
        force: Resume none the less; `compare` still says what the result then owes to what.

    Raises:
        InputError: they differ and force is not given; the line lists every difference.
    """
    differences = compare(saved, current)
    if differences and not force:
        raise InputError(
            f"the checkpoint is of another run ({'; '.join(differences)}): start over without "
            "--resume, or give --force to go on none the less"
        )


# --------------------------------------------------------------------------------------------------
# One run per folder


@contextlib.contextmanager
def running_lock(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder while the block runs.

    The operating system holds the lock, so that it ends with the process, however that ends. On
    systems without such locks a file stands for it, which a process that was killed leaves behind;
    the message then says what to do.

    Args:
        folder: Created with its parents if need be; the lock is a file in it. If nothing is left in
            it at the end, it is removed.

    Raises:
        InputError: another run holds the folder, or it cannot be created, written to or locked.
    """
    folder = Path(folder)
    lock = folder / LOCK
    descriptor = _take_lock(folder, lock)
    try:
        yield
    finally:
        # Removed while it is held: who has it open already finds out in `_is_file_of`. Windows
        # cannot remove an open file, but has no lock to lose by closing it first either.
        if fcntl is None:
            os.close(descriptor)
        with contextlib.suppress(OSError):
            lock.unlink()
        if fcntl is not None:
            os.close(descriptor)
        with contextlib.suppress(OSError):
            folder.rmdir()


def _take_lock(folder: Path, lock: Path) -> int:
    """The descriptor of the lock file, locked."""
    exclusive = os.O_EXCL if fcntl is None else 0
    while True:
        _make(folder)
        try:
            descriptor = os.open(lock, os.O_CREAT | os.O_RDWR | exclusive, 0o666)
        except FileNotFoundError:
            continue  # a run that just ended has removed the folder
        except FileExistsError:
            raise InputError(
                f"{folder}: another run{_holder(lock)} works in it; give --out another folder, or "
                f"if that run is dead remove {LOCK} from it"
            ) from None
        except OSError as error:
            raise _unusable(folder, error) from None
        try:
            if fcntl is not None:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not _is_file_of(descriptor, lock):
                    os.close(descriptor)
                    continue
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
            return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise InputError(
                f"{folder}: another run{_holder(lock)} works in it; let it end or stop it, or give "
                "--out another folder"
            ) from None
        except OSError as error:
            os.close(descriptor)
            raise InputError(
                f"{folder}: cannot be locked ({error.strerror}); give --out a folder on a local "
                "disk"
            ) from None


def _is_file_of(descriptor: int, lock: Path) -> bool:
    """Whether the path still leads to the open file, or its last holder removed it meanwhile."""
    try:
        return os.path.samestat(os.fstat(descriptor), lock.stat())
    except FileNotFoundError:
        return False


def _holder(lock: Path) -> str:
    try:
        process = lock.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
    return f" (process {process})" if process.isdecimal() else ""


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(folder, error) from None


def _unusable(folder: Path, error: OSError) -> InputError:
    return InputError(f"{folder}: cannot be written to ({error.strerror}); give another --out")
