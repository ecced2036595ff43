"""Which option an answer means: MMBench's matching, MMMU's parser, MathVista's nearest option, and yes or no."""

import re
import string
from collections.abc import Mapping, Sequence

LETTERS = string.ascii_uppercase


def yes_or_no(said: str) -> str:
    """MME's rule: the whole answer, or else what stands in its first four letters; `other` is wrong either way."""
    answer = said.lower().strip().replace(".", "")
    if answer in ("yes", "no"):
        return answer
    if len(answer) == 1:
        return {"y": "yes", "n": "no"}.get(answer, "other")
    return next((word for word in ("yes", "no") if word in answer[:4]), "other")


def matched_option(said: str, options: Mapping[str, str]) -> str | None:
    """MMBench's rule: the one letter that stands by itself, or else the one option whose text occurs; None: neither."""
    words = re.sub(r"[.()\[\],:;!*#{}]", " ", said).split()
    named = [letter for letter in options if letter in words]
    if len(named) == 1 and not ("A" in words and len(words) > 3):  # "A dog is in the picture": an article
        return named[0]
    written = [letter for letter, text in options.items() if text and text.lower() in said.lower()]
    return written[0] if len(written) == 1 else None


def parsed_choice(said: str, options: Sequence[str]) -> str | None:
    """MMMU's parser: "(B)", else "B ", else "B.", else in longer answers an option's text; of several the last.

    Args:
        said: the answer.
        options: their texts, A first.

    Returns:
        The letter; None where the official scorer draws one at random.
    """
    for mark in ",.!?;:'":
        said = said.strip(mark)
    said = f" {said} "
    letters = LETTERS[: len(options)]
    # As officially, letters without brackets are placed where they stand between spaces, wherever they were found.
    for form, placed in (("({})", "({})"), ("{} ", " {} "), ("{}.", " {} ")):
        if found := [letter for letter in letters if form.format(letter) in said]:
            return max(found, key=lambda letter: said.rfind(placed.format(letter)))
    if len(said.split()) > 5:
        lower = said.lower()
        texts = dict(zip(letters, (option.lower() for option in options), strict=True))
        if found := [letter for letter in letters if texts[letter] in lower]:
            return max(found, key=lambda letter: lower.rfind(texts[letter]))
    return None


def nearest(said: str, options: Sequence[str]) -> str:
    """The option with the least edit distance (Levenshtein), the first of several."""
    return min(options, key=lambda option: edit_distance(said, option))


def edit_distance(one: str, other: str) -> int:
    """How many letters to put in, take out or exchange (Levenshtein 1966)."""
    row = list(range(len(other) + 1))
    for number, char in enumerate(one, start=1):
        diagonal, row[0] = row[0], number
        for at, against in enumerate(other, start=1):
            diagonal, row[at] = row[at], min(row[at] + 1, row[at - 1] + 1, diagonal + (char != against))
    return row[-1]
