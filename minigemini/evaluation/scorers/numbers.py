"""Parses numbers and short strings in free-form answers: MMMU's open questions and MathVista's answers."""

import re
from collections.abc import Sequence

from .choices import LETTERS, nearest_option

Candidate = str | float

_NUMBERS = (
    re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b"),  # with commas between thousands
    re.compile(r"-?\d+(?:\.\d+)?[eE][+-]?\d+"),  # with an exponent
    re.compile(r"-?(?:\d+\.\d+|\.\d+|\d+\b)(?![eE][+-]?\d+)(?![,\d])"),
)
_INDICATORS = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
_PUNCTUATION = frozenset(":,.!?;'")


def open_candidates(answer: str) -> set[Candidate]:
    """Candidate values of an answer to an MMMU open question: the ends of its key phrases and their numbers."""
    phrases = _key_phrases(answer)
    strings = phrases + [number for phrase in phrases for pattern in _NUMBERS for number in pattern.findall(phrase)]
    return {form for text in strings for form in comparable(text)}


def open_is_right(answer: str, answers: Sequence[str]) -> bool:
    """MMMU's rule: a candidate contains a correct string, or equals a correct number to two decimals."""
    correct = [form for reference in answers for form in comparable(reference)]
    for candidate in open_candidates(answer):
        if isinstance(candidate, str):
            if any(isinstance(reference, str) and reference in candidate for reference in correct):
                return True
        elif candidate in correct:
            return True
    return False


def comparable(text: str) -> list[Candidate]:
    """A number to two decimals, or lowercase text; a single letter is padded with a space on either side."""
    text = text.strip()
    try:
        return [round(float(text.replace(",", "")), 2)]
    except ValueError:
        lower = text.lower()
        return [f" {lower}", f"{lower} "] if len(lower) == 1 else [lower]


def _key_phrases(answer: str) -> list[str]:
    """For each line, the shortest text after an indicator word; in the last line also after `=`."""
    whole = answer.strip().strip(".").lower()
    lines = whole.split("\n")
    phrases = []
    for number, line in enumerate(lines):
        indicators = (*_INDICATORS, "=") if number == len(lines) - 1 else _INDICATORS
        ends = [line.split(word)[-1].strip() for word in indicators if word in line]
        shortest = _shortest(ends)
        if shortest and shortest not in _PUNCTUATION:
            phrases.append(shortest)
    return phrases or [whole]


def _shortest(ends: Sequence[str]) -> str:
    """The shortest text; as in the official code, an empty one is replaced by the next, whatever its length."""
    best = ""
    for end in ends:
        if not best or len(end) < len(best):
            best = end
    return best


def extract_answer(answer: str, choices: Sequence[str] | None, answer_type: str) -> str | None:
    """Extract a MathVista answer without a judge: a direct answer, else the most literal match, else None."""
    answer = answer.strip()
    if not answer:
        return None
    if direct := direct_answer(answer, choices, answer_type):
        return direct
    if choices:
        letters = re.findall(rf"\(([{LETTERS[: len(choices)]}])\)", answer)
        letters = letters or re.findall(rf"(?<![A-Za-z'’])([{LETTERS[: len(choices)]}])(?![A-Za-z'’])", answer)
        mentioned = [choice for choice in choices if choice.lower() in answer.lower()]
        return letters[-1] if letters else mentioned[0] if len(mentioned) == 1 else None
    if answer_type == "list":
        lists = re.findall(r"\[[^\[\]]*\]", answer)
        return lists[-1] if lists else None
    if answer_type in ("integer", "float"):
        numbers = re.findall(r"-?\d+(?:,\d{3})*(?:\.\d+)?|-?\.\d+", answer)
        return numbers[-1].replace(",", "") if numbers else None
    return answer


def direct_answer(answer: str, choices: Sequence[str] | None, answer_type: str) -> str | None:
    """Answers that the official scorer accepts as is: an option's text, a bare number, or `The answer is "…".`"""
    if choices and answer in choices:
        return answer
    for kind, number in (("integer", int), ("float", float)):
        if answer_type == kind:
            try:
                return str(number(answer))
            except ValueError:
                pass
    quoted = re.search(r'The answer is "(.*)"\.', answer)
    return quoted.group(1) if quoted else None


def normalize_extraction(
    extraction: str, choices: Sequence[str] | None, answer_type: str, precision: float | None
) -> str | None:
    """MathVista's normal form: an option's text (by letter, or the nearest), an integer, or a rounded float.

    Returns None if the extraction does not have the requested type.
    """
    if choices:
        bracketed = re.findall(r"\(([a-zA-Z])\)", extraction)
        letter = bracketed[0].upper() if bracketed else extraction.strip()
        letters = LETTERS[: len(choices)]
        return (
            choices[letters.index(letter)]
            if len(letter) == 1 and letter in letters
            else nearest_option(letter, choices)
        )
    try:
        if answer_type == "integer":
            return str(int(float(extraction)))
        if answer_type == "float":
            return str(round(float(extraction), int(precision or 0)))
    except (ValueError, OverflowError):
        return None
    return extraction
