"""The paper's records, in one JSON list or in JSON lines.

A list of 1.5M records has gigabytes, and several times that as Python objects. It is read through once, a block at a
time, for where each record begins and ends: 16 bytes a record stay in memory, and a record is parsed when asked for.
The standard library is enough: `raw_decode` tells where a value ends at 130 MB/s, which neither `orjson` (whole
documents only) nor `ijson` (events without offsets) does.
"""

import json
import re
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from ..schema import IMAGE_TAG, Sample, SampleError, from_published
from .base import SourceError, parse, read_at

BLOCK_BYTES = 8 * 2**20
MAX_RECORD_BYTES = 64 * 2**20
"""A longer record is no conversation, but a list with something broken in it."""


class _Place(NamedTuple):
    offset: int
    size: int
    pictures: int


class _RecordFile:
    """Records at known places of one file."""

    def __init__(self, path: Path, image_root: Path | None, name: str | None, places: Iterable[_Place]) -> None:
        self.path, self.image_root, self.name = path, image_root, name or path.name
        offsets, sizes, pictures = array("q"), array("i"), array("i")
        for place in places:
            offsets.append(place.offset)
            sizes.append(place.size)
            pictures.append(place.pictures)
        if not offsets:
            raise SourceError(f"{path} has no records: name a file that has some.")
        self._offsets = np.array(offsets)
        self.text_bytes, self.pictures = np.array(sizes), np.array(pictures)

    def __len__(self) -> int:
        return len(self._offsets)

    def __getitem__(self, row: int) -> Sample:
        data = read_at(self.path, int(self._offsets[row]), int(self.text_bytes[row]))
        try:
            return from_published(parse(data), self.name, self.image_root)
        except SampleError as error:
            raise error.of(f"row {row}", self.name) from None


class JsonListReader(_RecordFile):
    """One JSON list of published records, with pictures under `image_root`.

    Raises:
        SourceError: The file is not a JSON list, or has no records.
    """

    def __init__(self, path: Path, image_root: Path | None = None, name: str | None = None) -> None:
        with path.open("rb") as file:
            super().__init__(path, image_root, name, _list_places(file, path))


class JsonLinesReader(_RecordFile):
    """One published record a line, with pictures under `image_root`. A line that is not JSON is a faulty sample.

    Raises:
        SourceError: The file has no records.
    """

    def __init__(self, path: Path, image_root: Path | None = None, name: str | None = None) -> None:
        with path.open("rb") as file:
            super().__init__(path, image_root, name, _line_places(file))


def _pictures(record: Any) -> int:
    images = record.get("image") if isinstance(record, dict) else None
    return len(images) if isinstance(images, list) else int(bool(images))


def _line_places(file: IO[bytes]) -> Iterator[_Place]:
    offset = 0
    for line in file:
        if line.strip():
            try:
                pictures = _pictures(json.loads(line))
            except (ValueError, RecursionError):
                pictures = line.count(IMAGE_TAG.encode())
            yield _Place(offset, len(line), pictures)
        offset += len(line)


def _list_places(file: IO[bytes], path: Path) -> Iterator[_Place]:
    text = _Window(file, path)
    text.expect("[")
    if text.skip("]"):
        return
    while True:
        yield text.record()
        if text.skip("]"):
            return
        text.expect(",")


class _Window:
    """A part of a file that moves on. Read as Latin-1, a character is a byte, and JSON's own signs stay themselves."""

    _decode = staticmethod(json.JSONDecoder().raw_decode)
    _blank = re.compile(r"[ \t\r\n]*")

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self.file, self.path = file, path
        self.text, self.base, self.at = "", 0, 0  # the file from byte `base` on, and where in it we are

    def record(self) -> _Place:
        """Step over one value."""
        self._sign()
        while True:
            start = self.at
            try:
                record, self.at = self._decode(self.text, start)
            except (json.JSONDecodeError, RecursionError) as error:
                reason = str(error)
                if isinstance(error, json.JSONDecodeError):
                    reason = f"{error.msg} at byte {self.base + error.pos:,}"
                # Cut off by the window, unless nothing more comes or the record is longer than any.
                if len(self.text) - start < MAX_RECORD_BYTES and self._read_on():
                    continue
                raise SourceError(
                    f"{self.path}: the record at byte {self.base + self.at:,} is not JSON ({reason}): mend it."
                ) from None
            return _Place(self.base + start, self.at - start, _pictures(record))

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
