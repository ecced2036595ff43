"""A synthesis run: requests built from files, a journal of replies, and the resulting data and report."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ...data.readers import Reader, SourceError, open_json
from ...data.schema import SampleError
from ...io.atomic_write import atomic_write
from ...io.folder_lock import output_lock
from .endpoint import Endpoint, EndpointReply
from .journal import Entry, Journal
from .synthesis_tasks import CAPTIONS, RejectedReplyError, SynthesisRequest, in_context, re_caption, read_reply

_TASKS = {"re-caption": re_caption, "in-context": in_context}
_REPLY_TOKENS = {"re-caption": 60, "in-context": 45}
"""Typical tokens of a reply, for `in-context` per answer; used for estimates."""
_CHARACTERS_PER_TOKEN = 4


class SynthesisError(ValueError):
    """The run cannot start; the message is one line with the fix."""


@dataclass(frozen=True)
class SynthesisSettings:
    """Settings of a run.

    Attributes:
        output: JSON list to write; the journal is beside it.
        re_caption, in_context: files of published records, with a description as the last answer, or conversations.
        pool: example captions, one per line; None uses `synthesis_tasks.CAPTIONS`.
        limit: maximum samples per task.
        seed: seed of the examples in the prompts.
        price_in, price_out: US dollars per million prompt and reply tokens.
        budget: US dollars after which no more requests are sent.
    """

    output: Path
    re_caption: Path | None = None
    in_context: Path | None = None
    pool: Path | None = None
    limit: int | None = None
    seed: int = 0
    price_in: float = 0.0
    price_out: float = 0.0
    budget: float | None = None

    @property
    def journal(self) -> Path:
        return self.output.with_name(f"{self.output.stem}.journal.jsonl")

    def cost(self, prompt_tokens: int, new_tokens: int) -> float:
        """US dollars."""
        return (prompt_tokens * self.price_in + new_tokens * self.price_out) / 1e6


@dataclass
class SynthesisReport:
    """Result of a run. `asked`, `retries` and `given_up` count this run only, the other fields the whole journal."""

    model: str = ""
    jobs: int = 0
    asked: int = 0
    kept: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    bad: Counter[str] = field(default_factory=Counter)
    retries: Counter[str] = field(default_factory=Counter)
    given_up: int = 0
    left: int = 0
    prompt_tokens: int = 0
    new_tokens: int = 0
    cost: float = 0.0

    def text(self) -> str:
        """Format for a terminal."""
        lines = [
            f"{sum(self.kept.values()):,} of {self.jobs:,} kept, {self.asked:,} requested in this run, by {self.model}"
        ]
        for title, counts in (
            ("kept", self.kept),
            ("dropped", self.dropped),
            ("samples not used", self.bad),
            ("retried", self.retries),
        ):
            lines += [f"  {title}: {count:,} {name}" for name, count in sorted(counts.items())]
        lines += [f"  failed: {self.given_up:,}; run again to retry"] if self.given_up else []
        lines += [f"  not requested: {self.left:,}; the budget is spent"] if self.left else []
        lines += [f"  tokens: {self.prompt_tokens:,} prompt, {self.new_tokens:,} reply; {self.cost:.2f} USD"]
        return "\n".join(lines)


@dataclass(frozen=True)
class Estimate:
    """Estimated cost of a run, from typical token counts."""

    jobs: int
    done: int
    prompt_tokens: int
    new_tokens: int
    cost: float

    def text(self) -> str:
        """Format for a terminal."""
        return (
            f"{self.jobs - self.done:,} of {self.jobs:,} requests to send ({self.done:,} in the journal): about "
            f"{self.prompt_tokens:,} prompt tokens and {self.new_tokens:,} reply tokens, {self.cost:.2f} USD"
        )


def build_requests(settings: SynthesisSettings) -> tuple[list[SynthesisRequest], Counter[str]]:
    """Build all requests, and count the samples that are invalid, by issue.

    Raises:
        SynthesisError: A file is missing or has no samples.
    """
    sources = {"re-caption": settings.re_caption, "in-context": settings.in_context}
    if not any(sources.values()):
        raise SynthesisError("no input files; give a file of descriptions (re-caption) or conversations (in-context)")
    pool = _pool(settings.pool)
    jobs, bad = dict[str, SynthesisRequest](), Counter[str]()
    for task, path in sources.items():
        reader: Sequence[Any] | Reader = _open(path) if path is not None else []
        for row in range(min(len(reader), settings.limit or len(reader))):
            try:
                job = _TASKS[task](reader[row], pool, settings.seed)
            except SampleError as error:
                bad[str(error.issue)] += 1
                continue
            jobs[job.key] = job  # a repeated sample is requested once
    return list(jobs.values()), bad


def estimate(settings: SynthesisSettings, jobs: Sequence[SynthesisRequest]) -> Estimate:
    """Estimate the remaining requests and their cost. Raises `JournalError`."""
    done = Journal(settings.journal).entries
    left = [job for job in jobs if job.key not in done]
    read = sum(len(message["content"]) for job in left for message in job.prompt) // _CHARACTERS_PER_TOKEN
    written = sum(_REPLY_TOKENS[job.task] * max(1, len(job.turns)) for job in left)
    return Estimate(len(jobs), len(jobs) - len(left), read, written, settings.cost(read, written))


def synthesize(settings: SynthesisSettings, endpoint: Endpoint) -> SynthesisReport:
    """Send the requests without a reply in the journal, then write the data and the report.

    Raises:
        SynthesisError: A file is missing, or no input files are given.
        JournalError: The journal is invalid.
        EndpointError: The endpoint cannot be used; replies so far are kept.
        FolderInUseError: Another process writes the same output.
    """
    with output_lock(settings.output):
        return _synthesize(settings, endpoint)


def _synthesize(settings: SynthesisSettings, endpoint: Endpoint) -> SynthesisReport:
    jobs, bad = build_requests(settings)
    journal = Journal(settings.journal)
    report = SynthesisReport(endpoint.client.model, len(jobs), bad=bad)
    to_ask, given_up = [job for job in jobs if job.key not in journal.entries], list[SynthesisRequest]()

    def within_budget() -> bool:
        return settings.budget is None or settings.cost(journal.prompt_tokens, journal.new_tokens) < settings.budget

    with tqdm(total=len(to_ask), unit="sample", disable=None) as bar:

        def keep(answered: EndpointReply) -> bool:
            journal.add(answered, endpoint.client.model)
            report.asked += 1
            bar.update()
            return within_budget()

        if to_ask and within_budget():
            asyncio.run(endpoint.ask_all(to_ask, keep, report.retries, given_up))
    report.given_up = len(given_up)
    report.left = len(to_ask) - report.asked - report.given_up
    report.prompt_tokens, report.new_tokens = journal.prompt_tokens, journal.new_tokens
    report.cost = settings.cost(report.prompt_tokens, report.new_tokens)
    _write(settings.output, list(_records(jobs, journal.entries, report)))
    _write(settings.output.with_name(f"{settings.output.stem}.report.json"), vars(report))
    return report


def _records(
    jobs: Sequence[SynthesisRequest], entries: Mapping[str, Entry], report: SynthesisReport
) -> Iterator[dict[str, Any]]:
    """Yield samples with their provenance in the order of requests, and count rejected replies."""
    for job in jobs:
        if job.key not in entries:
            continue
        entry = entries[job.key]
        if entry.reply is None or not entry.whole:
            report.dropped[RejectedReplyError.REFUSED if entry.reply is None else RejectedReplyError.CUT] += 1
            continue
        turns = read_reply(job, entry.reply)
        if isinstance(turns, RejectedReplyError):
            report.dropped[turns] += 1
            continue
        report.kept[job.task] += 1
        provenance = {"task": job.task, "source": job.source, "id": job.id, "model": entry.model, "key": job.key}
        yield {"id": f"{job.task}-{job.key}", "conversations": turns, "provenance": provenance}


def _open(path: Path) -> Reader:
    if not path.is_file():
        raise SynthesisError(f"{path}: no such file; give a file of published records (JSON list or JSON Lines)")
    try:
        return open_json(path, path.parent)
    except SourceError as error:
        raise SynthesisError(str(error)) from None


def _pool(path: Path | None) -> Sequence[str]:
    if path is None:
        return CAPTIONS
    try:
        pool = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise SynthesisError(f"{path}: cannot be read ({error}); give a text file with one caption per line") from None
    if not pool:
        raise SynthesisError(f"{path}: contains no captions; write one per line")
    return pool


def _write(path: Path, content: Any) -> None:
    with atomic_write(path) as aside:
        aside.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
