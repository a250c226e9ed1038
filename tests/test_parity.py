"""Our step against Keras 3 itself, and against float64 NumPy: the same start, the same batches.

The bounds are max|difference| / max|reference| per array of parameters. They are what rounding
allows and are not to be loosened: a step that differs from Keras's in a constant breaks them.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import reference

from colour_embed import data
from colour_embed.heads import HEADS

CASES = [f"{dim}/{variant}" for dim in (2, 3) for variant in ("plain", "normalised")]
LEAVES = ("embedding", "kernel", "bias")
BOUND = {
    ("float64", "plain"): 1e-9,
    ("float64", "normalised"): 1e-9,
    ("float32", "plain"): 2e-6,
    ("float32", "normalised"): 1e-4,
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """What keras_peer.py wrote, by precision; both programs run side by side."""
    # Only looked for: importing it here would want its default backend, TensorFlow.
    if importlib.util.find_spec("keras") is None:
        pytest.skip("keras is not installed: install the extra [test]")
    folder = tmp_path_factory.mktemp("parity")
    program = Path(__file__).with_name("keras_peer.py")
    running = {}
    for dtype in ("float32", "float64"):
        environment = os.environ | {
            "KERAS_BACKEND": "jax",
            "KERAS_HOME": str(folder / "keras"),  # not the user's own settings of Keras
            "JAX_ENABLE_X64": "1" if dtype == "float64" else "0",
            "JAX_NUMPY_RANK_PROMOTION": "allow",  # Keras relies on it
            "PYTHONPATH": str(program.parent.parent),
        }
        running[dtype] = subprocess.Popen(
            [sys.executable, str(program), dtype, str(folder / f"{dtype}.npz")],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    results = {}
    for dtype, process in running.items():
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
        results[dtype] = dict(np.load(folder / f"{dtype}.npz"))
    return results


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_parameters_after_training_are_those_of_keras(trained, dtype, case):
    # A whole epoch of the tutorial, 195 x 512 + 160 pairs, in float64; 60 steps in float32.
    result, variant = trained[dtype], case.split("/")[1]
    for name in LEAVES:
        theirs = result[f"keras/{case}/{name}"]
        difference = reference.relative_difference(result[f"ours/{case}/{name}"], theirs)
        assert difference <= BOUND[dtype, variant], name
        # Something was learned: without this, a step that does nothing on both sides would pass.
        assert reference.relative_difference(result[f"start/{case}/{name}"], theirs) > 1e-2, name


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_epoch_metrics_are_those_that_keras_reports(trained, dtype, case):
    result, variant = trained[dtype], case.split("/")[1]
    for name in ("loss", "mse"):
        ours, theirs = result[f"ours/{case}/{name}"], result[f"keras/{case}/{name}"]
        assert ours.shape == theirs.shape == ((1,) if dtype == "float64" else (2,))
        assert reference.relative_difference(ours, theirs) <= BOUND[dtype, variant], name


@pytest.mark.parametrize("variant", ["plain", "normalised"])
@pytest.mark.parametrize("head", ["free", "negative"])
def test_steps_in_float64_are_those_of_the_formulas(trained, head, variant):
    result, case = trained["float64"], f"{head}/{variant}"
    start = reference.nested({name: result[f"start/{case}/{name}"] for name in LEAVES})
    pairs = data.tutorial_pairs(data.load_colours())
    generator = np.random.default_rng(3)
    order = [generator.permutation(4 * 512 + 160) for _ in range(2)]
    params, loss, mse = reference.train(
        start, pairs.index, pairs.label, order, 512, head=head, normalise=variant == "normalised"
    )
    for name, theirs in reference.leaves(params).items():
        assert reference.relative_difference(result[f"ours/{case}/{name}"], theirs) <= 1e-10, name
    np.testing.assert_allclose(
        result[f"ours/{case}/metrics"], [loss[-1], mse[-1]], rtol=1e-10, atol=0
    )


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_tiny_rows_are_scaled_as_with_keras_at_the_bound_1e_6(trained, dtype):
    # TensorFlow's l2_normalize, which the tutorial calls, holds the squared length at 1e-12. Keras
    # 3's own default is 1e-7 for the length, so there the bound has to be given.
    tiny = {name: trained[dtype][f"tiny/{name}"] for name in ("rows", "ours", "bound", "default")}
    length = np.linalg.norm(tiny["rows"].astype(np.float64), axis=1)
    assert (length < 1e-7).any()
    assert ((length > 1e-7) & (length < 1e-6)).any()
    tolerance = 1e-12 if dtype == "float64" else 2e-5  # the gradient cancels where it is steep
    for ours, bound, default in zip(tiny["ours"], tiny["bound"], tiny["default"]):
        scale = np.abs(bound).max(axis=1)
        assert np.all(np.abs(ours - bound).max(axis=1) <= tolerance * scale)
        agrees = np.abs(ours - default).max(axis=1) <= tolerance * scale
        np.testing.assert_array_equal(agrees, length > 1e-6)


def test_reference_gradient_is_the_slope_of_its_loss():
    generator = np.random.default_rng(0)
    params = reference.nested(
        {
            "embedding": generator.normal(size=(4, 2)),
            "kernel": np.array([[-0.7]]),
            "bias": np.array([0.3]),
        }
    )
    first, second = np.array([0, 1, 2, 3, 1]), np.array([1, 2, 0, 3, 2])
    label, weight = np.array([1.0, 0, 0, 1, 1]), np.full(5, 0.2)
    for head in HEADS:
        for normalise in (False, True):
            arguments = (first, second, label, weight, head, normalise)
            _, _, gradient = reference.value_and_gradient(params, *arguments)
            flat, slopes = reference.leaves(params), reference.leaves(gradient)
            for name, value in flat.items():
                for place in np.ndindex(value.shape):
                    moved = []
                    for change in (1e-6, -1e-6):
                        copy = flat | {name: value.copy()}
                        copy[name][place] += change
                        nested = reference.nested(copy)
                        moved.append(reference.value_and_gradient(nested, *arguments)[0])
                    slope = (moved[0] - moved[1]) / 2e-6
                    assert abs(slope - slopes[name][place]) < 1e-8, (head, normalise, name, place)
