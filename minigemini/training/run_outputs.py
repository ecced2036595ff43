"""What a run leaves behind, in the form that the rest of the house loads."""

import copy
import shutil
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
    """All parameters by their names in the lesson; ranks that hold shards gather them, so call it on all."""
    if trainer.is_deepspeed_enabled:
        return trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if trainer.is_fsdp_enabled:
        sharded = cast(nn.Module, trainer.model).named_parameters()
        return {
            # One at a time, and onto the CPU; a copy, because what was gathered may be a promise.
            name: (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).detach().to("cpu", copy=True)
            for name, tensor in sharded
        }
    return dict(module.named_parameters())


def save(recipe: Recipe, built: BuiltModel, weights: Mapping[str, Tensor], path: Path) -> None:
    """Write what a stage leaves, whole or not at all; one that is there is replaced.

    Args:
        recipe: of the stage.
        built: what it trained.
        weights: all of them, by their names in the lesson.
        path: see `result_path`.

    Raises:
        OSError: It cannot be written.
    """
    weights = {name.removeprefix("model."): tensor for name, tensor in weights.items()}
    if recipe.stage == "align":
        save_connector(_holding(weights, built.model), path, base=built.base)
    elif recipe.adapter == "none":
        save_checkpoint(weights, built.model, built.processor, built.stored, path)
    else:
        adapted: Any = built.module.model
        (settings,) = adapted.peft_config.values()
        settings.base_model_name_or_path = built.base
        shutil.rmtree(path, ignore_errors=True)
        with atomic_write(path) as aside:
            adapted.save_pretrained(aside, state_dict={name: tensor.detach().cpu() for name, tensor in weights.items()})
            write_sums(aside)


def save_checkpoint(
    weights: Mapping[str, Tensor],
    like: MiniGeminiForConditionalGeneration,
    processor: MiniGeminiProcessor,
    dtype: torch.dtype,
    path: Path,
) -> None:
    """Write a whole checkpoint of these weights, with the config and the generation settings of the model `like`.

    Raises:
        OSError: It cannot be written.
    """
    model: Any = _holding({name: tensor.detach().to("cpu", dtype) for name, tensor in weights.items()}, like)
    model.config.dtype = dtype
    shutil.rmtree(path, ignore_errors=True)
    with atomic_write(path) as aside:
        model.save_pretrained(aside)
        processor.save_pretrained(aside)
        write_sums(aside)


def _holding(
    weights: Mapping[str, Tensor], like: MiniGeminiForConditionalGeneration
) -> MiniGeminiForConditionalGeneration:
    """A model of these tensors, without a copy: the one that trained may hold shards, and be in another dtype."""
    with torch.device("meta"):
        model = MiniGeminiForConditionalGeneration(copy.deepcopy(like.config))
    # Detached: assigning a parameter would set whether it trains. A tied head is not among them, hence not strict.
    model.load_state_dict({name: tensor.detach() for name, tensor in weights.items()}, strict=False, assign=True)
    model.tie_weights()
    model.generation_config = like.generation_config
    return model
