"""Scenes with dense labels, drawn or not."""

import numpy as np

from .dense_labels import PATCH_PX, object_labels, slot_labels
from .scene import Scene


def label_scene(scene: Scene) -> dict[str, np.ndarray]:
    """Return `image` (px, px, 3) uint8 of a scene and, per patch, `slots`, `names`, `colours`, `centres`.

    `dense_labels` describes the labels.
    """
    image, letters, owner = scene.draw()
    return {"image": np.asarray(image), "slots": slot_labels(letters, scene.size_px), **object_labels(scene, owner)}


def scene_labels(scene: Scene, patch_px: int = PATCH_PX) -> dict[str, np.ndarray]:
    """Return the dense labels of a scene, as `label_scene` does, without drawing the image.

    Args:
        scene: the scene.
        patch_px: side of a patch.
    """
    slots = slot_labels(scene.letters(), scene.size_px, patch_px)
    return {"slots": slots, **object_labels(scene, scene.owner(), patch_px)}
