"""MathVista testmini: an answer is extracted by a judge or by rules, normalized to its type, and compared."""

from pathlib import Path
from typing import Any

from ..scorers.choices import LETTERS
from ..scorers.numbers import direct_answer, extract_answer, normalize_extraction
from ..task import DataError, Grade, Graded, ImageInput, Measure, Question, Task, question_scores, spread, user
from .official_files import benchmark_folder, find_file, image_bytes, read_json, read_parquet, required_field

FILE = "testmini.json"
HINTS = {
    "integer": "requiring an integer answer and provide the final value, e.g., 1, 2, 3, at the end.",
    "float1": (
        "requiring a floating-point number with one decimal place and provide the final value, "
        "e.g., 1.2, 1.3, 1.4, at the end."
    ),
    "float2": (
        "requiring a floating-point number with two decimal places and provide the final value, "
        "e.g., 1.23, 1.34, 1.45, at the end."
    ),
    "list": (
        "requiring a Python list as an answer and provide the final list, e.g., [1, 2, 3], [1.2, 1.3, 1.4], at the end."
    ),
}
EXTRACT = """Read out of the response what it gives as its final answer, in the form that the hint asks for, and nothing
else. If it gives none, reply with the word none.

{prompt}

Response: {answer}

Final answer:"""


class MathVista(Task):
    """Accuracy, in total and by task, skill and kind of question."""

    name, title = "mathvista", "MathVista testmini"
    files = f"{FILE} and images/, or testmini-*.parquet"
    max_new_tokens = 512
    judge_role = "extracts the answer; without a judge, rules do"

    def questions(self, data: Path | None, limit: int | None = None) -> list[Question]:
        folder = benchmark_folder(data, self.name, self.files)
        files = self.sources(folder)
        if files[0].suffix == ".parquet":
            rows = [(str(required_field(row, "pid", str(files[0]))), row) for row in read_parquet(files)]
        else:
            rows = list(read_json(files[0], dict).items())
        return [_question(str(pid), row, folder) for pid, row in spread(rows, limit)]

    def sources(self, data: Path) -> list[Path]:
        folder = benchmark_folder(data, self.name, self.files)
        parts = sorted([*folder.glob("testmini-*.parquet"), *folder.glob("data/testmini-*.parquet")])
        return parts or [find_file(folder, [FILE, f"data/{FILE}"])]

    def grade(self, question: Question, answer: str) -> Grade:
        facts = question.facts
        return self._grade_extraction(question, extract_answer(answer, facts["choices"], facts["answer_type"]))

    def ask_judge(self, question: Question, answer: str) -> str | None:
        facts = question.facts
        if not answer.strip() or direct_answer(answer.strip(), facts["choices"], facts["answer_type"]) is not None:
            return None
        return EXTRACT.format(prompt=facts["asked"], answer=answer)

    def read_verdict(self, question: Question, answer: str, verdict: str) -> Grade | None:
        """Accept an extraction of one short line; any other reply is invalid and requested again."""
        verdict = verdict.strip()
        if not verdict or "\n" in verdict or len(verdict) > 200:
            return None
        return self._grade_extraction(question, None if verdict.lower().strip(".") == "none" else verdict)

    def measures(self, graded: Graded) -> list[Measure]:
        return [Measure("accuracy", tuple(question_scores(graded)), paper="MathVista")]

    def _grade_extraction(self, question: Question, extraction: str | None) -> Grade:
        facts = question.facts
        found = None
        if extraction is not None:
            found = normalize_extraction(extraction, facts["choices"], facts["answer_type"], facts["precision"])
        return Grade(
            float(found is not None and found.strip() == question.truth.strip()), found or "", found is not None
        )


def _question(pid: str, row: dict[str, Any], folder: Path) -> Question:
    where = f"MathVista {pid}"
    choices, kind = row.get("choices"), str(required_field(row, "answer_type", where))
    asked = str(row.get("query") or _query(row, where))
    cell = row.get("decoded_image")
    image: ImageInput = image_bytes(cell, where) if cell else folder / str(required_field(row, "image", where))
    metadata = row.get("metadata") or {}
    answer = row.get("answer")
    if answer in (None, ""):
        raise DataError(f"{where}: no answer; use testmini, the answers of the test split are secret")
    return Question(
        id=pid,
        messages=user(asked, image),
        truth=str(answer),
        facts={
            "asked": asked,
            "choices": tuple(map(str, choices)) if choices else None,
            "answer_type": kind,
            "precision": row.get("precision"),
        },
        categories={
            "task": (str(metadata.get("task", "?")),),
            "skill": tuple(map(str, metadata.get("skills") or ("?",))),
            "kind of question": (str(row.get("question_type", "?")),),
        },
    )


def _query(row: dict[str, Any], where: str) -> str:
    """Build the benchmark's prompt from hint, question, unit and choices, for files without `query`."""
    choices, kind = row.get("choices"), row["answer_type"]
    if choices:
        hint = "Please answer the question and provide the correct option letter, e.g., A, B, C, D, at the end."
    else:
        key = f"float{int(row.get('precision') or 1)}" if kind == "float" else kind
        if key not in HINTS:
            raise DataError(
                f"{where}: unknown answer type {kind} with precision {row.get('precision')}; fetch the official file"
            )
        hint = f"Please answer the question {HINTS[key]}"
    unit = f" (Unit: {row['unit']})" if row.get("unit") else ""
    listed = "".join(f"\n({letter}) {text}" for letter, text in zip(LETTERS, choices or (), strict=False))
    return f"Hint: {hint}\nQuestion: {required_field(row, 'question', where)}{unit}" + (
        f"\nChoices:{listed}" if listed else ""
    )
