"""Where the high-res positions of a patch lie in a stage map, and how they mix its cells.

A stage map of H_s x H_s cells is upsampled to H_0 x H_0 positions (and, for a global tile, downsampled again) only on
paper: every position is a fixed mixture of a few neighbouring cells, so a patch needs one small window of raw cells.

    B  images · n  patches per side · R  rows of patches at hand · P  patches at hand, R·n · M  positions per side of a
    patch · w  cells per side of a window · C_s  channels · H_s  cells per side of the map
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor


class Windows(NamedTuple):
    """The windows of all patches along one axis of one stage; the other axis is the same."""

    cells: NDArray[np.int64]  # (n, w): which cells of the map a patch sees
    mix: NDArray[np.float64]  # (n, M, w): the weight of each of them in each of the patch's positions

    @property
    def trivial(self) -> bool:
        """Whether the positions are the cells."""
        return self.mix.shape[1] == self.mix.shape[2] and bool((self.mix == np.eye(self.mix.shape[1])).all())

    @property
    def coarse(self) -> bool:
        """Whether a window has fewer cells than the patch has positions."""
        return self.mix.shape[2] < self.mix.shape[1]


def bilinear_matrix(size_in: int, size_out: int) -> NDArray[np.float64]:
    """(size_out, size_in): bilinear resizing along one axis, align_corners=False, without antialiasing."""
    source = np.maximum((np.arange(size_out) + 0.5) * size_in / size_out - 0.5, 0)
    left = np.minimum(np.floor(source).astype(np.int64), size_in - 1)
    right = np.minimum(left + 1, size_in - 1)
    matrix = np.zeros((size_out, size_in))
    np.add.at(matrix, (np.arange(size_out), left), 1 - (source - left))
    np.add.at(matrix, (np.arange(size_out), right), source - left)
    return matrix


@lru_cache(maxsize=64)
def windows(map_size: int, full_size: int, downsample: int, patches: int) -> Windows:
    """The windows of a map of `map_size` cells that is upsampled to `full_size`, then downsampled by `downsample`."""
    matrix = bilinear_matrix(map_size, full_size)
    if downsample > 1:
        matrix = bilinear_matrix(full_size, full_size // downsample) @ matrix
    by_patch = rearrange(matrix, "(i p) cell -> i p cell", i=patches)
    used = by_patch.any(axis=1)
    first, last = used.argmax(axis=1), map_size - 1 - used[:, ::-1].argmax(axis=1)
    width = int((last - first).max()) + 1
    cells = np.minimum(first, map_size - width)[:, None] + np.arange(width)
    return Windows(cells, np.take_along_axis(by_patch, cells[:, None, :], axis=2))


def gather_cells(stage_map: Tensor, along: Windows, rows: slice, dtype: torch.dtype) -> Tensor:
    """Copy the windows of some rows of patches out of the map: (B, C_s, H_s, H_s) -> (B, P, w·w, C_s)."""
    across, down = along.cells, along.cells[rows]
    (patches, width), size = across.shape, stage_map.shape[-1]
    band = stage_map[:, :, down[0, 0] : down[-1, -1] + 1].permute(0, 2, 3, 1)
    if patches * width == size:  # windows side by side: one copy does
        return rearrange(band, "b (i p) (j q) c -> b (i j) (p q) c", p=width, q=width).to(dtype).contiguous()
    index = (down - down[0, 0])[:, None, :, None] * size + across[None, :, None, :]
    flat = band.to(dtype).contiguous().flatten(1, 2)
    gathered = flat.index_select(1, torch.from_numpy(index.ravel()).to(flat.device))
    return gathered.unflatten(1, (-1, width * width))


def mixture(along: Windows, rows: slice, like: Tensor) -> Tensor:
    """(P, M·M, w·w): how the positions of each patch mix the cells of its window."""
    axis = torch.from_numpy(along.mix).to(like)
    outer = axis[rows, None, :, None, :, None] * axis[None, :, None, :, None, :]
    return rearrange(outer, "i j p q a b -> (i j) (p q) (a b)")
