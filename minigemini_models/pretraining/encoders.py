"""Both encoders with linear heads that predict the dense labels of synthetic scenes."""

from collections.abc import Sequence

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import interpolate
from transformers import CLIPVisionConfig, CLIPVisionModel
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from minigemini.modeling.encoders import FeatureMap, kind_of

from ..scenes.dense_labels import (
    CELL_PX,
    NUM_COLOR_CLASSES,
    NUM_LETTER_CLASSES,
    NUM_NAME_CLASSES,
    SLOT_COLUMNS,
    SLOT_ROWS,
)
from .high_res_configs import high_res_config
from .label_heads import PatchHeads, balanced_cross_entropy, recall
from .pretraining_recipe import LOW_RES_PATCH, LOW_RES_SIZE_PX, HighResKind

HIGH_RES_STRIDE = 32
"""Pixels of the high-resolution image per patch that has labels: the coarsest stride of an encoder's maps."""


def low_res_config(width: int, layers: int) -> CLIPVisionConfig:
    """Configuration of the ViT: 64 pixels in patches of 8."""
    return CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 32,
        image_size=LOW_RES_SIZE_PX,
        patch_size=LOW_RES_PATCH,
    )


class PatchDescriber(nn.Module):
    """The low-resolution encoder with heads that predict what each patch shows."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.encoder = CLIPVisionModel(low_res_config(width, layers))
        self.encoder.post_layernorm = nn.Identity()  # type: ignore[assignment]  # normalizes the class token, which is not used
        self.heads = PatchHeads(width)

    def forward(self, image: Tensor, **labels: Tensor) -> dict[str, Tensor]:
        """Return the loss and accuracies of scenes (B, px, px, 3) uint8 with the labels of `scene_labels`.

        Each label is of one patch, so their number decides the size of the image that the encoder sees.
        """
        pixels = shrink(normalize(image), LOW_RES_PATCH * labels["names"].shape[-1])
        return self.heads(kind_of(self.encoder.config).encode_tokens(self.encoder, pixels), labels)


class DetailReader(nn.Module):
    """The high-resolution encoder with linear heads.

    They predict the ordered letters of each patch, the letter of each cell, and the object and color of each patch.
    """

    def __init__(self, width: int, kind: HighResKind = "convnext") -> None:
        super().__init__()
        config = high_res_config(width, kind)
        self.kind = kind_of(config)
        self.encoder = self.kind.build(config)
        for module in self.encoder.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                # Keeps the scale of activations; Transformers' 0.02 is meant for widths of a thousand.
                nn.init.trunc_normal_(module.weight, std=module.weight[0].numel() ** -0.5)
            if isinstance(module, nn.Conv2d) and module.groups > 1:
                module.__class__ = Float32Conv2d
        self.heads = DetailHeads(self.kind.maps(config))

    def forward(self, image: Tensor, **labels: Tensor) -> dict[str, Tensor]:
        """Return the loss and accuracies of images (B, px, px, 3) uint8 with the labels of `text_or_scene`.

        The encoder sees them in the size at which each patch of the labels has `HIGH_RES_STRIDE` pixels.
        """
        losses, metrics = [], {}
        for name, logits in self.logits(image, HIGH_RES_STRIDE * labels["names"].shape[-1]).items():
            targets = labels[name]
            if name == "slots":  # only patches with text, as in `PatchHeads`
                has_text = (targets > 0).any(-1)
                logits, targets = logits[has_text], targets[has_text]
            logits, targets = logits.flatten(0, -2), targets.flatten()
            losses.append(_WEIGHTS[name] * balanced_cross_entropy(logits, targets))
            metrics[f"{name}_accuracy"] = recall(logits, targets)
        return {"loss": torch.stack(losses).sum(), **metrics}

    def logits(self, image: Tensor, size_px: int) -> dict[str, Tensor]:
        """Return the logits of `DetailHeads` for images (B, px, px, 3) uint8, resized to `size_px`."""
        logits: dict[str, Tensor] = self.heads(self.kind.encode(self.encoder, resized(normalize(image), size_px)))
        return logits


class Float32Conv2d(nn.Conv2d):
    """A convolution in float32 under autocast: oneDNN takes three times as long for gradients of depthwise weights in
    bfloat16 (40 channels of 64 x 64, batches of 8: 42 against 13 ms on a Xeon with AMX).
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return the convolved (B, C, H, W) float32."""
        with torch.autocast(input.device.type, enabled=False):
            return super().forward(input.float().contiguous(memory_format=torch.channels_last))


_WEIGHTS = {"slots": 4.0, "cells": 1.0, "names": 3.0, "colours": 0.5}
"""Weight of each label's loss."""


class DetailHeads(nn.Module):
    """Linear heads on two maps of the high-resolution encoder: letters of cells on one, the rest on the last.

    Args:
        maps: the maps of the encoder, finest first. The stride of the last one is at most `HIGH_RES_STRIDE`, so one
            patch has one or several of its positions; a position has one or several cells.
    """

    def __init__(self, maps: Sequence[FeatureMap]) -> None:
        super().__init__()
        self.fine = next(number for number, found in enumerate(maps) if found.stride >= CELL_PX)
        fine, coarse = maps[self.fine], maps[-1]
        self.positions, self.cells_across = HIGH_RES_STRIDE // coarse.stride, fine.stride // CELL_PX
        of_patch = coarse.channels * self.positions**2
        self.patch_norm, self.cell_norm = nn.LayerNorm(of_patch), nn.LayerNorm(fine.channels)
        self.slots = nn.Linear(of_patch, SLOT_ROWS * SLOT_COLUMNS * NUM_LETTER_CLASSES)
        self.names = nn.Linear(of_patch, NUM_NAME_CLASSES)
        self.colors = nn.Linear(of_patch, NUM_COLOR_CLASSES)
        self.cells = nn.Linear(fine.channels, self.cells_across**2 * NUM_LETTER_CLASSES)

    def forward(self, maps: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return logits (…, classes) by label: slots (B, n, n, slots), names and colors (B, n, n), cells (B, m, m)."""
        p, q = self.positions, self.cells_across
        patches = self.patch_norm(rearrange(maps[-1], "b c (h p) (w q) -> b h w (c p q)", p=p, q=p))
        cells = self.cell_norm(rearrange(maps[self.fine], "b c h w -> b h w c"))
        return {
            "slots": rearrange(self.slots(patches), "b h w (s k) -> b h w s k", k=NUM_LETTER_CLASSES),
            "cells": rearrange(self.cells(cells), "b h w (p q k) -> b (h p) (w q) k", p=q, q=q),
            "names": self.names(patches),
            "colours": self.colors(patches),
        }


def normalize(
    images: Tensor, mean: Sequence[float] = OPENAI_CLIP_MEAN, std: Sequence[float] = OPENAI_CLIP_STD
) -> Tensor:
    """(B, px, px, 3) uint8 → (B, 3, px, px) float32, normalized as in the image processor."""
    means, stds = (torch.tensor(values, device=images.device).view(3, 1, 1) for values in (mean, std))
    return (rearrange(images, "b h w c -> b c h w").float() / 255 - means) / stds


def resized(pixel_values: Tensor, size_px: int) -> Tensor:
    """Resize normalized images (B, 3, px, px)."""
    if pixel_values.shape[-1] == size_px:
        return pixel_values
    return interpolate(pixel_values, size=(size_px, size_px), mode="bicubic", align_corners=False, antialias=True)


def shrink(pixel_values: Tensor, size_px: int) -> Tensor:
    """Derive the low-resolution image from a normalized high-resolution one, as the image processor does."""
    return interpolate(pixel_values, size=(size_px, size_px), mode="bilinear", align_corners=False)
