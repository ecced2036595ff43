"""Training crops for the high-resolution encoder: windows into scenes, mixed with crops full of text."""

import numpy as np

from .colors import pick
from .composition import sample_scene
from .dense_labels import CELL_PX, PATCH_PX, cell_labels, object_labels, slot_labels
from .scene import SCENE_PX
from .splits import TRAINING, SceneDomain
from .text_crops import CROP_PX, text_crop

KINDS = ("single", "many", "few", "many", "count", "sign")
TEXT_CROP_SHARE = 0.4
"""Share of crops that are full of text. Objects have hundreds of classes and need more samples than 36 characters."""


def sample_crop(seed: int, domain: SceneDomain = TRAINING) -> dict[str, np.ndarray]:
    """Sample a crop: `image` (px, px, 3) uint8, and `slots`, `cells`, `names`, `colours` as in `dense_labels`."""
    rng = np.random.default_rng([5, seed])
    if rng.random() >= TEXT_CROP_SHARE:
        return scene_crop(seed, rng, domain)
    no_objects = np.zeros((CROP_PX // PATCH_PX, CROP_PX // PATCH_PX), dtype=np.int64)
    return {**text_crop(seed, domain=domain), "names": no_objects, "colours": no_objects}


def scene_crop(seed: int, rng: np.random.Generator, domain: SceneDomain) -> dict[str, np.ndarray]:
    """Sample a window into a scene with an object near its center, aligned to the patch grid."""
    scene = sample_scene(seed, pick(rng, KINDS), domain)
    image, letters, owner = scene.draw()
    labels = {"slots": slot_labels(letters, SCENE_PX), **object_labels(scene, owner)}
    boxes = [obj.box for obj in scene.objects] or [sign.box for sign in scene.signs] or [(0, 0, SCENE_PX, SCENE_PX)]
    left, top, right, bottom = boxes[int(rng.integers(len(boxes)))]
    column, row = (_first_patch((low + high) / 2, rng) for low, high in ((left, right), (top, bottom)))
    across, cells = CROP_PX // PATCH_PX, PATCH_PX // CELL_PX
    window = np.s_[row : row + across, column : column + across]
    small = np.s_[row * cells : (row + across) * cells, column * cells : (column + across) * cells]
    pixels = np.s_[row * PATCH_PX : row * PATCH_PX + CROP_PX, column * PATCH_PX : column * PATCH_PX + CROP_PX]
    return {
        "image": np.ascontiguousarray(np.asarray(image)[pixels]),
        "cells": cell_labels(letters, SCENE_PX)[small],
        **{name: labels[name][window] for name in ("slots", "names", "colours")},
    }


def _first_patch(middle_px: float, rng: np.random.Generator) -> int:
    """Index of the first patch of a window around a center, shifted by up to one patch."""
    first = round(middle_px / PATCH_PX - CROP_PX / PATCH_PX / 2) + int(rng.integers(-1, 2))
    return min(max(first, 0), (SCENE_PX - CROP_PX) // PATCH_PX)
