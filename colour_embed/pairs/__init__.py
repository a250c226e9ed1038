"""Embeddings of user-defined items from labelled pairs."""
