"""Assemble conversations about a scene from questions on all skills, each with exactly one right answer."""

import numpy as np

from ..scenes.scene import Scene
from .descriptions import describe
from .object_qa import object_turn_groups
from .ocr_qa import READING_SKILLS, SPELLING_SKILLS, text_turn_groups
from .turns import Turn, TurnGroup, ask
from .unanswerable import unanswerable_turn

_UNANSWERABLE_SHARE = 0.4
"""Probability that a scene also gets an unanswerable question."""


def possible_turn_groups(scene: Scene, rng: np.random.Generator) -> list[TurnGroup]:
    """Return every kind of question that fits the scene, in one wording each, and sometimes an unanswerable one."""
    groups: list[TurnGroup] = [(ask(rng, "describe", describe(scene)),)]
    groups += [*text_turn_groups(scene, rng), *object_turn_groups(scene, rng)]
    if rng.random() < _UNANSWERABLE_SHARE:
        groups.append((unanswerable_turn(scene, rng),))
    return groups


def conversation(scene: Scene, rng: np.random.Generator, max_turns: int = 5) -> list[Turn]:
    """Sample up to `max_turns` distinct turns about a scene; groups of turns stay together.

    If the scene has text, one of the first turns reads it; if it has many objects, one of them names them all. Once an
    answer has spelled out all text, no later answer can be copied from it.
    """
    turns: list[Turn] = []
    groups = possible_turn_groups(scene, rng)
    order = [groups[i] for i in rng.permutation(len(groups))]
    overview_skills = READING_SKILLS if scene.written else ("describe",) if scene.kind == "many" else ()
    overviews = [group for group in order if group[0].skill in overview_skills]
    if overviews:
        order.insert(int(rng.integers(min(3, max_turns))), overviews[0])
    for group in order:
        text_revealed = bool(scene.written) and any(turn.skill in SPELLING_SKILLS for turn in turns)
        can_copy = text_revealed and any(turn.skill in READING_SKILLS for turn in group)
        repeated = any(turn == before for turn in group for before in turns)
        if len(turns) + len(group) <= max_turns and not can_copy and not repeated:
            turns += group
    return turns
