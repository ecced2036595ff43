"""Encoders from folders: their configs, weights under our names, and the statistics that they were trained with."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from transformers import MODEL_MAPPING, AutoConfig, CLIPVisionConfig, ConvNextConfig, PreTrainedConfig
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from ..io.errors import CheckpointError, listed, one_line
from ..io.untrusted import bounded_build, check_numbers, read_json
from ..modeling.encoder_mixture import EncoderMixtureConfig
from ..modeling.encoders import find_kind, kind_of
from .base_encoders import high_res_tensors, low_res_tensors, vision_fields
from .config_fields import convnext_fields
from .conversion_plan import Source
from .foreign_weights import list_tensors
from .tensor_names import CONVNEXT, VIT

Statistics = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of RGB, in [0, 1]."""
CLIP_STATISTICS: Statistics = (tuple(OPENAI_CLIP_MEAN), tuple(OPENAI_CLIP_STD))
_NOT_MODEL_FIELDS = ("torch_dtype", "dtype", "transformers_version", "_name_or_path", "architectures")
NOT_RUN = "not run by the model"


@dataclass(frozen=True)
class EncoderSource:
    """An encoder to put into a model.

    Args:
        config: Its config.
        tensors: The sources of its weights, by their names in the model.
        unused: Keys of weights that are not used, with the reason.
        statistics: The statistics of its input.
    """

    config: PreTrainedConfig
    tensors: dict[str, Source]
    unused: dict[str, str] = field(default_factory=dict)
    statistics: Statistics = CLIP_STATISTICS


def low_res_source(folder: Path, feature_layer: int) -> EncoderSource:
    """Read a low-resolution encoder from a folder of Transformers.

    Args:
        folder: The folder of an encoder, or of a model that contains one, such as SigLIP.
        feature_layer: Index into the hidden states of a ViT.

    Raises:
        CheckpointError: The folder has no encoder of a known kind, or it is corrupt.
    """
    config = _encoder_config(folder)
    if config is None or isinstance(config, CLIPVisionConfig):
        fields = vision_fields(folder)
        tensors, unused = low_res_tensors(folder)
        clip = _from_fields({**fields, "model_type": "clip_vision_model"}, folder)
        return EncoderSource(clip, dict(tensors), unused, statistics_of(folder))
    layers = kind_of(config).num_layers(config) or 0
    depth = feature_layer if feature_layer >= 0 else layers + 1 + feature_layer
    return _from_transformers(folder, config, lambda: kind_of(config).build_for_tokens(config, depth), VIT)


def high_res_source(folder: Path, prefix: str = CONVNEXT) -> EncoderSource:
    """Read a high-resolution encoder from a folder of Transformers, or a ConvNeXt of OpenCLIP or timm.

    Raises:
        CheckpointError: The folder has no encoder of a known kind, or it is corrupt.
    """
    config = _encoder_config(folder)
    if config is None or isinstance(config, ConvNextConfig):
        tensors, unused = high_res_tensors(folder)
        fields = convnext_fields((name, tensor.shape) for name, tensor in tensors.items())
        convnext = _from_fields({**fields, "model_type": "convnext", "drop_path_rate": 0.1}, folder)
        placed: dict[str, Source] = {prefix + name.removeprefix(CONVNEXT): tensor for name, tensor in tensors.items()}
        return EncoderSource(convnext, placed, unused, statistics_of(folder))
    return _from_transformers(folder, config, lambda: kind_of(config).build(config), prefix)


def mixture_source(folders: Sequence[Path]) -> EncoderSource:
    """Read the high-resolution encoders whose maps are mined as one; of a single folder, the encoder itself.

    Raises:
        CheckpointError: A folder has no encoder of a known kind, is corrupt, or there are too many.
    """
    if len(folders) == 1:
        return high_res_source(folders[0])
    parts = [high_res_source(folder, f"{CONVNEXT}.encoders.{i}") for i, folder in enumerate(folders)]
    means, stds = zip(*(part.statistics for part in parts), strict=True)
    differ = len({part.statistics for part in parts}) > 1
    statistics = {"image_means": [list(x) for x in means], "image_stds": [list(x) for x in stds]} if differ else {}
    try:
        config = EncoderMixtureConfig.of([part.config for part in parts], **statistics)
    except ValueError as error:
        raise CheckpointError(one_line(error)) from None
    tensors = {name: source for part in parts for name, source in part.tensors.items()}
    unused = {key: why for part in parts for key, why in part.unused.items()}
    return EncoderSource(config, tensors, unused, parts[0].statistics)


def statistics_of(folder: Path) -> Statistics:
    """Read an encoder's statistics from its preprocessor's file, or timm's config; CLIP's if there are none.

    Raises:
        CheckpointError: They are not three numbers each.
    """
    fields: dict[str, Any] = {}
    for name, inner in (("preprocessor_config.json", ""), ("processor_config.json", "image_processor")):
        if (folder / name).is_file() and not fields:
            found = read_json(folder / name, f"{folder} has unreadable image statistics")
            fields = found.get(inner, {}) if inner else found
    if not fields and (folder / "config.json").is_file():
        timm = read_json(folder / "config.json", f"{folder} has no readable config").get("pretrained_cfg") or {}
        fields = {"image_mean": timm["mean"], "image_std": timm["std"]} if {"mean", "std"} <= timm.keys() else {}
    if fields.get("do_normalize") is False:
        return (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    mean: Any = fields.get("image_mean")
    std: Any = fields.get("image_std")
    if mean is None and std is None:
        return CLIP_STATISTICS
    if not (_is_rgb(mean) and _is_rgb(std) and min(std) > 0):
        raise CheckpointError(
            f"{folder}: image_mean is {json.dumps(mean)} and image_std {json.dumps(std)}; each has to be three "
            "numbers, the standard deviations above 0"
        )
    return tuple(mean), tuple(std)


def _is_rgb(values: Any) -> bool:
    return isinstance(values, list) and len(values) == 3 and all(isinstance(v, int | float) for v in values)


def _encoder_config(folder: Path) -> PreTrainedConfig | None:
    """Read the config of an encoder, or of the vision part of a model; None if Transformers does not know it."""
    if not (folder / "config.json").is_file():
        return None
    fields = read_json(folder / "config.json", f"{folder} is not an encoder's folder")
    check_numbers(fields, str(folder))
    if "model_type" not in fields:
        return None
    config = _from_fields(fields, folder)
    if find_kind(config) is None and isinstance(getattr(config, "vision_config", None), PreTrainedConfig):
        config = config.vision_config
    if find_kind(config) is None:
        raise CheckpointError(f"{folder}: a {config.model_type!r} is not an image encoder of a known kind; give one")
    return _from_fields(config.to_dict(), folder)


def _from_fields(fields: dict[str, Any], folder: Path) -> PreTrainedConfig:
    fields = {key: value for key, value in fields.items() if key not in _NOT_MODEL_FIELDS}
    try:
        return AutoConfig.for_model(**fields)
    except Exception as error:  # noqa: BLE001 (a value of the wrong type fails wherever it is first used)
        raise CheckpointError(f"{folder}: config.json is not an encoder's ({one_line(error)})") from None


def _from_transformers(folder: Path, config: PreTrainedConfig, build: Any, prefix: str) -> EncoderSource:
    """Load an encoder with Transformers, which knows the names of its weights in all of its releases."""
    stored = list_tensors(folder)  # refuses pickles of anything but tensors
    try:
        with torch.device("meta"), bounded_build(stored, str(folder)):
            tower: nn.Module = build()
        name = getattr(kind_of(config), "model_class", "")
        model_class: Any = getattr(transformers, name) if name else MODEL_MAPPING[type(config)]
        model, report = model_class.from_pretrained(
            folder, config=config, dtype="auto", local_files_only=True, output_loading_info=True
        )
    except CheckpointError:
        raise
    except Exception as error:  # noqa: BLE001 (a value of the wrong type fails wherever it is first used)
        raise CheckpointError(f"{folder}: the encoder cannot be loaded ({one_line(error)})") from None
    state: dict[str, Tensor] = model.state_dict()
    wanted = tower.state_dict().keys()
    if missing := sorted(wanted & set(report["missing_keys"])):
        raise CheckpointError(f"{folder}: {len(missing)} tensors are missing: {listed(missing)}; copy it again")
    tensors: dict[str, Source] = {f"{prefix}.{key}": state[key].contiguous() for key in wanted}
    unused = dict.fromkeys([*(key for key in state if key not in wanted), *report["unexpected_keys"]], NOT_RUN)
    return EncoderSource(config, tensors, unused, statistics_of(folder))
