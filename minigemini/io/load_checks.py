"""Validates load options without importing torch, which takes seconds."""

import os
import re
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from .argument_checks import check_path, check_type
from .errors import RequestError
from .quantization import check_quantization

DTYPE_NAMES = ("float32", "bfloat16", "float16")
DEVICE_MAPS = ("auto", "balanced", "balanced_low_0", "sequential")
"""Accelerate's strategies for distributing a model over devices, memory and disk."""
_DEVICE = re.compile(r"(cpu|cuda|mps)(:\d+)?")


def check_load_options(
    device: Any = None,
    dtype: Any = None,
    quantize: str | None = None,
    device_map: str | Mapping[str, Any] | None = None,
    offload_folder: str | os.PathLike[str] | None = None,
    max_memory: Mapping[Any, Any] | None = None,
    encoder_dtype: Any = None,
) -> None:
    """Validate the load options of `Engine.load`.

    Raises:
        RequestError: A value is unknown, two options exclude each other, or a library is missing.
    """
    if device is not None and not _DEVICE.fullmatch(str(device)):
        raise RequestError(f"device {device!r} is unknown; use cpu, cuda, cuda:1 or mps")
    for name, given in (("dtype", dtype), ("encoder_dtype", encoder_dtype)):
        if given is not None and str(given).removeprefix("torch.") not in DTYPE_NAMES:
            raise RequestError(f"{name} {given!s} is unknown; use {', '.join(DTYPE_NAMES)}")
    if quantize is not None:
        check_quantization(quantize)
    if offload_folder is not None:
        check_path("offload_folder", offload_folder)
    if max_memory is not None:
        check_type("max_memory", max_memory, Mapping, "a dict of sizes by device")
    if device_map is not None:
        check_type("device_map", device_map, (str, Mapping), f"one of {', '.join(DEVICE_MAPS)}, or a dict of modules")
    if device_map is None:
        if offload_folder is not None or max_memory is not None:
            raise RequestError("offload_folder and max_memory belong to a device_map; give device_map auto too")
        return
    if device is not None:
        raise RequestError(f"device {device!r} and device_map {device_map!r} exclude each other; give one of the two")
    if isinstance(device_map, str) and device_map not in DEVICE_MAPS:
        raise RequestError(f"device_map {device_map!r} is unknown; use {', '.join(DEVICE_MAPS)}")
    if find_spec("accelerate") is None:
        raise RequestError("device_map needs accelerate: pip install 'minigemini[accelerate]'")
    if offload_folder is not None and os.path.exists(offload_folder) and not os.path.isdir(offload_folder):
        raise RequestError(f"offload_folder {os.fspath(offload_folder)} is a file; name a folder")
