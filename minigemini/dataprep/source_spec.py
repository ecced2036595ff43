"""Declaration of a data source: its files, format and license, and the part of it that the paper used."""

from dataclasses import dataclass
from typing import Literal

Stage = Literal["alignment", "instruction", "generation", "merged", "evaluation"]


@dataclass(frozen=True)
class RemoteFile:
    """One file of a source.

    Attributes:
        path: local path, relative to the data folder.
        url: official location, `https://...` or `hf://datasets/OWNER/NAME[@REVISION]/FILE`; None if the file must be
            obtained manually.
        by_hand: instructions to obtain such a file.
        size: size in bytes, if known.
        sha256, sha1: checksums, if known. The hub reports checksums of its files.
        unpack: folder to unpack it into, relative to the data folder.
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
    """A data source.

    Attributes:
        name: identifier.
        title: description, one line.
        stage: use in the paper; `merged` are lists published by its authors, `evaluation` is never trained on.
        page: web page that describes it.
        licence: license under which it is published.
        files: its files. Files that are not unpacked hold the records.
        format: native format, a key of `formats.FORMATS`.
        images: folder that image paths are relative to, under the data folder.
        available: number of samples after the exclusions of `rule`; None if unknown.
        take: maximum number of samples, drawn by the seed; None takes all.
        rule: selection of samples, in words.
        paper: number of samples in the paper, as printed.
        decay: files or images known to be lost, renamed or broken, and the fix.
    """

    name: str
    title: str
    stage: Stage
    page: str
    licence: str
    files: tuple[RemoteFile, ...]
    format: str
    images: str | None
    available: int | None
    rule: str
    paper: str
    take: int | None = None
    decay: str = ""

    @property
    def samples(self) -> int | None:
        """Number of samples that are used; None if unknown."""
        counts = [count for count in (self.available, self.take) if count is not None]
        return min(counts, default=None)

    @property
    def records(self) -> tuple[RemoteFile, ...]:
        """Files that contain records."""
        return tuple(file for file in self.files if file.unpack is None and not file.path.endswith("/"))
