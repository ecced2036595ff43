"""Convert a checkpoint published by the paper's authors to a self-contained Transformers folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..io.errors import CheckpointError, one_line
from ..io.untrusted import check_numbers, read_json
from .base_encoders import find_encoder, find_folder, high_res_tensors, locate, low_res_tensors, named_by, vision_fields
from .checkpoint_writer import SHARD_BYTES, refuse_existing, write_checkpoint
from .companion_files import CompanionFiles, load_tokenizer
from .config_fields import TEXT_MODEL_TYPES, convnext_fields, published_config
from .conversion_plan import ConversionPlan, ConversionReport, choose_dtype
from .foreign_weights import SourceTensor
from .model_card import card
from .published_models import ENCODERS, chat_format_of
from .tensor_names import CONVNEXT, PUBLISHED_KEYS, VIT

BASE_IS_USED = "the base encoder is used: this one was not tuned"


def convert(
    source: str,
    folder: Path,
    *,
    low_res_encoder: str | None = None,
    high_res_encoder: str | None = None,
    dtype: str | None = None,
    chat_format: str | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> ConversionReport:
    """Convert a published checkpoint.

    The ViT is taken from the checkpoint if present, the ConvNeXt only if the config says that it was tuned. Otherwise
    they are taken from the base encoders, at the path in the config or from the hub.

    Args:
        source: Folder or hub id.
        folder: Folder to write; it appears only when it is complete.
        low_res_encoder, high_res_encoder: Folders or hub ids of the base encoders, in place of the search.
        dtype: Dtype of the new weights, e.g. `bfloat16`. Default: the checkpoint's.
        chat_format: A name in `CHAT_TEMPLATES`. Default: the format of the language model.
        shard_bytes: Maximum size of a shard, bytes; one shard is held in memory.

    Raises:
        CheckpointError: A file or tensor is missing, corrupt or unknown, or does not fit.
    """
    refuse_existing(folder)
    checkpoint = locate(source)
    fields = read_fields(checkpoint)
    stored_as = choose_dtype(dtype or fields.get("torch_dtype", fields.get("dtype")))
    plan = plan_conversion(checkpoint, fields, low_res_encoder, high_res_encoder)
    tokenizer: Any = load_tokenizer(checkpoint)
    plan.config.image_token_id = tokenizer.convert_tokens_to_ids("<image>")
    chosen = chat_format_of(plan.config.text_config.model_type, tokenizer, chat_format)
    origin = (
        f"Converted from `{source}`, a checkpoint in the layout of the paper's authors; only names and dtype differ."
    )
    facts = {"chat format": chosen, "stored as": str(stored_as).removeprefix("torch.")}
    text = card(folder.name, origin, plan.config, facts)
    companions = CompanionFiles(plan.config, tokenizer, chosen, fields.get("image_aspect_ratio") == "pad", text)
    write_checkpoint(plan, folder, stored_as, lambda partial: companions.write(partial, stored_as), shard_bytes)
    return ConversionReport.of(plan, folder, chosen, stored_as)


def plan_conversion(
    checkpoint: Path,
    fields: Mapping[str, Any],
    low_res_encoder: str | None = None,
    high_res_encoder: str | None = None,
) -> ConversionPlan:
    """Plan where every tensor of a published checkpoint goes. Reads no weights.

    Args:
        checkpoint: Folder of the checkpoint.
        fields: Its config, from `read_fields`.
        low_res_encoder, high_res_encoder: See `convert`.

    Raises:
        CheckpointError: See `convert`.
    """
    tensors, unused = named_by(checkpoint, PUBLISHED_KEYS, "layouts that were published")
    low_res = _low_res(checkpoint, fields, low_res_encoder, tensors, unused)
    _high_res(checkpoint, fields, high_res_encoder, tensors, unused)
    convnext = convnext_fields((name, tensor.shape) for name, tensor in tensors.items())
    try:
        config = published_config(fields, low_res, convnext)
    except Exception as error:  # noqa: BLE001 (a value of the wrong type fails wherever it is first used)
        raise CheckpointError(f"{checkpoint / 'config.json'}: {one_line(error)}") from None
    plan = ConversionPlan(config, dict(tensors), unused)
    plan.finalize()
    return plan


def read_fields(checkpoint: Path) -> dict[str, Any]:
    """Read a published config.

    Raises:
        CheckpointError: The config is missing, corrupt, or not a published one.
    """
    fields = read_json(checkpoint / "config.json", f"{checkpoint} is not a checkpoint folder")
    check_numbers(fields, str(checkpoint))
    for name in ("model_type", "mm_vision_tower", "mm_vision_tower_aux"):
        if name in fields and not isinstance(fields[name], str):
            raise CheckpointError(
                f"{checkpoint}: config.json has {name} {str(fields[name])[:80]}, which is not a string"
            )
    if fields.get("model_type") == "minigemini":
        raise CheckpointError(f"{checkpoint}: already in our format; load it directly")
    if fields.get("model_type") not in TEXT_MODEL_TYPES:
        raise CheckpointError(
            f"{checkpoint}: config.json says model_type {fields.get('model_type')!r}, not one of the published "
            f"{', '.join(TEXT_MODEL_TYPES)}; to build a model from a language model use `minigemini assemble`"
        )
    if missing := {"mm_vision_tower", "mm_vision_tower_aux"} - fields.keys():
        raise CheckpointError(
            f"{checkpoint}: config.json lacks {', '.join(sorted(missing))}; copy or download it again"
        )
    return fields


def _low_res(
    checkpoint: Path,
    fields: Mapping[str, Any],
    given: str | None,
    tensors: dict[str, SourceTensor],
    unused: dict[str, str],
) -> dict[str, Any]:
    """Take the ViT from the base encoder unless the checkpoint has it, and return its config."""
    named = fields["mm_vision_tower"]
    inside, known = any(name.startswith(VIT) for name in tensors), ENCODERS.get(Path(named).name)
    if inside and known is not None and given is None and find_folder(named, checkpoint, checkpoint.parent) is None:
        return known.fields  # no need to download it
    base = find_encoder(named, given, checkpoint, "--low-res-encoder")
    if not inside:
        used, dropped = low_res_tensors(base)
        tensors.update(used)
        unused.update(dropped)
    return vision_fields(base)


def _high_res(
    checkpoint: Path,
    fields: Mapping[str, Any],
    given: str | None,
    tensors: dict[str, SourceTensor],
    unused: dict[str, str],
) -> None:
    """Take the ConvNeXt from the base encoder unless it was tuned."""
    inside = [name for name in tensors if name.startswith(CONVNEXT)]
    if inside and fields.get("optimize_vision_tower_aux"):
        return
    for name in inside:
        unused[tensors.pop(name).key] = BASE_IS_USED
    base = find_encoder(fields["mm_vision_tower_aux"], given, checkpoint, "--high-res-encoder")
    used, dropped = high_res_tensors(base)
    tensors.update(used)
    unused.update(dropped)
