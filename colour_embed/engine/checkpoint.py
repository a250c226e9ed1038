"""Save and resume, exactly: members on disk, what they belong to, one run a folder.

`Checkpoints` keeps what a sweep has finished and what it is training. `fingerprint` and
`check_same` say whether that belongs to the run at hand. `running_lock` keeps a second run out.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import platform
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
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
"""States kept: should the disk damage the newest, the one before it is used."""

LOCK = "running.lock"
PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy")
SETTINGS = (
    "jax_enable_x64",
    "jax_default_matmul_precision",
    "jax_default_prng_impl",
    "jax_threefry_partitionable",
)
"""Settings of JAX that change results; they can be set from the environment."""

_FINISHED, _STATE, _PARTIAL = "finished_", "state_", ".partial_"
_DAMAGE = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error)


class Saved(NamedTuple):
    """What one file holds: the names of members, their arrays (members lead), a JSON object."""

    members: list[str]
    arrays: dict[str, np.ndarray]
    about: dict[str, Any]


class Checkpoints:
    """The members that a sweep has finished, and the state of those under way, in one folder.

    Members are stored under a name that says what they are, so that an array is never taken for
    that of another member. Each save is an .npz file that takes its final name in one step: a
    process that is killed at any moment leaves whole files. The entries of the files carry
    checksums; a damaged file of finished members is passed over, and of states the one before the
    damaged one is used.

    Hold `running_lock` on the folder for as long as this object saves to it.

    Args:
        folder: Where the files stand; created with its parents.
        others: Folders of other processes, whose finished members are read too.

    Raises:
        InputError: the folder cannot be created or written to.
    """

    def __init__(self, folder: Path, others: Sequence[Path] = ()):
        """Make the folder and remove what killed processes left half-written in it."""
        self.folder = Path(folder)
        self._read_from = [self.folder, *map(Path, others)]
        _make(self.folder)
        for partial in self.folder.glob(f"{_PARTIAL}*"):
            partial.unlink()

    def add_finished(self, saved: Saved) -> None:
        """Save members that are finished."""
        self._write(_FINISHED, saved)

    def save_state(self, saved: Saved) -> None:
        """Save the state of the members under way; all but the newest two states are removed."""
        self._write(_STATE, saved)
        for path in _numbered(self.folder, _STATE)[:-KEEP]:
            path.unlink()

    def finished(self) -> Iterator[Saved]:
        """All files of finished members that are whole, the oldest first."""
        for folder in self._read_from:
            for path in _numbered(folder, _FINISHED):
                saved = _read(path)
                if saved is not None:
                    yield saved

    def state(self) -> Saved | None:
        """The newest state that is whole, or None."""
        whole = map(_read, reversed(_numbered(self.folder, _STATE)))
        return next((saved for saved in whole if saved is not None), None)

    def clear_state(self) -> None:
        """Remove the states, when their members are finished."""
        for path in _numbered(self.folder, _STATE):
            path.unlink()

    def _write(self, kind: str, saved: Saved) -> None:
        content = json.dumps({"members": saved.members, **saved.about})
        last = [_number_of(path, kind) for path in _numbered(self.folder, kind)][-1:]
        name = f"{kind}{sum(last) + 1:06d}.npz"
        partial = self.folder / f"{_PARTIAL}{name}"
        with partial.open("wb") as file:
            arrays: dict[str, Any] = {"about": np.array(content), **saved.arrays}
            np.savez(file, **arrays)
        partial.rename(self.folder / name)


def _numbered(folder: Path, kind: str) -> list[Path]:
    """The files of a kind in the order in which they were saved."""
    return sorted(folder.glob(f"{kind}*.npz"), key=lambda path: _number_of(path, kind))


def _number_of(path: Path, kind: str) -> int:
    digits = path.stem.removeprefix(kind)
    return int(digits) if digits.isdecimal() else 0


def _read(path: Path) -> Saved | None:
    """What a file holds; None if it is damaged."""
    try:
        with path.open("rb") as file, np.load(file) as stored:
            arrays = {name: stored[name] for name in stored}
        about = json.loads(str(arrays.pop("about")))
        return Saved(about.pop("members"), arrays, about)
    except _DAMAGE:
        return None


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
