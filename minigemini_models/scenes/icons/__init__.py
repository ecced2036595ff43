"""Icons of everyday objects in three drawing styles, from sheets built by `tools/build_icons.py`."""

from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from ..concepts import ICON_NAMES
from ..lettering import Color

FOLDER = Path(__file__).parent
STYLES = ("noto", "fluent-emoji-flat", "fluent-emoji")
TRAINING_STYLES, HELD_OUT_STYLES = STYLES[:2], STYLES[2:]
ICON_PX = 112
"""Side of an icon in a sheet."""
SHEET_COLUMNS = 24

_NUMBER = {name: number for number, name in enumerate(ICON_NAMES)}


def render(name: str, style: str, size_px: int, mirrored: bool = False) -> Image.Image:
    """Render an icon on a transparent background: RGBA, `size_px` square."""
    icon = _icon(name, style)
    if mirrored:
        icon = icon.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return icon.resize((size_px, size_px), Image.Resampling.BICUBIC)


@lru_cache(maxsize=len(STYLES) * len(ICON_NAMES))
def mean_color(name: str, style: str) -> Color:
    """Return an icon's mean color, which its background must contrast with."""
    pixels = np.asarray(_icon(name, style), dtype=np.float64)
    red, green, blue = np.average(pixels[..., :3], axis=(0, 1), weights=pixels[..., 3]).round().astype(int).tolist()
    return red, green, blue


def _icon(name: str, style: str) -> Image.Image:
    row, column = divmod(_NUMBER[name], SHEET_COLUMNS)
    left, top = column * ICON_PX, row * ICON_PX
    return _sheet(style).crop((left, top, left + ICON_PX, top + ICON_PX))


@lru_cache(maxsize=len(STYLES))
def _sheet(style: str) -> Image.Image:
    return Image.open(FOLDER / f"{style}.webp").convert("RGBA")
