"""Counting: how many there are of one thing, of another, and of all."""

from ...scenes.composition import sample_scene
from ...scenes.splits import TRAINING, SceneDomain
from ..descriptions import describe
from ..object_qa import object_turn_groups
from ..turns import ask
from .lesson import SceneLesson, lesson_about, stream

_KINDS = ("count", "count", "count", "few", "many")


def questions(number: int, domain: SceneDomain = TRAINING) -> SceneLesson:
    """How many there are, and a description with the numbers."""
    scene, rng = sample_scene(number, _KINDS[number % len(_KINDS)], domain), stream("counting", number)
    groups = [group for _ in range(2) for group in object_turn_groups(scene, rng) if group[0].skill == "count"]
    described = [(ask(rng, "describe", describe(scene)),)] if scene.kind == "count" else []
    found = [*groups, *described]
    return lesson_about(scene, found) if found else questions(number + 1, domain)
