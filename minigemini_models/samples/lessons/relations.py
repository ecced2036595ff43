"""Positions: halves of the image, places relative to another object, whether a relation holds, what is beside."""

from ...scenes.composition import sample_scene
from ...scenes.splits import COLORED_DOMAIN, TRAINING, SceneDomain
from ..attribute_lookup import sample_colored
from ..object_qa import object_turn_groups
from ..spatial_relations import list_halves, list_positions, list_relations, relation_qa
from .lesson import RETRY, SceneLesson, lesson_about, separate, stream


def halves(number: int, domain: SceneDomain = TRAINING) -> SceneLesson:
    """The half of the image that each object is in."""
    scene = sample_colored(number, domain)[1]
    turns = list_halves(scene, stream("halves", number))
    return lesson_about(scene, separate(turns)) if turns else halves(number + RETRY, domain)


def lists(number: int, domain: SceneDomain = TRAINING) -> SceneLesson:
    """The position of each object relative to another, and which of them have a relation to it."""
    scene, rng = sample_colored(number, domain)[1], stream("relation lists", number)
    turns = list_positions(scene, rng) if number % 2 else list_relations(scene, rng)
    return lesson_about(scene, separate(turns)) if turns else lists(number + RETRY, domain)


def questions(number: int, domain: SceneDomain = TRAINING) -> SceneLesson:
    """Whether a relation holds between two objects."""
    scene = sample_colored(number, domain)[1]
    turns = relation_qa(scene, stream("relation questions", number))
    return lesson_about(scene, separate(turns)) if turns else questions(number + RETRY, domain)


def beside(number: int, domain: SceneDomain | None = None) -> SceneLesson:
    """What is left of, right of, above or below an object, and whether a relation holds."""
    scene = sample_scene(number, "few", domain or (COLORED_DOMAIN if number % 2 else TRAINING))
    rng = stream("beside", number)
    groups = [group for _ in range(3) for group in object_turn_groups(scene, rng)]
    found = [group for group in groups if group[0].skill in ("beside", "related")]
    return lesson_about(scene, found) if found else beside(number + RETRY, domain)
