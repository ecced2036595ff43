"""Samples that are not used: recorded and counted, never replaced; too many of them stop the run."""

import json
import os
from collections import Counter
from pathlib import Path

from .schema import SampleError

FEWEST_SAMPLES = 1000
"""A share is one of at least so many samples: the first sample of a run may be broken."""


class TooManyBadSamplesError(RuntimeError):
    """More samples are faulty than a run puts up with."""


class BadSampleLog:
    """A file of JSON lines, one per faulty sample, that is only ever appended to; and how many there were of each kind.

    A run that is resumed goes through some samples again, so a sample may be recorded twice; its position tells.

    Args:
        path: the file; several processes may append to one.
        max_bad_sample_ratio: of the samples that may be faulty, of those seen so far and at least `FEWEST_SAMPLES`.
    """

    def __init__(self, path: Path, max_bad_sample_ratio: float = 0.01) -> None:
        if not 0 <= max_bad_sample_ratio <= 1:
            raise ValueError(f"max_bad_sample_ratio is {max_bad_sample_ratio}: give a share, 0 to 1.")
        self.path, self.max_bad_sample_ratio = path, max_bad_sample_ratio
        self.counts: Counter[str] = Counter()

    def record(self, position: int, error: SampleError) -> None:
        """Note a faulty sample and its position in the order of training."""
        entry = {"position": position, "id": error.id, "source": error.source, "fault": error.issue.value}
        line = json.dumps({**entry, "reason": error.detail}, ensure_ascii=False) + "\n"
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(file, line.encode("utf-8", "backslashreplace"))  # one write: lines of two processes do not mix
        finally:
            os.close(file)
        self.counts[error.issue.value] += 1

    def check(self, seen: int) -> None:
        """Stop a run of which too much is faulty.

        Args:
            seen: samples gone through so far, faulty ones included.

        Raises:
            TooManyFaultsError: More than the set share of them are.
        """
        bad = self.counts.total()
        if bad > self.max_bad_sample_ratio * max(seen, FEWEST_SAMPLES):
            commonest = ", ".join(f"{kind} ({count})" for kind, count in self.counts.most_common(3))
            raise TooManyBadSamplesError(
                f"{bad} of {seen} samples are faulty, more than max_bad_sample_ratio={self.max_bad_sample_ratio:g} "
                f"allows: {commonest}. Each is named in {self.path}; correct them, leave them out, or raise "
                "max_bad_sample_ratio."
            )
