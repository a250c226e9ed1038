"""Embeddings of three data sets that need no download."""
