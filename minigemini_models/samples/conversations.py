"""Conversations about a scene: rounds of many kinds, each question with its one right answer."""

import numpy as np

from ..scenes.scene import Scene
from .descriptions import describe
from .object_qa import about_objects
from .ocr_qa import READING_SKILLS, SPELLING_SKILLS, about_words
from .turns import Exchange, Turn, ask
from .unanswerable import unanswerable

_UNANSWERABLE_SHARE = 0.4
"""In how many scenes one of the possible questions has no answer."""


def possible_exchanges(scene: Scene, rng: np.random.Generator) -> list[Exchange]:
    """Every kind of round that the scene can answer, each question in one wording; now and then one that it cannot."""
    exchanges: list[Exchange] = [(ask(rng, "describe", describe(scene)),)]
    exchanges += [*about_words(scene, rng), *about_objects(scene, rng)]
    if rng.random() < _UNANSWERABLE_SHARE:
        exchanges.append((unanswerable(scene, rng),))
    return exchanges


def possible_turns(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """The rounds of `possible_exchanges` that stand by themselves."""
    return [exchange[0] for exchange in possible_exchanges(scene, rng) if len(exchange) == 1]


def conversation(scene: Scene, rng: np.random.Generator, max_turns: int = 5) -> list[Turn]:
    """Up to `max_turns` different rounds that fit the scene; what belongs together stays together.

    Where something is written, one of the first rounds reads it; where many things are, one names them all. Once all
    that is written has been spelt out, no round follows that could be copied from there.
    """
    turns: list[Turn] = []
    exchanges = possible_exchanges(scene, rng)
    order = [exchanges[i] for i in rng.permutation(len(exchanges))]
    wanted = READING_SKILLS if scene.written else ("describe",) if scene.kind == "many" else ()
    telling = [exchange for exchange in order if exchange[0].skill in wanted]
    if telling:
        order.insert(int(rng.integers(min(3, max_turns))), telling[0])
    for exchange in order:
        spelt = bool(scene.written) and any(turn.skill in SPELLING_SKILLS for turn in turns)
        copied = spelt and any(turn.skill in READING_SKILLS for turn in exchange)
        repeated = any(turn == before for turn in exchange for before in turns)
        if len(turns) + len(exchange) <= max_turns and not copied and not repeated:
            turns += exchange
    return turns
