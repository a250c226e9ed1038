"""What a run is: frozen, checked, written as JSON, and split into program and hyperparameters."""

import dataclasses
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colour_embed.config import Config, Hyperparams, InputError
from colour_embed.heads import HEADS

POSITIVE = st.floats(1e-30, 1e30, allow_nan=False)
NAMES = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1)
CONFIGS = st.builds(
    Config,
    seed=st.integers(0, 2**32 - 1),
    dim=st.integers(2, 10_000),
    epochs=st.integers(0, 10**9),
    batch_size=st.integers(1, 10**9),
    head=st.sampled_from(list(HEADS)),
    smoothing=POSITIVE,
    normalise=st.booleans(),
    optimizer=NAMES,
    optimizer_options=st.dictionaries(NAMES, POSITIVE, max_size=3),
    learning_rate=POSITIVE,
    beta1=st.floats(0, 1, exclude_max=True),
    beta2=st.floats(0, 1, exclude_max=True),
    epsilon=POSITIVE,
    initial_scale=POSITIVE,
    initial_kernel=st.none() | st.floats(-1e30, 1e30),
    initial_bias=st.floats(-1e30, 1e30),
    label_constant=POSITIVE,
)


def test_defaults_are_the_tutorials():
    config = Config()
    assert (config.dim, config.epochs, config.batch_size) == (2, 500, 512)
    assert (config.head, config.normalise, config.optimizer) == ("free", False, "keras_adam")
    assert (config.learning_rate, config.beta1, config.beta2) == (1e-3, 0.9, 0.999)
    assert (config.epsilon, config.initial_scale, config.initial_kernel) == (1e-7, 0.05, None)
    assert config.initial_bias == 0


@given(CONFIGS)
def test_json_gives_the_same_config_back(config):
    again = Config.from_json(config.to_json())
    assert again == config
    assert hash(again) == hash(config)
    assert list(json.loads(config.to_json())) == [f.name for f in dataclasses.fields(Config)]


def test_json_may_leave_fields_out():
    assert Config.from_json('{"dim": 3}') == Config(dim=3)


def test_options_are_sorted_and_may_be_a_dict():
    options = Config(optimizer_options={"b": 1.0, "a": 2.0}).optimizer_options
    assert options == (("a", 2.0), ("b", 1.0))
    assert Config(optimizer_options=(("b", 1.0), ("a", 2.0))).optimizer_options == options


def test_config_can_not_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().dim = 3


@pytest.mark.parametrize(
    ("field", "value", "mend"),
    [
        ("seed", -1, "whole number of at least 0"),
        ("seed", 1.0, "whole number of at least 0"),
        ("seed", 2**32, "whole number below 2**32"),
        ("dim", 0, "whole number of at least 1"),
        ("dim", "2", "whole number of at least 1"),
        ("dim", True, "whole number of at least 1"),
        ("epochs", -1, "whole number of at least 0"),
        ("epochs", None, "whole number of at least 0"),
        ("batch_size", 0, "whole number of at least 1"),
        ("head", "positive", "one of free, negative, inverse, matched, dot"),
        ("learning_rate", 0.0, "a number above 0"),
        ("learning_rate", math.inf, "a finite number"),
        ("learning_rate", "fast", "a finite number"),
        ("epsilon", -1e-7, "a number above 0"),
        ("initial_scale", 0, "a number above 0"),
        ("label_constant", 0.0, "a number above 0"),
        ("smoothing", 0.0, "a number above 0"),
        ("smoothing", None, "a finite number"),
        ("initial_kernel", math.nan, "a finite number"),
        ("initial_kernel", "drawn", "a finite number"),
        ("initial_kernel", True, "a finite number"),
        ("initial_kernel", 1e39, "a number that float32 holds"),
        ("initial_bias", None, "a finite number"),
        ("initial_bias", math.inf, "a finite number"),
        ("initial_bias", -1e39, "a number that float32 holds"),
        ("initial_scale", math.nan, "a finite number"),
        ("beta1", 1.0, "a number in [0, 1)"),
        ("beta1", -0.1, "a number in [0, 1)"),
        ("beta2", 1.0, "a number in [0, 1)"),
        ("beta2", None, "a finite number"),
    ],
)
def test_a_wrong_value_is_named_with_its_mend(field, value, mend):
    with pytest.raises(InputError) as caught:
        Config(**{field: value})
    message = str(caught.value)
    assert message.startswith(f"{field} is {value!r}: give ")
    assert message.endswith(mend)
    assert "\n" not in message


def test_limits_themselves_are_allowed():
    Config(seed=2**32 - 1, dim=1, epochs=0, batch_size=1, beta1=0, beta2=0.0)


def test_normalise_at_one_dimension_is_refused():
    with pytest.raises(InputError, match=r"normalise with dim 1 .* give dim 2 or more"):
        Config(dim=1, normalise=True)


@pytest.mark.parametrize(
    ("written", "meant"),
    [("learning-rate", "learning_rate"), ("normalize", "normalise"), ("epoch", "epochs")],
)
def test_a_misspelt_field_is_answered_with_the_nearest(written, meant):
    with pytest.raises(InputError, match=f"no field is called '{written}': did you mean '{meant}'"):
        Config.from_json(json.dumps({written: 1}))


def test_an_unknown_field_is_answered_with_all_fields():
    with pytest.raises(InputError) as caught:
        Config.from_json('{"zzz": 1}')
    assert all(f.name in str(caught.value) for f in dataclasses.fields(Config))


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "no JSON at line 1"), ('{\n"dim": 2,,\n}', "no JSON at line 2"), ("[]", "JSON object")],
)
def test_text_that_is_no_object_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        Config.from_json(text)


def test_static_keeps_only_what_the_compiled_step_depends_on():
    changed = {
        "seed": 9,
        "epochs": 3,
        "learning_rate": 0.1,
        "beta1": 0.5,
        "beta2": 0.5,
        "epsilon": 1e-3,
        "initial_scale": 1.0,
        "initial_kernel": 0.5,
        "initial_bias": 0.5,
        "label_constant": 0.5,
    }
    assert Config(**changed).static() == Config().static()
    kept = {
        "dim": 3,
        "batch_size": 7,
        "head": "negative",
        "smoothing": 0.5,
        "normalise": True,
        "optimizer": "sgd",
        "optimizer_options": (("momentum", 0.5),),
    }
    for field, value in kept.items():
        static = Config(**{field: value}).static()
        assert getattr(static, field) == value
        assert static != Config().static()
    assert changed.keys() | kept.keys() == {f.name for f in dataclasses.fields(Config)}


def test_hyperparams_are_the_fields_that_enter_as_arguments():
    found = Config(learning_rate=1, beta1=0.5, initial_kernel=-1, initial_bias=2).hyperparams()
    assert found._asdict() == {
        "learning_rate": 1.0,
        "beta1": 0.5,
        "beta2": 0.999,
        "epsilon": 1e-7,
        "initial_scale": 0.05,
        "initial_kernel": -1.0,
        "initial_bias": 2.0,
        "label_constant": 0.2,
    }
    assert all(type(value) is float for value in found)
    assert math.isnan(Config().hyperparams().initial_kernel)  # which stands for: drawn


def test_hyperparams_have_the_defaults_of_the_config():
    assert str(Hyperparams()) == str(Config().hyperparams())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("normalise", "false"),
        ("optimizer", 3),
        ("learning_rate", True),
        ("optimizer_options", 3),
        ("optimizer_options", [["momentum"]]),
        ("optimizer_options", {"mask": [1, 2]}),
    ],
)
def test_values_of_the_wrong_kind_are_refused(field, value):
    with pytest.raises(InputError, match=rf"^{field} is .*: give "):
        Config(**{field: value})
