"""How a picture is drawn, and the picture with all that it takes to draw it again."""

import os
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from .errors import RequestError
from .png import write_png

_MOST_PX, _MOST_STEPS, _MOST_PICTURES = 4096, 1000, 64


@dataclass(frozen=True)
class Drawing:
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
        for side in self.size:
            if not 16 <= side <= _MOST_PX:
                raise RequestError(f"size {side} pixels: a side has 16 to {_MOST_PX}")
        if self.steps is not None and not 1 <= self.steps <= _MOST_STEPS:
            raise RequestError(f"steps is {self.steps}; it goes from 1 to {_MOST_STEPS}")
        if self.guidance is not None and not 0 <= self.guidance <= 100:
            raise RequestError(f"guidance is {self.guidance}; it goes from 0 to 100")
        if not 1 <= self.count <= _MOST_PICTURES:
            raise RequestError(f"count is {self.count}; it goes from 1 to {_MOST_PICTURES} pictures")
        if self.seed is not None and not 0 <= self.seed < 2**63 - _MOST_PICTURES:
            raise RequestError(f"seed is {self.seed}; it goes from 0 to {2**63 - _MOST_PICTURES - 1}")
        if not 0 < self.strength <= 1:
            raise RequestError(f"strength is {self.strength}; it goes from above 0 to 1")

    @property
    def size(self) -> tuple[int, ...]:
        """Width and height; empty where the painter chooses."""
        return () if self.size_px is None else (self.size_px,) * 2 if isinstance(self.size_px, int) else self.size_px


@dataclass(frozen=True)
class DrawnPicture:
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
        write_png(self.image, Path(path), self.described())
