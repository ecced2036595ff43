"""VQA's soft accuracy and its normalisation of answers, as the EvalAI server and Pythia score TextVQA.

The rules are the challenge's, oddities included; they are pinned by tests, and in `make test-eval` against lmms-eval's.
"""

import re
from collections.abc import Sequence

_NUMBER_WORDS = "zero one two three four five six seven eight nine ten"
DIGITS = {"none": "0"} | {word: str(number) for number, word in enumerate(_NUMBER_WORDS.split())}
ARTICLES = frozenset({"a", "an", "the"})
MARKS = ';/[]"{}()=+\\_-><@`,?!'

# Words that get their apostrophes back. Of those with two, each may be missing alone; both missing is not mended.
_ONE = """
ain't aren't can't could've couldn't didn't doesn't don't hadn't hasn't haven't he'd he's how'd how'll how's isn't it'd
it'll ma'am might've mightn't must've mustn't needn't not've o'clock oughtn't shan't should've shouldn't somebody'll
somebody's someone'd someone'll someone's something'd something'll that's there'd there're there's they'd they'll
they're they've wasn't we've weren't what'll what're what's what've when's where'd where's where've who'd who'll who's
who've why'll why're why's won't would've wouldn't y'all you'd you'll you're you've 'twas
"""
_TWO = """
couldn't've hadn't've he'd've it'd've mightn't've she'd've shouldn't've somebody'd've someone'd've something'd've
there'd've they'd've we'd've who'd've wouldn't've y'all'll you'd've
"""


def _contractions() -> dict[str, str]:
    table = {word.replace("'", ""): word for word in _ONE.split()}
    for word in _TWO.split():
        table |= {_without(word, missing): word for missing in range(2)}
    for missing in range(3):
        table[_without("y'all'd've", missing)] = "y'all'd've"
    table["somebody'd"] = "somebodyd"  # so the official table has it
    return table | dict.fromkeys(("ow's'at", "'ows'at", "'ow'sat"), "'ow's'at")


def _without(word: str, missing: int) -> str:
    """The word without one of its apostrophes, by number."""
    at = [place for place, char in enumerate(word) if char == "'"][missing]
    return word[:at] + word[at + 1 :]


CONTRACTIONS = _contractions()

_PERIOD = re.compile(r"\.(?!\d)")
_COMMA_IN_NUMBER = re.compile(r"(?<=\d),+(?=\d)")


def normalized(answer: str) -> str:
    """Lower case; no articles, no marks; number words as digits; contractions with their apostrophes."""
    text = answer.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip()
    text = text.replace("\n", " ").replace("\t", " ").strip()
    words = [DIGITS.get(word, word) for word in _without_marks(text).split()]
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in ARTICLES)


def _without_marks(text: str) -> str:
    """A mark beside a space goes; one between letters becomes a space. Of periods at most 32 go, as officially."""
    cleaned, numbered = text, _COMMA_IN_NUMBER.search(text) is not None
    for mark in MARKS:
        beside_space = f"{mark} " in text or f" {mark}" in text
        cleaned = cleaned.replace(mark, "" if beside_space or numbered else " ")
    return _PERIOD.sub("", cleaned, count=32)


def soft_accuracy(said: str, answers: Sequence[str]) -> float:
    """The mean, over leaving out each person's answer, of min(1, matches among the others / 3)."""
    answer, given = normalized(said), [normalized(one) for one in answers]
    matches = sum(one == answer for one in given)
    return sum(min(1.0, (matches - (one == answer)) / 3) for one in given) / len(given)
