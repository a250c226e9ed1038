"""Words of Python's reference, from co-occurrence counts without labels."""

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
    neighbours_listed,
    percents,
    plan,
    with_interval,
)

WORDS = 400
"""Size of the vocabulary, by frequency."""

WINDOW = 5
"""Greatest distance of two words of a pair, in words that are not stop words."""

LEAST_COUNT = 3
"""Least count of a pair; rarer pairs are dropped as noise."""

# Stop words.
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

# Fixed before any training, by the meaning of the words in Python.
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
"""Words whose neighbours the sentence lists."""


def pair_counts(texts: list[str], words: int = WORDS, window: int = WINDOW) -> pd.DataFrame:
    """Count co-occurrences of words within a window.

    Args:
        texts: Texts; pairs do not cross from one text to another.
        words: Size of the vocabulary, by frequency.
        window: Greatest distance of the words of a pair; dropped words do not count.

    Returns:
        Columns first, second and count, a row per unordered pair, in alphabetical order.
    """
    kept_texts = [
        [word for word in re.findall(r"[a-z]+", text.lower()) if _is_kept(word)] for text in texts
    ]
    frequency = collections.Counter(word for text in kept_texts for word in text)
    # Ties are broken alphabetically, so that the order of the texts does not matter.
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
    """Return the pairs of the reference that this Python version ships."""
    from pydoc_data.topics import topics

    return Made(pair_counts(sorted(set(topics.values()))), None)


def judge(names: list[str], vectors: np.ndarray, made: Made) -> Finding:
    """Compute the rank of each pair in `RELATED` among the neighbours of its words."""
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
    listed = neighbours_listed(numbers["neighbours"], "nearest to {} are {}")
    sentence = (
        f"Of {len(names)} words, {listed}. Over {len(known)} pairs of related words that were "
        f"fixed before training, the median share of words nearer than the related one is {rank} "
        f"(95 % interval: {interval}; by chance 50 %)."
    )
    return Finding(sentence, numbers)


def _share_nearer(vectors: np.ndarray, one: int, other: int) -> float:
    """Return the share of items nearer to one than the other is, averaged over both directions."""
    shares = []
    for centre, partner in ((one, other), (other, one)):
        far = np.linalg.norm(vectors - vectors[centre], axis=1)
        shares.append((np.sum(far < far[partner]) - 1) / (len(vectors) - 2))
    return float(np.mean(shares))


EXAMPLE = Example(
    name="words",
    title="Words of Python's language reference, by co-occurrence",
    source=(
        f"`pydoc_data.topics` of Python {sys.version_info.major}.{sys.version_info.minor}, the "
        "language reference that every Python ships; counts of co-occurrences"
    ),
    licence="PSF License Agreement and Zero-Clause BSD, Python Software Foundation",
    has_items=False,
    make=make,
    judge=judge,
    plan=plan(
        16,
        restarts=2,
        positives_only=True,
        negatives=3.0,
        report_items=SHOWN,
        animate=True,
        page=True,
    ),
)
