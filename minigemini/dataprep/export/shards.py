"""Writes one shard: a span of the sample order, read, checked and written.

Its bytes depend only on the build and the number of the shard, so any process or machine can write it, and repeat it.
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
from PIL.Image import Image

from ...data.mixture import Mixture
from ...data.readers import write_parquet, write_tar
from ...data.readers.base import record_of
from ...data.schema import IMAGE_TAG, ImageInput, Sample, SampleError, SampleIssue
from ...images.decoders import open_isolated
from ...images.safe_images import ImageError
from ...modeling.messages import with_requests
from .target import Target

DONE = ".done"
"""Folder of records of complete shards."""
ReadText = Callable[[Image], list[str]]
"""Reads the text in an RGB image, in reading order."""
OCR_SOURCES = frozenset({"docvqa", "chartqa", "dvqa", "ai2d"})
"""Sources whose questions the paper extended with the text in their images."""
_CHECK_PX = 64


@dataclass
class ShardWriter:
    """Writes shards by number.

    Attributes:
        mixture: the samples.
        order: (samples,) int64, indices of samples in the order of the shards.
        licences: license of each part, for samples that have none.
        shard_samples: samples per shard, including excluded ones.
        form: `parquet` or `webdataset`.
        root: store image paths relative to it; None stores images in the shards.
        trusted: do not decode images to check them.
        target: where to write.
        plan: fingerprint of the build, by which its shards are recognized.
        readers: creates an OCR function, once in each process; None leaves questions unchanged.
        parts_read: numbers of the parts whose questions get OCR text.
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
    readers: Callable[[], ReadText] | None = None
    parts_read: frozenset[int] = frozenset()

    def __len__(self) -> int:
        """Number of shards."""
        return -(-len(self.order) // self.shard_samples)

    def name(self, number: int) -> str:
        """File name of a shard."""
        return f"shard-{number:05d}.{'parquet' if self.form == 'parquet' else 'tar'}"

    def done(self, number: int) -> dict[str, Any] | None:
        """Record of a shard that is complete and belongs to this build; None if there is none."""
        try:
            note: dict[str, Any] = json.loads(self.target.read(f"{DONE}/{number:05d}.json") or b"")
        except ValueError:
            return None
        whole = note.get("plan") == self.plan and note.get("bytes") == self.target.size(self.name(number))
        return note if whole else None

    def __call__(self, number: int) -> dict[str, Any]:
        """Write a shard unless it is complete, and return its record."""
        if note := self.done(number):
            return note
        tally = _Tally()
        name = self.name(number)

        def produce(aside: Path) -> dict[str, Any]:
            samples = self._samples(number, tally)
            rows = write_parquet(samples, aside, self.root) if self.form == "parquet" else write_tar(samples, aside)
            with aside.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            return {"file": name, "rows": rows, "bytes": aside.stat().st_size, "sha256": digest, "plan": self.plan}

        note = self.target.write(name, produce) | {"counts": sorted(tally.counts.items()), "faults": tally.issues}
        self.target.write_text(f"{DONE}/{number:05d}.json", json.dumps(note))
        return note

    def _samples(self, number: int, tally: "_Tally") -> Iterator[Sample]:
        first = number * self.shard_samples
        for position in range(first, min(first + self.shard_samples, len(self.order))):
            try:
                sample = self._checked(int(self.order[position]))
            except SampleError as error:
                entry = {"position": position, "id": error.id, "source": error.source, "fault": error.issue.value}
                tally.issues.append({**entry, "reason": error.detail})
                continue
            tally.counts[sample.source, sample.licence] += 1
            yield sample

    def _checked(self, index: int) -> Sample:
        part = self.mixture.part_of(index)
        sample = self.mixture[index]
        if not sample.licence:
            sample = replace(sample, licence=self.licences[part])
        for image in sample.images:
            reason = _image_problem(image, self.trusted)
            if reason is None and self.root is not None and isinstance(image, Path):
                reason = None if image.is_relative_to(self.root) else f"{image} is outside {self.root}"
            if reason is not None:
                raise SampleError(SampleIssue.IMAGE, reason, sample.id, sample.source)
        record_of(sample)  # raises for what a shard cannot hold
        if self.readers is not None and part in self.parts_read:
            return with_ocr_text(sample, _reader_of(self.readers))
        return sample


@lru_cache(maxsize=1)
def _reader_of(readers: Callable[[], ReadText]) -> ReadText:
    return readers()


class _Tally:
    """Counts of the samples in a shard, and the samples excluded from it."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.issues: list[dict[str, Any]] = []


def _image_problem(image: ImageInput, trusted: bool) -> str | None:
    if isinstance(image, Path):
        return _file_problem(image, trusted)
    return None if trusted or not isinstance(image, bytes) else _decode_problem(image)


@lru_cache(maxsize=65_536)  # many records share an image
def _file_problem(image: Path, trusted: bool) -> str | None:
    if trusted:
        return None if image.is_file() else f"{image}: no such file; check the path"
    return _decode_problem(image)


def _decode_problem(image: Path | bytes) -> str | None:
    try:
        open_isolated(image, at_least_px=_CHECK_PX)
    except ImageError as error:
        return str(error)
    return None


def with_ocr_text(sample: Sample, read: ReadText) -> Sample:
    """Append the text in a sample's images to its first question, in the published format.

    Args:
        sample: a conversation; one without images is unchanged.
        read: reads the text in an image.

    Raises:
        ImageError: An image cannot be read.
    """
    texts = [text for image in sample.images for text in read(open_isolated(image))]
    # Images are untrusted: one may show the image tag itself.
    texts = [kept for text in texts if (kept := text.replace(IMAGE_TAG, "").strip())]
    if not texts:
        return sample
    users = sum(message["role"] == "user" for message in sample.messages)
    return replace(sample, messages=tuple(with_requests(sample.messages, False, [texts] + [[]] * (users - 1))))
