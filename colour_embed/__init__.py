"""Embeddings trained from labelled pairs, in JAX, measured against a truth that is known.

Importing this package loads nothing heavy: each module imports what it needs when it is imported.
Start with `colour_embed.data`, `colour_embed.train` and `colour_embed.evaluate.scores`.
"""

__version__ = "0.1.0"
