"""A page that documents are set on: strings with their places, as OCR would read them, and pixels if wanted."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from minigemini.inference.text_boxes import TextBox

from ....scenes.colors import pick
from .document_words import chance

SLIPS = {"l": "1I", "I": "l1", "O": "0", "0": "O", "1": "lI", "rn": "m", "S": "5", "B": "8", "×": "x"}
"""Characters that OCR takes for others. Real slips of rapidocr are mostly l, I, 1 and O, 0 in isolation."""
SLIP_RATE, DROP_RATE, SPACE_RATE, MERGE_RATE = 0.01, 0.01, 0.03, 0.01
"""Per string: a wrong character, a string not found, missing spaces, and two neighbors read as one."""
WIDTH_OF_CHARACTER = 0.52
"""Mean width of a character, as a fraction of the font's size."""
PAPERS = ("white", "#f4f1e6", "#e8eef4", "#fff8dc")
"""Colors of paper."""


@dataclass(frozen=True)
class Drawn:
    """A string to draw: its place (`x`, `y` is the anchor, as in Pillow), its size in pixels, and its color."""

    text: str
    x: float
    y: float
    size: int
    anchor: str
    color: str
    is_bold: bool


@dataclass(frozen=True)
class Shape:
    """A shape to draw: the name of a method of `ImageDraw`, and its arguments."""

    method: str
    places: tuple[float, ...]
    options: dict[str, Any]


@dataclass
class Page:
    """Strings of a document.

    Attributes:
        rng: decides about slips.
        width, height: pixels.
        reads_perfectly: without slips, for pages that are rendered and read by OCR.
        boxes: what OCR finds.
    """

    rng: np.random.Generator
    width: int = 512
    height: int = 512
    reads_perfectly: bool = False
    background: str = "white"
    boxes: list[TextBox] = field(default_factory=list)
    drawn: list[Drawn] = field(default_factory=list)
    shapes: list[Shape] = field(default_factory=list)

    def add(
        self,
        text: str,
        x: float,
        y: float,
        size: int,
        anchor: str = "la",
        color: str = "black",
        bold: bool = False,
        droppable: bool = True,
    ) -> str | None:
        """Set a string, and return it as OCR reads it, or None if OCR misses it.

        Args:
            text: the string.
            x, y: its place in pixels.
            size: height of the font in pixels.
            anchor: l, m or r, then a, m or s, as in Pillow.
            color, bold: its look.
            droppable: whether OCR may miss it.
        """
        self.drawn.append(Drawn(text, x, y, size, anchor, color, bold))
        read: str | None = text
        if not self.reads_perfectly:
            if droppable and chance(self.rng, DROP_RATE * (3 if len(text) == 1 else 1)):
                return None
            read = self._slip(text)
        width, height = max(1, len(text)) * size * WIDTH_OF_CHARACTER, size * 1.25
        left = x - {"l": 0.0, "m": 0.5, "r": 1.0}[anchor[0]] * width
        top = y - {"a": 0.1, "m": 0.5, "s": 0.85}[anchor[1]] * height
        jitter = self.rng.normal(0, 0.03 * size, 4)
        edges = (left + jitter[0], top + jitter[1], left + width + jitter[2], top + height + jitter[3])
        sides = (self.width, self.height, self.width, self.height)
        self.boxes.append(TextBox(str(read), *(float(edge / side) for edge, side in zip(edges, sides, strict=True))))
        return read

    def add_pair(
        self,
        left: str,
        right: str,
        y: float,
        size: int,
        places: tuple[float, float] = (40, 470),
        anchors: tuple[str, str] = ("la", "ra"),
        color: str = "black",
        bold: bool = False,
    ) -> tuple[str | None, str | None, str | None]:
        """Set two strings beside each other.

        Args:
            places: of the two, in pixels from the left.
            others: see `add`.

        Returns:
            Both as OCR reads them, and the line of a layout that they make, None if OCR misses one.
        """
        first = self.add(left, places[0], y, size, anchors[0], color, bold)
        second = self.add(right, places[1], y, size, anchors[1], color, bold)
        return first, second, f"{first} | {second}" if first and second else None

    def lines(self, texts: Sequence[str], x: float, y: float, size: int, leading: float = 1.5) -> list[str]:
        """Set strings below each other, and return those that OCR reads."""
        read = [self.add(text, x, y + number * leading * size, size) for number, text in enumerate(texts)]
        return [text for text in read if text is not None]

    def shape(self, method: str, *places: float, **options: Any) -> None:
        """Add a shape by the name and the arguments of a method of `ImageDraw`."""
        self.shapes.append(Shape(method, places, options))

    def draw(self, fonts: tuple[str, str]) -> Image.Image:
        """Draw the page.

        Args:
            fonts: files of a regular and a bold font.
        """
        picture = Image.new("RGB", (self.width, self.height), self.background)
        canvas = ImageDraw.Draw(picture)
        for shape in self.shapes:
            getattr(canvas, shape.method)(shape.places, **shape.options)
        for one in self.drawn:
            font = ImageFont.truetype(fonts[one.is_bold], one.size)
            canvas.text((one.x, one.y), one.text, font=font, fill=one.color, anchor=one.anchor)
        return picture

    def _slip(self, text: str) -> str:
        places = [place for place, char in enumerate(text) if char in SLIPS]
        if places and chance(self.rng, SLIP_RATE * len(places)):
            place = pick(self.rng, places)
            text = text[:place] + pick(self.rng, SLIPS[text[place]]) + text[place + 1 :]
        if " " in text and chance(self.rng, SPACE_RATE):
            place = pick(self.rng, [place for place, char in enumerate(text) if char == " "])
            text = text[:place] + text[place + 1 :]
        return text
