"""Teach naming, colors, counting, presence and relations: questions about objects with one right answer each."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from ..scenes.colors import COLORS, pick
from ..scenes.concepts import COLORED_NAMES, NAMES, SHAPE_NAMES, confusable, plural, theme_of, with_article
from ..scenes.layouts import ALIGNED_PX, APART_PX, center
from ..scenes.scene import Scene, SceneObject
from ..scenes.shapes import OBJECTS
from .descriptions import NUMBERS, full_name, phrase, reference, sentence
from .turns import Turn, TurnGroup, ask

RELATIONS = {"left of": (0, -1), "right of": (0, 1), "above": (1, -1), "below": (1, 1)}
"""Axis (0: x, 1: y) and direction."""

_ALL_DIFFERENT_SHARE = 0.15
"""Probability of a counting question in a scene where every object occurs once."""

T = TypeVar("T")

_THEMES: dict[str, list[str]] = {}
for _name in NAMES:
    _THEMES.setdefault(theme_of(_name), []).append(_name)


def has_relation(obj: SceneObject, relation: str, other: SceneObject) -> bool | None:
    """Return whether `obj` is left of, right of, above or below `other`; None if that is ambiguous."""
    axis, direction = RELATIONS[relation]
    apart = direction * (center(obj.box)[axis] - center(other.box)[axis])
    return True if apart >= APART_PX else False if apart <= ALIGNED_PX else None


def object_turn_groups(scene: Scene, rng: np.random.Generator) -> list[TurnGroup]:
    """Return every kind of question that fits, each once or twice, about random objects."""
    if not scene.objects:
        return []
    groups = [
        *_name_groups(scene, rng),
        *_color_groups(scene, rng),
        *_count_groups(scene, rng),
        *_relation_groups(scene.objects, rng),
    ]
    different = list({obj.name: obj for obj in scene.objects}.values())
    groups += [(presence_turn(one, scene.objects, rng),) for one in _sample_up_to(different, 2, rng)]
    # In scenes with a sign, the sign itself may be what is next to an object.
    return groups if scene.signs else [*groups, *_position_groups(scene.objects, rng)]


def _name_groups(scene: Scene, rng: np.random.Generator) -> list[TurnGroup]:
    if len(scene.objects) != 1:
        return []
    (obj,) = scene.objects
    groups: list[TurnGroup] = []
    if scene.kind == "single":
        groups.append((ask(rng, "name", sentence(phrase(obj)), "object" if obj.style else "name"),))
    if obj.color_name is not None:
        kind = "object" if obj.name in OBJECTS else "shape"
        groups.append((Turn("name", f"What {kind} is this?", sentence(with_article(obj.name))),))
    return groups


def _color_groups(scene: Scene, rng: np.random.Generator) -> list[TurnGroup]:
    objects, groups = scene.objects, list[TurnGroup]()
    colored = [obj for obj in objects if obj.color_name]
    named = [obj for obj in colored if [other.name for other in objects].count(obj.name) == 1]
    if named:
        one, *others = [named[i] for i in rng.permutation(len(named))]
        first = ask(rng, "colour", sentence(one.color_name or ""), name=one.name)
        groups.append((first,))
        if others:
            then = ask(rng, "and_the", sentence(others[0].color_name or ""), "follow_up", name=others[0].name)
            groups.append((first, then))
    if colored:
        one = pick(rng, colored)
        color, same = one.color_name or "", [obj for obj in colored if obj.color_name == one.color_name]
        if (
            len(same) == 1 and len(colored) == len(objects) and not scene.signs
        ):  # signs and icons may have that color, too
            groups.append((ask(rng, "find", sentence(with_article(one.name)), color=color),))
        if one.name in SHAPE_NAMES and sum(obj.name in SHAPE_NAMES for obj in same) == 1:
            groups.append((ask(rng, "shape", sentence(with_article(one.name)), color=color),))
    return groups


def _count_groups(scene: Scene, rng: np.random.Generator) -> list[TurnGroup]:
    """Ask for counts, but rarely where every object occurs once: "one" would become the answer to almost everything."""
    names = [obj.name for obj in scene.objects]
    distinct_names = list(dict.fromkeys(names))
    one, *others = [distinct_names[i] for i in rng.permutation(len(distinct_names))]
    first = ask(rng, "count", sentence(NUMBERS[names.count(one)]), plural=plural(one))
    varied = scene.kind == "count" or len(distinct_names) < len(names)
    groups: list[TurnGroup] = [(first,)] if varied or rng.random() < _ALL_DIFFERENT_SHARE else []
    if others and varied:
        answer = sentence(NUMBERS[names.count(others[0])])
        groups.append((first, ask(rng, "and_the", answer, "follow_up", name=plural(others[0]))))
    if len(names) > 1 and not scene.signs:
        groups.append((ask(rng, "count", sentence(NUMBERS[len(names)]), plural="things"),))
    return groups


def presence_turn(one: SceneObject, objects: Sequence[SceneObject], rng: np.random.Generator) -> Turn:
    """Ask whether an object is present; half of the time about an absent one, which is often similar."""
    if rng.random() < 0.5:
        name = full_name(one) if rng.random() < 0.5 else one.name
        return ask(rng, "exists", "Yes.", a_name=with_article(name))
    while True:
        color, name = _sample_near_miss(one, rng)
        if not any(_may_be_called(obj, color, name) for obj in objects):
            return ask(rng, "exists", "No.", a_name=with_article(f"{color} {name}" if color else name))


def _sample_near_miss(one: SceneObject, rng: np.random.Generator) -> tuple[str | None, str]:
    """Sample a color (None for any) and a name that are close to those of an object."""
    choice = int(rng.integers(4))
    if one.color_name is None:
        return None, pick(rng, _THEMES[theme_of(one.name)] if choice else NAMES)
    match choice:
        case 0:
            return pick(rng, tuple(COLORS)), one.name
        case 1:
            return one.color_name, pick(rng, SHAPE_NAMES if one.name in SHAPE_NAMES else COLORED_NAMES)
        case 2:
            return None, pick(rng, COLORED_NAMES)
        case _:
            return None, pick(rng, NAMES)


def _may_be_called(obj: SceneObject, color: str | None, name: str) -> bool:
    """Return whether a color and a name may describe an object; icons match every color."""
    return confusable(name, obj.name) and (color is None or obj.color_name in (color, None))


def _related_objects(objects: Sequence[SceneObject], obj: SceneObject, relation: str) -> list[SceneObject] | None:
    """Return all objects with this relation to `obj`; None if any of them is ambiguous."""
    others = [other for other in objects if other is not obj]
    standing = [has_relation(other, relation, obj) for other in others]
    return None if None in standing else [other for other, there in zip(others, standing, strict=True) if there]


def _position_groups(objects: Sequence[SceneObject], rng: np.random.Generator) -> list[TurnGroup]:
    """Ask what is next to an object if that is one object or nothing, and what is next to the answer."""
    firsts, chains, empty = [], [], []
    for obj in objects:
        name = reference(obj, objects)
        for relation in RELATIONS if name else ():
            match _related_objects(objects, obj, relation):
                case []:
                    empty.append((ask(rng, "beside", "Nothing.", relation=relation, name=name or ""),))
                case [found]:
                    first = ask(rng, "beside", sentence(phrase(found)), relation=relation, name=name or "")
                    firsts.append((first,))
                    chains += [(first, then) for then in _follow_ups(objects, obj, found, rng)]
    return [
        *_sample_up_to(firsts, 2, rng),
        *_sample_up_to(chains, 1, rng),
        *_sample_up_to(empty, int(rng.random() < 0.3), rng),
    ]


def _follow_ups(
    objects: Sequence[SceneObject], start: SceneObject, here: SceneObject, rng: np.random.Generator
) -> list[Turn]:
    """Ask what is next to the object of the last answer, unless that is where the first question started."""
    turns = []
    for relation in RELATIONS:
        match _related_objects(objects, here, relation):
            case [last] if last is not start:
                turns.append(ask(rng, "beside_it", sentence(phrase(last)), "follow_up", relation=relation))
    return turns


def _relation_groups(objects: Sequence[SceneObject], rng: np.random.Generator) -> list[TurnGroup]:
    """Ask whether a relation holds between two objects; half of the time it does."""
    pairs = [(a, b) for a in objects for b in objects if a is not b and reference(a, objects) and reference(b, objects)]
    groups: list[TurnGroup] = []
    for one, other in _sample_up_to(pairs, 2, rng):
        expected = bool(rng.random() < 0.5)
        relations = [relation for relation in RELATIONS if has_relation(one, relation, other) is expected]
        words = {"name": reference(one, objects) or "", "other": reference(other, objects) or ""}
        answer = "Yes." if expected else "No."
        groups.append((ask(rng, "related", answer, relation=pick(rng, relations), **words),))
    return groups


def _sample_up_to(choices: Sequence[T], most: int, rng: np.random.Generator) -> list[T]:
    return [choices[i] for i in rng.permutation(len(choices))[:most]]
