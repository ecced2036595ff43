"""In which order samples are seen: a function of seed and epoch, so that any position is known without those before it.

Letters: S samples of an epoch · G samples of a global batch, those of all ranks together.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .readers import Reader
from .schema import Sample

CHARACTERS_PER_TOKEN = 4
"""Of English in the tokenizers of the published models; lengths are estimated with it, for grouping only."""


@dataclass(frozen=True)
class Part:
    """A source's share of an epoch.

    Attributes:
        reader: where samples come from.
        weight: how often an epoch goes through the source: 1 is each sample once, 0.5 half of them (the other half in
            the next epoch), 2 each twice.
        samples: how many samples an epoch takes, in place of a weight.
    """

    reader: Reader
    weight: float = 1.0
    samples: int | None = None

    @property
    def count(self) -> int:
        """Samples in an epoch."""
        return round(self.weight * len(self.reader)) if self.samples is None else self.samples


class Mixture:
    """Samples of several sources under one numbering, and the order of each epoch.

    Args:
        parts: sources and their shares.
        seed: another seed is another order, and of a source that is not taken whole another choice.

    Raises:
        ValueError: A share is negative, or there is no sample in an epoch.
    """

    def __init__(self, parts: Sequence[Part], seed: int = 0) -> None:
        self.parts, self.seed = list(parts), seed
        counts = [part.count for part in self.parts]
        if min(counts, default=0) < 0 or not sum(counts):
            raise ValueError(f"an epoch takes {counts} samples of its sources: give weights above 0.")
        self._bases = np.cumsum([0, *(len(part.reader) for part in self.parts)])
        self.text_bytes = np.concatenate([part.reader.text_bytes for part in self.parts])
        self.images = np.concatenate([part.reader.images for part in self.parts])

    def __len__(self) -> int:
        """Samples in an epoch."""
        return sum(part.count for part in self.parts)

    def __getitem__(self, index: int) -> Sample:
        """Read the sample of one number, of those that `epoch` gives.

        Raises:
            SampleError: It is faulty.
        """
        part = self.part_of(index)
        return self.parts[part].reader[index - int(self._bases[part])]

    def part_of(self, index: int) -> int:
        """Of which part the sample of one number is."""
        return int(np.searchsorted(self._bases, index, side="right")) - 1

    def epoch(self, number: int) -> np.ndarray:
        """The order of an epoch: (S,) int64, numbers of samples."""
        chosen = []
        for n, part in enumerate(self.parts):
            # A source is gone through in passes, each in an order of its own; epochs take up where the last one ended.
            first, rows = number * part.count, len(part.reader)
            passes = range(first // rows, -(-(first + part.count) // rows))
            order = [self._bases[n] + shuffled(rows, self.seed, 1 + n, p) for p in passes if part.count]
            chosen += [np.concatenate(order)[first % rows :][: part.count]] if order else []
        return np.concatenate(chosen)[shuffled(len(self), self.seed, 0, number)]

    def lengths(self, tokens_per_image: int) -> np.ndarray:
        """Estimate tokens by the number of a sample: (all samples of all sources,) int64."""
        return self.text_bytes // CHARACTERS_PER_TOKEN + self.images.astype(np.int64) * tokens_per_image

    def fingerprint(self) -> str:
        """What the order depends on, in short: a position means nothing in another mixture."""
        of = [self.seed, *((part.reader.name, len(part.reader), part.count) for part in self.parts)]
        return hashlib.sha256(repr(of).encode() + self.text_bytes.tobytes() + self.images.tobytes()).hexdigest()[:16]


class GlobalBatches:
    """An epoch's samples as global batches, alike in modality and length where asked for.

    As the paper did, samples are gathered by modality, sorted by length within megabatches and cut into batches, which
    are shuffled. What is left of each modality comes last, mixed. Every sample is in exactly one batch.

    Args:
        mixture: of which samples.
        size: G, samples per batch; only an epoch's last batch is smaller.
        tokens_per_picture: what a picture adds to a sample's length.
        by_modality: samples with and without pictures apart, so that all ranks do the same work in a step.
        by_length: samples of similar length together, so that padding is little. Packed rows do not need it.
        megabatch: batches among which samples are sorted; more are more alike, and less random.
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
            raise ValueError(f"size is {size} and megabatch {megabatch}: give 1 or more.")
        self.mixture, self.size, self.megabatch = mixture, size, megabatch
        self.tokens_per_image, self.by_modality, self.by_length = tokens_per_image, by_modality, by_length

    def __len__(self) -> int:
        """Batches in an epoch."""
        return -(-len(self.mixture) // self.size)

    def epoch(self, number: int) -> np.ndarray:
        """The samples of an epoch's batches, one batch behind the other: (S,) int64, numbers of samples."""
        order = self.mixture.epoch(number)
        groups = [order]
        if self.by_modality:
            seen = self.mixture.images[order] > 0
            groups = [order[seen], order[~seen]]
        whole = [group[: len(group) // self.size * self.size] for group in groups]
        rest = np.concatenate([group[len(part) :] for group, part in zip(groups, whole, strict=True)])
        if self.by_length:
            lengths = self.mixture.lengths(self.tokens_per_image)
            megabatches = [np.arange(len(part)) // (self.size * self.megabatch) for part in whole]
            # The sort is stable: samples of equal length stay in the shuffled order.
            whole = [part[np.lexsort((lengths[part], m))] for part, m in zip(whole, megabatches, strict=True)]
        batches = np.concatenate(whole).reshape(-1, self.size)
        batches = batches[shuffled(len(batches), self.mixture.seed, 0, number, 1)]
        return np.concatenate([batches.reshape(-1), rest[shuffled(len(rest), self.mixture.seed, 0, number, 2)]])

    def fingerprint(self) -> str:
        """As the mixture's, and how it is cut."""
        of = [self.size, self.megabatch, self.tokens_per_image, self.by_modality, self.by_length]
        return hashlib.sha256(repr([self.mixture.fingerprint(), *of]).encode()).hexdigest()[:16]


def shuffled(count: int, *key: int) -> np.ndarray:
    """A permutation of `count` numbers that depends on the key alone.

    Ranks of a hash, not NumPy's generators: those may change with NumPy's version, and with them the rest of a run that
    is resumed.
    """
    state = np.frombuffer(hashlib.sha256(repr([int(part) for part in key]).encode()).digest()[:8], dtype="<u8")[0]
    with np.errstate(over="ignore"):
        z = state + np.arange(count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)  # SplitMix64
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return np.argsort(z, kind="stable")
