"""The train step in float64 NumPy, from the formulas alone: what the JAX code is held against.

Nothing here imports jax or the library, and the gradient is written out by hand.
"""

import numpy as np

TINY_SQUARED_LENGTH = 1e-12


def sigmoid(z):
    return np.exp(-np.logaddexp(0, -z))  # does not overflow, as 1 / (1 + exp(-z)) does


def unit_rows(table):
    """The rows x / max(|x|, 1e-6), and the factors they were multiplied by."""
    squared_length = np.sum(table**2, axis=1, keepdims=True)
    factor = 1 / np.sqrt(np.maximum(squared_length, TINY_SQUARED_LENGTH))
    return table * factor, factor


def value_and_gradient(
    params, first, second, label, weight, head="free", normalise=False, smoothing=0.1
):
    """Loss, mse and the gradient of the loss, of pairs whose weights sum to one.

    With u the rows that are compared, r = |u_i - u_j|^2 (or u_i u_j, of the head "dot") and h what
    the head makes of r: z = h + b;  loss = sum w (log(1 + e^z) - y z);
    dloss/dz = w (sigmoid(z) - y).
    """
    table = params["embedding"]["embedding"]
    rows, factor = unit_rows(table) if normalise else (table, None)
    one, other = rows[first], rows[second]
    relation = np.sum(one * other if head == "dot" else (one - other) ** 2, axis=1)
    value, by_kernel, by_relation = head_and_slopes(
        head, smoothing, params["dense"]["kernel"][0, 0], relation
    )
    z = value + params["dense"]["bias"][0]
    loss = np.sum(weight * (np.logaddexp(0, z) - label * z))
    error = sigmoid(z) - label
    mse = np.sum(weight * error**2)

    dz = weight * error
    d_relation = (dz * by_relation)[:, None]
    if head == "dot":
        d_one, d_other = d_relation * other, d_relation * one
    else:
        d_one = d_relation * 2 * (one - other)
        d_other = -d_one
    d_table = np.zeros_like(table)
    np.add.at(d_table, first, d_one)
    np.add.at(d_table, second, d_other)
    if normalise:
        # d(x r)/dx with r = 1/|x|: a change along x does nothing, unless r is held by its bound.
        free = factor < TINY_SQUARED_LENGTH**-0.5
        along = np.sum(d_table * table, axis=1, keepdims=True)
        d_table = factor * d_table - free * factor**3 * along * table
    d_kernel = np.sum(dz * by_kernel)
    gradient = {
        "embedding": {"embedding": d_table},
        "dense": {"kernel": np.full((1, 1), d_kernel), "bias": np.full(1, np.sum(dz))},
    }
    return loss, mse, gradient


def head_and_slopes(head, smoothing, kernel, relation):
    """What a head makes of relations [N] before its bias, and the slopes by kernel and relation.

    With w = log(1 + e^k), s the smoothing and S(x) = log(1 + e^x):
    free: k r;  negative: -w r;  dot: w r;  inverse: k / (r + s);
    matched: the log-odds of 1e-4 + (1 - 2e-4) S((1 - w d) / s) / S(1 / s), d = sqrt(r + 1e-6).
    """
    softplus, d_softplus = np.logaddexp(0, kernel), sigmoid(kernel)
    if head == "free":
        return kernel * relation, relation, np.full_like(relation, kernel)
    if head == "negative":
        return -softplus * relation, -d_softplus * relation, np.full_like(relation, -softplus)
    if head == "dot":
        return softplus * relation, d_softplus * relation, np.full_like(relation, softplus)
    if head == "inverse":
        near = 1 / (relation + smoothing)
        return kernel * near, near, -kernel * near**2
    distance = np.sqrt(relation + 1e-6)
    inner = (1 - softplus * distance) / smoothing
    whole = np.logaddexp(0, 1 / smoothing)
    probability = 1e-4 + (1 - 2e-4) * np.logaddexp(0, inner) / whole
    odds = probability / (1 - probability)
    by_inner = (1 - 2e-4) * sigmoid(inner) / whole / (probability * (1 - probability))
    by_weight = by_inner * -distance / smoothing
    by_distance = by_inner * -softplus / smoothing
    return np.log(odds), by_weight * d_softplus, by_distance / (2 * distance)


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
    smoothing=0.1,
    learning_rate=1e-3,
    beta1=0.9,
    beta2=0.999,
    epsilon=1e-7,
    weight=None,
    lazy=False,
):
    """Keras's Adam over epochs.

    Args:
        params: Initial parameters, as the library nests them.
        index: [N, 2] ids.
        label: [N].
        order: Integers [E, N]: the order of the pairs in each epoch.
        batch_size: Pairs per step; the last batch of an epoch takes what is left.
        weight: [N], by which each pair's share of its batch is multiplied; None is one for all.
        lazy: Whether the items that a batch does not name stand still, as do Adam's means of them.

    Returns:
        The parameters after the last epoch, and loss [E] and mse [E], means over each epoch's
        pairs while the weights move.
    """
    values = {name: value.copy() for name, value in leaves(params).items()}
    mean = {name: np.zeros_like(value) for name, value in values.items()}
    square = {name: np.zeros_like(value) for name, value in values.items()}
    label = np.asarray(label, np.float64)
    weight = np.ones(len(label)) if weight is None else np.asarray(weight, np.float64)
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
                weight[chosen] / size,
                head,
                normalise,
                smoothing,
            )
            loss_sum, mse_sum = loss_sum + loss * size, mse_sum + mse * size
            step += 1
            rate = learning_rate * np.sqrt(1 - beta2**step) / (1 - beta1**step)
            for name, slope in leaves(gradient).items():
                moved = np.unique(index[chosen]) if lazy and name == "embedding" else slice(None)
                first = beta1 * mean[name][moved] + (1 - beta1) * slope[moved]
                second = beta2 * square[name][moved] + (1 - beta2) * slope[moved] ** 2
                mean[name][moved], square[name][moved] = first, second
                values[name][moved] -= rate * first / (np.sqrt(second) + epsilon)
        losses.append(loss_sum / len(epoch))
        errors.append(mse_sum / len(epoch))
    return nested(values), np.array(losses), np.array(errors)


def relative_difference(ours, theirs):
    """max|difference| / max|reference|, the measure that rounding in single entries can't upset."""
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    return np.max(np.abs(ours - theirs)) / np.max(np.abs(theirs))
