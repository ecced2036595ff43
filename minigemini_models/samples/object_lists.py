"""Teach listing objects by name, with each answer right after its name.

To write "the hat red, the star blue", a model only has to attend to the hat while it writes the name. To answer "What
colour is the hat?" it must also carry what it found to another position; this is hardly ever learned before the lists
are (`docs/experiments.md`).
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
    """Ask which of some names are present, and list the colors of the objects, each in random order."""

    def draw() -> str:
        return pick(rng, COLORED_NAMES if rng.random() < 0.5 else NAMES)

    names = [sample_absent_name(scene, draw) if rng.random() < 0.5 else obj.name for obj in scene.objects]
    there = {name: "yes" if any(name == obj.name for obj in scene.objects) else "no" for name in names}
    return [
        *_shuffled_list("presence", PRESENCE_LIST, there, rng, min_items=1),
        *_shuffled_list("colours", COLOR_LIST, _colors_by_unique_name(scene), rng),
    ]


def object_list_for_pair(one: Scene, other: Scene, rng: np.random.Generator) -> list[Turn]:
    """List which image shows each object and the colors in both, and ask for the counts in both."""
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
    """Return the color of each colored object with a unique name."""
    names = Counter(obj.name for obj in scene.objects)
    return {obj.name: obj.color_name for obj in scene.objects if names[obj.name] == 1 and obj.color_name}


def sample_absent_name(scene: Scene, draw: Callable[[], str]) -> str:
    """Return the first sampled name that no object in the scene can be mistaken for."""
    name = draw()
    while any(confusable(name, obj.name) for obj in scene.objects):
        name = draw()
    return name


def list_turn(skill: str, template: str, values: Mapping[str, str], separator: str = " ", prefix: str = "the ") -> Turn:
    """Return one turn about all names, in order.

    Args:
        skill: skill of the turn.
        template: question with a placeholder for the names.
        values: the answer for each name.
        separator: text between a name and its answer.
        prefix: text before each name.
    """
    question = template.format(enumerate_words([f"{prefix}{name}" for name in values]))
    answer = sentence(enumerate_words([f"{prefix}{name}{separator}{what}" for name, what in values.items()]))
    return Turn(skill, question, answer)


def _shuffled_list(
    skill: str, template: str, values: Mapping[str, str], rng: np.random.Generator, min_items: int = 2
) -> Iterator[Turn]:
    """Yield one list turn in random order, or none if there are fewer than `min_items` names."""
    if len(values) >= min_items:
        names = [list(values)[i] for i in rng.permutation(len(values))]
        yield list_turn(skill, template, {name: values[name] for name in names})
