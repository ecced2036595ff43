"""Measures time and memory with a few real training steps, in a temporary folder."""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from transformers import TrainerCallback

from ...data.loader import Loader
from ...data.seed_loader import SeedLoader
from ..batches import MicroBatchStream
from ..peak_memory import peak_bytes, reset_peak
from ..recipe import Recipe
from ..run import processes
from ..settings import RunSettings
from ..trainer import StageTrainer, training_arguments

TIMED_STEPS = 5
"""Timed steps, evenly spaced over the batches from smallest to largest."""
WARMUP_STEPS = 2
"""Untimed steps before them, on the largest batch, for peak memory."""


@dataclass(frozen=True)
class ProbeResult:
    """Measurements of a few steps.

    Attributes:
        seconds_per_step: seconds per step, including reading and encoding of samples.
        seconds_per_checkpoint: seconds to write a checkpoint.
        peak_bytes: peak memory of a device, on the largest batch of the epoch; None if the system reports none.
        tokens_per_sample: tokens per sample, including visual tokens; 0 when only an encoder is trained.
    """

    seconds_per_step: float
    seconds_per_checkpoint: float
    peak_bytes: int | None
    tokens_per_sample: float


def measure(recipe: RunSettings) -> ProbeResult:
    """Run the largest batch of the epoch twice, then evenly spaced batches.

    Raises:
        RecipeError: The base of the recipe is missing.
        torch.OutOfMemoryError: The largest batch does not fit into memory.
    """
    state = processes()
    reset_peak(state.device)
    overrides: dict[str, Any] = {"workers": 0} | ({"max_bad_sample_ratio": 1.0} if isinstance(recipe, Recipe) else {})
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        setup = replace(recipe, **overrides).set_up(folder, state)
        chosen = _choose(setup.loader)
        args = training_arguments(recipe, folder, len(chosen), state.num_processes, [], state.device.type == "cpu")
        args.save_steps = len(chosen)
        stream, clock = _ProbeStream(setup.loader, chosen, recipe.global_batch), _Clock()
        StageTrainer(setup.module, stream, recipe, args, [clock]).train()
    pairs = list(zip(clock.steps[WARMUP_STEPS:], stream.reads[WARMUP_STEPS:], strict=True))
    each = [max(step, read / recipe.workers) if recipe.workers else step + read for step, read in pairs]
    return ProbeResult(sum(each) / len(each), clock.save, peak_bytes(state.device), stream.tokens / stream.samples)


def _choose(loader: Loader | SeedLoader) -> list[int]:
    """Numbers of the batches to run."""
    if isinstance(loader, SeedLoader):  # generated alike: no batch is known to be larger
        return list(range(WARMUP_STEPS + TIMED_STEPS))
    batches = loader.batches
    order = batches.epoch(0)
    lengths = batches.mixture.lengths(batches.tokens_per_image)[order]
    sizes = np.add.reduceat(lengths, np.arange(0, len(order), batches.size))
    full_batches = max(1, len(order) // batches.size)
    smallest_first = np.argsort(sizes[:full_batches], kind="stable")
    spaced = [int((n + 0.5) * full_batches / TIMED_STEPS) for n in range(TIMED_STEPS)]
    return [int(batch) for batch in smallest_first[[-1] * WARMUP_STEPS + spaced]]


class _ProbeStream(MicroBatchStream):
    """Streams chosen batches and records how long each took to read."""

    def __init__(self, loader: Loader | SeedLoader, chosen: list[int], size: int) -> None:
        super().__init__(loader)
        self.chosen, self.size, self.reads = chosen, size, list[float]()
        self.tokens = self.samples = 0

    def __iter__(self) -> Iterator[Any]:
        first = self.loader.state_dict()
        for batch in self.chosen:
            start = time.perf_counter()
            self.loader.load_state_dict({**first, "batch": batch})
            micro_batches: Any = next(iter(self.loader))
            self.reads.append(time.perf_counter() - start)
            self.tokens += sum(_tokens(each) for each in micro_batches)
            self.samples += self.size // self.loader.world_size
            yield from micro_batches


def _tokens(batch: Any) -> int:
    """Number of tokens that differ from the last one, which is padding if the rows are padded."""
    if "input_ids" not in batch:
        return 0
    ids = batch["input_ids"]
    return int((ids != ids.flatten()[-1]).sum())


class _Clock(TrainerCallback):
    """Records seconds per step, without reading, and seconds per checkpoint."""

    def __init__(self) -> None:
        self.steps, self.save, self.since = list[float](), 0.0, 0.0

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.since = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.steps.append(time.perf_counter() - self.since)
        self.since = time.perf_counter()

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.save = time.perf_counter() - self.since
