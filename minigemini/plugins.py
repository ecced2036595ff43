"""Plugins: models, recipes, data sets and more that installed packages add by entry points.

An entry point of the group `minigemini.GROUP` names an object; it is imported when it is used. `docs/extending.md` has
an example of each group.
"""

import os
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Literal

Group = Literal["models", "recipes", "pipelines", "datasets", "tasks", "image_generators", "commands"]
"""What a plugin can add.

models: name -> `Path` of a checkpoint folder, or an `io.pulled_models.PulledModel`, for `--model NAME` and
    `Engine.load(NAME)`.
recipes: collection -> function that gives recipes by name; runs are kept in `runs/COLLECTION/NAME`.
pipelines: name -> `training.recipe_registry.Pipeline`, several runs behind one `minigemini train NAME`.
datasets: prefix -> function from `PREFIX:...` to a `data.readers.Reader`, for `data=PREFIX:...`.
tasks: name -> `evaluation.task.Task` class, for `minigemini eval NAME`.
image_generators: name -> `imagegen.presets.GeneratorPlugin`, for `--generator NAME`.
commands: verb -> function that typer runs as `minigemini VERB`.
"""


@cache
def plugins(group: Group) -> Mapping[str, EntryPoint]:
    """Entry points of a group by name, without importing what they name.

    Raises:
        ValueError: Two installed packages give the same name.
    """
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=f"minigemini.{group}"):
        other = found.setdefault(entry.name, entry)
        if other.value != entry.value:
            raise ValueError(
                f"minigemini.{group}: {entry.name!r} is given by {other.value} and by {entry.value}; uninstall one"
            )
    return found


def model_folder(name: str | os.PathLike[str]) -> Path | None:
    """The checkpoint folder of a model that a package registers; None if there is none of that name.

    Raises:
        CheckpointError: The model must be pulled first.
    """
    entry = plugins("models").get(os.fspath(name))
    return None if entry is None else Path(entry.load())
