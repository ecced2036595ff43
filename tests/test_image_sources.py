"""Every kind of image source gives the same pixels, or a one-line error."""

import base64
import io
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from minigemini.images.data_uris import decode_base64
from minigemini.images.safe_images import ImageError, ImageLimits, ImageProblem, open_image
from minigemini.inference import Conversation, Engine, Sampling

SHORT = Sampling(max_new_tokens=8)
GRADIENT = Image.merge("RGB", [Image.linear_gradient("L"), Image.radial_gradient("L"), Image.linear_gradient("L")])
GRADIENT = GRADIENT.crop((60, 0, 156, 256)).resize((24, 64))


def rotated() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def clear() -> Image.Image:
    image = GRADIENT.convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return image


FILES = {
    "rotated.jpg": lambda path: GRADIENT.save(path, exif=rotated()),
    "rotated.png": lambda path: GRADIENT.save(path, exif=rotated()),
    "rotated.webp": lambda path: GRADIENT.save(path, exif=rotated(), lossless=True),
    "gray16.png": lambda path: Image.fromarray(np.arange(1536, dtype=np.uint16).reshape(64, 24) * 42).save(path),
    "cmyk.jpg": lambda path: GRADIENT.convert("CMYK").save(path),
    "rgba.png": lambda path: clear().save(path),
    "rgba.webp": lambda path: clear().save(path, lossless=True),
    "la.png": lambda path: clear().convert("LA").save(path),
    "palette.png": lambda path: GRADIENT.quantize(16).save(path),
    "palette_clear.png": lambda path: clear().quantize(16).save(path),
    "palette_clear.gif": lambda path: clear().quantize(16).save(path),
    "bilevel.png": lambda path: GRADIENT.convert("1").save(path),
    "gray.png": lambda path: GRADIENT.convert("L").save(path),
    "rgb_clear.png": lambda path: GRADIENT.save(path, transparency=GRADIENT.getpixel((3, 3))),
    "animation.gif": lambda path: GRADIENT.save(path, save_all=True, append_images=[GRADIENT.rotate(180)]),
}


@pytest.fixture(params=FILES)
def file(request, tmp_path) -> Path:
    FILES[request.param](tmp_path / request.param)
    return tmp_path / request.param


def sources(file: Path) -> dict:
    """The same file in all ways that it is given."""
    data = file.read_bytes()
    text = base64.b64encode(data).decode()
    loaded = Image.open(file)
    loaded.load()
    return {
        "str": str(file),
        "bytes": data,
        "file": io.BytesIO(data),
        "PIL.Image": Image.open(file),
        "loaded PIL.Image": loaded,
        "copied PIL.Image": loaded.copy(),
        "data URI": f"data:image/{file.suffix[1:]};base64,{text}",
    }


def test_every_source_gives_the_same_pixels(file):
    expected = open_image(file)
    assert expected.mode == "RGB"
    for name, source in sources(file).items():
        assert open_image(source).tobytes() == expected.tobytes(), name


def test_image_of_the_caller_is_not_modified(tmp_path):
    FILES["rotated.png"](tmp_path / "a.png")
    image = Image.open(tmp_path / "a.png")
    open_image(image)
    assert image.getexif()[0x0112] == 6
    assert (image.size, image.mode) == (GRADIENT.size, "RGB")
    plain = GRADIENT.copy()
    assert open_image(plain) is plain, "what is RGB already is not copied"


def test_orientation_is_applied_once(tmp_path):
    FILES["rotated.jpg"](tmp_path / "a.jpg")
    turned = ImageOps.exif_transpose(Image.open(tmp_path / "a.jpg"))
    assert open_image(turned).tobytes() == open_image(tmp_path / "a.jpg").tobytes()


def test_engine_gives_the_same_answer_for_every_source(tiny_checkpoint, file):
    engine = Engine.load(tiny_checkpoint, device="cpu")
    asked = []
    engine.stream = lambda messages, *_, **__: asked.append(messages)  # only what it is shown matters here
    for source in (file, *sources(file).values()):
        Conversation(engine, [source]).stream("What?", SHORT)
    shown = [messages[0]["content"][0]["image"].tobytes() for messages in asked]
    assert len(set(shown)) == 1


def chat_pixels(processor, part: dict, **kwargs):
    content = [{"type": "image", **part}, {"type": "text", "text": "Hi"}]
    messages = [{"role": "user", "content": content}]
    out = processor.apply_chat_template(messages, tokenize=True, return_dict=True, return_tensors="pt", **kwargs)
    return out["high_res_pixel_values"]


def test_chat_template_and_call_give_the_same_pixels(processor, file):
    data = file.read_bytes()
    expected = chat_pixels(processor, {"image": open_image(file)})
    text = base64.b64encode(data).decode()
    uri = f"data:image/png;base64,{text}"
    parts = [
        *({"image": source} for source in sources(file).values()),
        {"path": str(file)},
        {"url": uri},
        {"base64": text},
        {"base64": base64.encodebytes(data).decode()},
        {"base64": uri},
        {"type": "image_url", "image_url": {"url": uri}},
    ]
    for part in parts:
        assert torch.equal(chat_pixels(processor, part), expected), part.keys()
    placeholder = processor.image_token
    for images in (str(file), Image.open(file), data, [Image.open(file)], [[str(file)]]):
        called = processor(images=images, text=[placeholder], return_tensors="pt")
        assert torch.equal(called["high_res_pixel_values"], expected), type(images)


@pytest.fixture(scope="module")
def processor(tiny_model, make_processor):
    return make_processor(tiny_model.config)


def test_processor_downloads_nothing(processor):
    for part in ({"url": "https://example.com/a.png"}, {"image": "http://127.0.0.1/a.png"}, {"path": "file:///a.png"}):
        with pytest.raises(ImageError, match="URLs are not fetched") as caught:
            chat_pixels(processor, part)
        assert next(iter(part.values())) in str(caught.value)
    with pytest.raises(ImageError, match="not fetched"):
        processor(images="https://example.com/a.png", text=[processor.image_token])


def test_image_processor_treats_paths_like_pil_images(processor, file):
    """Published arithmetic: neither white under transparency nor scaled 16-bit; but upright, and no addresses."""
    alone = processor.image_processor
    by_pil = alone(Image.open(file), return_tensors="pt")["high_res_pixel_values"]
    stored = ImageOps.exif_transpose(Image.open(file)).convert("RGB")
    assert torch.equal(by_pil, alone(stored, return_tensors="pt")["high_res_pixel_values"])
    for source in (str(file), sources(file)["data URI"], [str(file)]):
        images = alone.fetch_images(source)
        assert torch.equal(by_pil, alone(images, return_tensors="pt")["high_res_pixel_values"])
    with pytest.raises(ImageError, match="not fetched"):
        alone.fetch_images(["https://example.com/a.png"])


def test_messages_are_not_modified(processor, tmp_path):
    FILES["gray.png"](tmp_path / "a.png")
    part = {"type": "image", "path": str(tmp_path / "a.png")}
    messages = [{"role": "user", "content": [part, {"type": "text", "text": "Hi"}]}]
    processor.apply_chat_template(messages, tokenize=True, return_dict=True)
    assert messages[0]["content"][0] == {"type": "image", "path": str(tmp_path / "a.png")}


# Arrays

RGB = np.asarray(GRADIENT)  # (64, 24, 3)
ARRAYS = {
    "numpy HWC": RGB,
    "numpy CHW": RGB.transpose(2, 0, 1),
    "tensor CHW": torch.from_numpy(RGB.transpose(2, 0, 1).copy()),
    "tensor HWC": torch.from_numpy(RGB.copy()),
    "floats": RGB / 255,
    "float32": (RGB / 255).astype(np.float32),
    "tensor of floats": torch.from_numpy(RGB.transpose(2, 0, 1).copy()) / 255,
    "uint16": RGB.astype(np.uint16) * 257,
    "not contiguous": RGB[::-1][::-1],
    "opaque": np.dstack([RGB, np.full(RGB.shape[:2], 255, np.uint8)]),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_arrays(case):
    assert (np.asarray(open_image(ARRAYS[case])) == RGB).all()


def test_half_precision_arrays_are_rounded_correctly():
    for dtype in (torch.float16, torch.bfloat16):
        seen = open_image((torch.from_numpy(RGB.transpose(2, 0, 1).copy()) / 255).to(dtype))
        assert np.abs(np.asarray(seen).astype(int) - RGB).max() <= 1


def test_gray_bool_and_alpha_arrays():
    gray = np.array([[0, 128, 255, 7, 9]], np.uint8)
    for array in (gray, gray[:, :, None], gray[None], torch.from_numpy(gray)):
        assert np.asarray(open_image(array))[0, :, 1].tolist() == [0, 128, 255, 7, 9]
    assert np.asarray(open_image(gray > 100))[0, :, 0].tolist() == [0, 255, 255, 0, 0]
    clear = np.zeros((2, 5, 4), np.uint8)
    assert open_image(clear).getpixel((0, 0)) == (255, 255, 255), "transparency lies on white"


def test_ambiguous_channel_axis_follows_the_library():
    """3 x 5 x 3 could be either: numpy has channels last, torch first."""
    array = np.arange(45, dtype=np.uint8).reshape(3, 5, 3)
    assert open_image(array).size == (5, 3)
    assert open_image(torch.from_numpy(array)).size == (3, 5)


REFUSED = {
    "None": (None, "NoneType is not an image"),
    "int": (7, "int is not an image"),
    "list": ([1, 2], "list is not an image"),
    "int64": (RGB.astype(np.int64), "array has dtype int64; pass uint8"),
    "floats to 255": (RGB.astype(np.float32), "floats from 2 to 253; pass floats from 0 to 1"),
    "NaN": (np.full((4, 4, 3), np.nan), "floats from nan to nan"),
    "negative": (RGB / 255 - 0.5, "pass floats from 0 to 1"),
    "batch": (RGB[None], r"shape \(1, 64, 24, 3\) is not one image"),
    "channels": (np.zeros((9, 9, 7), np.uint8), "no axis of 1, 3 or 4 channels"),
    "empty": (np.zeros((0, 9, 3), np.uint8), "is empty"),
    "object": (np.array([["a"]], dtype=object), "array has dtype object"),
    "thin": (np.zeros((9000, 1), np.uint8), "9000 pixels, one side more than 100 times"),
    "huge PIL.Image": (Image.new("1", (10_001, 200)), "a side may have at most 10,000"),
    "premultiplied": (Image.new("La", (4, 4)), "convert it to RGB"),
    "address": ("https://example.com/a.png", "URLs are not fetched"),
    "long name": ("x" * 100_000, "…: cannot be read"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_other_sources_are_refused_in_one_line(case):
    source, message = REFUSED[case]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageError, match=message) as caught:
            open_image(source)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


# Files


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_named_pipe_is_refused_without_blocking(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(ImageError, match=r"a\.png: not a regular file") as caught:
        open_image(tmp_path / "a.png")
    assert caught.value.problem is ImageProblem.UNREADABLE
    if Path("/dev/zero").exists():
        with pytest.raises(ImageError, match="not a regular file"):
            open_image("/dev/zero")


# Base64

PNG = (Path(__file__).parent.parent / "examples" / "sign.png").read_bytes()
TEXT = base64.b64encode(PNG).decode()
FORMS = {
    "plain": f"data:image/png;base64,{TEXT}",
    "wrapped": f"data:image/png;base64,{base64.encodebytes(PNG).decode()}",
    "MIME": "data:image/png;base64," + base64.encodebytes(PNG).decode().replace("\n", "\r\n"),
    "unpadded": f"data:image/png;base64,{TEXT.rstrip('=')}",
    "URL-safe": "data:image/png;base64," + base64.urlsafe_b64encode(PNG).decode(),
    "escaped": "data:image/png;base64," + TEXT.replace("+", "%2B").replace("/", "%2f").replace("=", "%3D"),
    "charset": f"data:image/png;charset=utf-8;base64,{TEXT}",
    "name": f"data:image/png;name=a.png;base64,{TEXT}",
    "upper case": f"DATA:IMAGE/PNG;BASE64,{TEXT}",
    "another type": f"data:image/x-png;base64,{TEXT}",
}


@pytest.mark.parametrize("case", FORMS)
def test_common_base64_variants(case):
    assert open_image(FORMS[case]).tobytes() == open_image(PNG).tobytes()


@pytest.mark.parametrize("length", range(1, 9))
def test_base64_padding(length):
    data = bytes([250 + n % 6 for n in range(length)])
    assert decode_base64(base64.b64encode(data).decode().rstrip("=")) == data
    assert decode_base64(base64.urlsafe_b64encode(data).decode()) == data


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("data:image/png;base64,A", "invalid base64"),
        ("data:image/png;base64,AA=AA", "invalid base64"),
        ("data:image/png;base64,%%%%", "invalid base64"),
        ("data:image/png;base64,ä", "invalid base64"),
        ("data:image/png,AAAA", "data URI is not base64"),
        ("data:text/html;base64,AAAA", "send data:image/png;base64"),
        ("data:" + "x" * 100_000, "send data:image/png;base64"),
        ("data:image/png;base64,", "0 bytes"),
    ],
)
def test_invalid_data_uris_are_refused(uri, message):
    with pytest.raises(ImageError, match=message):
        open_image(uri)


def test_data_uri_size_is_limited():
    with pytest.raises(ImageError, match="more than 100 bytes"):
        open_image(FORMS["plain"], ImageLimits(max_bytes=100))
