"""Drawn scenes: names, colors, shapes, counts, presence and relations of what is drawn."""

from dataclasses import replace

import numpy as np

from ...samples.conversations import conversation
from ...samples.turns import CANNOT_TELL as SHORT_CANNOT_TELL
from ...samples.turns import Turn
from ...scenes.composition import sample_scene
from ...scenes.splits import COLORED_DOMAIN, TRAINING
from ..lesson import CANNOT_TELL, Lesson

STREAM = 101
KINDS = ("single", "few", "count", "few", "single", "count", "many")
_MAX_TURNS = 6
SCALE = 2
"""Scenes are composed for 256 pixels and drawn with 512."""


def sample(number: int) -> Lesson:
    """Sample a scene with objects and no text, and a few turns about it; every other scene has colored shapes only."""
    kind = KINDS[number % len(KINDS)]
    domain = COLORED_DOMAIN if number // len(KINDS) % 2 and kind != "many" else TRAINING
    scene = sample_scene(number, kind, domain)
    turns = conversation(scene, np.random.default_rng([STREAM, number]), _MAX_TURNS)
    return Lesson(tuple(map(_in_words, turns)), picture=scene.scaled(SCALE).draw()[0])


def _in_words(turn: Turn) -> Turn:
    """Refuse as `small` does everywhere."""
    return replace(turn, answer=CANNOT_TELL) if turn.answer == SHORT_CANNOT_TELL else turn
