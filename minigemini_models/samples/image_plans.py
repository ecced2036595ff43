"""Pictures as the painter learns them: a plan of a few coloured things, its caption, and a scene that shows it."""

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
"""Side of the painter's pictures: scenes, made smaller by four."""
KINDS = ("one", "placed", "several", "related", "counted", "mixed", "loose")
"""One thing, on its own or in its place · several, each in its place · one beside another · two to four alike · two or
three alike and one other · two or three different ones."""
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
"""Column and row of the nine cells that a picture is thought to consist of."""
RELATIONS: dict[str, tuple[int, int]] = {"left of": (-1, 0), "right of": (1, 0), "above": (0, -1), "below": (0, 1)}
"""Where the first stands as seen from the second."""
CELLS = tuple(PLACES.values())
ARRANGED: dict[int, tuple[tuple[int, int], ...]] = {
    1: ((1, 1),),
    2: ((0, 1), (2, 1)),
    3: ((1, 0), (0, 2), (2, 2)),
    4: ((0, 0), (2, 0), (0, 2), (2, 2)),
}
"""The cells of so many things whose places are left open: as dots on dice, in the order of the caption."""

_ANY_COLOR_SHARE = 0.1
_CELL_STARTS_PX = (2, 98, 194)
"""Where things in the first, second and third column or row begin: everything stands in one of nine cells, which are
two by two of the blocks of pixels that the painter draws (`painter.spectrum`)."""
_SIZE_PX = 60
_SINGLE_SIZE_PX = 124
"""Of a thing that has a picture for itself: four by four blocks."""


@dataclass(frozen=True)
class PlanItem:
    """Something to paint, once or several times.

    Attributes:
        name: one of `concepts.TINTED_NAMES`.
        colour: one of `colours.COLOURS`; None leaves it open.
        count: how many of it.
        place: one of `PLACES`; None leaves it open.
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
    """What a picture must show, and nothing else. `relation` says how the first of two items stands to the second."""

    items: tuple[PlanItem, ...]
    relation: str | None = None

    def caption(self) -> str:
        """In the painter's words."""
        phrases = [item.phrase() for item in self.items]
        return f" {self.relation} ".join(phrases) if self.relation else enumerate_words(phrases)

    @property
    def units(self) -> tuple[PlanItem, ...]:
        """Every single thing."""
        return tuple(item for item in self.items for _ in range(item.count))

    @property
    def cells(self) -> tuple[tuple[int, int], ...]:
        """Column and row of every unit. What a caption leaves open is always settled alike: where there is one place
        for everything, a small painter learns from few pictures what a caption means."""
        if self.relation:
            across, down = RELATIONS[self.relation]
            return (1 + across, 1 + down), (1 - across, 1 - down)
        taken = [PLACES[item.place] for item in self.items if item.place]
        number = len(self.units) - len(taken)
        free = (cell for cell in (*ARRANGED.get(number, ()), *CELLS) if cell not in taken)
        open_cells = iter(dict.fromkeys(free))
        return tuple(PLACES[item.place] if item.place else next(open_cells) for item in self.units)

    @property
    def is_single(self) -> bool:
        """Whether there is one thing, which has the picture for itself."""
        return len(self.units) == 1 and self.units[0].place is None


def sample_plan(rng: np.random.Generator, kind: str | None = None) -> ImagePlan:
    """A plan of the kind, or of any."""
    kind = kind or pick(rng, KINDS)
    match kind:
        case "one":
            return ImagePlan(_sample_items(rng, 1))
        case "placed":
            return _sample_placed(rng, 1)
        case "several":
            return _sample_placed(rng, int(rng.integers(2, 5)))
        case "related":
            return ImagePlan(_sample_items(rng, 2), pick(rng, tuple(RELATIONS)))
        case "counted":
            return ImagePlan(_sample_items(rng, 1, int(rng.integers(2, 5))))
        case "mixed":
            first, second = _sample_items(rng, 2)
            return ImagePlan((PlanItem(first.name, first.color, int(rng.integers(2, 4))), second))
        case "loose":
            return ImagePlan(_sample_items(rng, int(rng.integers(2, 4))))
        case _:
            raise ValueError(f"unknown kind of painting {kind!r}: choose from {', '.join(KINDS)}")


def sample_planned_image(seed: int, kind: str | None = None, stream: int = TRAINING_STREAM) -> tuple[ImagePlan, Scene]:
    """The plan of a seed and a scene that shows it; the same seed, kind and stream always give the same."""
    rng = np.random.default_rng([stream, seed, crc32(b"painting"), crc32((kind or "").encode())])
    plan = sample_plan(rng, kind)
    return plan, compose_plan(rng, plan)


class PlannedImage(Scene):
    """A scene whose picture is of the painter's size."""

    def draw(self) -> tuple[Image.Image, list[Letter], np.ndarray]:
        """As `Scene.draw`, but with the picture made smaller; the numbers of things stay at the scene's own size."""
        image, letters, owner = super().draw()
        return image.reduce(SCENE_PX // IMAGE_PX), letters, owner


def compose_plan(rng: np.random.Generator, plan: ImagePlan) -> Scene:
    """A scene that shows the plan and nothing else: upright, in cells, so that a small painter has little to learn."""
    objects = [colored_object(rng, item.name, item.color or pick(rng, tuple(COLORS))) for item in plan.units]
    ground = background(rng, [reference_color(obj) for obj in objects])
    boxes = _plan_boxes(plan)
    placed = [replace(obj, box=box, tilt_degrees=0) for obj, box in zip(objects, boxes, strict=True)]
    return PlannedImage("painting", ground, tuple(placed[i] for i in reading_order(boxes)))


def image_array(scene: Scene) -> np.ndarray:
    """The picture of a scene at the painter's size: (64, 64, 3) uint8."""
    return np.asarray(scene.draw()[0])


def place_of(x: float, y: float, side_px: float) -> str:
    """The place whose cell holds a point of a picture."""
    column, row = (min(2, max(0, int(3 * value / side_px))) for value in (x, y))
    return next(name for name, cell in PLACES.items() if cell == (column, row))


def _sample_items(rng: np.random.Generator, number: int, count: int = 1) -> tuple[PlanItem, ...]:
    """Different things, some of one name in two colours; half of them shapes."""
    items: list[PlanItem] = []
    while len(items) < number:
        name = pick(rng, SHAPE_NAMES if rng.random() < 0.5 else COLORED_NAMES)
        color = None if rng.random() < _ANY_COLOR_SHARE else pick(rng, tuple(COLORS))
        same_name = [item for item in items if item.name == name]
        if all(color and item.color and item.color != color for item in same_name):
            items.append(PlanItem(name, color, count))
    return tuple(items)


def _sample_placed(rng: np.random.Generator, number: int) -> ImagePlan:
    """Each in a place of its own; told from top to bottom, or in any order."""
    chosen = rng.permutation(len(PLACES))[:number]
    places = [tuple(PLACES)[i] for i in (np.sort(chosen) if rng.random() < 0.5 else chosen)]
    items = zip(_sample_items(rng, number), places, strict=True)
    return ImagePlan(tuple(PlanItem(item.name, item.color, 1, place) for item, place in items))


def _plan_boxes(plan: ImagePlan) -> list[Box]:
    """Where the things stand."""
    if plan.is_single:
        low = (SCENE_PX - _SINGLE_SIZE_PX) // 2
        return [(low, low, low + _SINGLE_SIZE_PX, low + _SINGLE_SIZE_PX)]
    return [_cell_box(cell) for cell in plan.cells]


def _cell_box(cell: tuple[int, int]) -> Box:
    left, top = (_CELL_STARTS_PX[number] for number in cell)
    return left, top, left + _SIZE_PX, top + _SIZE_PX
