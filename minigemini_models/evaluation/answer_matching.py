"""What counts in an answer about the drawn world."""

import re
from collections.abc import Callable

AnswerMatcher = Callable[[str, str], tuple[int, int]]
"""From the right answer and what was said to how much of it is right, out of how much."""


def exact_match(expected: str, answer: str) -> tuple[int, int]:
    return int(answer == expected), 1


def characters_in_place(expected: str, answer: str) -> tuple[int, int]:
    return sum(a == b for a, b in zip(expected, answer, strict=False)), len(expected)


def same_name(expected: str, answer: str) -> tuple[int, int]:
    """The thing's name alone: "A red house." is right about the house whatever the colour."""
    return int(expected.split()[-1:] == answer.split()[-1:]), 1


def objects_matched(expected: str, answer: str) -> tuple[int, int]:
    """Things with their colours, in any order; one that is not there counts against as one that is missing."""
    expected_objects, found = (set(re.split(", | and ", text.lower().rstrip("."))) for text in (expected, answer))
    return len(expected_objects & found), max(len(expected_objects), len(found))
