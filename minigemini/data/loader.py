"""Data loader for training with exact resume.

Workers read, encode and collate samples ahead of training. Batches and their order do not depend on the number of
workers. A loader resumes from a saved state, also in the middle of an epoch, without reading earlier samples. The state
counts batches that were delivered, not batches that workers have prefetched. A bad sample is left out of its batch and
is not replaced.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch.utils.data import DataLoader, Dataset

from .bad_samples import BadSampleLog
from .encoding import Encoded
from .loader_processes import outlive_first_signal
from .mixture import GlobalBatches, Mixture
from .packing import Batch
from .schema import Sample, SampleError

Encoder = Callable[[Sample], Encoded]
Slot = tuple[int, int]
"""Position in the training order, index of the sample in the mixture."""
Result = tuple[int, Encoded | SampleError]
"""Position in the training order, and the encoded sample or its error."""


class OtherDataError(ValueError):
    """The state belongs to other data or another order; the message is one line with the fix."""


class _EncodedSamples(Dataset[Any]):
    """Encoded samples of a mixture, or their errors."""

    def __init__(self, mixture: Mixture, encoder: Encoder) -> None:
        self.mixture, self.encoder = mixture, encoder

    def __getitem__(self, slot: Slot) -> Result:
        position, index = slot
        try:
            return position, self.encoder(self.mixture[index])
        except SampleError as error:
            return position, error


class _CollatedBatch(NamedTuple):
    """A batch, the samples left out of it, and the number of samples read for it."""

    batch: Batch
    bad: list[tuple[int, SampleError]]
    seen: int


class _Collate:
    """Collates valid samples in a worker and passes errors on."""

    def __init__(self, collator: Callable[[Sequence[Encoded]], Batch]) -> None:
        self.collator = collator

    def __call__(self, results: list[Result]) -> _CollatedBatch:
        bad = [(position, result) for position, result in results if isinstance(result, SampleError)]
        valid = [result for _, result in results if isinstance(result, Encoded)]
        return _CollatedBatch(self.collator(valid), bad, len(results))


class Loader:
    """Loads one rank's part of each global batch; each iteration is one epoch, and the first starts at the state.

    Rank r of W takes samples r, r + W, ... of each global batch, so that W ranks together see the samples that one rank
    would see, and a run can resume with another number of ranks. The state holds `epoch` and `batch`, equal on all
    ranks, and the rank's own counts of samples and bad samples.

    Args:
        batches: order of the samples, in global batches.
        encoder: encodes a sample, e.g. `SampleEncoder`.
        collator: collates samples, e.g. `PackedCollator` or `PaddedCollator`. If all samples of a batch are bad, it is
            called without samples and returns a batch without labels, so that ranks stay in step.
        issues: log of bad samples.
        rank, world_size: the part of each global batch to load.
        workers: number of worker processes; 0 loads in the training process.
        pin_memory: allocate batches in pinned memory, for a GPU.

    Raises:
        ValueError: `rank` is not in `range(world_size)`.
    """

    def __init__(
        self,
        batches: GlobalBatches,
        encoder: Encoder,
        collator: Callable[[Sequence[Encoded]], Batch],
        issues: BadSampleLog,
        *,
        rank: int = 0,
        world_size: int = 1,
        workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        if not 0 <= rank < world_size:
            raise ValueError(f"rank {rank} is out of range for world_size={world_size}: ranks count from 0")
        self.batches, self.encoder, self.collator, self.issues = batches, encoder, collator, issues
        self.rank, self.world_size, self.workers, self.pin_memory = rank, world_size, workers, pin_memory
        self.epoch = self.batch = 0
        self._seen = 0
        self._fingerprint = batches.fingerprint()

    def __len__(self) -> int:
        """Batches per epoch."""
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        loaded = DataLoader(
            _EncodedSamples(self.batches.mixture, self.encoder),
            batch_sampler=self._slots(self.epoch, self.batch),
            collate_fn=_Collate(self.collator),
            num_workers=self.workers,
            pin_memory=self.pin_memory,
            # Without its own generator, DataLoader would draw a worker seed from the run's, and resume would differ.
            generator=torch.Generator(),
            worker_init_fn=outlive_first_signal,
        )
        for collated in loaded:
            for position, error in collated.bad:
                self.issues.record(position, error)
            self._seen += collated.seen
            self.issues.check(self._seen)
            finished, following = divmod(self.batch + 1, len(self))
            self.epoch, self.batch = self.epoch + finished, following
            yield collated.batch

    def state_dict(self) -> dict[str, Any]:
        """Position of this rank, as plain numbers."""
        return {
            "fingerprint": self._fingerprint,
            "seen": self._seen,
            "faults": dict(self.issues.counts),
            "epoch": self.epoch,
            "batch": self.batch,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a state.

        Raises:
            OtherDataError: The state belongs to other data or another order.
        """
        if state["fingerprint"] != self._fingerprint:
            raise OtherDataError(
                f"the state belongs to data {state['fingerprint']}, but the configured data is {self._fingerprint}: "
                "resume with the sources, weights, seed and batch size that the run started with"
            )
        self._seen = state["seen"]
        self.issues.counts.clear()
        self.issues.counts.update(state["faults"])
        self.epoch, self.batch = state["epoch"], state["batch"]

    def _slots(self, epoch: int, first: int) -> Iterator[list[Slot]]:
        order, size = self.batches.epoch(epoch), self.batches.size
        for start in range(first * size, len(order), size):
            places = range(start + self.rank, min(start + size, len(order)), self.world_size)
            yield [(epoch * len(order) + place, int(order[place])) for place in places]
