"""Asks the questions that the cache does not answer, in batches of similar length; each batch is saved at once."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from tqdm import tqdm

from .response_cache import ResponseCache
from .task import Question

POLL_SECONDS = 1.0
"""Interval at which answers of other processes are read."""


@dataclass(frozen=True)
class Failure:
    """Why a question has no answer, in one line."""

    reason: str


@dataclass(frozen=True)
class Batch:
    """Questions that are asked together.

    Attributes:
        name: key by which a process claims the batch; the same in all processes of a run.
    """

    name: str
    questions: tuple[Question, ...]


class Answerer(Protocol):
    """A model on this machine or behind a URL."""

    name: str

    @property
    def identity(self) -> Mapping[str, Any]:
        """Everything that its answers depend on, besides the questions."""

    def answers(
        self, batches: Iterable[Batch], max_new_tokens: int
    ) -> Iterator[tuple[Batch, dict[str, str | Failure]]]:
        """Yield each batch with its answers by question id; batches may be read ahead and returned in any order."""


@dataclass
class RunOutcome:
    """Answers and issues by question id; every question is in one of the two."""

    answers: dict[str, str] = field(default_factory=dict)
    issues: dict[str, str] = field(default_factory=dict)


def run_questions(
    questions: Sequence[Question],
    answerer: Answerer,
    cache: ResponseCache,
    key: Callable[[Question], str],
    *,
    max_new_tokens: int,
    batch_size: int,
    title: str,
) -> RunOutcome:
    """Answer every question, from the cache where possible, and save new answers.

    Batches are formed from all questions, answered or not: a question that is asked again after a kill is in the same
    batch as in an uninterrupted run, and so gets the same answer bit for bit.
    """
    keys = {question.id: key(question) for question in questions}
    if len(keys) < len(questions):
        raise ValueError(f"{title}: {len(questions)} questions, but {len(keys)} distinct ids; make the ids unique")
    outcome, batches = RunOutcome(), plan_batches(questions, keys, batch_size)

    def pending(batch: Batch) -> tuple[Question, ...]:
        return tuple(q for q in batch.questions if cache.get(keys[q.id]) is None and q.id not in outcome.issues)

    def done() -> int:
        return sum(cache.get(key) is not None for key in keys.values()) + len(outcome.issues)

    with tqdm(total=len(questions), initial=done(), desc=title, unit="question", dynamic_ncols=True) as bar:
        while remaining := [batch for batch in batches if pending(batch)]:
            before = done()
            for batch, answers in answerer.answers(_claimed(remaining, cache, pending), max_new_tokens):
                _save(cache, title, keys, batch, answers, outcome)
                cache.release(batch.name)
                bar.update(len(batch.questions))
            cache.refresh()
            bar.update(done() - bar.n)
            if done() == before:
                time.sleep(POLL_SECONDS)  # other processes are asking the rest
    for question in questions:
        if record := cache.get(keys[question.id]):
            outcome.answers[question.id] = record["answer"]
    return outcome


def plan_batches(questions: Sequence[Question], keys: Mapping[str, str], batch_size: int) -> list[Batch]:
    """Form batches of similar length, longest first, so that an out-of-memory error occurs at once.

    Questions about the same images share a batch if they fit, so that each image is encoded once.
    """
    by_images: dict[Any, list[Question]] = {}
    for question in questions:
        by_images.setdefault(tuple(question.images) or question.id, []).append(question)
    groups = [sorted(group, key=_length, reverse=True) for group in by_images.values()]
    batches: list[list[Question]] = [[]]
    for group in sorted(groups, key=lambda group: _length(group[0]), reverse=True):
        for start in range(0, len(group), batch_size):
            part = group[start : start + batch_size]
            if len(batches[-1]) + len(part) > batch_size:
                batches.append([])
            batches[-1] += part
    return [Batch(keys[batch[0].id], tuple(batch)) for batch in batches if batch]


def _length(question: Question) -> tuple[int, int]:
    return len(question.images), len(question.prompt)


def _claimed(
    batches: Iterable[Batch], cache: ResponseCache, pending: Callable[[Batch], tuple[Question, ...]]
) -> Iterator[Batch]:
    """Claim each batch, then yield the questions in it that are still unanswered."""
    for batch in batches:
        if not cache.claim(batch.name):
            continue
        cache.refresh()
        if missing := pending(batch):
            yield replace(batch, questions=missing)
        else:
            cache.release(batch.name)


def _save(
    cache: ResponseCache,
    title: str,
    keys: Mapping[str, str],
    batch: Batch,
    answers: Mapping[str, str | Failure],
    outcome: RunOutcome,
) -> None:
    records = []
    for question in batch.questions:
        answer = answers[question.id]
        if isinstance(answer, Failure):
            outcome.issues[question.id] = answer.reason
        else:
            records.append({"key": keys[question.id], "task": title, "id": question.id, "answer": answer})
    cache.append(records)
