"""Teach spatial relations by object name: first the half of the image that an object is in, then pairs of objects.

"The hat left, the star right" takes one step of attention per name. The position of the hat relative to the star takes
two positions and their difference; "Is the hat left of the star?" also takes a comparison (`docs/experiments.md`).
"""

import numpy as np

from ..scenes.colors import pick
from ..scenes.layouts import APART_PX, center
from ..scenes.scene import SCENE_PX, Scene, SceneObject
from .attribute_lookup import shuffled, shuffled_list_turn, unique_turns
from .descriptions import sentence
from .object_qa import RELATIONS, has_relation
from .turns import Turn, ask

_MIN_OFFSET_PX = 12
"""Minimum distance from the middle of an object that is clearly in one half of the image."""
_HALVES = (("Where are {}, left or right?", ("left", "right")), ("Where are {}, up or down?", ("up", "down")))
"""Per axis: the question, and the words for smaller and larger coordinates."""
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
"""Questions whose answer has yes or no after other words, from most of them to none."""
_SHORT_ANSWER_SHARE = 0.5
"""Share of answers that are only "Yes." or "No."."""


def list_halves(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """List the horizontal and the vertical half of each object, each in two orders."""
    turns = list[Turn]()
    for _ in range(2):
        for axis, (template, words) in enumerate(_HALVES):
            offsets = {obj.name: center(obj.box)[axis] - SCENE_PX // 2 for obj in scene.objects}
            values = {name: words[offset > 0] for name, offset in offsets.items() if abs(offset) >= _MIN_OFFSET_PX}
            turns += shuffled_list_turn("places", template, values, rng)
    return unique_turns(turns, rng)


def list_positions(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """List the positions of all other objects relative to up to three objects."""
    turns = list[Turn]()
    for reference in (scene.objects[i] for i in rng.permutation(len(scene.objects))[:3]):
        for axis, (where, _) in enumerate(_AXES):
            places = {obj.name: _direction(obj, reference, axis) for obj in scene.objects if obj is not reference}
            values = {name: place for name, place in places.items() if place}
            turns += shuffled_list_turn("places", f"Where are {{}}, {where} the {reference.name}?", values, rng)
    return unique_turns(turns, rng)


def list_relations(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """List which objects have a relation to another one, as yes or no alone and after their position."""
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
    """Ask whether a relation holds between two objects; half of the time it does."""
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


def _direction(obj: SceneObject, other: SceneObject, axis: int) -> str | None:
    """Return the direction of an object from another one; None if it is ambiguous."""
    offset = center(obj.box)[axis] - center(other.box)[axis]
    return _AXES[axis][1][offset > 0] if abs(offset) >= APART_PX else None
