"""Split answers that are lists into their clauses."""

import re


def clauses(answer: str) -> list[str]:
    """Return "the hat red" and "the star blue" for "The hat red and the star blue."."""
    return re.split(r"(?:, | and )(?=the )", answer[0].lower() + answer[1:].rstrip("."))
