"""Translate published configs field by field, and read what they lack from the weights."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from transformers import CONFIG_MAPPING, PreTrainedConfig

from ..io.errors import CheckpointError
from ..modeling import MiniGeminiConfig
from .tensor_names import CONVNEXT

TEXT_MODEL_TYPES = {"mgm": "llama", "mgm_gemma": "gemma", "mgm_mixtral": "mixtral", "mgm_mistral": "mistral"}
"""Type of the language model in each published `model_type`."""

REQUIRED_FIELDS = {
    "hidden_act",
    "image_size_aux",
    "mm_hidden_size",
    "mm_hidden_size_aux",
    "mm_projector_type",
    "mm_use_im_patch_token",
    "mm_use_im_start_end",
    "mm_vision_select_feature",
    "mm_vision_select_layer",
    "mm_vision_tower",
    "mm_vision_tower_aux",
    "vocab_size",
}
OPTIONAL_FIELDS = {
    "freeze_mm_mlp_adapter",
    "image_aspect_ratio",
    "image_global",
    "image_grid",
    "image_grid_pinpoints",
    "mm_projector_lr",
    "optimize_vision_tower",
    "optimize_vision_tower_aux",
    "tokenizer_model_max_length",
    "tokenizer_padding_side",
    "tune_mm_mlp_adapter",
    "use_mm_proj",
}
_FILE_FIELDS = {"_name_or_path", "architectures", "dtype", "model_type", "torch_dtype", "transformers_version"}
"""Fields that describe the file, not the model."""
_LANGUAGE_MODEL_FIELDS = {"hidden_act", "vocab_size"}


def published_config(
    fields: Mapping[str, Any], vision_fields: Mapping[str, Any], high_res_fields: Mapping[str, Any]
) -> MiniGeminiConfig:
    """Translate a published config. The image token gets the first id after the vocabulary.

    Args:
        fields: Fields of the published `config.json`.
        vision_fields: `vision_config` of the base CLIP model.
        high_res_fields: Widths and depths of the ConvNeXt.

    Raises:
        CheckpointError: A field is missing, or has an unsupported value.
    """
    if fields.get("model_type") not in TEXT_MODEL_TYPES:
        raise CheckpointError(
            f"model_type is {fields.get('model_type')!r}; supported are {', '.join(TEXT_MODEL_TYPES)}"
        )
    if missing := REQUIRED_FIELDS - fields.keys():
        raise CheckpointError(f"config.json lacks {', '.join(sorted(missing))}; copy it from the published checkpoint")
    if fields["mm_vision_select_feature"] != "patch":
        raise CheckpointError(
            f"mm_vision_select_feature is {fields['mm_vision_select_feature']!r}; only 'patch' is supported"
        )
    if fields["mm_use_im_start_end"] or fields["mm_use_im_patch_token"]:
        raise CheckpointError("mm_use_im_start_end or mm_use_im_patch_token is set, which no published checkpoint has")
    config = MiniGeminiConfig(
        vision_config=dict(vision_fields),
        high_res_vision_config={**high_res_fields, "model_type": "convnext", "drop_path_rate": 0.1},
        text_config=text_config(fields),
        high_res_size=fields["image_size_aux"],
        grid_size=fields.get("image_grid", 1),  # this field and the next may be absent: some configs predate HD
        use_global_tile=fields.get("image_global", False),
        projector_depth=projector_depth(fields["mm_projector_type"]),
        vision_feature_layer=fields["mm_vision_select_layer"],
        image_token_id=fields["vocab_size"],
    )
    for name, ours in (
        ("mm_hidden_size", config.vision_config.hidden_size),
        ("mm_hidden_size_aux", sum(config.high_res_vision_config.hidden_sizes)),
    ):
        if ours != fields[name]:
            raise CheckpointError(
                f"{name} is {fields[name]}, but the given encoder has {ours} channels; use the encoder in the config"
            )
    return config


def text_config(fields: Mapping[str, Any]) -> PreTrainedConfig:
    """Extract the language model's fields from a published config."""
    foreign = (REQUIRED_FIELDS - _LANGUAGE_MODEL_FIELDS) | OPTIONAL_FIELDS | _FILE_FIELDS
    own = {name: value for name, value in fields.items() if name not in foreign}
    if own.get("rope_scaling") is None:  # its replacement in Transformers 5 cannot be None
        own.pop("rope_scaling", None)
    model_type = TEXT_MODEL_TYPES[fields["model_type"]]
    if model_type == "gemma" and own["hidden_act"] == "gelu":
        # Published models use the exact GELU; for Gemma, Transformers 5 replaces "gelu" by the tanh approximation, but
        # not this name.
        own["hidden_act"] = "gelu_python"
    own.setdefault("tie_word_embeddings", CONFIG_MAPPING[model_type]().tie_word_embeddings)
    return CONFIG_MAPPING[model_type](**own)


def projector_depth(name: str) -> int:
    """Return the number of Linears in a projector of type `linear`, `identity` or `mlpKx_gelu`.

    Raises:
        CheckpointError: The type is unknown.
    """
    if match := re.fullmatch(r"mlp(\d+)x_gelu", name):
        return int(match[1])
    if name not in ("linear", "identity"):
        raise CheckpointError(f"mm_projector_type is {name!r}; supported are 'linear', 'identity' and 'mlpKx_gelu'")
    return 1 if name == "linear" else 0


def convnext_fields(shapes: Iterable[tuple[str, tuple[int, ...]]]) -> dict[str, Any]:
    """Read a ConvNeXt's widths and depths from the shapes of its tensors under our names.

    Published configs identify their ConvNeXt only by a path, and a path is not a reliable description.

    Raises:
        CheckpointError: The tensors are not those of a ConvNeXt.
    """
    depthwise = re.compile(re.escape(CONVNEXT) + r"\.encoder\.stages\.(\d+)\.layers\.(\d+)\.dwconv\.weight")
    widths: dict[int, int] = {}
    depths: dict[int, int] = {}
    for key, shape in shapes:
        if match := depthwise.fullmatch(key):
            stage = int(match[1])
            widths[stage] = shape[0]
            depths[stage] = depths.get(stage, 0) + 1
    stages = sorted(widths)
    if not stages:
        raise CheckpointError(
            "no ConvNeXt in the high-resolution encoder: none of its tensors is a depthwise convolution"
        )
    return {"hidden_sizes": [widths[stage] for stage in stages], "depths": [depths[stage] for stage in stages]}
