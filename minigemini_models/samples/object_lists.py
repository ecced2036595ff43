"""Rounds that go through things by name, and say right behind the name what is found at it.

To write "the hat red, the star blue", a model need only find the hat as it writes its name. To answer "What colour is
the hat?" it must also carry what it found there to another place, and so it must for "the hat is red": that is hardly
ever learnt where nothing has taught the first (`docs/experiments.md`).
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from ..scenes.colors import pick
from ..scenes.concepts import COLORED_NAMES, NAMES, confusable, plural
from ..scenes.scene import Scene
from .descriptions import NUMBERS, enumerate_words, sentence
from .turns import Turn

WHICH_ARE_THERE, WHICH_COLOURS = "Which of these are there: {}?", "Which colours do {} have?"


def object_list(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """Which of some names are there, and which colours what is there has: each in an order of its own."""

    def draw() -> str:
        return pick(rng, COLORED_NAMES if rng.random() < 0.5 else NAMES)

    names = [absent(scene, draw) if rng.random() < 0.5 else obj.name for obj in scene.objects]
    there = {name: "yes" if any(name == obj.name for obj in scene.objects) else "no" for name in names}
    return [
        *_each("presence", WHICH_ARE_THERE, there, rng, least=1),
        *_each("colours", WHICH_COLOURS, _colors(scene), rng),
    ]


def object_list_of_two(one: Scene, other: Scene, rng: np.random.Generator) -> list[Turn]:
    """What stands in which of two pictures, how many there are in each, and which colours they have."""
    here, there = (Counter(obj.name for obj in scene.objects) for scene in (one, other))
    first, second = _colors(one), _colors(other)
    in_one, colors, counts = dict[str, str](), dict[str, str](), list[Turn]()
    for name in here | there:
        if not (here[name] and there[name]):
            in_one[name] = "first" if here[name] else "second"
        elif name in first and name in second:
            colors[name] = f"{first[name]} in the first, {second[name]} in the second"
        else:
            answer = f"The {plural(name)} {NUMBERS[here[name]]} in the first, {NUMBERS[there[name]]} in the second."
            counts.append(Turn("count", f"How many are the {plural(name)} in each picture?", answer))
    return [
        *_each("which_picture", "Which picture shows {}?", in_one, rng),
        *_each("colours", "What are the colours of {} in each picture?", colors, rng, least=1),
        *counts,
    ]


def _colors(scene: Scene) -> dict[str, str]:
    """Of each thing that its name alone tells from all others, and that has a named one."""
    names = Counter(obj.name for obj in scene.objects)
    return {obj.name: obj.color_name for obj in scene.objects if names[obj.name] == 1 and obj.color_name}


def absent(scene: Scene, draw: Callable[[], str]) -> str:
    """The first name drawn that nothing in the scene could pass for."""
    name = draw()
    while any(confusable(name, obj.name) for obj in scene.objects):
        name = draw()
    return name


def listed(skill: str, asked: str, said: Mapping[str, str], between: str = " ", before: str = "the ") -> Turn:
    """One round about all names, in their order; `asked` has a place for them, `before` and `between` enclose each."""
    question = asked.format(enumerate_words([f"{before}{name}" for name in said]))
    answer = sentence(enumerate_words([f"{before}{name}{between}{what}" for name, what in said.items()]))
    return Turn(skill, question, answer)


def _each(skill: str, asked: str, said: Mapping[str, str], rng: np.random.Generator, least: int = 2) -> Iterator[Turn]:
    """One round about all names; none about a single one where there is a shorter question of the same words."""
    if len(said) >= least:
        names = [list(said)[i] for i in rng.permutation(len(said))]
        yield listed(skill, asked, {name: said[name] for name in names})
