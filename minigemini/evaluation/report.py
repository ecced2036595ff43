"""`report.md`: scores with intervals beside the paper's, paired tests between runs, and how to reproduce them.

The report holds no dates or timings, so a run that was killed and resumed writes the same bytes.
"""

import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from .evaluate import Result, write_atomically
from .paper_results import PAPER, row_of
from .statistics import compare, figure
from .task import Measure

PAGE = "report.md"
PACKAGES = ("minigemini", "torch", "transformers", "pillow")
MAX_ISSUES = 20


@dataclass(frozen=True)
class Reproduction:
    """What it takes to reproduce an evaluation.

    Attributes:
        command: the command line.
        settings: versions and sizes of the tasks.
        data: SHA-256 of each official file.
    """

    command: str
    settings: Mapping[str, str]
    data: Mapping[str, str]


def write_report(folder: Path, results: Sequence[Result], others: Sequence[Result], repeat: Reproduction) -> Path:
    """Write or replace the report."""
    lines = ["# Evaluation", ""]
    for task in dict.fromkeys(result.task for result in results):
        lines += _task_section([result for result in (*results, *others) if result.task == task])
    lines += ["## Reproduce", "", f"    {repeat.command}", ""]
    lines += _table(("setting", "value"), repeat.settings.items())
    lines += _table(("model", "identity"), _identities(results))
    if repeat.data:
        lines += _table(("official file", "SHA-256"), repeat.data.items())
    lines += _table(("environment", "version"), environment().items())
    path = folder / PAGE
    write_atomically(path, "\n".join(lines))
    return path


def score_table(results: Sequence[Result]) -> str:
    """Markdown table of one task: a row per measure, a column per model, the paper's results beside them, and aims."""
    papers, aims = [row_of(result.model) for result in results], aims_of(results)
    heads = [
        head
        for label, row in zip(labels(results), papers, strict=True)
        for head in (label, *([f"paper, {row}"] if row else []))
    ]
    heads += ["aim"] if aims else []
    rows = [f"| task {results[0].task} | {' | '.join(map(table_cell, heads))} |", "|---|" + "---|" * len(heads)]
    for name in dict.fromkeys(measure.name for result in results for measure in result.measures):
        cells = []
        for result, row in zip(results, papers, strict=True):
            measure = next((measure for measure in result.measures if measure.name == name), None)
            cells.append(points(measure))
            if row:
                value = PAPER[row].get((measure and measure.paper) or "")
                cells.append(f"{value:g}" if value is not None else "-")
        cells += [aims.get(name, "-")] if aims else []
        rows.append(f"| {table_cell(name)} | {' | '.join(cells)} |")
    return "\n".join(rows)


def aims_of(results: Sequence[Result]) -> dict[str, str]:
    """The aim of each measure that has one, by the measure's name."""
    measures = [measure for result in results for measure in result.measures]
    return {measure.name: f"{measure.aim:g}" for measure in measures if measure.aim is not None}


_RESULTS_OF_RUNS = ("model", "adapter")
"""Names of folders in which every training run leaves its result."""


def labels(results: Sequence[Result]) -> list[str]:
    """Short model names: the last path component, a run's for its result, or the full name if that is ambiguous."""
    short = [_short_name(result.model.rstrip("/").split("/")) for result in results]
    return [name if short.count(name) == 1 else result.model for name, result in zip(short, results, strict=True)]


def _short_name(parts: list[str]) -> str:
    return parts[-2] if len(parts) > 1 and parts[-1] in _RESULTS_OF_RUNS else parts[-1]


def points(measure: Measure | None) -> str:
    """A score with its interval and the number of units."""
    if measure is None or not measure.unit_scores:
        return "-"
    found = figure(measure)
    return f"{found.score:.1f} ({found.low:.1f} to {found.high:.1f}, n={found.units})"


def environment() -> dict[str, str]:
    """Versions that answers may depend on."""
    return {"python": platform.python_version()} | {package: version(package) for package in PACKAGES}


def table_cell(text: str, max_chars: int = 300) -> str:
    """Untrusted text as a single line that cannot break a table."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line[:max_chars].replace("|", "\\|").replace("<", "&lt;").replace("`", "'")


def _task_section(results: Sequence[Result]) -> list[str]:
    first = results[0]
    lines = [f"## {first.title}", "", score_table(results), ""] if first.measures else [f"## {first.title}", ""]
    for label, result in zip(labels(results), results, strict=True):
        graded = result.asked - len(result.issues)
        judged = f"judged by {table_cell(result.judge)}" if result.judge else "scored by rules, no judge"
        lines.append(
            f"- {table_cell(label)}: {graded} of {result.asked} questions graded, {judged}; "
            f"{result.unparsed} answers could not be parsed."
        )
        lines += _issues(result)
        if result.submission is not None:
            lines.append(f"  The answers are secret: upload `submission-{result.task}.json` to the benchmark's server.")
    lines += ["", *_differences(results)]
    for name in first.breakdowns:
        lines += [f"### By {name}", ""]
        models = [result for result in results if result.breakdowns.get(name)]
        categories = dict.fromkeys(measure.name for result in models for measure in result.breakdowns[name])
        rows = []
        for category in categories:
            found = [next((m for m in result.breakdowns[name] if m.name == category), None) for result in models]
            rows.append((category, *map(points, found)))
        lines += _table((name, *labels(models)), rows)
    return lines


def _issues(result: Result) -> list[str]:
    """Questions without a grade; they count neither as right nor as wrong."""
    if not result.issues:
        return []
    lines = [f"  **{len(result.issues)} questions without a grade, left out of the scores**; run again to retry them:"]
    named = list(result.issues.items())[:MAX_ISSUES]
    lines += [f"  - `{table_cell(name)}`: {table_cell(reason)}" for name, reason in named]
    if len(result.issues) > MAX_ISSUES:
        lines.append(f"  - and {len(result.issues) - MAX_ISSUES} more")
    return lines


def _differences(results: Sequence[Result]) -> list[str]:
    """Paired tests of the first run against each other run."""
    rows = []
    first, *others = labels(results)
    for label, other in zip(others, results[1:], strict=True):
        theirs = {measure.name: measure for measure in other.measures}
        for measure in results[0].measures:
            against = theirs.get(measure.name)
            if against and (found := compare(against, measure)):
                p = "< 0.001" if found.p < 0.001 else f"{found.p:.3f}"
                rows.append((measure.name, label, f"{found.points:+.1f}", p, str(found.units)))
    if not rows:
        return []
    intro = (
        f"{table_cell(first)} minus the other, on units that both answered; p from a permutation test (10,000 draws)."
    )
    return [intro, "", *_table(("measure", "against", "points", "p", "n"), rows)]


def _identities(results: Sequence[Result]) -> list[tuple[str, str]]:
    found = {
        result.model: ", ".join(f"{name} {value}" for name, value in result.identity.items()) for result in results
    }
    return list(found.items())


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(map(table_cell, head))} |", "|" + "---|" * len(head)]
    return [*lines, *(f"| {' | '.join(map(table_cell, row))} |" for row in rows), ""]
