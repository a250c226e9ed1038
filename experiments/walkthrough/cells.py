# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A walk through
#
# 646 colour names, and pairs of them that are labelled similar or not. No colour value is ever
# shown to the model. Yet the names take their places on a map of colours, and since we made the
# labels, we know how good the map can be at best.
#
# Each section ends with a question. Answer it before you read on: the next cell does.

# %%
# In a fresh environment, once, in a clone of the repository:
#   pip install -c constraints.txt -e ".[notebook]"
import importlib.util

if importlib.util.find_spec("colour_embed") is None:
    raise ImportError("colour_embed is not installed: see the first lines of this cell")

from functools import partial

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import colour_embed as ce

# %% tags=["parameters"]
EPOCHS = 200  # passes over all pairs; the tutorial makes 500
PAIRS = 100_000


# %%
def panels(count, columns=3, size=2.2, **options):
    """Axes in rows, one for each picture."""
    rows, columns = -(-count // columns), min(count, columns)
    shape = {"figsize": (columns * size, rows * size), "layout": "constrained"}
    return np.ravel(plt.subplots(rows, columns, **shape, **options)[1])


def dots(ax, xy, title=""):
    """Draw a map: each item at its place, in its own colour."""
    ax.scatter(*xy.T, c=rgb, s=11, edgecolors="0.6", linewidths=0.2)
    ax.set_title(title, fontsize=9)
    ax.set_aspect("equal", adjustable="datalim")
    ax.set(xticks=[], yticks=[])


# %% [markdown]
# ## 1. What an embedding is
#
# A name is no number. *One-hot* encoding gives each name a column of its own: a 1 there and 0
# elsewhere. An *embedding* is a table with a row of a few numbers for each name. Multiplying a
# one-hot row by the table picks a row, so that nobody multiplies: one looks the row up.

# %%
names = ["teal", "turquoise", "tomato"]
one_hot = np.eye(3)
table = np.array([[0.0, 0.5], [0.2, 0.8], [1.0, 0.3]])  # made up; training will find such rows
np.array_equal(one_hot @ table, table[[0, 1, 2]])

# %% [markdown]
# **Question.** How far apart are teal and turquoise in each encoding, and teal and tomato?


# %%
def distance(one, other):
    return np.linalg.norm(one - other, axis=-1)


for label, rows in {"one-hot": one_hot, "embedding": table}.items():
    near, far = distance(rows[0], rows[1]), distance(rows[0], rows[2])
    print(f"{label:9}  teal to turquoise {near:.2f}   teal to tomato {far:.2f}")

# %% [markdown]
# One-hot rows are all equally far apart: they say which name it is and nothing else. Only a table
# can say that two names are alike.

# %% [markdown]
# ## 2. Colours
#
# The tutorial's list of 646 names, and the red, green and blue of each in 0 to 1. These values are
# our truth. They make the labels and the dots' colours; the model never reads them.

# %%
colours = ce.load_colours()
rgb = colours.rgb
ids = range(0, len(colours), 80)
print(*(f"{colours.names[i]:16} {rgb[i].round(2)}" for i in ids), sep="\n")

# %%
figure = plt.figure(figsize=(4.6, 4.2), layout="constrained")
ax = figure.add_subplot(projection="3d", elev=20, azim=-60)
ax.scatter(*rgb.T, c=rgb, s=22, edgecolors="0.6", linewidths=0.2, depthshade=False)
ticks = {f"{axis}ticks": [0, 1] for axis in "xyz"}
ax.set(xlabel="red", ylabel="green", zlabel="blue", title="646 colours in their cube", **ticks)
ax.set_box_aspect((1, 1, 1), zoom=0.88)
plt.show()

# %% [markdown]
# **Question.** Does every name have a colour of its own?

# %%
distinct = len(np.unique(rgb, axis=0))
print(f"{len(rgb)} names, {distinct} colours")

# %% [markdown]
# It does not, and no training on labels made from colours can tell two names of one colour apart.

# %% [markdown]
# ## 3. Pairs
#
# Words are embedded from what stands beside them in texts. We make the like for colours: pairs
# drawn at random, with replacement. A pair is two row numbers.

# %%
random = np.random.default_rng(0)
first, second = random.integers(len(colours), size=(2, PAIRS))
strip = np.stack([rgb[first[:24]], rgb[second[:24]]])
ax = panels(1, size=5)[0]
ax.figure.set_size_inches(7, 0.9)
ax.imshow(strip, aspect="auto")
ax.set(xticks=[], yticks=[0, 1], yticklabels=["first", "second"])
ax.set_title("the first 24 pairs", fontsize=9)
plt.show()

# %% [markdown]
# **Question.** Two different colours make 208,335 unordered pairs. How many of them were drawn?

# %%
low, high = np.minimum(first, second), np.maximum(first, second)
drawn = len(np.unique((low * len(colours) + high)[low < high]))
possible = len(colours) * (len(colours) - 1) // 2
print(f"{drawn:,} of {possible:,}: {drawn / possible:.0%}")

# %% [markdown]
# Most are never seen. What the model says of those is a test that costs nothing.

# %% [markdown]
# ## 4. Labels, and the truth behind them
#
# Let $d$ be the distance of two colours in the cube. The tutorial draws $u$ uniformly from 0 to 1
# and labels the pair similar where $d^2 / 3 < 0.2\, u^2$. So a label is a toss of a coin whose
# probability we know: $P(1) = P(u > d / \sqrt{0.6}) = \max(0,\, 1 - d / \sqrt{0.6})$.

# %%
d = distance(rgb[first], rgb[second])
u = random.random(PAIRS)
label = (d**2 / 3 < 0.2 * u**2).astype(np.float32)
truth = np.maximum(0, 1 - d / np.sqrt(0.6))
print(f"{label.mean():.1%} of the pairs are labelled similar")

# %%
edges = np.linspace(0, 1.2, 25)
place = np.digitize(d, edges)
bins = [place == k for k in range(1, len(edges)) if (place == k).any()]
ax = panels(1, size=3.4)[0]
ax.figure.set_size_inches(5, 3)
ax.plot([0, np.sqrt(0.6), 1.2], [1, 0, 0], color="0.7", linewidth=5, label="truth")
shares = [label[b].mean() for b in bins]
ax.scatter([d[b].mean() for b in bins], shares, c="#d55e00", zorder=2, label="share of the labels")
ax.set(xlabel="distance $d$ of the two colours", ylabel="similar")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# The loss is the binary cross-entropy: minus the mean logarithm of the probability that was given
# to the label, in nats per pair.
#
# **Question.** What is the loss of a model that knows every probability? And of one that gives all
# pairs the share of 1s?


# %%
def cross_entropy(probability, label):
    chance = np.where(label == 1, probability, 1 - probability)
    return -np.log(chance).mean()


best = cross_entropy(truth, label)
base = cross_entropy(label.mean(), label)
print(f"lowest possible {best:.4f}, base rate {base:.4f} nats per pair")

# %% [markdown]
# The first is the *Bayes-optimal loss*. No model does better on new pairs, and one that does better
# on these has learned the tosses by heart.

# %% [markdown]
# ## 5. The model
#
# Two rows, their squared distance $s$, and a logit $k s + b$: the table, one weight and one bias
# are all there is to learn. Ten lines of JAX.


# %%
def initial(key, items, dim):
    table = jax.random.uniform(key, (items, dim), minval=-0.05, maxval=0.05)
    return {"table": table, "weight": jnp.array(-0.5), "bias": jnp.array(0.0)}


def logits(params, first, second):
    s = jnp.sum((params["table"][first] - params["table"][second]) ** 2, axis=-1)
    return params["weight"] * s + params["bias"]


def loss(params, first, second, label):
    z = logits(params, first, second)
    return jnp.mean(label * jax.nn.softplus(-z) + (1 - label) * jax.nn.softplus(z))


# %% [markdown]
# **Question.** All rows start within 0.05 of zero. What is the loss before any training?

# %%
params = initial(jax.random.key(0), len(colours), 2)
start = float(loss(params, first, second, label))
print(f"loss {start:.4f}, and log 2 is {np.log(2):.4f}")

# %% [markdown]
# Every distance is nearly 0 and so is every logit: each pair is given the probability 1/2.

# %% [markdown]
# ## 6. The step
#
# The gradient of a batch's loss, and an update by Adam with the tutorial's settings.

# %%
optimizer = optax.adam(1e-3)


def step(state, batch):
    params, memory = state
    value, gradient = jax.value_and_grad(loss)(params, *batch)
    updates, memory = optimizer.update(gradient, memory)
    return (optax.apply_updates(params, updates), memory), value


# %% [markdown]
# **Question.** A batch of a single pair: how many rows of the table get a gradient, and do the two
# colours move toward each other?

# %%
for wanted in (1.0, 0.0):
    k = int(np.flatnonzero(label == wanted)[0])
    pair = first[k : k + 1], second[k : k + 1], label[k : k + 1]
    downhill = -np.asarray(jax.grad(loss)(params, *pair)["table"])
    moved = np.flatnonzero(downhill.any(axis=1))
    toward = params["table"][pair[1][0]] - params["table"][pair[0][0]]
    sense = "toward" if downhill[pair[0][0]] @ toward > 0 else "away from"
    print(f"label {wanted:.0f}: {len(moved)} rows move, {sense} each other")

# %% [markdown]
# Two rows, by equal steps. Similar colours attract, dissimilar ones repel. That is the whole
# mechanism. It hangs on the sign of the weight, to which we come back in section 9.

# %% [markdown]
# ## 7. The scan over epochs
#
# An epoch shuffles the pairs, cuts them into batches of 512 and scans the step over them. A
# training scans epochs. JAX compiles all of it into one program; the table after every epoch comes
# out as one array.


# %%
def epoch(state, key):
    size = min(512, PAIRS)
    order = jax.random.permutation(key, PAIRS)[: PAIRS // size * size]
    batches = [jnp.asarray(values)[order].reshape(-1, size) for values in (first, second, label)]
    state, losses = jax.lax.scan(step, state, tuple(batches))
    return state, (losses.mean(), state[0]["table"])


@partial(jax.jit, static_argnames="epochs")
def train(key, epochs):
    params = initial(key, len(colours), 2)
    keys = jax.random.split(key, epochs)
    (params, _), (losses, tables) = jax.lax.scan(epoch, (params, optimizer.init(params)), keys)
    return params, losses, jnp.concatenate([initial(key, len(colours), 2)["table"][None], tables])


trained, losses, tables = jax.device_get(train(jax.random.key(0), EPOCHS))
print(
    f"{EPOCHS * (PAIRS // 512):,} steps; weight {trained['weight']:.2f}, bias {trained['bias']:.2f}"
)

# %% [markdown]
# **Question.** Does two-dimensional training get down to the Bayes-optimal loss?

# %%
ax = panels(1, size=3.4)[0]
ax.figure.set_size_inches(5, 3)
ax.semilogx(np.arange(1, EPOCHS + 1), losses, color="#d55e00", linewidth=2.5)
for value, name in ((base, "base rate"), (best, "Bayes-optimal")):
    ax.axhline(value, color="0.5", linewidth=1, linestyle="--")
    ax.annotate(name, (1, value), xytext=(0, 3), textcoords="offset points", color="0.4")
ax.set(xlabel="epoch", ylabel="loss (nats per pair)")
plt.show()

# %% [markdown]
# It stays above: a cube does not fit into a plane.

# %% [markdown]
# ## 8. Watching it learn
#
# The table after some epochs, turned to the last one. Each picture has its own scale, since the map
# grows more than tenfold.

# %%
moments = (EPOCHS * np.array([0, 0.005, 0.04, 0.1, 0.3, 1])).astype(int)
for ax, moment in zip(panels(6), moments):
    dots(ax, ce.align(tables[moment], tables[-1]), f"epoch {moment}")
plt.show()

# %% [markdown]
# (`ce.animate(epochs, tables, rgb)` makes a video of it, which a notebook plays.)
#
# **Question.** The model has seen no colour. How well do distances on its map agree with those in
# the cube?

# %%
some = slice(0, 2000)
on_map = distance(trained["table"][first[some]], trained["table"][second[some]])
ax = panels(1, size=3.4)[0]
ax.figure.set_size_inches(5, 3.2)
middle = (rgb[first[some]] + rgb[second[some]]) / 2
ax.scatter(d[some], on_map, c=middle, s=8, linewidths=0)
ax.set(xlabel="distance in the cube", ylabel="distance on the map")
agreement = ce.recovery(trained["table"], rgb)
ax.set_title(f"Spearman {agreement.spearman:.2f}")
plt.show()

# %% [markdown]
# ## 9. The sign trap
#
# Our weight started at -0.5. The tutorial's starts at random, as often above zero as below. With a
# weight above zero similar colours repel. Can training turn it?
#
# At weight zero every pair has the same logit, and the best loss there is the base rate's,
# whatever the table. Gradient descent goes downhill. Once a training with a positive weight has got
# below the base rate, the way to a negative weight leads uphill, and it stays. Only a weight that
# starts so low that it crosses zero before the table has spread can be saved. For the tutorial's
# settings we measured that threshold elsewhere: about 0.09.
#
# `ce.sweep` trains the six starts in one program, with the library's forms of the functions above.

# %%
pairs = ce.Pairs(np.stack([first, second], axis=1).astype(np.int32), label)
starts = [-1.0, 0.02, 0.05, 0.15, 0.3, 1.0]
predicted = [start < 0.09 for start in starts]

# %% [markdown]
# **Question.** Which of the six will show a map of colours? Our prediction stands above.

# %%
swept = ce.sweep(
    ce.Config(epochs=EPOCHS), len(colours), pairs, [0], [2], axes={"initial_kernel": starts}
)
for k, ax in enumerate(panels(6)):
    hit = "as predicted" if predicted[k] != swept.trapped[k] else "against the prediction"
    dots(ax, swept.vectors(k), f"start {starts[k]:g}, end {swept.kernel[k]:.2f}\n{hit}")
plt.show()

# %%
ax = panels(1, size=3.4)[0]
ax.figure.set_size_inches(5, 3)
for k, curve in enumerate(swept.loss):
    hue, name = ("#d55e00", "trapped") if swept.trapped[k] else ("#0072b2", "recovered")
    first_of_kind = list(swept.trapped).index(swept.trapped[k]) == k
    epochs = np.arange(1, EPOCHS + 1)
    ax.semilogx(epochs, curve, color=hue, label=name if first_of_kind else None)
ax.axhline(base, color="0.5", linewidth=1, linestyle="--")
ax.annotate("base rate", (1, base), xytext=(0, -11), textcoords="offset points", color="0.4")
ax.set(xlabel="epoch", ylabel="loss (nats per pair)", ylim=(0.3, 0.72))
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# A trapped training gets below the base rate a little and looks converged. Nearly half of all
# random starts end there. `head="negative"` trains a weight that cannot be positive. We use it from
# here on.

# %% [markdown]
# ## 10. Seeds, by one vmap
#
# `ce.make_train` returns a training as a pure function of its seed. So many trainings are one
# `jax.vmap`.

# %%
config = ce.Config(epochs=max(EPOCHS // 2, 1), head="negative", learning_rate=3e-3)
train = ce.make_train(config, len(colours), pairs)
state, metrics, snapshots = jax.device_get(jax.vmap(jax.jit(train))(jnp.arange(3)))
for seed, ax in enumerate(panels(3)):
    dots(ax, snapshots[seed, -1], f"seed {seed}, loss {metrics.loss[seed, -1]:.4f}")
plt.show()

# %% [markdown]
# **Question.** Three different maps, or one map three times?

# %%
maps = [ce.align(snapshots[seed, -1], snapshots[0, -1]) for seed in range(3)]
for seed, ax in enumerate(panels(3)):
    dots(ax, maps[seed], f"seed {seed}, turned to seed 0")
plt.show()

# %% [markdown]
# One map, nearly. The loss depends on distances only, so that a map may be turned, mirrored and
# moved. The few colours that lie elsewhere depend on the initial table.

# %% [markdown]
# ## 11. Choosing the dimension
#
# The dimension is an argument of the same function: unused columns are zero and stay zero. Judged
# on the pairs that were trained on, more dimensions always look better. So we label pairs of
# colours that training has not seen, in either order, and take the loss on them.

# %%
unseen = np.ones((len(colours), len(colours)), bool)
unseen[first, second] = unseen[second, first] = False
new = np.argwhere(np.triu(unseen, k=1))
new_d = distance(rgb[new[:, 0]], rgb[new[:, 1]])
new_label = (new_d**2 / 3 < 0.2 * random.random(len(new)) ** 2).astype(np.float32)
print(f"{len(new):,} pairs that training has not seen")

# %%
dims = np.arange(1, 7)
train = ce.make_train(ce.Config(**{**vars(config), "dim": 6}), len(colours), pairs)
every_dim = jax.jit(jax.vmap(lambda dim: train(0, None, dim)))
state, metrics, snapshots = jax.device_get(every_dim(jnp.asarray(dims)))

# %% [markdown]
# **Question.** The training loss falls with each dimension. Where is the loss on new pairs lowest?

# %%
held_out = []
for k in range(len(dims)):
    one = jax.tree.map(lambda values, k=k: values[k], state.params)
    z = np.asarray(ce.logits(config, one, new))
    held_out.append(np.mean(np.logaddexp(0, z) - new_label * z))
ax = panels(1, size=3.4)[0]
ax.figure.set_size_inches(5, 3)
ax.plot(dims, metrics.loss[:, -1], "o--", color="0.5", label="training pairs")
ax.plot(dims, held_out, "o-", color="#d55e00", linewidth=2.5, label="new pairs")
ax.axhline(best, color="0.5", linewidth=1, linestyle=":", label="Bayes-optimal")
ax.set(xlabel="dimensions", ylabel="loss (nats per pair)", xticks=dims)
ax.legend(frameon=False)
ax.set_title(f"lowest on new pairs: {dims[np.argmin(held_out)]} dimensions", fontsize=9)
plt.show()

# %% [markdown]
# Three, as many as the cube has. Beyond, the training loss goes below what the truth itself
# reaches: further columns learn tosses. The three-dimensional map, turned to the cube of section 2:

# %%
figure = plt.figure(figsize=(4.6, 4.2), layout="constrained")
ax = figure.add_subplot(projection="3d", elev=20, azim=-60)
turned = ce.align(snapshots[2, -1, :, :3], rgb)
ax.scatter(*turned.T, c=rgb, s=22, edgecolors="0.6", linewidths=0.2, depthshade=False)
ax.set(xticklabels=[], yticklabels=[], zticklabels=[], title="learned from labels alone")
ax.set_box_aspect((1, 1, 1), zoom=0.95)
plt.show()

# %% [markdown]
# ## 12. Pairs of your own
#
# Items can be anything that has a name. `ce.PairEmbedding` takes pairs and labels and follows
# scikit-learn's conventions. Here are the colour names of CSS, and labels from their *spelling*:
# 1 where two names share four letters in a row. (Names that share them with no other are left out.)


# %%
def fragments(name):
    return {name[k : k + 4] for k in range(len(name) - 3)}


def alike(one, other):
    return bool(fragments(one) & fragments(other))


css = ce.load_colours("css4")
names = [name for name in css.names if sum(alike(name, other) for other in css.names) > 1]
own_pairs = [(one, other) for k, one in enumerate(names) for other in names[:k]]
own_labels = [float(alike(*pair)) for pair in own_pairs]
print(f"{len(names)} names, {len(own_pairs):,} pairs, {np.mean(own_labels):.0%} of them alike")

# %%
model = ce.PairEmbedding(dim=3, restarts=2).fit(own_pairs, own_labels)
model

# %% [markdown]
# **Question.** Which names are nearest to `darkblue`: those of dark colours, or of blue ones?

# %%
for name in ("darkblue", "seagreen", "lightpink"):
    print(f"{name:9}", ", ".join(model.kneighbors([name], 5, return_distance=False)[0]))

# %% [markdown]
# Both, by their letters: `darkslateblue` first, and no colour was looked at. In a map of your own
# items you will not know the truth. Then `dim="auto"` chooses the dimension by held-out loss, as in
# section 11, and `bootstrap=100` says how far to trust a position.
#
# Long trainings tell how far they are with `report=print` in `ce.fit` and `ce.sweep`, and with
# `verbose=True` here.
