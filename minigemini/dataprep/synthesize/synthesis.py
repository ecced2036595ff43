"""A synthesis run: jobs from files, a journal of what came back, and the data and the report made of it."""

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
"""Of a usual reply; of `in-context` per answer. For the estimate."""
_CHARACTERS_PER_TOKEN = 4


class SynthesisError(ValueError):
    """What cannot be run as asked; the message is one line that says what to do."""


@dataclass(frozen=True)
class SynthesisSettings:
    """What is made, of what.

    Attributes:
        output: the JSON list to write; the journal lies beside it.
        re_caption, in_context: files of published records, whose last answer is a description, or conversations.
        pool: example captions, one a line; None takes those of `tasks.CAPTIONS`.
        limit: most samples of each task.
        seed: draws the examples that are shown.
        price_in, price_out: US dollars per million tokens read and written.
        budget: US dollars at which asking ends.
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
    """What came of a run. `asked`, `retries` and `given_up` count this run alone, all else what the journal holds."""

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
        """For people."""
        lines = [f"{sum(self.kept.values()):,} of {self.jobs:,} kept, {self.asked:,} asked now, by {self.model}"]
        for title, counts in (
            ("kept", self.kept),
            ("dropped", self.dropped),
            ("samples not used", self.bad),
            ("tried again", self.retries),
        ):
            lines += [f"  {title}: {count:,} {name}" for name, count in sorted(counts.items())]
        lines += [f"  given up for now: {self.given_up:,}; run again to go on"] if self.given_up else []
        lines += [f"  not asked: {self.left:,}; the budget is spent"] if self.left else []
        lines += [f"  tokens: {self.prompt_tokens:,} read, {self.new_tokens:,} written; {self.cost:.2f} USD"]
        return "\n".join(lines)


@dataclass(frozen=True)
class Estimate:
    """What a run will take, before it is begun; tokens by their usual length."""

    jobs: int
    done: int
    prompt_tokens: int
    new_tokens: int
    cost: float

    def text(self) -> str:
        """For people."""
        return (
            f"{self.jobs - self.done:,} of {self.jobs:,} to ask ({self.done:,} in the journal): about "
            f"{self.prompt_tokens:,} tokens to read and {self.new_tokens:,} to write, {self.cost:.2f} USD"
        )


def jobs_of(settings: SynthesisSettings) -> tuple[list[SynthesisRequest], Counter[str]]:
    """Everything there is to ask, and how many samples cannot be asked about, by reason.

    Raises:
        SynthesisError: a file is missing or holds no samples.
    """
    sources = {"re-caption": settings.re_caption, "in-context": settings.in_context}
    if not any(sources.values()):
        raise SynthesisError(
            "nothing to ask about; name a file of descriptions (re-caption) or conversations (in-context)"
        )
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
            jobs[job.key] = job  # the same sample twice is asked about once
    return list(jobs.values()), bad


def estimate(settings: SynthesisSettings, jobs: Sequence[SynthesisRequest]) -> Estimate:
    """What is left to ask, and what it will cost. Raises `JournalError`."""
    done = Journal(settings.journal).entries
    left = [job for job in jobs if job.key not in done]
    read = sum(len(message["content"]) for job in left for message in job.prompt) // _CHARACTERS_PER_TOKEN
    written = sum(_REPLY_TOKENS[job.task] * max(1, len(job.turns)) for job in left)
    return Estimate(len(jobs), len(jobs) - len(left), read, written, settings.cost(read, written))


def synthesize(settings: SynthesisSettings, endpoint: Endpoint) -> SynthesisReport:
    """Ask what the journal has no reply to, then write the data and the report.

    Raises:
        SynthesisError: a file is missing, or nothing is asked for.
        JournalError: the journal is broken.
        EndpointError: the endpoint does not answer; what it has answered is kept.
        FolderInUseError: another process writes the same output.
    """
    with output_lock(settings.output):
        return _synthesize(settings, endpoint)


def _synthesize(settings: SynthesisSettings, endpoint: Endpoint) -> SynthesisReport:
    jobs, bad = jobs_of(settings)
    journal = Journal(settings.journal)
    report = SynthesisReport(endpoint.model, len(jobs), bad=bad)
    to_ask, given_up = [job for job in jobs if job.key not in journal.entries], list[SynthesisRequest]()

    def within_budget() -> bool:
        return settings.budget is None or settings.cost(journal.prompt_tokens, journal.new_tokens) < settings.budget

    with tqdm(total=len(to_ask), unit="sample", disable=None) as bar:

        def keep(answered: EndpointReply) -> bool:
            journal.add(answered, endpoint.model)
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
    """The samples in the order of the jobs, each with where it comes from; what is dropped is counted."""
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
        raise SynthesisError(f"{path}: no such file; name one of published records (JSON list or lines)")
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
        raise SynthesisError(f"{path}: cannot be read ({error}); name a text file with a caption a line") from None
    if not pool:
        raise SynthesisError(f"{path}: no captions in it; write one a line")
    return pool


def _write(path: Path, content: Any) -> None:
    with atomic_write(path) as aside:
        aside.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
