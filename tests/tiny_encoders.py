"""A tiny config of each kind of encoder."""

from typing import Any

VIT: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "image_size": 16,
    "patch_size": 8,
}
STAGES: dict[str, Any] = {"hidden_sizes": [4, 8, 8, 16], "depths": [1, 1, 2, 1]}
SWIN: dict[str, Any] = {"embed_dim": 8, "depths": [1, 2, 1, 1], "num_heads": [1, 1, 2, 2], "window_size": 4}

VITS: dict[str, dict[str, Any]] = {
    "clip_vision_model": VIT,
    "metaclip_2_vision_model": VIT,
    "siglip_vision_model": VIT,
    "siglip2_vision_model": {**VIT, "num_patches": 4},
    "dinov2": VIT,
    "dinov2_with_registers": {**VIT, "num_register_tokens": 3},
    "dinov3_vit": {**VIT, "num_register_tokens": 3},
}
del VITS["siglip2_vision_model"]["image_size"]  # it has none: its position embeddings are those of num_patches
BACKBONES: dict[str, dict[str, Any]] = {
    "convnext": STAGES,
    "convnextv2": STAGES,
    "dinov3_convnext": STAGES,
    "swin": SWIN,
    "swinv2": SWIN,
    "resnet": {**STAGES, "embedding_size": 4, "layer_type": "basic"},
    "hgnet_v2": {
        "stem_channels": [3, 4, 8],
        "stage_in_channels": [8, 8, 16, 16],
        "stage_mid_channels": [4, 4, 4, 4],
        "stage_out_channels": [8, 16, 16, 32],
        "stage_numb_of_layers": [1, 1, 1, 1],
        "stage_num_blocks": [1, 1, 2, 1],
        "hidden_sizes": [8, 16, 16, 32],
        "embedding_size": 8,
        "depths": [1, 1, 2, 1],
    },
    "efficientnet_lite": {"width_coefficient": 0.25, "image_size": 64},
}


def encoder(model_type: str, **changes: Any) -> dict[str, Any]:
    """The tiny config of a kind, as a dictionary."""
    return {"model_type": model_type, **{**VITS, **BACKBONES}[model_type], **changes}


def low_res(model_type: str) -> dict[str, Any]:
    """Fields of a model's config with this low-resolution encoder: tiles of 2 x 2 tokens."""
    if model_type in VITS:
        return {"vision_config": encoder(model_type)}
    return {"vision_config": encoder(model_type), "vision_image_size": 64, "high_res_size": 64}


def high_res(*model_types: str) -> dict[str, Any]:
    """Fields of a model's config with these high-resolution encoders."""
    encoders = [encoder(model_type) for model_type in model_types]
    return {"high_res_vision_config": encoders if len(encoders) > 1 else encoders[0], "high_res_size": 64}
