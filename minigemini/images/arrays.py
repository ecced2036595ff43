"""Images out of numpy arrays and torch tensors, by one rule that never guesses a scale.

- numpy arrays are (height, width, channels), torch tensors (channels, height, width); where that does not leave 1, 3 or
  4 channels, the other way around. Two dimensions are gray. One channel is gray, a fourth is alpha.
- uint8 goes from 0 to 255, uint16 from 0 to 65,535, floats from 0 to 1, bool is black and white.
"""

import sys
from typing import Any

import numpy as np
from PIL import Image

_CHANNELS = (1, 3, 4)


def is_array(source: Any) -> bool:
    """Whether something is a numpy array or a torch tensor."""
    return isinstance(source, np.ndarray) or _is_tensor(source)


def image_of_array(source: Any) -> Image.Image:
    """Make an image of an array or tensor: mode L, RGB or RGBA.

    Raises:
        ValueError: It has no such shape, type or range.
    """
    is_tensor = _is_tensor(source)
    array = _numpy(source) if is_tensor else source
    if 0 in array.shape:
        raise ValueError(f"an array of shape {array.shape} is empty; give height x width x channels")
    return Image.fromarray(_bytes(_channels_last(array, is_tensor)))


def _is_tensor(source: Any) -> bool:
    torch = sys.modules.get("torch")  # without it there are no tensors
    return torch is not None and isinstance(source, torch.Tensor)


def _numpy(tensor: Any) -> np.ndarray:
    """The tensor's values; numpy has no bfloat16."""
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()


def _channels_last(array: np.ndarray, channels_first: bool) -> np.ndarray:
    """(H, W) or (H, W, 3 or 4)."""
    if array.ndim == 2:
        return array
    if array.ndim != 3:
        raise ValueError(f"an array of shape {array.shape}; give one image, height x width x channels")
    ends = (0, 2) if channels_first else (2, 0)
    axis = next((end for end in ends if array.shape[end] in _CHANNELS), None)
    if axis is None:
        raise ValueError(f"an array of shape {array.shape}; give 1, 3 or 4 channels")
    last = np.moveaxis(array, axis, 2)
    return last[:, :, 0] if last.shape[2] == 1 else last


def _bytes(array: np.ndarray) -> np.ndarray:
    """The values as uint8."""
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype == np.uint16:
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"an array of {array.dtype}; give uint8 from 0 to 255, or floats from 0 to 1")
    low, high = float(array.min()), float(array.max())
    if not (low >= 0 and high <= 1):  # NaN too
        raise ValueError(f"an array of floats from {low:g} to {high:g}; give floats from 0 to 1, or uint8")
    return np.rint(array.astype(np.float32) * 255).astype(np.uint8)
