"""Which parameters a stage trains: declared as patterns over their names, applied, and checked once all is built."""

import re
from collections.abc import Mapping

import torch
from torch import nn

from ..modeling import MiniGeminiConfig, MiniGeminiForConditionalGeneration
from .recipe import Recipe
from .settings import RecipeError

SHOWN = 3

_SMALL_PARTS = {
    "mining": r"model\.patch_info_mining\.",
    "projector": r"model\.multi_modal_projector\.",
}
_LANGUAGE_MODEL = {
    "language model": r"model\.language_model\.",  # routers of mixed experts lie in it
    "head": r"lm_head\.",
}
_ADAPTER = {
    "mining": r".*\.patch_info_mining\.modules_to_save\.",
    "projector": r".*\.multi_modal_projector\.modules_to_save\.",
    "adapter": r".*\.language_model\..*\.lora_[AB]\.",
}


def declared(recipe: Recipe, config: MiniGeminiConfig) -> dict[str, str]:
    """What trains: by the name of a part, a pattern that its parameters' names begin with."""
    if recipe.adapter != "none":
        parts = dict(_ADAPTER)
    else:
        parts = _SMALL_PARTS | (_LANGUAGE_MODEL if recipe.stage == "instruct" else {})
    if config.high_res_vision_config is None:
        del parts["mining"]
    if config.tie_word_embeddings:
        parts.pop("head", None)  # it is the embedding, a parameter of the language model
    if recipe.tune_encoders:
        upper = "|".join(str(layer) for layer in range(config.vision_depth // 2, config.vision_depth))
        parts["upper half of the ViT"] = rf"model\.vision_tower\.encoder\.layers\.({upper})\."
        if config.high_res_vision_config is not None:
            depths = enumerate(config.high_res_vision_config.depths)
            last = "|".join(rf"{stage}\.layers\.{depth - 1}" for stage, depth in depths)
            parts["last blocks of the ConvNeXt"] = rf"model\.high_res_vision_tower\.encoder\.stages\.({last})\."
    return parts


def part_of(name: str, parts: Mapping[str, str]) -> str | None:
    """The part that a parameter belongs to; None where it is none's."""
    return next((part for part, pattern in parts.items() if re.match(pattern, name)), None)


def apply(model: nn.Module, parts: Mapping[str, str]) -> None:
    """Have the declared parameters train, and no other."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(part_of(name, parts) is not None)


def check(model: nn.Module, parts: Mapping[str, str]) -> dict[str, int]:
    """Hold what would train to what is declared; gives the count of parameters by part.

    Raises:
        RecipeError: A part is not there, or what is declared does not train, or something else does.
    """
    counts = dict.fromkeys(parts, 0)
    still: list[tuple[str, int]] = []
    strange: list[tuple[str, int]] = []
    for name, parameter in model.named_parameters():
        part = part_of(name, parts)
        if part is not None:
            counts[part] += parameter.numel()
        if (part is not None) != parameter.requires_grad:
            (still if part is not None else strange).append((name, parameter.numel()))
    empty = [part for part, count in counts.items() if not count]
    if empty or not counts:
        raise RecipeError(f"nothing to train as {' and '.join(empty) or 'declared'}: the model has no such parameters")
    for found, what in ((still, "are declared to train, but do not"), (strange, "train, but are not declared to")):
        if found:
            names = ", ".join(name for name, _ in found[:SHOWN]) + (", …" if len(found) > SHOWN else "")
            numbers = sum(count for _, count in found)
            raise RecipeError(f"{len(found)} tensors of {numbers:,} parameters {what}: {names}")
    return counts


def freeze_encoders(model: MiniGeminiForConditionalGeneration) -> None:
    """Keep both encoders in eval mode whatever the model is told: no dropout, no drop path, tuned or not."""
    for tower in (model.model.vision_tower, model.model.high_res_vision_tower):
        if tower is not None:
            tower.eval()
            tower.train = lambda mode=True, tower=tower: tower


def set_dtypes(model: MiniGeminiForConditionalGeneration, parts: Mapping[str, str], frozen: torch.dtype) -> None:
    """Hold what trains in float32 and what is frozen in `frozen`; an encoder that trains in part is whole in float32.

    Weights in 8 or 4 bits stay as they are, and so do buffers.
    """
    towers = ("model.vision_tower.", "model.high_res_vision_tower.")
    names = [name for name, _ in model.named_parameters()]
    tuned = [t for t in towers if any(name.startswith(t) and part_of(name, parts) for name in names)]
    for name, parameter in model.named_parameters():
        if parameter.is_floating_point():
            trains = part_of(name, parts) is not None or name.startswith(tuple(tuned))
            parameter.data = parameter.data.to(torch.float32 if trains else frozen)


def frozen_dtype(precision: str, device: torch.device) -> torch.dtype:
    """In which dtype frozen weights are held.

    On a CPU without matrix units bfloat16 is the slower one: the ViT takes 1.9 times as long, the ConvNeXt 1.5 times
    (a layer of each at the published size, one thread of an Intel Xeon with AVX512-BF16).
    """
    return torch.float32 if precision == "fp32" or device.type == "cpu" else torch.bfloat16
