"""One-step edits of image plans, each as an instruction and the changed plan."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..scenes.colors import COLORS, pick
from ..scenes.concepts import COLORED_NAMES, plural, with_article
from .image_plans import PLACES, ImagePlan, PlanItem
from .request_phrases import PLACE_WORDS, paraphrase_item

Edit = tuple[str, ImagePlan]
"""The instruction and the changed plan."""


def sample_edit(rng: np.random.Generator, plan: ImagePlan) -> Edit:
    """Sample an edit that is possible for a plan."""
    while True:
        edit = pick(rng, EDITS)(rng, plan)
        if edit is not None:
            return edit


def recolor(rng: np.random.Generator, plan: ImagePlan) -> Edit | None:
    """Change the color of an item; None if two items would become indistinguishable."""
    index = int(rng.integers(len(plan.items)))
    item = plan.items[index]
    color = pick(rng, [name for name in COLORS if name != item.color])
    changed = _replace_item(plan, index, replace(item, color=color))
    return None if changed is None else (f"Make {_refer_to(plan, index)} {color}.", changed)


def rename(rng: np.random.Generator, plan: ImagePlan) -> Edit | None:
    """Turn an item into another object; None if two items would become indistinguishable."""
    index = int(rng.integers(len(plan.items)))
    item = plan.items[index]
    name = pick(rng, [name for name in COLORED_NAMES if name != item.name])
    changed = _replace_item(plan, index, replace(item, name=name))
    named = with_article(name) if item.count == 1 else plural(name)
    return None if changed is None else (f"Turn {_refer_to(plan, index)} into {named}.", changed)


def move(rng: np.random.Generator, plan: ImagePlan) -> Edit | None:
    """Move a single object; None for plans of several."""
    if len(plan.items) != 1 or plan.items[0].count > 1:
        return None
    place = pick(rng, [place for place in PLACES if place != plan.items[0].place])
    instruction = pick(rng, ("Put it {}.", "Move it so that it is {}.", "I want it {}."))
    return instruction.format(pick(rng, PLACE_WORDS[place])), ImagePlan((replace(plan.items[0], place=place),))


def add(rng: np.random.Generator, plan: ImagePlan) -> Edit | None:
    """Add an item; None if the plan would leave the range of captions that the generator knows."""
    placed = all(item.place for item in plan.items)
    counted = any(item.count > 1 for item in plan.items)
    if plan.relation or len(plan.units) > 3 or len(plan.items) > (3 if placed else 1 if counted else 2):
        return None
    taken = [item.place for item in plan.items]
    place = pick(rng, [place for place in PLACES if place not in taken]) if placed else None
    new = PlanItem(pick(rng, COLORED_NAMES), pick(rng, tuple(COLORS)), 1, place)
    changed = _if_unambiguous(ImagePlan((*plan.items, new)))
    instruction = pick(rng, ("Add {}.", "Add {} too.", "Make it richer: add {}.", "And now with {}."))
    return None if changed is None else (instruction.format(paraphrase_item(rng, new)), changed)


def remove(rng: np.random.Generator, plan: ImagePlan) -> Edit | None:
    """Remove one of several items; None for plans of one."""
    if len(plan.items) < 2:
        return None
    index = int(rng.integers(len(plan.items)))
    left = tuple(item for number, item in enumerate(plan.items) if number != index)
    return pick(rng, ("Take {} away.", "Leave {} out.")).format(_refer_to(plan, index)), ImagePlan(left)


def add_copy(rng: np.random.Generator, plan: ImagePlan) -> Edit | None:
    """Increase the count of the only item; None if there are several items, a place or already four copies."""
    (item, *others) = plan.items
    if others or item.place or item.count > 3:
        return None
    instruction = pick(rng, ("One more.", "Draw one more.", "And one more of them."))
    return instruction, ImagePlan((replace(item, count=item.count + 1),))


EDITS: tuple[Callable[[np.random.Generator, ImagePlan], Edit | None], ...] = (
    recolor,
    rename,
    move,
    add,
    remove,
    add_copy,
)


def _refer_to(plan: ImagePlan, index: int) -> str:
    """Return a reference to an item: "it" if it is the only one, else its name, with its color if names repeat."""
    item = plan.items[index]
    if len(plan.items) == 1:
        return "it" if item.count == 1 else "them"
    name = item.name if item.count == 1 else plural(item.name)
    alone = sum(other.name == item.name for other in plan.items) == 1
    return f"the {name}" if alone else f"the {item.color} {name}"


def _replace_item(plan: ImagePlan, index: int, item: PlanItem) -> ImagePlan | None:
    """Return the plan with another item; None if it becomes ambiguous."""
    items = tuple(item if number == index else other for number, other in enumerate(plan.items))
    return _if_unambiguous(replace(plan, items=items))


def _if_unambiguous(plan: ImagePlan) -> ImagePlan | None:
    """Return the plan; None if two of its items have the same name and colors that may be the same."""
    looks = [(item.name, item.color) for item in plan.items]
    clashing = any(
        a[0] == b[0] and (None in (a[1], b[1]) or a[1] == b[1]) for n, a in enumerate(looks) for b in looks[:n]
    )
    return None if clashing else plan
