"""The implementation of `minigemini eval`: every task with every model, then the reports."""

import hashlib
import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..inference.engine import Engine
from ..io.errors import RequestError
from ..io.openai_client import ChatClient
from .data_file_task import DataFileTask
from .evaluate import Result, evaluate, load_results, save_results, write_atomically
from .gallery import Card, make_cards
from .html_report import write_page
from .http_backend import HttpAnswerer
from .local_backend import LocalAnswerer
from .registry import find_tasks
from .report import Reproduction, score_table, write_report
from .response_cache import ResponseCache
from .runner import Answerer
from .task import Question, Task
from .vllm_backend import is_vllm, served_by_vllm


@dataclass(frozen=True)
class EvaluationSettings:
    """Settings of one evaluation; the help of `minigemini eval` describes each option."""

    tasks: tuple[str, ...]
    models: tuple[str, ...]
    output: Path
    data: Path | None = None
    limit: int | None = None
    backend: str | None = None
    batch_size: int = 32
    workers: int = 1
    judge: str | None = None
    judge_model: str | None = None
    compare: tuple[Path, ...] = ()
    gallery: int = 40
    ocr: bool | None = None
    device: str | None = None
    dtype: str | None = None
    quantize: str | None = None
    device_map: str | None = None
    offload_folder: Path | None = None
    encoder_dtype: str | None = None
    base: str | None = None
    data_files: tuple[DataFileTask, ...] = ()
    metric: str | None = None
    images: Path | None = None


def run(settings: EvaluationSettings) -> str:
    """Evaluate every model on every task; returns the score tables.

    Raises:
        RequestError: A task is unknown, an option does not fit the backend, or a server does not respond.
        DataError: Official files are missing or invalid.
        CheckpointError: There is no such model.
    """
    chosen = [*find_tasks(settings.tasks), *settings.data_files]
    _check_options(settings)
    others = [result for folder in settings.compare for result in load_results(folder)]
    judge = ChatClient(settings.judge, settings.judge_model) if settings.judge else None
    questions = {task.name: task.questions(settings.data, settings.limit) for task in chosen}
    cache = ResponseCache(settings.output)
    results: list[Result] = []
    cards: list[Card] = []
    try:
        for model in settings.models:
            with _answerer(model, settings) as answerer:
                engine = answerer.engine if isinstance(answerer, LocalAnswerer) else None
                for task in chosen:
                    result = evaluate(
                        task, questions[task.name], answerer, cache, batch_size=settings.batch_size, judge=judge
                    )
                    results.append(result)
                    cards += make_cards(settings.output, result, engine, settings.gallery)
    finally:
        cache.close()
    order = {task.name: number for number, task in enumerate(chosen)}
    results.sort(key=lambda result: order[result.task])
    _write(settings, chosen, questions, results, others, cards)
    rows = [[result for result in (*results, *others) if result.task == task.name] for task in chosen]
    return "\n\n".join(score_table(row) for row in rows)


def _check_options(settings: EvaluationSettings) -> None:
    """Raise `RequestError` for options that the backend would ignore."""
    if settings.backend is None:
        return
    ours: dict[str, object] = {"--device": settings.device, "--quantize": settings.quantize, "--base": settings.base}
    ours |= {
        "--device-map": settings.device_map,
        "--offload-folder": settings.offload_folder,
        "--encoder-dtype": settings.encoder_dtype,
    }
    if not is_vllm(settings.backend):
        ours["--dtype"] = settings.dtype
    if given := [name for name, value in ours.items() if value is not None]:
        raise RequestError(
            f"{given[0]} applies to models loaded in this process, not to backend {settings.backend}; leave it out"
        )


def _write(
    settings: EvaluationSettings,
    chosen: list[Task],
    questions: dict[str, list[Question]],
    results: list[Result],
    others: list[Result],
    cards: list[Card],
) -> None:
    """Write results, submissions and reports; answers are in the cache."""
    folder = settings.output
    for result in results:
        if result.submission is not None:
            write_atomically(folder / f"submission-{result.task}.json", json.dumps(result.submission, indent=1) + "\n")
    save_results(folder, results)
    versions = {f"version of {task.name}": f"{task.version}, {len(questions[task.name])} questions" for task in chosen}
    repeat = Reproduction(_command(settings), versions, _hashes(chosen, settings.data))
    print(
        f"{write_report(folder, results, others, repeat)} {write_page(folder, results, others, cards)}", file=sys.stderr
    )


def _command(settings: EvaluationSettings) -> str:
    """The command line with all options that affect the result."""
    words = ["minigemini", "eval", *settings.tasks, *(task.files for task in settings.data_files)]
    words += [word for model in settings.models for word in ("--model", model)]
    given = {
        "--data": settings.data,
        "--metric": settings.metric,
        "--images": settings.images,
        "--limit": settings.limit,
        "--batch-size": settings.batch_size,
        "--backend": settings.backend,
        "--judge": settings.judge,
        "--judge-model": settings.judge_model,
        "--dtype": settings.dtype,
        "--quantize": settings.quantize,
        "--base": settings.base,
    }
    words += [word for name, value in given.items() if value is not None for word in (name, str(value))]
    return shlex.join(words)


def _hashes(chosen: list[Task], data: Path | None) -> dict[str, str]:
    """SHA-256 of the official files that define the questions; image files are not hashed."""
    found: dict[str, str] = {}
    if data is None:
        return found
    for task in chosen:
        for path in task.sources(data):
            with path.open("rb") as file:
                found[str(path.relative_to(data))] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


@contextmanager
def _answerer(model: str, settings: EvaluationSettings) -> Iterator[Answerer]:
    if settings.backend is None:
        engine = Engine.load(
            model,
            settings.device,
            settings.dtype,
            quantize=settings.quantize,
            device_map=settings.device_map,
            offload_folder=settings.offload_folder,
            encoder_dtype=settings.encoder_dtype,
            base=settings.base,
        )
        yield LocalAnswerer(engine, settings.workers, settings.quantize, settings.base, settings.ocr)
    elif is_vllm(settings.backend):
        with served_by_vllm(model, settings.backend, settings.output, settings.dtype) as answerer:
            yield answerer
    else:
        yield HttpAnswerer(ChatClient(settings.backend, model if model != "nano" else None))
