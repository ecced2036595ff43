"""The embedded painter's training: a U-Net that draws pictures by the low frequencies of their blocks.

Linear heads that are thrown away say of every cell which thing the caption wants there, in which colour: captions alone
teach what belongs to what long before pictures would.
"""

import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from minigemini.imagegen.generator import ImageGenerator
from minigemini.io.atomic_write import atomic_write
from minigemini.io.errors import CheckpointError, RequestError
from minigemini.io.hashes import write_sums
from minigemini.training.settings import RecipeError

from ..pretraining.label_heads import recall
from ..pretraining.pretraining_recipe import Pretraining
from ..pretraining.pretraining_task import PretrainingTask, stack
from ..scenes.colors import COLORS
from ..scenes.concepts import COLORED_NAMES
from .diffusion_pipeline import PainterPipeline, denoise, read
from .network import GeneratorSize, build_generator, sample
from .spectrum import to_spectrum

_LABEL_WEIGHT = 0.5
_LEAST_SIGMA = 0.05
"""Below it the loss of v weighs no more: there is hardly any noise left to tell."""


def generator_task(recipe: Pretraining) -> PretrainingTask:
    """Draw what captions say."""
    torch.manual_seed(recipe.seed)
    drawer = build_generator()
    parts = {"painter": r"network\.", "labels": r"labels\."}
    return PretrainingTask(GeneratorTrainModule(drawer), parts, sample, stack, export, partial(_begin, drawer, recipe))


def _begin(painter: PainterPipeline, recipe: Pretraining) -> None:
    """Load what the painter that a recipe begins with, if it names one, has learnt.

    Raises:
        RecipeError: There is no such painter, or it is of another kind or size.
    """
    if recipe.init_from is None:
        return
    try:
        learnt = ImageGenerator.load(recipe.init_from, device="cpu", dtype=torch.float32).pipeline
    except (CheckpointError, RequestError) as error:
        raise RecipeError(f"{recipe.name}: init_from {error}") from None
    try:
        for name in ("text_encoder", "unet"):
            getattr(painter, name).load_state_dict(learnt.components[name].state_dict())
    except RuntimeError:
        raise RecipeError(
            f"{recipe.name}: {recipe.init_from} is no painter of this size; give init_from=none"
        ) from None


class CellHeads(nn.Module):
    """Say of every cell which thing the caption wants there, and in which colour, from so many features."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.classes = (len(COLORED_NAMES) + 1, len(COLORS) + 1)
        self.linear = nn.Linear(width, sum(self.classes))

    def forward(self, texts: Tensor, names: Tensor, colors: Tensor) -> tuple[Tensor, Tensor]:
        """Loss of the captions' features (B, L, C), and the share of right names among cells that show a thing."""
        said_names, said_colors = self.linear(texts[:, : names.shape[1]].flatten(0, 1)).split(self.classes, dim=-1)
        names, colors = names.flatten(), colors.flatten()
        loss = cross_entropy(said_names, names) + cross_entropy(said_colors, colors)
        return loss, recall(said_names, names)


class GeneratorTrainModule(nn.Module):
    """The painter as training sees it: a batch of samples in, its loss out."""

    def __init__(self, painter: PainterPipeline) -> None:
        super().__init__()
        self.painter = painter
        self.network = nn.ModuleDict({"text_encoder": painter.text_encoder, "unet": painter.unet})
        self.labels = CellHeads(painter.text_encoder.config.dim)

    def forward(
        self,
        image: Tensor,
        input_ids: Tensor,
        attention_mask: Tensor,
        noise: Tensor,
        sigma: Tensor,
        names: Tensor,
        colors: Tensor,
    ) -> dict[str, Tensor]:
        """Loss of a batch, and what it consists of; arguments as `sample` gives them, stacked."""
        captions = input_ids.shape[1]
        mask = attention_mask.flatten(0, 1)
        longest = int(mask.sum(1).max())
        mask = mask[:, :longest]
        texts = read(self.network["text_encoder"], input_ids.flatten(0, 1)[:, :longest], mask)  # type: ignore[arg-type]
        label_loss, label_accuracy = self.labels(texts, names.flatten(0, 1), colors.flatten(0, 1))
        clean = to_spectrum(scaled(image))
        share = sigma.view(-1, 1, 1, 1)
        noisy = (1 - share) * clean + share * noise
        own, own_mask = texts[::captions], mask[::captions]
        said = denoise(self.network["unet"], noisy, 1000 * sigma, own, own_mask)
        # The loss of v, as it follows from what is said about the picture.
        image_loss = ((said - clean).square().mean((1, 2, 3)) / sigma.clamp(min=_LEAST_SIGMA) ** 2).mean()
        return {
            "loss": image_loss + _LABEL_WEIGHT * label_loss,
            "image_loss": image_loss,
            "label_loss": label_loss,
            "label_accuracy": label_accuracy,
        }


def scaled(image: Tensor) -> Tensor:
    """Bytes (B, px, px, 3) to (B, 3, px, px) in [-1, 1]."""
    return rearrange(image, "b h w c -> b c h w").float() / 127.5 - 1


def export(weights: Mapping[str, Tensor], folder: Path, size: GeneratorSize | None = None) -> None:
    """Write a painter of these weights, named as in the lesson, as a folder in float16; whole or not at all."""
    module = GeneratorTrainModule(build_generator(size))
    module.load_state_dict({name: tensor.detach().cpu() for name, tensor in weights.items()}, strict=False)
    shutil.rmtree(folder, ignore_errors=True)
    with atomic_write(folder) as aside:
        module.painter.to(torch.float16).save_pretrained(aside)
        write_sums(aside)
