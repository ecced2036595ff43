"""From checkpoints as the paper's authors published them to ours: where each field and each tensor goes.

The first half are tables; the second half applies them. Pickles are read here and nowhere else, weights only.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor
from transformers import CONFIG_MAPPING, PreTrainedConfig

from .configuration import MiniGeminiConfig
from .generation import MiniGeminiForConditionalGeneration

TEXT_MODEL_TYPES = {"mgm": "llama", "mgm_gemma": "gemma", "mgm_mixtral": "mixtral", "mgm_mistral": "mistral"}
"""The language model inside each published `model_type`."""

PUBLISHED_FIELDS = {
    "freeze_mm_mlp_adapter",
    "image_aspect_ratio",
    "image_global",
    "image_grid",
    "image_grid_pinpoints",
    "image_size_aux",
    "mm_hidden_size",
    "mm_hidden_size_aux",
    "mm_projector_lr",
    "mm_projector_type",
    "mm_use_im_patch_token",
    "mm_use_im_start_end",
    "mm_vision_select_feature",
    "mm_vision_select_layer",
    "mm_vision_tower",
    "mm_vision_tower_aux",
    "optimize_vision_tower",
    "optimize_vision_tower_aux",
    "tokenizer_model_max_length",
    "tokenizer_padding_side",
    "tune_mm_mlp_adapter",
    "use_mm_proj",
}
"""Fields of a published config that are not the language model's own."""

FOREIGN_FIELDS = {"architectures", "model_type", "torch_dtype", "transformers_version"}
"""Fields that speak about the file and not about the model."""

# Patterns are matched against the whole key, the first that fits wins. A replacement of None drops the tensor.
MODEL_KEYS: list[tuple[str, str | None]] = [
    (r"model\.vision_tower\.vision_tower\.vision_model\.(.+)", r"vision.\1"),
    (r"model\.vision_tower_aux\.vision_(stem|stages)\.(.+)", r"timm.\1.\2"),
    (r"model\.vlm_uni_query_projector\.([01]\..+)", r"model.patch_info_mining.query_proj.\1"),
    (r"model\.vlm_uni_aux_projector\.([01]\..+)", r"model.patch_info_mining.key_proj.\1"),
    (r"model\.vlm_uni_val_projector\.([01]\..+)", r"model.patch_info_mining.value_proj.\1"),
    (r"model\.mm_projector\.(weight|bias)", r"model.multi_modal_projector.0.\1"),
    (r"model\.mm_projector\.(\d+\.(?:weight|bias))", r"model.multi_modal_projector.\1"),
    (r"model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq", None),  # computed; older Transformers stored it
    (r"model\.((?:embed_tokens|layers|norm)\..+)", r"model.language_model.\1"),
    (r"lm_head\.weight", "lm_head.weight"),
]
"""The keys of a published model."""

CLIP_KEYS: list[tuple[str, str | None]] = [
    (r"vision_model\.embeddings\.position_ids", None),  # computed; older Transformers stored it
    (r"vision_model\.(.+)", r"vision.\1"),
    (r"text_model\..+|logit_scale|text_projection\.weight|visual_projection\.weight", None),
]
"""The keys of a CLIP model of Transformers, the base of the low-resolution encoder."""

OPEN_CLIP_KEYS: list[tuple[str, str | None]] = [
    (r"visual\.trunk\.(stem|stages)\.(.+)", r"timm.\1.\2"),
    (r"visual\..+|transformer\..+|token_embedding\..+|ln_final\..+", None),
    (r"positional_embedding|text_projection|logit_scale|attn_mask", None),
]
"""The keys of an OpenCLIP model, the base of the high-resolution encoder."""

# What the three tables above call `vision.` and `timm.` …
VISION_KEYS: list[tuple[str, str | None]] = [
    (r"vision\.post_layernorm\..+", None),  # belongs to a pooling that is not used
    (r"vision\.(.+)", r"model.vision_tower.\1"),
]
TIMM_KEYS: list[tuple[str, str | None]] = [
    (r"timm\.stem\.0\.(.+)", r"embeddings.patch_embeddings.\1"),
    (r"timm\.stem\.1\.(.+)", r"embeddings.layernorm.\1"),
    (r"timm\.stages\.(\d+)\.downsample\.(.+)", r"encoder.stages.\1.downsampling_layer.\2"),
    (r"timm\.stages\.(\d+)\.blocks\.(\d+)\.conv_dw\.(.+)", r"encoder.stages.\1.layers.\2.dwconv.\3"),
    (r"timm\.stages\.(\d+)\.blocks\.(\d+)\.norm\.(.+)", r"encoder.stages.\1.layers.\2.layernorm.\3"),
    (r"timm\.stages\.(\d+)\.blocks\.(\d+)\.mlp\.fc([12])\.(.+)", r"encoder.stages.\1.layers.\2.pwconv\3.\4"),
    (r"timm\.stages\.(\d+)\.blocks\.(\d+)\.gamma", r"encoder.stages.\1.layers.\2.layer_scale_parameter"),
]

# Mixtral's experts are single matrices there and stacks here: gate (w1) above up (w3), and down (w2).
EXPERT_KEY = re.compile(r"(model\.language_model\.layers\.\d+)\.block_sparse_moe\.experts\.(\d+)\.(w[123])\.weight")
ROUTER_KEY = re.compile(r"(model\.language_model\.layers\.\d+)\.block_sparse_moe\.gate\.weight")


def translate(key: str, table: list[tuple[str, str | None]]) -> str | None:
    """Give our name of a tensor, or None where we have no use for it.

    Raises:
        ValueError: If the table does not know the key.
    """
    for pattern, replacement in table:
        match = re.fullmatch(pattern, key)
        if match is None:
            continue
        if replacement is None:
            return None
        ours = match.expand(replacement)
        if ours.startswith("vision."):
            return translate(ours, VISION_KEYS)
        if ours.startswith("timm."):
            return f"model.high_res_vision_tower.{translate(ours, TIMM_KEYS)}"
        return ours
    raise ValueError(f"no rule for the tensor {key!r}: this is not a layout that was published.")


def read_tensors(folder: Path) -> Iterator[tuple[str, Tensor]]:
    """Read the tensors of all weight files in a folder, one at a time, in the order of the files.

    Raises:
        FileNotFoundError: If there are none.
    """
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))
    if not files:
        raise FileNotFoundError(f"no .safetensors and no .bin file in {folder}: give the folder of a checkpoint.")
    for file in files:
        if file.suffix == ".safetensors":
            with safe_open(file, framework="pt") as tensors:
                for key in tensors.keys():  # noqa: SIM118 (not a mapping)
                    yield key, tensors.get_tensor(key)
        else:
            yield from torch.load(file, map_location="cpu", weights_only=True, mmap=True).items()


def high_res_fields(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Read a ConvNeXt's widths and depths off the shapes of its tensors, by our names.

    Published configs name their ConvNeXt by a path only, and what a name means is not to be guessed.
    """
    depthwise = re.compile(r"model\.high_res_vision_tower\.encoder\.stages\.(\d+)\.layers\.(\d+)\.dwconv\.weight")
    widths: dict[int, int] = {}
    depths: dict[int, int] = {}
    for key, shape in shapes.items():
        if match := depthwise.fullmatch(key):
            stage = int(match[1])
            widths[stage] = shape[0]
            depths[stage] = depths.get(stage, 0) + 1
    stages = sorted(widths)
    return {"hidden_sizes": [widths[s] for s in stages], "depths": [depths[s] for s in stages]}


def published_config(
    fields: Mapping[str, Any], vision_fields: Mapping[str, Any], high_res: Mapping[str, Any]
) -> MiniGeminiConfig:
    """Translate a published config.

    Args:
        fields: The published `config.json`.
        vision_fields: The `vision_config` of the base CLIP model.
        high_res: Widths and depths of the ConvNeXt, from `high_res_fields`.

    Raises:
        ValueError: If a field has a value that no published checkpoint has, or is missing.
    """
    if fields["model_type"] not in TEXT_MODEL_TYPES:
        raise ValueError(f"model_type is {fields['model_type']!r}; published are {', '.join(TEXT_MODEL_TYPES)}.")
    if fields["mm_vision_select_feature"] != "patch":
        raise ValueError(f"mm_vision_select_feature is {fields['mm_vision_select_feature']!r}; only 'patch' is known.")
    if fields["mm_use_im_start_end"] or fields["mm_use_im_patch_token"]:
        raise ValueError("mm_use_im_start_end or mm_use_im_patch_token is set, but no published checkpoint has those.")
    config = MiniGeminiConfig(
        vision_config=dict(vision_fields),
        high_res_vision_config={**high_res, "model_type": "convnext", "drop_path_rate": 0.1},
        text_config=text_config(fields),
        high_res_size=fields["image_size_aux"],
        grid_size=fields.get("image_grid", 1),  # the two may be absent: published before HD
        use_global_tile=fields.get("image_global", False),
        projector_depth=projector_depth(fields["mm_projector_type"]),
        vision_feature_layer=fields["mm_vision_select_layer"],
        image_token_id=fields["vocab_size"],  # the first id behind the vocabulary; the model embeds nothing there
    )
    for name, ours, theirs in (
        ("mm_hidden_size", config.vision_config.hidden_size, fields["mm_hidden_size"]),
        ("mm_hidden_size_aux", sum(config.high_res_vision_config.hidden_sizes), fields["mm_hidden_size_aux"]),
    ):
        if ours != theirs:
            raise ValueError(f"{name} is {theirs}, but the given encoder has {ours} channels: give the one it names.")
    return config


def text_config(fields: Mapping[str, Any]) -> PreTrainedConfig:
    """Take the language model's own fields out of a published config."""
    own = {name: value for name, value in fields.items() if name not in PUBLISHED_FIELDS | FOREIGN_FIELDS}
    model_type = TEXT_MODEL_TYPES[fields["model_type"]]
    if model_type == "gemma" and own["hidden_act"] == "gelu":
        # Published models compute the exact GELU; Transformers 5 takes Gemma's "gelu" for the tanh approximation,
        # and leaves this name alone.
        own["hidden_act"] = "gelu_python"
    own.setdefault("tie_word_embeddings", CONFIG_MAPPING[model_type]().tie_word_embeddings)
    return CONFIG_MAPPING[model_type](**own)


def projector_depth(name: str) -> int:
    """Count the Linears of `linear`, `identity` or `mlpKx_gelu`."""
    if match := re.fullmatch(r"mlp(\d+)x_gelu", name):
        return int(match[1])
    if name not in ("linear", "identity"):
        raise ValueError(f"mm_projector_type is {name!r}; known are 'linear', 'identity' and 'mlpKx_gelu'.")
    return 1 if name == "linear" else 0


def unused(key: str, config: MiniGeminiConfig) -> bool:
    """Tell whether a tensor, by our name, belongs to a ViT layer that is never run."""
    match = re.fullmatch(r"model\.vision_tower\.encoder\.layers\.(\d+)\..+", key)
    return match is not None and int(match[1]) >= config.vision_depth


def stack_experts(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Stack Mixtral's single expert matrices; other language models pass through unchanged."""
    result: dict[str, Tensor] = {}
    experts: dict[str, dict[tuple[int, str], Tensor]] = {}
    for key, tensor in tensors.items():
        if match := EXPERT_KEY.fullmatch(key):
            experts.setdefault(match[1], {})[int(match[2]), match[3]] = tensor
        elif match := ROUTER_KEY.fullmatch(key):
            result[f"{match[1]}.mlp.gate.weight"] = tensor
        else:
            result[key] = tensor
    for layer, parts in experts.items():
        count = 1 + max(index for index, _ in parts)
        gate_up = [torch.cat([parts[index, "w1"], parts[index, "w3"]]) for index in range(count)]
        result[f"{layer}.mlp.experts.gate_up_proj"] = torch.stack(gate_up)
        result[f"{layer}.mlp.experts.down_proj"] = torch.stack([parts[index, "w2"] for index in range(count)])
    return result


def load_published(folder: Path, low_res_encoder: Path, high_res_encoder: Path) -> MiniGeminiForConditionalGeneration:
    """Build a model from a published checkpoint, in memory.

    The ViT comes from the checkpoint where it has one, the ConvNeXt only where its config says that it was tuned;
    otherwise they come from the base encoders.

    Args:
        folder: The checkpoint: `config.json` and weights.
        low_res_encoder: The base CLIP model: `config.json` and weights.
        high_res_encoder: The base OpenCLIP model: weights.

    Raises:
        ValueError: If a tensor or a field is unknown, missing, or of another shape.
    """
    fields = json.loads((folder / "config.json").read_text())
    tensors = {
        ours: tensor
        for encoder, table in ((low_res_encoder, CLIP_KEYS), (high_res_encoder, OPEN_CLIP_KEYS))
        for key, tensor in read_tensors(encoder)
        if (ours := translate(key, table)) is not None
    }
    for key, tensor in read_tensors(folder):
        ours = translate(key, MODEL_KEYS)
        untuned = ours is not None and ours.startswith("model.high_res_vision_tower.")
        if ours is not None and not (untuned and not fields["optimize_vision_tower_aux"]):
            tensors[ours] = tensor
    vision_fields = json.loads((low_res_encoder / "config.json").read_text())["vision_config"]
    high_res = high_res_fields({key: tuple(tensor.shape) for key, tensor in tensors.items()})
    config = published_config(fields, vision_fields, high_res)
    tensors = stack_experts({key: tensor for key, tensor in tensors.items() if not unused(key, config)})
    if config.tie_word_embeddings:
        tensors.pop("lm_head.weight", None)
    loaded: Any = MiniGeminiForConditionalGeneration.from_pretrained(
        None, config=config, state_dict=tensors, dtype=getattr(torch, fields["torch_dtype"]), output_loading_info=True
    )
    model, report = loaded
    if wrong := {name: sorted(map(str, keys)) for name, keys in report.items() if keys}:
        raise ValueError(f"the checkpoint in {folder} does not fit its config: {wrong}")
    return model
