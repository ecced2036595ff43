"""Averages the visual tokens of video frames over windows of p x p, so that a frame costs p² times fewer tokens.

Letters: B images · t tiles per image · n patches per side of a tile · D hidden size.
"""

from collections.abc import Sequence

from einops import rearrange
from torch import Tensor, nn


def pooled_side(side: int, pooling: int) -> int:
    """Tokens per side of a tile that remain of `side`; the last window of a row may be smaller than the others."""
    return -(-side // pooling)


def pool_tokens(tokens: Tensor | Sequence[Tensor], pooling: Tensor, side: int) -> list[Tensor]:
    """Pool the visual tokens of each image, tile by tile.

    The average is taken after the projector, as in LLaVA-OneVision (arXiv 2408.03326). Tiles have n x n tokens in every
    shape of image, so frames in their native shape, whose t differ, are pooled as squares are.

    Args:
        tokens: (B, t·n², D), or a sequence of (t·n², D).
        pooling: (B,), the side p of the windows; 1 leaves an image as it is.
        side: n.

    Returns:
        (t·⌈n/p⌉², D) of each image.

    Raises:
        ValueError: There is not one factor per image, or one is not from 1 to n.
    """
    factors = pooling.tolist()
    if pooling.shape != (len(tokens),) or not all(1 <= factor <= side for factor in factors):
        raise ValueError(
            f"image_token_pooling is {factors}, but {len(tokens)} images of {side} x {side} tokens need one factor "
            f"from 1 to {side} each."
        )
    return [_pool(image, factor, side) for image, factor in zip(tokens, factors, strict=True)]


def _pool(tokens: Tensor, factor: int, side: int) -> Tensor:
    """Pool one image: (t·n², D) -> (t·⌈n/p⌉², D)."""
    if factor == 1:
        return tokens
    maps = rearrange(tokens, "(t h w) d -> t d h w", h=side, w=side)
    return rearrange(nn.functional.avg_pool2d(maps, factor, ceil_mode=True), "t d h w -> (t h w) d")
