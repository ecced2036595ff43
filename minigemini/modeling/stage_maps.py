"""Where the high-res positions of a patch lie in a stage map, and how they mix its cells.

A stage map of H_s x H_s cells is upsampled to H_0 x H_0 positions (and, for a global tile, downsampled again) only on
paper: every position is a fixed mixture of a few neighbouring cells, so a patch needs one small window of raw cells.

    B  images · n  patches per side · R  rows of patches at hand · P  patches at hand, R·n · M  positions per side of a
    patch · w  cells per side of a window · C_s  channels · H_s  cells per side of the map
"""

from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor


class Windows(NamedTuple):
    """The windows of all patches along one axis of one stage; the other axis is the same."""

    starts: tuple[int, ...]  # n: the first cell that a patch sees
    width: int  # w
    mix: Tensor  # (n, M, w), float64 on the CPU: the weight of each cell in each of the patch's positions
    is_identity: bool  # whether the positions are the cells

    def cells(self, patches: slice) -> Tensor:
        """(R, w): the cells that some of the patches see."""
        return torch.tensor(self.starts[patches], device="cpu")[:, None] + torch.arange(self.width, device="cpu")


def bilinear_matrix(size_in: int, size_out: int) -> Tensor:
    """(size_out, size_in): bilinear resizing along one axis, align_corners=False, without antialiasing."""
    positions = torch.arange(size_out, dtype=torch.float64, device="cpu")
    cells = torch.arange(size_in, dtype=torch.float64, device="cpu")
    source = ((positions + 0.5) * size_in / size_out - 0.5).clamp(0, size_in - 1)
    return (1 - (source[:, None] - cells).abs()).clamp(min=0)


def windows(map_size: int, full_size: int, downsample: int, patches: int) -> Windows:
    """The windows of a map of `map_size` cells that is upsampled to `full_size`, then downsampled by `downsample`."""
    matrix = bilinear_matrix(map_size, full_size)
    if downsample > 1:
        matrix = bilinear_matrix(full_size, full_size // downsample) @ matrix

    # The k-th of the full_size positions lies at cell ((2k + 1)·map_size - full_size) / (2·full_size), between two.
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
    return Windows(starts, width, mix, is_identity=map_size == full_size and downsample == 1)


def gather_cells(stage_map: Tensor, along: Windows, rows: slice, shift: Tensor) -> Tensor:
    """Copy the windows of some rows of patches out of the map, less `shift`: (B, C_s, H_s, H_s) -> (B, P, w·w, C_s).

    Channels come last, as all that follows sums over them. `shift` (B, 1, 1, 1) brings the result to its dtype.
    """
    (images, _, _, size), (patches, width) = stage_map.shape, (len(along.starts), along.width)
    top, bottom = along.starts[rows][0], along.starts[rows][-1] + width
    band = stage_map[:, :, top:bottom]
    if patches * width == size:  # windows side by side: one copy does
        return rearrange(band, "b c (i p) (j q) -> b (i j) (p q) c", p=width, q=width).contiguous() - shift

    band = rearrange(band, "b c y x -> b y x c").contiguous() - shift
    index = (along.cells(rows) - top)[:, None, :, None] * size + along.cells(slice(None))[None, :, None, :]
    index = torch.arange(images, device="cpu")[:, None] * (bottom - top) * size + index.flatten()
    cells = band.flatten(0, 2).index_select(0, index.flatten().to(band.device))
    return rearrange(cells, "(b i k) c -> b i k c", b=images, k=width * width)


def mixture(along: Windows, rows: slice, like: Tensor) -> Tensor:
    """(P, M·M, w·w): how the positions of each patch mix the cells of its window."""
    axis = along.mix.to(like)
    outer = axis[rows, None, :, None, :, None] * axis[None, :, None, :, None, :]
    return rearrange(outer, "i j p q a b -> (i j) (p q) (a b)")
