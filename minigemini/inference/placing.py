"""Where the weights go, in which dtype, and in how many bits: what is asked for, checked before anything is read."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from .arguments import check_path, check_type
from .errors import RequestError
from .quantising import WAYS, quantization_config

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
DEVICE_MAPS = ("auto", "balanced", "balanced_low_0", "sequential")
"""Accelerate's ways of spreading a model over devices, memory and disk."""


@dataclass(frozen=True)
class Placement:
    """How a model is brought into memory; `choose_placement` makes a valid one."""

    device: torch.device
    """Where the model goes, or with a `device_map` the device that sums are done on."""
    dtype: torch.dtype
    quantize: str | None = None
    device_map: str | Mapping[str, Any] | None = None
    offload_folder: str | os.PathLike[str] | None = None
    max_memory: Mapping[Any, Any] | None = None

    def arguments(self) -> dict[str, Any]:
        """Of Transformers' `from_pretrained`."""
        arguments: dict[str, Any] = {"dtype": self.dtype}
        if self.quantize is not None:
            arguments["quantization_config"] = quantization_config(self.quantize, self.dtype)
            arguments["device_map"] = {"": self.device}  # quantised where it stays: only one tensor at a time is whole
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
    """Check what is asked for, one against the other; see `Engine.load`.

    Raises:
        RequestError: an unknown value, two that exclude each other, or a library that is not installed.
    """
    chosen = choose_device(device)
    if offload_folder is not None:
        check_path("offload_folder", offload_folder)
    if max_memory is not None:
        check_type("max_memory", max_memory, Mapping, "a dict of sizes by device")
    if device_map is not None:
        check_type("device_map", device_map, (str, Mapping), f"one of {', '.join(DEVICE_MAPS)}, or a dict of modules")
    if quantize is not None:
        if quantize not in WAYS:
            raise RequestError(f"quantize {quantize!r} is unknown; use {' or '.join(WAYS)}, or leave it out")
        if chosen.type == "mps":
            raise RequestError(f"quantize {quantize!r} runs on cuda and cpu, not on mps; name one of them")
    if device_map is None:
        if offload_folder is not None or max_memory is not None:
            raise RequestError("offload_folder and max_memory belong to a device_map; give device_map auto too")
        return Placement(chosen, choose_dtype(dtype, chosen), quantize)
    if device is not None:
        raise RequestError(f"device {device!r} and device_map {device_map!r} exclude each other; give one of the two")
    if isinstance(device_map, str) and device_map not in DEVICE_MAPS:
        raise RequestError(f"device_map {device_map!r} is unknown; use {', '.join(DEVICE_MAPS)}")
    _need("accelerate", "device_map", extra="accelerate")
    if offload_folder is not None and os.path.exists(offload_folder) and not os.path.isdir(offload_folder):
        raise RequestError(f"offload_folder {os.fspath(offload_folder)} is a file; name a folder")
    return Placement(chosen, choose_dtype(dtype, chosen), quantize, device_map, offload_folder, max_memory)


def input_device(model: nn.Module) -> torch.device:
    """Where inputs belong.

    The weights of a placed model may lie on disk, where its `device` says `meta`; its hook knows where it runs.
    """
    hook = getattr(model, "_hf_hook", None)
    device = getattr(hook, "execution_device", None)
    return next(model.parameters()).device if device is None else torch.device(device)


def choose_device(device: str | None = None) -> torch.device:
    """The device by its name; without one CUDA, else MPS, else the CPU.

    Raises:
        RequestError: there is no such device here.
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
        raise RequestError(f"device {device!r}: this machine has {count} of {chosen.type}; use cpu, or leave it out")
    return chosen


def choose_dtype(dtype: str | torch.dtype | None, device: torch.device) -> torch.dtype:
    """The dtype by its name; without one float32 on a CPU, where bfloat16 is slow, and bfloat16 elsewhere.

    Raises:
        RequestError: a dtype that the model is not run in.
    """
    if dtype is None:
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    chosen = DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if chosen is None or chosen not in DTYPES.values():
        raise RequestError(f"dtype {dtype!s} is unknown; use {', '.join(DTYPES)}")
    return chosen


def _need(package: str, option: str, extra: str) -> None:
    if find_spec(package) is None:
        raise RequestError(f"{option} needs {package}: pip install 'minigemini[{extra}]'")
