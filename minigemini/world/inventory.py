"""Rounds that go through things by name, and say right behind the name what is found at it.

To write "the hat red, the star blue", a model need only find the hat as it writes its name. To answer "What colour is
the hat?" it must also carry what it found there to another place, and so it must for "the hat is red": that is hardly
ever learnt where nothing has taught the first (`docs/experiments.md`).
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from .asking import absent
from .concepts import plural, with_article
from .describing import NUMBERS, enumerate_words, full_name, sentence
from .layouts import centre
from .scene import Scene, Thing
from .turns import Exchange, Turn

_PLACES = (
    ("top left", "top", "top right"),
    ("left", "middle", "right"),
    ("bottom left", "bottom", "bottom right"),
)
_BETWEEN_SHARE = 0.04
"""Of the picture's side: a centre that near to the line between two thirds is in neither."""


def place(thing: Thing, side_px: int) -> str | None:
    """Where a thing is, by thirds of the picture: "top left", "middle"; None where people would not agree."""
    column, row = (centre(thing.box)[axis] / side_px for axis in (0, 1))
    if any(abs(share - line / 3) < _BETWEEN_SHARE for share in (column, row) for line in (1, 2)):
        return None
    return _PLACES[int(3 * row)][int(3 * column)]


def inventory(scene: Scene, rng: np.random.Generator) -> list[Exchange]:
    """Which of some names are there, where the things are and which colours they have: each in an order of its own."""
    single = _single(scene)
    places = {name: stands for name, thing in single.items() if (stands := place(thing, scene.size_px))}
    colours = {name: thing.colour_name for name, thing in single.items() if thing.colour_name}
    return [
        *_presence(scene.things, rng),
        *_each("where", ("Where is {}?", "Where are {}?"), places, rng),
        *_each("colours", ("Which colour does {} have?", "Which colours do {} have?"), colours, rng),
    ]


def inventory_of_two(one: Scene, other: Scene, rng: np.random.Generator) -> list[Exchange]:
    """What stands in which of two pictures, how many there are in each, and which colours they have."""
    here, there = (Counter(thing.name for thing in scene.things) for scene in (one, other))
    first, second = ({name: thing.colour_name for name, thing in _single(scene).items()} for scene in (one, other))
    in_one, counts, colours = dict[str, str](), dict[str, str](), dict[str, str]()
    for name in here | there:
        if not (here[name] and there[name]):
            in_one[name] = "first" if here[name] else "second"
        elif first.get(name) and second.get(name):
            colours[name] = f"{first[name]} in the first, {second[name]} in the second"
        else:
            counts[plural(name)] = f"{NUMBERS[here[name]]} in the first, {NUMBERS[there[name]]} in the second"
    return [
        *_each("which_picture", ("Which picture shows {}?",) * 2, in_one, rng),
        *_each("count", ("How many are {} in each picture?",) * 2, counts, rng),
        *_each("colours", ("Which colours does {} have?", "Which colours do {} have?"), colours, rng),
    ]


def _single(scene: Scene) -> dict[str, Thing]:
    """Things that their name alone tells from all others."""
    names = Counter(thing.name for thing in scene.things)
    return {thing.name: thing for thing in scene.things if names[thing.name] == 1}


def _each(skill: str, asked: tuple[str, str], said: Mapping[str, str], rng: np.random.Generator) -> list[Exchange]:
    """One round about all of them; `asked` is the question about one, and that about several."""
    if not said:
        return []
    names = [list(said)[i] for i in rng.permutation(len(said))]
    question = asked[len(said) > 1].format(enumerate_words([f"the {name}" for name in names]))
    answer = sentence(enumerate_words([f"the {name} {said[name]}" for name in names]))
    return [(Turn(skill, question, answer),)]


def _presence(things: Sequence[Thing], rng: np.random.Generator) -> list[Exchange]:
    """Which of some names are there; for each thing its own, or one that is much like it."""
    said: dict[str, str] = {}
    for thing in things:
        there = bool(rng.random() < 0.5)
        name = (full_name(thing) if rng.random() < 0.5 else thing.name) if there else absent(thing, things, rng)
        said[with_article(name)] = "yes" if there else "no"
    names = [list(said)[i] for i in rng.permutation(len(said))]
    answer = sentence(", ".join(f"{name} {said[name]}" for name in names))
    return [(Turn("presence", f"Which of these are there: {', '.join(names)}?", answer),)] if names else []
