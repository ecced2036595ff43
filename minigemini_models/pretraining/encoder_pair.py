"""Pretrain both encoders in one run, on dense labels of the same scenes."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from minigemini.data.seed_loader import first_sample
from minigemini.io.atomic_write import atomic_write

from .encoder_samples import DOMAINS, LOW_RES, SEVERAL, USUAL, EncoderSamples
from .encoder_validation import validate
from .encoders import DetailReader, PatchDescriber
from .pretraining_recipe import Pretraining
from .pretraining_task import PretrainingTask, SaveParts, stack

ENCODERS = {"vision_tower": "low_res", "high_res_vision_tower": "high_res"}
"""Submodules of `EncoderPair` by the name of their encoder in `MiniGeminiModel`, which is also that of its file."""


def encoder_pair(recipe: Pretraining) -> PretrainingTask:
    """Predict every letter, object and color of scenes, with the ViT at a quarter of their size, or at several sizes.

    The output is a folder with a file of each encoder.
    """
    torch.manual_seed(recipe.seed)
    pair, domain = EncoderPair(recipe), DOMAINS[recipe.world]
    samples = EncoderSamples(
        domain,
        recipe.run_length()[1] * recipe.global_batch,
        first_sample(recipe.seed),
        recipe.global_batch,
        SEVERAL if recipe.several_sizes else (USUAL,),
    )
    return PretrainingTask(
        pair,
        {name: rf"{module}\.encoder\." for name, module in ENCODERS.items()} | {"heads": r"\w+\.heads\."},
        samples,
        stack,
        save_encoders,
        validate=partial(validate, pair.high_res, pair.low_res, domain),
    )


class EncoderPair(nn.Module):
    """Both encoders with their heads. They share samples and optimizer, but no weights."""

    def __init__(self, recipe: Pretraining) -> None:
        super().__init__()
        self.low_res = PatchDescriber(recipe.low_res_width, recipe.low_res_layers)
        # 12 % faster than the default memory format.
        self.high_res = DetailReader(recipe.high_res_width, recipe.high_res_kind).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, image: Tensor, **labels: Tensor) -> dict[str, Tensor]:
        """Return the sum of both losses, and both encoders' accuracies, for images (B, px, px, 3) uint8.

        The labels are those of `encoder_samples`; their number decides at which size each encoder sees the images.
        The ViT sees scenes with objects only, because text is illegible at the low resolution.
        """
        low_res = {name.removeprefix(LOW_RES): label for name, label in labels.items() if name.startswith(LOW_RES)}
        metrics = {f"high_res_{name}": value for name, value in self.high_res(image, **labels).items()}
        loss, shown = metrics["high_res_loss"], (low_res["names"] > 0).flatten(1).any(1)
        if shown.any():
            seen = self.low_res(image[shown], **{name: label[shown] for name, label in low_res.items()})
            metrics |= {f"low_res_{name}": value for name, value in seen.items()}
            loss = loss + metrics["low_res_loss"]
        return {"loss": loss, **metrics}


def save_encoders(weights: Mapping[str, Tensor], path: Path) -> None:
    """Write a file of each encoder into a folder, atomically."""
    with atomic_write(path) as folder:
        folder.mkdir()
        for name, module in ENCODERS.items():
            SaveParts({f"{module}.encoder.": ""})(weights, folder / f"{name}.safetensors")
