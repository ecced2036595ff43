"""Content that is not displayed is skipped, and files that take too long are refused before decoding."""

import io
import struct
import time
import zlib
from contextlib import nullcontext

import numpy as np
import pytest
from costly_images import (
    chunk,
    encoded,
    gif_before_image,
    gif_comment,
    jpeg_fill_bytes,
    jpeg_scans,
    jpeg_segments,
    png_one_byte_chunks,
)
from mutated_images import mutated
from PIL import Image, PngImagePlugin

from minigemini.images.containers import TooCostlyError, strip_unused
from minigemini.images.safe_images import ImageError, ImageProblem, open_image

PHOTO = Image.merge("RGB", [Image.linear_gradient("L"), Image.radial_gradient("L"), Image.effect_noise((256, 256), 60)])


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(open_image(data))


def with_texts(**texts) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    for keyword, (value, compressed) in texts.items():
        info.add_text(keyword, value, zip=compressed)
    return info


SKIPPED = {
    "text": {"pnginfo": with_texts(Description=("x" * 3_000_000, False))},
    "compressed text": {"pnginfo": with_texts(Description=("x" * 3_000_000, True))},
    "many texts": {"pnginfo": with_texts(**{f"k{n}": ("x" * 900_000, True) for n in range(80)})},
    "profile": {"icc_profile": bytes(2_000_000)},
}


@pytest.mark.parametrize("case", SKIPPED)
def test_large_png_texts_and_profiles_are_skipped(case):
    assert (pixels(encoded("PNG", PHOTO, **SKIPPED[case])) == np.asarray(PHOTO)).all()


def test_international_png_text_is_skipped():
    info = PngImagePlugin.PngInfo()
    info.add_itxt("Comment", "x" * 3_000_000, zip=True)
    assert (pixels(encoded("PNG", PHOTO, pnginfo=info)) == np.asarray(PHOTO)).all()


XMP = '<x:xmpmeta xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'


@pytest.mark.parametrize("compressed", [False, True])
def test_orientation_in_text_chunks_is_applied(compressed):
    """ImageMagick writes EXIF as hexadecimal text."""
    exif = Image.Exif()
    exif[0x0112] = 6
    block = exif.tobytes()
    raw = f"\nexif\n{len(block):8}\n{block.hex()}\n"
    info = with_texts(**{"Raw profile type exif": (raw, compressed), "Description": ("x" * 2_000_000, True)})
    assert open_image(encoded("PNG", PHOTO.crop((0, 0, 20, 10)), pnginfo=info)).size == (10, 20)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_orientation_in_xmp_is_applied(kind):
    image = PHOTO.crop((0, 0, 20, 10))
    if kind == "JPEG":
        data = encoded(kind, image, xmp=XMP.encode())
    else:
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP)
        data = encoded(kind, image, pnginfo=info)
    assert open_image(data).size == (10, 20)


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("RGB", {}),
        ("RGB", {"progressive": True, "subsampling": 0}),
        ("RGB", {"icc_profile": bytes(200_000), "comment": b"c" * 60_000, "exif": Image.Exif()}),
        ("L", {}),
        ("CMYK", {"progressive": True}),
        ("RGB", {"restart_marker_rows": 1}),
        ("RGB", {"keep_rgb": True}),
    ],
)
def test_jpeg_pixels_do_not_depend_on_stripped_metadata(mode, options):
    data = encoded("JPEG", PHOTO.convert(mode), quality=90, **options)
    assert (pixels(data) == np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))).all()


def test_exif_segments_are_not_joined():
    """Pillow joins them, and each of 65,535 entries may point to all of what comes of it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded("JPEG", PHOTO.crop((0, 0, 20, 10)), exif=exif)
    more = b"\xff\xe1" + struct.pack(">H", 65_000) + b"Exif\0\0" + b"II*\0" * 16_248
    at = data.index(b"\xff\xdb")
    assert open_image(data[:at] + more * 300 + data[at:]).size == (10, 20)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_only_the_start_of_a_large_exif_block_is_read(kind):
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0" + bytes(3_000_000)
    assert open_image(encoded(kind, PHOTO.crop((0, 0, 20, 10)), exif=exif)).size == (10, 20)


READ = {
    "fill bytes": lambda: jpeg_fill_bytes(15_000_000),
    "comments": lambda: jpeg_segments(9_000, 0xFE),
    "EXIF segments": lambda: jpeg_segments(9_000, 0xE1),
    "GIF comment": lambda: gif_comment(20_000_000),
    "GIF garbage": lambda: gif_before_image(bytes(20_000_000)),
    "one-byte PNG chunks": lambda: png_one_byte_chunks(60_000),
}
REFUSED = {
    "scans": (lambda: jpeg_scans(8_000, 300), "JPEG has 17 or more scans with 17,000,000 blocks.*baseline"),
    "segments": (lambda: jpeg_segments(1_000_000), "JPEG has more than 10,000 segments; save it again"),
    "segments after the scan": (
        lambda: (data := encoded("JPEG"))[:-2] + b"\xff\xe5\0\2" * 1_000_000 + data[-2:],
        "more than 10,000 segments",
    ),
    "tables": (
        lambda: (data := encoded("JPEG"))[:2] + (b"\xff\xdb\xff\xff" + bytes(65_533)) * 100 + data[2:],
        "JPEG has more than 524,288 bytes of tables",
    ),
    "PNG chunks": (lambda: png_one_byte_chunks(1_000_000), "PNG has more than 65,536 chunks"),
    "empty PNG chunks": (
        lambda: (data := encoded("PNG"))[:33] + chunk(b"tEXt", b"") * 1_000_000 + data[33:],
        "PNG has more than 65,536 chunks",
    ),
    "GIF blocks": (
        lambda: gif_before_image(b"!\xfe" + b"\1x" * 10_000_000 + b"\0"),
        "GIF has more than 300,000 blocks",
    ),
    "16-bit PNG": (
        lambda: (
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", struct.pack(">IIBBBBB", 8000, 8000, 16, 6, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(bytes(1000)))
        ),
        "8000 x 8000 pixels has 512,000,000 raw bytes.*8 bits per channel",
    ),
    "WEBP canvas": (
        lambda: b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0" + b"\xff\xff\0" * 2 + b"ANMF\0\0\0\0",
        "65536 x 65536 pixels, but a side may have at most 10,000",
    ),
    "GIF frame": (
        lambda: gif_before_image(b",\0\0\0\0\xff\xff\xff\xff\0\x08"),
        "65535 x 65535 pixels, but a side may have at most 10,000",
    ),
}


@pytest.mark.parametrize("case", READ)
def test_hidden_content_costs_little(case):
    data = READ[case]()
    started = time.process_time()
    with pytest.raises(ImageError, match="truncated") if case == "one-byte PNG chunks" else nullcontext():
        open_image(data)
    assert time.process_time() - started < 2  # measured: at most 0.2 s


@pytest.mark.parametrize("case", REFUSED)
def test_costly_images_are_refused_before_decoding(case):
    make, message = REFUSED[case]
    data = make()
    started = time.process_time()
    with pytest.raises(ImageError, match=message) as caught:
        open_image(data)
    assert caught.value.problem is ImageProblem.TOO_LARGE
    assert time.process_time() - started < 1  # measured: at most 0.1 s


@pytest.mark.parametrize("subsampling", [0, 2])
def test_progressive_photo_of_64_megapixels_is_accepted(subsampling):
    """Its scans are those of any progressive JPEG; only the frame's size is written over."""
    data = encoded("JPEG", PHOTO, progressive=True, subsampling=subsampling)
    frame = data.index(b"\xff\xc2")
    data = data[: frame + 5] + struct.pack(">HH", 8000, 8000) + data[frame + 9 :]
    strip_unused("JPEG", data)
    scans = data.index(b"\xff\xda")
    with pytest.raises(TooCostlyError):
        strip_unused("JPEG", data[:-2] + data[scans:-2] * 2 + data[-2:])


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("seed", range(4))
def test_damaged_files_are_decoded_or_one_line_errors(seed):
    """Thousands more: `python benchmarks/images.py mutated`."""
    refused = []
    for _, data in mutated(60, seed):
        try:
            open_image(data)
        except ImageError as error:
            refused.append(str(error))
    assert 0 < len(refused) < 60
    assert not any("\n" in message for message in refused)
