"""Configurations of small high-resolution encoders of several kinds, for training from random weights.

With equal `width` they take about as many multiplications for an image. Kinds with batch norms (ResNet, HGNet V2,
EfficientNet-Lite) are not among them: a run's checkpoints hold parameters, not running statistics.
"""

from collections.abc import Callable

from transformers import ConvNextConfig, ConvNextV2Config, DINOv3ViTConfig, PreTrainedConfig, SwinConfig

from .pretraining_recipe import HighResKind

_DEPTHS = [2, 2, 4, 2]


def high_res_config(width: int, kind: HighResKind = "convnext") -> PreTrainedConfig:
    """Return the configuration of a high-resolution encoder.

    Args:
        width: channels of the first stage, which each stage doubles; a ViT has four times as many.
        kind: one of `KINDS`.
    """
    return KINDS[kind](width)


def _convnext(width: int) -> PreTrainedConfig:
    return ConvNextConfig(hidden_sizes=_stages(width), depths=_DEPTHS, layer_scale_init_value=1.0, drop_path_rate=0.0)


def _convnext_v2(width: int) -> PreTrainedConfig:
    return ConvNextV2Config(hidden_sizes=_stages(width), depths=_DEPTHS, drop_path_rate=0.0)


def _swin(width: int) -> PreTrainedConfig:
    heads = [max(1, channels // 12) for channels in _stages(width)]
    return SwinConfig(embed_dim=width, depths=[2, 2, 2, 2], num_heads=heads, window_size=8, drop_path_rate=0.0)


def _vit(width: int) -> PreTrainedConfig:
    """A ViT with rotary positions, which any size of images has."""
    return DINOv3ViTConfig(
        hidden_size=4 * width,
        intermediate_size=16 * width,
        num_hidden_layers=6,
        num_attention_heads=width // 6,
        patch_size=16,
        pos_embed_rescale=None,
    )


def _stages(width: int) -> list[int]:
    return [width * 2**stage for stage in range(4)]


KINDS: dict[HighResKind, Callable[[int], PreTrainedConfig]] = {
    "convnext": _convnext,
    "convnextv2": _convnext_v2,
    "swin": _swin,
    "dinov3_vit": _vit,
}
"""Functions that build the configuration of a width, by `model_type`."""
