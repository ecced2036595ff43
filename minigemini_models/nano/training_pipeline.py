"""All steps of nano one behind the other, each in a folder of its own; what is finished takes no time."""

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
    """Run the steps in order, each going on where it stopped; gives the folder of the exported checkpoint.

    Args:
        name: of `nano.CHAINS`.
        folder: where each step keeps a folder of its own, and the checkpoint gets one by the chain's name.
        settings: in place of those of every step that is run.
        only: some of the steps; none is all.

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
    """Copy what stage 2 left, which is the checkpoint, to where it is looked for; whole or not at all.

    Raises:
        RecipeError: It is not there.
    """
    if not checkpoint.is_dir():
        raise RecipeError(f"{checkpoint}: not there; run the step {checkpoint.parent.name} first")
    with output_lock(folder):
        shutil.rmtree(folder, ignore_errors=True)
        with atomic_write(folder) as aside:
            shutil.copytree(checkpoint, aside)
