"""What the processor adds to messages before the chat template sees them, and what it asks of the labels after."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

Message = Mapping[str, Any]

DRAW, OPEN_CAPTION, CLOSE_CAPTION = "<GEN>", "<h>", "</h>"
"""Asks for an image; what the answer puts its caption between. Ordinary text to the tokenizer."""


def with_requests(
    messages: Sequence[Message],
    draw: bool | Sequence[bool],
    ocr: Sequence[str] | Sequence[Sequence[str]],
) -> list[dict[str, Any]]:
    """Copy a conversation, with strings read from pictures and the wish for an image at the end of user turns.

    Args:
        messages: A conversation; it stays as it is.
        draw: Ask for an image in the last user turn; a sequence says so for each user turn.
        ocr: Strings read from the last user turn's pictures; a sequence of sequences holds those of each user turn.

    Raises:
        ValueError: If there is no user turn to add to, entries for another number of them, or `ocr` is neither form.
    """
    kinds = {isinstance(entry, str) for entry in ocr}
    if isinstance(ocr, str) or len(kinds) > 1:
        raise ValueError(f"ocr is a list of strings, or one such list for each user turn, but got {ocr!r}.")
    copied = [dict(message) for message in messages]
    users = [message for message in copied if message.get("role") == "user"]
    ocrs = _per_user_turn("ocr", ocr, kinds <= {True}, len(users))
    draws = _per_user_turn("draw", draw, isinstance(draw, bool), len(users))
    for message, read, image in zip(users, ocrs, draws, strict=True):
        strings = sanitize_ocr(read or ())
        ending = f"\nReference OCR Token: {', '.join(strings)}\n" if strings else ""
        ending += f" {DRAW}" if image else ""
        if ending:
            message["content"] = _extended(message["content"], ending)
    return copied


def sanitize_ocr(strings: Iterable[str]) -> list[str]:
    """Strings read from a picture as text and nothing more: whoever made the picture may have meant them for a prompt.

    Control and format characters, line ends among them, become spaces, and so do the tags around drawing. What is left
    empty is dropped. Control tokens are left to `ControlTokens`, as in all other text.
    """
    kept = []
    for string in strings:
        text = "".join(" " if unicodedata.category(char).startswith("C") else char for char in string)
        for tag in (DRAW, CLOSE_CAPTION, OPEN_CAPTION):  # a space, so that what stood around it makes no other
            text = text.replace(tag, " ")
        if text := " ".join(text.split()):
            kept.append(text)
    return kept


def _per_user_turn(name: str, given: Any, is_last: bool, users: int) -> Sequence[Any]:
    """One entry per user turn; what is for the last turn alone leaves the others without."""
    if is_last:
        given = [None] * (users - 1) + [given] if given else [None] * users
    if len(given) != users:
        raise ValueError(
            f"{name} is for {len(given)} user turns, but the conversation has {users}: give one entry for each."
        )
    return given


def _extended(content: Any, ending: str) -> Any:
    return content + ending if isinstance(content, str) else [*content, {"type": "text", "text": ending}]


def check_labels(conversations: Sequence[Sequence[Message]], masks: Sequence[Any], truncation_side: str) -> None:
    """Check that every answer of every conversation keeps tokens to learn.

    Args:
        conversations: One conversation per mask.
        masks: 1 where a token is the assistant's; arrays, tensors or lists.
        truncation_side: The end at which texts that are too long were cut.

    Raises:
        ValueError: If an answer has none.
    """
    for index, (messages, mask) in enumerate(zip(conversations, masks, strict=True)):
        # Answers in direct succession may touch in the mask, so they count as one.
        answers = [False, *(message.get("role") == "assistant" for message in messages)]
        turns = sum(answer and not before for before, answer in pairwise(answers))
        learnt = np.count_nonzero(np.diff(np.asarray(mask), prepend=0) == 1)
        if learnt < turns:
            lost = "1" if not learnt or truncation_side == "left" else str(learnt + 1)
            raise ValueError(
                f"conversation {index}: {learnt} of {turns} assistant turns have tokens to learn, turn {lost} none: "
                "raise max_length, or mark the answers in the chat template with {% generation %}."
            )


def check_ends(
    conversations: Sequence[Sequence[Message]], ids: Sequence[Any], masks: Sequence[Any], ends: Iterable[int]
) -> None:
    """Check that no answer teaches to end twice.

    Args:
        conversations: One conversation per row of ids.
        ids: Tokens; arrays, tensors or lists.
        masks: 1 where a token is the assistant's.
        ends: Tokens that end an answer.

    Raises:
        ValueError: If one of them is learned more often than there are answers.
    """
    for index, (messages, tokens, mask) in enumerate(zip(conversations, ids, masks, strict=True)):
        answers = sum(message.get("role") == "assistant" for message in messages)
        learned = np.asarray(tokens)[np.asarray(mask) == 1]
        found = max((np.count_nonzero(learned == end) for end in ends), default=0)
        if found > answers:
            raise ValueError(
                f"conversation {index}: {found} ends are learned in {answers} assistant turns: "
                "let the chat template write an end token once per answer."
            )
