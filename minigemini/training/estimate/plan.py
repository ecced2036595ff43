"""The plan of a recipe of either kind."""

from dataclasses import replace
from pathlib import Path

import torch

from ...io.free_memory import free_memory
from ..batches import is_synthetic, open_mixture, steps_of
from ..recipe import Recipe
from ..run import processes
from ..settings import RecipeError, RunSettings
from .plan_text import RunPlan
from .probe_steps import measure


def make_plan(recipe: RunSettings) -> RunPlan:
    """Plan a run by as many processes as this is one of.

    Raises:
        RecipeError: There is neither what the recipe names nor what was published under that name.
    """
    state = processes()
    counted = recipe.count_parameters(state.device)
    free = free_memory()
    free_bytes = free[f"cuda:{state.device.index or 0}" if state.device.type == "cuda" else "cpu"]
    samples, steps, why_not = recipe.run_length()
    measured = None
    if not why_not and counted.bytes > free_bytes:
        why_not = "it does not fit here"
    if not why_not:
        try:
            measured = measure(recipe)
        except torch.OutOfMemoryError:
            why_not = "the heaviest batch does not fit here"
            counted = replace(counted, bytes=max(counted.bytes, free_bytes + 1))
        except RecipeError as error:  # what it starts from is not here
            why_not = str(error)
    return RunPlan(
        recipe, state.num_processes, str(state.device), counted, samples, steps, free_bytes, measured, why_not
    )


def length_of_stage(recipe: Recipe) -> tuple[int, int, str]:
    """Samples of an epoch; steps of the run; and why its data cannot be read, if so.

    Raises:
        RecipeError: A file of samples is not here, and it is none of the published.
    """
    missing = [part.file for part in recipe.data if not (is_synthetic(part) or Path(part.file).exists())]
    if not missing:
        samples, why_not = len(open_mixture(recipe)), ""
    elif any(part.published_samples is None for part in recipe.data):
        raise RecipeError(f"{recipe.name}: data {missing[0]}: no such file; name the one that holds the samples")
    else:
        samples = round(sum((part.published_samples or 0) * part.weight for part in recipe.data))
        why_not = f"{missing[0]} is not here"
    return samples, steps_of(recipe, samples), why_not
