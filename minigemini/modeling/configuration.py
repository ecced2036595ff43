"""Configuration of a Mini-Gemini model: two vision encoders, the tiling, and a causal language model."""

from dataclasses import field
from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import CONFIG_MAPPING, AutoConfig, CLIPVisionConfig, ConvNextConfig, PreTrainedConfig

# Default encoders, those of the paper: openai/clip-vit-large-patch14-336 and LAION's OpenCLIP ConvNeXt-L.
CLIP_VIT_L_14_336: dict[str, Any] = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 336,
    "patch_size": 14,
    "projection_dim": 768,
}
CONVNEXT_L: dict[str, Any] = {
    "model_type": "convnext",
    "hidden_sizes": [192, 384, 768, 1536],
    "depths": [3, 3, 27, 3],
    "drop_path_rate": 0.1,
}

HIGH_RES_STRIDE = 4
"""Pixels per position of the high-resolution map (the ConvNeXt's first stage)."""
DEEPEST_STRIDE = 32
"""Pixels per position of the ConvNeXt's last stage, and so the smallest high-resolution image."""


@strict
class MiniGeminiConfig(PreTrainedConfig):
    r"""Configuration of a Mini-Gemini model. The defaults are the paper's normal setting (arXiv 2403.18814).

    Args:
        vision_config: The low-resolution encoder, a CLIP ViT. Its `image_size` is the side of one tile in pixels.
        high_res_vision_config: The high-resolution encoder, a four-stage ConvNeXt. None selects the paper's baseline
            without high-resolution encoder and mining, whose projector receives the ViT features directly.
        text_config: The language model, any causal LM of Transformers.
        high_res_size: Side of the high-resolution image in pixels. The baseline has one too, because the
            low-resolution image is computed from it.
        grid_size: Tiles per side of the low-resolution image (1 normal, 2 HD).
        use_global_tile: Whether the whole image, resized to one tile, precedes the tiles.
        projector_depth: Linear layers in the projector, with GELUs between them. 0 is the identity.
        vision_feature_layer: Index into the ViT's hidden states; later layers are not built.
        image_token_id: Id of the placeholder that occurs in `input_ids` once per visual token.
        mining_eps: Epsilon of the LayerNorms before the mining projections.

    Raises:
        ValueError: Tile, patch, grid and high-resolution size are inconsistent, or an encoder has the wrong type.

    Example:

        >>> config = MiniGeminiConfig(grid_size=2, use_global_tile=True, high_res_size=1536)
        >>> config.num_image_tokens
        2880
    """

    model_type = "minigemini"
    sub_configs = {"vision_config": AutoConfig, "high_res_vision_config": AutoConfig, "text_config": AutoConfig}  # noqa: RUF012

    # Passed as a config or a dictionary and stored as a config; `check` validates the types.
    vision_config: Any = field(default_factory=CLIP_VIT_L_14_336.copy)
    high_res_vision_config: Any = field(default_factory=CONVNEXT_L.copy)
    text_config: Any = field(default_factory=dict)
    high_res_size: int = 768
    grid_size: int = 1
    use_global_tile: bool = False
    projector_depth: int = 2
    vision_feature_layer: int = -2
    image_token_id: int = 32000
    mining_eps: float = 1e-5
    tie_word_embeddings: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        self.vision_config = _sub_config(self.vision_config, "clip_vision_model")
        if self.high_res_vision_config is not None:
            self.high_res_vision_config = _sub_config(self.high_res_vision_config, "convnext")
        self.text_config = _sub_config(self.text_config, "llama")
        # Tied embeddings are a property of the language model, but Transformers reads the top-level field.
        self.tie_word_embeddings = self.tie_word_embeddings or bool(self.text_config.tie_word_embeddings)
        super().__post_init__(**kwargs)
        self.check()

    def check(self) -> None:
        """Validate the config. The model calls this too, because a config can be changed after it is created.

        Methods named `validate_…` would run automatically, but `@strict` turns their `ValueError` into another type.

        Raises:
            ValueError: The parts are inconsistent; the message names the values and the nearest valid ones.
        """
        self._check_encoders()
        self._check_projector()
        self._check_tiling()

    @classmethod
    def default_config_fields(cls) -> dict[str, Any]:
        """Make Transformers 5.20 and later omit the defaults of sub-configs when saving, as 5.19 does."""
        return {**super().default_config_fields(), **{name: {} for name in cls.sub_configs}}

    def to_diff_dict(self) -> dict[str, Any]:
        """Serialize the non-default fields, without the paths that sub-configs were loaded from."""
        fields = super().to_diff_dict()
        for name in self.sub_configs:
            if fields[name] is not None:
                fields[name].pop("_name_or_path", None)
        return fields

    @property
    def tile_size(self) -> int:
        """Side of one low-resolution tile in pixels."""
        return self.vision_config.image_size

    @property
    def low_res_size(self) -> int:
        """Side of the low-resolution image, all tiles together, in pixels."""
        return self.tile_size * self.grid_size

    @property
    def patches_per_side(self) -> int:
        """n: patches per side of a tile."""
        return self.tile_size // self.vision_config.patch_size

    @property
    def num_tiles(self) -> int:
        """Tiles per image, including the global tile."""
        return self.grid_size**2 + int(self.use_global_tile)

    @property
    def num_image_tokens(self) -> int:
        """Visual tokens per image."""
        return self.num_tiles * self.patches_per_side**2

    @property
    def positions_per_patch(self) -> int:
        """M: high-resolution positions per side of a low-resolution patch."""
        return self.high_res_size // (HIGH_RES_STRIDE * self.patches_per_side * self.grid_size)

    @property
    def vision_depth(self) -> int:
        """Number of ViT layers that are run."""
        layers = self.vision_config.num_hidden_layers
        return self.vision_feature_layer if self.vision_feature_layer >= 0 else layers + 1 + self.vision_feature_layer

    def _check_encoders(self) -> None:
        """Check the types of the encoders, and that the feature layer exists."""
        if not isinstance(self.vision_config, CLIPVisionConfig):
            raise ValueError(
                f"vision_config has model_type {self.vision_config.model_type!r}, but the low-resolution encoder must "
                "be a CLIP ViT: pass a CLIPVisionConfig (model_type 'clip_vision_model')."
            )
        layers = self.vision_config.num_hidden_layers
        if not -layers - 1 <= self.vision_feature_layer <= layers:
            raise ValueError(
                f"vision_feature_layer is {self.vision_feature_layer}, but a ViT of {layers} layers has hidden states "
                f"{-layers - 1} to {layers}: choose one of them."
            )
        if self.high_res_vision_config is None:
            return
        if not isinstance(self.high_res_vision_config, ConvNextConfig):
            raise ValueError(
                f"high_res_vision_config has model_type {self.high_res_vision_config.model_type!r}, but the "
                "high-resolution encoder must be a ConvNeXt: pass a ConvNextConfig, or None for the baseline."
            )
        stages, stride = len(self.high_res_vision_config.hidden_sizes or ()), self.high_res_vision_config.patch_size
        if (stages, stride) != (4, HIGH_RES_STRIDE):
            raise ValueError(
                f"the ConvNeXt has {stages} stages and a stem of stride {stride}, but mining requires 4 stages of "
                "strides 4, 8, 16, 32: set four hidden_sizes and patch_size=4."
            )

    def _check_projector(self) -> None:
        """Check that the projector maps visual features to embeddings of the language model."""
        width, hidden = self.vision_config.hidden_size, self.text_config.hidden_size
        if self.projector_depth < 0:
            raise ValueError(
                f"projector_depth is {self.projector_depth}; the number of linear layers must be 0 or more."
            )
        if self.projector_depth == 0 and width != hidden:
            raise ValueError(
                f"projector_depth=0 is the identity, but the ViT has width {width} and the language model {hidden}: "
                "set projector_depth to 1 or more."
            )
        if self.image_token_id < 0:
            raise ValueError(
                f"image_token_id is {self.image_token_id}; set it to the id of the tokenizer's image token."
            )

    def _check_tiling(self) -> None:
        """Check that a tile divides into patches, and the high-resolution map into one block of positions per patch."""
        tile, patch, grid = self.tile_size, self.vision_config.patch_size, self.grid_size
        if not (isinstance(tile, int) and isinstance(patch, int)):
            raise ValueError(
                f"image_size is {tile!r} and patch_size {patch!r}, but tiles and patches are square: set both to ints."
            )
        if grid < 1:
            raise ValueError(f"grid_size is {grid}; the number of tiles per side must be 1 or more.")
        if patch < 1 or tile < patch or tile % patch:
            raise ValueError(
                f"a tile of image_size={tile} pixels does not divide into patches of patch_size={patch}. "
                f"Nearest valid image_size: {_nearest_multiples(tile, max(patch, 1))}."
            )
        if self.high_res_vision_config is None:
            if self.high_res_size < 1:
                raise ValueError(f"high_res_size is {self.high_res_size} pixels; set at least {self.low_res_size}.")
            return
        unit = HIGH_RES_STRIDE * self.patches_per_side * grid
        if self.high_res_size < DEEPEST_STRIDE or self.high_res_size % unit:
            smallest = -(-DEEPEST_STRIDE // unit) * unit
            raise ValueError(
                f"high_res_size={self.high_res_size} gives a map of {self.high_res_size / HIGH_RES_STRIDE:g} positions "
                f"per side, which does not divide into whole blocks for {grid} x {self.patches_per_side} patches per "
                f"side (grid_size={grid}, image_size={tile}, patch_size={patch}). high_res_size must be a "
                f"multiple of {unit}, at least {smallest}. "
                f"Nearest valid: {_nearest_multiples(max(self.high_res_size, smallest), unit)}."
            )


def _sub_config(value: Any, default_type: str) -> Any:
    """Build a sub-config from a dictionary; `default_type` is its model_type if it names none."""
    if isinstance(value, dict):
        fields = {"model_type": default_type, **value}
        return CONFIG_MAPPING[fields["model_type"]](**fields)
    if not isinstance(value, PreTrainedConfig):
        raise ValueError(f"a sub-config is {value!r}: pass a Transformers config or its dictionary.")
    return value


def _nearest_multiples(number: int, unit: int) -> str:
    """Format the positive multiples of `unit` next to `number`."""
    below = number // unit * unit
    candidates = [below] if below == number else [below, below + unit]
    return " or ".join(str(candidate) for candidate in candidates if candidate > 0)
