"""The drawn world's skills as tasks: fresh scenes that no training ever draws, one measure per skill."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from minigemini.evaluation.task import Grade, Graded, Measure, Message, Question, Task, UnitScore, user

from ..samples.conversations import possible_exchanges
from ..samples.dialogs import PAIR_KINDS, Dialog, sample_pair
from ..scenes.composition import sample_scene
from ..scenes.scene import Scene
from .skills import FIRST_SKILLS, PAGE_SKILLS, SKILLS, Skill

SAMPLES = 400
"""Questions per skill, if no other number is asked for."""


@dataclass(frozen=True)
class LazyScene:
    """A scene that is drawn when somebody looks."""

    scene: Scene

    def __call__(self) -> Image.Image:
        return self.scene.draw()[0]


class SyntheticTask(Task):
    """A table of skills; `limit` counts questions per skill."""

    max_new_tokens = 48
    skills: ClassVar[tuple[Skill, ...]]

    def questions(self, data: Path | None, limit: int | None = None) -> list[Question]:
        return [question for skill in self.skills for question in questions(skill, limit or SAMPLES)]

    def grade(self, question: Question, said: str) -> Grade:
        right, of = self._skill(question).grade(question.truth, said)
        return Grade(right / of, said, weight=of)

    def measures(self, graded: Graded) -> list[Measure]:
        by_skill: dict[str, list[UnitScore]] = {}
        for question, grade in graded:
            by_skill.setdefault(question.facts["skill"], []).append(UnitScore(question.unit, grade.value, grade.weight))
        return [Measure(skill, tuple(marks)) for skill, marks in by_skill.items()]

    def _skill(self, question: Question) -> Skill:
        return next(skill for skill in self.skills if skill.name == question.facts["skill"])


class SyntheticBasic(SyntheticTask):
    name, title, skills = "synthetic-basic", "Words, colours, counts and questions of yes and no", FIRST_SKILLS


class Synthetic(SyntheticTask):
    name, title, skills = "synthetic", "Every skill, by what training never shows", SKILLS


class SyntheticDocuments(SyntheticTask):
    name, title, skills = "synthetic-documents", "Texts, charts and tables of 512 pixels", PAGE_SKILLS


def questions(skill: Skill, samples: int) -> list[Question]:
    """What is asked about a skill, each question about a scene of its own."""
    return [_question(number, skill, dialog) for number, dialog in enumerate(lessons(skill, samples))]


def lessons(skill: Skill, samples: int) -> Iterator[Dialog]:
    """The first `samples` scenes of the kind in which the question can be asked, with the rounds that end in it."""
    return islice((dialog for seed in count() if (dialog := _lesson(skill, seed))), samples)


def _lesson(skill: Skill, seed: int) -> Dialog | None:
    scenes: tuple[Scene, ...]
    if skill.kind in PAIR_KINDS:
        scenes, exchanges = sample_pair(seed, skill.kind, skill.domain)
    else:
        scene = sample_scene(seed, skill.kind, skill.domain)
        scenes, exchanges = (scene,), possible_exchanges(scene, np.random.default_rng([6, seed]))
    fitting = [exchange for exchange in exchanges if exchange[-1].skill == skill.asks]
    return Dialog(scenes, fitting[0]) if fitting else None


def _question(number: int, skill: Skill, dialog: Dialog) -> Question:
    """What is asked last; the rounds before it went as they should."""
    images = [LazyScene(scene) for scene in dialog.scenes]
    rounds: list[Message] = []
    for turn in dialog.turns:
        rounds += [*user(turn.question, *images), {"role": "assistant", "content": turn.answer}]
        images = []  # they stand in the first round
    facts = {"skill": skill.name}
    return Question(f"{skill.name} #{number}", tuple(rounds[:-1]), dialog.turns[-1].answer, facts)
