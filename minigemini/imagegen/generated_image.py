"""How a picture is drawn, and the picture with all that it takes to draw it again."""

import os
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ..io.argument_checks import check_integer, check_number, check_path, check_text, shown
from ..io.errors import RequestError
from ..io.png import write_png

_MOST_PX, _MOST_STEPS, _MOST_IMAGES = 4096, 1000, 64


@dataclass(frozen=True)
class GenerationSettings:
    """How a picture is drawn. What is None is the painter's to choose.

    Raises:
        RequestError: a value out of its range.
    """

    size_px: int | tuple[int, int] | None = None
    """Side, or width and height, pixels."""
    steps: int | None = None
    """Of denoising."""
    guidance: float | None = None
    """How closely the caption is followed; up to 1 it is not guided, and takes half the time."""
    negative_prompt: str | None = None
    """What the picture must not look like; needs guidance above 1."""
    count: int = 1
    """Pictures of one caption; each from a seed of its own, one above that of the picture before."""
    seed: int | None = None
    """The same seed draws the same picture on the same machine; None draws one."""
    strength: float = 0.6
    """How much of the picture that is started from may change: above 0, and 1 is all."""

    def __post_init__(self) -> None:
        if isinstance(self.size_px, tuple) and len(self.size_px) != 2:
            raise RequestError(f"size_px is {shown(self.size_px)}; it is a side, or width and height")
        for side in self.size:
            check_integer("size_px", side, 16, _MOST_PX)
        if self.steps is not None:
            check_integer("steps", self.steps, 1, _MOST_STEPS)
        if self.guidance is not None:
            check_number("guidance", self.guidance, 0, 100)
        if self.negative_prompt is not None:
            check_text("negative_prompt", self.negative_prompt)
        check_integer("count", self.count, 1, _MOST_IMAGES)
        if self.seed is not None:
            check_integer("seed", self.seed, 0, 2**63 - _MOST_IMAGES - 1)
        check_number("strength", self.strength, 0, 1)
        if self.strength == 0:
            raise RequestError("strength is 0; it is above 0 and at most 1")

    @property
    def size(self) -> tuple[int, ...]:
        """Width and height; empty where the painter chooses."""
        return () if self.size_px is None else self.size_px if isinstance(self.size_px, tuple) else (self.size_px,) * 2


@dataclass(frozen=True)
class GeneratedImage:
    """A picture, and all that it takes to draw it again."""

    image: Image.Image
    """RGB."""
    caption: str
    painter: str
    seed: int
    steps: int
    guidance: float
    negative_prompt: str | None = None
    strength: float | None = None
    """None where it was drawn from nothing."""

    def described(self) -> dict[str, str]:
        """As PNG text chunks: `prompt`, `painter`, `seed` and so on."""
        return {
            "prompt": self.caption,
            "painter": self.painter,
            "seed": str(self.seed),
            "steps": str(self.steps),
            "guidance": f"{self.guidance:g}",
            **({"negative prompt": self.negative_prompt} if self.negative_prompt else {}),
            **({"strength": f"{self.strength:g}"} if self.strength is not None else {}),
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as PNG, with what it was drawn from in its text chunks. Raises `RequestError`."""
        check_path("path", path)
        write_png(self.image, Path(path), self.described())
