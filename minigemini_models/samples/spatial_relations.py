"""Rounds about where things are, by name: first which half of the picture each is in, then where it is from another.

"The hat left, the star right" takes one look at each name. Where the hat is from the star takes two places and what
lies between them; whether it is left of the star takes that and a comparison (`docs/experiments.md`).
"""

from collections.abc import Callable

import numpy as np

from ..scenes.colors import pick
from ..scenes.layouts import APART_PX, center
from ..scenes.scene import SCENE_PX, Scene, SceneObject
from .attribute_lookup import as_list, once, shuffled
from .descriptions import sentence
from .object_qa import RELATIONS, stands
from .turns import Turn, ask

_CLEAR_PX = 12
"""How far from the middle a thing is in one half of the picture and not in the other."""
_HALVES = (("Where are {}, left or right?", ("left", "right")), ("Where are {}, up or down?", ("up", "down")))
"""By axis, as below: what is asked, and the words for what is less and what is more."""
_FROM = (("left or right of", ("left", "right")), ("above or below", ("above", "below")))
_YES = {True: "yes", False: "no"}
_MOST_PAIRS = 14
_NEARER = (
    ("Say whether the {name} is {relation} the {other}.", "The {name} {yes}."),
    ("Answer whether the {name} is {relation} the {other}.", "It is: {yes}."),
    ("Is the {name} {relation} the {other}, yes or no?", "So: {yes}."),
    ("The {name} is {relation} the {other}: yes or no?", "So {yes}."),
    ("The {name} is {relation} the {other}: true or not?", ": {yes}."),
)
"""How yes or no is asked for behind some other word, from most of them to none; next comes the answer by itself."""
_SHARE_SHORT = 0.5
"""How often it is "Yes." or "No." by itself."""


def halves_told(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """Lists of the half that each thing is in, from left to right and from above to below, each in two orders."""
    turns = list[Turn]()
    for _ in range(2):
        for axis, (asked, words) in enumerate(_HALVES):
            offsets = {obj.name: center(obj.box)[axis] - SCENE_PX // 2 for obj in scene.objects}
            said = {name: words[offset > 0] for name, offset in offsets.items() if abs(offset) >= _CLEAR_PX}
            turns += as_list("places", asked, said, rng)
    return once(turns, rng)


def places_told(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """Lists of where all others are, as seen from up to three of the things."""
    turns = list[Turn]()
    for one in (scene.objects[i] for i in rng.permutation(len(scene.objects))[:3]):
        for axis, (where, _) in enumerate(_FROM):
            places = {obj.name: _place(obj, one, axis) for obj in scene.objects if obj is not one}
            said = {name: place for name, place in places.items() if place}
            turns += as_list("places", f"Where are {{}}, {where} the {one.name}?", said, rng)
    return once(turns, rng)


def related_told(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """Lists of which stand so to one of the things, and which do not: behind where they are, and by itself."""
    turns = list[Turn]()
    for one in (scene.objects[i] for i in rng.permutation(len(scene.objects))[:3]):
        others = [obj for obj in scene.objects if obj is not one]
        for relation in shuffled(RELATIONS, rng)[:2]:
            asked = f"Which of {{}} are {relation} the {one.name}"
            stand = {obj.name: stands(obj, relation, one) for obj in others}
            said = {name: _YES[so] for name, so in stand.items() if so is not None}
            places = {obj.name: _place(obj, one, RELATIONS[relation][0]) for obj in others}
            turns += as_list("places", f"{asked}?", said, rng)
            behind = {name: f"{places[name]} {so}" for name, so in said.items() if places[name]}
            turns += as_list("places", f"{asked}, and how?", behind, rng)
    return once(turns, rng)


def related_asked(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """Whether one thing stands so to another: half the time it does."""
    pairs = [(one, other) for one in scene.objects for other in scene.objects if one is not other]
    turns = list[Turn]()
    for one, other in (pairs[i] for i in rng.permutation(len(pairs))[:_MOST_PAIRS]):
        wanted = bool(rng.random() < 0.5)
        fitting = [relation for relation in RELATIONS if stands(one, relation, other) is wanted]
        if not fitting:
            continue
        words = {"relation": pick(rng, fitting), "name": one.name, "other": other.name}
        yes = _YES[wanted]
        if rng.random() < _SHARE_SHORT:
            turns.append(ask(rng, "related", sentence(yes), **words))
        else:
            asked, answer = (form.format(**words, yes=yes) for form in pick(rng, _NEARER))
            turns.append(Turn("related", asked, answer))
    return once(turns, rng)


RELATION_KINDS: dict[str, Callable[[Scene, np.random.Generator], list[Turn]]] = {
    "halves-told": halves_told,
    "places-told": places_told,
    "related-told": related_told,
    "related-asked": related_asked,
}
"""Where nothing can be asked, as where all things stand in the middle, there are no rounds."""


def _place(obj: SceneObject, other: SceneObject, axis: int) -> str | None:
    """Where the thing is as seen from the other; nothing where people would not agree."""
    offset = center(obj.box)[axis] - center(other.box)[axis]
    return _FROM[axis][1][offset > 0] if abs(offset) >= APART_PX else None
