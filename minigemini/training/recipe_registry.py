"""All recipes and pipelines by name: those of the published models, and those of plugins."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from ..plugins import plugins
from .published_recipes import PUBLISHED_RECIPES
from .recipe import STAGE_1_FILE
from .settings import RecipeError, RunSettings


@dataclass(frozen=True)
class Pipeline:
    """Several runs under one name.

    Attributes:
        summary: one line for the list of recipes.
        steps: names for `--step`, in order; the last one is the example in error messages. Empty if the pipeline
            cannot be run in steps.
        folder: default folder of its runs.
        check: checks settings before torch is imported; raises `RecipeError`.
        run: trains in a folder with settings, either the given steps or all; returns the result.
    """

    summary: str
    steps: tuple[str, ...]
    folder: Path
    check: Callable[[Mapping[str, str]], object]
    run: Callable[[Path, Mapping[str, str], Sequence[str]], object]

    def example(self) -> str:
        """The end of an error message: how to choose a single recipe."""
        return f"; name one of them, e.g. {self.steps[-1]}" if self.steps else "; give the name of a single recipe"


@cache
def _collections() -> dict[str, Mapping[str, RunSettings]]:
    return {name: entry.load()() for name, entry in plugins("recipes").items()}


@cache
def all_recipes() -> dict[str, RunSettings]:
    """All recipes by name."""
    recipes: dict[str, RunSettings] = dict(PUBLISHED_RECIPES)
    for collection in _collections().values():
        recipes |= collection
    return recipes


def pipelines() -> dict[str, Pipeline]:
    """All pipelines by name."""
    return {name: entry.load() for name, entry in plugins("pipelines").items()}


def default_folder(name: str) -> Path:
    """Default folder of a recipe's runs."""
    collection = next((key for key, recipes in _collections().items() if name in recipes), None)
    return Path("runs", collection or "", name)


def find_recipe(name: str) -> RunSettings:
    """Find a recipe by name.

    Raises:
        RecipeError: There is no such recipe.
    """
    recipes = all_recipes()
    if name not in recipes:
        import difflib

        near = difflib.get_close_matches(name, recipes, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "`minigemini train --list` shows all"
        raise RecipeError(f"unknown recipe {name!r}; {hint}")
    return recipes[name]


def how_to_obtain(base: str) -> str | None:
    """The command that creates the base of a recipe; None if no command does."""
    from ..conversion.published_models import ENCODERS, LANGUAGE_MODELS

    for name in PurePosixPath(base).parts:
        if name in all_recipes():
            return f"minigemini train {name}"
    name = base.removeprefix("models/")
    size = name.removeprefix("MGM-").removesuffix("-start").removesuffix("-aligned").removesuffix("-HD")
    if size not in LANGUAGE_MODELS or not name.endswith(("-start", "-aligned")):
        return None
    low_res, high_res = (encoder.hub_id for encoder in ENCODERS.values())
    words = ["minigemini assemble", base, "--llm", LANGUAGE_MODELS[size].hub_id]
    words += ["--low-res-encoder", low_res, "--high-res-encoder", high_res]
    words += ["--stage1", f"runs/MGM-{size}-align/{STAGE_1_FILE}"] if name.endswith("-aligned") else []
    return " ".join(words + ["--hd"] * ("-HD-" in name))
