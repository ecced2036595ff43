"""Settings of the ablation. Imports no torch, so that invalid settings fail fast."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from minigemini.training.recipe_registry import Pipeline
from minigemini.training.settings import RecipeError, parse_number


@dataclass(frozen=True)
class Ablation:
    """The size of an ablation.

    Attributes:
        seeds: number of seeds, for the initialization and the order of samples; all variants share them.
        questions: number of questions per skill.
        share: share of the default steps and samples.
        processes: number of concurrent runs, each with one thread.
    """

    seeds: int = 3
    questions: int = 120
    share: float = 1.0
    processes: int = os.cpu_count() or 1

    @classmethod
    def of(cls, settings: dict[str, str]) -> "Ablation":
        """Parse `key=value` settings.

        Raises:
            RecipeError: a setting is unknown or out of range.
        """
        kinds = {"seeds": int, "questions": int, "share": float, "processes": int}
        if unknown := set(settings) - kinds.keys():
            raise RecipeError(f"ablation: unknown setting {min(unknown)!r}; choose from {', '.join(kinds)}")
        values = {name: parse_number(kinds[name], name, text) for name, text in settings.items()}
        for name, value in values.items():
            if not value > 0:
                raise RecipeError(f"ablation: {name} must be greater than 0, got {value}")
        return cls(**values)


def _run(folder: Path, settings: Mapping[str, str], only: Sequence[str]) -> object:
    from .ablation_run import run_ablation

    return run_ablation(Ablation.of(dict(settings)), folder)


ABLATION = Pipeline(
    "small twins of the paper's ablation, trained, measured and compared",
    (),
    Path("runs/ablation"),
    lambda settings: Ablation.of(dict(settings)),
    _run,
)
