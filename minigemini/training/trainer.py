"""Transformers' Trainer with our data loader, loss normalization, checkpoints and shutdown.

Transformers provides gradient accumulation, mixed precision, schedules, trackers, and DDP, FSDP2 and DeepSpeed through
Accelerate. We provide the batches, the number of labels that losses are divided by, checkpoints (`saving_trainer`), and
a clean stop on Ctrl-C, at the same step on all ranks.
"""

import math
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PrinterCallback, TrainerCallback, TrainingArguments

from ..data.encoding import IGNORED
from ..io.system import is_amd_processor
from ..modeling.onednn_linear import has_onednn_linear, use_onednn
from .batches import MicroBatchStream
from .saving_trainer import SavingTrainer
from .settings import RecipeError, RunSettings

OPTIMIZERS = {"adamw": "adamw_torch_fused", "adamw-8bit": "adamw_bnb_8bit"}
SCHEDULES = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}


class StageTrainer(SavingTrainer):
    """Trains a module whose forward takes a batch and returns its loss.

    Args:
        module: its forward takes a batch and returns `loss` and optional further metrics by name. If batches have
            `labels`, forward also gets their number per optimizer step as `num_items_in_batch` and divides the loss
            by it; otherwise the loss of a step is the mean over its micro-batches.
        stream: see `SavingTrainer`.
        recipe: learning rates, weight decay and the number of checkpoints to keep.
        args: see `training_arguments`.
        callbacks: further Trainer callbacks.
    """

    def __init__(
        self,
        module: nn.Module,
        stream: MicroBatchStream,
        recipe: RunSettings,
        args: TrainingArguments,
        callbacks: list[TrainerCallback] | None = None,
    ) -> None:
        if args.device.type == "cpu" and is_amd_processor() and has_onednn_linear():
            use_onednn(module)
        super().__init__(module, stream, args, recipe.keep_checkpoints, [_StopCallback(self), *(callbacks or [])])
        self.remove_callback(PrinterCallback)
        self.recipe = recipe
        self.stop_requested = self.stop_now = False
        self._metrics: dict[str, list[Tensor]] = {}

    def get_train_dataloader(self) -> Any:
        """Return the stream itself, because it is already split by rank."""
        return self.stream

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> Tensor | None:
        """Count the labels of a step on all ranks, and check whether any rank was asked to stop."""
        counted = [int((batch["labels"] != IGNORED).sum()) for batch in batch_samples if "labels" in batch]
        counts = torch.tensor([[sum(counted), int(self.stop_requested)]], device=device)
        labels, stop = self.accelerator.gather(counts).sum(0)
        self.stop_now = bool(stop)
        return labels if counted else None

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Tensor | int | None = None
    ) -> Any:
        """Compute the loss as Transformers does, and keep the other metrics for the log."""
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        for name, metric in outputs.items():
            if name != "loss":
                self._metrics.setdefault(name, []).append(metric.detach())
        return (loss, outputs) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log a step with its metrics, averaged over micro-batches and ranks."""
        if self._metrics:
            means = torch.stack([torch.stack(values).float().mean() for values in self._metrics.values()])
            averages = self.accelerator.gather(means[None]).mean(0)
            logs |= dict(zip(self._metrics, averages.tolist(), strict=True))
            self._metrics = {}
        super().log(logs, start_time)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """AdamW with a separate learning rate for the connector, and weight decay on matrices only."""
        if self.optimizer is None:
            groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
            for name, parameter in self._parameters(model):
                if parameter.requires_grad:
                    connector = "patch_info_mining" in name or "multi_modal_projector" in name
                    groups.setdefault((connector, parameter.ndim >= 2), []).append(parameter)
            kind, settings = self.get_optimizer_cls_and_kwargs(self.args)
            rate = settings.pop("lr")
            self.optimizer = kind(
                [
                    {
                        "params": parameters,
                        "lr": rate * (self.recipe.connector_lr_multiplier if connector else 1.0),
                        "weight_decay": self.recipe.weight_decay if matrix else 0.0,
                    }
                    for (connector, matrix), parameters in groups.items()
                ],
                **settings,
            )
        return self.optimizer

    def check_optimizer(self, declared: int) -> None:
        """Check that the optimizer trains exactly as many parameters as the stage declares.

        Raises:
            RecipeError: The numbers differ.
        """
        optimized = sum(p.numel() for group in self.create_optimizer().param_groups for p in group["params"])
        if optimized != declared:
            raise RecipeError(f"the optimizer has {optimized:,} parameters, but the stage declares {declared:,}")
        self.optimizer = None  # created again once the weights are on their devices

    @contextmanager
    def stopping_on_signals(self) -> Iterator[None]:
        """On Ctrl-C or SIGTERM, finish the step, save a checkpoint and stop; on a second signal stop at once."""

        def request_stop(number: int, frame: Any) -> None:
            if self.stop_requested:
                raise KeyboardInterrupt
            self.stop_requested = True
            print(
                "minigemini: finishing the step and saving a checkpoint; press Ctrl-C again to stop at once",
                file=sys.stderr,
            )

        before = {number: signal.signal(number, request_stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _StopCallback(TrainerCallback):
    """Stops a run on request, or if its loss is not finite."""

    def __init__(self, trainer: StageTrainer) -> None:
        self.trainer = trainer

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        loader = self.trainer.stream.loader
        state.epoch = loader.epoch + loader.batch / len(loader)
        if self.trainer.stop_now:
            control.should_save = control.should_training_stop = True

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        loss = kwargs["logs"].get("loss", 0.0)
        if not math.isfinite(loss):
            raise FloatingPointError(f"loss is {loss} at step {state.global_step}; lower the learning rate")


def training_arguments(
    recipe: RunSettings, folder: Path, steps: int, world_size: int, trackers: list[str], use_cpu: bool
) -> TrainingArguments:
    """Convert a recipe to Transformers' arguments."""
    return TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=recipe.micro_batch,
        gradient_accumulation_steps=recipe.accumulation(world_size),
        optim=OPTIMIZERS[recipe.optimizer],
        adam_beta2=recipe.adam_beta2,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=SCHEDULES[recipe.schedule],
        warmup_steps=math.ceil(recipe.warmup_ratio * steps),
        max_grad_norm=recipe.max_grad_norm,
        bf16=recipe.precision == "bf16",
        seed=recipe.seed,
        save_strategy="steps",
        save_steps=recipe.save_steps,
        # Log every step: after a resume, an average over several steps would cover fewer of them.
        logging_steps=1,
        logging_nan_inf_filter=False,
        report_to=trackers,
        # The loader restores its own position.
        ignore_data_skip=True,
        ddp_find_unused_parameters=False,
        disable_tqdm=True,
        use_cpu=use_cpu,
    )
