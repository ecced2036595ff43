"""Rounds about where things are, by name: first which half of the picture each is in, then where it is from another.

"The hat left, the star right" takes one look at each name. Where the hat is from the star takes two places and what
lies between them; whether it is left of the star takes that and a comparison (`docs/experiments.md`).
"""

from collections.abc import Callable

import numpy as np

from .asking import RELATIONS, stands
from .colours import pick
from .describing import sentence
from .inventory import listed
from .layouts import APART_PX, centre
from .looking_up import once, shuffled
from .scene import SCENE_PX, Scene, Thing
from .turns import Turn, ask

_CLEAR_PX = 12
"""How far from the middle a thing is in one half of the picture and not in the other."""
_HALVES = (("Where are {}, left or right?", ("left", "right")), ("Where are {}, up or down?", ("up", "down")))
"""By axis, as below: what is asked, and the words for what is less and what is more."""
_FROM = (("left or right of", ("left", "right")), ("above or below", ("above", "below")))
_YES = {True: "yes", False: "no"}
_MOST_PAIRS = 10


def halves_told(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """Lists of the half that each thing is in, from left to right and from above to below, each in two orders."""
    turns = list[Turn]()
    for _ in range(2):
        for axis, (asked, words) in enumerate(_HALVES):
            offsets = {thing.name: centre(thing.box)[axis] - SCENE_PX // 2 for thing in scene.things}
            turns += _told(asked, {n: words[off > 0] for n, off in offsets.items() if abs(off) >= _CLEAR_PX}, rng)
    return once(turns, rng)


def places_told(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """Lists of where all others are, as seen from up to three of the things."""
    turns = list[Turn]()
    for one in (scene.things[i] for i in rng.permutation(len(scene.things))[:3]):
        for axis, (where, words) in enumerate(_FROM):
            offsets = {thing.name: _offset(thing, one, axis) for thing in scene.things if thing is not one}
            said = {name: words[offset > 0] for name, offset in offsets.items() if abs(offset) >= APART_PX}
            turns += _told(f"Where are {{}}, {where} the {one.name}?", said, rng)
    return once(turns, rng)


def related_told(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """Lists of which stand so to one of the things, and which do not."""
    turns = list[Turn]()
    for one in (scene.things[i] for i in rng.permutation(len(scene.things))[:4]):
        for relation in shuffled(RELATIONS, rng)[:2]:
            answers = {thing.name: stands(thing, relation, one) for thing in scene.things if thing is not one}
            said = {name: _YES[answer] for name, answer in answers.items() if answer is not None}
            turns += _told(f"Which of {{}} are {relation} the {one.name}?", said, rng)
    return once(turns, rng)


def related_asked(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """Where one thing is from another, and whether it stands so to it: half the time it does."""
    pairs = [(one, other) for one in scene.things for other in scene.things if one is not other]
    turns = list[Turn]()
    for one, other in (pairs[i] for i in rng.permutation(len(pairs))[:_MOST_PAIRS]):
        form, wanted = rng.random(), bool(rng.random() < 0.5)
        fitting = [relation for relation in RELATIONS if stands(one, relation, other) is wanted]
        if not fitting:
            continue
        relation = pick(rng, fitting)
        axis = RELATIONS[relation][0]
        offset, (where, words) = _offset(one, other, axis), _FROM[axis]
        if form < 0.25 and abs(offset) >= APART_PX:
            place = sentence(words[offset > 0])
            turns.append(Turn("place", f"Where is the {one.name}, {where} the {other.name}?", place))
        elif form < 0.6:
            question = f"Say whether the {one.name} is {relation} the {other.name}."
            short = rng.random() < 0.5
            turns.append(Turn("related", question, sentence(f"{'' if short else f'the {one.name} '}{_YES[wanted]}")))
        else:
            words_of = {"relation": relation, "name": one.name, "other": other.name}
            turns.append(ask(rng, "related", sentence(_YES[wanted]), **words_of))
    return once(turns, rng)


PLACING: dict[str, Callable[[Scene, np.random.Generator], list[Turn]]] = {
    "halves-told": halves_told,
    "places-told": places_told,
    "related-told": related_told,
    "related-asked": related_asked,
}
"""Where nothing can be asked, as where all things stand in the middle, there are no rounds."""


def _offset(thing: Thing, other: Thing, axis: int) -> float:
    return centre(thing.box)[axis] - centre(other.box)[axis]


def _told(asked: str, said: dict[str, str], rng: np.random.Generator) -> list[Turn]:
    """One list in an order of its own; none of nothing."""
    order = shuffled(said, rng)
    return [listed("places", asked, {name: said[name] for name in order})] if order else []
