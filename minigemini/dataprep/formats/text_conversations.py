"""Conversations of text alone: LIMA's lines, OpenAssistant2's trees."""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from ...data.readers import MemoryReader, SourceError
from ..source_spec import SourceSpec
from .qa_records import conversation, each

Turns = list[tuple[str, str]]
_LONGEST_LINE = 64 * 2**20


def open_lima(source: SourceSpec, data: Path, seed: int) -> MemoryReader:
    """LIMA: `{"conversations": [question, answer, …], "source"}` a line. A last question without an answer is dropped.

    Raises:
        SourceError: It is no such file.
    """
    path = data / source.records[0].path

    def turns(line: Any) -> Turns:
        said = line["conversations"]
        return [(str(said[n]), str(said[n + 1])) for n in range(0, len(said) - 1, 2)]

    with path.open("rb") as file:
        records = each(path, _values(file, path), turns)
        return MemoryReader(
            (conversation(f"lima-{n}", said, origin) for n, (origin, said) in enumerate(records)),
            None,
            source.name,
            licence=source.licence,
        )


def open_oasst2(source: SourceSpec, data: Path, seed: int) -> MemoryReader:
    """OpenAssistant2: of each English tree the path that goes to the best-ranked reply at every turn.

    Raises:
        SourceError: It is no such file.
    """
    path = data / source.records[0].path

    def read(tree: Any) -> tuple[str, Turns]:
        prompt = tree["prompt"]
        return str(tree["message_tree_id"]), best_path(prompt) if prompt["lang"] == "en" else []

    with gzip.open(path, "rb") as file:
        trees = each(path, _values(file, path), read)
        return MemoryReader(
            (conversation(f"oasst2-{id}", said, origin) for origin, (id, said) in trees if said),
            None,
            source.name,
            licence=source.licence,
        )


def best_path(prompt: Any) -> Turns:
    """Questions and answers from the root on, by the best rank among replies, to the last answer."""
    turns: Turns = []
    question: Any = prompt
    while question is not None and (answer := _best(question)) is not None:
        turns.append((question["text"], answer["text"]))
        question = _best(answer)
    return turns


def _best(message: Any) -> Any:
    """The reply that ranks first; of unranked ones the first, behind ranked ones."""
    replies = [reply for reply in message["replies"] if not reply.get("deleted")]
    return min(replies, key=lambda reply: (reply.get("rank") is None, reply.get("rank") or 0), default=None)


def _values(file: IO[bytes] | gzip.GzipFile, path: Path) -> Iterator[Any]:
    try:
        while line := file.readline(_LONGEST_LINE):
            if line.strip():
                yield json.loads(line)
    except (OSError, EOFError, zlib.error, ValueError, RecursionError) as error:
        raise SourceError(f"{path} is cut off or not JSON lines ({error}): fetch it again") from None
