"""One loop for every step of nano's recipe: index-addressed data, AdamW, cosine decay, exact resume, a log."""

import json
import math
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from safetensors.torch import load_file, load_model, save_file, save_model
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

Batch = dict[str, Tensor]
_MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class LoopSettings:
    """How long and how fast a step learns.

    Attributes:
        steps: optimiser steps in all.
        batch_size: samples per step.
        learning_rate: peak of the schedule; warm-up is linear, then a cosine falls to a fiftieth of it.
        warmup_share: share of the steps that warm up (the paper's 3 %).
        weight_decay: AdamW's, on matrices only.
        max_grad_norm: gradients are clipped to this norm.
        workers: processes that draw samples; 0 draws in the training process.
        checkpoint_every_s: seconds between checkpoints.
        report_every: steps between reports in the log.
    """

    steps: int
    batch_size: int
    learning_rate: float
    warmup_share: float = 0.03
    weight_decay: float = 0.05
    max_grad_norm: float = 1.0
    workers: int = 1
    checkpoint_every_s: float = 120.0
    report_every: int = 50


class StepError(ValueError):
    """A step that does not exist, or cannot run yet; the message says what to do."""


class Task(Protocol):
    """What a step learns: a module, its samples by index, and their loss."""

    @property
    def module(self) -> nn.Module: ...

    def sample(self, index: int) -> Mapping[str, np.ndarray]: ...

    def collate(self, samples: list[Mapping[str, np.ndarray]]) -> Batch: ...

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Scalar loss, and scalars to report with it."""
        ...


def stack(samples: list[Mapping[str, np.ndarray]]) -> Batch:
    """Samples of equal shapes as one batch."""
    return {key: torch.from_numpy(np.stack([sample[key] for sample in samples])) for key in samples[0]}


def run(task: Task, settings: LoopSettings, folder: Path, name: str) -> None:
    """Trains `task` until `settings.steps`, going on from `folder` if it holds a checkpoint.

    Resume is exact: sample i is drawn from seed i, so weights, optimiser state and step number are all there is to
    restore.
    """
    folder.mkdir(parents=True, exist_ok=True)
    optimiser = _optimiser(task.module, settings)
    done = _restore(task.module, optimiser, folder)
    task.module.train()
    batches = _batches(task, settings, done)
    saved_at, tally = time.monotonic(), _Tally(folder / "log.jsonl")
    with tqdm(total=settings.steps, initial=done, desc=name, unit="step", mininterval=2, dynamic_ncols=True) as bar:
        for step in range(done, settings.steps):
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(settings, step)
            loss, figures = task.loss(next(batches))
            if not math.isfinite(loss.item()):
                raise FloatingPointError(
                    f"{name}: the loss became {loss.item()} at step {step}; lower the learning rate"
                )
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(task.module.parameters(), settings.max_grad_norm)
            optimiser.step()
            tally.add(loss, figures)
            bar.update()
            if (step + 1) % settings.report_every == 0 or step + 1 == settings.steps:
                bar.set_postfix(tally.report(step + 1, settings.batch_size))
            if time.monotonic() - saved_at > settings.checkpoint_every_s or step + 1 == settings.steps:
                _save(task.module, optimiser, step + 1, settings, folder)
                saved_at = time.monotonic()


def learning_rate(settings: LoopSettings, step: int) -> float:
    """Rate of `step`: linear warm-up, then a cosine to a fiftieth."""
    warmup = max(1, round(settings.warmup_share * settings.steps))
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, settings.steps - warmup)
    return settings.learning_rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))


def load_module(module: nn.Module, folder: Path, prefix: str = "") -> None:
    """Loads what the step in `folder` has learnt into `module`: its tensors whose names begin with `prefix`.

    Raises:
        StepError: that step has not been run.
    """
    path = folder / "checkpoint" / "module.safetensors"
    if not path.exists():
        raise StepError(f"{path} does not exist: run the step {folder.name} first")
    if not prefix:
        load_model(module, path)
        return
    tensors = load_file(path)
    module.load_state_dict({name.removeprefix(prefix): tensors[name] for name in tensors if name.startswith(prefix)})


class _Tally:
    """Means since the last report, appended to a log of JSON lines."""

    def __init__(self, path: Path) -> None:
        self.path, self.sums, self.count, self.since = path, dict[str, float](), 0, time.monotonic()

    def add(self, loss: Tensor, figures: Mapping[str, Tensor]) -> None:
        for key, value in {"loss": loss, **figures}.items():
            self.sums[key] = self.sums.get(key, 0.0) + float(value.detach())
        self.count += 1

    def report(self, step: int, batch_size: int) -> dict[str, str]:
        now = time.monotonic()
        means = {key: total / self.count for key, total in self.sums.items()}
        means["samples_per_s"] = self.count * batch_size / (now - self.since)
        with self.path.open("a") as log:
            log.write(json.dumps({"step": step, **{key: round(value, 5) for key, value in means.items()}}) + "\n")
        self.sums, self.count, self.since = {}, 0, now
        return {key: f"{value:.3g}" for key, value in means.items()}


class _Samples(Dataset):
    def __init__(self, task: Task, start: int, stop: int) -> None:
        self.task, self.start, self.stop = task, start, stop

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, position: int) -> Mapping[str, np.ndarray]:
        return self.task.sample(self.start + position)


def _batches(task: Task, settings: LoopSettings, done: int) -> Iterator[Batch]:
    samples = _Samples(task, done * settings.batch_size, settings.steps * settings.batch_size)
    return iter(
        DataLoader(
            samples,
            batch_size=settings.batch_size,
            num_workers=settings.workers,
            collate_fn=task.collate,
            prefetch_factor=4 if settings.workers else None,
        )
    )


def _optimiser(module: nn.Module, settings: LoopSettings) -> torch.optim.AdamW:
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if not trained:
        raise ValueError("nothing to train: every parameter of the step's module is frozen")
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98))


def _save(module: nn.Module, optimiser: torch.optim.AdamW, step: int, settings: LoopSettings, folder: Path) -> None:
    """Writes the checkpoint aside and renames it: `folder/checkpoint` is whole or the one before."""
    aside = folder / "checkpoint.partial"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    save_model(module, str(aside / "module.safetensors"))
    save_file(_optimiser_tensors(module, optimiser), aside / "optimiser.safetensors")
    (aside / "state.json").write_text(json.dumps({"step": step, "settings": asdict(settings)}))
    for path in aside.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    previous = folder / "checkpoint.previous"
    shutil.rmtree(previous, ignore_errors=True)
    if (folder / "checkpoint").exists():
        (folder / "checkpoint").rename(previous)
    aside.rename(folder / "checkpoint")
    shutil.rmtree(previous, ignore_errors=True)


def _restore(module: nn.Module, optimiser: torch.optim.AdamW, folder: Path) -> int:
    """Loads the newest whole checkpoint into `module` and `optimiser`; returns the steps done, 0 without one."""
    for checkpoint in (folder / "checkpoint", folder / "checkpoint.previous"):
        if checkpoint.exists():
            load_model(module, checkpoint / "module.safetensors")
            moments = load_file(checkpoint / "optimiser.safetensors")
            step = json.loads((checkpoint / "state.json").read_text())["step"]
            for name, parameter in module.named_parameters():
                if parameter.requires_grad:
                    optimiser.state[parameter] = {"step": torch.tensor(float(step))} | {
                        moment: torch.empty_like(parameter, requires_grad=False).copy_(moments[f"{name}.{moment}"])
                        for moment in _MOMENTS
                    }
            return step
    return 0


def _optimiser_tensors(module: nn.Module, optimiser: torch.optim.AdamW) -> dict[str, Tensor]:
    return {
        f"{name}.{moment}": optimiser.state[parameter][moment].contiguous()
        for name, parameter in module.named_parameters()
        if parameter in optimiser.state
        for moment in _MOMENTS
    }
