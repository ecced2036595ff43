"""What `small` learns to answer: which skill lesson number i is about."""

from collections.abc import Callable

from .lesson import Lesson
from .lessons import conversation, documents, drawing, photographs, scenes, shapes

_SHARES: dict[Callable[[int], Lesson], int] = {
    photographs.sample: 10,
    documents.sample: 6,
    scenes.sample: 2,
    shapes.sample: 4,
    drawing.sample: 2,
    conversation.sample: 1,
}
"""Lessons of each skill in every 25."""


def _schedule() -> tuple[Callable[[int], Lesson], ...]:
    """Spread the skills evenly, so that every batch has most of them."""
    turns = [((turn + 0.5) / share, skill) for skill, share in _SHARES.items() for turn in range(share)]
    return tuple(skill for _, skill in sorted(turns, key=lambda turn: turn[0]))


_SCHEDULE = _schedule()


def skill(number: int) -> Callable[[int], Lesson]:
    """Return the sampler of lesson `number`."""
    return _SCHEDULE[number % len(_SCHEDULE)]


def sample(number: int) -> Lesson:
    """Return lesson `number`, any non-negative integer."""
    return skill(number)(number)
