"""Draw text letter by letter, so that the box of every letter is known."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

from PIL import Image, ImageDraw

from .fonts import load_font

Color = tuple[int, int, int]

CAP_HEIGHTS_PX = (10, 18)
"""Minimum and maximum height of capitals: 2.5 to 4.5 pixels at the low resolution, which is a quarter."""

LetterCase = Literal["upper", "lower", "title"]
"""How text is drawn: WORD, word or Word."""
LETTER_CASES: tuple[LetterCase, ...] = get_args(LetterCase)

_PHASES = 4
"""Small letters start at quarter pixels, so that each glyph is rendered at most four times and then pasted."""
_WHOLE_PX = 20
"""Capitals of this height and above start at whole pixels."""


@dataclass(frozen=True)
class Letter:
    """One drawn letter and its box in pixels."""

    character: str
    left: float
    top: float
    right: float
    bottom: float

    @property
    def center(self) -> tuple[float, float]:
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2


def in_case(text: str, case: LetterCase) -> str:
    """Return a text in a case."""
    match case:
        case "lower":
            return text.lower()
        case "title":
            return text.title()
    return text


def text_width(text: str, font_name: str, cap_height_px: int, spacing_px: float = 0.0) -> float:
    """Return the width of `text` in pixels as `draw_text` sets it: plain advances, no kerning."""
    return sum(_advance(font_name, cap_height_px, character) + spacing_px for character in text) - spacing_px


def draw_text(
    draw: ImageDraw.ImageDraw,
    text: str,
    left: float,
    baseline: float,
    font_name: str,
    cap_height_px: int,
    color: Color,
    spacing_px: float = 0.0,
) -> list[Letter]:
    """Draw `text` from `left` on `baseline` (pixels) and return its letters; spaces advance but yield no letter."""
    letters = place_letters(text, left, baseline, font_name, cap_height_px, spacing_px)
    for letter in letters:
        phases = _PHASES if cap_height_px < _WHOLE_PX else 1
        whole, phase = divmod(round(letter.left * phases), phases)
        mask, dx, dy = _glyph(font_name, cap_height_px, letter.character, phase)
        draw.bitmap((whole + dx, round(baseline) + dy), mask, fill=color)
    return letters


def place_letters(
    text: str, left: float, baseline: float, font_name: str, cap_height_px: int, spacing_px: float = 0.0
) -> list[Letter]:
    """Return the letters that `draw_text` draws, without drawing them."""
    letters = []
    for character in text:
        advance = _advance(font_name, cap_height_px, character)
        if not character.isspace():
            letters.append(Letter(character, left, baseline - cap_height_px, left + advance, baseline))
        left += advance + spacing_px
    return letters


@lru_cache(maxsize=2**17)
def _advance(font_name: str, cap_height_px: int, character: str) -> float:
    return load_font(font_name, cap_height_px).getlength(character)


@lru_cache(maxsize=2**18)
def _glyph(font_name: str, cap_height_px: int, character: str, phase: int) -> tuple[Image.Image, int, int]:
    """Coverage mask of a glyph that starts `phase` quarters into a pixel, and its offset from the pen position."""
    margin = 2 * cap_height_px
    canvas = Image.new("L", (4 * cap_height_px, 4 * cap_height_px))
    font = load_font(font_name, cap_height_px)
    ImageDraw.Draw(canvas).text((cap_height_px + phase / _PHASES, margin), character, fill=255, font=font, anchor="ls")
    left, top, right, bottom = canvas.getbbox() or (0, 0, 1, 1)
    return canvas.crop((left, top, right, bottom)), left - cap_height_px, top - margin
