"""What the model returns. D is the hidden size of the language model, t·N the visual tokens of a picture."""

from dataclasses import dataclass, fields

from torch import Tensor
from transformers.modeling_outputs import BaseModelOutputWithPast, BaseModelOutputWithPooling, CausalLMOutputWithPast

CACHE = "cache" if "cache" in {field.name for field in fields(CausalLMOutputWithPast)} else "past_key_values"
"""What Transformers calls the key-value cache in inputs and outputs: `cache` from 5.24 on, `past_key_values` before."""


@dataclass
class MiniGeminiImageFeatures(BaseModelOutputWithPooling):
    """What became of the pictures, token for token in the order in which the language model sees them.

    last_hidden_state: (images, t·N, C), the low-res features.
    mined_features: (images, t·N, C), what mining adds to them. `None` in the baseline without high-res tower.
    pooler_output: (images, t·N, D), the visual tokens, ready to stand among the embeddings.
    """

    mined_features: Tensor | None = None


@dataclass
class MiniGeminiModelOutputWithPast(BaseModelOutputWithPast):
    """As from the language model, and `image_hidden_states` (images, t·N, D), the visual tokens.

    router_logits: of each layer with experts, (batch · length, experts), where they were asked for.
    """

    image_hidden_states: Tensor | None = None
    router_logits: tuple[Tensor, ...] | None = None


@dataclass
class MiniGeminiCausalLMOutputWithPast(CausalLMOutputWithPast):
    """`loss` (), `logits` (batch, kept positions, vocabulary), and what `MiniGeminiModelOutputWithPast` has.

    aux_loss: (), how unevenly experts were chosen, 1 and more; `loss` contains it, weighted by the text config.
    """

    image_hidden_states: Tensor | None = None
    aux_loss: Tensor | None = None
    router_logits: tuple[Tensor, ...] | None = None
