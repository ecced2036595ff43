"""From a recipe of either kind to what a run goes through: a module that gives its loss, batches, what it leaves."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..data.loader import Loader
from ..data.schema import Sample
from ..data.seed_loader import SeedLoader
from . import trainable
from .batches import MicroBatchCollator, global_batches, make_loader, open_mixture, steps_of
from .build_model import build
from .recipe import Pretraining, Recipe
from .run_outputs import save
from .sample_answers import some_answers
from .settings import RunSettings

BAD_SAMPLES = "faults.jsonl"
Answers = Sequence[tuple[Sample, str]]


@dataclass(frozen=True)
class RunSetup:
    """What a run goes through.

    Attributes:
        lesson: see `trainer.StageTrainer`.
        trained: parameters that train, by part.
        loader: gives the passes of each step, and knows where it stands.
        steps: of the run.
        save: write the result: all weights by their names in the lesson, and where to.
        answers: what is now said to some samples.
        faults: how many samples were faulty, by kind; filled while it runs.
    """

    module: nn.Module
    trained: Mapping[str, int]
    loader: Loader | SeedLoader
    steps: int
    save: Callable[[Mapping[str, Tensor], Path], None]
    answers: Callable[[], Answers] = list
    issues: Mapping[str, int] = field(default_factory=dict)


def prepare(recipe: RunSettings, folder: Path, state: Any) -> RunSetup:
    """Build and open all that a run needs, on the rank that `state` is of.

    Raises:
        RecipeError: It cannot run.
    """
    of_rank = {
        "rank": state.process_index,
        "world_size": state.num_processes,
        "pin_memory": state.device.type == "cuda",
    }
    if isinstance(recipe, Pretraining):
        return _pretraining(recipe, of_rank)
    assert isinstance(recipe, Recipe)
    return _stage(recipe, folder, state.device, of_rank)


def _stage(recipe: Recipe, folder: Path, device: Any, of_rank: dict[str, Any]) -> RunSetup:
    built = build(recipe, device)
    mixture = open_mixture(recipe)
    batches = global_batches(recipe, mixture, built.model.config.num_image_tokens)
    loader = make_loader(recipe, batches, built.processor, folder / BAD_SAMPLES, **of_rank)
    return RunSetup(
        built.module,
        built.trained,
        loader,
        steps_of(recipe, len(mixture)),
        save=lambda weights, path: save(recipe, built, weights, path),
        answers=lambda: some_answers(built, recipe, mixture),
        issues=loader.issues.counts,
    )


def _pretraining(recipe: Pretraining, of_rank: dict[str, Any]) -> RunSetup:
    from minigemini_models.pretraining import TASKS  # brings the drawn world with it

    passes = recipe.accumulation(of_rank["world_size"])
    task = TASKS[recipe.task](recipe)
    task.start()
    trainable.apply(task.module, task.parts)
    loader = SeedLoader(
        task.sample,
        MicroBatchCollator(task.collate, passes),
        steps=recipe.steps,
        size=recipe.global_batch,
        seed=recipe.seed,
        workers=recipe.workers,
        **of_rank,
    )
    return RunSetup(task.module, trainable.check(task.module, task.parts), loader, recipe.steps, task.save)
