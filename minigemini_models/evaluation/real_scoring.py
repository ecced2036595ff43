"""Judges a free answer about a picture: right, unsure or wrong."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

Verdict = Literal["right", "unsure", "wrong"]

SEEN = frozenset(("name", "kind", "where", "color-shape"))
"""Categories about what is seen; the answers of the others are written in the picture."""
UNITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
UNITS += ["thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
NUMBERS = {word: number for number, word in enumerate(UNITS)} | {
    word: 10 * number for number, word in enumerate(TENS, start=2)
}
AMOUNTS = {"no": "0", "none": "0", "single": "1", "couple": "2", "pair": "2", "dozen": "12"}
"""What counts as a number in an answer to "how many", beside numbers."""
SPELLINGS = {"colour": "color", "grey": "gray", "centre": "center", "metre": "meter", "kilometre": "kilometer"}
ARTICLES = frozenset(("a", "an", "the"))
MIN_JOINED_CHARS = 6
"""What is read matches without its spaces too, from this length on: "NoParking" reads "no parking"."""

REFUSAL = re.compile(
    r"\bnot (?:sure|certain|able|possible|clear|know|shown|given|stated|mentioned|visible|written|specified)\b"
    r"|\b(?:can|could) not (?:be )?(?:tell|told|say|said|know|known|determine|identify|recogni[sz]e|answer|read|sure)"
    r"|\bnot see (?:that|this|it|what|who|which|how|clearly)\b|\b(?:do|does) not (?:say|show|tell|give|mention|state)\b"
    r"|\b(?:unsure|unclear|unknown|uncertain|unable|impossible|no (?:idea|information|way to)|hard to (?:say|tell))\b"
)
ABSENCE = re.compile(r"\bthere (?:is|are) no\b|\bnot (?:in|on) the\b")
"""Ways to refuse where the question asks for what the picture lacks."""
GUESS = re.compile(r"\b(?:but|however|probably|perhaps|maybe|guess|think|believe)\b")
ASSERTION = re.compile(r"\b(?:there|it|this|that|they|these|he|she|name) (?:is|are|was|were)\b|\bi (?:can )?see\b")
DENIAL = re.compile(
    r"\b(?:there|it|this|that|they|these) (?:is|are) (?:no|not|none)\b|\bnot see (?:a|an|any|one)\b"
    r"|^not\b|\b(?:no|not) .*(?:shown|visible|present|seen)\b"
)
NEGATED = re.compile(r"\b(?:not|no|never|without|neither|nor)\b.*?(?=\bbut\b|[,.;:!?]|$)")
COMPARED = re.compile(r"\b(?:than|compared (?:to|with)|instead of)\b.*?(?=[,.;:!?]|$)")
"""What an answer names only to set it apart: "larger than the circle"."""


def judge(question: Mapping[str, Any], answer: str) -> Verdict:
    """Judge an answer to an entry of `real/questions.json`.

    An entry of the category `unknown` cannot be answered from its picture: only a refusal without a guess is right.
    `presence` is judged by its leading yes or no, `count` by the first number, and every other answer by the listed
    phrases: one of them must occur, and none of the forbidden ones. A refusal, or an empty answer, is `unsure` where
    the picture has the answer.
    """
    text, category = _plain(answer), question["category"]
    refused = REFUSAL.search(text) is not None
    if category == "unknown":
        return "right" if _only_refuses(text) else "wrong"
    if category == "presence":
        said = _yes_or_no(text)
        if said is None:
            return "unsure" if refused or not text else "wrong"
        return "right" if said in question["answers"] else "wrong"
    if refused or not text:
        return "unsure"
    if category == "count":
        right = _amount(text) in question["answers"]
    else:
        right = mentions(answer, question["answers"], question["forbidden"], seen=category in SEEN)
    return "right" if right else "wrong"


def mentions(answer: str, accepted: Sequence[str], forbidden: Iterable[str] = (), *, seen: bool = True) -> bool:
    """Whether an answer has one of the accepted phrases, whose parts `&` joins, and none of the forbidden ones.

    Articles, case, plurals, hyphens, spelled-out numbers, separators of thousands and currency signs do not matter.
    What is accepted hides what is forbidden in it: "polar bear" does not mention "bear".

    Args:
        seen: Drop negated clauses ("not a dog but a cat"). Otherwise the phrase is something written: it may have a
            negation itself, and spaces within it do not matter.
    """
    text = COMPARED.sub(" ", _plain(answer))
    words = _words(NEGATED.sub(" ", text) if seen else text)
    ways = [[_words(_plain(part)) for part in phrase.split("&")] for phrase in accepted]
    if not any(all(_holds(words, part, joined=not seen) for part in parts) for parts in ways):
        return False
    spans = [span for parts in ways for part in parts for span in _spans(words, part)]
    return not any(
        not any(start <= first and last <= end for start, end in spans)
        for phrase in forbidden
        for first, last in _spans(words, _words(_plain(phrase)))
    )


def _plain(text: str) -> str:
    """Lowercase on one line; contractions written out; numbers as digits with a decimal point."""
    text = " ".join(text.lower().replace("’", "'").split())
    text = re.sub(r"n't\b", " not", text.replace("can't", "can not").replace("cannot", "can not"))
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    text = re.sub(r"(?<=\d),(?=\d{2}\b)", ".", text)
    tens, units = "|".join(TENS), "|".join(UNITS)
    text = re.sub(rf"\b({tens})[- ]({units})\b", lambda found: str(NUMBERS[found[1]] + NUMBERS[found[2]]), text)
    return re.sub(rf"\b(?:{tens}|{units})\b", lambda found: str(NUMBERS[found[0]]), text)


def _words(text: str) -> list[str]:
    """Words in a common form, without articles; `12.50` and `8:30` are one word each."""
    found = re.findall(r"\d+(?:[.:]\d+)*|[^\W\d_]+", re.sub(r"'s\b", "", text))
    return [_common_form(word) for word in found if word not in ARTICLES]


def _common_form(word: str) -> str:
    """A decimal without trailing zeros, or a rough stem that singular and plural share."""
    if re.fullmatch(r"\d+\.\d+", word):
        return word.rstrip("0").rstrip(".")
    word = SPELLINGS.get(word, word)
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    if len(word) > 3:
        word = word.removesuffix("e")
    return word[:-1] + "i" if len(word) > 3 and word.endswith("y") else word


def _holds(words: Sequence[str], phrase: Sequence[str], joined: bool) -> bool:
    together = "".join(phrase)
    return bool(_spans(words, phrase)) or (joined and len(together) >= MIN_JOINED_CHARS and together in "".join(words))


def _spans(words: Sequence[str], phrase: Sequence[str]) -> list[tuple[int, int]]:
    """Where the phrase occurs: its first word, and the one after its last."""
    starts = range(len(words) - len(phrase) + 1)
    return [(start, start + len(phrase)) for start in starts if words[start : start + len(phrase)] == phrase]


def _only_refuses(text: str) -> bool:
    """Whether an answer refuses, and neither guesses nor has another sentence that asserts something."""
    sentences = [sentence for sentence in re.split(r"[.!?;]", text) if sentence.strip()]
    refusing = [REFUSAL.search(sentence) or ABSENCE.search(sentence) for sentence in sentences]
    claims = any(ASSERTION.search(s) for s, refuses in zip(sentences, refusing, strict=True) if not refuses)
    return any(refusing) and not claims and not GUESS.search(text)


def _yes_or_no(text: str) -> str | None:
    """The leading yes or no, or else whether the answer denies or asserts that something is there."""
    if leading := re.match(r"\W*(yes|yeah|yep|no|nope)\b(?! (?:idea|information|way))", text):
        return "no" if leading[1].startswith("n") else "yes"
    if REFUSAL.search(text):
        return None
    if DENIAL.search(text):
        return "no"
    return "yes" if ASSERTION.search(text) else None


def _amount(text: str) -> str | None:
    """The first number; one thing named with "a", without any number, counts as one."""
    for word in re.findall(r"\d+|[a-z]+", text):
        if word.isdigit():
            return str(int(word))
        if word in AMOUNTS:
            return AMOUNTS[word]
    return "1" if re.match(r"(?:there is |it is |i see )?(?:a|an|only)\b", text) else None
