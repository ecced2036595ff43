"""Scores of free answers against one reference: exact match, containment, ANLS; and which of them suits a data set."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from .choices import edit_distance

AnswerType = Literal["choice", "number", "word", "text"]
ScoreName = Literal["exact", "contains", "anls"]

ANLS_THRESHOLD = 0.5
"""Answers less similar than this score 0 (Biten et al. 2019, arXiv 1905.13648)."""
MIN_NEW_TOKENS, MAX_NEW_TOKENS = 16, 512
_MAX_CHARS = 2000
"""Longer answers are compared up to here: the distance takes quadratic time."""
_MAX_CHOICES = 20
_MAX_WORDS = 3


def normalize(text: str) -> str:
    """Case, runs of whitespace and a final period do not count."""
    return " ".join(text.casefold().split()).removesuffix(".")


def exact(answer: str, reference: str) -> float:
    """1 if both are the same after `normalize`."""
    return float(normalize(answer) == normalize(reference))


def contains(answer: str, reference: str) -> float:
    """1 if the answer contains the reference as whole words."""
    return float(
        f" {normalize(reference)} " in f" {_words(answer)} " or f" {_words(reference)} " in f" {_words(answer)} "
    )


def anls(answer: str, reference: str) -> float:
    """1 minus the edit distance over the longer length; 0 below `ANLS_THRESHOLD`."""
    one, other = normalize(answer)[:_MAX_CHARS], normalize(reference)[:_MAX_CHARS]
    similarity = 1 - edit_distance(one, other) / max(len(one), len(other), 1)
    return similarity if similarity >= ANLS_THRESHOLD else 0.0


SCORES: dict[ScoreName, Callable[[str, str], float]] = {"exact": exact, "contains": contains, "anls": anls}
_SUITABLE: dict[AnswerType, ScoreName] = {"choice": "exact", "number": "exact", "word": "contains", "text": "anls"}


def answer_type(references: Sequence[str]) -> AnswerType:
    """The type of most references: numbers, a few answers that recur, up to three words, or longer text."""
    texts = [normalize(text) for text in references]
    if sum(map(_is_number, texts)) > len(texts) / 2:
        return "number"
    short = sorted(len(text.split()) for text in texts)[len(texts) // 2] <= _MAX_WORDS if texts else False
    if short and len(Counter(texts)) <= min(_MAX_CHOICES, len(texts) // 3):
        return "choice"
    return "word" if short else "text"


def answer_budget(references: Iterable[str]) -> int:
    """Tokens that an answer like the references may have: a token for two bytes, where most tokens have about four."""
    return min(MAX_NEW_TOKENS, MIN_NEW_TOKENS + max(len(text.encode()) for text in references) // 2)


def suitable_score(kind: AnswerType) -> ScoreName:
    """The score that suits a type of answers."""
    return _SUITABLE[kind]


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "").removesuffix("%"))
    except ValueError:
        return False
    return True


def _words(text: str) -> str:
    """Words without the punctuation around them."""
    return " ".join(word for each in normalize(text).split() if (word := each.strip(".,:;!?\"'()[]")))
