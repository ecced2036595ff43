"""A file of conversations as a task: the model answers the last question of each, and the last answer is the truth."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..io.errors import RequestError
from .benchmarks.mmvet import INSTRUCTION, read_score
from .scorers.text_match import SCORES, answer_budget, answer_type, normalize, suitable_score
from .scorers.vqa import normalize_answer
from .task import Grade, Graded, Measure, Question, Task, question_scores, spread

METRICS = ("exact", "contains", "anls", "vqa", "judge")


def vqa_accuracy(answer: str, reference: str) -> float:
    """1 if both are the same after VQA's normalization, as if all ten people had given the reference."""
    return float(normalize_answer(answer) == normalize_answer(reference))


_SCORES: Mapping[str, Callable[[str, str], float]] = {"vqa": vqa_accuracy} | {str(k): v for k, v in SCORES.items()}


class DataFileTask(Task):
    """Questions from a data file.

    Args:
        file: the file, for its name and the command line.
        content_hash: hash of the questions; answers are cached under it.
        questions: one per conversation, each with its truth.
        metric: one of `METRICS`; by default what suits the file's answers (`text_match.suitable_score`).
    """

    def __init__(self, file: Path, content_hash: str, questions: Sequence[Question], metric: str | None = None) -> None:
        if not questions:
            raise RequestError(f"{file}: no conversation; give a file with questions and answers")
        if metric is not None and metric not in METRICS:
            raise RequestError(f"unknown metric {metric!r}; choose from {', '.join(METRICS)}")
        truths = [question.truth for question in questions]
        self.metric = metric or suitable_score(answer_type(truths))
        self.name, self.title = file.name, f"{file.name}, scored by {self.metric}"
        self.files, self.version = str(file), content_hash
        self.max_new_tokens = answer_budget(truths)
        self.judge_role = "scores each answer from 0.0 to 1.0" if self.metric == "judge" else ""
        self._questions = list(questions)

    def questions(self, data: Path | None, limit: int | None = None) -> list[Question]:
        return spread(self._questions, limit)

    def grade(self, question: Question, answer: str) -> Grade:
        score = _SCORES.get(self.metric)
        if score is None:
            raise RequestError("metric judge needs a judge: give --judge URL")
        return Grade(score(answer, question.truth), normalize(answer))

    def ask_judge(self, question: Question, answer: str) -> str | None:
        return INSTRUCTION.format(question=question.prompt, truth=question.truth, answer=answer)

    def read_verdict(self, question: Question, answer: str, verdict: str) -> Grade | None:
        return read_score(verdict)

    def measures(self, graded: Graded) -> list[Measure]:
        return [Measure(self.metric, tuple(question_scores(graded)))]
