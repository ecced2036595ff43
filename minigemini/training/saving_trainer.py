"""Transformers' Trainer with checkpoints that are whole or not there, however many ranks write them.

What a checkpoint holds and how it comes to be is ours; the states of optimiser, schedule and random numbers in it are
written by Transformers.
"""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from transformers import Trainer, TrainerCallback, TrainerState, TrainingArguments

from ..data.loader import OtherDataError
from ..io.atomic_write import is_full_disk
from ..io.errors import one_line
from . import checkpointing
from .batches import MicroBatchStream
from .settings import RecipeError

WEIGHTS = "trained.safetensors"
"""In a checkpoint: the parameters that train. All others are the base's."""


class SavingTrainer(Trainer):
    """A Trainer that keeps its run's checkpoints.

    Args:
        module: what trains.
        stream: the passes of all steps; its loader's state is saved with each checkpoint.
        args: name the run's folder.
        keep: how many checkpoints stay.
        callbacks: to look on.
    """

    def __init__(
        self,
        module: nn.Module,
        stream: MicroBatchStream,
        args: TrainingArguments,
        keep: int,
        callbacks: list[TrainerCallback],
    ) -> None:
        super().__init__(module, args, callbacks=callbacks)
        self.stream, self.keep, self.folder = stream, keep, Path(str(args.output_dir))
        self._aside: Path | None = None

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
            super(SavingTrainer, self)._save_checkpoint(model, trial)
            ranks = {"world_size": self.args.world_size, "sharded": self.is_sharded}
            state = {**ranks, "loader": self.stream.loader.state_dict()}
            (aside / name / f"data-{self.args.process_index}.json").write_text(json.dumps(state) + "\n")

        def seal() -> None:
            checkpointing.finalize(aside / name, self.folder / name)
            checkpointing.keep_newest(self.folder, self.keep)

        # Ranks go through these together, and none goes on where one has failed.
        main = self.args.should_save
        failure = self._try(make_room, main) or self._try(write, True) or self._try(seal, main)
        self._aside = None
        if main:
            shutil.rmtree(aside, ignore_errors=True)
            if failure:
                print(f"minigemini: checkpoint {step} not written ({failure}); the run goes on", file=sys.stderr)

    def _try(self, action: Callable[[], None], mine: bool) -> str | None:
        """Have a rank that should do something; gives why the disk had no room, on any of the ranks."""
        failure = None
        try:
            if mine:
                action()
        except (OSError, SafetensorError, RuntimeError) as error:
            if not is_full_disk(error, self.folder):
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
                raise checkpointing.DamagedFileError(f"{resume_from_checkpoint}: does not fit this recipe ({min(odd)})")
            for name, parameter in parameters.items():
                parameter.copy_(file.get_tensor(name))

    def resume(self) -> Path | None:
        """The checkpoint to go on from, on all ranks; the stream is put where it stood.

        Raises:
            DamagedFileError: There are checkpoints, but none is whole.
            RecipeError: The data have changed since, or these ranks cannot read it.
        """
        from accelerate.utils import broadcast_object_list

        found: list[Any] = [None, [], None]
        if self.args.process_index == 0:
            checkpointing.sweep(self.folder)
            try:
                found[:2] = checkpointing.newest_complete(self.folder)
            except checkpointing.DamagedFileError as error:
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
            self._check_ranks(checkpoint, state)
            try:
                self.stream.loader.load_state_dict(state["loader"])
            except OtherDataError:
                raise RecipeError(
                    f"{self.folder}: the data have changed since {checkpoint.name} was written; put back the files "
                    "that the run began with, or name another folder to begin anew"
                ) from None
        return checkpoint

    def _check_ranks(self, checkpoint: Path, saved: dict[str, Any]) -> None:
        """Whole weights are anybody's; sharded ones are read by as many ranks as wrote them.

        Raises:
            RecipeError: These ranks cannot read them.
        """
        was_sharded = saved.get("sharded", self.is_sharded)  # not in checkpoints of older versions
        if was_sharded != self.is_sharded:
            raise RecipeError(f"{checkpoint}: written {'with' if was_sharded else 'without'} sharding; resume it so")
        if was_sharded and saved["world_size"] != self.args.world_size:
            raise RecipeError(
                f"{checkpoint}: its weights are sharded over {saved['world_size']} ranks, and these are "
                f"{self.args.world_size}; resume with {saved['world_size']}"
            )

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

    def _any(self, flag: bool) -> bool:
        """Whether a flag is set on any rank."""
        return bool(self.accelerator.gather(torch.tensor([int(flag)], device=self.args.device)).any())
