"""Labels for trainers that copy them from `input_ids`, such as TRL's SFTTrainer.

By default, SFTTrainer makes labels of all tokens that the processor returns for a conversation, including image tokens
and prompts. Only answers are to be learned, as in our own training, so `AnswerFeatures` masks the others.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
from transformers import BatchFeature
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from .losses import IGNORED
from .messages import Message

_MARKER = re.compile(r"{%-?\s*generation\b")


class AnswerFeatures(BatchFeature):
    """Model inputs of finished conversations. `labels` that are set on them become -100 where nothing is to be learned.

    Args:
        data: Model inputs.
        learned: (batch, length), nonzero for tokens to learn; None keeps labels as they are.
    """

    learned: Any = None  # when features are unpickled, their labels have been set

    def __init__(self, data: Mapping[str, Any] | None = None, learned: Any = None, **kwargs: Any):
        super().__init__(dict(data or {}), **kwargs)
        self.learned = learned

    @classmethod
    def of(cls, out: Any, image_token_id: int) -> Self:
        """Take the mask of the assistant's tokens from model inputs; without one, learn all but image tokens."""
        if "assistant_masks" in out:
            return cls(out, out.pop("assistant_masks"))
        return cls(out, [[token != image_token_id for token in row] for row in out["input_ids"]])

    def __setitem__(self, name: str, value: Any) -> None:
        """Set a model input.

        Raises:
            ValueError: Nothing is to be learned of a conversation whose labels are set.
        """
        if name == "labels" and isinstance(value, torch.Tensor) and self.learned is not None:
            _check_learned(self.learned)
            value = value.masked_fill(torch.as_tensor(self.learned, device=value.device) == 0, IGNORED)
        super().__setitem__(name, value)


def is_finished(conversations: Sequence[Sequence[Message]], arguments: Mapping[str, Any]) -> bool:
    """Whether a call prepares model inputs of conversations that end with answers, and does not ask for their mask.

    Args:
        conversations: Messages of each conversation.
        arguments: Those of `apply_chat_template`.
    """
    if not (arguments.get("tokenize") and arguments.get("return_dict")):
        return False
    if any(map(arguments.get, ("return_assistant_tokens_mask", "add_generation_prompt", "continue_final_message"))):
        return False
    return all(len(messages) and messages[-1].get("role") == "assistant" for messages in conversations)


def can_find_answers(template: Any, tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether a chat template marks what is to be learned by `{% generation %}`, and a tokenizer can locate it."""
    return isinstance(template, str) and _MARKER.search(template) is not None and tokenizer.is_fast


def _check_learned(learned: Sequence[Any]) -> None:
    for index, mask in enumerate(learned):
        if not np.any(np.asarray(mask)):
            raise ValueError(
                f"conversation {index} has no token to learn, because its answers are cut off: raise max_length."
            )
