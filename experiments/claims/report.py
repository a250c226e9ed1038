"""The report of all studies in Markdown, generated from claims.json."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from experiments.claims.common import FAILS, HOLDS, IN_PART, Evidence
from experiments.claims.studies import STUDIES

_SAME_LOSS = (
    ("surface", "held-out loss, plain 3-D, nats per pair"),
    ("dimension", "held-out loss in 3-D, nats per pair"),
)
"""Evidence on the same model: with one draw of pairs and labels, and with one for each seed."""


def markdown(claims: Sequence[dict[str, Any]], about: dict[str, Any]) -> str:
    """Return the report in Markdown.

    Args:
        claims: The entries of claims.json.
        about: Seeds, epochs and pairs of the run, its seconds, members, cores, device and jax
            version.
    """
    counts = {
        verdict: sum(claim["verdict"] == verdict for claim in claims)
        for verdict in (HOLDS, IN_PART, FAILS)
    }
    verdicts = "; ".join(f"{verdict}: {count}" for verdict, count in counts.items())
    lines = [
        "# Tests of a tutorial's claims on embeddings",
        "",
        "A well-known tutorial trains an embedding of 646 colour names. It makes "
        f"{len(claims)} claims that it does not measure. This report tests each of them. "
        f"Verdicts: {verdicts}.",
        "",
        _contents(claims),
        "",
        "## Setting",
        "",
        "The data are pairs of colour names with noisy binary labels: with d the Euclidean "
        "distance in RGB, P(similar) = max(0, 1 - d / sqrt(0.6)). The model has a vector per name "
        "and a head that maps two vectors to a probability. It is trained by binary cross-entropy "
        f"with Adam, learning rate 0.001, batches of 512, {about['pairs']:,} pairs and "
        f"{about['epochs']} epochs, unless a study says otherwise. RGB is no input of the model. "
        "Because the label rule is known, each pair's true probability is known too. The "
        "Bayes-optimal loss follows from it: over all pairs of two different colours it is the "
        "mean entropy of the labels, and on drawn pairs and labels it is the loss of the true "
        "probabilities. So does the excess KL of a model: its mean Kullback-Leibler divergence "
        "from the true probabilities over all pairs.",
        "",
        "All intervals are 95 % intervals: Wilson intervals for shares, and bootstrap intervals "
        f"over the seeds for interquartile means. There are {about['seeds']} seeds unless a study "
        "says otherwise. Each verdict follows from the tables by a rule that was fixed in the code "
        "before the run. What the seeds of a study share, and its intervals so do not cover, is "
        "listed under Limitations.",
    ]
    for number, claim in enumerate(claims, start=1):
        lines += ["", *_section(number, claim)]
    lines += _limitations(claims)
    lines += [
        "",
        "## This run",
        "",
        f"`python -m experiments.claims --seeds {about['seeds']} --epochs {about['epochs']}`: "
        f"{about['members']:,} trainings in {about['seconds'] / 60:.1f} minutes on "
        f"{about['cores']} cores, evaluation included (jax {about['jax']}, "
        f"{about['device']}). `python -m experiments.figures` redraws the figures from the tables "
        "beside this file.",
    ]
    return "\n".join(lines) + "\n"


def _limitations(claims: Sequence[dict[str, Any]]) -> list[str]:
    """Return the section on what the seeds of each study share."""
    shared: dict[str, list[str]] = {}
    for number, claim in enumerate(claims, start=1):
        if what := STUDIES[claim["name"]].shared:
            shared.setdefault(what, []).append(f"{number} ({claim['name']})")
    if not shared:
        return []
    lines = [
        "",
        "## Limitations",
        "",
        "Intervals cover the variation that the seeds of a study have. Where all seeds share one "
        "draw, an interval does not cover another draw, and it is narrower than one that does.",
        "",
        *(f"- {', '.join(names)}: all seeds share {what}." for what, names in shared.items()),
    ]
    losses = {
        (claim["name"], one["what"]): str(Evidence(**one)).partition(": ")[2]
        for claim in claims
        for one in claim["evidence"]
    }
    if all(key in losses for key in _SAME_LOSS):
        one, other = (losses[key] for key in _SAME_LOSS)
        lines += [
            "",
            "How much that is: the held-out loss of the plain 3-D embedding, in nats per pair, is "
            f"{one} with one draw of pairs and labels ({_SAME_LOSS[0][0]}), and {other} with a "
            f"draw for each seed ({_SAME_LOSS[1][0]}).",
        ]
    return lines


def filled(text: str, about: dict[str, Any]) -> str:
    """Substitute the sizes of the run into a study's text."""
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
