"""The two tasks: prompts about samples, and parsing of replies into conversations."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ...data.schema import IMAGE_TAG, Sample, text_of
from ...modeling.messages import CLOSE_CAPTION, DRAW, OPEN_CAPTION

MOST_CAPTION_WORDS = 30
_MOST_REQUEST_WORDS = 60
_QUOTED_WORDS = 8
"""A caption that shares this many consecutive words with the conversation quotes it."""
_EXAMPLES, _QUERIES = 5, 3
_QUOTE = re.compile(r'["“]([^"“”]*)["”]')

CAPTIONS: tuple[str, ...] = tuple(Path(__file__).with_name("captions.txt").read_text(encoding="utf-8").splitlines())
"""Default example captions, in the style of text-to-image prompts."""
QUERIES = (
    "Could you draw me a lighthouse in a storm?",
    "I need a picture of two old friends playing chess.",
    "Show me what a city on Mars might look like.",
    "Please make an image of a fox reading a newspaper.",
    "A logo for my bakery would be great, something warm.",
    "Can I see a mountain lake at sunrise?",
    "Paint a portrait of a queen made of flowers.",
    "I'd love an illustration for a bedtime story about a brave mouse.",
    "Generate a photo of a cosy reading corner.",
    "What would a dragon look like if it lived in the sea? Draw it.",
    "Give me a wallpaper with autumn leaves.",
    "Make something that looks like an old travel poster for Lisbon.",
)

_SYSTEM = "You prepare examples for an assistant that answers with pictures. Keep to the format and add nothing to it."

_RE_CAPTION = """\
A picture is described below. Write two lines, each in double quotes and without double quotes inside:
1. what somebody would type who would like such a picture: one short request in everyday words, in the manner of
{queries}
2. a caption for a text-to-image model, of at most {most} words: what is to be seen, and in what style, in the manner of
{captions}

The description:
{description}"""

_IN_CONTEXT = """\
Below is a conversation in which the assistant answered {count} times. For each answer write one line in double quotes,
without double quotes inside: a caption for a text-to-image model, of at most {most} words, for a picture that suits the
conversation at this point; or "" where a picture would add nothing. Do not quote the conversation. Captions look like
{captions}

The conversation:
{conversation}"""


class RejectedReplyError(StrEnum):
    """Reasons to reject a reply, by the names under which they are counted."""

    QUOTES = "not the quoted lines asked for"
    EMPTY = "empty request or caption"
    LONG = "request or caption too long"
    TAGS = "a tag in the text"
    COPIED = "quotes the conversation"
    NO_IMAGE = "no picture suits"
    CUT = "cut off"
    REFUSED = "refused by the endpoint"


@dataclass(frozen=True)
class SynthesisRequest:
    """A request about one sample.

    Attributes:
        task: `re-caption` or `in-context`.
        source, id: the sample.
        prompt: chat messages for the endpoint.
        turns: (question, answer) pairs of the conversation; empty for `re-caption`.
    """

    task: str
    source: str
    id: str
    prompt: tuple[dict[str, str], ...]
    turns: tuple[tuple[str, str], ...] = ()

    @cached_property
    def key(self) -> str:
        """Hash of the request, by which a journal entry is found."""
        content = json.dumps([self.task, self.source, self.id, self.prompt], ensure_ascii=False)
        return hashlib.sha256(content.encode()).hexdigest()[:24]


def re_caption(sample: Sample, pool: Sequence[str], seed: int) -> SynthesisRequest:
    """Request a user prompt and a caption from a description, the sample's last answer."""
    rng = _rng(sample, seed)
    content = _RE_CAPTION.format(
        queries=_listed(rng, QUERIES, _QUERIES),
        captions=_listed(rng, pool, _EXAMPLES),
        most=MOST_CAPTION_WORDS,
        description=text_of(sample.messages[-1]).strip(),
    )
    return SynthesisRequest("re-caption", sample.source, sample.id, _prompt(content))


def in_context(sample: Sample, pool: Sequence[str], seed: int) -> SynthesisRequest:
    """Request a caption for each answer of a conversation."""
    texts = [text_of(message).strip() for message in sample.messages if message["role"] != "system"]
    turns = tuple(zip(texts[::2], texts[1::2], strict=True))
    content = _IN_CONTEXT.format(
        count=len(turns),
        most=MOST_CAPTION_WORDS,
        captions=_listed(_rng(sample, seed), pool, _EXAMPLES),
        conversation="\n\n".join(f"USER: {question}\nASSISTANT: {answer}" for question, answer in turns),
    )
    return SynthesisRequest("in-context", sample.source, sample.id, _prompt(content), turns)


def read_reply(job: SynthesisRequest, reply: str) -> list[dict[str, str]] | RejectedReplyError:
    """Parse a reply into turns of the published format, or return why it is rejected."""
    quoted = [" ".join(text.split()) for text in _QUOTE.findall(reply)]
    if len(quoted) != (2 if job.task == "re-caption" else len(job.turns)):
        return RejectedReplyError.QUOTES
    if any(tag in text for text in quoted for tag in (DRAW, OPEN_CAPTION, CLOSE_CAPTION, IMAGE_TAG)):
        return RejectedReplyError.TAGS
    if job.task == "re-caption":
        return _read_re_caption(*quoted)
    return _read_in_context(job, quoted)


def _read_re_caption(request: str, caption: str) -> list[dict[str, str]] | RejectedReplyError:
    if not request or not caption:
        return RejectedReplyError.EMPTY
    if len(request.split()) > _MOST_REQUEST_WORDS or len(caption.split()) > MOST_CAPTION_WORDS:
        return RejectedReplyError.LONG
    return [_turn("human", f"{request} {DRAW}"), _turn("gpt", f"{OPEN_CAPTION}{caption}{CLOSE_CAPTION}")]


def _read_in_context(job: SynthesisRequest, captions: Sequence[str]) -> list[dict[str, str]] | RejectedReplyError:
    if not any(captions):
        return RejectedReplyError.NO_IMAGE
    if any(len(caption.split()) > MOST_CAPTION_WORDS for caption in captions):
        return RejectedReplyError.LONG
    spoken = _words(" ".join(f"{question} {answer}" for question, answer in job.turns))
    runs = {tuple(spoken[i : i + _QUOTED_WORDS]) for i in range(len(spoken) - _QUOTED_WORDS + 1)}
    turns = []
    for (question, answer), caption in zip(job.turns, captions, strict=True):
        words = _words(caption)
        if any(tuple(words[i : i + _QUOTED_WORDS]) in runs for i in range(len(words) - _QUOTED_WORDS + 1)):
            return RejectedReplyError.COPIED
        request, image = (f" {DRAW}", f" {OPEN_CAPTION}{caption}{CLOSE_CAPTION}") if caption else ("", "")
        turns += [_turn("human", question + request), _turn("gpt", answer + image)]
    return turns


def _turn(speaker: str, value: str) -> dict[str, str]:
    return {"from": speaker, "value": value}


def _prompt(content: str) -> tuple[dict[str, str], ...]:
    return ({"role": "system", "content": _SYSTEM}, {"role": "user", "content": content})


def _rng(sample: Sample, seed: int) -> np.random.Generator:
    """Generator of a sample's examples; the same in every run, so that requests match the journal."""
    digest = hashlib.sha256(f"{sample.source}\n{sample.id}".encode()).digest()
    return np.random.default_rng([seed, *digest[:8]])


def _listed(rng: np.random.Generator, pool: Sequence[Any], count: int) -> str:
    return "\n".join(f"- {pool[i]}" for i in rng.permutation(len(pool))[:count])


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
