"""Text in figures: a font that the system has, and lines broken to fit a width."""

from functools import cache
from typing import Any

from PIL import ImageFont

FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "Arial.ttf")
"""Fonts with accents, Greek and Cyrillic, of Linux, macOS and Windows, by preference."""
ELLIPSIS = "..."


@cache
def figure_font(size_px: int) -> Any:
    """Return the first of `FONTS` that is installed; otherwise Pillow's own font, which has little beyond ASCII."""
    for name in FONTS:
        try:
            return ImageFont.truetype(name, size_px)
        except OSError:
            continue
    return ImageFont.load_default(size_px)


def fit_lines(text: str, font: Any, width_px: float, max_lines: int) -> list[str]:
    """Break a text into lines, between words where possible; what does not fit is replaced by an ellipsis.

    Args:
        text: untrusted text; runs of whitespace and characters that do not print become one space.
        font: the font that it is drawn in.
        width_px: width of a line, pixels.
        max_lines: maximum number of lines, at least 1.
    """
    rest = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    lines: list[str] = []
    while rest and len(lines) < max_lines:
        end = _fitting(rest, font, width_px)
        if end < len(rest) and len(lines) == max_lines - 1:
            end = _fitting(rest, font, width_px - font.getlength(ELLIPSIS))
            return [*lines, rest[:end].rstrip() + ELLIPSIS]
        if end < len(rest):
            end = rest.rfind(" ", 0, end + 1) if " " in rest[: end + 1] else end
        lines.append(rest[:end])
        rest = rest[end:].lstrip()
    return lines


def _fitting(text: str, font: Any, width_px: float) -> int:
    """Return how many characters fit into a width, at least 1."""
    low, high = 1, min(len(text), max(1, int(width_px)))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if font.getlength(text[:middle]) <= width_px else (low, middle - 1)
    return low
