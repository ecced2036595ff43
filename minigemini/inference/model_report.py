"""Report on a checkpoint: parameters per part, tokens per image, memory. Reads headers, not weights."""

import math
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..io.checkpoint import StoredTensor
from ..io.errors import CheckpointError
from ..io.free_memory import FitVerdict, fit_report, in_gb
from ..io.quantization import NF4_BLOCK, NF4_ROWS, QUANTIZATIONS, stored_quantization

if TYPE_CHECKING:
    from ..modeling import MiniGeminiConfig

PARTS = {
    "vision tower": "model.vision_tower.",
    "high-res tower": "model.high_res_vision_tower.",
    "mining": "model.patch_info_mining.",
    "projector": "model.multi_modal_projector.",
    "language model": "model.language_model.",
    "head": "lm_head.",
}
"""Prefix of the tensor names of each part."""

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes per parameter in each dtype that the engine can load."""

LOADED_AS = ("float32", "bfloat16", *QUANTIZATIONS)
"""Ways of loading that `fits` compares."""

STORED_BYTES = (
    dict.fromkeys(("F64", "I64", "U64"), 8)
    | dict.fromkeys(("F32", "I32", "U32"), 4)
    | dict.fromkeys(("F16", "BF16", "I16", "U16"), 2)
    | dict.fromkeys(("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 1)
)
"""Bytes per value in each dtype of safetensors."""


@dataclass(frozen=True)
class ModelReport:
    """Facts that `minigemini info` prints."""

    model: str
    folder: Path | None
    """None if the model was described from headers alone."""
    parameters: dict[str, int]
    """Per part. A tied head is not listed, and a baseline has neither high-res tower nor mining."""
    tokens_per_image: int
    low_res_size_px: int
    high_res_size_px: int
    tiles: int
    """Tiles per image, including the global tile."""
    positions_per_patch: int
    """M, high-resolution positions per side of a patch."""
    stored_as: dict[str, int]
    """Parameters per stored dtype, in safetensors' names."""
    linears: list[tuple[int, int]]
    """Rows and columns of the language model's Linears, which quantization compresses."""
    cached_values: int
    """Key and value elements in the cache per token."""
    has_native_shape: bool = False
    """Whether the number of tiles and tokens depends on an image's shape; those above are the most."""

    @property
    def total(self) -> int:
        """Total number of parameters."""
        return sum(self.parameters.values())

    @property
    def weights_bytes(self) -> dict[str, int]:
        """Memory of the weights per dtype, bytes, without activations and cache."""
        return {dtype: self.total * size for dtype, size in BYTES.items()}

    @property
    def quantized_bytes(self) -> dict[str, int]:
        """Memory of the weights with the language model's Linears quantized and the rest in bfloat16, bytes."""
        rest = BYTES["bfloat16"] * (self.total - sum(math.prod(shape) for shape in self.linears))
        return {way: rest + sum(_quantized(way, *shape) for shape in self.linears) for way in QUANTIZATIONS}

    @property
    def cache_bytes_per_token(self) -> dict[str, int]:
        """Memory of the keys and values of one token in all layers, bytes per dtype."""
        return {dtype: self.cached_values * size for dtype, size in BYTES.items()}

    @property
    def stored_bytes(self) -> int:
        """Size of the weight files, bytes."""
        return sum(count * STORED_BYTES[dtype] for dtype, count in self.stored_as.items())

    def fits(self, free: dict[str, int], disk: int, tokens: int = 1000) -> dict[str, dict[str, FitVerdict]]:
        """Whether each way of loading fits on each device; see `io.free_memory.fit_report`.

        Args:
            free: Free bytes per device.
            disk: Free bytes on disk. Files that are not local must be downloaded and converted into a second copy.
            tokens: Text tokens whose keys and values must fit too, with those of one image.
        """
        download_bytes = 0 if self.folder is not None else 2 * self.stored_bytes
        if download_bytes > disk:
            download = in_gb(download_bytes)
            reason = f"downloading and converting its files takes {download}, and the disk has {in_gb(disk)} free"
            return {way: {device: FitVerdict("no", reason) for device in free} for way in LOADED_AS}
        verdicts: dict[str, dict[str, FitVerdict]] = {}
        for way in LOADED_AS:
            weights = (self.weights_bytes | self.quantized_bytes)[way]
            cache = self.cache_bytes_per_token["float32" if way == "float32" else "bfloat16"]
            need = weights + cache * (tokens + self.tokens_per_image)
            rewritten = set(self.stored_as) != {"F32" if way == "float32" else "BF16"}
            verdicts[way] = {
                device: fit_report(
                    need, device, free, way in QUANTIZATIONS, disk=disk - download_bytes, rewritten=rewritten
                )
                for device in free
            }
        if any(columns % NF4_BLOCK or rows % NF4_ROWS for rows, columns in self.linears):
            # See `io.quantization`.
            multiples = f"channels in multiples of {NF4_BLOCK} and {NF4_ROWS}"
            verdicts["4bit"]["cpu"] = FitVerdict(
                "no", f"4bit on a CPU needs {multiples}, which some Linears lack; use 8bit"
            )
        return verdicts


def report_model(model: str | os.PathLike[str], base: str | os.PathLike[str] | None = None) -> ModelReport:
    """Describe `nano`, a folder, a hub id, or an adapter merged into its base.

    Raises:
        CheckpointError: The checkpoint does not exist, or its config or file headers are invalid.
    """
    from ..io.adapters import find_model_source  # imports torch, which published models do not need
    from ..io.loading import load_config

    found = find_model_source(model, base)
    if way := stored_quantization(found.checkpoint.config, os.fspath(model)):
        raise CheckpointError(f"{model}: contains packed {way} weights; use the unquantized checkpoint")
    return describe(os.fspath(model), load_config(found.folder), found.checkpoint.tensors, found.folder)


def describe(
    name: str, config: "MiniGeminiConfig", tensors: Mapping[str, StoredTensor], folder: Path | None = None
) -> ModelReport:
    """Describe a model from its config and the headers of its tensors."""
    parameters = dict.fromkeys((*PARTS, "other"), 0)
    stored_as: Counter[str] = Counter()
    for tensor_name, tensor in tensors.items():
        count = math.prod(tensor.shape)
        parameters[part_of(tensor_name)] += count
        stored_as[tensor.dtype] += count
    return ModelReport(
        model=name,
        folder=folder,
        parameters={part: count for part, count in parameters.items() if count},
        tokens_per_image=config.num_image_tokens,
        low_res_size_px=config.low_res_size,
        high_res_size_px=config.high_res_size,
        tiles=config.num_tiles,
        positions_per_patch=config.positions_per_patch,
        has_native_shape=config.max_tiles is not None,
        stored_as=dict(stored_as),
        linears=[(x.shape[0], x.shape[1]) for tensor_name, x in tensors.items() if _is_quantized(tensor_name, x)],
        cached_values=_cached_values(config),
    )


def part_of(name: str) -> str:
    """Return the part that a tensor belongs to, or `other`."""
    return next((part for part, prefix in PARTS.items() if name.startswith(prefix)), "other")


def _is_quantized(name: str, tensor: StoredTensor) -> bool:
    """Whether a tensor is the weight of a Linear in the language model, other than experts and their router."""
    is_linear = name.endswith(".weight") and len(tensor.shape) == 2 and ".layers." in name
    return is_linear and name.startswith(PARTS["language model"]) and ".experts." not in name and ".gate." not in name


def _quantized(way: str, rows: int, columns: int) -> int:
    """Bytes of one Linear: 8 bits and a float32 scale per row, or 4 bits and a scale per block of 64."""
    values = rows * columns
    return values + 4 * rows if way == "8bit" else -(-values // 2) + 4 * -(-values // NF4_BLOCK)


def _cached_values(config: "MiniGeminiConfig") -> int:
    """Elements that one token adds to the key-value cache."""
    text = config.text_config
    heads = text.num_attention_heads
    kv_heads, head_dim = getattr(text, "num_key_value_heads", None), getattr(text, "head_dim", None)
    return 2 * text.num_hidden_layers * (kv_heads or heads) * (head_dim or text.hidden_size // heads)
