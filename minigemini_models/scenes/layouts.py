"""Layouts that place objects without overlap or ambiguity. Evaluation holds some of them out."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from .colors import pick

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels."""

APART_PX = 20
"""Centers at least this far apart along an axis are ordered: one is left of (or above) the other."""
ALIGNED_PX = 8
"""Centers at most this far apart are level. Distances between the two are ambiguous, and no question uses them."""
_TRIES = 40
_MARGIN_PX = 4

LayoutFunction = Callable[[np.random.Generator, int, int, float], list[tuple[float, float]]]
"""Takes a generator, the number of objects, the image side and the largest object's side; returns the centers."""


def center(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def overlap(a: Box, b: Box, gap_px: int = _MARGIN_PX) -> bool:
    return a[0] < b[2] + gap_px and b[0] < a[2] + gap_px and a[1] < b[3] + gap_px and b[1] < a[3] + gap_px


def free_box(
    rng: np.random.Generator, width: int, height: int, taken: Sequence[Box], side_px: int, apart_px: int = 0
) -> Box | None:
    """Sample a box of this size that overlaps none of `taken`; None if it is too large or forty attempts fail.

    Args:
        rng: the generator.
        width, height: size of the box in pixels.
        taken: boxes to avoid.
        side_px: side of the image.
        apart_px: minimum vertical distance between its center and the centers of `taken`.
    """
    if width > side_px - 4 or height > side_px - 4:
        return None
    for _ in range(_TRIES):
        left, top = int(rng.integers(2, side_px - width - 1)), int(rng.integers(2, side_px - height - 1))
        box = (left, top, left + width, top + height)
        y = center(box)[1]
        if not any(overlap(box, other) or abs(center(other)[1] - y) < apart_px for other in taken):
            return box
    return None


def arrange(
    rng: np.random.Generator,
    layouts: Sequence[str],
    sizes: Sequence[int],
    side_px: int,
    taken: Sequence[Box] = (),
    clear: bool = True,
) -> list[Box]:
    """Place objects of these sizes by one of the layouts, without overlap.

    Args:
        rng: the generator.
        layouts: names of layouts to choose from; the first is the fallback after half of the attempts.
        sizes: side of each object in pixels.
        side_px: side of the image.
        taken: boxes to avoid.
        clear: require unambiguous spatial relations, see `is_clear`.

    Returns:
        The boxes; fewer than sizes if not all fit.
    """
    for attempt in range(_TRIES):
        shrunk = [max(28, round(size * 0.99**attempt)) for size in sizes]
        layout = pick(rng, layouts) if attempt < _TRIES // 2 else layouts[0]
        centers = _LAYOUTS[layout](rng, len(shrunk), side_px, max(shrunk, default=0))
        boxes = [_box(x, y, size) for (x, y), size in zip(centers, shrunk, strict=True)]
        if _fits(boxes, taken, side_px) and (not clear or is_clear(boxes)):
            return boxes
    return arrange(rng, layouts, sizes[:-1], side_px, taken, clear) if sizes else []


def is_clear(boxes: Sequence[Box]) -> bool:
    """Return whether every pair of boxes is unambiguously ordered or level, along both axes."""
    return not any(
        ALIGNED_PX < abs(a - b) < APART_PX
        for number, box in enumerate(boxes)
        for other in boxes[:number]
        for a, b in zip(center(box), center(other), strict=True)
    )


def reading_order(boxes: Sequence[Box]) -> list[int]:
    """Return indices of the boxes from left to right, and within a column from top to bottom."""
    by_x = sorted(range(len(boxes)), key=lambda i: center(boxes[i])[0])
    column, columns = 0, {}
    for before, here in zip(by_x[:1] + by_x, by_x, strict=False):
        column += center(boxes[here])[0] - center(boxes[before])[0] > ALIGNED_PX
        columns[here] = column
    return sorted(by_x, key=lambda i: (columns[i], center(boxes[i])[1]))


def _box(x: float, y: float, size: int) -> Box:
    left, top = round(x - size / 2), round(y - size / 2)
    return left, top, left + size, top + size


def _fits(boxes: Sequence[Box], taken: Sequence[Box], side_px: int) -> bool:
    inside = all(min(box[:2]) >= 2 and max(box[2:]) <= side_px - 2 for box in boxes)
    others = list(taken)
    for box in boxes:
        if not inside or any(overlap(box, other) for other in others):
            return False
        others.append(box)
    return inside


def _scatter(rng: np.random.Generator, count: int, side_px: int, size: float) -> list[tuple[float, float]]:
    """Sample positions one by one, avoiding earlier ones if forty attempts suffice."""
    low, high = size / 2 + 2, side_px - size / 2 - 2
    centers: list[tuple[float, float]] = []
    for _ in range(count):
        for _ in range(_TRIES):
            x, y = rng.uniform(low, high, 2)
            if all(max(abs(x - a), abs(y - b)) > size + _MARGIN_PX for a, b in centers):
                break
        centers.append((x, y))
    return centers


def _line(rng: np.random.Generator, count: int, side_px: int, size: float) -> tuple[np.ndarray, np.ndarray]:
    """Even steps along the image, and a small offset of each from the line."""
    room = side_px - size - 2 * _MARGIN_PX
    span = room if count > 2 else room * rng.uniform(0.6, 1)
    start = _MARGIN_PX + size / 2 + (room - span) * rng.random()
    steps = start + span * (np.arange(count) / max(1, count - 1) if count > 1 else np.array([rng.random()]))
    return steps, rng.uniform(-ALIGNED_PX / 2, ALIGNED_PX / 2, count)


def _row(rng: np.random.Generator, count: int, side_px: int, size: float) -> list[tuple[float, float]]:
    steps, strays = _line(rng, count, side_px, size)
    height = rng.uniform(size / 2 + 8, side_px - size / 2 - 8)
    return [(x, height + stray) for x, stray in zip(steps, strays, strict=True)]


def _column(rng: np.random.Generator, count: int, side_px: int, size: float) -> list[tuple[float, float]]:
    return [(y, x) for x, y in _row(rng, count, side_px, size)]


def _corners(rng: np.random.Generator, count: int, side_px: int, size: float) -> list[tuple[float, float]]:
    """Distinct cells of the coarsest square grid that has enough."""
    cells = math.ceil(math.sqrt(count))
    pitch = side_px / cells
    stray = min(ALIGNED_PX / 2, max(0.0, (pitch - size) / 2 - _MARGIN_PX))
    chosen = rng.permutation(cells * cells)[:count]
    return [
        (
            (i % cells + 0.5) * pitch + rng.uniform(-stray, stray),
            (i // cells + 0.5) * pitch + rng.uniform(-stray, stray),
        )
        for i in chosen.tolist()
    ]


def _diagonal(rng: np.random.Generator, count: int, side_px: int, size: float) -> list[tuple[float, float]]:
    steps, strays = _line(rng, count, side_px, size)
    downward = rng.random() < 0.5
    return [(x, (x if downward else side_px - x) + stray) for x, stray in zip(steps, strays, strict=True)]


def _circle(rng: np.random.Generator, count: int, side_px: int, size: float) -> list[tuple[float, float]]:
    radius, turn = (side_px - size) / 2 - 8, rng.uniform(0, 2 * math.pi)
    angles = [turn + 2 * math.pi * i / count for i in range(count)]
    return [(side_px / 2 + radius * math.cos(angle), side_px / 2 + radius * math.sin(angle)) for angle in angles]


_LAYOUTS: dict[str, LayoutFunction] = {
    "scatter": _scatter,
    "row": _row,
    "column": _column,
    "corners": _corners,
    "diagonal": _diagonal,
    "circle": _circle,
}
