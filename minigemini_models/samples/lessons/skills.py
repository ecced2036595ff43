"""The samplers of lessons by the name of their skill."""

from collections.abc import Callable

from . import colors, conversation, counting, naming, pages, pairs, presence, reading, relations, unlike
from .lesson import SceneLesson

Sampler = Callable[[int], SceneLesson]

SKILLS: dict[str, Sampler] = {
    "sign": reading.sign,
    "words": reading.words,
    "text": reading.lines,
    "name": naming.one_object,
    "caption": naming.caption,
    "color-lists": colors.lists,
    "color-questions": colors.questions,
    "color-names": colors.names,
    "presence-lists": presence.lists,
    "presence-questions": presence.questions,
    "near-misses": presence.near_misses,
    "halves": relations.halves,
    "relation-lists": relations.lists,
    "relation-questions": relations.questions,
    "beside": relations.beside,
    "counting": counting.questions,
    "pair-lists": pairs.lists,
    "pair-questions": pairs.questions,
    "comparisons": pairs.comparisons,
    "conversation": conversation.mixed,
    "follow-ups": conversation.follow_ups,
    "unanswerable": conversation.unanswerable,
    "drawing": conversation.requests,
}

PICTURE_SKILLS: dict[str, Sampler] = {
    "refusals": unlike.refusals,
    "page-line": pages.line,
    "page-lists": pages.lists,
    "page-questions": pages.questions,
}
"""Those that need pictures, or more than one tile."""
