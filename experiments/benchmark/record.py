"""The description of the machine, and the record as Markdown tables."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from experiments.benchmark.harness import Part, Setting


def describe_machine() -> dict[str, Any]:
    """Describe the hardware and system of this machine, without names or paths."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_bytes": _memory(),
        "system": f"{platform.system()} {platform.machine()}",
        "gcc": _gcc_version(),
    }


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _gcc_version() -> str | None:
    try:
        done = subprocess.run(["gcc", "-dumpfullversion"], capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() or None


def markdown(record: dict[str, Any], kinds: Mapping[str, Kind], figures: Mapping[str, str]) -> str:
    """Return the record of a run as Markdown tables.

    Args:
        record: The entries of benchmark.json.
        kinds: The parts to include, and their texts.
        figures: part -> file name of its figure.
    """
    machine = record["machine"]
    memory = machine["memory_bytes"]
    size = f", {memory / 2**30:.0f} GiB" if memory else ""
    lines = [
        "# Benchmark",
        "",
        f"{machine['processor']}, {machine['cores']} cores{size}, {machine['system']}. "
        "Medians in seconds, with the minimum and the maximum. `limit` is the baseline: the same "
        "training, written by hand in C.",
    ]
    for part, kind in kinds.items():
        if part in record["details"]:
            found = record["details"][part], record["ratios"][part]
            lines += ["", f"## {part}", "", *([kind.about, ""] if kind.about else [])]
            lines += entry_table(found[0])
            findings = [f"- {line}" for line in kind.findings(*found)]
            lines += ["", *findings] if findings else []
            if part in figures:
                lines += ["", f"![{part}]({figures[part]})"]
    return "\n".join(lines) + "\n"


def entry_table(details: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a table of all entries in nested dicts."""
    yield "| what | median | range | epochs run | loss | peak MiB | note |"
    yield f"|{'---|' * 7}"
    for row in _rows(details):
        yield f"| {' | '.join(row)} |"


def _rows(details: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, ...]]:
    for name, entry in details.items():
        label = f"{prefix}{name}"
        if not isinstance(entry, dict):
            continue
        if "reason" not in entry:
            yield from _rows(entry, f"{label} ")
            continue
        notes = [entry["reason"]] if entry["reason"] else []
        if entry.get("scaled"):
            notes.append("scaled to all epochs")
        if "threads" in entry:
            notes.append(f"{entry['threads']} thread" + "s" * (entry["threads"] != 1))
        if "compile_seconds" in entry:
            notes.append(f"compiled in {entry['compile_seconds']:.1f} s")
        if entry.get("bytes_per_member"):
            notes.append(f"{entry['bytes_per_member'] / 2**10:,.0f} KiB per member")
        memory = entry.get("peak_memory_bytes")
        yield (
            label,
            "–" if entry["median"] is None else _seconds(entry["median"]),
            "–" if entry["range"] is None else " to ".join(map(_seconds, entry["range"])),
            str(entry.get("epochs_run", "–")),
            f"{entry['loss']:.5f}" if "loss" in entry else "–",
            f"{memory / 2**20:.0f}" if memory else "–",
            "; ".join(notes),
        )
        for stage, seconds in entry.get("stages", {}).items():
            yield (f"{label}: {stage}", _seconds(seconds), "–", "–", "–", "–", "")


def _seconds(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def ratio_lines(details: dict[str, Any], ratios: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield a sentence for each known ratio."""
    for name, value in ratios.items():
        if isinstance(value, dict):
            yield from ratio_lines(details, value, f"{prefix}{name} ")
        elif value is not None:
            above, below = name.split("_over_")
            yield f"{prefix}{above} takes {value:.2f} times as long as {below}"


class Kind(NamedTuple):
    """The measurement of a part, and the text of its section.

    Attributes:
        run: Returns the measurements.
        about: Text before the table of all entries.
        findings: (details, ratios) -> sentences after the table.
    """

    run: Callable[[Setting], Part]
    about: str = ""
    findings: Callable[[dict[str, Any], dict[str, Any]], Iterable[str]] = ratio_lines
