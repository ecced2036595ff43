"""Votes on answers, kept by who has agreed, and by nobody else."""

import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Vote:
    """What is kept of a vote; no picture is."""

    model: str
    question: str
    answer: str
    liked: bool


class Votes:
    """A file of votes, one JSON object a line, that only its owner reads.

    Args:
        path: is made with the first vote.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self, vote: Vote, *, agreed: bool) -> bool:
        """Add a vote if its giver has agreed; says whether it was added."""
        if not agreed:
            return False
        line = json.dumps({"time": int(time.time()), **asdict(vote)}, ensure_ascii=False) + "\n"
        handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(handle, line.encode())  # in one piece, so that lines of two votes do not mix
        finally:
            os.close(handle)
        return True
