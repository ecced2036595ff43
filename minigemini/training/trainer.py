"""Transformers' Trainer, fed by our loader, with checkpoints that are whole or not there.

What it is kept for: accumulation, mixed precision, DDP, FSDP2 and DeepSpeed through Accelerate, schedules, and where
curves are shown. What is ours: the batches, by how many labels their losses are divided, what a checkpoint holds and
how it comes to be, and that Ctrl-C ends a run at a step, on all ranks at the same one.
"""

import json
import math
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerState, TrainingArguments

from ..data.encoding import IGNORED
from ..inference.errors import one_line
from . import checkpoints
from .feed import Stream
from .settings import RecipeError, Settings

WEIGHTS = "trained.safetensors"
"""In a checkpoint: the parameters that train. All others are the base's."""
OPTIMISERS = {"adamw": "adamw_torch", "adamw-8bit": "adamw_bnb_8bit"}
SCHEDULES = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}


def arguments(
    recipe: Settings, folder: Path, steps: int, world_size: int, watch: list[str], use_cpu: bool
) -> TrainingArguments:
    """A recipe in Transformers' terms."""
    return TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=recipe.micro_batch,
        gradient_accumulation_steps=recipe.accumulation(world_size),
        optim=OPTIMISERS[recipe.optimiser],
        adam_beta2=recipe.adam_beta2,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=SCHEDULES[recipe.schedule],
        warmup_steps=math.ceil(recipe.warmup_share * steps),
        max_grad_norm=recipe.max_grad_norm,
        bf16=recipe.precision == "bf16",
        seed=recipe.seed,
        save_strategy="steps",
        save_steps=recipe.checkpoint_every,
        # Of each step: an average over several would be of fewer after a resume.
        logging_steps=1,
        logging_nan_inf_filter=False,
        report_to=watch,
        # The loader knows where it stands: nothing is to be gone through again.
        ignore_data_skip=True,
        ddp_find_unused_parameters=False,
        disable_tqdm=True,
        use_cpu=use_cpu,
    )


class StageTrainer(Trainer):
    """Train a module whose forward takes a batch and gives its loss.

    Args:
        lesson: its forward takes a batch and gives `loss` and, by other names, figures to show beside it. Where
            batches have `labels`, as those of `building.Lesson`, it is given their number between two optimiser steps
            as `num_items_in_batch` and divides by it; otherwise a step's loss is the mean of its passes'.
        stream: the passes of all steps; its loader's state is saved with each checkpoint.
        recipe: rates and what is kept.
        args: see `arguments`.
        callbacks: to look on.
    """

    def __init__(
        self,
        lesson: nn.Module,
        stream: Stream,
        recipe: Settings,
        args: TrainingArguments,
        callbacks: list[TrainerCallback] | None = None,
    ) -> None:
        super().__init__(lesson, args, callbacks=[_Ends(self), *(callbacks or [])])
        self.remove_callback(PrinterCallback)
        self.recipe, self.stream, self.folder = recipe, stream, Path(str(args.output_dir))
        self.asked_to_stop = self.stops = False
        self.saved = True
        self._aside: Path | None = None
        self._figures: dict[str, list[Tensor]] = {}

    # What a step is given

    def get_train_dataloader(self) -> Any:
        """Give the stream; Accelerate is not to deal it out again."""
        return self.stream

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> Tensor | None:
        """Count the labels of a step on all ranks, and learn by the way whether one of them was asked to stop."""
        counted = [int((batch["labels"] != IGNORED).sum()) for batch in batch_samples if "labels" in batch]
        counts = torch.tensor([[sum(counted), int(self.asked_to_stop)]], device=device)
        labelled, asked = self.accelerator.gather(counts).sum(0)
        self.stops = bool(asked)
        return labelled if counted else None

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
                        "lr": rate * (self.recipe.small_parts_rate if small else 1.0),
                        "weight_decay": self.recipe.weight_decay if matrix else 0.0,
                    }
                    for (small, matrix), parameters in groups.items()
                ],
                **settings,
            )
        return self.optimizer

    def check_optimiser(self, declared: int) -> None:
        """Hold what the optimiser would move to what the stage declares.

        Raises:
            RecipeError: It is another number of parameters.
        """
        moved = sum(p.numel() for group in self.create_optimizer().param_groups for p in group["params"])
        if moved != declared:
            raise RecipeError(f"the optimiser would train {moved:,} parameters, but {declared:,} are declared")
        self.optimizer = None  # made anew when weights are where they train

    # Checkpoints

    def _get_output_dir(self, trial: Any) -> str:
        """Where Transformers writes its parts of a checkpoint: aside."""
        return str(self._aside or self.folder)

    def _save_checkpoint(self, model: nn.Module, trial: Any = None) -> None:
        """Write a checkpoint aside on all ranks, seal it, and remove the oldest. A full disk costs this one only."""
        step = self.state.global_step
        aside, name = self.folder / f".checkpoint-{step}.partial", f"checkpoint-{step}"

        def make_room() -> None:
            shutil.rmtree(aside, ignore_errors=True)
            (aside / name).mkdir(parents=True)

        def write() -> None:
            self._aside = aside
            super(StageTrainer, self)._save_checkpoint(model, trial)
            state = {"world_size": self.args.world_size, "loader": self.stream.loader.state_dict()}
            (aside / name / f"data-{self.args.process_index}.json").write_text(json.dumps(state) + "\n")

        def seal() -> None:
            checkpoints.seal(aside / name, self.folder / name)
            checkpoints.keep_newest(self.folder, self.recipe.keep)

        # Ranks go through these together, and none goes on where one has failed.
        main = self.args.should_save
        failure = self._try(make_room, main) or self._try(write, True) or self._try(seal, main)
        self._aside = None
        if main:
            shutil.rmtree(aside, ignore_errors=True)
            if failure:
                print(f"minigemini: checkpoint {step} not written ({failure}); the run goes on", file=sys.stderr)
        self.saved = not failure

    def _try(self, action: Callable[[], None], mine: bool) -> str | None:
        """Have a rank that should do something; gives why it could not be written, by any of the ranks."""
        failure = None
        try:
            if mine:
                action()
        except (OSError, SafetensorError, RuntimeError) as error:
            if not is_full_disk(error):
                raise
            failure = one_line(error)
        return (failure or "on another rank") if self._any(failure is not None) else None

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        """Save what trains, and nothing that the base holds."""
        if self.args.should_save and output_dir is not None:
            Path(output_dir).mkdir(parents=True, exist_ok=True)
            parameters = dict(self._parameters())
            named = parameters if state_dict is None else state_dict
            trained = [name for name, parameter in parameters.items() if parameter.requires_grad]
            save_file(
                {name: named[name].detach().cpu().contiguous() for name in trained},
                Path(output_dir) / WEIGHTS,
                metadata={"format": "pt"},
            )

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        """Load what trains; sharded weights are Transformers' to load."""
        if self.is_sharded:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        parameters = {name: p for name, p in self._parameters() if p.requires_grad}
        with safe_open(Path(resume_from_checkpoint) / WEIGHTS, framework="pt") as file, torch.no_grad():
            if odd := parameters.keys() ^ set(file.keys()):
                raise checkpoints.DamagedError(f"{resume_from_checkpoint}: does not fit this recipe ({min(odd)})")
            for name, parameter in parameters.items():
                parameter.copy_(file.get_tensor(name))

    def resume(self) -> Path | None:
        """The checkpoint to go on from, on all ranks; the stream is put where it stood.

        Raises:
            DamagedError: There are checkpoints, but none is whole.
            ValueError: Its data are others.
        """
        from accelerate.utils import broadcast_object_list

        found: list[Any] = [None, [], None]
        if self.args.process_index == 0:
            checkpoints.sweep(self.folder)
            try:
                found[:2] = checkpoints.newest_whole(self.folder)
            except checkpoints.DamagedError as error:
                found[2] = error
        if self.args.world_size > 1:
            found = broadcast_object_list(found)
        checkpoint, damaged, wrong = found
        if wrong is not None:
            raise wrong
        if self.args.process_index == 0:
            for line in damaged:
                print(f"minigemini: {line}; the one before it is taken", file=sys.stderr)
        if checkpoint is not None:
            # A rank's share follows from the batch that all are at, so another number of ranks goes on as well.
            own = checkpoint / f"data-{self.args.process_index}.json"
            state = json.loads((own if own.exists() else checkpoint / "data-0.json").read_text())
            self.stream.loader.load_state_dict(state["loader"])
        return checkpoint

    def load_finished(self, checkpoint: Path) -> None:
        """Take weights and log from the last checkpoint of a finished run, of which only the results are wanted."""
        self._load_from_checkpoint(str(checkpoint))
        self.state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))

    @property
    def is_sharded(self) -> bool:
        """Whether ranks hold parts of the weights."""
        return self.is_fsdp_enabled or self.is_deepspeed_enabled

    def _parameters(self, model: nn.Module | None = None) -> Iterator[tuple[str, nn.Parameter]]:
        module: Any = model or self.model
        return module.named_parameters()

    # Ranks

    def _any(self, flag: bool) -> bool:
        """Whether a flag is set on any rank."""
        return bool(self.accelerator.gather(torch.tensor([int(flag)], device=self.args.device)).any())

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


def is_full_disk(error: BaseException) -> bool:
    """Whether a file could not be written; torch and safetensors say so each in their own way."""
    if isinstance(error, OSError | SafetensorError):
        return True
    return any(words in str(error) for words in ("PytorchStreamWriter", "inline_container", "iostream error"))
