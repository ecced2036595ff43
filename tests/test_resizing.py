"""The fast implementations of padding, resizing and normalizing equal the straightforward ones to the bit."""

import numpy as np
import pytest
import torch
from PIL import Image

from minigemini.modeling.resizing import downsample, pad_and_resize, to_normalized

SHAPES = [(97, 61), (61, 97), (40, 40), (64, 9), (9, 64), (2, 1), (1, 90), (200, 64), (64, 200)]
COLOR = (122, 116, 104)


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8))


def padded(image: Image.Image) -> Image.Image:
    side = max(image.size)
    square = Image.new("RGB", (side, side), COLOR)
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square


@pytest.mark.parametrize("resample", list(Image.Resampling))
@pytest.mark.parametrize("shape", SHAPES)
def test_padding_and_resizing(shape, resample):
    image = noise(*shape)
    assert pad_and_resize(image, None, COLOR, resample) == padded(image)
    for side_px in (7, 64, 150):
        expected = padded(image).resize((side_px, side_px), resample)
        assert pad_and_resize(image, side_px, COLOR, resample).tobytes() == expected.tobytes()


def test_without_padding_the_shorter_side_is_resized():
    assert pad_and_resize(noise(97, 61), 30, None, Image.Resampling.BICUBIC).size == (47, 30)
    assert pad_and_resize(noise(61, 97), 30, None, Image.Resampling.BICUBIC).size == (30, 47)
    image = noise(20, 10)
    assert pad_and_resize(image, None, None, Image.Resampling.BICUBIC) is image


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_table_lookup_normalizes(dtype):
    table = (100 * np.random.default_rng(0).random((3, 256))).astype(dtype)
    image = np.asarray(noise(31, 17)).transpose(2, 0, 1)
    values = to_normalized(image, table)
    assert values.dtype == dtype
    assert np.array_equal(values, np.stack([table[channel][image[channel]] for channel in range(3)]))


@pytest.mark.parametrize(("high", "low"), [(768, 336), (96, 31), (50, 99), (33, 33)])
def test_downsampling_equals_torch(high, low):
    image = np.random.default_rng(high).normal(size=(3, high, high)).astype(np.float32)
    expected = torch.nn.functional.interpolate(torch.from_numpy(image)[None], size=(low, low), mode="bilinear")[0]
    assert np.array_equal(downsample(image, (low, low)), expected.numpy())
