"""Reference implementation of patch info mining, directly from its formula (arXiv 2403.18814, section 3.2).

Letters as in `minigemini/modeling/patch_info_mining.py`.
"""

from collections.abc import Sequence

import torch
from einops import einsum, rearrange
from torch import Tensor, nn

from minigemini.modeling.patch_info_mining import PatchInfoMining


def resize(maps: Tensor, size: int | tuple[int, int]) -> Tensor:
    """Bilinear, computed in float32 (float64 stays), cast back."""
    wide = maps.to(torch.promote_types(maps.dtype, torch.float32))
    return nn.functional.interpolate(wide, size=size, mode="bilinear", align_corners=False).to(maps.dtype)


def mine_by_formula(
    mining: PatchInfoMining,
    low_res: Tensor,
    stage_maps: Sequence[Tensor],
    downsample: int | tuple[int, int] = 1,
    grid: tuple[int, int] | None = None,
) -> tuple[Tensor, Tensor]:
    """The mined features (B, N, C) and the attention (B, N, M·M), with keys and values of every position."""
    n = round(low_res.shape[1] ** 0.5)
    rows, columns = grid or (n, n)
    height, width = stage_maps[0].shape[-2:]
    down, across = (downsample, downsample) if isinstance(downsample, int) else downsample
    high_res = torch.cat([resize(stage_map, (height, width)) for stage_map in stage_maps], dim=1)
    if (down, across) != (1, 1):
        high_res = resize(high_res, (height // down, width // across))
    blocks = rearrange(high_res, "b c (i p) (j q) -> b (i j) (p q) c", i=rows, j=columns)
    query, key, value = mining.query_proj(low_res), mining.key_proj(blocks), mining.value_proj(blocks)
    scores = einsum(query, key, "b n c, b n m c -> b n m") / query.shape[-1] ** 0.5
    attention = scores.softmax(dim=-1)
    return einsum(attention, value, "b n m, b n m c -> b n c"), attention
