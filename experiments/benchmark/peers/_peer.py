"""The peer's side of the benchmark's protocol.

A peer first writes a line of JSON: {"versions": ...}, or {"skipped": reason}. It then answers each
line of JSON from stdin with another. The process stays alive between requests, so that compiled
programs are reused.
"""

import json
import os
import sys
from types import SimpleNamespace

import numpy as np


def serve(prepare):
    """Answer requests until the benchmark ends the process.

    Args:
        prepare: (*arguments of the command) -> (answer, about). It imports the framework and
            compiles ahead of time. answer(number, **asked) is called with 0, 1, ... and the
            request.
    """
    # Frameworks may print to stdout, so the protocol uses a duplicate and stdout goes to stderr.
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(answer):
        print(json.dumps(answer), file=channel, flush=True)

    try:
        answer, about = prepare(*sys.argv[1:])
    except ModuleNotFoundError as error:
        say({"skipped": f"{error.name.split('.')[0]} is not installed"})
        return
    say(about)
    for number, line in enumerate(sys.stdin):
        say(answer(number, **json.loads(line)))


def load_problem(path):
    """Load the problem that all trainings share.

    Returns:
        A namespace of index int32 [N, 2], label float32 [N], embedding float32 [items, dim], kernel
        float32 [1, 1], bias float32 [1], and the whole numbers epochs (of a whole training),
        run_epochs (that a slow peer runs), batch_size and seed.
    """
    with np.load(path) as file:
        arrays = dict(file)
    return SimpleNamespace(
        **{name: array if array.ndim else array.item() for name, array in arrays.items()}
    )
