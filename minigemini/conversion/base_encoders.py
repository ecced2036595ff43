"""The two base encoders: found where the config names them, by option, or on the hub."""

from pathlib import Path
from typing import Any

from ..io.errors import CheckpointError, listed
from ..io.hub import DESCRIPTIONS, check_folder_or_id, fetch
from ..io.untrusted import check_files, check_numbers, read_json
from .foreign_weights import SourceTensor, list_tensors
from .published_models import ENCODERS
from .tensor_names import CLIP_KEYS, CONVNEXT_KEYS, Drop, Rules, translate


def find_folder(name: str, *beside: Path) -> Path | None:
    """The folder a path names, as it stands or beside another; None if there is none."""
    candidates = [Path(name).expanduser(), *(folder / name for folder in beside)]
    return next((folder for folder in candidates if folder.is_dir()), None)


def fetch_weights(hub_id: str) -> Path:
    """Fetch a model of somebody else from the hub: as safetensors where it has them, as pickles otherwise.

    Raises:
        CheckpointError: It cannot be fetched.
    """
    folder = fetch(hub_id, ("*.safetensors", *DESCRIPTIONS))
    return folder if any(folder.glob("*.safetensors")) else fetch(hub_id, ("*.bin", *DESCRIPTIONS))


def locate(source: str) -> Path:
    """A folder, or what a hub id (owner/name) fetches.

    Raises:
        CheckpointError: It is neither.
    """
    if folder := find_folder(source):
        check_files(folder)
        return folder
    check_folder_or_id(source)
    return fetch_weights(source)


def find_encoder(named: str, given: str | None, checkpoint: Path, option: str) -> Path:
    """Find a base encoder: the given one, or the one a published config names.

    Args:
        named: what the config says, a path whose last part is the encoder's name.
        given: a folder or hub id that overrides it.
        checkpoint: whose config it is.
        option: how to give another, for the error.

    Raises:
        CheckpointError: It is nowhere.
    """
    if given is not None:
        return locate(given)
    if folder := find_folder(named, checkpoint, checkpoint.parent):
        check_files(folder)
        return folder
    if known := ENCODERS.get(Path(named).name):
        try:
            return fetch_weights(known.hub_id)
        except CheckpointError as error:
            raise CheckpointError(f"{error}; or give the encoder's folder with {option} DIR") from None
    raise CheckpointError(
        f"{checkpoint}: its config names the encoder {named!r}, which is neither here nor known on the hub; give its "
        f"folder with {option} DIR"
    )


def vision_fields(folder: Path) -> dict[str, Any]:
    """The `vision_config` of a CLIP model's folder, or of its vision half.

    Raises:
        CheckpointError: It has no such config.
    """
    fields = read_json(folder / "config.json", f"{folder} is no CLIP model's folder")
    check_numbers(fields, str(folder))
    vision = fields if fields.get("model_type") == "clip_vision_model" else fields.get("vision_config")
    if fields.get("model_type") not in ("clip", "clip_vision_model") or not isinstance(vision, dict):
        raise CheckpointError(
            f"{folder}: config.json is not that of a CLIP model; give the low-resolution encoder's folder"
        )
    return {key: value for key, value in vision.items() if key not in ("torch_dtype", "dtype", "transformers_version")}


def low_res_tensors(folder: Path) -> tuple[dict[str, SourceTensor], dict[str, str]]:
    """List a CLIP model's tensors by our names, and why the others are not used."""
    return named_by(folder, CLIP_KEYS, "low-resolution encoder, a CLIP model of Transformers")


def high_res_tensors(folder: Path) -> tuple[dict[str, SourceTensor], dict[str, str]]:
    """List a ConvNeXt's tensors by our names, and why the others are not used."""
    return named_by(folder, CONVNEXT_KEYS, "high-resolution encoder, a ConvNeXt of OpenCLIP, timm or Transformers")


def named_by(source: Path, rules: Rules, what: str) -> tuple[dict[str, SourceTensor], dict[str, str]]:
    """List the tensors of a folder or file by our names, and those without use with the reason.

    Raises:
        CheckpointError: Some have no rule; it lists them.
    """
    ours: dict[str, SourceTensor] = {}
    dropped: dict[str, str] = {}
    unknown = []
    for key, tensor in list_tensors(source).items():
        try:
            name = translate(key, rules)
        except ValueError:
            unknown.append(key)
            continue
        if isinstance(name, Drop):
            dropped[key] = name.why
        else:
            ours[name] = tensor
    if unknown:
        raise CheckpointError(f"{source}: {len(unknown)} tensors are not those of the {what}: {listed(unknown)}")
    return ours, dropped
