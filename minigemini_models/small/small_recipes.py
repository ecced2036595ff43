"""The recipes of `small`, and the pipeline that runs them in order."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from minigemini.training.recipe_registry import Pipeline

from .small_recipe import VISION_FILE, SmallTraining

ROOT = "runs/small"
STEPS = ("small-visual-words", "small-answers")

_SHARED: dict[str, Any] = {"workers": 1, "save_steps": 200, "adam_beta2": 0.98}


def small_recipes(root: str = ROOT) -> dict[str, SmallTraining]:
    """Return the two steps by name; the second starts from what the first leaves under `root`."""
    visual_words = SmallTraining(
        name=STEPS[0],
        learns="visual-words",
        steps=500,
        learning_rate=2e-3,
        global_batch=16,
        micro_batch=16,
        precision="bf16",
        weight_decay=0.01,
        **_SHARED,
    )
    answers = SmallTraining(
        name=STEPS[1],
        learns="answers",
        steps=900,
        vision=f"{root}/{STEPS[0]}/{VISION_FILE}",
        word_cache=f"{root}/words",
        learning_rate=6e-4,
        connector_lr_multiplier=2.0,
        global_batch=8,
        micro_batch=8,
        precision="bf16",
        **_SHARED,
    )
    return {step.name: step for step in (visual_words, answers)}


PACK = "pack"
"""The last step writes what the package ships."""


def _run(folder: Path, settings: Mapping[str, str], only: Sequence[str]) -> Path:
    from .small_pipeline import train_small

    return train_small(folder, settings, only)


SMALL = Pipeline(", ".join(STEPS), (*STEPS, PACK), Path(ROOT), lambda settings: None, _run)
"""Both steps in order, each in its own folder; finished ones take no time."""
