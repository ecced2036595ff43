"""What a run leaves behind, in the form that the rest of the house loads."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..model.small_parts import save_small_parts
from ..model.writing import written_aside
from .building import Built
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
    if trainer.is_sharded:
        state = trainer.accelerator.get_state_dict(trainer.model_wrapped)
        return {name.removeprefix("model."): tensor for name, tensor in state.items()}
    return dict(built.lesson.model.named_parameters())


def save(recipe: Recipe, built: Built, weights: Mapping[str, Tensor], folder: Path) -> Path:
    """Write the result, whole or not at all; one that is there is replaced.

    Raises:
        OSError: It cannot be written.
    """
    path = result_path(recipe, folder)
    if recipe.stage == "align":
        with torch.no_grad():
            for name, parameter in built.model.named_parameters():
                if parameter.requires_grad and weights[name] is not parameter:
                    parameter.data = weights[name]
        save_small_parts(built.model, path, base=built.base)
        return path
    shutil.rmtree(path, ignore_errors=True)
    with written_aside(path) as aside:
        if recipe.adapter == "none":
            model: Any = built.model
            model.config.dtype = built.stored
            state = {name: tensor.detach().to("cpu", built.stored) for name, tensor in weights.items()}
            if model.config.tie_word_embeddings:
                state["lm_head.weight"] = state[next(n for n in state if n.endswith("embed_tokens.weight"))]
            model.save_pretrained(aside, state_dict=state)
            built.processor.save_pretrained(aside)
        else:
            adapted: Any = built.lesson.model
            (settings,) = adapted.peft_config.values()
            settings.base_model_name_or_path = built.base
            adapted.save_pretrained(aside, state_dict={name: tensor.detach().cpu() for name, tensor in weights.items()})
    return path
