"""A lesson: one conversation about at most one picture, given as pixels or as visual words."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..samples.turns import Turn

PATCHES_PER_SIDE = 8
"""Visual tokens per side of a picture."""
WORDS_KEPT = 24
"""Most words of a group that are kept of every patch."""
CANNOT_TELL = "I cannot tell from the picture."
NOT_SURE = "I am not sure what this is."


@dataclass(frozen=True)
class VisualWords:
    """The most likely words of one group of the visual vocabulary for every patch, row by row.

    Attributes:
        indices: (64, k) int16, words of the group.
        weights: (64, k) float32, their probabilities; the rest, up to 1, is spread over all other words.
    """

    indices: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class Lesson:
    """A conversation to learn from.

    Attributes:
        turns: questions and answers. The picture belongs to the first.
        picture: the picture, RGB; alternative to `classes`.
        classes: a photograph as words of the group `classes`, without a picture. Neither: a conversation about text.
        image_text: the text in the picture as it stands in the prompt; empty without OCR, or if it found none.
        separate: whether each turn is a first question about the picture, which sees no other turn; otherwise they
            are one conversation.
    """

    turns: tuple[Turn, ...]
    picture: Image.Image | None = None
    classes: VisualWords | None = None
    image_text: str = ""
    separate: bool = False
