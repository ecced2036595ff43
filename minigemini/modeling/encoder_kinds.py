"""The kinds of encoders that the model knows; see `encoders`.

Shape legend: B images, H and W sides in pixels, N tokens, C channels, C_s channels of the map with stride s.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
import transformers
from einops import rearrange
from torch import Tensor, nn

from .checkpointed_blocks import support_checkpointing
from .efficientnet_lite import STAGE_STRIDES
from .encoder_mixture import EncoderMixture
from .encoders import EncoderKind, FeatureMap, build_module

ConfigNumber = Callable[[Any], int]


# Functions with names, because models are pickled with their kinds.
def _no_tokens(config: Any) -> int:
    return 0


def _class_token(config: Any) -> int:
    return 1


def _registers(config: Any) -> int:
    """The class token and the registers."""
    return 1 + config.num_register_tokens


@dataclass(frozen=True)
class VisionTransformer(EncoderKind):
    """A ViT, whose patches are tokens and whose map is their grid.

    The features of a layer are what leaves it. Those of the last one include the final norm where the ViT has one.

    Args:
        layers: Name of the list of layers.
        final_norm: Name of the norm after the last layer.
        prefix_tokens: Number of tokens before those of patches: class and register tokens.
        norm_is_pooling: Whether the final norm belongs to pooling, and is never applied to patches.
        pooling: Name of the pooling head, which patches do not need; "" if there is none.
        has_mask_token: Whether the embeddings have a mask token, which only pretraining uses.
        interpolates: Whether other image sizes than the config's must be requested explicitly.
        model_class: Name of the class in Transformers, if `AutoModel` does not know it.
    """

    layers: str
    final_norm: str
    prefix_tokens: ConfigNumber = _no_tokens
    norm_is_pooling: bool = False
    pooling: str = ""
    has_mask_token: bool = False
    interpolates: bool = False
    model_class: str = ""

    def maps(self, config: Any) -> tuple[FeatureMap, ...]:
        return (FeatureMap(config.hidden_size, config.patch_size),)

    def num_layers(self, config: Any) -> int:
        return config.num_hidden_layers

    def size_multiple(self, config: Any) -> int:
        return config.patch_size

    def build(self, config: Any) -> nn.Module:
        return self.build_for_tokens(config, config.num_hidden_layers)

    def build_for_tokens(self, config: Any, layer: int) -> nn.Module:
        tower = build_module(config, getattr(transformers, self.model_class) if self.model_class else None)
        owner, _, name = self.layers.rpartition(".")
        setattr(tower.get_submodule(owner), name, tower.get_submodule(self.layers)[:layer])
        if self.norm_is_pooling or layer < config.num_hidden_layers:
            setattr(tower, self.final_norm, nn.Identity())
        if self.pooling and getattr(tower, f"use_{self.pooling}"):
            delattr(tower, self.pooling)
            setattr(tower, f"use_{self.pooling}", False)
        if self.has_mask_token:
            # No parameter, so that it is neither trained nor saved; Transformers still sets it to zero.
            mask_token = torch.zeros_like(tower.embeddings.mask_token)
            del tower.embeddings.mask_token
            tower.embeddings.register_buffer("mask_token", mask_token, persistent=False)
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


class Siglip2NaFlex(VisionTransformer):
    """SigLIP 2 for any shape. It takes patches; here all images of a batch have one shape, so nothing is padded."""

    def image_size(self, config: Any) -> int:
        return math.isqrt(config.num_patches) * config.patch_size

    def encode_tokens(self, tower: Any, pixels: Tensor) -> Tensor:
        patch = tower.config.patch_size
        patches = rearrange(pixels, "b c (h p) (w q) -> b (h w) (p q c)", p=patch, q=patch)
        shape = pixels.shape[-2] // patch, pixels.shape[-1] // patch
        states = tower.embeddings.patch_embedding(patches.to(tower.dtype)) + self._positions(tower.embeddings, shape)
        return tower.post_layernorm(tower.encoder(inputs_embeds=states, attention_mask=None).last_hidden_state)

    @staticmethod
    def _positions(embeddings: Any, shape: tuple[int, int]) -> Tensor:
        """Resize the position embeddings to a shape, as the model does for each image of a batch: (h·w, C)."""
        weight = embeddings.position_embedding.weight
        grid = rearrange(weight, "(h w) c -> 1 c h w", h=embeddings.position_embedding_size).float()
        resized = nn.functional.interpolate(grid, shape, mode="bilinear", align_corners=False, antialias=True)
        return rearrange(resized, "1 c h w -> (h w) c").to(weight.dtype)


@dataclass(frozen=True)
class ConvNext(EncoderKind):
    """A ConvNeXt, whose stages halve the map of the one before.

    Args:
        stem: Name of the part before the stages; "" if there is none.
        stages: Name of the list of stages.
        final_norm: Name of the norm that only pooled outputs use.
    """

    stem: str = "embeddings"
    stages: str = "encoder.stages"
    final_norm: str = "layernorm"

    def maps(self, config: Any) -> tuple[FeatureMap, ...]:
        stem = getattr(config, "patch_size", 4)  # DINOv3's is always 4
        return tuple(FeatureMap(dim, stem << stage) for stage, dim in enumerate(config.hidden_sizes))

    def build(self, config: Any) -> nn.Module:
        tower = build_module(config)
        setattr(tower, self.final_norm, nn.Identity())
        for stage in tower.get_submodule(self.stages):
            support_checkpointing(stage.layers)
        return tower

    def encode(self, tower: Any, pixels: Tensor) -> list[Tensor]:
        # Not by output_hidden_states: Transformers then installs hooks in the first call, which torch.compile refuses.
        states, maps = tower.get_submodule(self.stem)(pixels) if self.stem else pixels, []
        for stage in tower.get_submodule(self.stages):
            states = stage(states)
            maps.append(states)
        return maps

    def tunable(self, config: Any, layer: int | None = None) -> str:
        """The last block of each stage."""
        last = "|".join(rf"{stage}\.layers\.{depth - 1}" for stage, depth in enumerate(config.depths))
        return rf"{re.escape(self.stages)}\.({last})\."


class Swin(EncoderKind):
    """A Swin Transformer or Swin V2: the map of each stage before it is merged for the next one."""

    def maps(self, config: Any) -> tuple[FeatureMap, ...]:
        stages = range(len(config.depths))
        return tuple(FeatureMap(config.embed_dim << stage, config.patch_size << stage) for stage in stages)

    def build(self, config: Any) -> nn.Module:
        tower = build_module(config)
        tower.layernorm = nn.Identity()  # only used for pooled outputs
        return tower

    def encode(self, tower: Any, pixels: Tensor) -> list[Tensor]:
        states, shape = tower.embeddings(pixels)
        # As in its detection models: maps smaller than a window are padded to one, not given smaller windows.
        options = {"always_partition": True} if tower.config.model_type == "swin" else {}
        outputs = tower.encoder(
            states, shape, output_hidden_states=True, output_hidden_states_before_downsampling=True, **options
        )
        return list(outputs.reshaped_hidden_states[1:])

    def tunable(self, config: Any, layer: int | None = None) -> str:
        """The last block of each stage."""
        last = "|".join(rf"{stage}\.blocks\.{depth - 1}" for stage, depth in enumerate(config.depths))
        return rf"encoder\.layers\.({last})\."


class ResNet(EncoderKind):
    """A ResNet."""

    def maps(self, config: Any) -> tuple[FeatureMap, ...]:
        first = 8 if config.downsample_in_first_stage else 4
        return tuple(FeatureMap(dim, first << stage) for stage, dim in enumerate(config.hidden_sizes))

    def build(self, config: Any) -> nn.Module:
        return build_module(config)

    def encode(self, tower: Any, pixels: Tensor) -> list[Tensor]:
        outputs = tower.encoder(tower.embedder(pixels), output_hidden_states=True)
        return list(outputs.hidden_states[1:])

    def tunable(self, config: Any, layer: int | None = None) -> str:
        """The last block of each stage."""
        last = "|".join(rf"{stage}\.layers\.{depth - 1}" for stage, depth in enumerate(config.depths))
        return rf"encoder\.stages\.({last})\."


class HGNetV2(ResNet):
    """HGNet V2, the backbone of RT-DETR V2 and D-FINE."""

    def maps(self, config: Any) -> tuple[FeatureMap, ...]:
        stride = math.prod(config.stem_strides)
        maps = []
        for dim, is_smaller, step in zip(
            config.stage_out_channels, config.stage_downsample, config.stage_downsample_strides, strict=True
        ):
            stride *= step if is_smaller else 1
            maps.append(FeatureMap(dim, stride))
        return tuple(maps)

    def tunable(self, config: Any, layer: int | None = None) -> str:
        """The last block of each stage."""
        last = "|".join(rf"{stage}\.blocks\.{blocks - 1}" for stage, blocks in enumerate(config.stage_num_blocks))
        return rf"encoder\.stages\.({last})\."


class Timm(EncoderKind):
    """A model of timm, by its name in `backbone`; `out_indices` selects its maps. Needs timm."""

    def maps(self, config: Any) -> tuple[FeatureMap, ...]:
        return _timm_maps(config.backbone, tuple(config.out_indices), config.output_stride)

    def build(self, config: Any) -> nn.Module:
        require_timm()
        return build_module(config)

    def encode(self, tower: Any, pixels: Tensor) -> list[Tensor]:
        return list(tower(pixels, return_dict=True).feature_maps)


@cache
def _timm_maps(name: str, indices: tuple[int, ...], output_stride: int | None) -> tuple[FeatureMap, ...]:
    """Channels and strides of a timm model's maps, which only the model itself knows."""
    require_timm()
    # By name, because an import statement would make timm a requirement of code that is loaded from a hub.
    timm: Any = import_module("timm")

    with torch.device("meta"):
        model = timm.create_model(name, features_only=True, out_indices=indices, output_stride=output_stride)
    return tuple(map(FeatureMap, model.feature_info.channels(), model.feature_info.reduction()))


def require_timm() -> None:
    """Check that timm is there.

    Raises:
        ImportError: It is not.
    """
    if find_spec("timm") is None:
        raise ImportError("encoders of timm need it: pip install 'minigemini[timm]'")


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


_CLIP = VisionTransformer("encoder.layers", "post_layernorm", _class_token, norm_is_pooling=True, interpolates=True)
KINDS: dict[str, EncoderKind] = {
    "clip_vision_model": _CLIP,
    "metaclip_2_vision_model": replace(_CLIP, model_class="MetaClip2VisionModel"),
    "siglip_vision_model": VisionTransformer("encoder.layers", "post_layernorm", pooling="head", interpolates=True),
    "siglip2_vision_model": Siglip2NaFlex("encoder.layers", "post_layernorm", pooling="head"),
    "dinov2": VisionTransformer("encoder.layer", "layernorm", _class_token, has_mask_token=True),
    "dinov2_with_registers": VisionTransformer("encoder.layer", "layernorm", _registers, has_mask_token=True),
    "dinov3_vit": VisionTransformer("model.layer", "norm", _registers, has_mask_token=True),
    "convnext": ConvNext(),
    "convnextv2": ConvNext(),
    "dinov3_convnext": ConvNext(stem="", stages="model.stages", final_norm="layer_norm"),
    "swin": Swin(),
    "swinv2": Swin(),
    "resnet": ResNet(),
    "hgnet_v2": HGNetV2(),
    "efficientnet_lite": EfficientNetLite(),
    "timm_backbone": Timm(),
    "encoder_mixture": EncoderMixture(),
}
"""Kinds of encoders by the `model_type` of their configs."""
