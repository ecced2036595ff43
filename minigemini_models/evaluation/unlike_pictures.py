"""Pictures unlike nano's scenes, other ones than training shows: photographs, papers, line drawings, noise."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from zlib import crc32

import numpy as np
from PIL import Image, ImageDraw

from ..samples.lessons.unlike import random_part
from ..scenes.colors import background, contrasting, pick
from ..scenes.scene import SCENE_PX
from ..scenes.splits import EVALUATION_STREAM
from .real_task import FOLDER

_LIKE_SCENES = ("sign_", "shapes_")
"""Name prefixes of papers that resemble nano's scenes and are left out."""


@dataclass(frozen=True)
class HeldOutPicture:
    """An image input that opens or draws its picture when it is called.

    Attributes:
        kind: one of `KINDS`.
        number: the same number of a kind gives the same picture.
    """

    kind: str
    number: int

    def __call__(self) -> Image.Image:
        rng = np.random.default_rng([EVALUATION_STREAM, crc32(self.kind.encode()), self.number])
        return KINDS[self.kind](rng, self.number)


@cache
def photographs() -> tuple[Path, ...]:
    """Return the photographs of the task `real`, which training never sees."""
    return tuple(sorted(FOLDER.glob("*.jpg")))


@cache
def papers() -> tuple[Path, ...]:
    """Return the papers, pages, tables and charts of the task `real`."""
    return tuple(path for path in sorted(FOLDER.glob("*.png")) if not path.name.startswith(_LIKE_SCENES))


def _photograph(rng: np.random.Generator, number: int) -> Image.Image:
    return _picture(photographs(), rng, number)


def _paper(rng: np.random.Generator, number: int) -> Image.Image:
    return _picture(papers(), rng, number)


def _picture(paths: Sequence[Path], rng: np.random.Generator, number: int) -> Image.Image:
    """Return each picture in turn and then a part of each, with at least half of its width and height."""
    is_part, index = divmod(number, len(paths))
    with Image.open(paths[index]) as opened:
        whole = opened.convert("RGB")
    return random_part(rng, whole, 2) if is_part else whole


def _line_drawing(rng: np.random.Generator, number: int) -> Image.Image:
    """Outlines in one ink: rosettes, spirals, zigzags, and polygons with irregular corners."""
    paper = background(rng, [])
    ink, image = contrasting(rng, paper), Image.new("RGB", (SCENE_PX, SCENE_PX), paper)
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(2, 7))):
        points = rng.uniform(40, SCENE_PX - 40, 2) + rng.uniform(25, 90) * pick(rng, _OUTLINES)(rng)
        draw.line(points.ravel().tolist(), fill=ink, width=int(rng.integers(1, 5)), joint="curve")
    return image


def _rosette(rng: np.random.Generator) -> np.ndarray:
    angles, depth = np.linspace(0, 2 * np.pi, 300), rng.uniform(0.3, 0.9)
    return _polar(angles, (1 + depth * np.cos(int(rng.integers(3, 10)) * angles)) / (1 + depth))


def _spiral(rng: np.random.Generator) -> np.ndarray:
    return _polar(np.linspace(0, 2 * np.pi * rng.uniform(2.5, 6), 300), np.linspace(0, 1, 300))


def _zigzag(rng: np.random.Generator) -> np.ndarray:
    corners = int(rng.integers(5, 20))
    return np.stack([np.linspace(-1, 1, corners), rng.uniform(0.2, 0.8) * (-1.0) ** np.arange(corners)], axis=1)


def _polygon(rng: np.random.Generator) -> np.ndarray:
    corners = int(rng.integers(5, 10))
    outline = _polar(np.sort(rng.uniform(0, 2 * np.pi, corners)), rng.uniform(0.4, 1.0, corners))
    return np.concatenate([outline, outline[:1]])


def _polar(angles: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Return points (n, 2) in the unit circle."""
    return radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _static(rng: np.random.Generator, number: int) -> Image.Image:
    """Independent pixels, or blocks of up to 16, in gray or colors; half of the time at full contrast."""
    side, channels = SCENE_PX >> int(rng.integers(5)), pick(rng, (1, 3))
    levels = rng.integers(0, 256, (side, side, channels))
    if rng.random() < 0.5:
        levels = np.where(levels > rng.integers(40, 216), 255, 0)
    blocks = np.broadcast_to(levels, (side, side, 3)).astype(np.uint8)
    return Image.fromarray(blocks).resize((SCENE_PX, SCENE_PX), Image.Resampling.NEAREST)


_OUTLINES = (_rosette, _spiral, _zigzag, _polygon)
KINDS: dict[str, Callable[[np.random.Generator, int], Image.Image]] = {
    "photographs": _photograph,
    "papers and screens": _paper,
    "line drawings": _line_drawing,
    "noise": _static,
}
