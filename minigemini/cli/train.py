"""`minigemini train`: run a recipe, or estimate its time and memory."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .common import be_quiet, fail, need, one_line_errors

if TYPE_CHECKING:
    from ..training.settings import RunSettings


def _complete(incomplete: str) -> list[str]:
    from ..training.recipe_registry import all_recipes, pipelines

    return [name for name in (*pipelines(), *all_recipes()) if name.startswith(incomplete)]


@one_line_errors
def train(
    recipe: Annotated[
        str | None,
        typer.Argument(help="Name of a recipe, as --list shows it, or a YAML file.", autocompletion=_complete),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings that override the recipe's.")
    ] = None,
    show_list: Annotated[bool, typer.Option("--list", help="List every recipe, and exit.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Print trained parameters, time and memory, and exit.")] = False,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print the recipe with all its settings as YAML, and exit.")
    ] = False,
    folder: Annotated[
        Path | None,
        typer.Option(help="Folder of the run; repeat the command to resume it.  [default: runs/RECIPE; runs/nano]"),
    ] = None,
    step: Annotated[
        list[str] | None, typer.Option(help="Run only this step of nano; may be repeated.  [default: all, in order]")
    ] = None,
    threads: Annotated[
        int, typer.Option(min=1, help="Threads per process; two processes are faster than two threads.")
    ] = 1,
) -> None:
    """Train a model by a recipe.

    Run the command again to resume an interrupted run.

    Example: minigemini train MGM-7B-instruct learning_rate=1e-5 --plan

    Example: minigemini train my-recipe.yaml
    """
    if show_list:
        _list()
    elif recipe is None:
        fail("name a recipe; `minigemini train --list` shows them")
    elif print_config:
        _print_config(recipe, settings or [])
    else:
        _run(recipe, settings or [], folder, plan, step or [], threads)


def _list() -> None:
    from ..training.recipe_registry import all_recipes, pipelines

    listed = {name: pipeline.summary for name, pipeline in pipelines().items()}
    listed |= {name: recipe.summary() for name, recipe in all_recipes().items()}
    width = max(map(len, listed)) + 2
    for name, what in listed.items():
        print(f"{name:{width}}{what}")


def _print_config(name: str, words: list[str]) -> None:
    from ..training.settings import RecipeError, parse_settings
    from ..training.yaml_recipes import as_yaml

    try:
        print(as_yaml(_find(name).changed(parse_settings(words))), end="")
    except RecipeError as error:
        fail(str(error))


def _find(name: str) -> "RunSettings":
    """The recipe of a name or of a file. Raises `RecipeError` where there is none, or several."""
    from ..training.recipe_registry import find_recipe, pipelines
    from ..training.settings import RecipeError
    from ..training.yaml_recipes import is_recipe_file, read_recipe

    if pipeline := pipelines().get(name):
        raise RecipeError(f"{name} is several recipes{pipeline.example()}")
    return read_recipe(Path(name)) if is_recipe_file(name) else find_recipe(name)


def _run(name: str, words: list[str], folder: Path | None, plan: bool, steps: list[str], threads: int) -> None:
    be_quiet("nano")

    from ..training.recipe_registry import default_folder, pipelines
    from ..training.settings import RecipeError, parse_settings

    try:
        settings = parse_settings(words)
        pipeline = None if plan else pipelines().get(name)
        recipe = None if pipeline else _find(name).changed(settings)
        if pipeline:
            pipeline.check(settings)
    except RecipeError as error:
        fail(str(error))
    if steps and not (pipeline and pipeline.steps):
        fail(f"{name} is not run by steps; leave --step out")
    need("train", "accelerate")
    import torch

    from ..data.bad_samples import TooManyBadSamplesError
    from ..training.checkpointing import DamagedFileError
    from ..training.estimate import make_plan
    from ..training.run import train

    torch.set_num_threads(threads)
    try:
        if pipeline is not None:
            print(pipeline.run(folder or pipeline.folder, settings, steps))
        elif recipe is not None and plan:
            print(make_plan(recipe).text())
        elif recipe is not None:
            print(train(recipe, folder or default_folder(recipe.name)))
    except (RecipeError, DamagedFileError, TooManyBadSamplesError, FloatingPointError, ModuleNotFoundError) as error:
        fail(str(error))
