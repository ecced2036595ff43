"""Adds OCR text and image requests to messages before rendering, and validates label masks after tokenization."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

Message = Mapping[str, Any]

DRAW, OPEN_CAPTION, CLOSE_CAPTION = "<GEN>", "<h>", "</h>"
"""The image request in a user turn, and the tags around a caption in an answer. Plain text to the tokenizer."""

SYSTEM_SEPARATOR = "\n\n"
"""Between system messages, and before the question that they are moved to; as in the templates of Gemma and Mistral."""

OCR_FORMATS = ("reference", "layout")
"""How OCR text stands in a user turn: "reference", as for the published models, after the question and separated by
commas; "layout", before the question, one row of the picture per line (`inference.text_layout`)."""


def with_requests(
    messages: Sequence[Message],
    draw: bool | Sequence[bool],
    ocr: Sequence[str] | Sequence[Sequence[str]],
    ocr_format: str = "reference",
) -> list[dict[str, Any]]:
    """Copy a conversation and add OCR text and image requests to its user turns.

    Args:
        messages: A conversation. It is not modified.
        draw: Whether to request an image in the last user turn, or a sequence with a flag for each user turn.
        ocr: OCR text of the images in the last user turn, or a sequence of such lists, one for each user turn.
        ocr_format: One of `OCR_FORMATS`.

    Raises:
        ValueError: The number of entries differs from the number of user turns, or `ocr` has another form.
    """
    kinds = {isinstance(entry, str) for entry in ocr}
    if isinstance(ocr, str) or len(kinds) > 1:
        raise ValueError(f"ocr is {ocr!r}: pass a list of strings, or one such list for each user turn.")
    copied = [dict(message) for message in messages]
    users = [message for message in copied if message.get("role") == "user"]
    ocrs = _per_user_turn("ocr", ocr, kinds <= {True}, len(users))
    draws = _per_user_turn("draw", draw, isinstance(draw, bool), len(users))
    for message, ocr_texts, is_requested in zip(users, ocrs, draws, strict=True):
        texts = sanitize_ocr(ocr_texts or ())
        if texts and ocr_format == "layout":
            message["content"] = _prepend_text(message["content"], image_text_block("\n".join(texts)))
        elif texts:
            message["content"] = _append_text(message["content"], f"\nReference OCR Token: {', '.join(texts)}\n")
        if is_requested:
            message["content"] = _append_text(message["content"], f" {DRAW}")
    return copied


def fold_system_turns(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Move the content of system turns to the beginning of the next user turn, for templates without system turns.

    Raises:
        ValueError: No user turn follows.
    """
    folded: list[dict[str, Any]] = []
    pending: list[Any] = []
    for message in messages:
        role = message.get("role")
        if role == "system":
            pending += [*_parts(message["content"]), {"type": "text", "text": SYSTEM_SEPARATOR}]
        elif role == "user" and pending:
            content = message["content"]
            if all(part["type"] == "text" for part in pending):
                content = _prepend_text(content, "".join(part["text"] for part in pending))
            else:
                content = [*pending, *_parts(content)]
            folded.append({**message, "content": content})
            pending = []
        else:
            folded.append(dict(message))
    if pending:
        raise ValueError(
            "a system message has no user message after it; this chat template needs one, which gets its text."
        )
    return folded


def _parts(content: Any) -> list[Any]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def image_text_block(layout: str) -> str:
    """The text in a picture as it stands between the image and the question; empty if `layout` is."""
    return f"Text in the picture:\n{layout}\n\n" if layout else ""


def sanitize_ocr(texts: Iterable[str]) -> list[str]:
    """Remove what could act as an instruction from OCR text, because images may contain prompt injections.

    Control and format characters, including line breaks, and the tags of image requests and captions become spaces.
    Empty results are dropped. Control tokens are escaped by `ControlTokens`, as in all other text.
    """
    sanitized = []
    for raw in texts:
        text = "".join(" " if unicodedata.category(char).startswith("C") else char for char in raw)
        for tag in (DRAW, CLOSE_CAPTION, OPEN_CAPTION):  # replaced by a space, so that its surroundings form no new tag
            text = text.replace(tag, " ")
        if text := " ".join(text.split()):
            sanitized.append(text)
    return sanitized


def _per_user_turn(name: str, value: Any, is_last_turn: bool, users: int) -> Sequence[Any]:
    """One entry per user turn. With `is_last_turn`, `value` is the entry of the last one."""
    entries = value
    if is_last_turn:
        entries = [None] * (users - 1) + [value] if value else [None] * users
    if len(entries) != users:
        raise ValueError(
            f"{name} has {len(entries)} entries, but the conversation has {users} user turns: pass one entry per turn."
        )
    return entries


def _append_text(content: Any, text: str) -> Any:
    return content + text if isinstance(content, str) else [*content, {"type": "text", "text": text}]


def _prepend_text(content: Any, text: str) -> Any:
    """Add text before all other text. Templates render the images of a turn before its text."""
    return text + content if isinstance(content, str) else [{"type": "text", "text": text}, *content]


def check_labels(conversations: Sequence[Sequence[Message]], masks: Sequence[Any], truncation_side: str) -> None:
    """Check that every answer of every conversation has tokens to learn after truncation.

    Args:
        conversations: One conversation per mask.
        masks: 1 for tokens of the assistant; arrays, tensors or lists.
        truncation_side: "left" or "right", the side at which long texts were truncated.

    Raises:
        ValueError: An answer has no token to learn.
    """
    for index, (messages, mask) in enumerate(zip(conversations, masks, strict=True)):
        # Consecutive answers may be adjacent in the mask, so they count as one.
        answers = [False, *(message.get("role") == "assistant" for message in messages)]
        turns = sum(answer and not before for before, answer in pairwise(answers))
        learned = np.count_nonzero(np.diff(np.asarray(mask), prepend=0) == 1)
        if learned < turns:
            missing = "1" if not learned or truncation_side == "left" else str(learned + 1)
            raise ValueError(
                f"conversation {index}: {learned} of {turns} assistant turns have tokens to learn, but turn {missing} "
                "has none: raise max_length, or mark the answers in the chat template with {% generation %}."
            )


def check_ends(
    conversations: Sequence[Sequence[Message]], ids: Sequence[Any], masks: Sequence[Any], ends: Iterable[int]
) -> None:
    """Check that the labels contain at most one end token per answer.

    Args:
        conversations: One conversation per row of ids.
        ids: Token ids; arrays, tensors or lists.
        masks: 1 for tokens of the assistant.
        ends: Ids of tokens that end an answer.

    Raises:
        ValueError: An end token is labeled more often than there are answers.
    """
    for index, (messages, tokens, mask) in enumerate(zip(conversations, ids, masks, strict=True)):
        answers = sum(message.get("role") == "assistant" for message in messages)
        learned = np.asarray(tokens)[np.asarray(mask) == 1]
        found = max((np.count_nonzero(learned == end) for end in ends), default=0)
        if found > answers:
            raise ValueError(
                f"conversation {index}: {answers} assistant turns have {found} end tokens to learn: let the chat "
                "template write the end token once per answer."
            )
