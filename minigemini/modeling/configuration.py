"""Configuration of a Mini-Gemini model: two vision encoders, the tiling, and a causal language model."""

from dataclasses import field
from math import lcm
from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import CONFIG_MAPPING, AutoConfig, PreTrainedConfig
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from .auto_class import AutoClass
from .encoder_mixture import EncoderMixtureConfig
from .encoders import FeatureMap, kind_of
from .native_shape import check_max_tiles
from .visual_vocabulary import WordGroup

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

PROJECTOR_TYPES = ("mlp", "visual_vocabulary")
OPTIONS: dict[str, Any] = {
    "vision_image_size": None,
    "max_tiles": None,
    "high_res_image_mean": None,
    "high_res_image_std": None,
    "low_res_image_mean": None,
    "low_res_image_std": None,
    "projector_type": "mlp",
    "visual_vocabulary": None,
    "auto_map": {},
}
"""Fields that are left out of files where they have these defaults, which are those of the published models."""


@strict
class MiniGeminiConfig(AutoClass, PreTrainedConfig):
    r"""Configuration of a Mini-Gemini model. The defaults are the paper's normal setting (arXiv 2403.18814).

    Args:
        vision_config: The low-resolution encoder, of any kind in `encoder_kinds.KINDS`.
        high_res_vision_config: The high-resolution encoder, of any kind, or a list of several, whose maps are mined as
            one. None selects the paper's baseline without high-resolution encoder and mining, whose projector receives
            the low-resolution features directly.
        text_config: The language model, any causal LM of Transformers.
        high_res_size: Side of the high-resolution image in pixels. The baseline has one too, because the
            low-resolution image is computed from it. With `max_tiles`, the high-resolution side of one tile.
        vision_image_size: Side of one tile in pixels; None is the `image_size` of the low-resolution encoder's config.
        grid_size: Tiles per side of the low-resolution image (1 normal, 2 HD).
        use_global_tile: Whether the whole image, resized to one tile, precedes the tiles. With `max_tiles`, an image of
            one tile has no other.
        max_tiles: The most tiles of an image in its native shape, see `native_shape`. None pads images to a square of
            `grid_size` tiles per side.
        high_res_image_mean: Mean of RGB, in [0, 1], that is subtracted from pixels; None is CLIP's.
        high_res_image_std: Standard deviation of RGB that pixels are divided by; None is CLIP's.
        low_res_image_mean: The mean for low-resolution pixels, if it differs. None is that of high resolution.
        low_res_image_std: The standard deviation for low-resolution pixels, given together with the mean.
        projector_type: "mlp" or "visual_vocabulary".
        projector_depth: Linear layers in the MLP, with GELUs between them. 0 is the identity.
        visual_vocabulary: The groups of visual words, as the fields of `visual_vocabulary.WordGroup`.
        vision_feature_layer: Index into the hidden states of a low-resolution ViT; later layers are not built. Encoders
            with stages always give their last map.
        image_token_id: Id of the placeholder that occurs in `input_ids` once per visual token.
        mining_eps: Epsilon of the LayerNorms before the mining projections.
        auto_map: The classes of code that a checkpoint carries, by Auto class. TRL reads this field of every config
            whose model is not in Transformers' own namespace, so it exists even where it is empty.

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
    vision_image_size: int | None = None
    grid_size: int = 1
    use_global_tile: bool = False
    max_tiles: int | None = None
    high_res_image_mean: Any = None
    high_res_image_std: Any = None
    low_res_image_mean: Any = None
    low_res_image_std: Any = None
    projector_type: str = "mlp"
    projector_depth: int = 2
    visual_vocabulary: Any = None
    vision_feature_layer: int = -2
    image_token_id: int = 32000
    mining_eps: float = 1e-5
    tie_word_embeddings: bool = False
    auto_map: Any = field(default_factory=dict)

    def __post_init__(self, **kwargs: Any) -> None:
        self.vision_config = _sub_config(self.vision_config, "clip_vision_model")
        if isinstance(self.high_res_vision_config, list | tuple):
            encoders = [_sub_config(encoder, "convnext") for encoder in self.high_res_vision_config]
            self.high_res_vision_config = EncoderMixtureConfig.of(encoders)
        elif self.high_res_vision_config is not None:
            self.high_res_vision_config = _sub_config(self.high_res_vision_config, "convnext")
        self.text_config = _sub_config(self.text_config, "llama")
        # Tied embeddings are a property of the language model, but Transformers reads the top-level field.
        self.tie_word_embeddings = self.tie_word_embeddings or bool(
            getattr(self.text_config, "tie_word_embeddings", False)
        )
        super().__post_init__(**kwargs)
        self.check()

    def check(self) -> None:
        """Validate the config. The model calls this too, because a config can be changed after it is created.

        Methods named `validate_…` would run automatically, but `@strict` turns their `ValueError` into another type.

        Raises:
            ValueError: The parts are inconsistent; the message names the values and the nearest valid ones.
        """
        self._check_encoders()
        self._check_statistics()
        self._check_projector()
        self._check_tiling()

    @classmethod
    def default_config_fields(cls) -> dict[str, Any]:
        """Make Transformers 5.20 and later omit the defaults of sub-configs when saving, as 5.19 does."""
        return {**super().default_config_fields(), **{name: {} for name in cls.sub_configs}}

    def to_diff_dict(self) -> dict[str, Any]:
        """Serialize the fields, without the paths that sub-configs were loaded from, and without unused options."""
        fields = super().to_diff_dict()
        for name, default in OPTIONS.items():
            if fields.get(name) == default:
                del fields[name]
        for name in self.sub_configs:
            if fields[name] is not None:
                fields[name].pop("_name_or_path", None)
        return fields

    @property
    def tile_size(self) -> int:
        """Side of one low-resolution tile in pixels."""
        if self.vision_image_size is not None:
            return self.vision_image_size
        return kind_of(self.vision_config).image_size(self.vision_config)

    @property
    def token_map(self) -> FeatureMap:
        """The map of the low-resolution encoder whose positions are tokens."""
        return kind_of(self.vision_config).token_map(self.vision_config)

    @property
    def high_res_maps(self) -> tuple[FeatureMap, ...]:
        """The maps of the high-resolution encoder, finest first; none for the baseline."""
        encoder = self.high_res_vision_config
        return () if encoder is None else kind_of(encoder).maps(encoder)

    @property
    def patch_size(self) -> int:
        """Side of a low-resolution token's patch in pixels."""
        return self.token_map.stride

    @property
    def low_res_size(self) -> int:
        """Side of the low-resolution image, all tiles together, in pixels; with `max_tiles`, of one tile."""
        return self.tile_size * self.grid_size

    @property
    def low_res_renormalization(self) -> tuple[list[float], list[float]] | None:
        """Scale and shift of each channel from high-resolution to low-resolution statistics; None if they are equal."""
        if self.low_res_image_mean is None:
            return None
        means = zip(self.high_res_image_mean or OPENAI_CLIP_MEAN, self.low_res_image_mean, strict=True)
        stds = [*zip(self.high_res_image_std or OPENAI_CLIP_STD, self.low_res_image_std, strict=True)]
        shift = [(mean - low_mean) / low for (mean, low_mean), (_, low) in zip(means, stds, strict=True)]
        return [std / low for std, low in stds], shift

    @property
    def patches_per_side(self) -> int:
        """n: patches per side of a tile."""
        return self.tile_size // self.patch_size

    def tiles_in(self, rows: int, columns: int) -> int:
        """Tiles of an image that is cut into rows and columns, including the global tile."""
        has_global_tile = self.use_global_tile and (self.max_tiles is None or rows * columns > 1)
        return rows * columns + int(has_global_tile)

    @property
    def num_tiles(self) -> int:
        """Tiles per image, including the global tile; with `max_tiles`, the most."""
        return (
            self.tiles_in(self.grid_size, self.grid_size)
            if self.max_tiles is None
            else self.tiles_in(1, self.max_tiles)
        )

    @property
    def num_image_tokens(self) -> int:
        """Visual tokens per image; with `max_tiles`, the most."""
        return self.num_tiles * self.patches_per_side**2

    @property
    def positions_per_patch(self) -> int:
        """M: high-resolution positions per side of a low-resolution patch."""
        maps = self.high_res_maps
        stride = maps[0].stride if maps else 4  # the baseline has no positions; these are the paper's
        return self.high_res_size // (stride * self.patches_per_side * self.grid_size)

    @property
    def vision_depth(self) -> int:
        """Number of layers of a low-resolution ViT that are run; 0 if the encoder has stages."""
        layers = kind_of(self.vision_config).num_layers(self.vision_config)
        if layers is None:
            return 0
        return self.vision_feature_layer if self.vision_feature_layer >= 0 else layers + 1 + self.vision_feature_layer

    @property
    def word_groups(self) -> tuple[WordGroup, ...]:
        """The groups of the visual vocabulary."""
        return tuple(WordGroup(**fields) for fields in self.visual_vocabulary or ())

    def _check_encoders(self) -> None:
        """Check that the encoders are of known kinds, and that the feature layer exists."""
        layers = kind_of(self.vision_config).num_layers(self.vision_config)
        if layers is not None and not -layers - 1 <= self.vision_feature_layer <= layers:
            raise ValueError(
                f"vision_feature_layer is {self.vision_feature_layer}, but a ViT of {layers} layers has hidden states "
                f"{-layers - 1} to {layers}: choose one of them."
            )
        if self.high_res_vision_config is not None:
            kind_of(self.high_res_vision_config)

    def _check_statistics(self) -> None:
        """Check that means and standard deviations are three numbers each, and come together."""
        for encoder in ("low_res", "high_res"):
            mean, std = (getattr(self, f"{encoder}_image_{name}") for name in ("mean", "std"))
            if mean is None and std is None:
                continue
            if not (_is_rgb(mean) and _is_rgb(std) and min(std) > 0):
                raise ValueError(
                    f"{encoder}_image_mean is {mean!r} and {encoder}_image_std {std!r}; set both to three numbers, the "
                    "standard deviations above 0."
                )

    def _check_projector(self) -> None:
        """Check that the projector maps visual features to embeddings of the language model."""
        width, hidden = self.token_map.channels, self.text_config.hidden_size
        if self.projector_type not in PROJECTOR_TYPES:
            raise ValueError(f"projector_type is {self.projector_type!r}; choose one of {', '.join(PROJECTOR_TYPES)}.")
        if (self.projector_type == "visual_vocabulary") != bool(self.visual_vocabulary):
            raise ValueError(
                f"projector_type is {self.projector_type!r}, but visual_vocabulary has "
                f"{len(self.visual_vocabulary or ())} groups: set both, or neither."
            )
        names = [group.name for group in self.word_groups]
        if len(set(names)) < len(names):
            raise ValueError(f"visual_vocabulary has groups {', '.join(names)}: give each a name of its own.")
        if self.projector_depth < 0:
            raise ValueError(
                f"projector_depth is {self.projector_depth}; the number of linear layers must be 0 or more."
            )
        if self.projector_type == "mlp" and self.projector_depth == 0 and width != hidden:
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
        tile, patch, grid = self.tile_size, self.patch_size, self.grid_size
        if not (isinstance(tile, int) and isinstance(patch, int)):
            raise ValueError(
                f"image_size is {tile!r} and patch_size {patch!r}, but tiles and patches are square: set both to ints, "
                "or vision_image_size to the side of a tile."
            )
        if grid < 1:
            raise ValueError(f"grid_size is {grid}; the number of tiles per side must be 1 or more.")
        if self.max_tiles is not None:
            check_max_tiles(self.max_tiles)
            if grid != 1:
                raise ValueError(
                    f"grid_size is {grid} and max_tiles {self.max_tiles}, but an image is either a square of grid_size "
                    "tiles per side or has up to max_tiles: set grid_size to 1, or max_tiles to None."
                )
        if patch < 1 or tile < patch or tile % patch:
            raise ValueError(
                f"a tile of image_size={tile} pixels does not divide into patches of patch_size={patch}. "
                f"Nearest valid image_size: {_nearest_multiples(tile, max(patch, 1))}."
            )
        if self.high_res_vision_config is None:
            if self.high_res_size < 1:
                raise ValueError(f"high_res_size is {self.high_res_size} pixels; set at least {self.low_res_size}.")
            return
        maps, encoder = self.high_res_maps, self.high_res_vision_config
        stride = maps[0].stride
        unit = lcm(stride * self.patches_per_side * grid, kind_of(encoder).size_multiple(encoder))
        deepest = max(feature_map.stride for feature_map in maps)
        if self.high_res_size < deepest or self.high_res_size % unit:
            smallest = -(-deepest // unit) * unit
            raise ValueError(
                f"high_res_size={self.high_res_size} gives a map of {self.high_res_size / stride:g} positions "
                f"per side, which does not divide into whole blocks for {grid} x {self.patches_per_side} patches per "
                f"side (grid_size={grid}, image_size={tile}, patch_size={patch}). high_res_size must be a "
                f"multiple of {unit}, at least {smallest}. "
                f"Nearest valid: {_nearest_multiples(max(self.high_res_size, smallest), unit)}."
            )


def _is_rgb(values: Any) -> bool:
    return isinstance(values, list | tuple) and len(values) == 3 and all(isinstance(v, int | float) for v in values)


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
