"""The language model's head on top of the model: logits, the loss of an answer, and `generate`."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers.generation import GenerationMixin
from transformers.utils import can_return_tuple

from .configuration import MiniGeminiConfig
from .model import MiniGeminiModel, MiniGeminiPreTrainedModel
from .outputs import CACHE, MiniGeminiCausalLMOutputWithPast, MiniGeminiImageFeatures
from .router_loss import balance_loss, balance_weight

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
        shift_labels: Tensor | None = None,
        logits_to_keep: int | Tensor = 0,
        mm_encoder_outputs: dict[str, MiniGeminiImageFeatures] | None = None,
        return_logits: bool = True,
        num_items_in_batch: Tensor | int | None = None,
        output_router_logits: bool | None = None,
        **kwargs: Any,
    ) -> MiniGeminiCausalLMOutputWithPast:
        """Predict the next tokens; see `MiniGeminiModel.forward` for the inputs.

        Args:
            labels: (batch, length), the tokens to learn, -100 elsewhere; shifted inside.
            shift_labels: (batch, length), what each position is to predict, in place of labels. Whoever cuts sequences
                up (sequence and context parallelism) gives them: a part does not have the label behind its end.
            logits_to_keep: How many of the last positions get logits (0: all), or which positions do.
            return_logits: False leaves `logits` out. With labels, the head then runs only where there are any.
            num_items_in_batch: Labelled tokens of all the batches between two optimiser steps, by which their losses
                are divided; by itself, those of this batch.
            output_router_logits: Whether to give the routers' logits of a mixture of experts, and with labels to add
                the loss that balances them; by itself, whether the text config says so, with labels alone.

        Raises:
            ValueError: If `logits_to_keep` would cut logits off that the labels need.
        """
        targets = shift_labels
        if targets is None and labels is not None:
            targets = nn.functional.pad(labels[:, 1:], (0, 1), value=IGNORED)
        text_config = self.config.text_config
        if (configured := getattr(text_config, "output_router_logits", None)) is not None:
            by_itself = targets is not None and configured
            kwargs["output_router_logits"] = by_itself if output_router_logits is None else output_router_logits
        if targets is not None:
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
        logits = loss = aux_loss = None
        if return_logits:
            kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
            logits = self.head(outputs.last_hidden_state[:, kept])
        if targets is not None:
            targets = targets.to(outputs.last_hidden_state.device)
            learnt = targets != IGNORED
            rows = self.head(outputs.last_hidden_state[learnt]) if logits is None else logits[learnt]
            loss = mean_loss(rows, targets[learnt], num_items_in_batch)
            if outputs.router_logits:
                aux_loss = balance_loss(outputs.router_logits, text_config, attention_mask)
                # Its share of the labels, so that a step weighs it once, of however many batches it is made.
                share = len(rows) / _items(len(rows), num_items_in_batch, loss.device)
                loss = loss + balance_weight(text_config) * share * aux_loss.to(loss.device)
        return MiniGeminiCausalLMOutputWithPast(
            loss=loss,
            aux_loss=aux_loss,
            logits=logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            image_hidden_states=outputs.image_hidden_states,
            router_logits=outputs.router_logits,
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
    return total / _items(len(targets), num_items_in_batch, total.device)


def _items(rows: int, num_items_in_batch: Tensor | int | None, device: torch.device) -> Tensor:
    """By how much the losses of so many rows are divided."""
    items = rows if num_items_in_batch is None else num_items_in_batch
    return torch.as_tensor(items, device=device).clamp(min=1)
