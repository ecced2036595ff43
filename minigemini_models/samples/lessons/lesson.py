"""A lesson: separate conversations about the same images."""

from collections.abc import Iterable
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from ...scenes.scene import Scene
from ..dialogs import Dialog
from ..ocr_qa import SPELLING_SKILLS
from ..turns import Turn, TurnGroup

RETRY = 7_000_000
"""Added to the number of a lesson whose scenes allow no question, for example because all objects are in the middle."""


@dataclass(frozen=True)
class SceneLesson:
    """Images and the conversations about them.

    Attributes:
        scenes: the scenes of the images, in order.
        conversations: each begins with all images and sees no other.
        shown: for each image the index of the turn that shows it, in a lesson of one conversation; empty if the first
            turn shows all.
    """

    scenes: tuple[Scene, ...]
    conversations: tuple[TurnGroup, ...]
    shown: tuple[int, ...] = ()

    def dialog(self) -> Dialog:
        """Return the lesson as one conversation, what spells out all text last: answers could be copied from it."""
        order = sorted(self.conversations, key=lambda turns: turns[0].skill in SPELLING_SKILLS)
        return Dialog(self.scenes, tuple(turn for turns in order for turn in turns), self.shown)


def lesson_about(scene: Scene, groups: Iterable[TurnGroup], most: int = 8) -> SceneLesson:
    """Return a lesson about one scene, of up to `most` conversations without repetitions."""
    distinct = {group[-1].question if len(group) == 1 else repr(group): group for group in groups}
    return SceneLesson((scene,), tuple(distinct.values())[:most])


def separate(turns: Iterable[Turn]) -> list[TurnGroup]:
    """Return every turn as a conversation of its own."""
    return [(turn,) for turn in turns]


def stream(name: str, number: int) -> np.random.Generator:
    """Return the random stream of a name for the lesson of a number."""
    return np.random.default_rng([crc32(f"nano {name}".encode()), number])
