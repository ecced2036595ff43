"""Writes the result of a stage: connector weights, an adapter, or a whole checkpoint."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from ..io.atomic_write import atomic_write
from ..io.connector import save_connector
from ..io.hashes import write_sums
from ..modeling import MiniGeminiForConditionalGeneration, MiniGeminiProcessor
from .build_model import BuiltModel
from .recipe import Recipe
from .trainer import StageTrainer


def full_weights(trainer: StageTrainer, module: nn.Module) -> dict[str, Tensor]:
    """All parameters by their names in the module. Sharded ones are gathered, so all ranks must call this."""
    if trainer.is_deepspeed_enabled:
        return trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if trainer.is_fsdp_enabled:
        sharded = cast(nn.Module, trainer.model).named_parameters()
        return {
            # One at a time to the CPU; copied, because the gathered tensor may be an asynchronous result.
            name: (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).detach().to("cpu", copy=True)
            for name, tensor in sharded
        }
    return dict(module.named_parameters())


def save(recipe: Recipe, built: BuiltModel, weights: Mapping[str, Tensor], path: Path) -> None:
    """Write the result of a stage atomically, replacing an earlier one.

    Args:
        recipe: the stage's recipe.
        built: the trained model.
        weights: all weights by their names in the module.
        path: the path of the result.

    Raises:
        OSError: It cannot be written.
    """
    weights = {name.removeprefix("model."): tensor for name, tensor in weights.items()}
    if recipe.stage == "align":
        save_connector(_model_with(weights, built.model), path, base=built.base)
    elif recipe.adapter == "none":
        save_checkpoint(weights, built.model, built.processor, built.stored, path)
    else:
        adapted: Any = built.module.model
        (settings,) = adapted.peft_config.values()
        settings.base_model_name_or_path = built.base
        with atomic_write(path, replace_folder=True) as partial:
            adapted.save_pretrained(
                partial, state_dict={name: tensor.detach().cpu() for name, tensor in weights.items()}
            )
            write_sums(partial)


def save_checkpoint(
    weights: Mapping[str, Tensor],
    like: MiniGeminiForConditionalGeneration,
    processor: MiniGeminiProcessor,
    dtype: torch.dtype,
    path: Path,
) -> None:
    """Write a whole checkpoint of the weights, with the config and the generation config of the model `like`.

    Raises:
        OSError: It cannot be written.
    """
    tensors = {**weights, **_persistent_buffers(like)}
    model: Any = _model_with({name: _cast(tensor, dtype) for name, tensor in tensors.items()}, like)
    model.config.dtype = dtype
    with atomic_write(path, replace_folder=True) as partial:
        model.save_pretrained(partial)
        processor.save_pretrained(partial)
        write_sums(partial)


def _persistent_buffers(model: nn.Module) -> dict[str, Tensor]:
    """Buffers that checkpoints contain, such as the statistics of batch norms; they are never sharded."""
    stored = model.state_dict().keys()
    return {name: buffer for name, buffer in model.named_buffers() if name in stored}


def _cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.detach().to("cpu", dtype if tensor.is_floating_point() else tensor.dtype)


def _model_with(
    weights: Mapping[str, Tensor], like: MiniGeminiForConditionalGeneration
) -> MiniGeminiForConditionalGeneration:
    """A model with these tensors, not copied; the trained model may be sharded or have another dtype."""
    with torch.device("meta"):
        model = MiniGeminiForConditionalGeneration(copy.deepcopy(like.config))
    # Detached, so that assigning does not change `requires_grad`. A tied head is not in the weights, hence not strict.
    model.load_state_dict({name: tensor.detach() for name, tensor in weights.items()}, strict=False, assign=True)
    model.tie_weights()
    model.generation_config = like.generation_config
    return model
