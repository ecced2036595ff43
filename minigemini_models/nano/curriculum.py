"""Which skill lesson number i is about: one mixture, whose weights move with the progress of the run."""

from collections.abc import Mapping

import numpy as np

from minigemini.data.curriculum import Curriculum

from ..samples.lessons.lesson import SceneLesson, stream
from ..samples.lessons.skills import SKILLS

LANGUAGE_MIXTURE: dict[str, str] = {
    "sign": "0:6/0.3:6/0.5:3",
    "name": "0:4/0.2:4/0.4:2",
    "color-lists": "0:6/0.1:6/0.25:0.5",
    "color-questions": "0.03:0/0.1:4/0.3:4/0.5:1",
    "color-names": "0.05:0/0.15:2",
    "presence-lists": "0.03:0/0.1:4/0.3:4/0.4:0.5",
    "presence-questions": "0.1:0/0.2:4/0.5:4/0.7:1",
    "near-misses": "0.2:0/0.3:3",
    "halves": "0.05:0/0.15:3/0.3:3/0.4:0.5",
    "relation-lists": "0.1:0/0.2:4/0.5:4/0.7:1",
    "relation-questions": "0.25:0/0.4:4",
    "beside": "0.15:0/0.3:4",
    "caption": "0:1/0.2:2",
    "counting": "0.05:0/0.1:3",
    "words": "0.1:0/0.2:3",
    "text": "0.2:0/0.3:2",
    "pair-lists": "0.15:0/0.25:3/0.5:3/0.6:1",
    "pair-questions": "0.25:0/0.4:3",
    "comparisons": "0.25:0/0.4:3",
    "conversation": "0.2:0/0.4:3",
    "follow-ups": "0.2:0/0.3:2",
    "unanswerable": "0.1:0/0.3:2",
    "drawing": "0.2:0/0.3:3",
}
"""Weight of each skill over the run, as `PROGRESS:WEIGHT/…`: lists before questions, one text before several."""


class Mixture:
    """Chooses the skill of each lesson of a run.

    Args:
        weights: curriculum of each skill.
        lessons: lessons of the run.
    """

    def __init__(self, weights: Mapping[str, str], lessons: int) -> None:
        self._skills = {name: Curriculum.parse(text) for name, text in weights.items()}
        self._names, self._lessons = tuple(weights), lessons

    def skill(self, number: int) -> str:
        """Return the skill of a lesson, from 0; after the last one, the weights stay as they are."""
        progress = min(number / self._lessons, 1.0)
        weights = np.array([curriculum.weight(progress) for curriculum in self._skills.values()])
        return self._names[stream("mixture", number).choice(len(weights), p=weights / weights.sum())]

    def __call__(self, number: int) -> SceneLesson:
        """Return a lesson of the run, from number 0."""
        return SKILLS[self.skill(number)](number)
