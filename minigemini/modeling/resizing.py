"""Fast padding, resizing and normalization of images, bit-identical to the straightforward implementations."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

Statistics = tuple[Sequence[float], Sequence[float]]
"""Mean and standard deviation of each channel."""


def pad_and_resize(
    image: Image.Image, side_px: int | None, color: tuple[float, ...] | None, resample: int
) -> Image.Image:
    """Pad an image to a square, then resize it.

    Args:
        image: An image of mode RGB.
        side_px: Shorter side of the result in pixels; None keeps the size.
        color: Fill color of the padding; None does not pad.
        resample: Pillow's resampling filter.
    """
    width, height = image.size
    if color is not None and width != height:
        long = max(width, height)
        # Pillow resizes rows, rounds them to bytes, then resizes columns, and rows of one color do not change. So a
        # wide image is resized horizontally before it is padded above and below.
        if side_px is not None and width == long:
            image = image.resize((side_px, height), resample)
        square = Image.new("RGB", (image.width if width == long else long, long), color)
        square.paste(image, ((square.width - image.width) // 2, (long - height) // 2))
        image, width, height = square, long, long
    if side_px is None:
        return image
    long = int(side_px * max(width, height) / min(width, height))
    return image.resize((side_px, long) if width <= height else (long, side_px), resample)


def to_normalized(image: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Map the bytes of an image (3, H, W) to values with a table (3, 256), one row per channel."""
    pixels = torch.from_numpy(np.array(image, order="C"))
    rows = torch.from_numpy(np.ascontiguousarray(table))
    values = torch.empty(image.shape, dtype=rows.dtype)
    for channel, row, out in zip(pixels, rows, values, strict=True):
        torch.index_select(row, 0, channel.flatten().int(), out=out.view(-1))
    return values.numpy()


def downsample(image: np.ndarray, size_px: tuple[int, int]) -> np.ndarray:
    """Resize a normalized high-resolution image (3, H, W) to the low-resolution image (3, *size_px).

    Bilinear without antialiasing: antialiasing would change the outputs of published checkpoints.
    """
    pixels = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))[None]
    # Channels-last takes three quarters of the time, including the copy.
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    small = torch.nn.functional.interpolate(pixels, size=size_px, mode="bilinear", align_corners=False)
    return small[0].contiguous().numpy()


def renormalize(image: np.ndarray, old: Statistics, new: Statistics) -> np.ndarray:
    """Change the mean and standard deviation (per channel) that an image (3, H, W) was normalized with."""
    scale, shift = renormalization(old, new)
    return (image * scale + shift).astype(image.dtype)


def renormalization(old: Statistics, new: Statistics) -> tuple[np.ndarray, np.ndarray]:
    """Return the factor and the addend (3, 1, 1) that change the statistics of a normalized image."""
    (old_mean, old_std), (new_mean, new_std) = (
        np.array(pair, dtype=np.float64)[:, :, None, None] for pair in (old, new)
    )
    return old_std / new_std, (old_mean - new_mean) / new_std
