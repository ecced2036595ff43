"""How an answer is chosen. Needs no torch, so that a value out of its range is refused before that is imported."""

from dataclasses import dataclass, replace
from typing import Any, Self

from ..io.argument_checks import check_integer, check_number
from ..io.errors import RequestError

MIN_TEMPERATURE = 1e-4
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
        check_integer("max_new_tokens", self.max_new_tokens, 1)
        check_number("temperature", self.temperature, 0, 100, ", and 0 always takes the likeliest token")
        if self.seed is not None:
            check_integer("seed", self.seed, 0, 2**63 - 1)
        check_number("top_p", self.top_p, 0, 1)
        if self.top_p == 0:
            raise RequestError("top_p is 0; it is above 0 and at most 1")

    def but(self, **changes: Any) -> Self:
        """The same with other values."""
        return replace(self, **changes)


GREEDY = Sampling()
