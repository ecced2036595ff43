"""Checks of a chunk of records: issues, lengths in characters and tokens, and the images that they reference."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from jinja2.exceptions import TemplateError

from ...data.readers import Reader
from ...data.schema import Sample, SampleError, SampleIssue, text_of
from ...images.decoders import open_video
from ...images.safe_images import ImageError
from ...images.video import VideoSampling
from .image_checks import CheckedImage, check_image
from .issues import Issue, IssueKind

if TYPE_CHECKING:
    from ...modeling import MiniGeminiProcessor

EVALUATION_FOLDERS = {"textvqa": "TextVQA"}
"""Image folders of the published layout that hold an evaluation set's images: TextCaps shows those of TextVQA."""
_MAX_SHOWN_TOKENS = 5
_WELL_KNOWN_CONTROL_TOKENS = re.compile(
    r"<\|[^|<>\s]+\|>"  # ChatML, Llama 3, Qwen, SmolLM, nano
    r"|</?s>|<(?:unk|pad|bos|eos)>|<(?:start|end)_of_turn>"  # Llama 2, Mixtral, Yi, Gemma
    r"|\[/?INST\]"
)


class TokenCounter(Protocol):
    """Counts tokens of samples for one model family."""

    def __call__(self, samples: Sequence[Sample]) -> list[int | str]:
        """Count the tokens of each sample, or give the reason why the chat template refuses it."""
        ...

    def control_tokens(self, text: str) -> list[str]:
        """List the family's control tokens that a text contains, each once."""
        ...


class TemplateTokens:
    """Counts tokens with a processor's chat template and tokenizer, without decoding images.

    Images in their native shape count as the largest.

    Args:
        processor: processor of the model family.
    """

    def __init__(self, processor: "MiniGeminiProcessor") -> None:
        self.processor = processor
        self._control_tokens = processor.control_tokens()

    def __call__(self, samples: Sequence[Sample]) -> list[int | str]:
        texts: list[str | None] = []
        counts: list[int | str] = []
        for sample in samples:
            try:
                texts.append(self.processor.apply_chat_template(list(sample.messages), tokenize=False))
                counts.append(0)
            except TemplateError as error:
                counts.append(str(error))
        lengths = iter(self._lengths([text for text in texts if text is not None]))
        more = self.processor.num_image_tokens - 1
        return [
            next(lengths) + more * len(sample.images) if isinstance(count, int) else count
            for sample, count in zip(samples, counts, strict=True)
        ]

    def control_tokens(self, text: str) -> list[str]:
        return self._control_tokens.find(text)

    def _lengths(self, texts: list[str]) -> list[int]:
        if not texts:
            return []
        tokenizer = self.processor.tokenizer
        # As Transformers tokenizes a rendered template: no second BOS if the text starts with one.
        special = not (tokenizer.bos_token and texts[0].startswith(tokenizer.bos_token))
        return [len(ids) for ids in tokenizer(texts, add_special_tokens=special)["input_ids"]]


@dataclass
class RecordChunk:
    """Results for a chunk of records.

    Attributes:
        issues: issues with its records.
        ids: (records,) int64, hashes of their ids; 0 for an invalid record.
        characters: (records,) int32, characters of text; 0 for an invalid record.
        tokens: by model family, (records,) int32; 0 for an invalid or refused record.
        references: row and path of each image that is a file.
        embedded: row and check result of each image inside a record.
    """

    issues: list[Issue] = field(default_factory=list)
    ids: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    characters: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int32))
    tokens: dict[str, np.ndarray] = field(default_factory=dict)
    references: list[tuple[int, str]] = field(default_factory=list)
    embedded: list[tuple[int, CheckedImage]] = field(default_factory=list)


class RecordChecker:
    """Reads and checks chunks of a reader's records, each record once.

    Args:
        reader: the source.
        counters: token counters by model family.
    """

    def __init__(self, reader: Reader, counters: Mapping[str, TokenCounter]) -> None:
        self.reader, self.counters = reader, dict(counters)

    def __call__(self, span: tuple[int, int]) -> RecordChunk:
        first, end = span
        chunk = RecordChunk(
            ids=np.zeros(end - first, dtype=np.int64),
            characters=np.zeros(end - first, dtype=np.int32),
            tokens={name: np.zeros(end - first, dtype=np.int32) for name in self.counters},
        )
        valid: list[tuple[int, Sample]] = []
        for row in range(first, end):
            try:
                sample = self.reader[row]
            except SampleError as error:
                chunk.issues.append(Issue(row, error.id, error.issue.value, error.detail))
                continue
            valid.append((row, sample))
            chunk.ids[row - first] = hash_id(sample.id)
            chunk.characters[row - first] = sum(len(text_of(message)) for message in sample.messages)
            _check_repeated_turns(row, sample, chunk)
            _check_control_tokens(row, sample, chunk, self.counters.values())
            _check_images(row, sample, chunk)
            _check_videos(row, sample, chunk)
        for name, counter in self.counters.items():
            for (row, sample), count in zip(valid, counter([sample for _, sample in valid]), strict=True):
                if isinstance(count, int):
                    chunk.tokens[name][row - first] = count
                else:
                    chunk.issues.append(Issue(row, sample.id, SampleIssue.REFUSED.value, f"{name}: {count}"))
        return chunk


class ImageChecker:
    """Checks image files by their paths."""

    def __call__(self, paths: list[str]) -> list[CheckedImage]:
        return [check_image(Path(path)) for path in paths]


def well_known_control_tokens(text: str) -> list[str]:
    """List control tokens of well-known model families that a text contains, each once.

    Training tokenizes them as plain text, but they rarely belong in a sample.
    """
    return list(dict.fromkeys(_WELL_KNOWN_CONTROL_TOKENS.findall(text)))


def hash_id(id: str) -> int:
    """Hash an id to 64 bits, the same in every process."""
    return int.from_bytes(hashlib.blake2b(id.encode(), digest_size=8).digest(), "big", signed=True)


def spans(count: int, size: int) -> list[tuple[int, int]]:
    """Split `count` rows into spans of at most `size`: (first, end) of each."""
    return [(first, min(first + size, count)) for first in range(0, count, size)]


def concatenate(parts: Sequence[Any]) -> np.ndarray:
    """Concatenate per-chunk arrays; empty if there are none."""
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int32)


def _check_repeated_turns(row: int, sample: Sample, chunk: RecordChunk) -> None:
    questions: dict[str, int] = {}
    for number, message in enumerate(sample.messages, 1):
        if message["role"] != "user":
            continue
        text = text_of(message).strip()
        if text and text in questions:
            reason = f"message {number} repeats message {questions[text]}"
            chunk.issues.append(Issue(row, sample.id, IssueKind.REPEATED_TURN.value, reason))
            return
        questions[text] = number


def _check_control_tokens(row: int, sample: Sample, chunk: RecordChunk, counters: Iterable[TokenCounter]) -> None:
    for number, message in enumerate(sample.messages, 1):
        text = text_of(message)
        tokens = well_known_control_tokens(text)
        tokens += [token for counter in counters for token in counter.control_tokens(text) if token not in tokens]
        if tokens:
            shown = ", ".join(map(repr, tokens[:_MAX_SHOWN_TOKENS]))
            reason = f"message {number} contains {shown}; training reads them as plain text"
            chunk.issues.append(Issue(row, sample.id, IssueKind.CONTROL_TOKEN.value, reason))
            return


def _check_videos(row: int, sample: Sample, chunk: RecordChunk) -> None:
    for video in sample.videos:
        try:
            open_video(video, VideoSampling(max_frames=1), name=None if isinstance(video, Path) else "a video")
        except ImageError as error:
            path = str(video) if isinstance(video, Path) else None
            chunk.issues.append(Issue(row, sample.id, SampleIssue.VIDEO.value, str(error), path))


def _check_images(row: int, sample: Sample, chunk: RecordChunk) -> None:
    for image in sample.images:
        if isinstance(image, bytes):
            chunk.embedded.append((row, check_image(image)))
        if not isinstance(image, Path):
            continue
        chunk.references.append((row, str(image)))
        if (folder := next((part for part in image.parts if part in EVALUATION_FOLDERS), None)) is not None:
            reason = f"{image.name} is under {folder}/, which holds images of {EVALUATION_FOLDERS[folder]}"
            chunk.issues.append(Issue(row, sample.id, IssueKind.EVALUATION.value, reason, str(image)))
