"""What an ImageNet classifier sees in documents, and objects that are photographed with text on them."""

import numpy as np

from ...lesson import PATCHES_PER_SIDE, VisualWords

CLASSES = 1000
WORDS_PER_PATCH = 4
NOISE = 0.35
"""Share of patches with words of any class."""
PAGE_CLASSES = (916, 922, 549, 918, 921, 692, 681, 446, 623, 769, 664, 782, 590, 487)
"""web site, menu, envelope, crossword puzzle, book jacket, packet, notebook, binder, letter opener, rule, monitor,
screen, hand-held computer, cellular telephone."""
SIGN_CLASSES = (919, 920, 781, 916, 917, 704, 530, 549, 692, 922, 480, 733)
"""street sign, traffic light, scoreboard, web site, comic book, parking meter, digital clock, envelope, packet, menu,
cash machine, pole."""
OBJECTS = (
    (281, "tabby cat"),
    (207, "golden retriever"),
    (291, "lion"),
    (340, "zebra"),
    (388, "panda"),
    (386, "elephant"),
    (954, "banana"),
    (963, "pizza"),
    (504, "coffee mug"),
    (817, "sports car"),
    (779, "school bus"),
    (671, "mountain bike"),
    (402, "guitar"),
    (579, "piano"),
    (620, "laptop"),
    (508, "keyboard"),
    (933, "cheeseburger"),
    (130, "flamingo"),
    (985, "daisy"),
    (980, "volcano"),
    (483, "castle"),
    (404, "airliner"),
    (555, "fire engine"),
    (734, "police van"),
    (569, "garbage truck"),
    (867, "truck"),
    (670, "scooter"),
    (430, "basketball"),
    (852, "tennis ball"),
    (515, "cowboy hat"),
    (770, "running shoe"),
    (414, "backpack"),
    (879, "umbrella"),
    (898, "water bottle"),
    (440, "beer bottle"),
    (907, "wine bottle"),
    (466, "bullet train"),
    (849, "teapot"),
    (651, "microwave"),
    (760, "refrigerator"),
    (610, "T-shirt"),
    (478, "box"),
)
"""Index and name of classes."""


def document_classes(rng: np.random.Generator, kind: str) -> VisualWords:
    """Flat and noisy words: one class of documents leads in most patches, any class in the others."""
    base = np.array(SIGN_CLASSES if kind in ("a sign", "a poster", "a flyer") else PAGE_CLASSES)
    leading, *further = rng.choice(base, WORDS_PER_PATCH + 2, replace=False)
    peak = rng.uniform(0.15, 0.6)
    patches = PATCHES_PER_SIDE**2
    indices = np.empty((patches, WORDS_PER_PATCH), dtype=np.int16)
    for patch in range(patches):
        indices[patch] = [leading, *rng.choice(further, WORDS_PER_PATCH - 1, replace=False)]
        if rng.random() < NOISE:
            indices[patch] = rng.choice(CLASSES, WORDS_PER_PATCH, replace=False)
    weights = rng.dirichlet(np.ones(WORDS_PER_PATCH), patches) * (1 - peak) * 0.8
    weights[:, 0] += peak * rng.uniform(0.6, 1.0, patches)
    order = np.argsort(-weights, axis=1, kind="stable")
    return VisualWords(np.take_along_axis(indices, order, 1), np.take_along_axis(weights, order, 1).astype(np.float32))
