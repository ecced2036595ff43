"""Verify a checkpoint: by hashes if it has them, otherwise by structure and values."""

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
"""Called with a label and the total bytes; returns a callback for the bytes processed since its last call."""


@dataclass
class VerificationReport:
    """Result of a verification without failures; a failed check raises instead.

    Attributes:
        folder: The folder or file that was verified.
        checked: Checks that passed, one line each.
        unknown: Properties that could not be checked, one line each.
    """

    folder: Path
    checked: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def verify(model: str, progress: Progress = lambda what, total: lambda count: None) -> VerificationReport:
    """Verify `nano`, a folder, a hub id, an adapter or a file of connector weights as strictly as possible.

    Raises:
        CheckpointError: A check failed; the message names the first file or tensor.
        DamagedFileError: A file does not match its hash.
    """
    path = Path(model).expanduser()
    if path.is_file():
        return _verify_file(path, progress)
    report = VerificationReport(path if path.is_dir() else find_checkpoint(model))
    check_files(report.folder)
    hashed = _verify_hashes(report, progress)
    unhashed = [file for file in sorted(report.folder.rglob("*.safetensors")) if file not in hashed]
    _verify_structure(report)
    _verify_values(report, unhashed, progress)
    if pickles := sorted(
        file.name for file in report.folder.rglob("*") if file.suffix in PICKLES and file not in hashed
    ):
        report.unknown.append(f"{len(pickles)} pickle files, which are never opened: {pickles[0]}")
    return report


def _verify_file(path: Path, progress: Progress) -> VerificationReport:
    if path.suffix != ".safetensors":
        raise CheckpointError(f"{path}: not a safetensors file; name one, or a folder")
    report = VerificationReport(path)
    hashed = check_tensors(path)
    names = [name for name, _ in read_header(path)]
    report.checked.append(f"header: {len(names)} tensors")
    if hashed:
        report.checked.append("SHA-256 in the header: matches names, shapes and values")
    else:
        _verify_values(report, [path], progress)
    return report


def _verify_hashes(report: VerificationReport, progress: Progress) -> set[Path]:
    """Compare the files that have hashes, and return them."""
    sums, folder = read_sums(report.folder), report.folder
    if sums is not None:
        files = {folder / name for name in sums}
        check_sums(folder, sums, on_progress=progress("hashes", _bytes(files)))
        report.checked.append(f"{SUMS}: {len(sums)} files match")
        if unlisted := sorted(set(files_of(folder)) - sums.keys()):
            report.unknown.append(f"{len(unlisted)} files that {SUMS} does not list: {unlisted[0]}")
        return files
    named = {file: file.resolve().name for name in files_of(folder) if (file := folder / name).is_symlink()}
    stored = {file: name for file, name in named.items() if _LFS_HASH.fullmatch(name)}
    for file, digest in hash_files(stored, progress("hashes", _bytes(set(stored)))).items():
        if digest != stored[file]:
            raise CheckpointError(f"{file}: does not match the hub's hash; download it again")
    small = {file: name for file, name in named.items() if _GIT_HASH.fullmatch(name)}
    for file, name in small.items():
        content = file.read_bytes()
        if hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest() != name:
            raise CheckpointError(f"{file}: does not match the hub's hash; download it again")
    if named:
        report.checked.append(f"the hub's hashes: {len(stored) + len(small)} of {len(files_of(folder))} files match")
    else:
        report.unknown.append(
            f"whether files were changed: there is no {SUMS}; create one with --write if you trust them"
        )
    return {*stored, *small}


def _verify_structure(report: VerificationReport) -> None:
    """Check the headers against the config in the folder."""
    folder = report.folder
    if (folder / PIPELINE_INDEX).exists():
        pipeline = find_pipeline(str(folder))
        report.checked.append(f"{pipeline.class_name}: {len(pipeline.parts)} parts, headers of {len(pipeline.tensors)}")
    elif (folder / "adapter_config.json").exists() and not (folder / "config.json").exists():
        adapter = open_adapter(folder)
        report.checked.append(f"an adapter over {adapter.base}: {len(adapter.shapes)} tensors")
        report.unknown.append("whether it fits its base, which is checked when it is loaded")
    elif read_json(folder / "config.json", f"{folder} is not a model").get("model_type") == "minigemini":
        checkpoint = open_checkpoint(folder)
        config = load_config(folder)
        load_processor(folder, config)
        if stored_quantization(checkpoint.config, str(folder)) is not None:
            report.unknown.append("names and shapes of tensors: the weights are quantized")
        else:
            expected = stored_layout(config, checkpoint.tensors, str(folder))
            stored = {name: tensor.shape for name, tensor in checkpoint.tensors.items()}
            shapes = [(name, stored[name], expected[name]) for name in stored.keys() & expected.keys()]
            check_loaded(
                folder,
                expected.keys() - stored.keys(),
                stored.keys() - expected.keys(),
                [(name, actual, wanted) for name, actual, wanted in shapes if actual != wanted],
            )
            report.checked.append(f"names and shapes: {len(stored)} tensors match the model that config.json describes")
        report.checked.append("tokenizer, processor and chat template: can render a question about an image")
    else:
        files = sorted(folder.rglob("*.safetensors"))
        tensors = sum(1 for file in files for _ in read_header(file))
        report.checked.append(f"headers: {tensors} tensors in {len(files)} files")
        report.unknown.append("names and shapes of tensors: not a Mini-Gemini checkpoint")


def _verify_values(report: VerificationReport, files: list[Path], progress: Progress) -> None:
    """Check that all values are finite, for files without a hash."""
    if not files:
        return
    watch = progress("values", _bytes(set(files)))
    count = 0
    for file, name, tensor in _tensors(files):
        count += tensor.numel()
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise CheckpointError(f"{file}: {name} contains values that are not finite; copy or download it again")
        watch(tensor.nbytes)
    report.checked.append(f"values: {count:,} values in {len(files)} files are finite")


def _tensors(files: list[Path]) -> Iterator[tuple[Path, str, Tensor]]:
    for file in files:
        try:
            with safe_open(file, framework="pt") as opened:
                for name in opened.keys():  # noqa: SIM118
                    yield file, name, opened.get_tensor(name)
        except (SafetensorError, OSError, RuntimeError) as error:
            raise CheckpointError(f"{file}: cannot be read ({one_line(error)}); copy or download it again") from None


def _bytes(files: set[Path]) -> int:
    return sum(file.stat().st_size for file in files if file.is_file())
