"""Documents whose lines tell their facts one by one."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from .document import Document
from .document_words import chance

Line = tuple[str, tuple[tuple[str, str, str], ...]]
"""A line of a page, with " | " between its two ends, and what it tells: skill, questions separated by "|", answer."""


@dataclass(frozen=True)
class Sketch:
    """The lines of a page from the top, and questions that it does not answer."""

    lines: tuple[Line, ...]
    missing: tuple[str, ...]


def line(text: str, *told: tuple[str, str, str]) -> Line:
    """A line with what it tells."""
    return text, told


def some_lines(
    rng: np.random.Generator, probability: float, parts: Iterable[tuple[Line, str]]
) -> tuple[list[Line], list[str]]:
    """Choose lines; returns those chosen, and questions that the others would have answered.

    Args:
        probability: of each.
        parts: lines with the questions that have no answer without them.
    """
    lines, missing = [], []
    for part, wordings in parts:
        if chance(rng, probability):
            lines.append(part)
        else:
            missing.append(wordings)
    return lines, missing


def set_lines(document: Document, sketch: Sketch, size: int = 20, color: str = "black") -> None:
    """Set a sketch on the page of a document, the first line large, and ask about its lines."""
    page = document.page
    step = min(2.2 * size, (page.height - 100) / max(1, len(sketch.lines)))
    for number, (text, told) in enumerate(sketch.lines):
        left, _, right = text.partition(" | ")
        y, is_heading = 30 + number * step + (20 if number else 0), number == 0
        height = int(min(1.5 * size, 1.7 * page.width / max(4, len(left)))) if is_heading else size
        read = page.add(left, 30, y, height, color=color, bold=is_heading)
        if right:
            end = page.add(right, page.width - 30, y, height, "ra", color=color)
            read = f"{read} | {end}" if read and end else None
        for skill, wordings, answer in told:
            document.ask(skill, wordings, answer, read)
    for wordings in sketch.missing:
        document.lack(wordings)
