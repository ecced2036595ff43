"""What a checkpoint consists of: parameters by part, tokens per picture, memory. No weight is read."""

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
"""Names of the parts, and how their tensors' names begin."""

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes per parameter in each dtype that the engine loads."""

LOADED_AS = ("float32", "bfloat16", *QUANTIZATIONS)
"""Ways of loading that `fits` tells of."""

STORED_BYTES = (
    dict.fromkeys(("F64", "I64", "U64"), 8)
    | dict.fromkeys(("F32", "I32", "U32"), 4)
    | dict.fromkeys(("F16", "BF16", "I16", "U16"), 2)
    | dict.fromkeys(("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 1)
)
"""Bytes per number in each dtype of safetensors."""


@dataclass(frozen=True)
class ModelReport:
    """What `minigemini info` prints."""

    model: str
    folder: Path | None
    """None: it was described by its headers alone."""
    parameters: dict[str, int]
    """By part. A head that shares the embedding has none of its own; a baseline has no high-res tower and no mining."""
    tokens_per_image: int
    low_res_size_px: int
    high_res_size_px: int
    tiles: int
    """Tiles per picture, the global one included."""
    positions_per_patch: int
    """M: high-resolution positions along one side of a patch."""
    stored_as: dict[str, int]
    """Parameters by the dtype they are stored in, by safetensors' names."""
    linears: list[tuple[int, int]]
    """Rows and columns of the language model's Linears, which quantising makes smaller."""
    cached_numbers: int
    """Of keys and values, per token."""

    @property
    def total(self) -> int:
        """All parameters."""
        return sum(self.parameters.values())

    @property
    def weights_bytes(self) -> dict[str, int]:
        """Memory for the weights by dtype, bytes; pictures and text come on top."""
        return {dtype: self.total * size for dtype, size in BYTES.items()}

    @property
    def quantized_bytes(self) -> dict[str, int]:
        """The same with the language model's Linears in 8 or 4 bits, scales included, and all else in bfloat16."""
        rest = BYTES["bfloat16"] * (self.total - sum(math.prod(shape) for shape in self.linears))
        return {way: rest + sum(_quantized(way, *shape) for shape in self.linears) for way in QUANTIZATIONS}

    @property
    def cache_bytes_per_token(self) -> dict[str, int]:
        """Keys and values of all layers for one token, visual or not, by dtype."""
        return {dtype: self.cached_numbers * size for dtype, size in BYTES.items()}

    @property
    def stored_bytes(self) -> int:
        """Size of the files that hold the weights."""
        return sum(count * STORED_BYTES[dtype] for dtype, count in self.stored_as.items())

    def fits(self, free: dict[str, int], disk: int, tokens: int = 1000) -> dict[str, dict[str, FitVerdict]]:
        """Whether each way of loading fits, by device; see `memory.verdict`.

        Args:
            free: bytes by device.
            disk: free bytes there. Files that are not here yet are fetched, and then converted into a second copy.
            tokens: of text whose keys and values must fit too, beside those of one picture.
        """
        to_come = 0 if self.folder is not None else 2 * self.stored_bytes
        if to_come > disk:
            what = f"its files, fetched and converted, take {in_gb(to_come)}, and the disk has {in_gb(disk)} free"
            return {way: {device: FitVerdict("no", what) for device in free} for way in LOADED_AS}
        found: dict[str, dict[str, FitVerdict]] = {}
        for way in LOADED_AS:
            weights = (self.weights_bytes | self.quantized_bytes)[way]
            cache = self.cache_bytes_per_token["float32" if way == "float32" else "bfloat16"]
            need = weights + cache * (tokens + self.tokens_per_image)
            rewritten = set(self.stored_as) != {"F32" if way == "float32" else "BF16"}
            found[way] = {
                device: fit_report(need, device, free, way in QUANTIZATIONS, disk=disk - to_come, rewritten=rewritten)
                for device in free
            }
        if any(columns % NF4_BLOCK or rows % NF4_ROWS for rows, columns in self.linears):
            # See `quantising.check_4bit_on_cpu`.
            multiples = f"channels in multiples of {NF4_BLOCK} and {NF4_ROWS}"
            found["4bit"]["cpu"] = FitVerdict(
                "no", f"4bit on a CPU needs {multiples}, which some Linears lack; use 8bit"
            )
        return found


def report_model(model: str | os.PathLike[str], base: str | os.PathLike[str] | None = None) -> ModelReport:
    """Describe `nano`, a folder, a hub id, or what an adapter becomes over its base.

    Raises:
        CheckpointError: there is no such checkpoint, or its config or the headers of its files are broken.
    """
    from ..io.adapters import find_model_source  # both need torch, and a published model's report does not
    from ..io.loading import load_config

    found = find_model_source(model, base)
    if way := stored_quantization(found.checkpoint.config, os.fspath(model)):
        raise CheckpointError(f"{model}: holds {way} weights, packed; name the checkpoint that it was made of")
    return describe(os.fspath(model), load_config(found.folder), found.checkpoint.tensors, found.folder)


def describe(
    name: str, config: "MiniGeminiConfig", tensors: Mapping[str, StoredTensor], folder: Path | None = None
) -> ModelReport:
    """Describe a model by its config and the headers of its tensors, wherever they come from."""
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
        stored_as=dict(stored_as),
        linears=[(x.shape[0], x.shape[1]) for tensor_name, x in tensors.items() if _is_quantized(tensor_name, x)],
        cached_numbers=_cached_numbers(config),
    )


def part_of(name: str) -> str:
    """The part that a tensor belongs to by its name, or `other`."""
    return next((part for part, prefix in PARTS.items() if name.startswith(prefix)), "other")


def _is_quantized(name: str, tensor: StoredTensor) -> bool:
    """Whether a tensor is the weight of a Linear in the language model; mixed experts and their router are none."""
    is_linear = name.endswith(".weight") and len(tensor.shape) == 2 and ".layers." in name
    return is_linear and name.startswith(PARTS["language model"]) and ".experts." not in name and ".gate." not in name


def _quantized(way: str, rows: int, columns: int) -> int:
    """Bytes of one Linear: 8 bits and a float32 scale per row, or 4 bits and one per block of 64."""
    numbers = rows * columns
    return numbers + 4 * rows if way == "8bit" else -(-numbers // 2) + 4 * -(-numbers // NF4_BLOCK)


def _cached_numbers(config: "MiniGeminiConfig") -> int:
    """Numbers that one token leaves in the cache."""
    text = config.text_config
    heads = text.num_attention_heads
    kept, width = getattr(text, "num_key_value_heads", None), getattr(text, "head_dim", None)
    return 2 * text.num_hidden_layers * (kept or heads) * (width or text.hidden_size // heads)
