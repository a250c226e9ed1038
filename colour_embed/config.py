"""What a training run is, as frozen data; and the one error that users see."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
from dataclasses import dataclass, field
from typing import Any

HEADS = ("free", "negative", "inverse", "matched", "dot")
"""How two vectors become a logit; see `heads`."""


class InputError(ValueError):
    """Something the user gave is wrong; the message is one line: where, what and how to mend it."""


def _static(default: Any) -> Any:
    """A field that decides which program is compiled."""
    return field(default=default, metadata={"role": "static"})


def _member(default: Any) -> Any:
    """A field that says which member of a sweep this is: vmapped by key or by padding."""
    return field(default=default, metadata={"role": "member"})


def _number(default: float | None) -> Any:
    """A field that enters the compiled program as an argument: it can be vmapped."""
    return field(default=default, metadata={"role": "number"})


@dataclass(frozen=True)
class Config:
    """One training run. The defaults are the tutorial's, which are Keras's.

    Every field has a role: "static" fields decide the compiled program; "number" fields are
    arguments of it and can be swept without compiling again; "member" fields (seed, dim) say which
    member of a sweep a run is.

    Attributes:
        seed: Seed of the initial parameters and of the order of the pairs.
        dim: Number of coordinates per item.
        epochs: Passes over all pairs.
        batch_size: Pairs per step. The last batch of an epoch holds what is left and is averaged
            over what it holds.
        head: How two vectors become a logit, see `heads`: "free", the tutorial's dense unit, whose
            weight may take either sign; "negative", whose weight is -softplus of the parameter and
            so can never be positive; "inverse", "matched" or "dot".
        smoothing: Of the heads "inverse" and "matched" only; see `heads.logits`.
        normalise: Scale every row of the embedding to length one before the distance.
        optimizer: "keras_adam", or the name of an optimiser in optax.
        optimizer_options: Further arguments of an optax optimiser, as (name, value) pairs.
        learning_rate: Step size of the optimiser.
        beta1: Decay of the mean of the gradient (keras_adam only).
        beta2: Decay of the mean of the squared gradient (keras_adam only).
        epsilon: Added to the root of the second moment, outside its bias correction (keras_adam
            only).
        initial_scale: The embedding starts uniform in (-initial_scale, initial_scale).
        initial_kernel: Where the dense kernel starts; None draws it, Glorot uniform.
        label_constant: c of the rule that labels pairs, diff < c u^2 with u uniform in (0, 1).

    Raises:
        InputError: a value is out of range; the message says which and what it may be.
    """

    seed: int = _member(0)
    dim: int = _member(2)
    epochs: int = _static(500)
    batch_size: int = _static(512)
    head: str = _static("free")
    smoothing: float = _static(0.1)
    normalise: bool = _static(False)
    optimizer: str = _static("keras_adam")
    optimizer_options: tuple[tuple[str, float], ...] = _static(())
    learning_rate: float = _number(1e-3)
    beta1: float = _number(0.9)
    beta2: float = _number(0.999)
    epsilon: float = _number(1e-7)
    initial_scale: float = _number(0.05)
    initial_kernel: float | None = _number(None)
    label_constant: float = _number(0.2)

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
        for name in (*number_names(), "smoothing"):
            value = getattr(self, name)
            if name == "initial_kernel" and value is None:
                continue
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not (number and math.isfinite(value)):
                raise InputError(f"{name} is {value!r}: give a finite number")
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
        """This config with all that the compiled step does not depend on at its default."""
        kept = {f.name: getattr(self, f.name) for f in _fields("static") if f.name != "epochs"}
        return Config(dim=self.dim, **kept)

    def numbers(self) -> dict[str, float]:
        """The fields that enter the compiled program as arguments, by name; NaN for None."""
        values = {name: getattr(self, name) for name in number_names()}
        return {name: math.nan if value is None else float(value) for name, value in values.items()}

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
                mend = f"did you mean {near[0]!r}" if near else f"the fields are {', '.join(known)}"
                raise InputError(f"config: no field is called {name!r}: {mend}")
        return cls(**values)


def _options(options: Any) -> tuple[tuple[str, Any], ...]:
    """Options as sorted (name, value) pairs, from a dict or from such pairs."""
    try:
        pairs = dict(options.items() if isinstance(options, dict) else map(tuple, options))
    except (TypeError, ValueError):
        pairs = {0: 0}
    plain = (bool, int, float, str, type(None))
    if not all(isinstance(k, str) and isinstance(v, plain) for k, v in pairs.items()):
        raise InputError(
            f"optimizer_options is {options!r}: give names with a number, a text or true or false"
        )
    return tuple(sorted(pairs.items()))


def _fields(role: str) -> list[dataclasses.Field]:
    return [f for f in dataclasses.fields(Config) if f.metadata["role"] == role]


def number_names() -> list[str]:
    """The names of the config's fields that can be swept without compiling again."""
    return [f.name for f in _fields("number")]
