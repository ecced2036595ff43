"""The language model's head on top of the model: logits, the loss of an answer, and `generate`."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers.generation import GenerationMixin
from transformers.utils import can_return_tuple

from .configuration import MiniGeminiConfig
from .modeling import MiniGeminiModel, MiniGeminiPreTrainedModel
from .outputs import CACHE, MiniGeminiCausalLMOutputWithPast, MiniGeminiImageFeatures

IGNORED = -100
"""Label of a token that is not learnt."""


class MiniGeminiForConditionalGeneration(MiniGeminiPreTrainedModel, GenerationMixin):
    """The model with its head: answers about pictures, or the loss of an answer."""

    _tied_weights_keys = {"lm_head.weight": "model.language_model.embed_tokens.weight"}  # noqa: RUF012

    def __init__(self, config: MiniGeminiConfig):
        super().__init__(config)
        self.model = MiniGeminiModel(config)
        self.lm_head = nn.Linear(config.text_config.hidden_size, config.text_config.vocab_size, bias=False)
        embeddings = self.get_input_embeddings()  # language models differ in what they call it
        name = next(name for name, module in self.named_modules() if module is embeddings)
        self._tied_weights_keys = {"lm_head.weight": f"{name}.weight"}
        self.post_init()

    def get_output_embeddings(self) -> nn.Module:
        """Give the head."""
        return self.lm_head

    def head(self, hidden_states: Tensor) -> Tensor:
        """Turn (…, D) into (…, vocabulary) logits."""
        return finish_logits(self.lm_head(hidden_states), self.config.text_config)

    def get_image_features(
        self, pixel_values: Tensor, high_res_pixel_values: Tensor | None = None, **kwargs: Any
    ) -> MiniGeminiImageFeatures:
        """Turn pictures into visual tokens; see `MiniGeminiModel.get_image_features`."""
        return self.model.get_image_features(pixel_values, high_res_pixel_values, **kwargs)

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        high_res_pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        logits_to_keep: int | Tensor = 0,
        mm_encoder_outputs: dict[str, MiniGeminiImageFeatures] | None = None,
        return_logits: bool = True,
        num_items_in_batch: Tensor | int | None = None,
        **kwargs: Any,
    ) -> MiniGeminiCausalLMOutputWithPast:
        """Predict the next tokens; see `MiniGeminiModel.forward` for the inputs.

        Args:
            labels: (batch, length), the tokens to learn, -100 elsewhere; shifted inside.
            logits_to_keep: How many of the last positions get logits (0: all), or which positions do.
            return_logits: False leaves `logits` out. With labels, the head then runs only where there are any.
            num_items_in_batch: Labelled tokens of all the batches between two optimiser steps, by which their losses
                are divided; by itself, those of this batch.

        Raises:
            ValueError: If `logits_to_keep` would cut logits off that the labels need.
        """
        if labels is not None:
            if not (isinstance(logits_to_keep, int) and logits_to_keep == 0):
                raise ValueError(f"the loss is of all labels, but logits_to_keep is {logits_to_keep!r}: leave it at 0.")
            # Nobody reads on after a loss, and beside a cache Transformers does not see that position_ids are packed.
            kwargs.setdefault("use_cache", False)
        outputs = self.model(
            input_ids=input_ids,
            pixel_values=pixel_values,
            high_res_pixel_values=high_res_pixel_values,
            attention_mask=attention_mask,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            mm_encoder_outputs=mm_encoder_outputs,
            return_dict=True,
            **kwargs,
        )
        logits = loss = None
        if return_logits:
            kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
            logits = self.head(outputs.last_hidden_state[:, kept])
        if labels is not None:
            labels = labels.to(outputs.last_hidden_state.device)
            learnt = labels[:, 1:] != IGNORED
            rows = self.head(outputs.last_hidden_state[:, :-1][learnt]) if logits is None else logits[:, :-1][learnt]
            loss = mean_loss(rows, labels[:, 1:][learnt], num_items_in_batch)
        return MiniGeminiCausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            image_hidden_states=outputs.image_hidden_states,
            **{CACHE: outputs.get(CACHE)},
        )


def finish_logits(logits: Tensor, text_config: PreTrainedConfig) -> Tensor:
    """Do to (…, vocabulary) logits what some language models do in a head that is not part of `AutoModel`."""
    if (scale := getattr(text_config, "logit_scale", None)) is not None:  # Cohere
        logits = logits * scale
    if (divisor := getattr(text_config, "logits_scaling", None)) is not None:  # Granite
        logits = logits / divisor
    if (cap := getattr(text_config, "final_logit_softcapping", None)) is not None:  # Gemma 2
        logits = cap * torch.tanh(logits / cap)
    return logits


def mean_loss(logits: Tensor, targets: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
    """Cross-entropy of (rows, vocabulary) logits, summed and divided by `num_items_in_batch`, by itself the rows.

    Without a row it is 0, not NaN: a rank may have nothing to learn in a step.
    """
    total = nn.functional.cross_entropy(logits.float(), targets.to(logits.device), reduction="sum")
    items = len(targets) if num_items_in_batch is None else num_items_in_batch
    return total / torch.as_tensor(items, device=total.device).clamp(min=1)
