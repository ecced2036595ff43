"""Reading: one sign, several words, lines of text; and copying, which reading builds on."""

from dataclasses import replace

from ...scenes.colors import pick
from ...scenes.composition import sample_scene
from ...scenes.fonts import ALL_TRAINING_FONTS
from ...scenes.lexicon import TextSampler
from ...scenes.splits import ENCODER_DOMAIN, TRAINING, SceneDomain
from ..ocr_qa import text_turn_groups
from ..turns import QUESTIONS, Turn
from .lesson import RETRY, SceneLesson, lesson_about, separate, stream

_DOMAINS = (ENCODER_DOMAIN, replace(TRAINING, fonts=ALL_TRAINING_FONTS))
"""Letters of all sizes and cases, in which those of 10 to 18 pixels are rare; and capitals of these sizes, which scenes
and pages have."""
_COPIED = TextSampler(words=1.0, numbers=1.0, strings=2.0)
_COPIES = 6
"""Texts per lesson of `copying`."""


def sign(number: int, domain: SceneDomain | None = None) -> SceneLesson:
    """One short text.

    With several texts per image, attending to all of them is no better than guessing, and reading does not begin.
    """
    return _reading(number, "sign", domain)


def copying(number: int, domain: SceneDomain | None = None) -> SceneLesson:
    """Texts that the question spells, without an image.

    To find the letter just said and say the next one is learned from text in a fraction of the steps that it takes from
    visual tokens, and then serves to read those.
    """
    rng, texts = stream("copying", number), domain.texts if domain else _COPIED
    asked = [(pick(rng, QUESTIONS["copy"]), texts.draw(rng), texts.draw(rng)) for _ in range(_COPIES)]
    turns = [Turn("copy", question.format(text=text, other=other), text) for question, text, other in asked]
    return SceneLesson((), tuple(separate(turns)))


def words(number: int) -> SceneLesson:
    """Two to five words: all from top to bottom, the top one, the bottom one, and how many."""
    return _reading(number, "words")


def lines(number: int) -> SceneLesson:
    """Three to six lines of text: all, or the one asked for."""
    return _reading(number, "text")


def _reading(number: int, kind: str, domain: SceneDomain | None = None) -> SceneLesson:
    scene = sample_scene(number, kind, domain or _DOMAINS[number % 2])
    groups = text_turn_groups(scene, stream(f"reading {kind}", number))
    return lesson_about(scene, groups) if groups else _reading(number + RETRY, kind, domain)
