"""The tutorial's animation as matplotlib makes it.

Started with the path of the snapshots; asked for {"what", "dim", "out"}: "draw" makes the pixels of
every frame and drops them, "whole" encodes them as ours does.
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
