"""Outputs of the frozen encoders, kept on disk by picture: one that is seen again is not encoded again.

What is kept is bfloat16, and so is what a run computes anew: a run learns the same whether the folder is empty, full,
or half full. Pictures are encoded one by one for the same reason, as another batch could round otherwise.
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

HEADER_BYTES = 512
"""More than safetensors writes before four tensors."""

Encode = Callable[[Tensor], list[Tensor]]


def cache_features(model: MiniGeminiForConditionalGeneration, folder: Path, limit_gb: float) -> None:
    """Have a model look up in `folder` what its encoders make of a picture, and keep there what is not yet.

    Args:
        limit_gb: what the folder may grow to, in 10⁹ bytes; pictures beyond it are encoded each time.
    """
    room, inner, config = _Room(folder, limit_gb), model.model, model.config
    low_res = inner.get_low_res_features
    cut = f"{config.grid_size} {config.use_global_tile}"
    low = _Kept(room, lambda pixels: [low_res(pixels)], inner.vision_tower, cut)
    inner.get_low_res_features = lambda pixels: low(pixels)[0]
    if inner.high_res_vision_tower is not None:
        high = _Kept(room, inner.get_high_res_stage_maps, inner.high_res_vision_tower)
        inner.get_high_res_stage_maps = high


class _Room:
    """A folder that grows up to a limit, and no further when the disk is full."""

    def __init__(self, folder: Path, limit_gb: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.left = limit_gb * 1e9 - sum(file.stat().st_size for file in folder.glob("*/*.safetensors"))

    def write(self, path: Path, tensors: dict[str, Tensor]) -> None:
        """Add a file, unless it would be one too many."""
        size = sum(tensor.nbytes for tensor in tensors.values()) + HEADER_BYTES
        if size > self.left:
            return
        aside = path.with_suffix(f".{os.getpid()}.partial")
        try:
            path.parent.mkdir(exist_ok=True)
            save_file(tensors, aside)
            aside.rename(path)
            self.left -= size
        except (OSError, SafetensorError) as error:
            self.left = 0
            aside.unlink(missing_ok=True)
            print(f"minigemini: no more features are kept ({one_line(error)}); the run goes on", file=sys.stderr)


class _Kept:
    """An encoder that is asked about each picture once.

    Args:
        room: where its answers are kept.
        encode: pixels (1, 3, px, px) to features.
        tower: the frozen module that makes them; another one's are not found.
        cut: how a picture is cut for it.
    """

    def __init__(self, room: _Room, encode: Encode, tower: Any, cut: str = "") -> None:
        self.room, self.encode, self.dtype = room, encode, tower.dtype
        digest = hashlib.blake2b(f"{tower.config.to_json_string()} {cut}".encode())
        for name, tensor in tower.state_dict().items():
            digest.update(name.encode())
            digest.update(_bytes(tensor))
        self.name = digest.digest()

    @torch.no_grad()
    def __call__(self, pixels: Tensor) -> list[Tensor]:
        """Features of pictures (B, 3, px, px), each (B, …), as the encoder gives them but for the rounding."""
        rows = [self._of(row) for row in pixels.split(1)]
        return [torch.cat(parts).to(pixels.device, self.dtype) for parts in zip(*rows, strict=True)]

    def _of(self, row: Tensor) -> list[Tensor]:
        key = hashlib.blake2b(self.name + f"{row.dtype} {tuple(row.shape)}".encode(), digest_size=16)
        key.update(_bytes(row))
        path = self.room.folder / key.hexdigest()[:2] / f"{key.hexdigest()}.safetensors"
        kept = _read(path)
        if kept is None:
            kept = [tensor.to("cpu", torch.bfloat16).contiguous() for tensor in self.encode(row)]
            self.room.write(path, {str(n): tensor for n, tensor in enumerate(kept)})
        return kept


def _read(path: Path) -> list[Tensor] | None:
    """What is kept of a picture; None where nothing is, or it is damaged."""
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError):
        return None
    return [tensors[str(n)] for n in range(len(tensors))]


def _bytes(tensor: Tensor) -> memoryview:
    """A tensor's bytes, to be hashed."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
