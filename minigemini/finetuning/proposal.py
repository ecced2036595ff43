"""Proposes a recipe from the size of the model, the number and length of samples, and free memory.

Rates and rank of large models are LLaVA-1.5's (`published_recipes`); those of small ones were tried with nano. More
epochs for fewer samples, so that even ten samples give some tens of steps.
"""

import os
from dataclasses import replace
from pathlib import Path

import torch

from ..io.free_memory import free_memory
from ..training.recipe import DataPart, Recipe
from ..training.run import processes
from .survey import Survey

SMALL, LARGE = 10**8, 10**9
"""Parameters of a model that trains fully by default, and from which the rates of published models hold."""
MEMORY_SHARE = 0.8
"""Share of free memory for weights, gradients and optimizer state; the rest is left to activations."""
_EPOCHS = ((100, 10), (1000, 5), (10_000, 3))
"""Passes over fewer samples than this; one over more."""
_RANKS = ((1000, 16), (10_000, 64))
"""LoRA rank for fewer samples than this; 128, as in LLaVA-1.5, for more."""
_TOKENS_STEP = 64


def propose(
    found: Survey, model: str, context_tokens: int, train: Path, *, lora: bool | None = None, name: str = "finetune"
) -> Recipe:
    """Propose a recipe.

    Args:
        found: the data.
        model: name or folder of the model to start from.
        context_tokens: the model's context.
        train: manifest of the samples to train on.
        lora: train an adapter, or the whole language model; None chooses by size and memory.
        name: name of the recipe.

    Raises:
        RecipeError: The model is missing or is an adapter.
    """
    device = processes().device
    samples = len(found.parts.train)
    longest = -(-int(found.tokens.max()) // _TOKENS_STEP) * _TOKENS_STEP
    batch = min(32, 2 ** max(1, (samples // 16).bit_length()))
    full = Recipe(
        name=name,
        stage="instruct",
        base=model,
        data=(DataPart(str(train)),),
        global_batch=batch,
        micro_batch=min(4, batch),
        epochs=_under(_EPOCHS, samples, 1),
        max_length=min(context_tokens, longest),
        precision="fp32" if device.type == "cpu" else "bf16",
        connector_lr_multiplier=0.1,
        workers=0 if samples < _EPOCHS[1][0] else min(4, os.cpu_count() or 1),
    )
    counted = full.count_parameters(device)
    parameters = sum(counted.trained.values()) + sum(counted.frozen.values())
    adapted = replace(full, adapter="lora", lora_rank=(rank := _under(_RANKS, samples, 128)), lora_alpha=2 * rank)
    if lora is None:
        lora = parameters > SMALL or counted.bytes > MEMORY_SHARE * _free_bytes(device)
    chosen = adapted if lora else full
    steps = -(-samples // batch) * int(chosen.epochs)
    return replace(
        chosen,
        learning_rate=_rate(parameters, lora),
        gradient_checkpointing=parameters > SMALL,
        save_steps=min(500, max(10, steps // 5)),
    )


def _rate(parameters: int, lora: bool) -> float:
    if parameters > LARGE:
        return 2e-4 if lora else 2e-5
    if parameters > SMALL:
        return 4e-4 if lora else 5e-5
    return 1e-3 if lora else 5e-4


def _under(table: tuple[tuple[int, int], ...], samples: int, otherwise: int) -> int:
    return next((value for limit, value in table if samples < limit), otherwise)


def _free_bytes(device: torch.device) -> int:
    free = free_memory()
    return free[f"cuda:{device.index or 0}" if device.type == "cuda" else "cpu"]
