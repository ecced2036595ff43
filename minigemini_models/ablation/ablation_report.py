"""Tables and a plot of the ablation, beside the paper's numbers."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from minigemini.training.run_report import environment

from .measurements import COLUMNS, ColumnScores
from .variants import FINDINGS, Finding

REPORT, PLOT = "report.md", "plot.png"
Results = Mapping[str, Sequence[ColumnScores]]


def write_report(folder: Path, results: Results, settings: Mapping[str, Any]) -> Path:
    """Write `report.md` and `plot.png` from the scores of every variant and seed; returns the path of the report."""
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
        f"![Gains of every seed, their means, and the paper's gains]({PLOT})",
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


WIDTH, ROW, LEFT, TOP, SCALE = 860, 46, 330, 56, 2
INK, LIGHT, OURS, PAPER = (30, 30, 30), (222, 222, 222), (40, 90, 190), (200, 110, 30)


def draw_plot(path: Path, results: Results) -> None:
    """Draw one row per finding: the gain of each seed as a dot, their mean as a bar, the paper's gain as a diamond."""
    height = TOP + ROW * len(FINDINGS) + 40
    image = Image.new("RGB", (WIDTH * SCALE, height * SCALE), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(13 * SCALE)
    every = [gain for finding in FINDINGS for gain in gains(finding, results)]
    papers = [better - worse for _, worse, better in (finding.paper for finding in FINDINGS)]
    low, high = min(0.0, *every, *papers) - 1, max(0.0, *every, *papers) + 1

    def x(value: float) -> float:
        return (LEFT + (value - low) / (high - low) * (WIDTH - LEFT - 24)) * SCALE

    for n in range(5):
        value = low + (high - low) * n / 4
        draw.line([x(value), TOP * SCALE, x(value), (height - 36) * SCALE], fill=LIGHT, width=SCALE)
        draw.text((x(value), (height - 30) * SCALE), f"{value:+.0f}", fill=INK, font=font, anchor="mt")
    draw.line([x(0), TOP * SCALE, x(0), (height - 36) * SCALE], fill=INK, width=SCALE)
    draw.text(
        (14 * SCALE, 14 * SCALE), "Gain in points: each seed and the mean; diamonds: the paper", fill=INK, font=font
    )
    for row, finding in enumerate(FINDINGS):
        y = (TOP + ROW * (row + 0.5)) * SCALE
        draw.text((14 * SCALE, y), finding.name, fill=INK, font=font, anchor="lm")
        ours = gains(finding, results)
        draw.line([x(0), y, x(statistics.mean(ours)), y], fill=OURS, width=9 * SCALE)
        for gain in ours:
            draw.ellipse(_around(x(gain), y, 4), fill="white", outline=OURS, width=2 * SCALE)
        there, r = x(papers[row]), 6 * SCALE
        draw.polygon([(there, y - r), (there + r, y), (there, y + r), (there - r, y)], fill=PAPER)
    image.resize((WIDTH, height), Image.Resampling.LANCZOS).save(path)


def _around(x: float, y: float, radius: int) -> tuple[float, float, float, float]:
    r = radius * SCALE
    return x - r, y - r, x + r, y + r
