"""The examples by name."""

from experiments.examples import css4, les_miserables, words

EXAMPLES = {one.EXAMPLE.name: one.EXAMPLE for one in (les_miserables, words, css4)}
