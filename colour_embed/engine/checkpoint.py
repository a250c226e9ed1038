"""Checkpoints of a sweep, from which it resumes bit for bit.

`Checkpoints` stores the finished members and the training state of the others. `fingerprint` and
`compare` compare a checkpoint with the current run. `running_lock` allows one run per folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import json
import os
import platform
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from colour_embed.config import InputError
from colour_embed.engine import job
from colour_embed.io.machine import jax_settings, package_version

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None

KEEP = 2
"""Number of states kept; if the newest file is damaged, the one before it is read."""

LOCK = "running.lock"
PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy")
_FINISHED, _STATE, _PARTIAL = "finished_", "state_", ".partial_"
_DAMAGE = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error)


class Saved(NamedTuple):
    """The content of one file: member names, arrays with a leading member axis, a JSON object."""

    members: list[str]
    arrays: dict[str, np.ndarray]
    about: dict[str, Any]


class Checkpoints:
    """A folder with the finished members of a sweep and the state of the members in training.

    Members are stored under the name that `engine.members.member_name` derives from their config.
    Each save is an .npz file that is renamed to its final name once it is complete, so a killed
    process leaves only whole files. Entries carry checksums. A damaged file of finished members is
    skipped; for a damaged state the one before it is read.

    In a job of several processes each has this object. Only process 0 touches the folder; the
    others get what it reads.

    Hold `running_lock` on the folder while this object saves to it.

    Args:
        folder: The folder of the files; created with its parents.

    Raises:
        InputError: the folder cannot be created or written to.
    """

    def __init__(self, folder: Path):
        """Create the folder and remove partial files that killed processes left in it."""
        self.folder = Path(folder)
        job.agreed(self._prepare)

    def _prepare(self) -> None:
        _make(self.folder)
        for partial in self.folder.glob(f"{_PARTIAL}*"):
            partial.unlink()

    def add_finished(self, saved: Saved) -> None:
        """Save finished members."""
        self._write(_FINISHED, saved)

    def save_state(self, saved: Saved) -> None:
        """Save the state of the members in training; all but the newest two states are removed."""
        self._write(_STATE, saved)
        self._remove(_numbered(self.folder, _STATE)[:-KEEP])

    def finished(self) -> Iterator[Saved]:
        """Yield the content of each undamaged file of finished members, oldest first."""
        yield from filter(None, map(self._read, self._names(_FINISHED)))

    def state(self) -> Saved | None:
        """Return the newest undamaged state, or None."""
        return next(filter(None, map(self._read, reversed(self._names(_STATE)))), None)

    def _names(self, kind: str) -> list[str]:
        return job.agreed(lambda: [path.name for path in _numbered(self.folder, kind)])

    def _read(self, name: str) -> Saved | None:
        """Return the content of a file; None if it is damaged."""
        content = b""
        with contextlib.suppress(OSError):
            content = (self.folder / name).read_bytes() if job.leads() else b""
        return _parsed(job.broadcast(content))

    def clear_state(self) -> None:
        """Remove all states."""
        self._remove(_numbered(self.folder, _STATE))

    def _remove(self, paths: list[Path]) -> None:
        for path in paths if job.leads() else ():
            path.unlink()

    def _write(self, kind: str, saved: Saved) -> None:
        if not job.leads():
            return
        content = json.dumps({"members": saved.members, **saved.about})
        last = [_number_of(path, kind) for path in _numbered(self.folder, kind)][-1:]
        name = f"{kind}{sum(last) + 1:06d}.npz"
        partial = self.folder / f"{_PARTIAL}{name}"
        with partial.open("wb") as file:
            arrays: dict[str, Any] = {"about": np.array(content), **saved.arrays}
            np.savez(file, **arrays)
        partial.rename(self.folder / name)


def _numbered(folder: Path, kind: str) -> list[Path]:
    """Return the files of a kind in the order in which they were saved."""
    return sorted(folder.glob(f"{kind}*.npz"), key=lambda path: _number_of(path, kind))


def _number_of(path: Path, kind: str) -> int:
    digits = path.stem.removeprefix(kind)
    return int(digits) if digits.isdecimal() else 0


def _parsed(content: bytes) -> Saved | None:
    """Return what the bytes of a file hold; None if they are damaged."""
    try:
        with np.load(io.BytesIO(content)) as stored:
            arrays = {name: stored[name] for name in stored}
        about = json.loads(str(arrays.pop("about")))
        return Saved(about.pop("members"), arrays, about)
    except _DAMAGE:
        return None


# --------------------------------------------------------------------------------------------------
# Fingerprints


def fingerprint(
    config_json: str, data_hash: str, *, source: Path = Path(__file__).parents[1]
) -> dict[str, Any]:
    """Return a JSON object of everything that determines a run's result, to store with its state.

    The number of devices and paths are not part of it.

    Args:
        config_json: The run's configuration, as JSON.
        data_hash: From `data.data_hash`.
        source: The folder of the library's sources.

    Returns:
        config, data, code (sha256 of all sources, in the order of their names), the versions
        of jax, jaxlib, flax, optax, numpy and Python, system, platform, device, and JAX settings.
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
        "settings": jax_settings(),
    }


def _code_hash(source: Path) -> str:
    """Return the sha256 of the files' sha256 digests, which also fixes the file boundaries."""
    found = (path for kind in ("*.py", "*.cu") for path in source.rglob(kind))
    files = sorted(found, key=lambda path: path.relative_to(source).as_posix())
    total = hashlib.sha256()
    for path in files:
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def compare(saved: Mapping[str, Any], current: Mapping[str, Any]) -> list[str]:
    """Return the differences of two fingerprints, such as "jax: 0.10.0 then, 0.10.1 now".

    Each field gives one line. Nested fields are named by their path: "config epochs: 500 then, 250
    now". Long hashes are cut to their first 12 characters.
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
    """Return the value as JSON text, in which tuples equal lists and NaN equals NaN."""
    return None if value is _ABSENT else json.dumps(value, sort_keys=True)


def _shown(value: Any) -> str:
    if value is _ABSENT:
        return "absent"
    text = value if isinstance(value, str) else json.dumps(value)
    is_hash = len(text) >= 32 and set(text) <= set("0123456789abcdef")
    return text[:12] if is_hash else text


def changes(saved: Mapping[str, Any], current: Mapping[str, Any]) -> list[str]:
    """Return what a run has changed since its checkpoint and could still resume with.

    Args:
        saved: The fingerprint stored with the checkpoint, with its "grid": a list of values for
            each axis, among them "programs", whose configs stand under "programs" in "config".
        current: That of the run, whose grid may have further values.

    Raises:
        InputError: the grid leaves out members of the checkpoint, or the config or the data that
            all members share differ.
    """
    for axis, values in saved["grid"].items():
        missing = [str(value) for value in values if value not in current["grid"].get(axis, ())]
        if missing:
            raise InputError(
                f"the checkpoint holds {axis} {', '.join(missing)}, which this grid leaves out: "
                "give them too, start over without --resume, or give another --out"
            )
    programs = {name: current["config"]["programs"][name] for name in saved["config"]["programs"]}
    now = {**current, "config": {**current["config"], "programs": programs}}
    changed = [compare(*({key: one[key]} for one in (saved, now))) for key in ("config", "data")]
    if any(changed):
        raise InputError(
            f"the checkpoint is of another run ({'; '.join(itertools.chain(*changed))}): start "
            "over without --resume, or give another --out"
        )
    apart = ("config", "data", "grid", "forced")
    return compare(*({k: v for k, v in one.items() if k not in apart} for one in (saved, now)))


def link_all(folder: Path, target: Path) -> None:
    """Copy a folder of checkpoints without their bytes, as links where the disk has them."""

    def link(source: str, destination: str) -> None:
        try:
            os.link(source, destination)
        except OSError:
            shutil.copy2(source, destination)

    shutil.copytree(folder, target, copy_function=link, ignore=shutil.ignore_patterns(LOCK))


# --------------------------------------------------------------------------------------------------
# One run per folder


@contextlib.contextmanager
def running_lock(folder: Path) -> Iterator[None]:
    """Lock a folder against other runs while the block runs.

    The operating system releases the lock when the process ends. On systems without `fcntl`, a file
    is the lock. A killed process leaves that file behind; the message names it.

    Args:
        folder: The folder, created with its parents if missing; the lock is a file in it. An empty
            folder is removed at the end.

    Raises:
        InputError: another run holds the lock, or the folder cannot be created, written to or
            locked.
    """
    folder = Path(folder)
    lock = folder / LOCK
    descriptor = _take_lock(folder, lock)
    try:
        yield
    finally:
        # Removed while locked: a process that has it open detects this in `_is_file_of`. Windows
        # cannot remove an open file, and takes no lock, so there it is closed first.
        if fcntl is None:
            os.close(descriptor)
        with contextlib.suppress(OSError):
            lock.unlink()
        if fcntl is not None:
            os.close(descriptor)
        with contextlib.suppress(OSError):
            folder.rmdir()


def _take_lock(folder: Path, lock: Path) -> int:
    """Return the descriptor of the lock file, locked."""
    exclusive = os.O_EXCL if fcntl is None else 0
    while True:
        _make(folder)
        try:
            descriptor = os.open(lock, os.O_CREAT | os.O_RDWR | exclusive, 0o666)
        except FileNotFoundError:
            continue  # another run removed the folder as it ended
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
    """Return whether the path is still that of the open file, and was not removed since."""
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
