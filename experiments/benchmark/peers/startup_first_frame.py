"""The tutorial's 2-D training up to its animation's first frame.

Started with the seed and the epochs. Compiled programs are looked for where JAX is told to.
"""

import sys
import time

began = time.perf_counter()

from _asked import open_channel  # noqa: E402 (the imports are timed)

from colour_embed import animation, data, train  # noqa: E402
from colour_embed.config import Config  # noqa: E402
from experiments import _cli  # noqa: E402

say = open_channel()
_cli.use_compilation_cache()
ends = [time.perf_counter()]
colours = data.load_colours()
pairs = data.tutorial_pairs(colours)
ends.append(time.perf_counter())
seed, epochs = map(int, sys.argv[1:])
fit = train.fit(Config(seed=seed, epochs=epochs), len(colours), pairs)
ends.append(time.perf_counter())
shown = fit.epoch > 0
frames = animation.draw_frames(fit.epoch[shown], fit.snapshots[shown], colours.rgb, loss=fit.loss)
first = next(frames)[0]
ends.append(time.perf_counter())
stages = ("imports", "data", "train", "draw")
say(
    {
        "stages": {name: end - start for name, start, end in zip(stages, [began, *ends], ends)},
        "epochs_run": len(fit.loss),
        "loss": float(fit.loss[-1]),
        "frame": first.shape,
    }
)
sys.stdin.read()  # the memory of a process that has ended can't be asked for
