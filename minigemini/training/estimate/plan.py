"""Plans a run: counts parameters, and measures a few steps where that is possible."""

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
    """Plan a run with the current number of processes.

    Raises:
        RecipeError: The base or the data are missing, and there are no published figures for them.
    """
    state = processes()
    counted = recipe.count_parameters(state.device)
    free = free_memory()
    free_bytes = free[f"cuda:{state.device.index or 0}" if state.device.type == "cuda" else "cpu"]
    samples, steps, why_not = recipe.run_length()
    measured = None
    if not why_not and counted.bytes > free_bytes:
        why_not = "the model does not fit into memory"
    if not why_not:
        try:
            measured = measure(recipe)
        except torch.OutOfMemoryError:
            why_not = "the largest batch does not fit into memory"
            counted = replace(counted, bytes=max(counted.bytes, free_bytes + 1))
        except RecipeError as error:  # the base is missing
            why_not = str(error)
    return RunPlan(
        recipe, state.num_processes, str(state.device), counted, samples, steps, free_bytes, measured, why_not
    )


def length_of_stage(recipe: Recipe) -> tuple[int, int, str]:
    """The samples of an epoch, the steps of the run, and the reason if its data cannot be read (else "").

    Raises:
        RecipeError: A data file is missing and has no published sample count.
    """
    missing = [part.file for part in recipe.data if not (is_synthetic(part) or Path(part.file).exists())]
    if not missing:
        samples, why_not = len(open_mixture(recipe)), ""
    elif any(part.published_samples is None for part in recipe.data):
        raise RecipeError(f"{recipe.name}: data {missing[0]}: no such file; check data=")
    else:
        samples = round(sum((part.published_samples or 0) * part.weight for part in recipe.data))
        why_not = f"{missing[0]} does not exist"
    return samples, steps_of(recipe, samples), why_not
