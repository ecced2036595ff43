"""Readers of records of any known form in a JSON list or in JSON Lines; the first bytes of the file decide which.

A list of 1.5M records takes gigabytes, and several times that as Python objects. It is scanned once, block by block,
for the offset of each record: 16 bytes per record stay in memory, and a record is parsed when it is read. `raw_decode`
of the standard library finds the end of a value at 130 MB/s; `orjson` only parses whole documents, and `ijson` reports
no offsets.
"""

import json
import re
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from ..record_forms import count_images, read_record
from ..schema import IMAGE_TAG, Sample, SampleError
from .base import SourceError, parse, read_at

BLOCK_BYTES = 2**18
"""Not more, because for each record that is not JSON, Python counts the lines before it in the block."""
MAX_RECORD_BYTES = 64 * 2**20
"""A longer record is not a conversation: the list is broken."""
BOM = b"\xef\xbb\xbf"
"""Some programs write it at the start of UTF-8 files; JSON does not allow it."""
_OTHER_BOMS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
_MAX_LOOKAHEAD = 64
"""Maximum characters up to a record's first key, or of a literal at the end of the window."""


Keep = Callable[[Any], bool]
"""Predicate that selects records."""


class _Span(NamedTuple):
    offset: int
    size: int
    record: Any = None
    """The parsed record; None if it is not JSON."""
    tags: int = 0
    """Image tags in text that is not JSON; they count as images, so that the order of other samples is unchanged."""


class _RecordFile:
    """Records at known offsets of one file. Text that is not JSON is kept as an invalid sample with its row."""

    def __init__(
        self,
        path: Path,
        image_root: Path | None,
        name: str | None,
        licence: str,
        keep: Keep | None,
        spans: Iterable[_Span],
    ) -> None:
        self.path, self.image_root, self.name, self.licence = path, image_root, name or path.name, licence
        offsets, sizes, images, numbers = array("q"), array("i"), array("i"), array("i")
        for number, (offset, size, record, tags) in enumerate(spans):
            if keep is None or record is None or keep(record):
                offsets.append(offset)
                sizes.append(size)
                images.append(tags if record is None else count_images(record))
                numbers.append(number)
        if not offsets:
            raise SourceError(f"{path} has no records: give a file that has some")
        self._offsets, self._numbers = np.array(offsets), np.array(numbers)
        self.text_bytes, self.images = np.array(sizes), np.array(images)

    def __len__(self) -> int:
        return len(self._offsets)

    def __getitem__(self, row: int) -> Sample:
        data = read_at(self.path, int(self._offsets[row]), int(self.text_bytes[row]))
        try:
            number = int(self._numbers[row])
            sample = read_record(parse(data), self.name, self.image_root, number)
            return replace(sample, origin=f"{self.path.name}#{number}", licence=self.licence)
        except SampleError as error:
            raise error.of(f"row {row}", self.name) from None


class JsonListReader(_RecordFile):
    """Reads a JSON list of records of any form, see `record_forms`.

    Args:
        path: the file.
        image_root: folder that image paths are relative to.
        name: name of the source; the file name by default.
        licence: license of all samples.
        keep: selects records; others have no row. It sees text decoded as Latin-1.
        skip_broken: skip text that is not JSON up to the next record, and keep it as an invalid sample.

    Raises:
        SourceError: The file is not a JSON list (without `skip_broken`, not one throughout), or has no records.
    """

    def __init__(
        self,
        path: Path,
        image_root: Path | None = None,
        name: str | None = None,
        *,
        licence: str = "",
        keep: Keep | None = None,
        skip_broken: bool = False,
    ) -> None:
        with path.open("rb") as file:
            super().__init__(path, image_root, name, licence, keep, _list_spans(file, path, skip_broken))


class JsonLinesReader(_RecordFile):
    """Reads records of any form from JSON Lines, see `record_forms`. A line that is not JSON is an invalid sample.

    The arguments are those of `JsonListReader`.

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
            super().__init__(path, image_root, name, licence, keep, _line_spans(file))


def open_json(
    path: Path, image_root: Path | None = None, name: str | None = None, *, skip_broken: bool = False
) -> JsonListReader | JsonLinesReader:
    """Open a JSON list or JSON Lines by the content of the file; its suffix decides only if the content is ambiguous.

    The arguments are those of `JsonListReader`; JSON Lines need no `skip_broken`.

    Raises:
        SourceError: The file is neither, or has no records.
    """
    with path.open("rb") as file:
        first = file.read(len(BOM))
        if first.startswith(_OTHER_BOMS):
            raise SourceError(f"{path} is encoded as UTF-16 or UTF-32: save it as UTF-8")
        file.seek(len(BOM) if first == BOM else 0)
        line = b""
        while not line.strip() and (line := file.readline(MAX_RECORD_BYTES)):
            pass
    line = line.strip()
    if line.startswith(b"[") or (path.suffix == ".json" and not line.startswith(b"{")):
        return JsonListReader(path, image_root, name, skip_broken=skip_broken)
    if path.suffix == ".json" and _is_broken(line):
        raise SourceError(
            f"{path} starts with a JSON object on several lines: write a list of records, or one record per line"
        )
    return JsonLinesReader(path, image_root, name)


def _is_broken(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return True
    return False


def iterate_list(path: Path) -> Iterator[Any]:
    """Yield the values of a JSON list in constant memory.

    Raises:
        SourceError: The file is not a JSON list.
    """
    with path.open("rb") as file, path.open("rb") as values:
        for span in _list_spans(file, path, skip_broken=False):
            values.seek(span.offset)
            yield json.loads(values.read(span.size))


def _line_spans(file: IO[bytes]) -> Iterator[_Span]:
    offset = 0
    while line := file.readline(MAX_RECORD_BYTES + 1):
        if len(line) > MAX_RECORD_BYTES:
            raise SourceError(f"{file.name}: the line at byte {offset:,} has over {MAX_RECORD_BYTES:,} bytes: split it")
        if line.strip():
            try:
                yield _Span(offset, len(line), json.loads(line))
            except (ValueError, RecursionError):
                yield _Span(offset, len(line), tags=line.count(IMAGE_TAG.encode()))
        offset += len(line)


def _list_spans(file: IO[bytes], path: Path, skip_broken: bool) -> Iterator[_Span]:
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
            if not skip_broken:
                raise
            span, more = text.skip_broken(after=0 if text.between_records else 1)
            if span.size or not more:
                yield span
            if not more:
                return


class _Window:
    """A moving window of a file. Decoded as Latin-1, each byte is one character and JSON's syntax is unchanged."""

    _decode = staticmethod(json.JSONDecoder().raw_decode)
    _blank = re.compile(r"[ \t\r\n]*")
    _record_start = re.compile(r'\{\s*"(?:id|images?|conversations|messages|prompt|question|file_name)"\s*:')

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self.file, self.path = file, path
        begin = len(BOM) if file.read(len(BOM)) == BOM else 0
        file.seek(begin)
        self.text, self.base, self.at = "", begin, 0  # text of the file from byte `base`, and the position in it
        self.between_records = True

    def record(self) -> _Span:
        """Parse the next value and move past it."""
        self._peek()
        self.between_records = False
        while True:
            start = self.at
            try:
                record, self.at = self._decode(self.text, start)
            except (json.JSONDecodeError, RecursionError) as error:
                reason, cut_off = str(error), False
                if isinstance(error, json.JSONDecodeError):
                    reason = f"{error.msg} at byte {self.base + error.pos:,}"
                    # A string, a literal or an escape may be cut off at the end of the window.
                    cut_off = error.msg.startswith("Unterminated") or error.pos > len(self.text) - _MAX_LOOKAHEAD
                # Read on, unless the file ends or the record exceeds the limit.
                if cut_off and len(self.text) - start < MAX_RECORD_BYTES and self._read_on():
                    continue
                raise SourceError(
                    f"{self.path}: the record at byte {self.base + self.at:,} is not JSON ({reason}): correct it"
                ) from None
            self.between_records = True
            return _Span(self.base + start, self.at - start, record)

    def skip_broken(self, after: int) -> tuple[_Span, bool]:
        """Skip text up to the start of the next record, searching from `after` characters ahead.

        A record is recognized by its first key. Turns have other keys, so no part of a broken record is mistaken for
        one.

        Returns:
            The skipped span, and whether a record follows it.
        """
        start = self.base + self.at
        self.at += after
        while (found := self._record_start.search(self.text, self.at)) is None:
            self.at = max(self.at, len(self.text) - _MAX_LOOKAHEAD)
            if not self._read_on():
                self.at = len(self.text)
                return _Span(start, self.base + self.at - start), False
        self.at = found.start()
        return _Span(start, self.base + self.at - start), True

    def skip(self, char: str) -> bool:
        """Move past a character if it comes next."""
        found = self._peek() == char
        self.at += found
        return found

    def expect(self, char: str) -> None:
        if not self.skip(char):
            raise SourceError(
                f"{self.path} has {self._peek()!r} at byte {self.base + self.at:,}, expected {char!r}: "
                "it is not a JSON list, or is broken there"
            )

    def _peek(self) -> str:
        """Return the next character that is not whitespace, without moving past it."""
        while True:
            self.at = self._blank.match(self.text, self.at).end()  # type: ignore[union-attr]
            if self.at < len(self.text):
                return self.text[self.at]
            if not self._read_on():
                raise SourceError(f"{self.path} ends at byte {self.base:,} inside its list: copy it again")

    def _read_on(self) -> bool:
        """Drop text before the position and read on, doubling the rest: a long record is not parsed once per block."""
        left = self.text[self.at :]
        block = self.file.read(max(BLOCK_BYTES, len(left)))
        self.text, self.base, self.at = left + block.decode("latin-1"), self.base + self.at, 0
        return bool(block)
