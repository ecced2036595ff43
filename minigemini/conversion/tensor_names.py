"""Translate tensor names from the paper's authors, CLIP, OpenCLIP, timm and Transformers to ours.

Each table is a list of rules. A pattern must match the whole key, and the first match wins. A rule gives our name, or
a `Drop` with the reason why the tensor is not used.
"""

import re
from dataclasses import dataclass

from ..io.connector import CONNECTOR_PARTS


@dataclass(frozen=True)
class Drop:
    """A known tensor that is not used."""

    why: str


Rules = list[tuple[str, str | Drop]]

COMPUTED = Drop("computed, not stored")
OTHER_HALF = Drop("not part of the encoder")
POOLING = Drop("belongs to pooling, which is not used")

VIT = "model.vision_tower"
CONVNEXT = "model.high_res_vision_tower"


def with_prefix(prefix: str, rules: Rules) -> Rules:
    """Return the same rules for keys with a prefix, which is a pattern."""
    return [(prefix + pattern, ours) for pattern, ours in rules]


_VIT: Rules = [
    (r"embeddings\.position_ids", COMPUTED),  # stored by older Transformers
    (r"post_layernorm\..+", POOLING),
    (r"((?:embeddings|pre_layrnorm|encoder)\..+)", rf"{VIT}.\1"),
]
_TIMM_TRUNK: Rules = [
    (r"stem\.0\.(.+)", rf"{CONVNEXT}.embeddings.patch_embeddings.\1"),
    (r"stem\.1\.(.+)", rf"{CONVNEXT}.embeddings.layernorm.\1"),
    (r"stages\.(\d+)\.downsample\.(.+)", rf"{CONVNEXT}.encoder.stages.\1.downsampling_layer.\2"),
    (r"stages\.(\d+)\.blocks\.(\d+)\.conv_dw\.(.+)", rf"{CONVNEXT}.encoder.stages.\1.layers.\2.dwconv.\3"),
    (r"stages\.(\d+)\.blocks\.(\d+)\.norm\.(.+)", rf"{CONVNEXT}.encoder.stages.\1.layers.\2.layernorm.\3"),
    (r"stages\.(\d+)\.blocks\.(\d+)\.mlp\.fc([12])\.(.+)", rf"{CONVNEXT}.encoder.stages.\1.layers.\2.pwconv\3.\4"),
    (r"stages\.(\d+)\.blocks\.(\d+)\.gamma", rf"{CONVNEXT}.encoder.stages.\1.layers.\2.layer_scale_parameter"),
]
_CONNECTOR: Rules = [
    (r"vlm_uni_query_projector\.([01]\..+)", r"model.patch_info_mining.query_proj.\1"),
    (r"vlm_uni_aux_projector\.([01]\..+)", r"model.patch_info_mining.key_proj.\1"),
    (r"vlm_uni_val_projector\.([01]\..+)", r"model.patch_info_mining.value_proj.\1"),
    (r"mm_projector\.(weight|bias)", r"model.multi_modal_projector.0.\1"),
    (r"mm_projector\.(\d+\.(?:weight|bias))", r"model.multi_modal_projector.\1"),
]
_PUBLISHED_PARTS: Rules = [
    *_CONNECTOR,
    *with_prefix(r"vision_tower\.vision_tower\.vision_model\.", _VIT),
    *with_prefix(r"vision_tower_aux\.vision_", _TIMM_TRUNK),
]

CLIP_KEYS: Rules = [
    *with_prefix(r"(?:vision_model\.)?", _VIT),
    (r"text_model\..+|logit_scale|text_projection\.weight|visual_projection\.weight", OTHER_HALF),
]
"""CLIP models and CLIP vision models of Transformers, the low-resolution encoder's base."""

CONVNEXT_KEYS: Rules = [
    *with_prefix(r"(?:visual\.trunk\.)?", _TIMM_TRUNK),
    (r"(?:convnext\.)?((?:embeddings|encoder)\..+)", rf"{CONVNEXT}.\1"),
    (r"(?:convnext\.)?layernorm\..+|(?:visual\.trunk\.)?(?:head|norm_pre)\..+|classifier\..+", POOLING),
    (r"visual\..+|transformer\..+|token_embedding\..+|ln_final\..+", OTHER_HALF),
    (r"positional_embedding|text_projection|logit_scale|attn_mask", OTHER_HALF),
]
"""ConvNeXts of OpenCLIP (`visual.trunk.…`), timm (no prefix) and Transformers, the high-resolution encoder's base."""

PUBLISHED_KEYS: Rules = [
    *with_prefix(r"model\.", _PUBLISHED_PARTS),
    (r"model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq", COMPUTED),  # stored by older Transformers
    (r"model\.((?:embed_tokens|layers|norm)\..+)", r"model.language_model.\1"),
    (r"lm_head\.weight", "lm_head.weight"),
]
"""Published models. Names inside the language model stay: Transformers stacks Mixtral's experts when it loads them, and
splits them when it saves."""

STAGE_1_KEYS: Rules = [
    *with_prefix(r"(?:\w+\.)*?", _PUBLISHED_PARTS),  # any prefix left by the training wrapper
    (rf"(model\.(?:{'|'.join(CONNECTOR_PARTS)})\..+)", r"\1"),
]
"""Stage-1 files: the connector and tuned encoders under published names, or the connector under our names."""


def translate(key: str, rules: Rules) -> str | Drop:
    """Return our name of a tensor, or the reason why it is not used.

    Raises:
        ValueError: No rule matches the key.
    """
    for pattern, ours in rules:
        if match := re.fullmatch(pattern, key):
            return ours if isinstance(ours, Drop) else match.expand(ours)
    raise ValueError(f"no rule for the tensor {key!r}")
