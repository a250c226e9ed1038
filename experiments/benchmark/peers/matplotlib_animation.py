"""The tutorial's animation in matplotlib.

The argument is the path of the snapshots. A request is {"what", "dim", "out"}: "draw" renders every
frame and discards it, "whole" encodes the frames with our settings.
"""

import time

import numpy as np
from _peer import serve


def prepare(path):
    import _movies
    import av
    import matplotlib

    with np.load(path) as file:
        arrays = dict(file)
    writers = {"draw": _movies.DiscardingWriter, "whole": _movies.EncodingWriter}

    def answer(number, what, dim, out):
        snapshots = arrays[f"snapshots_{dim}d"]
        began = time.perf_counter()
        frames = _movies.save(snapshots, arrays["rgb"], out, writers[what])
        return {"seconds": time.perf_counter() - began, "frames": frames}

    return answer, {"versions": {"matplotlib": matplotlib.__version__, "av": av.__version__}}


serve(prepare)
