"""Encode lessons as token ids, labels and visual words.

Separate questions about one picture share its tokens and the text in it (`pretraining.branches`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minigemini.modeling import MiniGeminiProcessor
from minigemini.modeling.messages import image_text_block

from ..pretraining.branches import Branched, conversation_tokens, join
from ..samples.turns import Turn
from .lesson import WORDS_KEPT, Lesson, VisualWords


def encode_lesson(
    lesson: Lesson, words: Mapping[str, VisualWords], processor: MiniGeminiProcessor, max_length: int
) -> Branched:
    """Encode a lesson; its `pixels` hold its visual words, `GROUP_indices` and `GROUP_weights` (1, 64, 24).

    Args:
        lesson: the lesson.
        words: visual words of its picture by group; empty without a picture.
        processor: renders the conversation as it does for inference.
        max_length: most tokens. Separate questions that do not fit are left out; what is still too long is cut off.
    """
    conversations = [(turn,) for turn in lesson.turns] if lesson.separate else [lesson.turns]
    image_text = lesson.image_text if words else None
    encoded = [conversation_tokens(_messages(turns, image_text), processor) for turns in conversations]
    tensors: dict[str, Tensor] = {}
    for group, of_group in words.items():
        # All lessons of a batch have as many words; what is added has no weight.
        missing = ((0, 0), (0, WORDS_KEPT - of_group.indices.shape[1]))
        tensors[f"{group}_indices"] = torch.from_numpy(np.pad(of_group.indices.astype(np.int64), missing))[None]
        tensors[f"{group}_weights"] = torch.from_numpy(np.pad(of_group.weights.astype(np.float32), missing))[None]
    return join(encoded, max_length, tensors)


def _messages(turns: Sequence[Turn], image_text: str | None) -> list[dict[str, Any]]:
    """Return chat messages; the first has the image, and the text in it, unless `image_text` is None."""
    messages: list[dict[str, Any]] = []
    for number, turn in enumerate(turns):
        question = turn.question
        content: list[dict[str, str]] = []
        if number == 0 and image_text is not None:
            content.append({"type": "image"})
            question = image_text_block(image_text) + question
        messages.append({"role": "user", "content": [*content, {"type": "text", "text": question}]})
        messages.append({"role": "assistant", "content": [{"type": "text", "text": turn.answer}]})
    return messages
