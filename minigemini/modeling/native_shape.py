"""Native shape: an image is cut into rows x columns of tiles that fit its own shape, in place of a padded square.

The image is resized to fill the grid, so every tile, every token and every position of the high-resolution encoder
shows the image. The alternative is to keep the aspect ratio and to drop the tokens of padding (LLaVA-NeXT's
`unpad_image`): that saves tokens, but the padding is still encoded, and most pages have as many tiles as the square.
Filling changes the aspect ratio, by 6 % for an A4 page on 3 x 2 tiles, as in InternVL 1.5 (arXiv 2404.16821). Tiles
keep the shape that the low-resolution encoder was trained with. An image that would be stretched by more than
`MAX_STRETCH` is padded instead.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
from einops import rearrange

if TYPE_CHECKING:  # recipes, which are listed without torch, take the bounds from here
    from torch import Tensor

Pixels = TypeVar("Pixels", np.ndarray, "Tensor")

MAX_STRETCH = 1.5
"""The most that the aspect ratio of an image is changed to fill its grid."""
DEFAULT_MAX_TILES = 6
"""Enough for a page of 3 x 2 tiles."""
MOST_TILES = 64
"""Upper bound of `max_tiles`."""


class Grid(NamedTuple):
    """Tiles of an image; the global tile is not among them."""

    rows: int
    columns: int

    @property
    def num_tiles(self) -> int:
        return self.rows * self.columns


def choose_grid(height_px: int, width_px: int, tile_px: int, max_tiles: int) -> Grid:
    """Choose the grid that an image fills best, without padding or stretching.

    Grids that fill equally, to a percent, differ in resolution: the largest is taken. An image has no more rows and
    columns than its pixels need, so a small one has a single tile.

    Args:
        height_px, width_px: Size of the image.
        tile_px: Side of a low-resolution tile.
        max_tiles: The most tiles.
    """
    rows, columns = (min(-(-side // tile_px), max_tiles) for side in (height_px, width_px))
    grids = [Grid(row, column) for row in range(1, rows + 1) for column in range(1, min(columns, max_tiles // row) + 1)]
    return max(grids, key=lambda grid: (round(filled(height_px, width_px, grid), 2), grid.num_tiles))


def filled(height_px: int, width_px: int, grid: Grid) -> float:
    """Share of a grid that an image covers if its aspect ratio is kept; 1 less the waste."""
    sides = height_px * grid.columns, width_px * grid.rows
    return min(sides) / max(sides)


def size_in_grid(height_px: int, width_px: int, grid: Grid, tile_px: int) -> tuple[int, int]:
    """Height and width to which an image is resized: the whole grid, unless that stretches it too much.

    Args:
        height_px, width_px: Size of the image.
        grid: Its grid.
        tile_px: Side of a tile of the grid.
    """
    height, width = grid.rows * tile_px, grid.columns * tile_px
    if filled(height_px, width_px, grid) * MAX_STRETCH >= 1:
        return height, width
    scale = min(height / height_px, width / width_px)
    return max(1, round(height_px * scale)), max(1, round(width_px * scale))


def pad_to(image: np.ndarray, height_px: int, width_px: int, color: tuple[float, ...]) -> np.ndarray:
    """Center an image (C, H, W) on a canvas of one color: (C, height_px, width_px)."""
    channels, height, width = image.shape
    if (height, width) == (height_px, width_px):
        return image
    canvas = np.empty((channels, height_px, width_px), dtype=image.dtype)
    canvas[:] = np.array(color, dtype=image.dtype)[:, None, None]
    top, left = (height_px - height) // 2, (width_px - width) // 2
    canvas[:, top : top + height, left : left + width] = image
    return canvas


def cut(image: Pixels, grid: Grid) -> Pixels:
    """Cut an image (3, H, W) into tiles (rows · columns, 3, h, w), row by row."""
    return rearrange(image, "c (i h) (j w) -> (i j) c h w", i=grid.rows, j=grid.columns)


def grid_of(height_px: int, width_px: int, tile_px: int, max_tiles: int) -> Grid:
    """Find the grid of an image that was resized already.

    Raises:
        ValueError: It does not divide into tiles, or has too many.
    """
    grid = Grid(height_px // tile_px, width_px // tile_px)
    whole = (grid.rows * tile_px, grid.columns * tile_px) == (height_px, width_px)
    if not whole or not 1 <= grid.num_tiles <= max_tiles:
        raise ValueError(
            f"an image of {height_px} x {width_px} pixels is not 1 to {max_tiles} whole tiles of {tile_px} pixels: "
            "resize it, or leave do_resize on."
        )
    return grid


def num_images(pixels: Mapping[str, "Tensor"]) -> int:
    """Number of images in the tensors of an image processor."""
    return len(pixels["image_grid_thw"] if "image_grid_thw" in pixels else next(iter(pixels.values())))


def select_images(pixels: Mapping[str, "Tensor"], images: Sequence[int]) -> dict[str, "Tensor"]:
    """Select images by their numbers, from the tensors of an image processor; without other entries of `pixels`."""
    grids = pixels.get("image_grid_thw")
    if grids is None:
        rows = list(images)
    else:
        counts = grids.prod(dim=-1).tolist()
        starts = [0, *np.cumsum(counts).tolist()]
        rows = [starts[number] + tile for number in images for tile in range(counts[number])]
    selected = {name: tensor[rows] for name, tensor in pixels.items() if name.endswith("pixel_values")}
    return selected if grids is None else {**selected, "image_grid_thw": grids[list(images)]}


def by_grid(grids: Sequence[Grid]) -> Iterator[tuple[Grid, list[int], list[int]]]:
    """Group images by their grid, so that each group is encoded as one batch.

    Args:
        grids: The grid of each image.

    Yields:
        A grid, the numbers of its images, and the rows of their tiles, in order.
    """
    starts = [0, *np.cumsum([grid.num_tiles for grid in grids]).tolist()]
    for grid in dict.fromkeys(grids):
        images = [number for number, other in enumerate(grids) if other == grid]
        yield grid, images, [starts[number] + tile for number in images for tile in range(grid.num_tiles)]


def check_max_tiles(max_tiles: int) -> None:
    """Check a number of tiles.

    Raises:
        ValueError: It is not between 1 and `MOST_TILES`.
    """
    if type(max_tiles) is not int or not 1 <= max_tiles <= MOST_TILES:
        raise ValueError(f"max_tiles is {max_tiles!r}; set it to a number from 1 to {MOST_TILES}, or to None.")
