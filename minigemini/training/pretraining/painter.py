"""The embedded painter's training: pictures of the drawn world with their captions, from index alone.

Beside the loss of the picture, each place at the bottom of the U-Net says which thing it will show, in which colour: a
dense label that makes a plan of the whole picture worth having early, while there is little but noise to see.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, UNet2DConditionModel
from einops import rearrange
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import DistilBertConfig, DistilBertModel, PreTrainedTokenizerFast

from ...model.writing import written_aside
from ...painter.pipeline import LEAST_SIGMA, PATCH_PX, PLACE_CHANNELS, PainterPipeline, denoise, read
from ...world.colours import COLOURS
from ...world.concepts import TINTED_NAMES, plural
from ...world.describing import NUMBERS
from ...world.labels import thing_labels
from ...world.painting import PAINTING_PX, PLACES, RELATIONS, sample_painting
from ..recipe import Pretraining
from .task import Task, stack

PAD, UNKNOWN, BEGIN = "<pad>", "<unknown>", "<begin>"
MOST_TOKENS = 40
SHIFT = 3.0
"""Towards noise, in learning and drawing: what is where is decided while there is much of it (arXiv 2403.03206)."""
_NOISE_STREAM = 11

PARTS = {"painter": r"network\.", "labels": r"labels\."}


@dataclass(frozen=True)
class PainterSize:
    """The defaults are the embedded painter's.

    Attributes:
        widths: of its levels; the first has a place per patch, each next one a quarter as many.
        heads: of attention, among places and to the words of the caption.
    """

    widths: tuple[int, ...] = (128, 192)
    heads: int = 4
    text_width: int = 192
    text_layers: int = 2
    text_heads: int = 4


def painter(recipe: Pretraining) -> Task:
    """Draw what captions say."""
    torch.manual_seed(recipe.seed)
    return Task(PainterLesson(build_painter()), PARTS, sample, stack, export)


def build_painter(size: PainterSize | None = None) -> PainterPipeline:
    """A painter that has learnt nothing, from torch's seed."""
    size = size or PainterSize()
    tokenizer = build_tokenizer()
    text = DistilBertConfig(
        vocab_size=len(tokenizer),
        dim=size.text_width,
        hidden_dim=4 * size.text_width,
        n_layers=size.text_layers,
        n_heads=size.text_heads,
        max_position_embeddings=MOST_TOKENS,
        dropout=0.0,
        attention_dropout=0.0,
        pad_token_id=tokenizer.pad_token_id,
    )
    pixels = 3 * PATCH_PX**2
    unet = UNet2DConditionModel(
        sample_size=PAINTING_PX // PATCH_PX,
        in_channels=pixels + PLACE_CHANNELS,
        out_channels=pixels,
        block_out_channels=size.widths,
        down_block_types=("CrossAttnDownBlock2D",) * len(size.widths),
        up_block_types=("CrossAttnUpBlock2D",) * len(size.widths),
        layers_per_block=1,
        cross_attention_dim=size.text_width,
        attention_head_dim=size.heads,
        norm_num_groups=16,
    )
    nn.init.zeros_(unet.conv_out.weight)  # it begins by saying that every picture is grey
    nn.init.zeros_(unet.conv_out.bias)
    scheduler = FlowMatchEulerDiscreteScheduler(shift=SHIFT)
    return PainterPipeline(tokenizer, DistilBertModel(text), unet, scheduler)


@cache
def build_tokenizer() -> PreTrainedTokenizerFast:
    """Whole words of the painter's captions; capitals and full stops make no difference."""
    words = {",", "and", "a", "an", *COLOURS, *NUMBERS[1:5], *TINTED_NAMES, *map(plural, TINTED_NAMES)}
    words |= {word for phrase in (*PLACES, *RELATIONS) for word in phrase.split()}
    vocabulary = {word: number for number, word in enumerate([PAD, UNKNOWN, BEGIN, *sorted(words)])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), normalizers.Replace(Regex("[.!?]"), "")])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A", special_tokens=[(BEGIN, vocabulary[BEGIN])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNKNOWN,
        bos_token=BEGIN,
        model_max_length=MOST_TOKENS,
        padding_side="right",
        clean_up_tokenization_spaces=False,
    )


def sample(index: int, without_caption: float = 0.1) -> dict[str, np.ndarray]:
    """Sample `index` of the lesson: picture, caption, noise and how much of it.

    Returns:
        `image` (64, 64, 3) uint8; `input_ids`, `attention_mask` (40,) int64; `noise` (64, 64, 3) float32; `sigma` ()
        float32; `names`, `colours` (8, 8) int64, as in `labels.thing_labels`.
    """
    plan, scene = sample_painting(index)
    rng = np.random.default_rng([_NOISE_STREAM, index])
    picture, _, owner = scene.draw()
    # Without a caption now and then: guidance needs to know what pictures look like at large.
    caption = "" if rng.random() < without_caption else plan.caption()
    tokens: Any = build_tokenizer()(caption, padding="max_length", max_length=MOST_TOKENS)
    share = 1 / (1 + np.exp(-rng.standard_normal()))
    labels = thing_labels(scene, owner)
    return {
        "image": np.asarray(picture),
        "input_ids": np.asarray(tokens.input_ids),
        "attention_mask": np.asarray(tokens.attention_mask),
        "noise": rng.standard_normal((PAINTING_PX, PAINTING_PX, 3), dtype=np.float32),
        "sigma": np.asarray(SHIFT * share / (1 + (SHIFT - 1) * share), dtype=np.float32),
        "names": labels["names"],
        "colours": labels["colours"],
    }


class PainterLesson(nn.Module):
    """The painter as training sees it: a batch of samples in, its loss out.

    Args:
        painter: what learns.
        label_weight: of the dense labels' loss.
    """

    def __init__(self, painter: PainterPipeline, label_weight: float = 0.2) -> None:
        super().__init__()
        self.painter = painter
        self.network = nn.ModuleDict({"text_encoder": painter.text_encoder, "unet": painter.unet})
        width = painter.unet.config.block_out_channels[-1]
        self.classes = (len(TINTED_NAMES) + 1, len(COLOURS) + 1)
        self.labels = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, sum(self.classes)))
        self.label_weight = label_weight
        painter.unet.mid_block.register_forward_hook(self._keep)
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
        **_: Any,
    ) -> dict[str, Tensor]:
        """Loss of a batch, and what it consists of; arguments as `sample` gives them, stacked."""
        clean = rearrange(image, "b h w c -> b c h w").float() / 127.5 - 1
        share = sigma.view(-1, 1, 1, 1)
        noisy = (1 - share) * clean + share * rearrange(noise, "b h w c -> b c h w")
        longest = int(attention_mask.sum(1).max())
        mask = attention_mask[:, :longest]
        texts = read(self.network["text_encoder"], input_ids[:, :longest], mask)  # type: ignore[arg-type]
        said = denoise(self.network["unet"], noisy, 1000 * sigma, texts, mask)  # type: ignore[arg-type]
        # The loss of v, as it follows from what is said about the picture.
        picture_loss = ((said - clean).square().mean((1, 2, 3)) / sigma.clamp(min=max(0.05, LEAST_SIGMA)) ** 2).mean()
        label_loss, label_accuracy = self._label_loss(names, colours)
        return {
            "loss": picture_loss + self.label_weight * label_loss,
            "picture_loss": picture_loss,
            "label_loss": label_loss,
            "label_accuracy": label_accuracy,
        }

    def _keep(self, block: nn.Module, inputs: Any, output: Tensor) -> None:
        self._plan = rearrange(output, "b c h w -> b (h w) c")

    def _label_loss(self, names: Tensor, colours: Tensor) -> tuple[Tensor, Tensor]:
        """Loss of all patches; right names among the patches that show a thing."""
        assert self._plan is not None
        said_names, said_colours = self.labels(self._plan).split(self.classes, dim=-1)
        names, colours = names.flatten(1), colours.flatten(1)
        loss = cross_entropy(said_names.flatten(0, 1), names.flatten())
        loss = loss + cross_entropy(said_colours.flatten(0, 1), colours.flatten())
        right = (said_names.argmax(-1) == names)[names > 0].float().mean()
        return loss, right.detach()


def export(weights: Mapping[str, Tensor], folder: Path, size: PainterSize | None = None) -> None:
    """Write a painter of these weights, named as in the lesson, as a folder in float16; whole or not at all."""
    lesson = PainterLesson(build_painter(size))
    lesson.load_state_dict({name: tensor.detach().cpu() for name, tensor in weights.items()}, strict=False)
    shutil.rmtree(folder, ignore_errors=True)
    with written_aside(folder) as aside:
        lesson.painter.to(torch.float16).save_pretrained(aside)
