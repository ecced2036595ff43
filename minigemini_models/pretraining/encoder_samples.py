"""The samples of pretraining both encoders: images full of text, and scenes with objects."""

from dataclasses import dataclass, replace

import numpy as np

from minigemini.data.curriculum import Curriculum

from ..samples.lessons.lesson import stream
from ..scenes.colors import WHITE
from ..scenes.composition import sample_scene
from ..scenes.dense_labels import CELL_PX, PATCH_PX, cell_labels, object_labels, slot_labels
from ..scenes.labeled_scenes import scene_labels
from ..scenes.scene import SCENE_PX, Scene
from ..scenes.splits import ENCODER_DOMAIN, SMALL_DOMAIN, SceneDomain
from ..scenes.text_images import text_image
from .encoders import HIGH_RES_STRIDE
from .pretraining_recipe import LOW_RES_PATCH, LOW_RES_SIZE_PX
from .pretraining_task import Arrays

DOMAINS = {"whole": ENCODER_DOMAIN, "small": SMALL_DOMAIN}
"""Scene domain by `Pretraining.world`."""
SCENE_KINDS = ("many", "few", "many", "single", "many", "count", "many", "sign")
"""Kinds of scenes with objects. Those of many objects name most."""
_NOTHING = Scene("nothing", ground=WHITE)
LOW_RES = "low_res_"
"""Prefix of the labels of the low-resolution encoder's patches."""


@dataclass(frozen=True)
class Sides:
    """Sides of a scene's image in pixels, as both encoders see it."""

    high_res: int = SCENE_PX
    low_res: int = LOW_RES_SIZE_PX

    @property
    def high_res_patch_px(self) -> int:
        """Side of a patch that the high-resolution encoder has labels for, in pixels of the scene."""
        return SCENE_PX * HIGH_RES_STRIDE // self.high_res

    @property
    def low_res_patch_px(self) -> int:
        """Side of a patch of the ViT, in pixels of the scene."""
        return SCENE_PX * LOW_RES_PATCH // self.low_res


USUAL = Sides()
SEVERAL = (USUAL, Sides(128, 128), USUAL, Sides(64, 32))
"""Sides at successive steps for encoders that are used at several sizes."""

EASY_SHARE = Curriculum.parse("0:1/0.08:1/0.2:0")
"""Share of samples whose text is easy to read, over the run."""
EASY_HEIGHTS_PX = (16, 30)
"""Height of capitals in these, at least and at most."""


@dataclass(frozen=True)
class EncoderSamples:
    """Samples of a run: images full of text in turn with scenes with objects.

    The run begins with text that is easy to read. Without it, no letter is read during the first 14,000 images of text:
    in random colors a letter is as often dark on light as light on dark, so no pixel tells letters apart by itself.

    Attributes:
        domain: the domain of the scenes.
        samples: samples of the run.
        first: number of the first one.
        batch: samples of a step.
        sides: sides of the images at successive steps, in turn.
    """

    domain: SceneDomain
    samples: int
    first: int = 0
    batch: int = 1
    sides: tuple[Sides, ...] = (USUAL,)

    def __call__(self, number: int) -> Arrays:
        sides = self.sides[number // self.batch % len(self.sides)]
        is_easy = stream("easy text", number).random() < EASY_SHARE.weight((number - self.first) / self.samples)
        return text_or_scene(number, easy_to_read(self.domain) if is_easy else self.domain, sides)


def easy_to_read(domain: SceneDomain) -> SceneDomain:
    """Return a domain with black text on white, of about one letter a patch as far as the domain's sizes allow."""
    lowest, highest = domain.cap_heights_px
    sizes = min(highest, max(lowest, EASY_HEIGHTS_PX[0])), min(highest, EASY_HEIGHTS_PX[1])
    return replace(domain, black_on_white=True, cap_heights_px=sizes)


def text_or_scene(number: int, domain: SceneDomain, sides: Sides = USUAL) -> Arrays:
    """Return the sample of a number: an image full of text if it is even, else a scene with objects.

    The image has the scene's own size; the labels, those of `object_scene`, are on the grids of `sides`.
    """
    number, has_objects = divmod(number, 2)
    if has_objects:
        return object_scene(number, domain, sides)
    # The ViT does not learn from text: its labels are those of an empty image.
    empty = scene_labels(_NOTHING, sides.low_res_patch_px)
    return {**text_image(number, domain, sides.high_res_patch_px), **_low_res(empty)}


def object_scene(number: int, domain: SceneDomain, sides: Sides = USUAL) -> dict[str, np.ndarray]:
    """Return the scene of a number with the labels of `scene_labels`, and `cells`.

    Those of the low-resolution patches have the prefix `LOW_RES`.
    """
    scene = sample_scene(number, SCENE_KINDS[number % len(SCENE_KINDS)], domain)
    image, letters, owner = scene.draw()

    def labels(patch_px: int) -> dict[str, np.ndarray]:
        return {"slots": slot_labels(letters, SCENE_PX, patch_px), **object_labels(scene, owner, patch_px)}

    return {
        "image": np.asarray(image),
        "cells": cell_labels(letters, SCENE_PX, sides.high_res_patch_px * CELL_PX // PATCH_PX),
        **labels(sides.high_res_patch_px),
        **_low_res(labels(sides.low_res_patch_px)),
    }


def _low_res(labels: Arrays) -> dict[str, np.ndarray]:
    return {f"{LOW_RES}{name}": array for name, array in labels.items()}
