"""What a run leaves behind, in the form that the rest of the house loads."""

import copy
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from ..model import MiniGeminiForConditionalGeneration
from ..model.small_parts import save_small_parts
from ..model.writing import written_aside
from .building import Built, Lesson
from .recipe import Recipe
from .recipes import STAGE_1_FILE
from .trainer import StageTrainer

ADAPTER, CHECKPOINT = "adapter", "model"


def result_path(recipe: Recipe, folder: Path) -> Path:
    """Where the result of a run lies: a file of small parts, an adapter's folder, or a checkpoint's."""
    if recipe.stage == "align":
        return folder / STAGE_1_FILE
    return folder / (CHECKPOINT if recipe.adapter == "none" else ADAPTER)


def whole_weights(trainer: StageTrainer, built: Built) -> dict[str, Tensor]:
    """All parameters by their names in the model that trains; ranks that hold shards gather them, so call it on all."""
    if trainer.is_deepspeed_enabled:
        state = trainer.accelerator.get_state_dict(trainer.model_wrapped)
        return {name.removeprefix("model."): tensor for name, tensor in state.items()}
    if trainer.is_fsdp_enabled:
        sharded = cast(Lesson, trainer.model).model.named_parameters()
        return {
            # One at a time, and onto the CPU; a copy, because what was gathered may be a promise.
            name: (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).detach().to("cpu", copy=True)
            for name, tensor in sharded
        }
    return dict(built.lesson.model.named_parameters())


def save(recipe: Recipe, built: Built, weights: Mapping[str, Tensor], folder: Path) -> Path:
    """Write the result, whole or not at all; one that is there is replaced.

    Raises:
        OSError: It cannot be written.
    """
    path = result_path(recipe, folder)
    if recipe.stage == "align":
        save_small_parts(_holding(weights, built), path, base=built.base)
        return path
    shutil.rmtree(path, ignore_errors=True)
    with written_aside(path) as aside:
        if recipe.adapter == "none":
            stored = {name: tensor.detach().to("cpu", built.stored) for name, tensor in weights.items()}
            model: Any = _holding(stored, built)
            model.config.dtype = built.stored
            model.save_pretrained(aside)
            built.processor.save_pretrained(aside)
        else:
            adapted: Any = built.lesson.model
            (settings,) = adapted.peft_config.values()
            settings.base_model_name_or_path = built.base
            adapted.save_pretrained(aside, state_dict={name: tensor.detach().cpu() for name, tensor in weights.items()})
    return path


def _holding(weights: Mapping[str, Tensor], built: Built) -> MiniGeminiForConditionalGeneration:
    """A model of these tensors, without a copy: the one that trained may hold shards, and be in another dtype."""
    with torch.device("meta"):
        model = MiniGeminiForConditionalGeneration(copy.deepcopy(built.model.config))
    # Detached: assigning a parameter would set whether it trains. A tied head is not among them, hence not strict.
    model.load_state_dict({name: tensor.detach() for name, tensor in weights.items()}, strict=False, assign=True)
    model.tie_weights()
    model.generation_config = built.model.generation_config
    return model
