"""Find the two base encoders: by option, at the path in the config, or on the hub."""

from pathlib import Path
from typing import Any

from ..io.errors import CheckpointError, listed
from ..io.hub import DESCRIPTIONS, check_folder_or_id, fetch
from ..io.untrusted import check_files, check_numbers, read_json
from .foreign_weights import SourceTensor, list_tensors
from .published_models import ENCODERS
from .tensor_names import CLIP_KEYS, CONVNEXT_KEYS, Drop, Rules, translate


def find_folder(name: str, *beside: Path) -> Path | None:
    """Find a folder by its path, relative to the working directory or to the folders in `beside`; None if absent."""
    candidates = [Path(name).expanduser(), *(folder / name for folder in beside)]
    return next((folder for folder in candidates if folder.is_dir()), None)


def fetch_weights(hub_id: str) -> Path:
    """Download a third-party model from the hub, as safetensors if available, otherwise as pickles.

    Raises:
        CheckpointError: The download failed.
    """
    folder = fetch(hub_id, ("*.safetensors", *DESCRIPTIONS))
    return folder if any(folder.glob("*.safetensors")) else fetch(hub_id, ("*.bin", *DESCRIPTIONS))


def locate(source: str) -> Path:
    """Return a local folder, or download a hub id (owner/name).

    Raises:
        CheckpointError: The source is neither.
    """
    if folder := find_folder(source):
        check_files(folder)
        return folder
    check_folder_or_id(source)
    return fetch_weights(source)


def find_encoder(named: str, given: str | None, checkpoint: Path, option: str) -> Path:
    """Find a base encoder: the given one, or the one that a published config names.

    Args:
        named: Path in the config, whose last part is the encoder's name.
        given: Folder or hub id that overrides the config.
        checkpoint: Folder of the checkpoint.
        option: Command-line option to name in the error.

    Raises:
        CheckpointError: The encoder was not found.
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
        f"{checkpoint}: its config names the encoder {named!r}, which is neither a local folder nor known on the hub; "
        f"give its folder with {option} DIR"
    )


def vision_fields(folder: Path) -> dict[str, Any]:
    """Read the `vision_config` of a CLIP model, or the config of a CLIP vision model.

    Raises:
        CheckpointError: The folder has no such config.
    """
    fields = read_json(folder / "config.json", f"{folder} is not a CLIP model's folder")
    check_numbers(fields, str(folder))
    vision = fields if fields.get("model_type") == "clip_vision_model" else fields.get("vision_config")
    if fields.get("model_type") not in ("clip", "clip_vision_model") or not isinstance(vision, dict):
        raise CheckpointError(
            f"{folder}: config.json is not that of a CLIP model; give the low-resolution encoder's folder"
        )
    return {key: value for key, value in vision.items() if key not in ("torch_dtype", "dtype", "transformers_version")}


def low_res_tensors(folder: Path) -> tuple[dict[str, SourceTensor], dict[str, str]]:
    """List a CLIP model's tensors under our names, and the unused ones with the reason."""
    return named_by(folder, CLIP_KEYS, "low-resolution encoder, a CLIP model of Transformers")


def high_res_tensors(folder: Path) -> tuple[dict[str, SourceTensor], dict[str, str]]:
    """List a ConvNeXt's tensors under our names, and the unused ones with the reason."""
    return named_by(folder, CONVNEXT_KEYS, "high-resolution encoder, a ConvNeXt of OpenCLIP, timm or Transformers")


def named_by(source: Path, rules: Rules, what: str) -> tuple[dict[str, SourceTensor], dict[str, str]]:
    """List the tensors of a folder or file under our names, and the unused ones with the reason.

    Raises:
        CheckpointError: Some tensors have no rule; the message lists them.
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
        raise CheckpointError(f"{source}: {len(unknown)} tensors do not belong to the {what}: {listed(unknown)}")
    return ours, dropped
