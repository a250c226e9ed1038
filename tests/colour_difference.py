"""The colour difference CIEDE2000."""

import numpy as np


def ciede2000(one, other):
    """Return the difference of CIELAB colours [N, 3], float64 [N].

    G. Sharma, W. Wu and E. N. Dalal, "The CIEDE2000 color-difference formula", 2005.
    """
    (l1, a1, b1), (l2, a2, b2) = np.transpose(one), np.transpose(other)
    chroma = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    stretch = 1 + (1 - np.sqrt(chroma**7 / (chroma**7 + 25.0**7))) / 2
    a1, a2 = stretch * a1, stretch * a2
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = (np.degrees(np.arctan2(b, a)) % 360 for a, b in ((a1, b1), (a2, b2)))
    grey = c1 * c2 == 0
    turn = np.where(grey, 0, (h2 - h1 + 180) % 360 - 180)
    hue = np.where(grey, h1 + h2, (h1 + turn / 2) % 360)
    lightness, c = (l1 + l2) / 2, (c1 + c2) / 2

    def cosine(times, shift):
        return np.cos(np.radians(times * hue + shift))

    weight = 1 - 0.17 * cosine(1, -30) + 0.24 * cosine(2, 0)
    weight += 0.32 * cosine(3, 6) - 0.2 * cosine(4, -63)
    dl = (l2 - l1) / (1 + 0.015 * (lightness - 50) ** 2 / np.sqrt(20 + (lightness - 50) ** 2))
    dc = (c2 - c1) / (1 + 0.045 * c)
    dh = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2)) / (1 + 0.015 * c * weight)
    angle = 60 * np.exp(-(((hue - 275) / 25) ** 2))
    rotation = -2 * np.sqrt(c**7 / (c**7 + 25.0**7)) * np.sin(np.radians(angle))
    return np.sqrt(dl**2 + dc**2 + dh**2 + rotation * dc * dh)
