"""The issues that validation reports, and which of them exclude a sample from training."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from ...data.schema import SampleIssue
from ...images.safe_images import ImageProblem


class IssueKind(StrEnum):
    """Issues besides those of the sample schema (`SampleIssue`) and of image decoding (`ImageProblem`)."""

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
"""Samples with only these issues are trained on; any other issue excludes the sample."""

KINDS: tuple[str, ...] = (
    *(issue.value for issue in SampleIssue),
    *(p.value for p in ImageProblem),
    *(k.value for k in IssueKind),
)
"""Names of all kinds of issues."""


@dataclass(frozen=True)
class Issue:
    """An issue with one sample.

    Attributes:
        row, id: the sample.
        kind: a name in `KINDS`.
        reason: details.
        image: path of the image concerned, if any.
        instead: where that image was found, if it moved.
    """

    row: int
    id: str
    kind: str
    reason: str
    image: str | None = None
    instead: str | None = None

    @property
    def excludes(self) -> bool:
        """Whether the sample is excluded from training."""
        return self.kind not in NOTED

    def plain(self) -> dict[str, Any]:
        """Convert to plain values, without fields that are None."""
        return {name: value for name, value in asdict(self).items() if value is not None}
