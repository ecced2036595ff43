"""Windows of stage maps that patches attend to, and the interpolation weights within them.

The paper upsamples a stage map of H_s x W_s cells to H_0 x W_0 positions (and for a global tile downsamples the
result). Here neither is computed: every position is a fixed linear combination of a few neighboring cells, so each
patch needs only a small window of the original map.

Shape legend:
    B    images
    n    patches along an axis
    R    rows of patches in the current band
    P    patches in the current band, R times the columns of patches
    M    positions of a patch along an axis; M² in both
    w    cells of a window along an axis; w² in both, even if they differ
    C_s  channels of stage s
    H_s  rows of cells in the map of stage s
    W_s  columns of cells
"""

from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor


class AxisWindows(NamedTuple):
    """The windows of all patches along one axis of one stage."""

    starts: tuple[int, ...]  # n: first cell of each patch's window
    width: int  # w
    mix: Tensor  # (n, M, w), float64 on the CPU: weight of each cell in each position of the patch
    is_identity: bool  # whether positions and cells coincide

    def cells(self, patches: slice) -> Tensor:
        """Indices of the cells in the windows of some patches: (R, w)."""
        return torch.tensor(self.starts[patches], device="cpu")[:, None] + torch.arange(self.width, device="cpu")


class Windows(NamedTuple):
    """The windows of all patches in the map of one stage."""

    rows: AxisWindows
    columns: AxisWindows

    @property
    def num_cells(self) -> int:
        """w²: cells of a window."""
        return self.rows.width * self.columns.width

    @property
    def num_positions(self) -> int:
        """M²: positions of a patch."""
        return self.rows.mix.shape[1] * self.columns.mix.shape[1]

    @property
    def is_identity(self) -> bool:
        """Whether positions and cells coincide."""
        return self.rows.is_identity and self.columns.is_identity


def bilinear_matrix(size_in: int, size_out: int) -> Tensor:
    """Matrix (size_out, size_in) of bilinear resizing along one axis: align_corners=False, no antialiasing."""
    positions = torch.arange(size_out, dtype=torch.float64, device="cpu")
    cells = torch.arange(size_in, dtype=torch.float64, device="cpu")
    source = ((positions + 0.5) * size_in / size_out - 0.5).clamp(0, size_in - 1)
    return (1 - (source[:, None] - cells).abs()).clamp(min=0)


def axis_windows(map_size: int, full_size: int, downsample: int, patches: int) -> AxisWindows:
    """Compute the windows along an axis of `map_size` cells, upsampled to `full_size`, downsampled by `downsample`."""
    matrix = bilinear_matrix(map_size, full_size)
    if downsample > 1:
        matrix = bilinear_matrix(full_size, full_size // downsample) @ matrix

    # Position k of full_size has the cell coordinate ((2k + 1)·map_size - full_size) / (2·full_size), between two
    # cells.
    span = full_size // patches
    bounds = []
    for patch in range(patches):
        first, last = patch * span, (patch + 1) * span - 1
        left = ((2 * first + 1) * map_size - full_size) // (2 * full_size)
        right = -((full_size - (2 * last + 1) * map_size) // (2 * full_size))
        bounds.append((max(left, 0), min(right, map_size - 1)))
    width = max(right - left + 1 for left, right in bounds)
    starts = tuple(min(left, map_size - width) for left, _ in bounds)

    by_patch = rearrange(matrix, "(i p) cell -> i p cell", i=patches)
    mix = torch.stack([block[:, start : start + width] for block, start in zip(by_patch, starts, strict=True)])
    return AxisWindows(starts, width, mix, is_identity=map_size == full_size and downsample == 1)


def windows(
    map_size: tuple[int, int], full_size: tuple[int, int], downsample: tuple[int, int], patches: tuple[int, int]
) -> Windows:
    """Compute the windows of a map; arguments as in `axis_windows`, for rows and columns."""
    rows, columns = map(axis_windows, map_size, full_size, downsample, patches)
    return Windows(rows, columns)


def gather_cells(stage_map: Tensor, along: Windows, rows: slice, shift: Tensor) -> Tensor:
    """Copy the windows of some rows of patches, minus `shift`: (B, C_s, H_s, W_s) -> (B, P, w², C_s).

    Channels come last, because later steps sum over them. The result has the dtype of `shift` (B, 1, 1, 1).
    """
    images, _, height, width = stage_map.shape
    top, bottom = along.rows.starts[rows][0], along.rows.starts[rows][-1] + along.rows.width
    band = stage_map[:, :, top:bottom]
    if all(len(axis.starts) * axis.width == size for axis, size in zip(along, (height, width), strict=True)):
        # Adjacent windows that do not overlap: a single copy suffices.
        sides = {"p": along.rows.width, "q": along.columns.width}
        return rearrange(band, "b c (i p) (j q) -> b (i j) (p q) c", **sides).contiguous() - shift

    band = rearrange(band, "b c y x -> b y x c").contiguous() - shift
    index = (along.rows.cells(rows) - top)[:, None, :, None] * width
    index = index + along.columns.cells(slice(None))[None, :, None, :]
    index = torch.arange(images, device="cpu")[:, None] * (bottom - top) * width + index.flatten()
    cells = band.flatten(0, 2).index_select(0, index.flatten().to(band.device))
    return rearrange(cells, "(b i k) c -> b i k c", b=images, k=along.num_cells)


def mixture(along: Windows, rows: slice, like: Tensor) -> Tensor:
    """Weights (P, M², w²) of the cells of each patch's window in its positions."""
    down, across = along.rows.mix.to(like), along.columns.mix.to(like)
    outer = down[rows, None, :, None, :, None] * across[None, :, None, :, None, :]
    return rearrange(outer, "i j p q a b -> (i j) (p q) (a b)")
