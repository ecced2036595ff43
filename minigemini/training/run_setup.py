"""What a run needs: the module that computes the loss, the data loader, and a function that saves the result."""

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
    """Everything that a run needs.

    Attributes:
        module: the module to train, see `trainer.StageTrainer`.
        trained: number of trained parameters by part.
        loader: yields the micro-batches of each step, and tracks its position.
        steps: optimizer steps of the run.
        save: writes the result, given all weights by their names in the module, and a path.
        validate: measures the trained module; its figures are added to those of the run.
        answers: answers some samples with the trained model.
        issues: number of bad samples by kind, updated during the run.
    """

    module: nn.Module
    trained: Mapping[str, int]
    loader: Loader | SeedLoader
    steps: int
    save: Callable[[Mapping[str, Tensor], Path], None]
    validate: Callable[[], Mapping[str, float]] = dict
    answers: Callable[[], Answers] = list
    issues: Mapping[str, int] = field(default_factory=dict)


def rank_of(state: Any) -> dict[str, Any]:
    """Loader arguments for the rank of Accelerate's `state`."""
    return {
        "rank": state.process_index,
        "world_size": state.num_processes,
        "pin_memory": state.device.type == "cuda",
    }


def set_up_stage(recipe: Recipe, folder: Path, state: Any) -> RunSetup:
    """Build the model of a stage and open its data.

    Raises:
        RecipeError: The recipe cannot run.
    """
    built = build(recipe, state.device)
    mixture = open_mixture(recipe)
    batches = global_batches(recipe, mixture, built.model.config.num_image_tokens)
    width = built.model.config.text_config.hidden_size
    loader = make_loader(recipe, batches, built.processor, folder / BAD_SAMPLES, width, **rank_of(state))
    return RunSetup(
        built.module,
        built.trained,
        loader,
        steps_of(recipe, len(mixture)),
        save=lambda weights, path: save(recipe, built, weights, path),
        answers=lambda: some_answers(built, recipe, mixture),
        issues=loader.issues.counts,
    )
