"""A log of invalid samples. They are recorded and counted, never replaced; too many of them stop the run."""

import json
import os
from collections import Counter
from pathlib import Path

from .schema import SampleError

MIN_SAMPLES = 1000
"""The ratio of bad samples is computed over at least this many: a bad sample early in a run must not stop it."""


class TooManyBadSamplesError(RuntimeError):
    """The ratio of bad samples exceeds the limit of the run."""


class BadSampleLog:
    """Append-only JSON Lines file with one entry per bad sample, and the number of samples with each issue.

    A resumed run reads some samples a second time, so an entry may be repeated; entries with the same position are the
    same sample.

    Args:
        path: the file; several processes may append to it.
        max_bad_sample_ratio: limit on bad samples, relative to the samples seen so far or to `MIN_SAMPLES`, whichever
            is larger.
    """

    def __init__(self, path: Path, max_bad_sample_ratio: float = 0.01) -> None:
        if not 0 <= max_bad_sample_ratio <= 1:
            raise ValueError(f"max_bad_sample_ratio={max_bad_sample_ratio}: give a ratio from 0 to 1")
        self.path, self.max_bad_sample_ratio = path, max_bad_sample_ratio
        self.counts: Counter[str] = Counter()

    def record(self, position: int, error: SampleError) -> None:
        """Append a bad sample with its position in the training order."""
        entry = {"position": position, "id": error.id, "source": error.source, "fault": error.issue.value}
        line = json.dumps({**entry, "reason": error.detail}, ensure_ascii=False) + "\n"
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(file, line.encode("utf-8", "backslashreplace"))  # one write, so lines of processes do not mix
        finally:
            os.close(file)
        self.counts[error.issue.value] += 1

    def check(self, seen: int) -> None:
        """Stop the run if too many samples are bad.

        Args:
            seen: samples read so far, including bad ones.

        Raises:
            TooManyBadSamplesError: The ratio exceeds `max_bad_sample_ratio`.
        """
        bad = self.counts.total()
        if bad > self.max_bad_sample_ratio * max(seen, MIN_SAMPLES):
            most_common = ", ".join(f"{kind} ({count})" for kind, count in self.counts.most_common(3))
            raise TooManyBadSamplesError(
                f"{bad} of {seen} samples are bad, more than max_bad_sample_ratio={self.max_bad_sample_ratio:g} "
                f"allows: {most_common}. All are listed in {self.path}; correct or remove them, or raise "
                "max_bad_sample_ratio."
            )
