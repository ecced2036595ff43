"""Image processor: a high-resolution tensor per image, and a low-resolution one that is computed from it."""

from typing import Any

import numpy as np
from einops import rearrange
from PIL import Image
from transformers.image_processing_backends import PilBackend
from transformers.image_processing_utils import BatchFeature, get_size_dict
from transformers.image_utils import (
    OPENAI_CLIP_MEAN,
    OPENAI_CLIP_STD,
    ChannelDimension,
    ImageInput,
    PILImageResampling,
    SizeDict,
    infer_channel_dimension_format,
    to_numpy_array,
)
from transformers.processing_utils import ImagesKwargs, Unpack
from transformers.utils import TensorType

from ..images.safe_images import open_stored, upright
from .auto_class import AutoClass
from .native_shape import Grid, check_max_tiles, choose_grid, cut, grid_of, pad_to, size_in_grid
from .resizing import downsample, pad_and_resize, renormalize, to_normalized


class MiniGeminiImageProcessorKwargs(ImagesKwargs, total=False):
    """Arguments in addition to those of every image processor.

    Attributes:
        high_res_size: Side of the high-resolution image in pixels.
        max_tiles: The most tiles of an image in its native shape; None for squares.
        low_res_image_mean, low_res_image_std: Statistics of the low-resolution image, if they differ.
        image_token_pooling: A factor for each image by which the model pools its visual tokens; returned as it is.
    """

    high_res_size: int | dict[str, int] | SizeDict
    max_tiles: int | None
    low_res_image_mean: list[float] | None
    low_res_image_std: list[float] | None
    image_token_pooling: list[int] | None


class MiniGeminiImageProcessor(AutoClass, PilBackend):
    """Compute the low- and high-resolution pixels of images.

    Square images are not cut into tiles; the model does that. Images in their native shape are, see `native_shape`:
    tiles of equal size make one batch of images of different shapes.

    Args:
        size: Size of the low-resolution image, all tiles together, e.g. `{"height": 672, "width": 672}`; with
            `max_tiles`, of one tile.
        high_res_size: Size of the high-resolution image, e.g. `{"height": 1536, "width": 1536}`; with `max_tiles`, of
            one tile.
        max_tiles: The most tiles of an image in its native shape; None makes every image a square.
        image_mean, image_std: Statistics of RGB, in [0, 1], that the high-resolution encoder was trained with.
        low_res_image_mean, low_res_image_std: Those of the low-resolution encoder; None if they are the same.
        do_pad: Pad to a square with the mean color first. Otherwise, as in the paper's alignment stage, the shortest
            side is resized and the image is center-cropped. With `max_tiles`, images are never cropped, and padded
            only if they are too elongated for a grid.

    Raises:
        ValueError: A size is not square, or `max_tiles` is out of range.
    """

    valid_kwargs = MiniGeminiImageProcessorKwargs
    resample = PILImageResampling.BICUBIC
    image_mean = OPENAI_CLIP_MEAN
    image_std = OPENAI_CLIP_STD
    low_res_image_mean = None
    low_res_image_std = None
    image_token_pooling = None
    size = {"height": 336, "width": 336}  # noqa: RUF012
    high_res_size = {"height": 768, "width": 768}  # noqa: RUF012
    max_tiles = None
    do_pad = True
    do_resize = True
    do_center_crop = True
    do_rescale = True
    do_normalize = True

    def __init__(self, **kwargs: Unpack[MiniGeminiImageProcessorKwargs]):
        super().__init__(**kwargs)  # type: ignore[misc]
        if self.max_tiles is not None:
            check_max_tiles(self.max_tiles)

    @property
    def model_input_names(self) -> list[str]:  # type: ignore[override]
        """Names of the tensors that `preprocess` returns."""
        return ["pixel_values", "high_res_pixel_values", *(["image_grid_thw"] if self.max_tiles is not None else [])]

    def preprocess(self, images: ImageInput, **kwargs: Unpack[MiniGeminiImageProcessorKwargs]) -> BatchFeature:
        """Preprocess one or more images.

        Returns:
            `pixel_values` (B, 3, size, size) and `high_res_pixel_values` (B, 3, high_res_size, high_res_size). With
            `max_tiles`, both have one row per tile, the tiles of an image row by row, and `image_grid_thw` (B, 3) holds
            1 and the rows and columns of tiles of each image, under the name of Qwen2-VL's grids of patches.
        """
        return super().preprocess(images, **kwargs)

    def fetch_images(self, image_url_or_urls: Any) -> Any:
        """Open paths and data URIs within the limits of `safe_images`. URLs are refused.

        Raises:
            ImageError: An image cannot be read.
        """
        if isinstance(image_url_or_urls, str):
            return open_stored(image_url_or_urls)
        return super().fetch_images(image_url_or_urls)

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

    def pad_to_square(self, image: np.ndarray, color: tuple[int, ...]) -> np.ndarray:
        """Center an image (C, H, W) on a square of one color."""
        channels, height, width = image.shape
        side = max(height, width)
        if height == width:
            return image
        canvas = np.empty((channels, side, side), dtype=image.dtype)
        canvas[:] = np.array(color, dtype=image.dtype)[:, None, None]
        top, left = (side - height) // 2, (side - width) // 2
        canvas[:, top : top + height, left : left + width] = image
        return canvas

    def grid(self, height_px: int, width_px: int) -> Grid:
        """Return the grid of tiles into which an image is cut; needs `max_tiles`."""
        assert self.max_tiles is not None
        return choose_grid(height_px, width_px, self.size["height"], self.max_tiles)

    def fill_grid(
        self, image: Image.Image | np.ndarray, grid: Grid, tile_px: int, color: tuple[int, ...], resample: Any
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
        return_tensors: str | TensorType | None,
        **_: Any,
    ) -> BatchFeature:
        def rescale_and_normalize(image: np.ndarray) -> np.ndarray:
            if do_rescale:
                image = self.rescale(image, rescale_factor)
            return self.normalize(image, image_mean, image_std) if do_normalize else image

        assert size.height is not None
        assert high_res_size.height is not None
        mean_color = tuple(int(mean * 255) for mean in image_mean)
        color = mean_color if do_pad else None
        side_px = high_res_size.height if do_resize else None
        # 1. Compute the value of each of the 256 byte values per channel once.
        table = rescale_and_normalize(np.tile(np.arange(256, dtype=np.uint8), (len(image_mean), 1, 1)))[:, 0]
        low_res, high_res, grids = [], [], []
        for pixels in images:
            # 2. Resize to a grid of tiles, or pad, resize and crop to the high-resolution size.
            if max_tiles is not None:
                grid = self._grid(pixels, do_resize, size.height, high_res_size.height, max_tiles)
                image = self.fill_grid(pixels, grid, high_res_size.height, mean_color, resample)
                grids.append(grid)
            elif isinstance(pixels, Image.Image):
                image = rearrange(np.asarray(pad_and_resize(pixels, side_px, color, resample)), "h w c -> c h w")
            else:
                image = pixels if color is None else self.pad_to_square(pixels, color)
                image = self.resize(image, SizeDict(shortest_edge=side_px), resample) if do_resize else image
            if do_center_crop and max_tiles is None:
                image = self.center_crop(image, high_res_size)
            # 3. Rescale and normalize, then compute the low-resolution image from the result.
            image = to_normalized(image, table) if image.dtype == np.uint8 else rescale_and_normalize(image)
            high_res.append(image)
            rows, columns = grids[-1] if grids else (1, 1)
            small = downsample(image, (size.height * rows, size.height * columns))
            if do_normalize and low_res_image_mean is not None and low_res_image_std is not None:
                small = renormalize(small, (image_mean, image_std), (low_res_image_mean, low_res_image_std))
            low_res.append(small)
        values = {"pixel_values": low_res, "high_res_pixel_values": high_res}
        pooling = {} if image_token_pooling is None else {"image_token_pooling": np.array(image_token_pooling)}
        # 4. Cut images in their native shape into tiles.
        if grids:
            tiles: dict[str, Any] = {
                name: np.concatenate([cut(image, grid) for image, grid in zip(arrays, grids, strict=True)])
                for name, arrays in values.items()
            }
            tiles["image_grid_thw"] = np.array([(1, *grid) for grid in grids])
            return BatchFeature({**tiles, **pooling}, tensor_type=return_tensors)
        if len(images) == 1:  # stacking would copy
            stacked = {name: arrays[0][None] for name, arrays in values.items()}
            return BatchFeature({**stacked, **pooling}, tensor_type=return_tensors)
        return BatchFeature({**values, **pooling}, tensor_type=return_tensors)

    @staticmethod
    def _grid(
        image: Image.Image | np.ndarray, do_resize: bool, low_res_px: int, high_res_px: int, max_tiles: int
    ) -> Grid:
        """Choose the grid of an image, or find it if the image keeps its size."""
        if do_resize:
            return choose_grid(*_size(image), low_res_px, max_tiles)
        return grid_of(*_size(image), high_res_px, max_tiles)

    def _standardize_kwargs(self, size: Any = None, high_res_size: Any = None, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        kwargs = super()._standardize_kwargs(**kwargs)
        kwargs["size"] = _square(size, "size")
        kwargs["high_res_size"] = _square(high_res_size, "high_res_size")
        return kwargs

    def _validate_preprocess_kwargs(self, high_res_size: SizeDict, **kwargs: Any) -> None:  # type: ignore[override]
        # The high-resolution size is the crop size; there is no separate one.
        super()._validate_preprocess_kwargs(**{**kwargs, "crop_size": high_res_size})


def _size(image: Image.Image | np.ndarray) -> tuple[int, int]:
    """Height and width of an image, or an array (3, H, W)."""
    height, width = (image.height, image.width) if isinstance(image, Image.Image) else image.shape[-2:]
    return height, width


def _square(size: Any, name: str) -> SizeDict:
    size = (
        size if isinstance(size, SizeDict) else SizeDict(**get_size_dict(size, default_to_square=True, param_name=name))
    )
    if not size.height or size.height != size.width:
        raise ValueError(f"{name} is {size.height} x {size.width}, but must be square: set equal height and width.")
    return size
