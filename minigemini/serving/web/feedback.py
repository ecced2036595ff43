"""Votes on answers, kept by who has agreed, and by nobody else."""

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
    """What is kept of a vote; no picture is."""

    model: str
    question: str
    answer: str
    liked: bool


class FeedbackLog:
    """A file of votes, one JSON object a line, that only its owner reads.

    Args:
        path: is made with the first vote.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def keep(self, vote: Feedback, *, agreed: bool) -> bool:
        """Add a vote if its giver has agreed; says whether it was added.

        Raises:
            RequestError: it cannot be written; the file is as it was.
        """
        if not agreed:
            return False
        line = json.dumps({"time": int(time.time()), **asdict(vote)}, ensure_ascii=False) + "\n"
        try:
            with self._lock:
                self._append(line.encode())
        except OSError as error:
            raise RequestError(f"the vote was not kept: {error.strerror}; tell whoever runs this page") from None
        return True

    def _append(self, line: bytes) -> None:
        handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            before = os.fstat(handle).st_size
            if os.write(handle, line) < len(line):  # a full disk takes the beginning
                os.ftruncate(handle, before)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(handle)
