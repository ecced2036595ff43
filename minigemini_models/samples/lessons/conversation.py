"""Conversations on all skills, with follow-ups and questions that have no answer; and requests for images."""

from ...scenes.composition import sample_scene
from ...scenes.splits import ENCODER_DOMAIN, SceneDomain
from ..attribute_lookup import shuffled
from ..conversations import conversation, possible_turn_groups
from ..image_requests import TRAINING_KINDS, sample_request
from ..object_qa import object_turn_groups
from ..unanswerable import unanswerable_turn
from .lesson import SceneLesson, lesson_about, stream

_KINDS = ("single", "few", "sign", "count", "few", "words", "many", "few")


def mixed(number: int, domain: SceneDomain = ENCODER_DOMAIN) -> SceneLesson:
    """Up to five turns about one scene, as one conversation."""
    scene = sample_scene(number, _KINDS[number % len(_KINDS)], domain)
    return SceneLesson((scene,), (tuple(conversation(scene, stream("conversation", number))),))


def follow_ups(number: int) -> SceneLesson:
    """Questions that refer to the one before."""
    scene, rng = sample_scene(number, ("few", "count", "few")[number % 3]), stream("follow-ups", number)
    groups = [group for _ in range(3) for group in object_turn_groups(scene, rng) if len(group) > 1]
    return lesson_about(scene, groups, most=4) if groups else follow_ups(number + 1)


def unanswerable(number: int) -> SceneLesson:
    """Questions that the image does not answer, beside some that it does."""
    scene = sample_scene(number, _KINDS[number % len(_KINDS)], ENCODER_DOMAIN)
    rng = stream("unanswerable", number)
    unknown = [(unanswerable_turn(scene, rng),) for _ in range(4)]
    return lesson_about(scene, shuffled([*unknown, *shuffled(possible_turn_groups(scene, rng), rng)[:3]], rng))


def requests(number: int) -> SceneLesson:
    """Requests for images, which the model puts into captions."""
    dialog = sample_request(number, TRAINING_KINDS[number % len(TRAINING_KINDS)])
    return SceneLesson(dialog.scenes, (dialog.turns,), dialog.shown)
