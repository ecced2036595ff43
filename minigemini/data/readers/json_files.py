"""The paper's records, in one JSON list or in JSON lines; which of the two a file is, its first bytes tell.

A list of 1.5M records has gigabytes, and several times that as Python objects. It is read through once, a block at a
time, for where each record begins and ends: 16 bytes a record stay in memory, and a record is parsed when asked for.
The standard library is enough: `raw_decode` tells where a value ends at 130 MB/s, which neither `orjson` (whole
documents only) nor `ijson` (events without offsets) does.
"""

import json
import re
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from ..media_keys import image_count
from ..schema import IMAGE_TAG, Sample, SampleError, from_published
from .base import SourceError, parse, read_at

BLOCK_BYTES = 8 * 2**20
MAX_RECORD_BYTES = 64 * 2**20
"""A longer record is no conversation, but a list with something broken in it."""
BOM = b"\xef\xbb\xbf"
"""Some programs write it in front of UTF-8; it is no part of JSON."""
_OTHER_BOMS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
LONGEST_BEGINNING = 64
"""Characters, of a record's first key, or of a literal that the window cuts off."""


Keep = Callable[[Any], bool]
"""Whether a record is one of those wanted."""


class _Place(NamedTuple):
    offset: int
    size: int
    record: Any = None
    """What lies there; None where it is not JSON."""
    tags: int = 0
    """Image tags of what is not JSON: counted, so that all others stay in their order."""


class _RecordFile:
    """Records at known places of one file. What is not JSON is kept: it is a faulty sample, which has a name."""

    def __init__(
        self,
        path: Path,
        image_root: Path | None,
        name: str | None,
        licence: str,
        keep: Keep | None,
        places: Iterable[_Place],
    ) -> None:
        self.path, self.image_root, self.name, self.licence = path, image_root, name or path.name, licence
        offsets, sizes, images, numbers = array("q"), array("i"), array("i"), array("i")
        for number, (offset, size, record, tags) in enumerate(places):
            if keep is None or record is None or keep(record):
                offsets.append(offset)
                sizes.append(size)
                images.append(tags if record is None else image_count(record))
                numbers.append(number)
        if not offsets:
            raise SourceError(f"{path} has no records: name a file that has some.")
        self._offsets, self._numbers = np.array(offsets), np.array(numbers)
        self.text_bytes, self.images = np.array(sizes), np.array(images)

    def __len__(self) -> int:
        return len(self._offsets)

    def __getitem__(self, row: int) -> Sample:
        data = read_at(self.path, int(self._offsets[row]), int(self.text_bytes[row]))
        try:
            sample = from_published(parse(data), self.name, self.image_root)
            return replace(sample, origin=f"{self.path.name}#{self._numbers[row]}", licence=self.licence)
        except SampleError as error:
            raise error.of(f"row {row}", self.name) from None


class JsonListReader(_RecordFile):
    """One JSON list of published records, with pictures under `image_root`.

    Args:
        path: the file.
        image_root: what the records' paths start from.
        name: what the source is called.
        licence: of every sample in it.
        keep: which records are wanted; rows count these alone. It sees their text as Latin-1.
        mend: step over what is not JSON to the next record, and keep the place as a faulty sample.

    Raises:
        SourceError: The file is not a JSON list (nor, without `mend`, one throughout), or has no records.
    """

    def __init__(
        self,
        path: Path,
        image_root: Path | None = None,
        name: str | None = None,
        *,
        licence: str = "",
        keep: Keep | None = None,
        mend: bool = False,
    ) -> None:
        with path.open("rb") as file:
            super().__init__(path, image_root, name, licence, keep, _list_places(file, path, mend))


class JsonLinesReader(_RecordFile):
    """One published record a line, with pictures under `image_root`. A line that is not JSON is a faulty sample.

    Arguments are those of `JsonListReader`.

    Raises:
        SourceError: The file has no records.
    """

    def __init__(
        self,
        path: Path,
        image_root: Path | None = None,
        name: str | None = None,
        *,
        licence: str = "",
        keep: Keep | None = None,
    ) -> None:
        with path.open("rb") as file:
            super().__init__(path, image_root, name, licence, keep, _line_places(file))


def open_json(
    path: Path, image_root: Path | None = None, name: str | None = None, *, mend: bool = False
) -> JsonListReader | JsonLinesReader:
    """Open a JSON list or JSON lines by what the file holds; its ending counts only where that does not tell.

    Arguments are those of `JsonListReader`; lines need no `mend`.

    Raises:
        SourceError: The file is neither, or has no records.
    """
    with path.open("rb") as file:
        first = file.read(len(BOM))
        if first.startswith(_OTHER_BOMS):
            raise SourceError(f"{path} is written in UTF-16 or UTF-32: save it as UTF-8.")
        file.seek(len(BOM) if first == BOM else 0)
        line = b""
        while not line.strip() and (line := file.readline(MAX_RECORD_BYTES)):
            pass
    line = line.strip()
    if line.startswith(b"[") or (path.suffix == ".json" and not line.startswith(b"{")):
        return JsonListReader(path, image_root, name, mend=mend)
    if path.suffix == ".json" and _is_broken(line):
        raise SourceError(
            f"{path} begins with a JSON object over several lines: write a list of records, or one a line."
        )
    return JsonLinesReader(path, image_root, name)


def _is_broken(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return True
    return False


def iterate_list(path: Path) -> Iterator[Any]:
    """The values of a JSON list one by one, in memory that does not grow with the list.

    Raises:
        SourceError: The file is not a JSON list.
    """
    with path.open("rb") as file, path.open("rb") as values:
        for place in _list_places(file, path, mend=False):
            values.seek(place.offset)
            yield json.loads(values.read(place.size))


def _line_places(file: IO[bytes]) -> Iterator[_Place]:
    offset = 0
    for line in file:
        if line.strip():
            try:
                yield _Place(offset, len(line), json.loads(line))
            except (ValueError, RecursionError):
                yield _Place(offset, len(line), tags=line.count(IMAGE_TAG.encode()))
        offset += len(line)


def _list_places(file: IO[bytes], path: Path, mend: bool) -> Iterator[_Place]:
    text = _Window(file, path)
    text.expect("[")
    if text.skip("]"):
        return
    while True:
        try:
            yield text.record()
            if text.skip("]"):
                return
            text.expect(",")
        except SourceError:
            if not mend:
                raise
            place, more = text.broken(after=0 if text.between_records else 1)
            if place.size or not more:
                yield place
            if not more:
                return


class _Window:
    """A part of a file that moves on. Read as Latin-1, a character is a byte, and JSON's own signs stay themselves."""

    _decode = staticmethod(json.JSONDecoder().raw_decode)
    _blank = re.compile(r"[ \t\r\n]*")
    _begins = re.compile(r'\{\s*"(?:id|image|conversations)"\s*:')

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self.file, self.path = file, path
        begin = len(BOM) if file.read(len(BOM)) == BOM else 0
        file.seek(begin)
        self.text, self.base, self.at = "", begin, 0  # the file from byte `base` on, and where in it we are
        self.between_records = True

    def record(self) -> _Place:
        """Step over one value."""
        self._sign()
        self.between_records = False
        while True:
            start = self.at
            try:
                record, self.at = self._decode(self.text, start)
            except (json.JSONDecodeError, RecursionError) as error:
                reason, cut_off = str(error), False
                if isinstance(error, json.JSONDecodeError):
                    reason = f"{error.msg} at byte {self.base + error.pos:,}"
                    # Where the window ends a string may, a literal, or an escape.
                    cut_off = error.msg.startswith("Unterminated") or error.pos > len(self.text) - LONGEST_BEGINNING
                # Cut off by the window, unless nothing more comes or the record is longer than any.
                if cut_off and len(self.text) - start < MAX_RECORD_BYTES and self._read_on():
                    continue
                raise SourceError(
                    f"{self.path}: the record at byte {self.base + self.at:,} is not JSON ({reason}): mend it."
                ) from None
            self.between_records = True
            return _Place(self.base + start, self.at - start, record)

    def broken(self, after: int) -> tuple[_Place, bool]:
        """Step over what is no record, from here to where one begins; `after` is where to look for that.

        A record is told by its first key. Turns have other keys, so that no part of a broken record is taken for one.

        Returns:
            The place stepped over, and whether a record comes after it.
        """
        start = self.base + self.at
        self.at += after
        while (found := self._begins.search(self.text, self.at)) is None:
            self.at = max(self.at, len(self.text) - LONGEST_BEGINNING)
            if not self._read_on():
                self.at = len(self.text)
                return _Place(start, self.base + self.at - start), False
        self.at = found.start()
        return _Place(start, self.base + self.at - start), True

    def skip(self, sign: str) -> bool:
        """Step over a sign if it is the next."""
        found = self._sign() == sign
        self.at += found
        return found

    def expect(self, sign: str) -> None:
        if not self.skip(sign):
            raise SourceError(
                f"{self.path} has {self._sign()!r} at byte {self.base + self.at:,}, where a JSON list has {sign!r}: "
                "it is no such list, or broken there."
            )

    def _sign(self) -> str:
        """The next character that is not blank, without stepping over it."""
        while True:
            self.at = self._blank.match(self.text, self.at).end()  # type: ignore[union-attr]
            if self.at < len(self.text):
                return self.text[self.at]
            if not self._read_on():
                raise SourceError(f"{self.path} ends at byte {self.base:,}, before its list does: copy it again.")

    def _read_on(self) -> bool:
        """Drop what lies behind, and take in as much as is left again: a long record is not parsed block by block."""
        left = self.text[self.at :]
        block = self.file.read(max(BLOCK_BYTES, len(left)))
        self.text, self.base, self.at = left + block.decode("latin-1"), self.base + self.at, 0
        return bool(block)
