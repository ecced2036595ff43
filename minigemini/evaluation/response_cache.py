"""On-disk cache of answers, appended and flushed batch by batch: a killed run loses only the batch in progress.

`answers.jsonl` holds one record per line. Its key is a hash of everything that the answer depends on, so an answer is
never reused for another prompt, model or setting. Several processes may share a folder: the process that asks a batch
holds a lock, which the system releases when the process ends.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..io.system import lock_byte, read_at, unlock_byte

FILE, LOCKS = "answers.jsonl", "answers.lock"
_APPEND_LOCK = 0
_BINARY = getattr(os, "O_BINARY", 0)
"""Keeps line endings unchanged on Windows."""


def key_of(**parts: Any) -> str:
    """Hash everything that an answer depends on."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=True).encode()).hexdigest()[:32]


class ResponseCache:
    """The answers in a run's folder.

    Args:
        folder: created if it does not exist.

    Raises:
        OSError: The folder is not writable.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = os.open(folder / FILE, os.O_RDWR | os.O_CREAT | os.O_APPEND | _BINARY, 0o666)
        self._locks = os.open(folder / LOCKS, os.O_RDWR | os.O_CREAT | _BINARY, 0o666)
        self._records: dict[str, Mapping[str, Any]] = {}
        self._offset = 0
        self.refresh()

    def close(self) -> None:
        os.close(self._file)
        os.close(self._locks)

    def get(self, key: str) -> Mapping[str, Any] | None:
        return self._records.get(key)

    def __len__(self) -> int:
        return len(self._records)

    def refresh(self) -> None:
        """Read records that other processes appended. The first record of a key wins; invalid lines are skipped."""
        size = os.fstat(self._file).st_size
        data = read_at(self._file, size - self._offset, self._offset) if size > self._offset else b""
        whole = data.rfind(b"\n") + 1  # an incomplete line is still being written, or was truncated by a kill
        for line in data[:whole].splitlines():
            try:
                record = json.loads(line)
                self._records.setdefault(record["key"], record)
            except (ValueError, KeyError, TypeError):
                continue
        self._offset += whole

    def append(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Append records, each with its `key`, and flush them to disk.

        Raises:
            OSError: The disk is full or gone.
        """
        lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        if not lines:
            return
        lock_byte(self._locks, _APPEND_LOCK, wait=True)
        try:
            self._end_incomplete_line()
            data = memoryview(lines.encode("utf-8", "backslashreplace"))
            while data:
                data = data[os.write(self._file, data) :]
            os.fsync(self._file)
        finally:
            unlock_byte(self._locks, _APPEND_LOCK)
        self.refresh()

    def claim(self, name: str) -> bool:
        """Try to lock a name for this process; False if another process holds it."""
        return lock_byte(self._locks, _lock_offset(name), wait=False)

    def release(self, name: str) -> None:
        unlock_byte(self._locks, _lock_offset(name))

    def _end_incomplete_line(self) -> None:
        size = os.fstat(self._file).st_size
        if size and read_at(self._file, 1, size - 1) != b"\n":
            os.write(self._file, b"\n")


def _lock_offset(name: str) -> int:
    """The byte to lock for a name. It may be beyond the end of the file."""
    return 1 + int.from_bytes(hashlib.sha256(name.encode()).digest()[:5], "big")
