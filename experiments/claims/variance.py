"""Law e: the draws of pairs and labels make the variance of the excess, not the training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from colour_embed.config import Config
from colour_embed.evaluate.geometry import cross_seed_procrustes
from colour_embed.evaluate.intervals import bootstrap
from colour_embed.viz.intervals import Interval, plot_rows
from colour_embed.viz.style import letter, panels, scale_axes
from experiments.claims.common import (
    EVERYTHING,
    THRESHOLD,
    TUTORIAL_PAIRS,
    Finding,
    Setting,
    Study,
    Tables,
    drawn_pairs,
    evidence,
    mark_failures,
    row_where,
    rows_where,
    told,
    train,
    verdict_of,
)

DIMS = (1, 2, 3)
JUDGED = (2, 3)
TRAINING = ("init", "order")  # the components that restarts on one data set cover
ALL = "all"
COMPONENTS = (*EVERYTHING, ALL)
NAMES = {"init": "initial values", "order": "order", "labels": "labels", "pairs": "pairs"}
NAMES |= {ALL: "all together"}
BASES = 2  # draws of what a component leaves fixed
SMALL = 0.1  # share of the variance
MEASURES = ("excess_kl", "train_loss", "heldout_loss")
RESAMPLES = 2000
STATISTIC = "all members, with 95 % bootstrap interval over the members"


def run(setting: Setting) -> dict[str, pd.DataFrame]:
    tables, maps = [], []
    seeds = setting.some_seeds(3)
    together = range(seeds[0], seeds[0] + BASES * len(seeds))
    for component in COMPONENTS:
        whole = component == ALL
        # Beyond the seeds of the members, so that no member has the draws of a base.
        for base in range(1 if whole else BASES):
            base_seed = together[-1] + 1 + base
            found = train(
                setting,
                f"variance: {NAMES[component]}, base {base}",
                Config(head="negative", seed=base_seed, epochs=setting.epochs),
                together if whole else seeds,
                DIMS,
                pairs=drawn_pairs(setting, setting.colours, TUTORIAL_PAIRS, base_seed),
                truth=setting.colours.rgb,
                vary=EVERYTHING if whole else (component,),
            )
            tables.append(found.runs.assign(component=component, base=base))
            for dim in DIMS:
                rows = found.runs.index[found.runs["dim"] == dim]
                disparity = cross_seed_procrustes(found.result.embedding[rows, :, :dim])
                maps.append({"component": component, "base": base, "dim": dim, "of": disparity})
    runs = mark_failures(pd.concat(tables, ignore_index=True), ["dim"])
    return {
        "runs": runs,
        "variances": variance_table(runs),
        "ratios": ratio_table(runs),
        "maps": map_table(maps),
    }


# --------------------------------------------------------------------------------------------------
# Variances


def _draws(groups: Sequence[np.ndarray]) -> tuple[float, np.ndarray]:
    """Return the mean of the groups' variances, and of their resamples, [RESAMPLES].

    The factor makes the resampled variance unbiased for that of the group.
    """
    groups = [values for values in groups if len(values) > 1]
    if not groups:
        return np.nan, np.full(RESAMPLES, np.nan)
    resampled = [
        bootstrap(lambda draws, own=own: own[draws].var(axis=1), len(own), RESAMPLES, number)
        * (len(own) / (len(own) - 1)) ** 2
        for number, own in enumerate(groups)
    ]
    return float(np.mean([own.var(ddof=1) for own in groups])), np.mean(resampled, axis=0)


def component_variance(
    runs: pd.DataFrame, component: str, dim: int, measure: str, kept: str
) -> tuple[float, np.ndarray]:
    """Return a component's variance within the bases, and its resamples over the members.

    Args:
        runs: The members.
        component: One of `COMPONENTS`.
        dim: The dimension.
        measure: The column.
        kept: "all" members, or those that "succeeded".
    """
    rows = rows_where(runs, component=component, dim=dim)
    if kept != "all":
        rows = rows[~rows["failed"]]
    return _draws([own[measure].dropna().to_numpy(float) for _, own in rows.groupby("base")])


def _ends(resampled: np.ndarray) -> dict[str, float]:
    known = resampled[np.isfinite(resampled)]
    low, high = np.quantile(known, [0.025, 0.975]) if len(known) else (np.nan, np.nan)
    return {"low": float(low), "high": float(high)}


def variance_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the variance of each measure by dim, component and members kept."""
    rows = []
    for dim in DIMS:
        for component in COMPONENTS:
            members = rows_where(runs, component=component, dim=dim)
            for measure in MEASURES:
                for kept in ("all", "succeeded"):
                    value, resampled = component_variance(runs, component, dim, measure, kept)
                    failed = int(members["failed"].sum())
                    names = {"dim": dim, "component": component, "measure": measure, "kept": kept}
                    counts = {"members": len(members), "failed": failed}
                    rows.append({**names, **counts, "value": value, **_ends(resampled)})
    return pd.DataFrame(rows)


def ratio_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Return two ratios of variances of the excess, by dim and members kept.

    "training" is that of initial values and order to that of all together, "sum" that of the four
    components to that of all together.
    """
    rows = []
    for dim in DIMS:
        for kept in ("all", "succeeded"):
            found = {
                name: component_variance(runs, name, dim, "excess_kl", kept) for name in COMPONENTS
            }
            for ratio, parts in (("training", TRAINING), ("sum", EVERYTHING)):
                with np.errstate(divide="ignore", invalid="ignore"):  # a resample of one member
                    value, resampled = (
                        sum(found[part][place] for part in parts) / found[ALL][place]
                        for place in (0, 1)
                    )
                rows.append(
                    {"dim": dim, "kept": kept, "ratio": ratio, "value": value, **_ends(resampled)}
                )
    return pd.DataFrame(rows)


def map_table(maps: Sequence[dict]) -> pd.DataFrame:
    """Return the mean Procrustes disparity of two members of one base, by dim and component.

    Args:
        maps: component, base and dim of each group, and "of", its disparities [members, members].
    """
    rows = []
    table = pd.DataFrame(maps)
    for (dim, component), groups in table.groupby(["dim", "component"], sort=False):
        found = [_mean_of_two(disparity) for disparity in groups["of"]]
        resampled = np.mean([draws for _, draws in found], axis=0)
        value = float(np.mean([value for value, _ in found]))
        names = {"dim": dim, "component": component, "members": sum(map(len, groups["of"]))}
        rows.append({**names, "value": value, **_ends(resampled)})
    return pd.DataFrame(rows)


def _mean_of_two(disparity: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the mean over two different members, and its resamples over the members."""
    finite = np.isfinite(np.diag(disparity))
    disparity = disparity[np.ix_(finite, finite)]
    count = len(disparity)

    def resample(draws):
        one, other = draws[:, :, None], draws[:, None, :]
        two = (one != other).sum((1, 2))
        return np.where(two, disparity[one, other].sum((1, 2)) / np.maximum(two, 1), np.nan)

    return disparity.sum() / (count * (count - 1)), bootstrap(resample, count, RESAMPLES)


# --------------------------------------------------------------------------------------------------
# Verdict and figure


def judge(tables: Tables) -> Finding:
    variances, ratios = tables["variances"], tables["ratios"]
    share = {dim: row_where(ratios, dim=dim, kept="all", ratio="training") for dim in DIMS}
    without = {dim: row_where(ratios, dim=dim, kept="succeeded", ratio="training") for dim in DIMS}
    total = {dim: row_where(ratios, dim=dim, kept="all", ratio="sum") for dim in DIMS}
    parts = [bool(share[dim]["high"] < SMALL) for dim in JUDGED]
    found = []
    for dim in DIMS:
        found.append(evidence(f"initial values and order / all together, {dim}-D", share[dim]))
        found.append(
            evidence(f"the same without failed members, {dim}-D", without[dim]),
        )
        found.append(evidence(f"sum of the four components / all together, {dim}-D", total[dim]))
        for component in COMPONENTS:
            row = row_where(
                variances, dim=dim, component=component, measure="excess_kl", kept="all"
            )
            what = f"standard deviation of the excess, {NAMES[component]}, {dim}-D, nats per pair"
            found.append(evidence(what, _root(row)))
    found += [
        evidence(
            f"Procrustes disparity of two members, {NAMES[row['component']]}, {row['dim']}-D", row
        )
        for _, row in tables["maps"].iterrows()
    ]
    runs = tables["runs"]
    failures = ", ".join(
        f"{int(rows['failed'].sum())} of {len(rows)} in {dim}-D"
        for dim, rows in runs.groupby("dim")
    )
    additive = [dim for dim in DIMS if total[dim]["low"] <= 1 <= total[dim]["high"]]
    answer = (
        "Initial values and order together make "
        + ", ".join(f"{told(share[dim])} of the variance of the excess in {dim}-D" for dim in DIMS)
        + ". Without failed members it is "
        + ", ".join(f"{told(without[dim])} in {dim}-D" for dim in DIMS)
        + f". Members that stop in a local minimum: {failures}. The four components add up to "
        + ", ".join(f"{told(total[dim], 2)} in {dim}-D" for dim in DIMS)
        + " of the variance of all together; "
        + (
            f"1 is in the interval in {', '.join(f'{dim}-D' for dim in additive)}."
            if additive
            else "1 is in none of the intervals."
        )
        + " "
        + " ".join(_narrow(dim, share[dim], without[dim]) for dim in JUDGED)
    )
    # Without two members that did not fail there is no variance of these.
    known = [one for one in found if np.isfinite(one.value)]
    return Finding(verdict_of(parts), known, answer)


def _narrow(dim: int, share: pd.Series, without: pd.Series) -> str:
    """Say how wide an interval over initial values and order alone is."""
    width, bare = np.sqrt(share["value"]), np.sqrt(without["value"])
    return (
        f"In {dim}-D an interval over initial values and order alone is {width:.2f} times as wide "
        f"as one over all draws, {bare:.2f} times without failed members."
    )


def _root(row: pd.Series) -> pd.Series:
    """Return the standard deviation for a row with a variance."""
    return np.sqrt(row[_NUMBERS].astype(float))


_NUMBERS = ["value", "low", "high"]


def draw(tables: Tables):
    runs, variances, maps = tables["runs"], tables["variances"], tables["maps"]
    figure, axes = panels(1, 3, height=3.2)
    names = [NAMES[component] for component in COMPONENTS]
    excess = rows_where(variances, measure="excess_kl", kept="all")
    centred = runs["excess_kl"] - runs.groupby(["component", "base", "dim"])["excess_kl"].transform(
        "mean"
    )
    deviations = runs.assign(deviation=centred.abs())

    def intervals_of(table, members=False, root=False):
        found = {}
        for dim in DIMS:
            rows = rows_where(table, dim=dim).set_index("component").loc[list(COMPONENTS)]
            values = rows[_NUMBERS].to_numpy(float).T
            dots = [
                rows_where(deviations, dim=dim, component=component)["deviation"].to_numpy()
                for component in COMPONENTS
            ]
            found[f"{dim}-D"] = Interval(
                *(np.sqrt(values) if root else values), dots if members else ()
            )
        return found

    plot_rows(
        names,
        intervals_of(excess, members=True, root=True),
        axes[0, 0],
        xlabel="standard deviation of the excess\n(nats per pair)",
        statistic=STATISTIC,
    )
    axes[0, 0].set_xscale("log")
    plot_rows(
        names,
        intervals_of(maps),
        axes[0, 1],
        xlabel="Procrustes disparity\nof two members",
        statistic=STATISTIC,
    )
    axes[0, 1].set_xscale("log")
    rows = {
        "initial values + order": ("training", "all"),
        "these, none failed": ("training", "succeeded"),
        "sum of all four": ("sum", "all"),
        "sum, none failed": ("sum", "succeeded"),
    }
    found = {}
    for dim in DIMS:
        chosen = [
            row_where(tables["ratios"], dim=dim, ratio=ratio, kept=kept)
            for ratio, kept in rows.values()
        ]
        found[f"{dim}-D"] = Interval(*([row[name] for row in chosen] for name in _NUMBERS))
    plot_rows(
        list(rows),
        found,
        axes[0, 2],
        xlabel="share of the variance\nof all together",
        references={THRESHOLD: SMALL, "additive": 1.0},
        statistic=STATISTIC,
    )
    scale_axes(axes[0, 2], log_x=True)
    letter(axes.ravel())
    return figure


STUDY = Study(
    name="variance",
    claim="The draws of pairs and labels make the variance of the excess; initial values and order "
    "make less than a tenth of it.",
    quote="",
    question="Which draw makes the results of two trainings differ, and do the variances of the "
    "single draws add up to that of all together?",
    method="Trainings in 1, 2 and 3 dimensions with a weight constrained to be negative, {epochs} "
    "epochs. In each set of trainings one of initial values, order, labels and pairs is drawn "
    f"anew for each member, {{third}} members for each of {BASES} draws of the other three; and in "
    "one set all are. A variance is the mean of those within the sets. Intervals are percentile "
    "bootstrap intervals over the members of each set; with so few members they are somewhat too "
    "narrow. A training fails if its excess is more than 1.1 times the median of its dimension, "
    "as in a local minimum; variances are given with and without these. The held-out labels are "
    "drawn anew only where the pairs are, so the excess is the measure. Maps are compared by the "
    "Procrustes disparity of two members of one set.",
    estimand="(variance of the excess by initial values + that by order) / variance by all draws "
    "together, in 2-D and 3-D, failed members included.",
    margin=f"A share of {SMALL}.",
    sources="one of initial values, order, labels and pairs, or all of them",
    unit="a member: one training",
    rule="Two parts: in 2-D and in 3-D the upper end of the interval of that share is below "
    f"{SMALL}. Holds if both are, holds in part if one is.",
    flips=f"A share above {SMALL} in both dimensions. Local minima that more of the initial values "
    "lead to would raise it; restarts would lower it.",
    caption="a: standard deviation of the excess if one draw varies, and if all do; dots are the "
    "distances of the members from the mean of their set. b: Procrustes disparity of two members. "
    "c: variances as shares of that of all draws together, with and without failed members.",
    run=run,
    judge=judge,
    draw=draw,
)
