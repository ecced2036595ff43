"""Runs the training steps of nano in sequence, each in its own folder; finished steps are skipped."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from minigemini.io.atomic_write import atomic_write
from minigemini.io.folder_lock import output_lock
from minigemini.training.pipeline_steps import check_steps, run_step
from minigemini.training.recipe import CHECKPOINT
from minigemini.training.settings import RecipeError

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
    check_steps(name, only, steps)
    named = [step for step in steps if not only or step in only]
    found = nano_recipes(str(folder))
    recipes = {step: found[step].changed(dict(settings)) for step in named if step != EXPORT}
    for step in named:
        if step == EXPORT:
            export(folder / f"{name}-instruct" / CHECKPOINT, folder / name)
        else:
            run_step(recipes[step], folder / step)
    return folder / name


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
