"""Figures with their intervals, and whether two runs differ by more than chance. All of it repeats bit for bit."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .task import Mark, Measure

DRAWS, CHUNK, SEED = 2000, 100, 0
FLIPS = 10_000


@dataclass(frozen=True)
class Figure:
    """A measure's score in points, its 95 % interval, and how many units stand behind it."""

    score: float
    low: float
    high: float
    units: int


@dataclass(frozen=True)
class Difference:
    """The second run less the first in points, on the units that both answered, and the chance of as much by luck."""

    points: float
    p: float
    units: int


def figure(measure: Measure) -> Figure:
    """The score with Wilson's interval where every unit is right or wrong, and a stratified bootstrap's elsewhere."""
    values, weights, strata = _arrays(measure.marks)
    score = measure.scale * _sum_of_means(values, weights, strata)
    if len(strata) == 1 and np.isin(values, (0, 1)).all() and (weights == 1).all():
        low, high = (measure.scale * bound for bound in wilson(int(values.sum()), len(values)))
    else:
        low, high = (measure.scale * bound for bound in _bootstrap(values, weights, strata))
    return Figure(score, low, high, len(values))


def wilson(right: int, asked: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (Wilson 1927)."""
    z, p = 1.96, right / asked
    middle, spread = p + z * z / (2 * asked), z * math.sqrt(p * (1 - p) / asked + z * z / (4 * asked * asked))
    low, high = (middle - spread) / (1 + z * z / asked), (middle + spread) / (1 + z * z / asked)
    return max(0.0, low), min(1.0, high)  # rounding goes beyond


def compare(first: Measure, second: Measure) -> Difference | None:
    """A paired test by swapping: if the runs were alike, each unit's two values might as well change places.

    The statistic is the difference of the scores, in 10,000 draws of which units swap (Fisher's randomisation). None if
    no unit is common.
    """
    ones, others = ({mark.unit + "\0" + mark.stratum: mark for mark in run.marks} for run in (first, second))
    common = [name for name in ones if name in others]
    if not common:
        return None
    left, right = (tuple(run[name] for name in common) for run in (ones, others))
    (a, wa, strata), (b, wb, _) = _arrays(left), _arrays(right)
    parts, weights = np.zeros(len(common)), (wa + wb) / 2  # of one answer that weighs more, the others must not move
    for rows in strata:
        parts[rows] = weights[rows] * (b[rows] - a[rows]) / weights[rows].sum()
    observed, moving = parts.sum(), parts[parts != 0]
    rng, as_far = np.random.default_rng(SEED), 0
    for _ in range(FLIPS // CHUNK if len(moving) else 0):
        signs = rng.integers(0, 2, size=(CHUNK, len(moving)), dtype=np.int8) * 2 - 1
        as_far += int((np.abs(signs @ moving) >= abs(observed) - 1e-12).sum())
    p = (1 + as_far) / (1 + FLIPS) if len(moving) else 1.0
    return Difference(first.scale * float(observed), p, len(common))


def _arrays(marks: Sequence[Mark]) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Values (U), weights (U), and the rows of each stratum."""
    names = [mark.stratum for mark in marks]
    strata = [np.array([row for row, name in enumerate(names) if name == stratum]) for stratum in dict.fromkeys(names)]
    return np.array([mark.value for mark in marks]), np.array([mark.weight for mark in marks]), strata


def _sum_of_means(values: np.ndarray, weights: np.ndarray, strata: list[np.ndarray]) -> float:
    return float(sum((values[rows] * weights[rows]).sum() / weights[rows].sum() for rows in strata))


def _bootstrap(values: np.ndarray, weights: np.ndarray, strata: list[np.ndarray]) -> tuple[float, float]:
    """The middle 95 % of the statistic over units drawn again, as many from each stratum as there are."""
    rng = np.random.default_rng(SEED)
    drawn = np.zeros(DRAWS)
    for rows in strata:
        weighted, own = values[rows] * weights[rows], weights[rows]
        for start in range(0, DRAWS, CHUNK):
            picks = rng.integers(0, len(rows), size=(CHUNK, len(rows)))
            drawn[start : start + CHUNK] += weighted[picks].sum(1) / own[picks].sum(1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)
