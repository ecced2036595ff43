"""Lessons about photographs, given as class words: what, where, whether, of which kind; and what nobody can tell."""

from collections.abc import Callable

import numpy as np

from ...samples.turns import Turn
from ..imagenet_classes import classes_of_kind, imagenet_classes, kind_phrase, plural_of
from ..lesson import Lesson, VisualWords
from ..similar_classes import similar_classes
from .photograph_reading import FILLS, Presence, Reading, Sighting, likely_kind, position_of, read_photograph
from .photograph_wordings import (
    ABOUT_IT,
    BEFORE_FOLLOW_UP,
    CANNOT_COUNT,
    CANNOT_READ,
    CANNOT_TELL,
    NOT_SURE,
    QUESTIONS,
    UNKNOWABLE,
    UNKNOWABLE_ABOUT,
    worded,
)
from .photograph_words import PhotoObject, draw_scores, most_likely, sharpened

STREAM = 2501
"""First word of the seeds of these lessons."""

OBJECT_COUNTS = {0: 0.08, 1: 0.68, 2: 0.2, 3: 0.04}

ASKED_ANIMALS = ("dog", "cat", "bird", "fish", "insect", "snake", "monkey", "bear", "butterfly", "frog", "turtle")
"""Kinds of animals that exclude each other."""
ASKED_KINDS = (*ASKED_ANIMALS, "animal", "vehicle", "car", "food", "fruit", "building", "musical instrument", "ship")
"""Kinds that are asked about where they are absent: their lists of classes are complete."""

_EASILY_CONFUSED = {
    "cat": ("big cat",),
    "dog": ("wolf", "wild dog", "fox"),
    "monkey": ("ape", "lemur"),
    "fish": ("whale", "sea creature"),
    "insect": ("arachnid",),
    "food": ("drink", "plant", "fungus", "container", "kitchen appliance", "cookware", "object", "shop", "cup"),
    "fruit": ("vegetable", "plant"),
    "building": ("structure", "place", "roof", "tower", "shop"),
    "ship": ("boat",),
    "vehicle": ("machine", "car part", "object"),
    "car": ("vehicle", "car part", "object"),
    "animal": ("toy", "object", "food", "container", "fossil"),
}
"""Kinds of which one may say that they are, or show, the first: not asked about where only these are seen."""


def draw_words(rng: np.random.Generator) -> VisualWords:
    """Return the words of a photograph of up to three things, keeping 8 to 16 of every place."""
    classes = len(imagenet_classes())
    count = rng.choice(list(OBJECT_COUNTS), p=list(OBJECT_COUNTS.values()))
    labels = rng.choice(classes, size=count, replace=False)
    objects = tuple(PhotoObject(int(label), confusion=rng.uniform(0.2, 1.0)) for label in labels)
    return most_likely(sharpened(draw_scores(rng, objects)), count=int(rng.integers(8, 17)))


def phrase_of(sighting: Sighting) -> str:
    """Return what a thing is, as it stands after "it is": its class, or the kind that is sure."""
    return sighting.label.phrase if sighting.class_is_sure else kind_phrase(sighting.kinds[0])


def noun_of(sighting: Sighting) -> str:
    """Return what a thing is without article, as it stands after "the"."""
    return sighting.label.name if sighting.class_is_sure else sighting.kinds[0]


def _is_plural(sighting: Sighting) -> bool:
    return sighting.class_is_sure and sighting.label.takes_plural_verb


def _it_is(sighting: Sighting) -> str:
    return f"{'They are' if _is_plural(sighting) else 'It is'} {phrase_of(sighting)}."


def joined(phrases: list[str]) -> str:
    """Return "a", "a and b" or "a, b and c"."""
    return " and ".join([*([", ".join(phrases[:-1])] if phrases[:-1] else []), phrases[-1]])


def shows(reading: Reading) -> str:
    """Return the sentence that says what the picture shows, or that it is not sure."""
    if not reading.named:
        return not_sure(reading)
    return f"The picture shows {joined([phrase_of(each) for each in reading.named])}."


def not_sure(reading: Reading) -> str:
    """Return that the thing is unclear, with the best guess if the words favor one."""
    if reading.guess is not None:
        return f"{NOT_SURE} It may be {reading.guess.label.phrase}."
    kind = likely_kind(reading.masses)
    return f"{NOT_SURE} It may be {kind_phrase(kind)}." if kind else NOT_SURE


def place_sentence(sighting: Sighting) -> str | None:
    """Return the sentence that says where a thing is; None near a border between two answers."""
    position = position_of(sighting)
    if position is None:
        return None
    if position == FILLS:
        return f"The {noun_of(sighting)} {'fill' if _is_plural(sighting) else 'fills'} most of the picture."
    return f"The {noun_of(sighting)} {'are' if _is_plural(sighting) else 'is'} {position}."


def exists_answer(reading: Reading, phrase: str, noun: str, presence: Presence) -> str:
    """Return the answer to "is there …?".

    Args:
        reading: what the picture shows.
        phrase: what was asked about, with its article.
        noun: the same without.
        presence: whether it is there.
    """
    if presence is Presence.YES:
        seen = next(each for each in reading.named if each.may_be_called(noun))
        return f"Yes, there {'are' if _is_plural(seen) else 'is'} {phrase_of(seen)}."
    if presence is Presence.UNSURE:
        return f"I am not sure whether there is {phrase}."
    return f"No, I do not see {phrase}."


def _absent_class(rng: np.random.Generator, reading: Reading) -> int | None:
    """Return a class that is surely absent: half the time one that is like something in the picture."""
    seen = {label for each in reading.named for label in each.members}
    near = [int(label) for each in reading.named for label in similar_classes().indices[each.label.index][3:]]
    pool = near if near and rng.random() < 0.5 else rng.integers(len(imagenet_classes()), size=8).tolist()
    for label in rng.permutation(pool).tolist():
        candidate = imagenet_classes()[label]
        names = {candidate.name, *candidate.synonyms}
        shared = any(names & {each.label.name, *each.label.synonyms} for each in reading.named)
        alike = any(each.label.may_be_called(candidate.name) for each in reading.named)
        unsure_kind = any(not each.class_is_sure and each.kind in candidate.kinds for each in reading.named)
        part = any(label in similar_classes().indices[other][:3] for other in seen)
        absent = reading.presence(candidate.name, (label,)) is Presence.NO
        if absent and not (shared or alike or unsure_kind or part):
            return int(label)
    return None


def absent_kind(rng: np.random.Generator, reading: Reading) -> str | None:
    """Return a kind that is surely absent."""
    for kind in rng.permutation(ASKED_KINDS).tolist():
        confused = {kind, *_EASILY_CONFUSED.get(kind, ())}
        seen = {each for sighting in reading.named for each in (*sighting.kinds, *sighting.label.kinds)}
        if not seen & confused and reading.presence(kind, classes_of_kind(kind)) is Presence.NO:
            return str(kind)
    return None


def _turn(rng: np.random.Generator, skill: str, answer: str | None, wordings: str = "", **words: str) -> Turn | None:
    if answer is None:
        return None
    return Turn(f"photo-{skill}", worded(rng, QUESTIONS[wordings or skill], **words), answer)


def _main_or_not_sure(reading: Reading) -> str:
    return _it_is(reading.named[0]) if reading.named else not_sure(reading)


def _what(rng: np.random.Generator, reading: Reading) -> Turn | None:
    question = "what" if rng.random() < 0.65 else "describe"
    return _turn(rng, question, shows(reading))


def _where_is_what(rng: np.random.Generator, reading: Reading) -> Turn | None:
    places = [place_sentence(each) for each in reading.named]
    if not all(places):
        return None
    return _turn(rng, "where_is_what", " ".join([shows(reading), *(place for place in places if place)]))


def _which_kind(rng: np.random.Generator, reading: Reading) -> Turn | None:
    if not reading.named or rng.random() < 0.15:
        kind = absent_kind(rng, reading)
        if kind is None:
            return None
        answer = f"I do not see {kind_phrase(kind)}. {shows(reading)}" if reading.named else not_sure(reading)
        return _turn(rng, "which_kind", answer, kind=kind)
    sighting = reading.named[rng.integers(len(reading.named))]
    kind = str(rng.choice(sighting.kinds)) if sighting.kinds else None
    if kind is None or sum(kind in each.kinds for each in reading.named) > 1:
        return None
    if not sighting.class_is_sure and kind == sighting.kinds[0]:
        return _turn(rng, "which_kind", f"I am not sure which kind of {kind} it is.", kind=kind)
    return _turn(rng, "which_kind", _it_is(sighting), kind=kind)


def _exists(rng: np.random.Generator, reading: Reading) -> Turn | None:
    if rng.random() < 0.5:
        if not reading.named:
            return None
        sighting = reading.named[rng.integers(len(reading.named))]
        nouns = [*sighting.kinds[:2]]
        if sighting.class_is_sure:
            nouns += [sighting.label.name] * 3
        return _exists_turn(rng, reading, str(rng.choice(nouns)))
    if rng.random() < 0.35:
        kind = absent_kind(rng, reading)
        return _exists_turn(rng, reading, kind) if kind else None
    label = _absent_class(rng, reading)
    return _exists_turn(rng, reading, imagenet_classes()[label].name) if label is not None else None


def _exists_turn(rng: np.random.Generator, reading: Reading, noun: str) -> Turn | None:
    phrase, plural, labels = asked_about(noun)
    presence = reading.presence(noun, labels)
    answer = exists_answer(reading, phrase, noun, presence)
    if phrase == noun or (plural != noun and rng.random() < 0.2):
        return _turn(rng, "exists", answer.replace(phrase, plural) if presence is Presence.NO else answer,
                     "exists_plural", plural=plural)  # fmt: skip
    return _turn(rng, "exists", answer, a_noun=phrase)


def asked_about(noun: str) -> tuple[str, str, tuple[int, ...]]:
    """Return a noun with its article, its plural, and the classes that it stands for.

    Args:
        noun: the name of a class or a kind.
    """
    for each in imagenet_classes():
        if each.name == noun:
            return each.phrase, each.plural, (each.index,)
    phrase = kind_phrase(noun)
    plural = noun if noun in ("fish", "food", "clothing", "furniture") else plural_of(noun)
    return phrase, plural, classes_of_kind(noun)


def _exists_reason(rng: np.random.Generator, reading: Reading) -> Turn | None:
    if len(reading.named) != 1:
        return None
    sighting = reading.named[0]
    if rng.random() < 0.5:
        if not sighting.class_is_sure:
            return None
        return _turn(rng, "exists_reason", f"Yes, it is {sighting.label.phrase}.", a_noun=sighting.label.phrase)
    label = _absent_class(rng, reading)
    if label is None:
        return None
    phrase = imagenet_classes()[label].phrase
    return _turn(rng, "exists_reason", f"No, it is not {phrase}. {_it_is(sighting)}", a_noun=phrase)


def _is_kind(rng: np.random.Generator, reading: Reading) -> Turn | None:
    if len(reading.named) != 1:
        return None
    sighting = reading.named[0]
    if rng.random() < 0.5:
        if not sighting.kinds:
            return None
        phrase = kind_phrase(str(rng.choice(sighting.kinds)))
        reason = f" {_it_is(sighting)}" if sighting.class_is_sure else ""
        return _turn(rng, "is_kind", f"Yes, it is {phrase}.{reason}", a_kind=phrase)
    kind = absent_kind(rng, reading)
    if kind is None:
        return None
    return _turn(rng, "is_kind", f"No, it is not {kind_phrase(kind)}. {_it_is(sighting)}", a_kind=kind_phrase(kind))


def _where(rng: np.random.Generator, reading: Reading) -> Turn | None:
    if reading.named and rng.random() < 0.8:
        sighting = reading.named[rng.integers(len(reading.named))]
        return _turn(rng, "where", place_sentence(sighting), noun=noun_of(sighting))
    return _about_absent(rng, reading, "where")


def _about_absent(rng: np.random.Generator, reading: Reading, question: str) -> Turn | None:
    """Return a question that takes for granted what is not there."""
    label = _absent_class(rng, reading)
    if label is None:
        return None
    absent = imagenet_classes()[label]
    return _turn(rng, question, f"I do not see {absent.phrase} in the picture.", noun=absent.name)


def _kinds_count(rng: np.random.Generator, reading: Reading) -> Turn | None:
    if not reading.named:
        return _turn(rng, "kinds_count", not_sure(reading))
    number = ("one thing", "two things", "three things")[len(reading.named) - 1]
    return _turn(rng, "kinds_count", f"I see {number}: {joined([phrase_of(each) for each in reading.named])}.")


def _one_word(rng: np.random.Generator, reading: Reading) -> Turn | None:
    if not reading.named:
        return _turn(rng, "one_word", NOT_SURE)
    sighting = reading.named[0]
    single = [noun for noun in (noun_of(sighting), *sighting.kinds) if " " not in noun]
    return _turn(rng, "one_word", f"{single[0][0].upper()}{single[0][1:]}." if single else None)


def _count(rng: np.random.Generator, reading: Reading) -> Turn | None:
    if reading.named and rng.random() < 0.75:
        plural = asked_about(noun_of(reading.named[0]))[1]
        return _turn(rng, "count", CANNOT_COUNT, plural=plural)
    label = _absent_class(rng, reading)
    if label is None:
        return None
    plural = imagenet_classes()[label].plural
    return _turn(rng, "count", f"I do not see any {plural} in the picture.", plural=plural)


def _color(rng: np.random.Generator, reading: Reading) -> Turn | None:
    if reading.named and rng.random() < 0.75:
        return _turn(rng, "color", CANNOT_TELL, noun=noun_of(reading.named[0]))
    return _about_absent(rng, reading, "color")


def _text(rng: np.random.Generator, reading: Reading) -> Turn | None:
    return _turn(rng, "text", CANNOT_READ)


def _unknowable(rng: np.random.Generator, reading: Reading) -> Turn | None:
    if reading.named and rng.random() < 0.4:
        question = worded(rng, UNKNOWABLE_ABOUT, noun=noun_of(reading.named[0]))
    else:
        question = worded(rng, UNKNOWABLE)
    return Turn("photo-unknowable", question, CANNOT_TELL)


Ask = Callable[[np.random.Generator, Reading], Turn | None]

FIRST_QUESTIONS: dict[Ask, float] = {
    _what: 24,
    _exists: 20,
    _exists_reason: 7,
    _is_kind: 8,
    _which_kind: 9,
    _where: 9,
    _where_is_what: 5,
    _kinds_count: 2.5,
    _one_word: 3,
    _count: 2.5,
    _color: 3,
    _text: 3,
    _unknowable: 9,
}
"""What a conversation may begin with, and how often."""


def _where_it(rng: np.random.Generator, reading: Reading) -> Turn | None:
    if not reading.named or len(reading.named) > 1:
        return None
    return _turn(rng, "where_it", place_sentence(reading.named[0]))


def _else(rng: np.random.Generator, reading: Reading) -> Turn | None:
    if not reading.named:
        return None
    return _turn(rng, "else", "I do not see anything else that I can name.")


def _sure(rng: np.random.Generator, reading: Reading) -> Turn | None:
    if not reading.named:
        return _turn(rng, "sure", "No, I am not sure.")
    main = reading.named[0]
    quite = main.class_is_sure and main.mass >= 0.45 and main.lead >= 0.8
    return _turn(rng, "sure", "Yes, I am quite sure." if quite else "I am fairly sure, but I may be wrong.")


def _about_it(rng: np.random.Generator, reading: Reading) -> Turn | None:
    if len(reading.named) != 1 or _is_plural(reading.named[0]):
        return None
    return Turn("photo-unknowable", worded(rng, ABOUT_IT[str(rng.choice(list(ABOUT_IT)))]), CANNOT_TELL)


FOLLOW_UPS: dict[Ask, float] = {
    _where_it: 5, _else: 3, _sure: 2, _about_it: 3, _exists: 6, _is_kind: 3, _where: 2, _unknowable: 2, _count: 1,
}  # fmt: skip
"""What may follow an answer that said what the picture shows."""


def _ask_one_of(rng: np.random.Generator, questions: dict[Ask, float], reading: Reading) -> Turn:
    """Return the first question, in random order by weight, that this picture settles."""
    weights = np.array(list(questions.values()))
    order = rng.choice(len(weights), size=len(weights), replace=False, p=weights / weights.sum())
    for choice in order:
        turn = list(questions)[choice](rng, reading)
        if turn is not None:
            return turn
    return Turn("photo-unknowable", worded(rng, UNKNOWABLE), CANNOT_TELL)


def sample(number: int) -> Lesson:
    """Return a lesson about a photograph: two to four separate questions, or one with follow-ups.

    Args:
        number: which one; the same number gives the same lesson.
    """
    rng = np.random.default_rng([STREAM, number])
    words = draw_words(rng)
    reading = read_photograph(words)
    if rng.random() < 0.7:
        questions = [_ask_one_of(rng, FIRST_QUESTIONS, reading) for _ in range(rng.integers(2, 5))]
        return Lesson(tuple({turn.question: turn for turn in questions}.values()), classes=words)
    first = _what(rng, reading)
    assert first is not None
    turns = [first]
    for _ in range(rng.integers(1, 3)):
        turn = _ask_one_of(rng, FOLLOW_UPS, reading)
        if turn.skill not in {each.skill for each in turns}:
            before = str(rng.choice(BEFORE_FOLLOW_UP))
            question = before + (turn.question[0].lower() + turn.question[1:] if before == "And " else turn.question)
            turns.append(Turn(turn.skill, question, turn.answer))
    return Lesson(tuple(turns), classes=words)
