"""Everyday wordings of image plans, as users phrase requests for images."""

import numpy as np

from ..scenes.colors import pick
from ..scenes.concepts import plural, with_article
from .descriptions import NUMBERS, enumerate_words
from .image_plans import ImagePlan, PlanItem

DRAW = "<GEN>"
"""The marker that the processor appends to user turns that request an image."""
REQUEST_TEMPLATES = (
    "Draw {what}.",
    "Please draw {what}.",
    "Can you draw {what}?",
    "Could you paint {what} for me?",
    "I would like a picture of {what}.",
    "Show me {what}.",
    "Make a picture of {what}.",
    "I need {what}.",
    "How about {what}?",
    "Paint {what}, please.",
)
PLACE_WORDS: dict[str, tuple[str, ...]] = {
    "at the top left": ("at the top left", "in the top left corner", "in the upper left"),
    "at the top": ("at the top", "in the middle of the top", "up there"),
    "at the top right": ("at the top right", "in the top right corner", "in the upper right"),
    "on the left": ("on the left", "on the left side", "at the left edge"),
    "in the middle": ("in the middle", "in the centre", "right in the middle"),
    "on the right": ("on the right", "on the right side", "at the right edge"),
    "at the bottom left": ("at the bottom left", "in the bottom left corner", "in the lower left"),
    "at the bottom": ("at the bottom", "in the middle of the bottom", "down there"),
    "at the bottom right": ("at the bottom right", "in the bottom right corner", "in the lower right"),
}
RELATION_WORDS: dict[str, tuple[str, ...]] = {
    "left of": ("left of", "to the left of", "on the left of"),
    "right of": ("right of", "to the right of", "on the right of"),
    "above": ("above", "over", "on top of"),
    "below": ("below", "under", "beneath"),
}
COLOR_COMPARISONS: dict[str, str] = {
    "red": "a fire engine",
    "orange": "a carrot",
    "yellow": "a lemon",
    "green": "grass",
    "blue": "the sky",
    "purple": "a plum",
    "black": "coal",
    "white": "snow",
}
"""A comparison that names each color indirectly."""
PURPOSES: dict[str, str] = {
    "house": "to live in",
    "car": "to drive in",
    "boat": "to sail in",
    "fish": "that swims",
    "flower": "that smells sweet",
    "cup": "to drink from",
    "umbrella": "against the rain",
    "hat": "to wear on my head",
    "ladder": "to climb on",
    "bottle": "to keep water in",
}
"""Purposes that describe an object without its name."""


def paraphrase_item(rng: np.random.Generator, item: PlanItem) -> str:
    """Sample a wording of an item."""
    named = _paraphrase_name(rng, item)
    return f"{named} {pick(rng, PLACE_WORDS[item.place])}" if item.place else named


def paraphrase_plan(rng: np.random.Generator, plan: ImagePlan) -> str:
    """Sample a wording of a whole plan."""
    parts = [paraphrase_item(rng, item) for item in plan.items]
    if plan.relation:
        return f" {pick(rng, RELATION_WORDS[plan.relation])} ".join(parts)
    return enumerate_words(parts)


def _paraphrase_name(rng: np.random.Generator, item: PlanItem) -> str:
    name, color = item.name, item.color
    if item.count > 1:
        many = str(item.count) if rng.random() < 0.4 else NUMBERS[item.count]
        return f"{many} {color + ' ' if color else ''}{plural(name)}"
    if name in PURPOSES and rng.random() < 0.2:
        return f"something {color + ' ' if color else ''}{PURPOSES[name]}"
    if color is None:
        return with_article(name)
    way = rng.random()
    if way < 0.6:
        return with_article(f"{color} {name}")
    if way < 0.8:
        return f"{with_article(name)} in {color}"
    return f"{with_article(name)} {f'as {color} as' if way < 0.9 else 'the colour of'} {COLOR_COMPARISONS[color]}"


def request_text(rng: np.random.Generator, what: str) -> str:
    """Sample a user turn that requests an image of `what`."""
    return f"{pick(rng, REQUEST_TEMPLATES).format(what=what)} {DRAW}"
