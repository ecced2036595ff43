"""Detect colored objects in small generated images by template matching, without a neural network.

An object is a connected region that differs from the background. Its name and color are those of the closest template,
rendered at the same size on the same background.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations

import numpy as np
from PIL import Image

from ..samples.image_plans import RELATION_OFFSETS, ImagePlan, PlanItem, place_of
from ..scenes.colors import COLORS
from ..scenes.concepts import COLORED_NAMES
from ..scenes.shapes import render

_TEMPLATE_PX, _GRID = 32, 16
_TILTS = range(-12, 13, 6)
_FOREGROUND_DISTANCE = 40.0
"""Minimum RGB distance between the background and a pixel of an object."""
_MIN_PIXELS = 12
_COLOR_DISTANCE = 70.0
"""Maximum RGB distance between a named color and a pixel that may have it."""
_ASPECT_WEIGHT = 6000.0
_MAX_ERROR = 0.35
"""Maximum error of a match, as a share of the template's contrast with the background."""
_MIN_OFFSET = 5 / 64
"""Minimum distance between related objects, as a share of the image side."""


@dataclass(frozen=True)
class DetectedObject:
    """A detected object.

    Attributes:
        name, color: name and color of the closest template; None if none matches.
        x, y: center, as shares of the image sides.
        error: mean squared RGB distance to the template, as a share of the template's distance to the background.
    """

    name: str | None
    color: str | None
    x: float
    y: float
    error: float


@dataclass(frozen=True)
class Verdict:
    """Which aspects of an image agree with a plan, each for the image as a whole."""

    objects: bool
    colors: bool
    count: bool
    position: bool

    @property
    def right(self) -> bool:
        """Whether all aspects agree."""
        return self.objects and self.colors and self.count and self.position


def detect_objects(image: Image.Image) -> list[DetectedObject]:
    """Detect the objects in an RGB image with a uniform background."""
    pixels = np.asarray(image.convert("RGB"), dtype=np.float32)
    background = _background_color(pixels)
    foreground = np.linalg.norm(pixels - background, axis=-1) > _FOREGROUND_DISTANCE
    colors = {name: np.array(rgb, dtype=np.float32) for name, rgb in COLORS.items()}
    possible_colors = [name for name, rgb in colors.items() if _has_color(pixels[foreground], rgb)]
    templates = {name: _render_templates(colors[name], background) for name in possible_colors or colors}
    found = []
    for group in _connected_regions(foreground):
        rows, columns = np.nonzero(group & foreground)
        if len(rows) >= _MIN_PIXELS:
            box = (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
            found.append(_classify(pixels, templates, box))
    return found


def judge(plan: ImagePlan, detected: list[DetectedObject]) -> Verdict:
    """Compare detected objects with a plan, by the best assignment between them."""
    units = plan.units
    if len(units) != len(detected):
        return Verdict(False, False, False, False)
    best = max(
        (_fits(plan, units, [detected[i] for i in order]) for order in permutations(range(len(detected)))),
        key=lambda fits: (sum(fits), fits),
    )
    return Verdict(best[0], best[1], True, best[2])


def _fits(plan: ImagePlan, units: tuple[PlanItem, ...], detected: list[DetectedObject]) -> tuple[bool, bool, bool]:
    """Return whether all names, all colors and all positions agree."""
    pairs = list(zip(units, detected, strict=True))
    beside = True
    if plan.relation:
        across, down = RELATION_OFFSETS[plan.relation]
        first, second = detected
        beside = across * (first.x - second.x) + down * (first.y - second.y) >= _MIN_OFFSET
    return (
        all(unit.name == obj.name for unit, obj in pairs),
        all(unit.color in (None, obj.color) for unit, obj in pairs),
        beside and all(unit.place in (None, place_of(obj.x, obj.y, 1)) for unit, obj in pairs),
    )


def _has_color(pixels: np.ndarray, color: np.ndarray) -> bool:
    """Return whether enough pixels are close to a color."""
    return int((np.linalg.norm(pixels - color, axis=-1) < _COLOR_DISTANCE).sum()) >= _MIN_PIXELS


def _background_color(pixels: np.ndarray) -> np.ndarray:
    """Return the median color of the border, which is mostly background."""
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return np.median(border, axis=0)


def _connected_regions(mask: np.ndarray) -> list[np.ndarray]:
    """Return masks of regions that are connected across gaps of up to two pixels; the masks include the gaps."""
    height, width = mask.shape
    padded = np.pad(mask, 1)
    dilated = np.any([padded[y : y + height, x : x + width] for y in range(3) for x in range(3)], axis=0)
    left, groups = dilated.copy(), []
    for start in zip(*np.nonzero(dilated), strict=True):
        if not left[start]:
            continue
        group, edge = np.zeros_like(mask), [start]
        left[start] = False
        while edge:
            y, x = edge.pop()
            group[y, x] = True
            for row, column in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if 0 <= row < height and 0 <= column < width and left[row, column]:
                    left[row, column] = False
                    edge.append((row, column))
        groups.append(group)
    return groups


def _classify(pixels: np.ndarray, templates: dict[str, "_Templates"], box: tuple[int, int, int, int]) -> DetectedObject:
    """Find the template closest to the contents of a box."""
    left, top, right, bottom = box
    crop = Image.fromarray(pixels[top:bottom, left:right].astype(np.uint8))
    shown = np.asarray(crop.resize((_GRID, _GRID), Image.Resampling.BILINEAR), dtype=np.float32)
    aspect = np.log((right - left) / (bottom - top))
    best, nearest, nearest_color = np.inf, 0, ""
    for color, rendered in templates.items():
        errors = np.square(rendered.pixels - shown).sum(-1).mean((1, 2))
        errors += _ASPECT_WEIGHT * np.square(rendered.aspects - aspect)
        if errors.min() < best:
            best, nearest, nearest_color = errors.min(), int(errors.argmin()), color
    error = float(best / templates[nearest_color].contrasts[nearest])
    known = error < _MAX_ERROR
    height, width = pixels.shape[:2]
    return DetectedObject(
        name=COLORED_NAMES[nearest // len(_TILTS)] if known else None,
        color=nearest_color if known else None,
        x=(left + right) / 2 / width,
        y=(top + bottom) / 2 / height,
        error=error,
    )


@dataclass(frozen=True)
class _Templates:
    """Every template in one color on one background, cropped to its foreground.

    Attributes:
        pixels: (templates, 16, 16, 3).
        aspects: logarithm of width by height before the crop was resized to a square.
        contrasts: mean squared RGB distance to the background.
    """

    pixels: np.ndarray
    aspects: np.ndarray
    contrasts: np.ndarray


def _render_templates(color: np.ndarray, background: np.ndarray) -> _Templates:
    tones = np.stack([color, color * 0.55, 255 - (255 - color) * 0.45, background])
    rendered = _tone_shares() @ tones
    foreground = np.linalg.norm(rendered - background, axis=-1) > _FOREGROUND_DISTANCE
    top, bottom = _extent(foreground.any(2))
    left, right = _extent(foreground.any(1))
    steps = (np.arange(_GRID) + 0.5) / _GRID
    rows = (top[:, None] + steps * (bottom - top)[:, None]).astype(int)
    columns = (left[:, None] + steps * (right - left)[:, None]).astype(int)
    cut = rendered[np.arange(len(rendered))[:, None, None], rows[:, :, None], columns[:, None, :]]
    return _Templates(cut, np.log((right - left) / (bottom - top)), np.square(cut - background).sum(-1).mean((1, 2)))


def _extent(lines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index of the first line that is set and one past the last, per template; the full range if none is."""
    some = lines.any(1)
    first = np.where(some, lines.argmax(1), 0)
    return first, np.where(some, lines.shape[1] - lines[:, ::-1].argmax(1), lines.shape[1])


@lru_cache(maxsize=1)
def _tone_shares() -> np.ndarray:
    """Shares of the main, dark, light and background tone of each pixel: (templates, 32, 32, 4)."""
    shares = []
    for name in COLORED_NAMES:
        for tilt in _TILTS:
            tile = np.asarray(render(name, (100, 100, 100), _TEMPLATE_PX, tilt), dtype=np.float32)
            alpha, value = tile[..., 3] / 255, tile[..., 0]
            shares.append(_unmix_tones(alpha, value))
    return np.stack(shares)


def _unmix_tones(alpha: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Separate the tones of a shape rendered in gray 100, whose dark tone is 55 and light tone 185."""
    dark = np.clip((100 - value) / 45, 0, 1)
    light = np.clip((value - 100) / 85, 0, 1)
    return np.stack([alpha * (1 - dark - light), alpha * dark, alpha * light, 1 - alpha], axis=-1)
