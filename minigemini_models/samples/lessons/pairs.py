"""Two images: which one shows it, what changed, which has more, whether they are the same."""

from ...scenes.splits import TRAINING
from ..dialogs import PAIR_KINDS, sample_pair
from ..image_pairs import change_qa, list_changes, list_which_image, which_image_qa
from ..object_lists import object_list_for_pair
from .lesson import RETRY, SceneLesson, separate, stream

_MOST = 6


def lists(number: int) -> SceneLesson:
    """Lists by name: which image shows each object, and its color in both."""
    sample = (list_which_image, list_changes, list_which_image, None)[number % 4]
    if sample is None:
        scenes, _ = sample_pair(number, PAIR_KINDS[number // 4 % 3])
        turns = object_list_for_pair(*scenes, stream("pair lists", number))
    else:
        scenes, turns = sample(number, TRAINING)
    return SceneLesson(scenes, tuple(separate(turns))[:_MOST]) if turns else lists(number + RETRY)


def questions(number: int) -> SceneLesson:
    """Which image shows an object, and which object changed its color."""
    scenes, turns = (which_image_qa, change_qa)[number % 2](number, TRAINING)
    return SceneLesson(scenes, tuple(separate(turns))[:_MOST]) if turns else questions(number + RETRY)


def comparisons(number: int) -> SceneLesson:
    """Which image has more, what changed, which one shows it."""
    scenes, groups = sample_pair(number, PAIR_KINDS[number % 3])
    return SceneLesson(scenes, tuple(groups)) if groups else comparisons(number + RETRY)
