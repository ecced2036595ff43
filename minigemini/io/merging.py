"""Merges an adapter into its base and writes a checkpoint folder in the Transformers layout."""

import os
from pathlib import Path

import torch
from safetensors import SafetensorError

from .adapters import find_model_source
from .atomic_write import atomic_write
from .errors import RequestError, one_line
from .folder_lock import output_lock
from .hashes import write_sums
from .loading import load_config, load_model, load_processor
from .placement import Placement, choose_dtype

CARD = """\
---
library_name: transformers
pipeline_tag: image-text-to-text
---

# {name}

`{adapter}` merged into `{base}`, in {dtype}:

    minigemini merge {adapter} {name}

The licenses of both apply.
"""


def merge(
    model: str | os.PathLike[str],
    target: str | os.PathLike[str],
    base: str | os.PathLike[str] | None = None,
    dtype: str | torch.dtype | None = None,
) -> Path:
    """Merge an adapter into its base and write the result as a checkpoint, atomically.

    Args:
        model: The folder of an adapter, or a file of connector weights.
        target: The folder to create. Its parent must exist.
        base: The base model; by default the one that the adapter names.
        dtype: The dtype of the weights; by default that of the base.

    Raises:
        CheckpointError: The adapter or its base is missing or invalid, or they do not match.
        RequestError: `model` is not an adapter, or the folder cannot be written.
        FolderInUseError: Another process is writing it.
    """
    target = Path(target).expanduser()
    check_target(target)
    with output_lock(target):
        return _merge(model, target, base, dtype)


def _merge(
    model: str | os.PathLike[str],
    target: Path,
    base: str | os.PathLike[str] | None,
    dtype: str | torch.dtype | None,
) -> Path:
    check_target(target)  # checked again, because another process may have created it
    found = find_model_source(model, base)
    if found.adapter is None:
        raise RequestError(f"{model}: a complete checkpoint has nothing to merge; pass an adapter")
    config = load_config(found.folder)
    processor = load_processor(found.folder, config)
    chosen = choose_dtype(dtype or config.dtype, torch.device("cpu"))
    merged = load_model(found.folder, config, Placement(torch.device("cpu"), chosen))
    found.adapter.merge_into(merged)
    named = base or found.adapter.base
    card = CARD.format(name=target.name, adapter=model, base=named, dtype=str(chosen).removeprefix("torch."))
    try:
        with atomic_write(target) as aside:
            merged.save_pretrained(aside)
            processor.save_pretrained(aside)
            (aside / "README.md").write_text(card, encoding="utf-8")
            write_sums(aside)
    except (OSError, SafetensorError) as error:
        raise RequestError(f"{target}: cannot be written ({one_line(error)}); name a folder elsewhere") from None
    return target


def check_target(target: Path) -> None:
    """Check that a folder can be created, before anything is loaded.

    Raises:
        RequestError: It exists, or its parent does not or may not be written.
    """
    if target.exists() or target.is_symlink():
        raise RequestError(f"{target}: exists already; name a folder that does not")
    if not target.parent.is_dir():
        raise RequestError(f"{target}: no folder {target.parent} to write into; make it first")
    if not os.access(target.parent, os.W_OK):
        raise RequestError(f"{target}: {target.parent} may not be written into; name a folder elsewhere")
