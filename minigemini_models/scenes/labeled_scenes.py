"""Scenes as arrays with dense labels, for pretraining the encoders and the alignment."""

import numpy as np

from .composition import sample_scene
from .dense_labels import PATCH_PX, object_labels, slot_labels
from .scene import SCENE_PX, Scene
from .splits import TRAINING, SceneDomain
from .text_crops import text_crop


def labeled_scene(seed: int, kind: str | None = None, domain: SceneDomain = TRAINING) -> dict[str, np.ndarray]:
    """Sample a scene: `image` (px, px, 3) uint8 and, per patch, `slots`, `names`, `colours`, `centres`.

    `dense_labels` describes the labels.
    """
    return label_scene(sample_scene(seed, kind, domain))


def text_scene(seed: int, size_px: int = SCENE_PX, domain: SceneDomain = TRAINING) -> dict[str, np.ndarray]:
    """Sample an image full of text and without objects, with the same labels as `labeled_scene`."""
    crop = text_crop(seed, size_px, domain)
    no_objects = np.zeros(crop["slots"].shape[:2], dtype=np.int64)
    return {
        "image": crop["image"],
        "slots": crop["slots"],
        "names": no_objects,
        "colours": no_objects,
        "centres": no_objects,
    }


def label_scene(scene: Scene) -> dict[str, np.ndarray]:
    """Return the image and dense labels of a scene, as `labeled_scene` does."""
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
