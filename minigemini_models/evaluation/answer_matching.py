"""What counts in an answer about the drawn world."""

import re
from collections.abc import Callable

Grade = Callable[[str, str], tuple[int, int]]
"""From the right answer and what was said to how much of it is right, out of how much."""


def the_same(right: str, said: str) -> tuple[int, int]:
    return int(said == right), 1


def letters_in_place(right: str, said: str) -> tuple[int, int]:
    return sum(a == b for a, b in zip(right, said, strict=False)), len(right)


def the_name(right: str, said: str) -> tuple[int, int]:
    """The thing's name alone: "A red house." is right about the house whatever the colour."""
    return int(right.split()[-1:] == said.split()[-1:]), 1


def objects_named(right: str, said: str) -> tuple[int, int]:
    """Things with their colours, in any order; one that is not there counts against as one that is missing."""
    wanted, found = (set(re.split(", | and ", text.lower().rstrip("."))) for text in (right, said))
    return len(wanted & found), max(len(wanted), len(found))
