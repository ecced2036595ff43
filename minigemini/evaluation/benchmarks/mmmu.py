"""MMMU: college questions with options or free; an answer that names no option becomes a random one, as officially."""

import ast
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..scorers.choices import LETTERS, parsed_choice
from ..scorers.numbers import open_is_right
from ..task import DataError, Grade, Graded, Measure, Question, Task, UnitScore, by_question, spread, user
from .mmbench import ASK_LETTER
from .official_files import bytes_of, field, folder_of, read_parquet
from .textvqa import ANSWER_BRIEFLY

SUBJECTS = {
    "Art & Design": ("Art", "Art_Theory", "Design", "Music"),
    "Business": ("Accounting", "Economics", "Finance", "Manage", "Marketing"),
    "Science": ("Biology", "Chemistry", "Geography", "Math", "Physics"),
    "Health & Medicine": (
        *("Basic_Medical_Science", "Clinical_Medicine", "Diagnostics_and_Laboratory_Medicine"),
        *("Pharmacy", "Public_Health"),
    ),
    "Humanities & Social Science": ("History", "Literature", "Sociology", "Psychology"),
    "Tech & Engineering": (
        *("Agriculture", "Architecture_and_Engineering", "Computer_Science", "Electronics"),
        *("Energy_and_Power", "Materials", "Mechanical_Engineering"),
    ),
}
SEED = 42
"""Of the random option, as in the official scorer; drawn in the order of the files."""
_IMAGE = re.compile(r"<image (\d)>")


class MMMUVal(Task):
    """Accuracy over all questions, and by subject and discipline."""

    name, title, split = "mmmu_val", "MMMU validation", "validation"
    files = "a folder per subject with validation-*.parquet"
    max_new_tokens = 64

    def questions(self, data: Path | None, limit: int | None = None) -> list[Question]:
        found = [
            (discipline, subject, row)
            for discipline, subject, part in self._parts(data)
            for row in read_parquet([part])
        ]
        return [self._question(*row) for row in spread(found, limit)]

    def sources(self, data: Path) -> list[Path]:
        return [part for _, _, part in self._parts(data)]

    def _parts(self, data: Path | None) -> list[tuple[str, str, Path]]:
        """Discipline, subject and file, in the order of the benchmark."""
        folder = folder_of(data, "mmmu", self.files)
        found = [
            (discipline, subject, part)
            for discipline, subjects in SUBJECTS.items()
            for subject in subjects
            for part in sorted((folder / subject).glob(f"{self.split}-*.parquet"))
        ]
        if not found:
            raise DataError(f"{folder}: no subject with {self.split}-*.parquet in it; --data holds {self.files}")
        return found

    def grade(self, question: Question, said: str) -> Grade:
        if not question.truth:
            return Grade(0.0, said)
        answers, options = question.facts["answers"], question.facts["options"]
        if not options:
            return Grade(float(open_is_right(said, answers)), said)
        letter = parsed_choice(said, options)
        return Grade(float(letter in answers), letter or "", letter is not None)

    def measures(self, graded: Graded) -> list[Measure]:
        if not graded or not graded[0][0].truth:
            return []
        drawn, rng = [], random.Random(SEED)
        for question, grade in graded:
            value = grade.value
            if not grade.parsed:
                value = float(rng.choice(LETTERS[: len(question.facts["options"])]) in question.facts["answers"])
            drawn.append(UnitScore(question.unit, value))
        return [
            Measure("accuracy, unread answers drawn at random", tuple(drawn), paper=self.paper),
            Measure("accuracy, unread answers wrong", tuple(by_question(graded))),
        ]

    paper = "MMMU val"

    def _question(self, discipline: str, subject: str, row: dict[str, Any]) -> Question:
        where = f"{self.name}, {row.get('id', subject)}"
        options = _listed(field(row, "options", where), where)
        free = field(row, "question_type", where) != "multiple-choice"
        lines = "\n".join(f"({letter}) {text}" for letter, text in zip(LETTERS, options, strict=False))
        asked = str(field(row, "question", where))
        text = f"{asked}\n\n{ANSWER_BRIEFLY}" if free else f"{asked}\n\n{lines}\n\n{ASK_LETTER}"
        named = dict.fromkeys(_IMAGE.findall(f"{asked} {' '.join(options)}")) or {"1": None}
        images = [bytes_of(row.get(f"image_{number}"), f"{where}, image_{number}") for number in named]
        answer = str(row.get("answer") or "?")
        answers = [] if answer == "?" else _listed(answer, where) if answer.startswith("[") else [answer]
        return Question(
            id=str(field(row, "id", where)),
            messages=user(text, *images),
            truth=" · ".join(answers),
            facts={"options": () if free else tuple(options), "answers": tuple(answers)},
            categories={"discipline": (discipline,), "subject": (subject.replace("_", " "),)},
        )


class MMMUTest(MMMUVal):
    """The answers are secret: what is written is what the benchmark's server takes."""

    name, title, split, paper = "mmmu_test", "MMMU test", "test", "MMMU test"
    files = "a folder per subject with test-*.parquet"

    def submission(self, answers: Sequence[tuple[Question, str]]) -> dict[str, Any] | None:
        rng, out = random.Random(SEED), {}
        for question, said in answers:
            options = question.facts["options"]
            out[question.id] = (
                (parsed_choice(said, options) or rng.choice(LETTERS[: len(options)])) if options else said
            )
        return out


def _listed(cell: Any, where: str) -> list[str]:
    """A list, or one written in Python, as the files have it."""
    try:
        read = ast.literal_eval(cell) if isinstance(cell, str) else cell
    except (ValueError, SyntaxError):
        read = None
    if not isinstance(read, list):
        raise DataError(f"{where}: {str(cell)[:60]!r} is no list; fetch the official file")
    return list(map(str, read))
