"""Locates and validates checkpoint folders: safetensors only, no remote code, one-line errors.

Checkpoints are untrusted, so they are read in order of cost and risk: config.json, then the headers of the weight
files, and then the weights. Pickles are never opened, because they can run code.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from ..plugins import model_folder
from .errors import CheckpointError, one_line
from .exported_files import find_exported
from .hub import DESCRIPTIONS, fetch, is_hub_id
from .integrity import check_descriptions
from .quantization import stored_quantization
from .untrusted import check_file, check_files, check_numbers, read_json

MODEL_TYPE = "minigemini"
INDEX = "model.safetensors.index.json"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")

# Fields of config.json that make Transformers download and run kernels, or open other weight files.
CODE_LOADING_FIELDS = frozenset(
    {"attn_implementation", "_attn_implementation", "experts_implementation", "_experts_implementation"}
    | {"transformers_weights"}
)
_SHOWN = 3


@dataclass(frozen=True)
class StoredTensor:
    """Dtype and shape of a tensor, from a safetensors header."""

    dtype: str
    """Safetensors' name, e.g. `BF16`."""
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Checkpoint:
    """A validated checkpoint folder whose weights have not been read."""

    folder: Path
    config: dict[str, Any]
    tensors: dict[str, StoredTensor]


def find_checkpoint(model: str | os.PathLike[str]) -> Path:
    """Resolve `nano`, a path, or a hub id to a folder. Hub models are downloaded to the cache, without code.

    Raises:
        CheckpointError: The model does not exist, or cannot be downloaded.
    """
    if (registered := model_folder(model)) is not None:
        return registered
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    check_name(model, adapters=False)
    # The config first, to avoid downloading the weights of unsupported models.
    config = read_json(fetch(str(model), ("config.json",)) / "config.json", str(model))
    check_config(config, str(model))
    return fetch(str(model), ("*.safetensors", *DESCRIPTIONS))


def check_name(model: str | os.PathLike[str], adapters: bool = True) -> None:
    """Check that a name can refer to a model, without importing or downloading anything.

    Args:
        model: The name.
        adapters: Whether it may be a file of connector weights.

    Raises:
        CheckpointError: It is neither `nano` nor an existing folder, and does not have the form of a hub id.
    """
    if model_folder(model) is not None:
        return
    path = Path(model).expanduser()
    if path.is_file() and not (adapters and path.suffix == ".safetensors"):
        raise CheckpointError(f"{model}: a file, not a checkpoint folder; give the folder that contains it")
    if not path.exists() and not is_hub_id(str(model)):
        raise CheckpointError(f"{model}: no such folder, and not a hub id (owner/name); name a folder, an id, or nano")


def open_checkpoint(folder: Path) -> Checkpoint:
    """Validate a checkpoint folder without reading weights.

    Raises:
        CheckpointError: The folder, config.json or weight files are missing or invalid, or the weights are pickles.
    """
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder; name a folder with config.json and model.safetensors")
    check_files(folder)
    check_descriptions(folder)
    config = read_json(folder / "config.json", f"{folder} is not a checkpoint folder")
    check_config(config, str(folder))
    if (folder / "adapter_config.json").exists():
        raise CheckpointError(
            f"{folder}: contains both an adapter (adapter_config.json) and a checkpoint; move one of them away"
        )
    return Checkpoint(folder, config, stored_tensors(folder))


def stored_tensors(folder: Path) -> dict[str, StoredTensor]:
    """Read the headers of a checkpoint's weight files.

    Raises:
        CheckpointError: The weight files are pickles, missing or corrupt.
    """
    tensors: dict[str, StoredTensor] = {}
    for path in weight_files(folder):
        for name, tensor in read_header(path):
            if name in tensors:
                raise CheckpointError(f"{folder}: tensor {name} is stored twice, again in {path.name}; remove one file")
            tensors[name] = tensor
    return tensors


def check_config(config: Mapping[str, Any], name: str) -> None:
    """Check that a config is of this model, and has no fields that make Transformers load other code or files."""
    model_type = config.get("model_type")
    if model_type != MODEL_TYPE:
        raise CheckpointError(
            f"{name}: config.json says model_type {model_type!r}, not {MODEL_TYPE!r}; convert "
            "checkpoints of the original code with `minigemini convert`"
        )
    for parts in (config, *(part for part in config.values() if isinstance(part, Mapping))):
        if found := CODE_LOADING_FIELDS & parts.keys():
            raise CheckpointError(
                f"{name}: config.json sets {min(found)}, which may load code or files from elsewhere; remove it"
            )
    check_numbers(config, name)
    stored_quantization(config, name)


def read_header(path: Path) -> Iterator[tuple[str, StoredTensor]]:
    """Yield name, dtype and shape of each tensor in a safetensors file, without reading the weights.

    Raises:
        CheckpointError: The file does not exist, or is corrupt.
    """
    check_file(path)
    try:
        with safe_open(path, framework="np") as file:
            for name in file.keys():  # noqa: SIM118
                part = file.get_slice(name)
                yield name, StoredTensor(part.get_dtype(), tuple(part.get_shape()))
    except SafetensorError as error:
        raise CheckpointError(
            f"{path}: corrupt or cut off at {path.stat().st_size:,} bytes ({one_line(error)}); copy or fetch it again"
        ) from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({one_line(error)}); copy or fetch it again") from None


def check_loaded(
    folder: Path,
    missing: Iterable[str],
    unexpected: Iterable[str],
    mismatched: Iterable[tuple[str, Sequence[int], Sequence[int]]],
    problem: str = "tensors and config.json do not fit",
    fix: str = "use the config.json saved with them",
) -> None:
    """Check that a file has exactly the tensors of the model. The arguments are those of Transformers' loading report.

    Raises:
        CheckpointError: Tensors are missing, unknown or of another shape; the message has their number and first names.
    """
    shapes = [f"{name} is {list(stored)}, not {list(wanted)}" for name, stored, wanted in mismatched]
    issues = [
        f"{len(names)} {what}: {', '.join(sorted(names)[:_SHOWN])}{', …' if len(names) > _SHOWN else ''}"
        for what, names in (("missing", list(missing)), ("unknown", list(unexpected)), ("mis-shaped", shapes))
        if names
    ]
    if issues:
        raise CheckpointError(f"{folder}: {problem} ({'; '.join(issues)}); {fix}")


def weight_files(folder: Path) -> list[Path]:
    """List the safetensors files of a checkpoint, in order."""
    if (folder / INDEX).exists():
        index = read_json(folder / INDEX, f"{folder} has a broken index")
        weight_map = index.get("weight_map")
        if not isinstance(weight_map, dict) or not weight_map:
            raise CheckpointError(f"{folder / INDEX}: no weight_map in it; copy or fetch it again")
        names = sorted({str(name) for name in weight_map.values()})
        for name in names:
            if Path(name).name != name or not name.endswith(".safetensors"):
                raise CheckpointError(f"{folder / INDEX}: names {name!r}, not a safetensors file in the same folder")
        return [folder / name for name in names]
    if (folder / "model.safetensors").exists():
        return [folder / "model.safetensors"]
    pickles = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
    if pickles:
        raise CheckpointError(
            f"{folder}: {pickles[0]} is a pickle, which can run code while it loads, so it is not read; convert it to "
            "safetensors with `minigemini convert`"
        )
    if find_exported(folder) is not None:
        raise CheckpointError(f"{folder}: an exported model has no weights for PyTorch; name what it was exported from")
    raise CheckpointError(f"{folder}: no model.safetensors in it; copy or fetch the checkpoint again")
