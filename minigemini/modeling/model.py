"""Mini-Gemini: two encoders look at the picture, mining joins them, a language model reads the result.

Letters: B images (tiles where they have been cut) · g grid side · t tiles of an image, the global one included ·
N low-res tokens of a tile · n = √N · C low-res channels · C_s channels of ConvNeXt stage s · D hidden size of the
language model.
"""

from typing import Any, cast

import torch
from einops import rearrange
from torch import Tensor, nn
from transformers import AutoModel, ConvNextModel, PreTrainedModel
from transformers.utils import can_return_tuple

from .configuration import MiniGeminiConfig
from .outputs import CACHE, MiniGeminiImageFeatures, MiniGeminiModelOutputWithPast
from .patch_info_mining import PatchInfoMining


class MiniGeminiPreTrainedModel(PreTrainedModel):
    """Weights, loading and saving; see Transformers' `PreTrainedModel`."""

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
        """As Transformers' own. A choice for the whole model leaves the ConvNeXt out: it has no attention."""
        if isinstance(attn_implementation, str):
            attn_implementation = dict.fromkeys(("", "text_config", "vision_config"), attn_implementation)
        super().set_attn_implementation(attn_implementation, *args, **kwargs)


class MiniGeminiProjector(nn.Sequential):
    """From low-res channels to the language model: `projector_depth` Linears with exact GELUs between them."""

    def __init__(self, config: MiniGeminiConfig):
        width, hidden = config.vision_config.hidden_size, config.text_config.hidden_size
        layers: list[nn.Module] = []
        for depth in range(config.projector_depth):
            layers += [nn.GELU()] if depth else []
            layers += [nn.Linear(hidden if depth else width, hidden)]
        super().__init__(*layers)


class MiniGeminiModel(MiniGeminiPreTrainedModel):
    """The encoders, mining, projector and language model, without its head.

    Raises:
        ValueError: If the config's parts do not fit together.
    """

    def __init__(self, config: MiniGeminiConfig):
        super().__init__(config)
        config.check()
        self.vision_tower = AutoModel.from_config(config.vision_config)
        # Nothing behind the selected hidden state is run, so it is not kept either.
        self.vision_tower.encoder.layers = self.vision_tower.encoder.layers[: config.vision_depth]
        self.vision_tower.post_layernorm = nn.Identity()
        self.high_res_vision_tower: ConvNextModel | None = None
        self.patch_info_mining: PatchInfoMining | None = None
        if config.high_res_vision_config is not None:
            # It has no attention, so a choice made for the whole model (SDPA, flash, …) is not one it could refuse.
            self.high_res_vision_tower = AutoModel.from_config(
                config.high_res_vision_config, attn_implementation="eager"
            )
            self.high_res_vision_tower.layernorm = nn.Identity()  # belongs to a pooling that is not used
            self.patch_info_mining = PatchInfoMining(
                config.vision_config.hidden_size, config.high_res_vision_config.hidden_sizes, eps=config.mining_eps
            )
        self.multi_modal_projector = MiniGeminiProjector(config)
        self.language_model = AutoModel.from_config(config.text_config)
        # Gemma scales its input embeddings by sqrt(D), visual tokens included. Transformers 5 moved that factor into
        # the embedding layer, which they do not pass through. The number is kept: a server may replace the layer.
        embeddings = self.get_input_embeddings()
        self.embed_scale = float(getattr(embeddings, "scalar_embed_scale", getattr(embeddings, "embed_scale", 1.0)))
        self.post_init()

    def cut_tiles(self, pixel_values: Tensor) -> Tensor:
        """Cut pictures (B, 3, g·lr, g·lr) into tiles (B, t, 3, lr, lr): the global one first, then row by row."""
        grid, side = self.config.grid_size, self.config.low_res_size
        if pixel_values.ndim != 4 or tuple(pixel_values.shape[2:]) != (side, side):
            raise ValueError(
                f"pixel_values have the shape {tuple(pixel_values.shape)}, but a grid_size of {grid} and tiles of "
                f"{self.config.tile_size} pixels take (images, 3, {side}, {side}): use the model's own processor."
            )
        tiles = rearrange(pixel_values, "b c (i h) (j w) -> b (i j) c h w", i=grid, j=grid)
        if not self.config.use_global_tile:
            return tiles
        size = (self.config.tile_size, self.config.tile_size)
        whole = nn.functional.interpolate(pixel_values.float(), size=size, mode="bilinear", align_corners=False)
        return torch.cat([whole.to(tiles.dtype)[:, None], tiles], dim=1)

    def get_low_res_features(self, pixel_values: Tensor) -> Tensor:
        """Run the ViT over the tiles of pictures (B, 3, g·lr, g·lr): (B, t, N, C)."""
        tiles = self.cut_tiles(pixel_values)
        states = self.vision_tower(rearrange(tiles, "b t c h w -> (b t) c h w"), return_dict=True).last_hidden_state
        return rearrange(states[:, 1:], "(b t) n c -> b t n c", t=tiles.shape[1])  # without CLS

    def get_high_res_stage_maps(self, high_res_pixel_values: Tensor) -> list[Tensor]:
        """Run the ConvNeXt over pictures (B, 3, hr, hr): its four raw stage maps (B, C_s, hr/s, hr/s), s = 4 … 32."""
        side = self.config.high_res_size
        if self.high_res_vision_tower is None:
            raise ValueError("this is the baseline without a high-resolution tower (high_res_vision_config is None).")
        if high_res_pixel_values.ndim != 4 or tuple(high_res_pixel_values.shape[2:]) != (side, side):
            raise ValueError(
                f"high_res_pixel_values have the shape {tuple(high_res_pixel_values.shape)}, but the config's "
                f"high_res_size takes (images, 3, {side}, {side}): use the model's own processor."
            )
        pixels = high_res_pixel_values.to(self.high_res_vision_tower.dtype)
        outputs = self.high_res_vision_tower(pixels, output_hidden_states=True, return_dict=True)
        return list(outputs.hidden_states[-4:])

    def mine(self, low_res_features: Tensor, stage_maps: list[Tensor]) -> Tensor:
        """Mine the high-res maps for every tile: (B, t, N, C) to (B, t, N, C), before the residual.

        A tile's queries look into its own part of the map. Laid out as one (g·n) x (g·n) grid, all tiles of a picture
        do so at once. The global tile's queries look into the map downsampled by g.
        """
        assert self.patch_info_mining is not None
        grid, n = self.config.grid_size, self.config.patches_per_side
        parts = []
        if self.config.use_global_tile:
            whole, low_res_features = low_res_features[:, 0], low_res_features[:, 1:]
            parts.append(self.patch_info_mining(whole, stage_maps, downsample=grid)[:, None])
        queries = rearrange(low_res_features, "b (i j) (h w) c -> b (i h j w) c", i=grid, j=grid, h=n, w=n)
        mined = self.patch_info_mining(queries, stage_maps)
        parts.append(rearrange(mined, "b (i h j w) c -> b (i j) (h w) c", i=grid, j=grid, h=n, w=n))
        return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]

    @can_return_tuple
    def get_image_features(
        self,
        pixel_values: Tensor,
        high_res_pixel_values: Tensor | None = None,
        **kwargs: Any,
    ) -> MiniGeminiImageFeatures:
        """Turn pictures into visual tokens.

        Args:
            pixel_values: (images, 3, g·lr, g·lr), the low-resolution pictures, tiles uncut.
            high_res_pixel_values: (images, 3, hr, hr). The baseline without high-resolution tower does not look at it.

        Returns:
            See `MiniGeminiImageFeatures`; `pooler_output` (images, t·N, D) are the visual tokens.

        Raises:
            ValueError: If a shape does not fit the config, or the high-resolution pictures are missing.
        """
        low_res = self.get_low_res_features(pixel_values)
        mined = None
        features = low_res
        if self.high_res_vision_tower is not None:
            if high_res_pixel_values is None or len(high_res_pixel_values) != len(pixel_values):
                raise ValueError(
                    f"{len(pixel_values)} pictures in pixel_values, but "
                    f"{0 if high_res_pixel_values is None else len(high_res_pixel_values)} in high_res_pixel_values: "
                    "give one row per picture in both."
                )
            mined = self.mine(low_res, self.get_high_res_stage_maps(high_res_pixel_values)).to(low_res.device)
            features = low_res + mined
        tokens = self.multi_modal_projector(rearrange(features, "b t n c -> b (t n) c"))
        if self.embed_scale != 1.0:
            tokens = tokens * torch.tensor(self.embed_scale, dtype=tokens.dtype, device=tokens.device)
        return MiniGeminiImageFeatures(
            last_hidden_state=rearrange(low_res, "b t n c -> b (t n) c"),
            mined_features=None if mined is None else rearrange(mined, "b t n c -> b (t n) c"),
            pooler_output=tokens,
        )

    def get_placeholder_mask(self, input_ids: Tensor | None, inputs_embeds: Tensor, image_features: Tensor) -> Tensor:
        """Find the image tokens: (batch, length, 1).

        Raises:
            ValueError: If there are not as many of them as visual tokens.
        """
        if input_ids is None:
            token = torch.tensor(self.config.image_token_id, device=inputs_embeds.device)
            mask = (inputs_embeds == self.get_input_embeddings()(token)).all(-1)
        else:
            mask = input_ids == self.config.image_token_id
        images, tokens = image_features.shape[:2]
        if not torch.compiler.is_compiling() and (found := int(mask.sum())) != images * tokens:
            raise ValueError(
                f"{found} image tokens in the text, but {images} pictures of {tokens} visual tokens each, "
                f"{images * tokens} together: use the model's own processor, and do not truncate inside a picture."
            )
        return mask[..., None].to(inputs_embeds.device)

    def embed(self, input_ids: Tensor) -> Tensor:
        """Embed (batch, length) ids; an image token beyond the vocabulary is a placeholder and takes any row."""
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
        """Read text and pictures.

        Args:
            input_ids: (batch, length), the image token once per visual token. Or `inputs_embeds` (batch, length, D).
            pixel_values, high_res_pixel_values: See `get_image_features`; pictures in the order of the text.
            mm_encoder_outputs: `{"image": …}`, features from `get_image_features`, in place of pixels.
            kwargs: What the language model takes besides, the key-value cache among them.

        Raises:
            ValueError: If both or neither of two alternatives are given, or image tokens and pictures disagree.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give either input_ids or inputs_embeds, one of the two.")
        images = (mm_encoder_outputs or {}).get("image")
        if pixel_values is not None:
            if images is not None:
                raise ValueError("give either pixel_values or mm_encoder_outputs, not both.")
            images = self.get_image_features(pixel_values, high_res_pixel_values, return_dict=True)
        if inputs_embeds is None:
            inputs_embeds = self.embed(cast(Tensor, input_ids))
        image_features = None
        if images is None and input_ids is not None and input_ids.shape[1] > 1:  # a prompt, not a step of generation
            self.get_placeholder_mask(input_ids, inputs_embeds, inputs_embeds.new_empty(0, 0))
        elif images is not None:
            image_features = cast(Tensor, images.pooler_output).to(inputs_embeds.device, inputs_embeds.dtype)
            mask = self.get_placeholder_mask(input_ids, inputs_embeds, image_features)
            inputs_embeds = inputs_embeds.masked_scatter(mask, image_features)
        outputs = self.language_model(
            attention_mask=attention_mask,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            **kwargs,
        )
        return MiniGeminiModelOutputWithPast(
            last_hidden_state=outputs.last_hidden_state,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            image_hidden_states=image_features,
            router_logits=getattr(outputs, "router_logits", None),
            **{CACHE: outputs.get(CACHE)},
        )
