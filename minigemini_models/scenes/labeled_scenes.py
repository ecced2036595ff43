"""Scenes as arrays, for the steps that learn from dense labels."""

import numpy as np

from .composition import sample_scene
from .dense_labels import object_labels, slot_labels
from .scene import SCENE_PX, Scene
from .splits import TRAINING, SceneDomain
from .text_crops import text_crop


def labeled_scene(seed: int, kind: str | None = None, domain: SceneDomain = TRAINING) -> dict[str, np.ndarray]:
    """`image` (px, px, 3) uint8 and, per patch, `slots`, `names`, `colours`, `centres` as in `labels`."""
    return label_scene(sample_scene(seed, kind, domain))


def text_scene(seed: int, size_px: int = SCENE_PX, domain: SceneDomain = TRAINING) -> dict[str, np.ndarray]:
    """A picture of the size of a scene, or of a page, crowded with letters and with no thing in it; the same labels."""
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
    """A scene's picture and dense labels, as `labelled_scene` gives them."""
    image, letters, owner = scene.draw()
    return {"image": np.asarray(image), "slots": slot_labels(letters, scene.size_px), **object_labels(scene, owner)}
