"""Image encoders: the protocol that the model needs of one, and which kinds there are.

An encoder is any module that turns pixels into feature maps. Its `EncoderKind` says how it is described, built and run;
the module itself is stored in a checkpoint under its own names. A kind is found by the `model_type` of the encoder's
config: among `encoder_kinds.KINDS`, or among the entry points `minigemini.encoders` of installed packages.

Shape legend:
    B     images
    H, W  sides of the images in pixels
    N     tokens of an image, row by row
    C     channels of the tokens
    C_s   channels of a feature map with stride s
"""

from functools import cache
from importlib.metadata import entry_points
from typing import Any, NamedTuple

from einops import rearrange
from torch import Tensor, nn
from transformers import MODEL_MAPPING, AutoModel, PreTrainedConfig

ENTRY_POINTS = "minigemini.encoders"
"""Group of entry points. A name is a `model_type`, its object an `EncoderKind` class."""


class FeatureMap(NamedTuple):
    """What is known of a feature map from the config of its encoder."""

    channels: int
    stride: int  # pixels per position


class EncoderKind:
    """How encoders of one `model_type` are described, built and run. A kind has no state.

    A new kind overrides `maps`, `build` and `encode`. As a high-resolution encoder it then gives all of its maps to
    mining; as a low-resolution encoder the positions of its last map are the tokens.
    """

    def maps(self, config: Any) -> tuple[FeatureMap, ...]:
        """The maps that `encode` returns, finest first."""
        raise NotImplementedError

    def build(self, config: Any) -> nn.Module:
        """Build the encoder with random weights, without the parts that `encode` does not run."""
        raise NotImplementedError

    def encode(self, tower: Any, pixels: Tensor) -> list[Tensor]:
        """Encode images (B, 3, H, W): a map (B, C_s, ~H/s, ~W/s) for each of `maps`."""
        raise NotImplementedError

    def token_map(self, config: Any) -> FeatureMap:
        """The map whose positions are tokens, if this is the low-resolution encoder."""
        return self.maps(config)[-1]

    def build_for_tokens(self, config: Any, layer: int) -> nn.Module:
        """Build the encoder with random weights, without the parts that `encode_tokens` does not run.

        Args:
            config: Config of the encoder.
            layer: Number of layers to run, if `num_layers` gives a number.
        """
        return self.build(config)

    def encode_tokens(self, tower: Any, pixels: Tensor) -> Tensor:
        """Encode images (B, 3, H, W) as tokens (B, N, C), row by row."""
        return rearrange(self.encode(tower, pixels)[-1], "b c h w -> b (h w) c")

    def num_layers(self, config: Any) -> int | None:
        """Number of layers of which `vision_feature_layer` selects one; None if its tokens come from one map alone."""
        return None

    def size_multiple(self, config: Any) -> int:
        """Sides of high-resolution images are multiples of this, in pixels."""
        return 1

    def tunable(self, config: Any, layer: int | None = None) -> str:
        """Pattern of the names, below the encoder, of the parameters that `tune_encoders` trains: by default, all."""
        return ""


@cache
def _plugin_kinds() -> dict[str, Any]:
    return {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}


def find_kind(config: PreTrainedConfig) -> EncoderKind | None:
    """Return the kind of an encoder by the `model_type` of its config; None if there is none."""
    from .encoder_kinds import KINDS  # they derive from the class above

    if (kind := KINDS.get(config.model_type)) is not None:
        return kind
    entry = _plugin_kinds().get(config.model_type)
    return None if entry is None else entry.load()()


def kind_of(config: PreTrainedConfig) -> EncoderKind:
    """Return the kind of an encoder by the `model_type` of its config.

    Raises:
        ValueError: There is none; the message lists those that there are.
    """
    from .encoder_kinds import KINDS

    kind = find_kind(config)
    if kind is None:
        raise ValueError(
            f"an encoder has model_type {config.model_type!r}, which is none of {', '.join(sorted(KINDS))}: choose one "
            f"of these, or install a package with the entry point {ENTRY_POINTS} of that name."
        )
    return kind


def build_module(config: PreTrainedConfig) -> Any:
    """Build the Transformers model of a config; one without exchangeable attention ignores the implementation chosen
    for the whole model, which it would reject."""
    model_class = MODEL_MAPPING[type(config)]
    fixed = {} if model_class._supports_sdpa else {"attn_implementation": "eager"}
    return AutoModel.from_config(config, **fixed)
