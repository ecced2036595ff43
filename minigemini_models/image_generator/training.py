"""Train the embedded image generator: a U-Net that denoises the low frequencies of pixel blocks.

Linear heads, discarded after training, predict from each cell token the object and color that the caption puts in that
cell. Captions alone teach their meaning much earlier than the image loss would.
"""

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
from .diffusion_pipeline import PainterPipeline, denoise, encode_captions
from .network import GeneratorSize, build_generator, sample
from .spectrum import to_spectrum

_LABEL_WEIGHT = 0.5
_LEAST_SIGMA = 0.05
"""The weight of the v loss is constant below this noise level, where almost no noise is left to predict."""


def generator_task(recipe: Pretraining) -> PretrainingTask:
    """Return the task that trains the image generator."""
    torch.manual_seed(recipe.seed)
    pipeline = build_generator()
    parts = {"painter": r"network\.", "labels": r"labels\."}
    return PretrainingTask(
        GeneratorTrainModule(pipeline), parts, sample, stack, export, partial(_load_init, pipeline, recipe)
    )


def _load_init(pipeline: PainterPipeline, recipe: Pretraining) -> None:
    """Load the weights of the image generator in `init_from`, if a recipe has one.

    Raises:
        RecipeError: the image generator is missing, or has another architecture or other sizes.
    """
    if recipe.init_from is None:
        return
    try:
        source = ImageGenerator.load(recipe.init_from, device="cpu", dtype=torch.float32).pipeline
    except (CheckpointError, RequestError) as error:
        raise RecipeError(f"{recipe.name}: init_from {error}") from None
    try:
        for name in ("text_encoder", "unet"):
            getattr(pipeline, name).load_state_dict(source.components[name].state_dict())
    except RuntimeError:
        raise RecipeError(
            f"{recipe.name}: {recipe.init_from} is no image generator of this size; set init_from=none"
        ) from None


class CellHeads(nn.Module):
    """Predict the object and color of every cell from `width` features of its token."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.classes = (len(COLORED_NAMES) + 1, len(COLORS) + 1)
        self.linear = nn.Linear(width, sum(self.classes))

    def forward(self, texts: Tensor, names: Tensor, colors: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss of caption features (B, L, C), and the share of right names among cells with an object."""
        name_logits, color_logits = self.linear(texts[:, : names.shape[1]].flatten(0, 1)).split(self.classes, dim=-1)
        names, colors = names.flatten(), colors.flatten()
        loss = cross_entropy(name_logits, names) + cross_entropy(color_logits, colors)
        return loss, recall(name_logits, names)


class GeneratorTrainModule(nn.Module):
    """The image generator with its training loss."""

    def __init__(self, pipeline: PainterPipeline) -> None:
        super().__init__()
        self.pipeline = pipeline
        self.network = nn.ModuleDict({"text_encoder": pipeline.text_encoder, "unet": pipeline.unet})
        self.labels = CellHeads(pipeline.text_encoder.config.dim)

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
        """Return the loss of a batch and its parts; arguments are stacked samples of `network.sample`."""
        captions = input_ids.shape[1]
        mask = attention_mask.flatten(0, 1)
        longest = int(mask.sum(1).max())
        mask = mask[:, :longest]
        texts = encode_captions(self.network["text_encoder"], input_ids.flatten(0, 1)[:, :longest], mask)  # type: ignore[arg-type]
        label_loss, label_accuracy = self.labels(texts, names.flatten(0, 1), colors.flatten(0, 1))
        clean = to_spectrum(scaled(image))
        share = sigma.view(-1, 1, 1, 1)
        noisy = (1 - share) * clean + share * noise
        own, own_mask = texts[::captions], mask[::captions]
        predicted = denoise(self.network["unet"], noisy, 1000 * sigma, own, own_mask)
        # The loss of v, derived from the prediction of x.
        image_loss = ((predicted - clean).square().mean((1, 2, 3)) / sigma.clamp(min=_LEAST_SIGMA) ** 2).mean()
        return {
            "loss": image_loss + _LABEL_WEIGHT * label_loss,
            "image_loss": image_loss,
            "label_loss": label_loss,
            "label_accuracy": label_accuracy,
        }


def scaled(image: Tensor) -> Tensor:
    """Convert uint8 images (B, px, px, 3) to (B, 3, px, px) in [-1, 1]."""
    return rearrange(image, "b h w c -> b c h w").float() / 127.5 - 1


def export(weights: Mapping[str, Tensor], folder: Path, size: GeneratorSize | None = None) -> None:
    """Save the pipeline atomically as a folder in float16; `weights` are named as in `GeneratorTrainModule`."""
    module = GeneratorTrainModule(build_generator(size))
    module.load_state_dict({name: tensor.detach().cpu() for name, tensor in weights.items()}, strict=False)
    with atomic_write(folder, replace_folder=True) as temporary:
        module.pipeline.to(torch.float16).save_pretrained(temporary)
        write_sums(temporary)
