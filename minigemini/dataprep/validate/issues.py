"""What the doctor can find, and which of it makes a sample useless."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from ...data.schema import Fault
from ...images.safe_images import Problem


class Kind(StrEnum):
    """Finds beyond what the schema and the limits on pictures name (`Fault`, `Problem`)."""

    MOVED = "picture under another name"
    MISLABELLED = "format other than the file's ending"
    EVALUATION = "picture of an evaluation set"
    NEAR_DUPLICATE = "nearly the same picture"
    REPEATED_TURN = "repeated turn"
    UNUSUAL_SIZE = "picture of a few pixels"
    CONTROL_TOKEN = "control token in its text"


NOTED = frozenset(
    {
        Kind.MOVED,
        Kind.MISLABELLED,
        Kind.NEAR_DUPLICATE,
        Kind.REPEATED_TURN,
        Kind.UNUSUAL_SIZE,
        Kind.CONTROL_TOKEN,
        Fault.REFUSED,
    }
)
"""Samples with these train as they are; all other finds make a sample useless or its evaluation worthless."""

KINDS: tuple[str, ...] = (*(fault.value for fault in Fault), *(p.value for p in Problem), *(k.value for k in Kind))
"""All names of finds."""


@dataclass(frozen=True)
class Find:
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
    picture: str | None = None
    instead: str | None = None

    @property
    def excludes(self) -> bool:
        """Whether the sample is of no use as it is."""
        return self.kind not in NOTED

    def plain(self) -> dict[str, Any]:
        """As plain values."""
        return {name: value for name, value in asdict(self).items() if value is not None}
