"""Saves connector weights: mining and projector, which alignment trains and which are a few percent of a model."""

import os
from pathlib import Path

from torch import Tensor

from ..modeling.generation import MiniGeminiForConditionalGeneration
from .atomic_write import atomic_write
from .hashes import save_tensors

CONNECTOR_PARTS = ("patch_info_mining", "multi_modal_projector")
"""Attributes of `MiniGeminiModel`; the baseline has only the projector."""


def connector_parameters(model: MiniGeminiForConditionalGeneration) -> dict[str, Tensor]:
    """The parameters of the connector, by their names in a checkpoint."""
    prefixes = tuple(f"model.{part}." for part in CONNECTOR_PARTS)
    return {name: tensor for name, tensor in model.named_parameters() if name.startswith(prefixes)}


def save_connector(
    model: MiniGeminiForConditionalGeneration, path: str | os.PathLike[str], base: str | None = None
) -> None:
    """Write the connector weights to a safetensors file, atomically. An existing file is replaced.

    Args:
        model: The model.
        path: The file, which must end in `.safetensors`. It can be used wherever a model name is accepted.
        base: The model that the connector belongs to (`nano`, a folder or a hub id), stored in the file's header.

    Raises:
        ValueError: The file has another suffix.
        OSError: The file cannot be written.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"{path}: connector weights are saved as safetensors; choose a name that ends in .safetensors")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in connector_parameters(model).items()}
    with atomic_write(path) as aside:
        save_tensors(tensors, aside, {"base": base} if base else {})
