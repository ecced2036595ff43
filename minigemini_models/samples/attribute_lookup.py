"""Teach looking up an attribute of an object by its name, from one step of attention to several.

Writing "the hat red" takes one step: while the model writes the name, it attends to the object. "The hat is red" takes
two, because the name must be carried along; "It is red." and "Red." must carry it over a longer distance. A model that
has learned one of these forms learns the next within minutes, and hardly ever learns it directly. Absence is taught in
the same order: first as the color "none" in a list, then in a single answer, then as the answer to whether an object is
present (`docs/experiments.md`).
"""

from collections.abc import Iterable, Mapping
from typing import TypeVar

import numpy as np

from ..scenes.colors import COLORS, pick
from ..scenes.composition import colored_object, compose_scene
from ..scenes.concepts import COLORED_NAMES, confusable, with_article
from ..scenes.scene import Scene, SceneObject
from ..scenes.splits import SceneDomain
from .descriptions import sentence
from .object_lists import COLOR_LIST, list_turn, sample_absent_name
from .turns import CANNOT_TELL, Turn, ask

_COLOR_LISTS = (
    (COLOR_LIST, " "),
    ("Tell the colours of {}.", " is "),
    ("What are the colours of {}?", ": "),
)
"""Questions about all colors, and the separator between a name and its color in the answer."""
_MAX_TURNS = 14
_MAX_LIST_ITEMS = 6
_NAMED_SHARE, _PRONOUN_SHARE = 0.25, 0.35
"""Shares of the answers "The hat is red." and "It is red."; the rest are "Red."."""
NO_COLOR = "none"

T = TypeVar("T")


def sample_colored(seed: int, domain: SceneDomain) -> tuple[np.random.Generator, Scene]:
    """Sample a scene of two to five objects with distinct names and colors.

    Returns:
        The generator, to sample turns with, and the scene.
    """
    rng = np.random.default_rng([domain.stream, seed, 96])
    colors = [list(COLORS)[i] for i in rng.permutation(len(COLORS))]
    count = int(rng.integers(2, 6))
    names = distinct_names((COLORED_NAMES[i] for i in rng.permutation(len(COLORED_NAMES))), count)
    objects = [colored_object(rng, name, color) for name, color in zip(names, colors, strict=False)]
    return rng, compose_scene(rng, "few" if count < 5 else "many", objects, domain, seed)


def list_colors(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """List all colors, three times, with a space, a verb or a colon between name and color."""
    objects, turns = list(scene.objects), list[Turn]()
    for template, separator in _COLOR_LISTS:
        rng.shuffle(objects)
        values = {obj.name: obj.color_name or "" for obj in objects}
        turns.append(list_turn("colours", template, values, separator))
    rng.shuffle(turns)
    return turns


def repeated_color_qa(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """Ask for each color in short turns, up to three times in different wordings."""
    turns = [_short_color_turn(scene.objects[i], rng) for _ in range(3) for i in rng.permutation(len(scene.objects))]
    return list({turn.question: turn for turn in turns}.values())[:_MAX_TURNS]


def color_qa(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """Ask for each color once; the answer has the name, "it", or the color alone."""
    return [
        _color_turn(scene.objects[i].name, scene.objects[i].color_name, rng)
        for i in rng.permutation(len(scene.objects))
    ]


def list_absent(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """List colors by name; half of the names are absent and have the color "none"."""
    names, turns = _add_absent_names(scene, rng), list[Turn]()
    for template, separator in (_COLOR_LISTS[0], _COLOR_LISTS[0], _COLOR_LISTS[1]):
        values = {name: names[name] or NO_COLOR for name in shuffled(names, rng)[:_MAX_LIST_ITEMS]}
        turns.append(list_turn("colours", template, values, separator))
    return unique_turns(turns, rng)


def absent_qa(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """Ask for the color of each name; half of the names are absent, and their color is unknown."""
    names = _add_absent_names(scene, rng)
    return [_color_turn(name, names[name], rng) for name in shuffled(names, rng)]


def presence_qa(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """Ask whether each name is present, as half are; answers are a color with yes or no, a color, or yes or no."""
    names, turns = _add_absent_names(scene, rng), list[Turn]()
    for name in shuffled(names, rng):
        color, form, a_name = names[name], rng.random(), with_article(name)
        color_answer, yes = (color or NO_COLOR).capitalize(), "yes" if color else "no"
        if form < 0.2:
            turns.append(Turn("exists", f"Is there {a_name}, and in which colour?", f"{color_answer}, {yes}."))
        elif form < 0.35:
            turns.append(Turn("exists", f"Is there {a_name}, and in which colour, or none?", f"{color_answer}."))
        elif form < 0.5:
            turns.append(Turn("exists", f"Is the {name} there?", sentence(yes)))
        else:
            turns.append(ask(rng, "exists", sentence(yes), a_name=a_name))
    return turns


def _short_color_turn(obj: SceneObject, rng: np.random.Generator) -> Turn:
    return ask(rng, "colour", sentence(obj.color_name or ""), name=obj.name)


def distinct_names(names: Iterable[str], count: int) -> list[str]:
    """Return the first `count` names that cannot be mistaken for each other."""
    chosen: list[str] = []
    for name in names:
        if len(chosen) < count and not any(confusable(name, other) for other in chosen):
            chosen.append(name)
    return chosen


def shuffled_list_turn(
    skill: str, template: str, values: Mapping[str, str], rng: np.random.Generator, prefix: str = "the "
) -> list[Turn]:
    """Return one list turn in random order; no turn if `values` is empty."""
    order = shuffled(values, rng)
    return [list_turn(skill, template, {name: values[name] for name in order}, prefix=prefix)] if order else []


def unique_turns(turns: list[Turn], rng: np.random.Generator) -> list[Turn]:
    """Return the turns in random order without repeated questions."""
    return list({turn.question: turn for turn in shuffled(turns, rng)}.values())


def shuffled(items: Iterable[T], rng: np.random.Generator) -> list[T]:
    result = list(items)
    rng.shuffle(result)
    return result


def _add_absent_names(scene: Scene, rng: np.random.Generator) -> dict[str, str | None]:
    """Return the color of each object by name, and about as many absent names with None."""
    names: dict[str, str | None] = {}
    for obj in scene.objects:
        names[obj.name] = obj.color_name
        names.setdefault(sample_absent_name(scene, lambda: pick(rng, COLORED_NAMES)), None)
    return names


def _color_turn(name: str, color: str | None, rng: np.random.Generator) -> Turn:
    form = rng.random()
    if form < _NAMED_SHARE:
        return Turn("colours", f"Tell the colour of the {name}.", f"The {name} is {color or NO_COLOR}.")
    if form < _NAMED_SHARE + _PRONOUN_SHARE:
        return Turn("colours", f"Say which colour the {name} has.", f"It is {color or NO_COLOR}.")
    return ask(rng, "colour", sentence(color) if color else CANNOT_TELL, name=name)
