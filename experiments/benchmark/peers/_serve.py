"""A training peer's side of the conversation with the benchmark.

The peer is started with the path of a problem, says that it is ready (or what it lacks), and then
trains once for each line that it reads. So it can stay warm while others have their turn.
"""

import sys
from typing import NamedTuple

import numpy as np
from _asked import open_channel


class Problem(NamedTuple):
    """The same start for every peer."""

    index: np.ndarray  # int32 [N, 2]
    label: np.ndarray  # float32 [N]
    embedding: np.ndarray  # float32 [items, dim]
    kernel: np.ndarray  # float32 [1, 1]
    bias: np.ndarray  # float32 [1]
    epochs: int  # of a whole training
    run_epochs: int  # that this peer is asked to run
    batch_size: int
    seed: int


def serve(prepare) -> None:
    """Answer the benchmark until it closes the conversation.

    Args:
        prepare: problem -> (fit, versions). It imports the framework and compiles what it can.
            fit(run) trains from the problem's start, in an order that depends on the run's number,
            and returns seconds, epochs_run, epochs_timed and the loss of the last epoch.
    """
    say = open_channel()
    with np.load(sys.argv[1]) as file:
        problem = Problem(**{name: file[name] for name in Problem._fields})
    scalars = ("epochs", "run_epochs", "batch_size", "seed")
    problem = problem._replace(**{name: int(getattr(problem, name)) for name in scalars})
    try:
        fit, versions = prepare(problem)
    except ModuleNotFoundError as error:
        say({"skipped": f"{error.name.split('.')[0]} is not installed"})
        return
    say({"versions": versions})
    for run, _ in enumerate(sys.stdin):
        say(fit(run))
