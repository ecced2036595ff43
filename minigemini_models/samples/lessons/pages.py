"""Pages of 512 pixels: one line, several, charts and tables; in lists by name, then in questions."""

from ...scenes.composition import sample_scene
from ...scenes.documents import ONE_LINE, PAGE_KINDS
from ..attribute_lookup import shuffled
from ..ocr_qa import document_qa, list_document, text_turn_groups
from ..unanswerable import unanswerable_turn
from .lesson import SceneLesson, lesson_about, separate, stream


def line(number: int) -> SceneLesson:
    """One line of a few words."""
    scene = sample_scene(number, ONE_LINE)
    return lesson_about(scene, text_turn_groups(scene, stream("line", number))[:1])


def lists(number: int) -> SceneLesson:
    """Everything on a page, from the top or by name."""
    scene = sample_scene(number, PAGE_KINDS[number % len(PAGE_KINDS)])
    return lesson_about(scene, separate(list_document(scene, stream("page lists", number))), 3)


def questions(number: int) -> SceneLesson:
    """What is asked for by its name or number, in short questions, and what the page does not tell."""
    scene = sample_scene(number, PAGE_KINDS[number % len(PAGE_KINDS)])
    rng = stream("page questions", number)
    if number // len(PAGE_KINDS) % 2:
        return lesson_about(scene, separate(document_qa(scene, rng)), 6)
    groups = [*text_turn_groups(scene, rng), (unanswerable_turn(scene, rng),)]
    return lesson_about(scene, shuffled(groups, rng), 4)
