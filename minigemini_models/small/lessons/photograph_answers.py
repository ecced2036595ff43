"""The sentences that answer questions about photographs; the same question gets the same form."""

from ..imagenet_classes import Noun, kind_phrase
from ..lesson import NOT_SURE
from .photograph_reading import FILLS, Presence, Reading, Sighting, likely_kind, position_of

CANNOT_COUNT = "I cannot tell how many there are."
CANNOT_READ = "I cannot read any text in the picture."
NOTHING_ELSE = "I do not see anything else that I can name."
NOTHING_THERE = "I do not see anything there that I can name."


def phrase_of(sighting: Sighting) -> str:
    """Return what a thing is, as it stands after "it is": its class, or the kind that is sure."""
    return sighting.label.phrase if sighting.class_is_sure else kind_phrase(sighting.kinds[0])


def noun_of(sighting: Sighting) -> str:
    """Return what a thing is without article, as it stands after "the"."""
    return sighting.label.name if sighting.class_is_sure else sighting.kinds[0]


def is_plural(sighting: Sighting) -> bool:
    """Whether "are" goes with a thing."""
    return sighting.class_is_sure and sighting.label.number == "plural"


def be(sighting: Sighting) -> str:
    return "are" if is_plural(sighting) else "is"


def it_is(sighting: Sighting) -> str:
    """Return the sentence that says what one thing is."""
    return f"{'They are' if is_plural(sighting) else 'It is'} {phrase_of(sighting)}."


def joined(phrases: list[str], last: str = "and") -> str:
    """Return "a", "a and b" or "a, b and c"."""
    return f" {last} ".join([*([", ".join(phrases[:-1])] if phrases[:-1] else []), phrases[-1]])


def shows(reading: Reading) -> str:
    """Return the sentence that says what the picture shows, or that it is not sure."""
    if not reading.named:
        return not_sure(reading)
    main = reading.named[0]
    guess = f" It may be {main.label.phrase}." if not main.class_is_sure and main.may_be_guessed else ""
    return f"The picture shows {joined([phrase_of(each) for each in reading.named])}.{guess}"


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
        return f"The {noun_of(sighting)} {'fill' if is_plural(sighting) else 'fills'} most of the picture."
    return f"The {noun_of(sighting)} {be(sighting)} {position}."


def exists_answer(reading: Reading, noun: Noun, asked: str) -> str:
    """Return the answer to "is there …?".

    Args:
        reading: what the picture shows.
        noun: what was asked about.
        asked: how it was named in the question: "a cat", "cats", "food".
    """
    presence = reading.presence(noun)
    if presence is Presence.YES:
        seen = next(each for each in reading.named if each.may_be_called(noun.name))
        return f"Yes, there {be(seen)} {phrase_of(seen)}."
    if presence is Presence.UNSURE:
        return f"I am not sure. There may be {noun.phrase}."
    return f"No, I do not see {asked}."
