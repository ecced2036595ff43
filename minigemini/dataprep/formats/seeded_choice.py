"""Drawing by a seed, the same on every machine and with every version of NumPy."""

import hashlib

import numpy as np

from ...data.mixture import shuffled


def seeded_choice(count: int, take: int, seed: int, name: str) -> np.ndarray:
    """Draw `take` of `count` numbers, in rising order: (take,) int64. Each source draws apart from the others."""
    return np.sort(shuffled(count, seed, number_of(name))[:take])


def number_of(name: str) -> int:
    """A number that depends on a name alone."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big")
