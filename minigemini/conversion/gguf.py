"""Reads GGUF files of the types F32, Q8_0 and Q4_1, with NumPy alone.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; blocks: `ggml-common.h` and `ggml-quants.c` there.
"""

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..io.errors import CheckpointError, one_line

_SCALARS = ("<B", "<b", "<H", "<h", "<I", "<i", "<f", "<?", "", "", "<Q", "<q", "<d")
"""`struct` formats by the number of the metadata type; 8 is a string and 9 an array."""
_STRING, _ARRAY = 8, 9
_MOST_DIMENSIONS = 4


def _q8_0(blocks: np.ndarray) -> np.ndarray:
    """32 weights: scale d (float16) and 32 int8 q; w = d q."""
    return blocks[:, :2].view("<f2").astype(np.float32) * blocks[:, 2:].view(np.int8)


def _q4_1(blocks: np.ndarray) -> np.ndarray:
    """32 weights: scale d and minimum m (float16), 16 bytes of two 4-bit q, low halves first; w = d q + m."""
    scale, minimum = (blocks[:, at : at + 2].view("<f2").astype(np.float32) for at in (0, 2))
    return scale * np.concatenate([blocks[:, 4:] & 15, blocks[:, 4:] >> 4], axis=1) + minimum


_Decode = Callable[[np.ndarray], np.ndarray]
_TYPES: dict[int, tuple[int, int, _Decode]] = {
    0: (1, 4, lambda blocks: blocks.view("<f4").copy()),
    3: (32, 20, _q4_1),
    8: (32, 34, _q8_0),
}
"""By the number of the tensor type: weights per block, bytes per block, and the decoder of (blocks, bytes) uint8."""


@dataclass(frozen=True)
class Gguf:
    """A GGUF file.

    Attributes:
        metadata: values by key.
        tensors: float32 arrays by name, rows first as in torch; read from the file when `load` is called.
    """

    metadata: dict[str, Any]
    tensors: dict[str, "_StoredTensor"]


@dataclass(frozen=True)
class _StoredTensor:
    name: str
    shape: tuple[int, ...]
    kind: int
    data: np.ndarray

    def load(self) -> np.ndarray:
        """Dequantize to float32.

        Raises:
            CheckpointError: The tensor has another type, or is cut off.
        """
        if self.kind not in _TYPES:
            raise CheckpointError(f"GGUF tensor {self.name} has type {self.kind}; only F32, Q4_1 and Q8_0 are read")
        weights, size, decode = _TYPES[self.kind]
        count = math.prod(self.shape) // weights
        if math.prod(self.shape) % weights or len(self.data) < count * size:
            raise CheckpointError(f"GGUF tensor {self.name} is cut off; get the file again")
        return decode(self.data[: count * size].reshape(count, size)).reshape(self.shape)


def read_gguf(path: Path) -> Gguf:
    """Read the header of a GGUF file, and map its tensors into memory.

    Raises:
        CheckpointError: It is not a GGUF file of version 3, or is damaged.
    """
    try:
        data = np.memmap(path, np.uint8, "r")
        return _Header(data.data).read(data)
    except (OSError, ValueError, IndexError, struct.error) as error:
        raise CheckpointError(f"{path}: not a whole GGUF file of version 3 ({one_line(error)}); get it again") from None


@dataclass
class _Header:
    buffer: memoryview
    at: int = 0

    def read(self, data: np.ndarray) -> Gguf:
        if bytes(self.buffer[:4]) != b"GGUF" or struct.unpack_from("<I", self.buffer, 4)[0] != 3:
            raise ValueError("other first bytes")
        self.at = 8
        tensors, entries = self.value("<Q"), self.value("<Q")
        metadata = {self.string(): self.entry(self.value("<I")) for _ in range(entries)}
        described = [self.description() for _ in range(tensors)]
        alignment = metadata.get("general.alignment", 32)
        start = -(-self.at // alignment) * alignment
        return Gguf(
            metadata,
            {name: _StoredTensor(name, shape, kind, data[start + at :]) for name, shape, kind, at in described},
        )

    def value(self, kind: str) -> Any:
        (value,) = struct.unpack_from(kind, self.buffer, self.at)
        self.at += struct.calcsize(kind)
        return value

    def string(self) -> str:
        length = self.value("<Q")
        (text,) = struct.unpack_from(f"<{min(length, len(self.buffer))}s", self.buffer, self.at)
        self.at += length
        return text.decode()

    def entry(self, kind: int) -> Any:
        if kind != _ARRAY:
            return self.string() if kind == _STRING else self.value(_SCALARS[kind])
        kind, count = self.value("<I"), self.value("<Q")
        if kind == _ARRAY:
            raise ValueError("an array of arrays")
        return [self.entry(kind) for _ in range(count)]

    def description(self) -> tuple[str, tuple[int, ...], int, int]:
        name, dimensions = self.string(), self.value("<I")
        if dimensions > _MOST_DIMENSIONS:
            raise ValueError(f"{dimensions} dimensions")
        shape = tuple(self.value("<Q") for _ in range(dimensions))
        return name, shape[::-1], self.value("<I"), self.value("<Q")
