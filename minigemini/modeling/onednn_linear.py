"""Float32 products by oneDNN, for training on AMD processors.

torch multiplies float32 matrices with MKL, which on AMD processors leaves AVX-512 unused: oneDNN multiplies the shapes
of a language model at 250 GFLOP/s a core where MKL reaches 111, forward and backward
(benchmarks/results/training_against.md). bfloat16 and convolutions are oneDNN's anyway.
"""

import platform
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

X86 = ("x86_64", "AMD64")
SMALLEST = 64
"""Products with fewer inputs or outputs are no faster."""


def has_onednn_linear() -> bool:
    """Whether torch has oneDNN's product of a Linear on this processor: the operator of torch.compile."""
    is_here = platform.machine() in X86 and torch.backends.mkldnn.is_available()
    return is_here and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def product(states: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Multiply states (…, in) by a weight (out, in) and add a bias (out,) by oneDNN; without gradients."""
    result: Tensor = torch.ops.mkldnn._linear_pointwise(states, weight, bias, "none", [], "")
    return result


def use_onednn(model: nn.Module) -> None:
    """Let the Linears of a model multiply by oneDNN, in place; weights stay as they are."""
    for module in model.modules():
        if type(module) is nn.Linear and min(module.in_features, module.out_features) >= SMALLEST:
            module.__class__ = OneDnnLinear


class OneDnnLinear(nn.Linear):
    """`nn.Linear` whose products in float32 on the CPU, and those of its gradients, are oneDNN's."""

    def forward(self, states: Tensor) -> Tensor:
        """Multiply (…, in) -> (…, out)."""
        if not self._multiplies(states):
            return super().forward(states)
        result: Tensor = _Product.apply(states, self.weight, self.bias)
        return result

    def _multiplies(self, states: Tensor) -> bool:
        weight = self.weight
        return (
            states.dtype == weight.dtype == torch.float32
            and states.device.type == weight.device.type == "cpu"
            and type(weight) is nn.Parameter  # no shard
            and states.numel() > 0
            and not torch.is_autocast_enabled("cpu")
            and not torch.compiler.is_compiling()
        )


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        of_states, of_weight, _ = ctx.needs_input_grad
        ctx.save_for_backward(states if of_weight else None, weight if of_states else None)
        return product(states, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        states, weight = ctx.saved_tensors
        rows = gradient.reshape(-1, gradient.shape[-1])
        of_states = None if weight is None else product(rows, weight.T).view(*gradient.shape[:-1], -1)
        of_weight = None if states is None else product(rows.T, states.reshape(-1, states.shape[-1]).T)
        return of_states, of_weight, rows.sum(0) if ctx.needs_input_grad[2] else None
