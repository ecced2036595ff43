"""Generate malformed, truncated and oversized images from a seed."""

import random
import struct
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO

from PIL import Image

FORMATS = ("png", "jpeg", "webp", "gif")
BROKEN, MAYBE = "broken", "maybe"
"""Images that a server must reject, and images that it may accept: a flipped bit can leave a valid image."""


def malformed(count: int, seed: int = 0) -> Iterator[tuple[str, str, bytes]]:
    """Yield kind, `BROKEN` or `MAYBE`, and bytes."""
    random_ = random.Random(seed)
    kinds: list[Callable[[random.Random], tuple[str, bytes]]] = [
        flipped, cut, swapped_head, noise, oversized_header, bomb, thin, polyglot, nothing, foreign,
    ]  # fmt: skip
    for number in range(count):
        kind = kinds[number % len(kinds)]
        yield kind.__name__, *kind(random_)


def image(random_: random.Random, kind: str) -> bytes:
    """Return a small image of noise."""
    size = random_.randint(8, 48), random_.randint(8, 48)
    file = BytesIO()
    Image.frombytes("RGB", size, random_.randbytes(3 * size[0] * size[1])).save(file, kind)
    return file.getvalue()


def flipped(random_: random.Random) -> tuple[str, bytes]:
    """Replace some bytes."""
    data = bytearray(image(random_, random_.choice(FORMATS)))
    for _ in range(random_.randint(1, 40)):
        data[random_.randrange(len(data))] = random_.randrange(256)
    return MAYBE, bytes(data)


def cut(random_: random.Random) -> tuple[str, bytes]:
    """Truncate an image to at most half of its bytes."""
    data = image(random_, random_.choice(("png", "jpeg", "webp")))
    return BROKEN, data[: random_.randint(1, len(data) // 2)]


def swapped_head(random_: random.Random) -> tuple[str, bytes]:
    """Put the header of one format before the body of another."""
    one, other = random_.sample(FORMATS, 2)
    return BROKEN, image(random_, one)[:24] + image(random_, other)[24:]


def noise(random_: random.Random) -> tuple[str, bytes]:
    """Put random bytes after a valid signature."""
    magic = random_.choice([b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"RIFF\x10\0\0\0WEBPVP8 "])
    return BROKEN, magic + random_.randbytes(random_.randint(0, 12))


def oversized_header(random_: random.Random) -> tuple[str, bytes]:
    """Return a PNG whose header claims more pixels than the limit."""
    return BROKEN, png(random_.randint(10_001, 2**31 - 1), random_.randint(1, 2**31 - 1), random_.randbytes(40))


def bomb(random_: random.Random) -> tuple[str, bytes]:
    """Return a few hundred KB that would decode to gigabytes."""
    side = random_.choice([9_000, 30_000, 60_000])
    return BROKEN, png(side, side, zlib.compress(bytes(2**20)) * 2)


def thin(random_: random.Random) -> tuple[str, bytes]:
    """Return a line of pixels that would take gigabytes when padded to a square."""
    width, height = random_.choice([(9_999, 1), (1, 9_999), (60_000, 1), (5_000, 3)])
    return BROKEN, png(width, height, zlib.compress(bytes((3 * width + 1) * height)))


def polyglot(random_: random.Random) -> tuple[str, bytes]:
    """Put an image after the signature of a document, an archive, a web page or a program."""
    head = random_.choice(
        [b"%PDF-1.7\n", b"PK\x03\x04", b"<html><script>", b"%!PS-Adobe-3.0 EPSF\n", b"MZ", b"\x7fELF"]
    )
    return BROKEN, head + image(random_, random_.choice(FORMATS))


def nothing(random_: random.Random) -> tuple[str, bytes]:
    """Return no bytes, or too few for any header."""
    return BROKEN, random_.randbytes(random_.randint(0, 7))


def foreign(random_: random.Random) -> tuple[str, bytes]:
    """Return a valid image in an unsupported format."""
    return BROKEN, image(random_, random_.choice(("tiff", "bmp", "ppm", "tga", "ico")))


def png(width: int, height: int, data: bytes) -> bytes:
    """Return a PNG with valid checksums and the given header and data."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
