"""Grades answers with a judge model: replies are cached, and invalid replies are requested again."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tqdm import tqdm

from ..io.openai_client import ChatClient, ChatRequestError
from .response_cache import ResponseCache, key_of
from .task import Grade, Question, Task

CONCURRENT_REQUESTS, VERDICT_TOKENS = 8, 128


@dataclass
class JudgedAnswers:
    """Grades by question id, and the reasons why some answers have none."""

    grades: dict[str, Grade] = field(default_factory=dict)
    issues: dict[str, str] = field(default_factory=dict)


def grade_all(
    task: Task,
    questions: Sequence[Question],
    answers: Mapping[str, str],
    judge: ChatClient | None,
    cache: ResponseCache,
) -> JudgedAnswers:
    """Grade answers by the task's rules, or by the judge if the task asks for it."""
    out = JudgedAnswers()
    answered = [question for question in questions if question.id in answers]
    prompts = {q.id: judge and task.ask_judge(q, answers[q.id]) for q in answered}
    to_judge = [question for question in answered if prompts[question.id] is not None]
    if judge is not None and to_judge:
        with ThreadPoolExecutor(CONCURRENT_REQUESTS) as threads:
            verdicts = threads.map(
                lambda q: _verdict(task, q, answers[q.id], str(prompts[q.id]), judge, cache), to_judge
            )
            for question, verdict in zip(
                to_judge, tqdm(verdicts, total=len(to_judge), desc=f"{task.name}, judge", unit="answer"), strict=True
            ):
                if isinstance(verdict, Grade):
                    out.grades[question.id] = verdict
                else:
                    out.issues[question.id] = verdict
    for question in answered:
        if question.id not in out.grades and question.id not in out.issues:
            out.grades[question.id] = task.grade(question, answers[question.id])
    return out


def _verdict(
    task: Task, question: Question, answer: str, prompt: str, judge: ChatClient, cache: ResponseCache
) -> Grade | str:
    """The grade of one answer, or the reason why it has none."""
    key = key_of(judge=judge.model, ask=prompt, task=task.name, version=task.version)
    if (record := cache.get(key)) and (grade := task.read_verdict(question, answer, record["answer"])):
        return grade
    try:
        message = {"role": "user", "content": prompt}
        grade, verdict = judge.chat([message], VERDICT_TOKENS, lambda text: _parse(task, question, answer, text))
    except ChatRequestError as error:
        return f"not judged: {error}"
    cache.append([{"key": key, "task": f"{task.name}, judge", "id": question.id, "answer": verdict}])
    return grade


def _parse(task: Task, question: Question, answer: str, verdict: str) -> tuple[Grade, str] | None:
    grade = task.read_verdict(question, answer, verdict)
    return None if grade is None else (grade, verdict)
