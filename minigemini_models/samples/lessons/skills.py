"""The samplers of lessons by the name of their skill."""

from collections.abc import Callable
from functools import partial
from typing import Protocol

from ...scenes.splits import SMALL_DOMAIN, SceneDomain
from . import colors, conversation, counting, naming, pages, pairs, presence, reading, relations, unlike
from .lesson import SceneLesson

Sampler = Callable[[int], SceneLesson]


class DomainSampler(Protocol):
    """A sampler that takes the domain of its scenes, with a default."""

    def __call__(self, number: int, /, domain: SceneDomain = ...) -> SceneLesson: ...


_OF_ANY_DOMAIN: dict[str, DomainSampler] = {
    "copying": reading.copying,
    "sign": reading.sign,
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
    "conversation": conversation.mixed,
}

SKILLS: dict[str, Sampler] = {
    **_OF_ANY_DOMAIN,
    "words": reading.words,
    "text": reading.lines,
    "pair-lists": pairs.lists,
    "pair-questions": pairs.questions,
    "comparisons": pairs.comparisons,
    "follow-ups": conversation.follow_ups,
    "unanswerable": conversation.unanswerable,
    "drawing": conversation.requests,
}

SMALL_SKILLS: dict[str, Sampler] = {
    name: partial(sampler, domain=SMALL_DOMAIN) for name, sampler in _OF_ANY_DOMAIN.items()
}
"""Those of at most one image in the small domain, for the ablation."""

SKILLS_OF_WORLD = {"whole": SKILLS, "small": SMALL_SKILLS}
"""The samplers by `Pretraining.world`."""

PICTURE_SKILLS: dict[str, Sampler] = {
    "refusals": unlike.refusals,
    "page-line": pages.line,
    "page-lists": pages.lists,
    "page-questions": pages.questions,
}
"""Those that need pictures, or more than one tile."""
