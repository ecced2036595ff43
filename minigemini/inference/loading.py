"""From a checkpoint folder to a model in memory: config, processor and weights must be whole and fit each other."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError

from ..model import MiniGeminiConfig, MiniGeminiForConditionalGeneration, MiniGeminiProcessor
from .checkpoint import check_loaded, find_checkpoint
from .errors import CheckpointError, RequestError, one_line
from .hub import DESCRIPTIONS, fetch, is_hub_id
from .placing import Placement
from .quantising import check_4bit_on_cpu, stored_way


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


def find_processor(model: str) -> MiniGeminiProcessor:
    """The processor of `nano`, of a folder, or of a hub id, whose weights stay where they are.

    Raises:
        CheckpointError: there is no such thing, or its processor cannot be loaded.
    """
    known = model == "nano" or Path(model).expanduser().exists() or not is_hub_id(model)
    folder = find_checkpoint(model) if known else fetch(model, DESCRIPTIONS)
    return load_processor(folder, load_config(folder))


def load_model(folder: Path, config: MiniGeminiConfig, placement: Placement) -> MiniGeminiForConditionalGeneration:
    """Load all weights, in eval mode, where they belong; safetensors only.

    Raises:
        CheckpointError: weights are missing, unknown, mis-shaped or broken.
        RequestError: they cannot be placed or quantised as asked for.
    """
    placement = _as_stored(folder, config, placement)
    arguments = placement.arguments()
    if getattr(config, "quantization_config", None) is not None:
        config.quantization_config = arguments.pop("quantization_config").to_dict()
    try:
        loaded: Any = MiniGeminiForConditionalGeneration.from_pretrained(
            folder,
            config=config,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # so that `check_loaded` names them all, and says it in one line
            **arguments,
        )
    except (SafetensorError, RuntimeError, OSError, ValueError) as error:
        if placement.device_map is not None:
            raise RequestError(
                f"{folder}: not placed by device_map {placement.device_map} ({one_line(error)})"
            ) from None
        raise CheckpointError(f"{folder}: the weights cannot be loaded ({one_line(error)})") from None
    model, report = loaded  # with output_loading_info there are two, which the annotations do not say
    check_loaded(folder, report["missing_keys"], report["unexpected_keys"], report["mismatched_keys"])
    if placement.quantize == "4bit" and placement.device.type == "cpu":
        check_4bit_on_cpu(model, str(folder))
    return model if "device_map" in arguments else model.to(placement.device)


def _as_stored(folder: Path, config: MiniGeminiConfig, placement: Placement) -> Placement:
    """The placement with the bits that a quantised checkpoint was saved in.

    Raises:
        RequestError: others are asked for.
    """
    stored = stored_way(vars(config), str(folder))
    if stored is None:
        return placement
    if placement.quantize not in (None, stored):
        raise RequestError(
            f"{folder}: holds {stored} weights, which do not become {placement.quantize}; leave quantize out"
        )
    return replace(placement, quantize=stored)
