"""Numbers and short strings in free answers: MMMU's open questions and MathVista's extraction and rounding."""

import re
from collections.abc import Sequence

from .choices import LETTERS, nearest

Found = str | float

_NUMBERS = (
    re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b"),  # with commas between thousands
    re.compile(r"-?\d+(?:\.\d+)?[eE][+-]?\d+"),  # with an exponent
    re.compile(r"-?(?:\d+\.\d+|\.\d+|\d+\b)(?![eE][+-]?\d+)(?![,\d])"),
)
_LEADS = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
_TRIVIAL = frozenset(":,.!?;'")


def open_candidates(said: str) -> set[Found]:
    """What an answer to one of MMMU's open questions may mean: the ends of its key phrases, and their numbers."""
    phrases = _key_phrases(said)
    strings = phrases + [number for phrase in phrases for pattern in _NUMBERS for number in pattern.findall(phrase)]
    return {form for text in strings for form in comparable(text)}


def open_is_right(said: str, answers: Sequence[str]) -> bool:
    """MMMU's rule: a right string occurs in a candidate, or a candidate is the right number to two decimals."""
    right = [form for answer in answers for form in comparable(answer)]
    for candidate in open_candidates(said):
        if isinstance(candidate, str):
            if any(isinstance(answer, str) and answer in candidate for answer in right):
                return True
        elif candidate in right:
            return True
    return False


def comparable(text: str) -> list[Found]:
    """A number to two decimals, or the text in lower case; a single letter with a space on either side."""
    text = text.strip()
    try:
        return [round(float(text.replace(",", "")), 2)]
    except ValueError:
        lower = text.lower()
        return [f" {lower}", f"{lower} "] if len(lower) == 1 else [lower]


def _key_phrases(said: str) -> list[str]:
    """Of each line the shortest end behind a leading word; of the last also what stands behind `=`."""
    whole = said.strip().strip(".").lower()
    lines = whole.split("\n")
    phrases = []
    for number, line in enumerate(lines):
        leads = (*_LEADS, "=") if number == len(lines) - 1 else _LEADS
        ends = [line.split(lead)[-1].strip() for lead in leads if lead in line]
        shortest = _shortest(ends)
        if shortest and shortest not in _TRIVIAL:
            phrases.append(shortest)
    return phrases or [whole]


def _shortest(ends: Sequence[str]) -> str:
    """As officially: an empty end is replaced by the next one, whatever its length."""
    best = ""
    for end in ends:
        if not best or len(end) < len(best):
            best = end
    return best


def extracted(said: str, choices: Sequence[str] | None, answer_type: str) -> str | None:
    """MathVista's answer without a judge: what needs none officially, then the plainest reading; None: no reading."""
    said = said.strip()
    if not said:
        return None
    if quick := needs_no_judge(said, choices, answer_type):
        return quick
    if choices:
        letters = re.findall(rf"\(([{LETTERS[: len(choices)]}])\)", said)
        letters = letters or re.findall(rf"(?<![A-Za-z'’])([{LETTERS[: len(choices)]}])(?![A-Za-z'’])", said)
        written = [choice for choice in choices if choice.lower() in said.lower()]
        return letters[-1] if letters else written[0] if len(written) == 1 else None
    if answer_type == "list":
        lists = re.findall(r"\[[^\[\]]*\]", said)
        return lists[-1] if lists else None
    if answer_type in ("integer", "float"):
        numbers = re.findall(r"-?\d+(?:,\d{3})*(?:\.\d+)?|-?\.\d+", said)
        return numbers[-1].replace(",", "") if numbers else None
    return said


def needs_no_judge(said: str, choices: Sequence[str] | None, answer_type: str) -> str | None:
    """What the official scorer takes as it stands: an option's text, a bare number, or `The answer is "…".`"""
    if choices and said in choices:
        return said
    for kind, number in (("integer", int), ("float", float)):
        if answer_type == kind:
            try:
                return str(number(said))
            except ValueError:
                pass
    quoted = re.search(r'The answer is "(.*)"\.', said)
    return quoted.group(1) if quoted else None


def in_kind(extraction: str, choices: Sequence[str] | None, answer_type: str, precision: float | None) -> str | None:
    """MathVista's normal form: the option's text (a letter's, or the nearest), a whole number, or one rounded.

    None: it is not of the kind that was asked for.
    """
    if choices:
        bracketed = re.findall(r"\(([a-zA-Z])\)", extraction)
        letter = bracketed[0].upper() if bracketed else extraction.strip()
        letters = LETTERS[: len(choices)]
        return choices[letters.index(letter)] if len(letter) == 1 and letter in letters else nearest(letter, choices)
    try:
        if answer_type == "integer":
            return str(int(float(extraction)))
        if answer_type == "float":
            return str(round(float(extraction), int(precision or 0)))
    except (ValueError, OverflowError):
        return None
    return extraction
