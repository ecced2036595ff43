"""Runs the training steps of nano in sequence, each in its own folder; finished steps are skipped."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from minigemini.io.atomic_write import atomic_write
from minigemini.io.folder_lock import output_lock
from minigemini.training.recipe import CHECKPOINT
from minigemini.training.run import check_same_recipe, train
from minigemini.training.settings import RecipeError, RunSettings

from .nano_recipes import EXPORT, nano_recipes, pipeline_steps


def train_pipeline(name: str, folder: Path, settings: Mapping[str, str], only: Sequence[str] = ()) -> Path:
    """Run the steps in order, resuming the one that was interrupted, and return the exported checkpoint's folder.

    Args:
        name: a key of `nano_recipes.PIPELINES`.
        folder: parent of the steps' folders, and of the checkpoint's, which is named like the pipeline.
        settings: settings to override in every step.
        only: steps to run; all if empty.

    Raises:
        RecipeError: A step is unknown or cannot run.
    """
    steps = pipeline_steps(name)
    if unknown := set(only) - set(steps):
        raise RecipeError(f"{name}: unknown step {min(unknown)!r}; choose from {', '.join(steps)}")
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise RecipeError(f"{name}: torchrun runs single steps only; name one, e.g. {steps[0]}")
    named = [step for step in steps if not only or step in only]
    found = nano_recipes(str(folder))
    recipes = {step: found[step].changed(dict(settings)) for step in named if step != EXPORT}
    for step in named:
        if step == EXPORT:
            export(folder / f"{name}-instruct" / CHECKPOINT, folder / name)
        else:
            _step(recipes[step], folder / step)
    return folder / name


def _step(recipe: RunSettings, folder: Path) -> None:
    check_same_recipe(recipe, folder)
    result = recipe.result_path(folder)
    if result.exists():
        print(f"{recipe.name}: finished, {result}", file=sys.stderr)
    else:
        train(recipe, folder)


def export(checkpoint: Path, folder: Path) -> None:
    """Copy the checkpoint of stage 2 to its final folder, atomically.

    Raises:
        RecipeError: The checkpoint does not exist.
    """
    if not checkpoint.is_dir():
        raise RecipeError(f"{checkpoint}: no such checkpoint; run the step {checkpoint.parent.name} first")
    with output_lock(folder):
        shutil.rmtree(folder, ignore_errors=True)
        with atomic_write(folder) as aside:
            shutil.copytree(checkpoint, aside)
