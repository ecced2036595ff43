"""Journal of replies in JSON Lines, flushed to disk before a reply counts: none is lost or requested twice."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from ...io.openai_client import ChatReply
from .endpoint import EndpointReply


class JournalError(ValueError):
    """The journal is invalid; the message names the line."""


@dataclass(frozen=True)
class Entry:
    """A reply in the journal.

    Attributes:
        key: key of its request.
        model: model that replied.
        reply: text of the reply; None if the endpoint rejected the request.
        whole, prompt_tokens, new_tokens: see `io.openai_client.ChatReply`.
    """

    key: str
    model: str
    reply: str | None
    whole: bool
    prompt_tokens: int
    new_tokens: int


class Journal:
    """Entries of a journal file, by the key of their request.

    Args:
        path: the file; created with the first reply. An incomplete last line, left by a killed process, is ignored, so
            that its request is sent again.

    Raises:
        JournalError: Another line is invalid.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: dict[str, Entry] = {}
        lines = path.read_bytes().split(b"\n") if path.exists() else []
        for number, line in enumerate(lines, 1):
            try:
                entry = Entry(**json.loads(line))
                self.entries[entry.key] = entry
            except (ValueError, TypeError):
                if number < len(lines):
                    raise JournalError(
                        f"{path}: line {number} is not an entry; remove it to request its sample again"
                    ) from None
        self._whole_bytes = sum(len(line) + 1 for line in lines[:-1])
        self.prompt_tokens = sum(entry.prompt_tokens for entry in self.entries.values())
        self.new_tokens = sum(entry.new_tokens for entry in self.entries.values())

    def add(self, answered: EndpointReply, model: str) -> None:
        """Append a reply and flush it to disk."""
        text, reply = (None, ChatReply("")) if answered.reply is None else (answered.reply.text, answered.reply)
        entry = Entry(answered.job.key, model, text, reply.whole, reply.prompt_tokens, reply.new_tokens)
        line = json.dumps(asdict(entry), ensure_ascii=False).encode() + b"\n"
        with self.path.open("r+b" if self.path.exists() else "xb") as file:
            file.truncate(self._whole_bytes)  # drop an incomplete last line
            file.seek(self._whole_bytes)
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        self._whole_bytes += len(line)
        self.entries[entry.key] = entry
        self.prompt_tokens += entry.prompt_tokens
        self.new_tokens += entry.new_tokens
