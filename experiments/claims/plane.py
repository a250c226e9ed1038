"""Claim 3: in 2-D "a black to white gradient down the middle", and green "stuck in between"."""

from __future__ import annotations

import colorsys

import numpy as np
import pandas as pd

from colour_embed.config import Config
from colour_embed.evaluate import geometry
from colour_embed.evaluate.cielab import srgb_to_lab
from colour_embed.viz.embedding import plot_embedding
from colour_embed.viz.intervals import Interval, plot_rows
from colour_embed.viz.style import letter, panels
from experiments.claims.common import (
    STATISTIC,
    THRESHOLD,
    Finding,
    Setting,
    Study,
    Tables,
    evidence,
    failures,
    interval,
    intervals,
    mark_failures,
    row_where,
    shares,
    told,
    train,
    verdict_of,
)

HUES = {"red": 0.0, "green": 1 / 3, "blue": 2 / 3}
_HUE_REACH = 1 / 12  # 30 degrees on each side
_VIVID, _BRIGHT, _GREY = 0.5, 0.3, 0.08  # saturation, value: least of a hue; most of a grey
GRADIENT = 0.8  # least R^2 of mean RGB for a gradient
OFTEN = 0.8  # least share of replicates, at the lower end of its interval
BETWEEN = 0.5  # least share of the greens that lie in between
READ = ("mean", "red", "green", "blue")
PARTS = {
    "grey_in_the_middle": "greys in the middle",
    "red_and_blue_apart": "red and blue apart",
}


def groups(rgb: np.ndarray) -> dict[str, np.ndarray]:
    """Return masks, bool [items], of the saturated reds, greens and blues, and of the greys."""
    hue, saturation, value = np.array([colorsys.rgb_to_hsv(*colour) for colour in rgb]).T
    vivid = (saturation >= _VIVID) & (value >= _BRIGHT)
    found = {}
    for name, middle in HUES.items():
        apart = np.abs((hue - middle + 0.5) % 1 - 0.5)
        found[name] = vivid & (apart <= _HUE_REACH)
    return {**found, "grey": saturation <= _GREY}


def sides(vectors: np.ndarray, rgb: np.ndarray) -> np.ndarray:
    """Rotate a map [items, 2] to columns (across, along) the gradient of mean RGB.

    The gradient is that of the least-squares plane of mean RGB over the map. The unit is the map's
    root mean square radius, the origin is the mean of the greys, and the mean of the reds has a
    positive "across".
    """
    centred = vectors - vectors.mean(axis=0)
    centred = centred / np.sqrt((centred**2).sum(axis=1).mean())
    mean = rgb.mean(axis=1)
    slope, *_ = np.linalg.lstsq(centred, mean - mean.mean(), rcond=None)
    along = slope / np.linalg.norm(slope)
    across = np.array([along[1], -along[0]])
    turned = centred @ np.column_stack([across, along])
    found = groups(rgb)
    turned -= turned[found["grey"]].mean(axis=0)
    if turned[found["red"], 0].mean() < 0:
        turned[:, 0] *= -1
    return turned


def layout(turned: np.ndarray, rgb: np.ndarray) -> dict[str, float | bool]:
    """Measure the layout of a map from `sides`.

    Returns:
        across_GROUP: mean position of each group across the gradient, in radii. near_GROUP: share
        of its colours that lie in between, nearer to the greys' mean than half of the way to the
        mean of the reds and to that of the blues. And the parts: whether more than half of the
        greys lie in between, and whether red and blue lie on opposite sides.
    """
    found = groups(rgb)
    across = {name: turned[chosen, 0] for name, chosen in found.items()}
    half = min(abs(across["red"].mean()), abs(across["blue"].mean())) / 2
    near = {name: float((np.abs(values) < half).mean()) for name, values in across.items()}
    return {
        **{f"across_{name}": float(values.mean()) for name, values in across.items()},
        **{f"near_{name}": share for name, share in near.items()},
        "grey_in_the_middle": near["grey"] > BETWEEN,
        "red_and_blue_apart": bool(across["red"].mean() * across["blue"].mean() < 0),
    }


def run(setting: Setting) -> dict[str, pd.DataFrame]:
    config = Config(head="negative", epochs=setting.epochs)
    found = train(setting, "plane", config, setting.some_seeds(), [2])
    rgb = setting.colours.rgb
    lightness = srgb_to_lab(rgb)[:, :1]
    mean = rgb.mean(axis=1, keepdims=True)
    greys = groups(rgb)["grey"]
    rows, turned = [], []
    for member in range(len(found.runs)):
        vectors = found.vectors(member)

        def read(values, chosen=slice(None), vectors=vectors):
            return 1 - geometry.linear_map_disparity(vectors[chosen], values[chosen])

        row = {"r2_mean": read(mean), "r2_lightness": read(lightness)}
        row["r2_lightness_of_greys"] = read(lightness, greys)
        for place, name in enumerate(HUES):
            row[f"r2_{name}"] = read(rgb[:, place : place + 1])
            row[f"r2_{name}_beyond_mean"] = read(rgb[:, place : place + 1] - mean)
        turned.append(sides(vectors, rgb))
        rows.append({**row, **layout(turned[-1], rgb)})
    runs = mark_failures(pd.concat([found.runs, pd.DataFrame(rows)], axis=1), ["dim"])
    measures = [name for name in runs if name.startswith(("r2_", "across_", "near_"))]
    mean_map = sides(np.mean([geometry.align(one, turned[0]) for one in turned], axis=0), rgb)
    return {
        "runs": runs,
        "summary": intervals(runs, [], measures),
        "shares": pd.concat([shares(runs, [], part) for part in PARTS], ignore_index=True),
        "map": pd.DataFrame(
            {
                "name": setting.colours.names,
                "across": mean_map[:, 0],
                "along": mean_map[:, 1],
                **dict(zip(HUES, rgb.T)),
            }
        ),
    }


def judge(tables: Tables) -> Finding:
    summary, often = tables["summary"], tables["shares"]

    def of(measure):
        return row_where(summary, measure=measure)

    green = of("r2_green_beyond_mean")
    parts = {
        "a gradient of mean RGB": of("r2_mean")["low"] >= GRADIENT,
        **{text: row_where(often, measure=part)["low"] >= OFTEN for part, text in PARTS.items()},
        "most greens in between": of("near_green")["low"] >= BETWEEN,
        "green read least": green["high"]
        < min(of(f"r2_{name}_beyond_mean")["low"] for name in ("red", "blue")),
    }
    found = [
        evidence("R^2 of mean RGB, read linearly from the map", of("r2_mean")),
        evidence("R^2 of lightness (CIELAB L*)", of("r2_lightness")),
        evidence("R^2 of lightness over the greys alone", of("r2_lightness_of_greys")),
    ]
    found += [
        evidence(f"R^2 of {name} less mean RGB", of(f"r2_{name}_beyond_mean")) for name in HUES
    ]
    found += [
        evidence(f"share of replicates with {text}", row_where(often, measure=part))
        for part, text in PARTS.items()
    ]
    found += [
        evidence(f"share of the {name}s that lie in between", of(f"near_{name}"))
        for name in (*HUES, "grey")
    ]
    found += [
        evidence(f"mean position of {name} across the gradient, in radii", of(f"across_{name}"))
        for name in HUES
    ]
    found.append(failures(tables["runs"]))
    words = "; ".join(f"{text}, {'yes' if held else 'no'}" for text, held in parts.items())
    answer = (
        f"{sum(map(bool, parts.values()))} of {len(parts)} parts hold: {words}. The labels come "
        f"from RGB, and the map holds mean RGB with an R^2 of {told(of('r2_mean'))}; lightness, "
        f"which weights green by 0.72, with {told(of('r2_lightness'))}, and over the greys alone "
        f"with {told(of('r2_lightness_of_greys'))}. The mean of the greens lies between red and "
        f"blue, but only {told(of('near_green'))} of the greens lie in between themselves, where "
        f"{told(of('near_grey'))} of the greys do: the others lie out on either side."
        if of("near_green")["high"] < BETWEEN
        else f"{sum(map(bool, parts.values()))} of {len(parts)} parts hold: {words}. Of the greens "
        f"{told(of('near_green'))} lie in between."
    )
    return Finding(verdict_of(list(parts.values())), found, answer)


def draw(tables: Tables):
    summary, places, runs = tables["summary"], tables["map"], tables["runs"]
    figure, axes = panels(2, 2, height=5.4)
    plot_embedding(
        places[["across", "along"]].to_numpy(),
        places[list(HUES)].to_numpy(),
        axes[0, 0],
        size=7,
        equal=True,
    )
    axes[0, 0].set(xlabel="across (radii)", ylabel="along the gradient of mean RGB (radii)")

    def column(form, names):
        rows = [row_where(summary, measure=form.format(name)) for name in names]
        return interval(pd.DataFrame(rows), runs)

    beyond = column("r2_{}_beyond_mean", HUES)
    # The mean less itself is 0: no second mark in its row.
    padded = Interval(
        *(np.append(np.nan, part) for part in beyond[:3]), [np.empty(0), *beyond.members]
    )
    plot_rows(
        ["mean RGB", *HUES],
        {"linear prediction": column("r2_{}", READ), "less mean RGB": padded},
        axes[0, 1],
        statistic=f"b, c, d: {STATISTIC}",
        xlabel="$R^2$ of the coordinate",
        references={THRESHOLD: GRADIENT},
        xlim=(-0.05, 1.05),
    )
    hues = (*HUES, "grey")
    for ax, form, xlabel, line in (
        (axes[1, 0], "across_{}", "position across (radii)", {"centre": 0.0}),
        (axes[1, 1], "near_{}", "share of the colours in between", {THRESHOLD: BETWEEN}),
    ):
        plot_rows(
            list(hues),
            {"colours of the group": column(form, hues)},
            ax,
            statistic=f"b, c, d: {STATISTIC}",
            xlabel=xlabel,
            references=line,
            xlim=(-0.05, 1.05) if ax is axes[1, 1] else None,
        )
    letter(axes.ravel())
    return figure


STUDY = Study(
    name="plane",
    claim="In 2-D a black to white gradient runs down the middle, blue and red lie on either "
    "side, and green lies between them.",
    quote="You can see the black to white gradient down the middle, with blue and red being split "
    "on either side. Green, being in between and limited by 2D space, gets stuck in between.",
    question="Does this layout occur in every replicate?",
    method="{seeds} replicates in 2 dimensions, a weight constrained to be negative, {epochs} "
    "epochs. Mean RGB, lightness (CIELAB L*) and each primary are predicted linearly from the map, "
    "cross-validated over items, and so is each primary less mean RGB. Each map is rotated so that "
    "the gradient of mean RGB points up, and shifted so that the mean of the greys is its origin. "
    "The position across the gradient is measured for saturated reds, greens and blues (hue within "
    "30 degrees, saturation at least 0.5, value at least 0.3) and for greys (saturation up to "
    "0.08), in units of the map's root mean square radius. A colour lies in between if it is "
    "nearer to the origin, across, than half of the way to the mean of the reds and to that of the "
    "blues.",
    estimand="R^2 of mean RGB; the shares of replicates and of colours with each part of the "
    "layout; the order of the three R^2 less mean RGB.",
    margin="R^2 of 0.8; shares of 0.8 of the replicates and of 0.5 of the colours.",
    rule="Five parts: R^2 of mean RGB at or above 0.8; more than half of the greys in between, and "
    "red and blue on opposite sides of them, each in at least 0.8 of the replicates; at least half "
    "of the greens in between; R^2 of green less mean RGB below that of red and of blue; all at "
    "the unfavourable end of the 95 % interval. Holds if all five do, holds in part if any does.",
    flips="To hold: at least half of the greens in between. Not to hold: all five parts fail.",
    caption="a: the mean over the replicates of the aligned maps, mean RGB upwards. b: R^2 of the "
    "linear prediction of each coordinate from the map; the threshold is that of mean RGB. c: mean "
    "position of the groups across the gradient. d: share of each group's colours that lie in "
    "between; the threshold is that of green.",
    run=run,
    judge=judge,
    draw=draw,
)
