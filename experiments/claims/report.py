"""The report of all studies as a short paper, made from their tables and from nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from experiments.claims.common import FAILS, HOLDS, IN_PART, Evidence
from experiments.claims.studies import STUDIES


def markdown(claims: Sequence[dict[str, Any]], about: dict[str, Any]) -> str:
    """The report.

    Args:
        claims: What claims.json holds.
        about: seeds, epochs and pairs of the run, its seconds, cores, device and versions.
    """
    counts = {
        verdict: sum(claim["verdict"] == verdict for claim in claims)
        for verdict in (HOLDS, IN_PART, FAILS)
    }
    told = "; ".join(f"{verdict}: {count}" for verdict, count in counts.items())
    lines = [
        "# What a tutorial says of embeddings, measured",
        "",
        f"A well-known tutorial trains an embedding of 646 colour names and says, in passing, "
        f"{len(claims)} things of it that it does not measure. Here each is put to the test. "
        f"The verdicts: {told}.",
        "",
        _contents(claims),
        "",
        "## Setting",
        "",
        f"The model sees pairs of names and whether a noisy rule calls them similar: with d the "
        f"Euclidean distance in RGB, P(similar) = max(0, 1 - d / sqrt(0.6)). It learns a vector "
        f"per name and a head that turns two vectors into a probability, by binary cross-entropy, "
        f"Adam at a learning rate of 0.001 and batches of 512, {about['pairs']:,} pairs and "
        f"{about['epochs']} epochs, except where a study says otherwise. It never sees a colour. "
        "Since the rule is known, so are every pair's true probability, the loss that no model can "
        "beat, and the excess of a model over it (the mean Kullback-Leibler divergence over all "
        "pairs); and RGB is there to compare the map with.",
        "",
        f"Intervals are 95 %: of shares Wilson's, of all else bootstrapped over the seeds, "
        f"{about['seeds']} of them where not said otherwise. The middle is the interquartile mean. "
        "Every verdict follows from the tables by a rule that stood in the code before the run.",
    ]
    for number, claim in enumerate(claims, start=1):
        lines += ["", *_section(number, claim)]
    lines += [
        "",
        "## This run",
        "",
        f"`python -m experiments.claims --seeds {about['seeds']} --epochs {about['epochs']}`: "
        f"{about['members']:,} trainings in {about['seconds'] / 60:.1f} minutes on "
        f"{about['cores']} cores, measures included (jax {about['jax']}, "
        f"{about['device']}). `python -m experiments.figures` redraws the figures from the tables "
        "beside this file.",
    ]
    return "\n".join(lines) + "\n"


def filled(text: str, about: dict[str, Any]) -> str:
    """A study's text with the sizes of the run in it."""
    seeds = about["seeds"]
    sizes = {"half": max(2, seeds // 2), "eighth": max(2, seeds // 8)}
    return text.format(seeds=seeds, epochs=about["epochs"], **sizes)


def _contents(claims: Sequence[dict[str, Any]]) -> str:
    lines = ["| | claim | verdict |", "|---|---|---|"]
    lines += [
        f"| {number} | {claim['claim']} | **{claim['verdict']}** |"
        for number, claim in enumerate(claims, start=1)
    ]
    return "\n".join(lines)


def _section(number: int, claim: dict[str, Any]) -> list[str]:
    name = claim["name"]
    return [
        f"## {number}. {claim['claim']}",
        "",
        f"> {claim['quote']}",
        "",
        f"**Question.** {claim['question']}",
        "",
        f"**Method.** {claim['method']}",
        "",
        f"**Rule.** {claim['rule']}",
        "",
        f"![{claim['claim']}]({claim['figure']})",
        "",
        f"*Figure {number}. {STUDIES[name].caption}*",
        "",
        f"**Answer: {claim['verdict']}.** {claim['answer']}",
        "",
        *(f"- {Evidence(**entry)}" for entry in claim["evidence"]),
        "",
        "Tables: " + ", ".join(f"[{table}]({table})" for table in claim["tables"]) + ".",
    ]
