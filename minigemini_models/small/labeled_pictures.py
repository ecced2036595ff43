"""Pictures with dense labels, from which the visual vocabulary learns its words of drawn things."""

import numpy as np
from PIL import Image
from PIL.Image import Resampling

from ..pretraining.pretraining_task import Arrays
from ..scenes.composition import sample_scene
from ..scenes.dense_labels import object_labels
from ..scenes.splits import COLORED_DOMAIN, TRAINING
from .lesson import PATCHES_PER_SIDE
from .lessons.scenes import SCALE

STREAM = 102
SIZE_PX = 512
KINDS = ("single", "many", "few", "clutter", "count", "many", "few", "sign")
LABELS = {"things": "names", "colors": "colours", "centers": "centres"}
"""Dense label that each group of the vocabulary learns."""


def sample(number: int) -> Arrays:
    """Return a picture `image` (512, 512, 3) uint8 and (8, 8) int64 labels by group: `things`, `colors`, `centers`."""
    kind = KINDS[number % len(KINDS)]
    if kind == "clutter":
        nothing = np.zeros((PATCHES_PER_SIDE, PATCHES_PER_SIDE), dtype=np.int64)
        return {"image": clutter(np.random.default_rng([STREAM, number])), **dict.fromkeys(LABELS, nothing)}
    domain = COLORED_DOMAIN if number // len(KINDS) % 3 == 0 and kind != "many" else TRAINING
    scene = sample_scene(number, kind, domain)
    image, _, owner = scene.scaled(SCALE).draw()
    labels = object_labels(scene, owner[::SCALE, ::SCALE])
    return {"image": np.asarray(image), **{group: labels[label] for group, label in LABELS.items()}}


def clutter(rng: np.random.Generator) -> np.ndarray:
    """Sample a picture (512, 512, 3) of colored noise at all scales, like the surfaces and backgrounds of photographs.

    Amplitude grows with the power 0 to 1.2 of the wavelength; that of photographs with about 1 (Field 1987). Some
    layers are rounded to whole numbers, which gives areas with edges.
    """
    power, sharp = rng.uniform(0.0, 1.2), rng.choice([0.0, 0.5, 1.0])
    mixing = rng.normal(size=(3, 3)) * np.array([[1.0], [0.35], [0.2]])  # mostly brightness, less color
    image = np.zeros((SIZE_PX, SIZE_PX, 3), dtype=np.float32)
    for level in range(1, 9):
        noise = (rng.normal(size=(2**level, 2**level, 3)) @ mixing).astype(np.float32)
        edges = rng.random() < sharp
        for channel in range(3):
            layer = np.asarray(Image.fromarray(noise[..., channel]).resize((SIZE_PX, SIZE_PX), Resampling.BICUBIC))
            image[..., channel] += 2.0 ** (-power * level) * (np.round(layer) if edges else layer)
    image = (image - image.mean()) / (image.std() + 1e-6) * rng.uniform(25, 70) + rng.uniform(70, 190)
    return np.clip(image, 0, 255).astype(np.uint8)
