"""What a training run is: Config (static), Hyperparams (arguments), and the error of bad input."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import json
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from colour_embed.heads import HEADS

_LARGEST = (2 - 2**-23) * 2.0**127  # of float32, in which a training computes


class InputError(ValueError):
    """Bad input. The message is one line: where it is, what is wrong, and a hint.

    Example:
        >>> Config(dim=0)
        Traceback (most recent call last):
        colour_embed.config.InputError: dim is 0: give a whole number of at least 1
    """


class Hyperparams(NamedTuple):
    """The numbers of a training that are arguments of the compiled program.

    They can be traced, swept by `vmap`, and changed without compiling again. Nothing is validated
    here: `Config` validates on the host. For the meaning of each see `Config`; `initial_kernel` is
    NaN where the kernel is drawn.

    Example:
        >>> Hyperparams(learning_rate=3e-3).beta1
        0.9
    """

    learning_rate: Any = 1e-3
    beta1: Any = 0.9
    beta2: Any = 0.999
    epsilon: Any = 1e-7
    initial_scale: Any = 0.05
    initial_kernel: Any = math.nan
    initial_bias: Any = 0.0
    label_constant: Any = 0.2


@dataclass(frozen=True)
class Config:
    """One training run. The defaults are the tutorial's, which are Keras's.

    `seed` and `dim` say which member of a sweep a run is. The fields of `Hyperparams` are arguments
    of the compiled program and can be swept. All other fields are static: they decide the program.

    Attributes:
        seed: Seed of the initial parameters and of the order of the pairs.
        dim: Number of coordinates per item.
        epochs: Passes over all pairs.
        batch_size: Pairs per step. The last batch of an epoch holds what is left and is averaged
            over what it holds.
        head: How two vectors become a logit, a name in `heads.HEADS`: "free" (the tutorial's dense
            unit, whose weight may take either sign), "negative" (a weight that cannot be positive),
            "inverse", "matched" or "dot".
        smoothing: Used by the heads "inverse" and "matched"; see `heads`.
        normalise: Scale every row of the embedding to length one before the distance.
        optimizer: "keras_adam", "lazy_adam" (rows that a step does not touch stand still), or the
            name of an optimiser in optax.
        optimizer_options: Further arguments of an optax optimiser, as (name, value) pairs.
        learning_rate: Step size of the optimiser.
        beta1: Decay of the mean of the gradient (keras_adam only).
        beta2: Decay of the mean of the squared gradient (keras_adam only).
        epsilon: Added to the root of the second moment, outside its bias correction (keras_adam
            only).
        initial_scale: The embedding starts uniform in (-initial_scale, initial_scale).
        initial_kernel: Where the dense kernel starts; None draws it, Glorot uniform.
        initial_bias: Where the dense bias starts.
        label_constant: c of the rule that labels pairs, diff < c u^2 with u uniform in (0, 1).

    Raises:
        InputError: a value is out of range; the message says which and what it may be.

    Example:
        >>> config = Config(dim=3, head="negative")
        >>> config.epochs, config.hyperparams().learning_rate
        (500, 0.001)
    """

    seed: int = 0
    dim: int = 2
    epochs: int = 500
    batch_size: int = 512
    head: str = "free"
    smoothing: float = 0.1
    normalise: bool = False
    optimizer: str = "keras_adam"
    optimizer_options: tuple[tuple[str, float], ...] = ()
    learning_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-7
    initial_scale: float = 0.05
    initial_kernel: float | None = None
    initial_bias: float = 0.0
    label_constant: float = 0.2

    def __post_init__(self):  # noqa: D105
        object.__setattr__(self, "optimizer_options", _options(self.optimizer_options))
        if not isinstance(self.normalise, bool):
            raise InputError(f"normalise is {self.normalise!r}: give true or false")
        if not isinstance(self.optimizer, str):
            raise InputError(f"optimizer is {self.optimizer!r}: give the name of an optimiser")
        for name, least in (("seed", 0), ("dim", 1), ("epochs", 0), ("batch_size", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InputError(f"{name} is {value!r}: give a whole number of at least {least}")
        if self.seed >= 2**32:
            raise InputError(f"seed is {self.seed}: give a whole number below 2**32")
        if self.head not in HEADS:
            raise InputError(f"head is {self.head!r}: give one of {', '.join(HEADS)}")
        for name in (*Hyperparams._fields, "smoothing"):
            value = getattr(self, name)
            if name == "initial_kernel" and value is None:
                continue
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not (number and math.isfinite(value)):
                raise InputError(f"{name} is {value!r}: give a finite number")
            if abs(value) > _LARGEST:
                raise InputError(f"{name} is {value!r}: give a number that float32 holds")
        for name in ("learning_rate", "epsilon", "initial_scale", "label_constant", "smoothing"):
            if getattr(self, name) <= 0:
                raise InputError(f"{name} is {getattr(self, name)!r}: give a number above 0")
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)!r}: give a number in [0, 1)")
        if self.normalise and self.dim == 1:
            raise InputError(
                "normalise with dim 1 leaves only the signs of the coordinates, whose gradient is "
                "zero: give dim 2 or more, or leave normalise out"
            )

    def static(self) -> Config:
        """This config with all that the compiled program does not depend on at its default."""
        free = ("seed", "epochs", *Hyperparams._fields)
        return dataclasses.replace(self, **{name: getattr(Config, name) for name in free})

    def hyperparams(self) -> Hyperparams:
        """The fields that are arguments of the compiled program; NaN where one is None."""
        values = (getattr(self, name) for name in Hyperparams._fields)
        return Hyperparams(*(math.nan if value is None else float(value) for value in values))

    def to_json(self) -> str:
        """This config as a JSON object; `from_json` reads it back."""
        return json.dumps(dataclasses.asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> Config:
        """The config that `to_json` wrote.

        Raises:
            InputError: the text is no JSON object, or names a field that does not exist.
        """
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(f"config: no JSON at line {error.lineno}: {error.msg}") from None
        if not isinstance(values, dict):
            raise InputError("config: give a JSON object of fields")
        known = [f.name for f in dataclasses.fields(cls)]
        for name in values:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f"did you mean {near[0]!r}" if near else f"the fields are {', '.join(known)}"
                raise InputError(f"config: no field is called {name!r}: {hint}")
        return cls(**values)


@dataclass(frozen=True)
class Stopping:
    """The early stopping rule.

    Attributes:
        max_steps: The most steps, rounded to whole epochs; the last evaluation is within them.
        evaluate_every: Steps between two evaluations of the loss; at least an epoch.
        tolerance: The least improvement on the best evaluation, in nats per pair.
        patience: Evaluations without an improvement before the learning rate drops or the training
            stops.
        drops: Number of learning-rate drops, each to a tenth, before the training stops.

    Raises:
        InputError: a value is out of range.

    Example:
        >>> Stopping(patience=5).max_steps
        50000
    """

    max_steps: int = 50_000
    evaluate_every: int = 200
    tolerance: float = 1e-4
    patience: int = 10
    drops: int = 1

    def __post_init__(self):  # noqa: D105
        for name, least in (("max_steps", 1), ("evaluate_every", 1), ("patience", 1), ("drops", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InputError(f"{name} is {value!r}: give a whole number of at least {least}")
        if not 0 <= self.tolerance < math.inf:
            raise InputError(f"tolerance is {self.tolerance!r}: give a finite number of 0 or more")


def _options(options: Any) -> tuple[tuple[str, Any], ...]:
    """Options as sorted (name, value) pairs, from a dict or from such pairs."""
    pairs: dict[Any, Any] = {0: 0}
    with contextlib.suppress(TypeError, ValueError):
        pairs = dict(options.items() if isinstance(options, dict) else map(tuple, options))
    plain = (bool, int, float, str, type(None))
    if not all(isinstance(k, str) and isinstance(v, plain) for k, v in pairs.items()):
        raise InputError(
            f"optimizer_options is {options!r}: give names with a number, a text or true or false"
        )
    return tuple(sorted(pairs.items()))
