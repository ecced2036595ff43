"""What the scores of all variants and seeds say."""

import statistics
from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import log2

from .measurements import COLUMNS, Scores
from .variants import Finding, Variant

Results = Mapping[Variant, Sequence[Scores]]
"""The scores of each variant, seed by seed."""


def figures(variant: Variant, column: str, results: Results) -> list[float]:
    """Return a variant's scores in percent, seed by seed.

    Args:
        variant: one of the results'.
        column: a key of `COLUMNS`, or the short name of a skill.
        results: of all variants.
    """
    return [statistics.mean(scores[skill] for skill in COLUMNS.get(column, (column,))) for scores in results[variant]]


def differences(worse: Variant, better: Variant, column: str, results: Results) -> list[float]:
    """Return by how many points one variant is better than another, seed by seed."""
    pairs = zip(*(figures(one, column, results) for one in (worse, better)), strict=True)
    return [b - a for a, b in pairs]


def gains(finding: Finding, results: Results) -> list[float]:
    """Return the gain of the better over the worse variant in points, seed by seed."""
    return differences(finding.worse, finding.better, finding.column, results)


def shows(finding: Finding, results: Results) -> bool:
    """Return whether the better variant is better for every seed."""
    return min(gains(finding, results)) > 0


def enough(points: Sequence[tuple[int, float]], gain: float) -> int | None:
    """Return the first size after which another doubling brings less than `gain` points; None if each brings more.

    Args:
        points: sizes in ascending order, and the score of each in percent. Between sizes that are further apart than a
            doubling, each doubling counts the same.
        gain: in points.
    """
    for (size, score), (larger, its_score) in pairwise(points):
        if (its_score - score) / log2(larger / size) < gain:
            return size
    return None
