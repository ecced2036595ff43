"""Pictures unlike nano's world, about which it cannot tell: photographs, screens and papers, noise."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from ...scenes.colors import pick
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
_ASKED = ("describe", "name", "colour", "count", "exists", "beside", "read", "find", "shape", "unknowable")
_TURNS = 3


def refusals(number: int) -> SceneLesson:
    """A few ordinary questions, each answered by "I cannot tell."."""
    rng = stream("unlike", number)
    turns = [_question(rng, key) for key in rng.permutation(_ASKED)[:_TURNS]]
    return lesson_about(UnlikePicture("unlike", (0, 0, 0), seed=number), separate(turns))


@dataclass(frozen=True)
class UnlikePicture(Scene):
    """A picture that is no scene: it has neither objects nor text that could be labeled."""

    def draw(self) -> tuple[Image.Image, list[Letter], np.ndarray]:
        """Return the picture, without letters and objects."""
        rng = stream("unlike picture", self.seed)
        image = pick(rng, _KINDS)(rng).resize((self.size_px, self.size_px))
        return image, [], np.zeros((self.size_px, self.size_px), dtype=np.uint8)


def _question(rng: np.random.Generator, key: str) -> Turn:
    name = pick(rng, NAMES)
    words = {"name": pick(rng, COLORED_NAMES), "plural": plural(name), "a_name": with_article(name)}
    return ask(rng, key, CANNOT_TELL, "unlike", color="red", relation=pick(rng, tuple(RELATIONS)), **words)


def _photograph(rng: np.random.Generator) -> Image.Image:
    """A part of a photograph, at least a third of its side, mirrored half of the time, in changed colors."""
    whole = _load(pick(rng, _NAMES))
    side = int(rng.integers(min(whole.size) // 3, min(whole.size) + 1))
    left, top = (int(rng.integers(extent - side + 1)) for extent in whole.size)
    part = whole.crop((left, top, left + side, top + side)).resize((SCENE_PX, SCENE_PX))
    pixels = np.asarray(part, dtype=np.float32)[:, :: 1 if rng.random() < 0.5 else -1]
    changed = pixels[..., rng.permutation(3)] * rng.uniform(0.6, 1.4, 3) + rng.uniform(-30, 30)
    return Image.fromarray(np.clip(changed, 0, 255).astype(np.uint8))


def _paper(rng: np.random.Generator) -> Image.Image:
    """A document, screen or web page as `small` sees them."""
    from ...small.lessons.documents.document_lessons import render

    regular = str(installed_fonts()[pick(rng, TRAINING_FONTS)])
    return render(int(rng.integers(2**31)), (regular, regular)).picture.convert("RGB")


def _noise(rng: np.random.Generator) -> Image.Image:
    """Colored noise at all scales."""
    from ...small.labeled_pictures import clutter

    return Image.fromarray(clutter(rng))


@cache
def _load(name: str) -> Image.Image:
    return Image.open(PHOTOGRAPHS / name).convert("RGB")


_KINDS: tuple[Callable[[np.random.Generator], Image.Image], ...] = (_photograph, _paper, _noise)
