"""The image processor on tensors, for images that are on a GPU or go to one; Transformers calls it a backend.

`AutoImageProcessor.from_pretrained(folder, backend="torchvision")` returns it. Where it resizes bytes, it rounds
differently from Pillow, which remains the default.
"""

from typing import Any

import numpy as np
import torch
from einops import rearrange
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate
from transformers.image_processing_backends import TorchvisionBackend
from transformers.image_processing_utils import BatchFeature
from transformers.image_transforms import group_images_by_shape, reorder_images
from transformers.image_utils import (
    ChannelDimension,
    ImageInput,
    PILImageResampling,
    SizeDict,
    infer_channel_dimension_format,
)
from transformers.utils import TensorType, is_torchvision_available

from ..images.safe_images import upright
from .image_processing_base import MiniGeminiImageProcessorBase, MiniGeminiImageProcessorKwargs
from .native_shape import Grid, cut, size_in_grid
from .resizing import renormalization

if is_torchvision_available():
    from torchvision.transforms.v2 import functional as transforms

# Transformers' tests find the arguments of a class by its name.
MiniGeminiImageProcessorTorchvisionKwargs = MiniGeminiImageProcessorKwargs


class MiniGeminiImageProcessorTorchvision(MiniGeminiImageProcessorBase, TorchvisionBackend):
    """Compute the low- and high-resolution pixels of images on any device; images of one shape are one batch.

    Arguments and results are those of `MiniGeminiImageProcessorBase`; `device` names where to compute.
    """

    def process_image(
        self,
        image: ImageInput,
        do_convert_rgb: bool | None = None,
        input_data_format: str | ChannelDimension | None = None,
        device: torch.device | str | None = None,
        **_: Any,
    ) -> Tensor:
        """Convert an image to a tensor (3, H, W) as `MiniGeminiImageProcessor` does: upright, and without alpha."""
        if isinstance(image, Image.Image):
            rgb = torch.from_numpy(np.array(upright(image).convert("RGB")))
            return rearrange(rgb, "h w c -> c h w").contiguous().to(device)
        pixels: Any = torch.as_tensor(image)
        if input_data_format is None:
            input_data_format = infer_channel_dimension_format(pixels, num_channels=(1, 3, 4))
        if input_data_format == ChannelDimension.LAST:
            pixels = rearrange(pixels, "h w c -> c h w")
        if do_convert_rgb is not False or len(pixels) == 3:
            pixels = pixels.expand(3, -1, -1) if len(pixels) == 1 else pixels[:3]
        return pixels.contiguous().to(device)

    def to_dict(self) -> dict[str, Any]:
        """Serialize the settings under the name that all backends share, so that each loads the others' files."""
        return {**super().to_dict(), "image_processor_type": "MiniGeminiImageProcessor"}

    def _preprocess(  # type: ignore[override]
        self,
        images: list[Tensor],
        *,
        do_pad: bool,
        do_resize: bool,
        do_center_crop: bool,
        do_rescale: bool,
        do_normalize: bool,
        size: SizeDict,
        high_res_size: SizeDict,
        resample: PILImageResampling,
        rescale_factor: float,
        image_mean: tuple[float, ...],
        image_std: tuple[float, ...],
        low_res_image_mean: tuple[float, ...] | None,
        low_res_image_std: tuple[float, ...] | None,
        max_tiles: int | None,
        image_token_pooling: list[int] | None,
        high_res_only: bool | None,
        crop_to_patches: bool | None,
        disable_grouping: bool | None,
        return_tensors: str | TensorType | None,
        **_: Any,
    ) -> BatchFeature:
        assert size.height is not None
        assert high_res_size.height is not None
        normalization: Any = (do_rescale, rescale_factor, do_normalize, image_mean, image_std)
        groups, order = group_images_by_shape(images, disable_grouping=disable_grouping)
        low_res, high_res, grids = {}, {}, {}
        for key, pixels in groups.items():
            is_in_bytes = do_rescale or pixels.dtype == torch.uint8
            color = list(self.padding_color(image_mean, is_in_bytes))
            # 1. Resize to a grid of tiles, or pad, resize and crop to the high-resolution size.
            grid = Grid(1, 1)
            if max_tiles is not None:
                tile_px = (size.height, high_res_size.height)
                grid = self.grid_for(tuple(pixels.shape[-2:]), do_resize, tile_px, max_tiles)
                pixels = self.fill_grid(pixels, grid, high_res_size.height, color, resample)
            else:
                side = max(pixels.shape[-2:])
                pixels = pad_to(pixels, side, side, color) if do_pad else pixels
                if do_resize:
                    pixels = self.resize(pixels, SizeDict(shortest_edge=high_res_size.height), resample)
                if do_center_crop:
                    pixels = self.center_crop(pixels, high_res_size)
            # 2. Rescale and normalize, then compute the low-resolution image from the result.
            pixels = self.rescale_and_normalize(pixels, *normalization)
            side_px = (size.height * grid.rows, size.height * grid.columns)
            small = interpolate(pixels.float(), size=side_px, mode="bilinear", align_corners=False)
            if do_normalize and low_res_image_mean is not None and low_res_image_std is not None:
                change = renormalization((image_mean, image_std), (low_res_image_mean, low_res_image_std))
                scale, shift = (torch.from_numpy(values).to(small) for values in change)
                small = small * scale + shift
            low_res[key], high_res[key], grids[key] = small, pixels, grid
        values: dict[str, Any] = {
            "pixel_values": reorder_images(low_res, order),
            "high_res_pixel_values": reorder_images(high_res, order),
        }
        if high_res_only:
            values = {"pixel_values": values["high_res_pixel_values"]}
        # 3. Cut images in their native shape into tiles.
        if max_tiles is not None:
            chosen = [grids[order[number][0]] for number in range(len(images))]
            for name, tensors in values.items():
                values[name] = torch.cat([cut(image, grid) for image, grid in zip(tensors, chosen, strict=True)])
            values["image_grid_thw"] = np.array([(1, *grid) for grid in chosen])
            if crop_to_patches:
                values["num_patches"] = np.array([grid.num_tiles for grid in chosen])
        if image_token_pooling is not None:
            values["image_token_pooling"] = np.array(image_token_pooling)
        return BatchFeature(values, tensor_type=return_tensors)

    def fill_grid(self, pixels: Tensor, grid: Grid, tile_px: int, color: list[float], resample: Any) -> Tensor:
        """Resize images (B, 3, H, W) to fill a grid, or pad them: (B, 3, rows · tile_px, columns · tile_px)."""
        height, width = pixels.shape[-2:]
        height, width = size_in_grid(height, width, grid, tile_px)
        pixels = self.resize(pixels, SizeDict(height=height, width=width), resample)
        return pad_to(pixels, grid.rows * tile_px, grid.columns * tile_px, color)


def pad_to(pixels: Tensor, height_px: int, width_px: int, color: list[float]) -> Tensor:
    """Center images (B, 3, H, W) on a canvas of one color: (B, 3, height_px, width_px)."""
    height, width = pixels.shape[-2:]
    top, left = (height_px - height) // 2, (width_px - width) // 2
    padding = [left, top, width_px - width - left, height_px - height - top]
    return transforms.pad(pixels, padding, fill=color) if any(padding) else pixels
