"""One evaluation from questions to figures: asks, grades, measures, and keeps what a report and a comparison need."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .http_backend import Service
from .llm_judge import grade_all
from .response_cache import ResponseCache, key_of
from .runner import Answerer, run_questions
from .statistics import Figure, figure
from .task import DataError, Grade, Measure, Question, Task, UnitScore

RESULTS, FORMAT = "results.json", 1


@dataclass(frozen=True)
class Result:
    """What one model did on one task.

    Attributes:
        asked: questions in all; `faults` of them have no grade, by id, each with its reason.
        unparsed: graded answers that the rules could not read.
        samples: of every question that was answered the grade, in the order of the task.
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
    judge: Service | None = None,
) -> Result:
    """Ask what is not yet answered, and grade everything."""
    judge = judge if task.judge_role else None

    def key(question: Question) -> str:
        return answer_key(task, question, answerer.identity)

    asked = run_questions(
        questions,
        answerer,
        cache,
        key,
        max_new_tokens=task.max_new_tokens,
        batch_size=batch_size,
        title=task.name,
    )
    judged = grade_all(task, questions, asked.answers, judge, cache)
    graded = [(question, judged.grades[question.id]) for question in questions if question.id in judged.grades]
    answered = [(question, asked.answers[question.id]) for question in questions if question.id in asked.answers]
    return Result(
        task=task.name,
        title=task.title,
        version=task.version,
        model=answerer.name,
        identity=answerer.identity,
        judge=judge.model if judge else None,
        asked=len(questions),
        issues=asked.issues | judged.issues,
        unparsed=sum(not grade.parsed for _, grade in graded),
        measures=tuple(task.measures(graded)) if graded else (),
        breakdowns={name: tuple(of_it) for name, of_it in task.breakdowns(graded).items()} if graded else {},
        samples=tuple((question, said, judged.grades.get(question.id)) for question, said in answered),
        submission=task.submission(answered),
    )


def answer_key(task: Task, question: Question, identity: Mapping[str, Any]) -> str:
    """What an answer depends on: task and version, sample, prompt, model, and how it generates."""
    return key_of(
        task=task.name,
        version=task.version,
        sample=question.id,
        prompt=question.prompt,
        model=dict(identity),
        max_new_tokens=task.max_new_tokens,
    )


def write_atomically(path: Path, text: str) -> None:
    """Write aside and rename, so that whoever reads finds all of it or what was there before."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)


def save_results(folder: Path, results: Sequence[Result]) -> None:
    """Write every unit's value, which is what another run is compared with."""
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
            "measures": [
                {
                    "name": measure.name,
                    "scale": measure.scale,
                    "paper": measure.paper,
                    "most": measure.most,
                    "marks": [[mark.unit, mark.value, mark.weight, mark.stratum] for mark in measure.marks],
                }
                for measure in result.measures
            ],
        }
        for result in results
    ]
    text = json.dumps({"format": FORMAT, "results": entries}, ensure_ascii=False, indent=1)
    write_atomically(folder / RESULTS, text + "\n")


def load_results(folder: Path) -> list[Result]:
    """What another run saved. Raises `DataError`."""
    path = folder / RESULTS if folder.is_dir() else folder
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        if read["format"] != FORMAT:
            raise DataError(f"{path}: written in format {read['format']}, this is {FORMAT}; run that evaluation again")
        return [
            Result(
                **{name: entry[name] for name in ("task", "version", "model", "identity", "judge", "asked")},
                title=entry["task"],
                issues=entry["faults"],
                unparsed=entry["unparsed"],
                measures=tuple(
                    Measure(
                        m["name"],
                        tuple(UnitScore(*mark) for mark in m["marks"]),
                        m["scale"],
                        m["paper"],
                        m.get("most", 1.0),  # older results do not have it
                    )
                    for m in entry["measures"]
                ),
                breakdowns={},
            )
            for entry in read["results"]
        ]
    except DataError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: no results of an evaluation ({error}); name the folder of one") from None
