"""sRGB to CIELAB: the space in which distances were made to look alike to the eye. NumPy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["srgb_to_lab"]

# Linear sRGB to XYZ, white at Y = 1, and the D65 white point that it maps white to.
_TO_XYZ = np.array(
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]], np.float64
)
_WHITE = _TO_XYZ.sum(axis=1)
_CORNER = 6 / 29


def srgb_to_lab(rgb: ArrayLike) -> NDArray[np.float64]:
    """CIELAB coordinates of sRGB colours, by the white point D65.

    The transfer curve is undone, v / 12.92 up to 0.04045 and ((v + 0.055) / 1.055)^2.4 above; the
    standard's matrix gives XYZ; and with f(t) = t^(1/3) above (6/29)^3, and its tangent there
    below, L* = 116 f(Y) - 16, a* = 500 (f(X) - f(Y)), b* = 200 (f(Y) - f(Z)), each relative to
    white. White is the matrix's own image of (1, 1, 1), so that greys have a* = b* = 0.

    Args:
        rgb: [..., 3], red, green and blue in 0..1.

    Returns:
        float64 [..., 3]: L* in 0..100, a* and b*.

    Raises:
        ValueError: a wrong shape, or a value outside 0..1.

    References:
        IEC 61966-2-1:1999 (sRGB); CIE 15:2004, section 8.2.1.1 (CIELAB).

    Example:
        >>> srgb_to_lab([1.0, 1.0, 1.0]).round(6).tolist()
        [100.0, 0.0, 0.0]
    """
    rgb = np.asarray(rgb, np.float64)
    if rgb.shape[-1:] != (3,):
        raise ValueError(f"rgb must be [..., 3], got {rgb.shape}")
    if not np.all((rgb >= 0) & (rgb <= 1)):
        raise ValueError("rgb must lie in 0..1: divide values of 0..255 by 255")
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    relative = linear @ _TO_XYZ.T / _WHITE
    root = np.where(relative > _CORNER**3, np.cbrt(relative), relative / (3 * _CORNER**2) + 4 / 29)
    x, y, z = np.moveaxis(root, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)
