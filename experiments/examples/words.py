"""Words that stand near each other in Python's own reference: counts alone, no labels."""

from __future__ import annotations

import collections
import re
import sys

import numpy as np
import pandas as pd

from experiments.examples.common import (
    Example,
    Finding,
    Made,
    nearest_names,
    neighbours_told,
    percents,
    plan,
    with_interval,
)

WORDS = 400
"""So many of the most frequent words are kept."""

WINDOW = 5
"""Two words are a pair where at most four kept words stand between them."""

LEAST_COUNT = 3
"""Pairs that stand near each other less often say little."""

# Words of grammar, which stand near everything.
_GRAMMAR = """
a about above after all also although an and any are as at be because been before being below
between both but by can cannot could did do does doing done e each either even every following
for from further g had has have having here how however i if in instead into is it its itself
just like may might more most must near no nor not of off often on once one only onto or other
others otherwise out over own per rather s same see shall should since so some such than that
the their them then there therefore these they this those though through thus to too two under
unless until up upon use used uses using usually very via was we well were what when where
whether which while who whose why will with within without would yet you your
"""

_LEFT_OUT = frozenset(_GRAMMAR.split())

# Written down before any training, from what the words mean in Python.
RELATED = (
    *(("int", "float"), ("list", "tuple"), ("async", "await"), ("try", "except")),
    *(("import", "module"), ("class", "instance"), ("key", "mapping"), ("yield", "generator")),
    *(("bytes", "bytearray"), ("global", "nonlocal"), ("break", "continue"), ("true", "false")),
    *(("string", "character"), ("keyword", "argument"), ("raise", "exception")),
    *(("context", "manager"), ("left", "right"), ("iterator", "next"), ("integer", "number")),
    *(("dictionary", "key"), ("lambda", "function"), ("package", "module"), ("loop", "break")),
    *(("encoding", "utf"), ("traceback", "exception"), ("shift", "operator")),
)

SHOWN = ("float", "list", "import", "async")
"""Whose neighbours the sentence tells."""


def pair_counts(texts: list[str], words: int = WORDS, window: int = WINDOW) -> pd.DataFrame:
    """Count which words stand near each other.

    Args:
        texts: Each by itself; no pair reaches from one into another.
        words: How many of the most frequent words are kept.
        window: How far the words of a pair may stand apart, words that are left out not counted.

    Returns:
        Columns first, second and count, a row per unordered pair, first in the alphabet first.
    """
    kept_texts = [
        [word for word in re.findall(r"[a-z]+", text.lower()) if _is_kept(word)] for text in texts
    ]
    frequency = collections.Counter(word for text in kept_texts for word in text)
    # By frequency, and of equals by the alphabet, so that the order of the texts does not matter.
    ordered = sorted(frequency, key=lambda word: (-frequency[word], word))
    vocabulary = set(ordered[:words])
    counts: collections.Counter[tuple[str, str]] = collections.Counter()
    for text in kept_texts:
        known = [word for word in text if word in vocabulary]
        for place, word in enumerate(known):
            for other in known[place + 1 : place + 1 + window]:
                if other != word:
                    counts[min(word, other), max(word, other)] += 1
    rows = [(*pair, count) for pair, count in sorted(counts.items()) if count >= LEAST_COUNT]
    return pd.DataFrame(rows, columns=["first", "second", "count"])


def _is_kept(word: str) -> bool:
    return len(word) > 1 and word not in _LEFT_OUT


def make() -> Made:
    """The pairs of the reference that this Python ships."""
    from pydoc_data.topics import topics

    return Made(pair_counts(sorted(set(topics.values()))), None)


def judge(names: list[str], vectors: np.ndarray, made: Made) -> Finding:
    """How near the pairs of `RELATED` lie, among all pairs of one of their words."""
    place = {name: number for number, name in enumerate(names)}
    known = [pair for pair in RELATED if pair[0] in place and pair[1] in place]
    share = np.array([_share_nearer(vectors, place[one], place[other]) for one, other in known])
    numbers = {
        "words": len(names),
        "related_pairs": {f"{one} {other}": s for (one, other), s in zip(known, share.tolist())},
        "median_rank": with_interval(share, np.median),
        "neighbours": {
            name: nearest_names(names, vectors, name, 4) for name in SHOWN if name in place
        },
    }
    rank, interval = percents(numbers["median_rank"], 1)
    told = neighbours_told(numbers["neighbours"], "nearest to {} lie {}")
    sentence = (
        f"Of {len(names)} words, {told}; and of {len(known)} pairs of related words that were "
        f"written down before, the median one is nearer than all but {rank} of the other words "
        f"(95 % interval {interval}; by chance 50 %)."
    )
    return Finding(sentence, numbers)


def _share_nearer(vectors: np.ndarray, one: int, other: int) -> float:
    """Which share of all other items lies nearer than the other one, the mean from both sides."""
    shares = []
    for centre, partner in ((one, other), (other, one)):
        far = np.linalg.norm(vectors - vectors[centre], axis=1)
        shares.append((np.sum(far < far[partner]) - 1) / (len(vectors) - 2))
    return float(np.mean(shares))


EXAMPLE = Example(
    name="words",
    title="Words of Python's language reference, by what stands near them",
    source=(
        f"`pydoc_data.topics` of Python {sys.version_info.major}.{sys.version_info.minor}, the "
        "language reference that every Python ships; counts of words near each other"
    ),
    licence="PSF License Agreement and Zero-Clause BSD, Python Software Foundation",
    has_items=False,
    make=make,
    judge=judge,
    plan=plan(16, restarts=2, positives_only=True, negatives=3.0, report_items=SHOWN),
)
