"""How long it takes to begin: imports, compilation, and the tutorial's first frame."""

from __future__ import annotations

import functools
import sys
import tempfile
import time
from collections.abc import Callable

from experiments.benchmark.common import (
    ON_PROCESSOR,
    PEERS,
    Part,
    Setting,
    Timed,
    counted,
    empty_cache,
    noting,
    own_code,
    round_ratios,
    take_turns,
)
from experiments.benchmark.peers import process

IMPORTS = {
    "python": "pass",
    "import_package": "import colour_embed",
    "import_train": "import colour_embed.train",
}
"""What a fresh Python is timed over; the first is Python alone."""


def startup(setting: Setting) -> Part:
    """Seconds from the start of a process until something is there, and seconds to compile.

    `python`, `import_package` and `import_train` end when that much is done, and `first_frame` when
    the tutorial's 2-D training has run and the first frame of its animation is drawn; `compile` is
    what a process's first training takes longer than its second. Cold is with an empty cache of
    compiled programs, warm with one that holds them.
    """
    begin = {
        name: [str(PEERS / f"startup_{name}.py"), str(setting.seed), str(setting.epochs)]
        for name in ("compile", "first_frame")
    }
    cache = {"JAX_COMPILATION_CACHE_DIR": tempfile.mkdtemp(dir=setting.scratch)}
    runs: dict[str, Callable[[], Timed]] = {}
    for name, code in IMPORTS.items():
        # It waits to be asked for its memory.
        code = f"{code}; print('{{}}', flush=True); input()"
        runs[name] = functools.partial(_from_start, ["-c", code], {})
    for name, arguments in begin.items():
        runs[f"{name}_cold"] = functools.partial(_cold, arguments)
        runs[f"{name}_warm"] = functools.partial(_from_start, arguments, cache)
    reasons: dict[str, str] = {}
    report = setting.add("fill cache", 1)
    with noting("first_frame_warm", reasons, setting.say):
        runs["first_frame_warm"]()  # compiles all that `compile` does
    report(1)
    details = take_turns(setting, "startup", runs, reasons)
    against = [(f"{name}_cold", f"{name}_warm") for name in begin]
    seconds = {name: counted(entry) for name, entry in details.items()}
    return Part(seconds, details, round_ratios(details, against))


def _from_start(arguments: list[str], environment: dict[str, str]) -> Timed:
    """Seconds from the start of a Python until it says a word, or those that it says itself."""
    began = time.perf_counter()
    environment = {**ON_PROCESSOR, **own_code(), **environment}
    with process.Conversation([sys.executable, *arguments], environment) as peer:
        answer = peer.answer()
        seconds = answer.pop("seconds", time.perf_counter() - began)
        return seconds, {**answer, "peak_memory_bytes": peer.peak_memory()}


def _cold(arguments: list[str]) -> Timed:
    with empty_cache() as cache:
        return _from_start(arguments, cache)
