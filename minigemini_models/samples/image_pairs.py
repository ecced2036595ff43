"""Rounds that go through the things of two pictures by name: which of them shows each, and what changed its colour.

As with one picture, what stands right behind a name in a list comes first (`looking_up`).
"""

from collections.abc import Callable

import numpy as np

from ..scenes.colors import COLORS
from ..scenes.composition import colored, compose
from ..scenes.concepts import COLORED_NAMES, confusable, with_article
from ..scenes.scene import Scene
from ..scenes.splits import SceneDomain
from .attribute_lookup import as_list, sample_colored, shuffled, unlike
from .descriptions import sentence
from .object_lists import listed
from .turns import Turn, ask

Rounds = tuple[tuple[Scene, Scene], list[Turn]]

_LISTED = (
    ("Which picture shows {}?", " "),
    ("In which pictures are {}?", " in the "),
    ("Say which picture has {}.", ": "),
    ("Where are {}, in the first or in the second?", " is "),
)
"""How it is asked which pictures show some things, and what then stands between a name and its picture."""
_MOST_LISTED = 5
_SHARE_NAMED, _SHARE_IN = 0.25, 0.25
"""How often a picture is told by "The hat is in the first." and by "In the first."; else it is "The first."."""
_SECOND_SEED = 50_000_000
"""How far the seed of the second picture is from that of the first."""


def which_told(seed: int, domain: SceneDomain) -> Rounds:
    """Lists of the picture that shows each of some things."""
    scenes, names, rng = _two(seed, domain)
    turns = list[Turn]()
    for asked, between in _LISTED if names else ():
        said = {name: names[name] for name in shuffled(names, rng)[:_MOST_LISTED]}
        turns.append(listed("which_picture", asked, said, between))
    return scenes, shuffled(turns, rng)


def which_asked(seed: int, domain: SceneDomain) -> Rounds:
    """Of each thing by itself, which picture shows it."""
    scenes, names, rng = _two(seed, domain)
    turns = list[Turn]()
    for name in shuffled(names, rng):
        form, which = rng.random(), names[name]
        if form < _SHARE_NAMED:
            answer = f"The {name} is in the {which}."
            turns.append(Turn("which_picture", f"Say in which picture the {name} is.", answer))
        elif form < _SHARE_NAMED + _SHARE_IN:
            question = f"Tell where the {name} is, in the first or the second."
            turns.append(Turn("which_picture", question, f"In the {which}."))
        else:
            turns.append(ask(rng, "which_picture", f"The {which}.", a_name=with_article(name)))
    return scenes, turns


def changes_told(seed: int, domain: SceneDomain) -> Rounds:
    """Lists of the colour of each thing and whether it has it again in the second picture: half of them do."""
    scenes, colors, rng = _again(seed, domain, one_at_most=False)
    verdicts = {name: "again" if first == second else "another" for name, (first, second) in colors.items()}
    thens = {name: f"{a} again" if a == b else f"{a} {b}" for name, (a, b) in colors.items()}
    lists = (
        ("Which colours have {}, first and then, or again?", thens),
        ("Which colours have {}, and again or others?", {n: f"{colors[n][0]} {verdicts[n]}" for n in colors}),
        ("Have {} their colours again, or others?", verdicts),
    )
    turns = [turn for asked, said in lists for turn in as_list("changed", asked, said, rng)]
    return scenes, shuffled(turns, rng)


def changes_asked(seed: int, domain: SceneDomain) -> Rounds:
    """Whether something has changed its colour, and what: half the time one thing has."""
    scenes, colors, rng = _again(seed, domain, one_at_most=True)
    changed, kept = ([name for name, (a, b) in colors.items() if (a == b) is same] for same in (False, True))
    turns = list[Turn]()
    for name in [*changed, *shuffled(kept, rng)[:1]]:
        yes = "No." if name in changed else "Yes."
        turns.append(Turn("same", f"Has the {name} the same colour in both pictures?", yes))
    if all(len(scene.objects) == len(colors) for scene in scenes):
        turns.append(ask(rng, "same", "No." if changed else "Yes."))
        turns += [ask(rng, "changed", sentence(f"the {name}")) for name in changed]
    return scenes, shuffled(turns, rng)


PAIR_KINDS_BY_NAME: dict[str, Callable[[int, SceneDomain], Rounds]] = {
    "which-told": which_told,
    "which-asked": which_asked,
    "changes-told": changes_told,
    "changes-asked": changes_asked,
}
"""From the seed of two scenes to them and their rounds; there are none where nothing can be asked."""


def _two(seed: int, domain: SceneDomain) -> tuple[tuple[Scene, Scene], dict[str, str], np.random.Generator]:
    """Two scenes, which of them shows each thing that only one of them does, and the generator that goes on."""
    rng, one = sample_colored(seed, domain)
    other = sample_colored(seed + _SECOND_SEED, domain)[1]
    shows = dict[str, str]()
    for mine, without, which in ((one, other, "first"), (other, one, "second")):
        for obj in mine.objects:
            if not any(confusable(obj.name, absent.name) for absent in without.objects):
                shows[obj.name] = which
    return (one, other), shows, rng


def _again(
    seed: int, domain: SceneDomain, one_at_most: bool
) -> tuple[tuple[Scene, Scene], dict[str, tuple[str, str]], np.random.Generator]:
    """Some drawings and the same again, each in another colour half the time, or one of them at most."""
    rng = np.random.default_rng([domain.stream, seed, 91])
    count = int(rng.integers(2, 5))
    names = unlike(shuffled(COLORED_NAMES, rng), count)
    unused = shuffled(COLORS, rng)
    first = {name: unused.pop() for name in names}
    changing = names[: int(rng.random() < 0.5)] if one_at_most else [name for name in names if rng.random() < 0.5]
    second = first | {name: unused[int(rng.integers(len(unused)))] for name in changing}
    one, other = (
        compose(rng, "few", [colored(rng, name, color) for name, color in shuffled(colors.items(), rng)], domain, at)
        for at, colors in ((seed, first), (seed + _SECOND_SEED, second))
    )
    there = {obj.name for obj in one.objects} & {obj.name for obj in other.objects}
    return (one, other), {name: (first[name], second[name]) for name in names if name in there}, rng
