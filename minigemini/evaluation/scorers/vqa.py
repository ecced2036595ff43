"""VQA's soft accuracy and answer normalization, as the EvalAI server and Pythia score TextVQA.

The rules follow the challenge, quirks included; tests pin them, and `make test-eval` compares them with lmms-eval's.
"""

import re
from collections.abc import Sequence

_NUMBER_WORDS = "zero one two three four five six seven eight nine ten"
DIGITS = {"none": "0"} | {word: str(number) for number, word in enumerate(_NUMBER_WORDS.split())}
ARTICLES = frozenset({"a", "an", "the"})
PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'

# Words whose apostrophes are restored. With two apostrophes either one may be missing, but not both.
_ONE_APOSTROPHE = """
ain't aren't can't could've couldn't didn't doesn't don't hadn't hasn't haven't he'd he's how'd how'll how's isn't it'd
it'll ma'am might've mightn't must've mustn't needn't not've o'clock oughtn't shan't should've shouldn't somebody'll
somebody's someone'd someone'll someone's something'd something'll that's there'd there're there's they'd they'll
they're they've wasn't we've weren't what'll what're what's what've when's where'd where's where've who'd who'll who's
who've why'll why're why's won't would've wouldn't y'all you'd you'll you're you've 'twas
"""
_TWO_APOSTROPHES = """
couldn't've hadn't've he'd've it'd've mightn't've she'd've shouldn't've somebody'd've someone'd've something'd've
there'd've they'd've we'd've who'd've wouldn't've y'all'll you'd've
"""


def _contractions() -> dict[str, str]:
    table = {word.replace("'", ""): word for word in _ONE_APOSTROPHE.split()}
    for word in _TWO_APOSTROPHES.split():
        table |= {_without_apostrophe(word, missing): word for missing in range(2)}
    for missing in range(3):
        table[_without_apostrophe("y'all'd've", missing)] = "y'all'd've"
    table["somebody'd"] = "somebodyd"  # as in the official table
    return table | dict.fromkeys(("ow's'at", "'ows'at", "'ow'sat"), "'ow's'at")


def _without_apostrophe(word: str, missing: int) -> str:
    """Remove one apostrophe of a word, by its index."""
    at = [place for place, char in enumerate(word) if char == "'"][missing]
    return word[:at] + word[at + 1 :]


CONTRACTIONS = _contractions()

_PERIOD = re.compile(r"\.(?!\d)")
_COMMA_IN_NUMBER = re.compile(r"(?<=\d),+(?=\d)")


def normalize_answer(answer: str) -> str:
    """Lowercase, remove articles and punctuation, write number words as digits, restore apostrophes."""
    text = answer.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip()
    text = text.replace("\n", " ").replace("\t", " ").strip()
    words = [DIGITS.get(word, word) for word in _remove_punctuation(text).split()]
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in ARTICLES)


def _remove_punctuation(text: str) -> str:
    """Remove marks beside a space, replace others by a space. As officially, at most 32 periods are removed."""
    cleaned, numbered = text, _COMMA_IN_NUMBER.search(text) is not None
    for mark in PUNCTUATION:
        beside_space = f"{mark} " in text or f" {mark}" in text
        cleaned = cleaned.replace(mark, "" if beside_space or numbered else " ")
    return _PERIOD.sub("", cleaned, count=32)


def soft_accuracy(answer: str, answers: Sequence[str]) -> float:
    """The mean of min(1, matches among the other answers / 3) over leaving out each answer in turn."""
    text, references = normalize_answer(answer), [normalize_answer(one) for one in answers]
    matches = sum(one == text for one in references)
    return sum(min(1.0, (matches - (one == text)) / 3) for one in references) / len(references)
