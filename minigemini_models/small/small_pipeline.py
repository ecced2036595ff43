"""Run all steps of `small`, and write the folder that the package ships."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from minigemini.io.atomic_write import atomic_write
from minigemini.io.folder_lock import output_lock
from minigemini.io.hashes import write_sums
from minigemini.io.pinned_files import obtain
from minigemini.training.pipeline_steps import check_steps, run_step
from minigemini.training.recipe import CHECKPOINT
from minigemini.training.settings import RecipeError

from .packing import pack
from .parts import SMOLLM2_GGUF
from .parts_model import ADAPTER, BASE
from .small_recipes import PACK, STEPS, small_recipes

CARD = Path(__file__).parent / "card"
"""What goes with the weights: the model card, and examples for the chat page."""


def train_small(folder: Path, settings: Mapping[str, str], only: Sequence[str] = ()) -> Path:
    """Run the steps in order, each going on where it stopped; returns the folder of the shipped parts.

    Args:
        folder: folder in which each step has its own.
        settings: overrides of the settings of every step that runs.
        only: some of the steps; by default all.

    Raises:
        RecipeError: A step is unknown or cannot run.
    """
    check_steps("small", only, (*STEPS, PACK))
    recipes = {name: recipe.changed(dict(settings)) for name, recipe in small_recipes(str(folder)).items()}
    for step in STEPS:
        if not only or step in only:
            run_step(recipes[step], folder / step)
    shipped = folder / "small"
    if not only or PACK in only:
        trained = folder / STEPS[-1] / CHECKPOINT
        if not trained.is_dir():
            raise RecipeError(f"{trained} is missing; run the step {STEPS[-1]} first")
        with output_lock(shipped), atomic_write(shipped, replace_folder=True) as aside:
            pack(trained / BASE, trained / ADAPTER, obtain(SMOLLM2_GGUF), aside)
            shutil.copytree(CARD, aside, dirs_exist_ok=True)
            write_sums(aside)
    return shipped
