"""Makes vLLM know Mini-Gemini: an entry point of group `vllm.general_plugins`, which vLLM calls in every process.

vLLM runs the model by its Transformers backend. That looks the class of a checkpoint up in the namespace of
Transformers, so the class is put there; it is not registered as vLLM's own, which would leave out Mixtral's experts.
"""

import torch
from torch import Tensor, nn


class PlainLinear(nn.Module):
    """A Linear that is no `nn.Linear`: vLLM exchanges those for kernels that keep no weight, which mining reads."""

    def __init__(self, dim_in: int, dim_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(dim_out, dim_in))
        self.bias = nn.Parameter(torch.empty(dim_out))

    def forward(self, x: Tensor) -> Tensor:
        """(…, dim_in) to (…, dim_out)."""
        return nn.functional.linear(x, self.weight, self.bias)


def register() -> None:
    """Put the model where vLLM's Transformers backend looks for it, and set what vLLM needs to be otherwise."""
    import transformers

    from .. import MiniGeminiForConditionalGeneration, MiniGeminiProcessor
    from ..modeling.patch_info_mining import NormedLinear

    NormedLinear.linear_class = PlainLinear
    MiniGeminiProcessor.spaces_in_replacements = True
    setattr(transformers, MiniGeminiForConditionalGeneration.__name__, MiniGeminiForConditionalGeneration)
