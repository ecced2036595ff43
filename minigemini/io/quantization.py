"""Quantizes the language model's linear layers to 8 or 4 bits with bitsandbytes, on CUDA and CPUs.

The vision encoders, mining, the projector and the head keep their dtype: they are a few percent of a large model, and
mining reads its weights directly. Measurements on a CPU are in benchmarks/results/quantised.md.
"""

import logging
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from .errors import CheckpointError, RequestError

if TYPE_CHECKING:
    import torch
    from transformers import BitsAndBytesConfig

QUANTIZATIONS = ("8bit", "4bit")
NOT_QUANTIZED = [
    "model.vision_tower",
    "model.high_res_vision_tower",
    "model.patch_info_mining",
    "model.multi_modal_projector",
    "lm_head",
]
"""Modules that are never quantized."""

NF4_BLOCK = 64
"""Number of 4-bit weights that share a scale."""
NF4_ROWS = 32
"""Rows that bitsandbytes' 4-bit CPU kernel processes at a time."""

_MISSING = "quantize needs bitsandbytes: pip install 'minigemini[quantize]'"


def quantization_config(way: str, dtype: "torch.dtype | str" = "bfloat16") -> "BitsAndBytesConfig":
    """Create the `quantization_config` of `from_pretrained`.

    Args:
        way: `8bit` (LLM.int8(): weights scaled by row, outlier activations separate) or `4bit` (NF4 in blocks of 64).
        dtype: The dtype that 4-bit weights are multiplied in; that of the model.

    Raises:
        RequestError: The quantization is unknown, or bitsandbytes is not installed.
    """
    check_quantization(way)
    _import_bitsandbytes()
    from transformers import BitsAndBytesConfig

    if way == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=NOT_QUANTIZED)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype, llm_int8_skip_modules=NOT_QUANTIZED
    )


def check_quantization(way: str) -> None:
    """Check that a quantization is known and its libraries are installed, without importing them.

    Raises:
        RequestError: It is unknown, or a library is missing.
    """
    if way not in QUANTIZATIONS:
        raise RequestError(f"quantize {way!r} is unknown; use {' or '.join(QUANTIZATIONS)}, or leave it out")
    if not (find_spec("bitsandbytes") and find_spec("accelerate")):
        raise RequestError(_MISSING)


def stored_quantization(config: Mapping[str, Any], name: str) -> str | None:
    """The quantization of a checkpoint, from its config.json; None if it is not quantized.

    Raises:
        CheckpointError: The quantization is not one that this package writes.
    """
    parts = [part for part in config.values() if isinstance(part, Mapping) and part.get("quantization_config")]
    stored = config.get("quantization_config")
    if stored is None and not parts:
        return None
    if isinstance(stored, Mapping) and stored.get("quant_method") == "bitsandbytes" and not parts:
        fields = ("load_in_8bit", "load_in_4bit", "llm_int8_skip_modules")
        match [stored.get(name) for name in fields]:
            case [True, False, skipped] if skipped == NOT_QUANTIZED:
                return "8bit"
            case [False, True, skipped] if skipped == NOT_QUANTIZED and stored.get("bnb_4bit_quant_type") == "nf4":
                return "4bit"
    raise CheckpointError(
        f"{name}: config.json holds a quantization_config that is not ours (bitsandbytes, the language model alone); "
        "use the checkpoint it was made of, with quantize"
    )


def check_4bit_on_cpu(model: "torch.nn.Module", name: str) -> None:
    """Check that the 4-bit CPU kernel supports the sizes of all layers, which otherwise fails during generation.

    Raises:
        RequestError: A linear layer has an unsupported size.
    """
    from bitsandbytes.nn import Linear4bit

    for path, module in model.named_modules():
        if isinstance(module, Linear4bit) and (module.out_features % NF4_ROWS or module.in_features % NF4_BLOCK):
            raise RequestError(
                f"{name}: 4bit on a CPU takes Linears from a multiple of {NF4_BLOCK} to a multiple of {NF4_ROWS} "
                f"channels, but {path} goes from {module.in_features} to {module.out_features}; use 8bit"
            )


def _import_bitsandbytes() -> None:
    """Import bitsandbytes, but prevent it from downloading and running a kernel from the hub via `kernels`.

    Its warning at every multiplication, that 8-bit products use float16, is silenced.
    """
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    modules: dict[str, Any] = sys.modules
    kernels = modules.get("kernels")
    modules["kernels"] = None  # makes the import raise ImportError
    try:
        import accelerate  # noqa: F401 (Transformers needs it for quantization)
        import bitsandbytes  # noqa: F401
    except ImportError:
        raise RequestError(_MISSING) from None
    finally:
        del modules["kernels"]
        if kernels is not None:
            modules["kernels"] = kernels
