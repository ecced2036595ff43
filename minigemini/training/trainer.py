"""Transformers' Trainer, fed by our loader.

What it is kept for: accumulation, mixed precision, DDP, FSDP2 and DeepSpeed through Accelerate, schedules, and where
curves are shown. What is ours: the batches, by how many labels their losses are divided, checkpoints (in `saving`),
and that Ctrl-C ends a run at a step, on all ranks at the same one.
"""

import math
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PrinterCallback, TrainerCallback, TrainingArguments

from ..data.encoding import IGNORED
from .batches import MicroBatchStream
from .saving_trainer import SavingTrainer
from .settings import RecipeError, RunSettings


class StageTrainer(SavingTrainer):
    """Train a module whose forward takes a batch and gives its loss.

    Args:
        lesson: its forward takes a batch and gives `loss` and, by other names, figures to show beside it. Where
            batches have `labels`, as those of `building.Lesson`, it is given their number between two optimiser steps
            as `num_items_in_batch` and divides by it; otherwise a step's loss is the mean of its passes'.
        stream: see `SavingTrainer`.
        recipe: rates, and how many checkpoints are kept.
        args: see `arguments`.
        callbacks: to look on.
    """

    def __init__(
        self,
        module: nn.Module,
        stream: MicroBatchStream,
        recipe: RunSettings,
        args: TrainingArguments,
        callbacks: list[TrainerCallback] | None = None,
    ) -> None:
        super().__init__(module, stream, args, recipe.keep_checkpoints, [_Ends(self), *(callbacks or [])])
        self.remove_callback(PrinterCallback)
        self.recipe = recipe
        self.asked_to_stop = self.stops = False
        self._figures: dict[str, list[Tensor]] = {}

    # What a step is given

    def get_train_dataloader(self) -> Any:
        """Give the stream; Accelerate is not to deal it out again."""
        return self.stream

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> Tensor | None:
        """Count the labels of a step on all ranks, and learn by the way whether one of them was asked to stop."""
        counted = [int((batch["labels"] != IGNORED).sum()) for batch in batch_samples if "labels" in batch]
        counts = torch.tensor([[sum(counted), int(self.asked_to_stop)]], device=device)
        labeled, asked = self.accelerator.gather(counts).sum(0)
        self.stops = bool(asked)
        return labeled if counted else None

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Tensor | int | None = None
    ) -> Any:
        """The loss, as Transformers has it; what the lesson gives beside it is kept for the log."""
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        for name, figure in outputs.items():
            if name != "loss":
                self._figures.setdefault(name, []).append(figure.detach())
        return (loss, outputs) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log a step with its figures: means over its passes and ranks."""
        if self._figures:
            means = torch.stack([torch.stack(values).float().mean() for values in self._figures.values()])
            together = self.accelerator.gather(means[None]).mean(0)
            logs |= dict(zip(self._figures, together.tolist(), strict=True))
            self._figures = {}
        super().log(logs, start_time)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """AdamW with a rate of its own for mining and projector, and decay on matrices only."""
        if self.optimizer is None:
            groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
            for name, parameter in self._parameters(model):
                if parameter.requires_grad:
                    small = "patch_info_mining" in name or "multi_modal_projector" in name
                    groups.setdefault((small, parameter.ndim >= 2), []).append(parameter)
            kind, settings = self.get_optimizer_cls_and_kwargs(self.args)
            rate = settings.pop("lr")
            self.optimizer = kind(
                [
                    {
                        "params": parameters,
                        "lr": rate * (self.recipe.connector_lr_multiplier if small else 1.0),
                        "weight_decay": self.recipe.weight_decay if matrix else 0.0,
                    }
                    for (small, matrix), parameters in groups.items()
                ],
                **settings,
            )
        return self.optimizer

    def check_optimizer(self, declared: int) -> None:
        """Hold what the optimiser would move to what the stage declares.

        Raises:
            RecipeError: It is another number of parameters.
        """
        moved = sum(p.numel() for group in self.create_optimizer().param_groups for p in group["params"])
        if moved != declared:
            raise RecipeError(f"the optimiser would train {moved:,} parameters, but {declared:,} are declared")
        self.optimizer = None  # made anew when weights are where they train

    @contextmanager
    def ending_on_ctrl_c(self) -> Iterator[None]:
        """Let Ctrl-C, or a scheduler's SIGTERM, end the run after this step with a checkpoint; a second one at once."""

        def ask(number: int, frame: Any) -> None:
            if self.asked_to_stop:
                raise KeyboardInterrupt
            self.asked_to_stop = True
            print("minigemini: finishing the step and saving; again to stop at once", file=sys.stderr)

        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _Ends(TrainerCallback):
    """Ends a run that was asked to stop, or whose loss is no number."""

    def __init__(self, trainer: StageTrainer) -> None:
        self.trainer = trainer

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        loader = self.trainer.stream.loader
        state.epoch = loader.epoch + loader.batch / len(loader)
        if self.trainer.stops:
            control.should_save = control.should_training_stop = True

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        loss = kwargs["logs"].get("loss", 0.0)
        if not math.isfinite(loss):
            raise FloatingPointError(f"the loss became {loss} at step {state.global_step}; lower the learning rate")
