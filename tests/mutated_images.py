"""Valid image files, damaged by seed in ways that break parsers."""

import random
from collections.abc import Callable, Iterator
from functools import lru_cache

from costly_images import encoded
from PIL import Image

KINDS = ("JPEG", "PNG", "WEBP", "GIF")


def mutated(count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """What was done, and the bytes; some are damaged in two ways."""
    dice = random.Random(seed)
    for _ in range(count):
        data = bytearray(dice.choice(sound()))
        names = []
        for _ in range(dice.choice((1, 1, 2))):
            change = dice.choice(CHANGES)
            names.append(change.__name__)
            data = bytearray(change(dice, data))
        yield "+".join(names), bytes(data)


@lru_cache(maxsize=1)
def sound() -> tuple[bytes, ...]:
    """Files of all kinds, modes and extras."""
    dice = random.Random(0)
    noise = Image.frombytes("RGB", (61, 43), dice.randbytes(61 * 43 * 3))
    clear = noise.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(noise.size))
    exif = Image.Exif()
    exif[0x0112] = 6
    files = [
        encoded("JPEG", noise, exif=exif, icc_profile=dice.randbytes(3000), comment=b"comment"),
        encoded("JPEG", noise, progressive=True, subsampling=0),
        encoded("JPEG", noise, restart_marker_blocks=3),
        encoded("JPEG", noise.convert("CMYK")),
        encoded("PNG", noise, exif=exif, icc_profile=dice.randbytes(3000)),
        encoded("PNG", clear),
        encoded("PNG", clear.quantize(16)),
        encoded("PNG", noise.convert("1")),
        encoded("PNG", Image.linear_gradient("L").convert("I;16").resize(noise.size)),
        encoded("PNG", noise, save_all=True, append_images=[noise.rotate(180)]),
        encoded("WEBP", noise, exif=exif),
        encoded("WEBP", clear, lossless=True),
        encoded("WEBP", noise, save_all=True, append_images=[noise.rotate(180)]),
        encoded("GIF", noise.quantize(64)),
        encoded("GIF", noise.quantize(64), save_all=True, append_images=[noise.rotate(180)], comment=b"x" * 400),
    ]
    # Large ones, of which a small change may make a great deal.
    wide = Image.linear_gradient("L").resize((3000, 2000)).convert("RGB")
    return (*files * 4, *(encoded(kind, wide) for kind in KINDS), encoded("JPEG", wide, progressive=True))


def bytes_flipped(dice: random.Random, data: bytearray) -> bytes:
    """A few bytes are others, most of them in the header."""
    for _ in range(dice.randint(1, 12)):
        data[dice.randrange(min(len(data), dice.choice((64, 700, len(data)))))] = dice.randrange(256)
    return data


def bits_flipped(dice: random.Random, data: bytearray) -> bytes:
    """A few bits."""
    for _ in range(dice.randint(1, 30)):
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    return data


def cut(dice: random.Random, data: bytearray) -> bytes:
    """Its end is missing."""
    return data[: dice.randrange(1, len(data))]


def hole(dice: random.Random, data: bytearray) -> bytes:
    """A part in the middle is missing."""
    start = dice.randrange(len(data))
    return data[:start] + data[start + dice.randint(1, 400) :]


def repeated(dice: random.Random, data: bytearray) -> bytes:
    """A part comes many times."""
    start = dice.randrange(len(data))
    part = data[start : start + dice.randint(1, 300)]
    return data[:start] + part * dice.choice((2, 20, 2000)) + data[start:]


def spliced(dice: random.Random, data: bytearray) -> bytes:
    """The front of one file, the back of another."""
    other = dice.choice(sound())
    return bytes(data[: dice.randrange(1, len(data))]) + other[dice.randrange(len(other)) :]


def sizes(dice: random.Random, data: bytearray) -> bytes:
    """A field of two or four bytes holds an extreme number."""
    width = dice.choice((2, 4))
    at = dice.randrange(max(1, min(len(data), dice.choice((40, 400, len(data)))) - width))
    extreme = dice.choice((0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 8000)) & (256**width - 1)
    data[at : at + width] = extreme.to_bytes(width, dice.choice(("big", "little")))
    return data


def filled(dice: random.Random, data: bytearray) -> bytes:
    """A run of one byte."""
    at = dice.randrange(len(data))
    return data[:at] + bytes([dice.choice((0, 0xFF, dice.randrange(256)))]) * dice.choice((3, 300, 100_000)) + data[at:]


CHANGES: tuple[Callable[[random.Random, bytearray], bytes | bytearray], ...] = (
    bytes_flipped, bits_flipped, cut, hole, repeated, spliced, sizes, sizes, filled,
)  # fmt: skip
