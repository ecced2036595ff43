"""Strips image files to the parts that decoding needs, and estimates the cost of decoding, before a decoder runs.

Pillow parses headers in Python, one marker, chunk or block at a time, and keeps every comment, profile and text: 20 MB
of GIF comments take it half a minute. These parts do not affect the pixels, so they are removed here. Pixel data can be
expensive too: a progressive JPEG of 150 KB may repeat a pass over 64 megapixels 300 times, which takes 7 s.
"""

import re
import struct
import zlib
from dataclasses import dataclass

MAX_JPEG_SEGMENTS = 10_000
"""A segment holds up to 64 KB; real files have tens of them, or about a hundred with a large profile."""
MAX_JPEG_HEADER_BYTES = 524_288
"""Tables, and one block each of EXIF and XMP. Real tables have less than 4 KB; Pillow parses them in Python."""
MAX_JPEG_BLOCK_VISITS = 16_000_000
"""Blocks of 8 x 8 coefficients, summed over all scans. A progressive 64-megapixel 4:4:4 JPEG has 14 million."""
MAX_PNG_CHUNKS = 65_536
"""libpng writes chunks of 8 KB: 8,192 chunks in 64 MiB."""
MAX_PNG_PIXEL_BYTES = 400_000_000
"""Uncompressed size: 64 megapixels have 384 million bytes as 16-bit RGB, 256 million as 8-bit RGBA."""
MAX_GIF_BLOCKS = 300_000
"""Blocks before the first frame; one holds up to 255 bytes."""
MAX_METADATA_BYTES = 65_536
"""EXIF, and texts that may hold an orientation: the capacity of a JPEG segment."""


class TooCostlyError(ValueError):
    """Decoding the file would take too long. The message gives the reason and the fix, but not the file's name."""


@dataclass(frozen=True)
class StrippedFile:
    """A file without the parts that do not affect its pixels.

    Attributes:
        data: The bytes of the file.
        size: (width, height) in pixels that a decoder allocates on opening the file; None if it allocates nothing.
    """

    data: bytes
    size: tuple[int, int] | None = None


def strip_unused(kind: str, data: bytes) -> StrippedFile:
    """Remove the parts of a file that do not affect its pixels.

    Args:
        kind: Pillow's name of the format.
        data: The bytes of the file.

    Raises:
        TooCostlyError: Decoding would take too long.
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


# JPEG. Markers are named as in the standard.

_EOI, _SOS, _APP0, _APP1, _APP14, _COM = 0xD9, 0xDA, 0xE0, 0xE1, 0xEE, 0xFE
_BARE = frozenset({0x01, *range(0xD0, 0xDA)})
"""Markers without a segment: TEM, RSTn, SOI and EOI."""
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_MARKER = re.compile(rb"\xff[^\x00\xff]")
_MARKER_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_JPEG_METADATA = (b"Exif\0", b"http://ns.adobe.com/xap/1.0/\0")
"""Segments that may hold the orientation."""


def _jpeg(data: bytes) -> bytes:
    """Remove profiles, comments and fill bytes before the first scan; keep everything after it."""
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
            wanted.remove(metadata)  # one only, because Pillow concatenates all EXIF segments
        elif marker == _COM or _APP0 < marker < _APP14 or marker == _APP14 + 1:
            continue
        kept.append(data[start:position])
        header_bytes += len(kept[-1])
        if header_bytes > MAX_JPEG_HEADER_BYTES:
            raise TooCostlyError(f"JPEG has more than {MAX_JPEG_HEADER_BYTES:,} bytes of tables; save it again")
    return b"".join(kept)  # no scan; the decoder will report it


def _count_scans(data: bytes, position: int, counter: "_JpegCost") -> None:
    """Count the scans after the first, as libjpeg will process them."""
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
    """Counts segments, and block visits over all scans."""

    def __init__(self) -> None:
        self.segments = self.scans = self.visits = 0
        self._blocks: dict[int, int] = {}

    def add(self, marker: int, body: bytes) -> None:
        self.segments += 1
        if self.segments > MAX_JPEG_SEGMENTS:
            raise TooCostlyError(f"JPEG has more than {MAX_JPEG_SEGMENTS:,} segments; save it again")
        if marker in _FRAMES and not self._blocks:
            self._blocks = _blocks_of(body)
        elif marker == _SOS and body:
            self.scans += 1
            self.visits += sum(self._blocks.get(component, 0) for component in body[1 : 1 + 2 * body[0] : 2])
            if self.visits > MAX_JPEG_BLOCK_VISITS:
                raise TooCostlyError(
                    f"JPEG has {self.scans} or more scans with {self.visits:,} blocks in total, more than "
                    f"{MAX_JPEG_BLOCK_VISITS:,}; save it again as a baseline JPEG"
                )


def _blocks_of(frame: bytes) -> dict[int, int]:
    """Number of blocks of each component, by component id."""
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
    """Keep critical chunks, transparency and chunks that may hold the orientation; remove texts and profiles."""
    kept, position, chunks = [data[:8]], 8, 0
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if kind == b"IHDR":
            _check_png_bytes(data[position + 8 : end])
        chunks += 1
        if chunks > MAX_PNG_CHUNKS:
            raise TooCostlyError(f"PNG has more than {MAX_PNG_CHUNKS:,} chunks; save it again")
        affects_pixels = _ANCILLARY.fullmatch(kind) is None or kind in (b"tRNS", b"eXIf")
        if affects_pixels or _holds_orientation(
            kind, data[position + 8 : min(end - 4, position + 8 + MAX_METADATA_BYTES)]
        ):
            kept.append(data[position:end])
        position = end
        if kind == b"IEND":
            break
    else:
        kept.append(data[position:])  # truncated; the decoder will report it
    return b"".join(kept)


def _check_png_bytes(header: bytes) -> None:
    if len(header) < 10:
        return
    width, height, depth, color = struct.unpack_from(">IIBB", header)
    size = -(-width * depth * _PNG_CHANNELS.get(color, 1) // 8) * height
    # Sizes that exceed the pixel limit are reported elsewhere.
    if size > MAX_PNG_PIXEL_BYTES and depth == 16:
        raise TooCostlyError(
            f"PNG of {width} x {height} pixels has {size:,} raw bytes, more than {MAX_PNG_PIXEL_BYTES:,}; save "
            "it with 8 bits per channel"
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
    """Keep the first frame, without comments and other extensions, and find the size of its canvas."""
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
                raise TooCostlyError(f"GIF has more than {MAX_GIF_BLOCKS:,} blocks before its image; save it again")
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
    """Size of the canvas, which libwebp allocates twice on opening a file."""
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
