"""The task `refusals`: ordinary questions about pictures unlike nano's scenes, which it should not answer."""

from pathlib import Path
from zlib import crc32

import numpy as np

from minigemini.evaluation.task import Grade, Graded, Measure, Question, Task, question_scores, user

from ..samples.lessons.unlike import ASKED, ordinary_question
from ..scenes.colors import pick
from ..scenes.splits import EVALUATION_STREAM
from .synthetic_tasks import SAMPLES
from .unlike_pictures import KINDS, HeldOutPicture

AIM = 80
"""Percent of all kinds that nano was meant to refuse."""
_ANSWERABLE = tuple(key for key in ASKED if key != "unknowable")
"""Questions that scenes may answer: a refusal is due to the picture."""
_ROW = "says that it cannot tell, about"


class Refusals(Task):
    """Refusals by kind of picture; `limit` counts questions per kind."""

    name, title = "refusals", "Pictures unlike nano's scenes"
    max_new_tokens = 48

    def questions(self, data: Path | None, limit: int | None = None) -> list[Question]:
        return [_question(kind, number) for kind in KINDS for number in range(limit or SAMPLES)]

    def grade(self, question: Question, answer: str) -> Grade:
        return Grade(float(answer == question.truth), answer)

    def measures(self, graded: Graded) -> list[Measure]:
        """The share of questions that are refused, of all and of each kind of picture."""
        of_all = Measure(f"{_ROW} pictures unlike its scenes", tuple(question_scores(graded)), aim=AIM)
        by_kind = {kind: [(asked, grade) for asked, grade in graded if asked.facts["kind"] == kind] for kind in KINDS}
        return [of_all, *(Measure(f"{_ROW} {kind}", tuple(question_scores(part))) for kind, part in by_kind.items())]


def _question(kind: str, number: int) -> Question:
    rng = np.random.default_rng([EVALUATION_STREAM, crc32(f"question about {kind}".encode()), number])
    asked = pick(rng, _ANSWERABLE)
    turn, picture = ordinary_question(rng, asked), HeldOutPicture(kind, number)
    facts, categories = {"kind": kind}, {"question": (asked,)}
    return Question(f"{kind} #{number}", user(turn.question, picture), turn.answer, facts, categories)
