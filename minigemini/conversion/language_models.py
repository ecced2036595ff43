"""Which causal language models of Transformers a model can be assembled from, and why others cannot."""

from inspect import signature
from typing import Any

from torch import nn
from transformers import MODEL_MAPPING

OWN_CACHE = "it keeps its state in a cache of its own, which `generate` does not create for a composed model"
REFUSED: dict[str, str] = {
    "deepseek_v4": "its first layers choose experts by token ids, which visual tokens do not have",
    "minimax": OWN_CACHE,
    "xlstm": OWN_CACHE,
}
"""Reasons by `model_type`, where the interface does not show them (`benchmarks/language_models.py`)."""


def base_of(model: Any) -> tuple[str, Any]:
    """The name and the module of the language model below the head; the module is None if there is none."""
    names = (model.base_model_prefix, "model")
    name = next((name for name in names if name and hasattr(model, name)), model.base_model_prefix)
    return name, getattr(model, name, None)


def refusal(model: Any) -> str | None:
    """Say why a causal language model cannot be part of a Mini-Gemini model; None if it can.

    Args:
        model: The model, which may be on the meta device.
    """
    if (reason := REFUSED.get(model.config.model_type)) is not None:
        return reason
    if model.config.model_type == "doge" and model.config.is_moe:
        return "its experts are chosen for a token by other tokens of the batch, later ones too"
    _, base = base_of(model)
    if base is None or type(model.config) not in MODEL_MAPPING:
        return "Transformers has no model of it without a head"
    parameters = signature(base.forward).parameters
    if "inputs_embeds" not in parameters:
        return "it takes no input embeddings, which visual tokens are"
    if not {"past_key_values", "cache"} & parameters.keys():  # the second from Transformers 5.24
        return "it takes no key-value cache, so what it has read cannot be kept"
    if getattr(model.config, "hidden_size_per_layer_input", 0):
        return "its layers embed token ids themselves, which visual tokens do not have"
    head = model.get_output_embeddings()
    if not isinstance(head, nn.Linear):
        return "its head is not one matrix"
    if head.bias is not None:
        return "its head has a bias"
    return None
