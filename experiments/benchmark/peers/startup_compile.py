"""How long one training takes to compile: what its first run takes longer than its second.

Started with the seed and the epochs of a whole training. Compiled
programs are looked for where JAX is told to.
"""

import sys
import time

from _asked import open_channel

from colour_embed import data, train
from colour_embed.config import Config
from experiments import _cli

say = open_channel()
_cli.use_compilation_cache()
colours = data.load_colours()
pairs = data.tutorial_pairs(colours)
seed, epochs = map(int, sys.argv[1:])
config = Config(seed=seed, epochs=min(epochs, train.CHUNK))  # one program serves all chunks
seconds = []
for _ in range(2):
    began = time.perf_counter()
    train.fit(config, len(colours), pairs)
    seconds.append(time.perf_counter() - began)
say({"seconds": seconds[0] - seconds[1], "epochs_run": config.epochs})
sys.stdin.read()  # the memory of a process that has ended can't be asked for
