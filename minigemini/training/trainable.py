"""Selects the parameters that a stage trains, by patterns over their names, and checks the built model."""

import re
from collections.abc import Mapping

import torch
from torch import nn

from ..modeling import MiniGeminiConfig, MiniGeminiForConditionalGeneration
from ..modeling.encoders import kind_of
from .recipe import Recipe
from .settings import RecipeError

LISTED_NAMES = 3

_CONNECTOR = {
    "mining": r"model\.patch_info_mining\.",
    "projector": r"model\.multi_modal_projector\.",
}
_LANGUAGE_MODEL = {
    "language model": r"model\.language_model\.",  # includes the routers of a mixture of experts
    "head": r"lm_head\.",
}
_ADAPTER = {
    "mining": r".*\.patch_info_mining\.modules_to_save\.",
    "projector": r".*\.multi_modal_projector\.modules_to_save\.",
    "adapter": r".*\.language_model\..*\.lora_[AB]\.",
}


def declared(recipe: Recipe, config: MiniGeminiConfig) -> dict[str, str]:
    """Patterns of the parameters that a recipe trains, by part; a pattern matches the start of a name."""
    if recipe.adapter != "none":
        parts = dict(_ADAPTER)
    else:
        parts = _CONNECTOR | (_LANGUAGE_MODEL if recipe.stage == "instruct" else {})
    if config.high_res_vision_config is None:
        del parts["mining"]
    if config.tie_word_embeddings:
        parts.pop("head", None)  # a tied head is the embedding of the language model
    if recipe.tune_encoders:
        low_res, high_res = config.vision_config, config.high_res_vision_config
        upper = kind_of(low_res).tunable(low_res, config.vision_depth)
        parts["upper layers of the low-resolution encoder"] = rf"model\.vision_tower\.(?:{upper})"
        if high_res is not None:
            last = kind_of(high_res).tunable(high_res)
            parts["last blocks of the high-resolution encoder"] = rf"model\.high_res_vision_tower\.(?:{last})"
    return parts


def part_of(name: str, parts: Mapping[str, str]) -> str | None:
    """The part that a parameter belongs to; None if no pattern matches."""
    return next((part for part, pattern in parts.items() if re.match(pattern, name)), None)


def apply(model: nn.Module, parts: Mapping[str, str]) -> None:
    """Set `requires_grad` on the declared parameters, and clear it on all others."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(part_of(name, parts) is not None)


def check(model: nn.Module, parts: Mapping[str, str]) -> dict[str, int]:
    """Check that exactly the declared parameters train; returns the number of parameters by part.

    Raises:
        RecipeError: A part has no parameters, a declared parameter is frozen, or another parameter trains.
    """
    counts = dict.fromkeys(parts, 0)
    frozen: list[tuple[str, int]] = []
    undeclared: list[tuple[str, int]] = []
    for name, parameter in model.named_parameters():
        part = part_of(name, parts)
        if part is not None:
            counts[part] += parameter.numel()
        if (part is not None) != parameter.requires_grad:
            (frozen if part is not None else undeclared).append((name, parameter.numel()))
    empty = [part for part, count in counts.items() if not count]
    if empty or not counts:
        raise RecipeError(
            f"no parameters to train for {' and '.join(empty) or 'this recipe'}: none of the model's names match"
        )
    for found, problem in ((frozen, "are declared but frozen"), (undeclared, "train but are not declared")):
        if found:
            names = ", ".join(name for name, _ in found[:LISTED_NAMES]) + (", …" if len(found) > LISTED_NAMES else "")
            total = sum(count for _, count in found)
            raise RecipeError(f"{len(found)} tensors with {total:,} parameters {problem}: {names}")
    return counts


def freeze_encoders(model: MiniGeminiForConditionalGeneration) -> None:
    """Keep both encoders in eval mode, without dropout and drop path, even when the model is set to train."""
    for tower in (model.model.vision_tower, model.model.high_res_vision_tower):
        if tower is not None:
            tower.eval()
            tower.train = lambda mode=True, tower=tower: tower


def set_dtypes(model: MiniGeminiForConditionalGeneration, parts: Mapping[str, str], frozen: torch.dtype) -> None:
    """Convert trained parameters to float32 and frozen ones to `frozen`; partly trained encoders to float32 as a whole.

    8-bit and 4-bit weights are unchanged, and so are buffers, except the statistics of batch norms, which on CPUs must
    have the dtype of the weights.
    """
    towers = ("model.vision_tower.", "model.high_res_vision_tower.")
    names = [name for name, _ in model.named_parameters()]
    tuned = [t for t in towers if any(name.startswith(t) and part_of(name, parts) for name in names)]
    for name, parameter in model.named_parameters():
        if parameter.is_floating_point():
            trains = part_of(name, parts) is not None or name.startswith(tuple(tuned))
            parameter.data = parameter.data.to(torch.float32 if trains else frozen)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and module.affine:
            module.running_mean, module.running_var = (
                None if statistic is None else statistic.to(module.weight.dtype)
                for statistic in (module.running_mean, module.running_var)
            )


def frozen_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The dtype of frozen weights.

    On CPUs without matrix units bfloat16 is slower than float32: 1.9 times for the ViT, 1.5 times for the ConvNeXt (one
    layer of each at the published size, one thread of an Intel Xeon with AVX512-BF16).
    """
    return torch.float32 if precision == "fp32" or device.type == "cpu" else torch.bfloat16
