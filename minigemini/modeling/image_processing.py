"""Image processor: a high-resolution tensor per image, and a low-resolution one that is computed from it."""

from typing import Any

import numpy as np
from einops import rearrange
from PIL import Image
from transformers.image_processing_backends import PilBackend
from transformers.image_processing_utils import BatchFeature
from transformers.image_utils import (
    ChannelDimension,
    ImageInput,
    PILImageResampling,
    SizeDict,
    infer_channel_dimension_format,
    to_numpy_array,
)
from transformers.utils import TensorType

from ..images.safe_images import upright
from .image_processing_base import MiniGeminiImageProcessorBase, MiniGeminiImageProcessorKwargs
from .native_shape import Grid, cut, pad_to, size_in_grid
from .resizing import downsample, pad_and_resize, renormalize, to_normalized

__all__ = ["MiniGeminiImageProcessor", "MiniGeminiImageProcessorKwargs"]


class MiniGeminiImageProcessor(MiniGeminiImageProcessorBase, PilBackend):
    """Compute the low- and high-resolution pixels of images with Pillow, as the published models were trained.

    Arguments and results are those of `MiniGeminiImageProcessorBase`.
    """

    def process_image(  # type: ignore[override]
        self,
        image: ImageInput,
        do_convert_rgb: bool | None = None,
        input_data_format: str | ChannelDimension | None = None,
        **_: Any,
    ) -> Image.Image | np.ndarray:
        """Convert an image to mode RGB, or to an array (3, H, W) if its values are not bytes.

        EXIF orientation is applied. Alpha is dropped, as the published models were trained; Transformers would
        composite it onto white. With `do_convert_rgb=False`, arrays keep their channels.
        """
        if isinstance(image, Image.Image):
            image = upright(image)
            return image if image.mode == "RGB" else image.convert("RGB")
        array = to_numpy_array(image)
        if input_data_format is None:
            input_data_format = infer_channel_dimension_format(array, num_channels=(1, 3, 4))
        if input_data_format == ChannelDimension.LAST:
            array = rearrange(array, "h w c -> c h w")
        if do_convert_rgb is False and len(array) != 3:
            return array
        # Arrays have no mode: one channel is gray, a fourth is alpha.
        array = np.repeat(array, 3, axis=0) if len(array) == 1 else array[:3]
        return Image.fromarray(rearrange(array, "c h w -> h w c")) if array.dtype == np.uint8 else array

    def fill_grid(
        self, image: Image.Image | np.ndarray, grid: Grid, tile_px: int, color: tuple[float, ...], resample: Any
    ) -> np.ndarray:
        """Resize an image to fill a grid of tiles, or pad it: (3, rows · tile_px, columns · tile_px)."""
        height, width = size_in_grid(*_size(image), grid, tile_px)
        if isinstance(image, Image.Image):
            pixels = rearrange(np.asarray(image.resize((width, height), resample)), "h w c -> c h w")
        else:
            pixels = self.resize(image, SizeDict(height=height, width=width), resample)
        return pad_to(pixels, grid.rows * tile_px, grid.columns * tile_px, color)

    def _preprocess(  # type: ignore[override]
        self,
        images: list[Image.Image | np.ndarray],
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
        return_tensors: str | TensorType | None,
        **_: Any,
    ) -> BatchFeature:
        def rescale_and_normalize(image: np.ndarray) -> np.ndarray:
            if do_rescale:
                image = self.rescale(image, rescale_factor)
            return self.normalize(image, image_mean, image_std) if do_normalize else image

        assert size.height is not None
        assert high_res_size.height is not None
        side_px = high_res_size.height if do_resize else None
        # 1. Compute the value of each of the 256 byte values per channel once.
        table = rescale_and_normalize(np.tile(np.arange(256, dtype=np.uint8), (len(image_mean), 1, 1)))[:, 0]
        low_res, high_res, grids = [], [], []
        for pixels in images:
            is_in_bytes = do_rescale or isinstance(pixels, Image.Image) or pixels.dtype == np.uint8
            color = self.padding_color(image_mean, is_in_bytes)
            # 2. Resize to a grid of tiles, or pad, resize and crop to the high-resolution size.
            if max_tiles is not None:
                tile_px = (size.height, high_res_size.height)
                grid = self.grid_for(_size(pixels), do_resize, tile_px, max_tiles)
                image = self.fill_grid(pixels, grid, high_res_size.height, color, resample)
                grids.append(grid)
            elif isinstance(pixels, Image.Image):
                resized = pad_and_resize(pixels, side_px, color if do_pad else None, resample)
                image = rearrange(np.asarray(resized), "h w c -> c h w")
            else:
                side = max(pixels.shape[-2:])
                image = pad_to(pixels, side, side, color) if do_pad else pixels
                image = self.resize(image, SizeDict(shortest_edge=side_px), resample) if do_resize else image
            if do_center_crop and max_tiles is None:
                image = self.center_crop(image, high_res_size)
            # 3. Rescale and normalize, then compute the low-resolution image from the result.
            image = to_normalized(image, table) if image.dtype == np.uint8 else rescale_and_normalize(image)
            high_res.append(image)
            if high_res_only:
                continue
            rows, columns = grids[-1] if grids else (1, 1)
            small = downsample(image, (size.height * rows, size.height * columns))
            if do_normalize and low_res_image_mean is not None and low_res_image_std is not None:
                small = renormalize(small, (image_mean, image_std), (low_res_image_mean, low_res_image_std))
            low_res.append(small)
        values = {"pixel_values": low_res, "high_res_pixel_values": high_res}
        if high_res_only:
            values = {"pixel_values": high_res}
        pooling = {} if image_token_pooling is None else {"image_token_pooling": np.array(image_token_pooling)}
        # 4. Cut images in their native shape into tiles.
        if grids:
            tiles: dict[str, Any] = {
                name: np.concatenate([cut(image, grid) for image, grid in zip(arrays, grids, strict=True)])
                for name, arrays in values.items()
            }
            tiles["image_grid_thw"] = np.array([(1, *grid) for grid in grids])
            if crop_to_patches:
                tiles["num_patches"] = np.array([grid.num_tiles for grid in grids])
            return BatchFeature({**tiles, **pooling}, tensor_type=return_tensors)
        if len(images) == 1:  # stacking would copy
            stacked = {name: arrays[0][None] for name, arrays in values.items()}
            return BatchFeature({**stacked, **pooling}, tensor_type=return_tensors)
        return BatchFeature({**values, **pooling}, tensor_type=return_tensors)


def _size(image: Image.Image | np.ndarray) -> tuple[int, int]:
    """Height and width of an image, or an array (3, H, W)."""
    height, width = (image.height, image.width) if isinstance(image, Image.Image) else image.shape[-2:]
    return height, width
