"""The machine that was measured on, and the tables that people read."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from experiments.benchmark.common import Kind


def describe_machine() -> dict[str, Any]:
    """The machine, as far as it bears on time; no name and no path."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "cores_usable": usable,
        "memory_bytes": _memory(),
        "load_before": load,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
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


def markdown(
    record: dict[str, Any], kinds: dict[str, Kind], figures: dict[str, list[str]] | None = None
) -> str:
    """The record of `run_parts` as tables for people.

    Args:
        record: What benchmark.json holds.
        kinds: The kind of each part.
        figures: File names of each part's figures.
    """
    machine = record["machine"]
    memory = machine["memory_bytes"]
    size = f", {memory / 2**30:.0f} GiB" if memory else ""
    lines = [
        "# Benchmark",
        "",
        f"{machine['processor']}, {machine['cores']} cores{size}, {machine['system']}. "
        "Seconds; medians, with the least and the most.",
    ]
    for part, details in record["details"].items():
        table = kinds[part].table or peer_table
        lines += ["", f"## {part}", "", table(details, record["ratios"][part]).rstrip("\n")]
        for name in (figures or {}).get(part, ()):
            lines += ["", f"![{part}]({name})"]
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
        if "encoder" in entry:
            notes.append(f"encoded by {entry['encoder']}")
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
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


def _ratio_lines(ratios: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in ratios.items():
        if isinstance(value, dict):
            yield from _ratio_lines(value, f"{prefix}{name} ")
        elif value is not None:
            above, below = name.split("_over_")
            yield f"{prefix}{above} takes {value:.2f} times as long as {below}"
