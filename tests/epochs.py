"""`train_epochs` in the layout that fits, for tests that train without `fit`."""

import numpy as np

from colour_embed.engine.batches import batch_sizes, batch_weight
from colour_embed.engine.layouts import layout_of, members_last
from colour_embed.train import make_step, train_epochs


def run_epochs(config, training, keys, pairs, epochs, *, transform, as_one=False):
    """Train over these epochs: one training, or all members of it in the layout `members_last`."""
    layout = members_last(training.state) if as_one else layout_of(config, training.state)
    step = make_step(config, config.hyperparams(), layout)
    size = config.batch_size
    return train_epochs(
        step, layout, training, keys, pairs, epochs, batch_size=size, transform=transform
    )


def batch_weights(count, batch_size):
    """float32 [steps, batch_size], each pair's share of its batch's mean."""
    sizes = batch_sizes(count, batch_size)
    return np.array([batch_weight(size, batch_size) for size in sizes])
