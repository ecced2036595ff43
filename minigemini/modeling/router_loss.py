"""The loss that keeps the experts of a mixture in equal use, as the language models themselves compute it."""

from typing import Any

from torch import Tensor
from transformers import PreTrainedConfig
from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

_WEIGHTS = ("aux_loss_coef", "router_aux_loss_coef")  # JetMoe's name, and that of all others


def balance_loss(
    router_logits: tuple[Tensor, ...], text_config: PreTrainedConfig, attention_mask: Tensor | None
) -> Tensor:
    """The load-balancing loss of Switch Transformers (arXiv 2101.03961, equations 4 to 6) over all layers.

    Args:
        router_logits: Of each layer with experts, (batch · length, experts).
        text_config: Of the language model.
        attention_mask: (batch, length), 0 where tokens do not count.
    """
    logits: Any = router_logits
    loss: Any = load_balancing_loss_func(logits, logits[0].shape[-1], text_config.num_experts_per_tok, attention_mask)
    return loss


def balance_weight(text_config: PreTrainedConfig) -> float:
    """By how much that loss counts."""
    return next(float(weight) for name in _WEIGHTS if (weight := getattr(text_config, name, None)) is not None)
