"""Loads config, processor and weights from a checkpoint folder, and checks that they are complete and consistent."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers.core_model_loading import revert_weight_conversion

from ..modeling import MiniGeminiConfig, MiniGeminiForConditionalGeneration, MiniGeminiProcessor
from ..plugins import model_folder
from .checkpoint import check_config, check_loaded, find_checkpoint, stored_tensors
from .checkpoint_settings import check_generation, check_processor
from .errors import CheckpointError, RequestError, one_line
from .hub import DESCRIPTIONS, fetch, is_hub_id
from .integrity import check_descriptions, weights_checked
from .placement import Placement
from .quantization import check_4bit_on_cpu, stored_quantization
from .untrusted import bounded_build, check_files, panics_as_errors, read_json

_DESCRIPTIONS = ("processor_config.json", "preprocessor_config.json", "tokenizer_config.json", "chat_template.json")


def load_config(folder: Path) -> MiniGeminiConfig:
    """Load config.json.

    Raises:
        CheckpointError: A field is invalid or inconsistent.
    """
    check_config(read_json(folder / "config.json", f"{folder} is not a checkpoint folder"), str(folder))
    try:
        return MiniGeminiConfig.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # noqa: BLE001 (values of a wrong type can fail anywhere)
        raise CheckpointError(f"{folder}: config.json is not valid: {one_line(error)}") from None


def load_processor(folder: Path, config: MiniGeminiConfig) -> MiniGeminiProcessor:
    """Load tokenizer, image processor and chat template.

    Raises:
        CheckpointError: One of them is missing, corrupt, or does not match the model.
    """
    for name in _DESCRIPTIONS:
        if (folder / name).exists():
            read_json(folder / name, str(folder))
    try:
        with panics_as_errors():
            processor = MiniGeminiProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # noqa: BLE001 (tokenizers raises plain Exception for corrupt files)
        raise CheckpointError(
            f"{folder}: tokenizer or image processor cannot be loaded ({one_line(error)}); copy them beside the weights"
        ) from None
    processor.image_processor.high_res_only = None  # a setting for other tools, which they may have saved
    if processor.chat_template is None:
        raise CheckpointError(f"{folder}: no chat_template.jinja; copy it beside the weights")
    check_processor(processor, config, str(folder))
    return processor


def find_processor(model: str) -> MiniGeminiProcessor:
    """Load the processor of `nano`, a folder, or a hub id, without downloading weights.

    Raises:
        CheckpointError: The model does not exist, or its processor cannot be loaded.
    """
    is_local = model_folder(model) is not None or Path(model).expanduser().exists() or not is_hub_id(model)
    folder = find_checkpoint(model) if is_local else fetch(model, DESCRIPTIONS)
    check_files(folder)
    check_descriptions(folder)
    return load_processor(folder, load_config(folder))


def load_model(folder: Path, config: MiniGeminiConfig, placement: Placement) -> MiniGeminiForConditionalGeneration:
    """Load a model in eval mode, from safetensors only.

    Raises:
        CheckpointError: Weights are missing, unknown, corrupt, or of another shape.
        RequestError: The requested placement or quantization is not possible.
    """
    placement = _as_stored(folder, config, placement)
    arguments = placement.arguments()
    if getattr(config, "quantization_config", None) is not None:
        config.quantization_config = arguments.pop("quantization_config").to_dict()
    # bitsandbytes replaces each Linear by another one, and then its parameter.
    copies = 2 if placement.quantize is None else 4
    try:
        with weights_checked(folder), bounded_build(stored_tensors(folder), str(folder), copies):
            loaded: Any = MiniGeminiForConditionalGeneration.from_pretrained(
                folder,
                config=config,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # `check_loaded` reports them all in one line
                **arguments,
            )
    except CheckpointError:
        raise
    except Exception as error:  # noqa: BLE001 (values of a wrong type can fail anywhere)
        if placement.device_map is not None:
            raise RequestError(
                f"{folder}: device_map {placement.device_map} failed ({one_line(error)}); choose another"
            ) from None
        raise CheckpointError(f"{folder}: the weights cannot be loaded ({one_line(error)})") from None
    model, report = loaded  # output_loading_info returns a tuple, unlike the annotation
    check_loaded(folder, report["missing_keys"], report["unexpected_keys"], report["mismatched_keys"])
    check_generation(model.generation_config, config, str(folder))
    if placement.quantize == "4bit" and placement.device.type == "cpu":
        check_4bit_on_cpu(model, str(folder))
    _copy_buffers(model)
    return model if "device_map" in arguments else model.to(placement.device)


def _copy_buffers(model: torch.nn.Module) -> None:
    """Replace buffers by copies: as views of the file they keep all of it in memory, once weights are converted."""
    for module in model.modules():
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, buffer.clone())


def _as_stored(folder: Path, config: MiniGeminiConfig, placement: Placement) -> Placement:
    """The placement with the quantization that the checkpoint was saved with.

    Raises:
        RequestError: Another quantization is requested.
    """
    stored = stored_quantization(vars(config), str(folder))
    if stored is None:
        return placement
    if placement.quantize not in (None, stored):
        raise RequestError(
            f"{folder}: weights are saved in {stored} and cannot be loaded in {placement.quantize}; omit quantize"
        )
    return replace(placement, quantize=stored)


def empty_model(
    config: MiniGeminiConfig, tensors: Mapping[str, Any] | None, name: str
) -> MiniGeminiForConditionalGeneration:
    """Create a model on the meta device.

    Args:
        config: The config of the model.
        tensors: The stored tensors, which limit the size of the model; None for no limit.
        name: The name of the checkpoint, for errors.

    Raises:
        CheckpointError: The config is invalid, or describes a much larger model than is stored.
    """
    bounds = nullcontext() if tensors is None else bounded_build(tensors, name)
    try:
        with torch.device("meta"), bounds:
            return MiniGeminiForConditionalGeneration(config)
    except CheckpointError:
        raise
    except Exception as error:  # noqa: BLE001 (values of a wrong type can fail anywhere)
        raise CheckpointError(f"{name}: config.json describes no model ({one_line(error)}); copy it again") from None


def stored_layout(
    config: MiniGeminiConfig, tensors: Mapping[str, Any] | None = None, name: str = "the model"
) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors in a checkpoint, as `save_pretrained` writes them.

    Arguments and errors are those of `empty_model`.
    """
    model = empty_model(config, tensors, name)
    state = model.state_dict()
    if config.tie_word_embeddings:
        state.pop("lm_head.weight")
    return {name: tuple(tensor.shape) for name, tensor in revert_weight_conversion(model, state).items()}
