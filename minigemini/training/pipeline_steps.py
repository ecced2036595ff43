"""Runs one step of a pipeline."""

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from .run import check_same_recipe, train
from .settings import RecipeError, RunSettings


def check_steps(name: str, only: Iterable[str], steps: Sequence[str]) -> None:
    """Check that a pipeline has the chosen steps and runs in one process.

    Raises:
        RecipeError: A step is unknown, or several ranks run the pipeline.
    """
    if unknown := set(only) - set(steps):
        raise RecipeError(f"{name}: unknown step {min(unknown)!r}; choose from {', '.join(steps)}")
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise RecipeError(f"{name}: torchrun runs single steps only; name one, e.g. {steps[0]}")


def run_step(recipe: RunSettings, folder: Path) -> None:
    """Train a recipe, unless its result is already in the folder.

    Raises:
        RecipeError: The recipe cannot run, or the folder has a run of another recipe.
    """
    check_same_recipe(recipe, folder)
    result = recipe.result_path(folder)
    if result.exists():
        print(f"{recipe.name}: finished, {result}", file=sys.stderr)
    else:
        train(recipe, folder)
