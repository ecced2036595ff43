"""Patch info mining: every low-resolution token looks at the high-resolution features of its own region.

B  images · N  queries of one image · n  √N · R  rows of patches at hand · P  patches at hand, R·n
M  high-res positions per side inside one patch · w  cells per side of a patch's window in a stage map
C  query channels · C_s  channels of high-res stage s · C_hr  their sum
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, ClassVar, NamedTuple, cast

import torch
from torch import Tensor, nn

from .stage_maps import Windows, gather_cells, mixture, windows

# Windows are copied for as many rows of patches at a time as fit in here. Small enough to stay near the CPU's caches
# and far below the size of the maps; large enough that a GPU is not kept waiting for launches.
BAND_BYTES = {"cpu": 24 * 2**20}
BAND_BYTES_ELSEWHERE = 256 * 2**20


def without_autocast(device_type: str) -> AbstractContextManager[Any]:
    """Switch autocast off, where there is one: the meta device has none."""
    # By name: torch.compile of torch 2.11 cannot trace torch.amp.is_autocast_available.
    return nullcontext() if device_type == "meta" else torch.autocast(device_type, enabled=False)


@contextmanager
def weights_at_hand(*modules: nn.Module) -> Iterator[None]:
    """Fetch the weights that `device_map` keeps on another device or on disk.

    Accelerate brings the weights of a module when it is called. Mining reads those of its projections without calling
    them, so it calls the hooks in their place.
    """
    parts = [part for module in modules for part in module.modules() if hasattr(part, "_hf_hook")]
    for part in parts:
        cast(Any, part)._hf_hook.pre_forward(part)
    try:
        yield
    finally:
        for part in parts:
            cast(Any, part)._hf_hook.post_forward(part, None)


class NormedLinear(nn.Sequential):
    """LayerNorm, then Linear: one of the projections φ."""

    linear_class: ClassVar[type[Any]] = nn.Linear
    """What keeps weight and bias. Who exchanges every `nn.Linear` for a kernel that keeps no weight sets another."""

    def __init__(self, dim_in: int, dim_out: int, eps: float) -> None:
        super().__init__(nn.LayerNorm(dim_in, eps=eps), type(self).linear_class(dim_in, dim_out))

    @property
    def norm(self) -> nn.LayerNorm:
        return cast(nn.LayerNorm, self[0])

    @property
    def linear(self) -> nn.Linear:
        linear = self[1]
        # Its weight is read, not its forward called: an adapter around it would be passed over in silence.
        if not isinstance(linear, type(self).linear_class) or not linear.weight.is_floating_point():
            raise TypeError(
                f"mining multiplies with the plain weight of its projections, got a {type(linear).__name__}: "
                "merge adapters into the weights, and keep mining out of quantisation"
            )
        return linear


class Stage(NamedTuple):
    """What some patches see of one stage: cells, and how the patch's positions mix them (None: they are the cells)."""

    cells: Tensor  # (B, P, w·w, C_s), or (B, P, M·M, C_s) without a mix
    mix: Tensor | None  # (P, M·M, w·w)

    @classmethod
    def gather(cls, stage_map: Tensor, along: Windows, rows: slice, shift: Tensor) -> "Stage":
        cells = gather_cells(stage_map, along, rows, shift)
        if along.is_identity:
            return cls(cells, None)
        stage = cls(cells, mixture(along, rows, like=cells))
        # Where a window has no fewer cells than positions, products of cells save nothing: resize the cells once.
        return stage if along.width < along.mix.shape[1] else cls(stage.at_positions(cells), None)

    def at_positions(self, of_cells: Tensor) -> Tensor:
        """Resize something linear in the cells: (B, P, w·w, X) -> (B, P, M·M, X)."""
        return of_cells if self.mix is None else torch.einsum("pmk,bpkx->bpmx", self.mix, of_cells)

    def squared_norms(self) -> Tensor:
        """(B, P, M·M): Σ_c x² of the resized vectors x, from the products of the cells they are mixed of."""
        if self.mix is None:
            return torch.linalg.vector_norm(self.cells, dim=-1).square()
        products = self.cells @ self.cells.mT
        return torch.einsum("bpmk,pmk->bpm", self.at_positions(products), self.mix)

    def weighted_sum(self, weights: Tensor) -> Tensor:
        """Σ over the positions: (B, P, M·M) -> (B, P, C_s), as a sum over the cells."""
        if self.mix is not None:
            weights = torch.einsum("bpm,pmk->bpk", weights, self.mix)
        return (weights[:, :, None] @ self.cells)[:, :, 0]


class PatchInfoMining(nn.Module):
    """softmax(φ_q(low-res) · φ_k(block)ᵀ / √C) · φ_v(block), block by block (arXiv 2403.18814, section 3.2).

    The formula asks for keys and values at all N·M² positions of the upsampled, concatenated stage maps. Neither they
    nor that map are ever made, and the result is the same up to rounding. With x̂ = (x - mean)/std a normalised position
    and (gain, shift) the affine parts of the LayerNorms:

        score  = (gain_k · W_kᵀ q) · x̂ + const(q)                 the constant drops out of the softmax
        mined  = W_v (gain_v · Σ a x̂ + shift_v) + b_v              because Σ a = 1

    so each query is projected into the maps' channels instead, and each sum of positions out of them. Upsampling is
    linear, so the dot product and Σ_c x of a position mix those of the few cells around it, Σ_c x² (for std) mixes the
    products of pairs of them, and Σ a x̂ is a sum over the cells.

    Args:
        query_dim: C, channels of the low-res features and of the result.
        stage_dims: C_s of the high-res encoder's stages, finest first.
        eps: of the three LayerNorms.
    """

    def __init__(self, query_dim: int, stage_dims: Sequence[int], eps: float = 1e-5) -> None:
        super().__init__()
        self.query_dim, self.stage_dims, self.eps = query_dim, tuple(stage_dims), eps
        self.query_proj = NormedLinear(query_dim, query_dim, eps)
        self.key_proj = NormedLinear(sum(self.stage_dims), query_dim, eps)
        self.value_proj = NormedLinear(sum(self.stage_dims), query_dim, eps)

    def forward(self, low_res_features: Tensor, stage_maps: Sequence[Tensor], downsample: int = 1) -> Tensor:
        """Mine the high-res maps for each low-res token.

        Args:
            low_res_features: (B, N, C), the n x n grid of queries row by row. The tiles of an HD picture are one grid.
            stage_maps: (B, C_s, H_s, H_s), the encoder's raw stage outputs, finest first.
            downsample: g, by which the high-res map is downsampled first (the global tile of an HD picture).

        Returns:
            (B, N, C): the mined features, before the residual, in the dtype of `low_res_features`.

        Raises:
            ValueError: the queries do not cut the map into equal square blocks, or the maps do not fit the module.
        """
        return self._mine(low_res_features, stage_maps, downsample)[0]

    def attention_weights(self, low_res_features: Tensor, stage_maps: Sequence[Tensor], downsample: int = 1) -> Tensor:
        """(B, N, M·M): each query's attention over its block, positions row by row. Arguments as for `forward`."""
        return self._mine(low_res_features, stage_maps, downsample)[1]

    def _mine(self, low_res: Tensor, stage_maps: Sequence[Tensor], downsample: int) -> tuple[Tensor, Tensor]:
        n = self._patches_per_side(low_res, stage_maps, downsample)
        along = [windows(x.shape[-1], stage_maps[0].shape[-1], downsample, n) for x in stage_maps]
        # Half precision is for the stored tensors: the sums below are small, and rounding them would show.
        dtype = torch.promote_types(low_res.dtype, torch.float32)
        queries = self.query_proj(low_res)
        with without_autocast(low_res.device.type), weights_at_hand(self.key_proj, self.value_proj):
            queries = self._absorb_key(queries.to(dtype))
            # The LayerNorms do not see a number added to all channels. Taking the common part of the channels out keeps
            # Σ x² - (Σ x)² from cancelling. Any number near it will do, and no gradient passes through it.
            shift = stage_maps[-1].detach().mean(dim=(1, 2, 3), keepdim=True, dtype=dtype)
            pooled, attention = [], []
            for rows in self._bands(n, along, low_res):
                stages = [Stage.gather(x, axis, rows, shift) for x, axis in zip(stage_maps, along, strict=True)]
                band_pooled, band_attention = self._attend(queries[:, rows.start * n : rows.stop * n], stages)
                pooled.append(band_pooled)
                attention.append(band_attention)
            mined = self._project_value(torch.cat(pooled, dim=1))
        return mined.to(low_res.dtype), torch.cat(attention, dim=1)

    def _attend(self, queries: Tensor, stages: Sequence[Stage]) -> tuple[Tensor, Tensor]:
        """Absorbed queries (B, P, C_hr) -> Σ a x̂ (B, P, C_hr) and the attention a (B, P, M·M)."""
        # 1. Of every position: q · x and Σ_c x, then Σ_c x².
        dots_and_sums: Tensor | float = 0.0
        squares: Tensor | float = 0.0
        for stage, query in zip(stages, queries.split(self.stage_dims, dim=-1), strict=True):
            both = torch.stack((query, torch.ones_like(query)), dim=2)
            dots_and_sums = dots_and_sums + stage.at_positions(stage.cells @ both.mT)
            squares = squares + stage.squared_norms()
        dots, sums = cast(Tensor, dots_and_sums).unbind(dim=-1)

        # 2. Its normalisation, the scores and the softmax. (Σ_c q = 0, so q · x needs no mean subtracted.)
        mean = sums / sum(self.stage_dims)
        variance = (squares / sum(self.stage_dims) - mean.square()).clamp(min=0)
        inverse_std = torch.rsqrt(variance + self.eps)
        attention = (dots * inverse_std).softmax(dim=-1)

        # 3. Σ a x̂ = Σ (a/std) x - Σ (a/std) mean
        weights = attention * inverse_std
        pooled = torch.cat([stage.weighted_sum(weights) for stage in stages], dim=-1)
        return pooled - (weights * mean).sum(dim=-1, keepdim=True), attention

    def _absorb_key(self, queries: Tensor) -> Tensor:
        """φ_q (B, N, C) -> what to multiply x with, (B, N, C_hr): scale, W_k and gain_k included, mean 0."""
        weight, gain = self.key_proj.linear.weight.to(queries), self.key_proj.norm.weight.to(queries)
        absorbed = (queries * self.query_dim**-0.5) @ weight * gain
        return absorbed - absorbed.mean(dim=-1, keepdim=True)

    def _project_value(self, pooled: Tensor) -> Tensor:
        """Σ a x̂ (B, N, C_hr) -> Σ a φ_v(x), (B, N, C)."""
        norm, linear = self.value_proj.norm, self.value_proj.linear
        weight, bias = linear.weight.to(pooled), linear.bias.to(pooled)
        mined = nn.functional.linear(pooled * norm.weight + norm.bias, weight, bias)
        # The key biases add the same to all scores of a query: their gradient is zero, exactly. It must not be missing
        # (distributed training waits for it), nor be rounding noise (Adam would scale it up to full steps).
        key = self.key_proj
        return mined + 0 * (key.norm.bias.sum() + key.linear.bias.sum()).to(pooled)

    def _bands(self, n: int, along: Sequence[Windows], low_res: Tensor) -> Iterator[slice]:
        """Rows of patches whose windows fit in memory set aside for them, at least one at a time."""
        cells = sum(axis.width**2 * dim for axis, dim in zip(along, self.stage_dims, strict=True))
        row_bytes = low_res.shape[0] * n * cells * 4
        height = max(1, BAND_BYTES.get(low_res.device.type, BAND_BYTES_ELSEWHERE) // row_bytes)
        return (slice(top, min(top + height, n)) for top in range(0, n, height))

    def _patches_per_side(self, low_res: Tensor, stage_maps: Sequence[Tensor], downsample: int) -> int:
        """n, or the reason why the maps cannot be cut into n x n blocks."""
        (images, count, _), (height, width) = low_res.shape, stage_maps[0].shape[-2:]
        found, wanted = [tuple(x.shape[:2]) for x in stage_maps], [(images, dim) for dim in self.stage_dims]
        if found != wanted:
            raise ValueError(
                f"mining {images} images with stages of {self.stage_dims} channels needs maps of (images, channels) = "
                f"{wanted}, got {found}"
            )
        n = math.isqrt(count)
        if n * n != count or any(x.shape[-2] != x.shape[-1] for x in stage_maps):
            raise ValueError(
                f"mining needs a square grid of queries and square maps, got {count} queries and a finest map of "
                f"{height} x {width}: pad the picture to a square"
            )
        unit = downsample * n
        if height % unit:
            multiples = sorted({max(height // unit, 1) * unit, (height // unit + 1) * unit})
            raise ValueError(
                f"a map of {height} positions per side, downsampled by {downsample}, cannot be cut into {n} x {n} "
                f"patches: {height} is not a multiple of {downsample} · {n} = {unit}; "
                f"the nearest: {' and '.join(map(str, multiples))}"
            )
        return n
