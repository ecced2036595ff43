"""Training losses: cross-entropy of the labels, and the load-balancing loss of mixture-of-experts language models."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

IGNORED = -100
"""Label of tokens that are excluded from the loss."""
_WEIGHT_FIELDS = ("aux_loss_coef", "router_aux_loss_coef")  # JetMoe's name, and that of all others


def mean_loss(logits: Tensor, targets: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
    """Cross-entropy, summed over rows and divided by `num_items_in_batch`.

    The result is 0, not NaN, if there are no rows: a rank may have no labels in a step.

    Args:
        logits: (rows, vocabulary).
        targets: (rows,).
        num_items_in_batch: The divisor; the number of rows by default.
    """
    total = nn.functional.cross_entropy(logits.float(), targets.to(logits.device), reduction="sum")
    return total / loss_divisor(len(targets), num_items_in_batch, total.device)


def loss_divisor(rows: int, num_items_in_batch: Tensor | int | None, device: torch.device) -> Tensor:
    """The number that the summed loss of `rows` labels is divided by, at least 1."""
    items = rows if num_items_in_batch is None else num_items_in_batch
    return torch.as_tensor(items, device=device).clamp(min=1)


def balance_loss(
    router_logits: tuple[Tensor, ...], text_config: PreTrainedConfig, attention_mask: Tensor | None
) -> Tensor:
    """The load-balancing loss of Switch Transformers (arXiv 2101.03961, equations 4 to 6) over all layers.

    Args:
        router_logits: (batch · length, experts) for each layer with experts.
        text_config: The config of the language model.
        attention_mask: (batch, length), 0 for tokens that are left out.
    """
    logits: Any = router_logits
    loss: Any = load_balancing_loss_func(logits, logits[0].shape[-1], text_config.num_experts_per_tok, attention_mask)
    return loss


def balance_weight(text_config: PreTrainedConfig) -> float:
    """The weight of the load-balancing loss."""
    return next(float(weight) for name in _WEIGHT_FIELDS if (weight := getattr(text_config, name, None)) is not None)
