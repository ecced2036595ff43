"""Runs of `Pretraining` recipes: their tasks, set up for the trainer and counted for a plan."""

from typing import Any

import torch

from minigemini.data.seed_loader import SeedLoader
from minigemini.training import trainable
from minigemini.training.batches import MicroBatchCollator
from minigemini.training.estimate.parameter_counts import ParameterCounts, count_module
from minigemini.training.run_setup import RunSetup, rank_of

from . import TASKS
from .pretraining_recipe import Pretraining


def set_up(recipe: Pretraining, state: Any) -> RunSetup:
    """Build the task of a recipe, and the loader that draws its samples.

    Raises:
        RecipeError: It cannot run.
    """
    rank = rank_of(state)
    task = TASKS[recipe.task](recipe)
    task.start()
    trainable.apply(task.module, task.parts)
    loader = SeedLoader(
        task.sample,
        MicroBatchCollator(task.collate, recipe.accumulation(rank["world_size"])),
        steps=recipe.steps,
        size=recipe.global_batch,
        seed=recipe.seed,
        workers=recipe.workers,
        **rank,
    )
    return RunSetup(task.module, trainable.check(task.module, task.parts), loader, recipe.steps, task.save)


def count_parameters(recipe: Pretraining) -> ParameterCounts:
    """Count what a task builds, without memory for its weights.

    Raises:
        RecipeError: What it starts from is not here.
    """
    with torch.device("meta"):
        task = TASKS[recipe.task](recipe)
    return count_module(recipe, task.module, task.parts, "model.")
