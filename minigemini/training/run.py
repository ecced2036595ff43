"""Runs a recipe from start to report, and resumes stopped or killed runs from the newest checkpoint."""

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
from .trainer import StageTrainer, training_arguments
from .yaml_recipes import SAVED as RECIPE

FIGURES = "figures.json"


def train(recipe: RunSettings, folder: Path) -> Path:
    """Train a recipe; returns the path of the result: a weight file, an adapter folder or a checkpoint folder.

    Args:
        recipe: the recipe to train.
        folder: the run's own folder; a run of the same recipe in it is resumed from its newest checkpoint.

    Raises:
        RecipeError: The recipe cannot run; nothing was changed.
        FolderInUseError: Another process trains in the folder.
        DamagedFileError: There are checkpoints, but none is complete.
        KeyboardInterrupt: The run was stopped, and saved a checkpoint.
        TooManyBadSamplesError: More samples are bad than the recipe allows.
    """
    state = processes()
    with folder_lock(folder) if state.is_main_process else nullcontext():
        return _train(recipe, folder, state)


def _train(recipe: RunSettings, folder: Path, state: Any) -> Path:
    run_start = time.monotonic()
    if state.is_main_process:
        _claim(recipe, folder)
    state.wait_for_everyone()
    setup = recipe.set_up(folder, state)
    steps, world_size = setup.steps, state.num_processes
    path = recipe.result_path(folder)
    args = training_arguments(recipe, folder, steps, world_size, report_to(recipe), use_cpu=state.device.type == "cpu")
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
        with trainer.stopping_on_signals():
            training_start = time.monotonic()
            trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
            seconds = time.monotonic() - training_start
        if trainer.state.global_step < steps:
            raise KeyboardInterrupt
    elif trainer.is_sharded:
        return _existing_result(path)
    elif checkpoint is not None:
        trainer.load_finished(checkpoint)
    peak = peak_bytes(state.device)
    weights = full_weights(trainer, setup.module)
    if state.is_main_process:
        _save(setup, weights, path)
        steps_taken = trainer.state.global_step - done
        figures: dict[str, Any] = {
            "steps": steps,
            "steps of this session": steps_taken,
            "seconds per step": round(seconds / steps_taken, 4) if steps_taken else "none taken",
            "samples per second": round(steps_taken * recipe.global_batch / seconds, 3)
            if steps_taken
            else "none taken",
            "peak memory, GB": "not known" if peak is None else round(peak / 1e9, 3),
            "processes": world_size,
            "seconds of training": round(seconds, 2),
            "seconds in all": round(time.monotonic() - run_start, 1),
        }
        figures |= setup.validate() if not trainer.is_sharded else {}
        (folder / FIGURES).write_text(json.dumps(figures, indent=1) + "\n")
        answers = setup.answers() if not trainer.is_sharded else []
        write_report(folder, recipe, setup, trainer.state.log_history, figures, answers)
    state.wait_for_everyone()
    if world_size > 1:
        state.destroy_process_group()  # otherwise the first rank to exit can crash the others
    return path


def _save(setup: RunSetup, weights: Mapping[str, Tensor], path: Path) -> None:
    """Write the result of a run.

    Raises:
        RecipeError: The disk is full.
    """
    try:
        setup.save(weights, path)
    except (OSError, SafetensorError, RuntimeError) as error:
        if not is_full_disk(error, path.parent):
            raise
        raise RecipeError(f"{path}: the disk is full ({one_line(error)}); free some space and run again") from None


def _existing_result(result: Path) -> Path:
    """The result of a finished run.

    Raises:
        RecipeError: It does not exist.
    """
    if not result.exists():
        raise RecipeError(
            f"{result} is missing, although the run has finished; remove its newest checkpoint and run again"
        )
    return result


def processes() -> Any:
    """The state of distributed training, as set up by `torchrun` or `accelerate launch`."""
    try:
        from accelerate import PartialState
    except ImportError:
        raise RecipeError("training needs accelerate: pip install 'minigemini[train]'") from None
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it warns about missing kernels on every import
    return PartialState(cpu=not torch.accelerator.is_available())


def _claim(recipe: RunSettings, folder: Path) -> None:
    """Write the recipe into a folder, after checking that it holds no run of another recipe.

    Raises:
        RecipeError: The folder holds a run of another recipe.
    """
    check_same_recipe(recipe, folder)
    with atomic_write(folder / RECIPE) as partial:
        partial.write_text(json.dumps(recipe.as_dict(), indent=1) + "\n")


def check_same_recipe(recipe: RunSettings, folder: Path) -> None:
    """Check that a folder holds no run, or a run of this recipe.

    Raises:
        RecipeError: The folder holds a run of another recipe, or its recipe file is unreadable.
    """
    path = folder / RECIPE
    if not path.exists():
        return
    try:
        changed = recipe.differences(json.loads(path.read_text()))
    except (ValueError, AttributeError) as error:
        raise RecipeError(f"cannot read {path} ({error}); remove it or use another folder") from None
    if changed:
        raise RecipeError(f"{folder} holds a run of another recipe ({'; '.join(changed)}); use another folder")
