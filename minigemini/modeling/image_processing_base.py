"""What the backends of the image processor share: settings, and which images they accept."""

from typing import Any

from transformers.image_processing_utils import BaseImageProcessor, BatchFeature, get_size_dict
from transformers.image_utils import (
    OPENAI_CLIP_MEAN,
    OPENAI_CLIP_STD,
    ImageInput,
    PILImageResampling,
    SizeDict,
)
from transformers.processing_utils import ImagesKwargs, Unpack

from ..images.safe_images import open_stored
from .auto_class import AutoClass
from .native_shape import Grid, check_max_tiles, choose_grid, grid_of, size_in_grid


class MiniGeminiImageProcessorKwargs(ImagesKwargs, total=False):
    """Arguments in addition to those of every image processor.

    Attributes:
        high_res_size: Side of the high-resolution image in pixels.
        max_tiles: The most tiles of an image in its native shape; None for squares.
        low_res_image_mean, low_res_image_std: Statistics of the low-resolution image, if they differ.
        image_token_pooling: A factor for each image by which the model pools its visual tokens; returned as it is.
        high_res_only: Whether `pixel_values` are the high-resolution pixels, from which the model makes the others.
        crop_to_patches: Whether to return `num_patches` too, the rows of `pixel_values` of each image in its native
            shape. TRL asks for them by these names, which are InternVL's.
    """

    high_res_size: int | dict[str, int] | SizeDict
    max_tiles: int | None
    low_res_image_mean: list[float] | None
    low_res_image_std: list[float] | None
    image_token_pooling: list[int] | None
    high_res_only: bool | None
    crop_to_patches: bool | None


class MiniGeminiImageProcessorBase(AutoClass, BaseImageProcessor):
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
        high_res_only: Return the high-resolution images alone, as `pixel_values`, for tools that pass on no other
            pixels, such as TRL's GRPOTrainer. The model computes the low-resolution images by the same formula.

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
    high_res_only = None  # means False, but is left out of files
    crop_to_patches = None
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
        high_res = [] if self.high_res_only else ["high_res_pixel_values"]
        return ["pixel_values", *high_res, *(["image_grid_thw"] if self.max_tiles is not None else [])]

    def preprocess(self, images: ImageInput, **kwargs: Unpack[MiniGeminiImageProcessorKwargs]) -> BatchFeature:
        """Preprocess one or more images.

        Returns:
            `pixel_values` (B, 3, size, size) and `high_res_pixel_values` (B, 3, high_res_size, high_res_size). With
            `max_tiles`, both have one row per tile, the tiles of an image row by row, and `image_grid_thw` (B, 3) holds
            1 and the rows and columns of tiles of each image, under the name of Qwen2-VL's grids of patches. With
            `high_res_only`, the high-resolution pixels are returned as `pixel_values`, and no others.
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

    def grid(self, height_px: int, width_px: int) -> Grid:
        """Return the grid of tiles into which an image is cut; needs `max_tiles`."""
        assert self.max_tiles is not None
        return choose_grid(height_px, width_px, self.size["height"], self.max_tiles)

    def content_box(self, height_px: int, width_px: int) -> tuple[float, float, float, float]:
        """Return where an image is in what the model receives, the rest of which is padding.

        Returns:
            Top, left, bottom and right, as shares of the height and width.
        """
        if self.max_tiles is not None:
            grid, tile_px = self.grid(height_px, width_px), self.size["height"]
            height, width = size_in_grid(height_px, width_px, grid, tile_px)
            canvas_height, canvas_width = grid.rows * tile_px, grid.columns * tile_px
        elif self.do_pad:
            height, width = height_px, width_px
            canvas_height = canvas_width = max(height_px, width_px)
        else:
            return 0.0, 0.0, 1.0, 1.0
        top, left = (canvas_height - height) // 2, (canvas_width - width) // 2
        return top / canvas_height, left / canvas_width, (top + height) / canvas_height, (left + width) / canvas_width

    def grid_for(self, size_px: tuple[int, int], do_resize: bool, tile_px: tuple[int, int], max_tiles: int) -> Grid:
        """Choose the grid of an image, or find it if the image keeps its size.

        Args:
            size_px: Height and width of the image.
            do_resize: Whether the image is resized to fill the grid.
            tile_px: Side of a tile in low and in high resolution.
            max_tiles: The most tiles.
        """
        low_res_px, high_res_px = tile_px
        return choose_grid(*size_px, low_res_px, max_tiles) if do_resize else grid_of(*size_px, high_res_px, max_tiles)

    @staticmethod
    def padding_color(image_mean: tuple[float, ...], is_in_bytes: bool) -> tuple[float, ...]:
        """The mean color, in the range of the pixels: 0 to 255, or 0 to 1."""
        return tuple(int(mean * 255) for mean in image_mean) if is_in_bytes else image_mean

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
