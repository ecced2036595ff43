"""Helpers of the native formats: building records, reading JSON with errors that name the record, seeded choices."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ...data.mixture import shuffled
from ...data.readers import SourceError

T = TypeVar("T")
SHORT_ANSWER = "Answer the question using a single word or phrase."
LETTER_ANSWER = "Answer with the option's letter from the given choices directly."
"""Format prompts of LLaVA-1.5's mix, appended to the first question of a conversation."""
_MAX_JSON_BYTES = 2**30


def conversation(
    id: str, turns: Sequence[tuple[str, str]], origin: str, images: Sequence[str] = (), ask_for: str = ""
) -> dict[str, Any]:
    """Build a record in our format, with the images before the first question.

    Args:
        id: id of the record.
        turns: (question, answer) pairs.
        origin: the record that it was made from.
        images: paths of its images.
        ask_for: line to append to the first question.
    """
    messages: list[dict[str, Any]] = []
    for number, (question, answer) in enumerate(turns):
        text = f"{question}\n{ask_for}" if ask_for and not number else question
        parts = [{"type": "image"}] * (0 if number else len(images)) + [{"type": "text", "text": text}]
        messages.append({"role": "user", "content": parts})
        messages.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
    return {"id": id, "origin": origin, "messages": messages, "images": list(images)}


def load_json(path: Path) -> Any:
    """Read one JSON document.

    Raises:
        SourceError: The file is not JSON, or larger than 1 GiB.
    """
    if path.stat().st_size > _MAX_JSON_BYTES:
        raise SourceError(f"{path} is larger than {_MAX_JSON_BYTES:,} bytes: check that it is the declared file")
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path} is not JSON ({error}): copy it again") from None


def each(path: Path, records: Iterator[Any], read: Callable[[Any], T]) -> Iterator[tuple[str, T]]:
    """Convert records one by one, and yield each with its origin.

    Raises:
        SourceError: A record has another format.
    """
    for number, record in enumerate(records):
        try:
            yield f"{path.name}#{number}", read(record)
        except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
            raise SourceError(
                f"{path}: record {number} has another format ({type(error).__name__}: {error}): "
                "check that it is the declared file"
            ) from None


def seeded_choice(count: int, take: int, seed: int, name: str) -> np.ndarray:
    """Choose `take` of `range(count)`, ascending: (take,) int64. It depends on the seed and the source's name."""
    return np.sort(shuffled(count, seed, number_of(name))[:take])


def number_of(name: str) -> int:
    """Hash a name to 48 bits, the same on every machine."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big")
