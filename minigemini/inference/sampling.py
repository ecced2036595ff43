"""Sampling settings. Does not import torch, so that invalid values are reported at once."""

from dataclasses import dataclass, replace
from typing import Any, Self

from ..io.argument_checks import check_integer, check_number
from ..io.errors import RequestError

MIN_TEMPERATURE = 1e-4
"""Minimum temperature for sampling: below it only the most likely token remains, and at 1e-38 logits overflow."""


@dataclass(frozen=True)
class Sampling:
    """How the tokens of an answer are chosen.

    Raises:
        RequestError: A value is out of range.
    """

    max_new_tokens: int = 256
    """Maximum length of an answer, tokens."""
    temperature: float = 0.0
    """0 always takes the most likely token; higher values sample from a flatter distribution."""
    seed: int | None = None
    """Makes sampled answers reproducible; it seeds a generator of the answer's own."""
    top_p: float = 1.0
    """Sample from the most likely tokens whose probabilities add up to this value."""
    top_k: int = 0
    """Sample from this many of the most likely tokens; 0 from all."""
    min_p: float = 0.0
    """Sample only from tokens that are at least this likely, relative to the most likely one."""
    repetition_penalty: float = 1.0
    """Above 1, tokens that occur in the prompt or the answer become less likely (arXiv:1909.05858, section 4.1).
    1 leaves the checkpoint's own setting, usually none."""
    json_schema: str | None = None
    """A JSON schema, as JSON, that the answer matches; needs llguidance. `{}` is any JSON value."""

    def __post_init__(self) -> None:
        check_integer("max_new_tokens", self.max_new_tokens, 1)
        check_number("temperature", self.temperature, 0, 100, ", and 0 always takes the most likely token")
        if self.seed is not None:
            check_integer("seed", self.seed, 0, 2**63 - 1)
        check_number("top_p", self.top_p, 0, 1)
        if self.top_p == 0:
            raise RequestError("top_p is 0; it must be above 0 and at most 1")
        check_integer("top_k", self.top_k, 0, 2**31 - 1)
        check_number("min_p", self.min_p, 0, 1)
        check_number("repetition_penalty", self.repetition_penalty, 0, 10)
        if self.repetition_penalty == 0:
            raise RequestError("repetition_penalty is 0; it must be above 0, and 1 is none")

    def but(self, **changes: Any) -> Self:
        """Return a copy with changed values."""
        return replace(self, **changes)


GREEDY = Sampling()
