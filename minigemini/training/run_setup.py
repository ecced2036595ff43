"""From a recipe of either kind to what a run goes through: a module that gives its loss, batches, what it leaves."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..data.loader import Loader
from ..data.schema import Sample
from ..data.seed_loader import SeedLoader
from .batches import global_batches, make_loader, open_mixture, steps_of
from .build_model import build
from .recipe import Recipe
from .run_outputs import save
from .sample_answers import some_answers

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


def rank_of(state: Any) -> dict[str, Any]:
    """What a loader is told of the rank that Accelerate's `state` is of."""
    return {
        "rank": state.process_index,
        "world_size": state.num_processes,
        "pin_memory": state.device.type == "cuda",
    }


def set_up_stage(recipe: Recipe, folder: Path, state: Any) -> RunSetup:
    """Build the model of a stage and open its data.

    Raises:
        RecipeError: It cannot run.
    """
    built = build(recipe, state.device)
    mixture = open_mixture(recipe)
    batches = global_batches(recipe, mixture, built.model.config.num_image_tokens)
    loader = make_loader(recipe, batches, built.processor, folder / BAD_SAMPLES, **rank_of(state))
    return RunSetup(
        built.module,
        built.trained,
        loader,
        steps_of(recipe, len(mixture)),
        save=lambda weights, path: save(recipe, built, weights, path),
        answers=lambda: some_answers(built, recipe, mixture),
        issues=loader.issues.counts,
    )
