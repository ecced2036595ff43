"""Opening untrusted images: the pixels that a viewer shows, or a one-line error."""

import io
import random
import struct
import tracemalloc
import zlib
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from minigemini.images.safe_images import LIMITS, ImageError, ImageLimits, open_image

RED, BLUE = (255, 0, 0), (0, 0, 255)


def encoded(image, kind="PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing: what a decompression bomb looks like from outside."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def two_halves() -> Image.Image:
    """8 x 4 pixels, left half red, right half blue."""
    image = Image.new("RGB", (8, 4), RED)
    image.paste(BLUE, (4, 0, 8, 4))
    return image


@pytest.mark.parametrize("kind", LIMITS.formats)
def test_every_format_opens_from_path_bytes_and_file(kind, tmp_path):
    data = encoded(two_halves(), kind, **({"lossless": True} if kind == "WEBP" else {}))
    path = tmp_path / "picture"  # the name says nothing: only the content decides
    path.write_bytes(data)
    for source in (path, str(path), data, io.BytesIO(data)):
        image = open_image(source)
        assert (image.mode, image.size) == ("RGB", (8, 4))
        assert np.abs(np.asarray(image).astype(int) - np.asarray(two_halves())).max() <= (90 if kind == "JPEG" else 0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(orientation):
    """Of the eight ways to lay a camera down, each comes out upright: a red left half."""
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the Transpose that lays an upright picture down so
    lying = two_halves() if orientation == 1 else two_halves().transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = open_image(encoded(lying, "PNG", exif=exif))
    assert image.size == (8, 4)
    assert image.tobytes() == two_halves().tobytes()
    assert not image.info, "EXIF can hold a place and a time"


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_a_broken_exif_block_is_ignored():
    assert open_image(encoded(two_halves(), "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")).size == (8, 4)


def test_16_bit_gray_is_scaled_not_clipped():
    gray = np.array([[0, 128, 129, 257, 32768, 65535]], dtype=np.uint16)
    image = open_image(encoded(Image.fromarray(gray)))
    assert np.asarray(image)[0, :, 0].tolist() == [0, 0, 1, 1, 128, 255]


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P"])
def test_transparency_is_composited_onto_white(mode):
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    image.putpixel((1, 0), (0, 0, 0, 255))
    image = image.quantize() if mode == "P" else image.convert(mode)
    opened = open_image(encoded(image))
    assert [opened.getpixel((x, 0)) for x in (0, 1)] == [(255, 255, 255), (0, 0, 0)]


def test_partial_transparency_is_blended_with_white():
    assert open_image(encoded(Image.new("RGBA", (1, 1), (255, 0, 0, 128)))).getpixel((0, 0)) == (255, 127, 127)


def test_cmyk_is_not_inverted():
    data = encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95)  # magenta and yellow ink: red
    red, green, blue = open_image(data).getpixel((8, 8))
    assert red > 240
    assert max(green, blue) < 15


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_shows_its_first_frame(kind):
    frames = [Image.new("RGB", (8, 8), color) for color in (RED, BLUE)]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert open_image(data).getpixel((4, 4)) == RED


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_plain_modes_become_rgb(mode):
    assert open_image(encoded(Image.new(mode, (3, 5)))).mode == "RGB"


REFUSED = {
    "bomb": (png_header(30_000, 30_000), r"30000 x 30000 pixels.*10,000.*scale the image down"),
    "thread": (png_header(60_000, 1), r"60000 x 1 pixels.*10,000"),
    "large": (png_header(9_000, 9_000), r"9000 x 9000 pixels = 81,000,000.*64,000,000.*scale the image down"),
    "ribbon": (png_header(5_000, 1), r"5000 x 1 pixels.*100 times.*split"),
    "empty": (b"", r"0 bytes"),
    "text": (b"hello, I am a text file", r"not an image in JPEG, PNG, WEBP, GIF; convert"),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", r"not an image in JPEG"),
    "tiff": (encoded(two_halves(), "TIFF"), r"not an image in JPEG"),
    "cut": (encoded(Image.effect_noise((64, 64), 90))[:900], r"truncated after 900 bytes"),
    "cut jpeg": (encoded(Image.effect_noise((64, 64), 90), "JPEG")[:900], r"truncated after 900 bytes"),
    "cut header": (b"\x89PNG\r\n\x1a\n\0\0", r"corrupt PNG header"),
    "cut webp": (encoded(two_halves(), "WEBP")[:24], r"corrupt WEBP header"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_name_the_file_the_value_and_the_fix(case):
    data, message = REFUSED[case]
    with pytest.raises(ImageError, match=message) as caught:
        open_image(data, name="holiday\n\x1b[31m.png")
    assert str(caught.value).startswith("holiday??[31m.png: ")
    assert "\n" not in str(caught.value)


def test_large_headers_are_refused_before_decoding():
    tracemalloc.start()
    for claim in (png_header(30_000, 30_000), png_header(9_000, 9_000)):
        with pytest.raises(ImageError):
            open_image(claim)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1e6  # measured: 20 KB, warm


def test_paths_that_are_not_files_are_refused(tmp_path):
    with pytest.raises(ImageError, match=r"nowhere\.png: no such file"):
        open_image(tmp_path / "nowhere.png")
    with pytest.raises(ImageError, match="is a directory; pass"):
        open_image(tmp_path)
    with pytest.raises(ImageError, match="cannot be read"):
        open_image("a\0b.png")


def test_endless_file_is_read_up_to_the_limit(tmp_path):
    path = tmp_path / "large.png"
    path.write_bytes(encoded(two_halves()) + b"\0" * 2000)
    with pytest.raises(ImageError, match=r"more than 1,000 bytes, the limit"):
        open_image(path, ImageLimits(max_bytes=1000))
    with (
        open("/dev/zero", "rb") as endless,
        pytest.raises(ImageError, match=r"/dev/zero: file has more than 1,048,576 bytes"),
    ):
        open_image(endless, ImageLimits(max_bytes=2**20))


def test_text_file_object_is_a_type_error():
    with pytest.raises(TypeError, match="mode 'rb'"):
        open_image(io.StringIO("x"))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("kind", LIMITS.formats)
def test_damaged_files_raise_image_errors_only(kind):
    """Seeded damage: every flip or cut gives a picture or a `ImageError`. 40,000 more a format were tried by hand."""
    dice = random.Random(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {} if kind == "GIF" else {"exif": exif}
    whole = encoded(Image.effect_noise((24, 24), 90).convert("RGB"), kind, **options)
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(dice.randint(1, 8)):
            data[dice.randrange(len(data) if dice.random() < 0.5 else min(80, len(data)))] = dice.randrange(256)
        if dice.random() < 0.3:
            data = data[: dice.randrange(len(data))]
        with suppress(ImageError):
            assert open_image(bytes(data)).mode == "RGB"
