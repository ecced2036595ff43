"""Chooses the lessons of a run by the weights of its curriculum."""

from collections.abc import Mapping

import numpy as np

from minigemini.data.curriculum import Curriculum

from ..samples.lessons.lesson import SceneLesson, stream
from ..samples.lessons.skills import SKILLS, Sampler


class Mixture:
    """Chooses the skill of each lesson of a run.

    Args:
        weights: curriculum of each skill.
        lessons: lessons of the run.
        samplers: the samplers of the skills.
    """

    def __init__(self, weights: Mapping[str, str], lessons: int, samplers: Mapping[str, Sampler] = SKILLS) -> None:
        self._skills = {name: Curriculum.parse(text) for name, text in weights.items()}
        self._names, self._lessons, self._samplers = tuple(weights), lessons, samplers

    def skill(self, number: int) -> str:
        """Return the skill of a lesson, from 0; after the last one, the weights stay as they are."""
        progress = min(number / self._lessons, 1.0)
        weights = np.array([curriculum.weight(progress) for curriculum in self._skills.values()])
        return self._names[stream("mixture", number).choice(len(weights), p=weights / weights.sum())]

    def __call__(self, number: int) -> SceneLesson:
        """Return a lesson of the run, from number 0."""
        return self._samplers[self.skill(number)](number)
