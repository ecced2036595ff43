"""Images of few bytes or pixels that are expensive to decode without limits."""

import struct
import zlib
from io import BytesIO

from PIL import Image


def jpeg_scans(side_px: int, scans: int) -> bytes:
    """A progressive JPEG of one gray component: `scans` passes over all of its blocks, all but two refine them."""
    blocks = (-(-side_px // 8)) ** 2
    runs = -(-blocks // 32767)
    zeros_in_runs = _packed("".join("0" + format(min(32767, blocks) - 16384, "014b") for _ in range(runs)))
    first, refining = (_segment(0xDA, bytes([1, 1, 0, 1, 63, bits])) + zeros_in_runs for bits in (0x01, 0x10))
    return b"".join(
        [
            b"\xff\xd8",
            _segment(0xDB, b"\0" + bytes([1] * 64)),
            _segment(0xC2, struct.pack(">BHHB", 8, side_px, side_px, 1) + bytes([1, 0x11, 0])),
            _segment(0xC4, b"\x00" + bytes([1] + [0] * 15) + b"\x00"),  # DC: one code, no difference
            _segment(0xC4, b"\x10" + bytes([1] + [0] * 15) + b"\xe0"),  # AC: one code, a run of 2^14 blocks and more
            _segment(0xDA, bytes([1, 1, 0, 0, 0, 0])) + _packed("0" * blocks),
            first,
            refining * (scans - 2),
            b"\xff\xd9",
        ]
    )


def jpeg_fill_bytes(count: int) -> bytes:
    """A small JPEG with fill bytes before its first marker."""
    data = encoded("JPEG")
    return data[:2] + b"\xff" * count + data[2:]


def jpeg_segments(count: int, marker: int = 0xE5) -> bytes:
    """A small JPEG with empty segments."""
    data = encoded("JPEG")
    return data[:2] + _segment(marker, b"") * count + data[2:]


def png_one_byte_chunks(count: int) -> bytes:
    """A PNG whose pixels come a byte a chunk."""
    side = 1024
    pixels = zlib.compress(bytes((side + 1) * side), 0)[:count]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [
            chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)),
            *(chunk(b"IDAT", pixels[at : at + 1]) for at in range(len(pixels))),
            chunk(b"IEND", b""),
        ]
    )


def gif_before_image(blocks: bytes) -> bytes:
    """A small GIF with something before its frame."""
    data = encoded("GIF")
    at = data.index(b",", 13 + (3 << ((data[10] & 7) + 1)))
    return data[:at] + blocks + data[at:]


def gif_comment(count: int) -> bytes:
    """A small GIF with a comment of so many bytes."""
    return gif_before_image(b"!\xfe" + (b"\xff" + b"x" * 255) * (count // 255) + b"\0")


def encoded(kind: str, image: Image.Image | None = None, **options) -> bytes:
    """An image as a file; by default a small one of a few colors."""
    if image is None:
        image = Image.linear_gradient("L").resize((48, 32)).convert("P" if kind == "GIF" else "RGB")
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def _packed(bits: str) -> bytes:
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\x00")
