"""Scores with confidence intervals, and paired tests between runs; all results are deterministic."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .task import Measure, UnitScore

DRAWS, CHUNK, SEED = 2000, 100, 0
FEW_UNITS = 30
"""With fewer units in a stratum, bootstrap intervals are too narrow."""
FLIPS = 10_000


@dataclass(frozen=True)
class Figure:
    """A measure's score in points, its 95 % interval, and the number of units."""

    score: float
    low: float
    high: float
    units: int


@dataclass(frozen=True)
class Difference:
    """The second run minus the first in points, on the units that both answered, with the p-value."""

    points: float
    p: float
    units: int


def figure(measure: Measure) -> Figure:
    """Compute the score and its 95 % interval.

    The interval is a stratified bootstrap, except where that fails: with few units, and with units of equal value,
    where it has zero width. Those cases, and scores of only 0 and 1 in one stratum, use Wilson's interval.
    """
    values, weights, strata = _arrays(measure.unit_scores)
    score = measure.scale * _sum_of_means(values, weights, strata)
    right_or_wrong = len(strata) == 1 and np.isin(values, (0, 1)).all() and (weights == 1).all()
    can_bootstrap = all(len(rows) >= FEW_UNITS and np.ptp(values[rows]) > 0 for rows in strata)
    if can_bootstrap and not right_or_wrong:
        low, high = _bootstrap(values, weights, strata)
    else:
        low, high = _wilson_sum(values, weights, strata, max(measure.max_value, values.max()))
    return Figure(score, measure.scale * low, measure.scale * high, len(values))


def wilson(right: float, total: float) -> tuple[float, float]:
    """Wilson's 95 % interval of the proportion `right / total` (Wilson 1927)."""
    z, p = 1.96, right / total
    middle, spread = p + z * z / (2 * total), z * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    low, high = (middle - spread) / (1 + z * z / total), (middle + spread) / (1 + z * z / total)
    return max(0.0, low), min(1.0, high)  # rounding can exceed the bounds


def _wilson_sum(
    values: np.ndarray, weights: np.ndarray, strata: list[np.ndarray], max_value: float
) -> tuple[float, float]:
    """Combine Wilson's intervals of the strata's means into an interval of their sum (MOVER, Zou 2008).

    The interval is wide enough for any values in [0, `max_value`], because values at the two ends have the largest
    variance. Unequal weights are accounted for by Kish's effective sample size.
    """
    score, below, above = 0.0, 0.0, 0.0
    for rows in strata:
        own = weights[rows]
        mean, units = float((values[rows] * own).sum() / own.sum()), float(own.sum() ** 2 / (own**2).sum())
        low, high = (max_value * bound for bound in wilson(mean / max_value * units, units))
        score, below, above = score + mean, below + (mean - low) ** 2, above + (high - mean) ** 2
    return score - math.sqrt(below), score + math.sqrt(above)


def compare(first: Measure, second: Measure) -> Difference | None:
    """Compare two runs with a paired permutation test (Fisher's randomization test).

    Under the null hypothesis each unit's two values are exchangeable. The statistic is the difference of the scores
    over 10,000 random sign flips. Returns None if the runs have no unit in common.
    """
    ones, others = ({score.unit + "\0" + score.stratum: score for score in run.unit_scores} for run in (first, second))
    common = [name for name in ones if name in others]
    if not common:
        return None
    left, right = (tuple(run[name] for name in common) for run in (ones, others))
    (a, wa, strata), (b, wb, _) = _arrays(left), _arrays(right)
    parts, weights = (
        np.zeros(len(common)),
        (wa + wb) / 2,
    )  # one weight per unit for both runs, or a heavier unit would shift the others
    for rows in strata:
        parts[rows] = weights[rows] * (b[rows] - a[rows]) / weights[rows].sum()
    observed, moving = parts.sum(), parts[parts != 0]
    rng, at_least_as_large = np.random.default_rng(SEED), 0
    for _ in range(FLIPS // CHUNK if len(moving) else 0):
        signs = rng.integers(0, 2, size=(CHUNK, len(moving)), dtype=np.int8) * 2 - 1
        at_least_as_large += int((np.abs(signs @ moving) >= abs(observed) - 1e-12).sum())
    p = (1 + at_least_as_large) / (1 + FLIPS) if len(moving) else 1.0
    return Difference(first.scale * float(observed), p, len(common))


def _arrays(unit_scores: Sequence[UnitScore]) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Values (U), weights (U), and the row numbers of each stratum."""
    rows: dict[str, list[int]] = {}
    for row, score in enumerate(unit_scores):
        rows.setdefault(score.stratum, []).append(row)
    strata = [np.array(own) for own in rows.values()]
    return np.array([score.value for score in unit_scores]), np.array([score.weight for score in unit_scores]), strata


def _sum_of_means(values: np.ndarray, weights: np.ndarray, strata: list[np.ndarray]) -> float:
    return float(sum((values[rows] * weights[rows]).sum() / weights[rows].sum() for rows in strata))


def _bootstrap(values: np.ndarray, weights: np.ndarray, strata: list[np.ndarray]) -> tuple[float, float]:
    """The central 95 % of the statistic over resamples of each stratum with replacement."""
    rng = np.random.default_rng(SEED)
    drawn = np.zeros(DRAWS)
    for rows in strata:
        weighted, own = values[rows] * weights[rows], weights[rows]
        for start in range(0, DRAWS, CHUNK):
            picks = rng.integers(0, len(rows), size=(CHUNK, len(rows)))
            drawn[start : start + CHUNK] += weighted[picks].sum(1) / own[picks].sum(1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)
