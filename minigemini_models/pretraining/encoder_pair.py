"""Pretrain both encoders in one run, on dense labels of the same scenes."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from minigemini.io.atomic_write import atomic_write

from ..scenes.composition import sample_scene
from ..scenes.dense_labels import cell_labels, object_labels, slot_labels
from ..scenes.splits import ENCODER_DOMAIN, SMALL_DOMAIN, SceneDomain
from ..scenes.text_images import text_image
from .encoders import CropReader, PatchDescriber
from .pretraining_recipe import Pretraining
from .pretraining_task import Arrays, PretrainingTask, SavePart, stack

DOMAINS = {"whole": ENCODER_DOMAIN, "small": SMALL_DOMAIN}
"""Scene domain by `Pretraining.world`."""
SCENE_KINDS = ("many", "few", "many", "single", "many", "count", "many", "sign")
"""Kinds of every other sample; all others are full of text. Scenes of many objects name most."""
ENCODERS = {"vision_tower": "low_res", "high_res_vision_tower": "high_res"}
"""Submodules of `EncoderPair` by the name of their encoder in `MiniGeminiModel`, which is also that of its file."""


def encoder_pair(recipe: Pretraining) -> PretrainingTask:
    """Predict every letter, object and color of scenes, with the ViT at a quarter of their size.

    The output is a folder with a file of each encoder.
    """
    torch.manual_seed(recipe.seed)
    return PretrainingTask(
        EncoderPair(recipe),
        {name: rf"{module}\.encoder\." for name, module in ENCODERS.items()} | {"heads": r"\w+\.heads\."},
        partial(scene, domain=DOMAINS[recipe.world]),
        stack,
        save_encoders,
    )


def scene(number: int, domain: SceneDomain) -> Arrays:
    """Return the sample of a number: an image full of text if it is even, else a scene with objects.

    The labels are those of `labeled_scene`, and `cells`.
    """
    number, has_objects = divmod(number, 2)
    if not has_objects:
        return text_image(number, domain)
    drawn = sample_scene(number, SCENE_KINDS[number % len(SCENE_KINDS)], domain)
    image, letters, owner = drawn.draw()
    labels = {"slots": slot_labels(letters, drawn.size_px), "cells": cell_labels(letters, drawn.size_px)}
    return {"image": np.asarray(image), **labels, **object_labels(drawn, owner)}


class EncoderPair(nn.Module):
    """Both encoders with their heads. They share the samples and the optimizer, but no weights."""

    def __init__(self, recipe: Pretraining) -> None:
        super().__init__()
        self.low_res = PatchDescriber(recipe.low_res_width, recipe.low_res_layers)
        # 12 % faster than the default memory format.
        self.high_res = CropReader(recipe.high_res_width).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, image: Tensor, **labels: Tensor) -> dict[str, Tensor]:
        """Return the sum of both losses, and both encoders' accuracies, for images (B, px, px, 3) uint8.

        The ViT sees scenes with objects only, because text is illegible at the low resolution.
        """
        metrics = {f"high_res_{name}": value for name, value in self.high_res(image, **labels).items()}
        shown = (labels["names"] > 0).flatten(1).any(1)
        if shown.any():
            seen = self.low_res(image[shown], **{name: label[shown] for name, label in labels.items()})
            metrics |= {f"low_res_{name}": value for name, value in seen.items()}
        return {"loss": sum(value for name, value in metrics.items() if name.endswith("loss")), **metrics}


def save_encoders(weights: Mapping[str, Tensor], path: Path) -> None:
    """Write a file of each encoder into a folder, atomically."""
    with atomic_write(path) as folder:
        folder.mkdir()
        for name, module in ENCODERS.items():
            SavePart(f"{module}.encoder")(weights, folder / f"{name}.safetensors")
