"""What a run ran on: the versions, settings and commit, and the cores and memory of the job."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import colour_embed

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "scipy", "pandas", "matplotlib", "av")
SETTINGS = (
    "jax_enable_x64",
    "jax_default_matmul_precision",
    "jax_default_prng_impl",
    "jax_threefry_partitionable",
)
"""JAX settings that change results, and that environment variables can set."""


def environment(device: str, data_hash: str) -> dict[str, Any]:
    """Return what a result depends on apart from its config: versions, device, commit and data.

    Args:
        device: The device's kind, as JAX names it.
        data_hash: From `data.data_hash`.
    """
    commit, dirty = _commit(Path(__file__).parents[1])
    packages = {name: package_version(name) for name in PACKAGES}
    return {
        "python": platform.python_version(),
        "packages": {"colour_embed": colour_embed.__version__, **packages},
        "settings": jax_settings(),
        "system": f"{platform.system()} {platform.machine()}",
        "device": device,
        "cores": cores(),
        "commit": commit,
        "dirty": dirty,
        "data_hash": data_hash,
    }


def package_version(package: str) -> str | None:
    """Return the version of an installed package, or None if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def jax_settings() -> dict[str, Any]:
    """Return the values of `SETTINGS`; empty if JAX is not loaded."""
    jax = sys.modules.get("jax")
    return (
        {} if jax is None else {name: _plain(getattr(jax.config, name, None)) for name in SETTINGS}
    )


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)


def cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory_bytes() -> int:
    """Return the bytes of memory that this process may use: the machine's, or its cgroup's."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *_memory_limits()])


def _memory_limits(
    mount: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")
) -> Iterator[int]:
    """Yield the limits of the memory cgroup of this process and those above it, v1 and v2."""
    try:
        lines = membership.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        controllers, path = line.split(":", 2)[1:]
        if controllers == "":
            root, name = mount, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = mount / "memory", "memory.limit_in_bytes"
        else:
            continue
        folder = root / path.strip("/")
        # In a container the path may be the host's, of which only the root is mounted.
        for place in (folder, *folder.parents):
            if place.is_relative_to(root) and (limit := _number_in(place / name)) is not None:
                yield limit


def _number_in(path: Path) -> int | None:
    """Return the whole number in a file; None if there is no such file, or it says "max"."""
    try:
        return int(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _commit(package: Path) -> tuple[str | None, bool | None]:
    """Return the code's commit and whether tracked files differ from it.

    Both are None where the package is not part of a repository: it may stand in one, as in an
    environment inside of a project, without being tracked by it.
    """

    def git(*arguments):
        return subprocess.run(
            ["git", *arguments], cwd=package, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "--", "__init__.py")
        # Untracked files are ignored, since they do not change the committed code.
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "-uno", "--", ".."))
    except (OSError, subprocess.CalledProcessError):
        return None, None
