"""A scene and how it is rendered. `composition` and `documents` sample scenes from seeds."""

from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from . import icons, shapes
from .colors import COLORS
from .layouts import Box
from .lettering import Color, Letter, LetterCase, draw_text, in_case, place_letters

SCENE_PX, PAGE_PX = 256, 512
_GRAIN_PX = 1024


@dataclass(frozen=True)
class SceneObject:
    """A shape in a named color or, if `style` is set, an icon with its own colors."""

    name: str
    box: Box
    color_name: str | None = None
    color: Color = (0, 0, 0)
    tilt_degrees: int = 0
    style: str | None = None
    mirrored: bool = False

    def render(self) -> Image.Image:
        size_px = self.box[2] - self.box[0]
        if self.style is not None:
            return icons.render(self.name, self.style, size_px, self.mirrored)
        return shapes.render(self.name, self.color, size_px, self.tilt_degrees)


@dataclass(frozen=True)
class Sign:
    """A piece of text: one word, or several separated by spaces.

    Attributes:
        word: the text.
        box: the panel's box; the text has the same distance from its left, lower and upper edge.
        panel: color of the panel; of the background if there is no panel.
        ink: color of the text.
        font: name of the font.
        cap_height_px: height of capitals.
        frame: `bare` (no panel), `panel`, `framed`, `rounded`, or `strip`, which spans the image.
        case: how the letters are drawn; `word` always has capitals.
    """

    word: str
    box: Box
    panel: Color
    ink: Color
    font: str
    cap_height_px: int
    frame: str = "panel"
    case: LetterCase = "upper"

    @property
    def drawn_word(self) -> str:
        """The text as it is drawn."""
        return in_case(self.word, self.case)

    def extent(self, side_px: int) -> Box:
        """Return the box that it covers in an image of this side."""
        return (0, self.box[1], side_px, self.box[3]) if self.frame == "strip" else self.box

    def draw(self, draw: ImageDraw.ImageDraw, side_px: int) -> list[Letter]:
        top, bottom = self.box[1], self.box[3]
        match self.frame:
            case "panel":
                draw.rectangle(self.box, fill=self.panel)
            case "framed":
                draw.rectangle(self.box, fill=self.panel, outline=self.ink, width=1)
            case "rounded":
                draw.rounded_rectangle(self.box, radius=(bottom - top) // 2, fill=self.panel)
            case "strip":
                draw.rectangle(self.extent(side_px), fill=self.panel)
        return draw_text(draw, self.drawn_word, *self._start(), self.font, self.cap_height_px, self.ink)

    def letters(self) -> list[Letter]:
        """Return the letters that `draw` returns, without drawing them."""
        return place_letters(self.drawn_word, *self._start(), self.font, self.cap_height_px)

    def _start(self) -> tuple[float, float]:
        """Left end and baseline of the text."""
        left, top, _, bottom = self.box
        pad = (bottom - top - self.cap_height_px) / 2
        return left + pad, bottom - pad


@dataclass(frozen=True)
class Block:
    """A filled rectangle without meaning of its own, such as a line of a table or the panel behind text."""

    box: Box
    color: Color


@dataclass(frozen=True)
class Bar:
    """One bar of a chart, with its label and with its value at its end."""

    label: Sign
    value: Sign
    block: Block


@dataclass(frozen=True)
class Scene:
    """The contents of an image. Objects are in reading order, text from top to bottom.

    Attributes:
        kind: one of `composition.KINDS`, `composition.CROWDED_KINDS` or `documents.PAGE_KINDS`, or the name of another
            source of scenes, such as "painting" or "unlike".
        ground: background color.
        objects: shapes and icons.
        signs: signs and separate words.
        lines: lines of one text.
        bars: bars of a chart, in reading order.
        cells: cells of a table by row; the first row has the column names, the first column the row names.
        blocks: rectangles behind everything else.
        size_px: side of the image.
        noise: standard deviation of the sensor noise, in 8-bit levels.
        seed: places the noise.
    """

    kind: str
    ground: Color
    objects: tuple[SceneObject, ...] = ()
    signs: tuple[Sign, ...] = ()
    lines: tuple[Sign, ...] = ()
    bars: tuple[Bar, ...] = ()
    cells: tuple[tuple[Sign, ...], ...] = ()
    blocks: tuple[Block, ...] = ()
    size_px: int = SCENE_PX
    noise: float = 0.0
    seed: int = field(default=0, repr=False)

    @property
    def written(self) -> tuple[Sign, ...]:
        """All text in the image."""
        bars = [text for bar in self.bars for text in (bar.label, bar.value)]
        return (*self.signs, *self.lines, *bars, *(cell for row in self.cells for cell in row))

    def scaled(self, factor: int) -> "Scene":
        """Return the same scene in an image whose side is `factor` times as long."""

        def box(old: Box) -> Box:
            left, top, right, bottom = (factor * side for side in old)
            return left, top, right, bottom

        def sign(old: Sign) -> Sign:
            return replace(old, box=box(old.box), cap_height_px=factor * old.cap_height_px)

        def block(old: Block) -> Block:
            return replace(old, box=box(old.box))

        return replace(
            self,
            size_px=factor * self.size_px,
            objects=tuple(replace(obj, box=box(obj.box)) for obj in self.objects),
            signs=tuple(map(sign, self.signs)),
            lines=tuple(map(sign, self.lines)),
            bars=tuple(Bar(sign(bar.label), sign(bar.value), block(bar.block)) for bar in self.bars),
            cells=tuple(tuple(map(sign, row)) for row in self.cells),
            blocks=tuple(map(block, self.blocks)),
        )

    def draw(self) -> tuple[Image.Image, list[Letter], np.ndarray]:
        """Render the RGB image; also return its letters and, per pixel, the number of the visible object (0: none)."""
        image = Image.new("RGB", (self.size_px, self.size_px), self.ground)
        owner = Image.new("L", image.size)
        draw = ImageDraw.Draw(image)
        for block in (*self.blocks, *(bar.block for bar in self.bars)):
            draw.rectangle(block.box, fill=block.color)
        for number, obj in enumerate(self.objects, start=1):
            tile = obj.render()
            image.paste(tile, obj.box[:2], tile)
            owner.paste(number, obj.box[:2], tile.getchannel("A"))
        letters = [letter for text in self.written for letter in text.draw(draw, self.size_px)]
        return _noisy(image, self.noise, self.seed), letters, np.asarray(owner)

    def letters(self) -> list[Letter]:
        """Return the letters that `draw` returns, without drawing."""
        return [letter for text in self.written for letter in text.letters()]

    def owner(self) -> np.ndarray:
        """Return the object numbers that `draw` returns, without drawing anything else."""
        owner = Image.new("L", (self.size_px, self.size_px))
        for number, obj in enumerate(self.objects, start=1):
            owner.paste(number, obj.box[:2], obj.render().getchannel("A"))
        return np.asarray(owner)


def reference_color(obj: SceneObject) -> Color:
    """Return the color that the background of an object must contrast with."""
    if obj.style is not None:
        return icons.mean_color(obj.name, obj.style)
    return COLORS[obj.color_name or ""]


def _noisy(image: Image.Image, noise: float, seed: int) -> Image.Image:
    """Add sensor noise of this standard deviation, cropped from one large array at a position given by the seed."""
    if noise == 0.0:
        return image
    y, x = np.random.default_rng(seed).integers(0, _GRAIN_PX - image.height, 2)
    grain = _grain()[y : y + image.height, x : x + image.width, None] * np.float32(noise)
    return Image.fromarray(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8))


@lru_cache(maxsize=1)
def _grain() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((_GRAIN_PX, _GRAIN_PX), dtype=np.float32)
