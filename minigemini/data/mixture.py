"""The order of samples, a function of seed and epoch: any position can be computed without the earlier ones.

Letters: S samples per epoch · G samples per global batch, over all ranks.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .curriculum import Curriculum
from .readers import Reader
from .schema import Sample

CHARACTERS_PER_TOKEN = 4
"""For English text in the tokenizers of the published models; used to estimate lengths, for grouping only."""


@dataclass(frozen=True)
class Part:
    """A source and its share of an epoch.

    Attributes:
        reader: the source.
        weight: passes over the source per epoch: 1 takes each sample once, 0.5 takes half of them (the next epoch takes
            the other half), 2 takes each twice.
        samples: samples per epoch, instead of a weight.
        curriculum: when in an epoch its samples come; None spreads them evenly.
    """

    reader: Reader
    weight: float = 1.0
    samples: int | None = None
    curriculum: Curriculum | None = None

    @property
    def count(self) -> int:
        """Samples per epoch."""
        return round(self.weight * len(self.reader)) if self.samples is None else self.samples


_EVENLY = Curriculum(((0.0, 1.0),))


class Mixture:
    """Samples of several sources with a common index, and their order in each epoch.

    Args:
        parts: sources and their shares.
        seed: determines the order, and which samples are taken of a source whose weight is not an integer.

    Raises:
        ValueError: A share is negative, or an epoch has no samples.
    """

    def __init__(self, parts: Sequence[Part], seed: int = 0) -> None:
        self.parts, self.seed = list(parts), seed
        counts = [part.count for part in self.parts]
        if min(counts, default=0) < 0 or not sum(counts):
            raise ValueError(f"an epoch would take {counts} samples of its sources: give weights above 0")
        self._bases = np.cumsum([0, *(len(part.reader) for part in self.parts)])
        self.text_bytes = np.concatenate([part.reader.text_bytes for part in self.parts])
        self.images = np.concatenate([part.reader.images for part in self.parts])

    def __len__(self) -> int:
        """Samples per epoch."""
        return sum(part.count for part in self.parts)

    def __getitem__(self, index: int) -> Sample:
        """Read the sample at an index that `epoch` returns.

        Raises:
            SampleError: The sample is invalid.
        """
        part = self.part_of(index)
        return self.parts[part].reader[index - int(self._bases[part])]

    def part_of(self, index: int) -> int:
        """Number of the part that contains the sample at an index."""
        return int(np.searchsorted(self._bases, index, side="right")) - 1

    def epoch(self, number: int) -> np.ndarray:
        """Order of the samples in an epoch: (S,) int64, indices."""
        chosen = []
        for n, part in enumerate(self.parts):
            # Each pass over a source has its own order; an epoch continues the pass where the previous epoch ended.
            first, rows = number * part.count, len(part.reader)
            passes = range(first // rows, -(-(first + part.count) // rows))
            rows_of = [self._bases[n] + shuffled(rows, self.seed, 1 + n, p) for p in passes if part.count]
            chosen += [np.concatenate(rows_of)[first % rows :][: part.count]] if rows_of else []
        order = shuffled(len(self), self.seed, 0, number)
        if self.has_curriculum:
            # Each source keeps its random order, and all are merged by the progress at which their samples come.
            due = [(part.curriculum or _EVENLY).positions((np.arange(part.count) + 0.5) / max(1, part.count))
                   for part in self.parts]  # fmt: skip
            order = order[np.argsort(np.concatenate(due)[order], kind="stable")]
        return np.concatenate(chosen)[order]

    @property
    def has_curriculum(self) -> bool:
        """Whether the mixture changes over an epoch."""
        return any(part.curriculum for part in self.parts)

    def lengths(self, tokens_per_image: int) -> np.ndarray:
        """Estimated tokens of each sample: (samples of all sources,) int64."""
        return self.text_bytes // CHARACTERS_PER_TOKEN + self.images.astype(np.int64) * tokens_per_image

    def fingerprint(self) -> str:
        """Hash of everything that determines the order: positions are only valid for an equal fingerprint."""
        of: list[object] = [self.seed, *((part.reader.name, len(part.reader), part.count) for part in self.parts)]
        if self.has_curriculum:
            of += [str(part.curriculum) for part in self.parts]
        return hashlib.sha256(repr(of).encode() + self.text_bytes.tobytes() + self.images.tobytes()).hexdigest()[:16]


class GlobalBatches:
    """Groups the samples of an epoch into global batches, optionally by modality and length.

    As in the paper, samples are separated by modality, sorted by length within megabatches and cut into batches, which
    are shuffled. The remainders of both modalities are mixed and come last. Every sample is in exactly one batch. If
    the mixture changes over the epoch, batches keep its order instead of being shuffled, except within megabatches.

    Args:
        mixture: the samples.
        size: G, samples per batch; only the last batch of an epoch may be smaller.
        tokens_per_image: tokens that an image adds to the length of a sample.
        by_modality: separate samples with and without images, so that all ranks do the same work in a step.
        by_length: put samples of similar length together to reduce padding. Packed rows do not need it.
        megabatch: number of batches within which samples are sorted; a larger one sorts better and shuffles less.

    Raises:
        ValueError: `size` or `megabatch` is below 1.
    """

    def __init__(
        self,
        mixture: Mixture,
        size: int,
        tokens_per_image: int,
        *,
        by_modality: bool = True,
        by_length: bool = True,
        megabatch: int = 50,
    ) -> None:
        if size < 1 or megabatch < 1:
            raise ValueError(f"size={size}, megabatch={megabatch}: both must be at least 1")
        self.mixture, self.size, self.megabatch = mixture, size, megabatch
        self.tokens_per_image, self.by_modality, self.by_length = tokens_per_image, by_modality, by_length

    def __len__(self) -> int:
        """Batches per epoch."""
        return -(-len(self.mixture) // self.size)

    def epoch(self, number: int) -> np.ndarray:
        """Indices of the samples of an epoch, batch after batch: (S,) int64."""
        order = self.mixture.epoch(number)
        groups = [np.arange(len(order))]
        if self.by_modality:
            has_image = self.mixture.images[order] > 0
            groups = [np.flatnonzero(has_image), np.flatnonzero(~has_image)]
        whole = [group[: len(group) // self.size * self.size] for group in groups]
        rest = np.concatenate([group[len(part) :] for group, part in zip(groups, whole, strict=True)])
        if self.by_length:
            lengths = self.mixture.lengths(self.tokens_per_image)[order]
            megabatches = [np.arange(len(part)) // (self.size * self.megabatch) for part in whole]
            # The sort is stable: samples of equal length stay in the shuffled order.
            whole = [part[np.lexsort((lengths[part], m))] for part, m in zip(whole, megabatches, strict=True)]
        batches = np.concatenate(whole).reshape(-1, self.size)
        batches = batches[shuffled(len(batches), self.mixture.seed, 0, number, 1)]
        if self.mixture.has_curriculum:
            batches = batches[np.argsort(batches.mean(axis=1), kind="stable")]
        rest = rest[shuffled(len(rest), self.mixture.seed, 0, number, 2)]
        return order[np.concatenate([batches.reshape(-1), rest])]

    def fingerprint(self) -> str:
        """Hash of the mixture's fingerprint and the grouping."""
        of = [self.size, self.megabatch, self.tokens_per_image, self.by_modality, self.by_length]
        return hashlib.sha256(repr([self.mixture.fingerprint(), *of]).encode()).hexdigest()[:16]


def shuffled(count: int, *key: int) -> np.ndarray:
    """Permutation of `range(count)` that depends only on the key.

    It sorts by a hash instead of using NumPy's generators, which may change between NumPy versions and with them the
    order of a resumed run.
    """
    state = np.frombuffer(hashlib.sha256(repr([int(part) for part in key]).encode()).digest()[:8], dtype="<u8")[0]
    with np.errstate(over="ignore"):
        z = state + np.arange(count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)  # SplitMix64
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return np.argsort(z, kind="stable")
