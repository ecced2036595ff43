"""A run from its recipe to its report; one that was stopped or killed goes on where its newest checkpoint stands."""

import json
import logging
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from ..io.atomic_write import atomic_write, is_full_disk
from ..io.errors import one_line
from ..io.folder_lock import folder_lock
from .batches import MicroBatchStream
from .callbacks import LogCallback, ProgressCallback, report_to
from .checkpointing import step_of
from .peak_memory import peak_bytes
from .run_outputs import full_weights
from .run_report import write_report
from .run_setup import RunSetup
from .settings import RecipeError, RunSettings
from .trainer import StageTrainer
from .trainer_arguments import arguments
from .yaml_recipes import SAVED as RECIPE

FIGURES = "figures.json"


def train(recipe: RunSettings, folder: Path) -> Path:
    """Run a recipe in a folder; gives what it leaves: a file of some parts, an adapter's folder or a checkpoint's.

    Args:
        recipe: which.
        folder: of this run alone; one that holds checkpoints of the same recipe goes on from the newest.

    Raises:
        RecipeError: It cannot run; nothing was done.
        FolderInUseError: Another process trains in that folder.
        DamagedFileError: There are checkpoints, but none is whole.
        KeyboardInterrupt: It was asked to stop, and has saved.
        TooManyFaultsError: More of the data are broken than the recipe puts up with.
    """
    state = processes()
    with folder_lock(folder) if state.is_main_process else nullcontext():
        return _train(recipe, folder, state)


def _train(recipe: RunSettings, folder: Path, state: Any) -> Path:
    began = time.monotonic()
    if state.is_main_process:
        _claim(recipe, folder)
    state.wait_for_everyone()
    setup = recipe.set_up(folder, state)
    steps, world_size = setup.steps, state.num_processes
    path = recipe.result_path(folder)
    args = arguments(recipe, folder, steps, world_size, report_to(recipe), use_cpu=state.device.type == "cpu")
    trainer = StageTrainer(
        setup.module,
        MicroBatchStream(setup.loader),
        recipe,
        args,
        [LogCallback(folder), ProgressCallback(recipe)],
    )
    trainer.check_optimizer(sum(setup.trained.values()))
    checkpoint = trainer.resume()
    done = 0 if checkpoint is None else step_of(checkpoint)
    seconds = 0.0
    if done < steps:
        with trainer.ending_on_ctrl_c():
            started = time.monotonic()
            trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
            seconds = time.monotonic() - started
        if trainer.state.global_step < steps:
            raise KeyboardInterrupt
    elif trainer.is_sharded:
        return _found(path)
    elif checkpoint is not None:
        trainer.load_finished(checkpoint)
    peak = peak_bytes(state.device)
    weights = full_weights(trainer, setup.module)
    if state.is_main_process:
        _save(setup, weights, path)
        taken = trainer.state.global_step - done
        figures: dict[str, Any] = {
            "steps": steps,
            "steps of this session": taken,
            "seconds per step": round(seconds / taken, 4) if taken else "none taken",
            "samples per second": round(taken * recipe.global_batch / seconds, 3) if taken else "none taken",
            "peak memory, GB": "not known" if peak is None else round(peak / 1e9, 3),
            "processes": world_size,
            "seconds of training": round(seconds, 2),
            "seconds in all": round(time.monotonic() - began, 1),
        }
        (folder / FIGURES).write_text(json.dumps(figures, indent=1) + "\n")
        answers = setup.answers() if not trainer.is_sharded else []
        write_report(folder, recipe, setup, trainer.state.log_history, figures, answers)
    state.wait_for_everyone()
    if world_size > 1:
        state.destroy_process_group()  # or a rank that ends first can take another down with it
    return path


def _save(setup: RunSetup, weights: Mapping[str, Tensor], path: Path) -> None:
    """Write what a run leaves.

    Raises:
        RecipeError: The disk is full.
    """
    try:
        setup.save(weights, path)
    except (OSError, SafetensorError, RuntimeError) as error:
        if not is_full_disk(error, path.parent):
            raise
        raise RecipeError(f"{path}: the disk is full ({one_line(error)}); make room, and run it again") from None


def _found(result: Path) -> Path:
    """What a finished run has left.

    Raises:
        RecipeError: It is not there.
    """
    if not result.exists():
        raise RecipeError(
            f"{result}: not there, though the run has ended; remove its newest checkpoint to end it again"
        )
    return result


def processes() -> Any:
    """How many processes train together, and which this is; `torchrun` and `accelerate launch` say so."""
    try:
        from accelerate import PartialState
    except ImportError:
        raise RecipeError("training needs accelerate: pip install 'minigemini[train]'") from None
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it says what it has no kernel for, to everyone
    return PartialState(cpu=not torch.accelerator.is_available())


def _claim(recipe: RunSettings, folder: Path) -> None:
    """Write the recipe into a folder, or hold it to the one that is there.

    Raises:
        RecipeError: Another recipe's run is there.
    """
    check_same_recipe(recipe, folder)
    with atomic_write(folder / RECIPE) as aside:
        aside.write_text(json.dumps(recipe.as_dict(), indent=1) + "\n")


def check_same_recipe(recipe: RunSettings, folder: Path) -> None:
    """Compare a recipe with that of the run in a folder, if there is one.

    Raises:
        RecipeError: It is another one's, or no recipe.
    """
    path = folder / RECIPE
    if not path.exists():
        return
    try:
        changed = recipe.differences(json.loads(path.read_text()))
    except (ValueError, AttributeError) as error:
        raise RecipeError(f"{path} cannot be read ({error}); remove it, or name another folder") from None
    if changed:
        raise RecipeError(f"{folder} holds a run of another recipe ({'; '.join(changed)}); name another folder")
