"""Teach comparing two images by object name: which one shows an object, and which object changed its color.

As with one image, lists with the answer right after a name come first (see `attribute_lookup`).
"""

import numpy as np

from ..scenes.colors import COLORS
from ..scenes.composition import colored_object, compose_scene
from ..scenes.concepts import COLORED_NAMES, confusable, with_article
from ..scenes.scene import Scene
from ..scenes.splits import SceneDomain
from .attribute_lookup import distinct_names, sample_colored, shuffled, shuffled_list_turn
from .descriptions import sentence
from .object_lists import list_turn
from .turns import Turn, ask

PairDialog = tuple[tuple[Scene, Scene], list[Turn]]

_IMAGE_LISTS = (
    ("Which picture shows {}?", " "),
    ("In which pictures are {}?", " in the "),
    ("Say which picture has {}.", ": "),
    ("Where are {}, in the first or in the second?", " is "),
)
"""Questions about which image shows some objects, and the separator between a name and its image."""
_MAX_LIST_ITEMS = 5
_NAMED_SHARE, _PREPOSITION_SHARE = 0.25, 0.25
"""Shares of the answers "The hat is in the first." and "In the first."; the rest are "The first."."""
_SECOND_SEED_OFFSET = 50_000_000
"""Added to the seed for the second image."""


def list_which_image(seed: int, domain: SceneDomain) -> PairDialog:
    """List which image shows each object."""
    scenes, names, rng = _sample_two_scenes(seed, domain)
    turns = list[Turn]()
    for template, separator in _IMAGE_LISTS if names else ():
        values = {name: names[name] for name in shuffled(names, rng)[:_MAX_LIST_ITEMS]}
        turns.append(list_turn("which_picture", template, values, separator))
    return scenes, shuffled(turns, rng)


def which_image_qa(seed: int, domain: SceneDomain) -> PairDialog:
    """Ask for each object which image shows it."""
    scenes, names, rng = _sample_two_scenes(seed, domain)
    turns = list[Turn]()
    for name in shuffled(names, rng):
        form, which = rng.random(), names[name]
        if form < _NAMED_SHARE:
            answer = f"The {name} is in the {which}."
            turns.append(Turn("which_picture", f"Say in which picture the {name} is.", answer))
        elif form < _NAMED_SHARE + _PREPOSITION_SHARE:
            question = f"Tell where the {name} is, in the first or the second."
            turns.append(Turn("which_picture", question, f"In the {which}."))
        else:
            turns.append(ask(rng, "which_picture", f"The {which}.", a_name=with_article(name)))
    return scenes, turns


def list_changes(seed: int, domain: SceneDomain) -> PairDialog:
    """List the color of each object and whether it is the same in the second image, as half of them are."""
    scenes, colors, rng = _sample_recolored_pair(seed, domain, at_most_one=False)
    same_or_other = {name: "again" if first == second else "another" for name, (first, second) in colors.items()}
    second_colors = {name: f"{a} again" if a == b else f"{a} {b}" for name, (a, b) in colors.items()}
    lists = (
        ("Which colours have {}, first and then, or again?", second_colors),
        ("Which colours have {}, and again or others?", {n: f"{colors[n][0]} {same_or_other[n]}" for n in colors}),
        ("Have {} their colours again, or others?", same_or_other),
    )
    turns = [turn for template, values in lists for turn in shuffled_list_turn("changed", template, values, rng)]
    return scenes, shuffled(turns, rng)


def change_qa(seed: int, domain: SceneDomain) -> PairDialog:
    """Ask whether an object changed its color, and which one; half of the time one did."""
    scenes, colors, rng = _sample_recolored_pair(seed, domain, at_most_one=True)
    changed, kept = ([name for name, (a, b) in colors.items() if (a == b) is same] for same in (False, True))
    turns = list[Turn]()
    for name in [*changed, *shuffled(kept, rng)[:1]]:
        yes = "No." if name in changed else "Yes."
        turns.append(Turn("same", f"Has the {name} the same colour in both pictures?", yes))
    if all(len(scene.objects) == len(colors) for scene in scenes):
        turns.append(ask(rng, "same", "No." if changed else "Yes."))
        turns += [ask(rng, "changed", sentence(f"the {name}")) for name in changed]
    return scenes, shuffled(turns, rng)


def _sample_two_scenes(
    seed: int, domain: SceneDomain
) -> tuple[tuple[Scene, Scene], dict[str, str], np.random.Generator]:
    """Sample two scenes; return them, the image ("first" or "second") of each object in only one, and the generator."""
    rng, one = sample_colored(seed, domain)
    other = sample_colored(seed + _SECOND_SEED_OFFSET, domain)[1]
    shows = dict[str, str]()
    for mine, without, which in ((one, other, "first"), (other, one, "second")):
        for obj in mine.objects:
            if not any(confusable(obj.name, absent.name) for absent in without.objects):
                shows[obj.name] = which
    return (one, other), shows, rng


def _sample_recolored_pair(
    seed: int, domain: SceneDomain, at_most_one: bool
) -> tuple[tuple[Scene, Scene], dict[str, tuple[str, str]], np.random.Generator]:
    """Sample objects and the same objects again, each recolored with probability 1/2, or at most one of them.

    Returns:
        The scenes, the colors of each object in both, and the generator.
    """
    rng = np.random.default_rng([domain.stream, seed, 91])
    count = int(rng.integers(2, 5))
    names = distinct_names(shuffled(COLORED_NAMES, rng), count)
    unused = shuffled(COLORS, rng)
    first = {name: unused.pop() for name in names}
    changing = names[: int(rng.random() < 0.5)] if at_most_one else [name for name in names if rng.random() < 0.5]
    second = first | {name: unused[int(rng.integers(len(unused)))] for name in changing}
    one, other = (
        compose_scene(
            rng,
            "few",
            [colored_object(rng, name, color) for name, color in shuffled(colors.items(), rng)],
            domain,
            scene_seed,
        )
        for scene_seed, colors in ((seed, first), (seed + _SECOND_SEED_OFFSET, second))
    )
    in_both = {obj.name for obj in one.objects} & {obj.name for obj in other.objects}
    return (one, other), {name: (first[name], second[name]) for name in names if name in in_both}, rng
