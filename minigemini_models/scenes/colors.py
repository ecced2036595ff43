"""Named colors of synthetic scenes, and backgrounds that contrast with them."""

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from .lettering import Color

T = TypeVar("T")

COLORS: dict[str, Color] = {
    "red": (214, 38, 44),
    "orange": (245, 138, 30),
    "yellow": (247, 214, 40),
    "green": (48, 158, 68),
    "blue": (42, 96, 204),
    "purple": (136, 60, 168),
    "black": (28, 28, 32),
    "white": (250, 250, 248),
}
BLACK: Color = (0, 0, 0)
WHITE: Color = (255, 255, 255)
"""Ink and paper of domains that are black on white."""
_MIN_DISTANCE = 110.0
"""Minimum Euclidean RGB distance between an object and its background."""
MIN_CONTRAST = 90.0
"""Minimum difference in luminance between letters and their background."""


def pick(rng: np.random.Generator, choices: Sequence[T]) -> T:
    """Return one of `choices`, sampled uniformly. Unlike `rng.choice`, it does not copy them into an array first."""
    return choices[int(rng.integers(len(choices)))]


def shade(rng: np.random.Generator, name: str, spread: int = 14) -> Color:
    """Return a shade of the named color: each channel moves by at most `spread`."""
    return _clip(np.array(COLORS[name]) + rng.integers(-spread, spread + 1, 3))


def background(rng: np.random.Generator, against: Sequence[Color]) -> Color:
    """Sample a pale, gray or muted color that contrasts with every color in `against`.

    The required distance shrinks by 1 % after every rejected color, so sampling always ends.
    """
    least = _MIN_DISTANCE
    while True:
        color = _clip(rng.integers(60, 246) + rng.integers(-28, 29, 3))
        if all(distance(color, other) >= least for other in against):
            return color
        least *= 0.99


def contrasting(rng: np.random.Generator, behind: Color) -> Color:
    """Sample any color that is legible on `behind`."""
    while True:
        color = _clip(rng.integers(0, 256, 3))
        if abs(luminance(color) - luminance(behind)) >= MIN_CONTRAST:
            return color


def distance(a: Color, b: Color) -> float:
    """Euclidean RGB distance."""
    return math.dist(a, b)


def luminance(color: Color) -> float:
    """Rec. 601 luma, 0 to 255."""
    return 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]


def _clip(channels: np.ndarray) -> Color:
    red, green, blue = channels.tolist()
    return min(max(red, 0), 255), min(max(green, 0), 255), min(max(blue, 0), 255)
