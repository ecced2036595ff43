"""MMMU: multiple-choice and open questions; an unparsed answer becomes a random option, as in the official scorer."""

import ast
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..scorers.choices import LETTERS, parse_choice
from ..scorers.numbers import open_is_right
from ..task import DataError, Grade, Graded, Measure, Question, Task, UnitScore, question_scores, spread, user
from .mmbench import ASK_LETTER
from .official_files import benchmark_folder, image_bytes, read_parquet, required_field
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
"""Seed of the random options, as in the official scorer; sampled in file order."""
_IMAGE = re.compile(r"<image (\d)>")


class MMMUVal(Task):
    """Accuracy, in total and by subject and discipline."""

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
        """Discipline, subject and file, in the benchmark's order."""
        folder = benchmark_folder(data, "mmmu", self.files)
        found = [
            (discipline, subject, part)
            for discipline, subjects in SUBJECTS.items()
            for subject in subjects
            for part in sorted((folder / subject).glob(f"{self.split}-*.parquet"))
        ]
        if not found:
            raise DataError(f"{folder}: no subject with {self.split}-*.parquet; --data must hold {self.files}")
        return found

    def grade(self, question: Question, answer: str) -> Grade:
        if not question.truth:
            return Grade(0.0, answer)
        answers, options = question.facts["answers"], question.facts["options"]
        if not options:
            return Grade(float(open_is_right(answer, answers)), answer)
        letter = parse_choice(answer, options)
        return Grade(float(letter in answers), letter or "", letter is not None)

    def measures(self, graded: Graded) -> list[Measure]:
        if not graded or not graded[0][0].truth:
            return []
        scores, rng = [], random.Random(SEED)
        for question, grade in graded:
            value = grade.value
            if not grade.parsed:
                value = float(rng.choice(LETTERS[: len(question.facts["options"])]) in question.facts["answers"])
            scores.append(UnitScore(question.unit, value))
        return [
            Measure("accuracy, unread answers drawn at random", tuple(scores), paper=self.paper),
            Measure("accuracy, unread answers wrong", tuple(question_scores(graded))),
        ]

    paper = "MMMU val"

    def _question(self, discipline: str, subject: str, row: dict[str, Any]) -> Question:
        where = f"{self.name}, {row.get('id', subject)}"
        options = _parse_list(required_field(row, "options", where), where)
        free = required_field(row, "question_type", where) != "multiple-choice"
        lines = "\n".join(f"({letter}) {text}" for letter, text in zip(LETTERS, options, strict=False))
        asked = str(required_field(row, "question", where))
        text = f"{asked}\n\n{ANSWER_BRIEFLY}" if free else f"{asked}\n\n{lines}\n\n{ASK_LETTER}"
        numbers = dict.fromkeys(_IMAGE.findall(f"{asked} {' '.join(options)}")) or {"1": None}
        images = [image_bytes(row.get(f"image_{number}"), f"{where}, image_{number}") for number in numbers]
        answer = str(row.get("answer") or "?")
        answers = [] if answer == "?" else _parse_list(answer, where) if answer.startswith("[") else [answer]
        return Question(
            id=str(required_field(row, "id", where)),
            messages=user(text, *images),
            truth=" · ".join(answers),
            facts={"options": () if free else tuple(options), "answers": tuple(answers)},
            categories={"discipline": (discipline,), "subject": (subject.replace("_", " "),)},
        )


class MMMUTest(MMMUVal):
    """The answers are secret: the run writes a submission for the benchmark's server."""

    name, title, split, paper = "mmmu_test", "MMMU test", "test", "MMMU test"
    files = "a folder per subject with test-*.parquet"

    def submission(self, answers: Sequence[tuple[Question, str]]) -> dict[str, Any] | None:
        rng, out = random.Random(SEED), {}
        for question, answer in answers:
            options = question.facts["options"]
            out[question.id] = (
                (parse_choice(answer, options) or rng.choice(LETTERS[: len(options)])) if options else answer
            )
        return out


def _parse_list(cell: Any, where: str) -> list[str]:
    """Parse a list, which files store as a list or as a Python literal."""
    try:
        read = ast.literal_eval(cell) if isinstance(cell, str) else cell
    except (ValueError, SyntaxError):
        read = None
    if not isinstance(read, list):
        raise DataError(f"{where}: expected a list, got {str(cell)[:60]!r}; fetch the official file")
    return list(map(str, read))
