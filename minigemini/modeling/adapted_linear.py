"""The weight that a linear layer has together with its adapters, for code that reads weights instead of calling layers.

PEFT replaces a layer by one that contains it as `base_layer` and computes an affine function of the same input: LoRA,
DoRA, LoHa, LoKr and others, one or several, enabled or not, merged or not. So without
biases, the function's values at the rows of the identity matrix are its weight, whatever the adapter is, and gradients
reach all its parameters. PEFT's own
`get_delta_weight` leaves out dropout, and differs between kinds of adapter.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call


def innermost(layer: Any) -> Any:
    """Return the layer that adapters of PEFT wrap; a layer without adapters is returned itself."""
    while isinstance(inner := getattr(layer, "base_layer", None), nn.Module):
        layer = inner
    return layer


def effective_weight(layer: Any, dtype: torch.dtype) -> Tensor:
    """Return the weight (dim_out, dim_in) of a linear layer, with or without adapters, in a dtype.

    Dropout on the input of an adapter drops whole input channels here, the same ones at all positions.
    """
    base: nn.Linear = innermost(layer)
    if layer is base:
        return base.weight.to(dtype)
    # Biases are zero here, so they get no gradient, not even of rounding noise.
    parameters = {name: torch.zeros_like(x) if name.endswith("bias") else x for name, x in layer.named_parameters()}
    return _call(layer, parameters, torch.eye(base.in_features, dtype=dtype, device=base.weight.device)).mT


def effective_bias(layer: Any, dtype: torch.dtype) -> Tensor:
    """Return the bias (dim_out,) of a linear layer, with or without adapters, in a dtype."""
    base: nn.Linear = innermost(layer)
    if layer is base:
        return base.bias.to(dtype)
    zero = torch.zeros(1, base.in_features, dtype=dtype, device=base.weight.device)
    return _call(layer, dict(layer.named_parameters()), zero)[0]


def _call(layer: Any, parameters: dict[str, Tensor], inputs: Tensor) -> Tensor:
    """Call an adapted layer with its parameters in the dtype of the inputs, so that nothing is rounded to bfloat16."""
    if layer.disable_adapters and layer.merged:
        layer.unmerge()  # as the call would do, but to the parameters themselves
    return functional_call(layer, {name: x.to(inputs.dtype) for name, x in parameters.items()}, inputs)
