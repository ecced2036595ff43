"""Lessons about photographs, given as class words: what, where, whether, of which kind; and what nobody can tell."""

import numpy as np

from ...samples.turns import Turn
from ..imagenet_classes import imagenet_classes
from ..lesson import CANNOT_TELL, Lesson, VisualWords
from . import photograph_questions as ask
from .photograph_placeholders import BEFORE_FOLLOW_UP, worded
from .photograph_reading import Reading, read_photograph
from .photograph_unknowables import UNKNOWABLE
from .photograph_words import PhotoObject, draw_scores, most_likely, sharpened

STREAM = 2501
"""First word of the seeds of these lessons. Documents have the same, but no number is a lesson of both."""

OBJECT_COUNTS = {0: 0.08, 1: 0.63, 2: 0.24, 3: 0.05}
"""Shares of photographs by the number of things in them that are among the thousand."""

FIRST_QUESTIONS: dict[ask.Ask, float] = {
    ask.what: 22,
    ask.exists: 22,
    ask.exists_reason: 8,
    ask.is_kind: 6,
    ask.either: 5,
    ask.which_of_kinds: 7,
    ask.which_kind: 16,
    ask.where: 6,
    ask.where_is_what: 3,
    ask.side: 3,
    ask.kinds_count: 2.5,
    ask.one_word: 3,
    ask.count: 2.5,
    ask.color: 3,
    ask.text: 2.5,
    ask.people: 1.5,
    ask.unknowable: 7,
}
"""What a conversation may begin with, and how often."""

FOLLOW_UPS: dict[ask.Ask, float] = {
    ask.exists_too: 7,
    ask.where_it: 6,
    ask.is_kind: 3,
    ask.where: 3,
    ask.unknowable_about_it: 3,
    ask.nothing_else: 2,
    ask.sure: 2,
    ask.which_kind: 2,
    ask.unknowable: 1.5,
    ask.count: 1,
    ask.color: 1,
}
"""What may follow an answer that said what the picture shows."""

FURTHER_TURNS = {0: 0.8, 1: 0.1, 2: 0.1}
"""Shares of conversations by their follow-ups; without any, several questions are asked that stand alone."""
SEPARATE_QUESTIONS, OF_ONE_SKILL = 11, 2
"""How often questions that stand alone are drawn, and how many of one skill are kept."""


def _choose(rng: np.random.Generator, shares: dict[int, float]) -> int:
    return int(rng.choice(list(shares), p=list(shares.values())))


def _confusion(rng: np.random.Generator) -> float:
    """Return how much similar classes compete for a thing; in some photographs only its kind is sure."""
    return rng.uniform(0.95, 1.0) if rng.random() < 0.3 else rng.uniform(0.2, 0.95)


def draw_words(rng: np.random.Generator) -> VisualWords:
    """Return the words of a photograph of up to three things, keeping 8 to 16 of every place."""
    labels = rng.choice(len(imagenet_classes()), size=_choose(rng, OBJECT_COUNTS), replace=False)
    objects = tuple(PhotoObject(int(label), confusion=_confusion(rng)) for label in labels)
    return most_likely(sharpened(draw_scores(rng, objects)), count=int(rng.integers(8, 17)))


def words_of(rng: np.random.Generator, label: int) -> VisualWords:
    """Return the words of a photograph of one thing, which leave no doubt of its class.

    Args:
        rng: places the thing and draws what else the words say.
        label: number of its class, 0 to 999.
    """
    while True:
        thing = PhotoObject(label, confusion=rng.uniform(0.2, 0.8))
        words = most_likely(sharpened(draw_scores(rng, (thing,))), count=int(rng.integers(8, 17)))
        main = next(iter(read_photograph(words).named), None)
        if main is not None and main.class_is_sure and main.label is imagenet_classes()[label]:
            return words


def _ask_one_of(rng: np.random.Generator, questions: dict[ask.Ask, float], reading: Reading) -> Turn:
    """Return the first question, in random order by weight, that this picture settles."""
    weights = np.array(list(questions.values()))
    choices = list(questions)
    for choice in rng.choice(len(weights), size=len(weights), replace=False, p=weights / weights.sum()):
        turn = choices[choice](rng, reading)
        if turn is not None:
            return turn
    return Turn("photo-unknowable", worded(rng, UNKNOWABLE), CANNOT_TELL)


def _separate_questions(rng: np.random.Generator, reading: Reading) -> tuple[Turn, ...]:
    turns: dict[str, Turn] = {}
    for _ in range(SEPARATE_QUESTIONS):
        turn = _ask_one_of(rng, FIRST_QUESTIONS, reading)
        if [each.skill for each in turns.values()].count(turn.skill) < OF_ONE_SKILL:
            turns[turn.question] = turn
    return tuple(turns.values())


def _following(rng: np.random.Generator, turn: Turn) -> Turn:
    """Begin a later question as people do."""
    before = str(rng.choice(BEFORE_FOLLOW_UP))
    if before.startswith("And") and turn.question.lower().startswith("and"):
        before = ""
    question = turn.question if before != "And " else turn.question[0].lower() + turn.question[1:]
    return Turn(turn.skill, before + question, turn.answer)


def _conversation(rng: np.random.Generator, reading: Reading, further_turns: int) -> list[Turn]:
    """Return a first answer that says what the picture shows, and questions that build on it."""
    if rng.random() < 0.12 and (turns := ask.exists_then_more(rng, reading)):
        return turns
    turns = [ask.what(rng, reading)]
    while len(turns) <= further_turns:
        turn = _ask_one_of(rng, FOLLOW_UPS, reading)
        if turn.answer not in {each.answer for each in turns}:
            turns.append(_following(rng, turn))
        else:
            further_turns -= 1
    return turns


def sample(number: int) -> Lesson:
    """Return a lesson about a photograph: separate questions, or one with follow-ups.

    Args:
        number: which one; the same number gives the same lesson.
    """
    rng = np.random.default_rng([STREAM, number])
    words = draw_words(rng)
    reading = read_photograph(words)
    further_turns = _choose(rng, FURTHER_TURNS)
    if further_turns == 0:
        return Lesson(_separate_questions(rng, reading), classes=words, separate=True)
    return Lesson(tuple(_conversation(rng, reading, further_turns)), classes=words)
