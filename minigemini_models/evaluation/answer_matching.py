"""Scoring rules for answers about synthetic scenes."""

import re
from collections.abc import Callable

AnswerMatcher = Callable[[str, str], tuple[int, int]]
"""Takes the expected and the given answer; returns the points scored and the maximum."""


def exact_match(expected: str, answer: str) -> tuple[int, int]:
    """One point for exactly the expected answer."""
    return int(answer == expected), 1


def characters_in_place(expected: str, answer: str) -> tuple[int, int]:
    """One point for every character at its expected position."""
    return sum(a == b for a, b in zip(expected, answer, strict=False)), len(expected)


def same_name(expected: str, answer: str) -> tuple[int, int]:
    """One point for the right name; the color does not count."""
    return int(expected.split()[-1:] == answer.split()[-1:]), 1


def objects_matched(expected: str, answer: str) -> tuple[int, int]:
    """One point for every object with its color, in any order; extra objects raise the maximum.

    Objects begin with an article: "a fork and knife" is one.
    """
    expected_objects, found = (
        set(re.split(r", | and (?=an? )", text.lower().rstrip("."))) for text in (expected, answer)
    )
    return len(expected_objects & found), max(len(expected_objects), len(found))
