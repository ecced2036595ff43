"""Tables and a plot of the ablation, beside the paper's numbers."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from minigemini.io.plots import COLORS, NO_PLOTS, PALE, can_plot, plot
from minigemini.training.run_report import environment

from .measurements import COLUMNS, ColumnScores
from .variants import FINDINGS, Finding

REPORT, PLOT = "report.md", "plot.png"
Results = Mapping[str, Sequence[ColumnScores]]


def write_report(folder: Path, results: Results, settings: Mapping[str, Any]) -> Path:
    """Write `report.md`, and `plot.png` if matplotlib is installed; returns the path of the report.

    Args:
        folder: exists.
        results: the scores of every variant and seed.
        settings: of the run.
    """
    if can_plot():
        draw_plot(folder / PLOT, results)
    seeds = len(next(iter(results.values())))
    lines = [
        "# Ablation",
        "",
        f"    minigemini train ablation {' '.join(f'{name}={value}' for name, value in settings.items())}",
        "",
        ", ".join(f"{name} {value}" for name, value in environment().items()),
        "",
        f"Means and standard deviations of {seeds} seeds, in percent, on numbers and scenes held out from training.",
        "",
        f"| variant | {' | '.join(COLUMNS)} |",
        "|---|" + "---|" * len(COLUMNS),
        *(f"| {name} | {' | '.join(_cell(name, column, results) for column in COLUMNS)} |" for name in results),
        "",
        "Does each finding of the paper hold at this scale? Yes: the difference has the same sign for every seed.",
        "",
        "| finding | in the paper | here | by seed | holds |",
        "|---|---|---|---|---|",
        *(_row(finding, results) for finding in FINDINGS),
        "",
        f"![Gains of every seed, their means, and the paper's gains]({PLOT})" if can_plot() else NO_PLOTS,
        "",
    ]
    (folder / REPORT).write_text("\n".join(lines), encoding="utf-8")
    return folder / REPORT


def figures(name: str, column: str, results: Results) -> list[float]:
    """Return a variant's scores in percent, seed by seed."""
    return [measured[column] for measured in results[name]]


def gains(finding: Finding, results: Results) -> list[float]:
    """Return the gain of the better over the worse variant in points, seed by seed."""
    worse, better = (figures(v.name, finding.column, results) for v in (finding.worse, finding.better))
    return [b - a for a, b in zip(worse, better, strict=True)]


def shows(finding: Finding, results: Results) -> bool:
    """Return whether the better variant is better for every seed."""
    return min(gains(finding, results)) > 0


def _cell(name: str, column: str, results: Results) -> str:
    values = figures(name, column, results)
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{spread}"


def _row(finding: Finding, results: Results) -> str:
    where, worse, better = finding.paper
    ours = (statistics.mean(figures(v.name, finding.column, results)) for v in (finding.worse, finding.better))
    by_seed = ", ".join(f"{gain:+.1f}" for gain in gains(finding, results))
    answer = "yes" if shows(finding, results) else "no"
    here = " → ".join(f"{value:.1f}" for value in ours)
    return f"| {finding.name} | {where}: {worse} → {better} | {finding.column}: {here} | {by_seed} | {answer} |"


def draw_plot(path: Path, results: Results) -> None:
    """Draw one row per finding: the gain of each seed as a dot, their mean as a bar, the paper's gain as a diamond."""
    ours = [gains(finding, results) for finding in FINDINGS]
    papers = [better - worse for _, worse, better in (finding.paper for finding in FINDINGS)]
    rows = range(len(FINDINGS))
    with plot(path, "", "gain of the better over the worse variant, points", size_inches=(8.6, 3.4)) as axes:
        axes.barh(rows, [statistics.mean(one) for one in ours], 0.3, color=PALE, label="mean of the seeds")
        seeds = [(gain, row) for row, one in zip(rows, ours, strict=True) for gain in one]
        axes.scatter(*zip(*seeds, strict=True), 24, color="white", edgecolor=COLORS[0], zorder=3, label="one seed")
        axes.scatter(papers, rows, 36, color=COLORS[1], marker="D", zorder=3, label="the paper")
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_yticks(rows, [finding.name for finding in FINDINGS])
        axes.grid(visible=False, axis="y")
        axes.invert_yaxis()
        axes.legend()
