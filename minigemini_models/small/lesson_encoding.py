"""Encode lessons as token ids, labels and visual words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minigemini.data.encoding import IGNORED, Encoded
from minigemini.modeling import MiniGeminiProcessor
from minigemini.modeling.messages import image_text_block

from .lesson import WORDS_KEPT, Lesson, VisualWords


@dataclass(frozen=True)
class EncodedLesson(Encoded):
    """A lesson as model inputs: `pixels` hold its visual words, `GROUP_indices` and `GROUP_weights` (1, 64, 24)."""


def encode_lesson(
    lesson: Lesson, words: Mapping[str, VisualWords], processor: MiniGeminiProcessor, max_length: int
) -> EncodedLesson:
    """Encode a lesson.

    Args:
        lesson: the lesson.
        words: visual words of its picture by group; empty without a picture.
        processor: renders the conversation as it does for inference.
        max_length: most tokens; the rest is cut off.
    """
    tokenizer: Any = processor.tokenizer
    inputs = tokenizer.apply_chat_template(
        _messages(lesson, bool(words)),
        chat_template=processor.chat_template,
        tokenize=True,
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    ids, trained = np.array(inputs["input_ids"]), np.array(inputs["assistant_masks"])
    # A placeholder stands for all visual tokens of the picture.
    repeats = np.where(ids == processor.image_token_id, processor.num_image_tokens, 1)
    ids, trained = np.repeat(ids, repeats)[:max_length], np.repeat(trained, repeats)[:max_length]
    tensors: dict[str, Tensor] = {}
    for group, of_group in words.items():
        # All lessons of a batch have as many words; what is added has no weight.
        missing = ((0, 0), (0, WORDS_KEPT - of_group.indices.shape[1]))
        tensors[f"{group}_indices"] = torch.from_numpy(np.pad(of_group.indices.astype(np.int64), missing))[None]
        tensors[f"{group}_weights"] = torch.from_numpy(np.pad(of_group.weights.astype(np.float32), missing))[None]
    labels = np.where(trained == 1, ids, IGNORED)
    return EncodedLesson(torch.from_numpy(ids), torch.from_numpy(labels), tensors)


def _messages(lesson: Lesson, has_picture: bool) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    for number, turn in enumerate(lesson.turns):
        question = turn.question
        content: list[dict[str, str]] = []
        if number == 0 and has_picture:
            content.append({"type": "image"})
            question = image_text_block(lesson.image_text) + question
        messages.append({"role": "user", "content": [*content, {"type": "text", "text": question}]})
        messages.append({"role": "assistant", "content": [{"type": "text", "text": turn.answer}]})
    return messages
