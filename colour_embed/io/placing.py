"""Atomic writes: a folder or file of results replaces the earlier one whole, or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import secrets
import shutil
import stat
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from colour_embed.config import InputError

MARKER = "config.json"
"""The file in every run folder whose "experiment" names the program that may replace the folder."""

_OLD, _READY, _DONE = ".old", ".ready", ".done"


def resolved(path: str | os.PathLike[str]) -> Path:
    """Return a path with "~" expanded, and a link followed to where it leads.

    Raises:
        InputError: the home of "~" is unknown, or the link leads in a circle.
    """
    try:
        path = Path(path).expanduser()
        if path.is_symlink() or path.name in ("", ".."):
            path = path.resolve()
            if path.is_symlink():  # Python 3.13 returns a circle of links as it is
                raise OSError("links in a circle")
        return path
    except (RuntimeError, OSError) as error:
        raise InputError(f"{path}: leads nowhere ({error}); give another path") from None


def check_folder(folder: str | os.PathLike[str], experiment: str) -> None:
    """Raise an InputError unless the experiment may write or replace a folder.

    Whether files can be put there is tried, so that it is known before any work.

    Raises:
        InputError: the path is a file, a non-empty folder that this experiment did not write, or
            not writable.
    """
    folder = resolved(folder)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; give --out a folder")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _recover(folder)
        if folder.is_dir() and _entries(folder):
            owner = _owner(folder)
            if owner != experiment:
                who = f"was written by {owner!r}" if owner else "holds files of something else"
                raise InputError(f"{folder}: {who}; give --out a new or empty folder")
        shutil.rmtree(_staging(folder))
    except OSError as error:
        place = folder if _in_place(folder) else folder.parent
        raise InputError(
            f"{place}: cannot be written to ({error.strerror}); give another --out"
        ) from None


@contextlib.contextmanager
def replacing(folder: str | os.PathLike[str], experiment: str) -> Iterator[Path]:
    """Yield a temporary folder that replaces `folder` when the block ends without an error.

    If the block raises, `folder` is unchanged. `folder` is replaced by renames: whole, or where it
    cannot be renamed (a mount point, the working folder) entry by entry. If the process is killed
    between two renames, the next call finishes the replacement or takes it back. A link is followed
    and kept. `folder` keeps its mode and group.

    Args:
        folder: The destination.
        experiment: The program that writes the results; the block must write its `config.json`.

    Yields:
        The folder to write into, on the same file system.

    Raises:
        InputError: as `check_folder`.
    """
    folder = resolved(folder)
    check_folder(folder, experiment)
    partial = _staging(folder)
    try:
        yield partial
        if partial.parent == folder:
            _replace_entries(folder, partial)
        else:
            _replace_whole(folder, partial)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def replacing_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path whose file replaces `path` when the block ends without an error.

    A link is followed. The file keeps the mode that it had; a new one gets the default mode. After
    an error the temporary file is removed, and `path` is unchanged.
    """
    path = resolved(path)
    passing = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        yield passing
        if path.exists():
            passing.chmod(stat.S_IMODE(path.stat().st_mode))
        os.replace(passing, path)
    finally:
        passing.unlink(missing_ok=True)


def _owner(folder: Path) -> str | None:
    """Return the experiment that wrote a folder, or None."""
    try:
        config = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        return config.get("experiment") if isinstance(config, dict) else None
    except (OSError, ValueError):
        return None


def _in_place(folder: Path) -> bool:
    """Return whether a folder's entries are replaced, since the folder itself cannot be renamed.

    A shell whose working folder is renamed would go on in the old one.
    """
    if not folder.is_dir():
        return False
    return (
        os.path.ismount(folder)
        or Path.cwd().is_relative_to(folder.resolve())
        or not os.access(folder.parent, os.W_OK | os.X_OK)
    )


def _prefix(folder: Path) -> str:
    """Return the name prefix of temporary folders for this folder, distinct for each machine."""
    return f".{folder.name}.{zlib.crc32(platform.node().encode()):08x}."


def _staging(folder: Path) -> Path:
    """Create a temporary folder, with the process id in its name and the mode of `folder`."""
    place = folder if _in_place(folder) else folder.parent
    partial = Path(tempfile.mkdtemp(prefix=f"{_prefix(folder)}{os.getpid()}-", dir=place))
    if folder.is_dir():
        wanted = folder.stat()
        with contextlib.suppress(OSError, AttributeError):
            os.chown(partial, -1, wanted.st_gid)
        partial.chmod(stat.S_IMODE(wanted.st_mode))
    else:  # in a folder of a group, the new one is of the group too
        partial.chmod(0o777 & ~_umask() | partial.stat().st_mode & stat.S_ISGID)
    return partial


def _entries(folder: Path) -> list[Path]:
    """Return the entries of a folder without temporary folders; the marker is the last."""
    found = (path for path in folder.iterdir() if not path.name.startswith(_prefix(folder)))
    return sorted(found, key=lambda path: (path.name == MARKER, path.name))


def _replace_whole(folder: Path, partial: Path) -> None:
    # A non-empty folder cannot be the target of a rename, so it is moved away first.
    old = partial.with_name(partial.name + _OLD)
    if folder.exists():
        folder.rename(old)
    partial.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _replace_entries(folder: Path, partial: Path) -> None:
    old, ready = (partial.with_name(partial.name + suffix) for suffix in (_OLD, _READY))
    old.mkdir()
    _move_entries(folder, old)
    partial.rename(ready)  # from here on, an interrupted replacement is finished, not taken back
    _finish(folder, ready)


def _finish(folder: Path, ready: Path) -> None:
    _move_entries(ready, folder)
    done = ready.with_suffix(_DONE)
    with contextlib.suppress(FileNotFoundError):
        ready.with_suffix(_OLD).rename(done)
    ready.rmdir()
    shutil.rmtree(done, ignore_errors=True)


def _move_entries(one: Path, other: Path) -> None:
    for path in _entries(one):
        path.rename(other / path.name)


def _recover(folder: Path) -> None:
    """Finish or take back what killed processes of this machine left, and remove their folders."""
    for place in filter(Path.is_dir, (folder.parent, folder)):
        # A replacement that is ready comes before the old entries that it replaces.
        for left in sorted(place.iterdir(), key=lambda path: path.suffix != _READY):
            owner = left.name.removeprefix(_prefix(folder)).split("-")[0]
            ours = left.name.startswith(_prefix(folder)) and owner.isdigit()
            if not ours or not left.is_dir() or _is_running(int(owner)):
                continue
            if left.suffix == _READY:
                _finish(folder, left)
            elif left.suffix == _OLD and place == folder:
                _move_entries(left, folder)
            elif left.suffix == _OLD and not folder.exists():
                left.rename(folder)
            shutil.rmtree(left, ignore_errors=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
