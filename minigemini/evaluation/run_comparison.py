"""Compares two saved runs: their scores with intervals, paired tests, and the samples whose verdict changed."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..io.errors import RequestError
from .evaluate import Result, load_results
from .report import labels, points, table_cell
from .statistics import compare


@dataclass(frozen=True)
class ChangedSample:
    """A sample that one run has right and the other has not, or where the scores differ."""

    id: str
    truth: str
    answers: tuple[str, str]
    values: tuple[float, float]


def compare_runs(first: Path, second: Path, shown: int = 20) -> str:
    """Compare the results of two folders as Markdown, one section per task and pair of models.

    Args:
        first, second: output folders of `minigemini eval`.
        shown: how many changed samples to list per section, at most.

    Raises:
        DataError: A folder holds no results.
        RequestError: The runs have no task in common.
    """
    pairs = list(_pairs(load_results(first), load_results(second)))
    if not pairs:
        raise RequestError(f"{first} and {second} have no task in common; compare runs of the same task")
    return "\n\n".join(_section(one, other, shown) for one, other in pairs)


def changed_samples(one: Result, other: Result) -> list[ChangedSample]:
    """The samples that both runs answered and whose scores differ, in the order of the first run."""
    theirs = {question.id: (answer, grade) for question, answer, grade in other.samples if grade is not None}
    changed = []
    for question, answer, grade in one.samples:
        if grade is not None and question.id in theirs:
            their_answer, their_grade = theirs[question.id]
            if their_grade.value != grade.value:
                changed.append(
                    ChangedSample(question.id, question.truth, (answer, their_answer), (grade.value, their_grade.value))
                )
    return changed


def _pairs(ones: list[Result], others: list[Result]) -> Iterator[tuple[Result, Result]]:
    """Pair results of the same task: those of the same model if both runs have it, else each with each."""
    for one in ones:
        theirs = [other for other in others if other.task == one.task]
        yield from ((one, other) for other in [t for t in theirs if t.model == one.model] or theirs)


def _section(one: Result, other: Result, shown: int) -> str:
    first, second = map(table_cell, labels([one, other]))
    if first == second:
        first, second = f"{first}, first run", f"{second}, second run"
    lines = [f"| task {table_cell(one.task)} | {first} | {second} | difference | p | n |", "|---" * 6 + "|"]
    theirs = {measure.name: measure for measure in other.measures}
    for measure in one.measures:
        against = theirs.get(measure.name)
        found = compare(measure, against) if against else None
        difference = (f"{found.points:+.1f}", f"{found.p:.3f}", str(found.units)) if found else ("-", "-", "-")
        lines.append(
            f"| {table_cell(measure.name)} | {points(measure)} | {points(against)} | {' | '.join(difference)} |"
        )
    changed = changed_samples(one, other)
    better = sum(sample.values[1] > sample.values[0] for sample in changed)
    lines += [
        "",
        f"{len(changed)} samples with another score: {better} better in the second run, {len(changed) - better} worse.",
    ]
    if one.version != other.version:
        lines.append("The versions of the task differ, so the questions may, too.")
    if changed:
        lines += ["", f"| sample | expected | {first} | {second} | score |", "|---" * 5 + "|"]
        for sample in changed[:shown]:
            cells = map(table_cell, (sample.id, sample.truth, *sample.answers))
            lines.append(f"| {' | '.join(cells)} | {sample.values[0]:g} -> {sample.values[1]:g} |")
        if len(changed) > shown:
            lines.append(f"\nand {len(changed) - shown} more; `--samples {len(changed)}` lists all.")
    return "\n".join(lines)
