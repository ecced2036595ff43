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
from .resizing import downsample, pad_and_resize, renormalize, to_normalized


class MiniGeminiImageProcessorKwargs(ImagesKwargs, total=False):
    """Arguments in addition to those of every image processor.

    Attributes:
        high_res_size: Side of the high-resolution image in pixels.
        low_res_image_mean, low_res_image_std: Statistics of the low-resolution image, if they differ.
    """

    high_res_size: int | dict[str, int] | SizeDict
    low_res_image_mean: list[float] | None
    low_res_image_std: list[float] | None


class MiniGeminiImageProcessor(PilBackend):
    """Compute the low- and high-resolution pixels of images. Tiling is left to the model.

    Args:
        size: Size of the low-resolution image, all tiles together, e.g. `{"height": 672, "width": 672}`.
        high_res_size: Size of the high-resolution image, e.g. `{"height": 1536, "width": 1536}`.
        image_mean, image_std: Statistics of RGB, in [0, 1], that the high-resolution encoder was trained with.
        low_res_image_mean, low_res_image_std: Those of the low-resolution encoder; None if they are the same.
        do_pad: Pad to a square with the mean color first. Otherwise, as in the paper's alignment stage, the shortest
            side is resized and the image is center-cropped.

    Raises:
        ValueError: A size is not square.
    """

    model_input_names = ["pixel_values", "high_res_pixel_values"]  # noqa: RUF012
    valid_kwargs = MiniGeminiImageProcessorKwargs
    resample = PILImageResampling.BICUBIC
    image_mean = OPENAI_CLIP_MEAN
    image_std = OPENAI_CLIP_STD
    low_res_image_mean = None
    low_res_image_std = None
    size = {"height": 336, "width": 336}  # noqa: RUF012
    high_res_size = {"height": 768, "width": 768}  # noqa: RUF012
    do_pad = True
    do_resize = True
    do_center_crop = True
    do_rescale = True
    do_normalize = True

    def __init__(self, **kwargs: Unpack[MiniGeminiImageProcessorKwargs]):
        super().__init__(**kwargs)  # type: ignore[misc]

    def preprocess(self, images: ImageInput, **kwargs: Unpack[MiniGeminiImageProcessorKwargs]) -> BatchFeature:
        """Preprocess one or more images.

        Returns:
            `pixel_values` (B, 3, size, size) and `high_res_pixel_values` (B, 3, high_res_size, high_res_size).
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
        return_tensors: str | TensorType | None,
        **_: Any,
    ) -> BatchFeature:
        def rescale_and_normalize(image: np.ndarray) -> np.ndarray:
            if do_rescale:
                image = self.rescale(image, rescale_factor)
            return self.normalize(image, image_mean, image_std) if do_normalize else image

        assert size.height is not None
        assert high_res_size.height is not None
        color = tuple(int(mean * 255) for mean in image_mean) if do_pad else None
        side_px = high_res_size.height if do_resize else None
        # 1. Compute the value of each of the 256 byte values per channel once.
        table = rescale_and_normalize(np.tile(np.arange(256, dtype=np.uint8), (len(image_mean), 1, 1)))[:, 0]
        low_res, high_res = [], []
        for pixels in images:
            # 2. Pad, resize and crop to the high-resolution size.
            if isinstance(pixels, Image.Image):
                image = rearrange(np.asarray(pad_and_resize(pixels, side_px, color, resample)), "h w c -> c h w")
            else:
                image = pixels if color is None else self.pad_to_square(pixels, color)
                image = self.resize(image, SizeDict(shortest_edge=side_px), resample) if do_resize else image
            if do_center_crop:
                image = self.center_crop(image, high_res_size)
            # 3. Rescale and normalize, then compute the low-resolution image from the result.
            image = to_normalized(image, table) if image.dtype == np.uint8 else rescale_and_normalize(image)
            high_res.append(image)
            small = downsample(image, size.height)
            if do_normalize and low_res_image_mean is not None and low_res_image_std is not None:
                small = renormalize(small, (image_mean, image_std), (low_res_image_mean, low_res_image_std))
            low_res.append(small)
        values = {"pixel_values": low_res, "high_res_pixel_values": high_res}
        if len(images) == 1:  # stacking would copy
            return BatchFeature({name: arrays[0][None] for name, arrays in values.items()}, tensor_type=return_tensors)
        return BatchFeature(values, tensor_type=return_tensors)

    def _standardize_kwargs(self, size: Any = None, high_res_size: Any = None, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        kwargs = super()._standardize_kwargs(**kwargs)
        kwargs["size"] = _square(size, "size")
        kwargs["high_res_size"] = _square(high_res_size, "high_res_size")
        return kwargs

    def _validate_preprocess_kwargs(self, high_res_size: SizeDict, **kwargs: Any) -> None:  # type: ignore[override]
        # The high-resolution size is the crop size; there is no separate one.
        super()._validate_preprocess_kwargs(**{**kwargs, "crop_size": high_res_size})


def _square(size: Any, name: str) -> SizeDict:
    size = (
        size if isinstance(size, SizeDict) else SizeDict(**get_size_dict(size, default_to_square=True, param_name=name))
    )
    if not size.height or size.height != size.width:
        raise ValueError(f"{name} is {size.height} x {size.width}, but must be square: set equal height and width.")
    return size
