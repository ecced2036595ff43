"""What the doctor can find, and which of it makes a sample useless."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from ...data.schema import SampleIssue
from ...images.safe_images import ImageProblem


class IssueKind(StrEnum):
    """Finds beyond what the schema and the limits on pictures name (`Fault`, `Problem`)."""

    MOVED = "picture under another name"
    MISLABELED = "format other than the file's ending"
    EVALUATION = "picture of an evaluation set"
    NEAR_DUPLICATE = "nearly the same picture"
    REPEATED_TURN = "repeated turn"
    UNUSUAL_SIZE = "picture of a few pixels"
    CONTROL_TOKEN = "control token in its text"


NOTED = frozenset(
    {
        IssueKind.MOVED,
        IssueKind.MISLABELED,
        IssueKind.NEAR_DUPLICATE,
        IssueKind.REPEATED_TURN,
        IssueKind.UNUSUAL_SIZE,
        IssueKind.CONTROL_TOKEN,
        SampleIssue.REFUSED,
    }
)
"""Samples with these train as they are; all other finds make a sample useless or its evaluation worthless."""

KINDS: tuple[str, ...] = (
    *(issue.value for issue in SampleIssue),
    *(p.value for p in ImageProblem),
    *(k.value for k in IssueKind),
)
"""All names of finds."""


@dataclass(frozen=True)
class Issue:
    """One thing found.

    Attributes:
        row, id: which sample.
        kind: a name in `KINDS`.
        reason: what exactly.
        picture: the file it is about, if it is about one.
        instead: where that file lies now, if it moved.
    """

    row: int
    id: str
    kind: str
    reason: str
    image: str | None = None
    instead: str | None = None

    @property
    def excludes(self) -> bool:
        """Whether the sample is of no use as it is."""
        return self.kind not in NOTED

    def plain(self) -> dict[str, Any]:
        """As plain values."""
        return {name: value for name, value in asdict(self).items() if value is not None}
