"""Maps an answer to an option: MMBench's matching, MMMU's parser, MathVista's nearest option, and MME's yes or no."""

import re
import string
from collections.abc import Mapping, Sequence

LETTERS = string.ascii_uppercase


def yes_or_no(answer: str) -> str:
    """MME's rule: the whole answer, else a word in its first four letters; `other` is always wrong."""
    text = answer.lower().strip().replace(".", "")
    if text in ("yes", "no"):
        return text
    if len(text) == 1:
        return {"y": "yes", "n": "no"}.get(text, "other")
    return next((word for word in ("yes", "no") if word in text[:4]), "other")


def match_option(answer: str, options: Mapping[str, str]) -> str | None:
    """MMBench's rule: the only standalone letter, else the only option whose text occurs; None if neither exists."""
    words = re.sub(r"[.()\[\],:;!*#{}]", " ", answer).split()
    named = [letter for letter in options if letter in words]
    if len(named) == 1 and not ("A" in words and len(words) > 3):  # "A dog is in the picture": an article
        return named[0]
    written = [letter for letter, text in options.items() if text and text.lower() in answer.lower()]
    return written[0] if len(written) == 1 else None


def parse_choice(answer: str, options: Sequence[str]) -> str | None:
    """MMMU's parser: "(B)", else "B ", else "B.", else in longer answers an option's text; the last match wins.

    Args:
        answer: the model's answer.
        options: texts of the options, A first.

    Returns:
        The letter, or None, for which the official scorer samples a random letter.
    """
    for mark in ",.!?;:'":
        answer = answer.strip(mark)
    answer = f" {answer} "
    letters = LETTERS[: len(options)]
    # As in the official code, letters without brackets are located between spaces, however they were found.
    for form, search in (("({})", "({})"), ("{} ", " {} "), ("{}.", " {} ")):
        if found := [letter for letter in letters if form.format(letter) in answer]:
            return max(found, key=lambda letter: answer.rfind(search.format(letter)))
    if len(answer.split()) > 5:
        lower = answer.lower()
        texts = dict(zip(letters, (option.lower() for option in options), strict=True))
        if found := [letter for letter in letters if texts[letter] in lower]:
            return max(found, key=lambda letter: lower.rfind(texts[letter]))
    return None


def nearest_option(answer: str, options: Sequence[str]) -> str:
    """The option with the smallest edit distance; the first one on ties."""
    return min(options, key=lambda option: edit_distance(answer, option))


def edit_distance(one: str, other: str) -> int:
    """Levenshtein distance: insertions, deletions and substitutions of characters (Levenshtein 1966)."""
    row = list(range(len(other) + 1))
    for number, char in enumerate(one, start=1):
        diagonal, row[0] = row[0], number
        for at, against in enumerate(other, start=1):
            diagonal, row[at] = row[at], min(row[at] + 1, row[at - 1] + 1, diagonal + (char != against))
    return row[-1]
