"""`report.md`: scores with their intervals beside the paper's, what differs by more than chance, and how to repeat it.

Nothing in it depends on when or how fast it was run, so a run that was killed and taken up again gives the same bytes.
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
MOST_ISSUES = 20


@dataclass(frozen=True)
class Repeat:
    """What it takes to run an evaluation again.

    Attributes:
        command: the command line.
        data: of each official file its SHA-256.
    """

    command: str
    settings: Mapping[str, str]
    data: Mapping[str, str]


def write_report(folder: Path, results: Sequence[Result], others: Sequence[Result], repeat: Repeat) -> Path:
    """Write the page whole, in place of the one that was there."""
    lines = ["# Evaluation", ""]
    for task in dict.fromkeys(result.task for result in results):
        lines += _of_task([result for result in (*results, *others) if result.task == task])
    lines += ["## To repeat it", "", f"    {repeat.command}", ""]
    lines += _table(("setting", "value"), repeat.settings.items())
    lines += _table(("model", "what its answers depend on"), _identities(results))
    if repeat.data:
        lines += _table(("official file", "SHA-256"), repeat.data.items())
    lines += _table(("environment", "version"), environment().items())
    path = folder / PAGE
    write_atomically(path, "\n".join(lines))
    return path


def scores(results: Sequence[Result]) -> str:
    """The table of one task: a row per measure, a column per model, the paper's beside them."""
    papers = [row_of(result.model) for result in results]
    heads = [
        head
        for label, row in zip(labels(results), papers, strict=True)
        for head in (label, *([f"paper, {row}"] if row else []))
    ]
    rows = [f"| task {results[0].task} | {' | '.join(map(cell, heads))} |", "|---|" + "---|" * len(heads)]
    for name in dict.fromkeys(measure.name for result in results for measure in result.measures):
        cells = []
        for result, row in zip(results, papers, strict=True):
            measure = next((measure for measure in result.measures if measure.name == name), None)
            cells.append(points(measure))
            if row:
                value = PAPER[row].get((measure and measure.paper) or "")
                cells.append(f"{value:g}" if value is not None else "-")
        rows.append(f"| {cell(name)} | {' | '.join(cells)} |")
    return "\n".join(rows)


def labels(results: Sequence[Result]) -> list[str]:
    """The models by the last part of their names, or by all of it where two have the same."""
    short = [result.model.rstrip("/").rsplit("/", 1)[-1] for result in results]
    return [name if short.count(name) == 1 else result.model for name, result in zip(short, results, strict=True)]


def points(measure: Measure | None) -> str:
    """A score with its interval and the units behind it."""
    if measure is None or not measure.marks:
        return "-"
    is_ = figure(measure)
    return f"{is_.score:.1f} ({is_.low:.1f} to {is_.high:.1f}, n={is_.units})"


def environment() -> dict[str, str]:
    """Versions that answers may depend on."""
    return {"python": platform.python_version()} | {package: version(package) for package in PACKAGES}


def cell(text: str, most: int = 300) -> str:
    """Someone's text on one line that cannot break a table."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line[:most].replace("|", "\\|").replace("<", "&lt;").replace("`", "'")


def _of_task(results: Sequence[Result]) -> list[str]:
    first = results[0]
    lines = [f"## {first.title}", "", scores(results), ""] if first.measures else [f"## {first.title}", ""]
    for label, result in zip(labels(results), results, strict=True):
        graded = result.asked - len(result.issues)
        judged = f"judged by {cell(result.judge)}" if result.judge else "scored by rules, no judge"
        lines.append(
            f"- {cell(label)}: {graded} of {result.asked} questions graded, {judged}; "
            f"{result.unparsed} answers the rules could not read."
        )
        lines += _issues(result)
        if result.submission is not None:
            lines.append(f"  The answers are secret: `submission-{result.task}.json` is what the server takes.")
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
    """What has no grade, named; it counts neither as right nor as wrong."""
    if not result.issues:
        return []
    lines = [f"  **{len(result.issues)} without a grade, left out of the scores**; run again to ask them again:"]
    named = list(result.issues.items())[:MOST_ISSUES]
    lines += [f"  - `{cell(name)}`: {cell(reason)}" for name, reason in named]
    if len(result.issues) > MOST_ISSUES:
        lines.append(f"  - and {len(result.issues) - MOST_ISSUES} more")
    return lines


def _differences(results: Sequence[Result]) -> list[str]:
    """Every later run against the first, in pairs."""
    rows = []
    first, *others = labels(results)
    for label, other in zip(others, results[1:], strict=True):
        theirs = {measure.name: measure for measure in other.measures}
        for measure in results[0].measures:
            against = theirs.get(measure.name)
            if against and (found := compare(against, measure)):
                chance = "< 0.001" if found.p < 0.001 else f"{found.p:.3f}"
                rows.append((measure.name, label, f"{found.points:+.1f}", chance, str(found.units)))
    if not rows:
        return []
    intro = f"{cell(first)} less the other, on what both answered; p by swapping pairs at random (10,000 draws)."
    return [intro, "", *_table(("measure", "against", "points", "p", "n"), rows)]


def _identities(results: Sequence[Result]) -> list[tuple[str, str]]:
    found = {
        result.model: ", ".join(f"{name} {value}" for name, value in result.identity.items()) for result in results
    }
    return list(found.items())


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(map(cell, head))} |", "|" + "---|" * len(head)]
    return [*lines, *(f"| {' | '.join(map(cell, row))} |" for row in rows), ""]
