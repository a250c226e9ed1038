"""Embeddings of people's own items from labelled pairs of them."""
