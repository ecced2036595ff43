"""Several high-resolution encoders whose maps are mined as one: each sees the same image, and mining every map.

The number of visual tokens does not grow, unlike in mixtures that concatenate tokens.
"""

from collections.abc import Sequence
from math import lcm
from typing import Any, Self

from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel

from .encoders import EncoderKind, FeatureMap, kind_of

MAX_ENCODERS = 4
_FIELDS = tuple(f"encoder_{i}" for i in range(MAX_ENCODERS))


@strict
class EncoderMixtureConfig(PreTrainedConfig):
    """Configuration of several encoders.

    Args:
        encoder_0, encoder_1, encoder_2, encoder_3: The encoders, as configs or dictionaries; None after the last.
        image_means: The mean of RGB, in [0, 1], that each encoder was trained with; None if all have the same.
        image_stds: The standard deviations, given together with the means.
    """

    model_type = "encoder_mixture"
    sub_configs = dict.fromkeys(_FIELDS, AutoConfig)

    encoder_0: Any = None
    encoder_1: Any = None
    encoder_2: Any = None
    encoder_3: Any = None
    image_means: Any = None
    image_stds: Any = None

    def __post_init__(self, **kwargs: Any) -> None:
        for name in _FIELDS:
            if isinstance(fields := getattr(self, name), dict):
                setattr(self, name, AutoConfig.for_model(**fields))
        super().__post_init__(**kwargs)

    @classmethod
    def of(cls, encoders: Sequence[PreTrainedConfig], **statistics: Any) -> Self:
        """Combine configs.

        Raises:
            ValueError: There are none, or more than `MAX_ENCODERS`.
        """
        if not 1 <= len(encoders) <= MAX_ENCODERS:
            raise ValueError(
                f"high_res_vision_config lists {len(encoders)} encoders: list 1 to {MAX_ENCODERS}, or set it to None."
            )
        fields: dict[str, Any] = dict(zip(_FIELDS, encoders, strict=False))
        return cls(**fields, **statistics)

    @classmethod
    def default_config_fields(cls) -> dict[str, Any]:
        """Save the encoders' configs in full."""
        return {**super().default_config_fields(), **{name: {} for name in _FIELDS}}

    @property
    def encoders(self) -> list[PreTrainedConfig]:
        """The configs of the encoders, in order."""
        return [encoder for name in _FIELDS if (encoder := getattr(self, name)) is not None]


class EncoderMixtureModel(PreTrainedModel):
    """The encoders of a mixture."""

    config_class = EncoderMixtureConfig
    config: EncoderMixtureConfig
    base_model_prefix = "mixture"
    main_input_name = "pixel_values"
    input_modalities = ["image"]  # noqa: RUF012
    supports_gradient_checkpointing = True

    def __init__(self, config: EncoderMixtureConfig):
        super().__init__(config)
        self.kinds = [kind_of(encoder) for encoder in config.encoders]
        self.encoders = nn.ModuleList(kind.build(c) for kind, c in zip(self.kinds, config.encoders, strict=True))
        strides = [m.stride for kind, c in zip(self.kinds, config.encoders, strict=True) for m in kind.maps(c)]
        self.finest_first = sorted(range(len(strides)), key=lambda i: strides[i])
        same: list[Any] = [None] * len(self.kinds)
        self.statistics = (
            same if config.image_means is None else [*zip(config.image_means, config.image_stds, strict=True)]
        )
        self.post_init()

    def forward(self, pixel_values: Tensor) -> list[Tensor]:
        """Encode images (B, 3, H, W), normalized for the first encoder: all maps (B, C_s, ~H/s, ~W/s), finest first."""
        maps: list[Tensor] = []
        for number, (kind, encoder) in enumerate(zip(self.kinds, self.encoders, strict=True)):
            maps += kind.encode(encoder, self._normalized_for(number, pixel_values))
        return [maps[i] for i in self.finest_first]

    def _normalized_for(self, number: int, pixels: Tensor) -> Tensor:
        """Change the statistics of the first encoder to those of another."""
        if self.statistics[number] == self.statistics[0]:
            return pixels
        (mean, std), (new_mean, new_std) = (
            (pixels.new_tensor(values)[:, None, None] for values in self.statistics[i]) for i in (0, number)
        )
        return (pixels * std + (mean - new_mean)) / new_std


class EncoderMixture(EncoderKind):
    """Several encoders at once, for high resolution."""

    def maps(self, config: EncoderMixtureConfig) -> tuple[FeatureMap, ...]:
        found = [feature_map for encoder in config.encoders for feature_map in kind_of(encoder).maps(encoder)]
        return tuple(sorted(found, key=lambda feature_map: feature_map.stride))

    def build(self, config: EncoderMixtureConfig) -> nn.Module:
        return EncoderMixtureModel(config)

    def encode(self, tower: Any, pixels: Tensor) -> list[Tensor]:
        return tower(pixels)

    def size_multiple(self, config: EncoderMixtureConfig) -> int:
        return lcm(*(kind_of(encoder).size_multiple(encoder) for encoder in config.encoders))

    def tunable(self, config: EncoderMixtureConfig, layer: int | None = None) -> str:
        patterns = [kind_of(encoder).tunable(encoder) for encoder in config.encoders]
        return "|".join(rf"encoders\.{i}\.(?:{pattern})" for i, pattern in enumerate(patterns))
