"""Time one large embedding on one device, and with its rows sharded over several.

    python -m experiments.benchmark --only sharding --out results/scaling

The devices are CPU devices of one machine, which share its cores: the part shows what sharding
costs and how much of the table each device holds, not how much faster several machines would be.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

from experiments.benchmark import harness
from experiments.benchmark.harness import ON_CPU, PEERS, Part, Peer, Setting
from experiments.benchmark.record import ratio_lines

ABOUT = (
    "Seconds per step of one training, with dense and with lazy Adam. The devices are CPU devices "
    "of one machine and share its cores. The bytes are those of the embedding and Adam's memory."
)
OPTIMIZERS = {"dense": "keras_adam", "lazy": "lazy_adam"}


class Sizes(NamedTuple):
    """The sizes of the measurement: `steps` steps are timed in `parts` epochs."""

    items: int = 1_000_000
    dim: int = 16
    steps: int = 2000
    parts: int = 20
    devices: tuple[int, ...] = (1, 4)


SIZES = Sizes()


def sharding(setting: Setting, sizes: Sizes = SIZES) -> Part:
    """Measure seconds per step and bytes per device, by number of devices."""
    report, done = setting.add("sharding", len(OPTIMIZERS) * len(sizes.devices)), 0
    details: dict[str, Any] = {name: {} for name in OPTIMIZERS}
    for devices in sizes.devices:
        environment = {
            **ON_CPU,
            **harness.own_code(),
            "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        }
        for name, optimizer in OPTIMIZERS.items():
            label, reasons = f"{devices} device" + "s" * (devices > 1), {}
            report(done, f"{name}, {label}")
            details[name][label] = harness.missing("not run")
            with harness.noting("sharding", reasons, setting.say):
                with Peer([sys.executable, PEERS / "sharding.py"], environment) as peer:
                    peer.answer()
                    asked = sizes._asdict() | {"optimizer": optimizer}
                    del asked["devices"]
                    answer = peer.run(**asked)
                each = [one * sizes.parts / sizes.steps for one in answer.pop("seconds")]
                details[name][label] = harness.summary(each, **answer)
            if reasons:
                details[name][label] = harness.missing(reasons["sharding"])
            done += 1
    report(done)
    return Part(harness.counted(details), details, _ratios(details))


def _ratios(details: dict[str, Any]) -> dict[str, float | None]:
    """Return the seconds and bytes of several devices over those of one."""
    found = {}
    for name, entries in details.items():
        (first, one), *others = entries.items()
        for label, entry in others:
            names = f"{name}_{label}_over_{first}".replace(" ", "_")
            counted = not (entry["reason"] or one["reason"])
            found[names] = entry["median"] / one["median"] if counted else None
    return found


def findings(details: dict[str, Any], ratios: dict[str, Any]) -> Iterator[str]:
    """Yield sentences on the ratios and on the bytes of each device."""
    yield from ratio_lines(details, ratios)
    for name, entries in details.items():
        held = [entry["bytes_per_device"] for entry in entries.values() if not entry["reason"]]
        if len(held) == len(entries):
            shown = ", ".join(
                f"{one / 2**20:.0f} MiB on each of {label}" for one, label in zip(held, entries)
            )
            yield f"{name}: {shown}; {statistics.median(held[1:]) / held[0]:.3f} of one device's"
