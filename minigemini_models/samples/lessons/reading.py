"""Reading: one sign, several words, lines of text."""

from ...scenes.composition import sample_scene
from ...scenes.splits import ENCODER_DOMAIN, SceneDomain
from ..ocr_qa import text_turn_groups
from .lesson import SceneLesson, lesson_about, stream

_RETRY = 7_000_000
"""Added to a number whose scene has no text."""


def sign(number: int, domain: SceneDomain = ENCODER_DOMAIN) -> SceneLesson:
    """One short text.

    With several texts per image, attending to all of them is no better than guessing, and reading does not begin.
    """
    return _reading(number, "sign", domain)


def words(number: int) -> SceneLesson:
    """Two to five words: all from top to bottom, the top one, the bottom one, and how many."""
    return _reading(number, "words")


def lines(number: int) -> SceneLesson:
    """Three to six lines of text: all, or the one asked for."""
    return _reading(number, "text")


def _reading(number: int, kind: str, domain: SceneDomain = ENCODER_DOMAIN) -> SceneLesson:
    scene = sample_scene(number, kind, domain)
    groups = text_turn_groups(scene, stream(f"reading {kind}", number))
    return lesson_about(scene, groups) if groups else _reading(number + _RETRY, kind, domain)
