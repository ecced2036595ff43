"""The task `real`: questions about pictures that this project's scenes did not draw, most of them photographs.

`benchmarks/real_pictures/build.py` made the pictures and questions in `real/`; `real/NOTICES.md` has their licenses.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from minigemini.evaluation.task import DataError, Grade, Graded, Measure, Question, Task, UnitScore, spread, user

from .real_scoring import judge, mentions

FOLDER = Path(__file__).parent / "real"
NAMES_CLASS = "right, ImageNet name"
"""`Grade.read_as` of a right answer that has one of ImageNet's own names of what is shown, and not only its kind."""
VERDICTS: dict[str, Callable[[Grade], bool]] = {
    "right": lambda grade: grade.value == 1,
    "unsure": lambda grade: grade.read_as == "unsure",
    "confidently wrong": lambda grade: grade.read_as == "wrong",
}


class RealPictures(Task):
    """Photographs, signs, papers, pages, tables, charts and plain shapes; a question is asked as a user would ask it.

    Args:
        folder: has the pictures and `questions.json`.
    """

    name, title = "real", "Real pictures"
    max_new_tokens = 48

    def __init__(self, folder: Path = FOLDER) -> None:
        self.folder = folder

    def questions(self, data: Path | None, limit: int | None = None) -> list[Question]:
        path = self.folder / "questions.json"
        try:
            entries = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: cannot be read ({error}); install the package again") from None
        return [self._question(entry) for entry in spread(entries, limit)]

    def grade(self, question: Question, answer: str) -> Grade:
        verdict = judge(question.facts, answer)
        if verdict == "right" and mentions(answer, question.facts["imagenet"]):
            return Grade(1.0, NAMES_CLASS)
        return Grade(float(verdict == "right"), verdict)

    def measures(self, graded: Graded) -> list[Measure]:
        """The share of each verdict, and of photographs of ImageNet's classes those that got a name of their class."""
        of_classes = [(question, grade) for question, grade in graded if question.facts["imagenet"]]
        names = _measure("ImageNet names", of_classes, lambda grade: grade.read_as == NAMES_CLASS)
        verdicts = [_measure(title, graded, holds) for title, holds in VERDICTS.items()]
        return [*verdicts, names] if of_classes else verdicts

    def breakdowns(self, graded: Graded) -> dict[str, list[Measure]]:
        """The share of each verdict in each category."""
        parts: dict[str, list[tuple[Question, Grade]]] = {}
        for question, grade in graded:
            parts.setdefault(question.facts["category"], []).append((question, grade))
        return {
            f"category, {title}": [_measure(category, part, holds) for category, part in parts.items()]
            for title, holds in VERDICTS.items()
        }

    def _question(self, entry: Mapping[str, Any]) -> Question:
        truth = " · ".join(entry["answers"]) or "cannot be told from the picture"
        categories = {"category": (entry["category"],)}
        return Question(
            entry["id"], user(entry["question"], self.folder / entry["picture"]), truth, dict(entry), categories
        )


def _measure(title: str, graded: Graded, holds: Callable[[Grade], bool]) -> Measure:
    return Measure(title, tuple(UnitScore(question.unit, float(holds(grade))) for question, grade in graded))
