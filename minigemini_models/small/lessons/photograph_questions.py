"""One question about a photograph with its answer, by question kind; None where the picture does not settle it."""

from collections.abc import Callable

import numpy as np

from ...samples.turns import Turn
from ..imagenet_classes import VAGUE_KINDS, Noun, imagenet_classes, kind_phrase, nouns
from ..lesson import CANNOT_TELL, NOT_SURE
from ..similar_classes import similar_classes
from .photograph_answers import (
    CANNOT_COUNT,
    CANNOT_READ,
    NOTHING_ELSE,
    NOTHING_THERE,
    be,
    exists_answer,
    is_plural,
    it_is,
    joined,
    not_sure,
    noun_of,
    phrase_of,
    place_sentence,
    shows,
)
from .photograph_placeholders import PARTS, SCENES, SIZES, worded
from .photograph_reading import FILLS, Presence, Reading, Sighting, among, likely_kind, position_of
from .photograph_unknowables import ABOUT_IT, UNKNOWABLE, UNKNOWABLE_ABOUT
from .photograph_wordings import QUESTIONS

Ask = Callable[[np.random.Generator, Reading], Turn | None]

ASKED_KINDS = (
    *("dog", "cat", "bird", "fish", "insect", "snake", "monkey", "bear", "butterfly", "frog", "turtle", "elephant"),
    *("animal", "vehicle", "car", "food", "fruit", "building", "musical instrument", "ship"),
)
"""Kinds that are asked about where they are absent: their lists of classes are complete."""

OFFERED_KINDS = (
    *("animal", "vehicle", "food", "building", "musical instrument", "furniture", "clothing", "tool", "plant"),
    *("bird", "insect", "fish", "dog", "fruit", "reptile", "snake", "container"),
)
"""Kinds to choose from in "is it an animal, a vehicle or a building?"."""

_EASILY_CONFUSED = {
    "furniture": ("object", "household item", "household appliance", "place", "structure"),
    "clothing": ("armor", "swimwear", "hat", "shoe", "object", "bag"),
    "tool": ("kitchen tool", "object", "office supply", "weapon", "household item", "machine", "measuring device"),
    "plant": ("fruit", "vegetable", "flower", "food", "fungus", "landscape"),
    "container": ("cup", "bottle", "bag", "kitchen tool", "cookware", "food", "drink", "household item", "object"),
    "reptile": ("amphibian", "dinosaur"),
    "cat": ("big cat",),
    "dog": ("wolf", "wild dog", "fox"),
    "monkey": ("ape", "lemur"),
    "fish": ("whale", "sea creature"),
    "insect": ("arachnid",),
    "turtle": ("sea creature",),
    "food": ("drink", "plant", "fungus", "container", "kitchen appliance", "cookware", "object", "shop", "cup", "fish"),
    "fruit": ("vegetable", "plant", "food"),
    "building": ("structure", "place", "roof", "tower", "shop", "vehicle"),
    "ship": ("boat", "vehicle"),
    "vehicle": ("machine", "car part", "object", "toy", "sports equipment", "tool", "weapon"),
    "car": ("vehicle", "car part", "object"),
    "animal": ("toy", "object", "food", "container", "fossil", "structure", "place"),
    "musical instrument": ("object", "furniture"),
}
"""Kinds that may be, show or contain the first: where they are seen, it is not asked about as absent."""

_DISTINCT_KINDS = frozenset({"aircraft", "ball", "boat", "fruit", "hat", "musical instrument", "truck", "vegetable"})
"""Beside animals, kinds whose similar classes are neither parts nor other names of each other."""

WORD_OF_COUNT = ("one thing", "two things", "three things")


def _one_of(rng: np.random.Generator, reading: Reading) -> Sighting:
    return reading.named[rng.integers(len(reading.named))]


def _only(reading: Reading) -> Sighting | None:
    return reading.named[0] if len(reading.named) == 1 else None


def _turn(rng: np.random.Generator, wordings: str, answer: str | None, skill: str = "", **words: str) -> Turn | None:
    if answer is None:
        return None
    return Turn(f"photo-{skill or wordings}", worded(rng, QUESTIONS[wordings], **words), answer)


def _like_another_name(first: str, second: str) -> bool:
    return first == second or first.endswith(f" {second}") or second.endswith(f" {first}")


def _can_be_denied(label: int, reading: Reading) -> bool:
    """Whether "no" is surely right about a class: it has no words, and is no other name or part of what is seen."""
    candidate = imagenet_classes()[label]
    if reading.presence(nouns()[candidate.name]) is not Presence.NO:
        return False
    for seen in reading.named:
        names = [(own, other) for own in (candidate.name, *candidate.synonyms)
                 for other in (seen.label.name, *seen.label.synonyms)]  # fmt: skip
        distinct = candidate.kinds[-1] == "animal" or candidate.kinds[0] in _DISTINCT_KINDS
        nearest = similar_classes().indices[seen.label.index][: 3 if distinct else None]
        kind_unsure = not seen.class_is_sure and seen.kinds[0] in candidate.kinds
        if label in nearest or kind_unsure or any(_like_another_name(*pair) for pair in names):
            return False
    return True


def absent_noun(rng: np.random.Generator, reading: Reading) -> Noun | None:
    """Return a class that is surely absent; half the time one that is like something in the picture."""
    near = [int(label) for each in reading.named for label in similar_classes().indices[each.label.index]]
    pool = near if near and rng.random() < 0.5 else rng.integers(len(imagenet_classes()), size=8).tolist()
    for label in rng.permutation(pool).tolist():
        if _can_be_denied(label, reading):
            return nouns()[imagenet_classes()[label].name]
    return None


def absent_kind(rng: np.random.Generator, reading: Reading) -> Noun | None:
    """Return a kind that is surely absent."""
    seen = {kind for each in reading.named for kind in each.label.kinds}
    for kind in rng.permutation(ASKED_KINDS).tolist():
        if not seen & {kind, *_EASILY_CONFUSED.get(kind, ())} and reading.presence(nouns()[kind]) is Presence.NO:
            return nouns()[kind]
    return None


def _noun_for(rng: np.random.Generator, sighting: Sighting) -> Noun:
    """Return something that a thing may be called: its name, a synonym or one of its two most specific kinds."""
    names = list(sighting.kinds[:2])
    if sighting.class_is_sure:
        names += [sighting.label.name] * 3
        names += list(sighting.label.synonyms[:1])
    return nouns()[str(rng.choice(names))]


def what(rng: np.random.Generator, reading: Reading) -> Turn:
    """Ask what the picture shows: the one question that every picture settles."""
    if len(reading.named) == 1 and rng.random() < 0.25:
        question = worded(rng, QUESTIONS["what_is_there"], scene=str(rng.choice(SCENES)))
        return Turn("photo-what", question, it_is(reading.named[0]))
    skill = "what" if rng.random() < 0.6 else "describe"
    return Turn(f"photo-{skill}", worded(rng, QUESTIONS[skill]), shows(reading))


def where_is_what(rng: np.random.Generator, reading: Reading) -> Turn | None:
    places = [place_sentence(each) for each in reading.named]
    if None in places:
        return None
    return _turn(rng, "where_is_what", " ".join([shows(reading), *(place for place in places if place)]))


def which_kind(rng: np.random.Generator, reading: Reading) -> Turn | None:
    """Ask "which animal is this?", now and then where there is none."""
    if reading.named and rng.random() < 0.1:
        absent = absent_kind(rng, reading)
        if absent is None:
            return None
        return _turn(rng, "which_kind", f"I do not see {absent.phrase}. {shows(reading)}", kind=absent.name)
    sighting = _one_of(rng, reading) if reading.named else None
    seen = sighting.label if sighting else imagenet_classes()[int(reading.masses.argmax())]
    kinds = [kind for kind in seen.kinds if kind not in VAGUE_KINDS]
    if not kinds or (sighting and not set(kinds) & set(sighting.kinds)):
        return None
    kind = str(rng.choice(kinds))
    if sum(kind in each.label.kinds for each in reading.named) > 1:
        return None
    found = sighting.label if sighting and sighting.class_is_sure else among(nouns()[kind], reading)
    if found is not None:
        answer = f"{'They are' if found.number == 'plural' else 'It is'} {found.phrase}."
    elif sighting and kind in sighting.kinds and sighting.kinds[0] != kind:
        answer = it_is(sighting)
    else:
        answer = f"I am not sure which {kind} it is."
    if rng.random() < 0.5:
        words = {"scene": str(rng.choice(SCENES)), "size": str(rng.choice(SIZES))}
        return _turn(rng, "which_kind_is_there", answer, "which_kind", kind=kind, **words)
    return _turn(rng, "which_kind", answer, kind=kind)


def which_of_kinds(rng: np.random.Generator, reading: Reading) -> Turn | None:
    """Ask "is it an animal, a vehicle or a building?" about the one thing in the picture."""
    sighting = _only(reading)
    if sighting is None and reading.named:
        return None
    kinds = [kind for kind in (sighting.kinds if sighting else ()) if kind in OFFERED_KINDS]
    if sighting is None and (likely := likely_kind(reading.masses)):
        kinds = [likely]
    if not kinds:
        return None
    right = str(rng.choice(kinds))
    similar = {right, *_EASILY_CONFUSED.get(right, ()), *(sighting.label.kinds if sighting else ())}
    others = [
        kind for kind in rng.permutation(OFFERED_KINDS).tolist()
        if kind not in similar and right not in _EASILY_CONFUSED.get(kind, ())
        and reading.presence(nouns()[kind]) is Presence.NO
    ][: rng.integers(1, 4)]  # fmt: skip
    if not others:
        return None
    offered = rng.permutation([right, *others]).tolist()
    if rng.random() < 0.2:
        return _turn(rng, "which_of_kinds_plural", f"They are {nouns()[right].plural}.", "which_of_kinds",
                     kinds=joined([nouns()[kind].plural for kind in offered], "or"))  # fmt: skip
    phrases = joined([kind_phrase(kind) for kind in offered], "or")
    return _turn(rng, "which_of_kinds", f"It is {kind_phrase(right)}.", kinds=phrases)


def exists_turn(rng: np.random.Generator, reading: Reading, noun: Noun, wordings: str = "exists") -> Turn | None:
    """Ask whether something is there."""
    if noun.number == "uncountable" and noun.phrase == noun.name:
        return _turn(rng, "exists_uncountable", exists_answer(reading, noun, noun.name), "exists", noun=noun.name)
    if noun.number == "plural" or (noun.number == "countable" and wordings == "exists" and rng.random() < 0.2):
        return _turn(rng, "exists_plural", exists_answer(reading, noun, noun.plural), "exists", plural=noun.plural)
    return _turn(rng, wordings, exists_answer(reading, noun, noun.phrase), "exists", a_noun=noun.phrase)


def _unsure_noun(rng: np.random.Generator, reading: Reading) -> Noun | None:
    """Return something that the picture may show or not."""
    if reading.guess is not None:
        return nouns()[reading.guess.label.name]
    unsure = [each.label.name for each in reading.named if not each.class_is_sure]
    return nouns()[unsure[0]] if unsure else None


def _exists(rng: np.random.Generator, reading: Reading, wordings: str) -> Turn | None:
    if rng.random() < 0.12 and (noun := _unsure_noun(rng, reading)):
        return exists_turn(rng, reading, noun, wordings)
    if reading.named and rng.random() < 0.5:
        return exists_turn(rng, reading, _noun_for(rng, _one_of(rng, reading)), wordings)
    if not reading.named and rng.random() < 0.5:
        return None
    absent = absent_kind(rng, reading) if rng.random() < 0.6 else absent_noun(rng, reading)
    return exists_turn(rng, reading, absent, wordings) if absent else None


def exists(rng: np.random.Generator, reading: Reading) -> Turn | None:
    return _exists(rng, reading, "exists")


def exists_too(rng: np.random.Generator, reading: Reading) -> Turn | None:
    return _exists(rng, reading, "exists_too" if rng.random() < 0.6 else "exists")


def exists_reason(rng: np.random.Generator, reading: Reading) -> Turn | None:
    """Ask "is this a beagle?" about the one thing in the picture; "no" says what it is."""
    sighting = _only(reading)
    if sighting is None or is_plural(sighting):
        return None
    if rng.random() < 0.5:
        phrase = sighting.label.phrase
        return _turn(rng, "exists_reason", f"Yes, it is {phrase}.", a_noun=phrase) if sighting.class_is_sure else None
    absent = absent_noun(rng, reading)
    if absent is None or absent.number == "plural":
        return None
    answer = f"No, it is not {absent.phrase}. {it_is(sighting)}"
    return _turn(rng, "exists_reason", answer, a_noun=absent.phrase)


def is_kind(rng: np.random.Generator, reading: Reading) -> Turn | None:
    """Ask "is it an animal?" about the one thing in the picture."""
    sighting = _only(reading)
    if sighting is None or is_plural(sighting):
        return None
    if rng.random() < 0.5:
        if not sighting.kinds:
            return None
        kind = nouns()[str(rng.choice(sighting.kinds))]
        reason = f" {it_is(sighting)}" if sighting.class_is_sure else ""
        return _turn(rng, "is_kind", f"Yes, it is {kind.phrase}.{reason}", a_kind=kind.phrase, kind=kind.name)
    absent = absent_kind(rng, reading)
    if absent is None:
        return None
    answer = f"No, it is not {absent.phrase}. {it_is(sighting)}"
    return _turn(rng, "is_kind", answer, a_kind=absent.phrase, kind=absent.name)


def either(rng: np.random.Generator, reading: Reading) -> Turn | None:
    """Ask "is it a cat or a dog?" about the one thing in the picture; now and then it is neither."""
    sighting = _only(reading)
    if sighting is None or is_plural(sighting):
        return None
    by_kind = rng.random() < 0.5
    wrong = absent_kind(rng, reading) if by_kind else absent_noun(rng, reading)
    if by_kind:
        options = [kind_phrase(sighting.kinds[0])] if sighting.kinds else []
    else:
        options = [sighting.label.phrase] if sighting.class_is_sure else []
    if wrong is None or wrong.number == "plural" or not options:
        return None
    answer = f"It is {options[0]}."
    if rng.random() < 0.2:
        second = absent_noun(rng, reading)
        if second is None or second.number == "plural" or second.name == wrong.name:
            return None
        options, answer = [second.phrase], f"It is neither. {it_is(sighting)}"
    first, last = rng.permutation([*options, wrong.phrase]).tolist()
    return _turn(rng, "either", answer, a_noun=first, a_second=last)


def _about_absent(rng: np.random.Generator, reading: Reading, wordings: str) -> Turn | None:
    """Ask about something as if it were there."""
    absent = absent_noun(rng, reading)
    if absent is None or absent.number == "plural":
        return None
    return _turn(rng, wordings, f"I do not see {absent.phrase} in the picture.", noun=absent.name, be="is", Be="Is")


def where(rng: np.random.Generator, reading: Reading) -> Turn | None:
    if not reading.named or rng.random() < 0.15:
        return _about_absent(rng, reading, "where") if rng.random() < 0.5 else None
    sighting = _one_of(rng, reading)
    verb = be(sighting)
    answer = place_sentence(sighting)
    wordings = "which_side" if answer and answer.endswith(("left.", "right.")) and rng.random() < 0.5 else "where"
    return _turn(rng, wordings, answer, "where", noun=noun_of(sighting), be=verb, Be=verb.capitalize())


def where_it(rng: np.random.Generator, reading: Reading) -> Turn | None:
    sighting = _only(reading)
    if sighting is None or is_plural(sighting):
        return None
    return _turn(rng, "where_it", place_sentence(sighting))


def side(rng: np.random.Generator, reading: Reading) -> Turn | None:
    """Ask what is on one side, or in the middle."""
    positions = [position_of(each) for each in reading.named]
    if not positions or None in positions or FILLS in positions:
        return None
    if len(positions) > 1 and rng.random() < 0.25:
        asked = "in the middle" if "in the middle" not in positions else ""
        return _turn(rng, "side", NOTHING_THERE, position=asked) if asked else None
    chosen = int(rng.integers(len(positions)))
    position = str(positions[chosen])
    if positions.count(position) > 1:
        return None
    sighting = reading.named[chosen]
    return _turn(rng, "side", f"There {be(sighting)} {phrase_of(sighting)} {position}.", position=position)


def kinds_count(rng: np.random.Generator, reading: Reading) -> Turn | None:
    if not reading.named:
        return _turn(rng, "kinds_count", not_sure(reading))
    phrases = [phrase_of(each) for each in reading.named]
    return _turn(rng, "kinds_count", f"I see {WORD_OF_COUNT[len(phrases) - 1]}: {joined(phrases)}.")


def one_word(rng: np.random.Generator, reading: Reading) -> Turn | None:
    sighting = _only(reading)
    if sighting is None:
        return None if reading.named else _turn(rng, "one_word", NOT_SURE)
    single = [noun for noun in (noun_of(sighting), *sighting.kinds) if " " not in noun]
    return _turn(rng, "one_word", f"{single[0][0].upper()}{single[0][1:]}." if single else None)


def count(rng: np.random.Generator, reading: Reading) -> Turn | None:
    if reading.named and rng.random() < 0.75:
        noun = nouns()[noun_of(reading.named[0])]
        return _turn(rng, "count", CANNOT_COUNT, plural=noun.plural) if noun.number == "countable" else None
    return _turn(
        rng, "count", CANNOT_COUNT, plural=str(rng.choice(("things", "animals", "people", "birds", "objects")))
    )


def color(rng: np.random.Generator, reading: Reading) -> Turn | None:
    if not reading.named or rng.random() < 0.5:
        return _turn(rng, "color_of_part", CANNOT_TELL, "color", part=str(rng.choice(PARTS)))
    sighting = reading.named[0]
    verb = be(sighting)
    return _turn(rng, "color", CANNOT_TELL, noun=noun_of(sighting), be=verb, Be=verb.capitalize())


def text(rng: np.random.Generator, reading: Reading) -> Turn | None:
    return _turn(rng, "text", CANNOT_READ)


def people(rng: np.random.Generator, reading: Reading) -> Turn | None:
    """Ask about people: of the thousand classes only three are persons, so their absence says nothing."""
    seen = [each for each in reading.named if "person" in each.kinds]
    answer = f"Yes, there is {phrase_of(seen[0])}." if seen else "I am not sure whether there is a person."
    return _turn(rng, "people", answer)


def unknowable(rng: np.random.Generator, reading: Reading) -> Turn | None:
    if reading.named and rng.random() < 0.4:
        if is_plural(reading.named[0]):
            return None
        return Turn("photo-unknowable", worded(rng, UNKNOWABLE_ABOUT, noun=noun_of(reading.named[0])), CANNOT_TELL)
    return Turn("photo-unknowable", worded(rng, UNKNOWABLE), CANNOT_TELL)


def unknowable_about_it(rng: np.random.Generator, reading: Reading) -> Turn | None:
    sighting = _only(reading)
    if sighting is None or is_plural(sighting):
        return None
    return Turn("photo-unknowable", worded(rng, ABOUT_IT[str(rng.choice(list(ABOUT_IT)))]), CANNOT_TELL)


def sure(rng: np.random.Generator, reading: Reading) -> Turn | None:
    """Ask whether the last answer, which said what the picture shows, is sure."""
    if not reading.named:
        return _turn(rng, "sure", "I am not sure.")
    main = reading.named[0]
    quite = main.class_is_sure and main.mass >= 0.45 and main.lead >= 0.8
    return _turn(rng, "sure", "I am quite sure." if quite else "I am fairly sure, but I may be wrong.")


def nothing_else(rng: np.random.Generator, reading: Reading) -> Turn | None:
    """Ask for more after everything has been named."""
    return _turn(rng, "else", NOTHING_ELSE) if reading.named else None


def what_else(rng: np.random.Generator, reading: Reading, told: Sighting) -> Turn | None:
    """Ask for more after one thing has been named."""
    others = [each for each in reading.named if each is not told]
    if not others:
        return _turn(rng, "else", NOTHING_ELSE)
    return _turn(rng, "else", f"There {be(others[0])} also {joined([phrase_of(each) for each in others])}.")


def exists_then_more(rng: np.random.Generator, reading: Reading) -> list[Turn]:
    """Ask for one thing in the picture, and then what else there is; empty if the picture shows nothing surely."""
    if not reading.named:
        return []
    told = _one_of(rng, reading)
    noun = _noun_for(rng, told)
    if sum(each.may_be_called(noun.name) for each in reading.named) > 1:
        return []
    return [turn for turn in (exists_turn(rng, reading, noun), what_else(rng, reading, told)) if turn]
