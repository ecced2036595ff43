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
from ..scenes.composition import colored, compose
from ..scenes.concepts import COLORED_NAMES, confusable, with_article
from ..scenes.scene import Scene, SceneObject
from ..scenes.splits import SceneDomain
from .descriptions import sentence
from .object_lists import WHICH_COLOURS, absent, listed
from .turns import CANNOT_TELL, Turn, ask

_LISTED = (
    (WHICH_COLOURS, " "),
    ("Tell the colours of {}.", " is "),
    ("What are the colours of {}?", ": "),
)
"""How all colours are asked for, and what then stands between a name and its colour."""
_MOST_TURNS = 14
_MOST_LISTED = 6
_SHARE_NAMED, _SHARE_IT = 0.25, 0.35
"""How often a colour by itself is told by "The hat is red." and by "It is red."; else it is "Red."."""
NO_COLOR = "none"

T = TypeVar("T")


def sample_colored(seed: int, domain: SceneDomain) -> tuple[np.random.Generator, Scene]:
    """Two to five drawings of different names in different colours, and the generator that goes on from there."""
    rng = np.random.default_rng([domain.stream, seed, 96])
    colors = [list(COLORS)[i] for i in rng.permutation(len(COLORS))]
    count = int(rng.integers(2, 6))
    names = unlike((COLORED_NAMES[i] for i in rng.permutation(len(COLORED_NAMES))), count)
    looks = [colored(rng, name, color) for name, color in zip(names, colors, strict=False)]
    return rng, compose(rng, "few" if count < 5 else "many", looks, domain, seed)


def colours_told(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """All colours in lists, with nothing, a word or a sign between name and colour."""
    objects, turns = list(scene.objects), list[Turn]()
    for asked, between in _LISTED:
        rng.shuffle(objects)
        said = {obj.name: obj.color_name or "" for obj in objects}
        turns.append(listed("colours", asked, said, between))
    rng.shuffle(turns)
    return turns


def colours_repeated(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """Each colour in short rounds, up to three times in other words."""
    turns = [_color(scene.objects[i], rng) for _ in range(3) for i in rng.permutation(len(scene.objects))]
    return list({turn.question: turn for turn in turns}.values())[:_MOST_TURNS]


def colours_asked(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """Each colour once, told with its name, with "it", or by itself."""
    return [
        _asked(scene.objects[i].name, scene.objects[i].color_name, rng) for i in rng.permutation(len(scene.objects))
    ]


def absent_told(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """Colours in lists of names of which half are not there, and have the colour "none"."""
    names, turns = _half_absent(scene, rng), list[Turn]()
    for asked, between in (_LISTED[0], _LISTED[0], _LISTED[1]):
        said = {name: names[name] or NO_COLOR for name in shuffled(names, rng)[:_MOST_LISTED]}
        turns.append(listed("colours", asked, said, between))
    return once(turns, rng)


def absent_asked(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """The colour of each name, of which half are not there; of those nobody can tell."""
    names = _half_absent(scene, rng)
    return [_asked(name, names[name], rng) for name in shuffled(names, rng)]


def names_asked(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """Whether each name is there, half of which are: beside its colour, by its colour alone, and by yes or no."""
    names, turns = _half_absent(scene, rng), list[Turn]()
    for name in shuffled(names, rng):
        color, form, a_name = names[name], rng.random(), with_article(name)
        found, yes = (color or NO_COLOR).capitalize(), "yes" if color else "no"
        if form < 0.2:
            turns.append(Turn("exists", f"Is there {a_name}, and in which colour?", f"{found}, {yes}."))
        elif form < 0.35:
            turns.append(Turn("exists", f"Is there {a_name}, and in which colour, or none?", f"{found}."))
        elif form < 0.5:
            turns.append(Turn("exists", f"Is the {name} there?", sentence(yes)))
        else:
            turns.append(ask(rng, "exists", sentence(yes), a_name=a_name))
    return turns


LOOKUP_KINDS: dict[str, Callable[[Scene, np.random.Generator], list[Turn]]] = {
    "colours-told": colours_told,
    "colours-repeated": colours_repeated,
    "colours-asked": colours_asked,
    "absent-told": absent_told,
    "absent-asked": absent_asked,
    "names-asked": names_asked,
}


def _color(obj: SceneObject, rng: np.random.Generator) -> Turn:
    return ask(rng, "colour", sentence(obj.color_name or ""), name=obj.name)


def unlike(names: Iterable[str], count: int) -> list[str]:
    """The first so many names of which none could pass for another."""
    chosen: list[str] = []
    for name in names:
        if len(chosen) < count and not any(confusable(name, other) for other in chosen):
            chosen.append(name)
    return chosen


def as_list(
    skill: str, asked: str, said: Mapping[str, str], rng: np.random.Generator, before: str = "the "
) -> list[Turn]:
    """One list in an order of its own; none of nothing."""
    order = shuffled(said, rng)
    return [listed(skill, asked, {name: said[name] for name in order}, before=before)] if order else []


def once(turns: list[Turn], rng: np.random.Generator) -> list[Turn]:
    """Each question once, in an order of its own."""
    return list({turn.question: turn for turn in shuffled(turns, rng)}.values())


def shuffled(items: Iterable[T], rng: np.random.Generator) -> list[T]:
    result = list(items)
    rng.shuffle(result)
    return result


def _half_absent(scene: Scene, rng: np.random.Generator) -> dict[str, str | None]:
    """The colour of each thing by its name, and about as many names that have none, as they are not there."""
    names: dict[str, str | None] = {}
    for obj in scene.objects:
        names[obj.name] = obj.color_name
        names.setdefault(absent(scene, lambda: pick(rng, COLORED_NAMES)), None)
    return names


def _asked(name: str, color: str | None, rng: np.random.Generator) -> Turn:
    form = rng.random()
    if form < _SHARE_NAMED:
        return Turn("colours", f"Tell the colour of the {name}.", f"The {name} is {color or NO_COLOR}.")
    if form < _SHARE_NAMED + _SHARE_IT:
        return Turn("colours", f"Say which colour the {name} has.", f"It is {color or NO_COLOR}.")
    return ask(rng, "colour", sentence(color) if color else CANNOT_TELL, name=name)
