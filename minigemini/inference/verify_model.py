"""Whether a checkpoint is whole: by hashes where it has them, and otherwise by all that can be told without."""

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..imagegen.pipeline_loading import INDEX as PIPELINE_INDEX
from ..imagegen.pipeline_loading import find_pipeline
from ..io.adapters import open_adapter
from ..io.checkpoint import PICKLES, check_loaded, find_checkpoint, open_checkpoint, read_header
from ..io.errors import CheckpointError, one_line
from ..io.hashes import SUMS, OnProgress, check_sums, check_tensors, files_of, hash_files, read_sums
from ..io.loading import load_config, load_processor, stored_layout
from ..io.quantization import stored_quantization
from ..io.untrusted import check_files, read_json

_GIT_HASH, _LFS_HASH = re.compile(r"[0-9a-f]{40}"), re.compile(r"[0-9a-f]{64}")

Progress = Callable[[str, int], OnProgress]
"""Called with what begins and its bytes; gives what is called with those that are done."""


@dataclass
class Verified:
    """What could be told of a model that is whole; one that is not raises.

    Attributes:
        folder: what was looked at, a folder or one file.
        checked: what was compared, a line each.
        unknown: what could not be told, a line each.
    """

    folder: Path
    checked: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def verify(model: str, progress: Progress = lambda what, total: lambda count: None) -> Verified:
    """Check `nano`, a folder, a hub id, an adapter or a file of small parts, as strictly as it can be.

    Raises:
        CheckpointError: It is not whole; the message names the first file or tensor.
        DamagedFileError: A file has other bytes than its hash says.
    """
    path = Path(model).expanduser()
    if path.is_file():
        return _verify_file(path, progress)
    found = Verified(path if path.is_dir() else find_checkpoint(model))
    check_files(found.folder)
    hashed = _verify_hashes(found, progress)
    loose = [file for file in sorted(found.folder.rglob("*.safetensors")) if file not in hashed]
    _verify_structure(found)
    _verify_values(found, loose, progress)
    if pickles := sorted(
        file.name for file in found.folder.rglob("*") if file.suffix in PICKLES and file not in hashed
    ):
        found.unknown.append(f"{len(pickles)} pickles, which are not opened here: {pickles[0]}")
    return found


def _verify_file(path: Path, progress: Progress) -> Verified:
    if path.suffix != ".safetensors":
        raise CheckpointError(f"{path}: not a safetensors file; name one, or a folder")
    found = Verified(path)
    hashed = check_tensors(path)
    names = [name for name, _ in read_header(path)]
    found.checked.append(f"header: {len(names)} tensors")
    if hashed:
        found.checked.append("SHA-256 in the header: agrees with names, shapes and values")
    else:
        _verify_values(found, [path], progress)
    return found


def _verify_hashes(found: Verified, progress: Progress) -> set[Path]:
    """Compare what has a hash; gives the files that had one."""
    sums, folder = read_sums(found.folder), found.folder
    if sums is not None:
        files = {folder / name for name in sums}
        check_sums(folder, sums, on_progress=progress("hashes", _bytes(files)))
        found.checked.append(f"{SUMS}: {len(sums)} files agree")
        if unlisted := sorted(set(files_of(folder)) - sums.keys()):
            found.unknown.append(f"{len(unlisted)} files that {SUMS} does not list: {unlisted[0]}")
        return files
    named = {file: file.resolve().name for name in files_of(folder) if (file := folder / name).is_symlink()}
    stored = {file: name for file, name in named.items() if _LFS_HASH.fullmatch(name)}
    for file, digest in hash_files(stored, progress("hashes", _bytes(set(stored)))).items():
        if digest != stored[file]:
            raise CheckpointError(f"{file}: has other bytes than the hub's hash of it says; fetch it again")
    small = {file: name for file, name in named.items() if _GIT_HASH.fullmatch(name)}
    for file, name in small.items():
        content = file.read_bytes()
        if hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest() != name:
            raise CheckpointError(f"{file}: has other bytes than the hub's hash of it says; fetch it again")
    if named:
        found.checked.append(f"the hub's hashes: {len(stored) + len(small)} of {len(files_of(folder))} files agree")
    else:
        found.unknown.append(f"whether bytes were changed: there is no {SUMS}; write one with --write if you trust it")
    return {*stored, *small}


def _verify_structure(found: Verified) -> None:
    """Hold the headers against what the folder says it is."""
    folder = found.folder
    if (folder / PIPELINE_INDEX).exists():
        pipeline = find_pipeline(str(folder))
        found.checked.append(f"{pipeline.class_name}: {len(pipeline.parts)} parts, headers of {len(pipeline.tensors)}")
    elif (folder / "adapter_config.json").exists() and not (folder / "config.json").exists():
        adapter = open_adapter(folder)
        found.checked.append(f"an adapter over {adapter.base}: {len(adapter.shapes)} tensors")
        found.unknown.append("whether it fits its base, which is seen when it is loaded")
    elif read_json(folder / "config.json", f"{folder} is no model").get("model_type") == "minigemini":
        checkpoint = open_checkpoint(folder)
        config = load_config(folder)
        load_processor(folder, config)
        if stored_quantization(checkpoint.config, str(folder)) is not None:
            found.unknown.append("names and shapes of tensors: the weights are quantized")
        else:
            expected = stored_layout(config, checkpoint.tensors, str(folder))
            stored = {name: tensor.shape for name, tensor in checkpoint.tensors.items()}
            odd = [(name, stored[name], expected[name]) for name in stored.keys() & expected.keys()]
            check_loaded(
                folder,
                expected.keys() - stored.keys(),
                stored.keys() - expected.keys(),
                [(name, has, wants) for name, has, wants in odd if has != wants],
            )
            found.checked.append(f"names and shapes: {len(stored)} tensors are the model's that config.json describes")
        found.checked.append("tokenizer, processor and chat template: prepare a question about a picture")
    else:
        files = sorted(folder.rglob("*.safetensors"))
        tensors = sum(1 for file in files for _ in read_header(file))
        found.checked.append(f"headers: {tensors} tensors in {len(files)} files")
        found.unknown.append("names and shapes of tensors: this is no Mini-Gemini checkpoint")


def _verify_values(found: Verified, files: list[Path], progress: Progress) -> None:
    """See that all numbers are finite, where nothing stronger is known of them."""
    if not files:
        return
    watch = progress("values", _bytes(set(files)))
    count = 0
    for file, name, tensor in _tensors(files):
        count += tensor.numel()
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise CheckpointError(f"{file}: {name} holds numbers that are not finite; copy or fetch it again")
        watch(tensor.nbytes)
    found.checked.append(f"values: {count:,} numbers in {len(files)} files are finite")


def _tensors(files: list[Path]) -> Iterator[tuple[Path, str, Tensor]]:
    for file in files:
        try:
            with safe_open(file, framework="pt") as opened:
                for name in opened.keys():  # noqa: SIM118
                    yield file, name, opened.get_tensor(name)
        except (SafetensorError, OSError, RuntimeError) as error:
            raise CheckpointError(f"{file}: cannot be read ({one_line(error)}); copy or fetch it again") from None


def _bytes(files: set[Path]) -> int:
    return sum(file.stat().st_size for file in files if file.is_file())
