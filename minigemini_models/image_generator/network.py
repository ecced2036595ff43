"""The image generator with random weights: its networks and tokenizer, and its training samples."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from diffusers import FlowMatchEulerDiscreteScheduler, UNet2DConditionModel
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import nn
from transformers import DistilBertConfig, DistilBertModel, PreTrainedTokenizerFast

from minigemini.data.encoding import IGNORED

from ..samples.descriptions import NUMBERS
from ..samples.image_plans import (
    CELLS,
    IMAGE_PX,
    PLACES,
    RELATION_OFFSETS,
    ImagePlan,
    sample_plan,
    sample_planned_image,
)
from ..scenes.colors import COLORS
from ..scenes.concepts import COLORED_NAMES, plural
from .diffusion_pipeline import CELLS_SIDE, PLACE_CHANNELS, PainterPipeline
from .spectrum import BLOCK_PX, CHANNELS

PAD, UNKNOWN = "<pad>", "<unknown>"
CELL_TOKENS = tuple(f"<cell {number}>" for number in range(1, CELLS_SIDE**2 + 1))
"""Prefix of every caption: one token per cell of the image, whose features encode the contents of the cell."""
MOST_TOKENS = 48
MORE_CAPTIONS = 1
"""Additional captions per image for the label loss. Learning their meaning takes more captions than images, and costs
less."""
SPECTRUM = (CHANNELS, IMAGE_PX // BLOCK_PX, IMAGE_PX // BLOCK_PX)
"""Channels, rows and columns: one position per block of pixels."""
SHIFT = 2.0
"""Timestep shift towards noise, in training and sampling: high noise levels decide the layout (arXiv 2403.03206)."""
_NOISE_STREAM = 11


@dataclass(frozen=True)
class GeneratorSize:
    """Sizes of the networks; the defaults are those of the embedded image generator.

    Attributes:
        widths: channels of the U-Net's levels; each level has a quarter of the positions of the one before.
        heads: attention heads of the U-Net.
        text_width, text_layers, text_heads: sizes of the text encoder.
    """

    widths: tuple[int, ...] = (128, 192)
    heads: int = 4
    text_width: int = 192
    text_layers: int = 4
    text_heads: int = 4


def build_generator(size: GeneratorSize | None = None) -> PainterPipeline:
    """Build a pipeline with random weights from torch's global seed."""
    size = size or GeneratorSize()
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
    unet = UNet2DConditionModel(
        sample_size=SPECTRUM[1],
        in_channels=SPECTRUM[0] + PLACE_CHANNELS + size.text_width,
        out_channels=SPECTRUM[0],
        block_out_channels=size.widths,
        down_block_types=("CrossAttnDownBlock2D",) * len(size.widths),
        up_block_types=("CrossAttnUpBlock2D",) * len(size.widths),
        layers_per_block=1,
        cross_attention_dim=size.text_width,
        attention_head_dim=size.heads,
        norm_num_groups=16,
    )
    nn.init.zeros_(unet.conv_out.weight)  # the initial prediction is the mean image
    nn.init.zeros_(unet.conv_out.bias)
    scheduler = FlowMatchEulerDiscreteScheduler(shift=SHIFT)
    return PainterPipeline(tokenizer, DistilBertModel(text), unet, scheduler)


@cache
def build_tokenizer() -> PreTrainedTokenizerFast:
    """Build the word-level tokenizer of captions; it ignores case and final punctuation."""
    words = {",", "and", "a", "an", *COLORS, *NUMBERS[1:5], *COLORED_NAMES, *map(plural, COLORED_NAMES)}
    words |= {word for phrase in (*PLACES, *RELATION_OFFSETS) for word in phrase.split()}
    vocabulary = {word: number for number, word in enumerate([PAD, UNKNOWN, *CELL_TOKENS, *sorted(words)])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), normalizers.Replace(Regex("[.!?]"), "")])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=[*CELL_TOKENS, "$A"], special_tokens=[(token, vocabulary[token]) for token in CELL_TOKENS]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNKNOWN,
        model_max_length=MOST_TOKENS,
        padding_side="right",
        clean_up_tokenization_spaces=False,
    )


def sample(index: int, without_caption: float = 0.1) -> dict[str, np.ndarray]:
    """Return training sample `index`: image, captions (the first describes the image), noise and noise level.

    Returns:
        `image` (64, 64, 3) uint8; `input_ids`, `attention_mask` (captions, 48) int64; `noise` (63, 8, 8) float32;
        `sigma` () float32; `names`, `colors` (captions, 9) int64, as in `cell_labels`.
    """
    plan, scene = sample_planned_image(index)
    rng = np.random.default_rng([_NOISE_STREAM, index])
    # Some images have no caption: classifier-free guidance needs the unconditional prediction.
    plans = [None if rng.random() < without_caption else plan, *(sample_plan(rng) for _ in range(MORE_CAPTIONS))]
    captions = [plan.caption() if plan else "" for plan in plans]
    tokens: Any = build_tokenizer()(captions, padding="max_length", max_length=MOST_TOKENS)
    labels = [cell_labels(plan) for plan in plans]
    share = 1 / (1 + np.exp(-rng.standard_normal()))
    return {
        "image": np.asarray(scene.draw()[0]),
        "input_ids": np.asarray(tokens.input_ids),
        "attention_mask": np.asarray(tokens.attention_mask),
        "noise": rng.standard_normal(SPECTRUM, dtype=np.float32),
        "sigma": np.asarray(SHIFT * share / (1 + (SHIFT - 1) * share), dtype=np.float32),
        "names": np.stack([names for names, _ in labels]),
        "colors": np.stack([colors for _, colors in labels]),
    }


def cell_labels(plan: ImagePlan | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the class of the name and of the color in each cell, both (9,) int64; 0 for empty cells.

    A single object fills all cells. Open colors, and all labels without a plan, are `IGNORED`.
    """
    names, colors = (np.full(len(CELLS), 0 if plan else IGNORED) for _ in range(2))
    if plan is None:
        return names, colors
    for unit, cell in zip(plan.units, plan.cells, strict=True):
        where = slice(None) if plan.is_single else CELLS.index(cell)
        names[where] = 1 + COLORED_NAMES.index(unit.name)
        colors[where] = 1 + tuple(COLORS).index(unit.color) if unit.color else IGNORED
    return names, colors
