"""Text-only conversations: LIMA and OpenAssistant2."""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from ...data.readers import MemoryReader, SourceError
from ..source_spec import SourceSpec
from .records import conversation, each

Turns = list[tuple[str, str]]
_MAX_LINE_BYTES = 64 * 2**20


def open_lima(source: SourceSpec, data: Path, seed: int) -> MemoryReader:
    """LIMA: `{"conversations": [question, answer, ...], "source"}` per line; a trailing question is dropped.

    Raises:
        SourceError: The file has another format.
    """
    path = data / source.records[0].path

    def turns(line: Any) -> Turns:
        texts = line["conversations"]
        return [(str(texts[n]), str(texts[n + 1])) for n in range(0, len(texts) - 1, 2)]

    with path.open("rb") as file:
        records = each(path, _values(file, path), turns)
        return MemoryReader(
            (conversation(f"lima-{n}", pairs, origin) for n, (origin, pairs) in enumerate(records)),
            None,
            source.name,
            licence=source.licence,
        )


def open_oasst2(source: SourceSpec, data: Path, seed: int) -> MemoryReader:
    """OpenAssistant2: the path of best-ranked replies through each English tree.

    Raises:
        SourceError: The file has another format.
    """
    path = data / source.records[0].path

    def read(tree: Any) -> tuple[str, Turns]:
        prompt = tree["prompt"]
        return str(tree["message_tree_id"]), best_path(prompt) if prompt["lang"] == "en" else []

    with gzip.open(path, "rb") as file:
        trees = each(path, _values(file, path), read)
        return MemoryReader(
            (conversation(f"oasst2-{id}", pairs, origin) for origin, (id, pairs) in trees if pairs),
            None,
            source.name,
            licence=source.licence,
        )


def best_path(prompt: Any) -> Turns:
    """Questions and answers along the best-ranked replies, from the root to the last answer."""
    turns: Turns = []
    question: Any = prompt
    while question is not None and (answer := _best(question)) is not None:
        turns.append((question["text"], answer["text"]))
        question = _best(answer)
    return turns


def _best(message: Any) -> Any:
    """The best-ranked reply; unranked replies come after ranked ones."""
    replies = [reply for reply in message["replies"] if not reply.get("deleted")]
    return min(replies, key=lambda reply: (reply.get("rank") is None, reply.get("rank") or 0), default=None)


def _values(file: IO[bytes] | gzip.GzipFile, path: Path) -> Iterator[Any]:
    try:
        while line := file.readline(_MAX_LINE_BYTES):
            if line.strip():
                yield json.loads(line)
    except (OSError, EOFError, zlib.error, ValueError, RecursionError) as error:
        raise SourceError(f"{path} is truncated or not JSON Lines ({error}): fetch it again") from None
