"""Colors by name, and names by color."""

from ...scenes.composition import sample_scene
from ...scenes.splits import COLORED_DOMAIN, TRAINING, SceneDomain
from ..attribute_lookup import color_qa, list_colors, repeated_color_qa, sample_colored, shuffled
from ..object_qa import object_turn_groups
from .lesson import SceneLesson, lesson_about, separate, stream

_SKILLS = ("colour", "find", "shape")


def lists(number: int, domain: SceneDomain = TRAINING) -> SceneLesson:
    """All colors by name, in lists: "the hat red, the star blue"."""
    scene, rng = sample_colored(number, domain)[1], stream("color lists", number)
    return lesson_about(scene, separate(list_colors(scene, rng)))


def questions(number: int, domain: SceneDomain = TRAINING) -> SceneLesson:
    """The color of each object: "The hat is red.", "It is red.", "Red."."""
    scene, rng = sample_colored(number, domain)[1], stream("color questions", number)
    return lesson_about(scene, separate(shuffled([*color_qa(scene, rng), *repeated_color_qa(scene, rng)], rng)))


def names(number: int, domain: SceneDomain | None = None) -> SceneLesson:
    """The object or shape of a color, and colors among icons."""
    of_number = domain or (COLORED_DOMAIN if number % 2 else TRAINING)
    scene, rng = sample_scene(number, "few", of_number), stream("color names", number)
    groups = [group for _ in range(3) for group in object_turn_groups(scene, rng)]
    found = [group for group in groups if len(group) == 1 and group[0].skill in _SKILLS]
    return lesson_about(scene, found) if found else names(number + 2, domain)
