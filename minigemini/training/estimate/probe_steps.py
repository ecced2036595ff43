"""A few steps, run on this machine as the run will run them, in a folder that is removed."""

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
from ..trainer import StageTrainer
from ..trainer_arguments import arguments

PROBES = 5
"""Steps that are timed, evenly spread over the batches from the lightest to the heaviest."""
WARM_UP = 2
"""Steps before them that are not: of the heaviest batch, for the most memory."""


@dataclass(frozen=True)
class ProbeResult:
    """What a few steps took.

    Attributes:
        seconds_per_step: reading, or drawing, and encoding included.
        seconds_per_checkpoint: to write one.
        peak_bytes: most memory of a device, the heaviest batch of the epoch included; None if the system does not say.
        tokens_per_sample: visual ones included; 0 where an encoder alone is trained, which has none.
    """

    seconds_per_step: float
    seconds_per_checkpoint: float
    peak_bytes: int | None
    tokens_per_sample: float


def measure(recipe: RunSettings) -> ProbeResult:
    """Run the heaviest batch of the epoch twice, then some spread over all of them.

    Raises:
        RecipeError: What it starts from is not here.
        torch.OutOfMemoryError: It does not fit.
    """
    state = processes()
    reset_peak(state.device)
    alone: dict[str, Any] = {"workers": 0} | ({"max_bad_sample_ratio": 1.0} if isinstance(recipe, Recipe) else {})
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        setup = replace(recipe, **alone).set_up(folder, state)
        chosen = _choose(setup.loader)
        args = arguments(recipe, folder, len(chosen), state.num_processes, [], state.device.type == "cpu")
        args.save_steps = len(chosen)
        stream, clock = _Probes(setup.loader, chosen, recipe.global_batch), _Clock()
        StageTrainer(setup.module, stream, recipe, args, [clock]).train()
    pairs = list(zip(clock.steps[WARM_UP:], stream.reads[WARM_UP:], strict=True))
    each = [max(step, read / recipe.workers) if recipe.workers else step + read for step, read in pairs]
    return ProbeResult(sum(each) / len(each), clock.save, peak_bytes(state.device), stream.tokens / stream.samples)


def _choose(loader: Loader | SeedLoader) -> list[int]:
    """Numbers of the batches to run."""
    if isinstance(loader, SeedLoader):  # drawn alike: none is known to be heavier
        return list(range(WARM_UP + PROBES))
    batches = loader.batches
    order = batches.epoch(0)
    lengths = batches.mixture.lengths(batches.tokens_per_image)[order]
    weights = np.add.reduceat(lengths, np.arange(0, len(order), batches.size))
    whole = max(1, len(order) // batches.size)
    lightest_first = np.argsort(weights[:whole], kind="stable")
    spread = [int((n + 0.5) * whole / PROBES) for n in range(PROBES)]
    return [int(batch) for batch in lightest_first[[-1] * WARM_UP + spread]]


class _Probes(MicroBatchStream):
    """Chosen batches one behind the other, and how long each took to read."""

    def __init__(self, loader: Loader | SeedLoader, chosen: list[int], size: int) -> None:
        super().__init__(loader)
        self.chosen, self.size, self.reads = chosen, size, list[float]()
        self.tokens = self.samples = 0

    def __iter__(self) -> Iterator[Any]:
        first = self.loader.state_dict()
        for batch in self.chosen:
            began = time.perf_counter()
            self.loader.load_state_dict({**first, "batch": batch})
            passes: Any = next(iter(self.loader))
            self.reads.append(time.perf_counter() - began)
            self.tokens += sum(_tokens(each) for each in passes)
            self.samples += self.size // self.loader.world_size
            yield from passes


def _tokens(batch: Any) -> int:
    """Of a batch, without what fills its rows up: at most a few samples end with that."""
    if "input_ids" not in batch:
        return 0
    ids = batch["input_ids"]
    return int((ids != ids.flatten()[-1]).sum())


class _Clock(TrainerCallback):
    """Seconds of each step, without reading, and of the checkpoint."""

    def __init__(self) -> None:
        self.steps, self.save, self.since = list[float](), 0.0, 0.0

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.since = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.steps.append(time.perf_counter() - self.since)
        self.since = time.perf_counter()

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.save = time.perf_counter() - self.since
