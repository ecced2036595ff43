"""Settings of the ablation. Imports no torch, so that invalid settings fail fast."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from minigemini.training.recipe_registry import Pipeline
from minigemini.training.settings import RecipeError, parse_number

from .variants import GROUPS, Variant, variants


@dataclass(frozen=True)
class Ablation:
    """The size of an ablation.

    Attributes:
        seeds: number of seeds, for new weights and for the order of samples; all variants share them.
        questions: number of questions per skill.
        share: share of the default steps and samples.
        processes: number of concurrent runs, each with one thread.
        gain: points that another doubling of pixels or tokens has to bring to be called worth it in the report.
        only: groups of variants to train and report, see `variants.GROUPS`; all if empty.
    """

    seeds: int = 3
    questions: int = 120
    share: float = 1.0
    processes: int = os.cpu_count() or 1
    gain: float = 2.0
    only: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: Mapping[str, str]) -> "Ablation":
        """Parse `key=value` settings.

        Raises:
            RecipeError: a setting is unknown or out of range, or there is no such group.
        """
        kinds = {"seeds": int, "questions": int, "share": float, "processes": int, "gain": float}
        if unknown := settings.keys() - kinds.keys() - {"only"}:
            raise RecipeError(f"ablation: unknown setting {min(unknown)!r}; choose from {', '.join(kinds)}, only")
        values: dict[str, Any] = {
            name: parse_number(kind, name, settings[name]) for name, kind in kinds.items() if name in settings
        }
        for name, value in values.items():
            if not value > 0:
                raise RecipeError(f"ablation: {name} must be greater than 0, got {value}")
        only = tuple(settings["only"].split(",")) if "only" in settings else ()
        if missing := set(only) - GROUPS.keys():
            raise RecipeError(f"ablation: unknown group {min(missing)!r}; choose from {', '.join(GROUPS)}")
        return cls(**values, only=only)

    def groups(self) -> dict[str, tuple[Variant, ...]]:
        """Return the chosen groups with their variants."""
        return {name: group for name, group in GROUPS.items() if not self.only or name in self.only}

    def variants(self) -> tuple[Variant, ...]:
        """Return the variants of the chosen groups, each once."""
        return variants(self.groups())

    def words(self) -> list[str]:
        """Return the settings in command-line form."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return [
            f"{name}={','.join(value) if name == 'only' else value}" for name, value in values.items() if value != ()
        ]


def _run(folder: Path, settings: Mapping[str, str], only: Sequence[str]) -> object:
    from .ablation_run import run_ablation

    return run_ablation(Ablation.of(settings), folder)


ABLATION = Pipeline(
    "small twins of the paper's ablation, trained, measured and compared",
    (),
    Path("runs/ablation"),
    Ablation.of,
    _run,
)
