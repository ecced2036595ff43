"""`minigemini train`: run a recipe, or say what it would take."""

from pathlib import Path
from typing import Annotated

import typer

from .common import be_quiet, fail, one_line_errors

NANO = ("nano", "nano-without-mining")


@one_line_errors
def train(
    recipe: Annotated[str | None, typer.Argument(help="Its name; --list shows them all.")] = None,
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings in place of the recipe's.")
    ] = None,
    show_list: Annotated[bool, typer.Option("--list", help="Name every recipe, and stop.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Say what trains, how long, in what memory, and stop.")] = False,
    folder: Annotated[
        Path | None, typer.Option(help="Where the run keeps its work; run again to go on.  [default: runs/RECIPE]")
    ] = None,
    step: Annotated[
        list[str] | None, typer.Option(help="Of nano: only this step; may be repeated. Default: all, in order.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of one process; two processes beat two threads.")] = 1,
) -> None:
    """Train a model by a recipe; a run that was stopped goes on where it was.

    Example: minigemini train MGM-7B-instruct learning_rate=1e-5 --plan
    """
    if show_list:
        _list()
    elif recipe is None:
        fail("name a recipe; `minigemini train --list` shows them")
    elif recipe in NANO:
        if settings or plan:
            fail(f"{recipe} has steps of its own, and takes no settings or plan; leave them out")
        _train_nano(recipe, folder or Path("runs/nano"), step, threads)
    else:
        if step:
            fail(f"{recipe} is one step; leave --step out")
        _run(recipe, settings or [], folder, plan, threads)


def _list() -> None:
    from minigemini.training.recipes import RECIPES

    for name in NANO:
        print(f"{name:28}every step from nothing, on the drawn world")
    for name, recipe in RECIPES.items():
        adapter = "" if recipe.adapter == "none" else f", {recipe.adapter} of rank {recipe.lora_rank}"
        print(
            f"{name:28}{recipe.stage}{adapter}: rate {recipe.learning_rate:g}, batch {recipe.global_batch}, "
            f"{recipe.max_length} tokens, from {recipe.base}"
        )


def _train_nano(recipe: str, folder: Path, step: list[str] | None, threads: int) -> None:
    import torch

    from minigemini.training.nano import RECIPES, STEPS, StepError, train_nano

    torch.set_num_threads(threads)
    try:
        train_nano(folder, RECIPES[recipe], tuple(step or STEPS))
    except (StepError, ModuleNotFoundError) as error:
        fail(str(error))


def _run(name: str, settings: list[str], folder: Path | None, plan: bool, threads: int) -> None:
    be_quiet("nano")

    from minigemini.training.recipe import RecipeError, parse_settings
    from minigemini.training.recipes import find_recipe

    try:
        recipe = find_recipe(name).changed(parse_settings(settings))
    except RecipeError as error:
        fail(str(error))
    import torch

    from minigemini.data.faults import TooManyFaultsError
    from minigemini.training.checkpoints import DamagedError
    from minigemini.training.plan import make_plan
    from minigemini.training.run import train

    torch.set_num_threads(threads)
    try:
        if plan:
            print(make_plan(recipe).text())
        else:
            print(train(recipe, folder or Path("runs") / recipe.name))
    except (RecipeError, DamagedError, TooManyFaultsError, FloatingPointError) as error:
        fail(str(error))
