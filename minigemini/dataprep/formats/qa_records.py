"""What native formats have in common: from questions and answers to a record of ours, one line on what is broken."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ...data.readers import SourceError

T = TypeVar("T")
SHORT_ANSWER = "Answer the question using a single word or phrase."
LETTER_ANSWER = "Answer with the option's letter from the given choices directly."
"""How LLaVA-1.5's mix asks for the form of an answer, at the end of a conversation's first question."""
_MOST_JSON_BYTES = 2**30


def conversation(
    id: str, turns: Sequence[tuple[str, str]], origin: str, images: Sequence[str] = (), ask_for: str = ""
) -> dict[str, Any]:
    """A record of ours: questions and answers, about pictures that stand before the first question.

    Args:
        id: its name.
        turns: (question, answer) pairs.
        origin: the record it was made of.
        images: paths of its pictures.
        ask_for: what the first question ends with, on a line of its own.
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
        SourceError: It is none, or too large to be one of these.
    """
    if path.stat().st_size > _MOST_JSON_BYTES:
        raise SourceError(f"{path}: more than {_MOST_JSON_BYTES:,} bytes: not the file that the source declares")
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path} is not JSON ({error}): copy it again") from None


def each(path: Path, records: Iterator[Any], read: Callable[[Any], T]) -> Iterator[tuple[str, T]]:
    """Read records one by one, with their origins.

    Raises:
        SourceError: One of them is of another form.
    """
    for number, record in enumerate(records):
        try:
            yield f"{path.name}#{number}", read(record)
        except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
            raise SourceError(
                f"{path}: record {number} is of another form ({type(error).__name__}: {error}): "
                "is it the declared file?"
            ) from None
