"""Write a checkpoint folder atomically: shards are streamed into a partial folder, which is then renamed.

Memory holds one shard at a time, plus the mapped pages of the source file being read.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from ..io.atomic_write import flush, is_full_disk, settle
from ..io.checkpoint import INDEX, open_checkpoint
from ..io.errors import CheckpointError, one_line
from ..io.folder_lock import output_lock
from ..io.hashes import write_sums
from .conversion_plan import ConversionPlan, Source
from .foreign_weights import SourceTensor, TensorReader

SHARD_BYTES = 2 * 10**9
"""Maximum size of a shard, bytes, unless a single tensor is larger."""
_PLAN = "plan.json"


def write_checkpoint(
    plan: ConversionPlan,
    folder: Path,
    dtype: torch.dtype,
    write_companions: Callable[[Path], None],
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Write the checkpoint of a plan. An interrupted run is resumed if the plan is unchanged.

    Args:
        plan: A finalized plan.
        folder: Folder to write; it must not exist, and appears once all of its files are on disk.
        dtype: Dtype of all floating-point tensors.
        write_companions: Writes everything but the weights into a folder.
        shard_bytes: Maximum size of a shard, bytes.

    Raises:
        CheckpointError: The folder exists or cannot be written, the disk is full, or a source cannot be read.
        FolderInUseError: Another process is writing the folder.
    """
    with output_lock(folder):
        refuse_existing(folder)
        _write(plan, folder, dtype, write_companions, _shards(plan, dtype, shard_bytes))


def _write(
    plan: ConversionPlan,
    folder: Path,
    dtype: torch.dtype,
    write_companions: Callable[[Path], None],
    shards: list[list[str]],
) -> None:
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        _prepare(partial, plan, dtype, shards)
        _write_shards(partial, plan, dtype, shards)
        write_companions(partial)
        (partial / _PLAN).unlink()
        _check(partial, plan, dtype)
        write_sums(partial)
        settle(partial)
        partial.rename(folder)
        flush(folder.absolute().parent)
    except (OSError, SafetensorError) as error:
        advice = (
            "free some space, or choose another folder"
            if is_full_disk(error, folder.absolute().parent)
            else "choose another folder"
        )
        raise CheckpointError(f"{folder}: cannot be written ({one_line(error)}); {advice}") from None


def refuse_existing(folder: Path) -> None:
    """Check that a folder can be created.

    Raises:
        CheckpointError: The folder exists, or its parent does not.
    """
    if folder.exists():
        raise CheckpointError(f"{folder}: already exists; remove it, or choose another")
    if not folder.absolute().parent.is_dir():
        raise CheckpointError(f"{folder}: its parent folder {folder.absolute().parent} does not exist; create it first")


def stored_bytes(source: Source, dtype: torch.dtype) -> int:
    """Return the size of a tensor in the new checkpoint, bytes."""
    return torch.Size(source.shape).numel() * (dtype if source.dtype.is_floating_point else source.dtype).itemsize


def _shards(plan: ConversionPlan, dtype: torch.dtype, shard_bytes: int) -> list[list[str]]:
    """Distribute the tensor names over shards, in the order of the plan."""
    shards: list[list[str]] = [[]]
    filled = 0
    for name, source in plan.tensors.items():
        size = stored_bytes(source, dtype)
        if filled + size > shard_bytes and shards[-1]:
            shards.append([])
            filled = 0
        shards[-1].append(name)
        filled += size
    return shards


def _shard_names(shards: list[list[str]]) -> list[str]:
    if len(shards) == 1:
        return ["model.safetensors"]
    return [f"model-{number:05d}-of-{len(shards):05d}.safetensors" for number in range(1, len(shards) + 1)]


def _prepare(partial: Path, plan: ConversionPlan, dtype: torch.dtype, shards: list[list[str]]) -> None:
    """Create the partial folder; keep the shards of an earlier run if its plan was the same."""
    fingerprint = _fingerprint(plan, dtype, shards)
    if partial.exists() and ((partial / _PLAN).read_text() if (partial / _PLAN).exists() else None) != fingerprint:
        shutil.rmtree(partial)
    partial.mkdir(exist_ok=True)
    (partial / _PLAN).write_text(fingerprint)
    needed = sum(stored_bytes(source, dtype) for source in plan.tensors.values())
    present = sum(file.stat().st_size for file in partial.glob("*.safetensors"))
    free = shutil.disk_usage(partial).free
    if needed - present > free:
        raise CheckpointError(
            f"{partial.parent}: {needed - present:,} bytes are needed, but {free:,} are free; free some space"
        )


def _fingerprint(plan: ConversionPlan, dtype: torch.dtype, shards: list[list[str]]) -> str:
    """Describe what the shards depend on: the source of each tensor, and the size and time of each source file."""
    files = {source.file for source in plan.tensors.values() if isinstance(source, SourceTensor)}
    sources = {str(file): [file.stat().st_size, file.stat().st_mtime_ns] for file in sorted(files)}
    tensors = {name: _identity(source) for name, source in plan.tensors.items()}
    return json.dumps({"dtype": str(dtype), "shards": shards, "sources": sources, "tensors": tensors})


def _identity(source: Source) -> list[str]:
    if isinstance(source, SourceTensor):
        return [str(source.file), source.key]
    return [hashlib.sha256(source.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()).hexdigest()]


def _write_shards(partial: Path, plan: ConversionPlan, dtype: torch.dtype, shards: list[list[str]]) -> None:
    sizes = {name: stored_bytes(source, dtype) for name, source in plan.tensors.items()}
    reader = TensorReader()
    with tqdm(total=sum(sizes.values()), unit="B", unit_scale=True, desc="writing", disable=None) as bar:
        for file, names in zip(_shard_names(shards), shards, strict=True):
            if not (partial / file).exists():
                _write_shard(partial / file, {name: plan.tensors[name] for name in names}, reader, dtype)
            bar.update(sum(sizes[name] for name in names))
    if len(shards) > 1:
        weight_map = {name: file for file, names in zip(_shard_names(shards), shards, strict=True) for name in names}
        index = {"metadata": {"total_size": sum(sizes.values())}, "weight_map": weight_map}
        (partial / INDEX).write_text(json.dumps(index, indent=2, sort_keys=True))


def _write_shard(file: Path, sources: dict[str, Source], reader: TensorReader, dtype: torch.dtype) -> None:
    """Write one shard atomically. A separate function, so that its tensors are freed when it returns."""
    part = file.with_name(f"{file.name}.part")
    tensors = {
        name: reader.read(source, dtype) if isinstance(source, SourceTensor) else _cast(source, dtype)
        for name, source in sources.items()
    }
    save_file(tensors, part, metadata={"format": "pt"})
    flush(part)
    part.rename(file)


def _cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.to(dtype) if tensor.dtype.is_floating_point else tensor


def _check(partial: Path, plan: ConversionPlan, dtype: torch.dtype) -> None:
    """Check in the written headers that exactly the planned tensors are present, with their shapes and dtypes."""
    stored = open_checkpoint(partial).tensors
    names = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"}
    wrong = stored.keys() ^ plan.tensors.keys()
    for name in stored.keys() & plan.tensors.keys():
        planned, written = plan.tensors[name], stored[name]
        recast = planned.dtype.is_floating_point and written.dtype != names[dtype]
        if written.shape != tuple(planned.shape) or recast:
            wrong.add(name)
    if wrong:
        raise CheckpointError(f"{partial}: {len(wrong)} tensors were not written as planned; remove it and run again")
