"""The Mini-Gemini model: two image encoders, patch info mining, a projector and a causal language model.

Shape legend:
    B    images; in their native shape, images with equal grids of tiles
    r, c rows and columns of tiles; both are grid_size if images are squares
    t    tiles per image, including the global tile: r·c or r·c + 1
    T    tiles of all images, without the global tiles
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

from .auto_class import AutoClass
from .configuration import MiniGeminiConfig
from .encoders import kind_of
from .native_shape import Grid, by_grid
from .outputs import CACHE, MiniGeminiImageFeatures, MiniGeminiModelOutputWithPast
from .patch_info_mining import PatchInfoMining
from .recorded_outputs import recorded_outputs
from .token_pooling import pool_tokens
from .visual_vocabulary import VisualVocabulary, VisualWords

Grids = Tensor | list[list[int]]
"""(B, 3). A list is a constant to `torch.export`, which the shape of images has to be."""


class MiniGeminiPreTrainedModel(AutoClass, PreTrainedModel):
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
            self.finest = config.high_res_maps[0].stride
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
        """Split images (B, 3, r·lr, c·lr) into tiles (B, t, 3, lr, lr): the global tile, then the grid row by row."""
        tile = self.config.tile_size
        rows, columns = self.grid_of("pixel_values", pixel_values, tile)
        tiles = rearrange(pixel_values, "b c (i h) (j w) -> b (i j) c h w", i=rows, j=columns)
        if self.config.tiles_in(rows, columns) == rows * columns:
            return tiles
        if self.config.max_tiles is None:
            pixels, size = pixel_values.float(), (tile, tile)
            global_tile = nn.functional.interpolate(pixels, size=size, mode="bilinear", align_corners=False)
        else:  # bilinear resizing would skip pixels of more than two rows or columns of tiles
            global_tile = nn.functional.avg_pool2d(pixel_values.float(), (rows, columns))
        return torch.cat([global_tile.to(tiles.dtype)[:, None], tiles], dim=1)

    def grid_of(self, name: str, pixels: Tensor, tile_px: int) -> tuple[int, int]:
        """Return the rows and columns of tiles of images (B, 3, r·tile_px, c·tile_px).

        Raises:
            ValueError: The model takes no images of that shape; the message starts with `name`.
        """
        height, width = pixels.shape[-2:] if pixels.ndim == 4 else (0, 0)
        rows, columns = height // tile_px, width // tile_px
        grid, most = self.config.grid_size, self.config.max_tiles
        is_valid = (rows, columns) == (grid, grid) if most is None else 1 <= rows * columns <= most
        if is_valid and (height, width) == (rows * tile_px, columns * tile_px):
            return rows, columns
        wanted = f"(images, 3, {grid * tile_px}, {grid * tile_px})"
        if most is not None:
            wanted = f"1 to {most} tiles of {tile_px} x {tile_px} pixels"
        raise ValueError(
            f"{name} have shape {tuple(pixels.shape)}, but the tiling of the model requires {wanted}: use its own "
            "processor."
        )

    def get_low_res_features(self, pixel_values: Tensor) -> Tensor:
        """Encode the tiles of images in low resolution: (B, 3, r·lr, c·lr) -> (B, t, N, C)."""
        tiles = self.cut_tiles(pixel_values)
        pixels = _on_device_of(self.vision_tower, rearrange(tiles, "b t c h w -> (b t) c h w"))
        pixels = pixels.to(self.vision_tower.dtype)
        tokens = self._as_features(self.low_res_kind.encode_tokens(self.vision_tower, pixels), self.vision_tower)
        return rearrange(tokens, "(b t) n c -> b t n c", t=tiles.shape[1])

    def get_high_res_stage_maps(self, high_res_pixel_values: Tensor) -> list[Tensor]:
        """Encode images (B, 3, H, W) in high resolution: maps (B, C_s, H/s, W/s), finest first.

        H and W are `high_res_size`, or with `max_tiles` that many pixels for each tile. The channels and strides s of
        the maps are `config.high_res_maps`: four of s = 4 … 32 for a ConvNeXt.
        """
        if self.high_res_vision_tower is None:
            raise ValueError(
                "the baseline has no high-resolution encoder (high_res_vision_config is None): call "
                "get_image_features with pixel_values alone."
            )
        self.grid_of("high_res_pixel_values", high_res_pixel_values, self.config.high_res_size // self.config.grid_size)
        pixels = _on_device_of(self.high_res_vision_tower, high_res_pixel_values)
        pixels = pixels.to(self.high_res_vision_tower.dtype)
        maps = self.high_res_kind.encode(self.high_res_vision_tower, pixels)
        return [self._as_features(one, self.high_res_vision_tower) for one in maps]

    def _as_features(self, encoded: Tensor, tower: PreTrainedModel) -> Tensor:
        """Convert what an encoder in a dtype of its own computed to that of the projector."""
        dtype = next(self.multi_modal_projector.parameters()).dtype
        return encoded if tower.dtype == dtype else encoded.to(dtype)

    def mine(self, low_res_features: Tensor, stage_maps: list[Tensor]) -> Tensor:
        """Attend from the tokens of every tile to the stage maps: (B, t, N, C) -> (B, t, N, C), before the residual."""
        assert self.patch_info_mining is not None
        n, positions = self.config.patches_per_side, self.config.high_res_size // self.config.grid_size // self.finest
        height, width = stage_maps[0].shape[-2:]
        rows, columns = height // positions, width // positions
        parts = []
        # 1. The global tile attends to the map downsampled to one tile.
        if low_res_features.shape[1] > rows * columns:
            global_features, low_res_features = low_res_features[:, 0], low_res_features[:, 1:]
            parts.append(self.patch_info_mining(global_features, stage_maps, (rows, columns), (n, n))[:, None])
        # 2. Every other tile attends to its own part of the map. Arranged as one (r·n) x (c·n) grid of queries, all
        #    tiles of an image take a single call.
        sides = {"i": rows, "j": columns, "h": n, "w": n}
        queries = rearrange(low_res_features, "b (i j) (h w) c -> b (i h j w) c", **sides)
        mined = self.patch_info_mining(queries, stage_maps, 1, (rows * n, columns * n))
        parts.append(rearrange(mined, "b (i h j w) c -> b (i j) (h w) c", **sides))
        return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]

    def project(self, low_res_features: Tensor, features: Tensor) -> Tensor:
        """Project features (B, t, N, C), with what was mined and without, to the language model: (B, t·N, D)."""
        if self.config.projector_type == "visual_vocabulary":  # its class says less: PEFT may have wrapped it
            return rearrange(self.multi_modal_projector(low_res_features, features), "b t n d -> b (t n) d")
        return self.multi_modal_projector(rearrange(features, "b t n c -> b (t n) c"))

    @can_return_tuple
    def get_image_features(
        self,
        pixel_values: Tensor,
        high_res_pixel_values: Tensor | None = None,
        image_grid_thw: Grids | None = None,
        image_token_pooling: Tensor | None = None,
        **kwargs: Any,
    ) -> MiniGeminiImageFeatures:
        """Encode images into visual tokens.

        Args:
            pixel_values: (B, 3, r·lr, c·lr), low-resolution square images before tiling; with `max_tiles`, the tiles
                (T, 3, lr, lr) of all images. Or the images in high resolution, if these are all that is passed.
            high_res_pixel_values: (B, 3, hr, hr), the same images in high resolution, or their tiles. The baseline
                ignores them.
            image_grid_thw: (B, 3), with `max_tiles`: 1 and the rows and columns of tiles of each image.
            image_token_pooling: (B,), the side p of the windows of p x p visual tokens of each image that are averaged,
                as for frames of a video. None averages none.
            **kwargs: `output_hidden_states` and `output_attentions` return those of the low-resolution encoder, of
                every tile; attention weights only with "eager" attention. They are no named parameters, because
                `generate` takes those away from the language model.

        Returns:
            `MiniGeminiImageFeatures`, whose `pooler_output` holds the visual tokens: (B, t·N, D), or a list of
            (tokens, D) with `max_tiles` or pooling, because then their number differs between images.

        Raises:
            ValueError: A shape does not match the config, or the high-resolution images are missing.
        """
        requested = {
            name: bool(kwargs.get(name, getattr(self.config, name)))
            for name in ("output_hidden_states", "output_attentions")
        }
        low_res: Tensor | None = pixel_values
        if high_res_pixel_values is None and self._is_high_res(pixel_values):
            low_res, high_res_pixel_values = None, pixel_values
        recorded: Any
        with recorded_outputs(self.vision_tower, **requested) as recorded:
            if self.config.max_tiles is None:
                features = self._encode(low_res, high_res_pixel_values)
            else:
                features = self._encode_native(low_res, high_res_pixel_values, image_grid_thw)
        if image_token_pooling is not None:
            tokens: Any = features.pooler_output
            features["pooler_output"] = pool_tokens(tokens, image_token_pooling, self.config.patches_per_side)
        return MiniGeminiImageFeatures(**features, **recorded)

    def _is_high_res(self, pixel_values: Tensor) -> bool:
        """Whether pixels are in high resolution; the baseline takes pixels of equal sizes for low-resolution ones."""
        side, config = self.config.high_res_size, self.config
        is_ambiguous = side == config.low_res_size and self.high_res_vision_tower is None
        return tuple(pixel_values.shape[-2:]) == (side, side) and not is_ambiguous

    def derive_low_res(self, high_res_pixel_values: Tensor) -> Tensor:
        """Compute the low-resolution images (B, 3, r·lr, c·lr) from images in high resolution, as the processor does.

        The statistics are those of the config. In float32 on a CPU, the result is the processor's to the bit, or to
        2.4e-7 if the two encoders have statistics of their own. Pixels in bfloat16 were rounded before, not after.
        """
        rows, columns = self.grid_of(
            "pixel_values", high_res_pixel_values, self.config.high_res_size // self.config.grid_size
        )
        size = (rows * self.config.tile_size, columns * self.config.tile_size)
        pixels = nn.functional.interpolate(
            high_res_pixel_values.float(), size=size, mode="bilinear", align_corners=False
        )
        if (change := self.config.low_res_renormalization) is not None:
            scale, shift = (pixels.new_tensor(values)[:, None, None] for values in change)
            pixels = pixels * scale + shift
        return pixels.to(high_res_pixel_values.dtype)

    def _encode_native(
        self, pixel_values: Tensor | None, high_res_pixel_values: Tensor | None, image_grid_thw: Grids | None
    ) -> MiniGeminiImageFeatures:
        """Encode images in their native shape; images of equal shape are one batch."""

        def joined(tiles: Tensor | None, numbers: list[int], grid: Grid) -> Any:
            if tiles is None:
                return None
            return rearrange(tiles[numbers], "(b i j) c h w -> b c (i h) (j w)", i=grid.rows, j=grid.columns)

        grids = self._check_grids(pixel_values, high_res_pixel_values, image_grid_thw)
        features: list[Any] = [None] * len(grids)
        for grid, images, tiles in by_grid(grids):
            low_res, high_res = (joined(pixels, tiles, grid) for pixels in (pixel_values, high_res_pixel_values))
            encoded = self._encode(low_res, high_res)
            for number, image in enumerate(images):
                features[image] = {name: values[number] for name, values in encoded.items()}
        lists: dict[str, Any] = {name: [image[name] for image in features] for name in features[0]}
        return MiniGeminiImageFeatures(**lists)

    def _check_grids(
        self, pixel_values: Tensor | None, high_res_pixel_values: Tensor | None, image_grid_thw: Grids | None
    ) -> list[Grid]:
        """Return the grid of each image. Raises `ValueError` if they do not hold the tiles."""
        found: Any = [] if image_grid_thw is None else image_grid_thw
        found = found.tolist() if isinstance(found, Tensor) else found
        grids = [Grid(rows, columns) for _, rows, columns in found]
        tiles = {pixels.shape[0] for pixels in (pixel_values, high_res_pixel_values) if pixels is not None}
        if tiles != {sum(grid.num_tiles for grid in grids)} or min(map(min, grids), default=0) < 1:
            raise ValueError(
                f"pixel_values and high_res_pixel_values hold {' and '.join(map(str, sorted(tiles)))} tiles, but "
                f"image_grid_thw is {found}: use the model's own processor."
            )
        return grids

    def _encode(self, pixel_values: Tensor | None, high_res_pixel_values: Tensor | None) -> MiniGeminiImageFeatures:
        """Encode images of one shape: (B, 3, r·lr, c·lr) and (B, 3, r·hr, c·hr), or hr if they are squares."""
        # 1. Encode the tiles in low resolution: (B, t, N, C).
        if pixel_values is None:
            pixel_values = self.derive_low_res(cast(Tensor, high_res_pixel_values))
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
                    "one row per image in both, or let the image processor return high-resolution pixel_values alone "
                    "(high_res_only=True)."
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
        image_grid_thw: Grids | None = None,
        image_token_pooling: Tensor | None = None,
        **kwargs: Any,
    ) -> MiniGeminiModelOutputWithPast:
        """Compute hidden states of text and images.

        Args:
            input_ids: (batch, length), with one image token per visual token. Alternative to `inputs_embeds`.
            pixel_values: Images in the order in which the text refers to them, as `get_image_features` takes them.
            high_res_pixel_values: The same images in high resolution.
            attention_mask: (batch, length), 0 for padding.
            position_ids: (batch, length).
            inputs_embeds: (batch, length, D).
            mm_encoder_outputs: `{"image": features}` from `get_image_features`, in place of pixels.
            image_grid_thw: The grids of images in their native shape.
            image_token_pooling: The factors by which `get_image_features` pools visual tokens; those of
                `mm_encoder_outputs` are pooled already.
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
            images = self.get_image_features(
                pixel_values, high_res_pixel_values, image_grid_thw, image_token_pooling, return_dict=True
            )

        # 2. Embed the text and put the visual tokens in place of the image tokens.
        if inputs_embeds is None:
            inputs_embeds = self.embed(cast(Tensor, input_ids))
        image_features = None
        if images is not None:
            tokens: Any = images.pooler_output
            image_features = tokens if isinstance(tokens, Tensor) else torch.cat(list(tokens))
            image_features = image_features.to(inputs_embeds.device, inputs_embeds.dtype)
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
