"""Rounds in which a thing is looked up by its name: from what takes one step of attention to what takes several.

"The hat red" takes one: who writes the name looks for it. For "the hat is red" the name must be brought along, for "It
is red." and "Red." from farther and farther off. Who has learnt one of these learns the next in minutes, and hardly
ever without. That a name is not there is learnt in the same way: as the colour "none" in a list, then by itself, then
as the answer to whether it is there (`docs/experiments.md`).
"""

from collections.abc import Callable, Iterable, Mapping
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
"""How all colours are asked for, and what then stands between a name and its colour."""
_MAX_TURNS = 14
_MAX_LIST_ITEMS = 6
_NAMED_SHARE, _PRONOUN_SHARE = 0.25, 0.35
"""How often a colour by itself is told by "The hat is red." and by "It is red."; else it is "Red."."""
NO_COLOR = "none"

T = TypeVar("T")


def sample_colored(seed: int, domain: SceneDomain) -> tuple[np.random.Generator, Scene]:
    """Two to five drawings of different names in different colours, and the generator that goes on from there."""
    rng = np.random.default_rng([domain.stream, seed, 96])
    colors = [list(COLORS)[i] for i in rng.permutation(len(COLORS))]
    count = int(rng.integers(2, 6))
    names = distinct_names((COLORED_NAMES[i] for i in rng.permutation(len(COLORED_NAMES))), count)
    objects = [colored_object(rng, name, color) for name, color in zip(names, colors, strict=False)]
    return rng, compose_scene(rng, "few" if count < 5 else "many", objects, domain, seed)


def list_colors(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """All colours in lists, with nothing, a word or a sign between name and colour."""
    objects, turns = list(scene.objects), list[Turn]()
    for template, separator in _COLOR_LISTS:
        rng.shuffle(objects)
        values = {obj.name: obj.color_name or "" for obj in objects}
        turns.append(list_turn("colours", template, values, separator))
    rng.shuffle(turns)
    return turns


def repeated_color_qa(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """Each colour in short rounds, up to three times in other words."""
    turns = [_short_color_turn(scene.objects[i], rng) for _ in range(3) for i in rng.permutation(len(scene.objects))]
    return list({turn.question: turn for turn in turns}.values())[:_MAX_TURNS]


def color_qa(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """Each colour once, told with its name, with "it", or by itself."""
    return [
        _color_turn(scene.objects[i].name, scene.objects[i].color_name, rng)
        for i in rng.permutation(len(scene.objects))
    ]


def list_absent(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """Colours in lists of names of which half are not there, and have the colour "none"."""
    names, turns = _add_absent_names(scene, rng), list[Turn]()
    for template, separator in (_COLOR_LISTS[0], _COLOR_LISTS[0], _COLOR_LISTS[1]):
        values = {name: names[name] or NO_COLOR for name in shuffled(names, rng)[:_MAX_LIST_ITEMS]}
        turns.append(list_turn("colours", template, values, separator))
    return unique_turns(turns, rng)


def absent_qa(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """The colour of each name, of which half are not there; of those nobody can tell."""
    names = _add_absent_names(scene, rng)
    return [_color_turn(name, names[name], rng) for name in shuffled(names, rng)]


def presence_qa(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """Whether each name is there, half of which are: beside its colour, by its colour alone, and by yes or no."""
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


LOOKUP_KINDS: dict[str, Callable[[Scene, np.random.Generator], list[Turn]]] = {
    "colours-told": list_colors,
    "colours-repeated": repeated_color_qa,
    "colours-asked": color_qa,
    "absent-told": list_absent,
    "absent-asked": absent_qa,
    "names-asked": presence_qa,
}


def _short_color_turn(obj: SceneObject, rng: np.random.Generator) -> Turn:
    return ask(rng, "colour", sentence(obj.color_name or ""), name=obj.name)


def distinct_names(names: Iterable[str], count: int) -> list[str]:
    """The first so many names of which none could pass for another."""
    chosen: list[str] = []
    for name in names:
        if len(chosen) < count and not any(confusable(name, other) for other in chosen):
            chosen.append(name)
    return chosen


def shuffled_list_turn(
    skill: str, template: str, values: Mapping[str, str], rng: np.random.Generator, prefix: str = "the "
) -> list[Turn]:
    """One list in an order of its own; none of nothing."""
    order = shuffled(values, rng)
    return [list_turn(skill, template, {name: values[name] for name in order}, prefix=prefix)] if order else []


def unique_turns(turns: list[Turn], rng: np.random.Generator) -> list[Turn]:
    """Each question once, in an order of its own."""
    return list({turn.question: turn for turn in shuffled(turns, rng)}.values())


def shuffled(items: Iterable[T], rng: np.random.Generator) -> list[T]:
    result = list(items)
    rng.shuffle(result)
    return result


def _add_absent_names(scene: Scene, rng: np.random.Generator) -> dict[str, str | None]:
    """The colour of each thing by its name, and about as many names that have none, as they are not there."""
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
