"""Transformers' Trainer with atomic checkpoints, written by any number of ranks.

Transformers writes the states of optimizer, schedule and random generators; the trained weights, the state of the data
loader and the procedure are ours.
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
"""The trained parameters in a checkpoint; all others are those of the base."""


class SavingTrainer(Trainer):
    """A Trainer that writes, removes and resumes checkpoints.

    Args:
        module: the module to train.
        stream: the micro-batches of all steps; its loader's state is saved with each checkpoint.
        args: Transformers' arguments; `output_dir` is the run's folder.
        keep: number of checkpoints to keep.
        callbacks: Trainer callbacks.
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
        self._partial: Path | None = None

    def _get_output_dir(self, trial: Any) -> str:
        """Folder into which Transformers writes its part of a checkpoint."""
        return str(self._partial or self.folder)

    def _save_checkpoint(self, model: nn.Module, trial: Any = None) -> None:
        """Write a checkpoint on all ranks, finalize it, and remove the oldest; on a full disk the run continues."""
        step = self.state.global_step
        partial, name = self.folder / f".checkpoint-{step}.partial", f"checkpoint-{step}"

        def create_folder() -> None:
            shutil.rmtree(partial, ignore_errors=True)
            (partial / name).mkdir(parents=True)

        def write() -> None:
            self._partial = partial
            super(SavingTrainer, self)._save_checkpoint(model, trial)
            ranks = {"world_size": self.args.world_size, "sharded": self.is_sharded}
            state = {**ranks, "loader": self.stream.loader.state_dict()}
            (partial / name / f"data-{self.args.process_index}.json").write_text(json.dumps(state) + "\n")

        def finalize() -> None:
            checkpointing.finalize(partial / name, self.folder / name)
            checkpointing.keep_newest(self.folder, self.keep)

        # All ranks take each step together, and none continues if one has failed.
        main = self.args.should_save
        failure = self._try(create_folder, main) or self._try(write, True) or self._try(finalize, main)
        self._partial = None
        if main:
            shutil.rmtree(partial, ignore_errors=True)
            if failure:
                print(f"minigemini: checkpoint {step} not written ({failure}); training continues", file=sys.stderr)

    def _try(self, action: Callable[[], None], run_here: bool) -> str | None:
        """Run an action on the selected ranks; returns the reason if the disk was full on any rank."""
        failure = None
        try:
            if run_here:
                action()
        except (OSError, SafetensorError, RuntimeError) as error:
            if not is_full_disk(error, self.folder):
                raise
            failure = one_line(error)
        return (failure or "on another rank") if self._any(failure is not None) else None

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        """Save the trained parameters only."""
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
        """Load the trained parameters; Transformers loads sharded ones."""
        if self.is_sharded:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        parameters = {name: p for name, p in self._parameters() if p.requires_grad}
        with safe_open(Path(resume_from_checkpoint) / WEIGHTS, framework="pt") as file, torch.no_grad():
            if mismatched := parameters.keys() ^ set(file.keys()):
                raise checkpointing.DamagedFileError(
                    f"{resume_from_checkpoint}: does not match this recipe ({min(mismatched)})"
                )
            for name, parameter in parameters.items():
                parameter.copy_(file.get_tensor(name))

    def resume(self) -> Path | None:
        """Find the checkpoint to resume from, on all ranks, and restore the position of the data loader.

        Raises:
            DamagedFileError: There are checkpoints, but none is complete.
            RecipeError: The data have changed, or the sharding differs.
        """
        from accelerate.utils import broadcast_object_list

        found: list[Any] = [None, [], None]
        if self.args.process_index == 0:
            checkpointing.sweep(self.folder)
            try:
                found[:2] = checkpointing.newest_complete(self.folder)
            except checkpointing.DamagedFileError as damage:
                found[2] = damage
        if self.args.world_size > 1:
            found = broadcast_object_list(found)
        checkpoint, damaged, error = found
        if error is not None:
            raise error
        if self.args.process_index == 0:
            for problem in damaged:
                print(f"minigemini: {problem}; using the previous checkpoint", file=sys.stderr)
        if checkpoint is not None:
            # Each rank's share follows from the common batch number, so the number of ranks may change.
            of_rank = checkpoint / f"data-{self.args.process_index}.json"
            state = json.loads((of_rank if of_rank.exists() else checkpoint / "data-0.json").read_text())
            self._check_ranks(checkpoint, state)
            try:
                self.stream.loader.load_state_dict(state["loader"])
            except OtherDataError:
                raise RecipeError(
                    f"{self.folder}: the data have changed since {checkpoint.name}; restore the original files, or use "
                    "another folder to start over"
                ) from None
        return checkpoint

    def _check_ranks(self, checkpoint: Path, saved: dict[str, Any]) -> None:
        """Check the sharding: full weights load on any number of ranks, sharded ones only on as many as wrote them.

        Raises:
            RecipeError: The sharding differs.
        """
        was_sharded = saved.get("sharded", self.is_sharded)  # missing in checkpoints of older versions
        if was_sharded != self.is_sharded:
            how = "with" if was_sharded else "without"
            raise RecipeError(f"{checkpoint}: written {how} sharding; resume {how} sharding")
        if was_sharded and saved["world_size"] != self.args.world_size:
            raise RecipeError(
                f"{checkpoint}: weights are sharded over {saved['world_size']} ranks, but this run has "
                f"{self.args.world_size}; resume with {saved['world_size']}"
            )

    def load_finished(self, checkpoint: Path) -> None:
        """Load weights and log of a finished run, to write its results again."""
        self._load_from_checkpoint(str(checkpoint))
        self.state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))

    @property
    def is_sharded(self) -> bool:
        """Whether each rank holds only a shard of the weights."""
        return self.is_fsdp_enabled or self.is_deepspeed_enabled

    def _parameters(self, model: nn.Module | None = None) -> Iterator[tuple[str, nn.Parameter]]:
        module: Any = model or self.model
        return module.named_parameters()

    def _any(self, flag: bool) -> bool:
        """Whether a flag is set on any rank."""
        return bool(self.accelerator.gather(torch.tensor([int(flag)], device=self.args.device)).any())
