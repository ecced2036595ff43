"""The loss of the head in chunks beside all logits at once and, if it is installed, Liger's fused kernel.

python benchmarks/gpu/head_loss.py
python benchmarks/gpu/head_loss.py --device cpu --tiny # a dry run
"""

import argparse
from importlib.util import find_spec
from typing import Any

import case
import torch
from torch import Tensor, nn

from minigemini.modeling.head_loss import head_loss
from minigemini.modeling.losses import mean_loss

SHAPES = {"full": ((2048, 576, 49152), (2048, 4096, 32000), (4096, 4096, 152000)), "tiny": ((64, 32, 1000),)}
"""Labeled tokens, width and vocabulary."""


def measure(args: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Time and memory of forward and backward, and the largest relative error of the head's gradient."""
    ways = {"all logits": all_logits, "chunks": head_loss}
    figures: dict[str, Any] = {}
    if device.type != "cpu" and find_spec("liger_kernel") is not None:
        ways["Liger"] = liger
    else:
        figures["Liger, skipped"] = "for GPUs: pip install liger-kernel"
    for shape in SHAPES[args.size]:
        name = "{} rows, width {}, vocabulary {}".format(*shape)
        found = compare(ways, shape, device, args.repetitions)
        figures |= {f"{name}, {what}": value for what, value in found.items()}
    return figures


def compare(
    ways: dict[str, Any], shape: tuple[int, int, int], device: torch.device, repetitions: int
) -> dict[str, Any]:
    """Figures of one shape, in mixed precision; errors are against float32."""
    rows, width, vocabulary = shape
    torch.manual_seed(0)
    with device:
        head = nn.Linear(width, vocabulary, bias=False)
        hidden = torch.randn(rows, width, requires_grad=True)
        targets = torch.randint(vocabulary, (rows,))
    (exact,) = torch.autograd.grad(all_logits(hidden, head, targets), head.weight)
    figures: dict[str, Any] = {}
    for name, loss_of in ways.items():

        def step(loss_of: Any = loss_of) -> Tensor:
            with torch.autocast(device.type, torch.bfloat16):
                loss = loss_of(hidden, head, targets)
            gradient, _ = torch.autograd.grad(loss, (head.weight, hidden))
            return gradient

        figures[f"{name}, ms"] = 1e3 * case.seconds(step, device, repetitions)
        figures[f"{name}, MiB"] = case.peak_mib(step, device)
        figures[f"{name}, error"] = float((step() - exact).norm() / exact.norm())
    return figures


def all_logits(hidden: Tensor, head: nn.Module, targets: Tensor) -> Tensor:
    return mean_loss(head(hidden), targets)


def liger(hidden: Tensor, head: Any, targets: Tensor) -> Tensor:
    from liger_kernel.transformers.fused_linear_cross_entropy import LigerFusedLinearCrossEntropyLoss

    loss: Tensor = LigerFusedLinearCrossEntropyLoss()(head.weight.bfloat16(), hidden.bfloat16(), targets)
    return loss


if __name__ == "__main__":
    case.main(measure, case.parse(__doc__))
