"""Short plain conversation, so that the model still talks, knows who it is, and does not invent a picture.

More than half of the answers to general questions are the base language model's own, in `self_answers.jsonl`, which
`python -m minigemini_models.small.self_answers` writes. That way the language model keeps what it knows.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np

from ...samples.turns import Turn
from ...scenes.colors import pick
from ...scenes.concepts import with_article
from ..lesson import CANNOT_TELL, Lesson
from .conversation_answers import (
    GENERAL,
    GREETING_ANSWERS,
    GREETINGS,
    IDENTITY,
    LANGUAGES,
    NO_PICTURE,
    NO_PICTURE_ANSWERS,
    SMALL_TALK,
    SPELLED,
    TRANSLATIONS,
)
from .drawing_words import PHOTOGRAPHED_ANIMALS, PHOTOGRAPHED_THINGS
from .photographs import words_of

STREAM = 2502
SELF_ANSWERS = Path(__file__).parent / "self_answers.jsonl"
_SKILLS = {
    "identity": 0.22, "no_picture": 0.13, "greeting": 0.07, "small_talk": 0.12, "exercise": 0.11, "general": 0.35,
}  # fmt: skip


def sample(number: int) -> Lesson:
    """Return the lesson of a number: one to three turns, in one of five about a photograph as well."""
    rng = np.random.default_rng([STREAM, number])
    if rng.random() < 0.2:
        return _about_photograph(rng)
    turns = [_sample_turn(rng, str(rng.choice(list(_SKILLS), p=list(_SKILLS.values()))))]
    for _ in range(int(rng.choice(3, p=[0.5, 0.35, 0.15]))):
        skill = pick(rng, ("identity", "no_picture", "small_talk", "small_talk", "exercise", "general"))
        turn = _sample_turn(rng, skill)
        if all(turn.question != other.question for other in turns):
            turns.append(turn)
    return Lesson(tuple(turns))


@cache
def self_answers() -> tuple[tuple[str, str], ...]:
    """Return the general questions with the base language model's answers."""
    lines = SELF_ANSWERS.read_text(encoding="utf-8").splitlines()
    return tuple((record["question"], record["answer"]) for record in map(json.loads, lines))


def _sample_turn(rng: np.random.Generator, skill: str) -> Turn:
    match skill:
        case "identity":
            questions, answers = pick(rng, IDENTITY)
            return Turn(skill, pick(rng, questions), pick(rng, answers))
        case "no_picture":
            return Turn(skill, pick(rng, NO_PICTURE), pick(rng, NO_PICTURE_ANSWERS))
        case "greeting":
            return Turn(skill, pick(rng, GREETINGS), pick(rng, GREETING_ANSWERS))
        case "small_talk":
            return Turn(skill, *pick(rng, SMALL_TALK))
        case "exercise":
            return Turn(skill, *_exercise(rng))
        case _:
            return Turn(skill, *pick(rng, GENERAL if rng.random() < 0.45 else self_answers()))


def _exercise(rng: np.random.Generator) -> tuple[str, str]:
    """Sample a sum, a word to spell, or a word to translate."""
    way = rng.random()
    if way < 0.5:
        a, b = (int(value) for value in rng.integers(1, 13, 2))
        sign, result = pick(rng, (("+", a + b), ("-", a - b), ("times", a * b)))
        if sign == "-" and a < b:
            a, b, result = b, a, b - a
        template = pick(rng, ("What is {sum}?", "{sum}", "How much is {sum}?", "Calculate {sum}.", "{sum} = ?"))
        total = f"{a} {sign} {b}"
        return template.format(sum=total), f"{total} = {result}." if sign != "times" else f"{total} is {result}."
    if way < 0.75:
        word = pick(rng, SPELLED)
        template = pick(rng, ("How do you spell {word}?", "Spell {word}.", "Can you spell the word {word}?"))
        return template.format(word=word), f"{'-'.join(word.upper())}."
    word = pick(rng, tuple(TRANSLATIONS))
    number = int(rng.integers(len(LANGUAGES)))
    template = pick(
        rng,
        ("What is {word} in {language}?", "How do you say {word} in {language}?", "Translate {word} to {language}."),
    )
    language = LANGUAGES[number]
    return template.format(word=word, language=language), f"In {language}, {word} is {TRANSLATIONS[word][number]}."


def _about_photograph(rng: np.random.Generator) -> Lesson:
    """A question about a photograph, then small talk, and back to the photograph."""
    is_animal = rng.random() < 0.6
    index, name = pick(rng, tuple((PHOTOGRAPHED_ANIMALS if is_animal else PHOTOGRAPHED_THINGS).items()))
    a_name = with_article(name)
    turns = [Turn("name", pick(rng, _WHAT), f"This is {a_name}.")]
    turns += [
        _sample_turn(rng, pick(rng, ("small_talk", "identity", "exercise", "general")))
        for _ in range(int(rng.integers(1, 3)))
    ]
    # Of the other kind, so that the photograph cannot show it.
    other = pick(rng, tuple((PHOTOGRAPHED_THINGS if is_animal else PHOTOGRAPHED_ANIMALS).values()))
    back = (
        Turn("name", "What was in the picture?", f"{a_name[0].upper()}{a_name[1:]}."),
        Turn("name", "Back to the picture: what does it show?", f"It shows {a_name}."),
        Turn("exists", f"Is there {a_name} in the picture?", "Yes."),
        Turn("exists", f"Was there {with_article(other)} in the picture?", "No."),
        Turn("unknowable", "Who took the picture?", CANNOT_TELL),
        Turn("unknowable", f"How old is the {name}?", CANNOT_TELL),
    )
    return Lesson((*turns, pick(rng, back)), classes=words_of(rng, index))


_WHAT = (
    "What is this?",
    "What is in the picture?",
    "What do you see?",
    "What does the picture show?",
    "Name what is shown.",
    "what's this",
)
