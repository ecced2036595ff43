"""Evaluates one model on one task, and saves and loads results."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..io.atomic_write import atomic_write
from ..io.openai_client import ChatClient
from .llm_judge import grade_all
from .response_cache import ResponseCache, key_of
from .runner import Answerer, run_questions
from .statistics import Figure, figure
from .task import DataError, Grade, Measure, Question, Task, UnitScore

RESULTS, FORMAT = "results.json", 1


@dataclass(frozen=True)
class Result:
    """The result of one model on one task.

    Attributes:
        asked: number of questions.
        issues: the questions without a grade, by id, each with its reason.
        unparsed: number of graded answers that the rules could not parse.
        samples: every answered question with its answer and grade, in the order of the task.
    """

    task: str
    title: str
    version: str
    model: str
    identity: Mapping[str, Any]
    judge: str | None
    asked: int
    issues: Mapping[str, str]
    unparsed: int
    measures: tuple[Measure, ...]
    breakdowns: Mapping[str, tuple[Measure, ...]]
    samples: tuple[tuple[Question, str, Grade | None], ...] = field(default=(), repr=False)
    submission: Mapping[str, Any] | None = None

    @property
    def figures(self) -> list[Figure]:
        return [figure(measure) for measure in self.measures]


def evaluate(
    task: Task,
    questions: Sequence[Question],
    answerer: Answerer,
    cache: ResponseCache,
    *,
    batch_size: int,
    judge: ChatClient | None = None,
) -> Result:
    """Ask the questions that the cache does not answer, and grade all answers."""
    judge = judge if task.judge_role else None

    def key(question: Question) -> str:
        return answer_key(task, question, answerer.identity)

    outcome = run_questions(
        questions,
        answerer,
        cache,
        key,
        max_new_tokens=task.max_new_tokens,
        batch_size=batch_size,
        title=task.name,
    )
    judged = grade_all(task, questions, outcome.answers, judge, cache)
    graded = [(question, judged.grades[question.id]) for question in questions if question.id in judged.grades]
    answered = [(question, outcome.answers[question.id]) for question in questions if question.id in outcome.answers]
    return Result(
        task=task.name,
        title=task.title,
        version=task.version,
        model=answerer.name,
        identity=answerer.identity,
        judge=judge.model if judge else None,
        asked=len(questions),
        issues=outcome.issues | judged.issues,
        unparsed=sum(not grade.parsed for _, grade in graded),
        measures=tuple(task.measures(graded)) if graded else (),
        breakdowns={name: tuple(measures) for name, measures in task.breakdowns(graded).items()} if graded else {},
        samples=tuple((question, answer, judged.grades.get(question.id)) for question, answer in answered),
        submission=task.submission(answered),
    )


def answer_key(task: Task, question: Question, identity: Mapping[str, Any]) -> str:
    """The cache key of an answer: task, version, sample, prompt, model and generation settings."""
    return key_of(
        task=task.name,
        version=task.version,
        sample=question.id,
        prompt=question.prompt,
        model=dict(identity),
        max_new_tokens=task.max_new_tokens,
    )


def write_atomically(path: Path, text: str) -> None:
    """Replace a text file atomically: readers see the old file or the whole new one."""
    with atomic_write(path) as partial:
        partial.write_text(text, encoding="utf-8")


def save_results(folder: Path, results: Sequence[Result]) -> None:
    """Save answers and the scores of all units, for comparison with other runs."""
    entries = [
        {
            "task": result.task,
            "version": result.version,
            "model": result.model,
            "identity": dict(result.identity),
            "judge": result.judge,
            "asked": result.asked,
            "faults": dict(result.issues),
            "unparsed": result.unparsed,
            "samples": [
                {
                    "id": question.id,
                    "unit": question.unit,
                    "truth": question.truth,
                    "answer": answer,
                    "value": grade.value,
                }
                for question, answer, grade in result.samples
                if grade is not None
            ],
            "measures": [
                {
                    "name": measure.name,
                    "scale": measure.scale,
                    "paper": measure.paper,
                    "most": measure.max_value,
                    "aim": measure.aim,
                    "marks": [[score.unit, score.value, score.weight, score.stratum] for score in measure.unit_scores],
                }
                for measure in result.measures
            ],
        }
        for result in results
    ]
    text = json.dumps({"format": FORMAT, "results": entries}, ensure_ascii=False, indent=1)
    write_atomically(folder / RESULTS, text + "\n")


def load_results(folder: Path) -> list[Result]:
    """Load the results that another run saved; their questions have no messages. Raises `DataError`."""
    path = folder / RESULTS if folder.is_dir() else folder
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        if read["format"] != FORMAT:
            raise DataError(
                f"{path}: format {read['format']}, but this version reads {FORMAT}; run that evaluation again"
            )
        return [
            Result(
                **{name: entry[name] for name in ("task", "version", "model", "identity", "judge", "asked")},
                title=entry["task"],
                issues=entry["faults"],
                unparsed=entry["unparsed"],
                measures=tuple(
                    Measure(
                        m["name"],
                        tuple(UnitScore(*score) for score in m["marks"]),
                        m["scale"],
                        m["paper"],
                        m.get("most", 1.0),  # missing in results of older versions, as is the aim
                        m.get("aim"),
                    )
                    for m in entry["measures"]
                ),
                breakdowns={},
                samples=tuple(
                    (Question(one["id"], (), one["truth"], unit=one["unit"]), one["answer"], Grade(one["value"]))
                    for one in entry.get("samples", [])  # missing in results of older versions
                ),
            )
            for entry in read["results"]
        ]
    except DataError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not the results of an evaluation ({error}); give the output folder of one") from None
