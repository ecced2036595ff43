"""How large an ablation is. Needs no torch, so that a wrong setting is refused before that is imported."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from minigemini.training.recipe_registry import Pipeline
from minigemini.training.settings import RecipeError, parse_number


@dataclass(frozen=True)
class Ablation:
    """How large an ablation is.

    Attributes:
        seeds: how many; they set new weights and the order of samples, and are common to all variants.
        questions: per skill.
        share: of the usual steps and samples.
        processes: runs at a time, each of one thread.
    """

    seeds: int = 3
    questions: int = 120
    share: float = 1.0
    processes: int = os.cpu_count() or 1

    @classmethod
    def of(cls, settings: dict[str, str]) -> "Ablation":
        """From `key=value` settings.

        Raises:
            RecipeError: One is unknown or out of its range.
        """
        kinds = {"seeds": int, "questions": int, "share": float, "processes": int}
        if unknown := set(settings) - kinds.keys():
            raise RecipeError(f"ablation: unknown setting {min(unknown)!r}; there are {', '.join(kinds)}")
        values = {name: parse_number(kinds[name], name, text) for name, text in settings.items()}
        for name, value in values.items():
            if not value > 0:
                raise RecipeError(f"ablation: {name} is {value}; give more than 0")
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
