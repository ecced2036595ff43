"""Progress bar, step log, and the choice of TensorBoard, trackio or wandb."""

import json
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tqdm import tqdm
from transformers import TrainerCallback

from .settings import RecipeError, RunSettings

LOG = "log.jsonl"
_TRAINER_METRICS = frozenset({"loss", "grad_norm", "learning_rate", "epoch", "step"})


def curves_of(log: Sequence[Mapping[str, float]]) -> dict[str, list[tuple[int, float]]]:
    """Steps and values of each curve in a run's log: the loss, then the module's other metrics."""
    steps = [entry for entry in log if "loss" in entry]
    names = ["loss", *(name for name in (steps[0] if steps else {}) if name not in _TRAINER_METRICS)]
    return {name: [(int(entry["step"]), entry[name]) for entry in steps] for name in names}


def report_to(recipe: RunSettings) -> list[str]:
    """The trackers of a recipe, by Transformers' names.

    Raises:
        RecipeError: The tracker is not installed.
    """
    if recipe.report_to == "auto":
        return ["tensorboard"] if find_spec("tensorboard") else []
    if recipe.report_to == "none":
        return []
    if find_spec(recipe.report_to) is None:
        raise RecipeError(
            f"{recipe.name}: report_to={recipe.report_to} is not installed; run `pip install {recipe.report_to}`"
        )
    return [recipe.report_to]


class LogCallback(TrainerCallback):
    """Logs a line of JSON per step. A resumed run rewrites the log from its checkpoint, so that no step repeats."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOG

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            lines = [json.dumps(entry) for entry in state.log_history if "loss" in entry]
            self.path.write_text("".join(f"{line}\n" for line in lines))

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero and "loss" in kwargs["logs"]:
            with self.path.open("a") as log:
                log.write(json.dumps(state.log_history[-1]) + "\n")


class ProgressCallback(TrainerCallback):
    """Progress bar with steps, remaining time, loss and samples per second."""

    def __init__(self, recipe: RunSettings) -> None:
        self.recipe = recipe
        self.bar: tqdm | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            self.first, self.since = state.global_step, time.monotonic()
            self.bar = tqdm(
                total=state.max_steps,
                initial=state.global_step,
                desc=self.recipe.name,
                unit="step",
                mininterval=1,
                dynamic_ncols=True,
            )

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.bar is not None and "loss" in kwargs["logs"]:
            done = (state.global_step - self.first) * self.recipe.global_batch
            rate = done / (time.monotonic() - self.since)
            curves = {name: values[-1][1] for name, values in curves_of(state.log_history[-1:]).items()}
            shown = {name: f"{value:.4g}" for name, value in curves.items()} | {"samples/s": f"{rate:.3g}"}
            self.bar.set_postfix(shown, refresh=False)
            self.bar.update(state.global_step - self.bar.n)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.bar is not None:
            self.bar.close()
