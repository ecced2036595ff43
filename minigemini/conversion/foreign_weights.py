"""Weights of other people, as they lie on disk: listed without being read, then read one tensor at a time.

Safetensors and, here and nowhere else, pickles: weights only, without a fallback, so that a pickle that asks for
anything but tensors is refused before it can run.
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
"""Names of a whole model in one file, the first that is there is taken: Transformers' and OpenCLIP's."""

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
"""Safetensors' names of dtypes."""


@dataclass(frozen=True)
class SourceTensor:
    """Where a tensor lies, and what it is."""

    file: Path
    key: str
    dtype: torch.dtype
    shape: tuple[int, ...]


def list_tensors(source: Path) -> dict[str, SourceTensor]:
    """Find all tensors of a folder, or of one file, in the order in which they lie; no weight is read.

    Raises:
        CheckpointError: No weights, files that an index names and that are missing or do not hold what it says, a file
            that is corrupt, a pickle of anything but tensors.
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
    """Choose the weight files of a folder: those of its index, else a single file, else shards without an index.

    Raises:
        CheckpointError: There are none, or the index names one that is not there.
    """
    for index in INDEXES:
        if (folder / index).exists():
            files = [folder / name for name in sorted(set(_weight_map(folder / index).values()))]
            for file in files:
                if not file.is_file():
                    raise CheckpointError(f"{file}: missing, though {index} names it; copy or fetch it again")
            return files
    for name in SINGLE_FILES:
        if (folder / name).is_file():
            return [folder / name]
    for pattern in ("*.safetensors", "*.bin"):
        if files := [file for file in sorted(folder.glob(pattern)) if file.name not in _NOT_WEIGHTS]:
            return files
    raise CheckpointError(f"{folder}: no .safetensors and no .bin file in it; name the folder of a checkpoint")


class TensorReader:
    """Reads listed tensors, each with memory of its own.

    A file is opened anew for each, so that the pages of the last one do not stay in memory. Pickles of the old format
    can only be read whole; the last one is held.
    """

    def __init__(self) -> None:
        self._held: tuple[Path, dict[str, Tensor]] | None = None

    def read(self, tensor: SourceTensor, dtype: torch.dtype) -> Tensor:
        """Read one tensor in another dtype, if it is one of floating point.

        Raises:
            CheckpointError: The file cannot be read any more.
        """
        kept = dtype if tensor.dtype.is_floating_point else tensor.dtype
        if tensor.file.suffix in _PICKLES:
            return self._pickled(tensor.file)[tensor.key].to(kept, copy=True).contiguous()
        try:
            with safe_open(tensor.file, framework="pt") as content:
                return content.get_tensor(tensor.key).to(kept, copy=True)
        except (SafetensorError, OSError, RuntimeError) as error:
            raise CheckpointError(
                f"{tensor.file}: {tensor.key} cannot be read ({one_line(error)}); copy or fetch it again"
            ) from None

    def _pickled(self, file: Path) -> dict[str, Tensor]:
        if zipfile.is_zipfile(file):
            return _open_pickle(file)
        if self._held is None or self._held[0] != file:
            self._held = None  # before the next one is read
            self._held = (file, _open_pickle(file))
        return self._held[1]


def _list_file(file: Path) -> Iterator[tuple[str, SourceTensor]]:
    if file.suffix in _PICKLES:
        for key, tensor in _open_pickle(file).items():
            yield key, SourceTensor(file, key, tensor.dtype, tuple(tensor.shape))
        return
    for key, header in read_header(file):
        if header.dtype not in _DTYPES:
            raise CheckpointError(f"{file}: {key} is stored as {header.dtype}; give weights in 16 or 32 bits")
        yield key, SourceTensor(file, key, _DTYPES[header.dtype], header.shape)


def _open_pickle(file: Path) -> dict[str, Tensor]:
    """Open a pickle of tensors; those of today's format are mapped, not read."""
    check_file(file)
    try:
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
    except pickle.UnpicklingError as error:
        if re.search("GLOBAL|reduce|Unsupported class", str(error)):
            raise CheckpointError(
                f"{file}: a pickle that asks for more than tensors, so it was refused and nothing of it ran "
                f"({_asked_for(error)}); get the weights as safetensors, from somebody you trust"
            ) from None
        raise CheckpointError(f"{file}: no pickled weights ({one_line(error)}); copy or fetch it again") from None
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
        raise CheckpointError(
            f"{file}: corrupt or cut off at {file.stat().st_size:,} bytes ({one_line(error)}); copy or fetch it again"
        ) from None
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise CheckpointError(f"{file}: holds a {type(content).__name__}, not tensors by name; give a file of weights")
    return {str(key): value for key, value in content.items()}


def _asked_for(error: Exception) -> str:
    """The sentence of torch's long message that says what the pickle wanted."""
    text = " ".join(str(error).split())
    start = text.find("WeightsUnpickler error:")
    return text[max(start, 0) :].split(" Please ")[0].split(" Check the documentation")[0][:200]


def _weight_map(index: Path) -> dict[str, str]:
    """Read an index: tensor to file, all files beside it."""
    weight_map = read_json(index, f"{index.parent} has a broken index").get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{index}: no weight_map in it; copy or fetch it again")
    for name in weight_map.values():
        if not isinstance(name, str) or Path(name).name != name:
            raise CheckpointError(f"{index}: names {json.dumps(name)}, which is no file beside it")
    return weight_map


def _check_index(source: Path, found: dict[str, SourceTensor]) -> None:
    """Refuse an index that does not say what the files hold."""
    index = next((source / name for name in INDEXES if (source / name).exists()), None)
    if index is None:
        return
    weight_map = _weight_map(index)
    wrong = sorted(key for key, name in weight_map.items() if key not in found or found[key].file.name != name)
    wrong += sorted(found.keys() - weight_map.keys())
    if wrong:
        raise CheckpointError(
            f"{index}: does not fit the files beside it in {len(wrong)} tensors, the first is {wrong[0]}; copy or "
            "fetch index and files again, together"
        )
