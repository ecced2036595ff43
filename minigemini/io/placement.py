"""Device, dtype and quantization of a model, validated before any weights are read."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from .argument_checks import check_type
from .errors import RequestError
from .load_checks import DTYPE_NAMES, check_load_options
from .quantization import quantization_config

DTYPES: dict[str, torch.dtype] = {name: getattr(torch, name) for name in DTYPE_NAMES}


@dataclass(frozen=True)
class Placement:
    """How a model is loaded into memory; `choose_placement` validates the options."""

    device: torch.device
    """The device of the model, or with a `device_map` the device that computes."""
    dtype: torch.dtype
    quantize: str | None = None
    device_map: str | Mapping[str, Any] | None = None
    offload_folder: str | os.PathLike[str] | None = None
    max_memory: Mapping[Any, Any] | None = None

    def arguments(self) -> dict[str, Any]:
        """Arguments of Transformers' `from_pretrained`."""
        arguments: dict[str, Any] = {"dtype": self.dtype}
        if self.quantize is not None:
            arguments["quantization_config"] = quantization_config(self.quantize, self.dtype)
            arguments["device_map"] = {
                "": self.device
            }  # quantize on the device, so that only one tensor at a time is in full precision
        if self.device_map is not None:
            arguments |= {"device_map": self.device_map, "max_memory": self.max_memory and dict(self.max_memory)}
            arguments["offload_folder"] = self.offload_folder
        return arguments


def choose_placement(
    device: str | None = None,
    dtype: str | torch.dtype | None = None,
    quantize: str | None = None,
    device_map: str | Mapping[str, Any] | None = None,
    offload_folder: str | os.PathLike[str] | None = None,
    max_memory: Mapping[Any, Any] | None = None,
) -> Placement:
    """Validate load options and choose the defaults; see `Engine.load`.

    Raises:
        RequestError: A value is unknown, two options exclude each other, or a library is missing.
    """
    check_load_options(device, dtype, quantize, device_map, offload_folder, max_memory)
    chosen = choose_device(device)
    if quantize is not None and chosen.type == "mps":
        raise RequestError(f"quantize {quantize!r} runs on cuda and cpu, not on mps; choose one of them")
    return Placement(chosen, choose_dtype(dtype, chosen), quantize, device_map, offload_folder, max_memory)


def input_device(model: nn.Module) -> torch.device:
    """The device that inputs must be on.

    If weights are offloaded to disk, the model's `device` is `meta`, so the device of Accelerate's hook is used.
    """
    hook = getattr(model, "_hf_hook", None)
    device = getattr(hook, "execution_device", None)
    return next(model.parameters()).device if device is None else torch.device(device)


def choose_device(device: str | None = None) -> torch.device:
    """Get a device by name; by default the first available of CUDA, MPS and CPU.

    Raises:
        RequestError: This machine has no such device.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if device is None:
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    check_type("device", device, (str, torch.device), "a name: cpu, cuda, cuda:1 or mps")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise RequestError(f"device {device!r} is unknown; use cpu, cuda, cuda:1 or mps") from None
    count = {"cpu": 1, "cuda": torch.cuda.device_count() if cuda else 0, "mps": int(mps)}.get(chosen.type, 0)
    if (chosen.index or 0) >= count:
        raise RequestError(
            f"device {device!r}: this machine has {count} {chosen.type} devices; use cpu, or omit device"
        )
    return chosen


def choose_dtype(dtype: str | torch.dtype | None, device: torch.device) -> torch.dtype:
    """Get a dtype by name; by default float32 on CPUs, where bfloat16 is slow, and bfloat16 elsewhere.

    Raises:
        RequestError: The dtype is not supported.
    """
    if dtype is None:
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    chosen = DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if chosen is None or chosen not in DTYPES.values():
        raise RequestError(f"dtype {dtype!s} is unknown; use {', '.join(DTYPES)}")
    return chosen
