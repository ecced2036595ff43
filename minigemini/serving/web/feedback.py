"""Votes on answers, stored only with the user's consent."""

import errno
import json
import os
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from ...inference import RequestError


@dataclass(frozen=True)
class Feedback:
    """A vote on an answer; images are not stored."""

    model: str
    question: str
    answer: str
    liked: bool


class FeedbackLog:
    """A JSON Lines file of votes that only its owner can read.

    Args:
        path: created with the first vote.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def add(self, vote: Feedback, *, consent: bool) -> bool:
        """Store a vote if the user consents, and return whether it was stored.

        Raises:
            RequestError: the vote cannot be written; the file is unchanged.
        """
        if not consent:
            return False
        line = json.dumps({"time": int(time.time()), **asdict(vote)}, ensure_ascii=False) + "\n"
        try:
            with self._lock:
                self._append(line.encode())
        except OSError as error:
            raise RequestError(f"the vote was not saved: {error.strerror}; contact the operator of this page") from None
        return True

    def _append(self, line: bytes) -> None:
        handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            before = os.fstat(handle).st_size
            if os.write(handle, line) < len(line):  # a full disk stores part of the line
                os.ftruncate(handle, before)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(handle)
