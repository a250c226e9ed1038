"""Claim 3: in 2-D "a black to white gradient down the middle", and green "stuck in between"."""

from __future__ import annotations

import colorsys

import numpy as np
import pandas as pd

from colour_embed.config import Config
from colour_embed.evaluate import geometry
from colour_embed.evaluate.cielab import srgb_to_lab
from colour_embed.viz.embedding import plot_embedding
from colour_embed.viz.intervals import STATISTIC, Interval, plot_rows
from colour_embed.viz.style import letter, panels
from experiments.claims.common import (
    FAILS,
    HOLDS,
    IN_PART,
    THRESHOLD,
    Finding,
    Setting,
    Study,
    Tables,
    evidence,
    interval,
    intervals,
    row_where,
    shares,
    train,
)

HUES = {"red": 0.0, "green": 1 / 3, "blue": 2 / 3}
_HUE_REACH = 1 / 12  # 30 degrees on each side
_VIVID, _BRIGHT, _GREY = 0.5, 0.3, 0.08  # saturation, value: least of a hue; most of a grey
GRADIENT = 0.8  # least R^2 of lightness for a gradient
OFTEN = 0.8  # least share of seeds, at the lower end of its interval
MEANS = f"b, c: {STATISTIC}"
READ = ("lightness", "red", "green", "blue")
PARTS = ("grey_in_the_middle", "red_and_blue_apart", "green_between")


def groups(rgb: np.ndarray) -> dict[str, np.ndarray]:
    """Return masks, bool [items], of the saturated reds, greens and blues, and of the greys."""
    hue, saturation, value = np.array([colorsys.rgb_to_hsv(*colour) for colour in rgb]).T
    vivid = (saturation >= _VIVID) & (value >= _BRIGHT)
    found = {}
    for name, middle in HUES.items():
        apart = np.abs((hue - middle + 0.5) % 1 - 0.5)
        found[name] = vivid & (apart <= _HUE_REACH)
    return {**found, "grey": saturation <= _GREY}


def sides(vectors: np.ndarray, lightness: np.ndarray, rgb: np.ndarray) -> np.ndarray:
    """Rotate a map [items, 2] to columns (across, along) the gradient of lightness.

    The gradient is that of the least-squares plane of lightness over the map. The unit is the
    map's root mean square radius, the origin is its mean, and the mean of the reds has a positive
    "across".
    """
    centred = vectors - vectors.mean(axis=0)
    centred = centred / np.sqrt((centred**2).sum(axis=1).mean())
    slope, *_ = np.linalg.lstsq(centred, lightness - lightness.mean(), rcond=None)
    along = slope / np.linalg.norm(slope)
    across = np.array([along[1], -along[0]])
    turned = centred @ np.column_stack([across, along])
    if turned[groups(rgb)["red"], 0].mean() < 0:
        turned[:, 0] *= -1
    return turned


def run(setting: Setting) -> dict[str, pd.DataFrame]:
    config = Config(head="negative", epochs=setting.epochs)
    found = train(setting, "plane", config, setting.some_seeds(), [2])
    rgb = setting.colours.rgb
    lightness = srgb_to_lab(rgb)[:, 0] / 100
    coordinates = {"lightness": lightness, **dict(zip(HUES, rgb.T))}
    grey = np.column_stack([np.ones(len(rgb)), lightness])
    rows, turned = [], []
    for member in range(len(found.runs)):
        vectors = found.vectors(member)
        row = {}
        for name, values in coordinates.items():
            row[f"r2_{name}"] = 1 - geometry.linear_map_disparity(vectors, values[:, None])
            # The residual of a primary after regression on lightness.
            rest = values - grey @ np.linalg.lstsq(grey, values, rcond=None)[0]
            if name != "lightness":
                apart = 1 - geometry.linear_map_disparity(vectors, rest[:, None])
                row[f"r2_{name}_beyond_lightness"] = apart
        turned.append(sides(vectors, lightness, rgb))
        for name, chosen in groups(rgb).items():
            row[f"across_{name}"], row[f"along_{name}"] = turned[-1][chosen].mean(axis=0)
            row[f"aside_{name}"] = np.abs(turned[-1][chosen, 0]).mean()
        red, green, blue = (row[f"across_{name}"] for name in HUES)
        middle = row["across_grey"]
        row["grey_in_the_middle"] = abs(middle) < min(abs(red), abs(blue)) / 2
        row["red_and_blue_apart"] = (red - middle) * (blue - middle) < 0
        row["green_between"] = min(red, blue) < green < max(red, blue)
        rows.append(row)
    runs = pd.concat([found.runs, pd.DataFrame(rows)], axis=1)
    measures = [name for name in runs if name.startswith(("r2_", "across_", "along_", "aside_"))]
    mean_map = np.mean([geometry.align(one, turned[0]) for one in turned], axis=0)
    mean_map = sides(mean_map, lightness, rgb)
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
    gradient = row_where(summary, measure="r2_lightness")
    parts = {
        "the gradient": gradient["low"] >= GRADIENT,
        **{part: row_where(often, measure=part)["low"] >= OFTEN for part in PARTS},
    }
    green_least = row_where(summary, measure="r2_green_beyond_lightness")["high"] < min(
        row_where(summary, measure=f"r2_{name}_beyond_lightness")["low"] for name in ("red", "blue")
    )
    parts["green least"] = green_least
    kept = sum(map(bool, parts.values()))
    verdict = HOLDS if kept == len(parts) else IN_PART if kept else FAILS
    found = [evidence("R^2 of lightness, predicted linearly from the map", gradient)]
    found += [
        evidence(
            f"R^2 of {name} beyond lightness",
            row_where(summary, measure=f"r2_{name}_beyond_lightness"),
        )
        for name in HUES
    ]
    names = {
        "grey_in_the_middle": "share of seeds with the greys in the middle",
        "red_and_blue_apart": "share of seeds with red and blue on opposite sides of the greys",
        "green_between": "share of seeds with green between red and blue",
    }
    found += [evidence(text, row_where(often, measure=part)) for part, text in names.items()]
    found += [
        evidence(
            f"mean position of {name} across the gradient, in radii",
            row_where(summary, measure=f"across_{name}"),
        )
        for name in (*HUES, "grey")
    ]
    words = {True: "yes", False: "no"}
    answer = (
        f"{kept} of {len(parts)} parts hold: a gradient of lightness, "
        f"{words[bool(parts['the gradient'])]}; greys in the middle, "
        f"{words[bool(parts['grey_in_the_middle'])]}; red and blue on opposite sides, "
        f"{words[bool(parts['red_and_blue_apart'])]}; green between them, "
        f"{words[bool(parts['green_between'])]}; R^2 beyond lightness least for green, "
        f"{words[bool(green_least)]}."
    )
    return Finding(verdict, found, answer)


def draw(tables: Tables):
    summary, places = tables["summary"], tables["map"]
    figure, axes = panels(2, 2, height=5.4)
    plot_embedding(
        places[["across", "along"]].to_numpy(),
        places[list(HUES)].to_numpy(),
        axes[0, 0],
        size=7,
        equal=True,
    )
    axes[0, 0].set(xlabel="across (radii)", ylabel="along the gradient of lightness (radii)")

    def column(form, names):
        rows = [row_where(summary, measure=form.format(name)) for name in names]
        return interval(pd.DataFrame(rows))

    # Lightness beyond lightness is undefined: no second mark in its row.
    beyond = column("r2_{}_beyond_lightness", HUES)
    padded = Interval(*(np.append(np.nan, part) for part in beyond))
    plot_rows(
        list(READ),
        {"linear prediction": column("r2_{}", READ), "beyond lightness": padded},
        axes[0, 1],
        statistic=MEANS,
        xlabel="$R^2$ of the coordinate",
        references={THRESHOLD: GRADIENT},
        xlim=(-0.05, 1.05),
    )
    hues = (*HUES, "grey")
    plot_rows(
        list(hues),
        {"mean of the group": column("across_{}", hues)},
        axes[1, 0],
        statistic=MEANS,
        xlabel="position across (radii)",
        references={"centre": 0.0},
    )
    often = pd.DataFrame([row_where(tables["shares"], measure=part) for part in PARTS])
    plot_rows(
        ["greys in the middle", "red and blue apart", "green between"],
        {"share of seeds": interval(often)},
        axes[1, 1],
        xlabel="share of seeds with this layout",
        references={THRESHOLD: OFTEN},
        statistic="d: share and 95 % interval",
        xlim=(-0.05, 1.05),
    )
    letter(axes.ravel())
    return figure


STUDY = Study(
    name="plane",
    claim="In 2-D a black to white gradient runs down the middle, blue and red lie on either "
    "side, and green lies between them.",
    quote="You can see the black to white gradient down the middle, with blue and red being split "
    "on either side. Green, being in between and limited by 2D space, gets stuck in between.",
    question="Does this layout occur for every seed?",
    method="{seeds} seeds in 2 dimensions, a weight constrained to be negative, {epochs} epochs. "
    "Lightness (CIELAB L*) and each primary are predicted linearly from the map, cross-validated "
    "over items, and so is the residual of each primary after regression on lightness. Each map is "
    "rotated so that the gradient of lightness points up. The mean position across the gradient is "
    "measured for saturated reds, greens and blues (hue within 30 degrees, saturation at least "
    "0.5, value at least 0.3) and for greys (saturation up to 0.08), in units of the map's root "
    "mean square radius. All seeds share the pairs and their labels.",
    rule="Five parts: R^2 of lightness at or above 0.8; greys in the middle (their mean less than "
    "half as far across as that of red and of blue), red and blue on opposite sides of the greys, "
    "and green between red and blue, each in at least 0.8 of the seeds; R^2 of green beyond "
    "lightness below that of red and of blue; all at the unfavourable end of the 95 % interval. "
    "Holds if all five do, holds in part if any does.",
    caption="a: the mean over the seeds of the aligned maps, lightness upwards. b: R^2 of the "
    "linear prediction of each coordinate from the map; the threshold is that of lightness. c: "
    "mean position of the groups across the gradient. d: share of the seeds with each part of the "
    "layout.",
    run=run,
    judge=judge,
    draw=draw,
    shared="the pairs and their labels",
)
