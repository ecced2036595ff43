"""A judge's verdicts on answers: kept like answers, asked for again where they are nonsense, never made up."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tqdm import tqdm

from .http_backend import Service, ServiceError
from .response_cache import ResponseCache, key_of
from .task import Grade, Question, Task

AT_ONCE, VERDICT_TOKENS = 8, 128


@dataclass
class JudgedAnswers:
    """The grades of a task's answers, and why some have none."""

    grades: dict[str, Grade] = field(default_factory=dict)
    issues: dict[str, str] = field(default_factory=dict)


def grade_all(
    task: Task, questions: Sequence[Question], answers: Mapping[str, str], judge: Service | None, cache: ResponseCache
) -> JudgedAnswers:
    """Grade by rules, and by the judge what the task would have judged."""
    out = JudgedAnswers()
    answered = [question for question in questions if question.id in answers]
    asks = {q.id: judge and task.ask_judge(q, answers[q.id]) for q in answered}
    unsure = [question for question in answered if asks[question.id] is not None]
    if judge is not None and unsure:
        with ThreadPoolExecutor(AT_ONCE) as threads:
            verdicts = threads.map(lambda q: _verdict(task, q, answers[q.id], str(asks[q.id]), judge, cache), unsure)
            for question, verdict in zip(
                unsure, tqdm(verdicts, total=len(unsure), desc=f"{task.name}, judge", unit="answer"), strict=True
            ):
                if isinstance(verdict, Grade):
                    out.grades[question.id] = verdict
                else:
                    out.issues[question.id] = verdict
    for question in answered:
        if question.id not in out.grades and question.id not in out.issues:
            out.grades[question.id] = task.grade(question, answers[question.id])
    return out


def _verdict(task: Task, question: Question, said: str, ask: str, judge: Service, cache: ResponseCache) -> Grade | str:
    """The grade of one answer, or why there is none."""
    key = key_of(judge=judge.model, ask=ask, task=task.name, version=task.version)
    if (record := cache.get(key)) and (grade := task.read_verdict(question, said, record["answer"])):
        return grade
    try:
        message = {"role": "user", "content": ask}
        grade, verdict = judge.chat([message], VERDICT_TOKENS, lambda text: _read(task, question, said, text))
    except ServiceError as error:
        return f"not judged: {error}"
    cache.append([{"key": key, "task": f"{task.name}, judge", "id": question.id, "answer": verdict}])
    return grade


def _read(task: Task, question: Question, said: str, verdict: str) -> tuple[Grade, str] | None:
    grade = task.read_verdict(question, said, verdict)
    return None if grade is None else (grade, verdict)
