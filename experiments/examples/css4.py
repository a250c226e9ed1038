"""Colour names that share a word: does an embedding of the names correlate with the colours?"""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd

from colour_embed import data
from colour_embed.evaluate.geometry import distance_spearman
from experiments.examples.common import Example, Finding, Made, plan

PERMUTATIONS = 2000
"""Random permutations of the colours among the names."""

# The words of the CSS names. Those in one name only make no pair, but are needed to split the name.
_WORDS = """
alice almond antique aqua aquamarine azure beige bisque black blanched blue blush brick brown
burly cadet chartreuse chiffon chocolate coral corn cornflower cream crimson cyan dark deep dew
dim dodger drab fire floral forest fuchsia gainsboro ghost gold goldenrod gray green honey hot
indian indigo ivory khaki lace lavender lawn lemon light lime linen magenta maroon medium
midnight mint misty moccasin navajo navy old olive orange orchid pale papaya peach peru pink
plum powder puff purple rebecca red rose rosy royal saddle salmon sandy sea seashell sienna silk
silver sky slate smoke snow spring steel tan teal thistle tomato turquoise violet wheat whip
white wood yellow
"""

WORDS = frozenset(_WORDS.split())


def parts(name: str, words: frozenset[str] = WORDS) -> tuple[str, ...]:
    """Split a name into the fewest words that concatenate to it.

    Raises:
        ValueError: no sequence of the words concatenates to it.

    Example:
        >>> parts("darkslategray")
        ('dark', 'slate', 'gray')
    """

    @functools.cache
    def split(start: int) -> tuple[str, ...] | None:
        if start == len(name):
            return ()
        found = [
            (name[start:end], *rest)
            for end in range(start + 1, len(name) + 1)
            if name[start:end] in words and (rest := split(end)) is not None
        ]
        return min(found, key=len, default=None)

    whole = split(0)
    if whole is None:
        raise ValueError(f"no words are known that make up {name!r}")
    return whole


def word_pairs(names: list[str]) -> pd.DataFrame:
    """Label all pairs of names that share a word with any name: 1 if they share one, else 0."""
    words = {name: set(parts(name)) for name in names}
    tied = [
        name
        for name in names
        if any(words[name] & words[other] for other in names if other != name)
    ]
    rows = [
        (one, other, int(bool(words[one] & words[other])))
        for place, one in enumerate(tied)
        for other in tied[place + 1 :]
    ]
    return pd.DataFrame(rows, columns=["first", "second", "label"])


def make() -> Made:
    """Return the pairs of the CSS names, without the "grey" spellings of "gray", and the items."""
    colours = data.load_colours("css4")
    digits = np.rint(255 * colours.rgb).astype(np.uint8)
    table = {
        name: bytes(rgb).hex() for name, rgb in zip(colours.names, digits) if "grey" not in name
    }
    pairs = word_pairs(list(table))
    tied = list(dict.fromkeys([*pairs["first"], *pairs["second"]]))
    return Made(pairs, pd.DataFrame({"name": tied, "hex": [table[name] for name in tied]}))


def judge(names: list[str], vectors: np.ndarray, made: Made) -> Finding:
    """Compare the Spearman correlation of distances with RGB with that of permuted colours."""
    digits = dict(zip(made.items["name"], made.items["hex"]))
    rgb = np.array([list(bytes.fromhex(digits[name])) for name in names]) / 255
    found = distance_spearman(vectors, rgb)
    generator = np.random.default_rng(0)
    by_chance = [
        distance_spearman(vectors, rgb[generator.permutation(len(names))])
        for _ in range(PERMUTATIONS)
    ]
    low, high = np.quantile(by_chance, (0.025, 0.975))
    at_least = float((1 + np.sum(np.array(by_chance) >= found)) / (1 + PERMUTATIONS))
    similar = int(made.pairs["label"].sum())
    numbers = {
        "names": len(names),
        "similar_pairs": similar,
        "spearman": found,
        "by_chance_low": float(low),
        "by_chance_high": float(high),
        "share_at_least_so_high": at_least,
    }
    where = "above" if found > high else "below" if found < low else "inside"
    sentence = (
        f"The pairs of {len(names)} names are labelled by shared words; colours are no input. "
        f"Distances in the embedding and in RGB have a Spearman correlation of {found:.3f}, "
        f"{where} the range {low:.3f} to {high:.3f} of 95 % of {PERMUTATIONS:,} random "
        "permutations of the colours."
    )
    return Finding(sentence, numbers)


EXAMPLE = Example(
    name="css4",
    title="Colour names, by shared words (colours are no input)",
    source="the colour names of CSS Color Module Level 4, as matplotlib lists them",
    licence="names and values are facts of a W3C Recommendation; matplotlib's licence is BSD-like",
    has_items=True,
    make=make,
    judge=judge,
    plan=plan(2, held_out=0.0),
)
