"""The samples of pretraining both encoders: images full of text, and scenes with objects."""

import numpy as np

from ..scenes.composition import sample_scene
from ..scenes.dense_labels import cell_labels
from ..scenes.labeled_scenes import label_scene
from ..scenes.splits import ENCODER_DOMAIN, SMALL_DOMAIN, SceneDomain
from ..scenes.text_images import text_image
from .pretraining_task import Arrays

DOMAINS = {"whole": ENCODER_DOMAIN, "small": SMALL_DOMAIN}
"""Scene domain by `Pretraining.world`."""
SCENE_KINDS = ("many", "few", "many", "single", "many", "count", "many", "sign")
"""Kinds of scenes with objects. Those of many objects name most."""


def text_or_scene(number: int, domain: SceneDomain) -> Arrays:
    """Return the sample of a number: an image full of text if it is even, else a scene with objects.

    The labels are those of `labeled_scene`, and `cells`.
    """
    number, has_objects = divmod(number, 2)
    return object_scene(number, domain) if has_objects else text_image(number, domain)


def object_scene(number: int, domain: SceneDomain) -> dict[str, np.ndarray]:
    """Return the scene of a number with the labels of `labeled_scene`, and `cells`."""
    scene = sample_scene(number, SCENE_KINDS[number % len(SCENE_KINDS)], domain)
    return {**label_scene(scene), "cells": cell_labels(scene.letters(), scene.size_px)}
