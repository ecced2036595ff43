"""Image files cut down to what decoding needs, and checked for what it would cost, before a decoder sees them.

Pillow reads headers in Python, one marker, chunk or block at a time, and keeps every comment, profile and text that it
meets: 20 MB of GIF comments take it half a minute. None of that is shown, so it is left out here. What is shown can be
costly too: 150 KB of progressive JPEG may repeat a pass over 64 megapixels 300 times, which takes 7 s.
"""

import re
import struct
import zlib
from dataclasses import dataclass

MAX_JPEG_SEGMENTS = 10_000
"""A segment holds up to 64 KB, so that real files have tens of them, or a hundred with a large profile."""
MAX_JPEG_HEADER_BYTES = 524_288
"""Of tables, and of EXIF and XMP, one of each. Real tables have less than 4 KB; Pillow reads them in Python."""
MAX_JPEG_BLOCK_VISITS = 16_000_000
"""Blocks of 8 x 8 coefficients, summed over all scans. A progressive 64-megapixel 4:4:4 JPEG has 14 million."""
MAX_PNG_CHUNKS = 65_536
"""libpng writes 8 KB a chunk: 8,192 chunks in 64 MiB."""
MAX_PNG_PIXEL_BYTES = 400_000_000
"""Before compression: 64 megapixels have 384 million as 16-bit RGB, 256 million as RGBA."""
MAX_GIF_BLOCKS = 300_000
"""Blocks before the first frame; one holds up to 255 bytes."""
MAX_METADATA_BYTES = 65_536
"""Of EXIF, and of the texts that may hold an orientation: what a JPEG segment can hold."""


class TooCostlyError(ValueError):
    """The file would take too long to decode; the message says why and what to do, without the file's name."""


@dataclass(frozen=True)
class StrippedFile:
    """What a decoder is given.

    Attributes:
        data: the file without what is not shown.
        size: (width, height) that the decoder would allocate when it opens the file; None where it allocates nothing.
    """

    data: bytes
    size: tuple[int, int] | None = None


def strip_unused(kind: str, data: bytes) -> StrippedFile:
    """Cut a file down.

    Args:
        kind: its format, by Pillow's name.
        data: the file.

    Raises:
        TooCostlyError: decoding it would take too long.
    """
    match kind:
        case "JPEG":
            return StrippedFile(_jpeg(data))
        case "PNG":
            return StrippedFile(_png(data))
        case "GIF":
            return _gif(data)
        case "WEBP":
            return StrippedFile(data, _webp_size(data))
        case _:
            return StrippedFile(data)


# JPEG. Names of markers as in the standard.

_EOI, _SOS, _APP0, _APP1, _APP14, _COM = 0xD9, 0xDA, 0xE0, 0xE1, 0xEE, 0xFE
_BARE = frozenset({0x01, *range(0xD0, 0xDA)})
"""TEM, RSTn, SOI and EOI: markers without a segment."""
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_MARKER = re.compile(rb"\xff[^\x00\xff]")
_MARKER_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_JPEG_METADATA = (b"Exif\0", b"http://ns.adobe.com/xap/1.0/\0")
"""Hold the orientation."""


def _jpeg(data: bytes) -> bytes:
    """The header without profiles, comments and fill bytes; all from the first scan on as it is."""
    kept, wanted, counter = [data[:2]], list(_JPEG_METADATA), _JpegCost()
    position = 2
    header_bytes = 0
    while found := _MARKER.search(data, position):
        start, marker = found.start(), data[found.start() + 1]
        position = _segment_end(data, start)
        counter.add(marker, data[start + 4 : position])
        if marker == _SOS:
            _count_scans(data, position, counter)
            return b"".join([*kept, data[start:]])
        if marker == _APP1:
            metadata = next((name for name in wanted if data.startswith(name, start + 4)), None)
            if metadata is None:
                continue
            wanted.remove(metadata)  # Pillow joins all EXIF segments and reads what comes of it
        elif marker == _COM or _APP0 < marker < _APP14 or marker == _APP14 + 1:
            continue
        kept.append(data[start:position])
        header_bytes += len(kept[-1])
        if header_bytes > MAX_JPEG_HEADER_BYTES:
            raise TooCostlyError(f"a JPEG of more than {MAX_JPEG_HEADER_BYTES:,} bytes of tables; save it again")
    return b"".join(kept)  # without a scan; the decoder says so


def _count_scans(data: bytes, position: int, counter: "_JpegCost") -> None:
    """Go through the scans behind the first one, as libjpeg will."""
    while found := _MARKER_AFTER_SCAN.search(data, position):
        start, marker = found.start(), data[found.start() + 1]
        if marker == _EOI:
            return
        position = _segment_end(data, start)
        counter.add(marker, data[start + 4 : position])


def _segment_end(data: bytes, start: int) -> int:
    marker = data[start + 1]
    if marker in _BARE or marker < 0xC0:
        return start + 2
    return start + 2 + max(2, int.from_bytes(data[start + 2 : start + 4], "big"))


class _JpegCost:
    """Counts segments, and blocks over all scans."""

    def __init__(self) -> None:
        self.segments = self.scans = self.visits = 0
        self._blocks: dict[int, int] = {}

    def add(self, marker: int, body: bytes) -> None:
        self.segments += 1
        if self.segments > MAX_JPEG_SEGMENTS:
            raise TooCostlyError(f"a JPEG of more than {MAX_JPEG_SEGMENTS:,} segments; save it again")
        if marker in _FRAMES and not self._blocks:
            self._blocks = _blocks_of(body)
        elif marker == _SOS and body:
            self.scans += 1
            self.visits += sum(self._blocks.get(component, 0) for component in body[1 : 1 + 2 * body[0] : 2])
            if self.visits > MAX_JPEG_BLOCK_VISITS:
                raise TooCostlyError(
                    f"a JPEG of {self.scans} or more scans, {self.visits:,} blocks together, more than the "
                    f"{MAX_JPEG_BLOCK_VISITS:,} that are read; save it again as a baseline JPEG"
                )


def _blocks_of(frame: bytes) -> dict[int, int]:
    """Blocks of each component, by its number."""
    if len(frame) < 6:
        return {}
    height, width = struct.unpack_from(">HH", frame, 1)
    components = [tuple(frame[at : at + 2]) for at in range(6, min(len(frame) - 2, 6 + 3 * frame[5]), 3)]
    sampling = {number: (max(1, factors >> 4), max(1, factors & 15)) for number, factors in components}
    across = max((h for h, _ in sampling.values()), default=1)
    down = max((v for _, v in sampling.values()), default=1)
    return {number: -(-width * h // (8 * across)) * -(-height * v // (8 * down)) for number, (h, v) in sampling.items()}


# PNG

_ANCILLARY = re.compile(rb"[a-z][A-Za-z]{3}")
_PNG_CHANNELS = {2: 3, 4: 2, 6: 4}
_ORIENTATION_TEXTS = (b"Raw profile type exif", b"XML:com.adobe.xmp")


def _png(data: bytes) -> bytes:
    """Critical chunks, transparency and what may hold the orientation; texts and profiles of any size are left out."""
    kept, position, chunks = [data[:8]], 8, 0
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if kind == b"IHDR":
            _check_png_bytes(data[position + 8 : end])
        chunks += 1
        if chunks > MAX_PNG_CHUNKS:
            raise TooCostlyError(f"a PNG of more than {MAX_PNG_CHUNKS:,} chunks; save it again")
        is_shown = _ANCILLARY.fullmatch(kind) is None or kind in (b"tRNS", b"eXIf")
        if is_shown or _holds_orientation(kind, data[position + 8 : min(end - 4, position + 8 + MAX_METADATA_BYTES)]):
            kept.append(data[position:end])
        position = end
        if kind == b"IEND":
            break
    else:
        kept.append(data[position:])  # cut off; the decoder says so
    return b"".join(kept)


def _check_png_bytes(header: bytes) -> None:
    if len(header) < 10:
        return
    width, height, depth, color = struct.unpack_from(">IIBB", header)
    size = -(-width * depth * _PNG_CHANNELS.get(color, 1) // 8) * height
    # Sizes that are refused for their pixels alone get a message of their own.
    if size > MAX_PNG_PIXEL_BYTES and depth == 16:
        raise TooCostlyError(
            f"a PNG of {width} x {height} pixels in {size:,} bytes, more than the {MAX_PNG_PIXEL_BYTES:,} that are "
            "read; save it with 8 bits a channel"
        )


def _holds_orientation(kind: bytes, body: bytes) -> bool:
    keyword, _, text = body.partition(b"\0")
    if keyword not in _ORIENTATION_TEXTS or len(body) == MAX_METADATA_BYTES:
        return False
    if kind == b"zTXt":
        try:
            return len(zlib.decompressobj().decompress(text[1:], MAX_METADATA_BYTES)) < MAX_METADATA_BYTES
        except zlib.error:
            return False
    return kind == b"tEXt" or (kind == b"iTXt" and text[:1] == b"\0")  # 1: compressed


# GIF

_GIF_LEADS = re.compile(rb"[!,;]")
_EXTENSION, _IMAGE, _GRAPHIC_CONTROL = b"!", b",", 0xF9


def _gif(data: bytes) -> StrippedFile:
    """The first frame without comments and other extensions, and the size of the canvas that holds it."""
    position = 13 + _palette_bytes(data[10:11])
    kept, blocks = [data[:position]], 0
    while found := _GIF_LEADS.search(data, position):
        start = found.start()
        if found.group() == _IMAGE:
            return StrippedFile(b"".join([*kept, data[start:]]), _canvas(data, start))
        if found.group() != _EXTENSION:
            break
        position = start + 2
        while position < len(data) and data[position]:
            position += 1 + data[position]
            blocks += 1
            if blocks > MAX_GIF_BLOCKS:
                raise TooCostlyError(f"a GIF of more than {MAX_GIF_BLOCKS:,} blocks before its picture; save it again")
        position += 1
        if data[start + 1 : start + 2] == bytes([_GRAPHIC_CONTROL]):
            kept.append(data[start:position])
    return StrippedFile(b"".join(kept))


def _palette_bytes(flags: bytes) -> int:
    return 3 << ((flags[0] & 7) + 1) if flags and flags[0] & 0x80 else 0


def _canvas(data: bytes, image: int) -> tuple[int, int] | None:
    if len(data) < image + 9:
        return None
    width, height = struct.unpack_from("<HH", data, 6)
    left, top, wide, high = struct.unpack_from("<HHHH", data, image + 1)
    return max(width, left + wide), max(height, top + high)


# WEBP


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """Of the canvas: libwebp allocates it, twice, when a file is opened."""
    if len(data) < 30:
        return None
    match data[12:16]:
        case b"VP8X":
            return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
        case b"VP8L":
            bits = int.from_bytes(data[21:25], "little")
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case b"VP8 ":
            width, height = struct.unpack_from("<HH", data, 26)
            return width & 0x3FFF, height & 0x3FFF
    return None
