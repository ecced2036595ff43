"""Parameters that train and that are frozen, by part, and the bytes they take: no weight is read."""

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
"""Of an optimiser's state, per parameter."""


@dataclass(frozen=True)
class ParameterCounts:
    """What a device holds where nothing is sharded.

    Attributes:
        trained, frozen: parameters by part.
        bytes: of weights, gradients and the optimiser's moments; activations come on top.
    """

    trained: Mapping[str, int]
    frozen: Mapping[str, int]
    bytes: int


def count_stage(recipe: Recipe, device: torch.device) -> ParameterCounts:
    """Count what a stage builds on a device.

    Raises:
        RecipeError: There is neither what it starts from nor what was published under that name.
    """
    return _count(recipe, _on_meta(recipe), device)


def count_module(recipe: RunSettings, module: nn.Module, parts: Mapping[str, str], prefix: str = "") -> ParameterCounts:
    """Count a module on the meta device, all in float32, of which declared parts train.

    Args:
        recipe: says which optimizer.
        module: what is trained.
        parts: patterns of parameter names, by part; see `trainable`.
        prefix: what stands before the names of the model's own parameters.
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
    each = trainable.frozen_dtype(recipe.precision, device).itemsize
    held = each * frozen.total()
    if recipe.adapter == "qlora":
        in_4_bits = sum(x.weight.numel() for x in linears)
        held -= round((each - 0.5 - 4 / NF4_BLOCK) * in_4_bits)
    return ParameterCounts(trained, frozen, held + _trained_bytes(recipe, trained))


def _by_part(module: nn.Module, parts: Mapping[str, str], prefix: str = "") -> tuple[Counter[str], Counter[str]]:
    """Parameters of declared parts and of all others, whose names are the model's behind a prefix."""
    trained, frozen = Counter[str](), Counter[str]()
    for name, parameter in module.named_parameters():
        part = trainable.part_of(name, parts)
        (frozen if part is None else trained)[part or part_of(name.removeprefix(prefix))] += parameter.numel()
    return trained, frozen


def _trained_bytes(recipe: RunSettings, trained: Counter[str]) -> int:
    """Weights and gradients in float32, and moments."""
    return trained.total() * (4 + 4 + MOMENT_BYTES[recipe.optimizer])


def _on_meta(recipe: Recipe) -> MiniGeminiForConditionalGeneration:
    """The model without weights: of the base's config, or of the published one while the base is not here."""
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
