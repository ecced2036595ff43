"""Photographs as visual words of the group `classes`, without pixels."""

import numpy as np

from ..lesson import PATCHES_PER_SIDE, VisualWords

CLASSES = 1000
_WORDS_PER_PATCH = 4


def photograph_words(rng: np.random.Generator, index: int) -> VisualWords:
    """Sample the words of a photograph of one ImageNet class: it fills a rectangle, and is doubted elsewhere.

    Args:
        rng: samples the rectangle and the weights.
        index: number of the class, 0 to 999.
    """
    side = PATCHES_PER_SIDE
    width, height = (int(rng.integers(4, side + 1)) for _ in range(2))
    left, top = (int(rng.integers(side - size + 1)) for size in (width, height))
    inside = np.zeros((side, side), bool)
    inside[top : top + height, left : left + width] = True
    certain = np.where(inside, rng.uniform(0.5, 0.95, (side, side)), rng.uniform(0.02, 0.4, (side, side))).reshape(
        -1, 1
    )
    others = rng.integers(CLASSES, size=(side * side, _WORDS_PER_PATCH - 1))
    shares = rng.dirichlet(np.ones(_WORDS_PER_PATCH), side * side)[:, :-1] * (1 - certain)
    indices = np.concatenate([np.full((side * side, 1), index), others], axis=1)
    return VisualWords(indices.astype(np.int16), np.concatenate([certain, shares], axis=1).astype(np.float32))
