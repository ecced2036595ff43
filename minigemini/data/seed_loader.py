"""Samples by their number, without end: sample i is drawn from seed i, so where one stands is one number."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

_APART = 2**40
"""Between the first samples of two seeds: more than any run sees."""


class _Numbered(Dataset[Any]):
    def __init__(self, sample: Callable[[int], Any]) -> None:
        self.sample = sample

    def __getitem__(self, number: int) -> Any:
        return self.sample(number)


class SeedLoader:
    """A rank's share of each global batch, like `loader.Loader`, of samples that never end.

    Step s of global batch G has samples F + s·G to F + s·G + G - 1, where F is far from that of every other seed. Of
    them rank r of W has those at r, r + W, …; a run goes on with another number of ranks or workers.

    Args:
        sample: the sample of a number.
        collate: samples to what a step is given.
        steps: of the run.
        size: G.
        seed: of the run; another has other samples.
        rank, world_size: which share.
        workers: processes that draw ahead; 0 draws in the training process.
        pin_memory: whether batches lie in pinned memory, for a GPU.
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
            raise ValueError(f"rank is {rank} of {world_size}: ranks count from 0.")
        self.sample, self.collate, self.steps, self.size = sample, collate, steps, size
        self.rank, self.world_size, self.workers, self.pin_memory = rank, world_size, workers, pin_memory
        self.first, self.batch = seed * _APART, 0

    def __len__(self) -> int:
        """Batches of the run, which is all there is of an epoch."""
        return self.steps

    def __iter__(self) -> Iterator[Any]:
        for batch in DataLoader(
            _Numbered(self.sample),
            batch_sampler=self._numbers(self.batch),
            collate_fn=self.collate,
            num_workers=self.workers,
            pin_memory=self.pin_memory,
            # Of its own, or making workers would take a number from the run's generator, which resume must meet.
            generator=torch.Generator(),
        ):
            self.batch += 1
            yield batch

    def _numbers(self, batch: int) -> Iterator[list[int]]:
        for start in count(self.first + batch * self.size, self.size):
            yield list(range(start + self.rank, start + self.size, self.world_size))

    def state_dict(self) -> dict[str, int]:
        """Where the run stands."""
        return {"size": self.size, "batch": self.batch}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on where a state was taken.

        Raises:
            ValueError: It counts batches of another size.
        """
        if state["size"] != self.size:
            raise ValueError(f"the state counts batches of {state['size']} samples, but these have {self.size}.")
        self.batch = state["batch"]
