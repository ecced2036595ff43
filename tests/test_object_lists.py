"""Lists of objects by name: every clause is true of the scene."""

import numpy as np
import pytest
from answer_clauses import clauses

from minigemini_models.samples.descriptions import NUMBERS
from minigemini_models.samples.dialogs import PAIR_KINDS, sample_pair
from minigemini_models.samples.object_lists import object_list, object_list_for_pair
from minigemini_models.scenes.composition import sample_scene
from minigemini_models.scenes.concepts import NAMES, confusable, plural
from minigemini_models.scenes.scene import Scene
from minigemini_models.scenes.splits import COLORED_DOMAIN, evaluation

SEEDS = 150


@pytest.mark.parametrize(("kind", "domain"), [("few", evaluation()), ("many", evaluation()), ("few", COLORED_DOMAIN)])
def test_every_clause_about_one_image_is_true(kind: str, domain):
    skills = set()
    for seed in range(SEEDS):
        scene = sample_scene(seed, kind, domain)
        for turn in object_list(scene, np.random.default_rng(seed)):
            skills.add(turn.skill)
            assert set(clauses(turn.answer)) <= true_clauses(scene, turn.skill), (turn, scene.objects)
    assert skills == {"presence", "colours"}


def true_clauses(scene: Scene, skill: str) -> set[str]:
    """Return every true clause about one image."""
    names = [obj.name for obj in scene.objects]
    if skill == "presence":
        return {f"the {name} {'yes' if name in names else 'no'}" for name in NAMES}
    return {f"the {obj.name} {obj.color_name}" for obj in scene.objects if names.count(obj.name) == 1}


def test_half_of_the_names_are_absent_and_not_confusable():
    said: list[bool] = []
    for seed in range(SEEDS):
        scene = sample_scene(seed, "many")
        turns = object_list(scene, np.random.default_rng(seed))
        for clause in clauses(turns[0].answer):
            name, answer = clause.removeprefix("the ").rsplit(" ", 1)
            said.append(answer == "yes")
            assert said[-1] or not any(confusable(name, obj.name) for obj in scene.objects)
    assert 0.4 < sum(said) / len(said) < 0.6


@pytest.mark.parametrize("kind", PAIR_KINDS)
def test_every_clause_about_two_images_is_true(kind: str):
    count = 0
    for seed in range(SEEDS):
        scenes, _ = sample_pair(seed, kind)
        for turn in object_list_for_pair(*scenes, np.random.default_rng(seed)):
            for clause in clauses(turn.answer):
                assert clause in true_pair_clauses(scenes, turn.skill), (turn, scenes)
                count += 1
    assert count >= SEEDS


def true_pair_clauses(scenes: tuple[Scene, ...], skill: str) -> set[str]:
    """Return every true clause of a skill about two images."""
    names = {obj.name for scene in scenes for obj in scene.objects}
    here, there = (scene.objects for scene in scenes)
    match skill:
        case "which_picture":
            return {f"the {name} {which}" for name in names for which in images_showing(scenes, name)}
        case "colours":
            return {
                f"the {one.name} {one.color_name} in the first, {other.color_name} in the second"
                for one in here
                for other in there
                if one.name == other.name
            }
    counts = {name: [NUMBERS[sum(obj.name == name for obj in scene.objects)] for scene in scenes] for name in names}
    return {f"the {plural(name)} {one} in the first, {other} in the second" for name, (one, other) in counts.items()}


def images_showing(scenes: tuple[Scene, ...], name: str) -> list[str]:
    shown = [name in {obj.name for obj in scene.objects} for scene in scenes]
    return [] if all(shown) else ["first" if shown[0] else "second"]
