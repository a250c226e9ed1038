"""`train_epochs` in the layout that fits, for tests that train without `fit`."""

import numpy as np

from colour_embed import train
from colour_embed.engine.batches import batch_sizes, batch_weight
from colour_embed.engine.layouts import layout_of, members_last


def run_epochs(config, training, keys, pairs, epochs, *, transform, as_one=False):
    """Train over these epochs: one training, or all members of it in the layout `members_last`."""
    layout = members_last(training.state) if as_one else layout_of(config, training.state)
    given = config.hyperparams(), layout, training, keys, pairs, epochs
    return train.run_epochs(config, *given, transform=transform)


def batch_weights(count, batch_size):
    """float32 [steps, batch_size], each pair's share of its batch's mean."""
    sizes = batch_sizes(count, batch_size)
    return np.array([batch_weight(size, batch_size) for size in sizes])
