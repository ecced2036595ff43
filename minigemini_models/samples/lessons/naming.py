"""Naming: one object, and all objects of an image with their colors."""

from ...scenes.composition import sample_scene
from ...scenes.splits import TRAINING, SceneDomain
from ..descriptions import describe
from ..object_qa import object_turn_groups
from ..turns import ask
from .lesson import SceneLesson, lesson_about, stream

_CAPTION_KINDS = ("few", "many", "sign", "count", "few", "many")


def one_object(number: int, domain: SceneDomain = TRAINING) -> SceneLesson:
    """One object: its name, its color, a description."""
    rng, scene = stream("naming", number), sample_scene(number, "single", domain)
    named = [group for group in object_turn_groups(scene, rng) if group[0].skill in ("name", "object", "colour")]
    return lesson_about(scene, [*named, (ask(rng, "describe", describe(scene)),)])


def caption(number: int, domain: SceneDomain = TRAINING) -> SceneLesson:
    """Everything in an image, from left to right."""
    scene = sample_scene(number, _CAPTION_KINDS[number % len(_CAPTION_KINDS)], domain)
    return lesson_about(scene, [(ask(stream("caption", number), "describe", describe(scene)),)])
