"""Each encoder alone, on dense labels of what is drawn."""

from functools import partial

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import interpolate
from transformers import CLIPVisionConfig, CLIPVisionModel, ConvNextConfig, ConvNextModel

from ..scenes.crops import crop
from ..scenes.dense_labels import NUM_COLOR_CLASSES, NUM_LETTER_CLASSES, NUM_NAME_CLASSES, SLOT_COLUMNS, SLOT_ROWS
from ..scenes.labeled_scenes import labeled_scene
from ..scenes.splits import SMALL_DOMAIN, TRAINING, SceneDomain
from .label_heads import PatchHeads, balanced_cross_entropy, recall
from .pretraining_recipe import Pretraining
from .pretraining_task import Arrays, PretrainingTask, SavePart, stack
from .warm_start import warm_start

# CLIP's channel mean and standard deviation, as the image processor has them.
_MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
_STD = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)

LOW_RES_SIZE_PX = 64
MATERIALS = {"whole": TRAINING, "small": SMALL_DOMAIN}
"""What the pictures of a recipe's world are made of."""

SCENE_KINDS = ("single", "few", "many", "count", "many", "sign")
PARTS = {"encoder": r"encoder\.", "heads": r"heads\."}


def low_res_config(width: int, layers: int) -> CLIPVisionConfig:
    """The ViT: 64 pixels in 8 x 8 patches."""
    return CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 32,
        image_size=LOW_RES_SIZE_PX,
        patch_size=8,
    )


def high_res_config(width: int) -> ConvNextConfig:
    """The ConvNeXt whose first stage is so wide."""
    widths = [width * 2**stage for stage in range(4)]
    return ConvNextConfig(hidden_sizes=widths, depths=[2, 2, 4, 2], layer_scale_init_value=0.1, drop_path_rate=0.0)


def low_res_encoder(recipe: Pretraining) -> PretrainingTask:
    """Name thing and colour of every patch of scenes, seen at a quarter of their size."""
    torch.manual_seed(recipe.seed)
    sample = partial(scene_of_objects, domain=MATERIALS[recipe.world])
    describer = PatchDescriber(recipe.low_res_width, recipe.low_res_layers)
    start = partial(warm_start, {"vision_tower": describer.encoder}, recipe)
    return PretrainingTask(describer, PARTS, sample, stack, SavePart("encoder"), start)


def high_res_encoder(recipe: Pretraining) -> PretrainingTask:
    """Read every letter and name every thing of small pictures."""
    torch.manual_seed(recipe.seed)
    # It runs an eighth faster so.
    reader = CropReader(recipe.high_res_width).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    sample = partial(crop, domain=MATERIALS[recipe.world])
    start = partial(warm_start, {"high_res_vision_tower": reader.encoder}, recipe)
    return PretrainingTask(reader, PARTS, sample, stack, SavePart("encoder"), start)


def scene_of_objects(number: int, domain: SceneDomain) -> Arrays:
    """The sample of a number: at the low resolution there are things to be named, and no letters."""
    return labeled_scene(number, SCENE_KINDS[number % len(SCENE_KINDS)], domain)


class PatchDescriber(nn.Module):
    """The low-resolution encoder with heads for what each patch shows."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.encoder = CLIPVisionModel(low_res_config(width, layers))
        self.encoder.post_layernorm = nn.Identity()  # type: ignore[assignment]  # of the class token, which is not used
        self.heads = PatchHeads(width, letters=False)

    def forward(self, image: Tensor, **labels: Tensor) -> dict[str, Tensor]:
        """Loss and accuracies of scenes (B, px, px, 3) uint8 with the labels of `world.samples.labelled_scene`."""
        tokens = self.encoder(shrink(normalize(image))).last_hidden_state[:, 1:]
        return self.heads(tokens, labels)


class CropReader(nn.Module):
    """The high-resolution encoder with linear heads: letters of each patch in order, letter of each small cell, and
    name and colour of the thing that each patch shows."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.encoder = ConvNextModel(high_res_config(width))
        self.encoder.layernorm = nn.Identity()  # type: ignore[assignment]  # belongs to a pooling that is not used
        self.heads = CropHeads(fine=2 * width, coarse=8 * width)

    def forward(self, image: Tensor, **labels: Tensor) -> dict[str, Tensor]:
        """Loss and accuracies of crops (B, px, px, 3) uint8 with the labels of `world.crops.crop`."""
        maps = self.encoder(normalize(image), output_hidden_states=True).hidden_states[-4:]
        losses, figures = [], {}
        for name, logits in self.heads(maps[1], maps[3]).items():
            wanted = labels[name]
            if name == "slots":  # where there is text, as in `PatchHeads`
                written = (wanted > 0).any(-1)
                logits, wanted = logits[written], wanted[written]
            logits, wanted = logits.flatten(0, -2), wanted.flatten()
            losses.append(_CROP_WEIGHTS[name] * balanced_cross_entropy(logits, wanted))
            figures[f"{name}_accuracy"] = recall(logits, wanted)
        return {"loss": torch.stack(losses).sum(), **figures}


_CROP_WEIGHTS = {"slots": 4.0, "cells": 1.0, "names": 3.0, "colours": 0.5}
"""Share of a label's loss in the sum."""


class CropHeads(nn.Module):
    """Linear heads on the second and the last map of the ConvNeXt, of stride 8 and 32 and so many channels."""

    def __init__(self, fine: int, coarse: int) -> None:
        super().__init__()
        self.patch_norm, self.cell_norm = nn.LayerNorm(coarse), nn.LayerNorm(fine)
        self.slots = nn.Linear(coarse, SLOT_ROWS * SLOT_COLUMNS * NUM_LETTER_CLASSES)
        self.names = nn.Linear(coarse, NUM_NAME_CLASSES)
        self.colors = nn.Linear(coarse, NUM_COLOR_CLASSES)
        self.cells = nn.Linear(fine, NUM_LETTER_CLASSES)

    def forward(self, fine: Tensor, coarse: Tensor) -> dict[str, Tensor]:
        """Logits by label, all (…, classes): slots (B, n, n, slots), names and colours (B, n, n), cells (B, m, m)."""
        patches = self.patch_norm(rearrange(coarse, "b c h w -> b h w c"))
        cells = self.cell_norm(rearrange(fine, "b c h w -> b h w c"))
        return {
            "slots": rearrange(self.slots(patches), "b h w (s k) -> b h w s k", k=NUM_LETTER_CLASSES),
            "cells": self.cells(cells),
            "names": self.names(patches),
            "colours": self.colors(patches),
        }


def normalize(images: Tensor) -> Tensor:
    """(B, px, px, 3) uint8 → (B, 3, px, px) float32, as the image processor normalises."""
    mean, std = _MEAN.to(images.device), _STD.to(images.device)
    return (rearrange(images, "b h w c -> b c h w").float() / 255 - mean) / std


def resized(pixel_values: Tensor, size_px: int) -> Tensor:
    """Normalised pictures (B, 3, px, px) at another size."""
    if pixel_values.shape[-1] == size_px:
        return pixel_values
    return interpolate(pixel_values, size=(size_px, size_px), mode="bicubic", align_corners=False, antialias=True)


def shrink(pixel_values: Tensor) -> Tensor:
    """The low-resolution picture of a normalised high-resolution one, by the image processor's rule."""
    return interpolate(pixel_values, size=(LOW_RES_SIZE_PX, LOW_RES_SIZE_PX), mode="bilinear", align_corners=False)
