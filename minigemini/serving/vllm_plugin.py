"""vLLM plugin: vLLM calls the entry point, in the group `vllm.general_plugins`, in every process.

vLLM runs the model with its Transformers backend, which looks up a checkpoint's class in the `transformers` namespace,
so the plugin adds the class there. Registering it as a native vLLM model would lose the experts of Mixtral models.
"""

from typing import Any

import torch
from torch import Tensor, nn


class PlainLayerNorm(nn.LayerNorm):
    """A LayerNorm that vLLM does not replace by its own: it replaces no subclasses."""


class PlainLinear(nn.Module):
    """A linear layer that vLLM does not replace by a kernel without `weight`, which patch info mining reads."""

    def __init__(self, dim_in: int, dim_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(dim_out, dim_in))
        self.bias = nn.Parameter(torch.empty(dim_out))

    def forward(self, x: Tensor) -> Tensor:
        """Map (…, dim_in) to (…, dim_out)."""
        return nn.functional.linear(x, self.weight, self.bias)


def profile_rows_of_tiles() -> None:
    """Make vLLM reserve memory for the largest image in its native shape.

    vLLM finds the largest image among squares, but a single row of tiles may have more.
    """
    try:
        from vllm.model_executor.models.transformers.multimodal import MultiModalProcessingInfo as Info
    except ImportError:  # not in vLLM, or a release whose Transformers backend has another layout
        return
    squares = Info._get_size_candidates

    def sizes(self: Any, image_processor: Any, divisors: tuple[int, ...]) -> list[Any]:
        max_tiles = getattr(image_processor, "max_tiles", None)
        found = squares(self, image_processor, divisors)
        return found if max_tiles is None else [size._replace(width=size.width * max_tiles) for size in found]

    Info._get_size_candidates = sizes


def leave_images_out_of_embeddings() -> None:
    """Let vLLM embed text alone, because the token of images may be beyond the vocabulary, as in `small`.

    Its own models tell vLLM so; its Transformers backend does not.
    """
    try:
        from vllm.model_executor.models.transformers.multimodal import MultiModalMixin
    except ImportError:  # as above
        return
    MultiModalMixin._has_oov_mm_tokens = True


def register() -> None:
    """Add the model to the `transformers` namespace and adapt what vLLM requires."""
    import transformers

    from .. import MiniGeminiForConditionalGeneration, MiniGeminiProcessor
    from ..modeling.patch_info_mining import NormedLinear

    NormedLinear.norm_class, NormedLinear.linear_class = PlainLayerNorm, PlainLinear
    MiniGeminiProcessor.spaces_in_replacements = True
    profile_rows_of_tiles()
    leave_images_out_of_embeddings()
    setattr(transformers, MiniGeminiForConditionalGeneration.__name__, MiniGeminiForConditionalGeneration)
