"""Answers that say one thing after the other, taken apart."""

import re


def clauses(answer: str) -> list[str]:
    """ "the hat red" and "the star blue", of "The hat red and the star blue."."""
    return re.split(r"(?:, | and )(?=the )", answer[0].lower() + answer[1:].rstrip("."))
