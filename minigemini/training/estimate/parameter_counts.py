"""Counts trained and frozen parameters by part, and their bytes, without reading weights."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from ...conversion import PUBLISHED
from ...inference.model_report import part_of
from ...io.errors import CheckpointError
from ...io.loading import empty_model, load_config
from ...io.quantization import NF4_BLOCK
from ...modeling import MiniGeminiForConditionalGeneration
from .. import trainable
from ..build_model import configure, find_base
from ..recipe import Recipe
from ..settings import RecipeError, RunSettings

MOMENT_BYTES = {"adamw": 8, "adamw-8bit": 2}
"""Bytes of optimizer state per parameter."""


@dataclass(frozen=True)
class ParameterCounts:
    """Parameters and memory of a device without sharding.

    Attributes:
        trained, frozen: number of parameters by part.
        bytes: size of weights, gradients and optimizer state, without activations.
    """

    trained: Mapping[str, int]
    frozen: Mapping[str, int]
    bytes: int


def count_stage(recipe: Recipe, device: torch.device) -> ParameterCounts:
    """Count the parameters of a stage on a device.

    Raises:
        RecipeError: The base is missing, and no published model has its name.
    """
    return _count(recipe, _on_meta(recipe), device)


def count_module(recipe: RunSettings, module: nn.Module, parts: Mapping[str, str], prefix: str = "") -> ParameterCounts:
    """Count the parameters of a float32 module, which may be on the meta device.

    Args:
        recipe: determines the optimizer.
        module: the module to train.
        parts: patterns of the trained parameters' names, by part; see `trainable`.
        prefix: prefix of the model's parameter names in the module.
    """
    trained, frozen = _by_part(module, parts, prefix)
    return ParameterCounts(trained, frozen, 4 * frozen.total() + _trained_bytes(recipe, trained))


def _count(recipe: Recipe, model: MiniGeminiForConditionalGeneration, device: torch.device) -> ParameterCounts:
    plain = recipe if recipe.adapter == "none" else replace(recipe, adapter="none", stage="align")
    trained, frozen = _by_part(model, trainable.declared(plain, model.config))
    layers: Any = model.model.language_model.layers
    linears = [module for module in layers.modules() if isinstance(module, nn.Linear)]
    if recipe.adapter != "none":
        frozen["originals beside PEFT's copies"] = trained.total()
        trained["adapter"] = sum(recipe.lora_rank * (x.in_features + x.out_features) for x in linears)
    frozen_bytes = trainable.frozen_dtype(recipe.precision, device).itemsize
    held = frozen_bytes * frozen.total()
    if recipe.adapter == "qlora":
        quantized = sum(x.weight.numel() for x in linears)
        held -= round((frozen_bytes - 0.5 - 4 / NF4_BLOCK) * quantized)
    return ParameterCounts(trained, frozen, held + _trained_bytes(recipe, trained))


def _by_part(module: nn.Module, parts: Mapping[str, str], prefix: str = "") -> tuple[Counter[str], Counter[str]]:
    """Number of parameters by part, of declared parts and of all others."""
    trained, frozen = Counter[str](), Counter[str]()
    for name, parameter in module.named_parameters():
        part = trainable.part_of(name, parts)
        (frozen if part is None else trained)[part or part_of(name.removeprefix(prefix))] += parameter.numel()
    return trained, frozen


def _trained_bytes(recipe: RunSettings, trained: Counter[str]) -> int:
    """Bytes of float32 weights and gradients, and optimizer state."""
    return trained.total() * (4 + 4 + MOMENT_BYTES[recipe.optimizer])


def _on_meta(recipe: Recipe) -> MiniGeminiForConditionalGeneration:
    """The model without weights, by the base's config, or by the published config if the base is missing."""
    try:
        source = find_base(recipe)
        config, tensors = load_config(source.folder), source.checkpoint.tensors
    except RecipeError:
        name = "-".join(recipe.name.split("-")[:2])
        if name not in PUBLISHED:
            raise
        config = PUBLISHED[f"{name}-HD" if "-HD-" in recipe.name else name].config()
        tensors = None
    try:
        return empty_model(configure(recipe, config), tensors, recipe.base)
    except CheckpointError as error:
        raise RecipeError(f"{recipe.name}: {error}") from None
