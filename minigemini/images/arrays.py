"""Converts numpy arrays and torch tensors to images. The dtype alone determines the value range.

- numpy arrays are (height, width, channels) and torch tensors (channels, height, width), or the reverse if only that
  gives 1, 3 or 4 channels. Two dimensions or one channel are gray; a fourth channel is alpha.
- uint8 ranges from 0 to 255, uint16 from 0 to 65,535, and floats from 0 to 1; bool is black and white.
"""

import sys
from typing import Any

import numpy as np
from PIL import Image

_CHANNELS = (1, 3, 4)


def is_array(source: Any) -> bool:
    """Whether `source` is a numpy array or a torch tensor."""
    return isinstance(source, np.ndarray) or _is_tensor(source)


def image_of_array(source: Any) -> Image.Image:
    """Convert an array or tensor to an image of mode L, RGB or RGBA.

    Raises:
        ValueError: The shape, dtype or range is not that of an image.
    """
    is_tensor = _is_tensor(source)
    array = _numpy(source) if is_tensor else source
    if 0 in array.shape:
        raise ValueError(f"array of shape {array.shape} is empty; pass height x width x channels")
    return Image.fromarray(_bytes(_channels_last(array, is_tensor)))


def _is_tensor(source: Any) -> bool:
    torch = sys.modules.get("torch")  # if torch is not imported, there are no tensors
    return torch is not None and isinstance(source, torch.Tensor)


def _numpy(tensor: Any) -> np.ndarray:
    """Convert to numpy, which has no bfloat16."""
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()


def _channels_last(array: np.ndarray, channels_first: bool) -> np.ndarray:
    """Convert to shape (H, W) or (H, W, 3 or 4)."""
    if array.ndim == 2:
        return array
    if array.ndim != 3:
        raise ValueError(f"array of shape {array.shape} is not one image; pass height x width x channels")
    ends = (0, 2) if channels_first else (2, 0)
    axis = next((end for end in ends if array.shape[end] in _CHANNELS), None)
    if axis is None:
        raise ValueError(
            f"array of shape {array.shape} has no axis of 1, 3 or 4 channels; pass height x width x channels"
        )
    last = np.moveaxis(array, axis, 2)
    return last[:, :, 0] if last.shape[2] == 1 else last


def _bytes(array: np.ndarray) -> np.ndarray:
    """Convert the values to uint8."""
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype == np.uint16:
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"array has dtype {array.dtype}; pass uint8 from 0 to 255, or floats from 0 to 1")
    low, high = float(array.min()), float(array.max())
    if not (low >= 0 and high <= 1):  # NaN too
        raise ValueError(f"array has floats from {low:g} to {high:g}; pass floats from 0 to 1, or uint8")
    return np.rint(array.astype(np.float32) * 255).astype(np.uint8)
