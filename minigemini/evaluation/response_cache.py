"""Answers on disk: appended and brought to the disk as they come, so that a killed run loses only what it was asking.

`answers.jsonl` holds one record per line. Its key is a hash of all that an answer depends on, so an answer is never
taken for that of another prompt, model or setting. Several processes may share a folder: whoever asks a batch holds a
lock that the system releases when the process ends, however it ends.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..io.system import lock_byte, read_at, unlock_byte

FILE, LOCKS = "answers.jsonl", "answers.lock"
_APPENDING = 0
_BINARY = getattr(os, "O_BINARY", 0)
"""Windows would write other line ends."""


def key_of(**parts: Any) -> str:
    """A hash of what an answer depends on."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=True).encode()).hexdigest()[:32]


class ResponseCache:
    """The answers of a run's folder.

    Args:
        folder: made if it is not there.

    Raises:
        OSError: it cannot be written there.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = os.open(folder / FILE, os.O_RDWR | os.O_CREAT | os.O_APPEND | _BINARY, 0o666)
        self._locks = os.open(folder / LOCKS, os.O_RDWR | os.O_CREAT | _BINARY, 0o666)
        self._known: dict[str, Mapping[str, Any]] = {}
        self._read_up_to = 0
        self.refresh()

    def close(self) -> None:
        os.close(self._file)
        os.close(self._locks)

    def get(self, key: str) -> Mapping[str, Any] | None:
        return self._known.get(key)

    def __len__(self) -> int:
        return len(self._known)

    def refresh(self) -> None:
        """Read what others have appended since. The first answer of a key stays; a line that is none is passed over."""
        size = os.fstat(self._file).st_size
        data = read_at(self._file, size - self._read_up_to, self._read_up_to) if size > self._read_up_to else b""
        whole = data.rfind(b"\n") + 1  # a line without an end is being written, or was cut off by a kill
        for line in data[:whole].splitlines():
            try:
                record = json.loads(line)
                self._known.setdefault(record["key"], record)
            except (ValueError, KeyError, TypeError):
                continue
        self._read_up_to += whole

    def append(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Write records, each with its `key`, and return when the disk has them.

        Raises:
            OSError: the disk is full, or was taken away.
        """
        lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        if not lines:
            return
        lock_byte(self._locks, _APPENDING, wait=True)
        try:
            self._end_torn_line()
            data = memoryview(lines.encode("utf-8", "backslashreplace"))
            while data:
                data = data[os.write(self._file, data) :]
            os.fsync(self._file)
        finally:
            unlock_byte(self._locks, _APPENDING)
        self.refresh()

    def claim(self, name: str) -> bool:
        """Whether this process now may do what goes by that name, and no other does it."""
        return lock_byte(self._locks, _place(name), wait=False)

    def release(self, name: str) -> None:
        unlock_byte(self._locks, _place(name))

    def _end_torn_line(self) -> None:
        size = os.fstat(self._file).st_size
        if size and read_at(self._file, 1, size - 1) != b"\n":
            os.write(self._file, b"\n")


def _place(name: str) -> int:
    """The byte that stands for a name; it need not exist in the file, but must be where a file could have one."""
    return 1 + int.from_bytes(hashlib.sha256(name.encode()).digest()[:5], "big")
