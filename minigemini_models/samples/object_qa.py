"""Questions about the things in a picture, each with its one right answer."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from ..scenes.colors import COLOURS, pick
from ..scenes.concepts import NAMES, SHAPE_NAMES, TINTED_NAMES, alike, plural, theme_of, with_article
from ..scenes.layouts import ALIGNED_PX, APART_PX, centre
from ..scenes.scene import Scene, Thing
from ..scenes.shapes import OBJECTS
from .descriptions import NUMBERS, full_name, phrase, reference, sentence
from .turns import Exchange, Turn, ask

RELATIONS = {"left of": (0, -1), "right of": (0, 1), "above": (1, -1), "below": (1, 1)}
"""Axis (0: x, 1: y) and direction."""

_ALL_DIFFERENT_SHARE = 0.15
"""How often things are counted of which there is one each."""

T = TypeVar("T")

_THEMES: dict[str, list[str]] = {}
for _name in NAMES:
    _THEMES.setdefault(theme_of(_name), []).append(_name)


def stands(thing: Thing, relation: str, other: Thing) -> bool | None:
    """Whether `thing` is left of, right of, above or below `other`; None where people would not agree."""
    axis, direction = RELATIONS[relation]
    apart = direction * (centre(thing.box)[axis] - centre(other.box)[axis])
    return True if apart >= APART_PX else False if apart <= ALIGNED_PX else None


def about_things(scene: Scene, rng: np.random.Generator) -> list[Exchange]:
    """Every kind of question that fits, each once or twice, about things picked at random."""
    if not scene.things:
        return []
    exchanges = [*_naming(scene, rng), *_colours(scene, rng), *_counts(scene, rng), *_comparisons(scene.things, rng)]
    different = list({thing.name: thing for thing in scene.things}.values())
    exchanges += [(presence(one, scene.things, rng),) for one in _some(different, 2, rng)]
    # Beside a sign, what stands next to a thing may be the sign.
    return exchanges if scene.signs else [*exchanges, *_places(scene.things, rng)]


def _naming(scene: Scene, rng: np.random.Generator) -> list[Exchange]:
    if len(scene.things) != 1:
        return []
    (thing,) = scene.things
    exchanges: list[Exchange] = []
    if scene.kind == "single":
        exchanges.append((ask(rng, "name", sentence(phrase(thing)), "object" if thing.style else "name"),))
    if thing.colour_name is not None:
        kind = "object" if thing.name in OBJECTS else "shape"
        exchanges.append((Turn("name", f"What {kind} is this?", sentence(with_article(thing.name))),))
    return exchanges


def _colours(scene: Scene, rng: np.random.Generator) -> list[Exchange]:
    things, exchanges = scene.things, list[Exchange]()
    tinted = [thing for thing in things if thing.colour_name]
    named = [thing for thing in tinted if [other.name for other in things].count(thing.name) == 1]
    if named:
        one, *others = [named[i] for i in rng.permutation(len(named))]
        first = ask(rng, "colour", sentence(one.colour_name or ""), name=one.name)
        exchanges.append((first,))
        if others:
            then = ask(rng, "and_the", sentence(others[0].colour_name or ""), "follow_up", name=others[0].name)
            exchanges.append((first, then))
    if tinted:
        one = pick(rng, tinted)
        colour, same = one.colour_name or "", [thing for thing in tinted if thing.colour_name == one.colour_name]
        if len(same) == 1 and len(tinted) == len(things) and not scene.signs:  # what else may have that colour?
            exchanges.append((ask(rng, "find", sentence(with_article(one.name)), colour=colour),))
        if one.name in SHAPE_NAMES and sum(thing.name in SHAPE_NAMES for thing in same) == 1:
            exchanges.append((ask(rng, "shape", sentence(with_article(one.name)), colour=colour),))
    return exchanges


def _counts(scene: Scene, rng: np.random.Generator) -> list[Exchange]:
    """How many there are; seldom where no thing comes twice: "one" would be the answer to almost everything."""
    names = [thing.name for thing in scene.things]
    kinds = list(dict.fromkeys(names))
    one, *others = [kinds[i] for i in rng.permutation(len(kinds))]
    first = ask(rng, "count", sentence(NUMBERS[names.count(one)]), plural=plural(one))
    varied = scene.kind == "count" or len(kinds) < len(names)
    exchanges: list[Exchange] = [(first,)] if varied or rng.random() < _ALL_DIFFERENT_SHARE else []
    if others and varied:
        answer = sentence(NUMBERS[names.count(others[0])])
        exchanges.append((first, ask(rng, "and_the", answer, "follow_up", name=plural(others[0]))))
    if len(names) > 1 and not scene.signs:
        exchanges.append((ask(rng, "count", sentence(NUMBERS[len(names)]), plural="things"),))
    return exchanges


def presence(one: Thing, things: Sequence[Thing], rng: np.random.Generator) -> Turn:
    """Whether the thing is there, or half the time something that is not, but often much like it."""
    if rng.random() < 0.5:
        asked = full_name(one) if rng.random() < 0.5 else one.name
        return ask(rng, "exists", "Yes.", a_name=with_article(asked))
    while True:
        colour, name = _near_miss(one, rng)
        if not any(_could_be(thing, colour, name) for thing in things):
            return ask(rng, "exists", "No.", a_name=with_article(f"{colour} {name}" if colour else name))


def _near_miss(one: Thing, rng: np.random.Generator) -> tuple[str | None, str]:
    """A colour, if it matters, and a name: those of something else, but close to the thing."""
    choice = int(rng.integers(4))
    if one.colour_name is None:
        return None, pick(rng, _THEMES[theme_of(one.name)] if choice else NAMES)
    match choice:
        case 0:
            return pick(rng, tuple(COLOURS)), one.name
        case 1:
            return one.colour_name, pick(rng, SHAPE_NAMES if one.name in SHAPE_NAMES else TINTED_NAMES)
        case 2:
            return None, pick(rng, TINTED_NAMES)
        case _:
            return None, pick(rng, NAMES)


def _could_be(thing: Thing, colour: str | None, name: str) -> bool:
    """Whether somebody may call the thing so; an icon has every colour."""
    return alike(name, thing.name) and (colour is None or thing.colour_name in (colour, None))


def _beside(things: Sequence[Thing], thing: Thing, relation: str) -> list[Thing] | None:
    """All that stands so to `thing`; None if people would differ on any."""
    others = [other for other in things if other is not thing]
    standing = [stands(other, relation, thing) for other in others]
    return None if None in standing else [other for other, there in zip(others, standing, strict=True) if there]


def _places(things: Sequence[Thing], rng: np.random.Generator) -> list[Exchange]:
    """What is beside something, where that is one thing or nothing, and what is beside that."""
    firsts, chains, empty = [], [], []
    for thing in things:
        name = reference(thing, things)
        for relation in RELATIONS if name else ():
            match _beside(things, thing, relation):
                case []:
                    empty.append((ask(rng, "beside", "Nothing.", relation=relation, name=name or ""),))
                case [found]:
                    first = ask(rng, "beside", sentence(phrase(found)), relation=relation, name=name or "")
                    firsts.append((first,))
                    chains += [(first, then) for then in _onward(things, thing, found, rng)]
    return [*_some(firsts, 2, rng), *_some(chains, 1, rng), *_some(empty, int(rng.random() < 0.3), rng)]


def _onward(things: Sequence[Thing], start: Thing, here: Thing, rng: np.random.Generator) -> list[Turn]:
    """What is beside the thing that the last answer named, if it is not the one that it started from."""
    turns = []
    for relation in RELATIONS:
        match _beside(things, here, relation):
            case [last] if last is not start:
                turns.append(ask(rng, "beside_it", sentence(phrase(last)), "follow_up", relation=relation))
    return turns


def _comparisons(things: Sequence[Thing], rng: np.random.Generator) -> list[Exchange]:
    """Whether one thing stands so to another: half the time it does."""
    pairs = [(a, b) for a in things for b in things if a is not b and reference(a, things) and reference(b, things)]
    exchanges: list[Exchange] = []
    for one, other in _some(pairs, 2, rng):
        wanted = bool(rng.random() < 0.5)
        relations = [relation for relation in RELATIONS if stands(one, relation, other) is wanted]
        words = {"name": reference(one, things) or "", "other": reference(other, things) or ""}
        answer = "Yes." if wanted else "No."
        exchanges.append((ask(rng, "related", answer, relation=pick(rng, relations), **words),))
    return exchanges


def _some(choices: Sequence[T], most: int, rng: np.random.Generator) -> list[T]:
    return [choices[i] for i in rng.permutation(len(choices))[:most]]
