"""Conversations about a scene: questions of many kinds, each with the one right answer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from .colours import pick
from .drawings import NAMES, OBJECTS
from .scene import MAX_COUNT, Scene, Thing

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six")


@dataclass(frozen=True)
class Turn:
    """One round. `skill` groups rounds for evaluation."""

    skill: str
    question: str
    answer: str


QUESTIONS: dict[str, tuple[str, ...]] = {
    "describe": ("Describe the picture.", "What is in the picture?", "What do you see?"),
    "name": ("What is this?", "What is shown here?", "Name the thing in the picture."),
    "colour": ("What colour is the {name}?", "Which colour does the {name} have?", "What is the colour of the {name}?"),
    "find": ("What is the {colour} thing?", "What is {colour}?", "Which thing is {colour}?"),
    "count": ("How many {plural} are there?", "How many {plural} do you see?", "Count the {plural}."),
    "exists": ("Is there {a_name}?", "Is there {a_name} in the picture?", "Do you see {a_name}?"),
    "read": ("What does the sign say?", "Read the word.", "What is written here?", "Which word is this?"),
    "read_all": ("Read all the words from top to bottom.", "Which words do you see?", "Read the words."),
}

SPELLING_SKILLS = ("describe", "read", "read_all")
"""Skills whose answer spells out the words of a scene that has any."""


def conversation(scene: Scene, rng: np.random.Generator, max_turns: int = 5) -> list[Turn]:
    """Up to `max_turns` different rounds that fit the scene, in any order.

    At most one of them spells out what is written: a second one could be copied from the first.
    """
    turns, spelt = [], False
    for turn in rng.permutation(np.array(possible_turns(scene, rng), dtype=object)):
        spells = bool(scene.signs) and turn.skill in SPELLING_SKILLS
        if not (spells and spelt):
            turns.append(turn)
        spelt |= spells
    return turns[:max_turns]


def possible_turns(scene: Scene, rng: np.random.Generator) -> list[Turn]:
    """Every round that the scene can answer, each question in one of its wordings."""

    def turn(skill: str, answer: str, **words: str) -> Turn:
        return Turn(skill, pick(rng, QUESTIONS[skill]).format(**words), answer)

    turns = [turn("describe", describe(scene))]
    if scene.kind == "single" and scene.things:
        turns.append(turn("name", f"{_capital(phrase(scene.things[0]))}."))
    if scene.kind == "sign" and scene.signs:
        turns.append(turn("read", scene.signs[0].word))
    if scene.kind == "words" and scene.signs:
        turns.append(turn("read_all", _words(scene)))
    if scene.things:
        turns += _turns_about_things(scene.things, rng, turn)
    return turns


def describe(scene: Scene) -> str:
    """One sentence that names everything: signs first, things from left to right."""
    if scene.kind == "words":
        return f"The words {_words(scene)}." if scene.signs else "Nothing."
    parts = [f"a sign that says {sign.word}" for sign in scene.signs]
    if scene.kind == "count" and scene.things:
        parts.append(_count_phrase(scene.things))
    else:
        parts += [phrase(thing) for thing in sorted(scene.things, key=lambda thing: thing.box[0])]
    if not parts:
        return "Nothing."
    joined = ", ".join(parts[:-1]) + " and " + parts[-1] if len(parts) > 1 else parts[0]
    return f"{_capital(joined)}."


def _count_phrase(things: tuple[Thing, ...]) -> str:
    """ "three red stars", "two fish" of different colours, "a red star"."""
    if len(things) == 1:
        return phrase(things[0])
    colours = {thing.colour_name for thing in things}
    colour = f"{things[0].colour_name} " if len(colours) == 1 else ""
    return f"{NUMBERS[len(things)]} {colour}{plural(things[0].name)}"


def phrase(thing: Thing) -> str:
    return with_article(f"{thing.colour_name} {thing.name}")


def with_article(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def plural(name: str) -> str:
    return name if name == "fish" else f"{name}es" if name == "cross" else f"{name}s"


def messages(turns: list[Turn], images: list[Image.Image]) -> list[dict[str, Any]]:
    """Chat messages as Transformers' templates take them; the pictures stand in the first."""
    result: list[dict[str, Any]] = []
    for number, turn in enumerate(turns):
        pictures = [{"type": "image", "image": image} for image in images] if number == 0 else []
        result.append({"role": "user", "content": [*pictures, {"type": "text", "text": turn.question}]})
        result.append({"role": "assistant", "content": [{"type": "text", "text": turn.answer}]})
    return result


def _turns_about_things(things: tuple[Thing, ...], rng: np.random.Generator, turn: Callable[..., Turn]) -> list[Turn]:
    names, colours = [thing.name for thing in things], [thing.colour_name for thing in things]
    turns = []
    one = pick(rng, things)
    if {thing.colour_name for thing in things if thing.name == one.name} == {one.colour_name}:
        turns.append(turn("colour", f"{one.colour_name.capitalize()}.", name=one.name))
    if colours.count(one.colour_name) == 1:
        turns.append(turn("find", f"{_capital(with_article(one.name))}.", colour=one.colour_name))
    if len(things) <= MAX_COUNT:
        turns.append(turn("count", f"{NUMBERS[names.count(one.name)].capitalize()}.", plural=plural(one.name)))
        if len(things) > 1:
            turns.append(turn("count", f"{NUMBERS[len(things)].capitalize()}.", plural="things"))
    asked = one.name if rng.random() < 0.5 else pick(rng, NAMES)
    turns.append(turn("exists", "Yes." if asked in names else "No.", a_name=with_article(asked)))
    if len(things) == 1:
        kind = "object" if one.name in OBJECTS else "shape"
        turns.append(Turn("name", f"What {kind} is this?", f"{_capital(with_article(one.name))}."))
    return turns


def _words(scene: Scene) -> str:
    return " ".join(sign.word for sign in scene.signs)


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]
