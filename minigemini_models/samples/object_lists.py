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

PRESENCE_LIST, COLOR_LIST = "Which of these are there: {}?", "Which colours do {} have?"


def object_list(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """Which of some names are there, and which colours what is there has: each in an order of its own."""

    def draw() -> str:
        return pick(rng, COLORED_NAMES if rng.random() < 0.5 else NAMES)

    names = [sample_absent_name(scene, draw) if rng.random() < 0.5 else obj.name for obj in scene.objects]
    there = {name: "yes" if any(name == obj.name for obj in scene.objects) else "no" for name in names}
    return [
        *_shuffled_list("presence", PRESENCE_LIST, there, rng, min_items=1),
        *_shuffled_list("colours", COLOR_LIST, _colors_by_unique_name(scene), rng),
    ]


def object_list_for_pair(one: Scene, other: Scene, rng: np.random.Generator) -> list[Turn]:
    """What stands in which of two pictures, how many there are in each, and which colours they have."""
    here, there = (Counter(obj.name for obj in scene.objects) for scene in (one, other))
    first, second = _colors_by_unique_name(one), _colors_by_unique_name(other)
    only_in, colors, counts = dict[str, str](), dict[str, str](), list[Turn]()
    for name in here | there:
        if not (here[name] and there[name]):
            only_in[name] = "first" if here[name] else "second"
        elif name in first and name in second:
            colors[name] = f"{first[name]} in the first, {second[name]} in the second"
        else:
            answer = f"The {plural(name)} {NUMBERS[here[name]]} in the first, {NUMBERS[there[name]]} in the second."
            counts.append(Turn("count", f"How many are the {plural(name)} in each picture?", answer))
    return [
        *_shuffled_list("which_picture", "Which picture shows {}?", only_in, rng),
        *_shuffled_list("colours", "What are the colours of {} in each picture?", colors, rng, min_items=1),
        *counts,
    ]


def _colors_by_unique_name(scene: Scene) -> dict[str, str]:
    """Of each thing that its name alone tells from all others, and that has a named one."""
    names = Counter(obj.name for obj in scene.objects)
    return {obj.name: obj.color_name for obj in scene.objects if names[obj.name] == 1 and obj.color_name}


def sample_absent_name(scene: Scene, draw: Callable[[], str]) -> str:
    """The first name drawn that nothing in the scene could pass for."""
    name = draw()
    while any(confusable(name, obj.name) for obj in scene.objects):
        name = draw()
    return name


def list_turn(skill: str, template: str, values: Mapping[str, str], separator: str = " ", prefix: str = "the ") -> Turn:
    """One round about all names, in their order; `asked` has a place for them, `before` and `between` enclose each."""
    question = template.format(enumerate_words([f"{prefix}{name}" for name in values]))
    answer = sentence(enumerate_words([f"{prefix}{name}{separator}{what}" for name, what in values.items()]))
    return Turn(skill, question, answer)


def _shuffled_list(
    skill: str, template: str, values: Mapping[str, str], rng: np.random.Generator, min_items: int = 2
) -> Iterator[Turn]:
    """One round about all names; none about a single one where there is a shorter question of the same words."""
    if len(values) >= min_items:
        names = [list(values)[i] for i in rng.permutation(len(values))]
        yield list_turn(skill, template, {name: values[name] for name in names})
