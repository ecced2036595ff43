"""Conversations about a scene: rounds of many kinds, each question with its one right answer."""

import numpy as np

from ..scenes.scene import Scene
from .descriptions import describe
from .object_qa import object_turn_groups
from .ocr_qa import READING_SKILLS, SPELLING_SKILLS, text_turn_groups
from .turns import Turn, TurnGroup, ask
from .unanswerable import unanswerable_turn

_UNANSWERABLE_SHARE = 0.4
"""In how many scenes one of the possible questions has no answer."""


def possible_turn_groups(scene: Scene, rng: np.random.Generator) -> list[TurnGroup]:
    """Every kind of round that the scene can answer, each question in one wording; now and then one that it cannot."""
    groups: list[TurnGroup] = [(ask(rng, "describe", describe(scene)),)]
    groups += [*text_turn_groups(scene, rng), *object_turn_groups(scene, rng)]
    if rng.random() < _UNANSWERABLE_SHARE:
        groups.append((unanswerable_turn(scene, rng),))
    return groups


def possible_turns(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """The rounds of `possible_exchanges` that stand by themselves."""
    return [group[0] for group in possible_turn_groups(scene, rng) if len(group) == 1]


def conversation(scene: Scene, rng: np.random.Generator, max_turns: int = 5) -> list[Turn]:
    """Up to `max_turns` different rounds that fit the scene; what belongs together stays together.

    Where something is written, one of the first rounds reads it; where many things are, one names them all. Once all
    that is written has been spelt out, no round follows that could be copied from there.
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
