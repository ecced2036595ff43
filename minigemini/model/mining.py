"""Patch info mining: every low-resolution token looks at the high-resolution features of its own region.

B  images · N  queries of one image · n  √N · M  high-res positions per side inside one query's patch
C  query channels · C_s  channels of high-res stage s · C_hr  their sum · H_s  side of stage s in cells
"""

from collections.abc import Sequence
from typing import cast

import torch
from einops import rearrange
from torch import Tensor, nn


class NormedLinear(nn.Sequential):
    """LayerNorm, then Linear: one of the projections φ."""

    def __init__(self, dim_in: int, dim_out: int, eps: float) -> None:
        super().__init__(nn.LayerNorm(dim_in, eps=eps), nn.Linear(dim_in, dim_out))

    @property
    def norm(self) -> nn.LayerNorm:
        return cast(nn.LayerNorm, self[0])

    @property
    def linear(self) -> nn.Linear:
        return cast(nn.Linear, self[1])


class PatchInfoMining(nn.Module):
    """softmax(φ_q(low-res) · φ_k(block)ᵀ / √C) · φ_v(block), block by block (arXiv 2403.18814, section 3.2).

    The key projection is absorbed into the queries and the value projection is applied once per query.

    Args:
        query_dim: C, channels of the low-res features and of the result.
        stage_dims: C_s of the high-res encoder's stages, finest first.
        eps: of the three LayerNorms.
    """

    def __init__(self, query_dim: int, stage_dims: Sequence[int], eps: float = 1e-5) -> None:
        super().__init__()
        self.query_dim, self.stage_dims, self.eps = query_dim, tuple(stage_dims), eps
        high_res_dim = sum(self.stage_dims)
        self.query_proj = NormedLinear(query_dim, query_dim, eps)
        self.key_proj = NormedLinear(high_res_dim, query_dim, eps)
        self.value_proj = NormedLinear(high_res_dim, query_dim, eps)

    def forward(self, low_res_features: Tensor, stage_maps: Sequence[Tensor], downsample: int = 1) -> Tensor:
        """Mine the high-res maps for each low-res token.

        Args:
            low_res_features: (B, N, C), the n x n grid of queries row by row.
            stage_maps: (B, C_s, H_s, W_s), the encoder's raw stage outputs, finest first.
            downsample: g, by which the high-res map is downsampled first (the global tile of an HD picture).

        Returns:
            (B, N, C): the mined features, before the residual.

        Raises:
            ValueError: the queries do not divide the map into square blocks.
        """
        return self._mine(low_res_features, stage_maps, downsample)[0]

    def attention_weights(self, low_res_features: Tensor, stage_maps: Sequence[Tensor], downsample: int = 1) -> Tensor:
        """(B, N, M·M): each query's attention over its block, positions row by row. Arguments as for `forward`."""
        return self._mine(low_res_features, stage_maps, downsample)[1]

    def _mine(self, low_res: Tensor, stage_maps: Sequence[Tensor], downsample: int) -> tuple[Tensor, Tensor]:
        n, _ = self.geometry(low_res, stage_maps, downsample)
        size = tuple(stage_maps[0].shape[-2:])
        full = torch.cat(
            [nn.functional.interpolate(x.float(), size=size, mode="bilinear", align_corners=False) for x in stage_maps],
            dim=1,
        )
        if downsample > 1:
            full = nn.functional.interpolate(full, size=size[0] // downsample, mode="bilinear", align_corners=False)
        blocks = rearrange(full.to(low_res.dtype), "b c (i p) (j q) -> b (i j) (p q) c", i=n, j=n)

        key, value = self.key_proj, self.value_proj
        normed = nn.functional.layer_norm(blocks, blocks.shape[-1:], eps=self.eps)
        queries = self.query_proj(low_res) @ (key.linear.weight * key.norm.weight)
        scores = torch.einsum("bnc,bnpc->bnp", queries, normed) * self.query_dim**-0.5
        attention = scores.softmax(dim=-1)
        pooled = torch.einsum("bnp,bnpc->bnc", attention, normed)
        mined = value.linear(pooled * value.norm.weight + value.norm.bias)
        # Both key biases add the same to all scores of a query and leave the softmax alone: their gradient is zero.
        return mined + 0 * (key.norm.bias.sum() + key.linear.bias.sum()), attention

    def geometry(self, low_res: Tensor, stage_maps: Sequence[Tensor], downsample: int) -> tuple[int, int]:
        """n and M, or the reason why there are none."""
        queries, (height, width) = low_res.shape[1], stage_maps[0].shape[-2:]
        n = round(queries**0.5)
        if n * n != queries or height != width:
            raise ValueError(
                f"mining needs a square grid of queries and a square map: got {queries} queries and {height} x {width}"
            )
        if height % (downsample * n):
            raise ValueError(
                f"a high-res map of {height} positions per side, downsampled by {downsample}, does not divide into "
                f"{n} x {n} patches: {height} must be a multiple of {downsample} · {n} = {downsample * n}"
            )
        return n, height // (downsample * n)
