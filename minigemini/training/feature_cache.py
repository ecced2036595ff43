"""On-disk cache of the frozen encoders' outputs, so that each image is encoded once.

Cached and newly computed features are both rounded to bfloat16, and images are encoded one at a time because the batch
size can change rounding: training gives the same result whether the cache is empty, partly filled or full.
"""

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..io.errors import one_line
from ..modeling import MiniGeminiForConditionalGeneration

HEADER_BYTES = 128
"""Upper bound of a safetensors header per tensor."""

Encode = Callable[[Tensor], list[Tensor]]


def cache_features(model: MiniGeminiForConditionalGeneration, folder: Path, limit_gb: float) -> None:
    """Make a model read and store its encoders' outputs in a folder.

    Args:
        model: the model; its encoders must be frozen.
        folder: the cache, shared by runs and models.
        limit_gb: size limit of the folder in 10⁹ bytes; further images are encoded each time.
    """
    store, inner, config = _FeatureStore(folder, limit_gb), model.model, model.config
    low_res = inner.get_low_res_features
    tiling = f"{config.grid_size} {config.use_global_tile}"
    if config.max_tiles is not None:  # the key of squares stays as it was
        tiling += " native"
    low = _CachedEncoder(store, lambda pixels: [low_res(pixels)], inner.vision_tower, tiling)
    inner.get_low_res_features = lambda pixels: low(pixels)[0]
    if inner.high_res_vision_tower is not None:
        high = _CachedEncoder(store, inner.get_high_res_stage_maps, inner.high_res_vision_tower)
        inner.get_high_res_stage_maps = high


class _FeatureStore:
    """A folder of feature files with a size limit; writing stops when the disk is full."""

    def __init__(self, folder: Path, limit_gb: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.bytes_left = limit_gb * 1e9 - sum(file.stat().st_size for file in folder.glob("*/*.safetensors"))

    def write(self, path: Path, tensors: dict[str, Tensor]) -> None:
        """Write a file, unless it would exceed the limit."""
        size = sum(tensor.nbytes for tensor in tensors.values()) + HEADER_BYTES * len(tensors)
        if size > self.bytes_left:
            return
        partial = path.with_suffix(f".{os.getpid()}.partial")
        try:
            path.parent.mkdir(exist_ok=True)
            save_file(tensors, partial)
            partial.rename(path)
            self.bytes_left -= size
        except (OSError, SafetensorError) as error:
            self.bytes_left = 0
            partial.unlink(missing_ok=True)
            print(f"minigemini: feature cache disabled ({one_line(error)}); training continues", file=sys.stderr)


class _CachedEncoder:
    """An encoder with a cache of its outputs.

    Args:
        store: the cache.
        encode: maps pixels (1, 3, H, W) to feature tensors.
        tower: the frozen encoder; its config and weights are part of the cache key.
        tiling: how images are tiled for it, also part of the key.
    """

    def __init__(self, store: _FeatureStore, encode: Encode, tower: Any, tiling: str = "") -> None:
        self.store, self.encode, self.dtype = store, encode, tower.dtype
        digest = hashlib.blake2b(f"{tower.config.to_json_string()} {tiling}".encode())
        for name, tensor in tower.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor_bytes(tensor))
        self.key_prefix = digest.digest()

    @torch.no_grad()
    def __call__(self, pixels: Tensor) -> list[Tensor]:
        """Features of images (B, 3, H, W), each (B, …), rounded to bfloat16."""
        rows = [self._encode_one(row) for row in pixels.split(1)]
        return [torch.cat(parts).to(pixels.device, self.dtype) for parts in zip(*rows, strict=True)]

    def _encode_one(self, row: Tensor) -> list[Tensor]:
        key = hashlib.blake2b(self.key_prefix + f"{row.dtype} {tuple(row.shape)}".encode(), digest_size=16)
        key.update(tensor_bytes(row))
        path = self.store.folder / key.hexdigest()[:2] / f"{key.hexdigest()}.safetensors"
        features = _read(path)
        if features is None:
            features = [tensor.to("cpu", torch.bfloat16).contiguous() for tensor in self.encode(row)]
            self.store.write(path, {str(n): tensor for n, tensor in enumerate(features)})
        return features


def _read(path: Path) -> list[Tensor] | None:
    """Cached features of an image; None if they are missing or damaged."""
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError):
        return None
    return [tensors[str(n)] for n in range(len(tensors))]


def tensor_bytes(tensor: Tensor) -> memoryview:
    """A tensor's bytes, for hashing."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
