"""Test the choice of a dimension and the ellipses of positions on colours, whose truth is known.

Writes selection.csv (a row per draw of pairs, and rule), rules.csv (rule by number of pairs) and
coverage.csv (the share of expected positions within their 95 % ellipses).
"""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import flags

from colour_embed.config import Config, InputError, Stopping
from experiments import _cli

if TYPE_CHECKING:
    import pandas as pd

    from colour_embed.data import Colours, Pairs

_cli.define_out("trust")
_NUM_PAIRS = flags.DEFINE_list(
    "num_pairs", ["1000", "10000", "100000", "1000000"], "Numbers of pairs, separated by commas."
)
_DRAWS = flags.DEFINE_integer("draws", 10, "Draws of pairs and labels for each number of pairs.")
_DIMS = flags.DEFINE_string("dims", "1:6", "Dimensions: a range or a list.")
_LABELS = flags.DEFINE_integer("labels", 200, "Draws of labels whose mean map is the expected one.")
_FITS = flags.DEFINE_integer("fits", 60, "Of these the fits whose ellipses are judged.")
_BOOTSTRAP = flags.DEFINE_integer("bootstrap", 50, "Bootstrap draws of each of them.")
_MAX_STEPS = flags.DEFINE_integer("max_steps", 50_000, "Maximum number of steps.")

RULES = ("held-out, one standard error", "held-out, least", "AIC", "BIC")
SPLITS, SEEDS = 3, 2
COLOURS, COLOUR_PAIRS = 64, 10_000  # of the study of coverage


def main() -> None:
    sizes = [_cli.whole_numbers("num_pairs", text)[0] for text in _NUM_PAIRS.value]
    dims = _cli.whole_numbers("dims", _DIMS.value)
    if not 2 <= _FITS.value <= _LABELS.value:
        raise InputError(f"fits is {_FITS.value}: give 2 to --labels={_LABELS.value}")
    out = _cli.out_folder()

    import jax
    import pandas as pd

    from colour_embed import data
    from colour_embed.io import machine, placing, run_folder

    placing.check_folder(out, "trust")
    _cli.set_up_jax(cpu_devices=0)
    began = time.perf_counter()
    colours = data.load_colours()
    with placing.replacing(out, "trust") as folder, _cli.progress() as add:
        bar = add("selection", len(sizes) * _DRAWS.value)
        found = []
        for place, (size, draw) in enumerate(itertools.product(sizes, range(_DRAWS.value))):
            found += select_once(colours, size, draw, dims)
            bar(place + 1, f"{size:,} pairs")
        selection = pd.DataFrame(found)
        rules = summary_of(selection)
        coverage = pd.DataFrame([cover(dim, add) for dim in (2, 3)])
        for name, table in (("selection", selection), ("rules", rules), ("coverage", coverage)):
            table.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
        entries = {
            flag.name: flag.value for flag in (_DRAWS, _LABELS, _FITS, _BOOTSTRAP, _MAX_STEPS)
        }
        about = {"experiment": "trust", "num_pairs": sizes, "dims": dims, **entries}
        run_folder.write_json(folder / run_folder.MARKER, about)
        device = jax.devices()[0].device_kind
        environment = machine.environment(
            device, data.data_hash(colours, data.tutorial_pairs(colours))
        )
        seconds = {"whole": time.perf_counter() - began}
        run_folder.write_json(folder / "env.json", {**environment, "seconds": seconds})
    print(rules.to_string(index=False))
    print(coverage.to_string(index=False))
    print(f"results in {out}")


def drawn_pairs(colours: Colours, count: int, seed: int) -> Pairs:
    """Return pairs and labels drawn anew by the tutorial's rule, without pairs of one colour."""
    from colour_embed.data import Pairs
    from colour_embed.evaluate.truth import pair_distance, probability_similar

    random = np.random.default_rng([seed, count])
    first = random.integers(0, len(colours), count)
    second = (first + random.integers(1, len(colours), count)) % len(colours)
    index = np.stack([first, second], axis=1).astype(np.int32)
    probability = probability_similar(pair_distance(colours, index))
    return Pairs(index, (random.uniform(size=count) < probability).astype(np.float32))


def select_once(colours: Colours, count: int, draw: int, dims: list[int]) -> list[dict[str, Any]]:
    """Return a row for each rule: the dimension it selects, and its excess over the truth."""
    from colour_embed.evaluate.scores import excess_kl
    from colour_embed.evaluate.truth import all_pairs, make_truth
    from colour_embed.pairs.dimensions import best_place, select
    from colour_embed.pairs.fit import pair_logits
    from colour_embed.pairs.selection import grouped_splits, information_criteria
    from colour_embed.sweeps import sweep

    items, pairs = len(colours), drawn_pairs(colours, count, draw)
    config = Config(seed=draw, head="negative", learning_rate=0.01)
    rule = {"vary": ("init",), "stopping": Stopping(max_steps=_MAX_STEPS.value)}
    seeds = range(draw, draw + SEEDS)
    apart = grouped_splits(pairs, items, 0.1, SPLITS, draw)
    splits = [
        sweep(config, items, pairs.take(~one), seeds, dims, held_out=pairs.take(one), **rule)
        for one in apart
    ]
    whole = sweep(config, items, pairs, seeds, dims, **rule)
    known, every = make_truth(colours.rgb), all_pairs(items)
    excess = np.mean(
        [
            [
                excess_kl(
                    pair_logits(config, result.params_of(best_place(result, dim)), every),
                    known.probability,
                    known.floor,
                )
                for dim in dims
            ]
            for result in splits
        ],
        axis=0,
    )
    selection = select(splits, pairs, apart)
    best = [best_place(whole, dim) for dim in dims]
    criteria, reason = information_criteria(
        *(dims, whole.evaluations.best_loss[best], pairs, items),
        head=config.head,
        normalise=False,
        selected=selection.selected,
        converged=np.array([whole.evaluations.stopped[place] == "plateau" for place in best]),
    )
    chosen: dict[str, int | None] = {
        RULES[0]: selection.selected,
        RULES[1]: selection.best,
        RULES[2]: None if criteria is None else _least(criteria.aic, dims),
        RULES[3]: None if criteria is None else _least(criteria.bic, dims),
    }
    least = dims[int(np.argmin(excess))]
    return [
        {
            "pairs": count,
            "draw": draw,
            "rule": name,
            "selected": dim,
            "least_excess_dim": least,
            "excess": np.nan if dim is None else excess[dims.index(dim)],
            "least_excess": excess.min(),
            "reason": reason if dim is None else "",
        }
        for name, dim in chosen.items()
    ]


def _least(values: np.ndarray, dims: list[int]) -> int | None:
    return None if np.isnan(values).all() else dims[int(np.nanargmin(values))]


def summary_of(selection: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each rule and number of pairs: how often it finds the best dimension."""
    import pandas as pd

    from colour_embed.evaluate.intervals import wilson_interval

    rows = []
    for (count, rule), part in selection.groupby(["pairs", "rule"], sort=False):
        known = part[part["selected"].notna()]
        hits = int((known["selected"] == known["least_excess_dim"]).sum())
        low, high = wilson_interval(hits, len(known)) if len(known) else (np.nan, np.nan)
        rows.append(
            {
                "pairs": count,
                "rule": rule,
                "draws": len(known),
                "found": hits,
                "share": hits / len(known) if len(known) else np.nan,
                "share_low": low,
                "share_high": high,
                "mean_selected": known["selected"].astype(float).mean(),
                "mean_best": part["least_excess_dim"].mean(),
                "mean_regret": (known["excess"] - known["least_excess"]).astype(float).mean(),
            }
        )
    return pd.DataFrame(rows)


def cover(dim: int, add: Any) -> dict[str, Any]:
    """Return the coverage of the ellipses of some colours, over draws of labels."""
    import jax

    from colour_embed.data import Colours, Pairs, load_colours
    from colour_embed.evaluate.truth import pair_distance, probability_similar
    from colour_embed.evaluate.uncertainty import (
        ellipse_coverage,
        generalised_procrustes,
        map_scale,
    )
    from colour_embed.pairs.fit import fit_pairs
    from colour_embed.pairs.positions import bootstrap_positions

    whole = load_colours()
    places = np.linspace(0, len(whole) - 1, COLOURS).round().astype(int)
    colours = Colours([whole.names[place] for place in places], whole.rgb[places], "some")
    index = drawn_pairs(colours, COLOUR_PAIRS, 0).index
    probability = probability_similar(pair_distance(colours, index))
    config = Config(dim=dim, head="negative", learning_rate=0.01)
    bar = add(f"coverage {dim}-D", _LABELS.value)
    maps, covariances, draws = [], [], []
    for number in range(_LABELS.value):
        random = np.random.default_rng([number, 1])
        label = (random.uniform(size=len(index)) < probability).astype(np.float32)
        pairs = Pairs(index, label)
        stopping = Stopping(max_steps=_MAX_STEPS.value)
        fit = fit_pairs(config, COLOURS, pairs, restarts=2, stopping=stopping)
        scale = float(map_scale(config.head, False, np.array([fit.kernel]))[0])
        maps.append(scale * fit.embedding.astype(np.float64))
        if number < _FITS.value:
            devices = jax.devices()
            spread = bootstrap_positions(fit, pairs, _BOOTSTRAP.value, devices=devices)
            covariances.append(scale**2 * spread.covariance)
            draws.append(spread.draws)
        bar(number + 1, "draws of labels")
    expected = generalised_procrustes(np.array(maps))
    judged = ellipse_coverage(
        np.array(maps[: _FITS.value]), np.array(covariances), np.array(draws), expected
    )
    apart = np.array(maps[: _FITS.value])
    return {
        "dim": dim,
        "colours": COLOURS,
        "pairs": len(index),
        "labels": _LABELS.value,
        "fits": len(apart),
        "bootstrap": _BOOTSTRAP.value,
        "level": 0.95,
        "coverage": judged.share,
        "error": judged.error,
        "positions": judged.positions,
    }


if __name__ == "__main__":
    _cli.start(main, __doc__)
