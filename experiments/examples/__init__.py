"""Embeddings of real things, from pairs that need no download."""
