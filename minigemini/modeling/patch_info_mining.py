"""Patch info mining: every low-resolution token attends to the high-resolution features of its own patch.

Shape legend:
    B     images
    N     queries per image
    n     columns of queries, √N if the grid is square
    R     rows of patches in the current band
    P     patches in the current band, R·n
    M     high-resolution positions per side of a patch
    w     cells per side of a patch's window in a stage map (w² cells, even where the two sides differ)
    C     query channels
    C_s   channels of high-resolution stage s
    C_hr  channels of all stages together
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, ClassVar, NamedTuple, cast

import torch
from torch import Tensor, nn

from .adapted_linear import effective_bias, effective_weight, innermost
from .stage_maps import Windows, gather_cells, mixture, windows

# Memory for the windows of one band of patch rows. Small enough to stay close to the CPU's caches and far below the
# size of the maps; large enough to hide kernel launches on a GPU.
BAND_BYTES = {"cpu": 24 * 2**20}
BAND_BYTES_ELSEWHERE = 256 * 2**20


Shape = tuple[int, int]
"""Rows and columns."""


def without_autocast(device_type: str) -> AbstractContextManager[Any]:
    """Disable autocast; the meta device has none."""
    # Compared by name, because torch.compile of torch 2.11 cannot trace torch.amp.is_autocast_available.
    return nullcontext() if device_type == "meta" else torch.autocast(device_type, enabled=False)


@contextmanager
def offloaded_weights(*modules: nn.Module) -> Iterator[None]:
    """Load the weights that `device_map` keeps on another device or on disk.

    Accelerate loads a module's weights when the module is called. Mining reads the weights of its projections without
    calling them, so it runs the hooks itself.
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
    """A projection φ: LayerNorm, then Linear."""

    norm_class: ClassVar[type[nn.LayerNorm]] = nn.LayerNorm
    linear_class: ClassVar[type[Any]] = nn.Linear
    """The classes of the layers. Servers that replace torch's by others, which mining cannot read, override them."""

    def __init__(self, dim_in: int, dim_out: int, eps: float) -> None:
        super().__init__(type(self).norm_class(dim_in, eps=eps), type(self).linear_class(dim_in, dim_out))

    @property
    def norm(self) -> nn.LayerNorm:
        norm = self[0]
        if not isinstance(norm, nn.LayerNorm):
            raise TypeError(
                f"mining reads the weight of its norms and requires a plain LayerNorm, got {type(norm).__name__}: "
                "exclude the norms of mining from the adapter"
            )
        return norm

    @property
    def linear(self) -> Any:
        """The linear layer, or PEFT's layer around it."""
        linear = innermost(self[1])
        # Mining reads the weight instead of calling forward, so any other wrapper would silently have no effect.
        if not isinstance(linear, type(self).linear_class) or not linear.weight.is_floating_point():
            raise TypeError(
                f"mining reads the weight of its projections and requires a plain {type(self).linear_class.__name__}, "
                f"got {type(linear).__name__}: merge adapters into the weights, and exclude mining from quantization"
            )
        return self[1]


class StageCells(NamedTuple):
    """The cells of one stage in the windows of some patches, and their weights in the patches' positions.

    `mix` is None where cells and positions coincide.
    """

    cells: Tensor  # (B, P, w·w, C_s), or (B, P, M·M, C_s) without a mix
    mix: Tensor | None  # (P, M·M, w·w)

    @classmethod
    def gather(cls, stage_map: Tensor, along: Windows, rows: slice, shift: Tensor) -> "StageCells":
        cells = gather_cells(stage_map, along, rows, shift)
        if along.is_identity:
            return cls(cells, None)
        stage = cls(cells, mixture(along, rows, like=cells))
        # If a window has at least as many cells as positions, resizing the cells is cheaper than products of cells.
        return stage if along.num_cells < along.num_positions else cls(stage.at_positions(cells), None)

    def at_positions(self, values: Tensor) -> Tensor:
        """Interpolate values of the cells at the positions: (B, P, w·w, X) -> (B, P, M·M, X)."""
        return values if self.mix is None else torch.einsum("pmk,bpkx->bpmx", self.mix, values)

    def squared_norms(self) -> Tensor:
        """Σ_c x² of the interpolated vectors x, computed from products of pairs of cells: (B, P, M·M)."""
        if self.mix is None:
            return torch.linalg.vector_norm(self.cells, dim=-1).square()
        products = self.cells @ self.cells.mT
        return torch.einsum("bpmk,pmk->bpm", self.at_positions(products), self.mix)

    def weighted_sum(self, weights: Tensor) -> Tensor:
        """Weighted sum over the positions, computed over the cells: weights (B, P, M·M) -> (B, P, C_s)."""
        if self.mix is not None:
            weights = torch.einsum("bpm,pmk->bpk", weights, self.mix)
        return (weights[:, :, None] @ self.cells)[:, :, 0]


class PatchInfoMining(nn.Module):
    """softmax(φ_q(low-res) · φ_k(block)ᵀ / √C) · φ_v(block), block by block (arXiv 2403.18814, section 3.2).

    The formula requires keys and values at all N·M² positions of the upsampled, concatenated stage maps. This module
    computes neither, and its result is the same up to rounding. With x̂ = (x - mean)/std a normalized position, a the
    attention weights, and (gain, shift) the affine parameters of the LayerNorms:

        score  = (gain_k · W_kᵀ q) · x̂ + const(q)                 the constant cancels in the softmax
        mined  = W_v (gain_v · Σ a x̂ + shift_v) + b_v              because Σ a = 1

    So each query is projected into the channels of the maps, and the pooled result out of them. Upsampling is linear:
    the dot product and Σ_c x of a position interpolate those of the neighboring cells, Σ_c x² (for std) interpolates
    the products of pairs of cells, and Σ a x̂ becomes a sum over cells.

    Args:
        query_dim: C, channels of the low-resolution features and of the result.
        stage_dims: C_s of the high-resolution encoder's stages, finest first.
        eps: Epsilon of the three LayerNorms.
    """

    def __init__(self, query_dim: int, stage_dims: Sequence[int], eps: float = 1e-5) -> None:
        super().__init__()
        self.query_dim, self.stage_dims, self.eps = query_dim, tuple(stage_dims), eps
        self.query_proj = NormedLinear(query_dim, query_dim, eps)
        self.key_proj = NormedLinear(sum(self.stage_dims), query_dim, eps)
        self.value_proj = NormedLinear(sum(self.stage_dims), query_dim, eps)

    def forward(
        self,
        low_res_features: Tensor,
        stage_maps: Sequence[Tensor],
        downsample: int | Shape = 1,
        grid: Shape | None = None,
    ) -> Tensor:
        """Mine high-resolution features for each low-resolution token.

        Args:
            low_res_features: (B, N, C), a grid of queries, row by row. All tiles of an HD image form one grid.
            stage_maps: (B, C_s, H_s, W_s), the unmodified stage outputs of the encoder, finest first.
            downsample: Factor by which the high-resolution map is downsampled first, or one each for its height and
                width: the grid of tiles for a global tile, else 1.
            grid: Rows and columns of queries; None is √N of each, for square maps.

        Returns:
            (B, N, C), the mined features, before the residual, in the dtype of `low_res_features`.

        Raises:
            ValueError: The map does not divide into one block per query, or the maps do not match the module.
        """
        return self._mine(low_res_features, stage_maps, downsample, grid)[0]

    def attention_weights(
        self,
        low_res_features: Tensor,
        stage_maps: Sequence[Tensor],
        downsample: int | Shape = 1,
        grid: Shape | None = None,
    ) -> Tensor:
        """Attention of each query over its block, row by row: (B, N, M·M). Arguments as in `forward`."""
        return self._mine(low_res_features, stage_maps, downsample, grid)[1]

    def _mine(
        self, low_res: Tensor, stage_maps: Sequence[Tensor], downsample: int | Shape, grid: Shape | None
    ) -> tuple[Tensor, Tensor]:
        # 1. Find the window of every patch in each stage map.
        factors = (downsample, downsample) if isinstance(downsample, int) else downsample
        self._check_maps(low_res, stage_maps)
        rows_of_queries, n = grid = _square_grid(low_res, stage_maps) if grid is None else grid
        _check_blocks(low_res, stage_maps[0], factors, grid)
        along = [windows(_shape(x), _shape(stage_maps[0]), factors, grid) for x in stage_maps]

        # 2. Project the queries into the channels of the maps, in float32 at least: the sums below are sensitive to
        #    rounding, while their memory is small.
        dtype = torch.promote_types(low_res.dtype, torch.float32)
        queries = self.query_proj(low_res)
        with without_autocast(low_res.device.type), offloaded_weights(self.key_proj, self.value_proj):
            queries = self._absorb_key(queries.to(dtype))

            # 3. Attend band by band. LayerNorm ignores a constant added to all channels, so the mean of the last stage
            #    is subtracted to avoid cancellation in Σ x² - (Σ x)². An approximate mean suffices, and no gradient
            #    passes through it.
            shift = stage_maps[-1].detach().mean(dim=(1, 2, 3), keepdim=True, dtype=dtype)
            pooled, attention = [], []
            for rows in self._bands(rows_of_queries, n, along, low_res):
                stages = [StageCells.gather(x, axis, rows, shift) for x, axis in zip(stage_maps, along, strict=True)]
                band_pooled, band_attention = self._attend(queries[:, rows.start * n : rows.stop * n], stages)
                pooled.append(band_pooled)
                attention.append(band_attention)

            # 4. Project the pooled features to values.
            mined = self._project_value(torch.cat(pooled, dim=1))
        return mined.to(low_res.dtype), torch.cat(attention, dim=1)

    def _attend(self, queries: Tensor, stages: Sequence[StageCells]) -> tuple[Tensor, Tensor]:
        """Projected queries (B, P, C_hr) -> pooled features Σ a x̂ (B, P, C_hr) and attention a (B, P, M·M)."""
        # 1. For every position: q · x and Σ_c x, then Σ_c x².
        dots_and_sums: Tensor | float = 0.0
        squares: Tensor | float = 0.0
        for stage, query in zip(stages, queries.split(self.stage_dims, dim=-1), strict=True):
            both = torch.stack((query, torch.ones_like(query)), dim=2)
            dots_and_sums = dots_and_sums + stage.at_positions(stage.cells @ both.mT)
            squares = squares + stage.squared_norms()
        dots, sums = cast(Tensor, dots_and_sums).unbind(dim=-1)

        # 2. Mean and standard deviation, scores and softmax. Σ_c q = 0, so the mean need not be subtracted in q · x.
        mean = sums / sum(self.stage_dims)
        variance = (squares / sum(self.stage_dims) - mean.square()).clamp(min=0)
        inverse_std = torch.rsqrt(variance + self.eps)
        attention = (dots * inverse_std).softmax(dim=-1)

        # 3. Σ a x̂ = Σ (a/std) x - Σ (a/std) mean
        weights = attention * inverse_std
        pooled = torch.cat([stage.weighted_sum(weights) for stage in stages], dim=-1)
        return pooled - (weights * mean).sum(dim=-1, keepdim=True), attention

    def _absorb_key(self, queries: Tensor) -> Tensor:
        """Fold scale, W_k and gain_k into the queries φ_q: (B, N, C) -> (B, N, C_hr), with mean 0 over the channels."""
        weight = effective_weight(self.key_proj.linear, queries.dtype).to(queries)
        absorbed = (queries * self.query_dim**-0.5) @ weight * self.key_proj.norm.weight.to(queries)
        return absorbed - absorbed.mean(dim=-1, keepdim=True)

    def _project_value(self, pooled: Tensor) -> Tensor:
        """Apply φ_v to pooled features: Σ a x̂ (B, N, C_hr) -> Σ a φ_v(x) (B, N, C)."""
        norm, linear = self.value_proj.norm, self.value_proj.linear
        weight, bias = (part(linear, pooled.dtype).to(pooled) for part in (effective_weight, effective_bias))
        mined = nn.functional.linear(pooled * norm.weight + norm.bias, weight, bias)
        # The key biases shift all scores of a query equally, so their gradient is exactly zero. It must exist, because
        # distributed training waits for it, and must not be rounding noise, which Adam would scale up to full steps.
        biases = [value.sum() for name, value in self.key_proj.named_parameters() if name.endswith("bias")]
        return mined + 0 * torch.stack(biases).sum().to(pooled)

    def _bands(self, rows: int, n: int, along: Sequence[Windows], low_res: Tensor) -> Iterator[slice]:
        """Split the rows of patches into bands whose windows fit in `BAND_BYTES`, at least one row each."""
        cells = sum(stage.num_cells * dim for stage, dim in zip(along, self.stage_dims, strict=True))
        # An exported graph has fixed bands, and any number of images.
        images = 1 if torch.compiler.is_exporting() else low_res.shape[0]
        row_bytes = images * n * cells * 4
        height = max(1, BAND_BYTES.get(low_res.device.type, BAND_BYTES_ELSEWHERE) // row_bytes)
        return (slice(top, min(top + height, rows)) for top in range(0, rows, height))

    def _check_maps(self, low_res: Tensor, stage_maps: Sequence[Tensor]) -> None:
        """Check that there is a map for each stage and image."""
        images = low_res.shape[0]
        found, wanted = [tuple(x.shape[:2]) for x in stage_maps], [(images, dim) for dim in self.stage_dims]
        if found != wanted:
            raise ValueError(
                f"stage maps of {images} images must have (images, channels) {wanted}, got {found}: pass the maps of "
                "the same images, from the encoder that stage_dims describes"
            )


def _shape(stage_map: Tensor) -> Shape:
    height, width = stage_map.shape[-2:]
    return height, width


def _square_grid(low_res: Tensor, stage_maps: Sequence[Tensor]) -> Shape:
    """Return the square grid of N queries."""
    count, (height, width) = low_res.shape[1], _shape(stage_maps[0])
    n = math.isqrt(count)
    if n * n != count or any(x.shape[-2] != x.shape[-1] for x in stage_maps):
        raise ValueError(
            f"mining needs a square grid of queries and square maps, got {count} queries and a finest map of "
            f"{height} x {width}: pad the image to a square, or pass grid"
        )
    return n, n


def _check_blocks(low_res: Tensor, finest: Tensor, downsample: Shape, grid: Shape) -> None:
    """Check that the finest map, downsampled, divides into one block of positions per query."""
    if math.prod(grid) != low_res.shape[1]:
        raise ValueError(f"{low_res.shape[1]} queries are no grid of {grid[0]} x {grid[1]}: pass its rows and columns")
    for size, factor, n in zip(_shape(finest), downsample, grid, strict=True):
        unit = factor * n
        if size % unit:
            multiples = sorted({max(size // unit, 1) * unit, (size // unit + 1) * unit})
            raise ValueError(
                f"a map of {size} positions per side, downsampled by {factor}, does not divide into "
                f"{grid[0]} x {grid[1]} patches: {size} is not a multiple of {factor} · {n} = {unit}; "
                f"nearest valid: {' and '.join(map(str, multiples))}"
            )
