"""CIELAB against colour-science, against known values, and at its edges."""

import itertools

import numpy as np
import pytest

from colour_embed.data import load_colours
from colour_embed.evaluate.cielab import srgb_to_lab

with np.printoptions():  # which the import would change for all that comes after it
    import colour

CUBE = np.array(list(itertools.product(np.linspace(0, 1, 18), repeat=3)))
OWN_WHITE = colour.XYZ_to_xy([0.4124 + 0.3576 + 0.1805, 1.0, 0.0193 + 0.1192 + 0.9505])
D65 = colour.CCS_ILLUMINANTS["CIE 1931 2 Degree Standard Observer"]["D65"]


def _peer(rgb, white):
    return colour.XYZ_to_Lab(colour.sRGB_to_XYZ(rgb), white)


@pytest.mark.parametrize(
    "rgb", [CUBE, load_colours().rgb, CUBE / 20], ids=["cube", "tutorial", "dark"]
)
def test_lab_is_that_of_colour_science(rgb):
    # By the same white nothing but rounding is left.
    np.testing.assert_allclose(srgb_to_lab(rgb), _peer(rgb, OWN_WHITE), rtol=0, atol=1e-11)
    # The standard's matrix has four digits and sends white to (0.9505, 1, 1.0890), where D65 by
    # its own four digits of chromaticity lies at (0.95046, 1, 1.08906). That moves a* of white by
    # 0.0077 and b* by 0.0035, and no colour by more: a hundredth of what an eye can tell.
    np.testing.assert_allclose(srgb_to_lab(rgb), _peer(rgb, D65), rtol=0, atol=0.008)


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [
        ([1, 1, 1], (100, 0, 0)),
        ([0, 0, 0], (0, 0, 0)),
        # Y = ((0.5 + 0.055) / 1.055)^2.4 = 0.214041, and L* = 116 * 0.598180 - 16.
        ([0.5, 0.5, 0.5], (53.389, 0, 0)),
        # Both tangents: Y = 1 / 255 / 12.92 = 0.00030353, and L* = (29 / 3)^3 Y.
        ([1 / 255, 1 / 255, 1 / 255], (0.27418, 0, 0)),
        ([1, 0, 0], (53.24, 80.09, 67.20)),
        ([0, 1, 0], (87.73, -86.18, 83.18)),
        ([0, 0, 1], (32.30, 79.19, -107.86)),
    ],
)
def test_known_values(rgb, lab):
    # The primaries are as tables have them, which differ by 0.02 among themselves.
    tolerance = 0.025 if max(rgb) != min(rgb) else 1e-4
    np.testing.assert_allclose(srgb_to_lab(rgb), lab, atol=tolerance)


def test_greys_have_no_hue_and_grow_lighter():
    lab = srgb_to_lab(np.linspace(0, 1, 1001)[:, None].repeat(3, axis=1))
    np.testing.assert_allclose(lab[:, 1:], 0, atol=1e-12)
    # Across both corners, at 0.04045 of sRGB and (6/29)^3 of Y, without a step back or a leap.
    steps = np.diff(lab[:, 0])
    assert steps.min() > 0.06
    assert steps.max() < 0.15


@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 5, 3), (0, 3)])
def test_any_leading_shape_is_kept(shape):
    rgb = np.random.default_rng(0).random(shape)
    lab = srgb_to_lab(rgb)
    assert lab.shape == shape
    assert lab.dtype == np.float64
    for one, found in zip(rgb.reshape(-1, 3), lab.reshape(-1, 3)):
        np.testing.assert_allclose(srgb_to_lab(one.tolist()), found, rtol=1e-12)


@pytest.mark.parametrize(
    ("rgb", "message"),
    [
        (0.5, r"\[\.\.\., 3\], got \(\)"),
        ([[0.1, 0.2]], r"\[\.\.\., 3\], got \(1, 2\)"),
        (np.zeros((3, 4)), r"got \(3, 4\)"),
        ([0, 128, 255], "0..1: divide values of 0..255 by 255"),
        ([-1e-9, 0, 0], "0..1"),
        ([np.nan, 0, 0], "0..1"),
    ],
)
def test_bad_input_is_refused(rgb, message):
    with pytest.raises(ValueError, match=message):
        srgb_to_lab(rgb)
