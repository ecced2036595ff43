"""What a checkpoint consists of: parameters by part, tokens per picture, memory. No weight is read."""

import math
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from .checkpoint import find_checkpoint, open_checkpoint
from .loading import load_config

PARTS = {
    "vision tower": "model.vision_tower.",
    "high-res tower": "model.high_res_vision_tower.",
    "mining": "model.patch_info_mining.",
    "projector": "model.multi_modal_projector.",
    "language model": "model.language_model.",
    "head": "lm_head.",
}
"""Names of the parts, and how their tensors' names begin."""

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes per parameter in each dtype that the engine loads."""


@dataclass(frozen=True)
class Report:
    """What `minigemini info` prints."""

    model: str
    folder: Path
    parameters: dict[str, int]
    """By part. A head that shares the embedding has none of its own; a baseline has no high-res tower and no mining."""
    tokens_per_picture: int
    low_res_size_px: int
    high_res_size_px: int
    tiles: int
    """Tiles per picture, the global one included."""
    positions_per_patch: int
    """M: high-resolution positions along one side of a patch."""
    stored_as: dict[str, int]
    """Parameters by the dtype they are stored in, by safetensors' names."""

    @property
    def total(self) -> int:
        """All parameters."""
        return sum(self.parameters.values())

    @property
    def weights_bytes(self) -> dict[str, int]:
        """Memory for the weights by dtype, bytes; pictures and text come on top."""
        return {dtype: self.total * size for dtype, size in BYTES.items()}


def report(model: str | os.PathLike[str]) -> Report:
    """Describe `nano`, a folder or a hub id.

    Raises:
        CheckpointError: there is no such checkpoint, or its config or the headers of its files are broken.
    """
    folder = find_checkpoint(model)
    checkpoint = open_checkpoint(folder)
    config = load_config(folder)
    parameters = dict.fromkeys((*PARTS, "other"), 0)
    stored_as: Counter[str] = Counter()
    for name, tensor in checkpoint.tensors.items():
        part = next((part for part, prefix in PARTS.items() if name.startswith(prefix)), "other")
        count = math.prod(tensor.shape)
        parameters[part] += count
        stored_as[tensor.dtype] += count
    return Report(
        model=os.fspath(model),
        folder=folder,
        parameters={part: count for part, count in parameters.items() if count},
        tokens_per_picture=config.num_image_tokens,
        low_res_size_px=config.low_res_size,
        high_res_size_px=config.high_res_size,
        tiles=config.num_tiles,
        positions_per_patch=config.positions_per_patch,
        stored_as=dict(stored_as),
    )
