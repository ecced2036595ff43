"""A stretch of records: what is wrong with them, how long they are, and which pictures they show."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ...data.readers import Reader
from ...data.schema import Sample, SampleError, SampleIssue, text_of
from .image_checks import CheckedImage, examine
from .issues import Issue, IssueKind
from .typed_control_tokens import well_known

EVALUATION_FOLDERS = {"textvqa": "TextVQA"}
"""Folders of pictures, in the published layout, that belong to an evaluation set: TextCaps shows TextVQA's."""
_SHOWN_TOKENS = 5


class TokenCounter(Protocol):
    """How long samples are for one family of models."""

    def __call__(self, samples: Sequence[Sample]) -> list[int | str]:
        """Tokens of each sample, or why the family's template refuses it."""
        ...

    def control_tokens(self, text: str) -> list[str]:
        """What in a text is a control token to the family, each once."""
        ...


@dataclass
class RecordChunk:
    """What a stretch of records holds.

    Attributes:
        finds: what was found.
        ids: (records,) int64, hashes of their names; 0 of a faulty one.
        characters: (records,) int32, text of a sample; 0 of a faulty one.
        tokens: by family, (records,) int32; 0 where there is none.
        references: row and path of each picture that is a file.
        seen: row and what it is of each picture that lies in the record.
    """

    issues: list[Issue] = field(default_factory=list)
    ids: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    characters: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int32))
    tokens: dict[str, np.ndarray] = field(default_factory=dict)
    references: list[tuple[int, str]] = field(default_factory=list)
    seen: list[tuple[int, CheckedImage]] = field(default_factory=list)


class RecordWork:
    """Reads stretches of a reader's records, each once.

    Args:
        reader: whose.
        counters: families by name.
    """

    def __init__(self, reader: Reader, counters: Mapping[str, TokenCounter]) -> None:
        self.reader, self.counters = reader, dict(counters)

    def __call__(self, chunk: tuple[int, int]) -> RecordChunk:
        first, end = chunk
        found = RecordChunk(
            ids=np.zeros(end - first, dtype=np.int64),
            characters=np.zeros(end - first, dtype=np.int32),
            tokens={name: np.zeros(end - first, dtype=np.int32) for name in self.counters},
        )
        good: list[tuple[int, Sample]] = []
        for row in range(first, end):
            try:
                sample = self.reader[row]
            except SampleError as error:
                found.issues.append(Issue(row, error.id, error.issue.value, error.detail))
                continue
            good.append((row, sample))
            found.ids[row - first] = hash_of(sample.id)
            found.characters[row - first] = sum(len(text_of(message)) for message in sample.messages)
            _examine_text(row, sample, found)
            _examine_control_tokens(row, sample, found, self.counters.values())
            _examine_images(row, sample, found)
        for name, counter in self.counters.items():
            for (row, sample), count in zip(good, counter([sample for _, sample in good]), strict=True):
                if isinstance(count, int):
                    found.tokens[name][row - first] = count
                else:
                    found.issues.append(Issue(row, sample.id, SampleIssue.REFUSED.value, f"{name}: {count}"))
        return found


def hash_of(id: str) -> int:
    """64 bits of a name, the same in every process."""
    return int.from_bytes(hashlib.blake2b(id.encode(), digest_size=8).digest(), "big", signed=True)


def _examine_text(row: int, sample: Sample, found: RecordChunk) -> None:
    said: dict[str, int] = {}
    for number, message in enumerate(sample.messages, 1):
        if message["role"] != "user":
            continue
        text = text_of(message).strip()
        if text and text in said:
            reason = f"message {number} asks what message {said[text]} does"
            found.issues.append(Issue(row, sample.id, IssueKind.REPEATED_TURN.value, reason))
            return
        said[text] = number


def _examine_control_tokens(row: int, sample: Sample, found: RecordChunk, counters: Iterable[TokenCounter]) -> None:
    for number, message in enumerate(sample.messages, 1):
        text = text_of(message)
        tokens = well_known(text)
        tokens += [token for counter in counters for token in counter.control_tokens(text) if token not in tokens]
        if tokens:
            reason = f"message {number} has {', '.join(map(repr, tokens[:_SHOWN_TOKENS]))}; they are read as text"
            found.issues.append(Issue(row, sample.id, IssueKind.CONTROL_TOKEN.value, reason))
            return


def _examine_images(row: int, sample: Sample, found: RecordChunk) -> None:
    for image in sample.images:
        if isinstance(image, bytes):
            found.seen.append((row, examine(image)))
        if not isinstance(image, Path):
            continue
        found.references.append((row, str(image)))
        if (folder := next((part for part in image.parts if part in EVALUATION_FOLDERS), None)) is not None:
            reason = f"{image.name} lies under {folder}/, with {EVALUATION_FOLDERS[folder]}'s pictures"
            found.issues.append(Issue(row, sample.id, IssueKind.EVALUATION.value, reason, str(image)))


class ImageWork:
    """Reads pictures, each once."""

    def __call__(self, paths: list[str]) -> list[CheckedImage]:
        return [examine(Path(path)) for path in paths]


def record_chunks(count: int, size: int) -> list[tuple[int, int]]:
    """Cut so many things into stretches: first and end of each."""
    return [(first, min(first + size, count)) for first in range(0, count, size)]


def lengths_of(parts: Sequence[Any]) -> np.ndarray:
    """Stretches put together again."""
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int32)
