"""Set up `SmallTraining` recipes for the trainer, and count their parameters for estimates."""

from typing import Any

import torch

from minigemini.training.estimate.parameter_counts import ParameterCounts, count_module
from minigemini.training.run_setup import RunSetup

from ..pretraining.pretraining_run import set_up_task
from ..pretraining.pretraining_task import PretrainingTask
from .small_recipe import SmallTraining


def build_task(recipe: SmallTraining) -> PretrainingTask:
    """Build the task of a recipe.

    Raises:
        RecipeError: PEFT is missing.
    """
    if recipe.learns == "answers":
        from .answers_task import answers

        return answers(recipe)
    from .visual_words_task import visual_words

    return visual_words(recipe)


def set_up(recipe: SmallTraining, state: Any) -> RunSetup:
    """Build the task of a recipe and the loader of its samples.

    Raises:
        RecipeError: the recipe cannot run, for example because the output of the other step is missing.
    """
    return set_up_task(recipe, build_task(recipe), state)


def count_parameters(recipe: SmallTraining) -> ParameterCounts:
    """Count the parameters of a task, without weights.

    Raises:
        RecipeError: PEFT is missing.
    """
    from . import answers_task, visual_words_task
    from .parts_model import empty_model

    model = empty_model()
    if recipe.learns == "answers":
        with torch.device("meta"):
            answers_task.add_lora(model, recipe)
        return count_module(recipe, answers_task.AnswerModule(model), answers_task.PARTS, "model.")
    inner: Any = model.model
    inner.language_model = None  # as in training
    return count_module(recipe, visual_words_task.WordReader(inner), visual_words_task.PARTS, "model.")
