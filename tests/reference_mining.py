"""Reference implementation of patch info mining, directly from its formula (arXiv 2403.18814, section 3.2).

Letters as in `minigemini/modeling/patch_info_mining.py`.
"""

from collections.abc import Sequence

import torch
from einops import einsum, rearrange
from torch import Tensor, nn

from minigemini.modeling.patch_info_mining import PatchInfoMining


def resize(maps: Tensor, size: int) -> Tensor:
    """Bilinear, computed in float32 (float64 stays), cast back."""
    wide = maps.to(torch.promote_types(maps.dtype, torch.float32))
    return nn.functional.interpolate(wide, size=(size, size), mode="bilinear", align_corners=False).to(maps.dtype)


def mine_by_formula(
    mining: PatchInfoMining, low_res: Tensor, stage_maps: Sequence[Tensor], downsample: int = 1
) -> tuple[Tensor, Tensor]:
    """The mined features (B, N, C) and the attention (B, N, M·M), with keys and values of every position."""
    n, size = round(low_res.shape[1] ** 0.5), stage_maps[0].shape[-1]
    high_res = torch.cat([resize(stage_map, size) for stage_map in stage_maps], dim=1)
    if downsample > 1:
        high_res = resize(high_res, size // downsample)
    blocks = rearrange(high_res, "b c (i p) (j q) -> b (i j) (p q) c", i=n, j=n)
    query, key, value = mining.query_proj(low_res), mining.key_proj(blocks), mining.value_proj(blocks)
    scores = einsum(query, key, "b n c, b n m c -> b n m") / query.shape[-1] ** 0.5
    attention = scores.softmax(dim=-1)
    return einsum(attention, value, "b n m, b n m c -> b n c"), attention
