"""Settings of image generation, and the generated image with the settings that reproduce it."""

import os
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ..io.argument_checks import check_integer, check_number, check_path, check_text, shown
from ..io.errors import RequestError
from ..io.png import write_png

_MAX_PX, _MAX_STEPS, _MAX_IMAGES = 4096, 1000, 64


@dataclass(frozen=True)
class GenerationSettings:
    """How an image is generated; None uses the image generator's default.

    Raises:
        RequestError: A value is out of range.
    """

    size_px: int | tuple[int, int] | None = None
    """Side, or width and height, pixels."""
    steps: int | None = None
    """Denoising steps."""
    guidance: float | None = None
    """Guidance scale: how closely to follow the caption; up to 1 turns guidance off and halves the time."""
    negative_prompt: str | None = None
    """What the image must not show; requires guidance above 1."""
    count: int = 1
    """Number of images; each uses the seed of the previous one plus 1."""
    seed: int | None = None
    """The same seed gives the same image on the same machine; None chooses a random seed."""
    strength: float = 0.6
    """How much of the start image may change: above 0, at most 1."""

    def __post_init__(self) -> None:
        if isinstance(self.size_px, tuple) and len(self.size_px) != 2:
            raise RequestError(f"size_px is {shown(self.size_px)}; it must be a side, or width and height")
        for side in self.size:
            check_integer("size_px", side, 16, _MAX_PX)
        if self.steps is not None:
            check_integer("steps", self.steps, 1, _MAX_STEPS)
        if self.guidance is not None:
            check_number("guidance", self.guidance, 0, 100)
        if self.negative_prompt is not None:
            check_text("negative_prompt", self.negative_prompt)
        check_integer("count", self.count, 1, _MAX_IMAGES)
        if self.seed is not None:
            check_integer("seed", self.seed, 0, 2**63 - _MAX_IMAGES - 1)
        check_number("strength", self.strength, 0, 1)
        if self.strength == 0:
            raise RequestError("strength is 0; it must be above 0 and at most 1")

    @property
    def size(self) -> tuple[int, ...]:
        """Width and height, pixels; empty for the default size."""
        return () if self.size_px is None else self.size_px if isinstance(self.size_px, tuple) else (self.size_px,) * 2


@dataclass(frozen=True)
class GeneratedImage:
    """A generated image with the settings that reproduce it."""

    image: Image.Image
    """RGB."""
    caption: str
    generator: str
    seed: int
    steps: int
    guidance: float
    negative_prompt: str | None = None
    strength: float | None = None
    """None if the image was generated from noise."""

    def described(self) -> dict[str, str]:
        """Return the settings as PNG text chunks: `prompt`, `painter` (the image generator), `seed` and so on."""
        return {
            "prompt": self.caption,
            "painter": self.generator,
            "seed": str(self.seed),
            "steps": str(self.steps),
            "guidance": f"{self.guidance:g}",
            **({"negative prompt": self.negative_prompt} if self.negative_prompt else {}),
            **({"strength": f"{self.strength:g}"} if self.strength is not None else {}),
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a PNG with the settings in its text chunks. Raises `RequestError`."""
        check_path("path", path)
        write_png(self.image, Path(path), self.described())
