"""Third-party weight files: list their tensors without reading them, then read one tensor at a time.

Supports safetensors and, only in this module, pickles. Pickles are loaded with `weights_only` and no fallback, so that
one that refers to anything but tensors is refused before any of it runs.
"""

import json
import pickle
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..io.checkpoint import read_header
from ..io.errors import CheckpointError, one_line
from ..io.untrusted import check_file, read_json

INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
SINGLE_FILES = (
    "model.safetensors",
    "open_clip_model.safetensors",
    "pytorch_model.bin",
    "open_clip_pytorch_model.bin",
)
"""File names of a complete model in one file, Transformers' and OpenCLIP's; the first that exists is used."""

_PICKLES = (".bin", ".pt", ".pth")
_NOT_WEIGHTS = ("training_args.bin", "optimizer.bin", "scheduler.bin", "scaler.pt", "optimizer.pt", "scheduler.pt")
_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
"""Dtypes by their names in safetensors."""


@dataclass(frozen=True)
class SourceTensor:
    """Location, dtype and shape of a tensor in a file."""

    file: Path
    key: str
    dtype: torch.dtype
    shape: tuple[int, ...]


def list_tensors(source: Path) -> dict[str, SourceTensor]:
    """List all tensors of a folder or file, in the order of the files. Reads no weights.

    Raises:
        CheckpointError: There are no weights, a file is missing or does not match the index, a file is corrupt, or a
            pickle contains anything but tensors.
    """
    found: dict[str, SourceTensor] = {}
    for file in [source] if source.is_file() else weight_files(source):
        for key, tensor in _list_file(file):
            if key in found:
                raise CheckpointError(f"{source}: {key} is in {found[key].file.name} and in {file.name}; remove one")
            found[key] = tensor
    _check_index(source, found)
    return found


def weight_files(folder: Path) -> list[Path]:
    """Return the weight files of a folder: those in its index, else a single file, else shards without an index.

    Raises:
        CheckpointError: There are none, or the index names a file that does not exist.
    """
    for index in INDEXES:
        if (folder / index).exists():
            files = [folder / name for name in sorted(set(_weight_map(folder / index).values()))]
            for file in files:
                if not file.is_file():
                    raise CheckpointError(f"{file}: missing, though {index} names it; copy or download it again")
            return files
    for name in SINGLE_FILES:
        if (folder / name).is_file():
            return [folder / name]
    for pattern in ("*.safetensors", "*.bin"):
        if files := [file for file in sorted(folder.glob(pattern)) if file.name not in _NOT_WEIGHTS]:
            return files
    raise CheckpointError(f"{folder}: no .safetensors and no .bin file in it; give the folder of a checkpoint")


class TensorReader:
    """Reads listed tensors, each into its own memory.

    Opens the file for every tensor, so that no pages of previous tensors stay mapped. Pickles in the legacy format can
    only be read as a whole; the last one is cached.
    """

    def __init__(self) -> None:
        self._cached: tuple[Path, dict[str, Tensor]] | None = None

    def read(self, tensor: SourceTensor, dtype: torch.dtype) -> Tensor:
        """Read one tensor, converted to `dtype` if it is a floating-point tensor.

        Raises:
            CheckpointError: The file cannot be read.
        """
        target = dtype if tensor.dtype.is_floating_point else tensor.dtype
        if tensor.file.suffix in _PICKLES:
            return self._pickled(tensor.file)[tensor.key].to(target, copy=True).contiguous()
        try:
            with safe_open(tensor.file, framework="pt") as content:
                return content.get_tensor(tensor.key).to(target, copy=True)
        except (SafetensorError, OSError, RuntimeError) as error:
            raise CheckpointError(
                f"{tensor.file}: {tensor.key} cannot be read ({one_line(error)}); copy or download it again"
            ) from None

    def _pickled(self, file: Path) -> dict[str, Tensor]:
        if zipfile.is_zipfile(file):
            return _open_pickle(file)
        if self._cached is None or self._cached[0] != file:
            self._cached = None  # freed before the next file is read
            self._cached = (file, _open_pickle(file))
        return self._cached[1]


def _list_file(file: Path) -> Iterator[tuple[str, SourceTensor]]:
    if file.suffix in _PICKLES:
        for key, tensor in _open_pickle(file).items():
            yield key, SourceTensor(file, key, tensor.dtype, tuple(tensor.shape))
        return
    for key, header in read_header(file):
        if header.dtype not in _DTYPES:
            raise CheckpointError(f"{file}: {key} is stored as {header.dtype}; use weights in 16 or 32 bits")
        yield key, SourceTensor(file, key, _DTYPES[header.dtype], header.shape)


def _open_pickle(file: Path) -> dict[str, Tensor]:
    """Open a pickle of tensors; in the zip format they are memory-mapped, not read."""
    check_file(file)
    try:
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
    except pickle.UnpicklingError as error:
        if re.search("GLOBAL|reduce|Unsupported class", str(error)):
            raise CheckpointError(
                f"{file}: a pickle that refers to more than tensors; it was refused before anything ran "
                f"({_refused_object(error)}); get the weights as safetensors from a trusted source"
            ) from None
        raise CheckpointError(
            f"{file}: not a pickle of weights ({one_line(error)}); copy or download it again"
        ) from None
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
        raise CheckpointError(
            f"{file}: corrupt or cut off at {file.stat().st_size:,} bytes ({one_line(error)}); copy or download it "
            "again"
        ) from None
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise CheckpointError(
            f"{file}: contains a {type(content).__name__}, not tensors by name; give a file of weights"
        )
    return {str(key): value for key, value in content.items()}


def _refused_object(error: Exception) -> str:
    """Extract from torch's long message the sentence that names the refused object."""
    text = " ".join(str(error).split())
    start = text.find("WeightsUnpickler error:")
    return text[max(start, 0) :].split(" Please ")[0].split(" Check the documentation")[0][:200]


def _weight_map(index: Path) -> dict[str, str]:
    """Read an index, which maps tensors to files in the same folder."""
    weight_map = read_json(index, f"{index.parent} has an invalid index").get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{index}: no weight_map in it; copy or download it again")
    for name in weight_map.values():
        if not isinstance(name, str) or Path(name).name != name:
            raise CheckpointError(f"{index}: names {json.dumps(name)}, which is not a file in the same folder")
    return weight_map


def _check_index(source: Path, found: dict[str, SourceTensor]) -> None:
    """Refuse an index that does not match the files."""
    index = next((source / name for name in INDEXES if (source / name).exists()), None)
    if index is None:
        return
    weight_map = _weight_map(index)
    wrong = sorted(key for key, name in weight_map.items() if key not in found or found[key].file.name != name)
    wrong += sorted(found.keys() - weight_map.keys())
    if wrong:
        raise CheckpointError(
            f"{index}: does not match the files in {len(wrong)} tensors, first {wrong[0]}; copy or download the index "
            "and the files again"
        )
