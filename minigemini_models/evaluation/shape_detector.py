"""What is in a small picture of coloured things, found without any network: by drawing every thing that there is.

A thing is a group of pixels that stand off from the ground. Its name and colour are those of the drawing that, brought
to the same size on the same ground, comes nearest to it.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations

import numpy as np
from PIL import Image

from ..samples.image_plans import RELATIONS, ImagePlan, PlanItem, place_of
from ..scenes.colors import COLORS
from ..scenes.concepts import COLORED_NAMES
from ..scenes.shapes import render

_TEMPLATE_PX, _GRID = 32, 16
_TILTS = range(-12, 13, 6)
_FOREGROUND_DISTANCE = 40.0
"""Least RGB distance from the ground of a pixel that belongs to a thing."""
_MIN_PIXELS = 12
_COLOR_DISTANCE = 70.0
"""Greatest RGB distance from a named colour of a pixel that may be of that colour."""
_ASPECT_WEIGHT = 6000.0
_MAX_ERROR = 0.35
"""Share of a drawing's contrast with the ground beyond which something is none of the things there are."""
_MIN_OFFSET = 5 / 64
"""Of the picture's side: how much further left (or up) the one of two must be."""


@dataclass(frozen=True)
class DetectedObject:
    """A thing that was found.

    Attributes:
        name, colour: of the nearest drawing; None where none is near.
        x, y: its middle, as shares of the picture's sides.
        error: mean squared RGB distance to that drawing, as a share of its own to the ground.
    """

    name: str | None
    color: str | None
    x: float
    y: float
    error: float


@dataclass(frozen=True)
class Verdict:
    """How a picture meets a plan; each is right or not for the picture as a whole."""

    objects: bool
    colors: bool
    count: bool
    position: bool

    @property
    def right(self) -> bool:
        return self.objects and self.colors and self.count and self.position


def detect_objects(image: Image.Image) -> list[DetectedObject]:
    """The things in an RGB picture with one ground."""
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
    """Hold what was found to what was asked for, each thing to the one that it fits best."""
    units = plan.units
    if len(units) != len(detected):
        return Verdict(False, False, False, False)
    best = max(
        (_fits(plan, units, [detected[i] for i in order]) for order in permutations(range(len(detected)))),
        key=lambda fits: (sum(fits), fits),
    )
    return Verdict(best[0], best[1], True, best[2])


def _fits(plan: ImagePlan, units: tuple[PlanItem, ...], detected: list[DetectedObject]) -> tuple[bool, bool, bool]:
    """Whether all names, all colours and all positions agree."""
    pairs = list(zip(units, detected, strict=True))
    beside = True
    if plan.relation:
        across, down = RELATIONS[plan.relation]
        first, second = detected
        beside = across * (first.x - second.x) + down * (first.y - second.y) >= _MIN_OFFSET
    return (
        all(unit.name == obj.name for unit, obj in pairs),
        all(unit.color in (None, obj.color) for unit, obj in pairs),
        beside and all(unit.place in (None, place_of(obj.x, obj.y, 1)) for unit, obj in pairs),
    )


def _has_color(pixels: np.ndarray, color: np.ndarray) -> bool:
    """Whether enough pixels are near enough to a colour."""
    return int((np.linalg.norm(pixels - color, axis=-1) < _COLOR_DISTANCE).sum()) >= _MIN_PIXELS


def _background_color(pixels: np.ndarray) -> np.ndarray:
    """The colour of most of the border, which things leave free."""
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return np.median(border, axis=0)


def _connected_regions(mask: np.ndarray) -> list[np.ndarray]:
    """Pixels that hang together over gaps of up to two, as masks that hold those gaps too."""
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
    """The drawing that comes nearest to what is in the box."""
    left, top, right, bottom = box
    crop = Image.fromarray(pixels[top:bottom, left:right].astype(np.uint8))
    shown = np.asarray(crop.resize((_GRID, _GRID), Image.Resampling.BILINEAR), dtype=np.float32)
    aspect = np.log((right - left) / (bottom - top))
    best, nearest, nearest_color = np.inf, 0, ""
    for color, drawn in templates.items():
        errors = np.square(drawn.pixels - shown).sum(-1).mean((1, 2))
        errors += _ASPECT_WEIGHT * np.square(drawn.aspects - aspect)
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
    """Every drawing in one colour on one ground, cut to what of it stands off.

    Attributes:
        pixels: (drawings, 16, 16, 3).
        aspects: logarithm of width by height before the cut was made square.
        contrasts: mean squared RGB distance to the ground.
    """

    pixels: np.ndarray
    aspects: np.ndarray
    contrasts: np.ndarray


def _render_templates(color: np.ndarray, background: np.ndarray) -> _Templates:
    tones = np.stack([color, color * 0.55, 255 - (255 - color) * 0.45, background])
    drawn = _tone_shares() @ tones
    foreground = np.linalg.norm(drawn - background, axis=-1) > _FOREGROUND_DISTANCE
    top, bottom = _extent(foreground.any(2))
    left, right = _extent(foreground.any(1))
    steps = (np.arange(_GRID) + 0.5) / _GRID
    rows = (top[:, None] + steps * (bottom - top)[:, None]).astype(int)
    columns = (left[:, None] + steps * (right - left)[:, None]).astype(int)
    cut = drawn[np.arange(len(drawn))[:, None, None], rows[:, :, None], columns[:, None, :]]
    return _Templates(cut, np.log((right - left) / (bottom - top)), np.square(cut - background).sum(-1).mean((1, 2)))


def _extent(lines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and behind the last of the lines that are set, per drawing; all of them where none is."""
    some = lines.any(1)
    first = np.where(some, lines.argmax(1), 0)
    return first, np.where(some, lines.shape[1] - lines[:, ::-1].argmax(1), lines.shape[1])


@lru_cache(maxsize=1)
def _tone_shares() -> np.ndarray:
    """Per drawing and tilt, what share of each pixel is main, dark, light and ground: (drawings, 32, 32, 4)."""
    shares = []
    for name in COLORED_NAMES:
        for tilt in _TILTS:
            tile = np.asarray(render(name, (100, 100, 100), _TEMPLATE_PX, tilt), dtype=np.float32)
            alpha, value = tile[..., 3] / 255, tile[..., 0]
            shares.append(_unmix_tones(alpha, value))
    return np.stack(shares)


def _unmix_tones(alpha: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Shares of the tones of a drawing in grey 100, whose dark is 55 and whose light is 185."""
    dark = np.clip((100 - value) / 45, 0, 1)
    light = np.clip((value - 100) / 85, 0, 1)
    return np.stack([alpha * (1 - dark - light), alpha * dark, alpha * light, 1 - alpha], axis=-1)
