"""The tutorial's original script on Keras 3 with TensorFlow, run as a program and timed.

Changes to the original: `keras.ops` for functions removed from `keras.backend`, no `input_length`,
the colours from a file given as the first argument, and the animations from `_movies`. If fewer
epochs are run than shown, the snapshots are interpolated to all epochs, so that the animations have
the same number of frames.

Prints one line of JSON: seconds from start to the end of each stage, and details of the run.
"""
# ruff: noqa: E402, NPY002 (the clock starts before the imports; the tutorial's own style)

import time

began = time.perf_counter()

import argparse
import json
import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

try:
    import _movies
    import keras
    import matplotlib
    import matplotlib.pyplot as plt
    import numpy as np
    import pandas as pd
    import tensorflow as tf
    from keras.callbacks import LambdaCallback
    from keras.layers import Dense, Embedding, Lambda
except ModuleNotFoundError as error:
    print(json.dumps({"skipped": f"{error.name.split('.')[0]} is not installed"}))
    sys.exit()

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("colours", help="CSV with the columns Color Name and R;G;B Dec")
parser.add_argument("out", type=Path, help="folder for the figure and the animations")
parser.add_argument("--epochs", type=int, default=500, help="epochs that the animations show")
parser.add_argument("--run_epochs", type=int, default=500, help="epochs that are trained")
flags = parser.parse_args()
stages = {"imports": time.perf_counter()}

df = pd.read_csv(flags.colours).dropna(subset=["Color Name"])
num_colours = df.shape[0]
df = df.loc[:, ["Color Name", "R;G;B Dec"]]
df[["r", "g", "b"]] = df["R;G;B Dec"].str.split(";", expand=True).astype(int) / 255
df = df.drop(columns="R;G;B Dec").rename(columns={"Color Name": "name"}).reset_index(drop=True)
df["num"] = df.index

n = 100000
colour_1 = df.sample(n=n, replace=True, random_state=0).reset_index(drop=True)
colour_2 = df.sample(n=n, replace=True, random_state=42).reset_index(drop=True)
c = colour_1.merge(colour_2, left_index=True, right_index=True)
c["diff"] = ((c.r_x - c.r_y) ** 2 + (c.g_x - c.g_y) ** 2 + (c.b_x - c.b_y) ** 2) / 3
c = c.drop(columns=["r_x", "r_y", "g_x", "g_y", "b_x", "b_y"])
np.random.seed(0)
c["predict"] = (c["diff"] < 0.2 * np.random.random(c.shape[0]) ** 2).astype(int)
X, y = c[["num_x", "num_y"]], c["predict"]
cs = df[["r", "g", "b"]].to_numpy()
stages["data"] = time.perf_counter()


def sum_dist(x):
    n = keras.ops.transpose(x, (1, 0, 2))
    a, b = n[0], n[1]
    return keras.ops.sum((a - b) ** 2, axis=-1, keepdims=True)


def get_model(embedding_dims):
    model = keras.Sequential()
    model.add(Embedding(num_colours, embedding_dims))
    model.add(Lambda(sum_dist, output_shape=(1,), name="Dist"))
    model.add(Dense(1, activation="sigmoid"))
    model.compile(loss="binary_crossentropy", optimizer="adam", metrics=["mse"])
    return model


def train(seed, embedding_dims):
    """Return the snapshots, and the seconds of the first epoch and of the others."""
    np.random.seed(seed)
    tf.random.set_seed(seed)
    start = time.perf_counter()
    model, weights, ended = get_model(embedding_dims), [], []

    def on_epoch_end(epoch, logs):
        weights.append(model.layers[0].get_weights()[0])
        ended.append(time.perf_counter())

    save = LambdaCallback(on_epoch_end=on_epoch_end)
    model.fit(X, y, epochs=flags.run_epochs, verbose=0, batch_size=512, callbacks=[save])
    seconds = {"first_epoch": ended[0] - start, "other_epochs": ended[-1] - ended[0]}
    return spread(np.stack(weights)), seconds


def spread(weights):
    """Interpolate the snapshots to those of the animations, [flags.epochs, C, d]."""
    place = np.linspace(0, len(weights) - 1, flags.epochs)
    before = np.minimum(place.astype(int), len(weights) - 1)
    after = np.minimum(before + 1, len(weights) - 1)
    share = (place - before)[:, None, None]
    return ((1 - share) * weights[before] + share * weights[after]).astype(np.float32)


def choose_frames(weights):
    nw = len(weights) - 1
    nf, power = 30 * 10, 2
    return pd.unique((np.linspace(1, nw ** (1 / power), nf) ** power).astype(int))


def animate(weights, name):
    shown = weights[choose_frames(weights)]
    return _movies.save(shown, cs, flags.out / name)


weights, fit_2d = train(7, 2)
stages["fit_2d"] = time.perf_counter()
frame_count = animate(weights, "embed_2d.mp4")
stages["animation_2d"] = time.perf_counter()
fig, ax = plt.subplots()
ax.scatter(weights[-1][:, 0], weights[-1][:, 1], color=cs, s=20)
ax.set_xlabel("$x_0$"), ax.set_ylabel("$x_1$")
ax.set_title("2D Colour Embeddings")
fig.savefig(flags.out / "main.png")
stages["figure"] = time.perf_counter()
weights_3d, fit_3d = train(1, 3)
stages["fit_3d"] = time.perf_counter()
animate(weights_3d, "embed_3d.mp4")
stages["animation_3d"] = time.perf_counter()

answer = {
    "stages": {name: ended - began for name, ended in stages.items()},
    "fits": {"2d": fit_2d, "3d": fit_3d},
    "colours": num_colours,
    "positive": float(y.mean()),
    "frames": frame_count,
    "epochs_run": flags.run_epochs,
    "versions": {
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "matplotlib": matplotlib.__version__,
    },
}
print(json.dumps(answer))
