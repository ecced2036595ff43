"""Which fingerprints are nearly the same, among millions.

Two fingerprints of 128 bits that differ in at most 3 share at least one of their four parts of 32 bits. So only those
that share a part are compared; pictures of one fingerprint are compared once.
"""

from collections.abc import Iterator

import numpy as np

MOST_BITS = 3
"""Bits by which two fingerprints may differ that are called the same."""
_MOST_AT_ONCE = 512
"""Fingerprints with one part in common that are all compared; of more (blank pages), each with that many after it."""


def groups_of(hashes: np.ndarray) -> np.ndarray:
    """Number the pictures that are nearly the same alike.

    Args:
        hashes: (n, 2) uint64; a picture without a fingerprint, or of one colour, has zeros and is like no other.

    Returns:
        (n,) int64, the lowest number of a picture in the same group.
    """
    group = np.arange(len(hashes))
    known = np.flatnonzero(hashes.any(axis=1))
    if not len(known):
        return group
    unique, first, inverse = np.unique(hashes[known], axis=0, return_index=True, return_inverse=True)
    parents = np.arange(len(unique))
    for a, b in _near(unique):
        _join(parents, a, b)
    lowest = np.full(len(unique), len(hashes))
    roots = np.array([_root(parents, n) for n in range(len(unique))])
    np.minimum.at(lowest, roots, known[first])
    group[known] = lowest[roots[inverse.ravel()]]
    return group


def _near(unique: np.ndarray) -> Iterator[tuple[int, int]]:
    """Pairs of rows that differ in a few bits; a pair may come more than once."""
    parts = unique.view(np.uint32).reshape(len(unique), 4)
    for part in parts.T:
        order = np.argsort(part, kind="stable")
        starts = np.flatnonzero(np.diff(part[order], prepend=part[order[0]] + np.uint32(1)))
        sizes = np.diff(np.append(starts, len(order)))
        for start, size in zip(starts[sizes > 1], sizes[sizes > 1], strict=True):
            members = order[start : start + size]
            for n in range(size - 1):
                others = members[n + 1 : n + 1 + _MOST_AT_ONCE]
                differing = np.bitwise_count(unique[members[n]] ^ unique[others]).sum(axis=1)
                for other in others[differing <= MOST_BITS]:
                    yield int(members[n]), int(other)


def _root(parents: np.ndarray, n: int) -> int:
    while parents[n] != n:
        parents[n] = parents[parents[n]]
        n = int(parents[n])
    return n


def _join(parents: np.ndarray, a: int, b: int) -> None:
    first, second = sorted((_root(parents, a), _root(parents, b)))
    parents[second] = first
