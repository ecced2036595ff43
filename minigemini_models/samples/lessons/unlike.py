"""Pictures unlike nano's world, about which it cannot tell: photographs, screens and papers, other drawings, noise."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from ...scenes.colors import COLORS, background, contrasting, pick
from ...scenes.concepts import COLORED_NAMES, NAMES, plural, with_article
from ...scenes.fonts import TRAINING_FONTS, installed_fonts
from ...scenes.lettering import Letter
from ...scenes.scene import SCENE_PX, Scene
from ..object_qa import RELATIONS
from ..turns import CANNOT_TELL, Turn, ask
from .lesson import SceneLesson, lesson_about, separate, stream

PHOTOGRAPHS = Path(__file__).parents[2] / "small" / "card" / "examples"
"""Folder of the photographs that the package has; training shows no other."""
_NAMES = ("cat.jpg", "macaw.jpg")
ASKED = ("describe", "name", "colour", "count", "exists", "beside", "read", "find", "shape", "unknowable")
"""Keys of `turns.QUESTIONS`."""
_TURNS = 3
_PADDED_SHARE = 0.5
_PADDING = (122, 116, 104)
"""Color that the image processor pads pictures with, which are seldom square."""


def refusals(number: int) -> SceneLesson:
    """A few ordinary questions, each answered by "I cannot tell."."""
    rng = stream("unlike", number)
    turns = [ordinary_question(rng, key) for key in rng.permutation(ASKED)[:_TURNS]]
    return lesson_about(UnlikePicture("unlike", (0, 0, 0), seed=number), separate(turns))


@dataclass(frozen=True)
class UnlikePicture(Scene):
    """A picture that is no scene: it has neither objects nor text that could be labeled."""

    def draw(self) -> tuple[Image.Image, list[Letter], np.ndarray]:
        """Return the picture, without letters and objects."""
        rng = stream("unlike picture", self.seed)
        picture, size = pick(rng, _KINDS)(rng), (self.size_px, self.size_px)
        padded = rng.random() < _PADDED_SHARE
        image = ImageOps.pad(picture, size, color=_PADDING) if padded else ImageOps.fit(picture, size)
        return image, [], np.zeros(size, dtype=np.uint8)


def ordinary_question(rng: np.random.Generator, key: str) -> Turn:
    """Return a question as one asks about a scene, one of `ASKED`, and the answer to it about any other picture."""
    name = pick(rng, NAMES)
    words = {"name": pick(rng, COLORED_NAMES), "plural": plural(name), "a_name": with_article(name)}
    color, relation = pick(rng, tuple(COLORS)), pick(rng, tuple(RELATIONS))
    return ask(rng, key, CANNOT_TELL, "unlike", color=color, relation=relation, **words)


def random_part(rng: np.random.Generator, image: Image.Image, smallest: int) -> Image.Image:
    """Crop a random part of an image; its width and height are each at least 1/`smallest` of the image's."""
    width, height = (int(rng.integers(side // smallest, side + 1)) for side in image.size)
    left, top = int(rng.integers(image.width - width + 1)), int(rng.integers(image.height - height + 1))
    return image.crop((left, top, left + width, top + height))


def _photograph(rng: np.random.Generator) -> Image.Image:
    """A part of a photograph, at least a third of its sides, mirrored half of the time, in changed colors."""
    part = random_part(rng, _load(pick(rng, _NAMES)), 3)
    pixels = np.asarray(part, dtype=np.float32)[:, :: 1 if rng.random() < 0.5 else -1]
    changed = pixels[..., rng.permutation(3)] * rng.uniform(0.6, 1.4, 3) + rng.uniform(-30, 30)
    return Image.fromarray(np.clip(changed, 0, 255).astype(np.uint8))


def _paper(rng: np.random.Generator) -> Image.Image:
    """A document, screen or web page as `small` sees them."""
    from ...small.lessons.documents.document_lessons import render

    regular = str(installed_fonts()[pick(rng, TRAINING_FONTS)])
    return render(int(rng.integers(2**31)), (regular, regular)).picture.convert("RGB")


def _drawing(rng: np.random.Generator) -> Image.Image:
    """Strokes of a pen, as in a sketch."""
    paper = background(rng, [])
    image, ink, bend = Image.new("RGB", (SCENE_PX, SCENE_PX), paper), contrasting(rng, paper), rng.uniform(0.05, 0.6)
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(3, 16))):
        count = int(rng.integers(8, 60))
        heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, bend, count))
        steps = rng.uniform(2, 10) * np.stack([np.cos(heading), np.sin(heading)], axis=1)
        points = rng.uniform(0, SCENE_PX, 2) + np.cumsum(steps, axis=0)
        draw.line(points.ravel().tolist(), fill=ink, width=int(rng.integers(1, 7)), joint="curve")
    return image


def _noise(rng: np.random.Generator) -> Image.Image:
    """Colored noise at all scales."""
    from ...small.labeled_pictures import clutter

    return Image.fromarray(clutter(rng))


@cache
def _load(name: str) -> Image.Image:
    return Image.open(PHOTOGRAPHS / name).convert("RGB")


_KINDS: tuple[Callable[[np.random.Generator], Image.Image], ...] = (_photograph, _paper, _drawing, _noise)
