"""Teach saying "I cannot tell.": questions that the image does not answer."""

from collections.abc import Callable

import numpy as np

from ..scenes.colors import pick
from ..scenes.concepts import COLORED_NAMES, ICON_NAMES, confusable
from ..scenes.scene import Scene
from ..scenes.splits import TRAINING
from .descriptions import reference
from .object_qa import RELATIONS
from .turns import CANNOT_TELL, Turn, ask

SKILL = "unknown"


def unanswerable_turn(scene: Scene, rng: np.random.Generator) -> Turn:
    """Sample a question that fits the kind of scene but concerns something absent, or one that no image answers."""
    choices: list[Callable[[], Turn]] = [lambda: _unanswerable(rng, "unknowable"), lambda: _about_absent(scene, rng)]
    if scene.objects:
        choices.append(lambda: _about_present(scene, rng))
    if not scene.written:
        choices.append(lambda: _unanswerable(rng, "read"))
    if scene.bars:
        choices += 2 * [lambda: _unanswerable(rng, "value", label=_sample_absent_word(scene, rng))]
    if scene.cells:
        choices += 2 * [lambda: _about_absent_row(scene, rng)]
    return pick(rng, choices)()


def _unanswerable(rng: np.random.Generator, question: str, **words: str) -> Turn:
    return ask(rng, question, CANNOT_TELL, SKILL, **words)


def _about_absent(scene: Scene, rng: np.random.Generator) -> Turn:
    """Ask for the color of an absent object, or for what is next to it."""
    while True:
        color = rng.random() < 0.5
        name = pick(rng, COLORED_NAMES if color else ICON_NAMES)
        if any(confusable(name, obj.name) for obj in scene.objects):
            continue
        if color:
            return _unanswerable(rng, "colour", name=name)
        return _unanswerable(rng, "beside", name=name, relation=pick(rng, tuple(RELATIONS)))


def _about_present(scene: Scene, rng: np.random.Generator) -> Turn:
    """Ask for a property of an object that images do not show."""
    name = reference(pick(rng, scene.objects), scene.objects)
    return _unanswerable(rng, "unknowable_about", name=name) if name else _unanswerable(rng, "unknowable")


def _about_absent_row(scene: Scene, rng: np.random.Generator) -> Turn:
    column = pick(rng, scene.cells[0][1:]).word
    return _unanswerable(rng, "cell", row=_sample_absent_word(scene, rng), column=column)


def _sample_absent_word(scene: Scene, rng: np.random.Generator) -> str:
    """Sample a word that does not occur in the scene."""
    shown = {sign.word for sign in scene.written}
    while True:
        word = TRAINING.texts.draw(rng)
        if word not in shown:
            return word
