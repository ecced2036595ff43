"""From a checkpoint folder to a model in memory: config, processor and weights must be whole and fit each other."""

from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError

from ..model import MiniGeminiConfig, MiniGeminiForConditionalGeneration, MiniGeminiProcessor
from .checkpoint import check_loaded
from .errors import CheckpointError, one_line

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class RequestError(ValueError):
    """What was asked for cannot be done; the message is one line that names the value and the mend."""


def choose_device(device: str | None = None) -> torch.device:
    """The device by its name; without one CUDA, else MPS, else the CPU.

    Raises:
        RequestError: there is no such device here.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if device is None:
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise RequestError(f"device {device!r} is unknown; use cpu, cuda, cuda:1 or mps") from None
    count = {"cpu": 1, "cuda": torch.cuda.device_count() if cuda else 0, "mps": int(mps)}.get(chosen.type, 0)
    if (chosen.index or 0) >= count:
        raise RequestError(f"device {device!r}: this machine has {count} of {chosen.type}; use cpu, or leave it out")
    return chosen


def choose_dtype(dtype: str | torch.dtype | None, device: torch.device) -> torch.dtype:
    """The dtype by its name; without one float32 on a CPU, where bfloat16 is slow, and bfloat16 elsewhere.

    Raises:
        RequestError: a dtype that the model is not run in.
    """
    if dtype is None:
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    chosen = DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if chosen is None or chosen not in DTYPES.values():
        raise RequestError(f"dtype {dtype!s} is unknown; use {', '.join(DTYPES)}")
    return chosen


def load_config(folder: Path) -> MiniGeminiConfig:
    """Read config.json strictly.

    Raises:
        CheckpointError: a field is wrong or does not fit another.
    """
    try:
        return MiniGeminiConfig.from_pretrained(folder, local_files_only=True)
    except (StrictDataclassError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{folder}: config.json is not valid: {one_line(error)}") from None


def load_processor(folder: Path, config: MiniGeminiConfig) -> MiniGeminiProcessor:
    """Load tokenizer, image processor and chat template.

    Raises:
        CheckpointError: one of them is missing or broken, or makes other tokens than the model takes.
    """
    try:
        processor = MiniGeminiProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # noqa: BLE001 (tokenizers raises plain Exception on a broken file)
        raise CheckpointError(
            f"{folder}: tokenizer or image processor cannot be loaded ({one_line(error)}); copy them beside the weights"
        ) from None
    if processor.chat_template is None:
        raise CheckpointError(f"{folder}: no chat_template.jinja; copy it beside the weights")
    theirs = (processor.num_image_tokens, processor.image_token_id)
    ours = (config.num_image_tokens, config.image_token_id)
    if theirs != ours:
        raise CheckpointError(
            f"{folder}: the processor makes {theirs[0]} tokens of id {theirs[1]} for a picture, but config.json takes "
            f"{ours[0]} of id {ours[1]}; use the files that were saved together"
        )
    return processor


def load_model(folder: Path, config: MiniGeminiConfig, dtype: torch.dtype) -> MiniGeminiForConditionalGeneration:
    """Load all weights, in eval mode, on the CPU; safetensors only.

    Raises:
        CheckpointError: weights are missing, unknown, mis-shaped or broken.
    """
    try:
        loaded: Any = MiniGeminiForConditionalGeneration.from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # so that `check_loaded` names them all, and says it in one line
        )
    except (SafetensorError, RuntimeError, OSError, ValueError) as error:
        raise CheckpointError(f"{folder}: the weights cannot be loaded ({one_line(error)})") from None
    model, report = loaded  # with output_loading_info there are two, which the annotations do not say
    check_loaded(folder, report["missing_keys"], report["unexpected_keys"], report["mismatched_keys"])
    return model
