"""What the embedded painter is made of before it has learnt anything, and the samples that it learns from."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from diffusers import FlowMatchEulerDiscreteScheduler, UNet2DConditionModel
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import nn
from transformers import DistilBertConfig, DistilBertModel, PreTrainedTokenizerFast

from ...painter.pipeline import PLACE_CHANNELS, PainterPipeline
from ...painter.spectrum import BLOCK_PX, CHANNELS
from ...world.colours import COLOURS
from ...world.concepts import TINTED_NAMES, plural
from ...world.describing import NUMBERS
from ...world.labels import thing_labels
from ...world.painting import PAINTING_PX, PLACES, RELATIONS, sample_painting

PAD, UNKNOWN, BEGIN = "<pad>", "<unknown>", "<begin>"
MOST_TOKENS = 40
SPECTRUM = (CHANNELS, PAINTING_PX // BLOCK_PX, PAINTING_PX // BLOCK_PX)
"""Channels and places: one for each patch that has labels."""
SHIFT = 2.0
"""Towards noise, in learning and drawing: what is where is decided while there is much of it (arXiv 2403.03206)."""
_NOISE_STREAM = 11


@dataclass(frozen=True)
class PainterSize:
    """The defaults are the embedded painter's.

    Attributes:
        widths: of the U-Net's levels; the first has a place per block of pixels, each next one a quarter as many.
        heads: of attention, among places and to the words of the caption.
        text_width, text_layers, text_heads: of what reads captions.
    """

    widths: tuple[int, ...] = (128, 192)
    heads: int = 4
    text_width: int = 192
    text_layers: int = 2
    text_heads: int = 4


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
    unet = UNet2DConditionModel(
        sample_size=SPECTRUM[1],
        in_channels=SPECTRUM[0] + PLACE_CHANNELS,
        out_channels=SPECTRUM[0],
        block_out_channels=size.widths,
        down_block_types=("CrossAttnDownBlock2D",) * len(size.widths),
        up_block_types=("CrossAttnUpBlock2D",) * len(size.widths),
        layers_per_block=1,
        cross_attention_dim=size.text_width,
        attention_head_dim=size.heads,
        norm_num_groups=16,
    )
    nn.init.zeros_(unet.conv_out.weight)  # it begins by saying that all is as usual
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
        `image` (64, 64, 3) uint8; `input_ids`, `attention_mask` (40,) int64; `noise` (63, 8, 8) float32; `sigma` ()
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
        "noise": rng.standard_normal(SPECTRUM, dtype=np.float32),
        "sigma": np.asarray(SHIFT * share / (1 + (SHIFT - 1) * share), dtype=np.float32),
        "names": labels["names"],
        "colours": labels["colours"],
    }
