"""How many dimensions do human judgements of colour need? Held-out judgements of 14 observers.

Helm (1959) had observers judge the distances of 10 colours of equal lightness and chroma: 10 with
normal colour vision and 4 with a red-green deficiency. Two of them judged twice. A distance becomes
the similarity 1 - distance / the observer's largest, a soft label of the pair. Each group is
trained as one: pairs are held out for all its observers together, so that no observer tells what
another one judged. The measure is the KL divergence of the predicted from the judged similarity,
nats per pair, of held-out pairs, by observer.

Rule, fixed before the run: a group's dimension is the smallest whose mean KL over observers is
within one standard error of the least, the error being that of paired differences over observers.

Writes observers.csv (a row per group, dimension and observer), summary.csv (a row per group and
dimension), map.csv (the two-dimensional map of each group on all pairs), and the figure eyes.

    Helm, C. E. (1959). A multidimensional ratio scaling analysis of color relations. Princeton
    University and Educational Testing Service.
"""

from __future__ import annotations

import hashlib
import time

from absl import flags

from colour_embed.config import InputError
from experiments import _cli, _eyes

_cli.define_out("eyes")
_SEEDS = flags.DEFINE_integer("seeds", 8, "Initialisations; the one with the least training loss.")
_FOLDS = flags.DEFINE_integer("folds", 9, "Parts of the pairs; each is held out once.")
_REPEATS = flags.DEFINE_integer("repeats", 4, "Partitions into folds, over which KL is averaged.")
_MAX_STEPS = flags.DEFINE_integer("max_steps", 10_000, "Maximum number of steps.")


def main() -> None:
    least = ((_SEEDS, 1), (_FOLDS, 2), (_REPEATS, 1), (_MAX_STEPS, 1))
    for flag, lowest in least:
        if flag.value < lowest:
            raise InputError(f"{flag.name} is {flag.value}: give at least {lowest}")
    sizes = _eyes.Sizes(*(flag.value for flag, _ in least))
    out = _cli.out_folder()

    import jax
    import pandas as pd

    from colour_embed.io import machine, placing, run_folder

    placing.check_folder(out, "eyes")
    _cli.set_up_jax()
    began = time.perf_counter()
    judged = _eyes.read_judgements()
    with placing.replacing(out, "eyes") as folder, _cli.progress() as add:
        parts = sizes.repeats * sizes.folds + 1
        rows, maps = [], []
        for group in _eyes.GROUPS:
            bar = add(group, parts)
            part = judged[judged["vision"] == group]
            rows += _eyes.held_out(part, sizes, bar)
            maps.append(_eyes.map_of(part, sizes).assign(vision=group))
            bar(parts)
        tables = {"observers": pd.DataFrame(rows), "map": pd.concat(maps, ignore_index=True)}
        tables["summary"] = _eyes.summary_of(tables["observers"])
        for name, table in tables.items():
            table.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
        _eyes.draw(folder, folder)
        about = {flag.name: flag.value for flag, _ in least}
        run_folder.write_json(folder / run_folder.MARKER, {"experiment": "eyes", **about})
        device = jax.devices()[0].device_kind
        data_hash = hashlib.sha256(_eyes.JUDGEMENTS.read_bytes()).hexdigest()
        environment = machine.environment(device, data_hash)
        seconds = {"whole": time.perf_counter() - began}
        run_folder.write_json(folder / "env.json", {**environment, "seconds": seconds})
    print(tables["summary"].round(4).to_string(index=False))
    for group, part in tables["map"].groupby("vision", sort=False):
        kept = _eyes.neighbours_kept(part)
        print(f"{group}: {kept} of {len(part)} neighbours on the circle are kept")
    print(f"KL between two sessions of an observer: {_eyes.ceiling(judged):.4f}")
    print(f"results in {out}")


if __name__ == "__main__":
    _cli.start(main, __doc__)
