"""Batches for training: workers read, encode and collate ahead; where one stands is a few numbers.

A loader gives the same batches in the same order with any number of workers, and goes on exactly from a saved state, in
the middle of an epoch too, without going through what was before. The state counts what was handed out, not what
workers have ready. A faulty sample is missing from its batch; no other takes its place.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch.utils.data import DataLoader, Dataset

from .bad_samples import BadSampleLog
from .encoding import Encoded
from .mixture import GlobalBatches, Mixture
from .packing import Batch
from .schema import Sample, SampleError

Encoder = Callable[[Sample], Encoded]
Place = tuple[int, int]
"""Position in the order of training, number of the sample in the mixture."""
Placed = tuple[int, Encoded | SampleError]
"""Position in the order of training, and what became of the sample there."""


class OtherDataError(ValueError):
    """A state that is of other data, or of another order; the message is one line that says what to do."""


class _Samples(Dataset[Any]):
    """A mixture's samples, encoded, or why they are not."""

    def __init__(self, mixture: Mixture, encoder: Encoder) -> None:
        self.mixture, self.encoder = mixture, encoder

    def __getitem__(self, place: Place) -> Placed:
        position, number = place
        try:
            return position, self.encoder(self.mixture[number])
        except SampleError as error:
            return position, error


class StatefulLoader:
    """What loaders share: the workers, the count of faults, and a state that fits one order of samples only."""

    def __init__(
        self,
        batches: GlobalBatches,
        encoder: Encoder,
        issues: BadSampleLog,
        *,
        rank: int = 0,
        world_size: int = 1,
        workers: int = 0,
    ) -> None:
        if not 0 <= rank < world_size:
            raise ValueError(f"rank is {rank} of {world_size}: ranks count from 0.")
        self.batches, self.encoder, self.issues = batches, encoder, issues
        self.rank, self.world_size, self.workers, self.pin_memory = rank, world_size, workers, False
        self._seen = 0
        self._fingerprint = batches.fingerprint()

    def state_dict(self) -> dict[str, Any]:
        """Where this rank stands, as plain numbers: save it, and hand it to `load_state_dict`."""
        return {
            "fingerprint": self._fingerprint,
            "seen": self._seen,
            "faults": dict(self.issues.counts),
            **self._position(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where a state was taken.

        Raises:
            OtherDataError: It belongs to other data or another order.
        """
        if state["fingerprint"] != self._fingerprint:
            raise OtherDataError(
                f"the state is of the data {state['fingerprint']}, but this is {self._fingerprint}: resume with the "
                "sources, weights, seed and batch size that the run began with."
            )
        self._seen = state["seen"]
        self.issues.counts.clear()
        self.issues.counts.update(state["faults"])
        self._restore(state)

    def _position(self) -> dict[str, Any]:
        raise NotImplementedError

    def _restore(self, state: dict[str, Any]) -> None:
        raise NotImplementedError

    def _load(self, places: Iterable[list[Place]], collate: Callable[[list[Placed]], Any]) -> Iterator[Any]:
        """Have samples encoded and put together, in the order given."""
        return iter(
            DataLoader(
                _Samples(self.batches.mixture, self.encoder),
                batch_sampler=places,
                collate_fn=collate,
                num_workers=self.workers,
                pin_memory=self.pin_memory,
                # Of its own, or making workers would take a number from the run's generator, which resume must meet.
                generator=torch.Generator(),
            )
        )

    def _account(self, seen: int, issues: Iterable[tuple[int, SampleError]]) -> None:
        """Note samples as gone through, and which of them were faulty."""
        for position, error in issues:
            self.issues.record(position, error)
        self._seen += seen
        self.issues.check(self._seen)


class _Delivery(NamedTuple):
    """A batch, the samples that are missing from it, and how many it would have had."""

    batch: Batch
    issues: list[tuple[int, SampleError]]
    seen: int


class _Collate:
    """In a worker: collates good samples, and sets faulty ones apart."""

    def __init__(self, collator: Callable[[Sequence[Encoded]], Batch]) -> None:
        self.collator = collator

    def __call__(self, samples: list[Placed]) -> _Delivery:
        issues = [(position, found) for position, found in samples if isinstance(found, SampleError)]
        good = [found for _, found in samples if isinstance(found, Encoded)]
        return _Delivery(self.collator(good), issues, len(samples))


class Loader(StatefulLoader):
    """A rank's share of each global batch, an epoch per iteration; the first goes on from the state.

    Its state is `epoch` and `batch`, the same for all ranks, and the rank's own counts of samples and faults. Rank r of
    W has samples r, r + W, … of each global batch, so that W ranks together see what one would, and a run may go on
    with another number of ranks.

    Args:
        batches: the order of samples, in global batches.
        encoder: a sample to tensors, as `SampleEncoder`.
        collator: samples to a batch, as `PackedCollator` or `PaddedCollator`. Where all samples are faulty it is given
            none, and makes a batch that teaches nothing, so that ranks stay in step.
        faults: where faulty samples are recorded.
        rank, world_size: which share.
        workers: processes that work ahead; 0 works in the training process.
        pin_memory: whether batches lie in pinned memory, for a GPU.
    """

    def __init__(
        self,
        batches: GlobalBatches,
        encoder: Encoder,
        collator: Callable[[Sequence[Encoded]], Batch],
        issues: BadSampleLog,
        *,
        pin_memory: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(batches, encoder, issues, **kwargs)
        self.collator, self.pin_memory = collator, pin_memory
        self.epoch = self.batch = 0

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        for delivery in self._load(self._places(self.epoch, self.batch), _Collate(self.collator)):
            self._account(delivery.seen, delivery.issues)
            ended, following = divmod(self.batch + 1, len(self))
            self.epoch, self.batch = self.epoch + ended, following
            yield delivery.batch

    def _places(self, epoch: int, first: int) -> Iterator[list[Place]]:
        order, size = self.batches.epoch(epoch), self.batches.size
        for start in range(first * size, len(order), size):
            places = range(start + self.rank, min(start + size, len(order)), self.world_size)
            yield [(epoch * len(order) + place, int(order[place])) for place in places]

    def _position(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "batch": self.batch}

    def _restore(self, state: dict[str, Any]) -> None:
        self.epoch, self.batch = state["epoch"], state["batch"]
