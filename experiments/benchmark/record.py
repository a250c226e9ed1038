"""The machine that was measured on, and the tables that people read."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Table = Callable[[dict[str, Any], dict[str, Any]], str]


def describe_machine() -> dict[str, Any]:
    """The machine, as far as it bears on time; no name and no path."""
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
        told = subprocess.run(["gcc", "-dumpfullversion"], capture_output=True, text=True)
    except OSError:
        return None
    return told.stdout.strip() or None


def markdown(record: dict[str, Any], tables: dict[str, Table], figures: dict[str, str]) -> str:
    """The record of a run as tables for people.

    Args:
        record: What benchmark.json holds.
        tables: (details, ratios) -> the section of each part. Parts without one are left out.
        figures: The name of a part's figure, of the parts that have one.
    """
    machine = record["machine"]
    memory = machine["memory_bytes"]
    size = f", {memory / 2**30:.0f} GiB" if memory else ""
    lines = [
        "# Benchmark",
        "",
        f"{machine['processor']}, {machine['cores']} cores{size}, {machine['system']}. "
        "Seconds; medians, with the least and the most. `limit` is the baseline: the same "
        "training written by hand in C.",
    ]
    for part, table in tables.items():
        if part in record["details"]:
            section = table(record["details"][part], record["ratios"][part])
            lines += ["", f"## {part}", "", section.rstrip("\n")]
            if part in figures:
                lines += ["", f"![{part}]({figures[part]})"]
    return "\n".join(lines) + "\n"


def peer_table(details: dict[str, Any], ratios: dict[str, Any]) -> str:
    """A part whose leaves are entries of peers, as a table, and its ratios below."""
    head = ("what", "median", "range", "epochs run", "loss", "peak MiB", "note")
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(row)} |" for row in _rows(details)]
    lines += ["", *(f"- {line}" for line in _ratio_lines(ratios))]
    return "\n".join(lines)


def _rows(details: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, ...]]:
    for name, entry in details.items():
        label = f"{prefix}{name}"
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


def _ratio_lines(ratios: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in ratios.items():
        if isinstance(value, dict):
            yield from _ratio_lines(value, f"{prefix}{name} ")
        elif value is not None:
            above, below = name.split("_over_")
            yield f"{prefix}{above} takes {value:.2f} times as long as {below}"
