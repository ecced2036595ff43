"""When in an epoch the samples of a source come: mixture weights that move with progress."""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import numpy as np

_STEPS = 1 << 14
"""Points at which a curriculum is integrated."""


@dataclass(frozen=True)
class Curriculum:
    """The weight of a source over an epoch, relative to itself: linear between points, constant before and after.

    How many samples an epoch takes of the source does not depend on it. Its form is `PROGRESS:WEIGHT/…`: with
    `0:1/0.5:0` the source is most frequent at first and ends in the middle of the epoch.

    Attributes:
        points: progress, 0 to 1 and ascending, and weight, at least 0.

    Raises:
        ValueError: The points are out of range or out of order, or the weight is 0 everywhere.
    """

    points: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        progress = [at for at, _ in self.points]
        in_order = all(one < other for one, other in pairwise(progress))
        in_range = all(0 <= at <= 1 and 0 <= weight < float("inf") for at, weight in self.points)
        if not self.points or not in_order or not in_range or not any(weight for _, weight in self.points):
            raise ValueError(
                f"the curriculum {self} needs ascending progress from 0 to 1 and weights that are not negative and not "
                "all 0; give for instance 0:1/0.5:0"
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the form above.

        Raises:
            ValueError: The text has another form, or its points are wrong.
        """
        try:
            points = tuple((float(at), float(weight)) for at, weight in (one.split(":") for one in text.split("/")))
        except ValueError:
            raise ValueError(f"the curriculum {text!r} is not PROGRESS:WEIGHT/…, for instance 0:1/0.5:0") from None
        return cls(points)

    def __str__(self) -> str:
        return "/".join(f"{at:g}:{weight:g}" for at, weight in self.points)

    def weight(self, progress: float) -> float:
        """The weight at a progress from 0 to 1."""
        after = bisect_right(self.points, progress, key=lambda point: point[0])
        (start, low), (end, high) = self.points[max(0, after - 1)], self.points[min(after, len(self.points) - 1)]
        return low if start == end else low + (high - low) * (progress - start) / (end - start)

    def positions(self, shares: "np.ndarray") -> "np.ndarray":
        """Progress at which a share of the samples has come: (n,) from 0 to 1 -> (n,) from 0 to 1."""
        import numpy as np  # here, so that recipes are listed without it

        progress, weights = zip(*self.points, strict=True)
        weights = np.interp(np.linspace(0, 1, _STEPS + 1), progress, weights)
        come = np.concatenate([[0.0], np.cumsum((weights[1:] + weights[:-1]) / 2)])
        return np.interp(shares, come / come[-1], np.linspace(0, 1, _STEPS + 1))
