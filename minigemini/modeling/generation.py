"""Mini-Gemini with a language modeling head: logits, training loss, and `generate`."""

from functools import partial, wraps
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers.generation import GenerationMixin
from transformers.utils import can_return_tuple

from .configuration import MiniGeminiConfig
from .head_loss import head_loss
from .losses import IGNORED, balance_loss, balance_weight, loss_divisor, mean_loss
from .model import Grids, MiniGeminiModel, MiniGeminiPreTrainedModel
from .outputs import CACHE, MiniGeminiCausalLMOutputWithPast, MiniGeminiImageFeatures


class MiniGeminiForConditionalGeneration(MiniGeminiPreTrainedModel, GenerationMixin):
    """Mini-Gemini with a language modeling head, for training and generation."""

    _tied_weights_keys = {"lm_head.weight": "model.language_model.embed_tokens.weight"}  # noqa: RUF012
    _tp_plan = {"lm_head": "colwise_gather_output"}  # noqa: RUF012

    def __init__(self, config: MiniGeminiConfig):
        super().__init__(config)
        self.model = MiniGeminiModel(config)
        self.lm_head = nn.Linear(config.text_config.hidden_size, config.text_config.vocab_size, bias=False)
        embeddings = self.get_input_embeddings()  # its name differs between language models
        name = next(name for name, module in self.named_modules() if module is embeddings)
        self._tied_weights_keys = {"lm_head.weight": f"{name}.weight"}
        self._is_stateful = self.model.language_model._is_stateful  # `generate` cannot take back what such a model read
        self.post_init()

    def get_output_embeddings(self) -> nn.Module:
        """Return the language modeling head."""
        return self.lm_head

    def head(self, hidden_states: Tensor) -> Tensor:
        """Compute logits: (…, D) -> (…, vocabulary)."""
        return finish_logits(self.lm_head(hidden_states), self.config.text_config)

    def get_image_features(
        self,
        pixel_values: Tensor,
        high_res_pixel_values: Tensor | None = None,
        image_grid_thw: Grids | None = None,
        image_token_pooling: Tensor | None = None,
        **kwargs: Any,
    ) -> MiniGeminiImageFeatures:
        """Encode images into visual tokens; see `MiniGeminiModel.get_image_features`."""
        return self.model.get_image_features(
            pixel_values, high_res_pixel_values, image_grid_thw, image_token_pooling, **kwargs
        )

    @wraps(GenerationMixin.prepare_inputs_for_generation)  # Transformers reads the signature
    def prepare_inputs_for_generation(  # type: ignore[override, unused-ignore]
        self, input_ids: Tensor, *args: Any, **kwargs: Any
    ) -> dict[str, Any]:
        """Prepare the inputs of a step of `generate`.

        Raises:
            ValueError: The prompt has image tokens, but there are no images.
        """
        prepare: Any = GenerationMixin.prepare_inputs_for_generation
        inputs: dict[str, Any] = prepare(self, input_ids, *args, **kwargs)
        # A draft model gets the prompt without images, as no first iteration. In Transformers 5.19, a prompt that is
        # read in chunks loses its images, and is marked as neither.
        is_prompt = kwargs.get("is_first_iteration", True) and not _is_filled(kwargs.get(CACHE))
        images = inputs.get("mm_encoder_outputs") or inputs.get("pixel_values")
        if is_prompt and images is None and inputs.get("input_ids") is not None:
            found = int((inputs["input_ids"] == self.config.image_token_id).sum())
            if found:
                raise ValueError(
                    f"the prompt has {found} image tokens, but 0 images: pass what the model's own processor returns."
                )
        return inputs

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
        image_token_pooling: Tensor | None = None,
        return_logits: bool = True,
        num_items_in_batch: Tensor | int | None = None,
        output_router_logits: bool | None = None,
        image_grid_thw: Grids | None = None,
        **kwargs: Any,
    ) -> MiniGeminiCausalLMOutputWithPast:
        """Compute next-token logits, and the loss if labels are given. `MiniGeminiModel.forward` describes the inputs.

        Args:
            labels: (batch, length), the token ids to learn, -100 elsewhere. They are shifted here.
            shift_labels: (batch, length), the target of each position, in place of `labels`. Sequence and context
                parallelism need this form, because a shard does not contain the label after its last position.
            logits_to_keep: The number of last positions to compute logits for (0: all), or their indices.
            return_logits: Whether to return logits. If False, the head runs on labeled positions only, in chunks.
            num_items_in_batch: Number of labeled tokens in all batches of an optimizer step, the divisor of the summed
                loss; by default, that of this batch.
            output_router_logits: Whether to return the router logits of a mixture of experts and, with labels, to add
                the load-balancing loss. By default the text config decides.

        Raises:
            ValueError: `logits_to_keep` would drop logits that the labels need.
        """
        # 1. Shift the labels, unless they are given shifted.
        targets = shift_labels
        if targets is None and labels is not None:
            targets = nn.functional.pad(labels[:, 1:], (0, 1), value=IGNORED)

        # 2. Run the model. Training needs no cache, and with a cache Transformers does not detect packed position_ids.
        text_config = self.config.text_config
        if (configured := getattr(text_config, "output_router_logits", None)) is not None:
            kwargs["output_router_logits"] = configured if output_router_logits is None else output_router_logits
        if targets is not None:
            if not (isinstance(logits_to_keep, int) and logits_to_keep == 0):
                raise ValueError(f"labels need all logits, but logits_to_keep is {logits_to_keep!r}: leave it at 0.")
            kwargs.setdefault("use_cache", False)
        outputs = self.model(
            input_ids=input_ids,
            pixel_values=pixel_values,
            high_res_pixel_values=high_res_pixel_values,
            attention_mask=attention_mask,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            mm_encoder_outputs=mm_encoder_outputs,
            image_grid_thw=image_grid_thw,
            image_token_pooling=image_token_pooling,
            return_dict=True,
            **kwargs,
        )

        # 3. Compute the logits.
        logits = loss = aux_loss = None
        if return_logits:
            kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
            logits = self.head(outputs.last_hidden_state[:, kept])

        # 4. Compute the loss of the labeled positions.
        if targets is not None:
            targets = targets.to(outputs.last_hidden_state.device)
            labeled = targets != IGNORED
            learned = targets[labeled]
            if logits is None:
                finish = partial(finish_logits, text_config=text_config)
                hidden_states = outputs.last_hidden_state[labeled]
                loss = head_loss(hidden_states, self.lm_head, learned, num_items_in_batch, finish)
            else:
                loss = mean_loss(logits[labeled], learned, num_items_in_batch)
            if outputs.router_logits:
                aux_loss = balance_loss(outputs.router_logits, text_config, attention_mask)
                # Weighted by the batch's share of the labels, so that its weight per step does not depend on the number
                # of batches.
                share = len(learned) / loss_divisor(len(learned), num_items_in_batch, loss.device)
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


def _is_filled(cache: Any) -> bool:
    """Whether a cache holds what was read before."""
    if cache is None:
        return False
    try:
        return int(cache.get_seq_length()) > 0
    except ValueError:  # it has recurrent layers alone, which count nothing
        return bool(cache.has_previous_state())


def finish_logits(logits: Tensor, text_config: PreTrainedConfig) -> Tensor:
    """Scale or cap logits (…, vocabulary) as the language model's own head does, which `AutoModel` leaves out."""
    if (scale := getattr(text_config, "logit_scale", None)) is not None:  # Cohere
        logits = logits * scale
    for name in ("logits_scaling", "logits_mup_width_multiplier"):  # Granite, Inkling
        if (divisor := getattr(text_config, name, None)) is not None:
            logits = logits / divisor
    for name in ("final_logit_softcapping", "logits_soft_cap"):  # Gemma 2, RecurrentGemma
        if (cap := getattr(text_config, name, None)) is not None:
            logits = cap * torch.tanh(logits / cap)
    return logits
