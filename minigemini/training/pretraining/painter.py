"""The embedded painter's training, in two steps: an autoencoder of pictures, then a U-Net that draws its latents.

In both, linear heads that are thrown away say which thing each place shows, in which colour. They make latents of one
thing alike wherever it stands; and at the end of the U-Net a plan of the whole picture is worth having early, while
there is little but noise to see.
"""

import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

from ...inference.errors import CheckpointError, RequestError
from ...inference.image_generation import Painter
from ...model.writing import written_aside
from ...painter.pipeline import PainterPipeline, decode, denoise, encode, posterior, read
from ...world.colours import COLOURS
from ...world.concepts import TINTED_NAMES
from ...world.painting import PAINTING_PX, paint, sample_painting
from ..recipe import Pretraining
from ..settings import RecipeError
from .heads import recall
from .painter_parts import LATENTS, PainterSize, build_autoencoder, build_painter, sample
from .task import SavePart, Task, load_part, stack

_KL_WEIGHT, _LATENT_LABEL_WEIGHT, _LABEL_WEIGHT = 1e-5, 0.02, 0.2
_THING_WEIGHT = 8.0
"""Of pixels where there is a thing, and not the ground alone."""
_LEAST_SIGMA = 0.05
"""Below it the loss of v weighs no more: there is hardly any noise left to tell."""
_PICTURES_TO_WHITEN = 256


def painter_autoencoder(recipe: Pretraining) -> Task:
    """Bring pictures into few numbers, and back."""
    torch.manual_seed(recipe.seed)
    parts = {"autoencoder": r"autoencoder\.", "labels": r"labels\."}
    lesson = AutoencoderLesson(build_autoencoder())
    start = partial(_begin, {"vae": lesson.autoencoder}, recipe)
    return Task(lesson, parts, sample, stack, SavePart("autoencoder"), start)


def painter(recipe: Pretraining) -> Task:
    """Draw what captions say."""
    torch.manual_seed(recipe.seed)
    drawer = build_painter()

    def start() -> None:
        if recipe.begin_with is not None:  # whose U-Net draws the latents of its own autoencoder
            _begin({"vae": drawer.vae, "text_encoder": drawer.text_encoder, "unet": drawer.unet}, recipe)
            return
        load_part(drawer.vae, str(recipe.autoencoder), recipe.name)
        whiten(drawer.vae)

    parts = {"painter": r"network\.", "labels": r"labels\."}
    return Task(PainterLesson(drawer), parts, sample, stack, export, start)


def _begin(parts: Mapping[str, nn.Module], recipe: Pretraining) -> None:
    """Load parts of the painter that a recipe begins with, if it names one.

    Raises:
        RecipeError: There is no such painter, or it is of another kind or size.
    """
    if recipe.begin_with is None:
        return
    try:
        learnt = Painter.load(recipe.begin_with, device="cpu", dtype=torch.float32).pipeline
    except (CheckpointError, RequestError) as error:
        raise RecipeError(f"{recipe.name}: begin_with {error}") from None
    for name, module in parts.items():
        try:
            module.load_state_dict(learnt.components[name].state_dict())
        except RuntimeError:
            raise RecipeError(
                f"{recipe.name}: {recipe.begin_with} is no painter of this size; give begin_with=none"
            ) from None


class ThingHeads(nn.Module):
    """Say of every place which thing it shows, and in which colour, from so many channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.classes = (len(TINTED_NAMES) + 1, len(COLOURS) + 1)
        self.norm, self.linear = nn.LayerNorm(width), nn.Linear(width, sum(self.classes))

    def forward(self, features: Tensor, names: Tensor, colours: Tensor) -> tuple[Tensor, Tensor]:
        """Loss of all places (B, C, 8, 8), and the share of right names among those that show a thing."""
        places = rearrange(features, "b c h w -> (b h w) c")
        said_names, said_colours = self.linear(self.norm(places)).split(self.classes, dim=-1)
        names, colours = names.flatten(), colours.flatten()
        loss = cross_entropy(said_names, names) + cross_entropy(said_colours, colours)
        return loss, recall(said_names, names)


class AutoencoderLesson(nn.Module):
    """The autoencoder as training sees it: a batch of samples in, its loss out."""

    def __init__(self, autoencoder: AutoencoderKL) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.labels = ThingHeads(LATENTS[0])

    def forward(self, image: Tensor, names: Tensor, colours: Tensor, **_: Any) -> dict[str, Tensor]:
        """Loss of a batch, and what it consists of; arguments as `sample` gives them, stacked."""
        pictures = scaled(image)
        likely = posterior(self.autoencoder, pictures)
        latents = likely.sample()
        weight = interpolate(
            1 + (_THING_WEIGHT - 1) * (names > 0).float()[:, None], scale_factor=PAINTING_PX // LATENTS[1]
        )
        picture_loss = ((decode(self.autoencoder, latents) - pictures).abs() * weight).mean() / weight.mean()
        label_loss, label_accuracy = self.labels(latents, names, colours)
        kl = likely.kl().mean() / latents[0].numel()
        return {
            "loss": picture_loss + _KL_WEIGHT * kl + _LATENT_LABEL_WEIGHT * label_loss,
            "picture_loss": picture_loss,
            "kl": kl,
            "label_loss": label_loss,
            "label_accuracy": label_accuracy,
        }


class PainterLesson(nn.Module):
    """The painter as training sees it: a batch of samples in, its loss out."""

    def __init__(self, painter: PainterPipeline) -> None:
        super().__init__()
        self.painter, self.autoencoder = painter, painter.vae
        self.network = nn.ModuleDict({"text_encoder": painter.text_encoder, "unet": painter.unet})
        self.labels = ThingHeads(painter.unet.config.block_out_channels[0])
        painter.unet.up_blocks[-1].register_forward_hook(self._keep)
        self._plan: Tensor | None = None

    def forward(
        self,
        image: Tensor,
        input_ids: Tensor,
        attention_mask: Tensor,
        noise: Tensor,
        sigma: Tensor,
        names: Tensor,
        colours: Tensor,
    ) -> dict[str, Tensor]:
        """Loss of a batch, and what it consists of; arguments as `sample` gives them, stacked."""
        with torch.no_grad():
            clean = encode(self.autoencoder, scaled(image))
        share = sigma.view(-1, 1, 1, 1)
        longest = int(attention_mask.sum(1).max())
        mask = attention_mask[:, :longest]
        texts = read(self.network["text_encoder"], input_ids[:, :longest], mask)  # type: ignore[arg-type]
        noisy = (1 - share) * clean + share * noise
        said = denoise(self.network["unet"], noisy, 1000 * sigma, texts, mask)  # type: ignore[arg-type]
        # The loss of v, as it follows from what is said about the latents.
        latent_loss = ((said - clean).square().mean((1, 2, 3)) / sigma.clamp(min=_LEAST_SIGMA) ** 2).mean()
        assert self._plan is not None
        label_loss, label_accuracy = self.labels(self._plan, names, colours)
        return {
            "loss": latent_loss + _LABEL_WEIGHT * label_loss,
            "latent_loss": latent_loss,
            "label_loss": label_loss,
            "label_accuracy": label_accuracy,
        }

    def _keep(self, block: nn.Module, inputs: Any, output: Tensor) -> None:
        self._plan = output


def scaled(image: Tensor) -> Tensor:
    """Bytes (B, px, px, 3) to (B, 3, px, px) in [-1, 1]."""
    return rearrange(image, "b h w c -> b c h w").float() / 127.5 - 1


@torch.no_grad()
def whiten(autoencoder: AutoencoderKL) -> None:
    """Have each channel of its latents be of mean 0 and variance 1, over the first paintings, and draw the same."""
    pictures = torch.stack([torch.tensor(paint(sample_painting(i)[1])) for i in range(_PICTURES_TO_WHITEN)])
    latents = rearrange(encode(autoencoder, scaled(pictures)), "b c h w -> c (b h w)")
    mean, scale = latents.mean(1), latents.std(1)
    channels = len(mean)
    there, back = autoencoder.quant_conv, autoencoder.post_quant_conv
    there.weight[:channels] /= scale.view(-1, 1, 1, 1)
    there.bias[:channels] = (there.bias[:channels] - mean) / scale
    there.bias[channels:] -= 2 * scale.log()  # of the variances
    back.bias += back.weight[:, :, 0, 0] @ mean
    back.weight *= scale.view(1, -1, 1, 1)


def export(weights: Mapping[str, Tensor], folder: Path, size: PainterSize | None = None) -> None:
    """Write a painter of these weights, named as in the lesson, as a folder in float16; whole or not at all."""
    lesson = PainterLesson(build_painter(size))
    lesson.load_state_dict({name: tensor.detach().cpu() for name, tensor in weights.items()}, strict=False)
    shutil.rmtree(folder, ignore_errors=True)
    with written_aside(folder) as aside:
        lesson.painter.to(torch.float16).save_pretrained(aside)
