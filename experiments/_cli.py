"""What all experiments share: flags, errors of one line, a progress bar, the compilation cache."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from absl import flags

from colour_embed.config import InputError


class Unfinished(Exception):
    """A run ended before its end (Ctrl-C, NaN); what was done is saved. Exit status 1."""


# Loading a program from the cache logs an error for each tuning preference of LLVM, which is no
# feature of any processor. What really fails raises an exception. Read when jax is first imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

flags.DEFINE_bool("help", False, "Show this text and exit.", short_name="h")


def define_out(experiment: str) -> flags.FlagHolder[str]:
    """The flag that says where results go."""
    return flags.DEFINE_string(
        "out",
        f"results/{experiment}",
        "Folder for the results. One that this program wrote is replaced; another that is not "
        "empty is refused.",
    )


def start(main: Callable[[], None], description: str) -> None:
    """Parse the flags, run main, and leave with a status.

    0: done; 1: ended early, what was done is saved; 2: bad input; 130: Ctrl-C before any result.
    """
    try:
        rest = flags.FLAGS(sys.argv)[1:]
        if flags.FLAGS.help:
            print(_help(description))
            sys.exit(0)
        if rest:
            raise InputError(
                f"{rest[0]!r} is no flag: flags are given as --name=value (see --help)"
            )
        main()
    except flags.Error as error:
        fail(f"{error} (see --help)")
    except InputError as error:
        fail(str(error))
    except Unfinished as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        fail(f"{where}{error.strerror or error}")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def warn(message: str) -> None:
    """Say on the terminal what the user should know about a run that went on."""
    print(f"warning: {message}", file=sys.stderr)


def fail(message: str) -> None:
    """Say what is wrong in one line and leave with status 2."""
    print("error: " + " ".join(message.split()), file=sys.stderr)
    sys.exit(2)


def _help(description: str) -> str:
    lines = [description.strip(), "", "Flags:"]
    own = flags.FLAGS.flags_by_module_dict()
    found = {
        flag.name: flag
        for module, members in own.items()
        if module.startswith(("experiments", "__main__")) or module == sys.argv[0]
        for flag in members
    }
    for name, flag in sorted(found.items()):
        default = "" if flag.default is None else f" (default: {flag.default})"
        lines.append(f"  --{name}{default}\n      {' '.join((flag.help or '').split())}")
    return "\n".join(lines)


def use_compilation_cache() -> None:
    """Keep compiled programs between runs, in the user's cache folder or where JAX was told."""
    import jax
    import platformdirs

    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        folder = Path(platformdirs.user_cache_dir("colour_embed")) / "compiled" / _processor()
        jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


def use_cpu_devices(count: int = 0) -> None:
    """Make so many CPU devices, or one for each core, to shard members over."""
    import jax

    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        jax.config.update("jax_num_cpu_devices", count or os.cpu_count())


def machine_bytes() -> int:
    """Four fifths of this machine's memory: what a program takes at most unless told."""
    return int(0.8 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def _processor() -> str:
    """A name for what this processor can do: machines that share a home may differ in it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        features = next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        features = f"{platform.machine()} {platform.processor()}"
    return f"{zlib.crc32(features.encode()):08x}"


@contextlib.contextmanager
def progress() -> Iterator[Callable]:
    """A progress bar on the terminal: yields add(label, total) -> report(done, note, left)."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description:<10}"),
        BarColumn(bar_width=16),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[note]}"),
        TextColumn("{task.fields[left]}"),
    )
    bars = Progress(*columns, console=Console(stderr=True))

    try:

        def add(label: str, total: int):
            bars.start()  # with the first bar, so that an error before it stands alone
            task = bars.add_task(label, total=total, note="", left="")

            def report(done: int, note: str = "", left: float | None = None):
                shown = "" if left is None else f"{left:.0f} s left" if done < total else "done"
                bars.update(task, completed=done, note=note, left=shown)

            return report

        yield add
    finally:
        if bars.tasks:
            bars.stop()
