"""A checkpoint folder that is whole or not there: shards are streamed into a folder beside it, which is then renamed.

Memory holds one shard at a time, besides the pages of the source file that is being read.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from tqdm import tqdm

from ..io.atomic_write import flush, is_full_disk
from ..io.checkpoint import INDEX, open_checkpoint
from ..io.errors import CheckpointError, one_line
from ..io.folder_lock import output_lock
from ..io.hashes import write_sums
from .conversion_plan import ConversionPlan, Source
from .foreign_weights import SourceTensor, TensorReader

SHARD_BYTES = 2 * 10**9
"""Largest shard, unless one tensor alone is larger."""
_PLAN = "plan.json"


def write_checkpoint(
    plan: ConversionPlan,
    folder: Path,
    dtype: torch.dtype,
    describe: Callable[[Path], None],
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Write a plan. A run that was killed is taken up again where it was if the plan is still the same.

    Args:
        plan: settled.
        folder: must not exist; it appears once everything in it is on the disk.
        dtype: of all floating-point tensors.
        describe: writes everything but the weights into the folder it is given.
        shard_bytes: largest shard.

    Raises:
        CheckpointError: The folder exists or cannot be written, the disk is too small, a source cannot be read.
        FolderInUseError: Another process writes it.
    """
    with output_lock(folder):
        refuse_existing(folder)
        _write(plan, folder, dtype, describe, _shards(plan, dtype, shard_bytes))


def _write(
    plan: ConversionPlan, folder: Path, dtype: torch.dtype, describe: Callable[[Path], None], shards: list[list[str]]
) -> None:
    aside = folder.with_name(f".{folder.name}.partial")
    try:
        _prepare(aside, plan, dtype, shards)
        _write_shards(aside, plan, dtype, shards)
        describe(aside)
        (aside / _PLAN).unlink()
        _check(aside, plan, dtype)
        write_sums(aside)
        for path in (*aside.iterdir(), aside):
            flush(path)
        aside.rename(folder)
        flush(folder.absolute().parent)
    except (OSError, SafetensorError) as error:
        advice = "make room, or choose another" if is_full_disk(error, folder.absolute().parent) else "choose another"
        raise CheckpointError(f"{folder}: cannot be written ({one_line(error)}); {advice}") from None


def refuse_existing(folder: Path) -> None:
    """Check that a folder can be made.

    Raises:
        CheckpointError: It exists, or the one to make it in does not.
    """
    if folder.exists():
        raise CheckpointError(f"{folder}: exists; remove it, or choose another")
    if not folder.absolute().parent.is_dir():
        raise CheckpointError(f"{folder}: there is no folder {folder.absolute().parent} to make it in")


def stored_bytes(source: Source, dtype: torch.dtype) -> int:
    """Size of a tensor in the new checkpoint."""
    return torch.Size(source.shape).numel() * (dtype if source.dtype.is_floating_point else source.dtype).itemsize


def _shards(plan: ConversionPlan, dtype: torch.dtype, shard_bytes: int) -> list[list[str]]:
    """Cut the names into shards, in the order of the plan."""
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


def _prepare(aside: Path, plan: ConversionPlan, dtype: torch.dtype, shards: list[list[str]]) -> None:
    """Make the folder; what an earlier run left stays if it was the same plan."""
    print_of_plan = _fingerprint(plan, dtype, shards)
    if aside.exists() and ((aside / _PLAN).read_text() if (aside / _PLAN).exists() else None) != print_of_plan:
        shutil.rmtree(aside)
    aside.mkdir(exist_ok=True)
    (aside / _PLAN).write_text(print_of_plan)
    needed = sum(stored_bytes(source, dtype) for source in plan.tensors.values())
    there = sum(file.stat().st_size for file in aside.glob("*.safetensors"))
    free = shutil.disk_usage(aside).free
    if needed - there > free:
        raise CheckpointError(f"{aside.parent}: {needed - there:,} bytes are needed, but {free:,} are free; make room")


def _fingerprint(plan: ConversionPlan, dtype: torch.dtype, shards: list[list[str]]) -> str:
    """What the shards depend on: where each tensor comes from, and what the source files look like."""
    files = {source.file for source in plan.tensors.values() if isinstance(source, SourceTensor)}
    sources = {str(file): [file.stat().st_size, file.stat().st_mtime_ns] for file in sorted(files)}
    tensors = {name: _identity(source) for name, source in plan.tensors.items()}
    return json.dumps({"dtype": str(dtype), "shards": shards, "sources": sources, "tensors": tensors})


def _identity(source: Source) -> list[str]:
    if isinstance(source, SourceTensor):
        return [str(source.file), source.key]
    return [hashlib.sha256(source.contiguous().view(torch.uint8).numpy().tobytes()).hexdigest()]


def _write_shards(aside: Path, plan: ConversionPlan, dtype: torch.dtype, shards: list[list[str]]) -> None:
    sizes = {name: stored_bytes(source, dtype) for name, source in plan.tensors.items()}
    reader = TensorReader()
    with tqdm(total=sum(sizes.values()), unit="B", unit_scale=True, desc="writing", disable=None) as bar:
        for file, names in zip(_shard_names(shards), shards, strict=True):
            if not (aside / file).exists():
                _write_shard(aside / file, {name: plan.tensors[name] for name in names}, reader, dtype)
            bar.update(sum(sizes[name] for name in names))
    if len(shards) > 1:
        weight_map = {name: file for file, names in zip(_shard_names(shards), shards, strict=True) for name in names}
        index = {"metadata": {"total_size": sum(sizes.values())}, "weight_map": weight_map}
        (aside / INDEX).write_text(json.dumps(index, indent=2, sort_keys=True))


def _write_shard(file: Path, sources: dict[str, Source], reader: TensorReader, dtype: torch.dtype) -> None:
    """Write one shard aside and rename it. A function of its own, so that its tensors are gone when it returns."""
    part = file.with_name(f"{file.name}.part")
    tensors = {
        name: reader.read(source, dtype) if isinstance(source, SourceTensor) else source.to(dtype)
        for name, source in sources.items()
    }
    save_file(tensors, part, metadata={"format": "pt"})
    flush(part)
    part.rename(file)


def _check(aside: Path, plan: ConversionPlan, dtype: torch.dtype) -> None:
    """Read back the headers: every tensor is there, in its shape and dtype, and nothing else."""
    stored = open_checkpoint(aside).tensors
    names = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"}
    wrong = stored.keys() ^ plan.tensors.keys()
    for name in stored.keys() & plan.tensors.keys():
        planned, written = plan.tensors[name], stored[name]
        recast = planned.dtype.is_floating_point and written.dtype != names[dtype]
        if written.shape != tuple(planned.shape) or recast:
            wrong.add(name)
    if wrong:
        raise CheckpointError(f"{aside}: {len(wrong)} tensors were not written as planned; remove it and run again")
