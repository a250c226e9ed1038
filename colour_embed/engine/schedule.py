"""The chunks of epochs that run in one call, and the epochs of the snapshots. NumPy only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from colour_embed.config import InputError


def chunks(epochs: int, length: int, done: int = 0) -> Iterator[np.ndarray]:
    """Yield the epochs done + 1 to epochs, int32, in chunks of at most `length`."""
    for start in range(done, epochs, length):
        yield np.arange(start + 1, min(start + length, epochs) + 1, dtype=np.int32)


def tutorial_frames(epochs: int) -> np.ndarray:
    """Return the epochs of the tutorial's animation, int [F]; F is 263 for 500 epochs.

    Frames are densest at the start, where the embedding moves most: unique(floor(linspace(1,
    sqrt(n), 300)^2)) with n = epochs - 1, counted from the end of the first epoch.
    """
    if epochs < 2:
        return np.arange(1, epochs + 1)
    frames = np.unique((np.linspace(1, (epochs - 1) ** 0.5, 300) ** 2).astype(int)) + 1
    # For some lengths, 500 epochs not among them, rounding puts the last frame before the end.
    return np.union1d(frames, [epochs])


def snapshot_epochs(schedule: str | Sequence[int], epochs: int) -> np.ndarray:
    """Return the epochs of the snapshots, int [F], ascending.

    Args:
        schedule: "every" (0 and all epochs), "tutorial" (0 and `tutorial_frames`), "none", or a
            list of epochs.
        epochs: The number of epochs of the training.

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
