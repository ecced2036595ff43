"""The kinds of encoders that the model knows; see `encoders`.

Shape legend: B images, H and W sides in pixels, N tokens, C channels, C_s channels of the map with stride s.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from einops import rearrange
from torch import Tensor, nn

from .efficientnet_lite import STAGE_STRIDES
from .encoders import EncoderKind, FeatureMap, build_module

ConfigNumber = Callable[[Any], int]


@dataclass(frozen=True)
class VisionTransformer(EncoderKind):
    """A ViT, whose patches are tokens and whose map is their grid.

    The features of a layer are what leaves it. Those of the last one include the final norm where the ViT has one.

    Args:
        layers: Name of the list of layers.
        final_norm: Name of the norm after the last layer.
        prefix_tokens: Number of tokens before those of patches: class and register tokens.
        norm_is_pooling: Whether the final norm belongs to pooling, and is never applied to patches.
        unused: Names of parts that patches do not need: pooling heads, and mask tokens of pretraining.
        interpolates: Whether other image sizes than the config's must be requested explicitly.
    """

    layers: str
    final_norm: str
    prefix_tokens: ConfigNumber = lambda config: 0
    norm_is_pooling: bool = False
    unused: tuple[str, ...] = ()
    interpolates: bool = False

    def maps(self, config: Any) -> tuple[FeatureMap, ...]:
        return (FeatureMap(config.hidden_size, config.patch_size),)

    def num_layers(self, config: Any) -> int:
        return config.num_hidden_layers

    def size_multiple(self, config: Any) -> int:
        return config.patch_size

    def build(self, config: Any) -> nn.Module:
        return self.build_for_tokens(config, config.num_hidden_layers)

    def build_for_tokens(self, config: Any, layer: int) -> nn.Module:
        tower = build_module(config)
        owner, _, name = self.layers.rpartition(".")
        setattr(tower.get_submodule(owner), name, tower.get_submodule(self.layers)[:layer])
        if self.norm_is_pooling or layer < config.num_hidden_layers:
            setattr(tower, self.final_norm, nn.Identity())
        for part in self.unused:
            owner, _, name = part.rpartition(".")
            setattr(tower.get_submodule(owner), name, None)
        return tower

    def encode(self, tower: Any, pixels: Tensor) -> list[Tensor]:
        height = pixels.shape[-2] // tower.config.patch_size
        return [rearrange(self.encode_tokens(tower, pixels), "b (h w) c -> b c h w", h=height)]

    def encode_tokens(self, tower: Any, pixels: Tensor) -> Tensor:
        sizes = (tower.config.image_size,) * 2
        resized = {"interpolate_pos_encoding": True} if self.interpolates and pixels.shape[-2:] != sizes else {}
        states = tower(pixels, return_dict=True, **resized).last_hidden_state
        return states[:, self.prefix_tokens(tower.config) :]

    def tunable(self, config: Any, layer: int | None = None) -> str:
        """The upper half of the layers."""
        depth = config.num_hidden_layers if layer is None else layer
        return rf"{re.escape(self.layers)}\.({'|'.join(map(str, range(depth // 2, depth)))})\."


class ConvNext(EncoderKind):
    """A ConvNeXt of Transformers: four stages, each of half the resolution of the one before."""

    final_norm = "layernorm"
    stages = "encoder.stages"

    def maps(self, config: Any) -> tuple[FeatureMap, ...]:
        stem = getattr(config, "patch_size", 4)
        return tuple(FeatureMap(dim, stem << stage) for stage, dim in enumerate(config.hidden_sizes))

    def build(self, config: Any) -> nn.Module:
        tower = build_module(config)
        setattr(tower, self.final_norm, nn.Identity())  # only used for pooled outputs
        return tower

    def encode(self, tower: Any, pixels: Tensor) -> list[Tensor]:
        outputs = tower(pixels, output_hidden_states=True, return_dict=True)
        return list(outputs.hidden_states[-len(tower.config.hidden_sizes) :])

    def tunable(self, config: Any, layer: int | None = None) -> str:
        """The last block of each stage."""
        last = "|".join(rf"{stage}\.layers\.{depth - 1}" for stage, depth in enumerate(config.depths))
        return rf"encoder\.stages\.({last})\."


class EfficientNetLite(EncoderKind):
    """EfficientNet-Lite: tokens from the last map, which its classifier reads, and stage maps for mining."""

    def maps(self, config: Any) -> tuple[FeatureMap, ...]:
        return tuple(map(FeatureMap, config.hidden_sizes, STAGE_STRIDES))

    def build(self, config: Any) -> nn.Module:
        tower = build_module(config)
        tower.head = nn.Identity()
        return tower

    def encode(self, tower: Any, pixels: Tensor) -> list[Tensor]:
        return list(tower(pixels, return_dict=True).hidden_states)

    def token_map(self, config: Any) -> FeatureMap:
        return FeatureMap(config.hidden_size, STAGE_STRIDES[-1])

    def build_for_tokens(self, config: Any, layer: int) -> nn.Module:
        return build_module(config)

    def encode_tokens(self, tower: Any, pixels: Tensor) -> Tensor:
        return rearrange(tower(pixels, return_dict=True).last_hidden_state, "b c h w -> b (h w) c")

    def tunable(self, config: Any, layer: int | None = None) -> str:
        """The last block of each stage, and what follows."""
        return rf"blocks\.({'|'.join(str(end - 1) for end in config.stage_ends)})\.|head\."


KINDS: dict[str, EncoderKind] = {
    "clip_vision_model": VisionTransformer(
        "encoder.layers", "post_layernorm", lambda config: 1, norm_is_pooling=True, interpolates=True
    ),
    "convnext": ConvNext(),
    "efficientnet_lite": EfficientNetLite(),
}
"""Kinds of encoders by the `model_type` of their configs."""
