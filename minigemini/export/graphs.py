"""The three graphs of an exported model, as modules with example inputs.

Names of inputs, outputs and axes are those of onnx-community's folders of vision-language models, so the graphs differ
from theirs only in `high_res_pixel_values`.

Letters: B images · t·N visual tokens of an image · D hidden size.
"""

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from ..io.errors import RequestError, one_line
from ..io.exported_files import DECODER, EMBEDDINGS, VISION
from ..modeling import MiniGeminiForConditionalGeneration
from ..modeling.outputs import CACHE

Axes = dict[int, str]

# Example sizes: none is 1, which torch.export would take for a constant, and no two of them are equal.
_IMAGES, _BATCH, _PAST, _NEW = 3, 2, 5, 4


@dataclass(frozen=True)
class Graph:
    """A module to export.

    Attributes:
        name: Name of the file.
        module: Takes the inputs by position.
        inputs: Example inputs by name.
        axes: Names of the axes of each input whose size may vary.
        outputs: Names of the outputs.
    """

    name: str
    module: nn.Module
    inputs: dict[str, Tensor]
    axes: dict[str, Axes]
    outputs: list[str]


class VisionEncoder(nn.Module):
    """Images in low and high resolution -> visual tokens (B, t·N, D)."""

    def __init__(self, model: MiniGeminiForConditionalGeneration) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: Tensor, high_res_pixel_values: Tensor | None = None) -> Tensor:
        tokens = self.model.get_image_features(pixel_values, high_res_pixel_values, return_dict=True).pooler_output
        return cast(Tensor, tokens)


class EmbedTokens(nn.Module):
    """Ids (batch, length) -> embeddings (batch, length, D), as the language model takes them."""

    def __init__(self, model: MiniGeminiForConditionalGeneration) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.model.model.embed(input_ids)


class EightBitEmbedTokens(nn.Module):
    """`EmbedTokens` with weights in 8 bits and one scale for each token."""

    table: Tensor
    scales: Tensor

    def __init__(self, model: MiniGeminiForConditionalGeneration) -> None:
        super().__init__()
        rows = cast(nn.Embedding, model.get_input_embeddings()).weight.shape[0]
        table = model.model.embed(torch.arange(rows)).detach()
        scales = table.abs().amax(dim=-1, keepdim=True).clamp(min=torch.finfo(table.dtype).tiny) / 127
        self.image_token_id, self.has_image_token = model.config.image_token_id, model.config.image_token_id < rows
        self.register_buffer("scales", scales)
        self.register_buffer("table", (table / scales).round().to(torch.int8))

    def forward(self, input_ids: Tensor) -> Tensor:
        if not self.has_image_token:
            input_ids = input_ids.masked_fill(input_ids == self.image_token_id, 0)
        return self.table[input_ids] * self.scales[input_ids]


class Decoder(nn.Module):
    """Embeddings, the mask and positions of all tokens, keys and values -> logits, and keys and values of all tokens.

    Keys and values alternate, layer by layer: (batch, heads, length, head size).
    """

    def __init__(self, model: MiniGeminiForConditionalGeneration) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, inputs_embeds: Tensor, attention_mask: Tensor, position_ids: Tensor, *past: Tensor
    ) -> tuple[Tensor, ...]:
        # Without a config, so that layers with a sliding window keep all tokens; their mask hides the older ones.
        cache = DynamicCache(list(zip(past[::2], past[1::2], strict=True)))
        outputs = self.model.model.language_model(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            use_cache=True,
            **{CACHE: cache},
        )
        return self.model.head(outputs.last_hidden_state), *_keys_and_values(cache)


def _keys_and_values(cache: DynamicCache) -> list[Tensor]:
    layers: list[Any] = cache.layers
    return [tensor for layer in layers for tensor in (layer.keys, layer.values)]


def check_exportable(model: MiniGeminiForConditionalGeneration, name: str) -> None:
    """Check that a model is of a kind whose graphs the layout can describe. Raises `RequestError`."""
    problem = None
    if model.config.max_tiles is not None:
        problem = "it takes images in their native shape, whose tiles differ in number; the vision graph needs squares"
    elif getattr(model.config, "quantization_config", None) is not None:
        problem = "its weights are quantized by bitsandbytes; export the checkpoint that it was made from"
    elif model._is_stateful:
        problem = (
            f"its language model ({model.config.text_config.model_type}) keeps a recurrent state; the decoder graph "
            "has keys and values only"
        )
    if problem is not None:
        raise RequestError(f"{name} cannot be exported: {problem}")


def graphs_of(model: MiniGeminiForConditionalGeneration, weights: str, name: str) -> list[Graph]:
    """Return the three graphs of a model in float32 on the CPU.

    Args:
        model: The model, whose attention is set to "eager": runtimes fuse its plain operators, and rows that a mask
            hides completely need no special case.
        weights: `int8` stores the embeddings in 8 bits. Other weights are quantized in the format of a runtime.
        name: The name of the model, for errors.

    Raises:
        RequestError: Models of this kind cannot be exported.
    """
    check_exportable(model, name)
    model.set_attn_implementation("eager")
    return [_vision(model), _embeddings(model, weights), _decoder(model, name)]


def _vision(model: MiniGeminiForConditionalGeneration) -> Graph:
    config = model.config
    sides = {"pixel_values": config.low_res_size}
    if config.high_res_vision_config is not None:
        sides["high_res_pixel_values"] = config.high_res_size
    pixels = {name: torch.zeros(_IMAGES, 3, side, side) for name, side in sides.items()}
    return Graph(VISION, VisionEncoder(model), pixels, {name: {0: "num_images"} for name in pixels}, ["image_features"])


def _embeddings(model: MiniGeminiForConditionalGeneration, weights: str) -> Graph:
    module = EightBitEmbedTokens(model) if weights == "int8" else EmbedTokens(model)
    ids = torch.zeros(_BATCH, _NEW, dtype=torch.long)
    axes = {0: "batch_size", 1: "sequence_length"}
    return Graph(EMBEDDINGS, module, {"input_ids": ids}, {"input_ids": axes}, ["inputs_embeds"])


def _decoder(model: MiniGeminiForConditionalGeneration, name: str) -> Graph:
    hidden = model.config.text_config.hidden_size
    module = Decoder(model)
    mask, positions = torch.ones(_BATCH, _PAST, dtype=torch.long), torch.arange(_PAST).repeat(_BATCH, 1)
    try:
        with torch.no_grad():
            _, *past = module(torch.zeros(_BATCH, _PAST, hidden), mask, positions)
    except Exception as error:  # noqa: BLE001 (language models that need a cache of their own fail in many ways)
        kind = model.config.text_config.model_type
        raise RequestError(
            f"{name} cannot be exported: its language model ({kind}) does not run with keys and values alone "
            f"({one_line(error)})"
        ) from None
    total = torch.ones(_BATCH, _PAST + _NEW, dtype=torch.long)
    inputs = {
        "inputs_embeds": torch.zeros(_BATCH, _NEW, hidden),
        "attention_mask": total,
        "position_ids": torch.arange(_PAST, _PAST + _NEW).repeat(_BATCH, 1),
    }
    axes: dict[str, Axes] = {
        "inputs_embeds": {0: "batch_size", 1: "sequence_length"},
        "attention_mask": {0: "batch_size", 1: "total_sequence_length"},
        "position_ids": {0: "batch_size", 1: "sequence_length"},
    }
    names = [f"{layer}.{kind}" for layer in range(len(past) // 2) for kind in ("key", "value")]
    for tensor_name, tensor in zip(names, past, strict=True):
        inputs[f"past_key_values.{tensor_name}"] = tensor
        axes[f"past_key_values.{tensor_name}"] = {0: "batch_size", 2: "past_sequence_length"}
    return Graph(DECODER, module, inputs, axes, ["logits", *(f"present.{tensor_name}" for tensor_name in names)])
