"""Characters of a novel, from counts of co-appearances without labels."""

from __future__ import annotations

import numpy as np
import pandas as pd

from colour_embed.config import InputError
from colour_embed.evaluate.geometry import nearest
from experiments.examples.common import (
    Example,
    Finding,
    Made,
    nearest_names,
    neighbours_listed,
    percents,
    plan,
    with_interval,
)

NEIGHBOURS = 3
SHOWN = ("Valjean", "Javert", "Gavroche")
"""Characters whose neighbours the sentence lists."""

_COMMUNITY_SEED = 0


def make() -> Made:
    """Return the co-appearances, and the community of each character, named after its hub.

    The Louvain communities of the same counts colour the map. They are no input of the training.

    Raises:
        InputError: networkx is not installed.
    """
    try:
        import networkx
    except ImportError:
        raise InputError(
            'les_miserables needs networkx: pip install "colour_embed[examples]"'
        ) from None

    graph = networkx.les_miserables_graph()
    names = sorted(graph)
    meetings = dict(graph.degree(weight="weight"))
    communities = networkx.community.louvain_communities(
        graph, weight="weight", seed=_COMMUNITY_SEED
    )
    group = {
        name: f"around {max(sorted(community), key=meetings.get)}"
        for community in communities
        for name in community
    }
    edges = sorted((*sorted(edge), counts) for *edge, counts in graph.edges(data="weight"))
    return Made(
        pd.DataFrame(edges, columns=["first", "second", "count"]),
        pd.DataFrame({"name": names, "group": [group[name] for name in names]}),
    )


def judge(names: list[str], vectors: np.ndarray, made: Made) -> Finding:
    """Compute the share of nearest neighbours that a character appears with."""
    place = {name: number for number, name in enumerate(names)}
    meet = np.zeros((len(names), len(names)), bool)
    for one, other in zip(made.pairs["first"], made.pairs["second"]):
        meet[place[one], place[other]] = meet[place[other], place[one]] = True
    found, _ = nearest(vectors, np.arange(len(names)), NEIGHBOURS)
    share = np.take_along_axis(meet, found, axis=1).mean(axis=1)
    numbers = {
        "characters": len(names),
        "neighbours_met": with_interval(share, np.mean),
        "by_chance": float(meet.sum() / (len(names) * (len(names) - 1))),
        "neighbours": {
            name: nearest_names(names, vectors, name, NEIGHBOURS) for name in SHOWN if name in place
        },
    }
    share, interval = percents(numbers["neighbours_met"])
    listed = neighbours_listed(numbers["neighbours"], "{}'s are {}")
    sentence = (
        f"A character appears in the novel with {share} of its {NEIGHBOURS} nearest neighbours in "
        f"the embedding (95 % interval over the {len(names)} characters: {interval}; by chance "
        f"{100 * numbers['by_chance']:.0f} %). Nearest neighbours: {listed}."
    )
    return Finding(sentence, numbers)


EXAMPLE = Example(
    name="les_miserables",
    title="Les Misérables: who appears with whom",
    source=(
        "`networkx.les_miserables_graph()`: D. E. Knuth, The Stanford GraphBase, 1993; counts of "
        "the chapters that two characters of Victor Hugo's novel appear in together"
    ),
    licence=(
        "the novel is in the public domain, the GraphBase's data may be used freely, networkx is "
        "under BSD-3-Clause"
    ),
    has_items=True,
    make=make,
    judge=judge,
    plan=plan(
        2,
        held_out=0.0,
        positives_only=True,
        negatives=5.0,
        report_items=SHOWN,
        animate=True,
        page=True,
    ),
)
