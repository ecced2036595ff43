"""From a checkpoint folder to a model in memory: config, processor and weights must be whole and fit each other."""

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
    """Read config.json strictly.

    Raises:
        CheckpointError: a field is wrong or does not fit another.
    """
    check_config(read_json(folder / "config.json", f"{folder} is no checkpoint folder"), str(folder))
    try:
        return MiniGeminiConfig.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # noqa: BLE001 (a value of a wrong type fails wherever it is first used)
        raise CheckpointError(f"{folder}: config.json is not valid: {one_line(error)}") from None


def load_processor(folder: Path, config: MiniGeminiConfig) -> MiniGeminiProcessor:
    """Load tokenizer, image processor and chat template.

    Raises:
        CheckpointError: one of them is missing or broken, or makes other tokens than the model takes.
    """
    for name in _DESCRIPTIONS:
        if (folder / name).exists():
            read_json(folder / name, str(folder))
    try:
        with panics_as_errors():
            processor = MiniGeminiProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # noqa: BLE001 (tokenizers raises plain Exception on a broken file)
        raise CheckpointError(
            f"{folder}: tokenizer or image processor cannot be loaded ({one_line(error)}); copy them beside the weights"
        ) from None
    if processor.chat_template is None:
        raise CheckpointError(f"{folder}: no chat_template.jinja; copy it beside the weights")
    check_processor(processor, config, str(folder))
    return processor


def find_processor(model: str) -> MiniGeminiProcessor:
    """The processor of `nano`, of a folder, or of a hub id, whose weights stay where they are.

    Raises:
        CheckpointError: there is no such thing, or its processor cannot be loaded.
    """
    known = model_folder(model) is not None or Path(model).expanduser().exists() or not is_hub_id(model)
    folder = find_checkpoint(model) if known else fetch(model, DESCRIPTIONS)
    check_files(folder)
    check_descriptions(folder)
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
        with weights_checked(folder), bounded_build(stored_tensors(folder), str(folder)):
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
    except CheckpointError:
        raise
    except Exception as error:  # noqa: BLE001 (a value of a wrong type fails wherever it is first used)
        if placement.device_map is not None:
            raise RequestError(
                f"{folder}: not placed by device_map {placement.device_map} ({one_line(error)})"
            ) from None
        raise CheckpointError(f"{folder}: the weights cannot be loaded ({one_line(error)})") from None
    model, report = loaded  # with output_loading_info there are two, which the annotations do not say
    check_loaded(folder, report["missing_keys"], report["unexpected_keys"], report["mismatched_keys"])
    check_generation(model.generation_config, config, str(folder))
    if placement.quantize == "4bit" and placement.device.type == "cpu":
        check_4bit_on_cpu(model, str(folder))
    return model if "device_map" in arguments else model.to(placement.device)


def _as_stored(folder: Path, config: MiniGeminiConfig, placement: Placement) -> Placement:
    """The placement with the bits that a quantised checkpoint was saved in.

    Raises:
        RequestError: others are asked for.
    """
    stored = stored_quantization(vars(config), str(folder))
    if stored is None:
        return placement
    if placement.quantize not in (None, stored):
        raise RequestError(
            f"{folder}: holds {stored} weights, which do not become {placement.quantize}; leave quantize out"
        )
    return replace(placement, quantize=stored)


def empty_model(
    config: MiniGeminiConfig, tensors: Mapping[str, Any] | None, name: str
) -> MiniGeminiForConditionalGeneration:
    """The model of a config, without memory for its weights.

    Args:
        config: of the model.
        tensors: what is stored for it, than which it must not be much larger; None where nothing is.
        name: of the checkpoint, for the error.

    Raises:
        CheckpointError: there is no such model, or it is larger.
    """
    bounds = nullcontext() if tensors is None else bounded_build(tensors, name)
    try:
        with torch.device("meta"), bounds:
            return MiniGeminiForConditionalGeneration(config)
    except CheckpointError:
        raise
    except Exception as error:  # noqa: BLE001 (a value of a wrong type fails wherever it is first used)
        raise CheckpointError(f"{name}: config.json describes no model ({one_line(error)}); copy it again") from None


def stored_layout(
    config: MiniGeminiConfig, tensors: Mapping[str, Any] | None = None, name: str = "the model"
) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors in a checkpoint of this model, as `save_pretrained` writes it.

    Arguments and errors are those of `empty_model`.
    """
    model = empty_model(config, tensors, name)
    state = model.state_dict()
    if config.tie_word_embeddings:
        state.pop("lm_head.weight")
    return {name: tuple(tensor.shape) for name, tensor in revert_weight_conversion(model, state).items()}
