"""Asks what has not been answered yet: batches of like length, each written down before the next is waited for."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from tqdm import tqdm

from .response_cache import ResponseCache
from .task import Question

OTHERS_SECONDS = 1.0
"""How often to look for what other processes have answered."""


@dataclass(frozen=True)
class Failure:
    """Why a question has no answer; one line."""

    reason: str


@dataclass(frozen=True)
class Batch:
    """Questions that are asked together.

    Attributes:
        name: by which one process claims it; the same in all that plan the same run.
    """

    name: str
    questions: tuple[Question, ...]


class Answerer(Protocol):
    """Whoever answers: a model here, or one behind an address."""

    name: str

    @property
    def identity(self) -> Mapping[str, Any]:
        """What its answers depend on, besides the questions."""

    def answers(
        self, batches: Iterable[Batch], max_new_tokens: int
    ) -> Iterator[tuple[Batch, dict[str, str | Failure]]]:
        """The answers to each batch by the ids of its questions; batches may be drawn ahead, and come in any order."""


@dataclass
class RunOutcome:
    """What came of asking: every question is in one of the two."""

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
    """Answer every question, from the ledger where it is known, and write down what is new.

    The batches are cut from all questions, answered or not, so that one asked again after a kill has the same company,
    and hence to the bit the same answer, as in a run that was not killed.
    """
    keys = {question.id: key(question) for question in questions}
    if len(keys) < len(questions):
        raise ValueError(f"{title}: {len(questions)} questions, but {len(keys)} different ids; ids must differ")
    asked, batches = RunOutcome(), planned(questions, keys, batch_size)

    def pending(batch: Batch) -> tuple[Question, ...]:
        return tuple(q for q in batch.questions if cache.get(keys[q.id]) is None and q.id not in asked.issues)

    def done() -> int:
        return sum(cache.get(key) is not None for key in keys.values()) + len(asked.issues)

    with tqdm(total=len(questions), initial=done(), desc=title, unit="question", dynamic_ncols=True) as bar:
        while left := [batch for batch in batches if pending(batch)]:
            before = done()
            for batch, said in answerer.answers(_claimed(left, cache, pending), max_new_tokens):
                _write_down(cache, title, keys, batch, said, asked)
                cache.release(batch.name)
                bar.update(done() - bar.n)
            cache.refresh()
            bar.update(done() - bar.n)
            if done() == before:
                time.sleep(OTHERS_SECONDS)  # what is left is being asked by other processes
    for question in questions:
        if record := cache.get(keys[question.id]):
            asked.answers[question.id] = record["answer"]
    return asked


def planned(questions: Sequence[Question], keys: Mapping[str, str], batch_size: int) -> list[Batch]:
    """Batches of like length, the longest first: what takes most memory fails at once, and the end is even.

    Questions about the same pictures are in one batch, as far as it holds them, so that each picture is seen once.
    """
    alike: dict[Any, list[Question]] = {}
    for question in questions:
        alike.setdefault(tuple(question.images) or question.id, []).append(question)
    groups = [sorted(group, key=_length, reverse=True) for group in alike.values()]
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
    """What is left of each batch, once no other process can take it."""
    for batch in batches:
        if not cache.claim(batch.name):
            continue
        cache.refresh()
        if missing := pending(batch):
            yield replace(batch, questions=missing)
        else:
            cache.release(batch.name)


def _write_down(
    cache: ResponseCache,
    title: str,
    keys: Mapping[str, str],
    batch: Batch,
    said: Mapping[str, str | Failure],
    asked: RunOutcome,
) -> None:
    records = []
    for question in batch.questions:
        answer = said[question.id]
        if isinstance(answer, Failure):
            asked.issues[question.id] = answer.reason
        else:
            records.append({"key": keys[question.id], "task": title, "id": question.id, "answer": answer})
    cache.append(records)
