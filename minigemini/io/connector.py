"""Mining and projector on their own: what alignment trains is a few per cent of a model, and saved as such."""

import os
from pathlib import Path

from torch import Tensor

from ..modeling.generation import MiniGeminiForConditionalGeneration
from .atomic_write import atomic_write
from .hashes import save_tensors

CONNECTOR_PARTS = ("patch_info_mining", "multi_modal_projector")
"""Attributes of `MiniGeminiModel`; a baseline without mining has the projector alone."""


def connector_parameters(model: MiniGeminiForConditionalGeneration) -> dict[str, Tensor]:
    """The parameters of mining and projector by their names in a checkpoint."""
    prefixes = tuple(f"model.{part}." for part in CONNECTOR_PARTS)
    return {name: tensor for name, tensor in model.named_parameters() if name.startswith(prefixes)}


def save_connector(
    model: MiniGeminiForConditionalGeneration, path: str | os.PathLike[str], base: str | None = None
) -> None:
    """Write mining and projector into one safetensors file, whole or not at all; one that is there is replaced.

    Args:
        path: ends in `.safetensors`; the file can be named wherever a model is.
        base: the model they belong to (`nano`, a folder or a hub id), written into the file's header.

    Raises:
        ValueError: another ending.
        OSError: it cannot be written there.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"{path}: small parts are a safetensors file; let its name end in .safetensors")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in connector_parameters(model).items()}
    with atomic_write(path) as aside:
        save_tensors(tensors, aside, {"base": base} if base else {})
