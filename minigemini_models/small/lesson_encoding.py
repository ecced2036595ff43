"""Encode lessons as token ids, labels and visual words, and pack them into rows.

Separate questions about one picture share its tokens: a lesson of eight costs the picture and the text in it once. Each
question sees the shared tokens and itself, at the positions that it would have alone, so that its loss is the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from minigemini.data.encoding import IGNORED, Encoded
from minigemini.data.packing import Batch, pack, pack_rows
from minigemini.modeling import MiniGeminiProcessor
from minigemini.modeling.messages import image_text_block

from ..samples.turns import Turn
from .lesson import WORDS_KEPT, Lesson, VisualWords

SHARED = 0
"""Branch of the tokens that all questions of a lesson see."""


@dataclass(frozen=True, kw_only=True)
class EncodedLesson(Encoded):
    """A lesson as model inputs: `pixels` hold its visual words, `GROUP_indices` and `GROUP_weights` (1, 64, 24).

    Attributes:
        branches: (n,) int64, `SHARED` or the number of the question, from 1, that a token belongs to.
        position_ids: (n,) int64.
    """

    branches: Tensor
    position_ids: Tensor


def encode_lesson(
    lesson: Lesson, words: Mapping[str, VisualWords], processor: MiniGeminiProcessor, max_length: int
) -> EncodedLesson:
    """Encode a lesson.

    Args:
        lesson: the lesson.
        words: visual words of its picture by group; empty without a picture.
        processor: renders the conversation as it does for inference.
        max_length: most tokens. Separate questions that do not fit are left out; what is still too long is cut off.
    """
    conversations = [(turn,) for turn in lesson.turns] if lesson.separate else [lesson.turns]
    encoded = [_tokens(lesson, turns, bool(words), processor) for turns in conversations]
    first_ids, first_labels = encoded[0]
    start = _shared_tokens([ids for ids, _ in encoded])
    parts = [(first_ids[:start], first_labels[:start])]
    for ids, labels in encoded:
        if len(parts) == 1 or sum(len(part) for part, _ in parts) + len(ids) - start <= max_length:
            parts.append((ids[start:], labels[start:]))
    lengths = [len(part) for part, _ in parts]
    branches = np.repeat(np.arange(len(parts)), lengths)
    positions = np.concatenate([np.arange(lengths[0]), *(start + np.arange(length) for length in lengths[1:])])
    tensors: dict[str, Tensor] = {}
    for group, of_group in words.items():
        # All lessons of a batch have as many words; what is added has no weight.
        missing = ((0, 0), (0, WORDS_KEPT - of_group.indices.shape[1]))
        tensors[f"{group}_indices"] = torch.from_numpy(np.pad(of_group.indices.astype(np.int64), missing))[None]
        tensors[f"{group}_weights"] = torch.from_numpy(np.pad(of_group.weights.astype(np.float32), missing))[None]
    ids, labels = (np.concatenate(arrays)[:max_length] for arrays in zip(*parts, strict=True))
    return EncodedLesson(
        torch.from_numpy(ids),
        torch.from_numpy(labels),
        tensors,
        branches=torch.from_numpy(branches[:max_length]),
        position_ids=torch.from_numpy(positions[:max_length]),
    )


def _tokens(
    lesson: Lesson, turns: Sequence[Turn], has_picture: bool, processor: MiniGeminiProcessor
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ids and labels of one conversation, (n,) each."""
    tokenizer: Any = processor.tokenizer
    inputs = tokenizer.apply_chat_template(
        _messages(turns, lesson.image_text if has_picture else None),
        chat_template=processor.chat_template,
        tokenize=True,
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    ids, trained = np.array(inputs["input_ids"]), np.array(inputs["assistant_masks"])
    # A placeholder stands for all visual tokens of the picture.
    repeats = np.where(ids == processor.image_token_id, processor.num_image_tokens, 1)
    ids, trained = np.repeat(ids, repeats), np.repeat(trained, repeats)
    return ids, np.where(trained == 1, ids, IGNORED)


def _shared_tokens(sequences: Sequence[np.ndarray]) -> int:
    """Return how many tokens all sequences begin with."""
    shortest = min(map(len, sequences))
    same = (np.stack([ids[:shortest] for ids in sequences]) == sequences[0][:shortest]).all(axis=0)
    return int(np.argmin(same)) if not same.all() else shortest


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


@dataclass(frozen=True)
class LessonCollator:
    """Packs lessons into as few rows as possible.

    Attributes:
        row_length: maximum tokens of a row.
        pad_token_id: token for the rest of each row.
    """

    row_length: int
    pad_token_id: int

    def __call__(self, lessons: Sequence[EncodedLesson]) -> Batch:
        """Return `pack_rows`' batch with the lessons' positions, and `attention_mask` (rows, 1, length, length)."""
        rows = [[lessons[n] for n in row] for row in pack([len(lesson) for lesson in lessons], self.row_length)]
        batch = pack_rows(rows, self.pad_token_id)
        lesson = _pad([torch.cat([torch.full_like(one.branches, n) for n, one in enumerate(row, 1)]) for row in rows])
        branch = _pad([torch.cat([one.branches for one in row]) for row in rows])
        keys = branch[:, None, :]
        visible = (lesson[:, :, None] == lesson[:, None, :]) & ((keys == SHARED) | (keys == branch[:, :, None]))
        batch["attention_mask"] = visible.tril()[:, None]
        batch["position_ids"] = _pad([torch.cat([one.position_ids for one in row]) for row in rows])
        return batch


def _pad(rows: list[Tensor]) -> Tensor:
    return pad_sequence(rows, batch_first=True)
