"""One shard: a stretch of the order, read, checked and written. It is a function of the plan and of its number alone.

So it does not matter which process or machine makes it, or how often: the bytes are the same.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ...data.mixture import Mixture
from ...data.readers import write_parquet, write_tar
from ...data.schema import ImageInput, Sample, SampleError, SampleIssue
from ...images.decoders import open_isolated
from ...images.safe_images import ImageError
from .ocr_strings import ReadStrings, with_strings
from .target import Target

DONE = ".done"
"""Folder of notes on shards that are whole."""
_CHECK_PX = 64


@dataclass
class ShardWork:
    """Makes shards by their numbers.

    Attributes:
        mixture: what they are made of.
        order: (samples,) int64, numbers of samples in the order of the shards.
        licences: of each part, for samples that name none.
        shard_samples: samples of a shard; fewer where some are faulty.
        form: `parquet` or `webdataset`.
        root: keep pictures by their paths under it; None puts them inside.
        trusted: take pictures without decoding them.
        target: where to.
        readers: makes, once in each process, what reads strings in pictures; None leaves questions as they are.
        parts_read: numbers of the parts whose pictures are read.
        plan: fingerprint of all this, by which a shard is known to belong here.
    """

    mixture: Mixture
    order: np.ndarray
    licences: tuple[str, ...]
    shard_samples: int
    form: str
    root: Path | None
    trusted: bool
    target: Target
    plan: str
    readers: Callable[[], ReadStrings] | None = None
    parts_read: frozenset[int] = frozenset()

    def __len__(self) -> int:
        """How many shards there are."""
        return -(-len(self.order) // self.shard_samples)

    def name(self, number: int) -> str:
        """File name of a shard."""
        return f"shard-{number:05d}.{'parquet' if self.form == 'parquet' else 'tar'}"

    def done(self, number: int) -> dict[str, Any] | None:
        """The note on a shard that is whole and of this plan; None if there is none."""
        try:
            note: dict[str, Any] = json.loads(self.target.read(f"{DONE}/{number:05d}.json") or b"")
        except ValueError:
            return None
        whole = note.get("plan") == self.plan and note.get("bytes") == self.target.size(self.name(number))
        return note if whole else None

    def __call__(self, number: int) -> dict[str, Any]:
        """Make a shard, unless it is there, and give the note on it."""
        if note := self.done(number):
            return note
        made = _Made()
        name = self.name(number)

        def produce(aside: Path) -> dict[str, Any]:
            samples = self._samples(number, made)
            rows = write_parquet(samples, aside, self.root) if self.form == "parquet" else write_tar(samples, aside)
            with aside.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            return {"file": name, "rows": rows, "bytes": aside.stat().st_size, "sha256": digest, "plan": self.plan}

        note = self.target.write(name, produce) | {"counts": sorted(made.counts.items()), "faults": made.issues}
        self.target.write_text(f"{DONE}/{number:05d}.json", json.dumps(note))
        return note

    def _samples(self, number: int, made: "_Made") -> Iterator[Sample]:
        first = number * self.shard_samples
        for position in range(first, min(first + self.shard_samples, len(self.order))):
            try:
                sample = self._whole(int(self.order[position]))
            except SampleError as error:
                entry = {"position": position, "id": error.id, "source": error.source, "fault": error.issue.value}
                made.issues.append({**entry, "reason": error.detail})
                continue
            made.counts[sample.source, sample.licence] += 1
            yield sample

    def _whole(self, index: int) -> Sample:
        part = self.mixture.part_of(index)
        sample = self.mixture[index]
        if not sample.licence:
            sample = replace(sample, licence=self.licences[part])
        for image in sample.images:
            reason = _wrong(image, self.trusted)
            if reason is None and self.root is not None and isinstance(image, Path):
                reason = None if image.is_relative_to(self.root) else f"{image} lies outside {self.root}"
            if reason is not None:
                raise SampleError(SampleIssue.IMAGE, reason, sample.id, sample.source)
        if self.readers is not None and part in self.parts_read:
            return with_strings(sample, _reader_of(self.readers))
        return sample


@lru_cache(maxsize=1)
def _reader_of(readers: Callable[[], ReadStrings]) -> ReadStrings:
    return readers()


class _Made:
    """What went into a shard, and what did not."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.issues: list[dict[str, Any]] = []


def _wrong(image: ImageInput, trusted: bool) -> str | None:
    if isinstance(image, Path):
        return _wrong_file(image, trusted)
    return None if trusted or not isinstance(image, bytes) else _read(image)


@lru_cache(maxsize=65_536)  # many records show one picture
def _wrong_file(image: Path, trusted: bool) -> str | None:
    if trusted:
        return None if image.is_file() else f"{image}: no such file; check the path"
    return _read(image)


def _read(image: Path | bytes) -> str | None:
    try:
        open_isolated(image, at_least_px=_CHECK_PX)
    except ImageError as error:
        return str(error)
    return None
