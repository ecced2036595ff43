"""Evaluation tasks on synthetic scenes that training never samples, with one measure per skill."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from minigemini.evaluation.task import Grade, Graded, Measure, Message, Question, Task, UnitScore, user

from ..samples.conversations import possible_turn_groups
from ..samples.dialogs import PAIR_KINDS, Dialog, sample_pair
from ..scenes.colors import pick
from ..scenes.composition import sample_scene
from ..scenes.scene import Scene
from .skills import BASIC_SKILLS, DOCUMENT_SKILLS, SKILLS, Skill

SAMPLES = 400
"""Default number of questions per skill."""


@dataclass(frozen=True)
class LazyScene:
    """An image input that renders its scene when it is called."""

    scene: Scene

    def __call__(self) -> Image.Image:
        return self.scene.draw()[0]


class SyntheticTask(Task):
    """A table of skills; `limit` counts questions per skill."""

    version = "3"
    max_new_tokens = 48
    skills: ClassVar[tuple[Skill, ...]]

    def questions(self, data: Path | None, limit: int | None = None) -> list[Question]:
        return [question for skill in self.skills for question in questions(skill, limit or SAMPLES)]

    def grade(self, question: Question, answer: str) -> Grade:
        points, maximum = self._skill(question).grade(question.truth, answer)
        return Grade(points / maximum, answer, weight=maximum)

    def measures(self, graded: Graded) -> list[Measure]:
        aims = {skill.name: skill.aim for skill in self.skills}
        by_skill: dict[str, list[UnitScore]] = {}
        for question, grade in graded:
            by_skill.setdefault(question.facts["skill"], []).append(UnitScore(question.unit, grade.value, grade.weight))
        return [Measure(skill, tuple(scores), aim=aims[skill]) for skill, scores in by_skill.items()]

    def _skill(self, question: Question) -> Skill:
        return next(skill for skill in self.skills if skill.name == question.facts["skill"])


class SyntheticBasic(SyntheticTask):
    name, title, skills = (
        "synthetic-basic",
        "Simple scenes: words, colors, counts, yes-or-no questions",
        BASIC_SKILLS,
    )


class Synthetic(SyntheticTask):
    name, title, skills = "synthetic", "All skills, by held-out assets", SKILLS


class SyntheticDocuments(SyntheticTask):
    name, title, skills = "synthetic-documents", "Texts, charts and tables of 512 pixels", DOCUMENT_SKILLS


def questions(skill: Skill, samples: int) -> list[Question]:
    """Sample questions about a skill, each about another scene."""
    return [_question(number, skill, dialog) for number, dialog in enumerate(sample_dialogs(skill, samples))]


def sample_dialogs(skill: Skill, samples: int) -> Iterator[Dialog]:
    """Yield the first `samples` dialogs of the kind that allow the question, with it as the last turn."""
    return islice((dialog for seed in count() if (dialog := _sample_dialog(skill, seed))), samples)


def _sample_dialog(skill: Skill, seed: int) -> Dialog | None:
    """Sample scenes and one of the questions about them that are of the skill; None if there is none."""
    rng = np.random.default_rng([6, seed])
    scenes: tuple[Scene, ...]
    if skill.kind in PAIR_KINDS:
        scenes, groups = sample_pair(seed, skill.kind, skill.domain)
    else:
        scene = sample_scene(seed, skill.kind, skill.domain)
        scenes, groups = (scene,), possible_turn_groups(scene, rng)
    matching = [group for group in groups if group[-1].skill == skill.turn_skill]
    return Dialog(scenes, pick(rng, matching)) if matching else None


def _question(number: int, skill: Skill, dialog: Dialog) -> Question:
    """Return the last question of a dialog; earlier turns have their right answers."""
    images = [LazyScene(scene) for scene in dialog.scenes]
    messages: list[Message] = []
    for turn in dialog.turns:
        messages += [*user(turn.question, *images), {"role": "assistant", "content": turn.answer}]
        images = []  # the first turn shows all images
    facts = {"skill": skill.name}
    return Question(f"{skill.name} #{number}", tuple(messages[:-1]), dialog.turns[-1].answer, facts)
