"""Runs the training steps of nano in sequence, each in its own folder; finished steps are skipped."""

import _thread
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Event, Thread

import torch

from minigemini.io.atomic_write import atomic_write
from minigemini.io.folder_lock import FolderInUseError, output_lock
from minigemini.io.system import exit_with_parent
from minigemini.training.pipeline_steps import check_steps, run_step
from minigemini.training.recipe import CHECKPOINT
from minigemini.training.settings import RecipeError, RunSettings, parse_number

from .nano_recipes import ENCODERS, EXPORT, LANGUAGE, PIPELINES, nano_recipes

SCALE = "scale"
"""Setting of a pipeline: a factor on the samples of all its steps."""
_STOPPED = 130
"""Exit status of a step that was stopped and saved a checkpoint; shells give it to commands that Ctrl-C ended."""


def train_pipeline(name: str, folder: Path, settings: Mapping[str, str], only: Sequence[str] = ()) -> Path:
    """Run the steps in order, resuming the one that was interrupted, and return the exported checkpoint's folder.

    Encoders and language model need nothing of each other: with two cores, they are trained side by side.

    Args:
        name: a key of `nano_recipes.PIPELINES`.
        folder: parent of the steps' folders, and of the checkpoint's, which is named like the pipeline.
        settings: settings to override in every step; `scale` is a factor on the samples of all steps.
        only: steps to run; all if empty.

    Raises:
        RecipeError: A step is unknown or cannot run.
    """
    steps = PIPELINES[name]
    check_steps(name, only, steps)
    named = [step for step in steps if not only or step in only]
    overrides = dict(settings)
    scale = parse_number(float, SCALE, overrides.pop(SCALE, "1"))
    if not scale > 0:
        raise RecipeError(f"{name}: {SCALE} is {scale:g}; give more than 0")
    found = nano_recipes(str(folder), scale)
    recipes = {step: found[step].changed(overrides) for step in named if step != EXPORT}
    if {ENCODERS, LANGUAGE} <= recipes.keys() and (os.cpu_count() or 1) > 1:
        run_side_by_side(recipes[ENCODERS], recipes[LANGUAGE], folder)
    for step in named:
        if step == EXPORT:
            export(folder / f"{name}-instruct" / CHECKPOINT, folder / name)
        else:
            run_step(recipes[step], folder / step)
    return folder / name


def run_side_by_side(here: RunSettings, beside: RunSettings, folder: Path) -> None:
    """Run two steps at once, the second in a process of its own; if one cannot go on, the other saves a checkpoint.

    Raises:
        RecipeError: A step cannot run.
        KeyboardInterrupt: The run was stopped, and both steps saved a checkpoint.
    """
    process = get_context("spawn").Process(target=_run, args=(beside, folder / beside.name, torch.get_num_threads()))
    process.start()
    finished, failed = Event(), Event()
    Thread(target=_interrupt_if_it_fails, args=(process, finished, failed), daemon=True).start()
    why = f"{beside.name} has failed, as it says above; run it alone with --step {beside.name}"
    try:
        run_step(here, folder / here.name)
        finished.set()
    except BaseException as error:
        process.terminate()
        if failed.is_set():
            raise RecipeError(why) from error
        raise
    finally:
        process.join()
    if process.exitcode == _STOPPED:
        raise KeyboardInterrupt
    if process.exitcode:
        raise RecipeError(why)


def _interrupt_if_it_fails(process: BaseProcess, finished: Event, failed: Event) -> None:
    """Interrupt the main thread as Ctrl-C does when the process fails before the main thread has finished."""
    wait([process.sentinel])
    if process.exitcode not in (0, _STOPPED) and not finished.is_set():
        failed.set()
        _thread.interrupt_main()


def _run(recipe: RunSettings, folder: Path, threads: int) -> None:
    exit_with_parent()
    torch.set_num_threads(threads)
    try:
        run_step(recipe, folder)
    except (RecipeError, FolderInUseError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        print(f"{recipe.name}: stopped", file=sys.stderr)
        sys.exit(_STOPPED)


def export(checkpoint: Path, folder: Path) -> None:
    """Copy the checkpoint of stage 2 to its final folder, atomically.

    Raises:
        RecipeError: The checkpoint does not exist.
    """
    if not checkpoint.is_dir():
        raise RecipeError(f"{checkpoint}: no such checkpoint; run the step {checkpoint.parent.name} first")
    with output_lock(folder), atomic_write(folder, replace_folder=True) as aside:
        shutil.copytree(checkpoint, aside)
