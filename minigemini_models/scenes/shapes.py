"""Shapes and simple objects as filled outlines in the unit square (x to the right, y down)."""

import math
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from .lettering import Color

Points = list[tuple[float, float]]
Part = tuple[str, Points]
"""A tone (`main`, `dark`, `light` or `hole`) and the outline that it fills; later parts cover earlier ones."""

_SUPERSAMPLING = 3


def _oval(left: float, top: float, right: float, bottom: float, start: float = 0, stop: float = 360) -> Points:
    """Return an ellipse in a box, or its closed arc from `start` to `stop` degrees clockwise from three o'clock."""
    x, y, rx, ry = (left + right) / 2, (top + bottom) / 2, (right - left) / 2, (bottom - top) / 2
    angles = [math.radians(start + (stop - start) * i / 36) for i in range(37)]
    return [(x + rx * math.cos(angle), y + ry * math.sin(angle)) for angle in angles]


def _box(left: float, top: float, right: float, bottom: float) -> Points:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _star(points: int, inner: float) -> Points:
    corners = []
    for i in range(2 * points):
        radius, angle = (0.5 if i % 2 == 0 else inner), math.pi * i / points - math.pi / 2
        corners.append((0.5 + radius * math.cos(angle), 0.5 + radius * math.sin(angle)))
    return corners


def _heart() -> Points:
    curve = []
    for i in range(60):
        t = 2 * math.pi * i / 60
        x = 16 * math.sin(t) ** 3
        y = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        curve.append((0.5 + x / 34, 0.45 - y / 34))
    return curve


SHAPES: dict[str, list[Part]] = {
    "circle": [("main", _oval(0, 0, 1, 1))],
    "square": [("main", _box(0.05, 0.05, 0.95, 0.95))],
    "triangle": [("main", [(0.5, 0.03), (1, 0.95), (0, 0.95)])],
    "star": [("main", _star(5, 0.2))],
    "heart": [("main", _heart())],
    "diamond": [("main", [(0.5, 0), (0.85, 0.5), (0.5, 1), (0.15, 0.5)])],
    "cross": [("main", _box(0.34, 0, 0.66, 1)), ("main", _box(0, 0.34, 1, 0.66))],
    "ring": [("main", _oval(0, 0, 1, 1)), ("hole", _oval(0.27, 0.27, 0.73, 0.73))],
}

OBJECTS: dict[str, list[Part]] = {
    "house": [
        ("dark", [(0.5, 0), (1, 0.45), (0, 0.45)]),
        ("main", _box(0.1, 0.42, 0.9, 1)),
        ("light", _box(0.2, 0.52, 0.42, 0.74)),
        ("dark", _box(0.56, 0.6, 0.78, 1)),
    ],
    "tree": [
        ("dark", _box(0.43, 0.6, 0.57, 1)),
        ("main", _oval(0.12, 0.25, 0.88, 0.8)),
        ("main", _oval(0.22, 0, 0.78, 0.55)),
    ],
    "car": [
        ("main", [(0.2, 0.48), (0.32, 0.22), (0.68, 0.22), (0.82, 0.48)]),
        ("main", _box(0, 0.46, 1, 0.75)),
        ("light", [(0.3, 0.46), (0.37, 0.29), (0.63, 0.29), (0.72, 0.46)]),
        ("dark", _oval(0.12, 0.62, 0.36, 0.88)),
        ("dark", _oval(0.64, 0.62, 0.88, 0.88)),
    ],
    "boat": [
        ("main", [(0, 0.68), (1, 0.68), (0.8, 0.98), (0.2, 0.98)]),
        ("dark", _box(0.46, 0.02, 0.52, 0.7)),
        ("light", [(0.55, 0.05), (0.95, 0.6), (0.55, 0.6)]),
        ("main", [(0.43, 0.15), (0.43, 0.6), (0.12, 0.6)]),
    ],
    "fish": [
        ("main", _oval(0, 0.22, 0.75, 0.78)),
        ("dark", [(0.66, 0.5), (1, 0.2), (1, 0.8)]),
        ("light", _oval(0.13, 0.36, 0.25, 0.48)),
    ],
    "flower": [
        ("dark", _box(0.46, 0.5, 0.54, 1)),
        *[
            ("main", _oval(x - 0.17, y - 0.17, x + 0.17, y + 0.17))
            for x, y in [(0.5, 0.17), (0.72, 0.33), (0.64, 0.58), (0.36, 0.58), (0.28, 0.33)]
        ],
        ("light", _oval(0.38, 0.27, 0.62, 0.51)),
    ],
    "cup": [
        ("main", _oval(0.58, 0.3, 1, 0.75)),
        ("hole", _oval(0.68, 0.4, 0.9, 0.65)),
        ("main", [(0.05, 0.15), (0.75, 0.15), (0.66, 0.92), (0.14, 0.92)]),
        ("dark", _oval(0.05, 0.07, 0.75, 0.24)),
    ],
    "umbrella": [
        ("dark", _box(0.47, 0.4, 0.53, 0.95)),
        ("dark", _box(0.3, 0.89, 0.53, 0.95)),
        ("main", _oval(0, 0.05, 1, 0.95, 180, 360)),
        ("light", _oval(0.34, 0.05, 0.66, 0.95, 180, 360)),
    ],
    "mushroom": [
        ("light", _box(0.36, 0.45, 0.64, 1)),
        ("main", _oval(0, 0.05, 1, 1.05, 180, 360)),
        ("light", _oval(0.2, 0.22, 0.38, 0.4)),
        ("light", _oval(0.56, 0.16, 0.76, 0.36)),
    ],
    "bottle": [
        ("dark", _box(0.4, 0, 0.6, 0.1)),
        ("main", _box(0.42, 0.08, 0.58, 0.35)),
        ("main", [(0.42, 0.28), (0.58, 0.28), (0.72, 0.45), (0.72, 1), (0.28, 1), (0.28, 0.45)]),
        ("light", _box(0.28, 0.55, 0.72, 0.8)),
    ],
    "hat": [
        ("main", _box(0.25, 0.15, 0.75, 0.75)),
        ("dark", _box(0.25, 0.58, 0.75, 0.72)),
        ("main", _oval(0, 0.66, 1, 0.9)),
    ],
    "ladder": [
        ("main", _box(0.2, 0, 0.32, 1)),
        ("main", _box(0.68, 0, 0.8, 1)),
        *[("main", _box(0.3, y, 0.7, y + 0.08)) for y in (0.1, 0.35, 0.6, 0.85)],
    ],
}

DRAWINGS: dict[str, list[Part]] = SHAPES | OBJECTS
NAMES = tuple(DRAWINGS)


def render(name: str, color: Color, size_px: int, tilt_degrees: int = 0) -> Image.Image:
    """Render a shape in a color, anti-aliased on a transparent background: RGBA, `size_px` square."""
    shades = {
        "main": (*color, 255),
        "dark": (*(round(channel * 0.55) for channel in color), 255),
        "light": (*(round(255 - (255 - channel) * 0.45) for channel in color), 255),
        "hole": (*color, 0),
    }
    side = size_px * _SUPERSAMPLING
    tile = Image.new("RGBA", (side, side), shades["hole"])
    draw = ImageDraw.Draw(tile)
    for tone, outline in _tilted(name, tilt_degrees):
        draw.polygon([(x * side, y * side) for x, y in outline], fill=shades[tone])
    return tile.reduce(_SUPERSAMPLING)


@lru_cache(maxsize=1024)
def _tilted(name: str, degrees: int) -> list[Part]:
    """Return the outlines rotated about the center and scaled to stay inside the unit square."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    shrink = 1 / (abs(cosine) + abs(sine))
    turn = shrink * np.array([[cosine, sine], [-sine, cosine]])
    return [(tone, [tuple(p) for p in (np.array(o) - 0.5) @ turn + 0.5]) for tone, o in DRAWINGS[name]]
