"""Shared by all programs: flags, one-line errors, a progress bar and the compilation cache."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import inspect
import io
import json
import os
import platform
import re
import signal
import sys
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from absl import flags

from colour_embed.config import Config, InputError
from colour_embed.io import machine, placing
from colour_embed.runs import Progress


class Unfinished(Exception):
    """Raised if a run stops early (Ctrl-C, NaN) after saving its results. Exit status 1."""


# Loading a cached program logs an error for each LLVM tuning preference, though none failed.
# Real failures raise an exception. The variable is read when jax is first imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

flags.DEFINE_bool("help", False, "Show this text and exit.", short_name="h")


def define_out(experiment: str) -> None:
    """Define the flag --out, the folder for results; see `out_folder`."""
    flags.DEFINE_string(
        "out",
        f"results/{experiment}",
        "Folder for the results. A folder that this program wrote is replaced. Any other folder "
        "that is not empty is refused.",
    )


def out_folder() -> Path:
    """Return the folder of the flag --out, a link followed; refuses one that leads nowhere."""
    return placing.resolved(flags.FLAGS.out)


_DEFINE = {"int": flags.DEFINE_integer, "str": flags.DEFINE_string, "bool": flags.DEFINE_bool}


def config_flags(*left_out: str, **defaults: Any) -> Callable[[], dict[str, Any]]:
    """Define a flag for each field of Config, with its docstring as the help.

    Args:
        left_out: Fields without a flag.
        defaults: Defaults that differ from Config's.

    Returns:
        A function that returns the values by field, once the flags are parsed.
    """
    helps = _attribute_docs(Config)
    shown = [field for field in dataclasses.fields(Config) if field.name not in left_out]
    for field in shown:
        default = defaults.get(field.name, field.default)
        if field.name == "optimizer_options":
            flags.DEFINE_multi_string(
                field.name, [], helps[field.name] + " Example: --optimizer_options=momentum=0.9."
            )
            continue
        define = {
            "int": flags.DEFINE_integer,
            "str": flags.DEFINE_string,
            "bool": flags.DEFINE_bool,
        }
        kind = str(field.type).split(" ")[0]
        define.get(kind, flags.DEFINE_float)(field.name, default, helps[field.name])

    def values() -> dict[str, Any]:
        found = {field.name: flags.FLAGS[field.name].value for field in shown}
        if "optimizer_options" in found:
            found["optimizer_options"] = dict(map(_option, found["optimizer_options"]))
        return found

    return values


def _attribute_docs(described: type) -> dict[str, str]:
    """Parse the entries under "Attributes:" in a class's docstring."""
    section = inspect.getdoc(described).partition("Attributes:\n")[2].partition("\n\n")[0]
    entries = re.findall(r"^    (\w+): (.*(?:\n     .*)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


def _option(text: str) -> tuple[str, Any]:
    """Parse an optimiser option "name=value"."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise InputError(f"optimizer_options is {text!r}: give it like momentum=0.9")
    try:
        return name, json.loads(value.lower())
    except json.JSONDecodeError:
        return name, value


def whole_numbers(name: str, text: str) -> list[int]:
    """Parse whole numbers from a range "0:32" or a list "1,2,3".

    Raises:
        InputError: the text is neither, or holds no number.
    """
    try:
        if ":" in text:
            first, last = (int(part) for part in text.split(":"))
            found = list(range(first, last))
        else:
            found = [int(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found:
        raise InputError(f"{name} is {text!r}: give a range like 0:32 or a list like 1,2,3")
    return found


def colour_flags() -> None:
    """Define the flags of programs that train on colours."""
    flags.DEFINE_string(
        "colours", "tutorial", "tutorial, css4, xkcd, or a CSV file with name,hex or name,r,g,b."
    )
    flags.DEFINE_integer("num_pairs", 100_000, "Number of pairs of colours to draw.")


def load_colour_pairs() -> tuple[Any, Any]:
    """Load the colours and draw the pairs that the flags of `colour_flags` name."""
    from colour_embed import data

    colours = data.load_colours(flags.FLAGS.colours)
    return colours, data.tutorial_pairs(colours, flags.FLAGS.num_pairs)


def memory_flag(what: str) -> None:
    """Define the flag --max_memory, the memory bound."""
    flags.DEFINE_float(
        "max_memory", 0.0, f"Gigabytes of memory for {what}; 0: four fifths of what there is."
    )


def shard_flag() -> flags.FlagHolder:
    """Define the flag --shard_items, and return it."""
    return flags.DEFINE_bool(
        "shard_items",
        False,
        "Shard the rows of each embedding, and of the optimiser's memory, over all devices: for "
        "tables that are too large for one.",
    )


def device_bytes() -> int:
    """Return the bytes of memory of the first device, which for a CPU are the job's."""
    import jax

    device = jax.local_devices()[0]
    if device.platform == "cpu":
        return machine.memory_bytes()
    return device.memory_stats()["bytes_limit"]


def max_bytes(available: Callable[[], int] = machine.memory_bytes) -> int:
    """Return the memory bound in bytes: the flag's, or four fifths of what is available."""
    gigabytes = flags.FLAGS.max_memory
    if not 0 <= gigabytes < float("inf"):
        raise InputError(f"max_memory is {gigabytes}: give gigabytes, 0 or more")
    return int(1e9 * gigabytes if gigabytes else 0.8 * available())


def show_progress(event: Progress, report: Callable, note: str = "") -> None:
    """Show a progress event on a bar of `progress`."""
    loss = f"loss {event.loss:.4f}" if event.loss == event.loss else ""
    report(event.done, ", ".join(filter(None, (note, loss))), event.seconds_left)


def start(main: Callable[[], None], description: str) -> None:
    """Parse the flags, run main, and exit with a status.

    0: done; 1: stopped early, results so far saved; 2: bad input; 130: Ctrl-C before any result.
    SIGTERM, by which job schedulers end a job, is taken as Ctrl-C.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal may not show every name
            stream.reconfigure(errors="backslashreplace")
    warnings.showwarning = lambda message, *_: warn(str(message))  # in one line
    try:
        rest = flags.FLAGS(sys.argv)[1:]
        for name in flags.FLAGS:  # a shell does not expand the ~ of --out=~/runs
            if str(flags.FLAGS[name].value).startswith("~"):
                flags.FLAGS[name].value = os.path.expanduser(flags.FLAGS[name].value)
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
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        hint = "; free some of it, or give another --out" if full else ""
        fail(f"{where}{error.strerror or error}{hint}")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def warn(message: str) -> None:
    """Print a warning to stderr."""
    print(f"warning: {message}", file=sys.stderr)


def fail(message: str) -> None:
    """Print a one-line error to stderr and exit with status 2."""
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
        value = ",".join(flag.default) if isinstance(flag.default, list) else flag.default
        default = "" if value in (None, "") else f" (default: {value})"
        lines.append(f"  --{name}{default}\n      {' '.join((flag.help or '').split())}")
    return "\n".join(lines)


_SETTINGS = {
    "jax_enable_x64": False,
    "jax_threefry_partitionable": True,
    "jax_default_prng_impl": "threefry2x32",
}
"""JAX settings that programs fix: the environment would change results with the same config."""


def set_up_jax(cpu_devices: int | None = None, join: Callable[[], Any] = lambda: None) -> None:
    """Fix the settings that results depend on, cache compiled programs, and start the devices.

    The cache is in JAX_COMPILATION_CACHE_DIR or the user's cache folder.

    Args:
        cpu_devices: CPU devices to shard members over; 0: one per core of the job.
        join: Called before the devices start, to join the other processes of a job.

    Raises:
        InputError: the platform that JAX_PLATFORMS names is not there.
    """
    import jax

    for name, value in _SETTINGS.items():
        if getattr(jax.config, name) != value:
            warn(f"{name.upper()} is not used: programs run with {value}")
            jax.config.update(name, value)
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = cache / "colour_embed" / "compiled" / _processor()
        jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    set_already = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if cpu_devices is not None and not set_already:
        jax.config.update("jax_num_cpu_devices", cpu_devices or machine.cores())
    join()
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:
        platforms = jax.config.jax_platforms
        if not platforms:
            raise
        reason = f" ({error})" if str(error) else ""
        raise InputError(
            f"JAX_PLATFORMS is {platforms!r}, and JAX finds no such device{reason}: set it to cpu "
            "or leave it unset"
        ) from None


def _processor() -> str:
    """Return a hash of the processor's features, as machines with a shared home may differ."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        features = next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        features = f"{platform.machine()} {platform.processor()}"
    return f"{zlib.crc32(features.encode()):08x}"


@contextlib.contextmanager
def progress() -> Iterator[Callable]:
    """Show progress on stderr; yields add(label, total) -> report(done, note, left).

    A terminal gets bars; a file, such as the log of a job, a line every so often.
    """
    if not sys.stderr.isatty():
        yield _log_lines
        return

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
            bars.start()  # not earlier, so that an early error prints without an empty bar
            task = bars.add_task(label, total=total, note="", left="")

            def report(done: int, note: str = "", left: float | None = None):
                shown = _time_left(done, total, left)
                bars.update(task, completed=done, note=note, left=shown)

            return report

        yield add
    finally:
        if bars.tasks:
            bars.stop()


_LOG_SECONDS, _LOG_SHARE = 5, 0.05
"""A line follows the one before after 5 s, or after a twentieth of the time so far if longer."""


def _log_lines(label: str, total: int) -> Callable:
    """Return report(done, note, left), which prints a line now and then and at the end."""
    began = time.monotonic()
    due = began + _LOG_SECONDS

    def report(done: int, note: str = "", left: float | None = None) -> None:
        nonlocal due
        now = time.monotonic()
        if now < due and done < total:
            return
        due = now + max(_LOG_SECONDS, _LOG_SHARE * (now - began))
        share = f"{100 * done / max(total, 1):.0f} %"
        shown = filter(None, (share, note, _time_left(done, total, left)))
        print(f"{label}: {', '.join(shown)}", file=sys.stderr, flush=True)

    return report


def _time_left(done: int, total: int, seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds:.0f} s left" if done < total else "done"
