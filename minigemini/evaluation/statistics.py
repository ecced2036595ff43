"""Figures with their intervals, and whether two runs differ by more than chance. All of it repeats bit for bit."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .task import Measure, UnitScore

DRAWS, CHUNK, SEED = 2000, 100, 0
FEW_UNITS = 30
"""Below so many in a stratum a bootstrap is too narrow."""
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
    """The score with its interval.

    A bootstrap, stratified, where it can tell: not of a few units, and not of units that are all alike, of which it
    would say that any other is, too. Wilson's there, and where every unit is simply right or wrong.
    """
    values, weights, strata = _arrays(measure.marks)
    score = measure.scale * _sum_of_means(values, weights, strata)
    right_or_wrong = len(strata) == 1 and np.isin(values, (0, 1)).all() and (weights == 1).all()
    telling = all(len(rows) >= FEW_UNITS and np.ptp(values[rows]) > 0 for rows in strata)
    if telling and not right_or_wrong:
        low, high = _bootstrap(values, weights, strata)
    else:
        low, high = _wilsons(values, weights, strata, max(measure.most, values.max()))
    return Figure(score, measure.scale * low, measure.scale * high, len(values))


def wilson(right: float, asked: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (Wilson 1927)."""
    z, p = 1.96, right / asked
    middle, spread = p + z * z / (2 * asked), z * math.sqrt(p * (1 - p) / asked + z * z / (4 * asked * asked))
    low, high = (middle - spread) / (1 + z * z / asked), (middle + spread) / (1 + z * z / asked)
    return max(0.0, low), min(1.0, high)  # rounding goes beyond


def _wilsons(values: np.ndarray, weights: np.ndarray, strata: list[np.ndarray], most: float) -> tuple[float, float]:
    """Wilson's intervals of the strata's means, joined to that of their sum by the squares of their arms (Zou 2008).

    Of values between 0 and `most` it is wide enough: none vary more than those that are one or the other. Units that
    weigh differently count as Kish's number of units that weigh the same.
    """
    score, below, above = 0.0, 0.0, 0.0
    for rows in strata:
        own = weights[rows]
        mean, units = float((values[rows] * own).sum() / own.sum()), float(own.sum() ** 2 / (own**2).sum())
        low, high = (most * bound for bound in wilson(mean / most * units, units))
        score, below, above = score + mean, below + (mean - low) ** 2, above + (high - mean) ** 2
    return score - math.sqrt(below), score + math.sqrt(above)


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


def _arrays(marks: Sequence[UnitScore]) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
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
