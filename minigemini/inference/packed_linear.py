"""Linear layers with weights in the layout of a CPU's matrix kernels: oneDNN's, or 8-bit rows.

torch multiplies a row of float32 by a matrix with MKL, which on AMD processors reads 16 of the 36 GB/s that memory
gives, and a row of bfloat16 in a layout that the processor's dot products must rearrange each time. oneDNN arranges
weights once (benchmarks/results/decode.md). These are the operators that torch.compile uses for frozen weights.
"""

from typing import Any

import torch
from torch import Tensor, nn

from ..io.system import multiplies_bfloat16
from ..modeling.onednn_linear import has_onednn_linear

FEW_ROWS = 16
"""Up to this many rows, torch's product with 8-bit weights is faster than one with weights converted to bfloat16."""


def can_pack(dtype: torch.dtype) -> bool:
    """Whether torch has oneDNN's packed products of a dtype on this processor."""
    operators = torch.ops.mkldnn
    if not (has_onednn_linear() and hasattr(operators, "_reorder_linear_weight")):
        return False
    return dtype == torch.float32 or (dtype == torch.bfloat16 and operators._is_mkldnn_bf16_supported())


class PackedLinear(nn.Module):
    """Computes what `nn.Linear` does, in the same precision, but holds no parameters that could be trained or saved.

    Args:
        weight: (out, in), float32 or bfloat16.
        bias: (out,).
        rows: Rows of a typical input, for which the layout is chosen.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, rows: int) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), rows)
        self.bias = None if bias is None else bias.detach()

    def forward(self, states: Tensor, added: Tensor | None = None) -> Tensor:
        """Multiply (…, in) -> (…, out), and add a tensor of that shape."""
        operator = torch.ops.mkldnn._linear_pointwise
        if added is None:
            return operator.default(states, self.weight, self.bias, "none", [], "")
        return operator.binary(states, added, self.weight, self.bias, "add")


class Int8Linear(nn.Module):
    """Multiplies in bfloat16 by 8-bit weights with a scale per row. Only weights are rounded to 8 bits.

    Args:
        weight: (out, in), int8.
        scale: (out,), by which rows of weights are multiplied.
        bias: (out,).
    """

    def __init__(self, weight: Tensor, scale: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.weight, self.scale = weight.contiguous(), scale.bfloat16()
        self.bias = None if bias is None else bias.detach()
        self.has_fast_bfloat16 = multiplies_bfloat16()

    def forward(self, states: Tensor, added: Tensor | None = None) -> Tensor:
        """Multiply (…, in) -> (…, out), and add a tensor of that shape."""
        rows = states.reshape(-1, self.in_features).bfloat16()
        if len(rows) > FEW_ROWS and self.has_fast_bfloat16:
            product = nn.functional.linear(rows, self.weight.bfloat16()) * self.scale
        else:
            product = torch._weight_int8pack_mm(rows, self.weight, self.scale)
        product = product.to(states.dtype).view(*states.shape[:-1], self.out_features)
        if self.bias is not None:
            product = product + self.bias
        return product if added is None else product + added


def is_packable(module: Any) -> bool:
    """Whether a module is a Linear on the CPU that `pack` takes."""
    if isinstance(module, nn.Linear) and type(module).__name__ == "Linear8bitLt":
        return bool(module.weight.dtype == torch.int8 and module.weight.device.type == "cpu")
    return type(module) is nn.Linear and module.weight.device.type == "cpu" and can_pack(module.weight.dtype)


def pack(*linears: Any, rows: int = 1) -> PackedLinear | Int8Linear:
    """Pack Linears with the same input, plain or quantized by bitsandbytes, as one whose outputs are joined."""
    weights = [linear.weight.detach() for linear in linears]
    biases = [linear.bias for linear in linears]
    bias = None if biases[0] is None else torch.cat([bias.detach() for bias in biases])
    if weights[0].dtype != torch.int8:
        return PackedLinear(torch.cat(weights), bias, rows)
    states = [linear.weight if linear.weight.SCB is not None else linear.state for linear in linears]
    return Int8Linear(torch.cat(weights), torch.cat([state.SCB for state in states]) / 127, bias)
