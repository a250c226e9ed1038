"""The walk through the tutorial as a notebook: `cells` is its source, `__main__` executes it."""
