"""Training data of the image generator: plans of a few colored objects, their captions, and scenes that show them."""

from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np
from PIL import Image

from ..scenes.colors import COLORS, background, pick
from ..scenes.composition import colored_object
from ..scenes.concepts import COLORED_NAMES, SHAPE_NAMES, plural, with_article
from ..scenes.layouts import Box, reading_order
from ..scenes.lettering import Letter
from ..scenes.scene import SCENE_PX, Scene, reference_color
from ..scenes.splits import TRAINING_STREAM
from .descriptions import NUMBERS, enumerate_words

IMAGE_PX = 64
"""Side of generated images: scenes, downsampled by four."""
KINDS = ("one", "placed", "several", "related", "counted", "mixed", "loose")
"""One object without and with a place · several objects, each with a place · one beside another · two to four copies ·
two or three copies and one other · two or three distinct objects."""
PLACES: dict[str, tuple[int, int]] = {
    "at the top left": (0, 0),
    "at the top": (1, 0),
    "at the top right": (2, 0),
    "on the left": (0, 1),
    "in the middle": (1, 1),
    "on the right": (2, 1),
    "at the bottom left": (0, 2),
    "at the bottom": (1, 2),
    "at the bottom right": (2, 2),
}
"""Column and row of the nine cells that divide an image."""
RELATION_OFFSETS: dict[str, tuple[int, int]] = {
    "left of": (-1, 0),
    "right of": (1, 0),
    "above": (0, -1),
    "below": (0, 1),
}
"""Direction from the second object to the first, as columns and rows."""
CELLS = tuple(PLACES.values())
ARRANGED: dict[int, tuple[tuple[int, int], ...]] = {
    1: ((1, 1),),
    2: ((0, 1), (2, 1)),
    3: ((1, 0), (0, 2), (2, 2)),
    4: ((0, 0), (2, 0), (0, 2), (2, 2)),
}
"""Cells of objects without a place, by their number: like dots on dice, in the order of the caption."""

_ANY_COLOR_SHARE = 0.1
_CELL_STARTS_PX = (2, 98, 194)
"""Start of objects in the first, second and third column or row. A cell covers 2 x 2 of the blocks that the generator
draws (`image_generator.spectrum`)."""
_SIZE_PX = 60
_SINGLE_SIZE_PX = 124
"""Size of a single object without a place: 4 x 4 blocks."""


@dataclass(frozen=True)
class PlanItem:
    """An object to draw, once or several times.

    Attributes:
        name: one of `concepts.COLORED_NAMES`.
        color: one of `colors.COLORS`; None for any color.
        count: number of copies.
        place: one of `PLACES`; None for the default arrangement.
    """

    name: str
    color: str | None = None
    count: int = 1
    place: str | None = None

    def phrase(self) -> str:
        """ "a red star", "three red stars at the top"."""
        words = f"{self.color} " if self.color else ""
        alike = f"{NUMBERS[self.count]} {words}{plural(self.name)}"
        named = with_article(words + self.name) if self.count == 1 else alike
        return f"{named} {self.place}" if self.place else named


@dataclass(frozen=True)
class ImagePlan:
    """The complete contents of an image. `relation` is that of the first of two items to the second."""

    items: tuple[PlanItem, ...]
    relation: str | None = None

    def caption(self) -> str:
        """Return the caption in the generator's vocabulary."""
        phrases = [item.phrase() for item in self.items]
        return f" {self.relation} ".join(phrases) if self.relation else enumerate_words(phrases)

    @property
    def units(self) -> tuple[PlanItem, ...]:
        """All objects one by one: an item with a count occurs that many times."""
        return tuple(item for item in self.items for _ in range(item.count))

    @property
    def cells(self) -> tuple[tuple[int, int], ...]:
        """Column and row of every unit.

        Objects without a place always get the same arrangement, so that a small generator needs fewer images to learn
        what captions mean.
        """
        if self.relation:
            across, down = RELATION_OFFSETS[self.relation]
            return (1 + across, 1 + down), (1 - across, 1 - down)
        taken = [PLACES[item.place] for item in self.items if item.place]
        number = len(self.units) - len(taken)
        free = (cell for cell in (*ARRANGED.get(number, ()), *CELLS) if cell not in taken)
        open_cells = iter(dict.fromkeys(free))
        return tuple(PLACES[item.place] if item.place else next(open_cells) for item in self.units)

    @property
    def is_single(self) -> bool:
        """Whether the image shows a single object without a place."""
        return len(self.units) == 1 and self.units[0].place is None


def sample_plan(rng: np.random.Generator, kind: str | None = None) -> ImagePlan:
    """Sample a plan of a kind; by default of a random kind.

    Raises:
        ValueError: `kind` is not one of `KINDS`.
    """
    kind = kind or pick(rng, KINDS)
    match kind:
        case "one":
            return ImagePlan(_sample_items(rng, 1))
        case "placed":
            return _sample_placed(rng, 1)
        case "several":
            return _sample_placed(rng, int(rng.integers(2, 5)))
        case "related":
            return ImagePlan(_sample_items(rng, 2), pick(rng, tuple(RELATION_OFFSETS)))
        case "counted":
            return ImagePlan(_sample_items(rng, 1, int(rng.integers(2, 5))))
        case "mixed":
            first, second = _sample_items(rng, 2)
            return ImagePlan((PlanItem(first.name, first.color, int(rng.integers(2, 4))), second))
        case "loose":
            return ImagePlan(_sample_items(rng, int(rng.integers(2, 4))))
        case _:
            raise ValueError(f"unknown kind of plan {kind!r}: choose from {', '.join(KINDS)}")


def sample_planned_image(seed: int, kind: str | None = None, stream: int = TRAINING_STREAM) -> tuple[ImagePlan, Scene]:
    """Sample a plan and a scene that shows it; the same seed, kind and stream always give the same."""
    rng = np.random.default_rng([stream, seed, crc32(b"painting"), crc32((kind or "").encode())])
    plan = sample_plan(rng, kind)
    return plan, compose_plan(rng, plan)


class PlannedImage(Scene):
    """A scene that renders at the size of generated images."""

    def draw(self) -> tuple[Image.Image, list[Letter], np.ndarray]:
        """Render like `Scene.draw`, but with a downsampled image; the object numbers keep the size of the scene."""
        image, letters, owner = super().draw()
        return image.reduce(SCENE_PX // IMAGE_PX), letters, owner


def compose_plan(rng: np.random.Generator, plan: ImagePlan) -> Scene:
    """Return a scene that shows exactly this plan, with upright objects in fixed cells."""
    objects = [colored_object(rng, item.name, item.color or pick(rng, tuple(COLORS))) for item in plan.units]
    ground = background(rng, [reference_color(obj) for obj in objects])
    boxes = _plan_boxes(plan)
    placed = [replace(obj, box=box, tilt_degrees=0) for obj, box in zip(objects, boxes, strict=True)]
    return PlannedImage("painting", ground, tuple(placed[i] for i in reading_order(boxes)))


def image_array(scene: Scene) -> np.ndarray:
    """Render a planned image as (64, 64, 3) uint8."""
    return np.asarray(scene.draw()[0])


def place_of(x: float, y: float, side_px: float) -> str:
    """Return the place whose cell contains a point of an image."""
    column, row = (min(2, max(0, int(3 * value / side_px))) for value in (x, y))
    return next(name for name, cell in PLACES.items() if cell == (column, row))


def _sample_items(rng: np.random.Generator, number: int, count: int = 1) -> tuple[PlanItem, ...]:
    """Sample distinguishable items; half of them are shapes, and names may repeat in different colors."""
    items: list[PlanItem] = []
    while len(items) < number:
        name = pick(rng, SHAPE_NAMES if rng.random() < 0.5 else COLORED_NAMES)
        color = None if rng.random() < _ANY_COLOR_SHARE else pick(rng, tuple(COLORS))
        same_name = [item for item in items if item.name == name]
        if all(color and item.color and item.color != color for item in same_name):
            items.append(PlanItem(name, color, count))
    return tuple(items)


def _sample_placed(rng: np.random.Generator, number: int) -> ImagePlan:
    """Sample items in distinct places; half of the plans list them from top to bottom, the others in random order."""
    chosen = rng.permutation(len(PLACES))[:number]
    places = [tuple(PLACES)[i] for i in (np.sort(chosen) if rng.random() < 0.5 else chosen)]
    items = zip(_sample_items(rng, number), places, strict=True)
    return ImagePlan(tuple(PlanItem(item.name, item.color, 1, place) for item, place in items))


def _plan_boxes(plan: ImagePlan) -> list[Box]:
    """Return the box of every unit."""
    if plan.is_single:
        low = (SCENE_PX - _SINGLE_SIZE_PX) // 2
        return [(low, low, low + _SINGLE_SIZE_PX, low + _SINGLE_SIZE_PX)]
    return [_cell_box(cell) for cell in plan.cells]


def _cell_box(cell: tuple[int, int]) -> Box:
    left, top = (_CELL_STARTS_PX[number] for number in cell)
    return left, top, left + _SIZE_PX, top + _SIZE_PX
