"""How an answer is chosen. Needs no torch, so that a value out of its range is refused before that is imported."""

from dataclasses import dataclass, replace
from typing import Any, Self

from .errors import RequestError

COLDEST = 1e-4
"""The lowest temperature that draws: below it the likeliest token is all there is, and at 1e-38 logits overflow."""


@dataclass(frozen=True)
class Sampling:
    """How an answer is chosen.

    Raises:
        RequestError: a value out of its range.
    """

    max_new_tokens: int = 256
    """Longest answer, tokens."""
    temperature: float = 0.0
    """0 always takes the likeliest token; above it tokens are drawn, the flatter the higher."""
    seed: int | None = None
    """Makes a drawn answer repeatable; seeds torch's global generators."""
    top_p: float = 1.0
    """Draws among the likeliest tokens alone that have this share of the probability together."""

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise RequestError(f"max_new_tokens is {self.max_new_tokens}; an answer needs at least 1")
        if not 0 <= self.temperature <= 100:
            raise RequestError(f"temperature is {self.temperature}; it goes from 0 (always the likeliest token) to 100")
        if self.seed is not None and not 0 <= self.seed < 2**63:
            raise RequestError(f"seed is {self.seed}; it goes from 0 to {2**63 - 1}")
        if not 0 < self.top_p <= 1:
            raise RequestError(f"top_p is {self.top_p}; it is above 0 and at most 1")

    def but(self, **changes: Any) -> Self:
        """The same with other values."""
        return replace(self, **changes)


GREEDY = Sampling()
