"""What a source of data is, as plain values: where it comes from, what it holds, how much of it the paper took."""

from dataclasses import dataclass
from typing import Literal

Stage = Literal["alignment", "instruction", "generation", "merged", "evaluation"]


@dataclass(frozen=True)
class RemoteFile:
    """One file of a source.

    Attributes:
        path: where it goes, under the folder of data.
        url: where it officially comes from: `https://…`, or `hf://datasets/OWNER/NAME[@REVISION]/FILE`; None where a
            person must ask for it.
        by_hand: for such a file, what to do.
        size: bytes, where known.
        sha256, sha1: where known. Files on the hub bring theirs along.
        unpack: folder into which it is unpacked, under the folder of data.
    """

    path: str
    url: str | None = None
    by_hand: str = ""
    size: int | None = None
    sha256: str | None = None
    sha1: str | None = None
    unpack: str | None = None


@dataclass(frozen=True)
class SourceSpec:
    """One source.

    Attributes:
        name: by which it is called.
        title: what it is, in a line.
        stage: what the paper used it for; `merged` are its authors' own lists, `evaluation` is never trained on.
        page: where it is described.
        licence: under which it is published.
        files: what it consists of. The first ones that are not unpacked hold the records.
        form: the native format, a name in `native.FORMATS`.
        images: what its pictures' paths start from, under the folder of data.
        available: samples of its files at full size, after `rule`'s exclusions; None where nobody says.
        take: most samples that are taken, drawn by the seed; None takes all.
        rule: how samples are chosen, in words.
        paper: how many the paper says, in its own rounding.
        decay: what is known to be lost, renamed or broken, and the mend.
    """

    name: str
    title: str
    stage: Stage
    page: str
    licence: str
    files: tuple[RemoteFile, ...]
    form: str
    images: str | None
    available: int | None
    rule: str
    paper: str
    take: int | None = None
    decay: str = ""

    @property
    def samples(self) -> int | None:
        """How many samples the whole source gives."""
        counts = [count for count in (self.available, self.take) if count is not None]
        return min(counts, default=None)

    @property
    def records(self) -> tuple[RemoteFile, ...]:
        """Files that hold records."""
        return tuple(file for file in self.files if file.unpack is None and not file.path.endswith("/"))
