"""EfficientNet-Lite, a small convolutional encoder for CPUs: EfficientNet (arXiv 1905.11946) without squeeze-excitation
and with ReLU6 in place of SiLU.

Five sizes, Lite0 to Lite4, differ in two coefficients (github.com/tensorflow/tpu, `efficientnet_lite_builder.py`).
Unlike EfficientNet's, the stem, the last convolution and the depth of the first and last group do not scale.

Shape legend:
    B     images
    H, W  sides of the images in pixels
    C_s   channels of the stage map with stride s
"""

import math
from typing import Any, NamedTuple

from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutputWithNoAttention
from transformers.utils import can_return_tuple

LITE_SIZES: dict[str, tuple[float, float, int]] = {
    "lite0": (1.0, 1.0, 224),
    "lite1": (1.0, 1.1, 240),
    "lite2": (1.1, 1.2, 260),
    "lite3": (1.2, 1.4, 280),
    "lite4": (1.4, 1.8, 300),
}
"""Width coefficient, depth coefficient and image size in pixels of the published models."""

IMAGE_MEAN, IMAGE_STD = (127 / 255,) * 3, (128 / 255,) * 3
"""Statistics of the input: bytes x become (x - 127) / 128."""

STEM_CHANNELS, LAST_CHANNELS = 32, 1280


class _Group(NamedTuple):
    """Blocks that differ in their input alone."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


_GROUPS = (
    _Group(1, 3, 1, 1, 16),
    _Group(2, 3, 2, 6, 24),  # stride 4
    _Group(2, 5, 2, 6, 40),  # stride 8
    _Group(3, 3, 2, 6, 80),
    _Group(3, 5, 1, 6, 112),  # stride 16
    _Group(4, 5, 2, 6, 192),
    _Group(1, 3, 1, 6, 320),  # stride 32
)
STAGE_STRIDES = (4, 8, 16, 32)
_STAGE_GROUPS = (1, 2, 4, 6)
"""Index of the last group of each stage: the next one halves the map."""


@strict
class EfficientNetLiteConfig(PreTrainedConfig):
    """Configuration of an EfficientNet-Lite; the defaults are Lite0.

    Args:
        width_coefficient: Factor on the channels of the blocks, rounded to multiples of 8.
        depth_coefficient: Factor on the number of blocks of all groups but the first and the last.
        image_size: Side of an image in pixels. Any size can be encoded.
        batch_norm_eps: Epsilon of the batch norms.
    """

    model_type = "efficientnet_lite"

    width_coefficient: float = 1.0
    depth_coefficient: float = 1.0
    image_size: int = 224
    batch_norm_eps: float = 1e-3

    @property
    def groups(self) -> tuple[_Group, ...]:
        """The groups of blocks, scaled by the coefficients."""
        last = len(_GROUPS) - 1
        return tuple(
            group._replace(
                channels=_scaled(group.channels, self.width_coefficient),
                blocks=group.blocks if i in (0, last) else math.ceil(group.blocks * self.depth_coefficient),
            )
            for i, group in enumerate(_GROUPS)
        )

    @property
    def hidden_sizes(self) -> list[int]:
        """C_s: channels of the stage maps, finest first."""
        return [self.groups[i].channels for i in _STAGE_GROUPS]

    @property
    def hidden_size(self) -> int:
        """Channels of the last map."""
        return LAST_CHANNELS

    @property
    def stage_ends(self) -> list[int]:
        """Number of blocks up to the end of each stage."""
        return [sum(group.blocks for group in self.groups[: i + 1]) for i in _STAGE_GROUPS]


def _scaled(channels: int, coefficient: float) -> int:
    """Scale a number of channels, rounded to a multiple of 8 that is not below 90 %."""
    scaled = channels * coefficient
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


class ConvNorm(nn.Module):
    """Convolution without bias, padded as TensorFlow's `SAME`, and batch norm; ReLU6 unless `activation` is False."""

    def __init__(
        self, dim_in: int, dim_out: int, kernel: int, stride: int, eps: float, groups: int = 1, activation: bool = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim_in, dim_out, kernel, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(dim_out, eps=eps, momentum=0.01)
        self.kernel, self.stride, self.activation = kernel, stride, activation

    def forward(self, x: Tensor) -> Tensor:
        """(B, dim_in, H, W) -> (B, dim_out, ⌈H/stride⌉, ⌈W/stride⌉)."""
        if self.kernel > 1:
            (top, bottom), (left, right) = self._padding(x.shape[-2]), self._padding(x.shape[-1])
            x = nn.functional.pad(x, (left, right, top, bottom))
        x = self.norm(self.conv(x))
        return nn.functional.relu6(x) if self.activation else x

    def _padding(self, size: int) -> tuple[int, int]:
        """Padding before and after `size` positions. The odd one comes after."""
        total = max((-(-size // self.stride) - 1) * self.stride + self.kernel - size, 0)
        return total // 2, total - total // 2


class Block(nn.Module):
    """Inverted residual: expand the channels, convolve each one, project; the input is added where shapes agree."""

    def __init__(self, dim_in: int, group: _Group, stride: int, eps: float) -> None:
        super().__init__()
        width = dim_in * group.expansion
        self.expand = ConvNorm(dim_in, width, 1, 1, eps) if group.expansion > 1 else None
        self.depthwise = ConvNorm(width, width, group.kernel, stride, eps, groups=width)
        self.project = ConvNorm(width, group.channels, 1, 1, eps, activation=False)
        self.is_residual = stride == 1 and dim_in == group.channels

    def forward(self, x: Tensor) -> Tensor:
        """(B, dim_in, H, W) -> (B, channels, ⌈H/stride⌉, ⌈W/stride⌉)."""
        wide = x if self.expand is None else self.expand(x)
        out = self.project(self.depthwise(wide))
        return x + out if self.is_residual else out


class EfficientNetLiteModel(PreTrainedModel):
    """EfficientNet-Lite without its classifier."""

    config_class = EfficientNetLiteConfig
    config: EfficientNetLiteConfig
    base_model_prefix = "efficientnet_lite"
    main_input_name = "pixel_values"
    input_modalities = ["image"]  # noqa: RUF012
    _no_split_modules = ["Block"]  # noqa: RUF012

    def __init__(self, config: EfficientNetLiteConfig):
        super().__init__(config)
        eps, dim, blocks = config.batch_norm_eps, STEM_CHANNELS, []
        self.stem = ConvNorm(3, dim, 3, 2, eps)
        for group in config.groups:
            for i in range(group.blocks):
                blocks.append(Block(dim, group, group.stride if i == 0 else 1, eps))
                dim = group.channels
        self.blocks = nn.ModuleList(blocks)
        self.head = ConvNorm(dim, LAST_CHANNELS, 1, 1, eps)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, nn.Conv2d):  # scaled to the fan, because a constant scale vanishes in 50 layers
            fan_out = module.weight[0, 0].numel() * module.out_channels // module.groups
            init.normal_(module.weight, mean=0.0, std=math.sqrt(2 / fan_out))

    @can_return_tuple
    def forward(self, pixel_values: Tensor, **_: Any) -> BaseModelOutputWithNoAttention:
        """Encode images (B, 3, H, W).

        Returns:
            `last_hidden_state` (B, 1280, ⌈H/32⌉, ⌈W/32⌉), and `hidden_states`: the maps (B, C_s, ⌈H/s⌉, ⌈W/s⌉) of
            strides s = 4, 8, 16, 32.
        """
        x = self.stem(pixel_values.to(self.dtype))
        maps = []
        for number, block in enumerate(self.blocks, start=1):
            x = block(x)
            if number in self.config.stage_ends:
                maps.append(x)
        return BaseModelOutputWithNoAttention(last_hidden_state=self.head(x), hidden_states=tuple(maps))
