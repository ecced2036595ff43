"""Plans a fine-tuning run, runs it or goes on with it, and reports what it changed."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data.readers.manifest import write_manifest
from ..data.schema import SampleError
from ..dataprep.validate.validation_report import exclusions
from ..io.adapters import find_model_source
from ..io.folder_lock import folder_lock
from ..io.loading import find_processor, load_config
from ..training.estimate import make_plan
from ..training.recipe import Recipe
from ..training.run import train
from ..training.settings import RecipeError
from ..training.yaml_recipes import SAVED, read_recipe
from .held_out import answers_of
from .proposal import propose
from .report import example_question, write_reports
from .survey import ALSO_EXCLUDED, Survey, survey

TRAIN = "train.manifest"
BEFORE, AFTER = "before.json", "after.json"


@dataclass(frozen=True)
class FinetuningPlan:
    """What `minigemini finetune` would do.

    Attributes:
        data: the data as given.
        found: what is in it.
        recipe: the proposed recipe, or that of the run in the folder.
        folder: folder of the run.
        resumed: whether the folder holds a run of this recipe.
    """

    data: Path
    found: Survey
    recipe: Recipe
    folder: Path
    resumed: bool

    def text(self) -> str:
        """The findings, the recipe, memory and time."""
        recipe = self.recipe
        kind = "full" if recipe.adapter == "none" else f"{recipe.adapter} of rank {recipe.lora_rank}"
        settings = [
            ("training", f"{kind}, rate {recipe.learning_rate:g}, batch {recipe.global_batch}, {recipe.extent}"),
            ("length", f"up to {recipe.max_length:,} tokens"),
            ("folder", f"{self.folder}{', where a run goes on' if self.resumed else ''}"),
        ]
        width = max(len(name) for name, _ in (*self.found.rows(), *settings)) + 2
        lines = [f"  {name:{width}}{value}" for name, value in (*self.found.rows(), *settings)]
        measured = [] if self.resumed else [make_plan(recipe).text()]  # the plan of a run that goes on is known
        return "\n".join([f"{self.data} for {recipe.base}", *lines, *measured])


def plan(
    data: Path,
    model: str,
    folder: Path,
    *,
    images: Path | None = None,
    lora: bool | None = None,
    settings: dict[str, str] | None = None,
) -> FinetuningPlan:
    """Look at the data, propose a recipe, and write the list of samples to train on into the folder of the run.

    A folder that holds a run keeps its recipe, because free memory and so the proposal may have changed since.

    Args:
        data: file or folder of samples.
        model: name or folder of the model to start from.
        folder: folder of the run.
        images: folder that image paths are relative to; by default the folder of the data.
        lora: train an adapter, or the whole language model; None chooses.
        settings: settings of the recipe that replace the proposed ones.

    Raises:
        SourceError: The data cannot be read, or too few samples are usable.
        RecipeError: The model is missing, a setting is invalid, or the folder holds another run or is part of the data.
    """
    if data.is_dir() and folder.resolve().is_relative_to(data.resolve()):
        raise RecipeError(f"{folder} is in the folder of the data; use another folder with --output")
    found = survey(data, images, model, find_processor(model))
    folder.mkdir(parents=True, exist_ok=True)
    with folder_lock(folder):
        _write_train_manifest(folder / TRAIN, data, found)
        started = (folder / SAVED).exists()
        recipe = _saved(folder, model, lora) if started else _proposed(folder, found, model, lora)
    return FinetuningPlan(data, found, recipe.changed(settings or {}), folder, started)


def run(planned: FinetuningPlan) -> dict[str, Any]:
    """Score, train, score again and report; a run that was stopped goes on where it was.

    Returns:
        The report, as in `report.json`.

    Raises:
        RecipeError: The recipe cannot run, or the folder holds a run of another one.
        KeyboardInterrupt: The run was stopped, and saved a checkpoint.
    """
    found, recipe, folder = planned.found, planned.recipe, planned.folder
    held_out = found.parts.held_out
    before = answers_of(recipe.base, found.reader, held_out, folder / BEFORE, "before")
    result = train(recipe, folder)
    after = answers_of(result, found.reader, held_out, folder / AFTER, "after")
    return write_reports(folder, recipe, found, before, after, result, _commands(found, folder, result))


def _proposed(folder: Path, found: Survey, model: str, lora: bool | None) -> Recipe:
    train_on = folder / TRAIN
    config = load_config(find_model_source(model).folder)
    context = int(getattr(config.text_config, "max_position_embeddings", None) or 2**31)
    return propose(found, model, context, train_on, lora=lora, name=folder.name)


def _saved(folder: Path, model: str, lora: bool | None) -> Recipe:
    saved = read_recipe(folder / SAVED)
    if not isinstance(saved, Recipe) or saved.base != model or (lora is not None and lora != (saved.adapter != "none")):
        raise RecipeError(f"{folder} holds a run of another recipe; use another folder with --output")
    return saved


def _write_train_manifest(path: Path, data: Path, found: Survey) -> None:
    """Write which rows are trained on; the lists of a run that has started must stay the same.

    Raises:
        RecipeError: The data has changed since the run in this folder started.
    """
    lines = {line["row"]: line for line in exclusions(found.found, found.image_root, ALSO_EXCLUDED)}
    for row in found.parts.held_out:
        lines[row] = {"row": row, "id": _id(found, row), "fault": "held out", "reason": "scored before and after"}
    new = path.with_name(f"new-{path.name}")
    write_manifest(new, data, found.image_root, len(found.reader), (lines[row] for row in sorted(lines)))
    if (path.parent / SAVED).exists() and path.exists() and path.read_bytes() != new.read_bytes():
        new.unlink()
        raise RecipeError(
            f"{data} has changed since the run in {path.parent} started; use another folder with --output"
        )
    new.replace(path)


def _id(found: Survey, row: int) -> str:
    try:
        return found.reader[row].id
    except SampleError as error:  # the file changed since the survey
        return error.id


def _commands(found: Survey, folder: Path, result: Path) -> Sequence[str]:
    """Commands that serve the result, and that ask it without a server."""
    image, question = example_question(found, folder)
    model = shlex.quote(str(result))
    asked = shlex.join([*([str(image)] if image else []), question])
    return [f"minigemini serve --model {model}", f"minigemini ask {asked} --model {model}"]
