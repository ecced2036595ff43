"""Prepares a loaded model to answer on a CPU: all that it multiplies by is packed, see `packed_linear`."""

from collections.abc import Sequence

import torch
from torch import nn

from ..io.system import return_free_memory
from ..modeling import MiniGeminiForConditionalGeneration
from .packed_decoder import PackedDecoder, can_pack_decoder
from .packed_linear import is_packable, pack

IMAGE_TOKENS = 576
"""Rows of a typical input of the encoders, for which their layout is chosen: CLIP's at 336 pixels."""


def prepare_to_answer(
    model: MiniGeminiForConditionalGeneration, encoder_dtype: torch.dtype | None, *, packed: bool
) -> None:
    """Convert the image encoders to a dtype of their own, and pack the model, in place, each if requested."""
    if encoder_dtype is not None:
        for tower in _towers(model):
            tower.to(encoder_dtype)
    if packed:
        pack_model(model)


def pack_model(model: MiniGeminiForConditionalGeneration) -> None:
    """Pack the Linears of a model in place; a decoder like Llama's becomes a `PackedDecoder`.

    The model can then answer and nothing else: packed weights can be neither trained nor saved. Mining keeps its
    weights, because it reads them itself. Parts that this processor cannot pack stay as they are.

    Args:
        model: In eval mode.
    """
    model.requires_grad_(False)
    pack_towers(_towers(model))
    if can_pack_decoder(model.model.language_model):
        model.model.language_model = PackedDecoder(model.model.language_model)
    else:
        _pack_linears(model.model.language_model, 1)
    if is_packable(model.lm_head):
        model.lm_head = pack(model.lm_head)  # a copy if the head is tied to the embeddings
    for parameter in model.parameters():  # which may be parts of the file, and would keep all of it in memory
        parameter.data = parameter.data.clone()
    return_free_memory()


def pack_towers(towers: Sequence[nn.Module]) -> None:
    """Pack the Linears of image encoders."""
    for tower in towers:
        _pack_linears(tower, IMAGE_TOKENS)


def _towers(model: MiniGeminiForConditionalGeneration) -> list[nn.Module]:
    inner = model.model
    return [tower for tower in (inner.vision_tower, inner.high_res_vision_tower) if tower is not None]


def _pack_linears(module: nn.Module, rows: int) -> None:
    for name, child in module.named_children():
        if type(child) is nn.Linear and is_packable(child):
            setattr(module, name, pack(child, rows=rows))
        else:
            _pack_linears(child, rows)
