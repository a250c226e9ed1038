"""A peer's side of the conversation with the benchmark.

A peer first says a line of JSON: {"versions": ...}, or {"skipped": reason}. It then answers each
line of JSON that it reads with another, so that it stays warm while others have their turn.
"""

import json
import os
import sys
from types import SimpleNamespace

import numpy as np


def serve(prepare):
    """Answer the benchmark until it ends the process.

    Args:
        prepare: (*arguments of the command) -> (answer, about). It imports the framework and
            compiles what it can. answer(number, **asked) is called with 0, 1, ... and the question.
    """
    # Frameworks print to stdout as they like, so the conversation keeps the real one to itself.
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
    """The start that all trainings share.

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
