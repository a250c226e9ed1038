"""The train step in float64 NumPy, from the formulas alone: what the JAX code is held against.

Nothing here imports jax or the library, and the gradient is written out by hand.
"""

import numpy as np

TINY_SQUARED_LENGTH = 1e-12


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def unit_rows(table):
    """The rows x / max(|x|, 1e-6), and the factors they were multiplied by."""
    squared_length = np.sum(table**2, axis=1, keepdims=True)
    factor = 1 / np.sqrt(np.maximum(squared_length, TINY_SQUARED_LENGTH))
    return table * factor, factor


def value_and_gradient(params, first, second, label, weight, head="free", normalise=False):
    """Loss, mse and the gradient of the loss, of pairs whose weights sum to one.

    With u the rows that distances are taken between and q = |u_i - u_j|^2:
    z = k q + b;  loss = sum w (log(1 + e^z) - y z);  dloss/dz = w (sigmoid(z) - y).
    """
    table = params["embedding"]["embedding"]
    kernel = params["dense"]["kernel"][0, 0]
    rows, factor = unit_rows(table) if normalise else (table, None)
    effective = -np.log1p(np.exp(kernel)) if head == "negative" else kernel
    difference = rows[first] - rows[second]
    squared_distance = np.sum(difference**2, axis=1)
    z = effective * squared_distance + params["dense"]["bias"][0]
    loss = np.sum(weight * (np.logaddexp(0, z) - label * z))
    error = sigmoid(z) - label
    mse = np.sum(weight * error**2)

    dz = weight * error
    d_effective = np.sum(dz * squared_distance)
    d_kernel = -sigmoid(kernel) * d_effective if head == "negative" else d_effective
    d_first = (dz * effective * 2)[:, None] * difference
    d_table = np.zeros_like(table)
    np.add.at(d_table, first, d_first)
    np.add.at(d_table, second, -d_first)
    if normalise:
        # d(x r)/dx with r = 1/|x|: a change along x does nothing, unless r is held by its bound.
        free = factor < TINY_SQUARED_LENGTH**-0.5
        along = np.sum(d_table * table, axis=1, keepdims=True)
        d_table = factor * d_table - free * factor**3 * along * table
    gradient = {
        "embedding": {"embedding": d_table},
        "dense": {"kernel": np.full((1, 1), d_kernel), "bias": np.full(1, np.sum(dz))},
    }
    return loss, mse, gradient


def leaves(params):
    """The arrays of a params pytree by name, in float64."""
    return {
        "embedding": np.asarray(params["embedding"]["embedding"], np.float64),
        "kernel": np.asarray(params["dense"]["kernel"], np.float64),
        "bias": np.asarray(params["dense"]["bias"], np.float64),
    }


def nested(flat):
    """The params pytree of named arrays; undoes `leaves`."""
    dense = {"kernel": flat["kernel"], "bias": flat["bias"]}
    return {"embedding": {"embedding": flat["embedding"]}, "dense": dense}


def train(
    params,
    index,
    label,
    order,
    batch_size,
    *,
    head="free",
    normalise=False,
    learning_rate=1e-3,
    beta1=0.9,
    beta2=0.999,
    epsilon=1e-7,
):
    """Keras's Adam over epochs.

    Args:
        params: Initial parameters, as the library nests them.
        index: [N, 2] ids.
        label: [N].
        order: Integers [E, N]: the order of the pairs in each epoch.
        batch_size: Pairs per step; the last batch of an epoch takes what is left.

    Returns:
        The parameters after the last epoch, and loss [E] and mse [E], means over each epoch's
        pairs while the weights move.
    """
    values = leaves(params)
    mean = {name: np.zeros_like(value) for name, value in values.items()}
    square = {name: np.zeros_like(value) for name, value in values.items()}
    label = np.asarray(label, np.float64)
    step, losses, errors = 0, [], []
    for epoch in order:
        loss_sum = mse_sum = 0.0
        for start in range(0, len(epoch), batch_size):
            chosen = epoch[start : start + batch_size]
            size = len(chosen)
            loss, mse, gradient = value_and_gradient(
                nested(values),
                index[chosen, 0],
                index[chosen, 1],
                label[chosen],
                np.full(size, 1 / size),
                head,
                normalise,
            )
            loss_sum, mse_sum = loss_sum + loss * size, mse_sum + mse * size
            step += 1
            rate = learning_rate * np.sqrt(1 - beta2**step) / (1 - beta1**step)
            for name, slope in leaves(gradient).items():
                mean[name] = beta1 * mean[name] + (1 - beta1) * slope
                square[name] = beta2 * square[name] + (1 - beta2) * slope**2
                values[name] = values[name] - rate * mean[name] / (np.sqrt(square[name]) + epsilon)
        losses.append(loss_sum / len(epoch))
        errors.append(mse_sum / len(epoch))
    return nested(values), np.array(losses), np.array(errors)


def relative_difference(ours, theirs):
    """max|difference| / max|reference|, the measure that rounding in single entries can't upset."""
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    return np.max(np.abs(ours - theirs)) / np.max(np.abs(theirs))
