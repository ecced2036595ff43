"""Presence: which names are there, and that some are not."""

from ...scenes.composition import sample_scene
from ...scenes.splits import TRAINING, SceneDomain
from ..attribute_lookup import absent_qa, list_absent, presence_qa, sample_colored, shuffled
from ..object_lists import object_list
from ..object_qa import presence_turn
from .lesson import SceneLesson, lesson_about, separate, stream

_KINDS = ("few", "many", "single", "few")


def lists(number: int, domain: SceneDomain = TRAINING) -> SceneLesson:
    """Colors by name with "none" for what is absent, and yes or no by name, among icons too."""
    rng = stream("presence lists", number)
    if number % 2:
        scene = sample_colored(number, domain)[1]
        return lesson_about(scene, separate(list_absent(scene, rng)))
    scene = sample_scene(number, _KINDS[number // 2 % len(_KINDS)], domain)
    return lesson_about(scene, separate(turn for _ in range(2) for turn in object_list(scene, rng)))


def questions(number: int, domain: SceneDomain = TRAINING) -> SceneLesson:
    """Whether a name is there, with the color before the verdict or alone; and "I cannot tell." for its color."""
    scene, rng = sample_colored(number, domain)[1], stream("presence questions", number)
    return lesson_about(scene, separate(shuffled([*presence_qa(scene, rng), *absent_qa(scene, rng)], rng)), 10)


def near_misses(number: int, domain: SceneDomain = TRAINING) -> SceneLesson:
    """Whether an object is there, half of the time one that is like another."""
    scene, rng = sample_scene(number, _KINDS[number % len(_KINDS)], domain), stream("near misses", number)
    turns = [presence_turn(obj, scene.objects, rng) for _ in range(3) for obj in scene.objects]
    return lesson_about(scene, separate(turns))
