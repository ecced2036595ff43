"""Strings with their places in a picture, as OCR finds them: rows, tilted strings, and numbers."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

SAME_COLUMN = 0.03
"""Edges or middles this close, as a fraction of the picture's width, are in one column."""

_NUMBER = re.compile(r"[-+\u2212\u2013]?\s?[$€£¥]?\s?[-\u2212\u2013]?\d[\d.,' ]*\s?(%|[kKMB]|°[CF]?|[$€£¥])?")
_YEAR = re.compile(r"(19|20)\d\d")


@dataclass(frozen=True)
class TextBox:
    """A string and its upright bounding box, in fractions of the picture's width and height from the top left."""

    text: str
    left: float
    top: float
    right: float
    bottom: float

    @property
    def x(self) -> float:
        """Middle of the width."""
        return (self.left + self.right) / 2

    @property
    def y(self) -> float:
        """Middle of the height."""
        return (self.top + self.bottom) / 2

    @property
    def height(self) -> float:
        """Height."""
        return self.bottom - self.top


Row = list[TextBox]
"""Level strings, from left to right."""


@dataclass(frozen=True)
class Block:
    """Finished lines of a layout, and the height at which they stand."""

    y: float
    lines: tuple[str, ...]


def group_rows(boxes: Sequence[TextBox]) -> list[Row]:
    """Group level strings into rows, from top to bottom.

    A string joins a row if its middle is within 0.45 of the smaller height of the middle of the row's nearest string.
    """
    rows: list[Row] = []
    for box in sorted(boxes, key=lambda box: (box.y, box.left)):
        level = [row for row in rows[-3:] if _is_level(box, min(row, key=lambda other: abs(other.x - box.x)))]
        if level:
            level[-1].append(box)
        else:
            rows.append([box])
    return [sorted(row, key=lambda box: box.left) for row in rows]


def split_tilted(boxes: Sequence[TextBox]) -> tuple[list[TextBox], list[TextBox]]:
    """Split off strings that run upwards, as axis titles do: 2.5 times as tall as the median, with three letters."""
    typical = median([box.height for box in boxes] or [0.0])
    tilted = [box for box in boxes if len(box.text) >= 3 and box.height > max(2.5 * typical, box.right - box.left)]
    tilted += [box for box in boxes if box not in tilted and len(box.text) >= 6 and box.height > 3 * typical]
    return [box for box in boxes if box not in tilted], tilted


def is_number(text: str) -> bool:
    """Whether a string is one number, possibly with a sign, currency or unit."""
    return _NUMBER.fullmatch(text.strip()) is not None


def is_year(text: str) -> bool:
    """Whether a string is a year from 1900 to 2099."""
    return _YEAR.fullmatch(text.strip()) is not None


def number_of(text: str) -> float:
    """The value of a string for which `is_number` holds. A comma before three digits separates thousands."""
    digits = re.sub(r"[^\d.,]", "", text).rstrip(".,")
    digits = re.sub(r",(?=\d{3}(\D|$))", "", digits).replace(",", ".")
    value = float(digits if digits.count(".") < 2 else digits.replace(".", ""))
    scale = {"k": 1e3, "K": 1e3, "M": 1e6, "B": 1e9}.get(text.strip()[-1:], 1.0)
    return -value * scale if re.match(r"\s*[$€£¥]?\s*[-\u2212\u2013]", text) else value * scale


def _is_level(box: TextBox, other: TextBox) -> bool:
    overlap = min(box.right, other.right) - max(box.left, other.left)
    return abs(box.y - other.y) < 0.45 * min(box.height, other.height) and overlap < 0.01
