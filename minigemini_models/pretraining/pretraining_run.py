"""Set up `Pretraining` recipes for the trainer, and count their parameters for estimates."""

from typing import Any

import torch

from minigemini.data.seed_loader import SeedLoader
from minigemini.training import trainable
from minigemini.training.batches import MicroBatchCollator
from minigemini.training.estimate.parameter_counts import ParameterCounts, count_module
from minigemini.training.run_setup import RunSetup, rank_of
from minigemini.training.settings import RunSettings

from .pretraining_recipe import Pretraining
from .pretraining_task import PretrainingTask
from .tasks import TASKS


def set_up(recipe: Pretraining, state: Any) -> RunSetup:
    """Build the task of a recipe and the loader of its samples.

    Raises:
        RecipeError: the recipe cannot run, for example because the output of an earlier step is missing.
    """
    return set_up_task(recipe, TASKS[recipe.task](recipe), state)


def set_up_task(recipe: RunSettings, task: PretrainingTask, state: Any) -> RunSetup:
    """Set up a task whose sample i is made from seed i.

    Raises:
        RecipeError: the task cannot start.
    """
    rank, (_, steps, _) = rank_of(state), recipe.run_length()
    task.start()
    trainable.apply(task.module, task.parts)
    loader = SeedLoader(
        task.sample,
        MicroBatchCollator(task.collate, recipe.accumulation(rank["world_size"])),
        steps=steps,
        size=recipe.global_batch,
        seed=recipe.seed,
        workers=recipe.workers,
        **rank,
    )
    return RunSetup(
        task.module, trainable.check(task.module, task.parts), loader, steps, task.save, validate=task.validate
    )


def count_parameters(recipe: Pretraining) -> ParameterCounts:
    """Count the parameters of a task without allocating them.

    Raises:
        RecipeError: the task cannot be built.
    """
    with torch.device("meta"):
        task = TASKS[recipe.task](recipe)
    return count_module(recipe, task.module, task.parts, "model.")
