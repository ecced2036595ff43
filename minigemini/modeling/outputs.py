"""Model outputs.

B is the number of images, C the low-resolution channels, D the hidden size of the language model, and t·N the visual
tokens per image. Images in their native shape differ in t: their features are lists of (t·N, C) or (t·N, D), and
`image_hidden_states` are the tokens of all images, (tokens, D).
"""

from dataclasses import dataclass, fields

from torch import Tensor
from transformers.modeling_outputs import BaseModelOutputWithPast, BaseModelOutputWithPooling, CausalLMOutputWithPast

CACHE = "cache" if "cache" in {field.name for field in fields(CausalLMOutputWithPast)} else "past_key_values"
"""Name of the key-value cache in Transformers' inputs and outputs: `cache` from 5.24, `past_key_values` before."""


@dataclass
class MiniGeminiImageFeatures(BaseModelOutputWithPooling):
    """Image features, in the order in which the language model receives the tokens.

    Attributes:
        last_hidden_state: (B, t·N, C), the low-resolution features.
        mined_features: (B, t·N, C), the features that mining adds to them. None for the baseline without mining.
        pooler_output: (B, t·N, D), the visual tokens, in the space of the text embeddings; or a list of (tokens, D).
        hidden_states: Those of the low-resolution encoder for the B·t tiles, if requested.
        attentions: (B·t, heads, tokens, tokens) for each of its layers, if requested.
    """

    mined_features: Tensor | None = None


@dataclass
class MiniGeminiModelOutputWithPast(BaseModelOutputWithPast):
    """Outputs of the language model, and the visual tokens.

    Attributes:
        image_hidden_states: (B, t·N, D), the visual tokens; (tokens, D) if some are pooled.
        router_logits: (batch · length, experts) for each layer with experts, if requested.
    """

    image_hidden_states: Tensor | None = None
    router_logits: tuple[Tensor, ...] | None = None


@dataclass
class MiniGeminiCausalLMOutputWithPast(CausalLMOutputWithPast):
    """Loss and logits, and the outputs of `MiniGeminiModelOutputWithPast`.

    Attributes:
        loss: (), includes the weighted `aux_loss`.
        logits: (batch, kept positions, vocabulary).
        aux_loss: (), the load-balancing loss of the experts; 1 if they are used evenly, more otherwise.
        image_hidden_states: (B, t·N, D), the visual tokens; (tokens, D) if some are pooled.
        router_logits: (batch · length, experts) for each layer with experts, if requested.
    """

    image_hidden_states: Tensor | None = None
    aux_loss: Tensor | None = None
    router_logits: tuple[Tensor, ...] | None = None
