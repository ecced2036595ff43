"""Set up `SmallTraining` recipes for the trainer, and count their parameters for estimates."""

from collections.abc import Callable
from typing import Any

from minigemini.training.estimate.parameter_counts import ParameterCounts, count_module
from minigemini.training.run_setup import RunSetup

from ..pretraining.pretraining_run import set_up_task
from ..pretraining.pretraining_task import PretrainingTask
from .answers_task import answers
from .small_recipe import SmallTraining
from .visual_words_task import visual_words

TASKS: dict[str, Callable[[SmallTraining], PretrainingTask]] = {"visual-words": visual_words, "answers": answers}


def set_up(recipe: SmallTraining, state: Any) -> RunSetup:
    """Build the task of a recipe and the loader of its samples.

    Raises:
        RecipeError: the recipe cannot run, for example because the output of the other step is missing.
    """
    return set_up_task(recipe, TASKS[recipe.learns](recipe), state)


def count_parameters(recipe: SmallTraining) -> ParameterCounts:
    """Count the parameters of a task."""
    task = TASKS[recipe.learns](recipe)
    return count_module(recipe, task.module, task.parts, "model.")
