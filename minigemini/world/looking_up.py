"""Rounds in which a thing is looked up by its name: from what takes one step of attention to what takes several.

"The hat red" takes one: who writes the name looks for it. For "the hat is red" the name must be brought along, for "It
is red." and "Red." from farther and farther off. Who has learnt one of these learns the next in minutes, and hardly
ever without (`docs/experiments.md`).
"""

from collections.abc import Callable

import numpy as np

from .colours import COLOURS, pick
from .composing import compose, tinted
from .concepts import TINTED_NAMES, alike, with_article
from .describing import sentence
from .inventory import WHICH_ARE_THERE, WHICH_COLOURS, absent, listed
from .material import Material
from .scene import Scene, Thing
from .turns import Turn, ask

_LISTED = (
    (WHICH_COLOURS, " "),
    ("Tell the colours of {}.", " is "),
    ("What are the colours of {}?", ": "),
)
"""How all colours are asked for, and what then stands between a name and its colour."""
_MOST_TURNS = 14
_SHARE_NAMED, _SHARE_IT = 0.25, 0.35
"""How often a colour by itself is told by "The hat is red." and by "It is red."; else it is "Red."."""


def sample_tinted(seed: int, material: Material) -> tuple[np.random.Generator, Scene]:
    """Two to five drawings of different names in different colours, and the generator that goes on from there."""
    rng = np.random.default_rng([material.stream, seed, 96])
    colours = [list(COLOURS)[i] for i in rng.permutation(len(COLOURS))]
    count, looks = int(rng.integers(2, 6)), list[Thing]()
    for i in rng.permutation(len(TINTED_NAMES)):
        if len(looks) < count and not any(alike(TINTED_NAMES[i], thing.name) for thing in looks):
            looks.append(tinted(rng, TINTED_NAMES[i], colours[len(looks)]))
    return rng, compose(rng, "few" if count < 5 else "many", looks, material, seed)


def colours_told(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """All colours in lists, with nothing, a word or a sign between name and colour."""
    things, turns = list(scene.things), list[Turn]()
    for asked, between in _LISTED:
        rng.shuffle(things)
        told = {thing.name: thing.colour_name or "" for thing in things}
        turns.append(listed("colours", asked, told, between))
    rng.shuffle(turns)
    return turns


def colours_repeated(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """Each colour in short rounds, up to three times in other words."""
    turns = [_colour(scene.things[i], rng) for _ in range(3) for i in rng.permutation(len(scene.things))]
    return list({turn.question: turn for turn in turns}.values())[:_MOST_TURNS]


def colours_asked(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """Each colour once, told with its name, with "it", or by itself."""
    turns = []
    for i in rng.permutation(len(scene.things)):
        thing, form = scene.things[i], rng.random()
        if form < _SHARE_NAMED:
            answer = f"The {thing.name} is {thing.colour_name}."
            turns.append(Turn("colours", f"Tell the colour of the {thing.name}.", answer))
        elif form < _SHARE_NAMED + _SHARE_IT:
            turns.append(Turn("colours", f"Say which colour the {thing.name} has.", f"It is {thing.colour_name}."))
        else:
            turns.append(_colour(thing, rng))
    return turns


def names_asked(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """Whether each of some drawings is there, in one list and in short rounds; half of them are."""
    names: dict[str, bool] = {}
    for thing in scene.things:
        names[thing.name] = True
        names.setdefault(absent(scene, lambda: pick(rng, TINTED_NAMES)), False)
    order = [*names.items()]
    rng.shuffle(order)
    together = int(rng.integers(2, 5))
    turns = [listed("presence", WHICH_ARE_THERE, {name: "yes" if there else "no" for name, there in order[:together]})]
    for name, there in order[together:]:
        turns.append(ask(rng, "exists", "Yes." if there else "No.", a_name=with_article(name)))
    rng.shuffle(turns)
    return turns


LOOKING_UP: dict[str, Callable[[Scene, np.random.Generator], list[Turn]]] = {
    "told": colours_told,
    "repeated": colours_repeated,
    "asked": colours_asked,
    "names": names_asked,
}


def _colour(thing: Thing, rng: np.random.Generator) -> Turn:
    return ask(rng, "colour", sentence(thing.colour_name or ""), name=thing.name)
