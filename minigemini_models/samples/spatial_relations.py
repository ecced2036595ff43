"""Rounds about where things are, by name: first which half of the picture each is in, then where it is from another.

"The hat left, the star right" takes one look at each name. Where the hat is from the star takes two places and what
lies between them; whether it is left of the star takes that and a comparison (`docs/experiments.md`).
"""

from collections.abc import Callable

import numpy as np

from ..scenes.colors import pick
from ..scenes.layouts import APART_PX, center
from ..scenes.scene import SCENE_PX, Scene, SceneObject
from .attribute_lookup import shuffled, shuffled_list_turn, unique_turns
from .descriptions import sentence
from .object_qa import RELATIONS, has_relation
from .turns import Turn, ask

_MIN_OFFSET_PX = 12
"""How far from the middle a thing is in one half of the picture and not in the other."""
_HALVES = (("Where are {}, left or right?", ("left", "right")), ("Where are {}, up or down?", ("up", "down")))
"""By axis, as below: what is asked, and the words for what is less and what is more."""
_AXES = (("left or right of", ("left", "right")), ("above or below", ("above", "below")))
_YES = {True: "yes", False: "no"}
_MAX_PAIRS = 14
_YES_NO_TEMPLATES = (
    ("Say whether the {name} is {relation} the {other}.", "The {name} {yes}."),
    ("Answer whether the {name} is {relation} the {other}.", "It is: {yes}."),
    ("Is the {name} {relation} the {other}, yes or no?", "So: {yes}."),
    ("The {name} is {relation} the {other}: yes or no?", "So {yes}."),
    ("The {name} is {relation} the {other}: true or not?", ": {yes}."),
)
"""How yes or no is asked for behind some other word, from most of them to none; next comes the answer by itself."""
_SHORT_ANSWER_SHARE = 0.5
"""How often it is "Yes." or "No." by itself."""


def list_halves(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """Lists of the half that each thing is in, from left to right and from above to below, each in two orders."""
    turns = list[Turn]()
    for _ in range(2):
        for axis, (template, words) in enumerate(_HALVES):
            offsets = {obj.name: center(obj.box)[axis] - SCENE_PX // 2 for obj in scene.objects}
            values = {name: words[offset > 0] for name, offset in offsets.items() if abs(offset) >= _MIN_OFFSET_PX}
            turns += shuffled_list_turn("places", template, values, rng)
    return unique_turns(turns, rng)


def list_positions(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """Lists of where all others are, as seen from up to three of the things."""
    turns = list[Turn]()
    for reference in (scene.objects[i] for i in rng.permutation(len(scene.objects))[:3]):
        for axis, (where, _) in enumerate(_AXES):
            places = {obj.name: _direction(obj, reference, axis) for obj in scene.objects if obj is not reference}
            values = {name: place for name, place in places.items() if place}
            turns += shuffled_list_turn("places", f"Where are {{}}, {where} the {reference.name}?", values, rng)
    return unique_turns(turns, rng)


def list_relations(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """Lists of which stand so to one of the things, and which do not: behind where they are, and by itself."""
    turns = list[Turn]()
    for reference in (scene.objects[i] for i in rng.permutation(len(scene.objects))[:3]):
        others = [obj for obj in scene.objects if obj is not reference]
        for relation in shuffled(RELATIONS, rng)[:2]:
            template = f"Which of {{}} are {relation} the {reference.name}"
            stand = {obj.name: has_relation(obj, relation, reference) for obj in others}
            values = {name: _YES[so] for name, so in stand.items() if so is not None}
            places = {obj.name: _direction(obj, reference, RELATIONS[relation][0]) for obj in others}
            turns += shuffled_list_turn("places", f"{template}?", values, rng)
            behind = {name: f"{places[name]} {so}" for name, so in values.items() if places[name]}
            turns += shuffled_list_turn("places", f"{template}, and how?", behind, rng)
    return unique_turns(turns, rng)


def relation_qa(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """Whether one thing stands so to another: half the time it does."""
    pairs = [(reference, other) for reference in scene.objects for other in scene.objects if reference is not other]
    turns = list[Turn]()
    for reference, other in (pairs[i] for i in rng.permutation(len(pairs))[:_MAX_PAIRS]):
        expected = bool(rng.random() < 0.5)
        matching = [relation for relation in RELATIONS if has_relation(reference, relation, other) is expected]
        if not matching:
            continue
        words = {"relation": pick(rng, matching), "name": reference.name, "other": other.name}
        yes = _YES[expected]
        if rng.random() < _SHORT_ANSWER_SHARE:
            turns.append(ask(rng, "related", sentence(yes), **words))
        else:
            template, answer = (form.format(**words, yes=yes) for form in pick(rng, _YES_NO_TEMPLATES))
            turns.append(Turn("related", template, answer))
    return unique_turns(turns, rng)


RELATION_KINDS: dict[str, Callable[[Scene, np.random.Generator], list[Turn]]] = {
    "halves-told": list_halves,
    "places-told": list_positions,
    "related-told": list_relations,
    "related-asked": relation_qa,
}
"""Where nothing can be asked, as where all things stand in the middle, there are no rounds."""


def _direction(obj: SceneObject, other: SceneObject, axis: int) -> str | None:
    """Where the thing is as seen from the other; nothing where people would not agree."""
    offset = center(obj.box)[axis] - center(other.box)[axis]
    return _AXES[axis][1][offset > 0] if abs(offset) >= APART_PX else None
