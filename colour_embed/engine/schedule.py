"""Which epochs are run together, and which are snapshotted. NumPy only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from colour_embed.config import InputError


def chunks(epochs: int, length: int, done: int = 0) -> Iterator[np.ndarray]:
    """The numbers of the epochs done + 1 to epochs, int32, in chunks of the given length."""
    for start in range(done, epochs, length):
        yield np.arange(start + 1, min(start + length, epochs) + 1, dtype=np.int32)


def tutorial_frames(epochs: int) -> np.ndarray:
    """The epochs that the tutorial's animation shows: int [F], 263 of them for 500 epochs.

    Frames crowd at the start, where the embedding moves most: unique(floor(linspace(1, sqrt(n),
    300)^2)) with n = epochs - 1, counted from the end of the first epoch.
    """
    if epochs < 2:
        return np.arange(1, epochs + 1)
    frames = np.unique((np.linspace(1, (epochs - 1) ** 0.5, 300) ** 2).astype(int)) + 1
    # Rounding can push the last frame just below the last epoch; at 500 epochs it does not.
    return np.union1d(frames, [epochs])


def snapshot_epochs(schedule: str | Sequence[int], epochs: int) -> np.ndarray:
    """The epochs to snapshot, ascending.

    Args:
        schedule: "every" epoch and 0, the "tutorial"'s frames and 0, "none", or a list of epochs.
        epochs: How many epochs the run has.

    Raises:
        InputError: an unknown schedule, or an epoch outside 0..epochs.
    """
    if isinstance(schedule, str):
        known = {
            "every": lambda: np.arange(epochs + 1),
            "tutorial": lambda: np.append(0, tutorial_frames(epochs)),
            "none": lambda: np.zeros(0, int),
        }
        if schedule not in known:
            raise InputError(f"snapshots {schedule!r}: give one of {', '.join(known)}, or epochs")
        return known[schedule]()
    chosen = np.unique(np.asarray(schedule, int))
    if chosen.size and (chosen[0] < 0 or chosen[-1] > epochs):
        raise InputError(f"snapshots: the epochs must lie in 0..{epochs}")
    return chosen
