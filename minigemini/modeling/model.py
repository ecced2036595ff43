"""The Mini-Gemini model: two image encoders, patch info mining, a projector and a causal language model.

Shape legend:
    B    images
    g    tiles per side of the grid
    t    tiles per image, including the global tile: g² or g² + 1
    lr   side of one low-resolution tile in pixels
    hr   side of the high-resolution image in pixels
    n    patches per side of a tile
    N    low-resolution tokens per tile, n²
    C    low-resolution channels
    C_s  channels of the high-resolution map with stride s
    D    hidden size of the language model
"""

import math
from typing import Any, Self, cast

import torch
from einops import rearrange
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedModel
from transformers import initialization as init
from transformers.utils import can_return_tuple

from .configuration import MiniGeminiConfig
from .encoders import kind_of
from .outputs import CACHE, MiniGeminiImageFeatures, MiniGeminiModelOutputWithPast
from .patch_info_mining import PatchInfoMining
from .recorded_outputs import recorded_outputs
from .visual_vocabulary import VisualVocabulary, VisualWords


class MiniGeminiPreTrainedModel(PreTrainedModel):
    """Base class that handles weight initialization, loading and saving."""

    config_class = MiniGeminiConfig
    config: MiniGeminiConfig
    base_model_prefix = "model"
    input_modalities = ["image", "text"]  # noqa: RUF012
    supports_gradient_checkpointing = True
    _no_split_modules = ["PatchInfoMining"]  # noqa: RUF012
    _skip_keys_device_placement = [CACHE]  # noqa: RUF012
    _supports_flash_attn = True
    _supports_sdpa = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True

    def set_attn_implementation(self, attn_implementation: str | dict[str, Any], *args: Any, **kwargs: Any) -> None:
        """Set the attention implementation; one name for the whole model skips encoders without exchangeable attention.

        Transformers would refuse it, because a ConvNeXt, for example, has no attention.
        """
        if isinstance(attn_implementation, str):
            parts = ["", "text_config"]
            towers = {"vision_config": "vision_tower", "high_res_vision_config": "high_res_vision_tower"}
            for module in self.modules():
                if isinstance(module, MiniGeminiModel):
                    parts += [name for name, tower in towers.items() if _has_attention(getattr(module, tower))]
            attn_implementation = dict.fromkeys(parts, attn_implementation)
        super().set_attn_implementation(attn_implementation, *args, **kwargs)

    @classmethod
    def is_custom_code(cls) -> bool:
        """Whether weights are initialized otherwise than by `transformers.initialization`.

        Transformers assumes it of classes outside of it, and then leaves buffers of language models that no file
        contains, such as the multipliers of Falcon-H1, without values when a model is loaded.
        """
        return False

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, VisualWords):
            init.normal_(module.embeddings, std=0.02)


def _has_attention(tower: nn.Module | None) -> bool:
    """Whether the attention implementation of an encoder can be chosen."""
    return isinstance(tower, PreTrainedModel) and tower._supports_sdpa


def _on_device_of(tower: PreTrainedModel, pixels: Tensor) -> Tensor:
    """Move pixels to an encoder that `device_map` keeps elsewhere; weights that are offloaded come to the pixels."""
    return pixels if tower.device.type == "meta" else pixels.to(tower.device)


class MiniGeminiProjector(nn.Sequential):
    """Map C to D with `projector_depth` linear layers and exact GELUs between them."""

    def __init__(self, config: MiniGeminiConfig):
        width, hidden = config.token_map.channels, config.text_config.hidden_size
        layers: list[nn.Module] = []
        for depth in range(config.projector_depth):
            layers += [nn.GELU()] if depth else []
            layers += [nn.Linear(hidden if depth else width, hidden)]
        super().__init__(*layers)


def build_projector(config: MiniGeminiConfig) -> MiniGeminiProjector | VisualVocabulary:
    """Build the projector that a config describes, with torch's initial weights."""
    if config.projector_type == "mlp":
        return MiniGeminiProjector(config)
    return VisualVocabulary(config.token_map.channels, config.text_config.hidden_size, config.word_groups)


class MiniGeminiModel(MiniGeminiPreTrainedModel):
    """Mini-Gemini without the language modeling head.

    Raises:
        ValueError: The parts of the config are inconsistent.
    """

    def __init__(self, config: MiniGeminiConfig):
        super().__init__(config)
        config.check()  # it may have been edited since it was created

        # 1. The low-resolution encoder, as deep as its features are taken.
        self.low_res_kind = kind_of(config.vision_config)
        self.vision_tower: Any = self.low_res_kind.build_for_tokens(config.vision_config, config.vision_depth)

        # 2. The high-resolution encoder and mining; the baseline has neither.
        self.high_res_vision_tower: Any = None
        self.patch_info_mining: PatchInfoMining | None = None
        if config.high_res_vision_config is not None:
            self.high_res_kind = kind_of(config.high_res_vision_config)
            self.high_res_vision_tower = self.high_res_kind.build(config.high_res_vision_config)
            self.patch_info_mining = PatchInfoMining(
                config.token_map.channels,
                [feature_map.channels for feature_map in config.high_res_maps],
                eps=config.mining_eps,
            )

        # 3. The projector and the language model.
        self.multi_modal_projector = build_projector(config)
        self.language_model = AutoModel.from_config(config.text_config)
        # Gemma scales its input embeddings, including visual tokens, by sqrt(D). Transformers 5 applies the factor in
        # the embedding layer, which visual tokens bypass. It is stored here because servers may replace that layer.
        embeddings = self.get_input_embeddings()
        self.embed_scale = float(getattr(embeddings, "scalar_embed_scale", getattr(embeddings, "embed_scale", 1.0)))
        self.post_init()

    def train(self, mode: bool = True) -> Self:
        """Set the training mode; frozen encoders stay in evaluation mode, so that their batch norms do not change."""
        super().train(mode)
        for tower in (self.vision_tower, self.high_res_vision_tower):
            if tower is not None and not any(parameter.requires_grad for parameter in tower.parameters()):
                tower.eval()
        return self

    def cut_tiles(self, pixel_values: Tensor) -> Tensor:
        """Split images (B, 3, g·lr, g·lr) into tiles (B, t, 3, lr, lr): the global tile, then the grid row by row."""
        grid, side = self.config.grid_size, self.config.low_res_size
        if pixel_values.ndim != 4 or tuple(pixel_values.shape[2:]) != (side, side):
            raise ValueError(
                f"pixel_values have shape {tuple(pixel_values.shape)}, but grid_size={grid} with tiles of "
                f"{self.config.tile_size} pixels requires (images, 3, {side}, {side}): use the model's own processor."
            )
        tiles = rearrange(pixel_values, "b c (i h) (j w) -> b (i j) c h w", i=grid, j=grid)
        if not self.config.use_global_tile:
            return tiles
        size = (self.config.tile_size, self.config.tile_size)
        global_tile = nn.functional.interpolate(pixel_values.float(), size=size, mode="bilinear", align_corners=False)
        return torch.cat([global_tile.to(tiles.dtype)[:, None], tiles], dim=1)

    def get_low_res_features(self, pixel_values: Tensor) -> Tensor:
        """Encode the tiles of images in low resolution: (B, 3, g·lr, g·lr) -> (B, t, N, C)."""
        tiles = self.cut_tiles(pixel_values)
        pixels = _on_device_of(self.vision_tower, rearrange(tiles, "b t c h w -> (b t) c h w"))
        tokens = self.low_res_kind.encode_tokens(self.vision_tower, pixels)
        return rearrange(tokens, "(b t) n c -> b t n c", t=tiles.shape[1])

    def get_high_res_stage_maps(self, high_res_pixel_values: Tensor) -> list[Tensor]:
        """Encode images (B, 3, hr, hr) in high resolution: maps (B, C_s, hr/s, hr/s), finest first.

        Their channels and strides s are `config.high_res_maps`: four of s = 4 … 32 for a ConvNeXt.
        """
        side = self.config.high_res_size
        if self.high_res_vision_tower is None:
            raise ValueError(
                "the baseline has no high-resolution encoder (high_res_vision_config is None): call "
                "get_image_features with pixel_values alone."
            )
        if high_res_pixel_values.ndim != 4 or tuple(high_res_pixel_values.shape[2:]) != (side, side):
            raise ValueError(
                f"high_res_pixel_values have shape {tuple(high_res_pixel_values.shape)}, but high_res_size={side} "
                f"requires (images, 3, {side}, {side}): use the model's own processor."
            )
        pixels = _on_device_of(self.high_res_vision_tower, high_res_pixel_values)
        pixels = pixels.to(self.high_res_vision_tower.dtype)
        return self.high_res_kind.encode(self.high_res_vision_tower, pixels)

    def mine(self, low_res_features: Tensor, stage_maps: list[Tensor]) -> Tensor:
        """Attend from the tokens of every tile to the stage maps: (B, t, N, C) -> (B, t, N, C), before the residual."""
        assert self.patch_info_mining is not None
        grid, n = self.config.grid_size, self.config.patches_per_side
        parts = []
        # 1. The global tile attends to the map downsampled by g.
        if self.config.use_global_tile:
            global_features, low_res_features = low_res_features[:, 0], low_res_features[:, 1:]
            parts.append(self.patch_info_mining(global_features, stage_maps, downsample=grid)[:, None])
        # 2. Every other tile attends to its own part of the map. Arranged as one (g·n) x (g·n) grid of queries, all
        #    tiles of an image take a single call.
        queries = rearrange(low_res_features, "b (i j) (h w) c -> b (i h j w) c", i=grid, j=grid, h=n, w=n)
        mined = self.patch_info_mining(queries, stage_maps)
        parts.append(rearrange(mined, "b (i h j w) c -> b (i j) (h w) c", i=grid, j=grid, h=n, w=n))
        return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]

    def project(self, low_res_features: Tensor, features: Tensor) -> Tensor:
        """Project features (B, t, N, C), with what was mined and without, to the language model: (B, t·N, D)."""
        if isinstance(self.multi_modal_projector, VisualVocabulary):
            return rearrange(self.multi_modal_projector(low_res_features, features), "b t n d -> b (t n) d")
        return self.multi_modal_projector(rearrange(features, "b t n c -> b (t n) c"))

    @can_return_tuple
    def get_image_features(
        self,
        pixel_values: Tensor,
        high_res_pixel_values: Tensor | None = None,
        **kwargs: Any,
    ) -> MiniGeminiImageFeatures:
        """Encode images into visual tokens.

        Args:
            pixel_values: (B, 3, g·lr, g·lr), low-resolution images before tiling.
            high_res_pixel_values: (B, 3, hr, hr), the same images in high resolution. The baseline ignores them.
            **kwargs: `output_hidden_states` and `output_attentions` return those of the low-resolution encoder, of
                every tile; attention weights only with "eager" attention. They are no named parameters, because
                `generate` takes those away from the language model.

        Returns:
            `MiniGeminiImageFeatures`, whose `pooler_output` (B, t·N, D) holds the visual tokens.

        Raises:
            ValueError: A shape does not match the config, or the high-resolution images are missing.
        """
        requested = {
            name: bool(kwargs.get(name, getattr(self.config, name)))
            for name in ("output_hidden_states", "output_attentions")
        }
        with recorded_outputs(self.vision_tower, **requested) as recorded:
            features = self._encode(pixel_values, high_res_pixel_values)
        return MiniGeminiImageFeatures(**features, **recorded)

    def _encode(self, pixel_values: Tensor, high_res_pixel_values: Tensor | None) -> MiniGeminiImageFeatures:
        """Encode images of one shape."""
        # 1. Encode the tiles in low resolution: (B, t, N, C).
        low_res = self.get_low_res_features(pixel_values)

        # 2. Add what each token finds in the high-resolution features of its patch.
        mined = None
        features = low_res
        if self.high_res_vision_tower is not None:
            # Not len(), which would make an exported model's number of images constant.
            images = 0 if high_res_pixel_values is None else high_res_pixel_values.shape[0]
            if high_res_pixel_values is None or images != pixel_values.shape[0]:
                raise ValueError(
                    f"pixel_values hold {pixel_values.shape[0]} images, but high_res_pixel_values hold {images}: pass "
                    "one row per image in both."
                )
            mined = self.mine(low_res, self.get_high_res_stage_maps(high_res_pixel_values)).to(low_res.device)
            features = low_res + mined

        # 3. Project to the language model: (B, t·N, D).
        tokens = self.project(low_res, features)
        if self.embed_scale != 1.0:
            tokens = tokens * torch.tensor(self.embed_scale, dtype=tokens.dtype, device=tokens.device)
        return MiniGeminiImageFeatures(
            last_hidden_state=rearrange(low_res, "b t n c -> b (t n) c"),
            mined_features=None if mined is None else rearrange(mined, "b t n c -> b (t n) c"),
            pooler_output=tokens,
        )

    def get_placeholder_mask(self, input_ids: Tensor | None, inputs_embeds: Tensor, image_features: Tensor) -> Tensor:
        """Locate the image tokens of features (B, t·N, D), or (tokens, D), as a mask of shape (batch, length, 1).

        Raises:
            ValueError: The number of image tokens differs from the number of visual tokens.
        """
        if input_ids is None:
            token = torch.tensor(self.config.image_token_id, device=inputs_embeds.device)
            mask = (inputs_embeds == self.get_input_embeddings()(token)).all(-1)
        else:
            mask = input_ids == self.config.image_token_id
        *images, tokens = image_features.shape[:-1]
        required = math.prod(images) * tokens
        if not torch.compiler.is_compiling() and (found := int(mask.sum())) != required:
            per_image = f"{images[0]} images of {tokens} visual tokens each require" if images else "the images have"
            raise ValueError(
                f"the text has {found} image tokens, but {per_image} {required}: use the model's own processor, and do "
                "not truncate within an image."
            )
        return mask[..., None].to(inputs_embeds.device)

    def embed(self, input_ids: Tensor) -> Tensor:
        """Embed ids: (batch, length) -> (batch, length, D).

        The image token may be outside the vocabulary; its embedding is overwritten, so row 0 stands in for it.
        """
        embeddings = cast(nn.Embedding, self.get_input_embeddings())
        if self.config.image_token_id >= embeddings.weight.shape[0]:
            input_ids = input_ids.masked_fill(input_ids == self.config.image_token_id, 0)
        return embeddings(input_ids)

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        high_res_pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        mm_encoder_outputs: dict[str, MiniGeminiImageFeatures] | None = None,
        **kwargs: Any,
    ) -> MiniGeminiModelOutputWithPast:
        """Compute hidden states of text and images.

        Args:
            input_ids: (batch, length), with one image token per visual token. Alternative to `inputs_embeds`.
            pixel_values: (B, 3, g·lr, g·lr), images in the order in which the text refers to them.
            high_res_pixel_values: (B, 3, hr, hr), the same images in high resolution.
            attention_mask: (batch, length), 0 for padding.
            position_ids: (batch, length).
            inputs_embeds: (batch, length, D).
            mm_encoder_outputs: `{"image": features}` from `get_image_features`, in place of pixels.
            **kwargs: Passed to the language model, for example the key-value cache.

        Raises:
            ValueError: Both or neither of two alternatives are given, or image tokens and images do not match.
        """
        if (input_ids is None) == (inputs_embeds is None):
            both = "both" if input_ids is not None else "neither"
            raise ValueError(f"exactly one of input_ids and inputs_embeds is required, got {both}.")

        # 1. Encode the images, unless their features are given.
        images = (mm_encoder_outputs or {}).get("image")
        if pixel_values is not None:
            if images is not None:
                raise ValueError("got both pixel_values and mm_encoder_outputs: pass one of them.")
            images = self.get_image_features(pixel_values, high_res_pixel_values, return_dict=True)

        # 2. Embed the text and put the visual tokens in place of the image tokens.
        if inputs_embeds is None:
            inputs_embeds = self.embed(cast(Tensor, input_ids))
        image_features = None
        if images is not None:
            image_features = cast(Tensor, images.pooler_output).to(inputs_embeds.device, inputs_embeds.dtype)
            mask = self.get_placeholder_mask(input_ids, inputs_embeds, image_features)
            inputs_embeds = inputs_embeds.masked_scatter(mask, image_features)

        # 3. Run the language model.
        outputs = self.language_model(
            attention_mask=attention_mask,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            **kwargs,
        )
        return MiniGeminiModelOutputWithPast(
            last_hidden_state=outputs.last_hidden_state,
            hidden_states=outputs.hidden_states,
            attentions=outputs.get("attentions"),
            image_hidden_states=image_features,
            router_logits=getattr(outputs, "router_logits", None),
            **{CACHE: outputs.get(CACHE)},
        )
