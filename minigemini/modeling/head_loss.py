"""Cross-entropy of a linear head, computed over chunks of rows, so that the logits of all rows never exist at once.

The whole computation holds logits, log-probabilities and their gradient: three tensors of (rows, vocabulary), which for
a small language model are most of a step's memory. As in Liger (arXiv 2410.10989, section 3.2), each chunk computes its
gradient in the forward pass, right after its loss. Nothing is computed twice: there are the same three matrix products,
in parts.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .losses import loss_divisor, mean_loss
from .onednn_linear import OneDnnLinear, product

LOGITS_PER_CHUNK = {"cpu": 2**23}
LOGITS_PER_CHUNK_ELSEWHERE = 2**25
"""A CPU is as fast with small chunks. On a GPU, each chunk reads and writes the float32 gradient of the head, which has
to be little beside its products: a thousand rows at a vocabulary of 32,000."""
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")

Finish = Callable[[Tensor], Tensor]


def head_loss(
    hidden_states: Tensor,
    head: nn.Module,
    targets: Tensor,
    num_items_in_batch: Tensor | int | None = None,
    finish: Finish = lambda logits: logits,
) -> Tensor:
    """The loss of `mean_loss(finish(head(hidden_states)), targets, num_items_in_batch)`, up to rounding.

    A head that is more than a product with its weight, such as one with an adapter, hooks or a sharded weight, computes
    all logits at once, as does `torch.compile`.

    Args:
        hidden_states: (rows, D).
        head: maps (rows, D) to (rows, vocabulary).
        targets: (rows,).
        num_items_in_batch: the divisor of the summed loss; the number of rows by default.
        finish: scales or caps logits, elementwise; returns the same tensor if there is nothing to do.
    """
    targets = targets.to(hidden_states.device)
    if not _is_product(head, hidden_states) or torch.compiler.is_compiling():
        return mean_loss(finish(head(hidden_states)), targets, num_items_in_batch)
    weight: Any = head.weight
    by_onednn = isinstance(head, OneDnnLinear)
    if torch.is_grad_enabled():
        total = _SummedLoss.apply(hidden_states, weight, targets, finish, by_onednn)
    else:
        total, _, _ = _sum_chunks(hidden_states, weight, targets, finish, by_onednn, (False, False))
    return total / loss_divisor(len(targets), num_items_in_batch, total.device)


def _is_product(head: nn.Module, hidden_states: Tensor) -> bool:
    """Whether a head is the product with its weight and nothing else."""
    return (
        type(head) in (nn.Linear, OneDnnLinear)
        and head.bias is None
        and "forward" not in vars(head)  # Accelerate replaces it when it moves weights between devices
        and not any(getattr(head, hooks) for hooks in _HOOKS)
        and type(head.weight) in (Tensor, nn.Parameter)  # no shard
        and head.weight.device == hidden_states.device
    )


class _SummedLoss(torch.autograd.Function):
    """The summed loss; its gradients are computed with it, and scaled by `backward`."""

    @staticmethod
    def forward(
        ctx: Any, hidden_states: Tensor, weight: Tensor, targets: Tensor, finish: Finish, by_onednn: bool
    ) -> Tensor:
        total, *gradients = _sum_chunks(hidden_states, weight, targets, finish, by_onednn, ctx.needs_input_grad[:2])
        ctx.save_for_backward(*gradients)
        ctx.weight_dtype = weight.dtype
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        of_hidden, of_weight = ctx.saved_tensors
        # In place, because the gradient of the weight is large. Autograd notices it and refuses a second call.
        of_hidden = None if of_hidden is None else of_hidden.mul_(gradient)
        of_weight = None if of_weight is None else of_weight.mul_(gradient).to(ctx.weight_dtype)
        return of_hidden, of_weight, None, None, None


def _sum_chunks(
    hidden_states: Tensor,
    weight: Tensor,
    targets: Tensor,
    finish: Finish,
    by_onednn: bool,
    needs: tuple[bool, bool],
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Sum the loss over rows, and compute the gradients of hidden states and weight that are needed.

    Products have the dtype that autocast would give them; the gradient of the weight is summed in float32.
    """
    device = hidden_states.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden_states.dtype
    of_hidden = torch.empty_like(hidden_states) if needs[0] else None
    of_weight = torch.zeros_like(weight, dtype=torch.float32) if needs[1] else None
    total = torch.zeros((), device=hidden_states.device)
    multiply = product if by_onednn and dtype == torch.float32 else _multiply
    rows = max(1, LOGITS_PER_CHUNK.get(device, LOGITS_PER_CHUNK_ELSEWHERE) // len(weight))
    with torch.no_grad(), torch.autocast(device, enabled=False):
        typed_weight = weight.to(dtype)  # once: autocast would convert it for each chunk
        for start in range(0, len(targets), rows):
            chunk = slice(start, start + rows)
            inputs = hidden_states[chunk].to(dtype)
            loss, of_logits = _chunk_loss(multiply(inputs, typed_weight), targets[chunk], finish, any(needs))
            total += loss
            if of_hidden is not None:
                of_hidden[chunk] = multiply(of_logits, typed_weight.T)
            if of_weight is not None and dtype == torch.float32:
                of_weight.addmm_(of_logits.T, inputs)
            elif of_weight is not None:
                of_weight += of_logits.T @ inputs
            del of_logits  # before the next chunk's
    return total, of_hidden, of_weight


def _multiply(states: Tensor, weight: Tensor) -> Tensor:
    return states @ weight.T


def _chunk_loss(logits: Tensor, targets: Tensor, finish: Finish, needs_gradient: bool) -> tuple[Tensor, Any]:
    """The summed loss of logits, and its gradient if needed; logits are overwritten."""
    if finish(logits) is not logits:
        with torch.set_grad_enabled(needs_gradient):
            values = finish(logits.requires_grad_(needs_gradient)).float()
            loss = nn.functional.cross_entropy(values, targets, reduction="sum")
        return loss.detach(), torch.autograd.grad(loss, logits)[0] if needs_gradient else None

    # d loss / d logits = softmax - 1 at the target, in place: autograd would hold three tensors.
    values, columns = logits.float(), targets[:, None]
    log_sum = values.logsumexp(dim=-1, keepdim=True)
    total = (log_sum - values.gather(1, columns)).sum()
    if not needs_gradient:
        return total, None
    of_values = values.sub_(log_sum).exp_()
    of_values.scatter_add_(1, columns, torch.full_like(log_sum, -1))
    return total, of_values.to(logits.dtype)
