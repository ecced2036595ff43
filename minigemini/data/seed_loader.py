"""Data loader for generated samples: sample i is drawn from seed i, so its state is one number."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from .loader_processes import outlive_first_signal

_SAMPLES_PER_SEED = 2**40
"""Distance between the first samples of two seeds; more than any run takes."""


def first_sample(seed: int) -> int:
    """The number of the first sample of a run with a seed."""
    return seed * _SAMPLES_PER_SEED


class _GeneratedSamples(Dataset[Any]):
    def __init__(self, sample: Callable[[int], Any]) -> None:
        self.sample = sample

    def __getitem__(self, number: int) -> Any:
        return self.sample(number)


class SeedLoader:
    """Loads one rank's part of each global batch, like `loader.Loader`, from an endless sequence of samples.

    With global batches of G samples, step s has samples F + s·G to F + s·G + G - 1, where F differs by 2^40 between
    consecutive seeds. Rank r of W takes those at r, r + W, ...; a run can resume with another number of ranks or
    workers.

    Args:
        sample: generates the sample of a number.
        collate: collates samples into the input of a step.
        steps: steps of the run.
        size: G.
        seed: seed of the run; determines the samples.
        rank, world_size: the part of each global batch to load.
        workers: number of worker processes; 0 generates in the training process.
        pin_memory: allocate batches in pinned memory, for a GPU.

    Raises:
        ValueError: `rank` is not in `range(world_size)`.
    """

    epoch = 0

    def __init__(
        self,
        sample: Callable[[int], Any],
        collate: Callable[[list[Any]], Any],
        *,
        steps: int,
        size: int,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        if not 0 <= rank < world_size:
            raise ValueError(f"rank {rank} is out of range for world_size={world_size}: ranks count from 0")
        self.sample, self.collate, self.steps, self.size = sample, collate, steps, size
        self.rank, self.world_size, self.workers, self.pin_memory = rank, world_size, workers, pin_memory
        self.first, self.batch = first_sample(seed), 0

    def __len__(self) -> int:
        """Batches of the run; the run is one epoch."""
        return self.steps

    def __iter__(self) -> Iterator[Any]:
        for batch in DataLoader(
            _GeneratedSamples(self.sample),
            batch_sampler=self._numbers(self.batch),
            collate_fn=self.collate,
            num_workers=self.workers,
            pin_memory=self.pin_memory,
            # Without its own generator, DataLoader would draw a worker seed from the run's, and resume would differ.
            generator=torch.Generator(),
            worker_init_fn=outlive_first_signal,
        ):
            self.batch += 1
            yield batch

    def _numbers(self, batch: int) -> Iterator[list[int]]:
        for start in count(self.first + batch * self.size, self.size):
            yield list(range(start + self.rank, start + self.size, self.world_size))

    def state_dict(self) -> dict[str, int]:
        """Position of the run."""
        return {"size": self.size, "batch": self.batch}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Resume from a state.

        Raises:
            ValueError: The state counts batches of another size.
        """
        if state["size"] != self.size:
            raise ValueError(
                f"the state counts batches of {state['size']} samples, but the batch size is {self.size}: use the same"
            )
        self.batch = state["batch"]
