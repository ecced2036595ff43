"""TextVQA validation, with Rosetta's OCR strings in the prompt (the protocol of LLaVA and the paper) and without."""

from pathlib import Path
from typing import Any

from ..scorers.vqa import normalize_answer, soft_accuracy
from ..task import DataError, Grade, Graded, Measure, Question, Task, question_scores, spread, user
from .official_files import benchmark_folder, find_file, read_json, required_field

QUESTIONS, OCR = "TextVQA_0.5.1_val.json", "TextVQA_Rosetta_OCR_v0.2_val.json"
ANSWER_BRIEFLY = "Answer the question using a single word or phrase."


class TextVQA(Task):
    """Soft accuracy against ten human answers."""

    name, title = "textvqa", "TextVQA, no OCR strings"
    files = f"{QUESTIONS} and train_images/"
    max_new_tokens = 32
    paper: str | None = None
    texts: tuple[str, ...] = (QUESTIONS,)

    def questions(self, data: Path | None, limit: int | None = None) -> list[Question]:
        folder = benchmark_folder(data, "textvqa", self.files)
        path = find_file(folder, [QUESTIONS])
        rows = required_field(read_json(path, dict), "data", str(path))
        strings = self.strings(folder)
        return [self._question(row, folder, strings, str(path)) for row in spread(rows, limit)]

    def strings(self, folder: Path) -> dict[str, list[str]] | None:
        """OCR strings by image id; None if the prompt has none."""
        return None

    def sources(self, data: Path) -> list[Path]:
        return [find_file(benchmark_folder(data, "textvqa", self.files), [name]) for name in self.texts]

    def grade(self, question: Question, answer: str) -> Grade:
        return Grade(soft_accuracy(answer, question.facts["answers"]), normalize_answer(answer))

    def measures(self, graded: Graded) -> list[Measure]:
        return [Measure("soft accuracy", tuple(question_scores(graded)), paper=self.paper)]

    def _question(self, row: Any, folder: Path, strings: dict[str, list[str]] | None, path: str) -> Question:
        where = f"{path}, question {row.get('question_id', '?')}"
        image, answers = str(required_field(row, "image_id", where)), required_field(row, "answers", where)
        text = str(required_field(row, "question", where))
        if strings is not None:
            if image not in strings:
                raise DataError(f"{where}: image {image} is not in {OCR}; fetch both files again")
            text += f"\nReference OCR token: {', '.join(strings[image])}"
        if not isinstance(answers, list) or len(answers) != 10:
            raise DataError(f"{where}: expected ten answers; use the validation file")
        message = user(f"{text}\n{ANSWER_BRIEFLY}", folder / "train_images" / f"{image}.jpg")
        truth = " · ".join(dict.fromkeys(map(str, answers)))
        return Question(
            str(required_field(row, "question_id", where)), message, truth, {"answers": list(map(str, answers))}
        )


class TextVQAWithOCR(TextVQA):
    name, title = "textvqa_ocr", "TextVQA, OCR strings in the question"
    files = f"{QUESTIONS}, {OCR} and train_images/"
    paper = "TextVQA"
    texts = (QUESTIONS, OCR)

    def strings(self, folder: Path) -> dict[str, list[str]] | None:
        path = find_file(folder, [OCR])
        rows = required_field(read_json(path, dict), "data", str(path))
        return {str(row["image_id"]): list(map(str, required_field(row, "ocr_tokens", str(path)))) for row in rows}
