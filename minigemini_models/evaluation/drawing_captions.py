"""Measure captions for drawing on hand-written conversations: subject kept, change made, tags right, over rounds.

`drawing_captions.jsonl` has one conversation per line: the `subject`, and `turns` of

- `ask`: what the user says; `draw`: whether the turn requests a picture (default true);
- `adds`: what the caption must name, now and in all later turns; `drops`: what it must name no longer;
- `frees`: what it may leave out from now on; `subject`: what takes the subject's place;
- `says`: what the answer to a turn without a request must contain.

Each entry lists alternatives, separated by `|`. One is named by the word itself or its plural, or, if it ends with `*`,
by any word that begins so.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minigemini.evaluation.statistics import wilson
from minigemini.imagegen.captions import read_captions
from minigemini.modeling.messages import CLOSE_CAPTION, OPEN_CAPTION

CONVERSATIONS = Path(__file__).parent / "drawing_captions.jsonl"
MAX_CAPTION_WORDS = 60
"""About the 77 tokens that the text encoders of SDXL read."""

Chat = Callable[[str, bool], str]
"""One conversation with a model: from the next user turn, and whether it requests a picture, to the whole answer."""


@dataclass(frozen=True)
class CaptionTurn:
    """One user turn and what its answer must fulfill; entries as in the file."""

    ask: str
    draw: bool = True
    adds: tuple[str, ...] = ()
    drops: tuple[str, ...] = ()
    frees: tuple[str, ...] = ()
    subject: str = ""
    says: str = ""


@dataclass(frozen=True)
class CaptionConversation:
    """A conversation; `subject` is what its first picture shows."""

    subject: str
    turns: tuple[CaptionTurn, ...]


@dataclass(frozen=True)
class CaptionVerdict:
    """What is right about one answer.

    Attributes:
        tags: exactly one caption of at most `MAX_CAPTION_WORDS` words, after some text; no tags without a request.
        subject: the caption names the subject.
        kept: it names what earlier turns asked for, and nothing that they removed.
        changed: it makes this turn's change; without a request, the answer says what it must.
    """

    tags: bool
    subject: bool
    kept: bool
    changed: bool

    @property
    def right(self) -> bool:
        return self.tags and self.subject and self.kept and self.changed


@dataclass(frozen=True)
class CaptionResult:
    """A turn, its answer and its verdict."""

    conversation: int
    turn: CaptionTurn
    answer: str
    verdict: CaptionVerdict


def read_conversations(file: Path = CONVERSATIONS) -> list[CaptionConversation]:
    """Read conversations. Raises `ValueError` for a field that is not described above."""
    return [_conversation(json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]


def _conversation(record: dict[str, Any]) -> CaptionConversation:
    known = CaptionTurn.__dataclass_fields__.keys()
    turns = []
    for turn in record["turns"]:
        if unknown := turn.keys() - known:
            raise ValueError(f"unknown field {', '.join(sorted(unknown))}: a turn has {', '.join(known)}")
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in turn.items()}
        turns.append(CaptionTurn(**values))
    return CaptionConversation(record["subject"], tuple(turns))


def names(text: str, entry: str) -> bool:
    """Whether a text names one of an entry's alternatives.

    >>> names("two poor mice", "mouse|mice"), names("a crown", "crow"), names("a rainy day", "rain*")
    (True, False, True)
    """
    words = re.findall(r"\w+", text.lower())
    return any(_names_word(words, alternative) for alternative in entry.split("|"))


def _names_word(words: Sequence[str], alternative: str) -> bool:
    if alternative.endswith("*"):
        return any(word.startswith(alternative[:-1]) for word in words)
    return any(word in (alternative, f"{alternative}s", f"{alternative}es") for word in words)


class CaptionChecker:
    """Checks the answers of one conversation in order, and remembers what the next caption must keep."""

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._required: list[str] = []
        self._removed: list[str] = []

    def check(self, turn: CaptionTurn, answer: str) -> CaptionVerdict:
        """Check the answer to the next turn."""
        if not turn.draw:
            says = not turn.says or names(answer, turn.says)
            return CaptionVerdict(bool(answer.strip()) and not _tags(answer), True, True, says)
        self._subject = turn.subject or self._subject
        self._required = [entry for entry in self._required if not _shares(entry, (*turn.drops, *turn.frees))]
        self._removed = [entry for entry in self._removed if not _shares(entry, turn.adds)]
        caption = (read_captions(answer)[1] or [""])[-1]
        verdict = CaptionVerdict(
            tags=_tags_are_right(answer),
            subject=names(caption, self._subject),
            kept=all(names(caption, entry) for entry in self._required)
            and not any(names(caption, entry) for entry in self._removed),
            changed=bool(caption)
            and all(names(caption, entry) for entry in turn.adds)
            and not any(names(caption, entry) for entry in turn.drops),
        )
        self._required += [entry for entry in turn.adds if entry not in self._required]
        self._removed += turn.drops
        return verdict


def _shares(entry: str, others: Sequence[str]) -> bool:
    """Whether an entry shares an alternative with others."""
    return any(set(entry.split("|")) & set(other.split("|")) for other in others)


def _tags(answer: str) -> list[str]:
    return re.findall(f"{OPEN_CAPTION}|{CLOSE_CAPTION}", answer)


def _tags_are_right(answer: str) -> bool:
    text, captions = read_captions(answer)
    return (
        _tags(answer) == [OPEN_CAPTION, CLOSE_CAPTION]
        and bool(text)
        and len(captions) == 1
        and len(captions[0].split()) <= MAX_CAPTION_WORDS
    )


def ask_all(conversations: Sequence[CaptionConversation], start_chat: Callable[[], Chat]) -> Iterator[CaptionResult]:
    """Hold the conversations, each in a chat of its own where the model's own answers are the context."""
    for number, conversation in enumerate(conversations):
        chat, checker = start_chat(), CaptionChecker(conversation.subject)
        for turn in conversation.turns:
            answer = chat(turn.ask, turn.draw)
            yield CaptionResult(number, turn, answer, checker.check(turn, answer))


def caption_table(results: Sequence[CaptionResult]) -> str:
    """Format the shares of turns and conversations that are right, with Wilson's 95 % intervals, as Markdown."""
    drawn = [result.verdict for result in results if result.turn.draw]
    spoken = [result.verdict for result in results if not result.turn.draw]
    conversations = sorted({result.conversation for result in results})
    wrong = {result.conversation for result in results if not result.verdict.right}
    rows = [
        ("tags right", [verdict.tags for verdict in drawn]),
        ("subject kept", [verdict.subject for verdict in drawn]),
        ("earlier requests kept", [verdict.kept for verdict in drawn]),
        ("change made", [verdict.changed for verdict in drawn]),
        ("**captions right in all of it**", [verdict.right for verdict in drawn]),
        ("turns without a request right", [verdict.right for verdict in spoken]),
        ("conversations without an error", [number not in wrong for number in conversations]),
    ]
    lines = ["| | right | of | share (95 %) |", "|---|---|---|---|"]
    for name, values in rows:
        if values:
            low, high = wilson(sum(values), len(values))
            share = f"{sum(values) / len(values):.1%} ({low:.1%} to {high:.1%})"
            lines.append(f"| {name} | {sum(values)} | {len(values)} | {share} |")
    return "\n".join(lines)
