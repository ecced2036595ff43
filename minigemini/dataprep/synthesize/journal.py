"""What an endpoint has answered, a JSON line each, on the disk before it counts: nothing is lost, or asked twice."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from .endpoint import EndpointReply


class JournalError(ValueError):
    """A journal that is none; the message names the line."""


@dataclass(frozen=True)
class Entry:
    """One answer.

    Attributes:
        key: of its job.
        model: who answered.
        reply, whole, prompt_tokens, new_tokens: as `endpoint.Answered` has them.
    """

    key: str
    model: str
    reply: str | None
    whole: bool
    prompt_tokens: int
    new_tokens: int


class Journal:
    """The entries of a file, by the key of their job.

    Args:
        path: where it lies, or will once there is an answer. A last line that a kill cut off is left out, so that its
            job is asked again.

    Raises:
        JournalError: another line is no entry.
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
                        f"{path}: line {number} is no entry; remove it to ask its sample again"
                    ) from None
        self._whole_bytes = sum(len(line) + 1 for line in lines[:-1])
        self.prompt_tokens = sum(entry.prompt_tokens for entry in self.entries.values())
        self.new_tokens = sum(entry.new_tokens for entry in self.entries.values())

    def add(self, answered: EndpointReply, model: str) -> None:
        """Write an answer, and bring it to the disk."""
        entry = Entry(
            answered.job.key, model, answered.reply, answered.whole, answered.prompt_tokens, answered.new_tokens
        )
        line = json.dumps(asdict(entry), ensure_ascii=False).encode() + b"\n"
        with self.path.open("r+b" if self.path.exists() else "xb") as file:
            file.truncate(self._whole_bytes)  # behind what a kill has cut off nothing could be read
            file.seek(self._whole_bytes)
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        self._whole_bytes += len(line)
        self.entries[entry.key] = entry
        self.prompt_tokens += entry.prompt_tokens
        self.new_tokens += entry.new_tokens
