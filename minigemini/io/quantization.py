"""The language model's Linears in 8 or 4 bits, by bitsandbytes on CUDA and on CPUs alike.

Everything that looks at pictures stays in the chosen dtype, and so does the head: together they are a few per cent of a
large model, and mining reads its weights itself. How both ways do on a CPU is in benchmarks/results/quantised.md.
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
"""Parts that are never quantised."""

NF4_BLOCK = 64
"""Weights that share a scale in 4 bits."""
NF4_ROWS = 32
"""Rows that bitsandbytes' 4-bit kernel for CPUs takes at a time."""

_MISSING = "quantize needs bitsandbytes: pip install 'minigemini[quantize]'"


def quantization_config(way: str, dtype: "torch.dtype | str" = "bfloat16") -> "BitsAndBytesConfig":
    """What `from_pretrained` takes as `quantization_config`, on any device.

    Args:
        way: `8bit` (LLM.int8(): rows of weights scaled, outlying activations apart) or `4bit` (NF4 in blocks of 64).
        dtype: in which 4-bit weights are multiplied; the one that the model is loaded in.

    Raises:
        RequestError: another way, or bitsandbytes is not installed.
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
    """Refuse an unknown way, or one whose libraries are not installed, without importing them.

    Raises:
        RequestError: one of the two.
    """
    if way not in QUANTIZATIONS:
        raise RequestError(f"quantize {way!r} is unknown; use {' or '.join(QUANTIZATIONS)}, or leave it out")
    if not (find_spec("bitsandbytes") and find_spec("accelerate")):
        raise RequestError(_MISSING)


def stored_quantization(config: Mapping[str, Any], name: str) -> str | None:
    """The way in which a checkpoint was saved quantised, by its config.json; None where it is plain.

    Raises:
        CheckpointError: quantised in a way that is not ours.
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
    """Refuse sizes that the kernel for CPUs cannot take, before it stops in the middle of an answer.

    Raises:
        RequestError: a Linear of the language model has such a size.
    """
    from bitsandbytes.nn import Linear4bit

    for path, module in model.named_modules():
        if isinstance(module, Linear4bit) and (module.out_features % NF4_ROWS or module.in_features % NF4_BLOCK):
            raise RequestError(
                f"{name}: 4bit on a CPU takes Linears from a multiple of {NF4_BLOCK} to a multiple of {NF4_ROWS} "
                f"channels, but {path} goes from {module.in_features} to {module.out_features}; use 8bit"
            )


def _import_bitsandbytes() -> None:
    """Import it without the kernel that it would fetch from the hub, where `kernels` is installed, and run.

    It also warns at every multiplication that 8-bit products are taken in float16.
    """
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    modules: dict[str, Any] = sys.modules
    kernels = modules.get("kernels")
    modules["kernels"] = None  # Python's way to say that there is no such module
    try:
        import accelerate  # noqa: F401 (Transformers quantises with it)
        import bitsandbytes  # noqa: F401
    except ImportError:
        raise RequestError(_MISSING) from None
    finally:
        del modules["kernels"]
        if kernels is not None:
            modules["kernels"] = kernels
