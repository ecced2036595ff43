"""What stands for the placeholders of questions about photographs."""

import numpy as np

PICTURE_WORDS = ("picture", "picture", "picture", "photo", "photo", "image", "photograph")
"""Repeated as often as people say them."""
BEFORE_FOLLOW_UP = ("", "", "", "And ", "OK. ", "Thanks. ", "Good. ", "I see. ")
"""What a later question may begin with."""
SCENES = (
    *("on the branch", "on the grass", "on the table", "in the water", "in front", "in the middle of the picture"),
    *("behind the fence", "next to the tree", "on the rock", "in the snow", "on the shelf", "in the background"),
    *("by the water", "on the ground", "in the field", "on the mountain", "on the road", "in the room", "on the wall"),
    *("on the saucer", "on the flower", "in the sky", "on the launch pad", "on the bank", "under the tree", "there"),
)
"""Where a question may say that something is; whether it is so, class words do not tell."""
SIZES = ("large", "small", "big", "little", "striped", "young", "furry", "strange", "beautiful", "old")
"""How a thing may be called; whether it is so, class words do not tell either."""
PARTS = (
    *("background", "sky", "ground", "wall", "floor", "handle", "head", "tail", "coat", "feather", "eye", "leg"),
    *("water", "grass", "roof", "door", "body", "top", "front", "cover", "lid", "table", "light", "leaf"),
    *("animal", "bird"),
)
"""Parts whose color is asked for."""


def worded(rng: np.random.Generator, wordings: tuple[str, ...], **words: str) -> str:
    """Return one of the wordings, filled in; now and then typed carelessly, in lower case and without its last sign."""
    wording = wordings[rng.integers(len(wordings))]
    question = wording.format(picture=PICTURE_WORDS[rng.integers(len(PICTURE_WORDS))], **words)
    if rng.random() < 0.15:
        question = question.lower().rstrip("?.")
    return question
