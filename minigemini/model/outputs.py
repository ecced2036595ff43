"""What the model returns. D is the hidden size of the language model, t·N the visual tokens of a picture."""

from dataclasses import dataclass

from torch import Tensor
from transformers.cache_utils import Cache
from transformers.modeling_outputs import BaseModelOutputWithPast, BaseModelOutputWithPooling, ModelOutput


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
class MiniGeminiCausalLMOutputWithPast(ModelOutput):
    """`loss` (), `logits` (batch, kept positions, vocabulary), and what `MiniGeminiModelOutputWithPast` has.

    aux_loss: (), how unevenly experts were chosen, 1 and more; `loss` contains it, weighted by the text config.
    """

    loss: Tensor | None = None
    aux_loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: Cache | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    image_hidden_states: Tensor | None = None
    router_logits: tuple[Tensor, ...] | None = None
